//! Tensors whose rows lie elsewhere: in another order, or in several tensors.

use super::{Reader, Scratch};
use crate::dtype::cast::Losses;
use crate::error::{Error, Result};
use crate::model::{RowOrder, Tensor};

/// A tensor whose rows are stored in another order.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    of: Box<Reader<'a>>,
    order: RowOrder,
}

impl<'a> Rows<'a> {
    pub(super) fn open(of: &'a Tensor, order: RowOrder) -> Result<Rows<'a>> {
        let block = u64::from(of.dtype.facts().block_elements);
        let rows = of.shape.dimensions().first().copied().unwrap_or(1);
        let is_whole = order.row_elements().is_multiple_of(block.max(1));
        if !is_whole || order.row_elements().checked_mul(rows) != Some(of.elements()) {
            let (shape, dtype) = (&of.shape, of.dtype);
            let message = format!("rows of {dtype} {shape} cannot be put in another order");
            return Err(Error::unsupported(message));
        }
        Ok(Rows {
            of: Box::new(Reader::open(of)?),
            order,
        })
    }

    pub(super) fn granularity(&self) -> u64 {
        self.of.granularity()
    }

    /// Whole rows are read run by run; a row that the range cuts is read by itself.
    pub(super) fn fill(
        &self,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let row = self.order.row_elements();
        let end = first + elements;
        let (whole, whole_end) = (first.div_ceil(row), end / row);
        if whole >= whole_end {
            return self.fill_parts(first, end, out, scratch);
        }
        let mut losses = Losses::default();
        let bytes = |elements: u64| self.bytes(elements);
        let (before, rest) = out.split_at_mut(bytes(whole * row - first)?);
        let (inside, after) = rest.split_at_mut(bytes((whole_end - whole) * row)?);
        losses += self.fill_parts(first, whole * row, before, scratch)?;
        losses += self.fill_parts(whole_end * row, end, after, scratch)?;
        let row_bytes = bytes(row)?;
        let mut window = scratch.take();
        for run in self.order.runs(whole, whole_end) {
            let span = (run.count - 1) * run.from_step + 1;
            let read = self
                .of
                .read(run.from * row, span * row, &mut window, scratch);
            losses += read?;
            let from = window
                .chunks_exact(row_bytes)
                .step_by(run.from_step as usize);
            let to = inside
                .chunks_exact_mut(row_bytes)
                .skip((run.to - whole) as usize);
            for (to, from) in to.step_by(run.to_step as usize).zip(from) {
                to.copy_from_slice(from);
            }
        }
        scratch.give(window);
        Ok(losses)
    }

    /// Elements `first .. end`, row by row.
    fn fill_parts(
        &self,
        first: u64,
        end: u64,
        mut out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let row = self.order.row_elements();
        let mut losses = Losses::default();
        let mut at = first;
        while at < end {
            let within = at % row;
            let count = (row - within).min(end - at);
            let (part, rest) = out.split_at_mut(self.bytes(count)?);
            let start = self.order.stored_row(at / row) * row + within;
            losses += self.of.read_into(start, count, part, scratch)?;
            out = rest;
            at += count;
        }
        Ok(losses)
    }

    fn bytes(&self, elements: u64) -> Result<usize> {
        byte_len(self.of.tensor(), elements)
    }
}

fn byte_len(tensor: &Tensor, elements: u64) -> Result<usize> {
    let bytes = tensor.dtype.byte_len(elements);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Error::usage("a range cuts through a block"))
}

/// Tensors of one dtype, one after the other.
#[derive(Debug)]
pub(super) struct Stacked<'a> {
    /// Each with the index of its first element in the whole.
    parts: Vec<(u64, Reader<'a>)>,
}

impl<'a> Stacked<'a> {
    pub(super) fn open(tensor: &Tensor, parts: &'a [Tensor]) -> Result<Stacked<'a>> {
        let mut first = 0u64;
        let mut readers = Vec::with_capacity(parts.len());
        for part in parts {
            if part.dtype != tensor.dtype {
                let (found, wanted) = (part.dtype, tensor.dtype);
                let error = Error::usage(format!("is {found}, not {wanted} as the whole"));
                return Err(error.in_tensor(&part.name));
            }
            readers.push((first, Reader::open(part)?));
            first = first.saturating_add(part.elements());
        }
        match first == tensor.elements() {
            true => Ok(Stacked { parts: readers }),
            false => Err(Error::usage(format!(
                "{} elements in parts do not make shape {}",
                first, tensor.shape
            ))),
        }
    }

    pub(super) fn granularity(&self) -> u64 {
        let parts = self.parts.iter();
        parts.map(|(_, part)| part.granularity()).max().unwrap_or(1)
    }

    pub(super) fn fill(
        &self,
        first: u64,
        elements: u64,
        mut out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let end = first + elements;
        let mut losses = Losses::default();
        let mut place = self.parts.partition_point(|(start, part)| {
            start.saturating_add(part.tensor().elements()) <= first
        });
        let mut at = first;
        while at < end {
            let Some((start, part)) = self.parts.get(place) else {
                return Err(Error::usage("a range ends behind the last part"));
            };
            let within = at - start;
            let count = (part.tensor().elements() - within).min(end - at);
            let (filled, rest) = out.split_at_mut(byte_len(part.tensor(), count)?);
            losses += part.read_into(within, count, filled, scratch)?;
            out = rest;
            at += count;
            place += 1;
        }
        Ok(losses)
    }
}
