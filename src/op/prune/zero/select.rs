//! The exact threshold below which a given number of elements lie, whatever their number.
//!
//! Magnitudes are compared by the bits of their `f32` values without the sign (of their `f64`
//! values, if one of the tensors is F64). A histogram of the upper bits says which ones hold the
//! threshold, a second one of the lower bits among those finds it. Elements of exactly that
//! magnitude are told apart by their position, in the order of the tensors. So the outcome is
//! exact, takes the memory of a histogram a thread, and does not depend on threads or chunks.

use super::Outcome;
use super::pass::{Pass, Piece};
use crate::dtype::{DType, cast};
use crate::error::Result;
use crate::kernel::rank::Tally;
use crate::model::{Mask, Tensor};
use crate::parallel::Progress;

/// Keys have digits of 16 bits.
const DIGIT: u32 = 16;

/// Masks that zero exactly the `count` smallest elements of all `tensors` together, and what
/// that does to each.
pub(super) fn smallest(
    tensors: &[&Tensor],
    count: u64,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    let pass = Pass::new(tensors, threads, progress)?;
    let total: u64 = tensors.iter().map(|tensor| tensor.elements()).sum();
    if count == 0 || count >= total {
        let key = if count == 0 { 0 } else { pass.key_above_all() };
        let tallies = pass.tally(key)?;
        let exact = Threshold { key, ties: 0 };
        return outcomes(&pass, &exact, &tallies);
    }
    let found = find(&pass, count)?;
    let threshold = Threshold {
        key: found.key,
        ties: count - found.below,
    };
    match found.tally {
        // All that are equal go, or the threshold is zero and none needs to.
        Some(tally) if threshold.ties == found.equal || threshold.key == 0 => {
            let whole = Threshold {
                key: threshold.key + u64::from(threshold.key > 0),
                ties: 0,
            };
            let mask = pass.mask(0, whole.key, 0);
            Ok(vec![outcome(mask, &tally, tensors[0].elements())])
        }
        _ => {
            let tallies = pass.tally(threshold.key)?;
            outcomes(&pass, &threshold, &tallies)
        }
    }
}

/// Keys below `key` go, and the first `ties` of those that are equal to it.
struct Threshold {
    key: u64,
    ties: u64,
}

/// The key of the last element to go.
struct Found {
    key: u64,
    /// Elements whose key is smaller.
    below: u64,
    /// Elements of that key.
    equal: u64,
    /// Of a single tensor, what is known about it with all that are equal gone.
    tally: Option<Tally>,
}

fn find(pass: &Pass<'_>, count: u64) -> Result<Found> {
    let mut rank = count - 1;
    let mut found = Found {
        key: 0,
        below: 0,
        equal: 0,
        tally: None,
    };
    let mut shift = pass.key_bits() - DIGIT;
    let mut prefix = None;
    loop {
        let is_last = shift == 0;
        let limit = prefix.map(|prefix: u64| prefix << DIGIT << shift);
        let limit = limit.filter(|_| is_last && pass.tensors().len() == 1);
        let (counts, tallies) = pass.count(shift, prefix, limit)?;
        let mut digit = 0;
        for (index, &count) in counts.iter().enumerate() {
            if rank < count {
                digit = index;
                break;
            }
            rank -= count;
            found.below += count;
        }
        found.equal = counts[digit];
        let key = prefix.unwrap_or(0) << DIGIT | digit as u64;
        found.key = key << shift;
        if let Some(limit) = limit {
            found.tally = Some(with_digits(pass, tallies, limit, &counts[..=digit]));
        }
        if is_last || pass.ends_at(shift) {
            return Ok(found);
        }
        prefix = Some(key);
        shift -= DIGIT;
    }
}

/// The tally by the key above the last digit, from one by `limit` and the counts of the keys
/// from there on.
fn with_digits(pass: &Pass<'_>, tallies: Vec<Tally>, limit: u64, counts: &[u64]) -> Tally {
    let mut tally = Tally::default();
    tallies.into_iter().for_each(|part| tally += part);
    tally.equal = 0;
    for (digit, &count) in counts.iter().enumerate() {
        tally.below += count;
        let value = pass.value(limit + digit as u64);
        if value.is_finite() {
            tally.squares_below += value * value * count as f64;
        }
    }
    tally
}

/// What `threshold` does to each tensor. `tallies`: by its key, one a piece.
fn outcomes(pass: &Pass<'_>, threshold: &Threshold, tallies: &[Tally]) -> Result<Vec<Outcome>> {
    let mut ties_left = threshold.ties;
    let mut outcomes = Vec::with_capacity(pass.tensors().len());
    let pieces: Vec<(&Piece, &Tally)> = pass.pieces().iter().zip(tallies).collect();
    let mut pieces = pieces.as_slice();
    let value = pass.value(threshold.key);
    let square = if value.is_finite() {
        value * value
    } else {
        0.0
    };
    for (index, tensor) in pass.tensors().iter().enumerate() {
        let own = pieces
            .iter()
            .take_while(|(piece, _)| piece.tensor == index)
            .count();
        let (mine, rest) = pieces.split_at(own);
        pieces = rest;
        let mut tally = Tally::default();
        mine.iter().for_each(|(_, part)| tally += **part);
        let ties = ties_left.min(tally.equal);
        ties_left -= ties;
        let position = match ties {
            0 => 0,
            _ if threshold.key == 0 => 0,
            _ if ties == tally.equal => tensor.elements(),
            _ => position(pass, threshold.key, mine, ties)?,
        };
        if threshold.key > 0 {
            tally.below += ties;
            tally.squares_below += square * ties as f64;
        }
        let mask = pass.mask(index, threshold.key, position);
        outcomes.push(outcome(mask, &tally, tensor.elements()));
    }
    Ok(outcomes)
}

/// The index after the `ties`-th element of exactly `key`.
fn position(pass: &Pass<'_>, key: u64, pieces: &[(&Piece, &Tally)], ties: u64) -> Result<u64> {
    let mut before = 0;
    for (piece, tally) in pieces {
        if before + tally.equal >= ties {
            return pass.position(piece, key, ties - before);
        }
        before += tally.equal;
    }
    Ok(0)
}

fn outcome(mask: Mask, tally: &Tally, elements: u64) -> Outcome {
    // A sum of what goes may exceed the sum of all by rounding.
    let kept = (tally.squares - tally.squares_below).max(0.0);
    Outcome {
        mask,
        elements,
        zeros_before: tally.zeros,
        zeros_after: tally.below.max(tally.zeros),
        squares_before: tally.squares,
        squares_after: if tally.below == elements { 0.0 } else { kept },
        groups: None,
    }
}

/// The smallest key of `dtype` whose value has at least `key`, a key of the value's F32 (or F64,
/// if `is_wide`) form.
pub(super) fn own_key(dtype: DType, key: u64, is_wide: bool) -> u64 {
    let wide = if is_wide { DType::F64 } else { DType::F32 };
    let bytes = dtype.facts().block_bytes as usize;
    let sign = 1u64 << (bytes * 8 - 1);
    let is_below = |own: u64| {
        let mut out = [0u8; 8];
        let out = &mut out[..wide.facts().block_bytes as usize];
        let cast = cast::cast(dtype, wide, &own.to_le_bytes()[..bytes], out);
        let mut word = [0u8; 8];
        word[..out.len()].copy_from_slice(out);
        let found = u64::from_le_bytes(word) & !(1 << (out.len() * 8 - 1));
        cast.is_ok() && found < key
    };
    if dtype == wide {
        return key;
    }
    let (mut low, mut high) = (0, sign);
    while low < high {
        let middle = low + (high - low) / 2;
        match is_below(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}
