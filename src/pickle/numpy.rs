//! NumPy's arrays, dtypes and scalars in pickles.
//!
//! | what | how it is pickled |
//! |---|---|
//! | dtype | `numpy.dtype('f4', False, True)`, then the state `(3, '<', ...)` |
//! | array, protocols 0 to 4 | `_reconstruct(ndarray, (0,), b'b')`, then the state `(1, shape, dtype, is_fortran, data)` |
//! | array, protocol 5 | `_frombuffer(buffer, dtype, shape, order)` |
//! | scalar | `scalar(dtype, bytes)` |
//!
//! Sources: numpy/_core/src/multiarray/methods.c (`array_reduce`), descriptor.c
//! (`arraydescr_reduce`), numpy/_core/numeric.py (`_frombuffer`).

use super::graph::decode_text;
use super::{Call, Graph, Item, TextKind, View};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::{ByteOrder, Source};
use crate::limits;

/// An array, as its pickle describes it.
#[derive(Debug)]
pub struct Array {
    /// What its elements are.
    pub element: Element,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Step of each dimension, in elements.
    pub strides: Vec<u64>,
    /// Its elements.
    pub data: Data,
}

/// The elements of an array.
#[derive(Debug)]
pub enum Data {
    /// As bytes.
    Bytes(RawBytes),
    /// As Python objects, row by row: the list that holds them.
    Objects(Item),
}

/// Where a byte string is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawBytes {
    /// A run of the source of the pickle.
    Extent {
        /// First byte.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// Bytes that were written as text, or few of them.
    Inline(Vec<u8>),
}

/// A NumPy dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// NumPy's name: `<f4`, `|O`, `<U5`.
    pub name: String,
    /// Bytes of one element.
    pub byte_len: u64,
    /// The order of its numbers.
    pub order: ByteOrder,
    /// The same type here, if it is numeric.
    pub dtype: Option<DType>,
}

impl RawBytes {
    /// How many.
    pub fn len(&self) -> u64 {
        match self {
            RawBytes::Extent { len, .. } => *len,
            RawBytes::Inline(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes themselves; `source` is that of the pickle.
    pub fn read(&self, source: &Source) -> Result<Vec<u8>> {
        match self {
            RawBytes::Extent { offset, len } => source.read_vec(*offset, *len),
            RawBytes::Inline(bytes) => Ok(bytes.clone()),
        }
    }
}

impl Element {
    /// The dtype that NumPy spells like this, with its byte order in front: `<f4`.
    pub fn from_name(name: &str) -> Option<Element> {
        let order = match name.chars().next()? {
            '<' | '|' | '=' => ByteOrder::Little,
            '>' => ByteOrder::Big,
            _ => return None,
        };
        let kind = name.get(1..2)?;
        let digits: String = name
            .get(2..)?
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let size: u64 = match (kind, digits.is_empty()) {
            ("O", true) => 8,
            (_, true) => return None,
            _ => digits.parse().ok()?,
        };
        let dtype = match (kind, size) {
            ("b", 1) => Some(DType::Bool),
            ("u", 1) => Some(DType::U8),
            ("u", 2) => Some(DType::U16),
            ("u", 4) => Some(DType::U32),
            ("u", 8) => Some(DType::U64),
            ("i", 1) => Some(DType::I8),
            ("i", 2) => Some(DType::I16),
            ("i", 4) => Some(DType::I32),
            ("i", 8) => Some(DType::I64),
            ("f", 2) => Some(DType::F16),
            ("f", 4) => Some(DType::F32),
            ("f", 8) => Some(DType::F64),
            ("c", 8) => Some(DType::C64),
            ("c", 16) => Some(DType::C128),
            _ => None,
        };
        // Characters of a U take four bytes each.
        let width = if kind == "U" { 4 } else { 1 };
        Some(Element {
            name: name.to_owned(),
            byte_len: size.checked_mul(width)?,
            order,
            dtype,
        })
    }

    /// Whether elements are Python objects.
    pub fn is_object(&self) -> bool {
        self.name.get(1..2) == Some("O")
    }
}

/// Whether `name` in `module` is NumPy's own, wherever it moved between versions.
fn is_numpy(graph: &Graph, callable: Item, module: &str, name: &str) -> bool {
    graph.global(callable).is_some_and(|global| {
        let inner = global.module.strip_prefix("numpy._core.");
        let inner = inner.or_else(|| global.module.strip_prefix("numpy.core."));
        inner == Some(module) && &*global.name == name
    })
}

/// The array behind `item`, if it is one.
///
/// Errors: `Malformed` if it is one whose parts contradict each other.
pub fn array(graph: &Graph, source: &Source, item: Item) -> Result<Option<Array>> {
    let View::Call(call) = graph.view(item) else {
        return Ok(None);
    };
    // NumPy before 1.0 had the function in `_internal`.
    let is_reconstruct = ["multiarray", "_internal"]
        .iter()
        .any(|module| is_numpy(graph, call.callable, module, "_reconstruct"));
    let found = if is_reconstruct {
        reconstructed(graph, source, call)
    } else if is_numpy(graph, call.callable, "numeric", "_frombuffer") {
        from_buffer(graph, source, call)
    } else {
        return Ok(None);
    };
    found
        .map_err(|error| error.at(source.file_offset(call.offset)))
        .map(Some)
}

fn reconstructed(graph: &Graph, source: &Source, call: &Call) -> Result<Array> {
    let state = match graph.view(call.state) {
        View::Tuple([_, rest @ ..]) if rest.len() >= 4 => rest,
        View::Tuple(state) => state,
        _ => &[],
    };
    let &[shape, dtype, is_fortran, data, ..] = state else {
        return Err(Error::malformed("a NumPy array lacks its state"));
    };
    let shape = dimensions(graph, shape)?;
    let element = element(graph, dtype)?;
    let mut strides = row_major(&shape)?;
    if matches!(graph.view(is_fortran), View::Bool(true) | View::Int(1)) {
        strides = column_major(&shape)?;
    }
    let data = match graph.view(data) {
        View::List(_) => Data::Objects(data),
        _ => Data::Bytes(needed_bytes(graph, source, data)?),
    };
    checked(
        graph,
        Array {
            element,
            shape,
            strides,
            data,
        },
    )
}

fn from_buffer(graph: &Graph, source: &Source, call: &Call) -> Result<Array> {
    let &[buffer, dtype, shape, order, ref rest @ ..] = graph.args(call) else {
        return Err(Error::malformed("a NumPy array lacks its arguments"));
    };
    let mut shape = dimensions(graph, shape)?;
    let order = graph.text(order).unwrap_or_default();
    let mut strides = match &*order {
        "F" => column_major(&shape)?,
        _ => row_major(&shape)?,
    };
    if let ("K", Some(&axes)) = (&*order, rest.first()) {
        let axes = dimensions(graph, axes)?;
        (shape, strides) = permuted(&shape, &strides, &axes)?;
    }
    let element = element(graph, dtype)?;
    let data = Data::Bytes(needed_bytes(graph, source, buffer)?);
    checked(
        graph,
        Array {
            element,
            shape,
            strides,
            data,
        },
    )
}

/// `transpose(axes)` of a shape and its strides.
fn permuted(shape: &[u64], strides: &[u64], axes: &[u64]) -> Result<(Vec<u64>, Vec<u64>)> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..shape.len() as u64) {
        return Err(Error::malformed(format!(
            "axes {axes:?} are no permutation of those of shape {shape:?}"
        )));
    }
    let pick = |from: &[u64]| -> Vec<u64> {
        let place = |&axis: &u64| from.get(usize::try_from(axis).ok()?).copied();
        axes.iter().filter_map(place).collect()
    };
    Ok((pick(shape), pick(strides)))
}

fn checked(graph: &Graph, array: Array) -> Result<Array> {
    let elements = array.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let (found, needed) = match &array.data {
        Data::Objects(list) => {
            let found = graph.sequence(*list).map_or(0, <[Item]>::len);
            (found as u64, elements)
        }
        Data::Bytes(bytes) => {
            let needed = elements.and_then(|n| n.checked_mul(array.element.byte_len));
            (bytes.len(), needed)
        }
    };
    if needed != Some(found) {
        let (shape, name) = (&array.shape, &array.element.name);
        return Err(Error::malformed(format!(
            "a NumPy array of shape {shape:?} and dtype {name} is given {found} {}",
            match array.data {
                Data::Objects(_) => "objects",
                Data::Bytes(_) => "bytes",
            }
        )));
    }
    Ok(array)
}

/// Reads a tuple of sizes; a single number stands for a tuple of one.
fn dimensions(graph: &Graph, item: Item) -> Result<Vec<u64>> {
    let items = match graph.view(item) {
        View::Tuple(items) | View::List(items) => items,
        _ => &[item],
    };
    if items.len() > limits::DIMENSIONS {
        let (found, allowed) = (items.len(), limits::DIMENSIONS);
        let message = format!("shape has {found} dimensions; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    let size = |&item: &Item| graph.int(item).and_then(|size| u64::try_from(size).ok());
    let sizes: Option<Vec<u64>> = items.iter().map(size).collect();
    sizes.ok_or_else(|| Error::malformed("a NumPy shape holds what is no size"))
}

fn row_major(shape: &[u64]) -> Result<Vec<u64>> {
    let mut strides = column_major(&shape.iter().rev().copied().collect::<Vec<u64>>())?;
    strides.reverse();
    Ok(strides)
}

fn column_major(shape: &[u64]) -> Result<Vec<u64>> {
    let mut next = 1u64;
    let mut strides = Vec::with_capacity(shape.len());
    for &size in shape {
        strides.push(next);
        next = next.checked_mul(size.max(1)).ok_or_else(|| {
            Error::malformed(format!("shape {shape:?} has more than 2^64 elements"))
        })?;
    }
    Ok(strides)
}

/// The dtype behind `item`.
///
/// Errors: `Malformed` if it is none.
pub fn element(graph: &Graph, item: Item) -> Result<Element> {
    let found = dtype_name(graph, item).and_then(|name| match &*name {
        // Of the extension types that a pickle names by their class.
        "bfloat16" => Some(extension(DType::BF16, 2, name)),
        "float8_e4m3fn" => Some(extension(DType::F8E4M3, 1, name)),
        "float8_e5m2" => Some(extension(DType::F8E5M2, 1, name)),
        _ => Element::from_name(&name),
    });
    found.ok_or_else(|| Error::malformed("a NumPy dtype is not understood"))
}

fn extension(dtype: DType, byte_len: u64, name: String) -> Element {
    Element {
        name,
        byte_len,
        order: ByteOrder::Little,
        dtype: Some(dtype),
    }
}

/// `<f4`, from `numpy.dtype('f4', False, True)` and its state.
fn dtype_name(graph: &Graph, item: Item) -> Option<String> {
    let View::Call(call) = graph.view(item) else {
        return None;
    };
    let global = graph.global(call.callable)?;
    if &*global.name != "dtype" || &*global.module != "numpy" {
        return None;
    }
    let first = *graph.args(call).first()?;
    if let Some(class) = graph.global(first) {
        return (&*class.module == "ml_dtypes").then(|| class.name.to_string());
    }
    let code = graph.text(first)?;
    let state = graph.sequence(call.state).unwrap_or_default();
    // The oldest states have no version in front.
    let order = state.iter().take(2).find_map(|&item| graph.text(item));
    let mut name = format!("{}{code}", order.as_deref().unwrap_or("|"));
    // A structure says its size in its state.
    let has_size = code.chars().any(|c| c.is_ascii_digit());
    if let (false, Some(&size)) = (has_size, state.get(5))
        && let Some(size) = graph.int(size).filter(|&size| size > 0 && code != "O")
    {
        name.push_str(&size.to_string());
    }
    Some(name)
}

/// The scalar behind `item`, if it is one: its dtype, and its bytes or its object.
pub fn scalar(graph: &Graph, item: Item) -> Option<(Element, Item)> {
    let View::Call(call) = graph.view(item) else {
        return None;
    };
    if !is_numpy(graph, call.callable, "multiarray", "scalar") {
        return None;
    }
    match graph.args(call) {
        &[dtype, value, ..] => Some((element(graph, dtype).ok()?, value)),
        _ => None,
    }
}

fn needed_bytes(graph: &Graph, source: &Source, item: Item) -> Result<RawBytes> {
    let found = raw_bytes(graph, source, item)?;
    found.ok_or_else(|| Error::malformed("a NumPy array lacks its bytes"))
}

/// The bytes behind `item`: a byte string of any protocol, or what stands for one.
pub fn raw_bytes(graph: &Graph, source: &Source, item: Item) -> Result<Option<RawBytes>> {
    Ok(Some(match graph.view(item) {
        View::Text(TextKind::Unicode, bytes) => RawBytes::Inline(latin1(bytes)?),
        View::Text(_, bytes) => RawBytes::Inline(bytes.to_vec()),
        View::LongText(text) if text.kind == TextKind::Unicode => {
            let bytes = source.read_vec(text.offset, text.len)?;
            RawBytes::Inline(latin1(&bytes)?)
        }
        View::LongText(text) => RawBytes::Extent {
            offset: text.offset,
            len: text.len,
        },
        // `_codecs.encode(text, 'latin1')` and `bytearray(bytes)`; one may hold the other.
        View::Call(call) => {
            let Some(global) = graph.global(call.callable) else {
                return Ok(None);
            };
            let inner = graph.args(call).first().copied();
            match (&*global.module, &*global.name, inner) {
                ("_codecs", "encode", Some(text)) => return text_bytes(graph, source, text),
                ("__builtin__" | "builtins", "bytes" | "bytearray", None) => {
                    RawBytes::Inline(Vec::new())
                }
                ("__builtin__" | "builtins", "bytes" | "bytearray", Some(bytes)) => {
                    return text_bytes(graph, source, bytes);
                }
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// The bytes of a string, or of one `_codecs.encode` of it.
fn text_bytes(graph: &Graph, source: &Source, item: Item) -> Result<Option<RawBytes>> {
    let inner = match graph.view(item) {
        View::Call(call) => {
            let is_encode = graph
                .global(call.callable)
                .is_some_and(|global| &*global.module == "_codecs" && &*global.name == "encode");
            match graph.args(call).first() {
                Some(&text) if is_encode => text,
                _ => return Ok(None),
            }
        }
        _ => item,
    };
    match graph.view(inner) {
        View::Text(..) | View::LongText(_) => raw_bytes(graph, source, inner),
        _ => Ok(None),
    }
}

/// Bytes that were written as the characters of the same numbers.
fn latin1(text: &[u8]) -> Result<Vec<u8>> {
    let decoded = decode_text(TextKind::Unicode, text);
    let bytes: std::result::Result<Vec<u8>, _> = decoded
        .chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect();
    bytes.map_err(|_| Error::malformed("text stands where bytes belong"))
}
