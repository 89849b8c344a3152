//! Checkpoint to header: the same bytes for the same checkpoint, always.
//!
//! The order is that of the official writer: dtypes descending as the crate declares them, then
//! names. So every tensor is aligned to its own elements. Where the source's order is asked for,
//! it may lie at any byte, which readers accept. The crate leaves the order of `__metadata__` to
//! chance; here it is that of the keys.

use super::{LENGTH_BYTES, METADATA_KEY, edit, to_crate};
use crate::error::{Error, Result};
use crate::format::carried_metadata;
use crate::format::{Layout, Order, Part, Splits, Ties, Writer};
use crate::io::Source;
use crate::limits;
use crate::model::{Checkpoint, Tensor};
use safetensors::Dtype;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// The header is padded with spaces to a multiple of this.
const ALIGNMENT: usize = 8;

impl Writer for super::Safetensors {
    fn dtypes(&self) -> Vec<crate::DType> {
        super::DTYPES.iter().map(|(ours, _)| *ours).collect()
    }

    fn ties(&self) -> Ties {
        Ties::Metadata
    }

    fn splits(&self) -> Splits {
        Splits::Index
    }

    fn layout(&self, part: &Part<'_>) -> Result<Layout> {
        part.check_names()?;
        let tensors = part.tensors.as_slice();
        let entries = entries(tensors, part.order)?;
        let (metadata, notes) = metadata(part);
        let mut header = String::from("{");
        push_metadata(&mut header, &metadata)?;
        let mut end = 0u64;
        let mut offsets = vec![0; tensors.len()];
        for entry in &entries {
            let begin = end;
            end = begin
                .checked_add(entry.bytes)
                .ok_or_else(|| Error::limit("the tensors have more than 2^64 bytes"))?;
            if header.len() > 1 {
                header.push(',');
            }
            push_entry(&mut header, entry, begin, end)?;
            if let Some(offset) = offsets.get_mut(entry.index) {
                *offset = begin;
            }
        }
        header.push('}');
        let header = frame(header)?;
        let start = header.len() as u64;
        for offset in &mut offsets {
            *offset = start.saturating_add(*offset);
        }
        Ok(Layout {
            order: entries.iter().map(|entry| entry.index).collect(),
            len: start.saturating_add(end),
            header,
            offsets,
            archive: None,
            notes,
        })
    }

    fn edit(&self, part: &Part<'_>, source: &Source) -> Result<Option<Vec<u8>>> {
        edited(part, source)
    }
}

/// The length and the text of a header with the metadata of `part`, as long as the one that
/// `source` has.
fn edited(part: &Part<'_>, source: &Source) -> Result<Option<Vec<u8>>> {
    let length = source.read_vec(0, LENGTH_BYTES)?;
    let text_len = u64::from_le_bytes(length.as_slice().try_into().unwrap_or_default());
    if text_len > limits::SAFETENSORS_HEADER {
        return Ok(None);
    }
    let old = source.read_vec(LENGTH_BYTES, text_len)?;
    let mut member = String::new();
    push_metadata(&mut member, &metadata(part).0)?;
    let new = edit::replaced(&old, METADATA_KEY, &member);
    Ok(new.map(|new| [length, new].concat()))
}

/// The metadata of one file: what is text or a single value, sorted by key; then its aliases, in
/// the convention of the Hub's tools: `alias: kept`. And a note about what is neither.
fn metadata(part: &Part<'_>) -> (BTreeMap<String, String>, Vec<String>) {
    let tied = ties(part.checkpoint);
    let mut metadata = BTreeMap::new();
    let mut lost = Vec::new();
    let types = part.checkpoint.metadata_types.iter();
    let singles = types.filter(|(_, kind)| *kind == "f32");
    let singles: HashSet<&str> = singles.map(|(key, _)| key.as_str()).collect();
    for (key, value) in carried_metadata(part.checkpoint) {
        let text = match singles.contains(key.as_str()) {
            true => value.single_text(),
            false => value.scalar_text(),
        };
        // An alias of the source is recorded where its tensor goes, if anywhere.
        let is_alias = text.is_some() && tied.get(key.as_str()).copied() == text.as_deref();
        match text {
            _ if is_alias => {}
            Some(text) => {
                metadata.insert(key.clone(), text);
            }
            None => lost.push(key.as_str()),
        }
    }
    let format = metadata.entry("format".to_owned());
    format.or_insert_with(|| "pt".to_owned());
    for (alias, kept) in part.aliases() {
        metadata.insert(alias.to_owned(), kept.to_owned());
    }
    let notes = match lost.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "metadata that is no text is left out: {}",
            lost.join(", ")
        )],
    };
    (metadata, notes)
}

fn ties(checkpoint: &Checkpoint) -> HashMap<&str, &str> {
    let tensors = checkpoint.tensors.iter();
    tensors
        .filter_map(|tensor| Some((tensor.name.as_str(), tensor.tied_to.as_deref()?)))
        .collect()
}

/// One tensor in the header.
struct Entry<'a> {
    /// Its place among the tensors given.
    index: usize,
    tensor: &'a Tensor,
    dtype: Dtype,
    bytes: u64,
}

/// In the order in which they are written.
fn entries<'a>(tensors: &[&'a Tensor], order: Order) -> Result<Vec<Entry<'a>>> {
    let mut entries = Vec::with_capacity(tensors.len());
    for (index, &tensor) in tensors.iter().enumerate() {
        entries.push(entry(index, tensor).map_err(|error| error.in_tensor(&tensor.name))?);
    }
    if order == Order::Official {
        entries.sort_unstable_by_key(|entry| (Reverse(entry.dtype), entry.tensor.name.as_str()));
    }
    Ok(entries)
}

fn entry(index: usize, tensor: &Tensor) -> Result<Entry<'_>> {
    let dtype = to_crate(tensor.dtype).ok_or_else(|| {
        Error::unsupported(format!("safetensors has no dtype {}", tensor.dtype))
            .with_hint("`-x NAME` leaves it out")
    })?;
    if tensor.name == METADATA_KEY {
        return Err(Error::unsupported(
            "safetensors keeps this name for metadata",
        ));
    }
    let bytes = tensor.byte_len().ok_or_else(|| {
        Error::unsupported(format!(
            "{} elements of {} do not fill whole bytes",
            tensor.elements(),
            tensor.dtype
        ))
    })?;
    Ok(Entry {
        index,
        tensor,
        dtype,
        bytes,
    })
}

fn push_metadata(header: &mut String, metadata: &BTreeMap<String, String>) -> Result<()> {
    if metadata.is_empty() {
        return Ok(());
    }
    push_json(header, METADATA_KEY)?;
    header.push_str(":{");
    for (index, (key, value)) in metadata.iter().enumerate() {
        if index > 0 {
            header.push(',');
        }
        push_json(header, key)?;
        header.push(':');
        push_json(header, value)?;
    }
    header.push('}');
    Ok(())
}

fn push_entry(header: &mut String, entry: &Entry<'_>, begin: u64, end: u64) -> Result<()> {
    push_json(header, &entry.tensor.name)?;
    let dimensions = entry.tensor.shape.dimensions();
    let words: Vec<String> = dimensions.iter().map(u64::to_string).collect();
    let written = write!(
        header,
        r#":{{"dtype":"{}","shape":[{}],"data_offsets":[{begin},{end}]}}"#,
        entry.dtype,
        words.join(",")
    );
    // Writing to a string does not fail.
    written.map_err(|e| Error::usage(e.to_string()))
}

fn push_json(header: &mut String, text: &str) -> Result<()> {
    let quoted = serde_json::to_string(text).map_err(|e| Error::usage(e.to_string()))?;
    header.push_str(&quoted);
    Ok(())
}

/// The header with its length in front and its padding behind.
fn frame(mut header: String) -> Result<Vec<u8>> {
    let padded = header.len().next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(
        ' ',
        padded.saturating_sub(header.len()),
    ));
    let length = header.len() as u64;
    let allowed = limits::SAFETENSORS_HEADER;
    if length > allowed {
        return Err(Error::limit(format!(
            "the header would have {length} bytes; safetensors allows {allowed}"
        ))
        .with_hint("`--max-shard-size` spreads the tensors over several files"));
    }
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::format::safetensors::Safetensors;
    use crate::model::{Payload, Shape, Storage};

    fn tensor(name: &str, dtype: DType, dimensions: &[u64]) -> Tensor {
        let shape = Shape::new(dimensions).unwrap();
        let bytes = vec![0u8; dtype.byte_len(shape.elements()).unwrap() as usize];
        Tensor::new(name, dtype, shape, Payload::Stored(Storage::inline(bytes)))
    }

    fn layout(tensors: &[Tensor]) -> Result<Layout> {
        let checkpoint = Checkpoint::default();
        Safetensors.layout(&Part {
            checkpoint: &checkpoint,
            tensors: tensors.iter().collect(),
            names: tensors.iter().map(|t| t.name.as_str()).zip(0..).collect(),
            number: 0,
            count: 1,
            order: Order::Official,
        })
    }

    // The bytes that the official writer (safetensors 0.8.0, Python) makes of the same tensors.
    #[test]
    fn the_header_is_that_of_the_official_writer() {
        let tensors = [
            tensor("b", DType::F16, &[2]),
            tensor("a", DType::F16, &[1, 3]),
            tensor("c", DType::F32, &[]),
            tensor("z", DType::I64, &[0]),
        ];
        let found = layout(&tensors).unwrap();
        let text = r#"{"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[0],"data_offsets":[0,0]},"c":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F16","shape":[1,3],"data_offsets":[4,10]},"b":{"dtype":"F16","shape":[2],"data_offsets":[10,14]}}"#;
        assert_eq!(&found.header[8..8 + text.len()], text.as_bytes());
        assert!(found.header[8 + text.len()..].iter().all(|b| *b == b' '));
        assert!(found.header.len().is_multiple_of(8));
        let start = found.header.len() as u64;
        assert_eq!(found.offsets, [start + 10, start + 4, start, start]);
        assert_eq!(found.order, [3, 2, 1, 0]);
        assert_eq!(found.len, start + 14);
    }

    #[test]
    fn the_official_crate_reads_the_header() {
        let tensors = [
            tensor("quote \" and \\ and \u{1}", DType::BF16, &[4]),
            tensor("f4", DType::F4, &[2, 2]),
            tensor("flag", DType::Bool, &[3]),
        ];
        let found = layout(&tensors).unwrap();
        let mut file = found.header.clone();
        file.resize(found.len as usize, 0);
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        for tensor in &tensors {
            let view = read.tensor(&tensor.name).unwrap();
            let shape: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
            assert_eq!(shape, tensor.shape.dimensions());
            assert_eq!(Some(view.dtype()), to_crate(tensor.dtype));
        }
    }

    #[test]
    fn refuses_what_safetensors_cannot_hold() {
        assert!(layout(&[tensor("a", DType::C128, &[1])]).is_err());
        assert!(layout(&[tensor(METADATA_KEY, DType::F32, &[1])]).is_err());
        let twice = [tensor("a", DType::F32, &[1]), tensor("a", DType::I64, &[1])];
        let same = [tensor("a", DType::F32, &[1]), tensor("a", DType::F32, &[2])];
        assert!(layout(&same).is_err());
        assert!(layout(&twice).is_err());
        let long = "n".repeat(limits::SAFETENSORS_HEADER as usize);
        assert!(layout(&[tensor(&long, DType::F32, &[1])]).is_err());
    }
}
