//! Checkpoints inside gzip and tar.

use super::{ReadOptions, unrecognised};
use crate::error::Result;
use crate::io::Source;
use crate::model::Checkpoint;

/// Reads a file that is no checkpoint itself but may hold one.
pub(super) fn read(
    head: &[u8],
    source: &Source,
    _options: &ReadOptions,
    _depth: usize,
) -> Result<Checkpoint> {
    Err(unrecognised(head, source))
}
