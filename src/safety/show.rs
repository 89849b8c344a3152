//! Values and calls of a pickle as Python would write them, cut to a line.

use crate::pickle::{Call, Graph, Item, TextKind, View};

/// Characters of one text.
const TEXT: usize = 60;

/// Characters of all arguments together.
const LINE: usize = 160;

/// Items of a container.
const ITEMS: usize = 6;

/// Containers in containers.
const DEPTH: usize = 3;

/// `module.name(arguments)`.
pub(super) fn call_text(graph: &Graph, call: &Call) -> String {
    let mut out = String::new();
    append_call(graph, call, 0, &mut out);
    cut(out, LINE)
}

/// A value.
pub(super) fn show(graph: &Graph, item: Item) -> String {
    let mut out = String::new();
    append(graph, item, 0, &mut out);
    cut(out, LINE)
}

fn append_call(graph: &Graph, call: &Call, depth: usize, out: &mut String) {
    append(graph, call.callable, depth, out);
    match graph.view(call.args) {
        View::Tuple(args) => {
            let mut args = args.to_vec();
            args.extend(graph.keywords(call));
            append_items(graph, ["(", ")"], &args, depth, out);
        }
        _ => {
            out.push_str("(*");
            append(graph, call.args, depth, out);
            out.push(')');
        }
    }
}

fn append(graph: &Graph, item: Item, depth: usize, out: &mut String) {
    // What is cut off anyway need not be written, however large it is.
    if out.len() > LINE.saturating_mul(4) {
        return;
    }
    match graph.view(item) {
        View::Absent => out.push('?'),
        View::None => out.push_str("None"),
        View::Bool(true) => out.push_str("True"),
        View::Bool(false) => out.push_str("False"),
        View::Int(value) => out.push_str(&value.to_string()),
        View::Long(bytes) => out.push_str(&format!("<integer of {} bytes>", bytes.len())),
        View::Float(value) => out.push_str(&format!("{value:?}")),
        View::Text(TextKind::Unicode, bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace('\\', "\\\\").replace('\'', "\\'");
            out.push_str(&format!("'{}'", cut(text, TEXT)));
        }
        View::Text(kind, bytes) => {
            let prefix = if kind == TextKind::Bytes { "b" } else { "" };
            let text = bytes.escape_ascii().to_string();
            out.push_str(&format!("{prefix}'{}'", cut(text, TEXT)));
        }
        View::LongText(text) => out.push_str(&format!("<{} bytes>", text.len)),
        View::Global(global) => out.push_str(&global.to_string()),
        View::Tuple(_) | View::List(_) | View::Set(_) | View::Dict(_) | View::Call(_)
            if depth >= DEPTH =>
        {
            out.push_str("...");
        }
        View::Tuple(items) => append_items(graph, ["(", ")"], items, depth, out),
        View::List(items) => append_items(graph, ["[", "]"], items, depth, out),
        View::Set(items) => append_items(graph, ["{", "}"], items, depth, out),
        View::Dict(pairs) => append_pairs(graph, pairs, depth, out),
        View::Call(call) => append_call(graph, call, depth.saturating_add(1), out),
        View::Persistent(_) => out.push_str("<persistent>"),
    }
}

fn append_items(
    graph: &Graph,
    [open, close]: [&str; 2],
    items: &[Item],
    depth: usize,
    out: &mut String,
) {
    out.push_str(open);
    for (index, &item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if index >= ITEMS {
            out.push_str("...");
            break;
        }
        append(graph, item, depth.saturating_add(1), out);
    }
    out.push_str(close);
}

fn append_pairs(graph: &Graph, pairs: &[(Item, Item)], depth: usize, out: &mut String) {
    out.push('{');
    for (index, &(key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if index >= ITEMS {
            out.push_str("...");
            break;
        }
        append(graph, key, depth.saturating_add(1), out);
        out.push_str(": ");
        append(graph, value, depth.saturating_add(1), out);
    }
    out.push('}');
}

/// The first characters, with a mark if there were more.
fn cut(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}
