//! The page of `ckpt inspect`: facts, metadata, values, tensors, remarks.

use super::tables::{flat, folded, source, tree};
use super::{Found, Listing};
use crate::cli::values::{in_full, in_short};
use crate::cli::{adapter, identity, licence};
use ckpt::model::{Checkpoint, Level, Note, Value};
use ckpt::op::inspect;
use ckpt::report::{Block, Facts, Page, Remark, Severity};
use ckpt::text::{grouped, human_bytes, human_count};

/// Entries of metadata or values that are shown, unless all was asked for.
const ENTRIES: usize = 40;

/// Remarks of one kind that are shown.
const REMARKS: usize = 5;

/// Draws what was found.
pub(super) fn page(found: &Found, listing: Listing, all: bool) -> Page {
    let checkpoint = &found.checkpoint;
    let mut blocks = vec![Block::Facts(facts(found))];
    blocks.extend(
        found
            .about
            .training
            .as_ref()
            .map(|training| Block::Facts(adapter::training(training))),
    );
    for (title, entries) in [
        ("metadata", &checkpoint.metadata),
        ("values", &checkpoint.values),
    ] {
        // What training left was shown above, readably.
        let is_shown = |key: &str| found.about.training.is_some() && !all && is_of_training(key);
        let rest: Vec<&(String, Value)> =
            entries.iter().filter(|(key, _)| !is_shown(key)).collect();
        if !rest.is_empty() {
            blocks.push(Block::Facts(content(title, &rest, all)));
        }
    }
    if !checkpoint.tensors.is_empty() {
        blocks.extend(match listing {
            Listing::None => None,
            Listing::Adapter => {
                adapter::modules(&found.about.identity, found.about.health.as_ref())
                    .map(Block::Table)
            }
            Listing::Folded => Some(Block::Table(folded(found))),
            Listing::Flat => Some(Block::Table(flat(&checkpoint.tensors))),
            Listing::Tree => Some(Block::Table(tree(&checkpoint.tensors))),
        });
    }
    let conflicts = found.about.identity.conflicts.iter().map(|text| Remark {
        severity: Severity::Warning,
        text: text.clone(),
    });
    let mut all_remarks = remarks(&checkpoint.notes);
    all_remarks.extend(conflicts);
    all_remarks.extend(licence::remarks(&found.about.licences));
    all_remarks.extend(found.about.training.iter().flat_map(adapter::private));
    if let (Some(found), Some(health)) = (&found.about.identity.adapter, &found.about.health) {
        all_remarks.extend(adapter::health_remarks(found, health));
    }
    if !all_remarks.is_empty() {
        blocks.push(Block::Remarks(all_remarks));
    }
    Page {
        title: checkpoint.path.clone(),
        blocks,
    }
}

fn facts(found: &Found) -> Facts {
    let checkpoint = &found.checkpoint;
    let totals = inspect::totals(checkpoint);
    let mut entries = about_lines(found);
    let mut add = |key: &str, value: String| entries.push((key.to_owned(), value));
    add(
        "format",
        match checkpoint.variant.as_str() {
            "" => checkpoint.format.to_owned(),
            variant => format!("{}, {variant}", checkpoint.format),
        },
    );
    if let Some(size) = size(checkpoint) {
        add("size", size);
    }
    let mut tensors = grouped(totals.tensors);
    if found.is_selection {
        tensors.push_str(" selected");
    }
    let ties = checkpoint.tensors.iter().filter(|t| t.tied_to.is_some());
    match ties.count() {
        0 => {}
        ties => tensors.push_str(&format!(
            ", {} of them tied to others",
            grouped(ties as u64)
        )),
    }
    add("tensors", tensors);
    let parameters = &found.about.identity.parameters;
    match identity::is_packed(parameters) && !found.is_selection {
        false => add("parameters", exactly(totals.elements, human_count)),
        true => {
            let logical = exactly(parameters.logical, human_count);
            let stored = human_count(parameters.stored);
            add(
                "parameters",
                format!("{logical} in {stored} stored elements"),
            );
        }
    }
    add("data", exactly(totals.bytes, human_bytes));
    if totals.by_dtype.len() > 1 {
        let of_dtype = |of: &inspect::DTypeTotals| {
            let (tensors, bytes) = (grouped(of.tensors), human_bytes(of.bytes));
            format!("{} {bytes} ({tensors})", of.dtype)
        };
        let words: Vec<String> = totals.by_dtype.iter().map(of_dtype).collect();
        add("dtypes", words.join(", "));
    } else if let [only] = totals.by_dtype.as_slice() {
        add("dtypes", only.dtype.to_string());
    }
    if let Some(root) = root_fact(found) {
        add("root", root);
    }
    Facts {
        title: String::new(),
        entries,
    }
}

/// What it is and what may be done with it.
fn about_lines(found: &Found) -> Vec<(String, String)> {
    let mut lines = identity::lines(&found.about.identity);
    lines.extend(licence::line(&found.about.licences).map(|line| ("licence".to_owned(), line)));
    lines
}

/// `7.24 B (7,241,732,096)`, or the number alone where the first would say no less.
fn exactly(value: u64, human: fn(u64) -> String) -> String {
    match value {
        0..1000 => human(value),
        _ => format!("{} ({})", human(value), grouped(value)),
    }
}

/// Which key holds the model, and what stands beside it.
fn root_fact(found: &Found) -> Option<String> {
    let checkpoint = &found.checkpoint;
    let key = checkpoint.root.as_deref()?;
    if !found.left_out.is_empty() {
        let left_out = &found.left_out;
        let (tensors, bytes) = (grouped(left_out.tensors), human_bytes(left_out.bytes));
        return Some(format!("{key}; left out: {tensors} tensors, {bytes}"));
    }
    let sizes: Vec<String> = checkpoint
        .groups
        .iter()
        .filter(|group| !group.tensors.is_empty())
        .map(|group| format!("{} ({})", group.key, grouped(group.tensors.len() as u64)))
        .collect();
    let others = checkpoint.root_candidates().len();
    let hint = match others {
        0 | 1 => "",
        _ => "; several could be the model: see --root",
    };
    Some(match sizes.len() {
        0 | 1 => format!("{key}{hint}"),
        _ => format!("{key}; tensors by key: {}{hint}", sizes.join(", ")),
    })
}

/// Bytes of the files that the tensors lie in.
fn size(checkpoint: &Checkpoint) -> Option<String> {
    let mut seen: Vec<usize> = Vec::new();
    let mut total = 0u64;
    let mut last = None;
    for source in checkpoint.tensors.iter().filter_map(source) {
        let identity = source.identity();
        // Tensors of one file follow each other, so this is one look for most.
        if last == Some(identity) || seen.contains(&identity) {
            continue;
        }
        last = Some(identity);
        seen.push(identity);
        total = total.saturating_add(source.file()?.metadata().ok()?.len());
    }
    if seen.is_empty() {
        let metadata = std::fs::metadata(&checkpoint.path).ok()?;
        return metadata
            .is_file()
            .then(|| exactly(metadata.len(), human_bytes));
    }
    let size = exactly(total, human_bytes);
    Some(match seen.len() {
        1 => size,
        files => format!("{size} in {} files", grouped(files as u64)),
    })
}

fn is_of_training(key: &str) -> bool {
    ["ss_", "sshs_", "modelspec."]
        .iter()
        .any(|start| key.starts_with(start))
}

fn content(title: &str, entries: &[&(String, Value)], all: bool) -> Facts {
    let shown = if all { entries.len() } else { ENTRIES };
    let line = |(key, value): &&(String, Value)| {
        let value = if all { in_full(value) } else { in_short(value) };
        (key.clone(), value)
    };
    let mut lines: Vec<(String, String)> = entries.iter().take(shown).map(line).collect();
    if entries.len() > shown {
        let more = grouped((entries.len() - shown) as u64);
        lines.push((
            "...".to_owned(),
            format!("{more} more; --metadata shows all"),
        ));
    }
    Facts {
        title: title.to_owned(),
        entries: lines,
    }
}

/// The gravest first; many of one kind are counted.
fn remarks(notes: &[Note]) -> Vec<Remark> {
    let mut shown: Vec<(&str, usize)> = Vec::new();
    let mut remarks = Vec::new();
    let mut sorted: Vec<&Note> = notes.iter().collect();
    sorted.sort_by_key(|note| std::cmp::Reverse(note.level));
    for (index, note) in sorted.iter().enumerate() {
        let place = shown.iter().position(|(rule, _)| *rule == note.rule);
        let place = place.unwrap_or_else(|| {
            shown.push((note.rule, 0));
            shown.len() - 1
        });
        shown[place].1 += 1;
        let text = match shown[place].1 {
            1..=REMARKS => describe(note),
            count if count == REMARKS + 1 => {
                let rest = &sorted[index..];
                let more = rest.iter().filter(|other| other.rule == note.rule).count();
                format!("{more} more like these ({}); --json has all", note.rule)
            }
            _ => continue,
        };
        remarks.push(Remark {
            severity: severity(note.level),
            text,
        });
    }
    remarks
}

fn describe(note: &Note) -> String {
    let mut text = String::new();
    if let Some(path) = &note.place.path {
        text.push_str(&format!("{path}: "));
    }
    if let Some(member) = &note.place.member {
        text.push_str(&format!("member `{member}`: "));
    }
    if let Some(tensor) = &note.place.tensor {
        text.push_str(&format!("tensor `{tensor}`: "));
    }
    text.push_str(&note.text);
    if let Some(offset) = note.place.offset {
        text.push_str(&format!(" (at byte {offset})"));
    }
    text
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Info => Severity::Info,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
        Level::Danger => Severity::Danger,
    }
}
