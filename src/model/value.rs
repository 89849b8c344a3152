//! What a checkpoint holds beside tensors: metadata and plain values.

use crate::dtype::DType;

/// A plain value, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None, null.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer that fits 64 bits, signed.
    Int(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// A float; NaN and infinities included.
    Float(f64),
    /// Text. Bytes that are no UTF-8 are shown lossily.
    Text(String),
    /// A sequence.
    List(Vec<Value>),
    /// Keys and values, as they come; keys may repeat.
    Map(Vec<(String, Value)>),
    /// A long sequence of which only the beginning was read.
    Array(Array),
}

/// A long sequence of which only the beginning was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// What the elements are: `str`, `u32`, `F32`.
    pub element: String,
    /// How many there are.
    pub length: u64,
    /// The first of them.
    pub first: Vec<Value>,
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// One number: `bytes` are those of one element, little-endian. `None` if `dtype` is no
    /// integer, float of IEEE's or boolean, or has another length.
    pub fn from_element(dtype: DType, bytes: &[u8]) -> Option<Value> {
        Some(match dtype {
            DType::Bool => Value::Bool(*bytes.first()? != 0),
            DType::I8 => Value::Int(i8::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::U8 => Value::Int(u8::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::I16 => Value::Int(i16::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::U16 => Value::Int(u16::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::I32 => Value::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::U32 => Value::Int(u32::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::I64 => Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
            DType::U64 => Value::from(u64::from_le_bytes(bytes.try_into().ok()?)),
            DType::F16 => Value::Float(half::f16::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::F32 => Value::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
            DType::F64 => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
            _ => return None,
        })
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A single value as text, as Python's `str` prints it; `None` for null, sequences and maps.
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Value::Bool(true) => Some("True".into()),
            Value::Bool(false) => Some("False".into()),
            Value::Int(value) => Some(value.to_string()),
            Value::Unsigned(value) => Some(value.to_string()),
            Value::Float(value) => Some(format!("{value:?}")),
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Array(_) => None,
        }
    }

    /// As [`Value::scalar_text`], floats as short as single precision allows.
    pub fn single_text(&self) -> Option<String> {
        match self {
            Value::Float(value) => Some(format!("{:?}", *value as f32)),
            _ => self.scalar_text(),
        }
    }

    /// The integer, if this is one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::Int(value) => u64::try_from(value).ok(),
            Value::Unsigned(value) => Some(value),
            _ => None,
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        i64::try_from(value).map_or(Value::Unsigned(value), Value::Int)
    }
}
