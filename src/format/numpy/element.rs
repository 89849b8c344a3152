//! What one element of an array is: a number, text, or something else.

use super::literal::Literal;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::ByteOrder;

/// The type of an array's elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    /// As NumPy prints it: `<f4`, `[('a', '<i4')]`.
    pub(super) name: String,
    pub(super) kind: ElementKind,
    /// The order of its numbers.
    pub(super) order: ByteOrder,
    /// Bytes of one; `None` if that cannot be said.
    pub(super) byte_len: Option<u64>,
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ElementKind {
    /// A number that has a dtype here.
    Number(DType),
    /// Characters of four bytes each, padded with zeros.
    Unicode,
    /// Bytes, padded with zeros.
    Bytes,
    /// A Python object.
    Object,
    /// Anything else: structures, dates, raw bytes, floats of more than eight bytes.
    Other,
}

impl Element {
    /// The element that `descr` describes.
    ///
    /// Errors: `Malformed` if NumPy knows no such type.
    pub(super) fn of(descr: &Literal) -> Result<Element> {
        let (kind, order, byte_len) = match descr {
            Literal::Text(text) => simple(text).ok_or_else(|| unknown(descr))?,
            Literal::List(_) | Literal::Tuple(_) if has_objects(descr) => {
                (ElementKind::Object, ByteOrder::Little, None)
            }
            Literal::List(_) | Literal::Tuple(_) => {
                (ElementKind::Other, ByteOrder::Little, structure_len(descr))
            }
            _ => return Err(unknown(descr)),
        };
        let name = match descr {
            Literal::Text(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Element {
            name,
            kind,
            order,
            byte_len,
        })
    }
}

fn unknown(descr: &Literal) -> Error {
    Error::malformed(format!("`descr` is {descr}, which is no type of NumPy's"))
}

/// A type that one word describes: byte order, kind, bytes (characters for `U`).
fn simple(text: &str) -> Option<(ElementKind, ByteOrder, Option<u64>)> {
    let (order, rest) = match text.split_at_checked(1)? {
        (">", rest) => (ByteOrder::Big, rest),
        ("<" | "|" | "=", rest) => (ByteOrder::Little, rest),
        _ => (ByteOrder::Little, text),
    };
    let (kind, rest) = rest.split_at_checked(1)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (size, unit) = rest.split_at_checked(digits)?;
    let size = size.parse::<u64>().ok();
    // Only dates have more behind their size: `<M8[ns]`.
    if !unit.is_empty() && !matches!(kind, "M" | "m") {
        return None;
    }
    let number = match (kind, size) {
        ("b", Some(1)) | ("?", None) => Some(DType::Bool),
        ("u", Some(1)) => Some(DType::U8),
        ("u", Some(2)) => Some(DType::U16),
        ("u", Some(4)) => Some(DType::U32),
        ("u", Some(8)) => Some(DType::U64),
        ("i", Some(1)) => Some(DType::I8),
        ("i", Some(2)) => Some(DType::I16),
        ("i", Some(4)) => Some(DType::I32),
        ("i", Some(8)) => Some(DType::I64),
        ("f", Some(2)) => Some(DType::F16),
        ("f", Some(4)) => Some(DType::F32),
        ("f", Some(8)) => Some(DType::F64),
        ("c", Some(8)) => Some(DType::C64),
        ("c", Some(16)) => Some(DType::C128),
        _ => None,
    };
    if let Some(dtype) = number {
        let byte_len = dtype.element_bytes().map(u64::from);
        return Some((ElementKind::Number(dtype), order, byte_len));
    }
    Some(match kind {
        "U" => (ElementKind::Unicode, order, size?.checked_mul(4)),
        "S" | "a" => (ElementKind::Bytes, order, size),
        // Python 2 gave objects the size of a pointer.
        "O" => (ElementKind::Object, order, None),
        // Floats of other sizes depend on the machine.
        "M" | "m" | "V" | "f" | "c" => (ElementKind::Other, order, Some(size?)),
        _ => return None,
    })
}

/// Whether a structure holds Python objects, so that a pickle follows.
fn has_objects(descr: &Literal) -> bool {
    fields(descr).any(|(descr, _)| match descr {
        Literal::Text(text) => text
            .trim_start_matches(['<', '>', '|', '='])
            .starts_with('O'),
        inner => has_objects(inner),
    })
}

/// Bytes of a structure: its fields one after the other, paddings included.
fn structure_len(descr: &Literal) -> Option<u64> {
    let mut total = 0u64;
    let mut is_empty = true;
    for (descr, repeats) in fields(descr) {
        is_empty = false;
        let one = match descr {
            Literal::Text(text) => simple(text)?.2?,
            inner => structure_len(inner)?,
        };
        total = total.checked_add(one.checked_mul(repeats?)?)?;
    }
    (!is_empty).then_some(total)
}

/// Type of each field of a structure, and how often it stands there.
fn fields(descr: &Literal) -> impl Iterator<Item = (&Literal, Option<u64>)> {
    let fields = match descr {
        Literal::List(fields) => fields.as_slice(),
        _ => &[],
    };
    fields.iter().filter_map(|field| match field {
        Literal::Tuple(parts) => match parts.as_slice() {
            [_, descr] => Some((descr, Some(1))),
            [_, descr, shape] => Some((descr, repeats(shape))),
            _ => None,
        },
        _ => None,
    })
}

fn repeats(shape: &Literal) -> Option<u64> {
    match shape {
        Literal::Int(count) => Some(*count),
        Literal::Tuple(items) => items.iter().try_fold(1u64, |product, item| match item {
            Literal::Int(count) => product.checked_mul(*count),
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::literal::parse;
    use super::*;

    fn of(descr: &str) -> Element {
        Element::of(&parse(descr).unwrap()).unwrap()
    }

    #[test]
    fn numbers_have_dtypes_and_orders() {
        let big = of("'>f4'");
        assert_eq!(big.kind, ElementKind::Number(DType::F32));
        assert_eq!((big.order, big.byte_len), (ByteOrder::Big, Some(4)));
        assert_eq!(of("'|b1'").kind, ElementKind::Number(DType::Bool));
        assert_eq!(of("'<c16'").kind, ElementKind::Number(DType::C128));
        assert_eq!(of("'<f16'").kind, ElementKind::Other);
    }

    #[test]
    fn unknown_types_are_errors() {
        for descr in ["'<f4x'", "''", "'<q9'", "'<f'", "3", "'ü4'", "'<i3'"] {
            assert!(Element::of(&parse(descr).unwrap()).is_err(), "{descr}");
        }
    }

    #[test]
    fn other_types_have_sizes() {
        assert_eq!(of("'<U3'").byte_len, Some(12));
        assert_eq!(of("'<M8[ns]'").byte_len, Some(8));
        assert_eq!(of("'|V2'").byte_len, Some(2));
        // numpy.dtype([('a', '<i4'), ('b', '<f8', (2,)), ('s', [('x', '<U3')])]).itemsize
        let nested = of("[('a', '<i4'), ('b', '<f8', (2,)), ('s', [('x', '<U3')])]");
        assert_eq!(
            (nested.kind, nested.byte_len),
            (ElementKind::Other, Some(32))
        );
        assert_eq!(of("[('a', '<i4'), ('b', '|O')]").kind, ElementKind::Object);
    }
}
