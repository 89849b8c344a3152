//! What names and places of tensors give away, without a look at their values.

use crate::model::{Checkpoint, Level, Note, Tensor};
use crate::text::is_hidden;
use std::collections::HashMap;

/// Notes of one rule; what is beyond is counted in the last.
const KEPT: usize = 20;

/// Everything that is odd about the tensors of a checkpoint.
pub(super) fn notes(checkpoint: &Checkpoint) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(few(checkpoint.tensors.iter().filter_map(odd_name)));
    notes.extend(few(case_collisions(&checkpoint.tensors).into_iter()));
    notes
}

/// The first of many notes of one rule.
pub(super) fn few(mut found: impl Iterator<Item = Note>) -> Vec<Note> {
    let mut kept: Vec<Note> = found.by_ref().take(KEPT).collect();
    let more = found.count();
    if let Some(last) = kept.last_mut().filter(|_| more > 0) {
        last.text.push_str(&format!("; {more} more like it"));
    }
    kept
}

/// A name that is no name.
fn odd_name(tensor: &Tensor) -> Option<Note> {
    let name = tensor.name.as_str();
    let (level, text) = if name.is_empty() {
        (Level::Warning, "the name is empty".to_owned())
    } else if let Some(c) = name.chars().find(|&c| is_hidden(c)) {
        let shown = c.escape_unicode();
        let text = format!("the name holds {shown}, which a terminal acts upon or does not show");
        (Level::Warning, text)
    } else if is_path(name) {
        (
            Level::Warning,
            "the name is a path that leads out of a folder".to_owned(),
        )
    } else if name.contains(['/', '\\']) {
        (
            Level::Info,
            "the name holds a separator of paths".to_owned(),
        )
    } else {
        return None;
    };
    Some(Note::new("odd-name", level, text).on_tensor(name))
}

/// Whether a program that makes a file of this name would write elsewhere.
fn is_path(name: &str) -> bool {
    let is_drive =
        matches!(name.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    let climbs = name.split(['/', '\\']).any(|part| part == "..");
    is_drive || climbs || name.starts_with(['/', '\\'])
}

/// Names that are one on a file system, or in a program, that does not tell cases apart.
fn case_collisions(tensors: &[Tensor]) -> Vec<Note> {
    let mut seen: HashMap<String, &str> = HashMap::with_capacity(tensors.len());
    let mut notes = Vec::new();
    for tensor in tensors {
        match seen.get(&tensor.name.to_lowercase()) {
            Some(first) => {
                let text = format!("the name differs from `{first}` in case only");
                notes.push(
                    Note::new("case-collision", Level::Warning, text).on_tensor(&tensor.name),
                );
            }
            None => {
                seen.insert(tensor.name.to_lowercase(), &tensor.name);
            }
        }
    }
    notes
}
