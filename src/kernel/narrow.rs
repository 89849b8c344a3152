//! `f32` to `F16` and `BF16`: rounded to nearest, ties to even, with a count of what is lost.

use super::dispatched;

/// What a cast lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Finite values that became infinite.
    pub overflow: u64,
    /// Values other than zero that became zero or subnormal.
    pub underflow: u64,
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Losses) {
        self.overflow += other.overflow;
        self.underflow += other.underflow;
    }
}

/// The magnitude bits of an infinite `f32`; above are NaNs.
const INFINITY: u32 = 0x7f80_0000;

dispatched! {
    /// Little-endian `f32` to little-endian `BF16`. `out` is half as long as `input`; of the
    /// longer one the rest is left alone. A NaN stays one and becomes quiet.
    f32_to_bf16, bf16_body -> Losses
}

dispatched! {
    /// Little-endian `f32` to little-endian `F16`. `out` is half as long as `input`; of the
    /// longer one the rest is left alone. A NaN stays one and becomes quiet.
    f32_to_f16, f16_body -> Losses
}

#[inline(always)]
fn bf16_body(input: &[u8], out: &mut [u8]) -> Losses {
    narrow(input, out, bf16_bits, 0x7f80, 0x0080)
}

#[inline(always)]
fn f16_body(input: &[u8], out: &mut [u8]) -> Losses {
    narrow(input, out, f16_bits, 0x7c00, 0x0400)
}

/// `infinity` and `normal`: the target's bits of infinity and of its smallest normal number.
#[inline(always)]
fn narrow(
    input: &[u8],
    out: &mut [u8],
    bits_of: impl Fn(u32) -> u16,
    infinity: u16,
    normal: u16,
) -> Losses {
    /// Elements whose counts fit 32 bits, which vector lanes count faster than 64.
    const TILE: usize = 1 << 16;
    let (input, _) = input.as_chunks::<4>();
    let (out, _) = out.as_chunks_mut::<2>();
    let mut losses = Losses::default();
    for (input, out) in input.chunks(TILE).zip(out.chunks_mut(TILE)) {
        let (mut overflow, mut underflow) = (0u32, 0u32);
        for (from, to) in input.iter().zip(out) {
            let bits = u32::from_le_bytes(*from);
            let narrow = bits_of(bits);
            let (before, after) = (bits & 0x7fff_ffff, narrow & 0x7fff);
            overflow += u32::from((before < INFINITY) & (after == infinity));
            underflow += u32::from((before != 0) & (after < normal));
            *to = narrow.to_le_bytes();
        }
        losses += Losses {
            overflow: u64::from(overflow),
            underflow: u64::from(underflow),
        };
    }
    losses
}

/// The upper half, rounded: a carry out of the mantissa is right for the exponent too.
#[inline(always)]
fn bf16_bits(bits: u32) -> u16 {
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    let is_nan = bits & 0x7fff_ffff > INFINITY;
    (if is_nan { quiet } else { rounded }) as u16
}

/// All three cases are computed, so that nothing branches.
#[inline(always)]
fn f16_bits(bits: u32) -> u16 {
    /// The first `f32` exponent beyond the largest half, 65504.
    const TOO_LARGE: u32 = (127 + 16) << 23;
    /// The smallest normal half, 2^-14.
    const SMALLEST: u32 = (127 - 14) << 23;
    let magnitude = bits & 0x7fff_ffff;
    let odd = magnitude >> 13 & 1;
    // The exponent's bias changes from 127 to 15.
    let normal = magnitude.wrapping_add(0xfff + odd).wrapping_sub(112 << 23) >> 13;
    // In a number at 0.5 the last bit is worth 2^-24, as in a subnormal half: the addition
    // rounds.
    let aligned = (f32::from_bits(magnitude) + 0.5).to_bits();
    let subnormal = aligned.wrapping_sub(0.5f32.to_bits());
    let nan = 0x7e00 | (magnitude >> 13 & 0x1ff);
    let special = if magnitude > INFINITY { nan } else { 0x7c00 };
    let small = if magnitude < SMALLEST {
        subnormal
    } else {
        normal
    };
    let half = if magnitude >= TOO_LARGE {
        special
    } else {
        small
    };
    (half | (bits >> 16 & 0x8000)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Path;

    /// Every upper half with lower halves around ties, and a walk through all bits.
    fn patterns() -> impl Iterator<Item = u32> {
        const LOW: [u32; 16] = [
            0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x2fff, 0x3000, 0x3001, 0x7fff, 0x8000,
            0x8001, 0xcccc, 0xfffe, 0xffff,
        ];
        let around = (0..=0xffffu32).flat_map(|high| LOW.map(|low| high << 16 | low));
        around.chain((0..=u32::MAX).step_by(4999))
    }

    fn check(
        kernel: fn(Path, &[u8], &mut [u8]) -> Losses,
        truth: impl Fn(f32) -> u16,
        infinity: u16,
        normal: u16,
    ) {
        let bits: Vec<u32> = patterns().collect();
        let input: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let mut fast = vec![0; input.len() / 2];
        let mut portable = vec![0; input.len() / 2];
        let losses = kernel(Path::Fast, &input, &mut fast);
        assert_eq!(losses, kernel(Path::Portable, &input, &mut portable));
        assert_eq!(fast, portable);
        let mut expected = Losses::default();
        for (bits, found) in bits.iter().zip(fast.as_chunks::<2>().0) {
            let (value, found) = (f32::from_bits(*bits), u16::from_le_bytes(*found));
            if value.is_nan() {
                assert!(found & 0x7fff > infinity, "{bits:08x} gave {found:04x}");
                continue;
            }
            assert_eq!(found, truth(value), "{bits:08x}");
            let after = found & 0x7fff;
            expected.overflow += u64::from(value.is_finite() && after == infinity);
            expected.underflow += u64::from(value != 0.0 && after < normal);
        }
        assert_eq!(losses, expected);
    }

    // `half` is the independent implementation.
    #[test]
    fn bf16_is_rounded_to_nearest_even_on_every_path() {
        check(
            f32_to_bf16,
            |v| half::bf16::from_f32(v).to_bits(),
            0x7f80,
            0x80,
        );
    }

    #[test]
    fn f16_is_rounded_to_nearest_even_on_every_path() {
        check(
            f32_to_f16,
            |v| half::f16::from_f32(v).to_bits(),
            0x7c00,
            0x400,
        );
    }

    #[test]
    fn any_length_and_alignment_gives_the_same() {
        let values: Vec<u8> = (0..200u32)
            .flat_map(|i| (i as f32 * 0.37).to_le_bytes())
            .collect();
        for skip in 0..4 {
            for elements in 0..40 {
                let input = &values[skip..skip + elements * 4];
                let (mut fast, mut portable) = (vec![0; elements * 2], vec![0; elements * 2]);
                f32_to_f16(Path::Fast, input, &mut fast);
                f32_to_f16(Path::Portable, input, &mut portable);
                assert_eq!(fast, portable);
            }
        }
    }
}
