//! Canonical bytes of any numeric dtype as numbers.

use crate::dtype::cast;
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::kernel::difference;
use crate::model::{Quantization, Tensor};
use crate::stream::Reader;
use half::f16;

/// Which numbers hold every value of a dtype exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// `f32`.
    Single,
    /// `f64`.
    Double,
    /// `i128`: 64-bit integers.
    Integer,
    /// Two `f64`.
    Complex,
}

/// Numbers of one run of elements.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The numbers, or their real parts; integers of 64 bits rounded.
    pub(super) real: Vec<f64>,
    /// The imaginary parts of complex numbers; empty for all others.
    pub(super) imaginary: Vec<f64>,
    /// The exact numbers of 64-bit integers; empty for all others.
    pub(super) integers: Vec<i128>,
}

/// What is needed to read the elements of one tensor as numbers.
#[derive(Debug)]
pub(super) struct Decoder {
    dtype: DType,
    pub(super) width: Width,
    affine: Option<Affine>,
}

/// `(q - zero_point) * scale`, one pair a channel.
#[derive(Debug, PartialEq)]
struct Affine {
    scales: Vec<f64>,
    zero_points: Vec<f64>,
    /// Elements from one channel to the next.
    inner: u64,
}

impl Decoder {
    /// Errors: `Unsupported` for a type that cannot be read as numbers; those of reading the
    /// scales of a quantised tensor.
    pub(super) fn of(tensor: &Tensor) -> Result<Decoder> {
        let affine = match (&tensor.quantization, tensor.dtype.class()) {
            (Some(quantization), _) => Some(Affine::of(tensor, quantization)?),
            (None, Class::Quantized) => {
                return Err(Error::unsupported(
                    "is quantised, but its scale is not known",
                ));
            }
            (None, _) => None,
        };
        Ok(Decoder {
            dtype: tensor.dtype,
            width: width(tensor.dtype)?,
            affine,
        })
    }

    /// Whether equal bytes under both mean equal numbers.
    pub(super) fn is_like(&self, other: &Decoder) -> bool {
        self.dtype == other.dtype && self.affine == other.affine
    }

    /// The elements as `f32`; only of [`Width::Single`].
    ///
    /// `bytes`: whole elements. `room` may be used to hold them.
    pub(super) fn singles<'a>(
        &self,
        bytes: &'a [u8],
        room: &'a mut Vec<f32>,
        scratch: &mut Vec<u8>,
    ) -> Result<&'a [f32]> {
        if self.dtype == DType::F32
            && let Some(floats) = difference::as_floats(bytes)
        {
            return Ok(floats);
        }
        room.clear();
        match self.dtype {
            DType::F32 => extend(room, bytes, f32::from_le_bytes),
            DType::BF16 => extend(room, bytes, |b| f32::from_bits(widen(b) << 16)),
            DType::F16 => extend(room, bytes, half_bits),
            DType::Bool => extend(room, bytes, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
            DType::U8 => extend(room, bytes, |[b]: [u8; 1]| f32::from(b)),
            DType::I8 => extend(room, bytes, |b| f32::from(i8::from_le_bytes(b))),
            DType::U16 => extend(room, bytes, |b| f32::from(u16::from_le_bytes(b))),
            DType::I16 => extend(room, bytes, |b| f32::from(i16::from_le_bytes(b))),
            dtype => {
                cast_bytes(dtype, DType::F32, bytes, scratch)?;
                extend(room, scratch, f32::from_le_bytes);
            }
        }
        Ok(room)
    }

    /// The elements as numbers, for every width. `first`: index of the first of them.
    pub(super) fn numbers(&self, bytes: &[u8], first: u64, out: &mut Numbers) -> Result<()> {
        let Numbers {
            real,
            imaginary,
            integers,
        } = out;
        real.clear();
        imaginary.clear();
        integers.clear();
        match self.dtype {
            DType::F64 => extend(real, bytes, f64::from_le_bytes),
            DType::I32 | DType::QI32 => extend(real, bytes, |b| f64::from(i32::from_le_bytes(b))),
            DType::U32 => extend(real, bytes, |b| f64::from(u32::from_le_bytes(b))),
            DType::I64 => extend(integers, bytes, |b| i128::from(i64::from_le_bytes(b))),
            DType::U64 => extend(integers, bytes, |b| i128::from(u64::from_le_bytes(b))),
            DType::C32 => pairs(real, imaginary, bytes, |b| f16::from_le_bytes(b).to_f64()),
            DType::C64 => pairs(real, imaginary, bytes, |b| f64::from(f32::from_le_bytes(b))),
            DType::C128 => pairs(real, imaginary, bytes, f64::from_le_bytes),
            DType::QI8 => extend(real, bytes, |b| f64::from(i8::from_le_bytes(b))),
            DType::QU8 => extend(real, bytes, |[b]: [u8; 1]| f64::from(b)),
            DType::QU4x2 => parts(real, bytes, 4),
            DType::QU2x4 => parts(real, bytes, 2),
            _ => {
                let (mut room, mut scratch) = (Vec::new(), Vec::new());
                let singles = self.singles(bytes, &mut room, &mut scratch)?;
                real.extend(singles.iter().copied().map(f64::from));
            }
        }
        if !integers.is_empty() {
            real.extend(integers.iter().map(|&integer| integer as f64));
        }
        if let Some(affine) = &self.affine {
            affine.apply(first, real);
        }
        Ok(())
    }

    /// Bytes of `elements` elements, which are whole blocks.
    pub(super) fn byte_len(&self, elements: usize) -> usize {
        let byte_len = self.dtype.byte_len(elements as u64).unwrap_or(1);
        usize::try_from(byte_len).unwrap_or(usize::MAX).max(1)
    }

    /// Replaces `out` by the elements cast to the dtype of `to`.
    pub(super) fn cast(&self, to: &Decoder, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        cast_bytes(self.dtype, to.dtype, bytes, out)
    }

    /// Whether rounding to `to` is something that a conversion does.
    pub(super) fn can_round(&self, to: &Decoder) -> bool {
        let is_float =
            |dtype: DType| matches!(dtype.class(), Class::Float | Class::Block | Class::Complex);
        let numbers = matches!(self.dtype.class(), Class::Signed | Class::Unsigned);
        self.dtype != to.dtype
            && self.affine.is_none()
            && is_float(to.dtype)
            && (numbers || is_float(self.dtype))
            && cast::check(self.dtype, to.dtype).is_ok()
    }
}

impl Affine {
    fn of(tensor: &Tensor, quantization: &Quantization) -> Result<Affine> {
        match quantization {
            Quantization::PerTensor { scale, zero_point } => Ok(Affine {
                scales: vec![*scale],
                zero_points: vec![*zero_point as f64],
                inner: u64::MAX,
            }),
            Quantization::PerChannel {
                scales,
                zero_points,
                axis,
            } => {
                let axis = usize::try_from(*axis).ok();
                let dimensions = tensor.shape.dimensions();
                let channels = axis.and_then(|axis| dimensions.get(axis).copied());
                let found = [scales.elements(), zero_points.elements()];
                if channels.is_none_or(|channels| found != [channels; 2]) {
                    return Err(Error::malformed(format!(
                        "is quantised along an axis of {channels:?} channels, but has {} scales",
                        found[0]
                    )));
                }
                let strides = tensor.shape.row_major_strides();
                Ok(Affine {
                    scales: read_numbers(scales)?,
                    zero_points: read_numbers(zero_points)?,
                    inner: axis.map_or(1, |axis| strides[axis]),
                })
            }
        }
    }

    /// `first`: index of the first of `values`.
    fn apply(&self, first: u64, values: &mut [f64]) {
        let channels = self.scales.len().max(1) as u64;
        for (index, value) in (first..).zip(values) {
            let channel = (index / self.inner.max(1) % channels) as usize;
            *value = (*value - self.zero_points[channel]) * self.scales[channel];
        }
    }
}

fn read_numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let bytes = Reader::open(tensor)?.read_all()?;
    let mut numbers = Numbers::default();
    Decoder {
        dtype: tensor.dtype,
        width: width(tensor.dtype)?,
        affine: None,
    }
    .numbers(&bytes, 0, &mut numbers)?;
    Ok(numbers.real)
}

fn width(dtype: DType) -> Result<Width> {
    Ok(match (dtype, dtype.class()) {
        (DType::F64 | DType::I32 | DType::U32, _) | (_, Class::Quantized) => Width::Double,
        (DType::I64 | DType::U64, _) => Width::Integer,
        (_, Class::Complex) => Width::Complex,
        (DType::F32 | DType::BF16 | DType::F16, _) => Width::Single,
        (_, Class::Bool | Class::Signed | Class::Unsigned) => Width::Single,
        _ => {
            cast::check(dtype, DType::F32)?;
            Width::Single
        }
    })
}

fn cast_bytes(from: DType, to: DType, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let facts = from.facts();
    let blocks = bytes.len() as u64 / u64::from(facts.block_bytes.max(1));
    let elements = blocks * u64::from(facts.block_elements);
    let byte_len = to
        .byte_len(elements)
        .and_then(|len| usize::try_from(len).ok());
    let byte_len = byte_len.ok_or_else(|| {
        Error::unsupported(format!("{elements} elements are no whole blocks of {to}"))
    })?;
    out.resize(byte_len, 0);
    cast::cast(from, to, bytes, out).map(|_| ())
}

fn extend<const N: usize, T>(out: &mut Vec<T>, bytes: &[u8], read: impl Fn([u8; N]) -> T) {
    out.extend(
        bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|element| read(*element)),
    );
}

/// Complex numbers: two parts of `N` bytes each.
fn pairs<const N: usize>(
    real: &mut Vec<f64>,
    imaginary: &mut Vec<f64>,
    bytes: &[u8],
    read: impl Fn([u8; N]) -> f64,
) {
    for [re, im] in bytes.as_chunks::<N>().0.as_chunks::<2>().0 {
        real.push(read(*re));
        imaginary.push(read(*im));
    }
}

/// Unsigned integers of `bits` bits, the lowest bits first.
fn parts(out: &mut Vec<f64>, bytes: &[u8], bits: u32) {
    let mask = (1u8 << bits) - 1;
    for byte in bytes {
        out.extend(
            (0..8)
                .step_by(bits as usize)
                .map(|shift| f64::from(byte >> shift & mask)),
        );
    }
}

fn widen(bytes: [u8; 2]) -> u32 {
    u32::from(u16::from_le_bytes(bytes))
}

/// A half as `f32`, without branches: the exponent is moved by a multiplication, which is
/// exact, subnormals included; all ones become all ones.
fn half_bits(bytes: [u8; 2]) -> f32 {
    let bits = widen(bytes);
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    let all_ones = if bits & 0x7c00 == 0x7c00 {
        0x7f80_0000
    } else {
        0
    };
    f32::from_bits(magnitude.to_bits() | all_ones | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Oracle: the `half` crate.
    #[test]
    fn every_half_has_its_value() {
        for bits in 0..=u16::MAX {
            let expected = f16::from_bits(bits).to_f32();
            let found = half_bits(bits.to_le_bytes());
            assert!(
                found == expected || (found.is_nan() && expected.is_nan()),
                "{bits:#x}"
            );
            assert_eq!(
                found.is_sign_negative(),
                expected.is_sign_negative(),
                "{bits:#x}"
            );
        }
    }

    #[test]
    fn parts_of_a_byte_come_lowest_first() {
        let mut out = Vec::new();
        parts(&mut out, &[0b11_10_01_00], 2);
        assert_eq!(out, [0.0, 1.0, 2.0, 3.0]);
    }
}
