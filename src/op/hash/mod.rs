//! Content digests: one of each tensor, and one root that no packing changes.
//!
//! The digest of a tensor is BLAKE3 (32 bytes) over
//!
//! | bytes | what |
//! |---|---|
//! | the elements | canonical: contiguous, row by row, little-endian; GGUF blocks as they lie |
//! | `0a` | a line feed |
//! | text | dtype, blank, shape: `BF16 [32000, 4096]`, `F32 []` |
//!
//! and for PyTorch's quantised tensors, after the shape, ` scale S zero_point Z` (S: the bits of
//! the `f64` in 16 hex digits; Z: decimal) or ` axis A scales D zero_points D` (D: digests of
//! those tensors).
//!
//! The root is BLAKE3 over the manifest's lines: a line a tensor, sorted by the bytes of the
//! names, each `DIGEST  NAME` and a line feed, as `sha256sum` writes them ([`manifest`]). A name
//! that is another name of a tensor has that tensor's digest.

mod gguf;
pub mod manifest;
mod tree;

pub use gguf::{Algorithm, GgufHashes, gguf_hashes};
pub use tree::digest_of;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Shape};
use crate::parallel::Progress;
use std::collections::HashMap;
use std::fmt;

/// 32 bytes that stand for content. Prints as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Digest {
    /// Reads 64 hex digits of either case.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? * 16 + low?).ok()?;
        }
        Some(Digest(bytes))
    }
}

/// The digests of a checkpoint.
#[derive(Debug)]
pub struct Hashes {
    /// The file or folder.
    pub path: String,
    /// Its format.
    pub format: &'static str,
    /// The digest of the whole; `None` if a tensor could not be read.
    pub root: Option<Digest>,
    /// One row a tensor, sorted by the bytes of the names.
    pub rows: Vec<Row>,
    /// What went wrong with the tensors that could not be read.
    pub failures: Vec<Error>,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Shape,
    /// The digest of its content; `None` if it could not be read.
    pub digest: Option<Digest>,
}

/// Hashes every tensor of `checkpoint` on `threads` threads. A tensor that cannot be read is a
/// row without digest and a failure.
///
/// Errors: those of starting threads.
pub fn hash(checkpoint: &Checkpoint, threads: usize, progress: &dyn Progress) -> Result<Hashes> {
    let digests = tree::digests(&checkpoint.tensors, threads, progress)?;
    let mut by_name: HashMap<&str, Digest> = HashMap::new();
    let mut failures = Vec::new();
    for (tensor, digest) in checkpoint.tensors.iter().zip(digests) {
        match digest {
            Some(Ok(digest)) => {
                by_name.insert(&tensor.name, digest);
            }
            Some(Err(error)) => failures.push(error),
            None => {}
        }
    }
    let mut rows: Vec<Row> = Vec::with_capacity(checkpoint.tensors.len());
    for tensor in &checkpoint.tensors {
        let kept = tensor.tied_to.as_ref().unwrap_or(&tensor.name);
        rows.push(Row {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            digest: by_name.get(kept.as_str()).copied(),
        });
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let is_whole = rows.iter().all(|row| row.digest.is_some());
    Ok(Hashes {
        path: checkpoint.path.clone(),
        format: checkpoint.format,
        root: is_whole.then(|| manifest::root(&rows)),
        rows,
        failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = Digest(std::array::from_fn(|i| i as u8 * 7));
        let text = digest.to_string();
        assert_eq!(Digest::from_hex(&text), Some(digest));
        assert_eq!(Digest::from_hex(&text.to_uppercase()), Some(digest));
        assert_eq!(Digest::from_hex(&text[1..]), None);
        assert_eq!(Digest::from_hex(&format!("{text}0")), None);
        assert_eq!(Digest::from_hex(&text.replace('0', "g")), None);
    }
}
