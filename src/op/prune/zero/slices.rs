//! Masks along dimensions: whole rows or channels by their norm, and N of M.

use super::{Norm, Outcome};
use crate::dtype::{DType, cast};
use crate::error::{Error, Result};
use crate::kernel::Path;
use crate::kernel::rank::{self, Tally};
use crate::kernel::zero::count_conforming;
use crate::limits;
use crate::model::{Mask, Payload, Tensor};
use crate::stream::{Reader, Scratch};
use std::sync::Arc;

/// Elements that are looked at together: whole groups of up to 1024.
const CHUNK: u64 = 64 << 10;

/// Zeroes the `count` slices along `axis` that have the smallest norms; of equal ones the
/// first.
pub(super) fn by_norm(tensor: &Tensor, axis: usize, count: u64, norm: Norm) -> Result<Outcome> {
    let dimensions = tensor.shape.dimensions();
    let slices = dimensions[axis];
    if slices > limits::SPARSE_ELEMENTS {
        let allowed = limits::SPARSE_ELEMENTS;
        let error = Error::limit(format!("has {slices} slices; the limit is {allowed}"));
        return Err(error.in_tensor(&tensor.name));
    }
    let inner: u64 = dimensions[axis + 1..].iter().product();
    let mut sums = vec![Slice::default(); slices as usize];
    for_each_value(tensor, |index, value| {
        let slice = &mut sums[(index / inner.max(1) % slices) as usize];
        slice.zeros += u64::from(value == 0.0);
        if value.is_finite() {
            slice.squares += value * value;
        }
        let magnitude = value.abs();
        match norm {
            Norm::L1 => slice.norm += magnitude,
            Norm::L2 => slice.norm += value * value,
            // A NaN makes the slice the largest.
            Norm::Max if magnitude.is_nan() => slice.norm = f64::NAN,
            Norm::Max => {
                slice.norm = if slice.norm.is_nan() {
                    slice.norm
                } else {
                    slice.norm.max(magnitude)
                }
            }
        }
    })?;
    let mut order: Vec<usize> = (0..sums.len()).collect();
    // Norms are not negative; a NaN is above all by its bits.
    order.sort_by_key(|&index| (sums[index].norm.to_bits() & (u64::MAX >> 1), index));
    let mut zeroed = vec![false; sums.len()];
    let gone = order.iter().take(count as usize);
    gone.for_each(|&index| zeroed[index] = true);
    let elements = tensor.elements();
    let each = elements / slices.max(1);
    let sum = |of: &dyn Fn(&Slice) -> f64| -> f64 { sums.iter().map(of).sum() };
    let kept = |index: usize| !zeroed[index];
    let squares_after = (0..sums.len())
        .filter(|i| kept(*i))
        .map(|i| sums[i].squares)
        .sum();
    let zeros_kept: u64 = (0..sums.len())
        .filter(|i| kept(*i))
        .map(|i| sums[i].zeros)
        .sum();
    Ok(Outcome {
        elements,
        zeros_before: sums.iter().map(|slice| slice.zeros).sum(),
        zeros_after: zeros_kept + each * count.min(slices),
        squares_before: sum(&|slice| slice.squares),
        squares_after,
        groups: None,
        mask: Mask::Slices {
            axis,
            zeroed: Arc::from(zeroed),
        },
    })
}

#[derive(Clone, Default)]
struct Slice {
    norm: f64,
    squares: f64,
    zeros: u64,
}

fn for_each_value(tensor: &Tensor, mut work: impl FnMut(u64, f64)) -> Result<()> {
    let reader = Reader::open(tensor)?;
    let (mut raw, mut wide) = (Vec::new(), Vec::new());
    let mut scratch = Scratch::default();
    let total = tensor.elements();
    let mut first = 0;
    while first < total {
        let elements = CHUNK.min(total - first);
        reader.read(first, elements, &mut raw, &mut scratch)?;
        wide.resize(elements as usize * 8, 0);
        cast::cast(tensor.dtype, DType::F64, &raw, &mut wide)?;
        for (index, word) in (first..).zip(wide.as_chunks::<8>().0) {
            work(index, f64::from_le_bytes(*word));
        }
        first += elements;
    }
    Ok(())
}

/// Zeroes the smallest of each `of` elements of a row, so that at most `kept` are left.
pub(super) fn groups(tensor: &Tensor, kept: u32, of: u64) -> Result<Outcome> {
    let row = tensor.shape.row_elements();
    if !row.is_multiple_of(of) {
        let error = Error::usage(format!(
            "its rows have {row} elements, which {kept}:{of} does not divide into groups of {of}"
        ));
        return Err(error
            .in_tensor(&tensor.name)
            .with_hint("`--zero GLOB` says which tensors are zeroed"));
    }
    let mask = Mask::Groups {
        of,
        zeroed: of as u32 - kept,
    };
    let masked = Tensor {
        payload: Payload::Masked {
            of: Arc::new(tensor.clone()),
            mask: mask.clone(),
        },
        ..tensor.clone()
    };
    let width = tensor.dtype.element_bytes().unwrap_or(1);
    let mut conforming = 0;
    let before = tally(tensor, of, |_| {})?;
    let after = tally(&masked, of, |bytes| {
        conforming += count_conforming(width, bytes, of as usize, of as usize - kept as usize);
    })?;
    Ok(Outcome {
        mask,
        elements: tensor.elements(),
        zeros_before: before.zeros,
        zeros_after: after.zeros,
        squares_before: before.squares,
        squares_after: after.squares,
        groups: Some((tensor.elements() / of, conforming)),
    })
}

/// Zeros and squares of a tensor; `look` sees its bytes, whole groups at a time.
fn tally(tensor: &Tensor, of: u64, mut look: impl FnMut(&[u8])) -> Result<Tally> {
    let reader = Reader::open(tensor)?;
    let step = (CHUNK / of).max(1) * of;
    let (mut raw, mut wide) = (Vec::new(), Vec::new());
    let mut scratch = Scratch::default();
    let mut sum = Tally::default();
    let total = tensor.elements();
    let mut first = 0;
    while first < total {
        let elements = step.min(total - first);
        reader.read(first, elements, &mut raw, &mut scratch)?;
        look(&raw);
        if tensor.dtype == DType::F32 {
            sum += rank::tally(Path::Fast, &raw, 0);
        } else if tensor.dtype == DType::F64 {
            for word in raw.as_chunks::<8>().0 {
                let value = f64::from_le_bytes(*word);
                sum.zeros += u64::from(value == 0.0);
                sum.squares += if value.is_finite() {
                    value * value
                } else {
                    0.0
                };
            }
        } else {
            wide.resize(elements as usize * 4, 0);
            cast::cast(tensor.dtype, DType::F32, &raw, &mut wide)?;
            sum += rank::tally(Path::Fast, &wide, 0);
        }
        first += elements;
    }
    Ok(sum)
}
