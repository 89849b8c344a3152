//! What a checkpoint must hold: names, dtypes and shapes, for checks in CI.
//!
//! ```toml
//! schema = "ckpt.schema/1"
//! extra = "deny"                                   # or "allow": tensors that nothing here names
//!
//! [dimensions]                                     # symbols whose value is known
//! vocabulary = 32000
//!
//! [[tensors]]
//! name = "model.layers.{0..31}.self_attn.q_proj.weight"    # 32 names
//! dtype = ["BF16", "F16"]                          # or one; any if it is left out
//! shape = ["heads*128", "hidden"]                  # numbers, symbols, expressions, "*"
//!
//! [[tensors]]
//! name = "re:\\.lora_[AB]\\.weight$"               # or a glob
//! count = 64                                       # at least one if it is left out
//! optional = true                                  # none will do
//! ```
//!
//! A symbol that `dimensions` does not give has the value of the first dimension, in the order
//! of the schema and of the file, that is the symbol alone; it must be the same everywhere.
//! The same can be written as JSON.
//!
//! | what | where |
//! |---|---|
//! | `{0..31}` in names | `names` |
//! | `4*hidden` | `expression` |
//! | reading TOML and JSON | `file` |
//! | what a Hugging Face `config.json` implies | [`config`] |
//! | a schema from a good checkpoint | [`mod@write`] |

pub mod config;
mod expression;
mod file;
mod names;
pub mod write;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Level, Note, Tensor};
use crate::op::select::Pattern;
use expression::{Expression, Symbols};
use std::collections::HashMap;

/// Tensors of one entry that are named in one finding each; the others are counted.
const NAMED: usize = 20;

/// What a checkpoint must hold.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Symbols with a value.
    symbols: Symbols,
    /// Whether tensors may be there that no entry names.
    allows_extra: bool,
    entries: Vec<Entry>,
}

/// What is said of one tensor, or of several with one pattern.
#[derive(Clone, Debug)]
struct Entry {
    /// As it is written.
    text: String,
    names: Names,
    /// Any of these; any at all if there are none.
    dtypes: Vec<DType>,
    shape: Option<Vec<Dimension>>,
    count: Option<Expression>,
    is_optional: bool,
}

#[derive(Clone, Debug)]
enum Names {
    /// Each must be there.
    Exact(Vec<String>),
    /// As many as `count` says.
    Pattern(Pattern),
}

#[derive(Clone, Debug)]
enum Dimension {
    /// Whatever it is.
    Any,
    Is(Expression),
}

impl Schema {
    /// Reads a schema: JSON if it starts with a brace, TOML otherwise.
    ///
    /// Errors: `Usage` with the line of what cannot be read; `Limit` for too many names.
    pub fn read(text: &str) -> Result<Schema> {
        file::read(text)
    }

    /// What is wrong with `checkpoint`, in the order of the schema, then of the file.
    ///
    /// Errors: `Usage` for a symbol that is never given a value.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<Vec<Note>> {
        let tensors = &checkpoint.tensors;
        let by_name: HashMap<&str, usize> = tensors
            .iter()
            .enumerate()
            .map(|(index, tensor)| (tensor.name.as_str(), index))
            .collect();
        let matches: Vec<Matched<'_>> = self
            .entries
            .iter()
            .map(|entry| entry.find(tensors, &by_name))
            .collect();
        let mut symbols = self.symbols.clone();
        for (entry, matched) in self.entries.iter().zip(&matches) {
            entry.bind(tensors, matched, &mut symbols);
        }
        let mut notes = Vec::new();
        let mut is_named = vec![false; tensors.len()];
        for (entry, matched) in self.entries.iter().zip(&matches) {
            for &index in &matched.found {
                is_named[index] = true;
            }
            entry.check(tensors, matched, &symbols, &mut notes)?;
        }
        if !self.allows_extra {
            let extra = tensors.iter().zip(is_named).filter(|(_, named)| !named);
            let names: Vec<&str> = extra.map(|(tensor, _)| tensor.name.as_str()).collect();
            report(
                &names,
                "schema-unexpected",
                "the schema has no such tensor",
                &mut notes,
            );
        }
        Ok(notes)
    }
}

/// Which tensors an entry is about.
struct Matched<'a> {
    /// Places among the tensors.
    found: Vec<usize>,
    missing: Vec<&'a str>,
}

impl Entry {
    fn find<'a>(&'a self, tensors: &[Tensor], by_name: &HashMap<&str, usize>) -> Matched<'a> {
        match &self.names {
            Names::Exact(names) => {
                let place = |name: &String| by_name.get(name.as_str()).copied();
                let is_missing = |name: &&String| place(name).is_none();
                Matched {
                    found: names.iter().filter_map(place).collect(),
                    missing: names
                        .iter()
                        .filter(is_missing)
                        .map(String::as_str)
                        .collect(),
                }
            }
            Names::Pattern(pattern) => {
                let named = tensors.iter().enumerate();
                Matched {
                    found: named
                        .filter(|(_, tensor)| pattern.matches(&tensor.name))
                        .map(|(index, _)| index)
                        .collect(),
                    missing: Vec::new(),
                }
            }
        }
    }

    /// Gives symbols that stand alone the value they meet first.
    fn bind(&self, tensors: &[Tensor], matched: &Matched<'_>, symbols: &mut Symbols) {
        let Some(shape) = &self.shape else {
            return;
        };
        for &index in &matched.found {
            let dimensions = tensors[index].shape.dimensions();
            if dimensions.len() != shape.len() {
                continue;
            }
            for (wanted, &found) in shape.iter().zip(dimensions) {
                if let Dimension::Is(expression) = wanted
                    && let Some(symbol) = expression.symbol()
                {
                    symbols.entry(symbol.to_owned()).or_insert(found);
                }
            }
        }
    }

    fn check(
        &self,
        tensors: &[Tensor],
        matched: &Matched<'_>,
        symbols: &Symbols,
        notes: &mut Vec<Note>,
    ) -> Result<()> {
        let found = matched.found.len() as u64;
        let is_absent = found == 0 && self.is_optional;
        if !is_absent {
            report(&matched.missing, "schema-missing", "is not there", notes);
            self.check_count(found, symbols, notes)?;
        }
        for &index in &matched.found {
            let tensor = &tensors[index];
            if !self.dtypes.is_empty() && !self.dtypes.contains(&tensor.dtype) {
                let wanted: Vec<String> = self.dtypes.iter().map(DType::to_string).collect();
                let text = format!("is {}, not {}", tensor.dtype, wanted.join(" or "));
                notes.push(finding("schema-dtype", &tensor.name, text));
            }
            if let Some(problem) = self.check_shape(tensor, symbols)? {
                notes.push(finding("schema-shape", &tensor.name, problem));
            }
        }
        Ok(())
    }

    fn check_count(&self, found: u64, symbols: &Symbols, notes: &mut Vec<Note>) -> Result<()> {
        let wanted = match (&self.count, &self.names) {
            (Some(count), _) => Some(self.value(count, symbols)?),
            (None, _) => None,
        };
        let text = match (wanted, &self.names) {
            (Some(wanted), _) if wanted != found => {
                format!("`{}` matches {found} tensors, not {wanted}", self.text)
            }
            (None, Names::Pattern(_)) if found == 0 => {
                format!("`{}` matches no tensor", self.text)
            }
            _ => return Ok(()),
        };
        notes.push(Note::new("schema-count", Level::Error, text));
        Ok(())
    }

    /// What is wrong with the tensor's shape.
    fn check_shape(&self, tensor: &Tensor, symbols: &Symbols) -> Result<Option<String>> {
        let Some(shape) = &self.shape else {
            return Ok(None);
        };
        let dimensions = tensor.shape.dimensions();
        let mut is_right = shape.len() == dimensions.len();
        let mut wanted = Vec::with_capacity(shape.len());
        let mut words = Vec::with_capacity(shape.len());
        for (index, dimension) in shape.iter().enumerate() {
            match dimension {
                Dimension::Any => {
                    wanted.push("*".to_owned());
                    words.push("*".to_owned());
                }
                Dimension::Is(expression) => {
                    let value = self.value(expression, symbols)?;
                    is_right &= dimensions.get(index) == Some(&value);
                    wanted.push(value.to_string());
                    words.push(expression.to_string());
                }
            }
        }
        if is_right {
            return Ok(None);
        }
        let (wanted, words) = (wanted.join(", "), words.join(", "));
        let meaning = match wanted == words {
            true => String::new(),
            false => format!(" ([{words}])"),
        };
        Ok(Some(format!(
            "has shape {}, not [{wanted}]{meaning}",
            tensor.shape
        )))
    }

    fn value(&self, expression: &Expression, symbols: &Symbols) -> Result<u64> {
        expression.value(symbols).map_err(|problem| {
            Error::usage(format!("`{}`: `{expression}` {problem}", self.text)).with_hint(
                "a symbol gets its value in [dimensions], or where it is a dimension alone",
            )
        })
    }
}

fn finding(rule: &'static str, tensor: &str, text: impl Into<String>) -> Note {
    Note::new(rule, Level::Error, text).on_tensor(tensor)
}

/// One finding for each name, up to [`NAMED`]; one more for the others.
fn report(names: &[&str], rule: &'static str, text: &str, notes: &mut Vec<Note>) {
    for name in names.iter().take(NAMED) {
        notes.push(finding(rule, name, text));
    }
    if names.len() > NAMED {
        let more = names.len() - NAMED;
        let last = names.last().copied().unwrap_or_default();
        let text = format!("the same of {more} more tensors, up to `{last}`");
        notes.push(Note::new(rule, Level::Error, text));
    }
}
