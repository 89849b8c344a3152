//! Tensors that are computed from others element by element: masked, multiplied, normalised.

use super::{Reader, Scratch};
use crate::dtype::{DType, cast};
use crate::error::{Error, Result};
use crate::kernel;
use crate::limits;
use crate::model::{Mask, Tensor};

/// Elements that are read at once where a whole tensor is needed.
const STEP: u64 = 32 << 10;

/// A tensor some of whose elements are zeroed.
#[derive(Debug)]
pub(super) struct Masked<'a> {
    of: Box<Reader<'a>>,
    mask: &'a Mask,
    /// Bytes of an element.
    width: u32,
}

impl<'a> Masked<'a> {
    pub(super) fn open(of: &'a Tensor, mask: &'a Mask) -> Result<Masked<'a>> {
        let width = of
            .dtype
            .element_bytes()
            .filter(|width| [1, 2, 4, 8].contains(width));
        let width = width.ok_or_else(|| {
            Error::unsupported(format!(
                "elements of {} cannot be zeroed one by one",
                of.dtype
            ))
        })?;
        let fits = match mask {
            Mask::Below { .. } => true,
            Mask::Groups { of: group, .. } => {
                *group > 0 && of.shape.row_elements().is_multiple_of(*group)
            }
            Mask::Slices { axis, zeroed } => {
                of.shape.dimensions().get(*axis) == Some(&(zeroed.len() as u64))
            }
        };
        match fits {
            false => Err(Error::usage(format!(
                "the mask does not fit shape {}",
                of.shape
            ))),
            true => Ok(Masked {
                of: Box::new(Reader::open(of)?),
                mask,
                width,
            }),
        }
    }

    pub(super) fn fill(
        &self,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<()> {
        if let Mask::Groups { of, zeroed } = *self.mask {
            return self.fill_groups(first, elements, out, scratch, of, zeroed);
        }
        self.of.read_into(first, elements, out, scratch)?;
        let width = self.width as usize;
        match self.mask {
            Mask::Below { bits, ties } => {
                let tied = ties.saturating_sub(first).min(elements) as usize * width;
                let (tied, rest) = out.split_at_mut(tied);
                kernel::zero::below(scratch.path, self.width, tied, bits.saturating_add(1));
                kernel::zero::below(scratch.path, self.width, rest, *bits);
            }
            Mask::Slices { axis, zeroed } => {
                let dimensions = self.of.tensor().shape.dimensions();
                let inner: u64 = dimensions[axis + 1..].iter().product();
                if inner == 1 {
                    zero_across(out, width, (first % zeroed.len() as u64) as usize, zeroed);
                    return Ok(());
                }
                let mut at = first;
                let mut rest = out;
                while at < first + elements {
                    let run = (inner - at % inner).min(first + elements - at);
                    let (slice, after) = rest.split_at_mut(run as usize * width);
                    if zeroed[(at / inner % zeroed.len() as u64) as usize] {
                        slice.fill(0);
                    }
                    rest = after;
                    at += run;
                }
            }
            Mask::Groups { .. } => {}
        }
        Ok(())
    }

    /// A range may start and end inside a group; whole ones are read.
    fn fill_groups(
        &self,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
        of: u64,
        zeroed: u32,
    ) -> Result<()> {
        let start = first / of * of;
        let end = (first + elements).div_ceil(of) * of;
        let group = of as usize;
        if start == first && end == first + elements {
            self.of.read_into(first, elements, out, scratch)?;
            kernel::zero::groups(scratch.path, self.width, out, group, zeroed);
            return Ok(());
        }
        let mut whole = scratch.take();
        let read = self.of.read(start, end - start, &mut whole, scratch);
        let filled = read.map(|_| {
            kernel::zero::groups(scratch.path, self.width, &mut whole, group, zeroed);
            let skipped = (first - start) as usize * self.width as usize;
            out.copy_from_slice(&whole[skipped..skipped + out.len()]);
        });
        scratch.give(whole);
        filled
    }
}

/// Readers of two tensors of the shape of `tensor`.
pub(super) fn open_pair<'a>(
    tensor: &Tensor,
    pair: &'a [Tensor; 2],
) -> Result<Box<[Reader<'a>; 2]>> {
    let [left, right] = pair;
    for part in pair {
        if part.shape != tensor.shape {
            return Err(Error::malformed(format!(
                "has shape {}, but `{}` has {}",
                tensor.shape, part.name, part.shape
            )));
        }
        cast::check(part.dtype, DType::F64)?;
    }
    cast::check(DType::F64, tensor.dtype)?;
    Ok(Box::new([Reader::open(left)?, Reader::open(right)?]))
}

/// Fills `out` with products. Two numbers of 32 bits multiply exactly in 64, so that each
/// product is rounded once, as torch rounds it.
pub(super) fn multiply(
    dtype: DType,
    pair: &[Reader<'_>; 2],
    first: u64,
    elements: u64,
    out: &mut [u8],
    scratch: &mut Scratch,
) -> Result<()> {
    let [left, right] = pair;
    let mut products = read_doubles(left, first, elements, scratch)?;
    let factors = read_doubles(right, first, elements, scratch)?;
    for (product, factor) in products.iter_mut().zip(factors) {
        *product *= factor;
    }
    write_doubles(dtype, &products, out)
}

/// A direction and the factor of each of its slices.
#[derive(Debug)]
pub(super) struct Normalized<'a> {
    direction: Box<Reader<'a>>,
    /// Magnitude and norm, by slice.
    slices: Vec<(f64, f64)>,
    /// Elements that follow each other within one slice.
    run: u64,
}

impl<'a> Normalized<'a> {
    /// Reads the whole direction once, for its norms.
    pub(super) fn open(
        direction: &'a Tensor,
        magnitude: &Tensor,
        axis: Option<usize>,
    ) -> Result<Normalized<'a>> {
        let dimensions = direction.shape.dimensions();
        let (count, run) = match axis {
            None => (1, u64::MAX),
            Some(axis) => {
                let count = dimensions.get(axis).copied().unwrap_or(0);
                (
                    count,
                    dimensions.iter().skip(axis + 1).product::<u64>().max(1),
                )
            }
        };
        let found = magnitude.elements();
        if found != count || count > limits::SPARSE_ELEMENTS {
            return Err(Error::malformed(format!(
                "has {count} slices, but `{}` has {found} magnitudes",
                magnitude.name
            )));
        }
        let mut scratch = Scratch::default();
        let magnitudes = read_doubles(&Reader::open(magnitude)?, 0, found, &mut scratch)?;
        let reader = Reader::open(direction)?;
        let mut squares = vec![0f64; magnitudes.len()];
        let total = direction.elements();
        let mut first = 0;
        while first < total {
            let elements = STEP.min(total - first);
            let values = read_doubles(&reader, first, elements, &mut scratch)?;
            for (index, value) in (first..).zip(values) {
                squares[(index / run % count) as usize] += value * value;
            }
            first += elements;
        }
        let norms = squares.into_iter().map(f64::sqrt);
        Ok(Normalized {
            direction: Box::new(reader),
            slices: magnitudes.into_iter().zip(norms).collect(),
            run,
        })
    }

    pub(super) fn fill(
        &self,
        dtype: DType,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let mut values = read_doubles(&self.direction, first, elements, scratch)?;
        let count = self.slices.len() as u64;
        for (index, value) in (first..).zip(&mut values) {
            let (magnitude, norm) = self.slices[(index / self.run % count) as usize];
            *value *= magnitude / norm;
        }
        write_doubles(dtype, &values, out)
    }
}

fn read_doubles(
    reader: &Reader<'_>,
    first: u64,
    elements: u64,
    scratch: &mut Scratch,
) -> Result<Vec<f64>> {
    let mut bytes = scratch.take();
    let read = reader.read(first, elements, &mut bytes, scratch);
    let mut wide = vec![0; elements as usize * 8];
    let widened = read.and_then(|_| {
        let from = reader.tensor().dtype;
        cast::cast_by(scratch.path, from, DType::F64, &bytes, &mut wide)
    });
    scratch.give(bytes);
    widened?;
    let words = wide.as_chunks::<8>().0.iter();
    Ok(words.map(|word| f64::from_le_bytes(*word)).collect())
}

fn write_doubles(dtype: DType, values: &[f64], out: &mut [u8]) -> Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    cast::cast(DType::F64, dtype, &bytes, out).map(|_| ())
}
/// Zeroes elements of `width` bytes that lie in one slice after the other, the first in
/// `slice`.
fn zero_across(out: &mut [u8], width: usize, slice: usize, zeroed: &[bool]) {
    fn elements<const WIDTH: usize>(out: &mut [u8], mut slice: usize, zeroed: &[bool]) {
        let mut rest = out.as_chunks_mut::<WIDTH>().0;
        while !rest.is_empty() && !zeroed.is_empty() {
            let run = rest.len().min(zeroed.len() - slice);
            let (here, after) = rest.split_at_mut(run);
            for (element, &is_zeroed) in here.iter_mut().zip(&zeroed[slice..]) {
                *element = if is_zeroed { [0; WIDTH] } else { *element };
            }
            (rest, slice) = (after, 0);
        }
    }
    match width {
        1 => elements::<1>(out, slice, zeroed),
        2 => elements::<2>(out, slice, zeroed),
        4 => elements::<4>(out, slice, zeroed),
        _ => elements::<8>(out, slice, zeroed),
    }
}
