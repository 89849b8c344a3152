//! Workflows as flat lists of nodes, whichever of ComfyUI's two formats they are in.
//!
//! | format | shape |
//! |---|---|
//! | UI | `{nodes: [{id, type, mode, inputs, widgets_values, properties}], links, definitions}` |
//! | API | `{ID: {class_type, inputs: {NAME: value or [ID, slot]}}}`, or that under `prompt` |

use super::nodes::is_primitive;
use super::{GraphKind, Mode, ui};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Value;
use std::collections::HashMap;

/// Characters of a node's id; UUIDs have 36.
const ID: usize = 64;

/// A workflow without its layout. Values are borrowed: a subgraph may be used many times.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) kind: GraphKind,
    pub(super) nodes: Vec<Node<'a>>,
    /// Models that the workflow lists beside its nodes.
    pub(super) models: Vec<ModelEntry<'a>>,
}

/// One node; those inside subgraphs stand for themselves.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    /// `12`, or `3:12` for a node inside the subgraph that node 3 is.
    pub(super) id: String,
    pub(super) class: &'a str,
    pub(super) mode: Mode,
    pub(super) fields: Vec<Field<'a>>,
    pub(super) models: Vec<ModelEntry<'a>>,
    /// Places in the list of the nodes that feed this one, with the inputs' names.
    pub(super) sources: Vec<(&'a str, usize)>,
}

/// One value that a node was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// The input's name, where the format or the table of nodes says it.
    pub(super) name: Option<&'a str>,
    pub(super) value: &'a Value,
}

/// What a workflow says about one model file.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelEntry<'a> {
    pub(super) name: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) directory: Option<&'a str>,
    pub(super) hash: Option<&'a str>,
    pub(super) hash_type: Option<&'a str>,
}

/// Reads the graph in `value`; `None` if there is none in it.
///
/// Errors: `Limit` past [`limits::WORKFLOW_NODES`] or [`limits::WORKFLOW_VALUES`], subgraphs
/// counted at each use.
pub(super) fn read(value: &Value) -> Result<Option<Graph<'_>>> {
    if let Some(graph) = read_ui(value)? {
        return Ok(Some(graph));
    }
    // What a server is sent holds both; the UI's knows more.
    let extra = value.get("extra_data").and_then(|v| v.get("extra_pnginfo"));
    for inner in [extra, Some(value)].into_iter().flatten() {
        if let Some(graph) = inner.get("workflow").map(read_ui).transpose()?.flatten() {
            return Ok(Some(graph));
        }
    }
    for inner in [value.get("prompt"), Some(value)].into_iter().flatten() {
        match inner {
            Value::Map(entries) if entries.iter().any(|(_, v)| is_api_node(v)) => {
                return read_api(entries).map(Some);
            }
            _ => {}
        }
    }
    Ok(None)
}

fn read_ui(value: &Value) -> Result<Option<Graph<'_>>> {
    let Some(Value::List(nodes)) = value.get("nodes") else {
        return Ok(None);
    };
    Ok(Some(Graph {
        kind: GraphKind::Ui,
        nodes: ui::flatten(value, nodes)?,
        models: model_entries(value.get("models")).collect(),
    }))
}

fn is_api_node(value: &Value) -> bool {
    value.get("class_type").is_some()
}

fn read_api(entries: &[(String, Value)]) -> Result<Graph<'_>> {
    let entries: Vec<_> = entries.iter().filter(|(_, v)| is_api_node(v)).collect();
    check_count(entries.len())?;
    let ids = entries.iter().enumerate();
    let places: HashMap<&str, usize> = ids.map(|(place, (id, _))| (id.as_str(), place)).collect();
    let mut nodes: Vec<Node<'_>> = entries
        .iter()
        .map(|(id, node)| api_node(id, node))
        .collect();
    for (place, (_, node)) in entries.iter().enumerate() {
        for (name, value) in inputs_of(node) {
            let source = linked_id(value).and_then(|id| places.get(id.as_str()).copied());
            let Some(source) = source else {
                continue;
            };
            nodes[place].sources.push((name, source));
            if is_primitive(nodes[source].class) {
                let value = nodes[source].fields.first().map(|field| field.value);
                let name = Some(name.as_str());
                nodes[place]
                    .fields
                    .extend(value.map(|value| Field { name, value }));
            }
        }
    }
    Ok(Graph {
        kind: GraphKind::Api,
        nodes,
        models: Vec::new(),
    })
}

fn api_node<'a>(id: &'a str, node: &'a Value) -> Node<'a> {
    let literals = inputs_of(node)
        .iter()
        .filter(|(_, v)| linked_id(v).is_none());
    let field = |(name, value): &'a (String, Value)| Field {
        name: Some(name),
        value,
    };
    Node {
        id: id.to_owned(),
        class: text_at(node, "class_type").unwrap_or_default(),
        fields: literals.map(field).collect(),
        ..Node::default()
    }
}

fn inputs_of(node: &Value) -> &[(String, Value)] {
    match node.get("inputs") {
        Some(Value::Map(inputs)) => inputs,
        _ => &[],
    }
}

/// The node that a value of the form `[ID, slot]` comes from.
fn linked_id(value: &Value) -> Option<String> {
    match value {
        Value::List(items) => match items.as_slice() {
            [id, Value::Int(_)] => id_of(id),
            _ => None,
        },
        _ => None,
    }
}

/// A node's id as text; they are numbers or short texts.
pub(super) fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if text.len() > ID => None,
        Value::Int(_) | Value::Unsigned(_) | Value::Text(_) => value.scalar_text(),
        _ => None,
    }
}

/// The text under `key`.
pub(super) fn text_at<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_text)
}

/// The members of the list under `key`; none if there is no list.
pub(super) fn list_at<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    match value.get(key) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Refuses more nodes than are reasonable.
pub(super) fn check_count(nodes: usize) -> Result<()> {
    let allowed = limits::WORKFLOW_NODES;
    match nodes > allowed {
        true => Err(Error::limit(format!(
            "has over {allowed} nodes, those inside subgraphs counted"
        ))),
        false => Ok(()),
    }
}

/// The list at `models` of a workflow or of a node's properties.
pub(super) fn model_entries(value: Option<&Value>) -> impl Iterator<Item = ModelEntry<'_>> {
    let items = match value {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| {
        Some(ModelEntry {
            name: text_at(item, "name")?,
            url: text_at(item, "url"),
            directory: text_at(item, "directory"),
            hash: text_at(item, "hash"),
            hash_type: text_at(item, "hash_type"),
        })
    })
}
