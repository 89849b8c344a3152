//! Blocks of 4-bit quants that index a table of 16 values.

use super::{half_at, high, low};
use crate::dtype::float::power;

/// The values of IQ4_NL and IQ4_XS (`kvalues_iq4nl`).
const NON_LINEAR: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// E2M1 doubled (`kvalues_mxfp4`); the scales make up for the factor.
const E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Elements from pairs: low nibbles are the first half.
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
pub(super) fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    let scale = power(i32::from(block[0]) - 128);
    look_up(&E2M1_DOUBLED, scale, &block[1..], out);
}

/// `value = scale * table[quant]`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 4 | scales of 16 elements each, unsigned E4M3 |
/// | 4 | 32 | for each 16 elements 8 bytes: low nibbles are the first 8 |
pub(super) fn nvfp4(block: &[u8; 36], out: &mut [f32; 64]) {
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let pairs = &block[4 + 8 * group..12 + 8 * group];
        look_up(&E2M1_DOUBLED, half_of_ue4m3(block[group]), pairs, values);
    }
}

/// Half of an E4M3 whose sign is not looked at; its NaN counts as 0.
fn half_of_ue4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), bits & 7);
    match (bits, exponent) {
        (0 | 0x7f, _) => 0.0,
        (_, 0) => f32::from(mantissa) * power(-10),
        _ => f32::from(mantissa | 8) * power(exponent - 11),
    }
}
