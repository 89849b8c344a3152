//! The only place that knows file formats.
//!
//! | format | folder | read | written |
//! |---|---|---|---|
//! | safetensors | [`safetensors`] | yes | yes |
//! | PyTorch zip, legacy, tar, TorchScript | [`pytorch`] | yes | zip |
//! | GGUF v1 to v3 | [`gguf`] | yes | v3 |
//! | NumPy npy, npz | [`numpy`] | yes | yes |
//! | indexes, folders and split files of those | [`sharded`] | yes | - |

#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

mod beside;
mod checksums;
pub mod digest;
mod examine;
mod faults;
mod folder;
pub mod gguf;
mod image;
pub mod imatrix;
mod index;
mod language;
pub mod numpy;
pub mod pytorch;
pub mod safetensors;
pub mod sharded;
mod texts;
mod wrapped;
mod write;
pub mod yaml;

pub use beside::beside;
pub use checksums::check_members;
pub use examine::{Examined, examine, scan};
pub use language::language_files;
pub use texts::{Text, read_texts};
pub use write::layout::{Layout, Order, Part, Splits, Ties, Writer};
pub use write::{
    Arrangement, Check, Cut, Edit, Output, Plan, ShardOrder, WriteOptions, Written,
    dtypes_of_target, plan, plan_edit, ties_of_target, write, write_checked,
};

use index::files as files_of_index;
use write::layout::carried_metadata;
use write::naming::{is_passing, is_set_aside, set_aside, set_aside_hint};

use crate::error::{Error, Result};
use crate::io::{Source, is_folder};
use crate::limits;
use crate::model::{Checkpoint, Value};
use std::path::Path;

/// Bytes at the start of a file by which it is recognised.
pub const HEAD: u64 = 4096;

/// What one file format can do. One value of it stands in [`FORMATS`].
pub trait Format: Sync {
    /// The name that people type and read.
    fn name(&self) -> &'static str;

    /// Usual extensions, without the dot; they only word errors.
    fn extensions(&self) -> &'static [&'static str];

    /// Whether `source` is of this format, by its content alone. `head`: its first bytes, at
    /// most [`HEAD`].
    fn detect(&self, head: &[u8], source: &Source) -> bool;

    /// Reads the header: names, types, shapes and places, no tensor data.
    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Checkpoint>;

    /// How a file of this extension (lower case, without the dot) is written, if it is.
    fn writer(&self, extension: &str) -> Option<&dyn Writer> {
        let _ = extension;
        None
    }
}

/// How much of a file is wanted, and what its faults amount to.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Arrays of metadata up to this length are materialised; of longer ones the first
    /// elements are.
    pub array_elements: u64,
    /// Faults of single tensors and shards are notes of level error, and the rest is read. What
    /// is at fault has no data or is left out. Otherwise the first fault ends the reading.
    pub notes_faults: bool,
}

impl ReadOptions {
    /// Long arrays are cut: for listing.
    pub const SUMMARY: ReadOptions = ReadOptions {
        array_elements: 64,
        notes_faults: false,
    };
    /// As for listing, past the faults of single tensors: for examining.
    pub const EXAMINE: ReadOptions = ReadOptions {
        notes_faults: true,
        ..ReadOptions::SUMMARY
    };
    /// All of it, up to [`limits::METADATA_ELEMENTS`].
    pub const ALL: ReadOptions = ReadOptions {
        array_elements: limits::METADATA_ELEMENTS,
        notes_faults: false,
    };
}

/// Every format, in the order in which they are asked. The only list of them.
pub static FORMATS: &[&dyn Format] = &[
    &gguf::Gguf,
    &numpy::Numpy,
    &pytorch::PyTorch,
    &safetensors::Safetensors,
];

/// Opens a file, an index or a folder of any format; long metadata arrays are cut.
pub fn open(path: &Path) -> Result<Checkpoint> {
    open_with(path, &ReadOptions::SUMMARY)
}

/// Opens a file, an index or a folder of any format. `-` is standard input.
///
/// Errors name the file, and member, tensor and offset where the reader knows them.
pub fn open_with(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    let name = path.to_string_lossy();
    if is_folder(path) {
        return sharded::open_folder(path, options).map_err(|e| e.in_file(&name));
    }
    if sharded::is_index(path) {
        return sharded::open_index(path, options).map_err(|e| e.in_file(&name));
    }
    let source = Source::open_or_standard_input(path)?;
    let mut checkpoint = read(&source, options)?;
    if let Some(rest) = sharded::split_siblings(path, &checkpoint, options)? {
        checkpoint = rest;
    }
    checkpoint.path = name.into_owned();
    checkpoint.mark_tied();
    Ok(checkpoint)
}

/// Opens what is to be written to `target`: with all of the metadata, if that can hold it and it
/// cannot be copied from the file.
///
/// Errors: those of [`open_with`].
pub fn open_for(path: &Path, target: &Path) -> Result<Checkpoint> {
    let checkpoint = open(path)?;
    let is_cut = |(key, value): &(String, Value)| {
        let mut stored = checkpoint.stored_metadata.iter();
        matches!(value, Value::Array(_)) && !stored.any(|(known, _)| known == key)
    };
    let is_gguf = target
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let is_file = path != Path::new("-");
    match is_gguf && is_file && checkpoint.metadata.iter().any(is_cut) {
        true => open_with(path, &ReadOptions::ALL),
        false => Ok(checkpoint),
    }
}

/// Reads one file, whatever its name.
pub fn read(source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
    read_nested(source, options, 0)
}

fn read_nested(source: &Source, options: &ReadOptions, depth: usize) -> Result<Checkpoint> {
    let head = source.read_prefix(0, HEAD)?;
    if let Some(format) = FORMATS.iter().find(|format| format.detect(&head, source)) {
        return format
            .read(source, options)
            .map_err(|error| error.in_file(source.name()));
    }
    wrapped::read(&head, source, options, depth).map_err(|error| error.in_file(source.name()))
}

/// The error for a file that is of no format we read.
fn unrecognised(head: &[u8], source: &Source) -> Error {
    if source.is_empty() {
        return Error::malformed("is empty");
    }
    let shown: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Error::unsupported(format!(
        "is of no format that is read here; it starts with {}",
        shown.join(" ")
    ))
    .at(0)
}
