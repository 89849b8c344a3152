//! Blocks of 32 elements with one scale, or a scale and a minimum.

use super::{half_at, high, low};

/// `value = d * (quant - 8)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | 32 quants: low nibbles are the first 16 |
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for j in 0..16 {
        let pair = block[2 + j];
        out[j] = d * f32::from(low(pair) as i8 - 8);
        out[j + 16] = d * f32::from(high(pair) as i8 - 8);
    }
}

/// `value = d * quant + m`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `m`, f16 |
/// | 4 | 16 | 32 quants: low nibbles are the first 16 |
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for j in 0..16 {
        let pair = block[4 + j];
        out[j] = d * f32::from(low(pair)) + m;
        out[j + 16] = d * f32::from(high(pair)) + m;
    }
}

/// `value = d * (quant - 16)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 4 | fifth bits of the quants, bit j of element j |
/// | 6 | 16 | lower four bits: low nibbles are the first 16 |
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (j, value) in five_bits(block, 2).into_iter().enumerate() {
        out[j] = d * f32::from(value as i8 - 16);
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
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (j, value) in five_bits(block, 4).into_iter().enumerate() {
        out[j] = d * f32::from(value) + m;
    }
}

/// The 32 quants of which the fifth bits stand at `offset` and the others after them.
fn five_bits(block: &[u8], offset: usize) -> [u8; 32] {
    let mut quants = [0; 32];
    for (j, quant) in quants.iter_mut().enumerate() {
        let pair = block[offset + 4 + j % 16];
        let nibble = if j < 16 { low(pair) } else { high(pair) };
        *quant = nibble | (block[offset + j / 8] >> (j % 8) & 1) << 4;
    }
    quants
}

/// `value = d * quant`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 32 | quants, i8 |
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (quant, value) in block[2..].iter().zip(out) {
        *value = d * f32::from(*quant as i8);
    }
}

/// `value = d * quant`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `d` times the sum of the quants, for dot products only |
/// | 4 | 32 | quants, i8 |
pub(super) fn q8_1(block: &[u8; 36], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (quant, value) in block[4..].iter().zip(out) {
        *value = d * f32::from(*quant as i8);
    }
}
