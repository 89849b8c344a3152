//! Where a magnitude stands among others: counts by the bits of `f32` values.
//!
//! A value's key is its bits without the sign: keys are ordered as magnitudes are, with infinity
//! above all numbers and NaN above infinity.

use super::{Inlined, Path, run};

/// Keys by their upper half: bits 16 to 30.
pub const HIGH: usize = 1 << 15;

/// Keys of one upper half by their lower one.
pub const LOW: usize = 1 << 16;

/// The key of infinity; above are NaNs.
const INFINITY: u32 = 0x7f80_0000;

/// The bits without the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// What is known about values and a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Values that are zero.
    pub zeros: u64,
    /// Values whose key is below the limit.
    pub below: u64,
    /// Values whose key is the limit.
    pub equal: u64,
    /// Sum of the squares of all finite values.
    pub squares: f64,
    /// Sum of the squares of those below.
    pub squares_below: f64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.zeros += other.zeros;
        self.below += other.below;
        self.equal += other.equal;
        self.squares += other.squares;
        self.squares_below += other.squares_below;
    }
}

/// Adds to `counts`, of length [`HIGH`], how often each upper half of a key occurs in `bytes`,
/// little-endian `f32`. No more than 2^32 values between two readings of the counts.
pub fn count_high(bytes: &[u8], counts: &mut [u32]) {
    let Ok(counts) = <&mut [u32; HIGH]>::try_from(counts) else {
        return;
    };
    for word in bytes.as_chunks::<4>().0 {
        let high = u32::from_le_bytes(*word) >> 16 & (HIGH as u32 - 1);
        counts[high as usize] += 1;
    }
}

/// Adds to `counts`, of length [`LOW`], how often each lower half occurs among the keys in
/// `bytes`, little-endian `f32`, whose upper half is `high`.
pub fn count_low(path: Path, bytes: &[u8], high: u32, counts: &mut [u32]) {
    run(path, Inlined(|| low_body(bytes, high, counts)));
}

#[inline(always)]
fn low_body(bytes: &[u8], high: u32, counts: &mut [u32]) {
    /// Values that are looked at together: few have the upper half, and most runs none.
    const RUN: usize = 32;
    let Ok(counts) = <&mut [u32; LOW]>::try_from(counts) else {
        return;
    };
    let (words, _) = bytes.as_chunks::<4>();
    let mut count = |word: &[u8; 4]| {
        let key = u32::from_le_bytes(*word) & MAGNITUDE;
        if key >> 16 == high {
            counts[(key & 0xffff) as usize] += 1;
        }
    };
    let (runs, rest) = words.as_chunks::<RUN>();
    for run in runs {
        let mut any = 0u32;
        for word in run {
            let key = u32::from_le_bytes(*word) & MAGNITUDE;
            any |= u32::from(key >> 16 == high);
        }
        if any != 0 {
            run.iter().for_each(&mut count);
        }
    }
    rest.iter().for_each(&mut count);
}

/// Counts and sums of `bytes`, little-endian `f32`, by the key `limit`.
pub fn tally(path: Path, bytes: &[u8], limit: u32) -> Tally {
    run(path, Inlined(|| tally_body(bytes, limit)))
}

#[inline(always)]
fn tally_body(bytes: &[u8], limit: u32) -> Tally {
    /// Sums that run side by side: the same for every instruction set.
    const LANES: usize = 16;
    /// Rows of lanes whose counts fit 32 bits.
    const ROWS: usize = 1 << 16;
    let (words, _) = bytes.as_chunks::<4>();
    let (rows, rest) = words.as_chunks::<LANES>();
    let (mut squares, mut squares_below) = ([0f64; LANES], [0f64; LANES]);
    let mut tally = Tally::default();
    let mut tail = [[0u8; 4]; LANES];
    tail[..rest.len()].copy_from_slice(rest);
    // The filling of the last row counts as zeros, and perhaps as below or equal.
    let fill = (LANES - rest.len()) as u64;
    let tail = std::slice::from_ref(&tail);
    for rows in rows.chunks(ROWS).chain([tail]) {
        let (mut zeros, mut below, mut equal) = ([0u32; LANES], [0u32; LANES], [0u32; LANES]);
        for row in rows {
            for lane in 0..LANES {
                let key = u32::from_le_bytes(row[lane]) & MAGNITUDE;
                zeros[lane] += u32::from(key == 0);
                below[lane] += u32::from(key < limit);
                equal[lane] += u32::from(key == limit);
                let finite = if key < INFINITY { key } else { 0 };
                let value = f64::from(f32::from_bits(finite));
                let square = value * value;
                squares[lane] += square;
                squares_below[lane] += if key < limit { square } else { 0.0 };
            }
        }
        let sum = |counts: [u32; LANES]| counts.into_iter().map(u64::from).sum::<u64>();
        tally.zeros += sum(zeros);
        tally.below += sum(below);
        tally.equal += sum(equal);
    }
    tally.zeros -= fill;
    tally.below -= if limit > 0 { fill } else { 0 };
    tally.equal -= if limit == 0 { fill } else { 0 };
    tally.squares = squares.into_iter().sum();
    tally.squares_below = squares_below.into_iter().sum();
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: u32) -> Vec<f32> {
        let special = [
            0.0,
            -0.0,
            1.5,
            -1.5,
            f32::INFINITY,
            f32::NAN,
            1e-42,
            -f32::NAN,
        ];
        let usual = |i: u32| (i.wrapping_mul(2_654_435_761) as f32 / 1e9 - 2.0).powi(3);
        let pick = |i: u32| match i % 7 {
            0 => special[i as usize / 7 % special.len()],
            _ => usual(i),
        };
        (0..count).map(pick).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn tallies_are_those_of_a_plain_loop_on_every_path() {
        for count in [0, 1, 15, 16, 17, 1000] {
            let values = values(count);
            for limit in [0f32, 1e-42, 1.5, f32::INFINITY] {
                let fast = tally(Path::Fast, &bytes(&values), limit.to_bits());
                let portable = tally(Path::Portable, &bytes(&values), limit.to_bits());
                assert_eq!(fast, portable);
                let number = |is: &dyn Fn(f32) -> bool| {
                    values.iter().filter(|value| is(value.abs())).count() as u64
                };
                assert_eq!(fast.zeros, number(&|v| v == 0.0));
                assert_eq!(fast.below, number(&|v| v < limit));
                assert_eq!(fast.equal, number(&|v| v == limit));
                let sum = |is: &dyn Fn(f32) -> bool| -> f64 {
                    let finite = values.iter().filter(|v| v.is_finite() && is(v.abs()));
                    finite.map(|&v| f64::from(v) * f64::from(v)).sum()
                };
                let close = |a: f64, b: f64| (a - b).abs() <= b.abs() * 1e-12;
                assert!(close(fast.squares, sum(&|_| true)));
                assert!(close(fast.squares_below, sum(&|v| v < limit)));
            }
        }
    }

    #[test]
    fn every_key_is_counted_once_by_its_halves() {
        let values = values(5000);
        let mut high = vec![0; HIGH];
        count_high(&bytes(&values), &mut high);
        assert_eq!(high.iter().sum::<u32>(), 5000);
        for (half, &count) in high.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (mut fast, mut portable) = (vec![0; LOW], vec![0; LOW]);
            count_low(Path::Fast, &bytes(&values), half as u32, &mut fast);
            count_low(Path::Portable, &bytes(&values), half as u32, &mut portable);
            assert_eq!(fast, portable);
            assert_eq!(fast.iter().sum::<u32>(), count);
        }
    }
}
