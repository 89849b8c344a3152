//! From nodes to the files that they name.

use super::graph::{Field, Graph, ModelEntry, Node};
use super::{Hash, Mode, Need, Workflow, models, nodes, parameters};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Value;
use std::collections::{HashMap, HashSet};

/// Bytes of a value that may be a file's name.
const NAME: usize = 1024;

/// Values and bytes of prompts that are looked through, each use of a subgraph counted.
const SCANNED: usize = 1 << 30;

/// Containers within containers of a widget's value.
const DEPTH: usize = 8;

/// Nodes between a LoRA and the model it is applied to.
const CHAIN: usize = 200;

/// What stands before the name of an embedding in a prompt.
const EMBEDDING: &str = "embedding:";

/// All files that the nodes of a graph name, in their order.
pub(super) fn collect(graph: &Graph<'_>) -> Result<Vec<Need>> {
    let mut collector = Collector::default();
    let mut of_node: Vec<(usize, usize)> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let first = collector.needs.len();
        collector.node(node)?;
        for need in &mut collector.needs[first..] {
            node.models.iter().for_each(|entry| describe(need, entry));
        }
        of_node.push((first, collector.needs.len()));
    }
    let mut needs = collector.needs;
    find_bases(graph, &of_node, &mut needs);
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, need) in needs.iter().enumerate() {
        by_name
            .entry(last(&need.file).to_owned())
            .or_default()
            .push(place);
    }
    for entry in graph.models.iter().take(limits::WORKFLOW_NODES) {
        let Some(places) = by_name.remove(last(entry.name)) else {
            needs.extend(listed(entry));
            continue;
        };
        places
            .into_iter()
            .for_each(|place| describe(&mut needs[place], entry));
    }
    Ok(needs)
}

/// Adds to `workflow` what another description of the same picture says beyond it.
pub(super) fn supplement(workflow: &mut Workflow, other: Workflow) {
    let known: HashSet<String> = workflow.needs.iter().map(|n| stem(&n.file)).collect();
    let mut hashes: HashMap<String, Hash> = HashMap::new();
    for mut need in other.needs {
        need.bases.clear();
        if !known.contains(&stem(&need.file)) {
            workflow.needs.push(need);
        } else if let Some(hash) = need.hash {
            hashes.entry(stem(&need.file)).or_insert(hash);
        }
    }
    for need in &mut workflow.needs {
        if need.hash.is_none() {
            need.hash = hashes.get(&stem(&need.file)).cloned();
        }
    }
}

/// The last part of a name, without a model's extension.
fn stem(name: &str) -> String {
    models::without_extension(last(name)).to_owned()
}

/// The last part of a name; lists of models leave out subfolders.
fn last(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// A model that the workflow lists and no node names.
fn listed(entry: &ModelEntry<'_>) -> Option<Need> {
    let mut need = Need {
        file: entry.name.to_owned(),
        ..Need::default()
    };
    describe(&mut need, entry);
    (entry.name.len() <= NAME).then_some(need)
}

/// Fills in what a list of models says about a file.
fn describe(need: &mut Need, entry: &ModelEntry<'_>) {
    if last(&need.file) != last(entry.name) {
        return;
    }
    if let (false, Some(directory)) = (need.is_folder_certain, entry.directory) {
        need.folder = Some(models::canonical(directory).to_owned());
        need.is_folder_certain = true;
    }
    if need.url.is_none() {
        need.url = entry.url.map(str::to_owned);
    }
    if let (None, Some(text)) = (&need.hash, entry.hash) {
        need.hash = Hash::new(text, entry.hash_type);
    }
}

impl Hash {
    /// `kind`: what the workflow calls it; by its length where it does not say.
    pub(super) fn new(text: &str, kind: Option<&str>) -> Option<Hash> {
        let text = text.trim();
        if text.is_empty() || text.len() > 128 {
            return None;
        }
        let by_length = match text.trim_start_matches("0x").len() {
            8 => "AutoV1",
            10 => "AutoV2",
            12 => "AutoV3",
            64 => "SHA256",
            _ => "unknown",
        };
        Some(Hash {
            text: text.to_owned(),
            kind: kind.unwrap_or(by_length).to_owned(),
        })
    }
}

#[derive(Default)]
struct Collector {
    needs: Vec<Need>,
    scanned: usize,
}

impl Collector {
    fn node(&mut self, node: &Node<'_>) -> Result<()> {
        if nodes::is_note(node.class) || nodes::is_primitive(node.class) {
            return Ok(());
        }
        let loader = nodes::find(node.class);
        for field in &node.fields {
            let row = loader.and_then(|loader| {
                let mut rows = loader.widgets.iter();
                rows.find(|(name, _)| field.name == Some(*name))
            });
            match (row, field.value) {
                (Some((_, "")), _) => {}
                (Some((_, folder)), Value::Text(name)) => self.known(node, folder, name)?,
                (Some(_), _) => {}
                (None, _) => self.unknown(node, field, node.mode, 0)?,
            }
        }
        Ok(())
    }

    fn scan(&mut self, cost: usize) -> Result<()> {
        self.scanned = self.scanned.saturating_add(cost).saturating_add(1);
        match self.scanned > SCANNED || self.needs.len() > limits::WORKFLOW_NODES {
            true => Err(Error::limit(
                "names too many values in its nodes and subgraphs",
            )),
            false => Ok(()),
        }
    }

    /// A value of an input that the table knows.
    fn known(&mut self, node: &Node<'_>, folder: &str, name: &str) -> Result<()> {
        self.scan(name.len())?;
        if name.len() > NAME || nodes::is_no_file(name) {
            return Ok(());
        }
        // Small autoencoders go by one name for two files of another folder.
        let is_small = folder == "vae" && !nodes::has_model_extension(name);
        self.add(
            node,
            node.mode,
            if is_small { "vae_approx" } else { folder },
            name,
        );
        if let Some(need) = self.needs.last_mut() {
            need.is_folder_certain = true;
            need.is_loose = is_small;
        }
        Ok(())
    }

    /// A value of an input that nobody knows: what looks like a model's file is one.
    fn unknown(
        &mut self,
        node: &Node<'_>,
        field: &Field<'_>,
        mode: Mode,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH {
            return Ok(());
        }
        match field.value {
            Value::Text(text) => self.text(node, field.name, mode, text),
            Value::List(items) => items.iter().try_for_each(|value| {
                let name = field.name;
                self.scan(1)?;
                self.unknown(node, &Field { name, value }, mode, depth + 1)
            }),
            Value::Map(entries) => {
                let is_off = entries
                    .iter()
                    .any(|(k, v)| k == "on" && *v == Value::Bool(false));
                let mode = mode.or(if is_off { Mode::Off } else { Mode::Active });
                entries.iter().try_for_each(|(name, value)| {
                    let name = Some(name.as_str());
                    self.scan(1)?;
                    self.unknown(node, &Field { name, value }, mode, depth + 1)
                })
            }
            _ => self.scan(0),
        }
    }

    fn text(&mut self, node: &Node<'_>, input: Option<&str>, mode: Mode, text: &str) -> Result<()> {
        self.scan(text.len())?;
        for name in embeddings(text) {
            self.scan(name.len())?;
            self.add(node, mode, "embeddings", name);
            if let Some(need) = self.needs.last_mut() {
                need.is_folder_certain = true;
            }
        }
        if node.class != "CLIPTextEncode" {
            for (folder, name) in parameters::tags(text) {
                self.scan(name.len())?;
                self.add(node, mode, folder, name);
                if let Some(need) = self.needs.last_mut() {
                    need.is_loose = true;
                }
            }
        }
        let is_name = text.len() <= NAME && !text.contains('\n') && !text.contains(EMBEDDING);
        if is_name && nodes::has_model_extension(text.trim()) {
            let guessed = input
                .and_then(nodes::guess)
                .or_else(|| nodes::guess(node.class));
            self.add(node, mode, guessed.unwrap_or_default(), text);
            let is_url = text.starts_with("https://") || text.starts_with("http://");
            if let Some(need) = self.needs.last_mut().filter(|_| is_url) {
                need.file = last(text).to_owned();
                need.url = Some(text.to_owned());
            }
        }
        Ok(())
    }

    /// Adds a need, unless the node has it already. `folder`: empty if nobody knows.
    fn add(&mut self, node: &Node<'_>, mode: Mode, folder: &str, name: &str) {
        let folder = (!folder.is_empty()).then(|| folder.to_owned());
        let own = self.needs.iter().rev();
        let mut own = own
            .take_while(|need| need.node.as_deref() == Some(&*node.id))
            .take(64);
        if own.any(|need| need.file == name && need.folder == folder && need.mode == mode) {
            return;
        }
        self.needs.push(Need {
            file: name.to_owned(),
            folder,
            node: Some(node.id.clone()),
            class: Some(node.class.to_owned()),
            mode,
            ..Need::default()
        });
    }
}

/// The names behind `embedding:` in a prompt, up to a blank, a comma, or a weight.
fn embeddings(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(EMBEDDING).filter_map(|(start, _)| {
        let rest = &text[start + EMBEDDING.len()..];
        let is_end = |c: char| c.is_whitespace() || ",:()[]{}<>|\"".contains(c);
        let end = rest.find(is_end).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches(['.', ';', '!', '?']);
        (!name.is_empty() && name.len() <= NAME).then_some(name)
    })
}

/// For each LoRA, finds the models that it is applied to: back along what feeds its node.
fn find_bases(graph: &Graph<'_>, of_node: &[(usize, usize)], needs: &mut [Need]) {
    let is_base = |need: &Need| {
        let folder = need.folder.as_deref();
        matches!(folder, Some("checkpoints" | "diffusion_models"))
    };
    let is_lora = |need: &Need| need.folder.as_deref() == Some("loras");
    let upstream: Vec<Option<usize>> = graph.nodes.iter().map(upstream).collect();
    for (place, &(first, end)) in of_node.iter().enumerate() {
        if !needs[first..end].iter().any(is_lora) {
            continue;
        }
        let mut node = place;
        for _ in 0..CHAIN {
            let Some(source) = upstream[node] else {
                break;
            };
            node = source;
            let (from, to) = of_node[node];
            let bases: Vec<usize> = (from..to).filter(|&place| is_base(&needs[place])).collect();
            if !bases.is_empty() {
                for need in needs[first..end].iter_mut().filter(|need| is_lora(need)) {
                    need.bases.clone_from(&bases);
                }
                break;
            }
        }
    }
}

/// The node that gives this one its model, or else its text encoder.
fn upstream(node: &Node<'_>) -> Option<usize> {
    let named = |wanted: &str| node.sources.iter().find(|(name, _)| *name == wanted);
    let (_, place) = named("model").or_else(|| named("clip"))?;
    Some(*place)
}
