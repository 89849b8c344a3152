//! Folders: which of its files are the checkpoint.

use super::faults::Faults;
use super::sharded::{self, is_index};
use super::{FORMATS, HEAD, ReadOptions, index, open_with};
use super::{is_set_aside, set_aside_hint};
use crate::error::{Error, Result};
use crate::io::{FolderEntry, Source, list_folder};
use crate::limits;
use crate::model::{Checkpoint, Level, Note, Winner};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Formats in the order in which a folder's files are asked.
const ORDER: [&str; 4] = ["safetensors", "pytorch", "gguf", "numpy"];

/// What makes a folder a diffusers pipeline, whose components are its subfolders.
const PIPELINE: &str = "model_index.json";

/// Stems that the common libraries give to a whole model, the most likely first.
const WHOLE_MODELS: [&str; 6] = [
    "model",
    "pytorch_model",
    "diffusion_pytorch_model",
    "consolidated",
    "adapter_model",
    "open_clip_pytorch_model",
];

/// Beginnings of the names of files that lie beside a model and are none (HF Trainer,
/// Accelerate).
const SIDE_FILES: [&str; 7] = [
    "optimizer",
    "scheduler",
    "training_args",
    "rng_state",
    "random_states",
    "scaler",
    "sampler",
];

/// Files without a telling extension that are looked into before a folder is given up.
const PROBED_FILES: usize = 64;

/// Names of files that one note or error lists.
const NAMED_FILES: usize = 8;

/// Opens the checkpoint in the folder at `path`.
///
/// Errors: `Unsupported` if it holds none; those of the files.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    let all = list_folder(path)?;
    let aside = all.iter().find(|entry| is_set_aside(&entry.name));
    let aside = aside.map(|entry| entry.path.clone());
    let entries = all.into_iter().filter(|entry| !entry.name.starts_with('.'));
    let entries: Vec<FolderEntry> = entries.collect();
    let mut checkpoint = match open_pipeline(&entries, options)? {
        Some(pipeline) => pipeline,
        None => open_plain(path, &entries, options)?.ok_or_else(|| {
            let error = nothing_found(&entries);
            match &aside {
                Some(path) => error.with_hint(set_aside_hint(path)),
                None => error,
            }
        })?,
    };
    checkpoint.path = path.to_string_lossy().into_owned();
    checkpoint.mark_tied();
    Ok(checkpoint)
}

/// The components of a diffusers pipeline, each under the name of its folder.
fn open_pipeline(entries: &[FolderEntry], options: &ReadOptions) -> Result<Option<Checkpoint>> {
    if !entries.iter().any(|entry| entry.name == PIPELINE) {
        return Ok(None);
    }
    let mut components = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_folder) {
        let inner = list_folder(&entry.path)?;
        if let Some(component) = open_plain(&entry.path, &inner, options)? {
            components.push((entry.name.clone(), component));
        }
    }
    if components.is_empty() {
        return Ok(None);
    }
    let mut pipeline = sharded::under_names("pipeline", components);
    pipeline.make_names_unique(Winner::First);
    let others: Vec<&FolderEntry> = with_known_extension(entries).collect();
    pipeline.notes.extend(not_taken(&others, Level::Info));
    Ok(Some(pipeline))
}

/// What is to be opened as one checkpoint.
enum Choice<'a> {
    Index(&'a FolderEntry),
    Single(&'a FolderEntry),
    /// Numbered shards, in order, without an index.
    Numbered(Shards<'a>),
}

struct Shards<'a> {
    present: Vec<&'a FolderEntry>,
    /// Names that the numbers ask for, but the folder lacks.
    missing: Vec<String>,
}

impl Choice<'_> {
    /// Whether nothing but the order of names speaks for it.
    fn is_arbitrary(&self) -> bool {
        let is_unknown = |entry: &FolderEntry| rank(&entry.name).1 == WHOLE_MODELS.len();
        matches!(self, Choice::Single(entry) if is_unknown(entry))
    }

    fn takes(&self, entry: &FolderEntry) -> bool {
        match self {
            Choice::Index(index) => index.name == entry.name,
            Choice::Single(single) => single.name == entry.name,
            Choice::Numbered(shards) => shards.present.iter().any(|shard| shard.name == entry.name),
        }
    }
}

/// The checkpoint among the files of a folder; `None` if there is none.
fn open_plain(
    path: &Path,
    entries: &[FolderEntry],
    options: &ReadOptions,
) -> Result<Option<Checkpoint>> {
    let Some(choice) = choose(entries)? else {
        return Ok(None);
    };
    let mut checkpoint = match &choice {
        Choice::Index(entry) => index::open(&entry.path, options)?,
        Choice::Single(entry) => open_with(&entry.path, options)?,
        Choice::Numbered(shards) => open_numbered(path, shards, options)?,
    };
    let note = {
        let sources = checkpoint.tensors.iter().filter_map(|t| t.payload.extent());
        let taken: HashSet<&str> = sources.map(|(source, _, _)| source.name()).collect();
        let is_taken = |entry: &FolderEntry| {
            choice.takes(entry) || taken.contains(&*entry.path.to_string_lossy())
        };
        let left = with_known_extension(entries).filter(|entry| !is_taken(entry));
        let left: Vec<&FolderEntry> = left.collect();
        let has_rival = left.iter().any(|entry| !is_side_file(&entry.name));
        let level = match choice.is_arbitrary() && has_rival {
            true => Level::Warning,
            false => Level::Info,
        };
        not_taken(&left, level)
    };
    checkpoint.notes.extend(note);
    Ok(Some(checkpoint))
}

/// The best choice among the files of a folder.
fn choose(entries: &[FolderEntry]) -> Result<Option<Choice<'_>>> {
    let files = || entries.iter().filter(|entry| !entry.is_folder);
    let indexes = files().filter(|entry| index_rank(&entry.name).is_some());
    if let Some(best) = indexes.min_by_key(|entry| (index_rank(&entry.name), &entry.name)) {
        return Ok(Some(Choice::Index(best)));
    }
    for format in ORDER {
        let mut candidates = Vec::new();
        for entry in files().filter(|entry| has_extension_of(format, &entry.name)) {
            if is_candidate(entry)? {
                candidates.push(entry);
            }
        }
        if let Some(&best) = candidates.iter().min_by_key(|entry| rank(&entry.name)) {
            return choose_around(best, &candidates, format).map(Some);
        }
    }
    let unknown = files().filter(|entry| !ORDER.iter().any(|f| has_extension_of(f, &entry.name)));
    for entry in unknown.take(PROBED_FILES) {
        if is_recognised(entry)? {
            return Ok(Some(Choice::Single(entry)));
        }
    }
    Ok(None)
}

/// `best` alone, or with the other shards that its name counts.
fn choose_around<'a>(
    best: &'a FolderEntry,
    candidates: &[&'a FolderEntry],
    format: &str,
) -> Result<Choice<'a>> {
    let is_rank_file = |entry: &&&FolderEntry| is_model_parallel(&entry.name);
    let ranks = candidates.iter().filter(is_rank_file).count();
    if is_model_parallel(&best.name) && ranks > 1 {
        let message = format!(
            "holds the {ranks} parts of a model-parallel checkpoint (`{}` ...), which cannot be joined here",
            best.name
        );
        return Err(Error::unsupported(message).with_hint("each part opens on its own"));
    }
    // A split GGUF file finds its siblings itself.
    match Numbered::parse(&best.name) {
        Some(first) if format != "gguf" => numbered_shards(&first, candidates),
        _ => Ok(Choice::Single(best)),
    }
}

/// All shards of which `first` is one.
///
/// Errors: `Limit` past [`limits::SHARDS`].
fn numbered_shards<'a>(first: &Numbered<'_>, candidates: &[&'a FolderEntry]) -> Result<Choice<'a>> {
    let mut shards: Vec<(u64, &FolderEntry)> = candidates
        .iter()
        .filter_map(|&entry| Some((Numbered::parse(&entry.name)?, entry)))
        .filter(|(numbered, _)| numbered.is_sibling_of(first))
        .map(|(numbered, entry)| (numbered.number, entry))
        .collect();
    shards.sort_by_key(|(number, _)| *number);
    if first.total > limits::SHARDS {
        let (found, allowed) = (first.total, limits::SHARDS);
        let message = format!("shards are numbered up to {found}; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    let has = |number: &u64| shards.binary_search_by_key(number, |(n, _)| *n).is_ok();
    let missing = (1..=first.total).filter(|number| !has(number));
    let missing = missing.map(|number| first.name_of(number)).collect();
    let inside = shards
        .into_iter()
        .filter(|(number, _)| (1..=first.total).contains(number));
    Ok(Choice::Numbered(Shards {
        present: inside.map(|(_, entry)| entry).collect(),
        missing,
    }))
}

fn open_numbered(path: &Path, shards: &Shards<'_>, options: &ReadOptions) -> Result<Checkpoint> {
    let (count, missing) = (shards.present.len(), shards.missing.len());
    let mut faults = Faults::new(options);
    for name in &shards.missing {
        let all = count.saturating_add(missing);
        let message =
            format!("shard `{name}` is missing; {missing} of {all} are not in the folder");
        faults.pass(Err::<(), _>(
            Error::malformed(message).under("missing-shard"),
        ))?;
    }
    let shards = shards.present.iter();
    let shards = shards
        .map(|entry| sharded::open_shard(path, &entry.name, options, &mut faults))
        .collect::<Result<Vec<_>>>()?;
    let mut checkpoint = sharded::join(shards, HashMap::new())?;
    checkpoint.notes.extend(faults.into_notes());
    checkpoint.make_names_unique(Winner::First);
    let text = format!("{count} shards without an index were joined");
    checkpoint
        .notes
        .insert(0, Note::new("no-index", Level::Info, text));
    Ok(checkpoint)
}

/// A shard's name: `STEM-00001-of-00003.EXT`.
pub(super) struct Numbered<'a> {
    stem: &'a str,
    number: u64,
    total: u64,
    digits: usize,
    extension: &'a str,
}

impl<'a> Numbered<'a> {
    fn parse(name: &'a str) -> Option<Numbered<'a>> {
        let (rest, extension) = name.rsplit_once('.')?;
        let (rest, total) = rest.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if number.len() != total.len() || !are_digits(number) || !are_digits(total) {
            return None;
        }
        Some(Numbered {
            stem,
            number: number.parse().ok()?,
            total: total.parse().ok()?,
            digits: total.len(),
            extension,
        })
    }

    /// Whether `a` and `b` are called like shards of one set, whatever they count.
    pub(super) fn are_of_one_set(a: &str, b: &str) -> bool {
        let parts =
            |name| Numbered::parse(name).map(|n| (n.stem.to_owned(), n.extension.to_owned()));
        parts(a).is_some_and(|a| parts(b) == Some(a))
    }

    fn is_sibling_of(&self, other: &Numbered<'_>) -> bool {
        let key = |n: &Numbered<'_>| (n.total, n.digits);
        self.stem == other.stem && self.extension == other.extension && key(self) == key(other)
    }

    fn name_of(&self, number: u64) -> String {
        let Numbered {
            stem,
            total,
            digits,
            extension,
            ..
        } = self;
        format!("{stem}-{number:0digits$}-of-{total:0digits$}.{extension}")
    }
}

/// Smaller ones are taken first.
type Rank<'a> = (bool, usize, bool, bool, &'a str);

/// How early a file is taken: side files last, known names first, then whole ones before
/// shards, plain ones before variants (`model.fp16.safetensors`), then by name.
fn rank(name: &str) -> Rank<'_> {
    let numbered = Numbered::parse(name);
    let whole = numbered.as_ref().map_or(name, |numbered| numbered.stem);
    let stem = whole.split('.').next().unwrap_or(whole);
    let known = WHOLE_MODELS.iter().position(|known| *known == stem);
    let is_variant = whole.split('.').count() > 2;
    let position = known.unwrap_or(WHOLE_MODELS.len());
    (
        is_side_file(name),
        position,
        numbered.is_some(),
        is_variant,
        name,
    )
}

/// How early an index is taken; `None` for one of another format.
fn index_rank(name: &str) -> Option<(bool, Rank<'_>)> {
    let is_safetensors = name.contains(".safetensors.");
    let is_known = is_safetensors || name.contains(".bin.");
    (is_known && is_index(Path::new(name))).then(|| (!is_safetensors, rank(name)))
}

fn is_side_file(name: &str) -> bool {
    SIDE_FILES.iter().any(|side| name.starts_with(side))
}

/// One rank's part of a checkpoint as Llama's own loader writes it: `consolidated.00.pth`.
fn is_model_parallel(name: &str) -> bool {
    let rank = name.strip_prefix("consolidated.");
    let rank = rank.and_then(|rest| rest.strip_suffix(".pth"));
    rank.is_some_and(|rank| !rank.is_empty() && rank.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_extension_of(format: &str, name: &str) -> bool {
    let Some((_, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let is_among =
        |extensions: &[&str]| extensions.iter().any(|e| e.eq_ignore_ascii_case(extension));
    FORMATS
        .iter()
        .any(|known| known.name() == format && is_among(known.extensions()))
}

fn with_known_extension(entries: &[FolderEntry]) -> impl Iterator<Item = &FolderEntry> {
    entries.iter().filter(|entry| {
        !entry.is_folder
            && ORDER
                .iter()
                .any(|format| has_extension_of(format, &entry.name))
    })
}

/// Whether a file of a telling extension is to be taken for a checkpoint. `.bin` tells
/// nothing, unless the rest of the name does.
fn is_candidate(entry: &FolderEntry) -> Result<bool> {
    let (_, position, ..) = rank(&entry.name);
    let is_telling = !entry.name.ends_with(".bin") || position < WHOLE_MODELS.len();
    Ok(is_telling || is_recognised(entry)?)
}

fn is_recognised(entry: &FolderEntry) -> Result<bool> {
    let Ok(source) = Source::open(&entry.path) else {
        return Ok(false);
    };
    let head = source.read_prefix(0, HEAD)?;
    Ok(FORMATS.iter().any(|format| format.detect(&head, &source)))
}

/// The note on files that look like checkpoints and were left alone.
fn not_taken(left: &[&FolderEntry], level: Level) -> Option<Note> {
    let text = format!("not read: {}", listed(left));
    (!left.is_empty()).then(|| Note::new("not-read", level, text))
}

fn nothing_found(entries: &[FolderEntry]) -> Error {
    if entries.is_empty() {
        return Error::unsupported("is an empty folder");
    }
    let entries: Vec<&FolderEntry> = entries.iter().collect();
    Error::unsupported(format!(
        "holds no checkpoint that is read here; it has {}",
        listed(&entries)
    ))
}

fn listed(entries: &[&FolderEntry]) -> String {
    let name = |entry: &&FolderEntry| match entry.is_folder {
        true => format!("`{}/`", entry.name),
        false => format!("`{}`", entry.name),
    };
    let names: Vec<String> = entries.iter().take(NAMED_FILES).map(name).collect();
    let more = entries.len().saturating_sub(NAMED_FILES);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_are_taken_apart() {
        let shard = Numbered::parse("a-b-00002-of-00010.safetensors").unwrap();
        assert_eq!((shard.stem, shard.number, shard.total), ("a-b", 2, 10));
        assert_eq!(shard.name_of(7), "a-b-00007-of-00010.safetensors");
        assert!(Numbered::parse("a-1-of-00010.bin").is_none());
        assert!(Numbered::parse("a-+1-of-10.bin").is_none());
        assert!(Numbered::parse("model.safetensors").is_none());
    }

    #[test]
    fn the_likeliest_model_comes_first() {
        let mut names = [
            "optimizer.bin",
            "zeta.bin",
            "alpha.bin",
            "model.fp16.bin",
            "model-00001-of-00002.bin",
            "model.bin",
            "adapter_model.bin",
        ];
        names.sort_by_key(|name| rank(name));
        let expected = [
            "model.bin",
            "model.fp16.bin",
            "model-00001-of-00002.bin",
            "adapter_model.bin",
            "alpha.bin",
            "zeta.bin",
            "optimizer.bin",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn only_numbers_mark_a_model_parallel_part() {
        assert!(is_model_parallel("consolidated.00.pth"));
        assert!(!is_model_parallel("consolidated.safetensors"));
        assert!(!is_model_parallel("consolidated..pth"));
    }
}
