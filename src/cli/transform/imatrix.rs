//! `--imatrix FILE`: what an importance matrix did.

use crate::cli::args::Global;
use ckpt::Result;
use ckpt::format::imatrix;
use ckpt::op::convert::Converted;
use ckpt::op::importance::{Used, Weights, used};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// Reads the file.
pub(super) fn open(path: &Path) -> Result<Arc<Weights>> {
    Ok(Arc::new(Weights::new(imatrix::open(path)?)))
}

/// Records in the metadata what the weights were, if they are used.
pub(super) fn record(converted: &mut Converted, weights: Option<&Weights>) {
    if let Some(weights) = weights
        && used(&converted.checkpoint.tensors).with > 0
    {
        weights.record(&mut converted.checkpoint);
    }
}

/// Says what has no weights, and returns what the JSON report has to say. Nothing without
/// `weights`.
pub(super) fn say(
    converted: &Converted,
    weights: Option<&Weights>,
    global: &Global,
) -> Option<Json> {
    let matrix = weights?.matrix();
    let used = used(&converted.checkpoint.tensors);
    say_used(&matrix.path, &used, global);
    Some(json!({
        "file": matrix.path,
        "entries": matrix.entries.len(),
        "datasets": matrix.datasets,
        "chunks": matrix.chunks,
        "tensors": used.with,
        "without": used.without,
    }))
}

fn say_used(path: &str, used: &Used, global: &Global) {
    let (with, without) = (used.with, used.without.len());
    match used.without.first() {
        None if with == 0 => global.say(&format!(
            "{path}: warning: is not used: only Q2_K, Q3_K, Q4_K, Q5_K and Q6_K take weights"
        )),
        None => {}
        Some(first) if with == 0 => global.say(&format!(
            "{path}: warning: has no entry for any of the {without} tensors that could use one, such as `{first}`"
        )),
        Some(first) => global.say(&format!(
            "{path}: warning: {with} tensors have weights, {without} have none: `{first}`{}",
            if without > 1 { " and others" } else { "" }
        )),
    }
}
