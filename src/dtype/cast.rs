//! Elements of one dtype as another, and what is lost on the way.
//!
//! Every result is the exact value rounded once, to nearest, ties to even. Where a value has
//! more digits than `f32`, it goes to the 16-bit floats through an `f32` *rounded to odd*: one
//! of whose last bit says that something was cut off, so that the second rounding is right.

use super::{Class, DType, block, float};
use crate::error::{Error, Result};
use crate::kernel::{Path, narrow, widen};

pub use crate::kernel::narrow::Losses;

/// Elements that are decoded at once: 4 KiB of `f32`, and whole blocks of every dtype.
const TILE: usize = 1024;

/// Whether elements of `from` can be cast to `to`.
///
/// Errors: `Unsupported` for targets other than F16, BF16, F32 and F64 (and the integers of a
/// quantised type), and for types that are no plain numbers or that nothing here decodes.
pub fn check(from: DType, to: DType) -> Result<()> {
    let is_float = matches!(to, DType::F16 | DType::BF16 | DType::F32 | DType::F64);
    let possible = match from.class() {
        _ if from == to => true,
        Class::Bool | Class::Unsigned | Class::Signed | Class::Float => is_float,
        Class::Block => is_float && block::decoder(from).is_some(),
        Class::Quantized => integers_of(from) == Some(to),
        Class::Complex | Class::Unknown => false,
    };
    if possible {
        return Ok(());
    }
    let reason = format!("{from} cannot be cast to {to}");
    Err(Error::unsupported(reason).with_hint("`-x NAME` leaves the tensor out"))
}

/// The plain integers that a PyTorch quantised type consists of.
pub fn integers_of(dtype: DType) -> Option<DType> {
    match dtype {
        DType::QI8 => Some(DType::I8),
        DType::QI32 => Some(DType::I32),
        DType::QU8 | DType::QU4x2 | DType::QU2x4 => Some(DType::U8),
        _ => None,
    }
}

/// Casts canonical bytes of `from` to canonical bytes of `to`; both hold the same elements.
pub fn cast(from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Result<Losses> {
    cast_by(Path::Fast, from, to, input, out)
}

/// As [`cast`], with the kernels of `path`.
///
/// Errors: those of [`check`]; `Usage` if the lengths do not fit each other.
pub fn cast_by(path: Path, from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Result<Losses> {
    check(from, to)?;
    check_lengths(from, to, input, out)?;
    Ok(match (from, to) {
        (from, to) if from == to => {
            out.copy_from_slice(input);
            Losses::default()
        }
        (DType::F32, DType::BF16) => narrow::f32_to_bf16(path, input, out),
        (DType::F32, DType::F16) => narrow::f32_to_f16(path, input, out),
        (DType::BF16, DType::F32) => {
            widen::bf16_to_f32(path, input, out);
            Losses::default()
        }
        (DType::F16, DType::F32) => {
            widen::f16_to_f32(path, input, out);
            Losses::default()
        }
        (DType::F64, DType::F32) => f64_to_f32(input, out),
        _ if from.class() == Class::Quantized => {
            unpack(from, input, out);
            Losses::default()
        }
        (DType::I64 | DType::U64 | DType::I32 | DType::U32, DType::F32 | DType::F64) => {
            long_to_float(from, to, input, out);
            Losses::default()
        }
        _ => by_tiles(path, from, to, input, out),
    })
}

fn check_lengths(from: DType, to: DType, input: &[u8], out: &[u8]) -> Result<()> {
    let elements = |dtype: DType, bytes: usize| {
        let facts = dtype.facts();
        let block = facts.block_bytes.max(1) as usize;
        let whole = bytes.is_multiple_of(block);
        whole.then_some(bytes / block * facts.block_elements as usize)
    };
    match (elements(from, input.len()), elements(to, out.len())) {
        (Some(a), Some(b)) if a == b => Ok(()),
        _ => Err(Error::usage(format!(
            "{} bytes of {from} do not fill {} bytes of {to}",
            input.len(),
            out.len()
        ))),
    }
}

/// Decodes to `f32` (exactly, or rounded to odd for the 16-bit targets), then encodes.
fn by_tiles(path: Path, from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Losses {
    let facts = from.facts();
    let tile_bytes = TILE / facts.block_elements as usize * facts.block_bytes as usize;
    let to_bytes = TILE * to.facts().block_bytes as usize;
    let mut values = [0f32; TILE];
    let mut losses = Losses::default();
    for (input, out) in input.chunks(tile_bytes).zip(out.chunks_mut(to_bytes)) {
        let elements = out.len() / to.facts().block_bytes as usize;
        decode(path, from, input, &mut values[..elements]);
        losses += encode(path, to, &values[..elements], out);
    }
    losses
}

/// Elements of `from` as `f32`: exact, except that those with more digits are rounded to odd.
fn decode(path: Path, from: DType, input: &[u8], out: &mut [f32]) {
    match from {
        DType::Bool => fill(input, out, |[byte]: [u8; 1]| f32::from(u8::from(byte != 0))),
        DType::U8 => fill(input, out, |b| f32::from(u8::from_le_bytes(b))),
        DType::I8 => fill(input, out, |b| f32::from(i8::from_le_bytes(b))),
        DType::U16 => fill(input, out, |b| f32::from(u16::from_le_bytes(b))),
        DType::I16 => fill(input, out, |b| f32::from(i16::from_le_bytes(b))),
        DType::U32 => fill(input, out, |b| {
            odd_from_integer(u32::from_le_bytes(b).into(), false)
        }),
        DType::U64 => fill(input, out, |b| {
            odd_from_integer(u64::from_le_bytes(b), false)
        }),
        DType::I32 => fill(input, out, |b| {
            odd_from_signed(i32::from_le_bytes(b).into())
        }),
        DType::I64 => fill(input, out, |b| odd_from_signed(i64::from_le_bytes(b))),
        DType::F64 => fill(input, out, |b| odd_from_f64(f64::from_le_bytes(b))),
        DType::F32 => fill(input, out, f32::from_le_bytes),
        DType::F16 | DType::BF16 => decode_half(path, from, input, out),
        DType::F8E4M3 => float::decode_f8(&float::F8_E4M3, input, out),
        DType::F8E5M2 => float::decode_f8(&float::F8_E5M2, input, out),
        DType::F8E8M0 => float::decode_f8(&float::F8_E8M0, input, out),
        DType::F8E4M3Fnuz => float::decode_f8(&float::F8_E4M3_FNUZ, input, out),
        DType::F8E5M2Fnuz => float::decode_f8(&float::F8_E5M2_FNUZ, input, out),
        DType::F6E2M3 => float::decode_f6(&float::F6_E2M3, input, out),
        DType::F6E3M2 => float::decode_f6(&float::F6_E3M2, input, out),
        DType::F4 => float::decode_f4(input, out),
        block => {
            if let Some(decode) = block::decoder(block) {
                decode(input, out);
            }
        }
    }
}

fn fill<const N: usize>(input: &[u8], out: &mut [f32], value_of: impl Fn([u8; N]) -> f32) {
    for (bytes, value) in input.as_chunks::<N>().0.iter().zip(out) {
        *value = value_of(*bytes);
    }
}

fn decode_half(path: Path, from: DType, input: &[u8], out: &mut [f32]) {
    let mut bytes = [0u8; TILE * 4];
    match from {
        DType::F16 => widen::f16_to_f32(path, input, &mut bytes),
        _ => widen::bf16_to_f32(path, input, &mut bytes),
    }
    fill(&bytes, out, f32::from_le_bytes);
}

fn encode(path: Path, to: DType, values: &[f32], out: &mut [u8]) -> Losses {
    if to == DType::F64 {
        for (value, bytes) in values.iter().zip(out.as_chunks_mut::<8>().0) {
            *bytes = f64::from(*value).to_le_bytes();
        }
        return Losses::default();
    }
    let mut singles = [0u8; TILE * 4];
    for (value, bytes) in values.iter().zip(singles.as_chunks_mut::<4>().0) {
        *bytes = value.to_le_bytes();
    }
    let singles = &singles[..values.len() * 4];
    match to {
        DType::F16 => narrow::f32_to_f16(path, singles, out),
        DType::BF16 => narrow::f32_to_bf16(path, singles, out),
        _ => {
            out.copy_from_slice(singles);
            Losses::default()
        }
    }
}

fn f64_to_f32(input: &[u8], out: &mut [u8]) -> Losses {
    let mut losses = Losses::default();
    for (from, to) in input
        .as_chunks::<8>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<4>().0)
    {
        let wide = f64::from_le_bytes(*from);
        let single = wide as f32;
        losses.overflow += u64::from(wide.is_finite() && single.is_infinite());
        losses.underflow += u64::from(wide != 0.0 && single.abs() < f32::MIN_POSITIVE);
        *to = single.to_le_bytes();
    }
    losses
}

/// 32- and 64-bit integers to F32 or F64; Rust's `as` rounds to nearest even.
fn long_to_float(from: DType, to: DType, input: &[u8], out: &mut [u8]) {
    let width = from.facts().block_bytes as usize;
    let to_width = to.facts().block_bytes as usize;
    for (bytes, out) in input
        .chunks_exact(width)
        .zip(out.chunks_exact_mut(to_width))
    {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(word);
        let signed = match from {
            DType::I32 => i64::from(unsigned as u32 as i32),
            _ => unsigned as i64,
        };
        let is_signed = from.class() == Class::Signed;
        match (to, is_signed) {
            (DType::F32, true) => out.copy_from_slice(&(signed as f32).to_le_bytes()),
            (DType::F32, false) => out.copy_from_slice(&(unsigned as f32).to_le_bytes()),
            (_, true) => out.copy_from_slice(&(signed as f64).to_le_bytes()),
            (_, false) => out.copy_from_slice(&(unsigned as f64).to_le_bytes()),
        }
    }
}

/// The integers of a quantised type, the lowest bits of a byte first.
fn unpack(from: DType, input: &[u8], out: &mut [u8]) {
    let (per_byte, bits) = match from {
        DType::QU4x2 => (2, 4),
        DType::QU2x4 => (4, 2),
        _ => return out.copy_from_slice(input),
    };
    for (index, value) in out.iter_mut().enumerate() {
        let shifted = input[index / per_byte] >> (index % per_byte * bits);
        *value = shifted & ((1 << bits) - 1);
    }
}

/// Rounded to odd: cut off towards zero, with the last bit set if anything was cut off.
fn odd_from_f64(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    let away = back.abs() > value.abs();
    let toward_zero = nearest.to_bits() - u32::from(away);
    f32::from_bits(toward_zero | 1)
}

fn odd_from_signed(value: i64) -> f32 {
    odd_from_integer(value.unsigned_abs(), value < 0)
}

fn odd_from_integer(magnitude: u64, negative: bool) -> f32 {
    let surplus = 40u32.saturating_sub(magnitude.leading_zeros());
    let sticky = magnitude & ((1 << surplus) - 1) != 0;
    let digits = (magnitude >> surplus) as u32 | u32::from(sticky);
    let value = digits as f32 * float::power(surplus as i32);
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(from: DType, to: DType, input: &[u8]) -> (Vec<u8>, Losses) {
        let elements = input.len() as u64 / u64::from(from.facts().block_bytes)
            * u64::from(from.facts().block_elements);
        let mut out = vec![0; to.byte_len(elements).unwrap() as usize];
        let losses = cast(from, to, input, &mut out).unwrap();
        (out, losses)
    }

    #[test]
    fn doubles_are_rounded_once() {
        // Just above the middle between 1 and the next half; via f32 it would be a tie.
        let above = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        let (out, _) = one(DType::F64, DType::F16, &above.to_le_bytes());
        assert_eq!(out, 0x3c01u16.to_le_bytes());
        let above = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        let (out, _) = one(DType::F64, DType::BF16, &above.to_le_bytes());
        assert_eq!(out, 0x3f81u16.to_le_bytes());
        // The tie itself goes to even; just below the middle goes down.
        let (out, _) = one(
            DType::F64,
            DType::F16,
            &(1.0 + 2f64.powi(-11)).to_le_bytes(),
        );
        assert_eq!(out, 0x3c00u16.to_le_bytes());
        let below = 1.0 + 3.0 * 2f64.powi(-11) - 2f64.powi(-40);
        let (out, _) = one(DType::F64, DType::F16, &below.to_le_bytes());
        assert_eq!(out, 0x3c01u16.to_le_bytes());
    }

    #[test]
    fn extreme_doubles_lose_and_say_so() {
        let input: Vec<u8> = [1e300, -1e300, 1e-300, 0.0, f64::INFINITY]
            .iter()
            .flat_map(|v: &f64| v.to_le_bytes())
            .collect();
        for (to, infinity) in [(DType::F16, 0x7c00u16), (DType::BF16, 0x7f80)] {
            let (out, losses) = one(DType::F64, to, &input);
            let expected = [infinity, infinity | 0x8000, 0, 0, infinity];
            let expected: Vec<u8> = expected.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(out, expected);
            assert_eq!((losses.overflow, losses.underflow), (2, 1));
        }
        let (_, losses) = one(DType::F64, DType::F32, &input);
        assert_eq!((losses.overflow, losses.underflow), (2, 1));
    }

    #[test]
    fn integers_are_rounded_once() {
        // 2^24 + 1 is a tie for f32; with more below, it is not.
        let value = (1i64 << 60) + (1 << 52) + 1;
        let (out, _) = one(DType::I64, DType::BF16, &value.to_le_bytes());
        assert_eq!(out, 0x5d81u16.to_le_bytes());
        let (out, _) = one(DType::I64, DType::F32, &(-16_777_217i64).to_le_bytes());
        assert_eq!(out, (-16_777_216f32).to_le_bytes());
        let (out, _) = one(DType::U64, DType::F64, &u64::MAX.to_le_bytes());
        assert_eq!(out, 18_446_744_073_709_551_616f64.to_le_bytes());
        let (out, _) = one(DType::U32, DType::F32, &u32::MAX.to_le_bytes());
        assert_eq!(out, 4_294_967_296f32.to_le_bytes());
        let (out, _) = one(DType::I32, DType::F64, &(-5i32).to_le_bytes());
        assert_eq!(out, (-5f64).to_le_bytes());
        let (out, losses) = one(DType::I64, DType::F16, &100_000i64.to_le_bytes());
        assert_eq!(
            (out, losses.overflow),
            (0x7c00u16.to_le_bytes().to_vec(), 1)
        );
    }

    #[test]
    fn rounding_to_odd_keeps_what_a_second_rounding_needs() {
        assert_eq!(odd_from_integer(5, true), -5.0);
        assert_eq!(odd_from_integer((1 << 24) + 1, false), 16_777_218.0);
        assert_eq!(odd_from_integer((1 << 25) + 1, false).to_bits() & 1, 1);
        assert_eq!(odd_from_f64(f64::MAX), f32::MAX);
        assert_eq!(odd_from_f64(-f64::MIN_POSITIVE).to_bits(), 0x8000_0001);
    }

    #[test]
    fn every_cast_that_is_promised_is_made() {
        for &from in DType::ALL {
            for to in [DType::F16, DType::BF16, DType::F32, DType::F64] {
                if check(from, to).is_err() {
                    continue;
                }
                let facts = from.facts();
                let blocks = 2100usize.div_ceil(facts.block_elements as usize);
                let (out, _) = one(from, to, &vec![0; blocks * facts.block_bytes as usize]);
                assert!(!out.is_empty(), "{from} {to}");
            }
        }
    }

    #[test]
    fn refuses_lengths_that_do_not_fit() {
        let mut out = [0; 4];
        assert!(cast(DType::F32, DType::F16, &[0; 4], &mut out).is_err());
        assert!(cast(DType::F32, DType::F16, &[0; 7], &mut out).is_err());
        assert!(cast(DType::C64, DType::F32, &[0; 8], &mut out).is_err());
        assert!(cast(DType::Unknown(99), DType::F32, &[0; 4], &mut out).is_err());
    }

    #[test]
    fn quantised_integers_unpack_from_the_lowest_bits() {
        assert_eq!(one(DType::QU4x2, DType::U8, &[0x21]).0, [1, 2]);
        assert_eq!(
            one(DType::QU2x4, DType::U8, &[0b11_10_01_00]).0,
            [0, 1, 2, 3]
        );
        assert_eq!(one(DType::QI8, DType::I8, &[0xff]).0, [0xff]);
    }
}
