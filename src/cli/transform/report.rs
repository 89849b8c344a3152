//! What was done to a checkpoint's tensors, for people and programs.

use crate::cli::args::{Format, Global};
use ckpt::dtype::cast::Losses;
use ckpt::format::Output;
use ckpt::op::convert::Converted;
use ckpt::text::{grouped, human_bytes};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// A tensor that is not written.
pub(crate) struct Dropped {
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
    /// More keys of the JSON object, after the others.
    pub(crate) more: Map<String, Json>,
    pub(super) outputs: Vec<Output>,
    pub(super) losses: Option<Vec<Losses>>,
    pub(super) verified: Option<bool>,
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
            more: Map::new(),
            outputs: Vec::new(),
            losses: None,
            verified: None,
        }
    }
}

impl Report<'_> {
    pub(super) fn write(&self, global: &Global, out: &mut dyn Write) -> io::Result<()> {
        match global.format() {
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &self.json())?;
                writeln!(out)
            }
            _ => self.write_text(out),
        }
    }

    fn json(&self) -> Json {
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
            "verified": self.verified,
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
                json!({
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
                })
            })
            .collect()
    }

    /// One line for each kind of change, then the outputs.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut kinds: BTreeMap<(String, String, &str), (u64, u64, u64)> = BTreeMap::new();
        let tensors = self.converted.checkpoint.tensors.iter();
        for (tensor, change) in tensors.zip(&self.converted.changes) {
            let (from, to) = (change.from_dtype.to_string(), tensor.dtype.to_string());
            let sums = kinds.entry((from, to, change.reason.name())).or_default();
            sums.0 += 1;
            sums.1 += change.bytes_before;
            sums.2 += change.bytes_after;
        }
        for ((from, to, reason), (count, before, after)) in kinds {
            let (count, before, after) = (grouped(count), human_bytes(before), human_bytes(after));
            writeln!(
                out,
                "{from:<10} -> {to:<5} {reason:<12} x{count:<8} {before:>8} -> {after:>8}"
            )?;
        }
        if !self.dropped.is_empty() {
            let bytes = self.dropped.iter().map(|dropped| dropped.bytes).sum();
            let count = grouped(self.dropped.len() as u64);
            writeln!(out, "left out: {count} tensors, {}", human_bytes(bytes))?;
        }
        for output in &self.outputs {
            let path = output.path.to_string_lossy();
            let path = ckpt::text::escape(&path);
            writeln!(out, "{path}  {} bytes", grouped(output.bytes))?;
        }
        Ok(())
    }

    pub(super) fn say_done(&self, global: &Global) {
        for output in &self.outputs {
            global.say(&format!(
                "{}: written, {}{}",
                output.path.display(),
                human_bytes(output.bytes),
                if self.verified == Some(true) {
                    ", verified"
                } else {
                    ""
                }
            ));
        }
    }
}
