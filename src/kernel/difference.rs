//! What two runs of floats differ by: one pass, `f64` sums in eight lanes.
//!
//! Element `i` belongs to lane `i % 8`, and the lanes are added from the first to the last, so
//! every form gives the same bits. Products of two `f32` are exact in `f64`, so it does not
//! matter where a form fuses their multiplication with an addition; squares of differences are
//! not exact, and no form fuses those.

use super::InstructionSet;

/// Lanes of every sum.
const LANES: usize = 8;

/// Elements that one call takes at most: `u32` lanes count them.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// Sums over the pairs of two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Pairs that are not equal; `-0.0` equals `0.0`.
    pub changed: u64,
    /// The largest `|a - b|`.
    pub max_abs: f64,
    /// `|a - b|`.
    pub abs: f64,
    /// `(a - b)^2`.
    pub squares: f64,
    /// `a^2`.
    pub a_squares: f64,
    /// `b^2`.
    pub b_squares: f64,
    /// `a * b`.
    pub products: f64,
}

impl Sums {
    /// Whether every pair was finite. If not, no field but this answer means anything.
    pub fn is_finite(&self) -> bool {
        self.abs.is_finite()
    }
}

/// Compares two runs of the same length, at most [`MAX_ELEMENTS`], with the instructions of
/// `set` (or the best ones that this machine has, if it lacks those).
pub fn compare(set: InstructionSet, a: &[f32], b: &[f32]) -> Sums {
    let length = a.len().min(b.len()).min(MAX_ELEMENTS);
    let (a, b) = (&a[..length], &b[..length]);
    match set.or_best() {
        // SAFETY (both): `or_best` gives no set that the machine lacks.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { x86::avx512(a, b) },
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { x86::avx2(a, b) },
        _ => portable(a, b),
    }
}

/// The index of the first pair that is `max_abs` apart.
pub fn position_of(a: &[f32], b: &[f32], max_abs: f64) -> Option<usize> {
    let apart = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs() == max_abs;
    a.iter().zip(b).position(apart)
}

/// The floats that these little-endian bytes are, without a copy if this machine can.
pub fn as_floats(bytes: &[u8]) -> Option<&[f32]> {
    if cfg!(target_endian = "big") {
        return None;
    }
    // SAFETY: every pattern of 32 bits is an `f32`.
    let (head, floats, tail) = unsafe { bytes.align_to::<f32>() };
    (head.is_empty() && tail.is_empty()).then_some(floats)
}

/// The eight lanes of every sum.
#[derive(Clone, Copy, Default)]
struct Lanes {
    changed: [u32; LANES],
    max_abs: [f64; LANES],
    abs: [f64; LANES],
    squares: [f64; LANES],
    a_squares: [f64; LANES],
    b_squares: [f64; LANES],
    products: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, a: &[f32; LANES], b: &[f32; LANES]) {
        for lane in 0..LANES {
            let (a, b) = (f64::from(a[lane]), f64::from(b[lane]));
            let difference = (a - b).abs();
            self.changed[lane] += u32::from(a != b);
            self.max_abs[lane] = larger(difference, self.max_abs[lane]);
            self.abs[lane] += difference;
            self.squares[lane] += difference * difference;
            self.a_squares[lane] += a * a;
            self.b_squares[lane] += b * b;
            self.products[lane] += a * b;
        }
    }

    /// Adds what is left after the full rows; missing elements are zeros, which add nothing.
    fn add_rest(&mut self, a: &[f32], b: &[f32]) {
        let (mut a_row, mut b_row) = ([0.0; LANES], [0.0; LANES]);
        a_row[..a.len()].copy_from_slice(a);
        b_row[..b.len()].copy_from_slice(b);
        self.add(&a_row, &b_row);
    }

    fn sums(&self) -> Sums {
        Sums {
            changed: self.changed.iter().map(|&count| u64::from(count)).sum(),
            max_abs: self.max_abs.iter().fold(0.0, |most, &x| larger(x, most)),
            abs: sum(&self.abs),
            squares: sum(&self.squares),
            a_squares: sum(&self.a_squares),
            b_squares: sum(&self.b_squares),
            products: sum(&self.products),
        }
    }
}

/// `new` if it is larger than `old`: what the processor's maximum does, NaN included.
#[inline(always)]
fn larger(new: f64, old: f64) -> f64 {
    if new > old { new } else { old }
}

fn sum(lanes: &[f64; LANES]) -> f64 {
    lanes.iter().fold(0.0, |sum, lane| sum + lane)
}

fn portable(a: &[f32], b: &[f32]) -> Sums {
    let ((a_rows, a_rest), (b_rows, b_rest)) = (a.as_chunks(), b.as_chunks());
    let mut lanes = Lanes::default();
    for (a, b) in a_rows.iter().zip(b_rows) {
        lanes.add(a, b);
    }
    lanes.add_rest(a_rest, b_rest);
    lanes.sums()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Lanes, Sums};
    use std::arch::x86_64::*;

    /// One 512-bit register a sum.
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,popcnt")]
    pub(super) fn avx512(a: &[f32], b: &[f32]) -> Sums {
        let ((a_rows, a_rest), (b_rows, b_rest)) = (a.as_chunks(), b.as_chunks());
        let zero = _mm512_setzero_pd();
        let [mut most, mut abs, mut squares] = [zero; 3];
        let [mut a_squares, mut b_squares, mut products] = [zero; 3];
        let mut changed = 0u32;
        for (a, b) in a_rows.iter().zip(b_rows) {
            let (a, b) = (load(a), load(b));
            changed += _mm256_cmp_ps_mask::<_CMP_NEQ_UQ>(a, b).count_ones();
            let (a, b) = (_mm512_cvtps_pd(a), _mm512_cvtps_pd(b));
            let difference = _mm512_abs_pd(_mm512_sub_pd(a, b));
            most = _mm512_max_pd(difference, most);
            abs = _mm512_add_pd(abs, difference);
            squares = _mm512_add_pd(squares, _mm512_mul_pd(difference, difference));
            a_squares = _mm512_fmadd_pd(a, a, a_squares);
            b_squares = _mm512_fmadd_pd(b, b, b_squares);
            products = _mm512_fmadd_pd(a, b, products);
        }
        let mut lanes = Lanes {
            changed: [changed, 0, 0, 0, 0, 0, 0, 0],
            max_abs: spread(most),
            abs: spread(abs),
            squares: spread(squares),
            a_squares: spread(a_squares),
            b_squares: spread(b_squares),
            products: spread(products),
        };
        lanes.add_rest(a_rest, b_rest);
        lanes.sums()
    }

    /// Two 256-bit registers a sum.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(a: &[f32], b: &[f32]) -> Sums {
        let ((a_rows, a_rest), (b_rows, b_rest)) = (a.as_chunks(), b.as_chunks());
        let zero = [_mm256_setzero_pd(); 2];
        let [mut most, mut abs, mut squares] = [zero; 3];
        let [mut a_squares, mut b_squares, mut products] = [zero; 3];
        let mut changed = _mm256_setzero_si256();
        for (a, b) in a_rows.iter().zip(b_rows) {
            let (a, b) = (load(a), load(b));
            let differ = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_NEQ_UQ>(a, b));
            changed = _mm256_sub_epi32(changed, differ);
            let (a, b) = (halves(a), halves(b));
            for half in 0..2 {
                let (a, b) = (a[half], b[half]);
                let signed = _mm256_sub_pd(a, b);
                let difference = _mm256_andnot_pd(_mm256_set1_pd(-0.0), signed);
                most[half] = _mm256_max_pd(difference, most[half]);
                abs[half] = _mm256_add_pd(abs[half], difference);
                let square = _mm256_mul_pd(difference, difference);
                squares[half] = _mm256_add_pd(squares[half], square);
                a_squares[half] = _mm256_fmadd_pd(a, a, a_squares[half]);
                b_squares[half] = _mm256_fmadd_pd(b, b, b_squares[half]);
                products[half] = _mm256_fmadd_pd(a, b, products[half]);
            }
        }
        let mut lanes = Lanes {
            changed: [0; LANES],
            max_abs: spread_halves(most),
            abs: spread_halves(abs),
            squares: spread_halves(squares),
            a_squares: spread_halves(a_squares),
            b_squares: spread_halves(b_squares),
            products: spread_halves(products),
        };
        // SAFETY: eight 32-bit counts fill the register.
        unsafe { _mm256_storeu_si256(lanes.changed.as_mut_ptr().cast(), changed) };
        lanes.add_rest(a_rest, b_rest);
        lanes.sums()
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn load(row: &[f32; LANES]) -> __m256 {
        // SAFETY: the row has the eight floats that are read.
        unsafe { _mm256_loadu_ps(row.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn halves(row: __m256) -> [__m256d; 2] {
        [
            _mm256_cvtps_pd(_mm256_castps256_ps128(row)),
            _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(row)),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn spread(lanes: __m512d) -> [f64; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: eight doubles are written, and there is room for eight.
        unsafe { _mm512_storeu_pd(out.as_mut_ptr(), lanes) };
        out
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn spread_halves(lanes: [__m256d; 2]) -> [f64; LANES] {
        let mut out = [0.0; LANES];
        for (half, lanes) in out.as_chunks_mut::<4>().0.iter_mut().zip(lanes) {
            // SAFETY: four doubles are written, and there is room for four.
            unsafe { _mm256_storeu_pd(half.as_mut_ptr(), lanes) };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of very different sizes, denormals, zeros of both signs; the same each time.
    fn pairs(count: usize) -> (Vec<f32>, Vec<f32>) {
        let mut state = 7u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let bits = (state >> 32) as u32;
            let value = f32::from_bits(bits);
            if value.is_finite() { value } else { -0.0 }
        };
        let a: Vec<f32> = (0..count).map(|_| next()).collect();
        let b = a.iter().enumerate();
        let b = b
            .map(|(i, &a)| if i % 3 == 0 { a } else { next() })
            .collect();
        (a, b)
    }

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_portable_form() {
        let mut seen = 0;
        for count in [0, 1, 7, 8, 9, 64, 1001, 4096] {
            let (a, b) = pairs(count);
            let expected = compare(InstructionSet::Baseline, &a, &b);
            for set in InstructionSet::available() {
                let found = compare(set, &a, &b);
                assert_eq!(found, expected, "{set:?} of {count}");
                seen += 1;
            }
        }
        assert!(seen >= 8);
    }

    #[test]
    fn sums_are_those_of_a_plain_loop() {
        let a = [1.0f32, -2.0, 0.5, 4.0, 0.0];
        let b = [1.0f32, -1.0, 0.5, 4.5, -0.0];
        let expected = Sums {
            changed: 2,
            max_abs: 1.0,
            abs: 1.5,
            squares: 1.25,
            a_squares: 21.25,
            b_squares: 22.5,
            products: 21.25,
        };
        assert_eq!(compare(InstructionSet::best(), &a, &b), expected);
        assert_eq!(position_of(&a, &b, 1.0), Some(1));
    }

    #[test]
    fn every_instruction_set_notices_what_is_not_finite() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        for set in InstructionSet::available() {
            for (at, odd) in [0, 13, 16].into_iter().zip(odd) {
                for both in [false, true] {
                    let (mut a, mut b) = (vec![1.0; 17], vec![1.0; 17]);
                    a[at] = odd;
                    if both {
                        b[at] = odd;
                    }
                    assert!(!compare(set, &a, &b).is_finite(), "{set:?} {odd} {both}");
                }
            }
        }
    }
}
