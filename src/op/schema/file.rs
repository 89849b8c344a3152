//! Reading a schema from TOML or JSON.

use super::expression::{Expression, Symbols};
use super::{Dimension, Entry, Names, Schema, names};
use crate::error::{Error, Result};
use crate::op::select::{Pattern, read_dtype};
use serde::Deserialize;

/// What a schema says of its own form.
pub(super) const SCHEMA: &str = "ckpt.schema/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: Option<String>,
    #[serde(default)]
    dimensions: Symbols,
    #[serde(default)]
    extra: Extra,
    #[serde(default)]
    tensors: Vec<Row>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Extra {
    #[default]
    Deny,
    Allow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    dtype: OneOrMany,
    shape: Option<Vec<Word>>,
    count: Option<Word>,
    #[serde(default)]
    optional: bool,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(u64),
    Text(String),
}

pub(super) fn read(text: &str) -> Result<Schema> {
    let file: File = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|e| Error::usage(e.to_string()))?,
        false => toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().get(..start).unwrap_or_default();
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let message = error.message().trim().replace('\n', ", ");
            Error::usage(format!("line {line}: {message}"))
        })?,
    };
    if let Some(found) = file.schema.filter(|schema| schema != SCHEMA) {
        return Err(Error::usage(format!(
            "is of schema `{found}`, not `{SCHEMA}`"
        )));
    }
    let entries: Result<Vec<Entry>> = file.tensors.into_iter().map(entry).collect();
    Ok(Schema {
        symbols: file.dimensions,
        allows_extra: file.extra == Extra::Allow,
        entries: entries?,
    })
}

fn entry(row: Row) -> Result<Entry> {
    let wrong = |what: String| Error::usage(format!("`{}`: {what}", row.name));
    let is_pattern = row.name.starts_with("re:") || row.name.contains(['*', '?', '[', '\\']);
    let names = match is_pattern {
        true => Names::Pattern(Pattern::read(&row.name)?),
        false => Names::Exact(names::expand(&row.name).map_err(wrong)?),
    };
    let dtypes = match &row.dtype {
        OneOrMany::None => Vec::new(),
        OneOrMany::One(name) => vec![read_dtype(name)?],
        OneOrMany::Many(names) => names.iter().map(|n| read_dtype(n)).collect::<Result<_>>()?,
    };
    let expression = |word: &Word| match word {
        Word::Number(value) => Ok(Expression::number(*value)),
        Word::Text(text) => {
            Expression::read(text).map_err(|problem| wrong(format!("`{text}` {problem}")))
        }
    };
    let dimension = |word: &Word| match word {
        Word::Text(text) if text.trim() == "*" => Ok(Dimension::Any),
        word => expression(word).map(Dimension::Is),
    };
    let shape = row.shape.as_ref();
    let shape: Option<Result<Vec<Dimension>>> =
        shape.map(|shape| shape.iter().map(dimension).collect());
    Ok(Entry {
        names,
        dtypes,
        shape: shape.transpose()?,
        count: row.count.as_ref().map(expression).transpose()?,
        is_optional: row.optional,
        text: row.name,
    })
}
