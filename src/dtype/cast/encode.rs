//! `f32` as elements of any dtype that can be a target, and what cannot be kept.

use super::{Overflow, TILE};
use crate::dtype::{Class, DType, block};
use crate::error::{Error, Result};
use crate::kernel::narrow::{self, Losses, Narrow};
use crate::kernel::{self, Loop, Path, view};

/// The kind of float that `to` is, if values are rounded to it from `f32`.
pub(super) fn narrow_kind(to: DType) -> Option<Narrow> {
    Some(match to {
        DType::BF16 => Narrow::Bf16,
        DType::F16 => Narrow::F16,
        DType::F8E4M3 => Narrow::F8E4M3,
        DType::F8E5M2 => Narrow::F8E5M2,
        DType::F8E4M3Fnuz => Narrow::F8E4M3Fnuz,
        DType::F8E5M2Fnuz => Narrow::F8E5M2Fnuz,
        _ => return None,
    })
}

/// Encodes `values`, the elements from number `first` on; `weights` says how much each matters, for the k-quants.
///
/// Errors: `Unsupported` if `to` consists of blocks that cannot hold one of the values.
pub(super) fn encode(
    path: Path,
    to: DType,
    overflow: Overflow,
    first: u64,
    values: &[f32],
    weights: Option<&[f32]>,
    out: &mut [u8],
) -> Result<Losses> {
    if to.class() == Class::Block {
        return encode_blocks(path, to, first, values, weights, out);
    }
    if to == DType::F64 {
        for (value, bytes) in values.iter().zip(out.as_chunks_mut::<8>().0) {
            *bytes = f64::from(*value).to_le_bytes();
        }
        return Ok(Losses::default());
    }
    let mut copy = [0u8; TILE * 4];
    let mut losses = Losses::default();
    let width = to.facts().block_bytes as usize;
    for (values, out) in values.chunks(TILE).zip(out.chunks_mut(TILE * width)) {
        let singles = view::bytes(values).unwrap_or_else(|| {
            for (value, bytes) in values.iter().zip(copy.as_chunks_mut::<4>().0) {
                *bytes = value.to_le_bytes();
            }
            &copy[..values.len() * 4]
        });
        match narrow_kind(to) {
            Some(kind) => losses += narrow::f32_to(path, kind, overflow.kernel(), singles, out),
            None => out.copy_from_slice(singles),
        }
    }
    Ok(losses)
}

fn encode_blocks(
    path: Path,
    to: DType,
    first: u64,
    values: &[f32],
    weights: Option<&[f32]>,
    out: &mut [u8],
) -> Result<Losses> {
    if kernel::run(path, LargestBits(values)) >= f32::INFINITY.to_bits() {
        return Err(not_finite(to, first, values));
    }
    match block::encoder(to) {
        Some(encode) => encode(path, values, out),
        None => encode_k(to, values, weights, out)?,
    }
    check_scales(to, first, values, out)
}

#[cfg(feature = "candle")]
fn encode_k(to: DType, values: &[f32], weights: Option<&[f32]>, out: &mut [u8]) -> Result<()> {
    use block::k_encode;
    let kind = k_encode::kind_of(to).ok_or_else(|| no_encoder(to))?;
    k_encode::encode(kind, values, weights, out)
        .map_err(|cause| Error::unsupported(format!("{to} cannot be encoded: {cause}")))
}

#[cfg(not(feature = "candle"))]
fn encode_k(to: DType, _: &[f32], _: Option<&[f32]>, _: &mut [u8]) -> Result<()> {
    Err(no_encoder(to))
}

/// Nothing here encodes `to`.
pub(super) fn no_encoder(to: DType) -> Error {
    let is_k = matches!(
        to,
        DType::Q2K | DType::Q3K | DType::Q4K | DType::Q5K | DType::Q6K
    );
    match is_k && cfg!(not(feature = "candle")) {
        true => Error::unsupported(format!("{to} is encoded by candle, which is left out"))
            .with_hint("build with the feature `candle`"),
        false => Error::unsupported(format!("nothing encodes {to} yet")),
    }
}

/// Whether something encodes the blocks of `to`.
pub(super) fn encodes(to: DType) -> bool {
    #[cfg(feature = "candle")]
    if block::k_encode::kind_of(to).is_some() {
        return true;
    }
    block::encoder(to).is_some()
}

/// The largest of the magnitudes' bits: beyond those of infinity for a NaN.
struct LargestBits<'a>(&'a [f32]);

impl Loop for LargestBits<'_> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        let magnitudes = self.0.iter().map(|value| value.to_bits() & 0x7fff_ffff);
        magnitudes.fold(0, u32::max)
    }
}

/// What is wrong with values of which one is not finite.
fn not_finite(to: DType, first: u64, values: &[f32]) -> Error {
    let place = values.iter().position(|value| !value.is_finite());
    let place = place.unwrap_or(0);
    let value = values.get(place).copied().unwrap_or(f32::NAN);
    let element = first + place as u64;
    Error::unsupported(format!(
        "element {element} is {value}, which {to} blocks cannot hold"
    ))
    .with_hint("leave the tensor in a float type")
}

/// Looks at the scales of encoded blocks: those that became infinite are an error, those that
/// became zero have lost their values.
fn check_scales(to: DType, first: u64, values: &[f32], out: &[u8]) -> Result<Losses> {
    let facts = to.facts();
    let (elements, bytes) = (facts.block_elements as usize, facts.block_bytes as usize);
    let Some(words) = facts.words.first().filter(|words| words.width == 2) else {
        return Ok(Losses::default());
    };
    let halves =
        usize::from(words.offset)..usize::from(words.offset) + 2 * usize::from(words.count);
    let mut losses = Losses::default();
    let blocks = values.chunks_exact(elements).zip(out.chunks_exact(bytes));
    for (index, (values, block)) in blocks.enumerate() {
        let halves = block[halves.clone()].as_chunks::<2>().0;
        let largest = halves
            .iter()
            .map(|half| u16::from_le_bytes(*half) & 0x7fff)
            .max();
        match largest.unwrap_or(0) {
            0 => losses.underflow += values.iter().filter(|value| **value != 0.0).count() as u64,
            0x7c00.. => {
                let largest = values
                    .iter()
                    .fold(0f32, |most, value| most.max(value.abs()));
                let element = first + (index * elements) as u64;
                let text = format!(
                    "the {to} block from element {element} on holds {largest}, too large for its scale"
                );
                return Err(Error::unsupported(text).with_hint("leave the tensor in a float type"));
            }
            _ => {}
        }
    }
    Ok(losses)
}
