//! Sparse tensors, written out densely.

use crate::error::{Error, Result};
use crate::model::{SparseLayout, Tensor};

/// The stored elements of a sparse tensor, by their place in the dense one.
#[derive(Debug)]
pub(super) struct Image {
    /// Bytes of one element.
    element: usize,
    /// Places of the stored elements, ascending.
    places: Vec<u64>,
    /// Their bytes, in the same order.
    values: Vec<u8>,
}

impl Image {
    pub(super) fn read(tensor: &Tensor, layout: SparseLayout, parts: &[Tensor]) -> Result<Image> {
        let _ = (tensor, layout, parts);
        Err(Error::unsupported("sparse tensors cannot be read yet"))
    }

    /// Fills `out` with the elements from `first` on.
    pub(super) fn fill(&self, first: u64, out: &mut [u8]) {
        out.fill(0);
        let end = first + (out.len() / self.element) as u64;
        let start = self.places.partition_point(|&place| place < first);
        for (index, &place) in self.places.iter().enumerate().skip(start) {
            if place >= end {
                break;
            }
            let to = (place - first) as usize * self.element;
            let from = index * self.element;
            out[to..to + self.element].copy_from_slice(&self.values[from..from + self.element]);
        }
    }
}
