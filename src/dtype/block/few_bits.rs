//! Blocks of elements with two or three or four values.

use super::plain::inverse;
use super::{bits, half_at, minus, part, scaled};
use super::{largest_bits, put_half, round_away, small_integer};

/// `value = d * trit`, trits -1, 0, 1. A byte holds five as a fixed-point fraction in base 3:
/// times 3^n, what overflows the byte is gone and what stands first is trit n.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 32 | 160 elements: trit n of byte m is element 32 n + m |
/// | 32 | 16 | 80 elements: trit n of byte m is element 160 + 16 n + m |
/// | 48 | 4 | 16 elements, four a byte: trit n of byte m is element 240 + 4 n + m |
/// | 52 | 2 | `d`, f16 |
#[inline(always)]
pub(super) fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = half_at(block, 52);
    let (long, rest) = out.split_at_mut(160);
    let (short, last) = rest.split_at_mut(80);
    put_trits::<32>(d, part(block, 0), long);
    put_trits::<16>(d, part(block, 32), short);
    put_trits::<4>(d, part(block, 48), last);
}

/// The first trits of all bytes, the second ones, and so on.
#[inline(always)]
fn put_trits<const N: usize>(d: f32, mut bytes: [u8; N], out: &mut [f32]) {
    for values in out.as_chunks_mut::<N>().0 {
        let mut trits = [0; N];
        for (trit, byte) in trits.iter_mut().zip(&bytes) {
            *trit = ((u16::from(*byte) * 3) >> 8) as u8;
        }
        *values = scaled(d, minus(trits, 1));
        for byte in &mut bytes {
            *byte = byte.wrapping_mul(3);
        }
    }
}

/// `value = d * (quant - 1)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 64 | quants, 2 bits: 128 elements in 32 bytes, 32 elements in each bit pair |
/// | 64 | 2 | `d`, f16 |
#[inline(always)]
pub(super) fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 64);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let quants: [u8; 32] = bits(part(block, 32 * (group / 4)), 2 * (group % 4), 3);
        *values = scaled(d, minus(quants, 1));
    }
}

/// `d` where the bit is set, `-d` where it is not.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | bits, the lowest first |
#[inline(always)]
pub(super) fn q1_0(block: &[u8; 18], out: &mut [f32; 128]) {
    let d = half_at(block, 0);
    let mut values = [0.0; 128];
    for (j, value) in values.iter_mut().enumerate() {
        let is_set = block[2 + j / 8] >> (j % 8) & 1 == 1;
        *value = if is_set { d } else { -d };
    }
    *out = values;
}

/// `value = d * (quant - 1)`, quants 0 to 3.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | quants, 2 bits, the lowest first |
#[inline(always)]
pub(super) fn q2_0(block: &[u8; 18], out: &mut [f32; 64]) {
    let d = half_at(block, 0);
    let packed: [u8; 16] = part(block, 2);
    let mut quants = [0; 64];
    for (j, quant) in quants.iter_mut().enumerate() {
        *quant = packed[j / 4] >> (2 * (j % 4)) & 3;
    }
    *out = scaled(d, minus(quants, 1));
}

/// Nearest trits for a scale that is the largest magnitude.
#[inline(always)]
pub(super) fn encode_tq1_0(values: &[f32; 256], block: &mut [u8; 54]) {
    let trits = trits(values, block, 52);
    let mut pack = |first: usize, bytes: std::ops::Range<usize>, rounds: usize| {
        let width = bytes.len();
        for (m, byte) in block[bytes].iter_mut().enumerate() {
            // Five trits in base 3, the first in the highest place, as a fraction of 3^5.
            let mut number = 0u16;
            for n in 0..5 {
                let trit = if n < rounds {
                    trits[first + width * n + m]
                } else {
                    0
                };
                number = number * 3 + u16::from(trit);
            }
            *byte = (number * 256).div_ceil(243) as u8;
        }
    };
    pack(0, 0..32, 5);
    pack(160, 32..48, 5);
    pack(240, 48..52, 4);
}

/// Nearest trits for a scale that is the largest magnitude.
#[inline(always)]
pub(super) fn encode_tq2_0(values: &[f32; 256], block: &mut [u8; 66]) {
    let trits = trits(values, block, 64);
    for (i, byte) in block[..64].iter_mut().enumerate() {
        let first = 128 * (i / 32) + i % 32;
        let pair = |n: usize| trits[first + 32 * n] << (2 * n);
        *byte = pair(0) | pair(1) | pair(2) | pair(3);
    }
}

/// Stores the scale at `offset` and returns 0, 1 or 2 for each value.
#[inline(always)]
fn trits(values: &[f32; 256], block: &mut [u8], offset: usize) -> [u8; 256] {
    let d = f32::from_bits(largest_bits(values));
    let inverse = inverse(d);
    put_half(block, offset, d);
    let mut trits = [0; 256];
    for (value, trit) in values.iter().zip(&mut trits) {
        *trit = (small_integer(round_away(value * inverse)) + 1) as u8;
    }
    trits
}
