//! Which tensor goes where.

use super::layout::{Layout, Order, Part, Splits, Ties, Writer};
use super::shards::{Cut, ShardOrder, deal};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::FORMATS;
use crate::io::list_folder;
use crate::limits;
use crate::model::{Checkpoint, Tensor};
use serde_json::{Map, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// How tensors are spread over files and lie in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrangement {
    /// Into how many files.
    pub cut: Cut,
    /// Which tensors share one.
    pub shard_order: ShardOrder,
    /// In which order they lie in a file.
    pub order: Order,
}

/// One file that was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it stands.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Which tensor goes where, to the byte.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) target: PathBuf,
    pub(super) files: Vec<File>,
    /// The index of the shards, if there are several.
    pub(super) index: Option<(PathBuf, Vec<u8>)>,
    data_bytes: u64,
    /// For each tensor of the checkpoint the one that it is another name of.
    aliases: Vec<Option<usize>>,
    /// What the format could not keep, or what was chosen for want of better: a sentence each.
    pub notes: Vec<String>,
}

/// One file to be written.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Which tensors of the checkpoint it holds.
    pub(super) tensors: Vec<usize>,
    /// Where they go; its lists are about `tensors`.
    pub(super) layout: Layout,
}

/// The dtypes that a file called `target` can hold.
///
/// Errors: those of [`plan`] for the name.
pub fn dtypes_of_target(target: &Path) -> Result<Vec<DType>> {
    Ok(writer_of(target)?.dtypes())
}

/// What becomes of tied tensors in a file called `target`.
///
/// Errors: those of [`plan`] for the name.
pub fn ties_of_target(target: &Path) -> Result<Ties> {
    Ok(writer_of(target)?.ties())
}

/// Plans how `checkpoint` is written to `target`, in the format of its extension.
///
/// Several files are `STEM-00001-of-0000N.EXT` beside `STEM.EXT.index.json`, which GGUF does
/// without. What fits one is a plain file.
///
/// Errors: `Usage` for a name without an extension that is written here, `Unsupported` for a
/// tensor that the format cannot hold, `Limit` for a header that is too large or too many
/// shards, `Usage` for more shards than tensors.
pub fn plan(checkpoint: &Checkpoint, target: &Path, arrangement: &Arrangement) -> Result<Plan> {
    let writer = writer_of(target)?;
    let aliases = match writer.ties() {
        Ties::Copies => vec![None; checkpoint.tensors.len()],
        _ => aliases(checkpoint),
    };
    let stored = checkpoint.tensors.iter().enumerate().zip(&aliases);
    let stored = stored.filter(|(_, alias)| alias.is_none());
    let stored: Vec<(usize, &Tensor)> = stored.map(|(tensor, _)| tensor).collect();
    let (cut, order) = (arrangement.cut, arrangement.shard_order);
    let shards = deal(&stored, cut, order, writer.splits())
        .map_err(|error| error.in_file(&target.to_string_lossy()))?;
    if shards.len() > 1 && writer.splits() == Splits::Never {
        let error = Error::unsupported("the format is always one file");
        return Err(error.with_hint("leave `--max-shard-size` and `--shards` out"));
    }
    let count = shards.len();
    let mut files: Vec<File> = Vec::with_capacity(count);
    for (number, tensors) in shards.into_iter().enumerate() {
        let part = Part {
            checkpoint,
            tensors: at_all(&checkpoint.tensors, &tensors),
            names: names(checkpoint, &aliases, &tensors),
            number,
            count,
            order: arrangement.order,
        };
        let path = shard_path(target, number, count);
        let layout = writer.layout(&part);
        files.push(File {
            layout: layout.map_err(|error| error.in_file(&path.to_string_lossy()))?,
            path,
            tensors,
        });
    }
    // An alias that is no entry of its own is not listed either.
    let listed = match writer.ties() {
        Ties::Entries => aliases.as_slice(),
        _ => &[],
    };
    let index = match (count, writer.splits()) {
        (0 | 1, _) | (_, Splits::Numbers | Splits::Never) => None,
        _ => Some((index_path(target), index(checkpoint, &files, listed)?)),
    };
    let stored = files
        .iter()
        .flat_map(|file| at_all(&checkpoint.tensors, &file.tensors));
    let data_bytes = stored
        .filter_map(Tensor::byte_len)
        .fold(0, u64::saturating_add);
    let first = files.first_mut();
    Ok(Plan {
        target: target.to_owned(),
        notes: first.map_or_else(Vec::new, |file| std::mem::take(&mut file.layout.notes)),
        files,
        index,
        data_bytes,
        aliases,
    })
}

/// Every name of the tensors in `stored` and which of those it means, in order.
pub(super) fn names<'a>(
    checkpoint: &'a Checkpoint,
    aliases: &[Option<usize>],
    stored: &[usize],
) -> Vec<(&'a str, usize)> {
    let place: HashMap<usize, usize> = stored.iter().copied().zip(0..).collect();
    let tensors = checkpoint.tensors.iter().zip(aliases).enumerate();
    tensors
        .filter_map(|(index, (tensor, alias))| {
            let place = place.get(&alias.unwrap_or(index))?;
            Some((tensor.name.as_str(), *place))
        })
        .collect()
}

impl Plan {
    /// The files, shards first, then the index.
    pub fn outputs(&self) -> Vec<Output> {
        let file = |file: &File| Output {
            path: file.path.clone(),
            bytes: file.layout.len,
        };
        let index = self.index.iter().map(|(path, bytes)| Output {
            path: path.clone(),
            bytes: bytes.len() as u64,
        });
        self.files.iter().map(file).chain(index).collect()
    }

    /// For each tensor of the checkpoint, which of the outputs holds it.
    pub fn places(&self) -> Vec<Option<usize>> {
        let mut places = vec![None; self.aliases.len()];
        for (number, file) in self.files.iter().enumerate() {
            for &index in &file.tensors {
                if let Some(place) = places.get_mut(index) {
                    *place = Some(number);
                }
            }
        }
        let of_kept = |kept: usize| places.get(kept).copied().flatten();
        let aliases = self.aliases.iter().zip(&places);
        let place = |(alias, place): (&Option<usize>, &Option<usize>)| match alias {
            Some(kept) => of_kept(*kept),
            None => *place,
        };
        aliases.map(place).collect()
    }

    /// Bytes of all tensors, aliases not counted.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The folder in which the target is to stand.
    pub(super) fn folder(&self) -> &Path {
        match self.target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Where an index of the target's shards stands, if there is one.
    pub fn index_path(&self) -> PathBuf {
        index_path(&self.target)
    }

    /// Whether a file is called like the target in one piece, a shard of it or its index.
    pub(super) fn is_related(&self, name: &str) -> bool {
        let (stem, extension) = stem_and_extension(&self.target);
        let Some(rest) = name.strip_prefix(&stem) else {
            return false;
        };
        let Some(middle) = rest.strip_suffix(&extension) else {
            return rest.strip_suffix(".index.json") == Some(&extension);
        };
        middle.is_empty() || is_shard_number(middle)
    }

    /// Files beside the target that a reader could take for a part of the same checkpoint,
    /// though they are none: shards of another number, an index, the file in one piece.
    pub(super) fn stale(&self) -> Result<Vec<PathBuf>> {
        let outputs = self.outputs();
        let is_ours = |name: &str| {
            let ends = |output: &Output| output.path.file_name().is_some_and(|n| *n == *name);
            outputs.iter().any(ends)
        };
        let entries = list_folder(self.folder())?.into_iter();
        let related = entries.filter(|entry| self.is_related(&entry.name) && !is_ours(&entry.name));
        let paths = related.map(|entry| self.target.with_file_name(entry.name));
        Ok(paths.collect())
    }
}

/// Whether `text` is like `-00001-of-00003`.
fn is_shard_number(text: &str) -> bool {
    let digits = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let halves = text
        .strip_prefix('-')
        .and_then(|text| text.split_once("-of-"));
    halves.is_some_and(|(number, count)| digits(number) && digits(count))
}

pub(super) fn writer_of(target: &Path) -> Result<&'static dyn Writer> {
    let text = target.to_string_lossy();
    if text.ends_with(std::path::is_separator) {
        let error = Error::usage("there is no such folder").in_file(&text);
        return Err(error.with_hint("make it first, or name a file"));
    }
    let extension = target.extension().unwrap_or_default().to_string_lossy();
    let extension = extension.to_ascii_lowercase();
    let mut written = Vec::new();
    for format in FORMATS {
        for known in format.extensions() {
            match format.writer(known) {
                Some(writer) if extension == *known => return Ok(writer),
                Some(_) => written.push(format!("`.{known}`")),
                None => {}
            }
        }
    }
    let found = match extension.is_empty() {
        true => "a name without an extension".to_owned(),
        false => format!("`.{extension}`"),
    };
    let error = Error::unsupported(format!(
        "{found} says no format that is written here; these do: {}",
        written.join(", ")
    ));
    Err(error.in_file(&target.to_string_lossy()))
}

/// For each tensor the one that it is another name of, if that one is written with it.
pub(super) fn aliases(checkpoint: &Checkpoint) -> Vec<Option<usize>> {
    let tensors = &checkpoint.tensors;
    if tensors.iter().all(|tensor| tensor.tied_to.is_none()) {
        return vec![None; tensors.len()];
    }
    let untied = |(_, tensor): &(usize, &Tensor)| tensor.tied_to.is_none();
    let kept: HashMap<&str, (usize, &Tensor)> = tensors
        .iter()
        .enumerate()
        .filter(untied)
        .map(|(index, tensor)| (tensor.name.as_str(), (index, tensor)))
        .collect();
    let alias = |tensor: &Tensor| {
        let (index, kept) = kept.get(tensor.tied_to.as_deref()?)?;
        (kept.dtype == tensor.dtype && kept.shape == tensor.shape).then_some(*index)
    };
    tensors.iter().map(alias).collect()
}

pub(super) fn at_all<'a>(tensors: &'a [Tensor], indices: &[usize]) -> Vec<&'a Tensor> {
    indices
        .iter()
        .filter_map(|&index| tensors.get(index))
        .collect()
}

/// `model` and `.safetensors` of `model.safetensors`.
fn stem_and_extension(target: &Path) -> (String, String) {
    let part = |part: Option<&std::ffi::OsStr>| {
        let part = part.unwrap_or_default();
        part.to_string_lossy().into_owned()
    };
    let extension = part(target.extension());
    (part(target.file_stem()), format!(".{extension}"))
}

fn shard_path(target: &Path, number: usize, count: usize) -> PathBuf {
    if count <= 1 {
        return target.to_owned();
    }
    let (stem, extension) = stem_and_extension(target);
    let number = number.saturating_add(1);
    target.with_file_name(format!("{stem}-{number:05}-of-{count:05}{extension}"))
}

fn index_path(target: &Path) -> PathBuf {
    let (stem, extension) = stem_and_extension(target);
    target.with_file_name(format!("{stem}{extension}.index.json"))
}

/// The index as transformers writes it: two spaces, sorted names, a line feed at the end.
fn index(checkpoint: &Checkpoint, files: &[File], aliases: &[Option<usize>]) -> Result<Vec<u8>> {
    let mut total = 0u64;
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut shard_of: HashMap<usize, &str> = HashMap::new();
    let shards: Vec<_> = files
        .iter()
        .map(|file| file.path.file_name().unwrap_or_default().to_string_lossy())
        .collect();
    for (file, shard) in files.iter().zip(&shards) {
        for &index in &file.tensors {
            let Some(tensor) = checkpoint.tensors.get(index) else {
                continue;
            };
            total = total.saturating_add(tensor.byte_len().unwrap_or(0));
            names.insert(&tensor.name, shard.clone().into_owned());
            shard_of.insert(index, shard);
        }
    }
    for (tensor, alias) in checkpoint.tensors.iter().zip(aliases) {
        if let Some(shard) = alias.and_then(|kept| shard_of.get(&kept)) {
            names.insert(&tensor.name, (*shard).to_owned());
        }
    }
    let weight_map: Map<String, serde_json::Value> = names
        .into_iter()
        .map(|(name, shard)| (name.to_owned(), shard.into()))
        .collect();
    let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
    let text = serde_json::to_string_pretty(&index).map_err(|e| Error::usage(e.to_string()))?;
    if text.len() as u64 > limits::INDEX {
        let (found, allowed) = (text.len(), limits::INDEX);
        let message = format!("the index would have {found} bytes; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    Ok(format!("{text}\n").into_bytes())
}
