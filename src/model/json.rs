//! JSON into plain values, with a bound on how many.

use super::Value;
use crate::error::{Error, Result};
use crate::limits;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// What the visitor says of too many values; the error's kind does not pass through serde.
const TOO_MANY: &str = "too many values";

/// Reads `text`. `NaN` and infinities, which Python writes, become null.
///
/// Errors: `Malformed` for what is no JSON or over 128 levels deep, `Limit` past
/// [`limits::WORKFLOW`] or [`limits::WORKFLOW_VALUES`].
pub fn parse(text: &str) -> Result<Value> {
    parse_within(text, limits::WORKFLOW, limits::WORKFLOW_VALUES)
}

/// As [`parse`], of at most so many bytes and values.
pub fn parse_within(text: &str, bytes: u64, values: usize) -> Result<Value> {
    if text.len() as u64 > bytes {
        let (found, allowed) = (text.len(), bytes);
        let message = format!("has {found} bytes of JSON; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    let text = without_nan(text);
    let left = Cell::new(values);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let read = Counted { left: &left }.deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| match left.get() {
        0 => Error::limit(format!("has over {values} values in its JSON")),
        _ => Error::malformed(format!("is no JSON: {error}")),
    })
}

/// The text with `NaN`, `Infinity` and `-Infinity` outside of strings replaced by `null`.
fn without_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for (index, piece) in StringsAndRest::new(text).enumerate() {
        // Pieces alternate: outside a string, inside one, outside ...
        match index % 2 {
            0 => {
                let piece = piece.replace("-Infinity", "null");
                out.push_str(&piece.replace("Infinity", "null").replace("NaN", "null"));
            }
            _ => out.push_str(piece),
        }
    }
    Cow::Owned(out)
}

/// Cuts JSON before and after each string, quotes included.
struct StringsAndRest<'a> {
    rest: &'a str,
    is_string: bool,
}

impl<'a> StringsAndRest<'a> {
    fn new(text: &'a str) -> StringsAndRest<'a> {
        StringsAndRest {
            rest: text,
            is_string: false,
        }
    }

    /// Bytes up to the end of the string that starts here.
    fn string_end(&self) -> usize {
        let mut is_escaped = false;
        for (offset, byte) in self.rest.bytes().enumerate().skip(1) {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => return offset + 1,
                _ => {}
            }
        }
        self.rest.len()
    }
}

impl<'a> Iterator for StringsAndRest<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = match self.is_string {
            true => self.string_end(),
            false => self.rest.find('"').unwrap_or(self.rest.len()),
        };
        self.is_string = !self.is_string;
        let (piece, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(piece)
    }
}

/// Reads one value and those in it, as long as some are `left`.
#[derive(Clone, Copy)]
struct Counted<'a> {
    left: &'a Cell<usize>,
}

impl Counted<'_> {
    fn count<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        self.left.set(self.left.get().saturating_sub(1));
        match self.left.get() {
            0 => Err(E::custom(TOO_MANY)),
            _ => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Value, D::Error> {
        self.count()?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn reads_what_python_writes() {
        let text = r#"{"a": [NaN, -Infinity, "NaN \" NaN"], "b": {"c": 1.5}}"#;
        let list = Value::List(vec![Value::Null, Value::Null, Value::text("NaN \" NaN")]);
        let inner = Value::Map(vec![("c".to_owned(), Value::Float(1.5))]);
        let expected = Value::Map(vec![("a".to_owned(), list), ("b".to_owned(), inner)]);
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_long_many_deep_or_no_json() {
        let long = format!("\"{}\"", " ".repeat(limits::WORKFLOW as usize));
        assert_eq!(parse(&long).unwrap_err().kind(), Kind::Limit);
        let many = format!("[{}0]", "0,".repeat(limits::WORKFLOW_VALUES));
        assert_eq!(parse(&many).unwrap_err().kind(), Kind::Limit);
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().kind(), Kind::Malformed);
        assert_eq!(parse("{} {}").unwrap_err().kind(), Kind::Malformed);
    }
}
