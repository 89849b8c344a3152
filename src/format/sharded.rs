//! Checkpoints in several files, joined into one.
//!
//! | what | where |
//! |---|---|
//! | `*.index.json` | `index` |
//! | folders | `folder` |
//! | split GGUF files | [`split_siblings`] |

use super::faults::Faults;
use super::{ReadOptions, folder, index, read};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::limits;
use crate::model::{Checkpoint, Group, Level, Note, Tensor, Value};
use std::collections::HashMap;
use std::path::Path;

/// Whether `path` is called like an index of shards: `model.safetensors.index.json`, and with
/// a variant `model.safetensors.index.fp16.json`.
pub fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.rsplit('.');
    let is_json = parts.next() == Some("json");
    is_json && parts.take(2).any(|part| part == "index")
}

/// Opens the shards that an index names.
///
/// Errors: `Malformed` if the index is none, names a file outside its folder or lists a tensor
/// that no shard has; `Io` if a shard is missing; those of the shards.
pub fn open_index(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    index::open(path, options)
}

/// Opens the checkpoint that a folder holds: the pipeline of a `model_index.json`, else an
/// index, else safetensors, else PyTorch, else GGUF, else NumPy. What is not taken is noted.
///
/// Errors: `Unsupported` if it holds none; those of the files.
pub fn open_folder(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    folder::open(path, options)
}

/// If `first`, read from `path`, is one of several split files, all of them as one.
pub fn split_siblings(
    path: &Path,
    first: &Checkpoint,
    options: &ReadOptions,
) -> Result<Option<Checkpoint>> {
    super::gguf::split::open_siblings(path, first, options)
}

/// One file of several.
#[derive(Default)]
pub(super) struct Shard {
    /// Its path, as errors and notes name it.
    pub(super) path: String,
    pub(super) checkpoint: Checkpoint,
}

/// Opens the file called `name` in `folder`. One whose fault is noted is empty.
pub(super) fn open_shard(
    folder: &Path,
    name: &str,
    options: &ReadOptions,
    faults: &mut Faults,
) -> Result<Shard> {
    let path = folder.join(name);
    let checkpoint = Source::open(&path).and_then(|source| read(&source, options));
    Ok(Shard {
        path: path.to_string_lossy().into_owned(),
        checkpoint: faults.pass(checkpoint)?.unwrap_or_default(),
    })
}

/// Joins shards into one checkpoint, their tensors in order.
///
/// `winners`: for names that stand in several shards, the number of the shard that counts; the
/// others come after all that count, so that they are the ones to be renamed.
///
/// Errors: `Limit` past [`limits::TENSORS`].
pub(super) fn join(shards: Vec<Shard>, winners: HashMap<String, usize>) -> Result<Checkpoint> {
    let count = shards.iter().map(|shard| shard.checkpoint.tensors.len());
    let count = count.fold(0, usize::saturating_add) as u64;
    if count > limits::TENSORS {
        let allowed = limits::TENSORS;
        let message = format!("the shards have {count} tensors; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    let mut whole = Checkpoint {
        format: formats_of(&shards).first().copied().unwrap_or_default(),
        variant: "sharded".to_owned(),
        metadata: common_metadata(&shards),
        ..Checkpoint::default()
    };
    whole.notes.extend(mixed_formats_note(&shards));
    let mut losers = Vec::new();
    for (number, shard) in shards.into_iter().enumerate() {
        let Checkpoint {
            tensors,
            values,
            notes,
            ..
        } = shard.checkpoint;
        let counts = |tensor: &Tensor| match winners.get(&tensor.name) {
            Some(&winner) => winner == number,
            None => true,
        };
        let (kept, lost): (Vec<Tensor>, Vec<Tensor>) = tensors.into_iter().partition(counts);
        whole.tensors.extend(kept);
        losers.extend(lost);
        whole.values.extend(values);
        let place = |note: Note| match note.place.path {
            Some(_) => note,
            None => note.in_file(&shard.path),
        };
        whole.notes.extend(notes.into_iter().map(place));
    }
    whole.tensors.extend(losers);
    Ok(whole)
}

/// The metadata that every shard has alike, in the order of the first.
fn common_metadata(shards: &[Shard]) -> Vec<(String, Value)> {
    let Some((first, rest)) = shards.split_first() else {
        return Vec::new();
    };
    let mut common = first.checkpoint.metadata.clone();
    for shard in rest {
        let entries = shard.checkpoint.metadata.iter();
        let theirs: HashMap<&str, &Value> = entries.map(|(k, v)| (k.as_str(), v)).collect();
        common.retain(|(key, value)| theirs.get(key.as_str()) == Some(&value));
    }
    common
}

/// The formats of the shards that could be read.
fn formats_of(shards: &[Shard]) -> Vec<&'static str> {
    let formats = shards.iter().map(|shard| shard.checkpoint.format);
    formats.filter(|format| !format.is_empty()).collect()
}

fn mixed_formats_note(shards: &[Shard]) -> Option<Note> {
    let mut formats = formats_of(shards);
    formats.sort_unstable();
    formats.dedup();
    let text = format!("the shards are of several formats: {}", formats.join(", "));
    (formats.len() > 1).then(|| Note::new("mixed-formats", Level::Warning, text))
}

/// Puts checkpoints side by side, the tensors, values and metadata of each under its name.
pub(super) fn under_names(variant: &str, found: Vec<(String, Checkpoint)>) -> Checkpoint {
    let mut all = Checkpoint {
        format: found
            .first()
            .map_or("", |(_, checkpoint)| checkpoint.format),
        variant: variant.to_owned(),
        ..Checkpoint::default()
    };
    for (name, checkpoint) in found {
        let first = all.tensors.len();
        for mut tensor in checkpoint.tensors {
            tensor.name = format!("{name}.{}", tensor.name);
            all.tensors.push(tensor);
        }
        all.groups.push(Group {
            key: name.clone(),
            tensors: first..all.tensors.len(),
        });
        let place = |(key, value)| (format!("{name}.{key}"), value);
        all.values.extend(checkpoint.values.into_iter().map(place));
        all.metadata
            .extend(checkpoint.metadata.into_iter().map(place));
        all.notes.extend(checkpoint.notes);
    }
    all
}
