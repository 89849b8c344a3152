//! A schema from a good checkpoint: every tensor, repeated layers as one entry.

use super::file::SCHEMA;
use crate::dtype::DType;
use crate::model::Checkpoint;
use crate::op::identity::{Identity, Kind};
use crate::op::inspect::fold_whole;
use crate::text::escape;

/// The schema that `checkpoint` and nothing else fits, as TOML; a comment before it says what
/// the checkpoint is, if `identity` knows.
pub fn write(checkpoint: &Checkpoint, identity: &Identity) -> String {
    let mut out = comment(identity).unwrap_or_default();
    out += &format!("schema = \"{SCHEMA}\"\nextra = \"deny\"\n");
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

/// Family and variant, what it is for, what people and libraries call it.
fn comment(identity: &Identity) -> Option<String> {
    if identity.kind == Kind::Unknown {
        return None;
    }
    let words = [identity.family.as_deref(), identity.variant.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let called = [identity.name.as_deref(), identity.architecture.as_deref()];
    let called: Vec<&str> = called.into_iter().flatten().collect();
    let mut line = words.join(" ");
    if !line.is_empty() {
        line += ", ";
    }
    line += identity.kind.phrase();
    if !called.is_empty() {
        line += &format!(" ({})", called.join("; "));
    }
    // Metadata may have put line breaks into it, which would end the comment.
    Some(format!("# {}\n", escape(&line)))
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
