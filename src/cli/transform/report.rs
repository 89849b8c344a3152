//! What was done to a checkpoint's tensors, for people and programs.

use super::verify;
use crate::cli::args::Global;
use ckpt::dtype::cast::Losses;
use ckpt::format::Output;
use ckpt::op::convert::Converted;
use ckpt::op::verify::Verified;
use ckpt::report::Page;
use ckpt::text::{grouped, human_bytes};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};

/// Something that is not written.
pub(crate) struct Dropped {
    /// `tensor`, `value` or `file`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) reason: &'static str,
    pub(crate) bytes: u64,
}

/// What was done, or would be.
pub(crate) struct Report<'a> {
    /// `convert` or `prune`: the name of the schema.
    pub(crate) command: &'static str,
    /// What is being done, for the progress bar.
    pub(crate) doing: &'static str,
    pub(crate) source: &'a Path,
    /// What a tensor is called in the source, by what it was called when it was converted.
    pub(crate) source_name: &'a dyn Fn(&str) -> String,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) converted: &'a Converted,
    /// The folder whose small files come along.
    pub(crate) companions: PathBuf,
    /// Files of that folder that do not come along.
    pub(crate) skips: fn(&str) -> bool,
    /// Files of the source's folder that come along with other content.
    pub(crate) rewritten: Vec<(String, Vec<u8>)>,
    /// More keys of the JSON object, after the others.
    pub(crate) more: Map<String, Json>,
    /// More for people.
    pub(crate) page: Option<Page>,
    /// Whether the metadata is what is to change, so that the rest may stay where it lies.
    pub(crate) edits_metadata: bool,
    /// What became of the outputs.
    pub(super) fate: &'static str,
    pub(super) outputs: Vec<Output>,
    /// Which of `outputs` each tensor goes to.
    pub(super) places: Vec<Option<usize>>,
    /// Whether every tensor is a row of its own.
    pub(super) is_flat: bool,
    pub(super) losses: Option<Vec<Losses>>,
    /// How each tensor relates to its source, if it was read back.
    pub(super) verified: Option<Vec<Verified>>,
}

impl<'a> Report<'a> {
    /// A report on `converted`, which nobody has written yet.
    pub(crate) fn new(
        command: &'static str,
        doing: &'static str,
        source: &'a Path,
        converted: &'a Converted,
        source_name: &'a dyn Fn(&str) -> String,
    ) -> Report<'a> {
        Report {
            command,
            doing,
            source,
            source_name,
            dropped: Vec::new(),
            converted,
            companions: source.to_owned(),
            skips: |_| false,
            rewritten: Vec::new(),
            more: Map::new(),
            page: None,
            edits_metadata: false,
            fate: "written",
            outputs: Vec::new(),
            places: Vec::new(),
            is_flat: false,
            losses: None,
            verified: None,
        }
    }
}

impl Report<'_> {
    /// Appends what reading back found to what people see.
    pub(super) fn add_verified(&mut self, target: &Path) {
        let found = self.verified.as_ref();
        let blocks = found.map(|verified| verify::blocks(self.converted, verified));
        if let Some(blocks) = blocks.filter(|blocks| !blocks.is_empty()) {
            let page = self.page.get_or_insert_with(|| Page {
                title: target.to_string_lossy().into_owned(),
                blocks: Vec::new(),
            });
            page.blocks.extend(blocks);
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Json {
        let outputs = self.outputs.iter();
        let outputs: Vec<Json> = outputs
            .map(|output| json!({"file": output.path.to_string_lossy(), "bytes": output.bytes}))
            .collect();
        let dropped = self.dropped.iter();
        let dropped: Vec<Json> = dropped
            .map(|d| json!({"name": d.name, "reason": d.reason, "bytes": d.bytes}))
            .collect();
        let mut object = json!({
            "schema": format!("ckpt.{}/1", self.command),
            "source": self.source.to_string_lossy(),
            "outputs": outputs,
            "tensors": self.tensors(),
            "dropped": dropped,
            "verified": self.verified.as_ref().map(|_| true),
        });
        if let Json::Object(entries) = &mut object {
            entries.extend(self.more.clone());
        }
        object
    }

    fn tensors(&self) -> Vec<Json> {
        let tensors = self.converted.checkpoint.tensors.iter();
        let pairs = tensors.zip(&self.converted.changes).enumerate();
        pairs
            .map(|(index, (tensor, change))| {
                // Before anything is cast, nobody knows what that loses.
                let losses = self.losses.as_ref().and_then(|losses| losses.get(index));
                let mut row = json!({
                    "name": tensor.name,
                    "from": {
                        "name": (self.source_name)(&change.from_name),
                        "dtype": change.from_dtype.to_string(),
                    },
                    "to": tensor.dtype.to_string(),
                    "reason": change.reason.name(),
                    "bytes_before": change.bytes_before,
                    "bytes_after": change.bytes_after,
                    "overflow": losses.map(|losses| losses.overflow),
                    "underflow": losses.map(|losses| losses.underflow),
                    "nan": losses.map(|losses| losses.nan),
                    "detail": change.reason.detail(),
                    "file": self.file_of(index),
                });
                let verified = self.verified.as_ref().and_then(|all| all.get(index));
                if let (Some(verified), Json::Object(entries)) = (verified, &mut row) {
                    entries.insert("verify".to_owned(), verify::json(verified));
                }
                row
            })
            .collect()
    }

    /// The output that the tensor at `index` goes to.
    fn file_of(&self, index: usize) -> Option<String> {
        let place = self.places.get(index).copied().flatten()?;
        let path = &self.outputs.get(place)?.path;
        Some(path.to_string_lossy().into_owned())
    }

    /// Reasons in order of first occurrence, with kind, count and bytes.
    pub(super) fn dropped_by_reason(&self) -> Vec<(&'static str, &'static str, u64, u64)> {
        let mut sums: Vec<(&str, &str, u64, u64)> = Vec::new();
        for dropped in &self.dropped {
            let is_same = |sum: &&mut (&str, &str, u64, u64)| {
                sum.0 == dropped.reason && sum.1 == dropped.kind
            };
            match sums.iter_mut().find(is_same) {
                Some(sum) => {
                    sum.2 += 1;
                    sum.3 = sum.3.saturating_add(dropped.bytes);
                }
                None => sums.push((dropped.reason, dropped.kind, 1, dropped.bytes)),
            }
        }
        sums
    }

    /// Says on standard error what is not written, by reason.
    pub(crate) fn say_dropped(&self, global: &Global) {
        let sums = self.dropped_by_reason().into_iter();
        let words = sums.map(|(reason, kind, count, bytes)| match kind {
            "value" => format!("{reason} ({})", plural(kind, count)),
            _ => format!("{reason} ({}, {})", plural(kind, count), human_bytes(bytes)),
        });
        let words: Vec<String> = words.collect();
        if !words.is_empty() {
            let source = self.source.display();
            global.say(&format!("{source}: left out: {}", words.join(", ")));
        }
    }

    /// Says what was written: a line a file, but one for all shards of a large set.
    pub(super) fn say_done(&self, global: &Global) {
        const SHOWN: usize = 4;
        let is_index = |output: &Output| output.path.to_string_lossy().ends_with(".index.json");
        let verified = match self.verified {
            Some(_) => ", verified",
            None => "",
        };
        let say = |path: &str, files: &str, bytes: u64| {
            let (fate, bytes) = (self.fate, human_bytes(bytes));
            global.say(&format!("{path}: {files}{fate}, {bytes}{verified}"));
        };
        let count = self.outputs.iter().filter(|o| !is_index(o)).count();
        let (shards, others) = match count > SHOWN {
            true => self.outputs.split_at(count),
            false => self.outputs.split_at(0),
        };
        if let [first, .., last] = shards {
            let last = last.path.file_name().unwrap_or_default();
            let path = format!("{} to {}", first.path.display(), last.display());
            let files = format!("{}, ", plural("file", count as u64));
            say(&path, &files, shards.iter().map(|shard| shard.bytes).sum());
        }
        for output in others {
            say(&output.path.display().to_string(), "", output.bytes);
        }
    }
}

/// `1 tensor`, `2 tensors`.
pub(super) fn plural(kind: &str, count: u64) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {kind}{ending}", grouped(count))
}
