//! Metadata and values as text that people read.

use super::json::{Plain, kind_of};
use ckpt::model::Value;
use ckpt::text::human_bytes;

/// Characters of a value that are shown.
const SHORT: usize = 72;

/// Elements of a list that are shown one by one.
const LISTED: usize = 16;

/// All of it, text as it stands and anything else as JSON.
pub(crate) fn in_full(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => serde_json::to_string(&Plain { value, all: true }).unwrap_or_default(),
    }
}

/// One line that says what the value is, if not all of it.
pub(crate) fn in_short(value: &Value) -> String {
    match value {
        Value::Text(text) => shorten(text),
        value => {
            let mut line = String::new();
            write_short(value, &mut line);
            if line.chars().count() > SHORT {
                line = line.chars().take(SHORT).collect();
                line.push_str("...");
            }
            line
        }
    }
}

/// Writes a value until the line is full.
fn write_short(value: &Value, line: &mut String) {
    if line.len() > 4 * SHORT {
        return;
    }
    let list = |line: &mut String, items: &[Value]| {
        for (index, item) in items.iter().enumerate().take(SHORT) {
            line.push_str(if index > 0 { ", " } else { "" });
            write_short(item, line);
        }
    };
    match value {
        Value::Null => line.push_str("None"),
        Value::Bool(value) => line.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => line.push_str(&value.to_string()),
        Value::Unsigned(value) => line.push_str(&value.to_string()),
        Value::Float(value) => line.push_str(&short_float(*value)),
        Value::Text(text) => line.push_str(&shorten(text)),
        Value::Array(array) => line.push_str(&format!("[{} x {}]", array.element, array.length)),
        Value::List(items) if items.len() > LISTED => {
            line.push_str(&format!("[{} x {}]", kind_of(items), items.len()));
        }
        Value::List(items) => {
            line.push('[');
            list(line, items);
            line.push(']');
        }
        Value::Map(entries) => {
            line.push('{');
            for (index, (key, value)) in entries.iter().enumerate().take(SHORT) {
                line.push_str(if index > 0 { ", " } else { "" });
                line.push_str(&shorten(key));
                line.push_str(": ");
                write_short(value, line);
            }
            line.push('}');
        }
    }
}

/// In as few digits as say which number is meant; one that came from an `f32` needs fewer.
fn short_float(value: f64) -> String {
    let single = value as f32;
    match f64::from(single) == value {
        true => format!("{single:?}"),
        false => format!("{value:?}"),
    }
}

/// The beginning of a text, on one line, and how long it is.
fn shorten(text: &str) -> String {
    let mut beginning: String = text.chars().take(SHORT).collect();
    let is_cut = beginning.len() < text.len();
    beginning = beginning.replace(['\n', '\r', '\t'], " ");
    if is_cut {
        beginning.push_str(&format!("... ({})", human_bytes(text.len() as u64)));
    }
    beginning
}
