//! Whether what was written is what was meant, and what the way there cost.
//!
//! What was meant is computed once more, by the portable kernels, and compared bit for bit with
//! what the output's own reader finds. Where elements were cast or quantised, the numbers that
//! were found are measured against those of the source, in the same pass over both.

use super::diff::Metrics;
use super::diff::measure::{How, measure};
use super::diff::pair::Job;
use super::diff::tally::Tally;
use super::diff::values::Decoder;
use crate::error::Result;
use crate::kernel::InstructionSet;
use crate::model::{Checkpoint, Payload, Tensor};
use crate::parallel::Progress;
use std::collections::HashMap;

/// How one tensor of an output relates to the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// `None` if every bit is the source's.
    tally: Option<Tally>,
}

impl Verified {
    /// What was not touched.
    pub const IDENTICAL: Verified = Verified { tally: None };

    /// Whether every bit is the source's.
    pub fn is_identical(&self) -> bool {
        self.tally.is_none()
    }

    /// How far it is from the source; only finite elements count.
    pub fn metrics(&self) -> Metrics {
        let metrics = self.tally.as_ref().map(Tally::metrics);
        metrics.unwrap_or(Metrics::IDENTICAL)
    }

    /// Several as one; of those that are identical nothing enters the sums.
    pub fn merged<'a>(several: impl IntoIterator<Item = &'a Verified>) -> Verified {
        let mut tally: Option<Tally> = None;
        for one in several.into_iter().filter_map(|one| one.tally.as_ref()) {
            tally.get_or_insert_default().add(one);
        }
        Verified { tally }
    }
}

/// Compares `found`, one tensor for each of `meant` and in its order, with what was meant and
/// with what that was made of: a cast with what was cast; 8-bit floats that have a scale with
/// what they stand for, but for the rounding of the division; whatever else was made (zeroed, folded) with itself.
///
/// Reads every tensor and its source once, in bounded memory.
///
/// Errors: `Io` naming the first tensor that is not what was meant; those of reading.
pub fn verify(
    meant: &Checkpoint,
    found: &[Tensor],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Verified>> {
    let kept = same_bytes(&meant.tensors, found);
    let mut jobs = Vec::new();
    let mut factors = Vec::new();
    for ((meant, found), kept) in meant.tensors.iter().zip(found).zip(&kept) {
        if kept.is_none() {
            let (source, factor) = source(meant);
            jobs.push(Job::written(source, meant, found));
            factors.push(factor);
        }
    }
    let how = How {
        instructions: InstructionSet::best(),
        threads,
        tolerance: None,
        with_norms: false,
        progress,
    };
    let mut outcomes = measure(&jobs, how)?.into_iter();
    let mut next = jobs.iter().zip(factors);
    let mut verified: Vec<Verified> = Vec::with_capacity(found.len());
    for kept in kept {
        if let Some(one) = kept.and_then(|place| verified.get(place)) {
            verified.push(one.clone());
            continue;
        }
        let (Some(outcome), Some((job, factor))) = (outcomes.next(), next.next()) else {
            break;
        };
        let tally = outcome?.tally.scaled(factor);
        let tally = (!job.is_kept()).then_some(tally);
        verified.push(Verified { tally });
    }
    Ok(verified)
}

/// For each tensor the earlier one that it is another name of, if both lie in the same bytes.
fn same_bytes(meant: &[Tensor], found: &[Tensor]) -> Vec<Option<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(meant.len());
    let extent = |place: usize| {
        let (source, start, len) = found.get(place)?.payload.extent()?;
        Some((source.identity(), source.file_offset(start), len))
    };
    for (place, tensor) in meant.iter().enumerate() {
        let first = tensor.tied_to.as_deref().and_then(|name| places.get(name));
        kept.push(
            first
                .copied()
                .filter(|first| extent(*first) == extent(place)),
        );
        places.insert(&tensor.name, place);
    }
    kept
}

/// What a tensor was cast from, and by which factor that is too small; the tensor itself if it
/// was not cast, or if nothing reads one of them as numbers.
fn source(tensor: &Tensor) -> (&Tensor, f64) {
    let mut from = tensor;
    let mut factor = 1.0;
    loop {
        match &from.payload {
            Payload::Cast(before) | Payload::CastWith(before, _) => from = before,
            Payload::Scaled(_, scale) => {
                factor = f64::from(*scale);
                break;
            }
            _ => break,
        }
    }
    let is_number = |tensor: &Tensor| Decoder::of(tensor.dtype).is_ok();
    match is_number(from) && is_number(tensor) && from.shape == tensor.shape {
        true => (from, factor),
        false => (tensor, 1.0),
    }
}
