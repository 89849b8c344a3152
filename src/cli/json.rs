//! What the JSON of all commands has in common.

use ckpt::model::{Array, Note, Value};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::collections::HashSet;
use std::io::{self, Write};

/// Elements up to which an array of metadata or values is written out.
const SHORT: usize = 64;

/// Writes `value` with one line for each member of its lists, and compactly below that.
pub(crate) fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let layout = Lines {
        depth: 0,
        is_empty: true,
    };
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, layout);
    value.serialize(&mut serializer)?;
    Ok(())
}

/// Breaks lines down to a depth, so that programs and people can both read it.
struct Lines {
    depth: usize,
    is_empty: bool,
}

impl Lines {
    /// Members of the object and of its lists.
    const LIMIT: usize = 2;

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        let breaks = self.depth <= Lines::LIMIT && !self.is_empty;
        self.depth -= 1;
        self.is_empty = false;
        if breaks {
            self.break_line(out)?;
        }
        out.write_all(bracket)
    }

    fn member<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.is_empty = false;
        match (first, self.depth <= Lines::LIMIT) {
            (true, true) => self.break_line(out),
            (true, false) => Ok(()),
            (false, true) => {
                out.write_all(b",")?;
                self.break_line(out)
            }
            (false, false) => out.write_all(b", "),
        }
    }

    fn break_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        const BLANKS: &[u8] = b"\n    ";
        out.write_all(BLANKS.get(..1 + self.depth * 2).unwrap_or(BLANKS))
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.member(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.member(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// A failure among several paths.
#[derive(Serialize)]
pub(crate) struct Failure<'a> {
    pub(crate) schema: &'a str,
    pub(crate) path: &'a str,
    pub(crate) error: String,
}

/// A float, or the string for one that JSON cannot hold.
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value if value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// A value as plain JSON.
pub(crate) struct Plain<'a> {
    pub(crate) value: &'a Value,
    /// Whether long arrays are written out.
    pub(crate) all: bool,
}

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Unsigned(value) => serializer.serialize_u64(*value),
            Value::Float(value) => Number(*value).serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) if self.all || items.len() <= SHORT => {
                self.list(items).serialize(serializer)
            }
            Value::List(items) => {
                let (kind, length) = (kind_of(items), items.len() as u64);
                self.cut(kind, length, &items[..SHORT], serializer)
            }
            Value::Map(entries) => {
                let all = self.all;
                Entries { entries, all }.serialize(serializer)
            }
            Value::Array(array) if is_whole(array) && (self.all || array.first.len() <= SHORT) => {
                self.list(&array.first).serialize(serializer)
            }
            Value::Array(array) => {
                let first = array.first.get(..SHORT).filter(|_| !self.all);
                let first = first.unwrap_or(&array.first);
                self.cut(&array.element, array.length, first, serializer)
            }
        }
    }
}

/// Whether all elements were read.
fn is_whole(array: &Array) -> bool {
    array.length == array.first.len() as u64
}

impl Plain<'_> {
    fn list<'a>(&self, items: &'a [Value]) -> Items<'a> {
        Items {
            items,
            all: self.all,
        }
    }

    fn cut<S: Serializer>(
        &self,
        kind: &str,
        length: u64,
        first: &[Value],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Array", 3)?;
        object.serialize_field("type", kind)?;
        object.serialize_field("length", &length)?;
        object.serialize_field("first", &self.list(first))?;
        object.end()
    }
}

/// What the elements of a list are, in Python's words.
pub(crate) fn kind_of(items: &[Value]) -> &'static str {
    let kind = |value: &Value| match value {
        Value::Null => "None",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Unsigned(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "str",
        Value::List(_) | Value::Array(_) => "list",
        Value::Map(_) => "dict",
    };
    let Some(first) = items.first().map(kind) else {
        return "any";
    };
    match items.iter().all(|item| kind(item) == first) {
        true => first,
        false => "any",
    }
}

struct Items<'a> {
    items: &'a [Value],
    all: bool,
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.all;
        let mut list = serializer.serialize_seq(Some(self.items.len()))?;
        for value in self.items {
            list.serialize_element(&Plain { value, all })?;
        }
        list.end()
    }
}

/// Keys and values as an object; a key that occurs again gets `#2`, so that none is lost.
pub(crate) struct Entries<'a> {
    pub(crate) entries: &'a [(String, Value)],
    /// Whether long arrays are written out.
    pub(crate) all: bool,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.all;
        let mut object = serializer.serialize_map(Some(self.entries.len()))?;
        let mut seen = HashSet::with_capacity(self.entries.len());
        for (key, value) in self.entries {
            let mut name = key.clone();
            let mut number = 2u64;
            while !seen.insert(name.clone()) {
                name = format!("{key}#{number}");
                number += 1;
            }
            object.serialize_entry(&name, &Plain { value, all })?;
        }
        object.end()
    }
}

/// What a reader noticed.
#[derive(Serialize)]
pub(crate) struct NoteEntry<'a> {
    rule: &'a str,
    level: &'a str,
    text: &'a str,
    tensor: Option<&'a str>,
    offset: Option<u64>,
}

impl<'a> NoteEntry<'a> {
    pub(crate) fn new(note: &'a Note) -> NoteEntry<'a> {
        NoteEntry {
            rule: note.rule,
            level: note.level.name(),
            text: &note.text,
            tensor: note.place.tensor.as_deref(),
            offset: note.place.offset,
        }
    }
}
