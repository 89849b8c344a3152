//! `*.index.json`: which shard holds which tensor.
//!
//! ```json
//! {"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
//! ```
//!
//! The index and the shards are held against each other: what the index lists must be there,
//! and what else is off becomes a note.

mod parse;

use self::parse::{Index, parse};
use super::ReadOptions;
use super::faults::Faults;
use super::folder::Numbered;
use super::is_passing;
use super::sharded::{self, Shard};
use crate::error::{Error, Kind, Result};
use crate::io::{file_exists, is_outside, list_folder, or_here, read_small_file};
use crate::limits;
use crate::model::{Checkpoint, Level, Note, Value, Winner};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Opens the shards that the index at `path` names, as one checkpoint.
///
/// Errors: `Malformed` for what is no index, names a file outside its folder, or lists a
/// tensor that no shard has; `Io` if a shard is missing; those of the shards.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    let name = path.to_string_lossy();
    open_index(path, options).map_err(|error| error.in_file(&name))
}

/// The shards that the index at `path` names, those of impossible names left out.
pub(super) fn files(path: &Path) -> Result<Vec<String>> {
    let mut index = parse(&read_small_file(path, limits::INDEX)?)?;
    index.files.retain(|file| check_name(file).is_ok());
    Ok(index.files)
}

fn open_index(path: &Path, options: &ReadOptions) -> Result<Checkpoint> {
    let mut index = parse(&read_small_file(path, limits::INDEX)?)?;
    order_by_number(&mut index);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut faults = Faults::new(options);
    let present = check_files(&index, folder, &mut faults)?;
    let mut shards = Vec::with_capacity(index.files.len());
    for (file, is_present) in index.files.iter().zip(present) {
        shards.push(match is_present {
            true => sharded::open_shard(folder, file, options, &mut faults)?,
            false => Shard::default(),
        });
    }
    let mut notes = Vec::new();
    if let Some(note) = outside_note(&index, folder) {
        notes.push(note);
    }
    notes.extend(orphan_note(&index, folder));
    notes.extend(passing_note(&index));
    let winners = hold_together(&index, &shards, &mut notes, &mut faults)?;
    let mut checkpoint = sharded::join(shards, winners)?;
    checkpoint.make_names_unique(Winner::First);
    checkpoint.mark_tied();
    let total_size = index.metadata.iter().find(|(key, _)| key == "total_size");
    if let Some((_, declared)) = total_size {
        notes.extend(total_size_note(declared, &checkpoint));
    }
    let own: HashSet<String> = index.metadata.iter().map(|(key, _)| key.clone()).collect();
    checkpoint.metadata.retain(|(key, _)| !own.contains(key));
    checkpoint.metadata.splice(0..0, index.metadata);
    notes.extend(faults.into_notes());
    let name = path.to_string_lossy();
    let place = |note: Note| match note.place.path {
        Some(_) => note,
        None => note.in_file(&name),
    };
    let notes = notes.into_iter().map(place);
    checkpoint.notes.splice(0..0, notes);
    checkpoint.path = name.into_owned();
    Ok(checkpoint)
}

/// Puts numbered shards in the order of their numbers: that in which tensors were dealt to them.
/// Indexes are sorted by tensor.
fn order_by_number(index: &mut Index) {
    let Some(first) = index.files.first() else {
        return;
    };
    let is_numbered = |file: &String| Numbered::are_of_one_set(first, file) || is_passing(file);
    if !index.files.iter().all(is_numbered) {
        return;
    }
    let mut order: Vec<usize> = (0..index.files.len()).collect();
    let names = index.files.as_slice();
    order.sort_by_key(|&old| names.get(old));
    let places: HashMap<usize, usize> = order.iter().copied().zip(0..).collect();
    index.files.sort();
    for (_, number) in &mut index.tensors {
        *number = places.get(number).copied().unwrap_or(*number);
    }
}

/// Holds the names of the shards against the folder, before any is opened: whether each may be
/// opened.
fn check_files(index: &Index, folder: &Path, faults: &mut Faults) -> Result<Vec<bool>> {
    let mut may_open = Vec::with_capacity(index.files.len());
    for file in &index.files {
        may_open.push(faults.pass(check_name(file))?.is_some());
    }
    let count = index.files.len();
    let mut missing = Vec::new();
    for (file, may_open) in index.files.iter().zip(&mut may_open) {
        if *may_open && !file_exists(&folder.join(file)) {
            *may_open = false;
            missing.push(file);
        }
    }
    for file in &missing {
        let message = format!(
            "shard `{file}` is missing; {} of {count} shards are not in the index's folder",
            missing.len()
        );
        let error = Error::new(Kind::Io, message).under("missing-shard");
        faults.pass(Err::<(), _>(error))?;
    }
    Ok(may_open)
}

/// Whether an index may name this file: below its own folder, on any system.
fn check_name(file: &str) -> Result<()> {
    let is_drive = matches!(file.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let is_foreign = file.is_empty() || file.contains(['\\', '\0']) || is_drive;
    let leaves = file.split('/').any(|part| matches!(part, "" | "." | ".."));
    if is_foreign || leaves {
        let message =
            format!("names the shard `{file}`, which is no path below the index's folder");
        return Err(Error::malformed(message));
    }
    Ok(())
}

fn outside_note(index: &Index, folder: &Path) -> Option<Note> {
    let is_linked = |file: &&String| is_outside(folder, &folder.join(file));
    let mut linked = index.files.iter().filter(is_linked);
    let first = linked.next()?;
    let count = linked.count().saturating_add(1);
    let text = format!(
        "{count} shards are links to files outside the index's folder, the first is `{first}`"
    );
    Some(Note::new("linked-shard", Level::Info, text))
}

/// The note on shards that lie beside those of the index, but that it does not list.
fn orphan_note(index: &Index, folder: &Path) -> Option<Note> {
    let first = index.files.first()?;
    let entries = list_folder(or_here(folder)).ok()?;
    let is_orphan =
        |name: &String| Numbered::are_of_one_set(name, first) && !index.files.contains(name);
    let mut orphans = entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(is_orphan);
    let orphan = orphans.next()?;
    let count = orphans.count().saturating_add(1);
    let text = format!(
        "{count} shards lie beside the index, but it does not list them, the first is `{orphan}`"
    );
    Some(Note::new("orphan-shard", Level::Warning, text))
}

/// The note on shards that a killed run had not given their names yet.
fn passing_note(index: &Index) -> Option<Note> {
    let first = index.files.iter().find(|file| is_passing(file))?;
    let text = format!(
        "a run was killed while it replaced the shards: `{first}` and the like are whole, but not called as they should be; `ckpt convert --in-place` into the same folder names them"
    );
    Some(Note::new("interrupted-run", Level::Warning, text))
}

/// Holds index and shards against each other. Returns which shard a tensor is taken from,
/// where several have it.
///
/// Errors: `Malformed` if a tensor that the index lists is in no shard.
fn hold_together(
    index: &Index,
    shards: &[Shard],
    notes: &mut Vec<Note>,
    faults: &mut Faults,
) -> Result<HashMap<String, usize>> {
    let mut holders: HashMap<&str, Vec<usize>> = HashMap::with_capacity(index.tensors.len());
    for (number, shard) in shards.iter().enumerate() {
        for tensor in &shard.checkpoint.tensors {
            holders.entry(&tensor.name).or_default().push(number);
        }
    }
    let mut comparison = Comparison::default();
    let mut winners = HashMap::new();
    let listed = last_of_each_name(index, notes);
    for (name, &number) in &listed {
        match holders.get(name).map(Vec::as_slice) {
            None => comparison.absent.push(name),
            Some(found) if !found.contains(&number) => comparison.misplaced.push(name),
            Some([_]) => {}
            Some(_) => {
                comparison.repeated.push(name);
                winners.insert((*name).to_owned(), number);
            }
        }
    }
    let unlisted = holders.keys().filter(|name| !listed.contains_key(*name));
    comparison.unlisted.extend(unlisted);
    faults.pass(comparison.check_absent(index, &listed))?;
    comparison.report(notes);
    Ok(winners)
}

/// Where each tensor is said to be; of equal names the last counts, as in any JSON reader.
fn last_of_each_name<'a>(index: &'a Index, notes: &mut Vec<Note>) -> HashMap<&'a str, usize> {
    let mut listed = HashMap::with_capacity(index.tensors.len());
    for (name, number) in &index.tensors {
        if listed.insert(name.as_str(), *number).is_some() {
            let text = "the index lists the name twice; the last counts";
            notes.push(Note::new("duplicate-name", Level::Warning, text).on_tensor(name));
        }
    }
    listed
}

/// Where index and shards contradict each other.
#[derive(Default)]
struct Comparison<'a> {
    /// Listed, but in no shard.
    absent: Vec<&'a str>,
    /// Listed, but in another shard.
    misplaced: Vec<&'a str>,
    /// In several shards.
    repeated: Vec<&'a str>,
    /// In a shard, but not listed.
    unlisted: Vec<&'a str>,
}

impl Comparison<'_> {
    fn check_absent(&self, index: &Index, listed: &HashMap<&str, usize>) -> Result<()> {
        let file = |name: &str| {
            let number = listed.get(name).copied();
            let file = number.and_then(|number| index.files.get(number));
            file.map_or("", String::as_str)
        };
        if let Some(first) = self.absent.iter().min() {
            let message = format!(
                "is listed in shard `{}`, but no shard has it; {} of {} listed tensors are missing",
                file(first),
                self.absent.len(),
                listed.len()
            );
            let error = Error::malformed(message).under("missing-tensor");
            return Err(error.in_tensor(first));
        }
        Ok(())
    }

    fn report(mut self, notes: &mut Vec<Note>) {
        let groups = [
            (
                "misplaced-tensor",
                &mut self.misplaced,
                "are in another shard than the index says",
            ),
            (
                "duplicate-name",
                &mut self.repeated,
                "are in several shards; the one that the index names counts",
            ),
            (
                "unlisted-tensor",
                &mut self.unlisted,
                "are in a shard, but not in the index",
            ),
        ];
        for (rule, names, what) in groups {
            names.sort_unstable();
            if let Some(first) = names.first() {
                let text = format!("{} tensors {what}, the first is `{first}`", names.len());
                notes.push(Note::new(rule, Level::Warning, text).on_tensor(first));
            }
        }
    }
}

/// The note for a `total_size` that is the size of all tensors neither with nor without ties.
fn total_size_note(declared: &Value, checkpoint: &Checkpoint) -> Option<Note> {
    let declared = match declared {
        Value::Float(value) if value.fract() == 0.0 => format!("{value:.0}"),
        Value::Text(text) => text.clone(),
        value => value.as_u64()?.to_string(),
    };
    let (_, distinct) = checkpoint.totals();
    let lengths = checkpoint
        .tensors
        .iter()
        .filter_map(|tensor| tensor.byte_len());
    let all = lengths.fold(0, u64::saturating_add);
    if declared == distinct.to_string() || declared == all.to_string() {
        return None;
    }
    let text =
        format!("the index says that the tensors take {declared} bytes; they take {distinct}");
    Some(Note::new("total-size", Level::Warning, text))
}
