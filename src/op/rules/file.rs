//! Rules in a file: TOML, with the line of every mistake.

use super::{Rule, Rules, Sparsity, Wanted};
use crate::error::{Error, Result};
use crate::op::rename::Rename;
use crate::op::select::Pattern;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "match")]
    pattern: Spanned<String>,
    dtype: Option<Spanned<String>>,
    #[serde(default)]
    keep: bool,
    #[serde(default)]
    drop: bool,
    rename: Option<Spanned<String>>,
    sparsity: Option<f64>,
    structured: Option<String>,
}

/// Adds the rules in `text`. Errors: `Usage` with the line.
pub(super) fn add(rules: &mut Rules, text: &str) -> Result<()> {
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        at_line(
            text,
            start,
            Error::usage(error.message().trim().replace('\n', ", ")),
        )
    })?;
    for entry in file.rule {
        let start = entry.span().start;
        add_entry(rules, entry.into_inner(), start, text)?;
    }
    Ok(())
}

fn add_entry(rules: &mut Rules, entry: Entry, start: usize, text: &str) -> Result<()> {
    let here = |error: Error| at_line(text, start, error);
    let origin = format!("the rule on line {}", line_of(text, start));
    if entry.keep && entry.drop {
        return Err(here(Error::usage("a rule cannot both keep and drop")));
    }
    let sparsity = sparsity(&entry).map_err(here)?;
    let says_nothing = !entry.keep && !entry.drop && entry.dtype.is_none() && sparsity.is_none();
    if says_nothing && entry.rename.is_none() {
        let error = Error::usage("the rule says nothing of what it matches");
        return Err(here(error.with_hint(
            "a rule has `dtype`, `keep = true`, `drop = true`, `rename`, `sparsity` or `structured`",
        )));
    }
    let at = |span: usize| move |error: Error| at_line(text, span, error);
    let wanted = match &entry.dtype {
        Some(dtype) => Some(Wanted::read(dtype.get_ref()).map_err(at(dtype.span().start))?),
        None => None,
    };
    let pattern_start = entry.pattern.span().start;
    let pattern = Pattern::read(entry.pattern.get_ref()).map_err(at(pattern_start))?;
    if let Some(to) = &entry.rename {
        let rename = rename(entry.pattern.get_ref(), to.get_ref());
        rules.push_rename(rename.map_err(at(to.span().start))?, origin.clone());
    }
    if !says_nothing {
        rules.rules.push(Rule {
            pattern,
            origin: origin.into(),
            stays: (entry.keep || entry.drop).then_some(entry.keep),
            wanted,
            sparsity,
        });
    }
    Ok(())
}

fn sparsity(entry: &Entry) -> Result<Option<Sparsity>> {
    let sparsity = match (entry.sparsity, &entry.structured) {
        (Some(_), Some(_)) => {
            return Err(Error::usage(
                "a rule has `sparsity` or `structured`, not both",
            ));
        }
        (Some(share), None) => Sparsity::Share(share),
        (None, None) => return Ok(None),
        (None, Some(text)) => Sparsity::read_groups(text).ok_or_else(|| {
            Error::usage(format!("`structured = \"{text}\"` is not like \"2:4\""))
        })?,
    };
    sparsity.check()?;
    Ok(Some(sparsity))
}

/// `pattern`: `re:` and a regular expression, or one whole name.
fn rename(pattern: &str, replacement: &str) -> Result<Rename> {
    match pattern.strip_prefix("re:") {
        Some(expression) => Rename::new(expression, replacement),
        None if pattern.contains(['*', '?', '[', '{', '\\']) => Err(Error::usage(format!(
            "`{pattern}` does not say which part of a name `rename` replaces"
        ))
        .with_hint("`match = 're:...'` does: every match of the expression is replaced")),
        None => Rename::new(&format!("^{}$", regex::escape(pattern)), replacement),
    }
}

fn at_line(text: &str, start: usize, error: Error) -> Error {
    let placed = Error::usage(format!(
        "line {}: {}",
        line_of(text, start),
        error.message()
    ));
    match error.hint() {
        Some(hint) => placed.with_hint(hint),
        None => placed,
    }
}

/// The line, from 1, of a place in `text`.
fn line_of(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
