//! A GGUF file from front to back.

use super::MAGIC;
use super::fields::Fields;
use super::metadata::Metadata;
use super::original;
use super::tensors::{DataSection, Infos};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::format::faults::Faults;
use crate::io::{ByteOrder, Cursor, Source};
use crate::limits;
use crate::model::{Checkpoint, Level, Note, Tensor};

/// Reads the header of one file.
///
/// Errors: `Malformed` if it contradicts itself or ends too early, `Unsupported` for a version
/// after 3, `Limit` for what exceeds `limits.rs`.
pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
    let mut fields = read_version(source)?;
    let tensor_bytes = Infos::least_bytes(&fields);
    let tensor_count = fields.count(format_args!("tensors"), tensor_bytes, limits::TENSORS)?;
    // The shortest entry: a key of one byte, a type, a value of one byte.
    let entry_bytes = fields.length_bytes().saturating_add(1 + 4 + 1);
    let entry_count = fields.count(
        format_args!("metadata entries"),
        entry_bytes,
        limits::METADATA_ENTRIES,
    )?;

    let mut metadata = Metadata::read(&mut fields, entry_count, options)?;
    let mut faults = Faults::new(options);
    let mut infos = Infos::read(&mut fields, tensor_count, &mut faults)?;
    let header_end = fields.cursor.position();
    let section = data_section(&fields, metadata.alignment, tensor_count)?;
    let mut tensors = infos.locate(&section, &mut faults)?;
    original::restore(&mut metadata, &mut tensors);

    let mut notes: Vec<Note> = metadata.notes().chain(infos.notes()).collect();
    notes.extend(trailing_bytes(&section, header_end, &tensors));
    notes.extend(faults.into_notes());
    Ok(Checkpoint {
        format: "gguf",
        variant: variant(&fields),
        metadata: metadata.entries,
        metadata_types: metadata.types,
        stored_metadata: metadata.stored,
        notes,
        tensors,
        ..Checkpoint::default()
    })
}

/// The magic, the version, and the byte order that the version tells.
fn read_version(source: &Source) -> Result<Fields<'_>> {
    let mut cursor = Cursor::new(source, 0);
    if cursor.array::<4>()? != MAGIC {
        return Err(Error::malformed("does not start with `GGUF`").at(0));
    }
    let at = cursor.file_position();
    let mut version = cursor.u32()?;
    // Versions are small numbers, so a low half of zero is one read in the wrong order.
    if version != 0 && version & 0xffff == 0 {
        version = version.swap_bytes();
        cursor.set_order(ByteOrder::Big);
    }
    match version {
        1..=3 => Ok(Fields::new(cursor, version)),
        0 => Err(Error::malformed("version 0; versions start at 1").at(at)),
        _ => Err(Error::unsupported(format!("version {version}; 1 to 3 are read")).at(at)),
    }
}

fn variant(fields: &Fields<'_>) -> String {
    match fields.cursor.order() {
        ByteOrder::Little => format!("v{}", fields.version),
        ByteOrder::Big => format!("v{}-be", fields.version),
    }
}

/// The section after the header that has been read.
fn data_section<'a>(
    fields: &Fields<'a>,
    alignment: u64,
    tensor_count: u64,
) -> Result<DataSection<'a>> {
    let end = fields.cursor.position();
    // Without tensors there is neither a section nor padding before it.
    let start = match tensor_count {
        0 => Some(end),
        _ => end.checked_next_multiple_of(alignment),
    };
    Ok(DataSection {
        source: fields.cursor.source(),
        order: fields.cursor.order(),
        start: start.ok_or_else(|| {
            fields
                .cursor
                .malformed(format!("an alignment of {alignment} exceeds the file"))
        })?,
        alignment,
    })
}

/// Says how many bytes follow the last tensor and its padding. Nothing can be said where a
/// tensor's length is not known.
fn trailing_bytes(section: &DataSection<'_>, header_end: u64, tensors: &[Tensor]) -> Option<Note> {
    if tensors.iter().any(|t| matches!(t.dtype, DType::Unknown(_))) {
        return None;
    }
    let extents = tensors.iter().filter_map(|tensor| tensor.payload.extent());
    let ends = extents.map(|(_, offset, len)| offset.saturating_add(len));
    let end = ends.max().unwrap_or(header_end).max(header_end);
    // Data is padded from its own start on, which is itself aligned.
    let end = end.checked_next_multiple_of(section.alignment)?;
    let trailing = section.source.len().checked_sub(end).filter(|&n| n > 0)?;
    let text = format!("{trailing} bytes follow the last tensor; ggml and gguf-py do not see them");
    let note = Note::new("trailing-bytes", Level::Warning, text);
    Some(note.at(section.source.file_offset(end)))
}
