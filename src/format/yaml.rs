//! YAML: small files of settings, read into plain values.
//!
//! A parser of events does the reading, so that nesting, size and what aliases expand to are
//! bounded here and nothing is kept that was not asked for.

use crate::error::{Error, Result};
use crate::limits;
use crate::model::Value;
use granit_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Containers within containers.
const DEPTH: usize = 64;

/// Reads the first document of `text`.
///
/// Plain scalars are null, booleans, integers and floats as YAML 1.2's core schema has them,
/// and `yes`, `no`, `on`, `off` as PyYAML reads them; everything else is text. Tags are ignored.
///
/// Errors: `Malformed` for what is no YAML, `Limit` past [`limits::YAML`] or
/// [`limits::YAML_VALUES`].
pub fn parse(text: &str) -> Result<Value> {
    if text.len() as u64 > limits::YAML {
        let (found, allowed) = (text.len(), limits::YAML);
        return Err(Error::limit(format!(
            "has {found} bytes of YAML; the limit is {allowed}"
        )));
    }
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| {
            let (line, info) = (error.marker().line(), error.info());
            Error::malformed(format!("is no YAML in line {line}: {info}"))
        })?;
        if builder.take(event)? {
            break;
        }
    }
    Ok(builder.document.unwrap_or(Value::Null))
}

/// A container whose end has not been seen.
struct Open {
    anchor: usize,
    content: Content,
    /// Values in it, its own included.
    size: usize,
}

enum Content {
    List(Vec<Value>),
    /// Entries, and the key whose value comes next.
    Map(Vec<(String, Value)>, Option<String>),
}

/// Builds values from events, without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    document: Option<Value>,
    values: usize,
}

impl Builder {
    /// Takes the next event; true at the end of the document.
    fn take(&mut self, event: Event<'_>) -> Result<bool> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = match style {
                    ScalarStyle::Plain => plain(&text),
                    _ => Value::text(text.into_owned()),
                };
                self.add(value, 1, anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Content::List(Vec::new()), anchor)?,
            Event::MappingStart(_, anchor, _) => {
                self.begin(Content::Map(Vec::new(), None), anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map_or(0, |(_, size)| *size);
                // Before it is copied.
                self.count(size)?;
                let Some((value, _)) = self.anchors.get(&anchor) else {
                    let message = "is no YAML: an alias stands inside what it names";
                    return Err(Error::malformed(message));
                };
                let value = value.clone();
                self.put(value, size);
            }
            Event::DocumentEnd => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    fn count(&mut self, values: usize) -> Result<()> {
        self.values = self.values.saturating_add(values);
        if self.values > limits::YAML_VALUES {
            let allowed = limits::YAML_VALUES;
            return Err(Error::limit(format!(
                "has over {allowed} values in its YAML"
            )));
        }
        Ok(())
    }

    fn begin(&mut self, content: Content, anchor: usize) -> Result<()> {
        self.count(1)?;
        if self.open.len() >= DEPTH {
            let message = format!("has YAML nested over {DEPTH} levels");
            return Err(Error::limit(message));
        }
        self.open.push(Open {
            anchor,
            content,
            size: 1,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(entries),
        };
        self.remember(open.anchor, &value, open.size)?;
        self.put(value, open.size);
        Ok(())
    }

    fn add(&mut self, value: Value, size: usize, anchor: usize) -> Result<()> {
        self.count(size)?;
        self.remember(anchor, &value, size)?;
        self.put(value, size);
        Ok(())
    }

    /// Keeps a copy of what an alias may name; the copy counts too.
    fn remember(&mut self, anchor: usize, value: &Value, size: usize) -> Result<()> {
        if anchor != 0 {
            self.count(size)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn put(&mut self, value: Value, size: usize) {
        let Some(open) = self.open.last_mut() else {
            self.document.get_or_insert(value);
            return;
        };
        open.size = open.size.saturating_add(size);
        match &mut open.content {
            Content::List(items) => items.push(value),
            Content::Map(entries, key) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value.scalar_text().unwrap_or_default()),
            },
        }
    }
}

/// What a scalar without quotes is.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "on" | "On" => return Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "off" | "Off" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::Int(number);
    }
    // Rust reads `infinity` and `nan` as floats, YAML does not.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match text.parse::<f64>() {
        Ok(number) if is_number && number.is_finite() => Value::Float(number),
        _ => Value::text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn reads_what_comfyui_ships_as_an_example() {
        let text = "# a comment\ncomfyui:\n    base_path: path/to/comfyui/\n    is_default: true\n    \
                    checkpoints: models/checkpoints/\n    clip: |\n        models/clip/\n        \
                    models/text_encoders/\nempty:\n";
        let entry = |key: &str, value| (key.to_owned(), value);
        let section = Value::Map(vec![
            entry("base_path", Value::text("path/to/comfyui/")),
            entry("is_default", Value::Bool(true)),
            entry("checkpoints", Value::text("models/checkpoints/")),
            entry("clip", Value::text("models/clip/\nmodels/text_encoders/\n")),
        ]);
        let expected = Value::Map(vec![entry("comfyui", section), entry("empty", Value::Null)]);
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn aliases_are_followed_and_counted() {
        let text = "a: &x [1, 2]\nb: *x\n";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.get("a"), parsed.get("b"));
        let mut bomb = String::from("l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..10 {
            let before = format!("*l{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("l{level}: &l{level} [{before}]\n"));
        }
        assert_eq!(parse(&bomb).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn refuses_what_is_deep_long_or_no_yaml() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(parse(&deep).unwrap_err().kind(), Kind::Limit);
        let long = "- a\n".repeat(300_000);
        assert_eq!(parse(&long).unwrap_err().kind(), Kind::Limit);
        let many = "- a\n".repeat(150_000);
        assert_eq!(parse(&many).unwrap_err().kind(), Kind::Limit);
        assert_eq!(parse("a: [1, 2").unwrap_err().kind(), Kind::Malformed);
        assert_eq!(parse("a: &x [*x]").unwrap_err().kind(), Kind::Malformed);
    }
}
