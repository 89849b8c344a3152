//! What is in a checkpoint: totals, repeated layers as one row, the tree of names.

mod fold;
mod tree;

pub use fold::{Row, fold, fold_whole};
pub use tree::{Branch, tree};

use crate::dtype::DType;
use crate::model::{Checkpoint, Tensor};
use std::cmp::Ordering;

/// Sums over all tensors. Bytes and elements of tied tensors count once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries, tied ones too.
    pub tensors: u64,
    /// Elements.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
    /// The same for each dtype, the one with most bytes first.
    pub by_dtype: Vec<DTypeTotals>,
}

/// Sums over the tensors of one dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DTypeTotals {
    /// Which.
    pub dtype: DType,
    /// Entries, tied ones too.
    pub tensors: u64,
    /// Elements.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Sums up `checkpoint`.
pub fn totals(checkpoint: &Checkpoint) -> Totals {
    let mut totals = Totals::default();
    for tensor in &checkpoint.tensors {
        let (elements, bytes) = own_size(tensor);
        let known = totals.by_dtype.iter().position(|t| t.dtype == tensor.dtype);
        let place = known.unwrap_or_else(|| {
            totals.by_dtype.push(DTypeTotals {
                dtype: tensor.dtype,
                tensors: 0,
                elements: 0,
                bytes: 0,
            });
            totals.by_dtype.len() - 1
        });
        let of_dtype = &mut totals.by_dtype[place];
        of_dtype.tensors += 1;
        of_dtype.elements = of_dtype.elements.saturating_add(elements);
        of_dtype.bytes = of_dtype.bytes.saturating_add(bytes);
        totals.tensors += 1;
        totals.elements = totals.elements.saturating_add(elements);
        totals.bytes = totals.bytes.saturating_add(bytes);
    }
    let by_dtype = &mut totals.by_dtype;
    by_dtype.sort_by_key(|dtype| std::cmp::Reverse(dtype.bytes));
    totals
}

/// Elements and bytes that a tensor adds to the totals: none if it is another's other name.
fn own_size(tensor: &Tensor) -> (u64, u64) {
    match tensor.tied_to {
        Some(_) => (0, 0),
        None => (tensor.elements(), stored_bytes(tensor).unwrap_or(0)),
    }
}

/// Bytes of a tensor; of an unknown type, those that the file has for it. `None` if nobody
/// knows.
pub fn stored_bytes(tensor: &Tensor) -> Option<u64> {
    let in_file = || tensor.payload.extent().map(|(_, _, len)| len);
    tensor.byte_len().or_else(in_file)
}

/// Bytes from the start of the file, if the tensor is one run of it.
pub fn file_offset(tensor: &Tensor) -> Option<u64> {
    let (source, offset, _) = tensor.payload.extent()?;
    Some(source.file_offset(offset))
}

/// By what tensors are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the file.
    File,
    /// By name, numbers in it as numbers.
    Name,
    /// The largest first.
    Size,
    /// The most elements first.
    Elements,
    /// By place in the file.
    Offset,
    /// By name of the dtype.
    DType,
}

/// Puts the tensors of `checkpoint` in order. Equal ones stay in file order.
pub fn sort(checkpoint: &mut Checkpoint, order: Order, reverse: bool) {
    let tensors = &mut checkpoint.tensors;
    match order {
        Order::File => {}
        Order::Name => tensors.sort_by(|a, b| natural_order(&a.name, &b.name)),
        Order::Size => tensors.sort_by_key(|t| std::cmp::Reverse(stored_bytes(t))),
        Order::Elements => tensors.sort_by_key(|t| std::cmp::Reverse(t.elements())),
        Order::Offset => tensors.sort_by_key(|t| file_offset(t).unwrap_or(u64::MAX)),
        Order::DType => tensors.sort_by_cached_key(|t| t.dtype.to_string()),
    }
    if reverse {
        tensors.reverse();
    }
    // The groups' ranges meant the order of the file.
    if reverse || order != Order::File {
        checkpoint.groups.clear();
    }
}

/// Compares names so that `layers.2` comes before `layers.10`.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
        let compared = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (number_left, number_right);
            (number_left, left) = split_digits(left);
            (number_right, right) = split_digits(right);
            let by_length = number_left.len().cmp(&number_right.len());
            by_length.then_with(|| number_left.cmp(number_right))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            l.cmp(&r)
        };
        if compared != Ordering::Equal {
            return compared;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits at the start, without leading zeros, and what follows them.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["b.10", "b.2", "a", "b.02", "b", "b.2.c"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["a", "b", "b.02", "b.2", "b.2.c", "b.10"]);
    }
}
