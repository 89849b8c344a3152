//! Numbers of twice the width: the unevaluated sum of two `f64`, about 106 bits.
//!
//! Source: Dekker, "A floating-point technique for extending the available precision" (1971);
//! Knuth, The Art of Computer Programming 2, 4.2.2, theorem B.

use std::cmp::Ordering;
use std::ops::{Add, Mul, Neg, Sub};

/// `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Double {
    /// The number rounded to an `f64`.
    pub high: f64,
    /// What rounding took away.
    pub low: f64,
}

/// `a + b` and what rounding it lost, exactly.
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a * b` and what rounding it lost, exactly unless the loss is below `2^-1022`.
///
/// Splits by Veltkamp instead of a fused multiplication, which is slow where the machine has
/// none. Both are below `2^995` in magnitude.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    let lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, lost)
}

/// The upper 26 bits of `value` and the rest.
fn split(value: f64) -> (f64, f64) {
    const SPLITTER: f64 = ((1u64 << 27) + 1) as f64;
    let scaled = SPLITTER * value;
    let high = scaled - (scaled - value);
    (high, value - high)
}

impl Double {
    /// Zero.
    pub const ZERO: Double = Double {
        high: 0.0,
        low: 0.0,
    };

    /// The sum of any two numbers.
    pub fn sum(a: f64, b: f64) -> Double {
        let (high, low) = two_sum(a, b);
        Double { high, low }
    }

    /// The upper 106 bits of an integer: all of it up to `2^106`.
    pub fn from_integer(value: i128) -> Double {
        let high = value as f64;
        // Saturates at the type's ends only, where `high` is exact up to one.
        let low = value.saturating_sub(high as i128) as f64;
        Double { high, low }
    }

    /// Rounded to an `f64`.
    pub fn value(self) -> f64 {
        self.high + self.low
    }

    /// This number times a power of two.
    #[must_use]
    pub fn scaled(self, power: f64) -> Double {
        Double {
            high: self.high * power,
            low: self.low * power,
        }
    }
}

impl From<f64> for Double {
    fn from(high: f64) -> Double {
        Double { high, low: 0.0 }
    }
}

impl Add for Double {
    type Output = Double;

    fn add(self, other: Double) -> Double {
        let (high, lost) = two_sum(self.high, other.high);
        let (low, lost_low) = two_sum(self.low, other.low);
        let first = Double::sum(high, lost + low);
        Double::sum(first.high, first.low + lost_low)
    }
}

impl Neg for Double {
    type Output = Double;

    fn neg(self) -> Double {
        Double {
            high: -self.high,
            low: -self.low,
        }
    }
}

impl Sub for Double {
    type Output = Double;

    fn sub(self, other: Double) -> Double {
        self + -other
    }
}

impl Mul<f64> for Double {
    type Output = Double;

    fn mul(self, factor: f64) -> Double {
        let (high, lost) = two_product(self.high, factor);
        Double::sum(high, lost + self.low * factor)
    }
}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Double) -> Option<Ordering> {
        let high = self.high.partial_cmp(&other.high)?;
        Some(high.then(self.low.partial_cmp(&other.low)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_an_f64_would_lose() {
        let sum = Double::from(1e16) + Double::from(1.0) + Double::from(-1e16);
        assert_eq!(sum.value(), 1.0);
        let sum = Double::from(1e30) + Double::from(1.0) - Double::from(1e30);
        assert_eq!(sum.value(), 1.0);
    }

    #[test]
    fn products_keep_106_bits() {
        // (2^53 - 1)^2 = 2^106 - 2^54 + 1
        let factor = 9_007_199_254_740_991.0;
        let square = Double::from(factor) * factor;
        let expected = (9_007_199_254_740_991i128).pow(2);
        assert_eq!(square.high as i128 + square.low as i128, expected);
    }

    #[test]
    fn integers_up_to_106_bits_are_exact() {
        let value = (1i128 << 105) + 1;
        let double = Double::from_integer(value);
        assert_eq!(double.high as i128 + double.low as i128, value);
        assert_eq!(
            Double::from_integer(i128::MAX).value(),
            170141183460469231731687303715884105728.0
        );
    }
}
