//! From the graph of a pickle to a checkpoint: names, tensors, values.
//!
//! Keys are joined by dots as they are met. Containers that occur twice are expanded on every
//! path, within limits; one that holds itself is cut where the cycle closes.

mod objects;

use super::names;
use super::rebuild::{Built, Meaning, whole_storage};
use super::storage::Unpickled;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::format::faults::Faults;
use crate::limits;
use crate::model::{Checkpoint, Group, Level, Note, Value};
use crate::pickle::{Call, Item, View, numpy};
use std::collections::HashSet;
use std::ops::Range;

/// Walks everything that the pickle holds and adds it to `checkpoint`.
///
/// `options`: which lists of plain values are cut, and what a tensor's fault amounts to.
pub(super) fn walk(
    unpickled: &Unpickled,
    options: &ReadOptions,
    is_script: bool,
    checkpoint: &mut Checkpoint,
) -> Result<()> {
    let mut walker = Walker {
        unpickled,
        array_elements: options.array_elements,
        faults: Faults::new(options),
        is_script,
        checkpoint,
        path: String::new(),
        depth: 0,
        open: HashSet::new(),
        expanded: HashSet::new(),
        repeating: 0,
        repeated: 0,
        nodes: 0,
        cut_nodes: 0,
        has_cycle: false,
        has_deep: false,
    };
    let value = walker.outermost(unpickled.root)?;
    walker.finish(value);
    Ok(())
}

struct Walker<'a> {
    unpickled: &'a Unpickled,
    array_elements: u64,
    faults: Faults,
    /// TorchScript: every object is a module.
    is_script: bool,
    checkpoint: &'a mut Checkpoint,
    path: String,
    depth: usize,
    /// Containers that are being walked.
    open: HashSet<Item>,
    /// Containers that have been walked.
    expanded: HashSet<Item>,
    /// How many of the open containers have been walked before.
    repeating: usize,
    /// Nodes met under such.
    repeated: u64,
    nodes: u64,
    cut_nodes: u64,
    has_cycle: bool,
    has_deep: bool,
}

/// Keys and values of what behaves like a dict.
type Pairs = Vec<(String, Item)>;

impl Walker<'_> {
    /// The outermost object: its keys are the groups.
    fn outermost(&mut self, root: Item) -> Result<Option<Value>> {
        let Some(pairs) = self.mapping(root) else {
            return self.named_root(root);
        };
        self.open.insert(root);
        self.expanded.insert(root);
        self.depth = 1;
        let mut entries = Vec::new();
        for (key, item) in pairs {
            let first = self.checkpoint.tensors.len();
            let value = self.child(&key, item)?;
            let last = self.checkpoint.tensors.len();
            if self.is_container(&key, item, first..last) {
                self.checkpoint.groups.push(Group {
                    key: key.clone(),
                    tensors: first..last,
                });
            }
            entries.extend(value.map(|value| (key, value)));
        }
        Ok(Some(Value::Map(entries)))
    }

    /// An outermost object that is no mapping: a single tensor, a list, a module.
    fn named_root(&mut self, root: Item) -> Result<Option<Value>> {
        let before = self.checkpoint.tensors.len();
        let value = self.item(root)?;
        for tensor in self
            .checkpoint
            .tensors
            .get_mut(before..)
            .unwrap_or_default()
        {
            if tensor.name.is_empty() {
                tensor.name = "tensor".to_owned();
            }
        }
        Ok(value)
    }

    fn finish(self, value: Option<Value>) {
        match value {
            Some(Value::Map(entries)) => self.checkpoint.values.extend(entries),
            Some(value) => self.checkpoint.values.push(("value".to_owned(), value)),
            None => {}
        }
        let mut note = |rule, text: String| {
            let note = Note::new(rule, Level::Warning, text);
            self.checkpoint.notes.push(note);
        };
        if self.has_cycle {
            note(
                "cycle",
                "an object holds itself; it is cut there".to_owned(),
            );
        }
        if self.has_deep {
            let depth = limits::DEPTH;
            note(
                "depth",
                format!("objects nested over {depth} deep are not shown"),
            );
        }
        if self.cut_nodes > 0 {
            let (shown, cut) = (limits::VALUE_NODES, self.cut_nodes);
            note(
                "values-cut",
                format!("{shown} values are shown; {cut} more are not"),
            );
        }
        self.checkpoint.notes.extend(self.faults.into_notes());
    }

    /// Whether tensors under `item`, which lie in `tensors`, are named by `key` and something
    /// else.
    fn is_container(&self, key: &str, item: Item, tensors: Range<usize>) -> bool {
        match self.unpickled.graph.view(item) {
            View::Dict(_) | View::List(_) | View::Tuple(_) => true,
            View::Call(call) => {
                let mut added = self.checkpoint.tensors.get(tensors).into_iter().flatten();
                match added.next() {
                    // A tensor with attributes of its own comes first, under the bare key.
                    Some(first) => first.name != key,
                    None => self.is_dict_class(call),
                }
            }
            _ => false,
        }
    }

    /// What stands under `key` of the current object.
    fn child(&mut self, key: &str, item: Item) -> Result<Option<Value>> {
        let length = self.path.len();
        // The outermost keys have nothing in front, an empty key included.
        if length > 0 || self.depth > 1 {
            self.path.push('.');
        }
        self.path.push_str(key);
        if self.path.len() as u64 > limits::NAME {
            let allowed = limits::NAME;
            let message = format!("a tensor's name has over {allowed} bytes");
            return Err(Error::limit(message));
        }
        let value = self.item(item);
        self.path.truncate(length);
        value
    }

    /// Adds the tensors of `item` and returns what else it is.
    fn item(&mut self, item: Item) -> Result<Option<Value>> {
        if self.repeating > 0 {
            self.repeated = self.repeated.saturating_add(1);
            if self.repeated > limits::TENSORS {
                let allowed = limits::TENSORS;
                return Err(Error::limit(format!(
                    "shared objects expand to over {allowed} entries"
                )));
            }
        }
        match self.unpickled.graph.view(item) {
            View::Tuple(_) | View::List(_) | View::Set(_) | View::Dict(_) | View::Call(_) => {
                self.container(item)
            }
            View::Persistent(_) => self.persistent(item),
            _ => {
                let value = names::scalar(self.unpickled, item);
                self.node(value)
            }
        }
    }

    /// Counts a value; beyond the limit it is left out, or an error if it is a copy.
    fn node(&mut self, value: Value) -> Result<Option<Value>> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes <= limits::VALUE_NODES {
            return Ok(Some(value));
        }
        if self.repeating > 0 {
            let allowed = limits::VALUE_NODES;
            let message = format!("shared objects expand to over {allowed} values");
            return Err(Error::limit(message));
        }
        self.cut_nodes = self.cut_nodes.saturating_add(1);
        Ok(None)
    }

    /// Anything that holds other things. The only way down: depth and cycles are minded here.
    fn container(&mut self, item: Item) -> Result<Option<Value>> {
        if self.depth >= limits::DEPTH {
            self.has_deep = true;
            return self.node(Value::text("..."));
        }
        if !self.open.insert(item) {
            self.has_cycle = true;
            return self.node(Value::text("..."));
        }
        let is_repeated = !self.expanded.insert(item);
        self.repeating = self.repeating.saturating_add(usize::from(is_repeated));
        self.depth = self.depth.saturating_add(1);
        let value = self.open_container(item);
        self.depth = self.depth.saturating_sub(1);
        self.repeating = self.repeating.saturating_sub(usize::from(is_repeated));
        self.open.remove(&item);
        value
    }

    fn open_container(&mut self, item: Item) -> Result<Option<Value>> {
        let unpickled = self.unpickled;
        match unpickled.graph.view(item) {
            View::Call(call) => self.call(item, call),
            View::Dict(_) => {
                let pairs = self.mapping(item).unwrap_or_default();
                self.pairs(pairs)
            }
            View::List(items) | View::Tuple(items) | View::Set(items) => self.items(items),
            _ => Ok(None),
        }
    }

    /// Keys and values, if `item` behaves like a dict. The last of equal keys counts.
    fn mapping(&self, item: Item) -> Option<Pairs> {
        let graph = &self.unpickled.graph;
        let mut pairs: Vec<(Item, Item)> = match graph.view(item) {
            View::Dict(pairs) => pairs.to_vec(),
            View::Call(call) if self.is_dict_class(call) => {
                let mut pairs = Vec::new();
                for &argument in graph.args(call) {
                    match graph.view(argument) {
                        View::Dict(more) => pairs.extend_from_slice(more),
                        View::List(more) | View::Tuple(more) => {
                            pairs.extend(more.iter().filter_map(|&pair| {
                                match graph.sequence(pair)? {
                                    &[key, value] => Some((key, value)),
                                    _ => None,
                                }
                            }));
                        }
                        _ => {}
                    }
                }
                pairs.extend_from_slice(graph.pairs(call));
                pairs
            }
            _ => return None,
        };
        names::keep_last(self.unpickled, &mut pairs);
        let name = |&(key, value): &(Item, Item)| (names::key(self.unpickled, key), value);
        Some(pairs.iter().map(name).collect())
    }

    fn is_dict_class(&self, call: &Call) -> bool {
        let global = self.unpickled.graph.global(call.callable);
        global.is_some_and(|global| {
            matches!(
                (&*global.module, &*global.name),
                ("collections", "OrderedDict" | "defaultdict" | "Counter")
                    | ("builtins" | "__builtin__", "dict")
            )
        })
    }

    fn pairs(&mut self, pairs: Pairs) -> Result<Option<Value>> {
        if pairs.is_empty() {
            return self.node(Value::Map(Vec::new()));
        }
        let mut entries = Vec::new();
        for (key, item) in pairs {
            let value = self.child(&key, item)?;
            entries.extend(value.map(|value| (key, value)));
        }
        self.filled(entries.is_empty(), Value::Map(entries))
    }

    /// A container that held nothing but tensors is no value.
    fn filled(&mut self, is_empty: bool, value: Value) -> Result<Option<Value>> {
        match is_empty {
            true => Ok(None),
            false => self.node(value),
        }
    }

    fn items(&mut self, items: &[Item]) -> Result<Option<Value>> {
        if items.is_empty() {
            return self.node(Value::List(Vec::new()));
        }
        if let Some(array) = self.long_array(items) {
            return self.node(array);
        }
        let mut entries = Vec::new();
        for (index, &item) in items.iter().enumerate() {
            entries.extend(self.child(&index.to_string(), item)?);
        }
        self.filled(entries.is_empty(), Value::List(entries))
    }

    /// A long list of plain values, cut.
    fn long_array(&self, items: &[Item]) -> Option<Value> {
        let length = items.len() as u64;
        if length <= self.array_elements.min(64) {
            return None;
        }
        let graph = &self.unpickled.graph;
        let element = names::type_name(graph.view(*items.first()?));
        let is_plain =
            |&item: &Item| !element.is_empty() && names::type_name(graph.view(item)) == element;
        if !items.iter().all(is_plain) {
            return None;
        }
        let shown = usize::try_from(self.array_elements).unwrap_or(usize::MAX);
        let first = items.iter().take(shown);
        let first: Vec<Value> = first
            .map(|&item| names::scalar(self.unpickled, item))
            .collect();
        if first.len() == items.len() {
            return Some(Value::List(first));
        }
        Some(Value::Array(crate::model::Array {
            element: element.to_owned(),
            length,
            first,
        }))
    }

    fn call(&mut self, item: Item, call: &Call) -> Result<Option<Value>> {
        let unpickled = self.unpickled;
        if unpickled.is_storage(item) {
            return self.persistent(item);
        }
        if self.is_dict_class(call) {
            let pairs = self.mapping(item).unwrap_or_default();
            return self.pairs(pairs);
        }
        if let Some(value) = self.array(item)? {
            return Ok(value);
        }
        let meaning = unpickled.meaning(call);
        let meaning = meaning.map_err(|error| self.name_error(error));
        let Some(meaning) = self.faults.pass(meaning)? else {
            return Ok(None);
        };
        match meaning {
            Meaning::Tensor(built) => {
                self.emit(built)?;
                Ok(None)
            }
            Meaning::TensorWith(built, state) => {
                self.emit(built)?;
                let attributes = self.attributes(state);
                self.only_tensors(attributes)
            }
            Meaning::Tensors(all) => {
                let length = self.path.len();
                for (index, built) in all.into_iter().enumerate() {
                    let dot = if length > 0 { "." } else { "" };
                    self.path.push_str(&format!("{dot}{index}"));
                    let emitted = self.emit(built);
                    self.path.truncate(length);
                    emitted?;
                }
                Ok(None)
            }
            Meaning::Same(inner) => self.item(inner),
            Meaning::Wrapper {
                class,
                outer,
                state,
                args,
            } => {
                let mut parts = self.attributes(state);
                // A rebuild function that is not known takes what the state holds again.
                if !args.is_absent() && parts.is_empty() {
                    parts.push(("_args".to_owned(), args));
                }
                self.wrapper(&class, outer, parts)
            }
            Meaning::Other => self.object(item, call),
        }
    }

    /// Attributes of a tensor: tensors among them are kept, the rest belongs to its class.
    fn only_tensors(&mut self, pairs: Pairs) -> Result<Option<Value>> {
        for (key, item) in pairs {
            if !matches!(self.unpickled.graph.view(item), View::Persistent(_)) {
                self.child(&key, item)?;
            }
        }
        Ok(None)
    }

    /// A subclass of Tensor that keeps its data in attributes.
    fn wrapper(
        &mut self,
        class: &str,
        outer: Option<(crate::dtype::DType, crate::model::Shape)>,
        parts: Pairs,
    ) -> Result<Option<Value>> {
        let before = self.checkpoint.tensors.len();
        self.only_tensors(parts)?;
        let described = outer.as_ref().map_or(String::new(), |(dtype, shape)| {
            format!(", which stands for {dtype} {shape}")
        });
        if self.checkpoint.tensors.len() == before
            && let Some((dtype, shape)) = outer
        {
            let why = "it is of a tensor subclass that keeps its data elsewhere";
            self.emit(super::rebuild::absent(dtype, shape, why))?;
        }
        let text = format!("is a {class}{described}; listed are the tensors inside");
        let note = Note::new("tensor-subclass", Level::Info, text);
        let name = self.path.clone();
        self.checkpoint.notes.push(note.on_tensor(&name));
        Ok(None)
    }

    /// A NumPy array or scalar: a tensor if it holds numbers, else a value.
    fn array(&mut self, item: Item) -> Result<Option<Option<Value>>> {
        let unpickled = self.unpickled;
        if let Some((element, value)) = numpy::scalar(&unpickled.graph, item) {
            let value = names::numpy_scalar(unpickled, &element, value);
            return self.node(value).map(Some);
        }
        let (graph, source) = (&unpickled.graph, &unpickled.source);
        let array = numpy::array(graph, source, item).map_err(|error| self.name_error(error));
        let array = match self.faults.pass(array)? {
            Some(Some(array)) => array,
            Some(None) => return Ok(None),
            None => return Ok(Some(None)),
        };
        let built = unpickled.meaning_of_array(item);
        let built = built.map_err(|error| self.name_error(error));
        match self.faults.pass(built)? {
            Some(Some(built)) => {
                self.emit(built)?;
                return Ok(Some(None));
            }
            Some(None) => {}
            None => return Ok(Some(None)),
        }
        if let numpy::Data::Objects(list) = array.data {
            let items = graph.sequence(list).unwrap_or_default();
            return self.items(items).map(Some);
        }
        let value = names::numpy_text(unpickled, &array, self.array_elements)?;
        self.node(value).map(Some)
    }

    fn emit(&mut self, built: Built) -> Result<()> {
        if self.checkpoint.tensors.len() as u64 >= limits::TENSORS {
            let allowed = limits::TENSORS;
            return Err(Error::limit(format!("holds over {allowed} tensors")));
        }
        if let Some(type_name) = &built.stand_in_for {
            let text = format!("is {type_name}, of which {} holds the bits", built.dtype);
            let note = Note::new("stand-in-type", Level::Info, text);
            self.checkpoint.notes.push(note.on_tensor(&self.path));
        }
        self.checkpoint.tensors.push(built.named(&self.path));
        Ok(())
    }

    fn name_error(&self, error: Error) -> Error {
        match self.path.as_str() {
            "" => error.in_tensor("tensor"),
            path => error.in_tensor(path),
        }
    }
}

/// What stands under an attribute of an object.
enum Argument {
    Item(Item),
    Items(Vec<Item>),
}
