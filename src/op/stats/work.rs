//! Cuts tensors into runs, and runs into pieces of work, without regard to threads.

use crate::kernel::moments::TILE;
use crate::model::Tensor;
use std::ops::Range;

/// Elements of one run: whole tiles, enough to make a task of its own.
const RUN: u64 = 1 << 21;

/// Runs of one tensor at most, since each leaves a result: an enormous tensor has longer ones.
const RUNS: u64 = 1 << 14;

const _: () = assert!(RUN.is_multiple_of(TILE as u64));

/// Bytes and runs of one piece of work: small tensors share one.
const PIECE_BYTES: u64 = 1 << 20;
const PIECE_RUNS: usize = 1024;

/// A run of elements of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the tensor.
    pub(super) tensor: usize,
    pub(super) first: u64,
    pub(super) elements: u64,
}

/// All runs of a tensor, in order; at least one.
pub(super) fn runs_of(tensor: usize, elements: u64) -> impl Iterator<Item = Run> {
    let run = RUN * elements.div_ceil(RUN * RUNS).max(1);
    let count = elements.div_ceil(run).max(1);
    (0..count).map(move |index| Run {
        tensor,
        first: index * run,
        elements: run.min(elements - index * run),
    })
}

/// Ranges of `runs`, each a piece of work.
pub(super) fn pieces(runs: &[Run], tensors: &[Tensor]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut bytes = 0u64;
    for (index, run) in runs.iter().enumerate() {
        let bits = tensors[run.tensor].dtype.bits().max(1.0);
        bytes = bytes.saturating_add((run.elements as f64 * bits / 8.0) as u64);
        if bytes >= PIECE_BYTES || index + 1 - start >= PIECE_RUNS {
            pieces.push(start..index + 1);
            (start, bytes) = (index + 1, 0);
        }
    }
    if start < runs.len() {
        pieces.push(start..runs.len());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_a_tensor_once() {
        for elements in [0, 1, RUN - 1, RUN, RUN + 1, 5 * RUN + 7, i64::MAX as u64] {
            let runs: Vec<Run> = runs_of(3, elements).collect();
            assert!(!runs.is_empty());
            let mut next = 0;
            for run in &runs {
                assert_eq!((run.tensor, run.first), (3, next));
                next += run.elements;
            }
            assert_eq!(next, elements);
            assert!(runs.len() as u64 <= RUNS);
        }
    }
}
