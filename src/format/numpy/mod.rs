//! The numpy format.

use super::{Format, ReadOptions};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::model::Checkpoint;

/// The numpy format.
#[derive(Clone, Copy, Debug)]
pub struct Numpy;

impl Format for Numpy {
    fn name(&self) -> &'static str {
        "numpy"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["npy", "npz"]
    }

    fn detect(&self, _head: &[u8], _source: &Source) -> bool {
        false
    }

    fn read(&self, _source: &Source, _options: &ReadOptions) -> Result<Checkpoint> {
        Err(Error::unsupported("not built yet"))
    }
}
