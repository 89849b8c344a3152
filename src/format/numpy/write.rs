//! Tensors to npy and npz: the headers that NumPy writes, in a zip whose arrays are aligned.
//!
//! An npz is stored, not deflated, with sizes and checksums before each member, and every
//! array's elements start at a multiple of 64 bytes. Source: numpy/lib/_format_impl.py
//! (`_write_array_header`), numpy/lib/_npyio_impl.py (`_savez`).

use super::{MAGIC, MEMBER_SUFFIX};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::{Layout, Part, Splits, Ties, Writer};
use crate::io::archive::{Fill, Framing, ZipPlan};
use crate::model::Tensor;

/// Elements start at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

/// Digits for which NumPy leaves room, so that the first dimension can grow in place.
const GROWTH: usize = 21;

/// Every dtype that NumPy has, and its name there.
const DESCRIPTIONS: [(DType, &str); 14] = [
    (DType::Bool, "|b1"),
    (DType::U8, "|u1"),
    (DType::I8, "|i1"),
    (DType::U16, "<u2"),
    (DType::I16, "<i2"),
    (DType::U32, "<u4"),
    (DType::I32, "<i4"),
    (DType::U64, "<u8"),
    (DType::I64, "<i8"),
    (DType::F16, "<f2"),
    (DType::F32, "<f4"),
    (DType::F64, "<f8"),
    (DType::C64, "<c8"),
    (DType::C128, "<c16"),
];

/// One array, whose name is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Npy;

/// Arrays by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Npz;

fn dtypes() -> Vec<DType> {
    DESCRIPTIONS.iter().map(|(dtype, _)| *dtype).collect()
}

impl Writer for Npy {
    fn dtypes(&self) -> Vec<DType> {
        dtypes()
    }

    fn ties(&self) -> Ties {
        Ties::Copies
    }

    fn splits(&self) -> Splits {
        Splits::Never
    }

    fn layout(&self, part: &Part<'_>) -> Result<Layout> {
        let [tensor] = part.tensors.as_slice() else {
            let count = part.tensors.len();
            let error = Error::unsupported(format!("an npy file holds one array, not {count}"));
            return Err(error.with_hint("`-i NAME` picks one tensor; `.npz` holds all"));
        };
        let (header, bytes) = header(tensor).map_err(|e| e.in_tensor(&tensor.name))?;
        let start = header.len() as u64;
        Ok(Layout {
            header,
            archive: None,
            offsets: vec![start],
            order: vec![0],
            len: start.saturating_add(bytes),
            notes: part.metadata_note().into_iter().collect(),
        })
    }
}

impl Writer for Npz {
    fn dtypes(&self) -> Vec<DType> {
        dtypes()
    }

    fn ties(&self) -> Ties {
        Ties::Copies
    }

    fn splits(&self) -> Splits {
        Splits::Never
    }

    fn layout(&self, part: &Part<'_>) -> Result<Layout> {
        part.check_names()?;
        let mut zip = ZipPlan::new(Framing::Headers);
        let mut offsets = Vec::with_capacity(part.tensors.len());
        for tensor in &part.tensors {
            if tensor.name.contains('\0') {
                let error = Error::unsupported("its name holds a NUL, at which NumPy cuts names");
                return Err(error
                    .in_tensor(&tensor.name)
                    .with_hint("`--rename` gives it another name, `-x` leaves it out"));
            }
            let (head, len) = header(tensor).map_err(|e| e.in_tensor(&tensor.name))?;
            let name = format!("{}{MEMBER_SUFFIX}", tensor.name);
            offsets.push(zip.add(name, Fill::Data { head, len })?);
        }
        Ok(Layout {
            header: Vec::new(),
            order: (0..offsets.len()).collect(),
            offsets,
            len: zip.len(),
            archive: Some(zip),
            notes: part.metadata_note().into_iter().collect(),
        })
    }
}

/// The header of one array, and the bytes of its elements.
fn header(tensor: &Tensor) -> Result<(Vec<u8>, u64)> {
    let dtype = tensor.dtype;
    let found = DESCRIPTIONS.iter().find(|(known, _)| *known == dtype);
    let (_, description) = found.ok_or_else(|| {
        let error = Error::unsupported(format!("NumPy has no dtype {dtype}"));
        error.with_hint("`--dtype f32` makes it one it has, `-x NAME` leaves it out")
    })?;
    let dimensions = tensor.shape.dimensions();
    let words: Vec<String> = dimensions.iter().map(u64::to_string).collect();
    let shape = match words.as_slice() {
        [single] => format!("({single},)"),
        several => format!("({})", several.join(", ")),
    };
    let room = words
        .first()
        .map_or(0, |word| GROWTH.saturating_sub(word.len()));
    let text = format!(
        "{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}{:room$}",
        ""
    );
    let bytes = tensor.byte_len();
    let bytes = bytes.ok_or_else(|| Error::unsupported(format!("{dtype} of unknown size")))?;
    Ok((framed(&text), bytes))
}

/// Magic, version, length, the text, padding and a newline. NumPy pads by 64 where nothing is
/// missing.
fn framed(text: &str) -> Vec<u8> {
    let with_newline = text.len().saturating_add(1);
    let padded = |before: usize| {
        let used = before.saturating_add(with_newline);
        let missing = ALIGNMENT.saturating_sub(used % ALIGNMENT);
        with_newline.saturating_add(missing)
    };
    let mut out = MAGIC.to_vec();
    // 64 dimensions, the most there are, take 1300 bytes: version 1 has room for 65,535.
    let before = MAGIC.len().saturating_add(4);
    let len = padded(before);
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    let end = before.saturating_add(len);
    out.resize(end.saturating_sub(1), b' ');
    out.push(b'\n');
    out
}
