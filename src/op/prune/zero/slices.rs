//! Masks along dimensions: whole rows or channels by their norm, and N of M.

use super::{Norm, Outcome};
use crate::dtype::{DType, cast};
use crate::error::{Error, Result};
use crate::kernel::Path;
use crate::kernel::rank::{self, Tally};
use crate::kernel::zero;
use crate::limits;
use crate::model::{Mask, Tensor};
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
    let sums_of = &mut sums;
    for_each_run(tensor, slices, inner, |first, values| {
        let slices = &mut sums_of[first as usize..];
        match norm {
            Norm::L1 => add(slices, inner, values, |norm, value| norm + value.abs()),
            Norm::L2 => add(slices, inner, values, |norm, value| norm + value * value),
            Norm::Max => add(slices, inner, values, |norm, value| {
                largest(norm, value.abs())
            }),
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

impl Slice {
    #[inline(always)]
    fn add(&mut self, word: [u8; 8], norm: impl Fn(f64, f64) -> f64) {
        let value = f64::from_le_bytes(word);
        let square = value * value;
        self.zeros += u64::from(value == 0.0);
        self.squares += if value.is_finite() { square } else { 0.0 };
        self.norm = norm(self.norm, value);
    }
}

/// Adds a run of values to the first of `slices`; where each slice has one neighbour only, to
/// one after the other.
#[inline(always)]
fn add(
    slices: &mut [Slice],
    inner: u64,
    values: &[[u8; 8]],
    norm: impl Fn(f64, f64) -> f64 + Copy,
) {
    if inner <= 1 {
        let pairs = slices.iter_mut().zip(values);
        pairs.for_each(|(slice, word)| slice.add(*word, norm));
    } else if let Some(first) = slices.first_mut() {
        let mut slice = first.clone();
        values.iter().for_each(|word| slice.add(*word, norm));
        *first = slice;
    }
}

/// The larger one; a NaN is above all.
fn largest(norm: f64, magnitude: f64) -> f64 {
    match norm.is_nan() || magnitude.is_nan() {
        true => f64::NAN,
        false => norm.max(magnitude),
    }
}

/// Shows the elements to `work` in order, in runs that lie in one of `slices` of `inner`
/// neighbours each: the slice, and `f64` values, little-endian. Where `inner` is 1, a run lies
/// in one slice after the other, up to the last.
fn for_each_run(
    tensor: &Tensor,
    slices: u64,
    inner: u64,
    mut work: impl FnMut(u64, &[[u8; 8]]),
) -> Result<()> {
    let inner = inner.max(1);
    let is_across = inner == 1;
    let length = if is_across { slices } else { inner };
    let mut wide = Vec::new();
    let width = tensor.dtype.element_bytes().unwrap_or(1) as usize;
    // The slice at hand, and how many elements of its run are left.
    let (mut slice, mut left) = (0, length);
    for_each_chunk(tensor, CHUNK, |bytes| {
        wide.resize(bytes.len() / width * 8, 0);
        cast::cast(tensor.dtype, DType::F64, bytes, &mut wide)?;
        let mut values = wide.as_chunks::<8>().0;
        while !values.is_empty() {
            let run = values
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let (run, rest) = values.split_at(run);
            work(slice, run);
            left -= run.len() as u64;
            values = rest;
            slice += if is_across { run.len() as u64 } else { 0 };
            if left == 0 {
                left = length;
                slice += u64::from(!is_across);
                slice = if slice == slices { 0 } else { slice };
            }
        }
        Ok(())
    })
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
    let width = tensor.dtype.element_bytes().unwrap_or(1);
    let (group, zeroed) = (of as usize, of as u32 - kept);
    let mut conforming = 0;
    let (mut before, mut after) = (Tally::default(), Tally::default());
    let (mut wide, mut flags) = (Vec::new(), Vec::new());
    let step = (CHUNK / of).max(1) * of;
    for_each_chunk(tensor, step, |bytes| {
        before += tally(tensor.dtype, bytes, &mut wide)?;
        zero::groups(Path::Fast, width, bytes, group, zeroed);
        after += tally(tensor.dtype, bytes, &mut wide)?;
        flags.resize(bytes.len() / width as usize, 0);
        zero::flags(Path::Fast, width, bytes, &mut flags);
        conforming += zero::count_flagged(Path::Fast, &flags, group, zeroed as usize);
        Ok(())
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

/// Zeros and squares of elements. `wide`: room for their wider form.
fn tally(dtype: DType, bytes: &[u8], wide: &mut Vec<u8>) -> Result<Tally> {
    match dtype {
        DType::F32 => Ok(rank::tally(Path::Fast, bytes, 0)),
        DType::F64 => {
            let mut sum = Tally::default();
            for word in bytes.as_chunks::<8>().0 {
                let value = f64::from_le_bytes(*word);
                let square = value * value;
                sum.zeros += u64::from(value == 0.0);
                sum.squares += if value.is_finite() { square } else { 0.0 };
            }
            Ok(sum)
        }
        _ => {
            let width = dtype.element_bytes().unwrap_or(1) as usize;
            wide.resize(bytes.len() / width * 4, 0);
            cast::cast(dtype, DType::F32, bytes, wide)?;
            Ok(rank::tally(Path::Fast, wide, 0))
        }
    }
}

/// Shows all bytes to `work`, at most `step` elements at a time; it may change them.
fn for_each_chunk(
    tensor: &Tensor,
    step: u64,
    mut work: impl FnMut(&mut [u8]) -> Result<()>,
) -> Result<()> {
    let reader = Reader::open(tensor)?;
    let (mut bytes, mut scratch) = (Vec::new(), Scratch::default());
    let total = tensor.elements();
    let mut first = 0;
    while first < total {
        let elements = step.min(total - first);
        reader.read(first, elements, &mut bytes, &mut scratch)?;
        work(&mut bytes)?;
        first += elements;
    }
    Ok(())
}
