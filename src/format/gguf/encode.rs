//! Metadata values as GGUF stores them, little-endian.

use super::types::ValueType;
use crate::error::{Error, Result};
use crate::model::Value;

/// A length and bytes.
pub(super) fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The number of a type, and a value of it. `kind`: the type's name, `u32` or `arr[str]`.
///
/// Errors: `Usage` if the value is none of the type, `Unsupported` for arrays of arrays.
pub(super) fn push_value(out: &mut Vec<u8>, value: &Value, kind: &str) -> Result<()> {
    let element = kind.strip_prefix("arr[").and_then(|k| k.strip_suffix(']'));
    let (Some(element), Value::List(items)) = (element, value) else {
        let kind = named(kind)?;
        out.extend_from_slice(&kind.id().to_le_bytes());
        return push_scalar(out, value, kind);
    };
    let element = named(element)?;
    out.extend_from_slice(&ValueType::Array.id().to_le_bytes());
    out.extend_from_slice(&element.id().to_le_bytes());
    out.extend_from_slice(&(items.len() as u64).to_le_bytes());
    items
        .iter()
        .try_for_each(|item| push_scalar(out, item, element))
}

fn named(kind: &str) -> Result<ValueType> {
    let found = ValueType::from_name(kind);
    found.ok_or_else(|| Error::usage(format!("`{kind}` is no type of metadata")))
}

fn push_scalar(out: &mut Vec<u8>, value: &Value, kind: ValueType) -> Result<()> {
    let wrong = || {
        let kind = kind.name();
        let found = value.scalar_text().unwrap_or_else(|| "a list".to_owned());
        Error::usage(format!("`{found}` is no {kind}"))
    };
    let integer = match *value {
        Value::Int(number) => Some(i128::from(number)),
        Value::Unsigned(number) => Some(i128::from(number)),
        _ => None,
    };
    // An integer of the given type, if it fits.
    macro_rules! integer {
        ($type:ty) => {{
            let number = integer.and_then(|number| <$type>::try_from(number).ok());
            out.extend_from_slice(&number.ok_or_else(wrong)?.to_le_bytes());
        }};
    }
    match (kind, value) {
        (ValueType::U8, _) => integer!(u8),
        (ValueType::I8, _) => integer!(i8),
        (ValueType::U16, _) => integer!(u16),
        (ValueType::I16, _) => integer!(i16),
        (ValueType::U32, _) => integer!(u32),
        (ValueType::I32, _) => integer!(i32),
        (ValueType::U64, _) => integer!(u64),
        (ValueType::I64, _) => integer!(i64),
        // A value that was read as F32 is one; another is rounded to it.
        (ValueType::F32, Value::Float(number)) => {
            #[allow(clippy::cast_possible_truncation)]
            out.extend_from_slice(&(*number as f32).to_le_bytes());
        }
        (ValueType::F64, Value::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (ValueType::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
        (ValueType::Text, Value::Text(text)) => push_string(out, text.as_bytes()),
        (ValueType::Array, _) => {
            return Err(Error::unsupported("arrays of arrays are not written"));
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // gguf.h: a string is a u64 and bytes, an array the type of its elements, a u64 and those.
    #[test]
    fn values_are_laid_out_as_the_specification_says() {
        let of = |value: Value, kind| {
            let mut out = Vec::new();
            push_value(&mut out, &value, kind).map(|()| out)
        };
        assert_eq!(of(Value::Int(-1), "i16").unwrap(), b"\x03\0\0\0\xff\xff");
        assert_eq!(
            of(Value::text("ab"), "str").unwrap(),
            b"\x08\0\0\0\x02\0\0\0\0\0\0\0ab"
        );
        let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
        assert_eq!(
            of(list, "arr[u8]").unwrap(),
            b"\x09\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\x02"
        );
        assert!(of(Value::Int(256), "u8").is_err());
        assert!(of(Value::text("1"), "u8").is_err());
        assert!(of(Value::Unsigned(u64::MAX), "u64").is_ok());
    }
}
