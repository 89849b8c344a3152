//! Importance matrices: what llama.cpp's `imatrix` measures for quantising.
//!
//! Two forms, told apart by GGUF's magic. In both, an entry has the name of a GGUF tensor, and
//! for each column of each of its matrices the sum of the squares of the activations there.
//!
//! | form | sums | divided by |
//! |---|---|---|
//! | GGUF, `general.type` is `imatrix` | tensor `NAME.in_sum2`, F32 `[matrices, columns]` | tensor `NAME.counts`, F32 `[matrices, 1]` |
//! | `.dat` of before July 2025 | see `legacy.rs` | one number for the entry |
//!
//! Source: llama.cpp, `tools/imatrix/imatrix.cpp` (writing) and `tools/quantize` (reading).

mod gguf;
mod legacy;

use super::HEAD;
use crate::error::{Error, Result};
use crate::io::Source;
use crate::limits;
use crate::model::{Importance, ImportanceMatrix};
use crate::stream::{Reader, Scratch};
use std::path::Path;

/// Elements that are looked at at once.
const STEP: u64 = 32 << 10;

/// Opens an importance matrix of either form and looks at every number in it.
///
/// Errors: `Malformed` naming the entry if a number is no sum of squares or the sizes do not fit
/// each other; `Unsupported` for a GGUF file that is none; `Io`.
pub fn open(path: &Path) -> Result<ImportanceMatrix> {
    let name = path.to_string_lossy();
    let source = Source::open_or_standard_input(path)?;
    let mut matrix = read(&source).map_err(|error| error.in_file(&name))?;
    matrix.path = name.into_owned();
    Ok(matrix)
}

/// As [`open`], of an open file.
pub fn read(source: &Source) -> Result<ImportanceMatrix> {
    let head = source.read_prefix(0, HEAD)?;
    let matrix = match head.starts_with(b"GGUF") {
        true => gguf::read(source)?,
        false => legacy::read(source)?,
    };
    for (name, importance) in &matrix.entries {
        check(importance).map_err(|error| error.in_tensor(name))?;
    }
    Ok(matrix)
}

/// Every sum must be one of squares, and the counts must share them evenly.
fn check(importance: &Importance) -> Result<()> {
    let (sums, counts) = (importance.weights(), importance.counts.len() as u64);
    if sums == 0 || counts == 0 || !sums.is_multiple_of(counts) {
        let text = format!("has {sums} sums for {counts} counts");
        return Err(Error::malformed(text));
    }
    let is_count = |count: &f32| count.is_finite() && *count >= 0.0;
    if let Some(count) = importance.counts.iter().find(|count| !is_count(count)) {
        return Err(Error::malformed(format!("has a count of {count}")));
    }
    let reader = Reader::open(&importance.sums)?;
    let (mut bytes, mut scratch) = (Vec::new(), Scratch::default());
    let mut first = 0u64;
    while first < sums {
        let elements = STEP.min(sums.saturating_sub(first));
        reader.read(first, elements, &mut bytes, &mut scratch)?;
        let values = bytes.as_chunks::<4>().0.iter();
        let values = values.map(|bytes| f32::from_le_bytes(*bytes));
        for (place, sum) in (first..).zip(values) {
            if !(0.0..=limits::IMPORTANCE_SUM).contains(&sum) {
                let largest = limits::IMPORTANCE_SUM;
                return Err(Error::malformed(format!(
                    "sum {place} is {sum}, which is none of squares between 0 and {largest:e}"
                )));
            }
        }
        first = first.saturating_add(elements);
    }
    Ok(())
}
