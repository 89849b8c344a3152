//! Blocks of 32 elements with one scale, or a scale and a minimum.

use super::{half_at, minus, nibbles, part, scaled, scaled_from};
use super::{largest_bits, put_half, round_away, small_integer, truncate};

/// `value = d * (quant - 8)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | 32 quants: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (quants, values) in nibbles(block, 2).iter().zip(halves(out)) {
        *values = scaled(d, minus(*quants, 8));
    }
}

/// `value = d * quant + m`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `m`, f16 |
/// | 4 | 16 | 32 quants: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (quants, values) in nibbles(block, 4).iter().zip(halves(out)) {
        *values = scaled_from(m, d, *quants);
    }
}

/// `value = d * (quant - 16)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 4 | fifth bits of the quants, bit j of element j |
/// | 6 | 16 | lower four bits: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (quants, values) in five_bits(block, 2).iter().zip(halves(out)) {
        *values = scaled(d, minus(*quants, 16));
    }
}

/// `value = d * quant + m`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `m`, f16 |
/// | 4 | 4 | fifth bits of the quants, bit j of element j |
/// | 8 | 16 | lower four bits: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (quants, values) in five_bits(block, 4).iter().zip(halves(out)) {
        *values = scaled_from(m, d, *quants);
    }
}

/// The 32 quants of which the fifth bits stand at `offset` and the others after them.
#[inline(always)]
fn five_bits(block: &[u8], offset: usize) -> [[u8; 16]; 2] {
    let fifths = u32::from_le_bytes(part(block, offset));
    let mut quants = nibbles(block, offset + 4);
    for (half, quants) in quants.iter_mut().enumerate() {
        for (j, quant) in quants.iter_mut().enumerate() {
            *quant |= (fifths >> (16 * half + j) & 1) as u8 * 16;
        }
    }
    quants
}

#[inline(always)]
fn halves(values: &mut [f32; 32]) -> &mut [[f32; 16]] {
    values.as_chunks_mut().0
}

/// `value = d * quant`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 32 | quants, i8 |
#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    *out = scaled(half_at(block, 0), minus(part(block, 2), 0));
}

/// `value = d * quant`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `d` times the sum of the quants, for dot products only |
/// | 4 | 32 | quants, i8 |
#[inline(always)]
pub(super) fn q8_1(block: &[u8; 36], out: &mut [f32; 32]) {
    *out = scaled(half_at(block, 0), minus(part(block, 4), 0));
}

/// Nearest quants for a scale by which the value farthest from zero becomes -8 exactly.
#[inline(always)]
pub(super) fn encode_q4_0(values: &[f32; 32], block: &mut [u8; 18]) {
    let d = farthest(values) / -8.0;
    let inverse = inverse(d);
    put_half(block, 0, d);
    put_nibbles(&mut block[2..], |j| steps(values[j] * inverse + 8.5, 15));
}

/// Nearest quants between the smallest and the largest value.
#[inline(always)]
pub(super) fn encode_q4_1(values: &[f32; 32], block: &mut [u8; 20]) {
    let (least, most) = range(values);
    let d = (most - least) / 15.0;
    let inverse = inverse(d);
    put_half(block, 0, d);
    put_half(block, 2, least);
    put_nibbles(&mut block[4..], |j| {
        steps((values[j] - least) * inverse + 0.5, 15)
    });
}

/// As Q4_0, with the value farthest from zero at -16.
#[inline(always)]
pub(super) fn encode_q5_0(values: &[f32; 32], block: &mut [u8; 22]) {
    let d = farthest(values) / -16.0;
    let inverse = inverse(d);
    put_half(block, 0, d);
    put_five_bits(&mut block[2..], |j| steps(values[j] * inverse + 16.5, 31));
}

/// As Q4_1.
#[inline(always)]
pub(super) fn encode_q5_1(values: &[f32; 32], block: &mut [u8; 24]) {
    let (least, most) = range(values);
    let d = (most - least) / 31.0;
    let inverse = inverse(d);
    put_half(block, 0, d);
    put_half(block, 2, least);
    put_five_bits(&mut block[4..], |j| {
        steps((values[j] - least) * inverse + 0.5, 31)
    });
}

/// Nearest quants, halves away from zero, for a scale by which the largest magnitude is 127.
#[inline(always)]
pub(super) fn encode_q8_0(values: &[f32; 32], block: &mut [u8; 34]) {
    let d = f32::from_bits(largest_bits(values)) / 127.0;
    let inverse = inverse(d);
    put_half(block, 0, d);
    for (value, quant) in values.iter().zip(&mut block[2..]) {
        *quant = small_integer(round_away(value * inverse)) as u8;
    }
}

/// What to multiply by instead of dividing by `d`; 0 where that would not be finite.
#[inline(always)]
pub(super) fn inverse(d: f32) -> f32 {
    let inverse = 1.0 / d;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// The value with the largest magnitude; of several the first.
#[inline(always)]
fn farthest(values: &[f32; 32]) -> f32 {
    let largest = largest_bits(values);
    // Which sign stands first decides: the lowest set bit of the two masks.
    let (mut positive, mut negative) = (0u32, 0u32);
    for (j, value) in values.iter().enumerate() {
        positive |= u32::from(value.to_bits() == largest) << j;
        negative |= u32::from(value.to_bits() == largest | 1 << 31) << j;
    }
    let is_negative = negative.trailing_zeros() < positive.trailing_zeros();
    f32::from_bits(largest | u32::from(is_negative) << 31)
}

/// The smallest and the largest of finite values.
#[inline(always)]
fn range(values: &[f32; 32]) -> (f32, f32) {
    let (mut least, mut most) = (values[0], values[0]);
    for &value in values {
        least = if value < least { value } else { least };
        most = if value > most { value } else { most };
    }
    (least, most)
}

/// The whole steps below a position, which is not negative; `most` at most.
#[inline(always)]
fn steps(position: f32, most: u8) -> u8 {
    (small_integer(truncate(position)) as u8).min(most)
}

/// Sixteen bytes of which the low nibbles are the first sixteen quants.
#[inline(always)]
fn put_nibbles(out: &mut [u8], quant: impl Fn(usize) -> u8) {
    for (j, pair) in out.iter_mut().enumerate() {
        *pair = quant(j) | quant(j + 16) << 4;
    }
}

/// The fifth bits of all quants, then their nibbles.
#[inline(always)]
fn put_five_bits(out: &mut [u8], quant: impl Fn(usize) -> u8) {
    let mut quants = [0; 32];
    for (j, slot) in quants.iter_mut().enumerate() {
        *slot = quant(j);
    }
    for (byte, eight) in out[..4].iter_mut().zip(quants.as_chunks::<8>().0) {
        let fifth = u64::from_le_bytes(*eight) >> 4 & 0x0101_0101_0101_0101;
        // The factor moves bit 8 j to bit 56 + j.
        *byte = (fifth.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    put_nibbles(&mut out[4..], |j| quants[j] & 15);
}
