//! Masks along dimensions: whole rows or channels by their norm, and N of M.

use super::{Norm, Outcome};
use crate::dtype::{DType, cast};
use crate::error::{Error, Result};
use crate::kernel::rank::{self, Tally};
use crate::kernel::zero;
use crate::kernel::{self, Inlined, Path};
use crate::limits;
use crate::model::{Mask, Tensor};
use crate::stream::{Reader, Scratch};
use std::ops::Range;
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
    let mut sums = Sums::new(slices as usize);
    for_each_run(tensor, slices, inner, |first, values| {
        let first = first as usize;
        let run = if inner <= 1 {
            first..first + values.len()
        } else {
            first..first + 1
        };
        sums.add(norm, run, values);
    })?;
    let Sums {
        norms,
        squares,
        zeros,
    } = sums;
    let mut order: Vec<usize> = (0..norms.len()).collect();
    // Norms are not negative; a NaN is above all by its bits.
    order.sort_by_key(|&index| (norms[index].to_bits() & (u64::MAX >> 1), index));
    let mut zeroed = vec![false; norms.len()];
    let gone = order.iter().take(count as usize);
    gone.for_each(|&index| zeroed[index] = true);
    let elements = tensor.elements();
    let each = elements / slices.max(1);
    let kept = || (0..norms.len()).filter(|index| !zeroed[*index]);
    let squares_after = kept().map(|index| squares[index]).sum();
    let zeros_kept: u64 = kept().map(|index| zeros[index]).sum();
    Ok(Outcome {
        elements,
        zeros_before: zeros.iter().sum(),
        zeros_after: zeros_kept + each * count.min(slices),
        squares_before: squares.iter().sum(),
        squares_after,
        groups: None,
        mask: Mask::Slices {
            axis,
            zeroed: Arc::from(zeroed),
        },
    })
}

/// What is known of each slice, in columns.
struct Sums {
    norms: Vec<f64>,
    squares: Vec<f64>,
    zeros: Vec<u64>,
}

impl Sums {
    fn new(slices: usize) -> Sums {
        Sums {
            norms: vec![0.0; slices],
            squares: vec![0.0; slices],
            zeros: vec![0; slices],
        }
    }

    /// Adds values to the slices of `run`: one to each, or all to a single one.
    fn add(&mut self, norm: Norm, run: Range<usize>, values: &[[u8; 8]]) {
        let is_across = run.len() == values.len();
        let mut columns = Columns {
            norms: &mut self.norms[run.clone()],
            squares: &mut self.squares[run.clone()],
            zeros: &mut self.zeros[run],
        };
        let work = || match (norm, is_across) {
            (Norm::L1, true) => columns.across(values, l1),
            (Norm::L2, true) => columns.across(values, l2),
            (Norm::Max, true) => columns.across(values, largest),
            (Norm::L1, false) => columns.along(values, l1),
            (Norm::L2, false) => columns.along(values, l2),
            (Norm::Max, false) => columns.along(values, largest),
        };
        kernel::run(Path::Fast, Inlined(work));
    }
}

struct Columns<'a> {
    norms: &'a mut [f64],
    squares: &'a mut [f64],
    zeros: &'a mut [u64],
}

impl Columns<'_> {
    #[inline(always)]
    fn across(&mut self, values: &[[u8; 8]], norm: impl Fn(f64, f64) -> f64) {
        let slices = self
            .norms
            .iter_mut()
            .zip(&mut *self.squares)
            .zip(&mut *self.zeros);
        for (((total, squares), zeros), word) in slices.zip(values) {
            let value = f64::from_le_bytes(*word);
            *total = norm(*total, value);
            *squares += finite_square(value);
            *zeros += u64::from(value == 0.0);
        }
    }

    #[inline(always)]
    fn along(&mut self, values: &[[u8; 8]], norm: impl Fn(f64, f64) -> f64) {
        let (Some(total), Some(squares), Some(zeros)) = (
            self.norms.first_mut(),
            self.squares.first_mut(),
            self.zeros.first_mut(),
        ) else {
            return;
        };
        let mut sums = (*total, *squares, *zeros);
        for word in values {
            let value = f64::from_le_bytes(*word);
            sums.0 = norm(sums.0, value);
            sums.1 += finite_square(value);
            sums.2 += u64::from(value == 0.0);
        }
        (*total, *squares, *zeros) = sums;
    }
}

#[inline(always)]
fn finite_square(value: f64) -> f64 {
    let square = value * value;
    if value.is_finite() { square } else { 0.0 }
}

#[inline(always)]
fn l1(norm: f64, value: f64) -> f64 {
    norm + value.abs()
}

#[inline(always)]
fn l2(norm: f64, value: f64) -> f64 {
    norm + value * value
}

/// The larger magnitude; a NaN is above all.
#[inline(always)]
fn largest(norm: f64, value: f64) -> f64 {
    let magnitude = value.abs();
    // Comparing is false for a NaN, which then stays or comes in.
    if norm >= magnitude || norm.is_nan() {
        norm
    } else {
        magnitude
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
    let (group, zeroed) = (of as usize, of as u32 - kept);
    let wide_type = match tensor.dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    let width = wide_type.element_bytes().unwrap_or(4);
    let mut conforming = 0;
    let (mut before, mut after) = (Tally::default(), Tally::default());
    let (mut wide, mut flags) = (Vec::new(), Vec::new());
    let step = (CHUNK / of).max(1) * of;
    for_each_chunk(tensor, step, |bytes| {
        // Wider forms have the order of what they come from, so the same elements go.
        let bytes = match tensor.dtype == wide_type {
            true => bytes,
            false => {
                let narrow = tensor.dtype.element_bytes().unwrap_or(1) as usize;
                wide.resize(bytes.len() / narrow * width as usize, 0);
                cast::cast(tensor.dtype, wide_type, bytes, &mut wide)?;
                wide.as_mut_slice()
            }
        };
        before += tally(wide_type, bytes);
        zero::groups(Path::Fast, width, bytes, group, zeroed);
        after += tally(wide_type, bytes);
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

/// Zeros and squares of elements of F32 or F64.
fn tally(dtype: DType, bytes: &[u8]) -> Tally {
    if dtype == DType::F32 {
        return rank::tally(Path::Fast, bytes, 0);
    }
    let mut sum = Tally::default();
    for word in bytes.as_chunks::<8>().0 {
        let value = f64::from_le_bytes(*word);
        let square = value * value;
        sum.zeros += u64::from(value == 0.0);
        sum.squares += if value.is_finite() { square } else { 0.0 };
    }
    sum
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
