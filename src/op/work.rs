//! Cuts tensors into runs, and runs into pieces of work, without regard to threads; opens a
//! tensor once for all of its runs.

use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::kernel::moments::TILE;
use crate::limits;
use crate::model::{Payload, Tensor};
use crate::stream::Reader;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub(crate) struct Run {
    /// Index of the tensor.
    pub(crate) tensor: usize,
    pub(crate) first: u64,
    pub(crate) elements: u64,
}

/// All runs of a tensor, in order; at least one.
pub(crate) fn runs_of(tensor: usize, elements: u64) -> impl Iterator<Item = Run> {
    let run = RUN * elements.div_ceil(RUN * RUNS).max(1);
    let count = elements.div_ceil(run).max(1);
    (0..count).map(move |index| Run {
        tensor,
        first: index * run,
        elements: run.min(elements - index * run),
    })
}

/// Ranges of `runs`, each a piece of work.
pub(crate) fn pieces(runs: &[Run], tensors: &[Tensor]) -> Vec<Range<usize>> {
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

/// What threads share is plain values: they are whole even if a thread has died over them.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader that is opened once for all runs of a tensor, and closed after the last.
pub(crate) struct SharedReader<'a>(Mutex<Shared<'a>>);

struct Shared<'a> {
    reader: Option<Arc<Reader<'a>>>,
    remaining: usize,
    /// Start of the earliest run that has failed.
    failed_at: Option<u64>,
}

impl<'a> SharedReader<'a> {
    /// For a tensor of so many runs.
    pub(crate) fn new(runs: usize) -> SharedReader<'a> {
        SharedReader(Mutex::new(Shared {
            reader: None,
            remaining: runs,
            failed_at: None,
        }))
    }

    /// The reader of `tensor` for its run that starts at `first`; `None` if the run is not worth
    /// doing, since an earlier one has failed.
    pub(crate) fn open(&self, tensor: &'a Tensor, first: u64) -> Result<Option<Arc<Reader<'a>>>> {
        let mut shared = lock(&self.0);
        // A run before the one that failed may fail too, and is the one to report.
        if shared.failed_at.is_some_and(|failed| failed <= first) {
            return Ok(None);
        }
        if let Some(reader) = &shared.reader {
            return Ok(Some(Arc::clone(reader)));
        }
        // Opened while others wait: a compressed tensor is inflated once.
        match Reader::open(tensor) {
            Ok(reader) => {
                let reader = Arc::new(reader);
                shared.reader = Some(Arc::clone(&reader));
                Ok(Some(reader))
            }
            Err(error) => {
                shared.failed_at = Some(0);
                Err(error)
            }
        }
    }

    /// Says that the run that starts at `first` has failed.
    pub(crate) fn fail(&self, first: u64) {
        let mut shared = lock(&self.0);
        let earliest = shared.failed_at.map_or(first, |failed| failed.min(first));
        shared.failed_at = Some(earliest);
    }

    /// Says that a run is over, well or not.
    pub(crate) fn release(&self) {
        let mut shared = lock(&self.0);
        shared.remaining = shared.remaining.saturating_sub(1);
        if shared.remaining == 0 {
            shared.reader = None;
        }
    }
}

/// The same tensor with its elements as `f32`.
pub(crate) fn as_f32(tensor: Tensor) -> Tensor {
    if tensor.dtype.class() != Class::Quantized {
        return tensor.cast(DType::F32);
    }
    let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
    let payload = Payload::Dequantized(Arc::new(tensor));
    Tensor::new(name, DType::F32, shape, payload)
}

/// Errors: `Limit` for a view of a few bytes that stands for more than anyone can read.
pub(crate) fn check_size(tensor: &Tensor) -> Result<()> {
    let is_stored = matches!(tensor.payload, Payload::Stored(_));
    let bytes = tensor.byte_len().unwrap_or(u64::MAX);
    if is_stored || bytes <= limits::VIEW {
        return Ok(());
    }
    let text = format!("stands for {bytes} bytes; the limit is {}", limits::VIEW);
    Err(Error::limit(text).in_tensor(&tensor.name))
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
