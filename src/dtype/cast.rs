//! Elements of one dtype as another, and what is lost on the way.

use super::DType;
use crate::error::{Error, Result};

/// What a cast lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Finite values that became infinite, NaN or the largest finite value.
    pub overflow: u64,
    /// Values other than zero that became zero or subnormal.
    pub underflow: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Losses) {
        self.overflow += other.overflow;
        self.underflow += other.underflow;
    }
}

/// Whether elements of `from` can be cast to `to`.
pub fn check(from: DType, to: DType) -> Result<()> {
    Err(Error::unsupported(format!("{from} cannot be cast to {to}")))
}

/// Casts canonical bytes of `from` to canonical bytes of `to`; both hold the same elements.
pub fn cast(from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Result<Losses> {
    let _ = (input, out);
    check(from, to).map(|()| Losses::default())
}
