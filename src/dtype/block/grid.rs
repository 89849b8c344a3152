//! Blocks of 256 elements whose quants are points of a grid: each stands for eight (or four)
//! values at once, with signs beside it.

use super::grids;
use super::{half_at, high, low};
use crate::kernel::widen;

/// The difference of IQ1 values from the grid's.
const DELTA: f32 = 0.125;

/// `value = d * (scale + 0.5) / 4 * grid value`, negative where its sign bit is set.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 64 | for each 32 elements: four grid indices, then a u32 of four times 7 bits of signs and a scale of 4 bits |
#[inline(always)]
pub(super) fn iq2_xxs(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let packed = word_at(block, 6 + 8 * group);
        let scale = d * (0.5 + (packed >> 28) as f32) * 0.25;
        for (l, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let point = &grids::IQ2_XXS[usize::from(block[2 + 8 * group + l])];
            put_signed(scale, point, eight_signs(packed >> (7 * l)), values);
        }
    }
}

/// `value = d * (scale + 0.5) / 4 * grid value`, negative where its sign bit is set.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 64 | for each 8 elements a u16: grid index of 9 bits, 7 bits of signs |
/// | 66 | 8 | scales of 16 elements each, 4 bits |
#[inline(always)]
pub(super) fn iq2_xs(block: &[u8; 74], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (place, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = d * (0.5 + f32::from(nibble_at(block, 66, place / 2))) * 0.25;
        let quant = u16::from_le_bytes([block[2 + 2 * place], block[3 + 2 * place]]);
        let point = &grids::IQ2_XS[usize::from(quant & 511)];
        put_signed(scale, point, eight_signs(u32::from(quant >> 9)), values);
    }
}

/// `value = d * (scale + 0.5) / 4 * grid value`, negative where its sign bit is set.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 32 | for each 8 elements the lower 8 bits of a grid index |
/// | 34 | 32 | signs, the lowest bit first |
/// | 66 | 8 | upper two bits of the indices |
/// | 74 | 8 | scales of 16 elements each, 4 bits |
#[inline(always)]
pub(super) fn iq2_s(block: &[u8; 82], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (place, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = d * (0.5 + f32::from(nibble_at(block, 74, place / 2))) * 0.25;
        let upper = usize::from(block[66 + place / 4] >> (2 * (place % 4)) & 3);
        let point = &grids::IQ2_S[usize::from(block[2 + place]) | upper << 8];
        put_signed(scale, point, block[34 + place], values);
    }
}

/// `value = d * (scale + 0.5) / 2 * grid value`, negative where its sign bit is set.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 64 | for each 4 elements a grid index |
/// | 66 | 32 | for each 32 elements a u32: four times 7 bits of signs, a scale of 4 bits |
#[inline(always)]
pub(super) fn iq3_xxs(block: &[u8; 98], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let packed = word_at(block, 66 + 4 * group);
        let scale = d * (0.5 + (packed >> 28) as f32) * 0.5;
        for (l, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let at = 2 + 8 * group + 2 * l;
            let first = grids::IQ3_XXS[usize::from(block[at])];
            let second = grids::IQ3_XXS[usize::from(block[at + 1])];
            let signs = eight_signs(packed >> (7 * l));
            put_signed(scale, &joined(first, second), signs, values);
        }
    }
}

/// `value = d * (1 + 2 * scale) * grid value`, negative where its sign bit is set.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 64 | for each 4 elements the lower 8 bits of a grid index |
/// | 66 | 8 | the ninth bits of the indices, the lowest first |
/// | 74 | 32 | signs, the lowest bit first |
/// | 106 | 4 | scales of 32 elements each, 4 bits |
#[inline(always)]
pub(super) fn iq3_s(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (place, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = d * f32::from(1 + 2 * nibble_at(block, 106, place / 4));
        let ninth = usize::from(block[66 + place / 4] >> (2 * (place % 4)));
        let first = usize::from(block[2 + 2 * place]) | (ninth & 1) << 8;
        let second = usize::from(block[3 + 2 * place]) | (ninth >> 1 & 1) << 8;
        let point = joined(grids::IQ3_S[first], grids::IQ3_S[second]);
        put_signed(scale, &point, block[74 + place], values);
    }
}

/// `value = d * (2 * scale + 1) * (grid value + delta)`, delta 1/8 or -1/8.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 32 | for each 8 elements the lower 8 bits of a grid index |
/// | 34 | 16 | for each 32 elements a u16: four times the upper 3 bits of an index, a scale of 3 bits, the sign of delta |
#[inline(always)]
pub(super) fn iq1_s(block: &[u8; 50], out: &mut [f32; 256]) {
    let d = half_at(block, 0);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let packed = u16::from_le_bytes([block[34 + 2 * group], block[35 + 2 * group]]);
        let scale = d * f32::from(2 * (packed >> 12 & 7) + 1);
        let delta = if packed >> 15 == 0 { DELTA } else { -DELTA };
        for (l, values) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let upper = usize::from(packed >> (3 * l) & 7);
            let index = usize::from(block[2 + 4 * group + l]) | upper << 8;
            put_shifted(scale, &grids::IQ1[index], delta, values);
        }
    }
}

/// `value = d * (2 * scale + 1) * (grid value + delta)`, delta 1/8 or -1/8.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 32 | for each 8 elements the lower 8 bits of a grid index |
/// | 32 | 16 | for each 8 elements four bits: the upper 3 bits of the index, the sign of delta |
/// | 48 | 8 | four u16: scales of 16 elements each, 3 bits; the upper four bits of all are `d`, f16, the lowest first |
#[inline(always)]
pub(super) fn iq1_m(block: &[u8; 56], out: &mut [f32; 256]) {
    let word = |index: usize| u16::from_le_bytes([block[48 + 2 * index], block[49 + 2 * index]]);
    let d = word(0) >> 12 | word(1) >> 12 << 4 | word(2) >> 12 << 8 | word(3) >> 12 << 12;
    let d = widen::half(d);
    for (place, values) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = word(place / 8) >> (3 * (place / 2 % 4)) & 7;
        let scale = d * f32::from(2 * scale + 1);
        let upper = nibble_at(block, 32, place);
        let delta = if upper & 8 == 0 { DELTA } else { -DELTA };
        let index = usize::from(block[place]) | usize::from(upper & 7) << 8;
        put_shifted(scale, &grids::IQ1[index], delta, values);
    }
}

/// Scaled values; those whose bit of `signs` is set are negated.
#[inline(always)]
fn put_signed(scale: f32, point: &[i8; 8], signs: u8, out: &mut [f32; 8]) {
    let mut values = [0.0; 8];
    for (j, value) in values.iter_mut().enumerate() {
        let sign = u32::from(signs) << (31 - j) & 1 << 31;
        *value = f32::from_bits((scale * f32::from(point[j])).to_bits() ^ sign);
    }
    *out = values;
}

#[inline(always)]
fn put_shifted(scale: f32, point: &[i8; 8], delta: f32, out: &mut [f32; 8]) {
    let mut values = [0.0; 8];
    for (value, point) in values.iter_mut().zip(point) {
        *value = scale * (f32::from(*point) + delta);
    }
    *out = values;
}

/// Seven bits and the eighth that makes the number of set ones even (`ksigns_iq2xs`).
#[inline(always)]
fn eight_signs(packed: u32) -> u8 {
    let seven = (packed & 127) as u8;
    seven | (seven.count_ones() as u8 & 1) << 7
}

#[inline(always)]
fn joined(first: [i8; 4], second: [i8; 4]) -> [i8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (first, second);
    [a, b, c, d, e, f, g, h]
}

/// Nibble number `index` of those from byte `offset` on, the low one of a byte first.
#[inline(always)]
fn nibble_at(block: &[u8], offset: usize, index: usize) -> u8 {
    let pair = block[offset + index / 2];
    if index.is_multiple_of(2) {
        low(pair)
    } else {
        high(pair)
    }
}

#[inline(always)]
fn word_at(block: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes([
        block[offset],
        block[offset + 1],
        block[offset + 2],
        block[offset + 3],
    ])
}
