//! Tiles of `f64`, and tiles of any float that hold something difficult.

use super::{TILE, Tile, fold};
use crate::kernel::InstructionSet;
use crate::kernel::double::{Double, two_sum};

/// Sums that run beside each other.
const LANES: usize = 16;

/// Beyond this magnitude, or if all elements lie below its inverse, squares would leave the
/// range of an `f64`: such tiles are scaled by `2^-600` or `2^600` first.
const LARGE: f64 = f64::from_bits((1023 + 300) << 52);

/// The exponent of that scaling.
const SHIFT: i32 = 600;

/// Measures a tile of any numbers, NaN and infinities included.
///
/// `values`: at most [`TILE`] elements.
pub fn measure_f64(set: InstructionSet, values: &[f64]) -> Tile {
    let plain = sweep(set, values, values.first().copied().unwrap_or(0.0), 1.0);
    if plain.is_nonfinite {
        return measure_finite_part(set, values);
    }
    if values.is_empty() {
        return Tile::EMPTY;
    }
    let largest = plain.max.max(-plain.min);
    let exponent = match largest {
        _ if largest > LARGE => SHIFT,
        _ if largest < 1.0 / LARGE && largest > 0.0 => -SHIFT,
        _ => 0,
    };
    let scale = power_of_two(-exponent);
    let pivot = values[0] * scale;
    let passed = match exponent {
        0 => plain,
        _ => sweep(set, values, pivot, scale),
    };
    let count = values.len() as f64;
    let distance = (passed.sum - Double::from(pivot) * count).value();
    let spread = passed.square - distance * (distance / count);
    Tile {
        finite: values.len() as u64,
        zeros: plain.zeros,
        // Adding the positive zero makes the negative one positive.
        min: plain.min + 0.0,
        max: plain.max + 0.0,
        exponent,
        sum: passed.sum,
        absolute: passed.absolute.into(),
        spread: spread.max(0.0),
        ..Tile::EMPTY
    }
}

/// Counts what is not finite and measures the rest as a tile of its own.
fn measure_finite_part(set: InstructionSet, values: &[f64]) -> Tile {
    let mut finite = [0.0; TILE];
    let mut count = 0;
    let mut nans = 0;
    let mut infs = 0;
    for &value in values {
        finite[count] = value;
        count += usize::from(value.is_finite());
        nans += u64::from(value.is_nan());
        infs += u64::from(value.is_infinite());
    }
    let first = values.iter().position(|value| !value.is_finite());
    Tile {
        nans,
        infs,
        first_nonfinite: first.map(|index| index as u64),
        ..measure_f64(set, &finite[..count])
    }
}

/// `2^exponent` for an exponent of a normal number.
pub fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[derive(Clone, Copy)]
struct Pass {
    is_nonfinite: bool,
    zeros: u64,
    min: f64,
    max: f64,
    sum: Double,
    absolute: f64,
    square: f64,
}

/// One pass: `min`, `max` and `zeros` of the values as they are, the sums of them times `scale`,
/// the squares of their distances from `pivot`.
fn sweep(set: InstructionSet, values: &[f64], pivot: f64, scale: f64) -> Pass {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512(values: &[f64], pivot: f64, scale: f64) -> Pass {
            sweep_lanes(values, pivot, scale)
        }
        #[target_feature(enable = "avx2")]
        fn avx2(values: &[f64], pivot: f64, scale: f64) -> Pass {
            sweep_lanes(values, pivot, scale)
        }
        match set.or_best() {
            // SAFETY (both): `or_best` gives no set that the machine lacks.
            InstructionSet::Avx512 => return unsafe { avx512(values, pivot, scale) },
            InstructionSet::Avx2 => return unsafe { avx2(values, pivot, scale) },
            InstructionSet::Baseline => {}
        }
    }
    let _ = set;
    sweep_lanes(values, pivot, scale)
}

#[inline(always)]
fn sweep_lanes(values: &[f64], pivot: f64, scale: f64) -> Pass {
    let mut lanes = Lanes::new();
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for (lane, &value) in group.iter().enumerate() {
            lanes.add(lane, value, pivot, scale);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        lanes.add(lane, value, pivot, scale);
    }
    lanes.finish()
}

struct Lanes {
    /// NaN where a value was not finite.
    check: [f64; LANES],
    sum: [f64; LANES],
    lost: [f64; LANES],
    absolute: [f64; LANES],
    square: [f64; LANES],
    min: [f64; LANES],
    max: [f64; LANES],
    zeros: [u64; LANES],
}

impl Lanes {
    fn new() -> Lanes {
        Lanes {
            check: [0.0; LANES],
            sum: [0.0; LANES],
            lost: [0.0; LANES],
            absolute: [0.0; LANES],
            square: [0.0; LANES],
            min: [f64::INFINITY; LANES],
            max: [f64::NEG_INFINITY; LANES],
            zeros: [0; LANES],
        }
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, value: f64, pivot: f64, scale: f64) {
        self.check[lane] += value * 0.0;
        if value < self.min[lane] {
            self.min[lane] = value;
        }
        if value > self.max[lane] {
            self.max[lane] = value;
        }
        self.zeros[lane] += u64::from(value == 0.0);
        let value = value * scale;
        let (sum, lost) = two_sum(self.sum[lane], value);
        self.sum[lane] = sum;
        self.lost[lane] += lost;
        self.absolute[lane] += value.abs();
        let distance = value - pivot;
        self.square[lane] += distance * distance;
    }

    #[inline(always)]
    fn finish(self) -> Pass {
        let sums = self.sum.iter().zip(&self.lost);
        let sum = sums.fold(Double::ZERO, |total, (&sum, &lost)| {
            total + Double::sum(sum, lost)
        });
        Pass {
            is_nonfinite: fold(&self.check).is_nan(),
            zeros: self.zeros.iter().sum(),
            min: self.min.iter().copied().fold(f64::INFINITY, f64::min),
            max: self.max.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            sum,
            absolute: fold(&self.absolute),
            square: fold(&self.square),
        }
    }
}
