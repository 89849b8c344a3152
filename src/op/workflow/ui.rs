//! The UI's format: nodes with positional widgets, links by number, subgraphs.
//!
//! A node whose type is the id of a subgraph stands for that subgraph's nodes. Values come to
//! the inner nodes in two ways: `proxyWidgets` of the instance names inner widgets, in the
//! order of its own values (`-1` for a widget of its own); and an inner input that is linked
//! to the subgraph's input takes what the instance has there.

use super::graph::{Field, Node, check_count, id_of, list_at, model_entries, text_at};
use super::{Mode, nodes};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Value;
use std::collections::HashMap;

/// The id of the node that stands for a subgraph's inputs.
const INPUT_NODE: &str = "-10";

/// The id of the node that stands for a subgraph's outputs.
const OUTPUT_NODE: &str = "-20";

/// The id that `proxyWidgets` gives the instance itself.
const INSTANCE: &str = "-1";

/// Links that are followed one after another.
const STEPS: usize = 100;

/// Inputs of one node that are looked at.
const INPUTS: usize = 256;

/// Subgraphs within subgraphs.
const DEPTH: usize = 32;

/// A subgraph's definition.
struct Definition<'a> {
    inputs: &'a [Value],
    nodes: &'a [Value],
    links: Links,
}

/// Nodes of the whole workflow, or of one use of a subgraph.
struct Scope<'a> {
    /// `3:7:` for the subgraph that node 7 is, in the one that node 3 is.
    prefix: String,
    /// Its place among the definitions; the last is the workflow itself.
    definition: usize,
    /// The scope that holds the instance, and the instance.
    parent: Option<(usize, &'a Value)>,
    /// Values that the instance holds, by inner node and name.
    promoted: HashMap<String, Vec<(&'a str, &'a Value)>>,
    mode: Mode,
    depth: usize,
}

/// Where a link comes from in the end.
enum Origin<'a> {
    /// A node, by its scope.
    Node(usize, &'a Value),
    /// A value that a subgraph's instance holds.
    Value(&'a Value),
}

struct Flattening<'a> {
    definitions: Vec<Definition<'a>>,
    by_type: HashMap<&'a str, usize>,
    scopes: Vec<Scope<'a>>,
    /// The scope that a node, by scope and id, opens.
    children: HashMap<(usize, String), usize>,
    /// The node of a scope and an id.
    by_id: HashMap<(usize, String), &'a Value>,
    nodes: usize,
    values: usize,
}

/// All nodes of a workflow, those of subgraphs at the place of their instance.
///
/// Errors: `Limit` past [`limits::WORKFLOW_NODES`] or [`limits::WORKFLOW_VALUES`].
pub(super) fn flatten<'a>(workflow: &'a Value, nodes: &'a [Value]) -> Result<Vec<Node<'a>>> {
    let mut flattening = Flattening {
        definitions: Vec::new(),
        by_type: HashMap::new(),
        scopes: Vec::new(),
        children: HashMap::new(),
        by_id: HashMap::new(),
        nodes: 0,
        values: 0,
    };
    let subgraphs = workflow.get("definitions");
    for subgraph in subgraphs.map_or(&[][..], |v| list_at(v, "subgraphs")) {
        if let Some(id) = text_at(subgraph, "id") {
            let place = flattening.definitions.len();
            flattening.by_type.entry(id).or_insert(place);
            flattening.definitions.push(Definition {
                inputs: list_at(subgraph, "inputs"),
                nodes: list_at(subgraph, "nodes"),
                links: Links::new(list_at(subgraph, "links")),
            });
        }
    }
    let whole = flattening.definitions.len();
    flattening.definitions.push(Definition {
        inputs: &[],
        nodes,
        links: Links::new(list_at(workflow, "links")),
    });
    let order = flattening.open(whole)?;
    flattening.flat_nodes(&order)
}

impl<'a> Flattening<'a> {
    /// Opens the workflow, whose definition is `whole`, and every use of a subgraph in it.
    /// Returns all other nodes in order, each with its scope.
    fn open(&mut self, whole: usize) -> Result<Vec<(usize, &'a Value)>> {
        let top = self.add(Scope {
            prefix: String::new(),
            definition: whole,
            parent: None,
            promoted: HashMap::new(),
            mode: Mode::Active,
            depth: 0,
        })?;
        let mut order = Vec::new();
        // Scopes to go on with, and how far they are: no recursion, so no stack to exhaust.
        let mut stack = vec![(top, 0)];
        while let Some((scope, position)) = stack.pop() {
            let definition = &self.definitions[self.scopes[scope].definition];
            let Some(node) = definition.nodes.get(position) else {
                continue;
            };
            stack.push((scope, position + 1));
            let class = text_at(node, "type").unwrap_or_default();
            match self.by_type.get(class) {
                Some(&definition) => {
                    let child = self.open_child(scope, node, definition)?;
                    stack.extend(child.map(|child| (child, 0)));
                }
                None => order.push((scope, node)),
            }
        }
        Ok(order)
    }

    /// Opens the subgraph that `node` stands for; `None` if the node has no id.
    fn open_child(
        &mut self,
        parent: usize,
        node: &'a Value,
        definition: usize,
    ) -> Result<Option<usize>> {
        let Some(id) = node.get("id").and_then(id_of) else {
            return Ok(None);
        };
        let outer = &self.scopes[parent];
        let depth = outer.depth + 1;
        if depth > DEPTH {
            let message = format!("has subgraphs within subgraphs over {DEPTH} levels deep");
            return Err(Error::limit(message));
        }
        let child = self.add(Scope {
            prefix: format!("{}{id}:", outer.prefix),
            definition,
            parent: Some((parent, node)),
            promoted: promoted(node),
            mode: outer.mode.or(mode_of(node)),
            depth,
        })?;
        self.children.insert((parent, id), child);
        Ok(Some(child))
    }

    fn add(&mut self, scope: Scope<'a>) -> Result<usize> {
        let index = self.scopes.len();
        let nodes = self.definitions[scope.definition].nodes;
        // An empty subgraph costs something, too.
        self.nodes = self.nodes.saturating_add(nodes.len() + 1);
        check_count(self.nodes)?;
        for node in nodes {
            if let Some(id) = node.get("id").and_then(id_of) {
                self.by_id.insert((index, id), node);
            }
        }
        self.scopes.push(scope);
        Ok(index)
    }

    fn flat_nodes(&mut self, order: &[(usize, &'a Value)]) -> Result<Vec<Node<'a>>> {
        let id = |node: &Value| node.get("id").and_then(id_of).unwrap_or_default();
        let places = order.iter().enumerate();
        let places: HashMap<(usize, String), usize> = places
            .map(|(place, (scope, node))| ((*scope, id(node)), place))
            .collect();
        let mut nodes = Vec::with_capacity(order.len());
        for &(scope, value) in order {
            let models = value.get("properties").and_then(|v| v.get("models"));
            let mut node = Node {
                id: format!("{}{}", self.scopes[scope].prefix, id(value)),
                class: text_at(value, "type").unwrap_or_default(),
                mode: self.scopes[scope].mode.or(mode_of(value)),
                fields: fields(value),
                models: model_entries(models).take(INPUTS).collect(),
                sources: Vec::new(),
            };
            for &(name, value) in self.scopes[scope]
                .promoted
                .get(&id(value))
                .into_iter()
                .flatten()
            {
                set(&mut node.fields, name, value);
            }
            self.apply_links(scope, value, &mut node, &places);
            self.count(node.fields.len() + node.models.len() + node.sources.len())?;
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn count(&mut self, values: usize) -> Result<()> {
        self.values = self.values.saturating_add(values);
        let allowed = limits::WORKFLOW_VALUES;
        match self.values > allowed {
            true => Err(Error::limit(format!(
                "has over {allowed} values, those inside subgraphs counted"
            ))),
            false => Ok(()),
        }
    }

    /// Follows the node's inputs: notes who feeds it, and replaces the values of widgets that
    /// are fed from elsewhere.
    fn apply_links(
        &self,
        scope: usize,
        value: &'a Value,
        node: &mut Node<'a>,
        places: &HashMap<(usize, String), usize>,
    ) {
        for input in list_at(value, "inputs").iter().take(INPUTS) {
            let Some(link) = input.get("link").and_then(id_of) else {
                continue;
            };
            let origin = self.follow(scope, link);
            if let Some(Origin::Node(scope, origin)) = origin {
                let id = origin.get("id").and_then(id_of).unwrap_or_default();
                let name = text_at(input, "name").unwrap_or_default();
                let place = places.get(&(scope, id));
                node.sources.extend(place.map(|&place| (name, place)));
            }
            let widget = input.get("widget").and_then(|v| text_at(v, "name"));
            match (widget, origin.and_then(|origin| origin.value())) {
                (Some(widget), Some(value)) => set(&mut node.fields, widget, value),
                // Computed while it runs: nobody knows.
                (Some(widget), None) => node.fields.retain(|field| field.name != Some(widget)),
                (None, _) => {}
            }
        }
    }

    /// Follows a link back through reroutes and into and out of subgraphs.
    fn follow(&self, mut scope: usize, mut link: String) -> Option<Origin<'a>> {
        for _ in 0..STEPS {
            let definition = &self.definitions[self.scopes[scope].definition];
            let found = definition.links.by_id.get(&link)?;
            if found.origin == INPUT_NODE {
                let (parent, instance) = self.scopes[scope].parent?;
                let slot = usize::try_from(found.slot).ok()?;
                let name = text_at(definition.inputs.get(slot)?, "name")?;
                match outer_link(instance, name, slot) {
                    Some(outer) => (scope, link) = (parent, outer),
                    None => return self.own_value(scope, name).map(Origin::Value),
                }
            } else if let Some(&child) = self.children.get(&(scope, found.origin.clone())) {
                let inner = &self.definitions[self.scopes[child].definition];
                link = inner.links.outward.get(&found.slot)?.clone();
                scope = child;
            } else {
                let origin = *self.by_id.get(&(scope, found.origin.clone()))?;
                if text_at(origin, "type") != Some("Reroute") {
                    return Some(Origin::Node(scope, origin));
                }
                let input = list_at(origin, "inputs").first()?;
                link = input.get("link").and_then(id_of)?;
            }
        }
        None
    }

    /// What the instance of a scope holds in its own widget `name`.
    fn own_value(&self, scope: usize, name: &str) -> Option<&'a Value> {
        let own = self.scopes[scope].promoted.get(INSTANCE)?;
        let found = own.iter().find(|(of, _)| *of == name)?;
        Some(found.1)
    }
}

impl<'a> Origin<'a> {
    /// The value that comes from there, if it is known before anything runs.
    fn value(&self) -> Option<&'a Value> {
        match self {
            Origin::Value(value) => Some(value),
            Origin::Node(_, node) if nodes::is_primitive(text_at(node, "type")?) => {
                list_at(node, "widgets_values").first()
            }
            Origin::Node(..) => None,
        }
    }
}

/// The link at the input `name`, probably at `slot`, of a subgraph's instance.
fn outer_link(instance: &Value, name: &str, slot: usize) -> Option<String> {
    let inputs = list_at(instance, "inputs");
    let is_named = |input: &&Value| text_at(input, "name") == Some(name);
    let at_slot = inputs.get(slot).filter(is_named);
    let input = at_slot.or_else(|| inputs.iter().take(INPUTS).find(is_named));
    input.or(inputs.get(slot))?.get("link").and_then(id_of)
}

/// The values that an instance holds, by inner node and name. Without `proxyWidgets` they are
/// those of its own inputs.
fn promoted(instance: &Value) -> HashMap<String, Vec<(&str, &Value)>> {
    let properties = instance.get("properties");
    let proxies = properties.map_or(&[][..], |v| list_at(v, "proxyWidgets"));
    let names: Vec<(String, &str)> = match proxies.is_empty() {
        false => proxies.iter().take(INPUTS).map(proxy).collect(),
        true => {
            let own = widget_names(instance);
            own.map(|name| (INSTANCE.to_owned(), name)).collect()
        }
    };
    let mut promoted: HashMap<String, Vec<(&str, &Value)>> = HashMap::new();
    for ((id, name), value) in names.into_iter().zip(list_at(instance, "widgets_values")) {
        if *value != Value::Null {
            promoted.entry(id).or_default().push((name, value));
        }
    }
    promoted
}

/// One entry of `proxyWidgets`: an inner node and the name of its widget.
fn proxy(item: &Value) -> (String, &str) {
    match item {
        Value::List(pair) => match pair.as_slice() {
            [id, Value::Text(name), ..] => (id_of(id).unwrap_or_default(), name),
            _ => Default::default(),
        },
        _ => Default::default(),
    }
}

/// The names of the inputs that are widgets, in order.
fn widget_names(node: &Value) -> impl Iterator<Item = &str> {
    let inputs = list_at(node, "inputs").iter().take(INPUTS);
    inputs.filter_map(|input| text_at(input.get("widget")?, "name"))
}

/// The values of a node's widgets, with their names where those are known.
fn fields(node: &Value) -> Vec<Field<'_>> {
    if let Some(Value::Map(entries)) = node.get("widgets_values") {
        let field = |(name, value)| Field {
            name: Some(String::as_str(name)),
            value,
        };
        return entries
            .iter()
            .map(|(name, value)| field((name, value)))
            .collect();
    }
    let values = list_at(node, "widgets_values");
    let class = text_at(node, "type").unwrap_or_default();
    let names: Vec<&str> = match nodes::find(class) {
        Some(loader) => loader.widgets.iter().map(|(name, _)| *name).collect(),
        // Some widgets have no input, so names are sure only where there is one for each value.
        None => Some(widget_names(node).collect::<Vec<_>>())
            .filter(|names| names.len() == values.len())
            .unwrap_or_default(),
    };
    let field = |(place, value): (usize, _)| Field {
        name: names.get(place).copied(),
        value,
    };
    values.iter().enumerate().map(field).collect()
}

fn set<'a>(fields: &mut Vec<Field<'a>>, name: &'a str, value: &'a Value) {
    let field = Field {
        name: Some(name),
        value,
    };
    match fields.iter_mut().find(|field| field.name == Some(name)) {
        Some(known) => *known = field,
        None => fields.push(field),
    }
}

/// LiteGraph's modes: 0 always, 1 on event, 2 never, 3 on trigger, 4 bypass.
fn mode_of(node: &Value) -> Mode {
    match node.get("mode").and_then(Value::as_u64) {
        Some(2) => Mode::Muted,
        Some(4) => Mode::Bypassed,
        _ => Mode::Active,
    }
}

/// The output from which a link comes.
struct Link {
    origin: String,
    slot: u64,
}

/// The links of a workflow or subgraph.
#[derive(Default)]
struct Links {
    by_id: HashMap<String, Link>,
    /// Links that end at a subgraph's outputs, by slot.
    outward: HashMap<u64, String>,
}

impl Links {
    /// From a list of `[id, from, slot, to, slot, type]`, or of objects.
    fn new(items: &[Value]) -> Links {
        let mut links = Links::default();
        for item in items {
            links.add(item);
        }
        links
    }

    fn add(&mut self, item: &Value) -> Option<()> {
        let field = |place: usize, key: &str| match item {
            Value::List(parts) => parts.get(place),
            item => item.get(key),
        };
        let id = id_of(field(0, "id")?)?;
        let link = Link {
            origin: id_of(field(1, "origin_id")?)?,
            slot: field(2, "origin_slot")?.as_u64()?,
        };
        if id_of(field(3, "target_id")?)? == OUTPUT_NODE {
            let slot = field(4, "target_slot")?.as_u64()?;
            self.outward.entry(slot).or_insert_with(|| id.clone());
        }
        self.by_id.insert(id, link);
        Some(())
    }
}
