//! The sums behind mean, deviation and norms, over one tile of elements at a time.
//!
//! A tile is at most [`TILE`] elements: long enough to forget what starting and folding cost,
//! short enough that it stays in the first cache and that its sums lose next to nothing.
//!
//! Each of 32 lanes sums every thirty-second element in `f64`, and the lanes are folded in a
//! fixed order. So the digits depend on the elements alone: 32 lanes are four registers of
//! AVX-512, or four parts of eight lanes, one part after the other, for AVX2, NEON and plain
//! arrays; all do the same additions. (What limits the loop with AVX-512 is additions: two of
//! eight `f64` a cycle on a Zen 5, three sums of 16 elements and their widening in four.)
//!
//! How exact: squares are summed as they are first. If so little of them is left after the
//! mean's part is taken away that rounding would show (under 1 in `CANCELLATION`), they are
//! summed again around an element of the tile. An element cannot be further from the mean than
//! the whole tile's deviation allows, so the second sum loses at most a factor of [`TILE`]:
//! `2^-53 * 261 additions * 8192 = 2.4e-10` in the worst case for either. Elements
//! that cancel (their sum under 1 in `CONDITION` of their magnitudes) are summed again with
//! what each addition rounds away; the others' sum loses at most `2^-53 * 261 * 2^14 = 4.8e-10`
//! of itself.

mod baseline;
mod integers;
mod slow;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use integers::{measure_i64, measure_u64};
pub use slow::{measure_f64, power_of_two};

use super::InstructionSet;
use super::double::Double;

/// Most elements of one tile.
pub const TILE: usize = 8192;

/// Sums that run beside each other.
const LANES: usize = 32;

/// How many times the squares may exceed the squared deviations before they are summed anew.
const CANCELLATION: f64 = 4096.0;

/// How many times the magnitudes may exceed their sum before it is summed without any loss.
const CONDITION: f64 = (1u64 << 14) as f64;

/// Element types of at most 24 significant bits: exact as `f32`, and squares exact as `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// Signed 16-bit integers.
    I16,
    /// Unsigned 16-bit integers.
    U16,
}

impl Narrow {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Narrow::F32 => 4,
            _ => 2,
        }
    }

    /// The value of an element of 16 bits; those of F32 are its upper half.
    pub fn value_of(self, bits: u16) -> f64 {
        let [low, high] = bits.to_le_bytes();
        match self {
            Narrow::F32 => baseline::value_of(self, &[0, 0, low, high]),
            _ => baseline::value_of(self, &[low, high]),
        }
    }
}

/// What one tile holds. Counts are over all of its elements, the rest over the finite ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    /// Finite elements.
    pub finite: u64,
    /// Elements that are zero, of either sign.
    pub zeros: u64,
    /// Elements that are no number.
    pub nans: u64,
    /// Infinite elements.
    pub infs: u64,
    /// Index of the first element that is not finite.
    pub first_nonfinite: Option<u64>,
    /// The least element; infinity if there is none. Never the negative zero.
    pub min: f64,
    /// The greatest element; minus infinity if there is none. Never the negative zero.
    pub max: f64,
    /// The least and the greatest, where an `f64` cannot hold them.
    pub integers: Option<(i128, i128)>,
    /// The sums below are those of the elements times `2^-exponent`: 0, or 600 or -600 where
    /// squares would leave the range of an `f64`.
    pub exponent: i32,
    /// Sum of the elements.
    pub sum: Double,
    /// Sum of their magnitudes.
    pub absolute: Double,
    /// Sum of the squares of their distances from their mean.
    pub spread: f64,
}

impl Tile {
    /// No element at all.
    pub const EMPTY: Tile = Tile {
        finite: 0,
        zeros: 0,
        nans: 0,
        infs: 0,
        first_nonfinite: None,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        integers: None,
        exponent: 0,
        sum: Double::ZERO,
        absolute: Double::ZERO,
        spread: 0.0,
    };
}

/// Measures a tile of little-endian elements; a part of an element at the end is ignored.
///
/// `bytes`: at most [`TILE`] elements.
pub fn measure(set: InstructionSet, kind: Narrow, bytes: &[u8]) -> Tile {
    let plain = sweep(set, kind, bytes, None);
    let absolute = fold(&plain.absolute);
    if !absolute.is_finite() {
        // A magnitude of NaN or infinity; finite ones cannot reach the range of an `f64`.
        return slow::measure_f64(set, baseline::decode(kind, bytes).values());
    }
    let elements = bytes.len() / kind.bytes();
    if elements == 0 {
        return Tile::EMPTY;
    }
    let count = elements as f64;
    let mut sum = Double::from(fold(&plain.sum));
    if sum.high.abs() * CONDITION < absolute {
        sum = slow::measure_f64(set, baseline::decode(kind, bytes).values()).sum;
    }
    let square = fold(&plain.square);
    let mut spread = square - sum.value() * (sum.value() / count);
    if spread * CANCELLATION < square {
        let around = sweep(set, kind, bytes, Some(baseline::first(kind, bytes)));
        let distance = fold(&around.sum);
        spread = fold(&around.square) - distance * (distance / count);
    }
    Tile {
        finite: elements as u64,
        zeros: plain.zeros,
        // Adding the positive zero makes the negative one positive.
        min: f64::from(plain.min) + 0.0,
        max: f64::from(plain.max) + 0.0,
        sum,
        absolute: absolute.into(),
        spread: spread.max(0.0),
        ..Tile::EMPTY
    }
}

/// What one pass over a tile leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lanes {
    /// Sum of the elements, or of their distances from the pivot.
    sum: [f64; LANES],
    /// Sum of the squares of those.
    square: [f64; LANES],
    /// Sum of the elements' magnitudes.
    absolute: [f64; LANES],
    min: f32,
    max: f32,
    zeros: u64,
}

impl Lanes {
    const EMPTY: Lanes = Lanes {
        sum: [0.0; LANES],
        square: [0.0; LANES],
        absolute: [0.0; LANES],
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
        zeros: 0,
    };
}

/// One pass over a tile. With NaN in it, `min`, `max` and `zeros` mean nothing.
fn sweep(set: InstructionSet, kind: Narrow, bytes: &[u8], pivot: Option<f64>) -> Lanes {
    match set.or_best() {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => x86::sweep_avx512(kind, bytes, pivot),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => x86::sweep_avx2(kind, bytes, pivot),
        _ => baseline::sweep(kind, bytes, pivot),
    }
}

/// The sum of all lanes, each half added to the other.
fn fold<const LANES: usize>(lanes: &[f64; LANES]) -> f64 {
    let mut lanes = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests;
