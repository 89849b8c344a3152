//! Elements of any dtype as `f32`, and integers as the floats and integers that they are.

use super::TILE;
use crate::dtype::{Class, DType, block, float};
use crate::kernel::{Path, widen};

/// Elements of `from` as `f32`: exact, except that those with more digits are rounded to odd.
pub(super) fn decode(path: Path, from: DType, input: &[u8], out: &mut [f32]) {
    match from {
        DType::Bool => fill(input, out, |[byte]: [u8; 1]| f32::from(u8::from(byte != 0))),
        DType::U8 => fill(input, out, |b| f32::from(u8::from_le_bytes(b))),
        DType::I8 => fill(input, out, |b| f32::from(i8::from_le_bytes(b))),
        DType::U16 => fill(input, out, |b| f32::from(u16::from_le_bytes(b))),
        DType::I16 => fill(input, out, |b| f32::from(i16::from_le_bytes(b))),
        DType::U32 => fill(input, out, |b| {
            odd_from_integer(u32::from_le_bytes(b).into(), false)
        }),
        DType::U64 => fill(input, out, |b| {
            odd_from_integer(u64::from_le_bytes(b), false)
        }),
        DType::I32 => fill(input, out, |b| {
            odd_from_signed(i32::from_le_bytes(b).into())
        }),
        DType::I64 => fill(input, out, |b| odd_from_signed(i64::from_le_bytes(b))),
        DType::F64 => fill(input, out, |b| odd_from_f64(f64::from_le_bytes(b))),
        DType::F32 => fill(input, out, f32::from_le_bytes),
        DType::F16 | DType::BF16 => decode_half(path, from, input, out),
        DType::F8E4M3 => float::decode_f8(&float::F8_E4M3, input, out),
        DType::F8E5M2 => float::decode_f8(&float::F8_E5M2, input, out),
        DType::F8E8M0 => float::decode_f8(&float::F8_E8M0, input, out),
        DType::F8E4M3Fnuz => float::decode_f8(&float::F8_E4M3_FNUZ, input, out),
        DType::F8E5M2Fnuz => float::decode_f8(&float::F8_E5M2_FNUZ, input, out),
        DType::F6E2M3 => float::decode_f6(&float::F6_E2M3, input, out),
        DType::F6E3M2 => float::decode_f6(&float::F6_E3M2, input, out),
        DType::F4 => float::decode_f4(input, out),
        block => {
            if let Some(decode) = block::decoder(block) {
                decode(path, input, out);
            }
        }
    }
}

fn fill<const N: usize>(input: &[u8], out: &mut [f32], value_of: impl Fn([u8; N]) -> f32) {
    for (bytes, value) in input.as_chunks::<N>().0.iter().zip(out) {
        *value = value_of(*bytes);
    }
}

fn decode_half(path: Path, from: DType, input: &[u8], out: &mut [f32]) {
    let mut bytes = [0u8; TILE * 4];
    let tiles = input.chunks(TILE * 2).zip(out.chunks_mut(TILE));
    for (input, out) in tiles {
        match from {
            DType::F16 => widen::f16_to_f32(path, input, &mut bytes),
            _ => widen::bf16_to_f32(path, input, &mut bytes),
        }
        fill(&bytes, out, f32::from_le_bytes);
    }
}

/// 32- and 64-bit integers to F32 or F64; Rust's `as` rounds to nearest even.
pub(super) fn long_to_float(from: DType, to: DType, input: &[u8], out: &mut [u8]) {
    let width = from.facts().block_bytes as usize;
    let to_width = to.facts().block_bytes as usize;
    for (bytes, out) in input
        .chunks_exact(width)
        .zip(out.chunks_exact_mut(to_width))
    {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(word);
        let signed = match from {
            DType::I32 => i64::from(unsigned as u32 as i32),
            _ => unsigned as i64,
        };
        let is_signed = from.class() == Class::Signed;
        match (to, is_signed) {
            (DType::F32, true) => out.copy_from_slice(&(signed as f32).to_le_bytes()),
            (DType::F32, false) => out.copy_from_slice(&(unsigned as f32).to_le_bytes()),
            (_, true) => out.copy_from_slice(&(signed as f64).to_le_bytes()),
            (_, false) => out.copy_from_slice(&(unsigned as f64).to_le_bytes()),
        }
    }
}

/// The integers of a quantised type, the lowest bits of a byte first.
pub(super) fn unpack(from: DType, input: &[u8], out: &mut [u8]) {
    let (per_byte, bits) = match from {
        DType::QU4x2 => (2, 4),
        DType::QU2x4 => (4, 2),
        _ => return out.copy_from_slice(input),
    };
    for (index, value) in out.iter_mut().enumerate() {
        let shifted = input[index / per_byte] >> (index % per_byte * bits);
        *value = shifted & ((1 << bits) - 1);
    }
}

/// Rounded to odd: cut off towards zero, with the last bit set if anything was cut off.
fn odd_from_f64(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    let away = back.abs() > value.abs();
    let toward_zero = nearest.to_bits() - u32::from(away);
    f32::from_bits(toward_zero | 1)
}

fn odd_from_signed(value: i64) -> f32 {
    odd_from_integer(value.unsigned_abs(), value < 0)
}

fn odd_from_integer(magnitude: u64, negative: bool) -> f32 {
    let surplus = 40u32.saturating_sub(magnitude.leading_zeros());
    let sticky = magnitude & ((1 << surplus) - 1) != 0;
    let digits = (magnitude >> surplus) as u32 | u32::from(sticky);
    let value = digits as f32 * float::power(surplus as i32);
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_odd_keeps_what_a_second_rounding_needs() {
        assert_eq!(odd_from_integer(5, true), -5.0);
        assert_eq!(odd_from_integer((1 << 24) + 1, false), 16_777_218.0);
        assert_eq!(odd_from_integer((1 << 25) + 1, false).to_bits() & 1, 1);
        assert_eq!(odd_from_f64(f64::MAX), f32::MAX);
        assert_eq!(odd_from_f64(-f64::MIN_POSITIVE).to_bits(), 0x8000_0001);
    }
}
