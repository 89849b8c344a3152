//! A schema from a good checkpoint: every tensor, repeated layers as one entry.

use super::file::SCHEMA;
use crate::dtype::DType;
use crate::model::Checkpoint;
use crate::op::inspect::fold_whole;

/// The schema that `checkpoint` and nothing else fits, as TOML.
pub fn write(checkpoint: &Checkpoint) -> String {
    let mut out = format!("schema = \"{SCHEMA}\"\nextra = \"deny\"\n");
    for row in fold_whole(&checkpoint.tensors) {
        let name = match row.count {
            1 => quoted_name(&row.name),
            _ => row.name,
        };
        out += &format!("\n[[tensors]]\nname = {}\n", quoted(&name));
        if !matches!(row.dtype, DType::Unknown(_)) {
            out += &format!("dtype = \"{}\"\n", row.dtype);
        }
        out += &format!("shape = {}\n", row.shape);
    }
    out
}

/// A name that would be read as a pattern, as an expression that is that name alone.
fn quoted_name(name: &str) -> String {
    match name.starts_with("re:") || name.contains(['*', '?', '[', '\\', '{']) {
        true => format!("re:^{}$", regex::escape(name)),
        false => name.to_owned(),
    }
}

/// A string of JSON, which is one of TOML too but for a character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}
