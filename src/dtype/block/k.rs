//! Blocks of 256 elements ("k-quants"): sub-blocks with small scales, and scales for those.

use super::{bits, half_at, high, low, minus, part, scaled, scaled_from};

/// `value = d * scale * quant - dmin * minimum`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 16 | for each 16 elements: scale (low nibble), minimum (high nibble) |
/// | 16 | 64 | quants, 2 bits: 128 elements in 32 bytes, 32 elements in each bit pair |
/// | 80 | 2 | `d`, f16 |
/// | 82 | 2 | `dmin`, f16 |
#[inline(always)]
pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let (scale, minimum) = (
            d * f32::from(low(block[group])),
            dmin * f32::from(high(block[group])),
        );
        *values = scaled_from(-minimum, scale, two_bits(block, 16, group));
    }
}

/// `value = d * (scale - 32) * quant`, where a clear bit of the mask means 4 less.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 32 | third bits: bit `i / 32` of byte `i % 32` is element i's |
/// | 32 | 64 | lower two bits, as in Q2_K |
/// | 96 | 12 | 16 scales of 6 bits: 8 bytes of nibbles, then 4 bytes of bit pairs |
/// | 108 | 2 | `d`, f16 |
#[inline(always)]
pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 108);
    let scales = &block[96..108];
    for (group, values) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let lower = if group < 8 {
            low(scales[group])
        } else {
            high(scales[group - 8])
        };
        let upper = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = d * f32::from((lower | upper << 4) as i8 - 32);
        let mut quants = two_bits(block, 32, group);
        let thirds: [u8; 16] = bits(part(block, 16 * (group % 2)), group / 2, 1);
        for (quant, third) in quants.iter_mut().zip(thirds) {
            *quant |= third << 2;
        }
        *values = scaled(scale, minus(quants, 4));
    }
}

/// The sub-block of 16 called `group` of the 256 quants of two bits at `offset`.
#[inline(always)]
fn two_bits(block: &[u8], offset: usize, group: usize) -> [u8; 16] {
    let (half, pair) = (group / 8, group % 8 / 2);
    let offset = offset + 32 * half + 16 * (group % 2);
    bits(part(block, offset), 2 * pair, 3)
}

/// `value = d * scale * quant - dmin * minimum`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `dmin`, f16 |
/// | 4 | 12 | eight 6-bit scales and minima, packed |
/// | 16 | 128 | quants, 4 bits: 64 elements in 32 bytes, low nibbles are the first 32 |
#[inline(always)]
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (scales, minima) = scales_and_minima(block);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        *values = scaled_from(-minima[group], scales[group], four_bits(block, 16, group));
    }
}

/// As Q4_K with a fifth bit.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 2 | `dmin`, f16 |
/// | 4 | 12 | eight 6-bit scales and minima, packed |
/// | 16 | 32 | fifth bits: bit `i / 32` of byte `i % 32` is element i's |
/// | 48 | 128 | lower four bits, as in Q4_K |
#[inline(always)]
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (scales, minima) = scales_and_minima(block);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let mut quants = four_bits(block, 48, group);
        let fifths: [u8; 32] = part(block, 16);
        for (quant, fifth) in quants.iter_mut().zip(&fifths) {
            *quant |= if fifth & 1 << group == 0 { 0 } else { 16 };
        }
        *values = scaled_from(-minima[group], scales[group], quants);
    }
}

/// The sub-block of 32 called `group` of the 256 quants of four bits at `offset`.
#[inline(always)]
fn four_bits(block: &[u8], offset: usize, group: usize) -> [u8; 32] {
    bits(part(block, offset + 32 * (group / 2)), 4 * (group % 2), 15)
}

/// The scales and minima of the sub-blocks. Of three words of four bytes, the lower six bits of
/// the first and second are the first four scales and minima; nibbles of the third, with the two
/// bits that those left over, the other four.
#[inline(always)]
fn scales_and_minima(block: &[u8]) -> ([f32; 8], [f32; 8]) {
    const TWO: u32 = 0x0303_0303;
    const FOUR: u32 = 0x0f0f_0f0f;
    const SIX: u32 = 0x3f3f_3f3f;
    let word = |index: usize| u32::from_le_bytes(part(block, 4 + 4 * index));
    let (first, second, third) = (word(0), word(1), word(2));
    let eight = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    let scales = eight(first & SIX, third & FOUR | (first >> 6 & TWO) << 4);
    let minima = eight(second & SIX, third >> 4 & FOUR | (second >> 6 & TWO) << 4);
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    (scaled(d, minus(scales, 0)), scaled(dmin, minus(minima, 0)))
}

/// `value = d * scale * (quant - 32)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 128 | lower four bits: 128 elements in 64 bytes |
/// | 128 | 64 | upper two bits: 128 elements in 32 bytes |
/// | 192 | 16 | scales of 16 elements each, i8 |
/// | 208 | 2 | `d`, f16 |
#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, quarter) = (group / 4, group % 4);
        let lower: [u8; 32] = part(block, 64 * half + 32 * (quarter % 2));
        let mut quants = bits(lower, 4 * (quarter / 2), 15);
        let upper: [u8; 32] = bits(part(block, 128 + 32 * half), 2 * quarter, 3);
        for (quant, upper) in quants.iter_mut().zip(upper) {
            *quant |= upper << 4;
        }
        let scale = |index: usize| d * f32::from(block[192 + 2 * group + index] as i8);
        let scales = [scale(0), scale(1)];
        let quants = minus(quants, 32);
        let mut scaled = [0.0; 32];
        for (j, (value, quant)) in scaled.iter_mut().zip(quants).enumerate() {
            *value = scales[j / 16] * f32::from(quant);
        }
        *values = scaled;
    }
}

/// `value = d * quant`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 4 | `d`, f32 |
/// | 4 | 256 | quants, i8 |
/// | 260 | 32 | sums of 16 quants each, i16, for dot products only |
#[inline(always)]
pub(super) fn q8_k(block: &[u8; 292], out: &mut [f32; 256]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (quant, value) in block[4..260].iter().zip(out) {
        *value = d * f32::from(*quant as i8);
    }
}
