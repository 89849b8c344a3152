//! The names of a checkpoint in order, so that rules find one, or all below a beginning, at once.

use crate::model::{Shape, Tensor};

/// Tensors by name.
pub(super) struct Names<'a> {
    sorted: Vec<(&'a str, &'a Tensor)>,
}

impl<'a> Names<'a> {
    pub(super) fn new(tensors: &'a [Tensor]) -> Names<'a> {
        let mut sorted: Vec<(&str, &Tensor)> =
            tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        Names { sorted }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The tensor called `name`.
    pub(super) fn find(&self, name: &str) -> Option<&'a Tensor> {
        let place = self
            .sorted
            .binary_search_by(|(other, _)| (*other).cmp(name));
        place.ok().map(|place| self.sorted[place].1)
    }

    /// The tensors whose names start with `start`, in order of their names.
    pub(super) fn below(&self, start: &str) -> &[(&'a str, &'a Tensor)] {
        let from = self.sorted.partition_point(|(name, _)| *name < start);
        let rest = &self.sorted[from..];
        // All names with this beginning stand together.
        let len = rest.partition_point(|(name, _)| name.starts_with(start));
        &rest[..len]
    }

    /// The first tensor whose name starts with `start`.
    pub(super) fn first_below(&self, start: &str) -> Option<&'a Tensor> {
        let from = self.sorted.partition_point(|(name, _)| *name < start);
        let (name, tensor) = self.sorted.get(from)?;
        name.starts_with(start).then_some(tensor)
    }

    /// How many numbers from 0 on follow `stem` without a gap: blocks of a network.
    pub(super) fn count_blocks(&self, stem: &str) -> u64 {
        (0u64..)
            .take_while(|number| {
                let start = format!("{stem}{number}");
                self.first_below(&format!("{start}.")).is_some() || self.find(&start).is_some()
            })
            .count() as u64
    }
}

/// One dimension of a shape, outermost first.
pub(super) fn dimension(shape: &Shape, axis: usize) -> Option<u64> {
    shape.dimensions().get(axis).copied()
}
