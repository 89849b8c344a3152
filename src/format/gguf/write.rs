//! Checkpoint to GGUF, version 3.
//!
//! Metadata keeps the source's order, and a GGUF source's types; texts and arrays of such a
//! source are copied as they lie. What every file needs is added: `general.architecture`,
//! `general.file_type`, `general.quantization_version`. Of several files each says which it is,
//! and the first has the metadata, as llama.cpp's gguf-split has it.

use super::MAGIC;
use super::encode::{push_string, push_value};
use super::metadata::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, alignment};
use super::original::{self, GGML_NAME, LONG_NAME};
use super::split;
use super::types::{ValueType, tensor_number};
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::format::carried_metadata;
use crate::format::{Layout, Part, Splits, Ties, Writer};
use crate::io::Source;
use crate::limits;
use crate::model::{Bytes, Checkpoint, Storage, Tensor, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// The version that is written.
const VERSION: u32 = 3;

const ARCHITECTURE: &str = "general.architecture";
const FILE_TYPE: &str = "general.file_type";
const QUANTIZATION_VERSION: &str = "general.quantization_version";

/// The version of all quantised blocks in use (`GGML_QNT_VERSION`).
const QUANTIZATION: i64 = 2;

impl Writer for super::Gguf {
    fn dtypes(&self) -> Vec<DType> {
        super::types::dtypes().collect()
    }

    fn ties(&self) -> Ties {
        Ties::Copies
    }

    fn splits(&self) -> Splits {
        Splits::Numbers
    }

    fn layout(&self, part: &Part<'_>) -> Result<Layout> {
        part.check_names()?;
        let mut notes = Vec::new();
        let entries = entries(part, &mut notes)?;
        arrange(part, &entries, notes)
    }

    fn edit(&self, part: &Part<'_>, source: &Source) -> Result<Option<Vec<u8>>> {
        // Data of other versions may lie in another byte order.
        if source.read_prefix(0, 8)? != [MAGIC, &VERSION.to_le_bytes()[..]].concat() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        carried(part.checkpoint, &mut entries, &mut Vec::new())?;
        add_originals(&part.tensors, &mut entries);
        let layout = arrange(part, &entries, Vec::new())?;
        let stays = |(tensor, offset): (&&Tensor, &u64)| {
            let extent = tensor.payload.extent();
            extent.is_none_or(|(source, start, _)| source.file_offset(start) == *offset)
        };
        let stay = part.tensors.iter().zip(&layout.offsets).all(stays);
        Ok(stay.then_some(layout.header))
    }
}

/// Where everything goes, after `entries`.
fn arrange(part: &Part<'_>, entries: &[Entry<'_>], mut notes: Vec<String>) -> Result<Layout> {
    let alignment = match find(entries, ALIGNMENT_KEY) {
        Some(entry) => alignment(&entry.value)?,
        None => DEFAULT_ALIGNMENT,
    };
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&(part.tensors.len() as u64).to_le_bytes());
    header.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for entry in entries {
        entry.push(&mut header)?;
    }
    let mut places = Vec::with_capacity(part.tensors.len());
    let mut end = 0u64;
    for tensor in &part.tensors {
        let bytes = push_info(&mut header, tensor, end).map_err(|e| e.in_tensor(&tensor.name))?;
        check_room(&header)?;
        places.push(end);
        let after = end.checked_add(bytes);
        let after = after.and_then(|after| after.checked_next_multiple_of(alignment));
        end = after.ok_or_else(|| Error::limit("the tensors have more than 2^64 bytes"))?;
    }
    notes.extend(remarks(&part.tensors));
    // Without tensors there is no section of data, and no padding before it.
    let start = match part.tensors.is_empty() {
        true => Some(header.len() as u64),
        false => (header.len() as u64).checked_next_multiple_of(alignment),
    };
    let start = start.filter(|start| *start <= limits::GGUF_HEADER);
    let start = start.ok_or_else(|| too_large(alignment))?;
    header.resize(usize::try_from(start).unwrap_or(usize::MAX), 0);
    Ok(Layout {
        header,
        archive: None,
        offsets: places.iter().map(|at| start.saturating_add(*at)).collect(),
        order: (0..places.len()).collect(),
        len: start.saturating_add(end),
        notes,
    })
}

fn check_room(header: &[u8]) -> Result<()> {
    match header.len() as u64 > limits::GGUF_HEADER {
        true => Err(too_large(header.len() as u64)),
        false => Ok(()),
    }
}

fn too_large(found: u64) -> Error {
    let allowed = limits::GGUF_HEADER;
    let message = format!("the header would have {found} bytes; the limit is {allowed}");
    Error::limit(message)
}

/// One key-value pair.
struct Entry<'a> {
    key: Cow<'a, str>,
    value: Value,
    kind: &'a str,
    /// The value's bytes in a GGUF source.
    stored: Option<&'a Storage>,
}

impl<'a> Entry<'a> {
    fn new(key: impl Into<Cow<'a, str>>, value: Value, kind: &'a str) -> Entry<'a> {
        Entry {
            key: key.into(),
            value,
            kind,
            stored: None,
        }
    }

    fn push(&self, header: &mut Vec<u8>) -> Result<()> {
        let of_key = |error: Error| error.in_member(&self.key);
        push_string(header, self.key.as_bytes());
        let Some(stored) = self.stored else {
            push_value(header, &self.value, self.kind).map_err(of_key)?;
            return check_room(header);
        };
        let kind = match self.kind {
            "str" => ValueType::Text,
            _ => ValueType::Array,
        };
        header.extend_from_slice(&kind.id().to_le_bytes());
        let len = (header.len() as u64).saturating_add(stored.bytes.len());
        if len > limits::GGUF_HEADER {
            return Err(of_key(too_large(len)));
        }
        match &stored.bytes {
            Bytes::Extent {
                source,
                offset,
                len,
            } => header.extend_from_slice(&source.read_vec(*offset, *len)?),
            Bytes::Inline(bytes) => header.extend_from_slice(bytes),
            Bytes::Packed { .. } => {
                return Err(of_key(Error::unsupported(
                    "a compressed value is not copied",
                )));
            }
        }
        Ok(())
    }
}

fn find<'e, 'a>(entries: &'e [Entry<'a>], key: &str) -> Option<&'e Entry<'a>> {
    // Linear: files have fewer than 200 keys.
    entries.iter().find(|entry| entry.key == key)
}

/// What the file says, in order.
fn entries<'a>(part: &Part<'a>, notes: &mut Vec<String>) -> Result<Vec<Entry<'a>>> {
    let checkpoint = part.checkpoint;
    let mut entries = Vec::new();
    if part.number == 0 {
        carried(checkpoint, &mut entries, notes)?;
        add_general(checkpoint, &mut entries, notes);
    } else {
        carried(checkpoint, &mut entries, &mut Vec::new())?;
        entries.retain(|entry| entry.key == ALIGNMENT_KEY);
    }
    if part.count > 1 {
        let number = |number: usize| Value::from(number as u64);
        let total = checkpoint.tensors.len();
        entries.push(Entry::new(split::NUMBER, number(part.number), "u16"));
        entries.push(Entry::new(split::COUNT, number(part.count), "u16"));
        entries.push(Entry::new(split::TENSORS, number(total), "i32"));
    }
    add_originals(&part.tensors, &mut entries);
    Ok(entries)
}

/// The checkpoint's own metadata; what a GGUF source says about its files is not carried.
fn carried<'a>(
    checkpoint: &'a Checkpoint,
    entries: &mut Vec<Entry<'a>>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut lost = Vec::new();
    for (key, value) in carried_metadata(checkpoint) {
        let is_split = [split::NUMBER, split::COUNT, split::TENSORS].contains(&key.as_str());
        // What safetensors files say about the program that wrote them.
        let is_foreign = checkpoint.format != "gguf" && key == "format";
        if is_split || is_foreign || find(entries, key).is_some() {
            continue;
        }
        if key.is_empty() {
            lost.push("``");
            continue;
        }
        let kinds = &checkpoint.metadata_types;
        let kind = kinds.iter().find(|(known, _)| known == key);
        let kind = kind.map_or_else(|| type_of(value), |(_, kind)| Some(*kind));
        let Some(kind) = kind else {
            lost.push(key);
            continue;
        };
        let stored = checkpoint.stored_metadata.iter();
        let stored = stored.clone().find(|(known, _)| known == key);
        if stored.is_none() && matches!(value, Value::Array(_)) {
            let message = format!("only the beginning of `{key}` was read");
            return Err(Error::usage(message));
        }
        entries.push(Entry {
            key: key.into(),
            value: value.clone(),
            kind,
            stored: stored.map(|(_, storage)| storage),
        });
    }
    if !lost.is_empty() {
        notes.push(format!(
            "metadata that GGUF cannot hold is left out: {}",
            lost.join(", ")
        ));
    }
    Ok(())
}

/// The type of a value that no GGUF file had: the smallest that programs expect.
fn type_of(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Bool(_) => "bool",
        Value::Int(number) if i32::try_from(*number).is_ok() => "i32",
        Value::Int(_) => "i64",
        Value::Unsigned(_) => "u64",
        Value::Float(_) => "f64",
        Value::Text(_) => "str",
        Value::List(items) => {
            let is_text = !items.is_empty() && items.iter().all(|item| item.as_text().is_some());
            return is_text.then_some("arr[str]");
        }
        Value::Null | Value::Map(_) | Value::Array(_) => return None,
    })
}

/// What GGUF cannot say of tensors.
fn add_originals(tensors: &[&Tensor], entries: &mut Vec<Entry<'_>>) {
    let kept = tensors.iter().flat_map(|tensor| original::kept(tensor));
    let kept: Vec<Entry<'_>> = kept
        .map(|(key, value, kind)| Entry::new(key, value, kind))
        .collect();
    let keys: HashSet<&str> = kept.iter().map(|entry| &*entry.key).collect();
    entries.retain(|entry| !keys.contains(&*entry.key));
    entries.extend(kept);
}

/// What every file needs.
fn add_general(checkpoint: &Checkpoint, entries: &mut Vec<Entry<'_>>, notes: &mut Vec<String>) {
    if find(entries, ARCHITECTURE).is_none() {
        notes.push(format!(
            "no architecture is known, so `{ARCHITECTURE}` is `unknown`; `--metadata {ARCHITECTURE}=NAME` sets it"
        ));
        entries.insert(0, Entry::new(ARCHITECTURE, Value::text("unknown"), "str"));
    }
    let stated = find(entries, FILE_TYPE).and_then(|entry| entry.value.as_u64());
    if let Some(number) = file_type(&checkpoint.tensors, stated) {
        let value = Value::from(number);
        match entries.iter_mut().find(|entry| entry.key == FILE_TYPE) {
            Some(entry) if stated.is_some() => entry.value = value,
            Some(_) => {}
            None => entries.push(Entry::new(FILE_TYPE, value, "u32")),
        }
    }
    let is_quantized = |tensor: &Tensor| tensor.dtype.class() == Class::Block;
    let has_version = find(entries, QUANTIZATION_VERSION).is_some();
    if !has_version && checkpoint.tensors.iter().any(is_quantized) {
        let version = Value::Int(QUANTIZATION);
        entries.push(Entry::new(QUANTIZATION_VERSION, version, "u32"));
    }
}

/// `general.file_type` of files whose elements are mostly of a dtype: the number that is written,
/// then others that such files state.
///
/// Source: llama.h, `enum llama_ftype`.
const FILE_TYPES: &[(DType, &[u64])] = &[
    (DType::F32, &[0]),
    (DType::F16, &[1]),
    (DType::Q4_0, &[2]),
    (DType::Q4_1, &[3, 4]),
    (DType::Q8_0, &[7]),
    (DType::Q5_0, &[8]),
    (DType::Q5_1, &[9]),
    (DType::Q2K, &[10, 21]),
    (DType::Q3K, &[12, 11, 13]),
    (DType::Q4K, &[15, 14]),
    (DType::Q5K, &[17, 16]),
    (DType::Q6K, &[18]),
    (DType::Iq2Xxs, &[19]),
    (DType::Iq2Xs, &[20]),
    (DType::Iq3Xxs, &[23]),
    (DType::Iq1S, &[24]),
    (DType::Iq4Nl, &[25]),
    (DType::Iq3S, &[26, 22, 27]),
    (DType::Iq2S, &[28, 29]),
    (DType::Iq4Xs, &[30]),
    (DType::Iq1M, &[31]),
    (DType::BF16, &[32]),
    (DType::Tq1_0, &[36]),
    (DType::Tq2_0, &[37]),
    (DType::Mxfp4, &[38]),
    (DType::Nvfp4, &[39]),
    (DType::Q1_0, &[40]),
    (DType::Q2_0, &[41]),
];

/// Added to a file type that was guessed.
const GUESSED: u64 = 1024;

/// The file type of these tensors: the stated one, if it can mean them. `None` without a tensor
/// of two dimensions or more, or if most of them are of a dtype that has no file type.
fn file_type(tensors: &[Tensor], stated: Option<u64>) -> Option<u64> {
    let mut sums: Vec<(DType, u64)> = Vec::new();
    for tensor in tensors.iter().filter(|tensor| tensor.shape.rank() > 1) {
        match sums.iter_mut().find(|(dtype, _)| *dtype == tensor.dtype) {
            Some((_, sum)) => *sum = sum.saturating_add(tensor.elements()),
            None => sums.push((tensor.dtype, tensor.elements())),
        }
    }
    let has = |number: u64| {
        let of = |dtype: DType| FILE_TYPES.iter().find(|(known, _)| *known == dtype);
        let mut rows = sums.iter().filter_map(|(dtype, _)| of(*dtype));
        rows.any(|(_, numbers)| numbers.contains(&number))
    };
    // Mixtures are called after any of their types: Q4_K_M holds Q6_K too.
    if let Some(stated) = stated.filter(|stated| has(stated % GUESSED)) {
        return Some(stated);
    }
    let most = sums.iter().max_by_key(|(_, sum)| *sum)?.0;
    let row = FILE_TYPES.iter().find(|(dtype, _)| *dtype == most)?;
    row.1.first().copied()
}

/// Name, dimensions, type, offset; returns the tensor's bytes.
fn push_info(header: &mut Vec<u8>, tensor: &Tensor, offset: u64) -> Result<u64> {
    let dtype = tensor.dtype;
    let number = tensor_number(dtype).ok_or_else(|| {
        let error = Error::unsupported(format!("GGUF has no type {dtype}"));
        error.with_hint("`--dtype` makes it another, `-x NAME` leaves it out")
    })?;
    let (row, block) = (tensor.shape.row_elements(), dtype.facts().block_elements);
    if !row.is_multiple_of(block.into()) {
        let message = format!("rows of {row} elements are no whole blocks of {dtype} ({block})");
        return Err(Error::unsupported(message));
    }
    push_string(header, original::stored_name(&tensor.name).as_bytes());
    let dimensions = original::stored_dimensions(&tensor.shape);
    let rank = u32::try_from(dimensions.len()).unwrap_or(u32::MAX);
    header.extend_from_slice(&rank.to_le_bytes());
    for dimension in dimensions.iter().rev() {
        header.extend_from_slice(&dimension.to_le_bytes());
    }
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&offset.to_le_bytes());
    let bytes = tensor.byte_len();
    bytes.ok_or_else(|| Error::unsupported(format!("{dtype} of unknown size")))
}

/// Says what ggml itself would refuse, and what is stored in another way.
fn remarks(tensors: &[&Tensor]) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut remark = |level: &str, is_one: &dyn Fn(&Tensor) -> bool, what: &str| {
        let count = tensors.iter().filter(|tensor| is_one(tensor)).count();
        if let Some(first) = tensors.iter().find(|tensor| is_one(tensor)) {
            remarks.push(format!(
                "{level}{what}: {count}, the first is `{}`",
                first.name
            ));
        }
    };
    let length = |tensor: &Tensor| tensor.name.len();
    remark(
        "warning: ",
        &|tensor| (GGML_NAME + 1..=LONG_NAME).contains(&length(tensor)),
        &format!("names over the {GGML_NAME} bytes that llama.cpp accepts"),
    );
    remark(
        "",
        &|tensor| length(tensor) > LONG_NAME,
        &format!("names over {LONG_NAME} bytes, which are shortened and kept in the metadata"),
    );
    remark(
        "",
        &|tensor| tensor.shape.rank() > limits::GGUF_DIMENSIONS as usize,
        "tensors of over 4 dimensions, whose first ones are multiplied together and kept in the metadata",
    );
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Payload, Shape};

    fn tensor(name: &str, dtype: DType, dimensions: &[u64]) -> Tensor {
        let shape = Shape::new(dimensions).unwrap();
        Tensor::new(name, dtype, shape, Payload::Absent("never read"))
    }

    #[test]
    fn the_file_type_is_that_of_most_elements() {
        let norm = tensor("n", DType::F32, &[1 << 20]);
        let (k4, k6) = (
            tensor("a", DType::Q4K, &[4, 256]),
            tensor("b", DType::Q6K, &[2, 256]),
        );
        let mixed = [norm.clone(), k4, k6];
        assert_eq!(file_type(&mixed, None), Some(15));
        assert_eq!(file_type(&mixed, Some(14)), Some(14));
        assert_eq!(file_type(&mixed, Some(GUESSED + 18)), Some(GUESSED + 18));
        // Stated by a source whose blocks were decoded.
        let decoded = [tensor("a", DType::F16, &[2, 2])];
        assert_eq!(file_type(&decoded, Some(15)), Some(1));
        assert_eq!(file_type(&[norm], None), None);
    }

    #[test]
    fn refuses_what_gguf_cannot_hold() {
        for (tensor, why) in [
            (tensor("a", DType::Bool, &[1]), "no type BOOL"),
            (tensor("a", DType::Q8_0, &[2, 48]), "rows of 48"),
        ] {
            let error = push_info(&mut Vec::new(), &tensor, 0).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
