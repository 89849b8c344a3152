//! Checkpoints in several files: indexes, folders of shards, split GGUF files.

use super::ReadOptions;
use crate::error::{Error, Result};
use crate::model::Checkpoint;
use std::path::Path;

/// Whether `path` is called like an index of shards.
pub fn is_index(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".index.json")
}

/// Opens the shards that an index names.
pub fn open_index(_path: &Path, _options: &ReadOptions) -> Result<Checkpoint> {
    Err(Error::unsupported("not built yet"))
}

/// Opens the checkpoint that a folder holds.
pub fn open_folder(_path: &Path, _options: &ReadOptions) -> Result<Checkpoint> {
    Err(Error::unsupported("not built yet"))
}

/// If `first`, read from `path`, is one of several split files, all of them as one.
pub fn split_siblings(
    path: &Path,
    first: &Checkpoint,
    options: &ReadOptions,
) -> Result<Option<Checkpoint>> {
    super::gguf::split::open_siblings(path, first, options)
}
