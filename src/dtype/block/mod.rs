//! GGUF quantised blocks: bytes to `f32`.
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
//! results are those of gguf-py bit for bit. Source: ggml-common.h, ggml-quants.c.

mod few_bits;
mod grid;
mod grids;
mod k;
mod plain;
mod table4;

use super::DType;

/// Decodes whole blocks: `input` and `out` hold the same elements.
pub type Decode = fn(input: &[u8], out: &mut [f32]);

/// How blocks of `dtype` are decoded; `None` if it has no blocks.
pub fn decoder(dtype: DType) -> Option<Decode> {
    Some(match dtype {
        DType::Q4_0 => |i, o| each(i, o, plain::q4_0),
        DType::Q4_1 => |i, o| each(i, o, plain::q4_1),
        DType::Q5_0 => |i, o| each(i, o, plain::q5_0),
        DType::Q5_1 => |i, o| each(i, o, plain::q5_1),
        DType::Q8_0 => |i, o| each(i, o, plain::q8_0),
        DType::Q8_1 => |i, o| each(i, o, plain::q8_1),
        DType::Q2K => |i, o| each(i, o, k::q2_k),
        DType::Q3K => |i, o| each(i, o, k::q3_k),
        DType::Q4K => |i, o| each(i, o, k::q4_k),
        DType::Q5K => |i, o| each(i, o, k::q5_k),
        DType::Q6K => |i, o| each(i, o, k::q6_k),
        DType::Q8K => |i, o| each(i, o, k::q8_k),
        DType::Iq4Nl => |i, o| each(i, o, table4::iq4_nl),
        DType::Iq4Xs => |i, o| each(i, o, table4::iq4_xs),
        DType::Mxfp4 => |i, o| each(i, o, table4::mxfp4),
        DType::Nvfp4 => |i, o| each(i, o, table4::nvfp4),
        DType::Tq1_0 => |i, o| each(i, o, few_bits::tq1_0),
        DType::Tq2_0 => |i, o| each(i, o, few_bits::tq2_0),
        DType::Q1_0 => |i, o| each(i, o, few_bits::q1_0),
        DType::Q2_0 => |i, o| each(i, o, few_bits::q2_0),
        DType::Iq1S => |i, o| each(i, o, grid::iq1_s),
        DType::Iq1M => |i, o| each(i, o, grid::iq1_m),
        DType::Iq2Xxs => |i, o| each(i, o, grid::iq2_xxs),
        DType::Iq2Xs => |i, o| each(i, o, grid::iq2_xs),
        DType::Iq2S => |i, o| each(i, o, grid::iq2_s),
        DType::Iq3Xxs => |i, o| each(i, o, grid::iq3_xxs),
        DType::Iq3S => |i, o| each(i, o, grid::iq3_s),
        _ => return None,
    })
}

/// Decodes block after block.
fn each<const BYTES: usize, const ELEMENTS: usize>(
    input: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let blocks = input.as_chunks::<BYTES>().0;
    for (block, values) in blocks.iter().zip(out.as_chunks_mut::<ELEMENTS>().0) {
        decode(block, values);
    }
}

/// The half at `offset` of a block.
fn half_at(block: &[u8], offset: usize) -> f32 {
    half::f16::from_le_bytes([block[offset], block[offset + 1]]).to_f32()
}

fn low(byte: u8) -> u8 {
    byte & 15
}

fn high(byte: u8) -> u8 {
    byte >> 4
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
            decode(input, &mut out);
            for (index, (found, wanted)) in out.iter().zip(expected.as_chunks::<4>().0).enumerate()
            {
                let wanted = f32::from_le_bytes(*wanted);
                assert_eq!(found.to_bits(), wanted.to_bits(), "{dtype} element {index}");
            }
            seen += 1;
        }
        assert_eq!(seen, 27);
    }
}
