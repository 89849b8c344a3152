//! Blocks of elements with two or three or four values.

use super::half_at;

/// `value = d * trit`, trits -1, 0, 1. A byte holds five as a fixed-point fraction in base 3:
/// times 3^n, what overflows the byte is gone and what stands first is trit n.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 32 | 160 elements: trit n of byte m is element 32 n + m |
/// | 32 | 16 | 80 elements: trit n of byte m is element 160 + 16 n + m |
/// | 48 | 4 | 16 elements, four a byte: trit n of byte m is element 240 + 4 n + m |
/// | 52 | 2 | `d`, f16 |
pub(super) fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = half_at(block, 52);
    let parts = [(0..32, 0), (32..48, 160), (48..52, 240)];
    for (bytes, first) in parts {
        let width = bytes.len();
        let rounds = if width == 4 { 4 } else { 5 };
        for n in 0..rounds {
            for (m, byte) in block[bytes.clone()].iter().enumerate() {
                let shifted = byte.wrapping_mul(3u8.pow(n as u32));
                let trit = ((u16::from(shifted) * 3) >> 8) as i8 - 1;
                out[first + width * n + m] = d * f32::from(trit);
            }
        }
    }
}

/// `value = d * (quant - 1)`.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 64 | quants, 2 bits: 128 elements in 32 bytes, 32 elements in each bit pair |
/// | 64 | 2 | `d`, f16 |
pub(super) fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half_at(block, 64);
    for (i, value) in out.iter_mut().enumerate() {
        let quant = block[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3;
        *value = d * f32::from(quant as i8 - 1);
    }
}

/// `d` where the bit is set, `-d` where it is not.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | bits, the lowest first |
pub(super) fn q1_0(block: &[u8; 18], out: &mut [f32; 128]) {
    let d = half_at(block, 0);
    for (i, value) in out.iter_mut().enumerate() {
        let is_set = block[2 + i / 8] >> (i % 8) & 1 == 1;
        *value = if is_set { d } else { -d };
    }
}

/// `value = d * (quant - 1)`, quants 0 to 3.
///
/// | byte | size | what |
/// |---|---|---|
/// | 0 | 2 | `d`, f16 |
/// | 2 | 16 | quants, 2 bits, the lowest first |
pub(super) fn q2_0(block: &[u8; 18], out: &mut [f32; 64]) {
    let d = half_at(block, 0);
    for (i, value) in out.iter_mut().enumerate() {
        let quant = block[2 + i / 4] >> (2 * (i % 4)) & 3;
        *value = d * f32::from(quant as i8 - 1);
    }
}
