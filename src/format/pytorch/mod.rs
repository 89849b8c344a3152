//! The pytorch format.

use super::{Format, ReadOptions};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::model::Checkpoint;

/// The pytorch format.
#[derive(Clone, Copy, Debug)]
pub struct PyTorch;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "pytorch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "bin", "ckpt"]
    }

    fn detect(&self, _head: &[u8], _source: &Source) -> bool {
        false
    }

    fn read(&self, _source: &Source, _options: &ReadOptions) -> Result<Checkpoint> {
        Err(Error::unsupported("not built yet"))
    }
}
