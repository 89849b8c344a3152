//! `f32` to floats of 16 and 8 bits: rounded to nearest, ties to even, with a count of what is
//! lost.

use super::{Loop, Path};

/// What a cast lost. Each value counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Values beyond the largest finite one that became it, or finite ones that became infinite.
    pub overflow: u64,
    /// Values other than zero that became zero.
    pub underflow: u64,
    /// Values that became NaN.
    pub nan: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Losses) {
        self.overflow += other.overflow;
        self.underflow += other.underflow;
        self.nan += other.nan;
    }
}

/// What becomes of values beyond the target's largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The largest finite value, of infinities too.
    Saturate,
    /// Infinity, or NaN where the target has none.
    Infinity,
    /// NaN. Infinities stay, where the target has them.
    Nan,
}

/// A kind of float to be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the types")]
pub enum Narrow {
    Bf16,
    F16,
    F8E4M3,
    F8E5M2,
    F8E4M3Fnuz,
    F8E5M2Fnuz,
}

/// Little-endian `f32` to little-endian floats of the kind `to`. Of the longer one of `input`
/// and `out` the rest is left alone. A NaN stays one and becomes quiet.
pub fn f32_to(path: Path, to: Narrow, overflow: Overflow, input: &[u8], out: &mut [u8]) -> Losses {
    match to {
        Narrow::Bf16 => narrow::<Bf16, 2>(path, overflow, input, out),
        Narrow::F16 => narrow::<F16, 2>(path, overflow, input, out),
        Narrow::F8E4M3 => narrow::<F8E4M3, 1>(path, overflow, input, out),
        Narrow::F8E5M2 => narrow::<F8E5M2, 1>(path, overflow, input, out),
        Narrow::F8E4M3Fnuz => narrow::<F8E4M3Fnuz, 1>(path, overflow, input, out),
        Narrow::F8E5M2Fnuz => narrow::<F8E5M2Fnuz, 1>(path, overflow, input, out),
    }
}

/// One `f32` as the bits of an `F16`; what is too large becomes infinite.
#[inline(always)]
pub fn half_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & MAGNITUDE;
    let code = F16::code_of(magnitude).min(0x7c00);
    let code = if magnitude >= INFINITY {
        special::<F16, 2>(magnitude, 0x7c00)
    } else {
        code
    };
    (code | bits >> 16 & 0x8000) as u16
}

/// The magnitude bits of an `f32`.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// The magnitude bits of an infinite `f32`; above are NaNs.
const INFINITY: u32 = 0x7f80_0000;

/// The bits of a float of `BYTES` bytes, below the sign.
trait Format<const BYTES: usize> {
    /// Bits of the mantissa.
    const MANTISSA: u32;
    /// What the exponent is stored with.
    const BIAS: u32;
    /// The largest finite value.
    const LARGEST: u32;
    /// Infinity, if there is one.
    const INFINITY: Option<u32>;
    /// The quiet NaN. Where it is the sign bit alone, there is no negative zero.
    const NAN: u32;

    /// The nearest value of `magnitude`, the bits of a positive finite `f32`. More than
    /// `LARGEST` if it is beyond that. Both cases are computed, so that nothing branches.
    #[inline(always)]
    fn code_of(magnitude: u32) -> u32 {
        let shift = 23 - Self::MANTISSA;
        let rebias = 127 - Self::BIAS;
        let odd = magnitude >> shift & 1;
        let rounded = magnitude.wrapping_add((1 << (shift - 1)) - 1 + odd) >> shift;
        let normal = rounded.wrapping_sub(rebias << Self::MANTISSA);
        // In a number at this power of two the last bit is worth as much as in a subnormal
        // of the target: the addition rounds.
        let aligner = (rebias + 1 + shift) << 23;
        let aligned = f32::from_bits(magnitude) + f32::from_bits(aligner);
        let subnormal = aligned.to_bits().wrapping_sub(aligner);
        if magnitude < (rebias + 1) << 23 {
            subnormal
        } else {
            normal
        }
    }
}

struct Bf16;
struct F16;
struct F8E4M3;
struct F8E5M2;
struct F8E4M3Fnuz;
struct F8E5M2Fnuz;

impl Format<2> for Bf16 {
    const MANTISSA: u32 = 7;
    const BIAS: u32 = 127;
    const LARGEST: u32 = 0x7f7f;
    const INFINITY: Option<u32> = Some(0x7f80);
    const NAN: u32 = 0x7fc0;

    /// The upper half, rounded: a carry out of the mantissa is right for the exponent too.
    #[inline(always)]
    fn code_of(magnitude: u32) -> u32 {
        magnitude.wrapping_add(0x7fff + (magnitude >> 16 & 1)) >> 16
    }
}

impl Format<2> for F16 {
    const MANTISSA: u32 = 10;
    const BIAS: u32 = 15;
    const LARGEST: u32 = 0x7bff;
    const INFINITY: Option<u32> = Some(0x7c00);
    const NAN: u32 = 0x7e00;
}

impl Format<1> for F8E4M3 {
    const MANTISSA: u32 = 3;
    const BIAS: u32 = 7;
    const LARGEST: u32 = 0x7e;
    const INFINITY: Option<u32> = None;
    const NAN: u32 = 0x7f;
}

impl Format<1> for F8E5M2 {
    const MANTISSA: u32 = 2;
    const BIAS: u32 = 15;
    const LARGEST: u32 = 0x7b;
    const INFINITY: Option<u32> = Some(0x7c);
    const NAN: u32 = 0x7f;
}

impl Format<1> for F8E4M3Fnuz {
    const MANTISSA: u32 = 3;
    const BIAS: u32 = 8;
    const LARGEST: u32 = 0x7f;
    const INFINITY: Option<u32> = None;
    const NAN: u32 = 0x80;
}

impl Format<1> for F8E5M2Fnuz {
    const MANTISSA: u32 = 2;
    const BIAS: u32 = 16;
    const LARGEST: u32 = 0x7f;
    const INFINITY: Option<u32> = None;
    const NAN: u32 = 0x80;
}

/// Of an infinity, `infinite`; of a NaN, a quiet one with as much of its payload as fits.
#[inline(always)]
fn special<F: Format<BYTES>, const BYTES: usize>(magnitude: u32, infinite: u32) -> u32 {
    let payload = if BYTES == 2 {
        magnitude >> (23 - F::MANTISSA) & ((1 << F::MANTISSA) - 1)
    } else {
        0
    };
    if magnitude == INFINITY {
        infinite
    } else {
        F::NAN | payload
    }
}

fn narrow<F: Format<BYTES>, const BYTES: usize>(
    path: Path,
    overflow: Overflow,
    input: &[u8],
    out: &mut [u8],
) -> Losses {
    let infinity = F::INFINITY.unwrap_or(F::NAN);
    let (too_large, infinite) = match overflow {
        Overflow::Saturate => (F::LARGEST, F::LARGEST),
        Overflow::Infinity => (infinity, infinity),
        Overflow::Nan => (F::NAN, infinity),
    };
    let work = Narrowing::<F, BYTES> {
        input,
        out,
        too_large,
        infinite,
        format: std::marker::PhantomData,
    };
    let counts = super::run(path, work);
    let mut losses = Losses {
        underflow: counts.zeroed,
        ..Losses::default()
    };
    let is_nan = |code: u32| code == F::NAN;
    if is_nan(too_large) {
        losses.nan += counts.too_large;
    } else {
        losses.overflow += counts.too_large;
    }
    // An infinity that stays one has lost nothing.
    if is_nan(infinite) {
        losses.nan += counts.infinite;
    } else if infinite == F::LARGEST {
        losses.overflow += counts.infinite;
    }
    losses
}

struct Narrowing<'a, F, const BYTES: usize> {
    input: &'a [u8],
    out: &'a mut [u8],
    /// What finite values beyond the largest become.
    too_large: u32,
    /// What infinities become.
    infinite: u32,
    format: std::marker::PhantomData<F>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    too_large: u64,
    infinite: u64,
    zeroed: u64,
}

impl<F: Format<BYTES>, const BYTES: usize> Loop for Narrowing<'_, F, BYTES> {
    type Output = Counts;

    #[inline(always)]
    fn run(self) -> Counts {
        /// Elements whose counts fit 32 bits, which vector lanes count faster than 64.
        const TILE: usize = 1 << 16;
        let sign_shift = 32 - 8 * BYTES as u32;
        let sign_bit = 0x8000_0000u32 >> sign_shift;
        let (input, _) = self.input.as_chunks::<4>();
        let (out, _) = self.out.as_chunks_mut::<BYTES>();
        let mut counts = Counts::default();
        for (input, out) in input.chunks(TILE).zip(out.chunks_mut(TILE)) {
            let (mut too_large, mut infinite, mut zeroed) = (0u32, 0u32, 0u32);
            for (from, to) in input.iter().zip(out) {
                let bits = u32::from_le_bytes(*from);
                let magnitude = bits & MAGNITUDE;
                let code = F::code_of(magnitude);
                let is_finite = magnitude < INFINITY;
                let is_too_large = is_finite & (code > F::LARGEST);
                let code = if is_too_large { self.too_large } else { code };
                let code = if is_finite {
                    code
                } else {
                    special::<F, BYTES>(magnitude, self.infinite)
                };
                too_large += u32::from(is_too_large);
                infinite += u32::from(magnitude == INFINITY);
                zeroed += u32::from((magnitude != 0) & (code == 0));
                // Without a negative zero, the sign alone is NaN.
                let is_unsigned = F::NAN == sign_bit && (code == 0) | (code == sign_bit);
                let sign = if is_unsigned {
                    0
                } else {
                    bits >> sign_shift & sign_bit
                };
                let bytes = (code | sign).to_le_bytes();
                to.copy_from_slice(&bytes[..BYTES]);
            }
            counts.too_large += u64::from(too_large);
            counts.infinite += u64::from(infinite);
            counts.zeroed += u64::from(zeroed);
        }
        counts
    }
}

#[cfg(test)]
mod tests;
