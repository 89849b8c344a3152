//! Blocks of 4-bit quants that index a table of 16 values.

use super::{half_at, high, largest_bits, low};
use crate::dtype::float::power;

/// The values of IQ4_NL and IQ4_XS (`kvalues_iq4nl`).
const NON_LINEAR: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// E2M1 doubled (`kvalues_mxfp4`); the scales make up for the factor.
const E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Elements from pairs: low nibbles are the first half.
#[inline(always)]
fn look_up(table: &[i8; 16], scale: f32, pairs: &[u8], out: &mut [f32]) {
    let (first, second) = out.split_at_mut(pairs.len());
    for ((pair, first), second) in pairs.iter().zip(first).zip(second) {
        *first = scale * f32::from(table[usize::from(low(*pair))]);
        *second = scale * f32::from(table[usize::from(high(*pair))]);
    }
}

/// `value = d * table[quant]`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | 32 quants: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    look_up(&NON_LINEAR, half_at(block, 0), &block[2..], out);
}

/// `value = d * (scale - 32) * table[quant]`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | upper two bits of eight scales, u16 |
/// | 4 | 4 | lower four bits of them |
/// | 8 | 128 | for each 32 elements 16 bytes: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let lower = block[4 + group / 2] >> (4 * (group % 2)) & 15;
        let scale = (lower | ((upper >> (2 * group) & 3) as u8) << 4) as i8 - 32;
        let pairs = &block[8 + 16 * group..24 + 16 * group];
        look_up(&NON_LINEAR, d * f32::from(scale), pairs, values);
    }
}

/// `value = 2^(e - 128) * table[quant]`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 1 | `e` |
/// | 1 | 16 | 32 quants: low nibbles are the first 16 |
#[inline(always)]
pub(super) fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    let scale = power(i32::from(block[0]) - 128);
    look_up(&E2M1_DOUBLED, scale, &block[1..], out);
}

/// The scale puts the largest magnitude between 4 and 8 steps of E2M1; each value takes the
/// nearest step, the smaller one of two that are as near.
#[inline(always)]
pub(super) fn encode_mxfp4(values: &[f32; 32], block: &mut [u8; 17]) {
    /// The middles between the steps, in units of the scale.
    const MIDDLES: [f32; 7] = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0];
    let e = mxfp4_exponent(largest_bits(values));
    let scale = power(i32::from(e) - 128);
    let quant = |value: f32| {
        let mut step = 0;
        for middle in MIDDLES {
            step += u8::from(value.abs() > middle * scale);
        }
        // What rounds to zero is a positive one.
        let is_negative = value < 0.0 && step > 0;
        step | u8::from(is_negative) << 3
    };
    block[0] = e;
    for (j, pair) in block[1..].iter_mut().enumerate() {
        *pair = quant(values[j]) | quant(values[j + 16]) << 4;
    }
}

/// `floor(log2(largest)) - 2 + 127`, and 0 where that is negative. As ggml and gguf-py have it,
/// the logarithm is an `f32`: just below a power of two it may round up to it.
#[inline(always)]
fn mxfp4_exponent(largest: u32) -> u8 {
    /// The mantissa from which on that happens, far from 1: within 2^-16 of the next power.
    const NEARLY_TWO: u32 = 0x7f_ff00;
    let mut floor = (largest >> 23) as i32 - 127;
    if largest & 0x7f_ffff >= NEARLY_TWO {
        let exact = f64::from(f32::from_bits(largest)).log2();
        floor = (exact as f32).floor() as i32;
    }
    (floor - 2 + 127).max(0) as u8
}

/// `value = scale * table[quant]`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 4 | scales of 16 elements each, unsigned E4M3 |
/// | 4 | 32 | for each 16 elements 8 bytes: low nibbles are the first 8 |
#[inline(always)]
pub(super) fn nvfp4(block: &[u8; 36], out: &mut [f32; 64]) {
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let pairs = &block[4 + 8 * group..12 + 8 * group];
        look_up(&E2M1_DOUBLED, half_of_ue4m3(block[group]), pairs, values);
    }
}

/// Half of an E4M3 whose sign is not looked at; its NaN counts as 0.
#[inline(always)]
fn half_of_ue4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), bits & 7);
    match (bits, exponent) {
        (0 | 0x7f, _) => 0.0,
        (_, 0) => f32::from(mantissa) * power(-10),
        _ => f32::from(mantissa | 8) * power(exponent - 11),
    }
}
