//! Counts of values by the leading bits of their numbers: quantiles and histograms in bounded
//! memory, the same for any order of the elements.
//!
//! A bucket is a sign, an exponent and the first [`MANTISSA`] bits of the mantissa of an `f64`,
//! so its ends are less than 1 part in 128 apart, and its middle is within 0.4 % of any value
//! in it. Where all values have so few bits (BF16, the 8-, 6- and 4-bit types, small integers),
//! buckets are the values themselves. F16 and 16-bit integers are counted by their own bits.
//! Both are exact.

use crate::kernel::InstructionSet;
use crate::kernel::count::{Halves, count_halves, count_upper_halves, lower};
use crate::kernel::moments::Narrow;
use std::collections::BTreeMap;

/// Leading bits of the mantissa that tell buckets apart.
const MANTISSA: u32 = 7;

/// Bits of an `f64` below those.
const DROPPED: u32 = 52 - MANTISSA;

/// Buckets there are: a sign, 11 bits of exponent, and the mantissa.
const BUCKETS: usize = 1 << (64 - DROPPED);

/// Counters that are allocated together: eight exponents.
const PAGE: usize = 1024;

/// Elements from which on a run is worth a table of all buckets.
const MANY: usize = 1 << 16;

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// A bucket.
    Buckets,
    /// The 16 bits of an element of this kind.
    Bits(Narrow),
}

/// How many elements have each key.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    keys: Keys,
    pages: BTreeMap<u16, Box<[u64; PAGE]>>,
    /// Bits that some value had and its bucket does not tell.
    dropped: u64,
}

/// Values in ascending order, and how many elements have each.
pub(super) type Counted = Vec<(f64, u64)>;

impl Sketch {
    pub(super) fn new(keys: Keys) -> Sketch {
        Sketch {
            keys,
            pages: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Counts `count` elements of one finite value.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        debug_assert_eq!(self.keys, Keys::Buckets);
        let bits = value.to_bits();
        self.dropped |= bits & ((1 << DROPPED) - 1);
        self.add_key((bits >> DROPPED) as usize, count);
    }

    fn add_key(&mut self, key: usize, count: u64) {
        self.page((key / PAGE) as u16)[key % PAGE] += count;
    }

    fn page(&mut self, page: u16) -> &mut [u64; PAGE] {
        self.pages
            .entry(page)
            .or_insert_with(|| Box::new([0; PAGE]))
    }

    /// Adds the elements of another run. Keys of two kinds meet in buckets.
    pub(super) fn merge(&mut self, other: Sketch) {
        if self.keys != other.keys {
            let mut buckets = Sketch::new(Keys::Buckets);
            for sketch in [&*self, &other] {
                buckets.dropped |= sketch.dropped;
                for (value, count) in sketch.entries() {
                    buckets.add(value, count);
                }
            }
            *self = buckets;
            return;
        }
        self.dropped |= other.dropped;
        for (page, counts) in other.pages {
            for (total, count) in self.page(page).iter_mut().zip(counts.iter()) {
                *total += count;
            }
        }
    }

    /// The finite values that keys stand for, without order; a bucket by its lower end.
    fn entries(&self) -> impl Iterator<Item = (f64, u64)> {
        let pages = self.pages.iter();
        let counted = pages.flat_map(|(&page, counts)| {
            let keys = (usize::from(page) * PAGE..).zip(counts.iter());
            keys.filter(|(_, count)| **count > 0)
        });
        let keys = self.keys;
        counted
            .map(move |(key, &count)| (value_of(keys, key), count))
            .filter(|(value, _)| value.is_finite())
    }

    /// The values in ascending order, none outside of `min` and `max`.
    pub(super) fn into_counted(self, min: f64, max: f64) -> Counted {
        let is_exact = self.keys != Keys::Buckets || self.dropped == 0;
        let half = match is_exact {
            true => 0,
            false => 1 << (DROPPED - 1),
        };
        let middle = |value: f64| match value == 0.0 && min <= 0.0 && max >= 0.0 {
            // The bucket of zero holds little else: what is below the least normal number.
            true => 0.0,
            false => f64::from_bits(value.to_bits() | half),
        };
        let mut counted: Counted = self
            .entries()
            .map(|(value, count)| (middle(value).clamp(min, max), count))
            .collect();
        counted.sort_by(|a, b| a.0.total_cmp(&b.0));
        counted
    }
}

/// The value that a key stands for: the lower end of a bucket, in magnitude.
fn value_of(keys: Keys, key: usize) -> f64 {
    match keys {
        Keys::Buckets => f64::from_bits((key as u64) << DROPPED),
        Keys::Bits(kind) => kind.value_of(key as u16),
    }
}

/// The value at each of `at` (0 to 1): between the two elements next to it, by their distance,
/// as numpy's default does.
pub(super) fn quantiles(counted: &Counted, at: &[f64]) -> Vec<f64> {
    let total: u64 = counted.iter().map(|(_, count)| count).sum();
    let mut ends = Vec::with_capacity(counted.len());
    let mut seen = 0;
    for (_, count) in counted {
        seen += count;
        ends.push(seen);
    }
    let value_at = |rank: u64| {
        let index = ends.partition_point(|&end| end <= rank);
        counted.get(index).map_or(f64::NAN, |(value, _)| *value)
    };
    let quantile = |&at: &f64| {
        let place = at * total.saturating_sub(1) as f64;
        let below = place.floor();
        let (low, high) = (value_at(below as u64), value_at(place.ceil() as u64));
        // Halves, so that the distance of two large numbers is finite.
        let step = (high / 2.0 - low / 2.0) * (place - below);
        if low == high { low } else { low + step + step }
    };
    at.iter().map(quantile).collect()
}

/// How many elements lie in each of `bins` parts of equal width between `min` and `max`.
pub(super) fn histogram(counted: &Counted, bins: usize, min: f64, max: f64) -> Vec<u64> {
    let mut counts = vec![0; bins];
    let width = max / 2.0 - min / 2.0;
    for &(value, count) in counted {
        let share = (value / 2.0 - min / 2.0) / width;
        // Nothing is left of a width of zero: the first bin. The last one includes its end.
        let bin = if share > 0.0 {
            share * bins as f64
        } else {
            0.0
        };
        counts[(bin as usize).min(bins - 1)] += count;
    }
    counts
}

/// Counts the keys of one thread's elements before they go to a sketch.
pub(super) struct Counter {
    instructions: InstructionSet,
    /// Whether the run is long enough for tables.
    is_long: bool,
    /// One counter a bucket; empty until a long run needs it.
    table: Vec<u32>,
    /// Which pages of it are in use.
    used: Vec<bool>,
    keys: Vec<u32>,
    /// One counter for each value of 16 bits, or each upper half of an F32.
    halves: Box<Halves>,
    /// What of those has been counted.
    counted: Option<Narrow>,
}

impl Counter {
    pub(super) fn new(instructions: InstructionSet) -> Counter {
        Counter {
            instructions,
            is_long: false,
            table: Vec::new(),
            used: vec![false; BUCKETS / PAGE],
            keys: Vec::new(),
            halves: Box::new([0; 1 << 16]),
            counted: None,
        }
    }

    /// Prepares for a run of `elements`, at most `u32::MAX`.
    pub(super) fn begin(&mut self, elements: u64) {
        self.is_long = elements >= MANY as u64;
    }

    /// Counts a tile of elements as they are stored.
    pub(super) fn count_narrow(&mut self, kind: Narrow, bytes: &[u8], sketch: &mut Sketch) {
        if kind == Narrow::F32 {
            return self.count_singles(bytes, sketch);
        }
        if !self.is_long {
            for &half in bytes.as_chunks::<2>().0 {
                sketch.add_key(usize::from(u16::from_le_bytes(half)), 1);
            }
            return;
        }
        count_halves(bytes, &mut self.halves);
        self.counted = Some(kind);
    }

    /// Counts F32 by their upper halves: sign, exponent and the first seven bits of the
    /// mantissa, which are a bucket, except where the exponent is zero.
    fn count_singles(&mut self, bytes: &[u8], sketch: &mut Sketch) {
        let lower = lower(self.instructions, bytes);
        if !self.is_long || lower.has_subnormals {
            let words = bytes.as_chunks::<4>().0.iter();
            let values: Vec<f32> = words.map(|&word| f32::from_le_bytes(word)).collect();
            return self.count_values(&values, sketch);
        }
        // What an F64 has below its bucket's bits.
        sketch.dropped |= u64::from(lower.any & 0xffff) << 29;
        count_upper_halves(bytes, &mut self.halves);
        self.counted = Some(Narrow::F32);
    }

    /// Counts values by their buckets.
    pub(super) fn count_values<T: Copy + Into<f64>>(&mut self, values: &[T], sketch: &mut Sketch) {
        if !self.is_long {
            for &value in values {
                sketch.add(value.into(), 1);
            }
            return;
        }
        self.table.resize(BUCKETS, 0);
        self.keys.clear();
        let bits = |&value: &T| Into::<f64>::into(value).to_bits();
        self.keys
            .extend(values.iter().map(|value| (bits(value) >> DROPPED) as u32));
        let all = values.iter().fold(0, |all, value| all | bits(value));
        sketch.dropped |= all & ((1 << DROPPED) - 1);
        let Ok(table) = <&mut [u32; BUCKETS]>::try_from(self.table.as_mut_slice()) else {
            return;
        };
        for &key in &self.keys {
            table[key as usize % BUCKETS] += 1;
        }
        self.mark();
    }

    /// Marks the pages of the keys: all between the least and the greatest magnitude.
    fn mark(&mut self) {
        const MAGNITUDE: u32 = (BUCKETS / 2 - 1) as u32;
        // Zero, which is far from everything else, becomes the greatest of all.
        let magnitudes = || {
            self.keys
                .iter()
                .map(|key| (key & MAGNITUDE).wrapping_sub(1))
        };
        let least = magnitudes().fold(u32::MAX, u32::min);
        let greatest = self
            .keys
            .iter()
            .fold(0, |most, key| most.max(key & MAGNITUDE));
        let half = BUCKETS / PAGE / 2;
        let first = (least.min(MAGNITUDE - 1) + 1) as usize / PAGE;
        let last = greatest as usize / PAGE;
        for page in (first..=last).chain([0]) {
            self.used[page] = true;
            self.used[page + half] = true;
        }
    }

    /// Moves what was counted by 16 bits to `sketch`.
    fn flush_halves(&mut self, kind: Narrow, sketch: &mut Sketch) {
        // Values that have all but six bits in common have neighbouring keys in one page.
        for (index, part) in self.halves.chunks_mut(64).enumerate() {
            if part.iter().all(|&count| count == 0) {
                continue;
            }
            let first = index * 64;
            let key = match kind {
                Narrow::F32 => (kind.value_of(first as u16).to_bits() >> DROPPED) as usize,
                _ => first,
            };
            let totals = sketch.page((key / PAGE) as u16).iter_mut().skip(key % PAGE);
            for (total, count) in totals.zip(part) {
                *total += u64::from(std::mem::take(count));
            }
        }
    }

    /// Moves what was counted to `sketch`.
    pub(super) fn flush(&mut self, sketch: &mut Sketch) {
        if let Some(kind) = self.counted.take() {
            self.flush_halves(kind, sketch);
        }
        for (page, used) in self.used.iter_mut().enumerate() {
            if !std::mem::take(used) {
                continue;
            }
            let counts = &mut self.table[page * PAGE..(page + 1) * PAGE];
            if counts.iter().any(|&count| count > 0) {
                for (total, count) in sketch.page(page as u16).iter_mut().zip(counts) {
                    *total += u64::from(std::mem::take(count));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch_of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::new(Keys::Buckets);
        let mut counter = Counter::new(InstructionSet::best());
        counter.begin(u64::from(u32::MAX));
        for tile in values.chunks(4096) {
            counter.count_values(tile, &mut sketch);
        }
        counter.flush(&mut sketch);
        sketch
    }

    #[test]
    fn short_values_are_exact() {
        // numpy.quantile([-3, -3, 0, 0.5, 6, 255], [0, .25, .5, .9, 1])
        let counted = sketch_of(&[6.0, -3.0, 0.5, 255.0, 0.0, -3.0]).into_counted(-3.0, 255.0);
        let found = quantiles(&counted, &[0.0, 0.25, 0.5, 0.9, 1.0]);
        assert_eq!(found, [-3.0, -2.25, 0.25, 130.5, 255.0]);
    }

    #[test]
    fn long_values_are_within_four_in_a_thousand() {
        let values: Vec<f64> = (0..10_000)
            .map(|i| 1e-3 * f64::from(i) + 0.123_456)
            .collect();
        let counted = sketch_of(&values).into_counted(values[0], values[9_999]);
        for (at, index) in [
            (0.0, 0),
            (0.01, 100),
            (0.5, 5_000),
            (0.99, 9_899),
            (1.0, 9_999),
        ] {
            let found = quantiles(&counted, &[at])[0];
            let error = (found / values[index] - 1.0).abs();
            assert!(error < 0.004, "{found} is not {}", values[index]);
        }
    }

    #[test]
    fn singles_are_counted_by_the_same_buckets() {
        let ordinary = (0..5_000).map(|i| (i as f32 - 2_000.0) * 1e-3 * 2f32.powi(i % 90 - 60));
        let odd = [
            0.0,
            -0.0,
            f32::NAN,
            f32::INFINITY,
            f32::MAX,
            -f32::MIN_POSITIVE,
        ];
        let tiny = [f32::from_bits(1), -f32::from_bits(0x0060_0000)];
        let values: Vec<f32> = ordinary.chain(odd).collect();
        for values in [values.clone(), [&values[..], &tiny].concat()] {
            let mut fast = Sketch::new(Keys::Buckets);
            let mut slow = Sketch::new(Keys::Buckets);
            let mut counter = Counter::new(InstructionSet::best());
            counter.begin(u64::from(u32::MAX));
            for tile in values.chunks(4096) {
                let bytes: Vec<u8> = tile.iter().flat_map(|v| v.to_le_bytes()).collect();
                counter.count_narrow(Narrow::F32, &bytes, &mut fast);
            }
            counter.flush(&mut fast);
            Counter::new(InstructionSet::best()).count_values(&values, &mut slow);
            assert_eq!(fast.dropped, slow.dropped);
            let (least, most) = (-f64::from(f32::MAX), f64::from(f32::MAX));
            let expected = slow.into_counted(least, most);
            assert_eq!(fast.into_counted(least, most), expected);
            let total: u64 = expected.iter().map(|(_, count)| count).sum();
            assert_eq!(total, values.len() as u64 - 2);
        }
    }

    #[test]
    fn both_ways_of_counting_agree() {
        let values: Vec<f64> = (0..5_000)
            .map(|i| (f64::from(i) - 2_000.0) * 1e-3 * 2f64.powi(i % 90 - 60))
            .chain([0.0, -0.0, 5e-324, -1e308, f64::NAN, f64::INFINITY])
            .collect();
        let mut one_by_one = Sketch::new(Keys::Buckets);
        Counter::new(InstructionSet::best()).count_values(&values, &mut one_by_one);
        let expected = one_by_one.into_counted(-1e308, 1e300);
        assert_eq!(sketch_of(&values).into_counted(-1e308, 1e300), expected);
        let total: u64 = expected.iter().map(|(_, count)| count).sum();
        assert_eq!(total, 5_004);
    }

    #[test]
    fn kinds_of_keys_meet_in_buckets() {
        let mut bits = Sketch::new(Keys::Bits(Narrow::I16));
        bits.add_key(usize::from((-300i16) as u16), 2);
        bits.merge(sketch_of(&[1.0, 2.0]));
        // 300 has 7 bits after the first, so its bucket is exact.
        let counted = bits.into_counted(-300.0, 2.0);
        assert_eq!(counted, [(-300.0, 2), (1.0, 1), (2.0, 1)]);
    }

    #[test]
    fn bins_have_equal_width_and_hold_everything() {
        // numpy.histogram([0, 1, 2, 3, 4], 2)
        let counted = sketch_of(&[0.0, 1.0, 2.0, 3.0, 4.0]).into_counted(0.0, 4.0);
        assert_eq!(histogram(&counted, 2, 0.0, 4.0), [2, 3]);
        let same = sketch_of(&[7.0; 3]).into_counted(7.0, 7.0);
        assert_eq!(histogram(&same, 4, 7.0, 7.0), [3, 0, 0, 0]);
        let wide = sketch_of(&[-1.7e308, 1.7e308]).into_counted(-1.7e308, 1.7e308);
        assert_eq!(histogram(&wide, 2, -1.7e308, 1.7e308), [1, 1]);
    }
}
