//! Spending bytes where they lower the sum of errors most: one level of each tensor's ladder.

use crate::dtype::DType;
use crate::model::Checkpoint;
use std::collections::HashMap;

/// Looks for steps that fit what room is left.
const PASSES: usize = 8;

/// What one tensor may become.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    /// Its place in the checkpoint.
    pub(super) tensor: usize,
    /// Ascending in bytes, descending in error.
    pub(super) levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// `None`: the one that it would have anyway.
    pub(super) dtype: Option<DType>,
    pub(super) bytes: u64,
    pub(super) error: f64,
}

/// A level of each ladder.
#[derive(Clone, Debug)]
pub(super) struct Chosen<'a> {
    ladders: &'a [Ladder],
    /// Which level, for each.
    levels: Vec<usize>,
}

impl<'a> Chosen<'a> {
    pub(super) fn smallest(ladders: &'a [Ladder]) -> Chosen<'a> {
        let levels = vec![0; ladders.len()];
        Chosen { ladders, levels }
    }

    fn each(&self) -> impl Iterator<Item = (&'a Ladder, Level)> {
        let pairs = self.ladders.iter().zip(&self.levels);
        pairs.filter_map(|(ladder, &level)| Some((ladder, *ladder.levels.get(level)?)))
    }

    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.each().map(|(_, level)| level.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    pub(super) fn mean(&self) -> f64 {
        let sum: f64 = self.each().map(|(_, level)| level.error).sum();
        sum / (self.ladders.len().max(1) as f64)
    }

    /// The first of those with the largest error, if that is any.
    pub(super) fn worst(&self) -> Option<(usize, f64)> {
        let errors = self
            .each()
            .map(|(ladder, level)| (ladder.tensor, level.error));
        errors.fold(None, |worst, next| match worst {
            Some((_, most)) if next.1 <= most => worst,
            _ if next.1 == 0.0 => worst,
            _ => Some(next),
        })
    }

    /// For the options of a conversion: tensors that are other names of another get its dtype.
    pub(super) fn dtypes(&self, checkpoint: &Checkpoint) -> Vec<Option<DType>> {
        let tensors = &checkpoint.tensors;
        let mut dtypes = vec![None; tensors.len()];
        let mut of_name: HashMap<&str, DType> = HashMap::new();
        for (ladder, level) in self.each() {
            let place = dtypes.get_mut(ladder.tensor);
            if let (Some(place), Some(tensor)) = (place, tensors.get(ladder.tensor)) {
                *place = level.dtype;
                of_name.extend(level.dtype.map(|dtype| (tensor.name.as_str(), dtype)));
            }
        }
        for (dtype, tensor) in dtypes.iter_mut().zip(tensors) {
            if let Some(kept) = &tensor.tied_to {
                *dtype = of_name.get(kept.as_str()).copied();
            }
        }
        dtypes
    }

    /// Spends up to `room` bytes, those of the smallest levels among them.
    pub(super) fn spend(&mut self, room: u64) {
        let mut left = room.saturating_sub(self.bytes());
        for step in steps(self.ladders, |ladder| hull(&ladder.levels)) {
            if self.levels.get(step.ladder) == Some(&step.from) {
                self.take(&step, &mut left);
            }
        }
        // Steps that were too long may have shorter ones of less gain in them.
        for _ in 0..PASSES {
            let before = left;
            let levels = self.levels.clone();
            let from_here = |place: usize, ladder: &Ladder| -> Vec<(usize, usize)> {
                let from = levels.get(place).copied().unwrap_or_default();
                (from + 1..ladder.levels.len())
                    .map(|to| (from, to))
                    .collect()
            };
            for step in all_steps(self.ladders, from_here) {
                if self.levels.get(step.ladder) == Some(&step.from) {
                    self.take(&step, &mut left);
                }
            }
            if left == before {
                break;
            }
        }
    }

    fn take(&mut self, step: &Step, left: &mut u64) {
        if let (Some(level), Some(rest)) = (
            self.levels.get_mut(step.ladder),
            left.checked_sub(step.bytes),
        ) {
            *level = step.to;
            *left = rest;
        }
    }
}

/// From one level of a ladder to a higher one.
struct Step {
    ladder: usize,
    from: usize,
    to: usize,
    bytes: u64,
    /// By how much each byte lowers the error.
    gain: f64,
}

/// The steps between neighbours among the levels that `levels` names, best first.
fn steps(ladders: &[Ladder], levels: impl Fn(&Ladder) -> Vec<usize>) -> Vec<Step> {
    let neighbours = |_: usize, ladder: &Ladder| -> Vec<(usize, usize)> {
        let levels = levels(ladder);
        levels.windows(2).map(|pair| (pair[0], pair[1])).collect()
    };
    all_steps(ladders, neighbours)
}

/// The steps that `pairs` names for each ladder, those of the greatest gain first.
fn all_steps(
    ladders: &[Ladder],
    pairs: impl Fn(usize, &Ladder) -> Vec<(usize, usize)>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (place, ladder) in ladders.iter().enumerate() {
        for (from, to) in pairs(place, ladder) {
            if let (Some(low), Some(high)) = (ladder.levels.get(from), ladder.levels.get(to)) {
                let bytes = high.bytes.saturating_sub(low.bytes);
                steps.push(Step {
                    ladder: place,
                    from,
                    to,
                    bytes,
                    gain: (low.error - high.error) / bytes.max(1) as f64,
                });
            }
        }
    }
    // (Stable: equal gains stay in the order of the tensors.)
    steps.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    steps
}

/// The levels on the lower convex hull of bytes and errors: from one to the next, each byte
/// gains less than before.
fn hull(levels: &[Level]) -> Vec<usize> {
    let mut hull: Vec<usize> = Vec::with_capacity(levels.len());
    let gain = |from: usize, to: usize| match (levels.get(from), levels.get(to)) {
        (Some(from), Some(to)) => (from.error - to.error) / (to.bytes - from.bytes).max(1) as f64,
        _ => 0.0,
    };
    for next in 0..levels.len() {
        while let [.., before, last] = hull.as_slice()
            && gain(*before, *last) <= gain(*last, next)
        {
            hull.pop();
        }
        hull.push(next);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(bytes: u64, error: f64) -> Level {
        let dtype = None;
        Level {
            dtype,
            bytes,
            error,
        }
    }

    #[test]
    fn the_hull_leaves_out_what_gains_less_than_what_follows() {
        let levels = [
            level(10, 1.0),
            level(20, 0.9),
            level(30, 0.2),
            level(40, 0.1),
        ];
        assert_eq!(hull(&levels), [0, 2, 3]);
        assert_eq!(hull(&levels[..1]), [0]);
        assert_eq!(hull(&[]), [0; 0]);
    }

    /// The least sum of errors within `room`, by trying everything.
    fn least_error(ladders: &[Ladder], room: u64) -> f64 {
        let Some((first, rest)) = ladders.split_first() else {
            return 0.0;
        };
        let fits = first.levels.iter().filter(|level| level.bytes <= room);
        let sums = fits.map(|level| level.error + least_error(rest, room - level.bytes));
        sums.fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn what_is_spent_fits_and_is_near_the_best() {
        let ladder = |tensor: usize| {
            let weight = (tensor * 7 % 5 + 1) as f64;
            let bytes = (tensor as u64 * 3 % 4 + 1) * 8;
            let level = |bits: u64| level(bytes * bits, weight * 0.25f64.powi(bits as i32));
            let levels = [2, 3, 4, 5, 6, 8, 16].map(level).to_vec();
            Ladder { tensor, levels }
        };
        let ladders: Vec<Ladder> = (0..5).map(ladder).collect();
        let smallest = Chosen::smallest(&ladders).bytes();
        for room in (smallest..smallest * 9).step_by(37) {
            let mut chosen = Chosen::smallest(&ladders);
            chosen.spend(room);
            assert!(chosen.bytes() <= room);
            let sum: f64 = chosen.each().map(|(_, level)| level.error).sum();
            // One step at most is missing from the best: here the error falls to a quarter by it.
            assert!(sum <= least_error(&ladders, room) * 4.0 + 1e-12, "{room}");
        }
    }
}
