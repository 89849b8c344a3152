//! What was counted and summed over the pairs of two tensors, and the metrics that follow.

/// A sum that neither overflows nor vanishes: `value * 2^exponent`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    value: f64,
    exponent: i32,
}

impl Sum {
    pub(super) fn new(value: f64, exponent: i32) -> Sum {
        Sum { value, exponent }
    }

    pub(super) fn add(&mut self, other: Sum) {
        if other.value == 0.0 {
            return;
        }
        if self.value == 0.0 {
            *self = other;
            return;
        }
        let exponent = self.exponent.max(other.exponent);
        self.value = self.at(exponent) + other.at(exponent);
        self.exponent = exponent;
    }

    /// The value in units of `2^exponent`.
    fn at(self, exponent: i32) -> f64 {
        match self.exponent - exponent {
            0 => self.value,
            shift => scale(self.value, shift),
        }
    }

    fn is_zero(self) -> bool {
        self.value == 0.0
    }

    /// Divided by `count`.
    fn mean(self, count: u64) -> Sum {
        Sum::new(self.value / count as f64, self.exponent)
    }

    /// The root of a sum of squares, whose exponents are even.
    fn root(self) -> Sum {
        Sum::new(self.value.sqrt(), self.exponent / 2)
    }

    /// As a plain number, which may be infinite.
    fn number(self) -> f64 {
        scale(self.value, self.exponent)
    }

    fn over(self, other: Sum) -> Sum {
        Sum::new(self.value / other.value, self.exponent - other.exponent)
    }

    fn times(self, other: Sum) -> Sum {
        Sum::new(self.value * other.value, self.exponent + other.exponent)
    }

    fn log10(self) -> f64 {
        self.value.log10() + f64::from(self.exponent) * std::f64::consts::LOG10_2
    }
}

/// `value * 2^exponent`, rounded once.
pub(super) fn scale(value: f64, exponent: i32) -> f64 {
    let step = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    let mut value = value;
    let mut exponent = exponent.clamp(-3000, 3000);
    // Large steps first: going down, only the last step may leave the normal numbers.
    while exponent > 1000 {
        value *= step(1000);
        exponent -= 1000;
    }
    while exponent < -1000 && value.abs() > f64::MIN_POSITIVE {
        let part = (-exponent - 1000).min(900);
        value *= step(-part);
        exponent += part;
    }
    value * step(exponent.max(-1022))
}

/// Counts and sums over pairs of elements. Only pairs that are finite in both enter sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::op) struct Tally {
    /// Pairs that are finite in both.
    pub(super) finite: u64,
    /// Of those, how many differ.
    pub(super) changed: u64,
    /// Pairs that are NaN in both.
    pub(super) both_nan: u64,
    /// Pairs that differ in NaN or infinity.
    pub(super) non_finite: u64,
    /// The first of those.
    pub(super) first_non_finite: Option<u64>,
    /// The largest `|a - b|`.
    pub(super) max_abs: f64,
    /// Where, if it is not zero.
    pub(super) max_abs_at: Option<u64>,
    /// `|a - b|`.
    pub(super) abs: Sum,
    /// `|a - b|^2`.
    pub(super) squares: Sum,
    /// `|a|^2`.
    pub(super) a_squares: Sum,
    /// `|b|^2`.
    pub(super) b_squares: Sum,
    /// `a * b`; of complex numbers the real part of `conj(a) * b`.
    pub(super) products: Sum,
}

impl Tally {
    /// Adds the pairs that follow those counted so far.
    pub(in crate::op) fn add(&mut self, next: &Tally) {
        self.finite += next.finite;
        self.changed += next.changed;
        self.both_nan += next.both_nan;
        self.non_finite += next.non_finite;
        self.first_non_finite = self.first_non_finite.or(next.first_non_finite);
        if next.max_abs > self.max_abs {
            self.max_abs = next.max_abs;
            self.max_abs_at = next.max_abs_at;
        }
        self.add_sums(next);
    }

    /// Adds the sums only.
    pub(super) fn add_sums(&mut self, next: &Tally) {
        self.abs.add(next.abs);
        self.squares.add(next.squares);
        self.a_squares.add(next.a_squares);
        self.b_squares.add(next.b_squares);
        self.products.add(next.products);
    }

    /// As of elements that are `factor` times as large.
    pub(in crate::op) fn scaled(mut self, factor: f64) -> Tally {
        let squared = factor * factor;
        let sums = [
            (&mut self.abs, factor),
            (&mut self.squares, squared),
            (&mut self.a_squares, squared),
            (&mut self.b_squares, squared),
            (&mut self.products, squared),
        ];
        for (sum, factor) in sums {
            sum.value *= factor;
        }
        self.max_abs *= factor;
        self
    }

    /// Whether every pair is equal; NaN equals NaN.
    pub(super) fn is_equal(&self) -> bool {
        self.changed == 0 && self.non_finite == 0
    }

    /// `|a - b| / |a|`: 0 where nothing differs; `None` if no pair is finite.
    pub(super) fn rel_l2(&self) -> Option<f64> {
        match (self.finite, self.squares.is_zero()) {
            (0, _) => None,
            (_, true) => Some(0.0),
            _ => Some(self.squares.root().over(self.a_squares.root()).number()),
        }
    }

    /// The metrics that people read.
    pub(in crate::op) fn metrics(&self) -> Metrics {
        let some = |value: f64| (self.finite > 0).then_some(value);
        Metrics {
            changed: Some(self.changed + self.non_finite),
            max_abs: some(self.max_abs),
            max_abs_at: self.max_abs_at,
            mean_abs: some(self.abs.mean(self.finite.max(1)).number()),
            rmse: some(self.squares.mean(self.finite.max(1)).root().number()),
            rel_l2: self.rel_l2(),
            cosine: self.cosine(),
            snr_db: some(self.snr_db()),
            both_nan: self.both_nan,
            non_finite: self.non_finite,
            first_non_finite: self.first_non_finite,
        }
    }

    fn cosine(&self) -> Option<f64> {
        if self.finite == 0 {
            return None;
        }
        if self.squares.is_zero() {
            return Some(1.0);
        }
        if self.a_squares.is_zero() || self.b_squares.is_zero() {
            return None;
        }
        let norms = self.a_squares.root().times(self.b_squares.root());
        Some(self.products.over(norms).number().clamp(-1.0, 1.0))
    }

    fn snr_db(&self) -> f64 {
        if self.squares.is_zero() {
            return f64::INFINITY;
        }
        10.0 * (self.a_squares.log10() - self.squares.log10())
    }
}

/// How far two tensors are apart. What does not exist is `None`.
///
/// Sums run over the pairs that are finite in both; all are in `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Elements that differ; NaN equals NaN, and `-0.0` equals `0.0`.
    pub changed: Option<u64>,
    /// The largest `|a - b|`.
    pub max_abs: Option<f64>,
    /// Where that stands, row by row in A's order; `None` if it is zero.
    pub max_abs_at: Option<u64>,
    /// The mean of `|a - b|`.
    pub mean_abs: Option<f64>,
    /// The root of the mean of `|a - b|^2`.
    pub rmse: Option<f64>,
    /// `|a - b| / |a|`, of the Euclidean norms.
    pub rel_l2: Option<f64>,
    /// The cosine of the angle between the two; 1 if nothing differs.
    pub cosine: Option<f64>,
    /// `10 log10(|a|^2 / |a - b|^2)`, decibels; infinite if nothing differs.
    pub snr_db: Option<f64>,
    /// Elements that are NaN in both.
    pub both_nan: u64,
    /// Elements that differ in NaN or infinity.
    pub non_finite: u64,
    /// The first of those, row by row in A's order.
    pub first_non_finite: Option<u64>,
}

impl Metrics {
    /// The metrics of a tensor and its equal, bit for bit, whatever it holds.
    pub(in crate::op) const IDENTICAL: Metrics = Metrics {
        changed: Some(0),
        max_abs: Some(0.0),
        max_abs_at: None,
        mean_abs: Some(0.0),
        rmse: Some(0.0),
        rel_l2: Some(0.0),
        cosine: Some(1.0),
        snr_db: Some(f64::INFINITY),
        both_nan: 0,
        non_finite: 0,
        first_non_finite: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_reaches_the_ends_of_the_numbers() {
        assert_eq!(scale(1.5, 3), 12.0);
        assert_eq!(scale(1.0, -1074), f64::from_bits(1));
        assert_eq!(scale(f64::from_bits(1), 1074), 1.0);
        assert_eq!(scale(1.0, 1024), f64::INFINITY);
        assert_eq!(scale(1.0, -1080), 0.0);
        assert_eq!(scale(2f64.powi(1000), -2000), 2f64.powi(-1000));
    }

    #[test]
    fn sums_of_different_exponents_meet_at_the_larger() {
        let mut sum = Sum::new(1.0, 2000);
        sum.add(Sum::new(1.0, 1999));
        assert_eq!(sum, Sum::new(1.5, 2000));
        sum.add(Sum::new(1.0, -2000));
        assert_eq!(sum, Sum::new(1.5, 2000));
        assert_eq!(sum.root().exponent, 1000);
    }
}
