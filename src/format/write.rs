//! Writing a checkpoint: one file, or shards with an index.

use crate::dtype::cast::Losses;
use crate::error::{Error, Result};
use crate::io::SinkOptions;
use crate::model::Checkpoint;
use crate::parallel::Progress;
use std::path::{Path, PathBuf};

/// How a checkpoint is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// How outputs get their names.
    pub sink: SinkOptions,
    /// Threads that move bytes.
    pub threads: usize,
    /// Bytes of tensor data a shard holds at most; `None` for one file.
    pub max_shard_size: Option<u64>,
}

/// One file that was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it stands.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The files, shards first, then the index.
    pub outputs: Vec<Output>,
    /// What casts lost, for each tensor of the checkpoint.
    pub losses: Vec<Losses>,
}

/// Writes `checkpoint` as safetensors to `target`.
pub fn write(
    _checkpoint: &Checkpoint,
    _target: &Path,
    _options: &WriteOptions,
    _progress: &dyn Progress,
) -> Result<Written> {
    Err(Error::unsupported("not built yet"))
}
