//! `F16` and `BF16` to `f32`: exact.

use super::{Loop, Path};

/// Little-endian `BF16` to little-endian `f32`. `out` is twice as long as `input`; of the
/// longer one the rest is left alone.
pub fn bf16_to_f32(path: Path, input: &[u8], out: &mut [u8]) {
    let bits_of = |bits| u32::from(bits) << 16;
    super::run(
        path,
        Widen {
            input,
            out,
            bits_of,
        },
    );
}

/// Little-endian `F16` to little-endian `f32`. `out` is twice as long as `input`; of the
/// longer one the rest is left alone.
pub fn f16_to_f32(path: Path, input: &[u8], out: &mut [u8]) {
    let bits_of = f16_bits;
    super::run(
        path,
        Widen {
            input,
            out,
            bits_of,
        },
    );
}

/// One `F16`.
#[inline(always)]
pub fn half(bits: u16) -> f32 {
    f32::from_bits(f16_bits(bits))
}

struct Widen<'a, F> {
    input: &'a [u8],
    out: &'a mut [u8],
    bits_of: F,
}

impl<F: Fn(u16) -> u32> Loop for Widen<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (input, _) = self.input.as_chunks::<2>();
        let (out, _) = self.out.as_chunks_mut::<4>();
        for (from, to) in input.iter().zip(out) {
            *to = (self.bits_of)(u16::from_le_bytes(*from)).to_le_bytes();
        }
    }
}

/// All three cases are computed, so that nothing branches. Subnormals come from an integer: a
/// multiplication of subnormal floats would be slow on many processors.
#[inline(always)]
fn f16_bits(bits: u16) -> u32 {
    let magnitude = u32::from(bits & 0x7fff);
    // The exponent's bias changes from 15 to 127; that of infinity and NaN from 31 to 255.
    let normal = (magnitude << 13) + (112 << 23);
    let special = (magnitude << 13) + (224 << 23);
    let subnormal = (magnitude as f32 * f32::from_bits((127 - 24) << 23)).to_bits();
    let small = if magnitude < 0x400 { subnormal } else { normal };
    let single = if magnitude >= 0x7c00 { special } else { small };
    single | u32::from(bits & 0x8000) << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Path;

    fn check(kernel: fn(Path, &[u8], &mut [u8]), truth: impl Fn(u16) -> f32) {
        let input: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let (mut fast, mut portable) = (vec![0; 4 << 16], vec![0; 4 << 16]);
        kernel(Path::Fast, &input, &mut fast);
        kernel(Path::Portable, &input, &mut portable);
        assert_eq!(fast, portable);
        for (bits, found) in (0..=u16::MAX).zip(fast.as_chunks::<4>().0) {
            let (found, truth) = (f32::from_le_bytes(*found), truth(bits));
            let same = found.to_bits() == truth.to_bits() || found.is_nan() && truth.is_nan();
            assert!(same, "{bits:04x} gave {found}, not {truth}");
        }
    }

    // `half` is the independent implementation.
    #[test]
    fn every_bf16_widens_exactly_on_every_path() {
        check(bf16_to_f32, |bits| half::bf16::from_bits(bits).to_f32());
    }

    #[test]
    fn every_f16_widens_exactly_on_every_path() {
        check(f16_to_f32, |bits| half::f16::from_bits(bits).to_f32());
    }
}
