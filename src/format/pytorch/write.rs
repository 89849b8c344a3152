//! Checkpoint to zip: the bytes that `torch.save` would write of a flat dict of tensors.
//!
//! Records, in this order: `data.pkl`, `.format_version`, `.storage_alignment`, `byteorder`,
//! `data/0`, `data/1` and so on, `version`, `.data/serialization_id`. All are stored, and their
//! data starts at multiples of 64 bytes. The last is made of hashes of the others, by another
//! function than torch's, which depends on its C++ library.

use super::pickler::{self, Element, Entry};
use super::quantizer::{self, Quantizer};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::{Layout, Part, Splits, Ties, Writer};
use crate::io::archive::{Fill, Framing, ZipPlan};
use crate::model::Tensor;

/// Every dtype that is written, and how PyTorch calls it.
///
/// Sources: torch/storage.py (`_dtype_to_storage_type_map`); those without a class in torch/_utils.py
/// (`_rebuild_tensor_v3`).
const ELEMENTS: &[(DType, Element)] = &[
    (DType::F64, Element::Class("Double")),
    (DType::F32, Element::Class("Float")),
    (DType::F16, Element::Class("Half")),
    (DType::BF16, Element::Class("BFloat16")),
    (DType::I64, Element::Class("Long")),
    (DType::I32, Element::Class("Int")),
    (DType::I16, Element::Class("Short")),
    (DType::I8, Element::Class("Char")),
    (DType::U8, Element::Class("Byte")),
    (DType::Bool, Element::Class("Bool")),
    (DType::C64, Element::Class("ComplexFloat")),
    (DType::C128, Element::Class("ComplexDouble")),
    (DType::C32, Element::Name("complex32")),
    (DType::U16, Element::Name("uint16")),
    (DType::U32, Element::Name("uint32")),
    (DType::U64, Element::Name("uint64")),
    (DType::F8E4M3, Element::Name("float8_e4m3fn")),
    (DType::F8E5M2, Element::Name("float8_e5m2")),
    (DType::F8E4M3Fnuz, Element::Name("float8_e4m3fnuz")),
    (DType::F8E5M2Fnuz, Element::Name("float8_e5m2fnuz")),
    (DType::F8E8M0, Element::Name("float8_e8m0fnu")),
    (DType::F4, Element::Name("float4_e2m1fn_x2")),
    (DType::QI8, Element::Class("QInt8")),
    (DType::QU8, Element::Class("QUInt8")),
    (DType::QI32, Element::Class("QInt32")),
    (DType::QU4x2, Element::Class("QUInt4x2")),
    (DType::QU2x4, Element::Class("QUInt2x4")),
];

/// The folder that holds everything: what `torch.save` calls it where it knows no file name.
const FOLDER: &str = "archive";

impl Writer for super::PyTorch {
    fn dtypes(&self) -> Vec<DType> {
        ELEMENTS.iter().map(|(dtype, _)| *dtype).collect()
    }

    fn ties(&self) -> Ties {
        Ties::Entries
    }

    fn splits(&self) -> Splits {
        Splits::Index
    }

    fn layout(&self, part: &Part<'_>) -> Result<Layout> {
        part.check_names()?;
        quantizer::check_size(part.checkpoint)?;
        let storages = storages(&part.tensors)?;
        // Every name means one of the tensors.
        let named = part.names.iter().filter(|(_, i)| *i < storages.len());
        let entries: Vec<Entry<'_>> = named
            .filter_map(|&(name, index)| {
                let storage = storages.get(index)?;
                Some(Entry {
                    name,
                    storage: storage.key,
                    element: storage.element,
                    size: &storage.size,
                    storage_len: storage.len,
                    quantizer: storage.quantizer.as_ref(),
                })
            })
            .collect();
        let mut zip = ZipPlan::new(Framing::Descriptors);
        let mut add = |record: &str, fill| zip.add(format!("{FOLDER}/{record}"), fill);
        add(
            "data.pkl",
            Fill::Bytes(pickler::pickle(entries.into_iter())),
        )?;
        add(".format_version", Fill::Bytes(b"1".to_vec()))?;
        add(".storage_alignment", Fill::Bytes(b"64".to_vec()))?;
        add("byteorder", Fill::Bytes(b"little".to_vec()))?;
        let mut offsets = Vec::with_capacity(storages.len());
        for storage in &storages {
            let fill = Fill::Data {
                head: Vec::new(),
                len: storage.bytes,
            };
            offsets.push(add(&format!("data/{}", storage.key), fill)?);
            for (bytes, key) in storage.beside().zip(storage.key.saturating_add(1)..) {
                add(&format!("data/{key}"), Fill::Bytes(bytes.to_vec()))?;
            }
        }
        add("version", Fill::Bytes(b"3\n".to_vec()))?;
        add(".data/serialization_id", Fill::Identity)?;
        let len = zip.len();
        Ok(Layout {
            header: Vec::new(),
            order: (0..offsets.len()).collect(),
            offsets,
            len,
            archive: Some(zip),
            notes: part.metadata_note().into_iter().collect(),
        })
    }
}

/// What is stored of one tensor.
struct Storage {
    /// Its number; those of scales and zero points follow.
    key: usize,
    element: Element,
    size: Vec<u64>,
    /// In elements, or bytes where the storage has no type or they are less than a byte.
    len: u64,
    bytes: u64,
    quantizer: Option<Quantizer>,
}

impl Storage {
    /// The storages of scales and zero points.
    fn beside(&self) -> impl Iterator<Item = &[u8]> {
        self.quantizer.iter().flat_map(Quantizer::storages)
    }
}

fn storages(tensors: &[&Tensor]) -> Result<Vec<Storage>> {
    let mut storages: Vec<Storage> = Vec::with_capacity(tensors.len());
    let mut key = 0usize;
    for tensor in tensors {
        let storage = storage(tensor, key).map_err(|error| error.in_tensor(&tensor.name))?;
        key = key
            .saturating_add(1)
            .saturating_add(storage.beside().count());
        storages.push(storage);
    }
    Ok(storages)
}

fn storage(tensor: &Tensor, key: usize) -> Result<Storage> {
    let dtype = tensor.dtype;
    let found = ELEMENTS.iter().find(|(known, _)| *known == dtype);
    let (_, element) = found.ok_or_else(|| {
        let error = Error::unsupported(format!("PyTorch has no dtype {dtype}"));
        error.with_hint("`--dtype` makes it another, `-x NAME` leaves it out")
    })?;
    let mut size = tensor.shape.dimensions().to_vec();
    let in_a_byte = u64::from(dtype.facts().block_elements).max(1);
    if !tensor.shape.row_elements().is_multiple_of(in_a_byte) {
        let shape = &tensor.shape;
        let message = format!("rows of {dtype} {shape} do not fill whole bytes");
        return Err(Error::unsupported(message));
    }
    // One of PyTorch's elements is a byte that holds two values.
    if dtype == DType::F4
        && let Some(row) = size.last_mut()
    {
        *row /= 2;
    }
    let bytes = tensor.byte_len().ok_or_else(|| {
        let elements = tensor.elements();
        Error::unsupported(format!(
            "{elements} elements of {dtype} fill no whole bytes"
        ))
    })?;
    Ok(Storage {
        key,
        element: *element,
        size,
        len: match element {
            Element::Class(_) if in_a_byte == 1 => tensor.elements(),
            _ => bytes,
        },
        bytes,
        quantizer: Quantizer::of(tensor)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::dtypes;
    use super::*;

    #[test]
    fn names_are_those_that_the_reader_knows() {
        for (dtype, element) in ELEMENTS {
            let known = match element {
                Element::Class(stem) => dtypes::of_class(stem),
                Element::Name(name) => dtypes::of_name(name),
            };
            assert_eq!(known.map(|known| known.dtype), Some(*dtype));
        }
    }
}
