//! Canonical bytes of any numeric dtype as numbers.

use crate::dtype::cast;
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::kernel::difference;
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

/// Room for elements as `f32`.
#[derive(Debug, Default)]
pub(super) struct Room {
    bytes: Vec<u8>,
    floats: Vec<f32>,
}

/// Reads the elements of one dtype as numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::op) struct Decoder {
    pub(super) dtype: DType,
    pub(super) width: Width,
}

impl Decoder {
    /// Errors: `Unsupported` for a type that nothing here reads as numbers.
    pub(in crate::op) fn of(dtype: DType) -> Result<Decoder> {
        let width = match (dtype, dtype.class()) {
            (DType::F64 | DType::I32 | DType::U32, _) => Width::Double,
            (DType::I64 | DType::U64, _) => Width::Integer,
            (_, Class::Complex) => Width::Complex,
            _ => {
                cast::check(dtype, DType::F32)?;
                Width::Single
            }
        };
        Ok(Decoder { dtype, width })
    }

    /// The elements as `f32`; only of [`Width::Single`].
    ///
    /// `bytes`: whole elements. `room` may be used to hold them.
    pub(super) fn singles<'a>(&self, bytes: &'a [u8], room: &'a mut Room) -> Result<&'a [f32]> {
        let bytes = match self.dtype {
            DType::F32 => bytes,
            dtype => {
                cast_bytes(dtype, DType::F32, bytes, &mut room.bytes)?;
                &room.bytes
            }
        };
        if let Some(floats) = difference::as_floats(bytes) {
            return Ok(floats);
        }
        room.floats.clear();
        extend(&mut room.floats, bytes, f32::from_le_bytes);
        Ok(&room.floats)
    }

    /// The elements as numbers, for every width.
    pub(super) fn numbers(&self, bytes: &[u8], out: &mut Numbers) -> Result<()> {
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
            DType::I32 => extend(real, bytes, |b| f64::from(i32::from_le_bytes(b))),
            DType::U32 => extend(real, bytes, |b| f64::from(u32::from_le_bytes(b))),
            DType::I64 => extend(integers, bytes, |b| i128::from(i64::from_le_bytes(b))),
            DType::U64 => extend(integers, bytes, |b| i128::from(u64::from_le_bytes(b))),
            DType::C32 => pairs(real, imaginary, bytes, |b| f16::from_le_bytes(b).to_f64()),
            DType::C64 => pairs(real, imaginary, bytes, |b| f64::from(f32::from_le_bytes(b))),
            DType::C128 => pairs(real, imaginary, bytes, f64::from_le_bytes),
            _ => {
                let mut room = Room::default();
                let singles = self.singles(bytes, &mut room)?;
                real.extend(singles.iter().copied().map(f64::from));
            }
        }
        real.extend(integers.iter().map(|&integer| integer as f64));
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

    /// Whether a conversion to the dtype of `to` rounds.
    pub(super) fn can_round(&self, to: &Decoder) -> bool {
        self.dtype != to.dtype
            && self.dtype.class() != Class::Bool
            && to.dtype.class() == Class::Float
            && cast::check(self.dtype, to.dtype).is_ok()
    }
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
