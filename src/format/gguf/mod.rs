//! The gguf format.

use super::{Format, ReadOptions};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::model::Checkpoint;

/// The gguf format.
#[derive(Clone, Copy, Debug)]
pub struct Gguf;

impl Format for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["gguf"]
    }

    fn detect(&self, _head: &[u8], _source: &Source) -> bool {
        false
    }

    fn read(&self, _source: &Source, _options: &ReadOptions) -> Result<Checkpoint> {
        Err(Error::unsupported("not built yet"))
    }
}
