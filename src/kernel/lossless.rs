//! Whether smaller floats hold a run of numbers exactly.
//!
//! Exactly means that a cast there and back gives the same bits. A zero keeps its sign, an
//! infinity is one everywhere. A NaN is held where its payload fits and it is quiet, since a
//! cast makes every NaN quiet: one that signals, or whose last bits are set, is not.

use super::{InstructionSet, Loop, narrow, run_on, widen};

/// The floats that hold all numbers of a run exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Whether `f32` does.
    pub f32: bool,
    /// Whether `BF16` does.
    pub bf16: bool,
    /// Whether `F16` does.
    pub f16: bool,
}

impl Exact {
    /// Of no numbers at all.
    pub const ALL: Exact = Exact {
        f32: true,
        bf16: true,
        f16: true,
    };

    /// None of them.
    pub const NONE: Exact = Exact {
        f32: false,
        bf16: false,
        f16: false,
    };

    /// Of two runs together.
    #[must_use]
    pub fn and(self, other: Exact) -> Exact {
        Exact {
            f32: self.f32 & other.f32,
            bf16: self.bf16 & other.bf16,
            f16: self.f16 & other.f16,
        }
    }

    fn of_f32(bits: u32) -> Exact {
        let magnitude = bits & MAGNITUDE;
        let is_signaling = magnitude > INFINITY && magnitude < QUIET;
        let half = narrow::half_bits(f32::from_bits(bits));
        Exact {
            f32: true,
            bf16: !is_signaling && bits & BELOW_BF16 == 0,
            f16: widen::half(half).to_bits() == bits,
        }
    }

    fn of_f64(bits: u64) -> Exact {
        let (value, magnitude) = (f64::from_bits(bits), bits & (u64::MAX >> 1));
        let single = value as f32;
        let is_held = match value.is_nan() {
            true => magnitude >= QUIET_F64 && bits & BELOW_F32 == 0,
            false => f64::from(single).to_bits() == bits,
        };
        match is_held {
            true => Exact::of_f32(single.to_bits()),
            false => Exact::NONE,
        }
    }
}

/// All bits of an `f32` but the sign.
const MAGNITUDE: u32 = u32::MAX >> 1;
/// The magnitude of infinity. NaNs are above.
const INFINITY: u32 = f32::INFINITY.to_bits();
/// The least magnitude of a NaN that is quiet.
const QUIET: u32 = INFINITY | 1 << 22;
const QUIET_F64: u64 = f64::INFINITY.to_bits() | 1 << 51;
/// The bits of a mantissa that smaller floats lack.
const BELOW_F32: u64 = (1 << 29) - 1;
const BELOW_BF16: u32 = (1 << 16) - 1;
const BELOW_F16: u32 = (1 << 13) - 1;
/// The least magnitude of which all finite ones are too large for an `F16` that ends in zeros
/// as it must: 2^16.
const BEYOND_F16: u32 = 65536f32.to_bits();

/// Elements after which it is asked whether anything is left to look for.
const STEP: usize = 4096;

/// Which of the floats in `hoped` hold all of `bytes`, little-endian `f32`. Stops where none is
/// left; `f32` itself is not looked at.
pub fn of_f32(set: InstructionSet, bytes: &[u8], hoped: Exact) -> Exact {
    let mut exact = hoped;
    for words in bytes.as_chunks::<4>().0.chunks(STEP) {
        if !exact.bf16 && !exact.f16 {
            break;
        }
        let seen = match exact.f16 {
            true => run_on(set, Look::<4, true>(words)),
            false => run_on(set, Look::<4, false>(words)),
        };
        let one_by_one = || {
            words
                .iter()
                .map(|word| Exact::of_f32(u32::from_le_bytes(*word)))
        };
        exact = exact.and(seen.exact(one_by_one));
    }
    exact
}

/// As [`of_f32`], of little-endian `f64`.
pub fn of_f64(set: InstructionSet, bytes: &[u8], hoped: Exact) -> Exact {
    let mut exact = hoped;
    for words in bytes.as_chunks::<8>().0.chunks(STEP) {
        if exact == Exact::NONE {
            break;
        }
        let seen = match exact.f16 {
            true => run_on(set, Look::<8, true>(words)),
            false => run_on(set, Look::<8, false>(words)),
        };
        let one_by_one = || {
            words
                .iter()
                .map(|word| Exact::of_f64(u64::from_le_bytes(*word)))
        };
        exact = exact.and(seen.exact(one_by_one));
    }
    exact
}

/// What a few operations an element find out about all of them.
struct Seen {
    /// Bits that are lost by some `f64` on the way to `f32`; those of NaNs mean nothing.
    lost: u64,
    /// Bits that some element has as an `f32`.
    any: u32,
    /// The largest magnitude.
    largest: u32,
    /// Bits in which some element is not a multiple of 2^-24, the least `F16`; means nothing for
    /// NaNs, and for elements that end in set bits.
    uneven: u32,
}

impl Seen {
    /// `one_by_one`: what holds each of the same elements.
    fn exact<E: Iterator<Item = Exact>>(&self, one_by_one: impl Fn() -> E) -> Exact {
        let bf16 = self.any & BELOW_BF16 == 0;
        let f16 = self.any & BELOW_F16 == 0;
        match self.largest {
            // What is lost of a NaN says nothing of whether it had to be.
            _ if self.largest > INFINITY => one_by_one().fold(Exact::ALL, Exact::and),
            _ if self.lost != 0 => Exact::NONE,
            // Beside an infinity there may be numbers that are too large.
            INFINITY if f16 => one_by_one().fold(Exact::ALL, Exact::and),
            _ => Exact {
                f32: true,
                bf16,
                f16: f16 && self.uneven == 0 && self.largest < BEYOND_F16,
            },
        }
    }
}

/// Elements of `BYTES` bytes; what only tells of `F16` is looked at if `F16` says so.
struct Look<'a, const BYTES: usize, const F16: bool>(&'a [[u8; BYTES]]);

impl<const BYTES: usize, const F16: bool> Loop for Look<'_, BYTES, F16> {
    type Output = Seen;

    #[inline(always)]
    fn run(self) -> Seen {
        let (mut lost, mut any, mut largest, mut uneven) = (0, 0, 0, 0);
        for word in self.0 {
            let bits = if BYTES == 4 {
                u32::from_le_bytes([word[0], word[1], word[2], word[3]])
            } else {
                let mut wide = [0; 8];
                wide.copy_from_slice(word);
                let value = f64::from_le_bytes(wide);
                let single = value as f32;
                lost |= f64::from(single).to_bits() ^ value.to_bits();
                single.to_bits()
            };
            let magnitude = bits & MAGNITUDE;
            any |= bits;
            largest = largest.max(magnitude);
            if F16 {
                // Beside 0.5, the last bit of an `f32` is worth 2^-24.
                let even = f32::from_bits(magnitude) + 0.5 - 0.5;
                uneven |= even.to_bits() ^ magnitude;
            }
        }
        Seen {
            lost,
            any,
            largest,
            uneven,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every boundary of every type, both signs: zeros, subnormals, the least and the
    /// largest, infinities, NaNs of both kinds with payloads of every length.
    fn singles() -> Vec<u32> {
        let mut found: Vec<u32> = (0..=u16::MAX).map(|half| u32::from(half) << 16).collect();
        for half in 0..=u16::MAX {
            let bits = half::f16::from_bits(half).to_f32().to_bits();
            found.extend([bits, bits ^ 1, bits ^ (1 << 12), bits.wrapping_sub(1)]);
        }
        for shift in 0..23 {
            let last = 1 << shift;
            found.extend([last, INFINITY | last, QUIET | last, 0x3f80_0000 | last]);
            found.extend([0x8000_0000 | INFINITY | last, 0x3300_0000 | last]);
        }
        found
    }

    /// By the crate `half`, there and back.
    fn truth(bits: u32) -> Exact {
        let value = f32::from_bits(bits);
        Exact {
            f32: true,
            bf16: half::bf16::from_f32(value).to_f32().to_bits() == bits,
            f16: half::f16::from_f32_const(value).to_f32_const().to_bits() == bits,
        }
    }

    #[test]
    fn every_kind_of_f32_is_judged_as_a_cast_there_and_back_does() {
        for bits in singles() {
            let truth = truth(bits);
            assert_eq!(Exact::of_f32(bits), truth, "{bits:08x}");
            for set in InstructionSet::available() {
                let found = of_f32(set, &bits.to_le_bytes(), Exact::ALL);
                assert_eq!(found, truth, "{bits:08x} {set:?}");
            }
        }
    }

    #[test]
    fn every_kind_of_f64_is_judged_as_a_cast_there_and_back_does() {
        for bits in singles() {
            let single = f32::from_bits(bits);
            let sign = u64::from(bits >> 31) << 63;
            let payload = u64::from(bits & 0x007f_ffff) << 29;
            let wide = match single.is_nan() {
                true => sign | f64::INFINITY.to_bits() | payload,
                false => f64::from(single).to_bits(),
            };
            let expected = match bits & MAGNITUDE > INFINITY && bits & MAGNITUDE < QUIET {
                true => Exact::NONE,
                false => truth(bits),
            };
            for set in InstructionSet::available() {
                let found = of_f64(set, &wide.to_le_bytes(), Exact::ALL);
                assert_eq!(found, expected, "{wide:016x} {set:?}");
                let longer = of_f64(set, &(wide ^ 1).to_le_bytes(), Exact::ALL);
                assert_eq!(longer, Exact::NONE, "{wide:016x} {set:?}");
            }
        }
    }

    /// One odd element at each place of a run that both hold.
    #[test]
    fn one_element_decides_wherever_it_stands() {
        // Whether `BF16` holds it, and whether `F16` does.
        let odd = [
            (1.0f32 + 2f32.powi(-8), (false, true)),
            (2f32.powi(-30), (true, false)),
            (65536.0, (true, false)),
            (f32::from_bits(QUIET | 1 << 13), (false, true)),
            (f32::from_bits(QUIET | 1), (false, false)),
            (f32::from_bits(INFINITY | 1 << 20), (false, false)),
            (f32::NEG_INFINITY, (true, true)),
        ];
        for count in [1usize, 15, 16, 17, STEP, STEP + 5] {
            for place in [0, count / 2, count - 1] {
                for (value, held) in odd {
                    let mut values: Vec<f32> = (0..count).map(|i| (i % 9) as f32 - 4.0).collect();
                    values[place] = value;
                    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                    for set in InstructionSet::available() {
                        let found = of_f32(set, &bytes, Exact::ALL);
                        let found = (found.bf16, found.f16);
                        assert_eq!(found, held, "{value} at {place} of {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_hoped_for_is_not_found() {
        let none = of_f32(InstructionSet::best(), &[0; 16], Exact::NONE);
        assert_eq!(none, Exact::NONE);
        assert_eq!(of_f64(InstructionSet::best(), &[], Exact::ALL), Exact::ALL);
    }
}
