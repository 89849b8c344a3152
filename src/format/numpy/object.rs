//! Arrays of Python objects: the pickle behind the header, as values. Nothing is imported.

use super::read::Budget;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::io::Source;
use crate::limits;
use crate::model::{Array, Level, Note, Value};
use crate::pickle::{self, Graph, Item, TextKind, View};

/// Bytes of one long text that are shown.
const TEXT_BYTES: u64 = 64 << 10;

/// What the pickle of an array holds.
pub(super) struct Objects {
    /// The elements, row by row.
    pub(super) value: Value,
    /// That this is a pickle, and what it would import.
    pub(super) note: Note,
    /// Byte behind the pickle, within its source.
    pub(super) end: u64,
}

/// Reads the pickle at `offset` of `source`.
///
/// Errors: those of the pickle machine, `Malformed` if the pickle holds no array, `Limit` past
/// [`limits::VALUE_NODES`].
pub(super) fn read(
    source: &Source,
    offset: u64,
    options: &ReadOptions,
    budget: &mut Budget,
) -> Result<Objects> {
    let pickle = pickle::read(source, offset)?;
    let graph = &pickle.graph;
    let mut viewer = Viewer {
        graph,
        source,
        options,
        budget,
    };
    let items = elements(graph, pickle.root).ok_or_else(|| {
        Error::malformed("the pickle behind the header holds no array of objects")
            .at(source.file_offset(offset))
    })?;
    let value = viewer.list(items, 0);
    let value = value.map_err(|error| error.at(source.file_offset(offset)))?;
    Ok(Objects {
        value,
        note: note(graph).at(source.file_offset(offset)),
        end: pickle.end,
    })
}

/// The objects of an array: the last part of the state that `_reconstruct` is given.
fn elements(graph: &Graph, root: Item) -> Option<&[Item]> {
    let View::Call(call) = graph.view(root) else {
        return None;
    };
    let callable = graph.global(call.callable)?;
    let is_array = callable.module.starts_with("numpy") && &*callable.name == "_reconstruct";
    let state = graph.sequence(call.state).filter(|_| is_array)?;
    match graph.view(*state.last()?) {
        View::List(items) => Some(items),
        _ => None,
    }
}

/// The note that the array is a pickle. What NumPy itself needs is not worth naming.
fn note(graph: &Graph) -> Note {
    let globals = graph.globals().iter();
    let foreign = globals.filter(|global| !global.module.starts_with("numpy"));
    let mut names: Vec<String> = foreign.map(ToString::to_string).collect();
    names.dedup();
    let text = match names.as_slice() {
        [] => "the elements are a pickle".to_owned(),
        names => {
            let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            format!("the elements are a pickle, which would import {shown}")
        }
    };
    Note::new("object-array", Level::Warning, text)
}

/// Turns objects into values, within limits.
struct Viewer<'a> {
    graph: &'a Graph,
    source: &'a Source,
    options: &'a ReadOptions,
    budget: &'a mut Budget,
}

impl Viewer<'_> {
    fn list(&mut self, items: &[Item], depth: usize) -> Result<Value> {
        let length = items.len() as u64;
        let shown = length.min(self.options.array_elements);
        let shown = items
            .iter()
            .take(usize::try_from(shown).unwrap_or(usize::MAX));
        let first: Result<Vec<Value>> = shown.map(|&item| self.value(item, depth)).collect();
        let first = first?;
        Ok(match first.len() as u64 == length {
            true => Value::List(first),
            false => Value::Array(Array {
                element: "object".to_owned(),
                length,
                first,
            }),
        })
    }

    fn value(&mut self, item: Item, depth: usize) -> Result<Value> {
        self.budget.spend()?;
        // Also where a container holds itself.
        if depth >= limits::DEPTH {
            return Ok(Value::text("..."));
        }
        let deeper = depth.saturating_add(1);
        Ok(match self.graph.view(item) {
            View::Absent | View::None => Value::Null,
            View::Bool(value) => Value::Bool(value),
            View::Int(value) => Value::Int(value),
            View::Long(bytes) => Value::Text(format!("<integer of {} bytes>", bytes.len())),
            View::Float(value) => Value::Float(value),
            View::Text(TextKind::Bytes, bytes) => {
                Value::Text(format!("b'{}'", bytes.escape_ascii()))
            }
            View::Text(..) => Value::Text(self.graph.text(item).unwrap_or_default().into_owned()),
            View::LongText(text) if text.kind == TextKind::Unicode => {
                let bytes = self
                    .source
                    .read_prefix(text.offset, text.len.min(TEXT_BYTES))?;
                let shown = String::from_utf8_lossy(&bytes).into_owned();
                let cut = if text.len > TEXT_BYTES { "..." } else { "" };
                Value::Text(shown + cut)
            }
            View::LongText(text) => Value::Text(format!("<{} bytes>", text.len)),
            View::Global(global) => Value::Text(global.to_string()),
            View::Tuple(items) | View::List(items) | View::Set(items) => {
                self.list(items, deeper)?
            }
            View::Dict(pairs) => {
                let mut entries = Vec::new();
                for &(key, value) in pairs {
                    let key = self.key(key, deeper)?;
                    entries.push((key, self.value(value, deeper)?));
                }
                Value::Map(entries)
            }
            View::Call(call) => {
                let name = self.graph.global(call.callable);
                let name = name.map_or_else(|| "?".to_owned(), ToString::to_string);
                Value::Text(format!("<{name}>"))
            }
            View::Persistent(_) => Value::text("<persistent>"),
        })
    }

    /// A key as text.
    fn key(&mut self, item: Item, depth: usize) -> Result<String> {
        Ok(match self.value(item, depth)? {
            Value::Text(text) => text,
            Value::Int(value) => value.to_string(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Null => "None".to_owned(),
            Value::Float(value) => format!("{value:?}"),
            _ => "(...)".to_owned(),
        })
    }
}
