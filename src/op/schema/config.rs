//! What a Hugging Face `config.json` implies about the weights beside it.
//!
//! The dimensions of common architectures as entries of a schema, whose symbols are keys of the
//! configuration; keys of inner objects are joined by `_`. Source: the modules of transformers.

use super::expression::Symbols;
use super::{Dimension, Schema};
use crate::error::Result;
use crate::model::{Checkpoint, Level, Note, Value};

/// Architectures and their entries.
const FAMILIES: &str = include_str!("families.toml");

/// The schema that `config` implies; `None` for an architecture that is not known here, or for
/// quantised weights, whose shapes follow other rules.
///
/// Errors: none for any configuration; those of the table itself.
pub fn schema_of(config: &Value) -> Result<Option<Schema>> {
    let Value::Map(config) = config else {
        return Ok(None);
    };
    let Some(Value::Text(kind)) = get(config, "model_type") else {
        return Ok(None);
    };
    if get(config, "quantization_config").is_some_and(|found| !matches!(found, Value::Null)) {
        return Ok(None);
    }
    for family in FAMILIES.split("# family: ").skip(1) {
        let (kinds, text) = family.split_once('\n').unwrap_or((family, ""));
        if !kinds.split_whitespace().any(|known| known == *kind) {
            continue;
        }
        let mut schema = Schema::read(text)?;
        schema.allows_extra = true;
        schema.symbols = symbols(config);
        let symbols = &schema.symbols;
        schema.entries.retain_mut(|entry| {
            // A part of the model may stand alone.
            entry.is_optional = true;
            let mut expressions = Vec::from_iter(&entry.count);
            for dimension in entry.shape.iter().flatten() {
                if let Dimension::Is(expression) = dimension {
                    expressions.push(expression);
                }
            }
            expressions.iter().all(|one| one.value(symbols).is_ok())
        });
        return Ok(Some(schema));
    }
    Ok(None)
}

/// What a checkpoint lacks of what its configuration implies: warnings, since a configuration
/// can be the one that is wrong.
///
/// Errors: those of [`schema_of`].
pub fn check(config: &Value, checkpoint: &Checkpoint) -> Result<Vec<Note>> {
    let Some(schema) = schema_of(config)? else {
        return Ok(Vec::new());
    };
    let mut notes = schema.check(checkpoint)?;
    for note in &mut notes {
        note.rule = "config-mismatch";
        note.level = Level::Warning;
        note.text.push_str(", as `config.json` implies");
    }
    Ok(notes)
}

fn get<'a>(map: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    let entry = map.iter().find(|(found, _)| found == key)?;
    Some(&entry.1)
}

/// The whole numbers in `config`, and what transformers takes for those it leaves out.
fn symbols(config: &[(String, Value)]) -> Symbols {
    let mut symbols = Symbols::new();
    for (key, value) in config {
        if let Some(number) = number(value) {
            symbols.insert(key.clone(), number);
        }
        if let Value::Map(inner) = value {
            for (name, value) in inner {
                if let Some(number) = number(value) {
                    symbols.insert(format!("{key}_{name}"), number);
                }
            }
        }
    }
    let known = |symbols: &Symbols, key: &str| symbols.get(key).copied();
    if let Some(heads) = known(&symbols, "num_attention_heads").filter(|&heads| heads > 0) {
        symbols
            .entry("num_key_value_heads".to_owned())
            .or_insert(heads);
        if let Some(hidden) = known(&symbols, "hidden_size") {
            symbols
                .entry("head_dim".to_owned())
                .or_insert(hidden / heads);
        }
    }
    if let Some(width) = known(&symbols, "n_embd") {
        symbols
            .entry("n_inner".to_owned())
            .or_insert(width.saturating_mul(4));
    }
    symbols
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Unsigned(number) => Some(*number),
        _ => None,
    }
}
