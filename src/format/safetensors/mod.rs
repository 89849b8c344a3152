//! The safetensors format.

use super::{Format, ReadOptions};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::model::Checkpoint;

/// The safetensors format.
#[derive(Clone, Copy, Debug)]
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["safetensors"]
    }

    fn detect(&self, _head: &[u8], _source: &Source) -> bool {
        false
    }

    fn read(&self, _source: &Source, _options: &ReadOptions) -> Result<Checkpoint> {
        Err(Error::unsupported("not built yet"))
    }
}
