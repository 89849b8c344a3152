//! The JSON of `ckpt workflow`.

use ckpt::op::workflow::{Need, Workflow};
use serde::Serialize;

/// The name and version of the layout.
pub(super) const SCHEMA: &str = "ckpt.workflow/1";

/// What one workflow needs.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    graph: &'static str,
    needs: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    file: &'a str,
    folder: Option<&'a str>,
    node: Option<&'a str>,
    class: Option<&'a str>,
    active: bool,
    status: &'static str,
    found_at: Option<&'a str>,
    url: Option<&'a str>,
    hash: Option<&'a str>,
    problem: Option<&'a str>,
    hash_type: Option<&'a str>,
    /// Why it is not active: muted, bypassed, off.
    mode: &'static str,
}

impl<'a> Document<'a> {
    pub(super) fn new(path: &'a str, workflow: &'a Workflow) -> Document<'a> {
        Document {
            schema: SCHEMA,
            path,
            graph: workflow.graph.name(),
            needs: workflow.needs.iter().map(Entry::new).collect(),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(need: &'a Need) -> Entry<'a> {
        let hash = need.hash.as_ref();
        Entry {
            file: &need.file,
            folder: need.folder.as_deref(),
            node: need.node.as_deref(),
            class: need.class.as_deref(),
            active: need.is_active(),
            status: need.status.name(),
            found_at: need.found_at.as_deref(),
            url: need.url.as_deref(),
            hash: hash.map(|hash| hash.text.as_str()),
            problem: need.problem.as_deref(),
            hash_type: hash.map(|hash| hash.kind.as_str()),
            mode: need.mode.name(),
        }
    }
}
