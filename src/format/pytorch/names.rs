//! Keys as Python prints them, and values that are no tensors.

use super::storage::Unpickled;
use crate::model::{Array, Value};
use crate::pickle::{Call, Graph, Item, TextKind, View, numpy};
use std::collections::HashMap;

/// Bytes of one text among the values.
const TEXT: u64 = 64 << 10;

/// Depth to which keys and calls are printed.
const PRINTED_DEPTH: usize = 4;

/// Items of one tuple that are printed.
const PRINTED_ITEMS: usize = 16;

/// A key, as Python's `str` prints it.
pub(super) fn key(unpickled: &Unpickled, item: Item) -> String {
    match unpickled.graph.view(item) {
        View::Text(TextKind::Unicode | TextKind::ByteString, _) => {
            unpickled.graph.text(item).unwrap_or_default().into_owned()
        }
        View::LongText(_) => match scalar(unpickled, item) {
            Value::Text(text) => text,
            _ => String::new(),
        },
        _ => repr(unpickled, item, 0),
    }
}

/// Keeps the last of equal keys, in the place of the first, as a dict does.
pub(super) fn keep_last(unpickled: &Unpickled, pairs: &mut Vec<(Item, Item)>) {
    let mut first: HashMap<KeyIdentity<'_>, usize> = HashMap::with_capacity(pairs.len());
    let mut kept: Vec<(Item, Item)> = Vec::with_capacity(pairs.len());
    for &(key, value) in pairs.iter() {
        let identity = match unpickled.graph.view(key) {
            View::Text(TextKind::Bytes, bytes) => KeyIdentity::Bytes(bytes),
            View::Text(_, bytes) => KeyIdentity::Text(bytes),
            _ => KeyIdentity::Other(key),
        };
        match first.get(&identity).and_then(|&index| kept.get_mut(index)) {
            Some(place) => place.1 = value,
            None => {
                first.insert(identity, kept.len());
                kept.push((key, value));
            }
        }
    }
    *pairs = kept;
}

#[derive(PartialEq, Eq, Hash)]
enum KeyIdentity<'a> {
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Other(Item),
}

/// As Python's `repr` prints it, to a limited depth and length.
fn repr(unpickled: &Unpickled, item: Item, depth: usize) -> String {
    let graph = &unpickled.graph;
    if depth > PRINTED_DEPTH {
        return "...".to_owned();
    }
    let all = |items: &[Item]| -> Vec<String> {
        let shown = items.iter().take(PRINTED_ITEMS);
        let mut texts: Vec<String> = shown
            .map(|&item| repr(unpickled, item, depth.saturating_add(1)))
            .collect();
        if items.len() > PRINTED_ITEMS {
            texts.push("...".to_owned());
        }
        texts
    };
    match graph.view(item) {
        View::Absent | View::None => "None".to_owned(),
        View::Bool(true) => "True".to_owned(),
        View::Bool(false) => "False".to_owned(),
        View::Int(value) => value.to_string(),
        View::Long(bytes) => long_text(bytes),
        View::Float(value) => float_text(value),
        View::Text(TextKind::Bytes, bytes) => {
            format!("b{}", quoted(&bytes.escape_ascii().to_string()))
        }
        View::Text(..) => quoted(&graph.text(item).unwrap_or_default()),
        View::LongText(text) => format!("<{} bytes>", text.len),
        View::Global(global) => format!("<class '{global}'>"),
        View::Tuple([one]) => format!("({},)", repr(unpickled, *one, depth.saturating_add(1))),
        View::Tuple(items) => format!("({})", all(items).join(", ")),
        View::List(items) => format!("[{}]", all(items).join(", ")),
        View::Set(items) => format!("{{{}}}", all(items).join(", ")),
        View::Dict(_) => "{...}".to_owned(),
        View::Call(call) => {
            if let Some(text) = bytes_text(unpickled, item) {
                return text;
            }
            let name = graph.global(call.callable);
            let name = name.map_or_else(|| "?".to_owned(), ToString::to_string);
            format!(
                "{name}({})",
                all(constructor_args(unpickled, call)).join(", ")
            )
        }
        View::Persistent(id) => format!("<{}>", repr(unpickled, id, depth.saturating_add(1))),
    }
}

/// Short bytes that protocols 0 to 2 write as the text of the same numbers.
fn bytes_text(unpickled: &Unpickled, item: Item) -> Option<String> {
    let View::Call(call) = unpickled.graph.view(item) else {
        return None;
    };
    // A long text would have to be read from the file.
    let argument = unpickled.graph.args(call).first().copied();
    if let Some(View::LongText(_)) = argument.map(|item| unpickled.graph.view(item)) {
        return None;
    }
    match numpy::raw_bytes(&unpickled.graph, &unpickled.source, item) {
        Ok(Some(numpy::RawBytes::Inline(bytes))) => {
            Some(format!("b{}", quoted(&bytes.escape_ascii().to_string())))
        }
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

/// A float as Python prints it: with a point, or an exponent.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    format!("{value:?}")
}

/// A long integer: in decimal, which takes quadratic time, only up to 64 bytes.
fn long_text(bytes: &[u8]) -> String {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = overflow;
        }
    }
    let sign = if negative { "-" } else { "" };
    if bytes.len() > 64 {
        let digits = magnitude.iter().rev().map(|byte| format!("{byte:02x}"));
        let digits: String = digits.collect();
        return format!("{sign}0x{}", digits.trim_start_matches('0'));
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|&byte| byte != 0) {
        let mut rest = 0u16;
        for byte in magnitude.iter_mut().rev() {
            let value = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 10).unwrap_or(u8::MAX);
            rest = value % 10;
        }
        digits.push(char::from(
            b'0'.saturating_add(u8::try_from(rest).unwrap_or(0)),
        ));
    }
    let digits: String = digits.iter().rev().collect();
    format!("{sign}{digits}")
}

/// A plain value.
pub(super) fn scalar(unpickled: &Unpickled, item: Item) -> Value {
    let graph = &unpickled.graph;
    match graph.view(item) {
        View::Absent | View::None => Value::Null,
        View::Bool(value) => Value::Bool(value),
        View::Int(value) => Value::Int(value),
        View::Long(bytes) => long(bytes),
        View::Float(value) => Value::Float(value),
        View::Text(TextKind::Bytes, _) => Value::Text(repr(unpickled, item, 0)),
        View::Text(..) => Value::Text(graph.text(item).unwrap_or_default().into_owned()),
        View::LongText(text) => {
            let shown = text.len.min(TEXT);
            let bytes = unpickled
                .source
                .read_prefix(text.offset, shown)
                .unwrap_or_default();
            let mut shown = match text.kind {
                TextKind::Bytes => return Value::Text(format!("<{} bytes>", text.len)),
                _ => String::from_utf8_lossy(&bytes).into_owned(),
            };
            if text.len > TEXT {
                shown.push_str("...");
            }
            Value::Text(shown)
        }
        View::Global(global) => Value::Text(global.to_string()),
        _ => Value::Text(repr(unpickled, item, 0)),
    }
}

fn long(bytes: &[u8]) -> Value {
    // Nine bytes of which the last is 0 are a positive number of 64 bits.
    match bytes {
        [low @ .., 0] if low.len() == 8 => {
            let low = <[u8; 8]>::try_from(low).unwrap_or_default();
            Value::from(u64::from_le_bytes(low))
        }
        _ => Value::Text(long_text(bytes)),
    }
}

/// What Python calls a plain value; empty for what holds others.
pub(super) fn type_name(view: View<'_>) -> &'static str {
    match view {
        View::None => "None",
        View::Bool(_) => "bool",
        View::Int(_) | View::Long(_) => "int",
        View::Float(_) => "float",
        View::Text(TextKind::Bytes, _) => "bytes",
        View::Text(..) => "str",
        _ => "",
    }
}

/// Whether `item` holds no other things, or is a short tuple of such.
pub(super) fn is_plain(graph: &Graph, item: Item) -> bool {
    match graph.view(item) {
        View::Tuple(items) => {
            items.len() <= PRINTED_ITEMS
                && items.iter().all(|&i| !type_name(graph.view(i)).is_empty())
        }
        View::Global(_) => true,
        View::Call(call) => {
            let global = graph.global(call.callable);
            global.is_some_and(|global| &*global.module == "_codecs")
        }
        view => !type_name(view).is_empty(),
    }
}

/// The arguments that say something: not the class that `copyreg._reconstructor` is given.
pub(super) fn constructor_args<'a>(unpickled: &'a Unpickled, call: &Call) -> &'a [Item] {
    let graph = &unpickled.graph;
    let args = graph.args(call);
    match graph.global(call.callable) {
        Some(global) if &*global.name == "_reconstructor" => &[],
        _ => args,
    }
}

/// An object as the call that makes it.
pub(super) fn call_text(unpickled: &Unpickled, call: &Call) -> String {
    let graph = &unpickled.graph;
    let class = match graph.global(call.callable) {
        Some(global) if &*global.name == "_reconstructor" => graph.args(call).first().copied(),
        _ => Some(call.callable),
    };
    let name = class.and_then(|class| graph.global(class));
    let name = name.map_or_else(|| "?".to_owned(), ToString::to_string);
    let args = constructor_args(unpickled, call).iter().take(PRINTED_ITEMS);
    let args: Vec<String> = args.map(|&item| repr(unpickled, item, 1)).collect();
    format!("{name}({})", args.join(", "))
}

/// Calls that amount to a plain value: devices, layouts, complex numbers, byte strings.
pub(super) fn known_value(unpickled: &Unpickled, item: Item, call: &Call) -> Option<Value> {
    let graph = &unpickled.graph;
    let global = graph.global(call.callable)?;
    let args = graph.args(call);
    Some(match (&*global.module, &*global.name) {
        ("torch", "device") => {
            let parts: Vec<String> = args.iter().map(|&item| key(unpickled, item)).collect();
            Value::Text(parts.join(":"))
        }
        ("torch.serialization", "_get_layout") => scalar(unpickled, *args.first()?),
        ("builtins" | "__builtin__", "complex") => {
            let &[real, imaginary] = args else {
                return None;
            };
            Value::Text(format!(
                "({}+{}j)",
                key(unpickled, real),
                key(unpickled, imaginary)
            ))
        }
        ("_codecs", "encode") | ("builtins" | "__builtin__", "bytes" | "bytearray") => {
            Value::Text(bytes_text(unpickled, item)?)
        }
        ("builtins" | "__builtin__", "getattr") => {
            let &[object, name] = args else {
                return None;
            };
            Value::Text(format!(
                "{}.{}",
                key(unpickled, object),
                key(unpickled, name)
            ))
        }
        ("numpy", "dtype") => scalar(unpickled, *args.first()?),
        _ => return None,
    })
}

/// Calls that amount to a sequence: sizes, sets, deques.
pub(super) fn known_sequence(unpickled: &Unpickled, call: &Call) -> Option<Vec<Item>> {
    let graph = &unpickled.graph;
    let global = graph.global(call.callable)?;
    let is_known = matches!(
        (&*global.module, &*global.name),
        ("torch", "Size")
            | ("collections", "deque")
            | (
                "builtins" | "__builtin__",
                "set" | "frozenset" | "list" | "tuple"
            )
    );
    if !is_known {
        return None;
    }
    let inner = graph.args(call).first();
    let mut items = inner
        .and_then(|&inner| graph.sequence(inner))
        .unwrap_or_default()
        .to_vec();
    items.extend_from_slice(graph.appended(call));
    Some(items)
}

/// What every module has and nobody set: empty hooks, the training flag.
pub(super) fn is_module_noise(graph: &Graph, key: &str, item: Item) -> bool {
    let is_empty = match graph.view(item) {
        View::None => true,
        View::Dict(pairs) => pairs.is_empty(),
        View::Set(items) | View::List(items) => items.is_empty(),
        View::Call(call) => {
            let args = graph.args(call).first();
            let of_args = args
                .and_then(|&args| graph.sequence(args))
                .unwrap_or_default();
            graph.pairs(call).is_empty() && of_args.is_empty()
        }
        _ => false,
    };
    match key {
        "training" | "_is_full_backward_hook" | "_is_hf_initialized" => true,
        "_non_persistent_buffers_set" | "_backend" => true,
        _ => is_empty && key.starts_with('_') && key.contains("hook"),
    }
}

/// A NumPy scalar as a number.
pub(super) fn numpy_scalar(unpickled: &Unpickled, element: &numpy::Element, value: Item) -> Value {
    let raw = numpy::raw_bytes(&unpickled.graph, &unpickled.source, value);
    let bytes = match raw {
        Ok(Some(raw)) if raw.len() == element.byte_len && raw.len() <= 4096 => {
            raw.read(&unpickled.source).unwrap_or_default()
        }
        _ => return scalar(unpickled, value),
    };
    number_of(element, &bytes)
}

/// One NumPy element as a value.
fn number_of(element: &numpy::Element, bytes: &[u8]) -> Value {
    use crate::dtype::DType;
    let mut bytes = bytes.to_vec();
    if let Some(dtype) = element.dtype
        && element.order == crate::io::ByteOrder::Big
    {
        crate::dtype::swap_bytes(dtype, &mut bytes);
    }
    fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    match element.dtype {
        Some(DType::Bool) => Value::Bool(bytes.first() != Some(&0)),
        Some(DType::I8) => Value::Int(i8::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::U8) => Value::Int(u8::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::I16) => Value::Int(i16::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::U16) => Value::Int(u16::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::I32) => Value::Int(i32::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::U32) => Value::Int(u32::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::I64) => Value::Int(i64::from_le_bytes(fixed(&bytes))),
        Some(DType::U64) => Value::from(u64::from_le_bytes(fixed(&bytes))),
        Some(DType::F16) => Value::Float(half::f16::from_le_bytes(fixed(&bytes)).to_f64()),
        Some(DType::F32) => Value::Float(f32::from_le_bytes(fixed(&bytes)).into()),
        Some(DType::F64) => Value::Float(f64::from_le_bytes(fixed(&bytes))),
        _ => Value::Text(text_of(element, &bytes)),
    }
}

/// A `U` element holds UTF-32, an `S` element bytes; both are padded by zeros.
fn text_of(element: &numpy::Element, bytes: &[u8]) -> String {
    if element.name.get(1..2) != Some("U") {
        let text = String::from_utf8_lossy(bytes);
        return text.trim_end_matches('\0').to_owned();
    }
    let (words, _) = bytes.as_chunks::<4>();
    let text: String = words
        .iter()
        .map(|word| match element.order {
            crate::io::ByteOrder::Little => u32::from_le_bytes(*word),
            crate::io::ByteOrder::Big => u32::from_be_bytes(*word),
        })
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.trim_end_matches('\0').to_owned()
}

/// An array of strings, or of what else has no dtype here.
pub(super) fn numpy_text(
    unpickled: &Unpickled,
    array: &numpy::Array,
    array_elements: u64,
) -> crate::error::Result<Value> {
    let length: u64 = array.shape.iter().fold(1, |n, &d| n.saturating_mul(d));
    let element = &array.element;
    let is_text = matches!(element.name.get(1..2), Some("U" | "S"));
    let summary = |first| {
        Value::Array(Array {
            element: element.name.clone(),
            length,
            first,
        })
    };
    let numpy::Data::Bytes(raw) = &array.data else {
        return Ok(summary(Vec::new()));
    };
    if !is_text || element.byte_len == 0 || element.byte_len > TEXT {
        return Ok(summary(Vec::new()));
    }
    let count = length.min(array_elements).min(65_536).min(
        TEXT.saturating_mul(16)
            .checked_div(element.byte_len)
            .unwrap_or(0),
    );
    let wanted = count.saturating_mul(element.byte_len);
    let bytes = match raw {
        numpy::RawBytes::Extent { offset, .. } => unpickled.source.read_vec(*offset, wanted)?,
        numpy::RawBytes::Inline(bytes) => bytes.clone(),
    };
    let width = usize::try_from(element.byte_len).unwrap_or(usize::MAX);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let first: Vec<Value> = bytes
        .chunks_exact(width)
        .take(count)
        .map(|bytes| Value::Text(text_of(element, bytes)))
        .collect();
    Ok(match first.len() as u64 == length {
        true if array.shape.is_empty() => first.into_iter().next().unwrap_or(Value::Null),
        true => Value::List(first),
        false => summary(first),
    })
}
