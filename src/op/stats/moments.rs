//! What is known about a run of elements, and how two runs become one.

use crate::kernel::double::Double;
use crate::kernel::lossless::Exact;
use crate::kernel::moments::{Tile, power_of_two};

/// The statistics of a run of elements, as sums: what tiles have, with indices within the run.
///
/// Sums are kept to about 106 bits, so merging costs no digit. Sources: Chan, Golub and
/// LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Elements of any kind.
    pub elements: u64,
    /// Finite elements.
    pub finite: u64,
    /// Elements that are zero.
    pub zeros: u64,
    /// Elements that are no number.
    pub nans: u64,
    /// Infinite elements.
    pub infs: u64,
    /// Index of the first element that is not finite.
    pub first_nonfinite: Option<u64>,
    /// The least finite element.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The same where an `f64` cannot hold them.
    pub integers: Option<(i128, i128)>,
    /// Which smaller floats hold all elements exactly; looked at in F32 and F64 only.
    pub exact: Exact,
    /// The sums below are of the elements times `2^-exponent`.
    exponent: i32,
    sum: Double,
    absolute: Double,
    /// Sum of the squared distances from the mean.
    spread: Double,
}

impl Moments {
    /// No elements.
    pub const EMPTY: Moments = Moments::of(&Tile::EMPTY, 0);

    /// Those of a tile of `elements` elements.
    pub const fn of(tile: &Tile, elements: u64) -> Moments {
        Moments {
            elements,
            finite: tile.finite,
            zeros: tile.zeros,
            nans: tile.nans,
            infs: tile.infs,
            first_nonfinite: tile.first_nonfinite,
            min: tile.min,
            max: tile.max,
            integers: tile.integers,
            exact: Exact::ALL,
            exponent: tile.exponent,
            sum: tile.sum,
            absolute: tile.absolute,
            spread: Double {
                high: tile.spread,
                low: 0.0,
            },
        }
    }

    /// Those of `count(code)` elements of each value `values[code]`: as two passes over all of
    /// them give, without rounding each. Codes whose value is not finite are counted as such.
    pub fn of_codes(counts: &[u64; 256], values: &[f64; 256]) -> Moments {
        let mut moments = Moments::EMPTY;
        let used = || counts.iter().zip(values).filter(|(count, _)| **count > 0);
        for (&count, &value) in used() {
            moments.elements += count;
            if value.is_nan() {
                moments.nans += count;
            } else if value.is_infinite() {
                moments.infs += count;
            } else {
                moments.finite += count;
                moments.zeros += if value == 0.0 { count } else { 0 };
                moments.min = moments.min.min(value + 0.0);
                moments.max = moments.max.max(value + 0.0);
                // Counts of one run are below 2^53.
                moments.sum = moments.sum + Double::from(value) * count as f64;
                moments.absolute = moments.absolute + Double::from(value.abs()) * count as f64;
            }
        }
        if moments.finite > 0 {
            let mean = moments.sum.value() / moments.finite as f64;
            for (&count, &value) in used().filter(|(_, value)| value.is_finite()) {
                let distance = value - mean;
                moments.spread = moments.spread + Double::from(distance * distance) * count as f64;
            }
        }
        moments
    }

    /// Appends the run that follows this one.
    pub fn append(&mut self, next: &Moments) {
        let nonfinite = next.first_nonfinite.map(|index| self.elements + index);
        self.first_nonfinite = self.first_nonfinite.or(nonfinite);
        self.merge(next);
    }

    /// Adds elements of another tensor, whose indices mean nothing here.
    pub fn merge(&mut self, other: &Moments) {
        self.integers = match (self.finite, other.finite) {
            (_, 0) => self.integers,
            (0, _) => other.integers,
            _ => {
                let pair = self.integers.zip(other.integers);
                pair.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)))
            }
        };
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.exact = self.exact.and(other.exact);
        self.add_sums(other);
        self.elements += other.elements;
        self.finite += other.finite;
        self.zeros += other.zeros;
        self.nans += other.nans;
        self.infs += other.infs;
    }

    fn add_sums(&mut self, other: &Moments) {
        if other.finite == 0 {
            return;
        }
        if self.finite == 0 {
            self.exponent = other.exponent;
        }
        let exponent = self.exponent.max(other.exponent);
        self.rescale(exponent);
        let mut other = *other;
        other.rescale(exponent);

        let (ours, theirs) = (self.finite as f64, other.finite as f64);
        // The distance of the means times both counts: no digit is lost where they nearly agree.
        let apart = if self.finite == 0 {
            0.0
        } else {
            (other.sum * ours - self.sum * theirs).value()
        };
        let both = ours * theirs * (ours + theirs);
        if apart != 0.0 {
            self.spread = self.spread + Double::from(apart * (apart / both));
        }
        self.spread = self.spread + other.spread;
        self.sum = self.sum + other.sum;
        self.absolute = self.absolute + other.absolute;
    }

    /// Moves the sums to a larger exponent. What falls out of range is nothing beside them.
    fn rescale(&mut self, exponent: i32) {
        let mut steps = exponent - self.exponent;
        self.exponent = exponent;
        while steps > 0 {
            // 600 or 1200: a power of two that is a normal number, twice for the squares.
            let power = power_of_two(-steps.min(600));
            self.sum = self.sum.scaled(power);
            self.absolute = self.absolute.scaled(power);
            self.spread = self.spread.scaled(power).scaled(power);
            steps -= steps.min(600);
        }
    }

    /// The mean; `None` if nothing is finite.
    pub fn mean(&self) -> Option<f64> {
        let mean = (self.finite > 0).then(|| self.sum.value() / self.finite as f64)?;
        // A mean cannot lie outside, but rounding may put it there.
        Some((mean * power_of_two(self.exponent)).clamp(self.min, self.max))
    }

    /// The population's standard deviation; `None` if nothing is finite.
    pub fn deviation(&self) -> Option<f64> {
        if self.finite == 0 {
            return None;
        }
        if self.min == self.max && self.integers.is_none_or(|(min, max)| min == max) {
            return Some(0.0);
        }
        let variance = self.spread.value() / self.finite as f64;
        Some(variance.sqrt() * power_of_two(self.exponent))
    }

    /// Sum of the magnitudes; `None` if nothing is finite. Infinite if an `f64` cannot hold it.
    pub fn l1(&self) -> Option<f64> {
        let sum = self.absolute.value() * power_of_two(self.exponent);
        (self.finite > 0).then_some(sum)
    }

    /// Root of the sum of squares; `None` if nothing is finite.
    pub fn l2(&self) -> Option<f64> {
        if self.finite == 0 {
            return None;
        }
        let sum = self.sum.value();
        let squares = self.spread.value() + sum * (sum / self.finite as f64);
        Some(squares.sqrt() * power_of_two(self.exponent))
    }

    /// The largest magnitude; `None` if nothing is finite.
    pub fn abs_max(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.max.max(-self.min))
    }
}
