//! Elements as numbers.

use crate::dtype::{Class, DType};
use crate::error::{Error, Result};

/// Values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// True or false.
    Bool(Vec<bool>),
    /// Integers of any width and sign.
    Integer(Vec<i128>),
    /// Floats, all exact.
    Float(Vec<f64>, Precision),
    /// Real and imaginary parts.
    Complex(Vec<[f64; 2]>, Precision),
}

/// Which type the floats had: it decides how many digits say which number is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// IEEE half.
    F16,
    /// The upper half of an `f32`.
    BF16,
    /// IEEE single; smaller ones too.
    F32,
    /// IEEE double.
    F64,
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Numbers::Bool(values) => values.len(),
            Numbers::Integer(values) => values.len(),
            Numbers::Float(values, _) => values.len(),
            Numbers::Complex(values, _) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads canonical bytes of `dtype`.
    ///
    /// Errors: `Unsupported` for a dtype without plain elements.
    pub(super) fn decode(dtype: DType, bytes: &[u8]) -> Result<Numbers> {
        let float = |values, precision| Ok(Numbers::Float(values, precision));
        let complex = |parts: Vec<f64>, precision| {
            let pairs = parts.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
            Ok(Numbers::Complex(pairs.collect(), precision))
        };
        match dtype {
            DType::Bool => Ok(Numbers::Bool(bytes.iter().map(|&byte| byte != 0).collect())),
            DType::F16 => float(each(bytes, half), Precision::F16),
            DType::BF16 => float(each(bytes, bfloat), Precision::BF16),
            DType::F32 => float(each(bytes, single), Precision::F32),
            DType::F64 => float(each(bytes, f64::from_le_bytes), Precision::F64),
            DType::C32 => complex(each(bytes, half), Precision::F16),
            DType::C64 => complex(each(bytes, single), Precision::F32),
            DType::C128 => complex(each(bytes, f64::from_le_bytes), Precision::F64),
            _ if dtype.class() == Class::Unsigned || dtype.class() == Class::Signed => {
                Ok(Numbers::Integer(integers(dtype, bytes)))
            }
            _ => Err(Error::unsupported(format!(
                "{dtype} values cannot be shown"
            ))),
        }
    }
}

fn integers(dtype: DType, bytes: &[u8]) -> Vec<i128> {
    match dtype {
        DType::U8 => each(bytes, |b| u8::from_le_bytes(b).into()),
        DType::I8 => each(bytes, |b| i8::from_le_bytes(b).into()),
        DType::U16 => each(bytes, |b| u16::from_le_bytes(b).into()),
        DType::I16 => each(bytes, |b| i16::from_le_bytes(b).into()),
        DType::U32 => each(bytes, |b| u32::from_le_bytes(b).into()),
        DType::I32 => each(bytes, |b| i32::from_le_bytes(b).into()),
        DType::U64 => each(bytes, |b| u64::from_le_bytes(b).into()),
        _ => each(bytes, |b| i64::from_le_bytes(b).into()),
    }
}

fn half(bytes: [u8; 2]) -> f64 {
    half::f16::from_le_bytes(bytes).to_f64()
}

fn bfloat(bytes: [u8; 2]) -> f64 {
    half::bf16::from_le_bytes(bytes).to_f64()
}

fn single(bytes: [u8; 4]) -> f64 {
    f32::from_le_bytes(bytes).into()
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|&element| read(element)).collect()
}
