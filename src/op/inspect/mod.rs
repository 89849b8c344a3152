//! What is in a checkpoint: totals, repeated layers as one row, the tree of names.

mod fold;
mod tree;

pub use fold::{Row, fold, fold_by_kind, fold_names, fold_whole};
pub use tree::{Branch, tree};

use crate::dtype::DType;
use crate::model::{Checkpoint, Tensor};
use crate::text::natural_order;

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
