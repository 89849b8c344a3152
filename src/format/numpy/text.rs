//! Arrays of strings: the first of their elements.

use super::element::{Element, ElementKind};
use super::header::Next;
use super::read::Budget;
use crate::error::Result;
use crate::format::ReadOptions;
use crate::io::ByteOrder;
use crate::model::{Array, Shape, Value};

/// Bytes of strings that are read of one array.
const TEXT_BYTES: u64 = 1 << 20;

/// The first strings of an array of this shape, from the bytes behind its header. Empty if it
/// holds no strings.
pub(super) fn first_texts(
    element: &Element,
    shape: &Shape,
    options: &ReadOptions,
    budget: &mut Budget,
    next: &mut Next<'_>,
) -> Result<Value> {
    let byte_len = match element.kind {
        ElementKind::Unicode | ElementKind::Bytes => element.byte_len.unwrap_or(0),
        _ => return Ok(Value::List(Vec::new())),
    };
    let elements = shape.elements();
    let fitting = TEXT_BYTES.checked_div(byte_len).unwrap_or(u64::MAX);
    // What the budget does not hold is left out; it takes no error to show fewer strings.
    let wanted = options.array_elements.min(budget.left().saturating_sub(1));
    let count = elements.min(wanted).min(fitting);
    let mut first = Vec::new();
    for _ in 0..count {
        budget.spend()?;
        first.push(Value::Text(decode(element, &next(byte_len)?)));
    }
    Ok(match count == elements {
        true if shape.rank() == 0 => first.pop().unwrap_or(Value::Null),
        true => Value::List(first),
        false => Value::Array(Array {
            element: element.name.clone(),
            length: elements,
            first,
        }),
    })
}

/// One element, without the zeros that pad it.
fn decode(element: &Element, bytes: &[u8]) -> String {
    if element.kind == ElementKind::Bytes {
        let text = String::from_utf8_lossy(bytes);
        return text.trim_end_matches('\0').to_owned();
    }
    let (words, _) = bytes.as_chunks::<4>();
    let code = |word: &[u8; 4]| match element.order {
        ByteOrder::Little => u32::from_le_bytes(*word),
        ByteOrder::Big => u32::from_be_bytes(*word),
    };
    let codes = words.iter().map(code);
    let text: String = codes
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.trim_end_matches('\0').to_owned()
}
