//! Arrays of Python objects: the pickle behind the header, as tensors and values. Nothing is
//! imported.

use super::read::Budget;
use crate::dtype;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::io::{ByteOrder, Source};
use crate::limits;
use crate::model::{Array, Bytes, Level, Note, Payload, Shape, Storage, Tensor, Value};
use crate::pickle::{self, Graph, Item, Pickle, TextKind, View, numpy};
use crate::safety::import_notes;

/// Bytes of one long text that are shown.
const TEXT_BYTES: u64 = 64 << 10;

/// What the pickle of an array holds.
pub(super) struct Objects {
    /// The arrays of numbers in it, named by their paths.
    pub(super) tensors: Vec<Tensor>,
    /// What else its elements are, row by row; `None` if they are nothing but tensors.
    pub(super) value: Option<Value>,
    /// That this is a pickle, and what it would import.
    pub(super) notes: Vec<Note>,
    /// Byte behind the pickle, within its source.
    pub(super) end: u64,
}

/// Reads the pickle at `offset` of `source`.
///
/// `path`: what the names of tensors start with. `is_scalar`: the array has no dimensions, so
/// its one element is not counted in the names.
///
/// Errors: those of the pickle machine, `Malformed` if the pickle holds no array of objects,
/// `Limit` past [`limits::VALUE_NODES`], [`limits::TENSORS`] or [`limits::PICKLE_OBJECTS`].
pub(super) fn read(
    source: &Source,
    offset: u64,
    path: &str,
    is_scalar: bool,
    options: &ReadOptions,
    budget: &mut Budget,
) -> Result<Objects> {
    let pickle = pickle::read(source, offset)?;
    let mut viewer = Viewer {
        pickle: &pickle,
        source,
        options,
        budget,
        tensors: Vec::new(),
        path: path.to_owned(),
        steps: 0,
    };
    let value = viewer
        .outermost(is_scalar)
        .map_err(|error| error.at(source.file_offset(offset)))?;
    let tensors = viewer.tensors;
    let text = "the elements are a pickle, which np.load refuses without allow_pickle";
    let note = Note::new("object-array", Level::Warning, text).at(source.file_offset(offset));
    let mut notes = vec![note];
    notes.extend(import_notes(&pickle.graph, source));
    Ok(Objects {
        tensors,
        value,
        notes,
        end: pickle.end,
    })
}

/// Turns objects into tensors and values, within limits.
struct Viewer<'a> {
    pickle: &'a Pickle,
    source: &'a Source,
    options: &'a ReadOptions,
    budget: &'a mut Budget,
    tensors: Vec<Tensor>,
    /// Keys and positions on the way here, joined by dots.
    path: String,
    /// Items of containers that were looked at. Containers may be shared, so that there are
    /// more paths than objects.
    steps: usize,
}

impl<'a> Viewer<'a> {
    fn graph(&self) -> &'a Graph {
        &self.pickle.graph
    }

    fn outermost(&mut self, is_scalar: bool) -> Result<Option<Value>> {
        let array = numpy::array(self.graph(), self.source, self.pickle.root)?;
        let Some(numpy::Data::Objects(list)) = array.map(|array| array.data) else {
            let message = "the pickle behind the header holds no array of objects";
            return Err(Error::malformed(message));
        };
        match self.graph().sequence(list).unwrap_or_default() {
            &[item] if is_scalar => self.value(item, 0),
            items => self.list(items, 0),
        }
    }

    /// Items by their positions. Those beyond what is shown are looked through for tensors.
    fn list(&mut self, items: &[Item], depth: usize) -> Result<Option<Value>> {
        self.step(items.len())?;
        let length = items.len() as u64;
        let mut first = Vec::new();
        for (index, &item) in items.iter().enumerate() {
            let is_shown = (index as u64) < self.options.array_elements;
            if is_shown || self.may_hold_tensors(item) {
                let value = self.below(&index.to_string(), item, depth)?;
                first.extend(value.filter(|_| is_shown));
            }
        }
        Ok(match length > self.options.array_elements {
            _ if first.is_empty() && length > 0 => None,
            false => Some(Value::List(first)),
            true => Some(Value::Array(Array {
                element: "object".to_owned(),
                length,
                first,
            })),
        })
    }

    fn dict(&mut self, pairs: &[(Item, Item)], depth: usize) -> Result<Option<Value>> {
        self.step(pairs.len())?;
        let mut entries = Vec::new();
        for &(key, item) in pairs {
            let key = self.key(key);
            let value = self.below(&key, item, depth)?;
            entries.extend(value.map(|value| (key, value)));
        }
        Ok((pairs.is_empty() || !entries.is_empty()).then_some(Value::Map(entries)))
    }

    fn step(&mut self, items: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(items);
        if self.steps > limits::PICKLE_OBJECTS {
            let allowed = limits::PICKLE_OBJECTS;
            let message = format!("has over {allowed} objects on all paths, the limit");
            return Err(Error::limit(message));
        }
        Ok(())
    }

    /// The value of `item`, which stands under `key`; depth is that of its container.
    fn below(&mut self, key: &str, item: Item, depth: usize) -> Result<Option<Value>> {
        let length = self.path.len();
        if length.saturating_add(key.len()) as u64 >= limits::NAME {
            let allowed = limits::NAME;
            return Err(Error::limit(format!(
                "a name has over {allowed} bytes, the limit"
            )));
        }
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
        let value = self.value(item, depth.saturating_add(1));
        self.path.truncate(length);
        value
    }

    fn may_hold_tensors(&self, item: Item) -> bool {
        let view = self.graph().view(item);
        matches!(
            view,
            View::Tuple(_) | View::List(_) | View::Set(_) | View::Dict(_) | View::Call(_)
        )
    }

    /// What `item` is; `None` if it is a tensor, or holds nothing else.
    fn value(&mut self, item: Item, depth: usize) -> Result<Option<Value>> {
        // Also where a container holds itself.
        if depth >= limits::DEPTH {
            self.budget.spend()?;
            return Ok(Some(Value::text("...")));
        }
        let value = match self.graph().view(item) {
            View::Tuple(items) | View::List(items) | View::Set(items) => self.list(items, depth)?,
            View::Dict(pairs) => self.dict(pairs, depth)?,
            View::Call(_) => self.call(item, depth)?,
            _ => Some(self.plain(item)?),
        };
        if value.is_some() {
            self.budget.spend()?;
        }
        Ok(value)
    }

    /// A NumPy array or scalar, or an object of which only the class is shown.
    fn call(&mut self, item: Item, depth: usize) -> Result<Option<Value>> {
        if let Some((element, value)) = numpy::scalar(self.graph(), item) {
            return self.scalar(&element, value).map(Some);
        }
        let Some(array) = numpy::array(self.graph(), self.source, item)? else {
            return self.plain(item).map(Some);
        };
        match array.data {
            numpy::Data::Objects(list) => {
                let items = self.graph().sequence(list).unwrap_or_default();
                self.list(items, depth)
            }
            numpy::Data::Bytes(ref raw) => self.tensor(&array, raw),
        }
    }

    fn tensor(&mut self, array: &numpy::Array, raw: &numpy::RawBytes) -> Result<Option<Value>> {
        let Some(dtype) = array.element.dtype else {
            return Ok(Some(Value::Array(Array {
                element: array.element.name.clone(),
                length: array.shape.iter().fold(1, |n, &d| n.saturating_mul(d)),
                first: Vec::new(),
            })));
        };
        if self.tensors.len() as u64 >= limits::TENSORS {
            let allowed = limits::TENSORS;
            return Err(Error::limit(format!(
                "has over {allowed} tensors, the limit"
            )));
        }
        let shape = Shape::new(array.shape.clone())?;
        let bytes = match raw {
            numpy::RawBytes::Extent { offset, len } => Bytes::Extent {
                source: self.source.clone(),
                offset: *offset,
                len: *len,
            },
            numpy::RawBytes::Inline(bytes) => Bytes::Inline(bytes.as_slice().into()),
        };
        let order = array.element.order;
        let strides = array.strides.clone().into();
        let payload = Payload::view(Storage { bytes, order }, dtype, &shape, 0, strides);
        let name = match self.path.as_str() {
            "" => super::BARE_NAME,
            path => path,
        };
        self.tensors.push(Tensor::new(name, dtype, shape, payload));
        Ok(None)
    }

    fn scalar(&mut self, element: &numpy::Element, value: Item) -> Result<Value> {
        let raw = numpy::raw_bytes(self.graph(), self.source, value)?;
        let (Some(raw), Some(dtype)) = (raw, element.dtype) else {
            return self.plain(value);
        };
        let mut bytes = raw.read(self.source)?;
        if element.order == ByteOrder::Big {
            dtype::swap_bytes(dtype, &mut bytes);
        }
        let number = Value::from_element(dtype, &bytes);
        Ok(number.unwrap_or_else(|| Value::text(format!("<{}>", element.name))))
    }

    /// The value of what holds no other objects that matter.
    fn plain(&self, item: Item) -> Result<Value> {
        Ok(match self.graph().view(item) {
            View::Absent | View::None => Value::Null,
            View::Bool(value) => Value::Bool(value),
            View::Int(value) => Value::Int(value),
            View::Long(bytes) => Value::Text(format!("<integer of {} bytes>", bytes.len())),
            View::Float(value) => Value::Float(value),
            View::Text(TextKind::Bytes, bytes) => {
                Value::Text(format!("b'{}'", bytes.escape_ascii()))
            }
            View::Text(..) => Value::Text(self.graph().text(item).unwrap_or_default().into_owned()),
            View::LongText(text) if text.kind == TextKind::Unicode => {
                let length = text.len.min(TEXT_BYTES);
                let bytes = self.source.read_prefix(text.offset, length)?;
                let cut = if text.len > TEXT_BYTES { "..." } else { "" };
                Value::Text(String::from_utf8_lossy(&bytes).into_owned() + cut)
            }
            View::LongText(text) => Value::Text(format!("<{} bytes>", text.len)),
            View::Global(global) => Value::Text(global.to_string()),
            View::Call(call) => match self.graph().global(call.callable) {
                Some(global) => Value::Text(format!("<{global}>")),
                None => Value::text("<object>"),
            },
            View::Persistent(_) => Value::text("<persistent>"),
            View::Tuple(_) | View::List(_) | View::Set(_) | View::Dict(_) => Value::text("(...)"),
        })
    }

    /// A key as Python's `str` prints it, as far as keys are plain.
    fn key(&self, item: Item) -> String {
        match self.plain(item) {
            Ok(Value::Text(text)) => text,
            Ok(Value::Int(value)) => value.to_string(),
            Ok(Value::Bool(true)) => "True".to_owned(),
            Ok(Value::Bool(false)) => "False".to_owned(),
            Ok(Value::Null) => "None".to_owned(),
            Ok(Value::Float(value)) => format!("{value:?}"),
            _ => "(...)".to_owned(),
        }
    }
}
