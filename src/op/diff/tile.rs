//! Compares runs of elements that fit the innermost caches.

use super::tally::{Sum, Tally, scale};
use super::values::Numbers;
use crate::kernel::{InstructionSet, difference};

/// Elements that are summed on their own before they are added to the rest. Tiles start at
/// multiples of this, so that sums do not depend on how much is read at once.
pub(super) const TILE: usize = 4096;

/// How near elements have to be: `|a - b| <= atol + rtol * |b|`, as `numpy.allclose(a, b)`
/// has it, with NaN equal to NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative to the element of B.
    pub rtol: f64,
    /// Absolute.
    pub atol: f64,
}

impl Tolerance {
    fn holds(self, difference: f64, b: f64) -> bool {
        difference <= self.atol + self.rtol * b
    }

    /// Whether every pair is near enough.
    pub(super) fn holds_for_singles(self, a: &[f32], b: &[f32]) -> bool {
        let is_near = |a: f32, b: f32| {
            let (a, b) = (f64::from(a), f64::from(b));
            a == b || (a.is_nan() && b.is_nan()) || {
                let is_finite = (a - b).is_finite();
                is_finite && self.holds((a - b).abs(), b.abs())
            }
        };
        a.iter().zip(b).all(|(&a, &b)| is_near(a, b))
    }

    /// Whether every pair is near enough.
    pub(super) fn holds_for_numbers(self, a: &Numbers, b: &Numbers) -> bool {
        (0..a.real.len()).all(|index| {
            let (x, y) = (Pair::at(a, index), Pair::at(b, index));
            match x.is_finite() && y.is_finite() {
                true => self.holds(distance(a, b, index, 1.0), y.re.hypot(y.im)),
                false => x.is_same(y),
            }
        })
    }
}

/// Compares two runs of at most [`TILE`] elements. `first`: index of their first element.
///
/// `max_abs` so far: where a smaller maximum stands is not looked up.
pub(super) fn compare_singles(
    instructions: InstructionSet,
    a: &[f32],
    b: &[f32],
    first: u64,
    max_abs: f64,
) -> Tally {
    let sums = difference::compare(instructions, a, b);
    if !sums.is_finite() {
        return compare_numbers(&widened(a), &widened(b), first);
    }
    let position = match sums.max_abs > max_abs {
        true => difference::position_of(a, b, sums.max_abs),
        false => None,
    };
    Tally {
        finite: a.len() as u64,
        changed: sums.changed,
        max_abs: sums.max_abs,
        max_abs_at: position.map(|position| first + position as u64),
        abs: Sum::new(sums.abs, 0),
        squares: Sum::new(sums.squares, 0),
        a_squares: Sum::new(sums.a_squares, 0),
        b_squares: Sum::new(sums.b_squares, 0),
        products: Sum::new(sums.products, 0),
        ..Tally::default()
    }
}

fn widened(singles: &[f32]) -> Numbers {
    Numbers {
        real: singles.iter().copied().map(f64::from).collect(),
        ..Numbers::default()
    }
}

/// Compares two runs of at most [`TILE`] elements of any kind, NaN and infinity included.
/// `first`: index of their first element.
pub(super) fn compare_numbers(a: &Numbers, b: &Numbers, first: u64) -> Tally {
    let mut tally = Tally::default();
    let mut pairs = Vec::with_capacity(a.real.len());
    let mut largest = 0.0;
    for index in 0..a.real.len() {
        let (x, y) = (Pair::at(a, index), Pair::at(b, index));
        if x.is_finite() && y.is_finite() {
            largest = x.size().max(y.size()).max(largest);
            pairs.push((index, x, y));
        } else if x.is_nan() && y.is_nan() {
            tally.both_nan += 1;
        } else if !x.is_same(y) {
            tally.non_finite += 1;
            tally.first_non_finite.get_or_insert(first + index as u64);
        }
    }
    // Squares of numbers near the ends of f64 would overflow or vanish, so they are scaled by
    // a power of two, which is exact.
    let exponent = far_exponent(largest);
    let down = scale(1.0, -exponent);
    let differences: Vec<f64> = pairs
        .iter()
        .map(|&(index, ..)| distance(a, b, index, down))
        .collect();
    tally.finite = pairs.len() as u64;
    for (&(index, ..), &difference) in pairs.iter().zip(&differences) {
        tally.changed += u64::from(difference != 0.0);
        if difference > tally.max_abs {
            tally.max_abs = difference;
            tally.max_abs_at = Some(first + index as u64);
        }
    }
    add_differences(&differences, exponent, &mut tally);
    let [mut a_squares, mut b_squares, mut products] = [0.0; 3];
    for (_, x, y) in pairs {
        let (x, y) = (x.times(down), y.times(down));
        a_squares += x.re * x.re + x.im * x.im;
        b_squares += y.re * y.re + y.im * y.im;
        products += x.re * y.re + x.im * y.im;
    }
    tally.a_squares = Sum::new(a_squares, 2 * exponent);
    tally.b_squares = Sum::new(b_squares, 2 * exponent);
    tally.products = Sum::new(products, 2 * exponent);
    tally.max_abs = scale(tally.max_abs, exponent);
    tally
}

/// Sums differences that are in units of `2^exponent`; the tally's maximum is still so too.
fn add_differences(differences: &[f64], exponent: i32, tally: &mut Tally) {
    let further = far_exponent(tally.max_abs);
    let down = scale(1.0, -further);
    let [mut abs, mut squares] = [0.0; 2];
    for difference in differences {
        let difference = difference * down;
        abs += difference;
        squares += difference * difference;
    }
    tally.abs = Sum::new(abs, exponent + further);
    tally.squares = Sum::new(squares, 2 * (exponent + further));
}

/// 0 for a number whose square is an ordinary one, else about its exponent.
fn far_exponent(number: f64) -> i32 {
    const ORDINARY: i32 = 400;
    if number == 0.0 {
        return 0;
    }
    let exponent = ((number.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    match exponent.abs() <= ORDINARY {
        true => 0,
        false => exponent.clamp(-1000, 1000),
    }
}

/// `|a - b| * down` of the elements at `index`, both finite.
fn distance(a: &Numbers, b: &Numbers, index: usize, down: f64) -> f64 {
    let (x, y) = (Pair::at(a, index), Pair::at(b, index));
    let exact = match (a.integers.get(index), b.integers.get(index)) {
        (Some(&a), Some(&b)) => Some(a - b),
        (Some(&a), None) if y.im == 0.0 => integer(y.re).map(|b| a - b),
        (None, Some(&b)) if x.im == 0.0 => integer(x.re).map(|a| a - b),
        _ => None,
    };
    if let Some(exact) = exact {
        return exact.unsigned_abs() as f64 * down;
    }
    let (x, y) = (x.times(down), y.times(down));
    match x.im == y.im {
        true => (x.re - y.re).abs(),
        false => (x.re - y.re).hypot(x.im - y.im),
    }
}

/// A float that is a whole number below 2^100.
fn integer(number: f64) -> Option<i128> {
    let fits = number.fract() == 0.0 && number.abs() < 2f64.powi(100);
    fits.then_some(number as i128)
}

/// One element, as a complex number.
#[derive(Clone, Copy)]
struct Pair {
    re: f64,
    im: f64,
}

impl Pair {
    fn at(numbers: &Numbers, index: usize) -> Pair {
        Pair {
            re: numbers.real[index],
            im: numbers.imaginary.get(index).copied().unwrap_or(0.0),
        }
    }

    fn times(self, factor: f64) -> Pair {
        Pair {
            re: self.re * factor,
            im: self.im * factor,
        }
    }

    /// The larger of the parts.
    fn size(self) -> f64 {
        self.re.abs().max(self.im.abs())
    }

    fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }

    fn is_nan(self) -> bool {
        self.re.is_nan() || self.im.is_nan()
    }

    /// Equal, or NaN like the other.
    fn is_same(self, other: Pair) -> bool {
        (self.is_nan() && other.is_nan()) || (self.re == other.re && self.im == other.im)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(real: &[f64]) -> Numbers {
        Numbers {
            real: real.to_vec(),
            ..Numbers::default()
        }
    }

    fn integers(integers: &[i128]) -> Numbers {
        Numbers {
            real: integers.iter().map(|&i| i as f64).collect(),
            integers: integers.to_vec(),
            ..Numbers::default()
        }
    }

    // By hand: |a| = 5e300, |a - b| = 1e300, and everything times 1e-300 squared.
    #[test]
    fn numbers_at_the_ends_of_f64_have_a_relative_error() {
        for size in [1e300, 1.0, 1e-300] {
            let a = numbers(&[3.0 * size, 4.0 * size]);
            let b = numbers(&[3.0 * size, 5.0 * size]);
            let metrics = compare_numbers(&a, &b, 0).metrics();
            assert!((metrics.rel_l2.unwrap() - 0.2).abs() < 1e-15, "{size}");
            assert!((metrics.rmse.unwrap() / size - 0.5f64.sqrt()).abs() < 1e-15);
            assert!((metrics.snr_db.unwrap() - 10.0 * 25f64.log10()).abs() < 1e-12);
            assert_eq!(metrics.max_abs_at, Some(1));
        }
    }

    #[test]
    fn small_differences_of_large_numbers_do_not_vanish() {
        let a = numbers(&[1.0, 1e-200]);
        let b = numbers(&[1.0, 3e-200]);
        let rel = compare_numbers(&a, &b, 0).metrics().rel_l2.unwrap();
        assert!((rel / 2e-200 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn integers_differ_exactly_beyond_2_to_the_53() {
        let large = 1i128 << 60;
        let tally = compare_numbers(&integers(&[large, 5]), &integers(&[large + 1, 5]), 0);
        assert_eq!((tally.changed, tally.max_abs), (1, 1.0));
        let against_floats = compare_numbers(&integers(&[large + 1]), &numbers(&[large as f64]), 0);
        assert_eq!((against_floats.changed, against_floats.max_abs), (1, 1.0));
        let ends = compare_numbers(
            &integers(&[u64::MAX.into()]),
            &integers(&[i64::MIN.into()]),
            0,
        );
        assert_eq!(ends.max_abs, 2f64.powi(64) + 2f64.powi(63));
    }

    #[test]
    fn nan_and_infinity_are_told_apart_and_left_out_of_sums() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let a = numbers(&[1.0, nan, inf, inf, nan, 2.0]);
        let b = numbers(&[1.0, nan, inf, -inf, 7.0, 3.0]);
        let tally = compare_numbers(&a, &b, 10);
        assert_eq!((tally.finite, tally.changed), (2, 1));
        assert_eq!((tally.both_nan, tally.non_finite), (1, 2));
        assert_eq!(tally.first_non_finite, Some(13));
        assert_eq!((tally.max_abs, tally.max_abs_at), (1.0, Some(15)));
    }

    #[test]
    fn both_ways_of_comparing_agree() {
        let a: Vec<f32> = (0..1000).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = (0..1000)
            .map(|i| (i as f32).sin() + (i % 7) as f32 * 1e-3)
            .collect();
        let fast = compare_singles(InstructionSet::best(), &a, &b, 5, 0.0);
        let slow = compare_numbers(&widened(&a), &widened(&b), 5);
        assert_eq!(
            (fast.changed, fast.max_abs_at),
            (slow.changed, slow.max_abs_at)
        );
        let (fast, slow) = (fast.metrics(), slow.metrics());
        assert!((fast.rel_l2.unwrap() / slow.rel_l2.unwrap() - 1.0).abs() < 1e-12);
        assert!((fast.cosine.unwrap() - slow.cosine.unwrap()).abs() < 1e-12);
    }
}
