//! The `.dat` form, little-endian.
//!
//! | size | what |
//! |---|---|
//! | 4 | entries, i32 |
//! | | of each entry: |
//! | 4 + n | name: length, i32, and text |
//! | 4 | calls, i32: by what the sums are divided; if it is not positive, they are means already |
//! | 4 + 4 n | sums: how many, i32, and f32 each |
//! | | then, from 2024 on: |
//! | 4 | chunks, i32 |
//! | 4 + n | name of the text: length, i32, and text |
//!
//! A program that had no data for a matrix stored ones. Source: `save_imatrix_legacy`,
//! `load_legacy_imatrix`.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::{Cursor, Source};
use crate::limits;
use crate::model::{Importance, ImportanceMatrix, Payload, Shape, Storage, Tensor};
use std::collections::HashSet;
use std::sync::Arc;

pub(super) fn read(source: &Source) -> Result<ImportanceMatrix> {
    let mut cursor = Cursor::new(source, 0);
    let count = size(&mut cursor, "entries", limits::TENSORS).map_err(|error| {
        error.with_hint("an importance matrix is a `.dat` or GGUF file of llama.cpp's `imatrix`")
    })?;
    let mut matrix = ImportanceMatrix::default();
    let mut names = HashSet::new();
    for _ in 0..count {
        let (name, importance) = entry(&mut cursor)?;
        if !names.insert(name.clone()) {
            return Err(cursor.malformed("the entry stands twice").in_tensor(&name));
        }
        matrix.entries.push((name, importance));
    }
    if cursor.remaining() > 0 {
        matrix.chunks = u32::try_from(cursor.i32()?).unwrap_or(0);
    }
    if cursor.remaining() > 0 {
        let dataset = text(&mut cursor, "the name of the text", 0)?;
        matrix
            .datasets
            .extend((!dataset.is_empty()).then_some(dataset));
    }
    match cursor.remaining() {
        0 => Ok(matrix),
        rest => Err(cursor.malformed(format!("{rest} bytes follow the end"))),
    }
}

fn entry(cursor: &mut Cursor<'_>) -> Result<(String, Importance)> {
    let name = text(cursor, "a name", 1)?;
    let in_entry = |error: Error| error.in_tensor(&name);
    let calls = cursor.i32().map_err(in_entry)?;
    let sums = size(cursor, "sums", u64::from(i32::MAX.unsigned_abs())).map_err(in_entry)?;
    let bytes = sums.saturating_mul(4);
    let offset = cursor.position();
    cursor.skip(bytes).map_err(in_entry)?;
    let stored = Payload::Stored(Storage::extent(cursor.source(), offset, bytes));
    let sums = Tensor::new(name.clone(), DType::F32, Shape::new([sums])?, stored);
    let calls = if calls > 0 { calls as f32 } else { 1.0 };
    let counts = Arc::from([calls]);
    Ok((name, Importance { sums, counts }))
}

/// How many of something; at least one.
fn size(cursor: &mut Cursor<'_>, what: &str, most: u64) -> Result<u64> {
    let place = cursor.file_position();
    let found = cursor.i32()?;
    let fits = u64::try_from(found).ok().filter(|n| (1..=most).contains(n));
    fits.ok_or_else(|| {
        Error::malformed(format!("{what}: {found}; 1 to {most} are allowed")).at(place)
    })
}

fn text(cursor: &mut Cursor<'_>, what: &str, least: u64) -> Result<String> {
    let place = cursor.file_position();
    let found = cursor.i32()?;
    let most = limits::NAME;
    let length = u64::try_from(found).ok();
    let length = length.filter(|length| (least..=most).contains(length));
    let length = length.ok_or_else(|| {
        let text = format!("{what} has {found} bytes; {least} to {most} are allowed");
        Error::malformed(text).at(place)
    })?;
    let bytes = cursor.bytes(length)?;
    String::from_utf8(bytes).map_err(|_| Error::malformed(format!("{what} is no UTF-8")).at(place))
}
