//! Split files: `NAME-00001-of-00003.gguf` and its siblings, each a GGUF file of its own.
//!
//! Every part says in `split.no` which it is (from 0), in `split.count` how many there are and
//! in `split.tensors.count` how many tensors they hold together. The first has the model's
//! metadata; the others need not repeat it. Source: gguf-split.cpp and llama-model-loader.cpp.

use crate::error::{Error, Kind, Result};
use crate::format::faults::Faults;
use crate::format::{self, ReadOptions};
use crate::format::{set_aside, set_aside_hint};
use crate::io::{Source, file_exists};
use crate::limits;
use crate::model::{Checkpoint, Level, Note};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

pub(super) const NUMBER: &str = "split.no";
pub(super) const COUNT: &str = "split.count";
pub(super) const TENSORS: &str = "split.tensors.count";

/// If `part`, read from `path`, is one of several, all of them as one checkpoint.
///
/// Errors: `Io` if a sibling is missing or cannot be read; `Malformed` if a part says that it is
/// another one, a tensor stands in two of them, or one is missing from all.
pub(in crate::format) fn open_siblings(
    path: &Path,
    part: &Checkpoint,
    options: &ReadOptions,
) -> Result<Option<Checkpoint>> {
    if part.format != "gguf" {
        return Ok(None);
    }
    match PartName::parse(path) {
        Some(name) if name.count > 1 => open_all(&name, part, options).map(Some),
        _ if stated(part, COUNT).is_some_and(|count| count > 1) => Ok(Some(alone(part))),
        _ => Ok(None),
    }
}

/// A part whose name does not tell where the others are.
fn alone(part: &Checkpoint) -> Checkpoint {
    let mut part = part.clone();
    let count = stated(&part, COUNT).unwrap_or(0);
    let text = format!(
        "is one of {count} parts by `{COUNT}`, but is not called `NAME-00001-of-0000N.gguf`; the others are not read"
    );
    part.notes
        .push(Note::new("gguf-split", Level::Warning, text));
    part
}

fn open_all(name: &PartName, part: &Checkpoint, options: &ReadOptions) -> Result<Checkpoint> {
    let mut faults = Faults::new(options);
    let missing = name.missing();
    name.pass_missing(&missing, &mut faults)?;
    let mut whole = Whole::default();
    let mut is_complete = missing.is_empty();
    for number in (1..=name.count).filter(|number| missing.binary_search(number).is_err()) {
        let path = name.path(number);
        let shown = path.to_string_lossy();
        let mut add = |part: &Checkpoint| whole.add(name, number, part, &shown);
        let added = match number == name.number {
            true => add(part),
            false => read_part(&path, options).and_then(|part| add(&part)),
        };
        let added = added.map_err(|error| error.in_file(&shown));
        is_complete &= faults.pass(added)?.is_some();
    }
    let first = name.path(1);
    if is_complete {
        let checked = whole.check(name);
        faults.pass(checked.map_err(|error| error.in_file(&first.to_string_lossy())))?;
    }
    Ok(whole.finish(faults))
}

fn read_part(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    let part = format::read(&Source::open(path)?, options)?;
    if part.format != "gguf" {
        let found = part.format;
        let name = path.to_string_lossy();
        return Err(Error::malformed(format!("is {found}, not gguf")).in_file(&name));
    }
    Ok(part)
}

/// `NAME-00001-of-00003.gguf`, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct PartName {
    folder: PathBuf,
    stem: String,
    /// From 1.
    number: u64,
    count: u64,
}

impl PartName {
    /// `None` if `path` is not called like a part.
    fn parse(path: &Path) -> Option<PartName> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        if number == 0 || number > count || count > limits::SHARDS {
            return None;
        }
        Some(PartName {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            stem: stem.to_owned(),
            number,
            count,
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        let (stem, count) = (&self.stem, self.count);
        self.folder
            .join(format!("{stem}-{number:05}-of-{count:05}.gguf"))
    }

    /// Numbers of the parts that are not there, ascending.
    fn missing(&self) -> Vec<u64> {
        let is_missing = |number: &u64| !file_exists(&self.path(*number));
        (1..=self.count).filter(is_missing).collect()
    }

    fn pass_missing(&self, missing: &[u64], faults: &mut Faults) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut old = (1..=self.count).map(|number| set_aside(&self.path(number)));
        let hint = match old.find(|path| file_exists(path)) {
            Some(old) => set_aside_hint(&old),
            None => "all parts must stand in one folder under their original names".to_owned(),
        };
        for number in missing {
            let message = format!("part {number} of {} is missing", self.count);
            let error = Error::new(Kind::Io, message).under("missing-shard");
            let path = self.path(*number);
            let error = error.in_file(&path.to_string_lossy());
            faults.pass(Err::<(), _>(error.with_hint(hint.clone())))?;
        }
        Ok(())
    }
}

fn five_digits(text: &str) -> Option<u64> {
    let is_number = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn stated(part: &Checkpoint, key: &str) -> Option<u64> {
    let found = part.metadata.iter().find(|(known, _)| known == key);
    found.and_then(|(_, value)| value.as_u64())
}

/// The parts so far, as one.
#[derive(Debug, Default)]
struct Whole {
    checkpoint: Checkpoint,
    names: HashSet<String>,
    /// Where each key stands in the metadata.
    keys: HashMap<String, usize>,
    /// How many tensors all parts hold, as the first of them says.
    tensors: Option<u64>,
}

impl Whole {
    fn add(&mut self, name: &PartName, number: u64, part: &Checkpoint, path: &str) -> Result<()> {
        check_part(name, number, part)?;
        self.tensors = self.tensors.or(stated(part, TENSORS));
        for tensor in &part.tensors {
            if !self.names.insert(tensor.name.clone()) {
                let message = "the name occurs in an earlier part too";
                return Err(Error::malformed(message).in_tensor(&tensor.name));
            }
        }
        let found = self.names.len() as u64;
        if found > limits::TENSORS {
            let limit = limits::TENSORS;
            return Err(Error::limit(format!(
                "the parts up to this one hold {found} tensors; the limit is {limit}"
            )));
        }
        self.checkpoint.tensors.extend(part.tensors.iter().cloned());
        self.add_metadata(part, path);
        let notes = part.notes.iter().cloned();
        self.checkpoint
            .notes
            .extend(notes.map(|note| note.in_file(path)));
        Ok(())
    }

    /// Takes over what earlier parts do not say, except how the file is split.
    fn add_metadata(&mut self, part: &Checkpoint, path: &str) {
        let mut differing = Vec::new();
        // The reader of one file makes an entry of each for every key.
        for (entry, kind) in part.metadata.iter().zip(&part.metadata_types) {
            let key = entry.0.as_str();
            if [NUMBER, COUNT, TENSORS].contains(&key) {
                continue;
            }
            let known = self.keys.get(key).copied();
            match known.and_then(|index| self.checkpoint.metadata.get(index)) {
                Some(known) if known != entry => differing.push(key),
                Some(_) => {}
                None => {
                    let index = self.checkpoint.metadata.len();
                    self.keys.insert(key.to_owned(), index);
                    self.checkpoint.metadata.push(entry.clone());
                    self.checkpoint.metadata_types.push(kind.clone());
                    let stored = part.stored_metadata.iter();
                    let stored = stored.clone().filter(|(known, _)| known == key);
                    self.checkpoint.stored_metadata.extend(stored.cloned());
                }
            }
        }
        if let Some(first) = differing.first() {
            let count = differing.len();
            let text = format!(
                "metadata that differs from an earlier part and is not used: {count}, the first is `{first}`"
            );
            let note = Note::new("gguf-split", Level::Warning, text);
            self.checkpoint.notes.push(note.in_file(path));
        }
    }

    /// Holds how many tensors all parts have against what the first of them says.
    fn check(&self, name: &PartName) -> Result<()> {
        let found = self.checkpoint.tensors.len() as u64;
        let count = name.count;
        match self.tensors.filter(|&stated| stated != found) {
            Some(stated) => Err(Error::malformed(format!(
                "`{TENSORS}` says {stated} tensors, but the {count} parts hold {found}"
            ))),
            None => Ok(()),
        }
    }

    fn finish(mut self, faults: Faults) -> Checkpoint {
        self.checkpoint.format = "gguf";
        "split".clone_into(&mut self.checkpoint.variant);
        self.checkpoint.notes.extend(faults.into_notes());
        self.checkpoint
    }
}

/// Holds what a part says about itself against its name.
fn check_part(name: &PartName, number: u64, part: &Checkpoint) -> Result<()> {
    let count = name.count;
    if let Some(stated) = stated(part, COUNT).filter(|&stated| stated != count) {
        let message = format!("`{COUNT}` says {stated} parts, but the name says {count}");
        return Err(Error::malformed(message));
    }
    let stated = stated(part, NUMBER).and_then(|stated| stated.checked_add(1));
    if let Some(stated) = stated.filter(|&stated| stated != number) {
        let message =
            format!("`{NUMBER}` says that this is part {stated}, but the name says {number}");
        return Err(Error::malformed(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_of_parts_apart() {
        let name = PartName::parse(Path::new("d/m-q4-00002-of-00003.gguf")).unwrap();
        assert_eq!(
            (name.stem.as_str(), name.number, name.count),
            ("m-q4", 2, 3)
        );
        assert_eq!(name.path(3), Path::new("d/m-q4-00003-of-00003.gguf"));
        for other in [
            "m.gguf",
            "m-00000-of-00003.gguf",
            "m-00004-of-00003.gguf",
            "m-1-of-3.gguf",
            "m-+0001-of-00003.gguf",
            "m-00001-of-00003.bin",
        ] {
            assert_eq!(PartName::parse(Path::new(other)), None, "{other}");
        }
    }
}
