//! GGUF quantised blocks: bytes to `f32`, and back.
//!
//! | family | file | types |
//! |---|---|---|
//! | 32 elements, one or two scales | `plain` | Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 |
//! | 256 elements in scaled sub-blocks | `k` | Q2_K to Q6_K, Q8_K |
//! | 4 bits through a table | `table4` | IQ4_NL IQ4_XS MXFP4 NVFP4 |
//! | one or two bits | `few_bits` | TQ1_0 TQ2_0 Q1_0 Q2_0 |
//! | points of a grid, tables in `grids` | `grid` | IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S |
//!
//! Arithmetic is in `f32`, in the order that ggml's C code has, without fused operations: the
//! results are those of gguf-py bit for bit, both ways. Source: ggml-common.h, ggml-quants.c.
//!
//! The k-quants are encoded by candle's port of ggml's searches, in `k_encode`.

mod few_bits;
mod grid;
mod grids;
mod k;
#[cfg(feature = "candle")]
pub(crate) mod k_encode;
mod plain;
#[cfg(test)]
mod slow;
mod table4;

use super::{DType, Facts};
use crate::kernel::{self, Loop, Path, narrow, widen};

/// Decodes whole blocks: `input` and `out` hold the same elements.
pub type Decode = fn(path: Path, input: &[u8], out: &mut [f32]);

/// Encodes whole blocks: `values`, which are finite, and `out` hold the same elements.
pub type Encode = fn(path: Path, values: &[f32], out: &mut [u8]);

/// A function that converts block after block.
///
/// The loop names what it calls: through a parameter, that would be compiled for the baseline.
/// For the same reason decoders use no `array::map`. They put quants into arrays of their own
/// before they write values: that neither lies in the other is what lets lanes form.
macro_rules! each {
    ($from:ty => $to:ty, $convert:path) => {{
        struct Blocks<'a> {
            input: &'a [$from],
            out: &'a mut [$to],
        }
        impl Loop for Blocks<'_> {
            type Output = ();

            #[inline(always)]
            fn run(self) {
                for (input, out) in self.input.iter().zip(self.out) {
                    // One block after the other: lanes lie within blocks, not across them.
                    std::hint::black_box(());
                    $convert(input, out);
                }
            }
        }
        |path, input, out| {
            let (input, out) = (input.as_chunks().0, out.as_chunks_mut().0);
            kernel::run(path, Blocks { input, out });
        }
    }};
}

macro_rules! decode {
    ($dtype:ident, $decode:path) => {{
        const FACTS: Facts = DType::$dtype.facts();
        each!([u8; FACTS.block_bytes as usize] => [f32; FACTS.block_elements as usize], $decode)
    }};
}

macro_rules! encode {
    ($dtype:ident, $encode:path) => {{
        const FACTS: Facts = DType::$dtype.facts();
        each!([f32; FACTS.block_elements as usize] => [u8; FACTS.block_bytes as usize], $encode)
    }};
}

/// How blocks of `dtype` are decoded; `None` if it has no blocks.
pub fn decoder(dtype: DType) -> Option<Decode> {
    Some(match dtype {
        DType::Q4_0 => decode!(Q4_0, plain::q4_0),
        DType::Q4_1 => decode!(Q4_1, plain::q4_1),
        DType::Q5_0 => decode!(Q5_0, plain::q5_0),
        DType::Q5_1 => decode!(Q5_1, plain::q5_1),
        DType::Q8_0 => decode!(Q8_0, plain::q8_0),
        DType::Q8_1 => decode!(Q8_1, plain::q8_1),
        DType::Q2K => decode!(Q2K, k::q2_k),
        DType::Q3K => decode!(Q3K, k::q3_k),
        DType::Q4K => decode!(Q4K, k::q4_k),
        DType::Q5K => decode!(Q5K, k::q5_k),
        DType::Q6K => decode!(Q6K, k::q6_k),
        DType::Q8K => decode!(Q8K, k::q8_k),
        DType::Iq4Nl => decode!(Iq4Nl, table4::iq4_nl),
        DType::Iq4Xs => decode!(Iq4Xs, table4::iq4_xs),
        DType::Mxfp4 => decode!(Mxfp4, table4::mxfp4),
        DType::Nvfp4 => decode!(Nvfp4, table4::nvfp4),
        DType::Tq1_0 => decode!(Tq1_0, few_bits::tq1_0),
        DType::Tq2_0 => decode!(Tq2_0, few_bits::tq2_0),
        DType::Q1_0 => decode!(Q1_0, few_bits::q1_0),
        DType::Q2_0 => decode!(Q2_0, few_bits::q2_0),
        DType::Iq1S => decode!(Iq1S, grid::iq1_s),
        DType::Iq1M => decode!(Iq1M, grid::iq1_m),
        DType::Iq2Xxs => decode!(Iq2Xxs, grid::iq2_xxs),
        DType::Iq2Xs => decode!(Iq2Xs, grid::iq2_xs),
        DType::Iq2S => decode!(Iq2S, grid::iq2_s),
        DType::Iq3Xxs => decode!(Iq3Xxs, grid::iq3_xxs),
        DType::Iq3S => decode!(Iq3S, grid::iq3_s),
        _ => return None,
    })
}

/// How blocks of `dtype` are encoded, where each stands for itself; `None` for the k-quants,
/// and for types that nothing here encodes.
pub fn encoder(dtype: DType) -> Option<Encode> {
    Some(match dtype {
        DType::Q4_0 => encode!(Q4_0, plain::encode_q4_0),
        DType::Q4_1 => encode!(Q4_1, plain::encode_q4_1),
        DType::Q5_0 => encode!(Q5_0, plain::encode_q5_0),
        DType::Q5_1 => encode!(Q5_1, plain::encode_q5_1),
        DType::Q8_0 => encode!(Q8_0, plain::encode_q8_0),
        DType::Mxfp4 => encode!(Mxfp4, table4::encode_mxfp4),
        DType::Tq1_0 => encode!(Tq1_0, few_bits::encode_tq1_0),
        DType::Tq2_0 => encode!(Tq2_0, few_bits::encode_tq2_0),
        _ => return None,
    })
}

/// The half at `offset` of a block.
#[inline(always)]
fn half_at(block: &[u8], offset: usize) -> f32 {
    widen::half(u16::from_le_bytes([block[offset], block[offset + 1]]))
}

/// As many bytes from `offset` on.
#[inline(always)]
fn part<const N: usize>(block: &[u8], offset: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&block[offset..offset + N]);
    part
}

/// The bits of `mask` of each byte, shifted down to it.
#[inline(always)]
fn bits<const N: usize>(mut bytes: [u8; N], shift: usize, mask: u8) -> [u8; N] {
    for byte in &mut bytes {
        *byte = *byte >> shift & mask;
    }
    bytes
}

/// The low nibbles of bytes, and the high ones.
#[inline(always)]
fn nibbles<const N: usize>(block: &[u8], offset: usize) -> [[u8; N]; 2] {
    let pairs = part(block, offset);
    [bits(pairs, 0, 15), bits(pairs, 4, 15)]
}

/// `quant - zero`.
#[inline(always)]
fn minus<const N: usize>(quants: [u8; N], zero: i8) -> [i8; N] {
    let mut signed = [0; N];
    for (signed, quant) in signed.iter_mut().zip(quants) {
        *signed = (quant as i8).wrapping_sub(zero);
    }
    signed
}

/// `scale * quant`.
#[inline(always)]
fn scaled<const N: usize>(scale: f32, quants: [i8; N]) -> [f32; N] {
    let mut values = [0.0; N];
    for (value, quant) in values.iter_mut().zip(quants) {
        *value = scale * f32::from(quant);
    }
    values
}

/// `scale * quant + offset`.
#[inline(always)]
fn scaled_from<const N: usize>(offset: f32, scale: f32, quants: [u8; N]) -> [f32; N] {
    let mut values = [0.0; N];
    for (value, quant) in values.iter_mut().zip(quants) {
        *value = scale * f32::from(quant) + offset;
    }
    values
}

/// Stores a half at `offset` of a block.
#[inline(always)]
fn put_half(block: &mut [u8], offset: usize, value: f32) {
    block[offset..offset + 2].copy_from_slice(&narrow::half_bits(value).to_le_bytes());
}

#[inline(always)]
fn low(byte: u8) -> u8 {
    byte & 15
}

#[inline(always)]
fn high(byte: u8) -> u8 {
    byte >> 4
}

/// The bits of the largest magnitude.
#[inline(always)]
fn largest_bits(values: &[f32]) -> u32 {
    let magnitudes = values.iter().map(|value| value.to_bits() & 0x7fff_ffff);
    magnitudes.fold(0, u32::max)
}

/// From here on an `f32` has no digits behind the point: adding this rounds to whole numbers,
/// ties to even.
const WHOLE: f32 = (1u32 << 23) as f32;

/// Rounded to a whole number, halves away from zero. Below 2^22 in magnitude.
#[inline(always)]
fn round_away(value: f32) -> f32 {
    let magnitude = value.abs();
    let even = (magnitude + WHOLE) - WHOLE;
    let is_half_above = magnitude - even == 0.5;
    (if is_half_above { even + 1.0 } else { even }).copysign(value)
}

/// The whole part of a positive number below 2^22.
#[inline(always)]
fn truncate(value: f32) -> f32 {
    let even = (value + WHOLE) - WHOLE;
    if even > value { even - 1.0 } else { even }
}

/// A whole number below 2^22 in magnitude as an integer. (A cast would check for NaN and range.)
#[inline(always)]
fn small_integer(whole: f32) -> i32 {
    /// Room for negative ones, too.
    const BASE: f32 = WHOLE * 1.5;
    (whole + BASE).to_bits().wrapping_sub(BASE.to_bits()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Class;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/blocks")
    }

    // Each file: blocks as they lie, then what gguf-py (or ggml's formula, where gguf-py has
    // none) makes of them. See testdata/blocks/make.py.
    #[test]
    fn every_type_decodes_bit_for_bit_like_gguf_py() {
        let mut seen = 0;
        for dtype in DType::ALL {
            let Some(decode) = decoder(*dtype) else {
                assert_ne!(dtype.class(), Class::Block, "{dtype}");
                continue;
            };
            let file = std::fs::read(folder().join(format!("{dtype}.bin"))).unwrap();
            let facts = dtype.facts();
            let (bytes, elements) = (facts.block_bytes as usize, facts.block_elements as usize);
            let blocks = file.len() / (bytes + elements * 4);
            assert!(blocks > 0, "{dtype}");
            let (input, expected) = file.split_at(blocks * bytes);
            let mut out = vec![0.0; blocks * elements];
            decode(Path::Fast, input, &mut out);
            let mut portable = vec![0.0f32; out.len()];
            decode(Path::Portable, input, &mut portable);
            assert!(
                portable
                    .iter()
                    .zip(&out)
                    .all(|(a, b)| a.to_bits() == b.to_bits()),
                "{dtype}"
            );
            for (index, (found, wanted)) in out.iter().zip(expected.as_chunks::<4>().0).enumerate()
            {
                let wanted = f32::from_le_bytes(*wanted);
                assert_eq!(found.to_bits(), wanted.to_bits(), "{dtype} element {index}");
            }
            seen += 1;
        }
        assert_eq!(seen, 27);
    }

    #[test]
    fn random_blocks_decode_like_the_slow_way() {
        let mut state = 7u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005);
            state = state.wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut seen = 0;
        for dtype in DType::ALL {
            let Some(decode) = decoder(*dtype) else {
                continue;
            };
            let facts = dtype.facts();
            let (bytes, elements) = (facts.block_bytes as usize, facts.block_elements as usize);
            let input: Vec<u8> = (0..300 * bytes).map(|_| byte()).collect();
            for path in [Path::Fast, Path::Portable] {
                let mut out = vec![0.0; 300 * elements];
                decode(path, &input, &mut out);
                for (index, found) in out.iter().enumerate() {
                    let block = &input[index / elements * bytes..][..bytes];
                    let wanted = slow::value(*dtype, block, index % elements);
                    let same = found.to_bits() == wanted.to_bits();
                    let both_nan = found.is_nan() && wanted.is_nan();
                    assert!(
                        same || both_nan,
                        "{dtype} element {index}: {found} {wanted}"
                    );
                }
            }
            seen += 1;
        }
        assert_eq!(seen, 27);
    }
}
