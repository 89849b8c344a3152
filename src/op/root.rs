//! The root: the part of a training checkpoint that holds the model.

use crate::error::{Error, Result};
use crate::model::{Checkpoint, Group, Level, Note, Value};

/// Which part of a checkpoint is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The model, if it stands under a key of its own; everything otherwise.
    #[default]
    Auto,
    /// What stands under this key.
    Key(String),
    /// Everything.
    Everything,
}

/// A checkpoint restricted to its root.
#[derive(Clone, Debug)]
pub struct Rooted {
    /// The tensors under the root, without its prefix.
    pub checkpoint: Checkpoint,
    /// What was left out.
    pub left_out: LeftOut,
}

/// What stands beside the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Tensors.
    pub tensors: u64,
    /// Bytes that no tensor under the root has, tied tensors counted once.
    pub bytes: u64,
    /// Keys of the outermost mapping that are left out, in file order: those of tensors, then
    /// those of values.
    pub keys: Vec<String>,
}

impl LeftOut {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.tensors == 0 && self.keys.is_empty()
    }
}

/// Restricts `checkpoint` to the root that `choice` names and drops its prefix from the names.
///
/// If several keys could be the root, the first is taken, and a warning among the notes says
/// how to choose another.
/// Errors: `Usage` if nothing stands under the key that was asked for.
pub fn restrict(mut checkpoint: Checkpoint, choice: &Choice) -> Result<Rooted> {
    let Some(key) = find(&mut checkpoint, choice)? else {
        return Ok(Rooted {
            checkpoint,
            left_out: LeftOut::default(),
        });
    };
    let kept = under(&checkpoint, &key);
    Ok(cut_out(checkpoint, &key, &kept))
}

/// The key that `choice` comes to; `None` for everything.
///
/// If several keys could be the root, the first is taken, and a warning among the notes says
/// how to choose another.
/// Errors: `Usage` if nothing stands under the key that was asked for.
pub fn find(checkpoint: &mut Checkpoint, choice: &Choice) -> Result<Option<String>> {
    let key = match choice {
        Choice::Everything => None,
        Choice::Key(key) if key.is_empty() => None,
        Choice::Key(key) => Some(key.clone()),
        Choice::Auto => {
            let found = automatic(checkpoint);
            warn_of_several(checkpoint, found.as_deref());
            found
        }
    };
    match key {
        Some(key) if !has(checkpoint, &key) => Err(nothing_under(checkpoint, &key)),
        key => Ok(key),
    }
}

/// Whether tensors stand under `key`.
pub fn has(checkpoint: &Checkpoint, key: &str) -> bool {
    under(checkpoint, key).contains(&true)
}

/// The root that the reader found, or the first candidate, if it is a key of the mapping.
fn automatic(checkpoint: &Checkpoint) -> Option<String> {
    let is_group = |key: &&String| checkpoint.groups.iter().any(|group| group.key == **key);
    let found = checkpoint.root.as_ref().filter(is_group).cloned();
    found.or_else(|| Some((*checkpoint.root_candidates().first()?).to_owned()))
}

fn warn_of_several(checkpoint: &mut Checkpoint, taken: Option<&str>) {
    let candidates = checkpoint.root_candidates();
    let others: Vec<String> = candidates
        .iter()
        .filter(|key| Some(**key) != taken)
        .map(|key| format!("`{key}`"))
        .collect();
    let (Some(taken), false) = (taken, others.is_empty()) else {
        return;
    };
    let text = format!(
        "the model is taken from `{taken}`, but {} could be meant too; `--root KEY` chooses",
        others.join(" and ")
    );
    // A reader may have said so already.
    if !checkpoint
        .notes
        .iter()
        .any(|note| note.rule == "several-roots")
    {
        let note = Note::new("several-roots", Level::Warning, text);
        checkpoint.notes.push(note);
    }
}

/// For each tensor, whether it stands under `key`.
pub fn under(checkpoint: &Checkpoint, key: &str) -> Vec<bool> {
    let prefix = format!("{key}.");
    let group = checkpoint.groups.iter().find(|group| group.key == key);
    let is_under = |(index, name): (usize, &str)| match group {
        Some(group) => group.tensors.contains(&index) && name.starts_with(&prefix),
        None => name.len() > prefix.len() && name.starts_with(&prefix),
    };
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    names.enumerate().map(is_under).collect()
}

fn nothing_under(checkpoint: &Checkpoint, key: &str) -> Error {
    let error = Error::usage(format!("no tensor stands under the root `{key}`"));
    let error = error.in_file(&checkpoint.path);
    let holds = |group: &&Group| !group.tensors.is_empty();
    let keys: Vec<String> = checkpoint
        .groups
        .iter()
        .filter(holds)
        .map(|group| format!("`{}`", group.key))
        .collect();
    match keys.is_empty() {
        true => error.with_hint("without `--root`, everything is taken"),
        false => error.with_hint(format!("keys that hold tensors: {}", keys.join(", "))),
    }
}

/// Leaves what `kept` says, under names without the prefix.
fn cut_out(mut checkpoint: Checkpoint, key: &str, kept: &[bool]) -> Rooted {
    let before = checkpoint.tensors.len();
    let bytes_before = checkpoint.totals().1;
    let mut keys: Vec<String> = checkpoint
        .groups
        .iter()
        .filter(|group| group.key != key && !group.tensors.is_empty())
        .map(|group| group.key.clone())
        .collect();
    checkpoint.keep(kept);
    let left_out_tensors = before - checkpoint.tensors.len();
    let bytes = bytes_before.saturating_sub(checkpoint.totals().1);

    let prefix = format!("{key}.");
    let shorten = |name: &mut String| {
        if name.starts_with(&prefix) {
            name.drain(..prefix.len());
        }
    };
    for tensor in &mut checkpoint.tensors {
        shorten(&mut tensor.name);
        tensor.tied_to.as_mut().map(shorten).unwrap_or_default();
    }
    for note in &mut checkpoint.notes {
        note.place.tensor.as_mut().map(shorten).unwrap_or_default();
    }
    checkpoint.values = values_under(std::mem::take(&mut checkpoint.values), key, &mut keys);
    checkpoint.groups.clear();
    checkpoint.root = Some(key.to_owned());
    Rooted {
        checkpoint,
        left_out: LeftOut {
            tensors: left_out_tensors as u64,
            bytes,
            keys,
        },
    }
}

/// The values under `key`; the keys of the others are added to `left_out`.
fn values_under(
    values: Vec<(String, Value)>,
    key: &str,
    left_out: &mut Vec<String>,
) -> Vec<(String, Value)> {
    let prefix = format!("{key}.");
    let mut inner = Vec::new();
    for (name, value) in values {
        if name == key
            && let Value::Map(entries) = value
        {
            inner.extend(entries);
        } else if let Some(short) = name.strip_prefix(&prefix) {
            inner.push((short.to_owned(), value));
        } else if !left_out.contains(&name) {
            left_out.push(name);
        }
    }
    inner
}
