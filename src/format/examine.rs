//! Looking at a file without trusting it: what its reader notices, what it fails on, and what in
//! it may carry code. Content never makes this fail.

use super::{ReadOptions, open_with, read, sharded};
use crate::error::{Error, Kind, Result};
use crate::io::{FolderEntry, Source, is_folder, is_outside, list_folder};
use crate::limits;
use crate::model::{Checkpoint, Level, Note};
use crate::safety::{self, Policy};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Rules of readers' notes that the look for code says in more detail.
const SAID_ELSEWHERE: [&str; 2] = ["would-import", "leftover-objects"];

/// What was seen.
#[derive(Debug, Default)]
pub struct Examined {
    /// The path as it was given.
    pub path: String,
    /// What the reader made of it, if it could.
    pub checkpoint: Option<Checkpoint>,
    /// Everything that was noticed, the reader's failure included.
    pub notes: Vec<Note>,
    /// Files that were looked through.
    pub files: u64,
}

/// Examines a file, the shards of an index, or everything in a folder.
///
/// Errors: `Io` if the path cannot be opened at all. What is wrong with the content is a note.
pub fn examine(path: &Path, policy: &Policy) -> Result<Examined> {
    let mut examined = Examined {
        path: path.to_string_lossy().into_owned(),
        ..Examined::default()
    };
    let files = files_of(path, &mut examined.notes)?;
    // Standard input can be read once only.
    let input = match path == Path::new("-") {
        true => Some(Source::open_or_standard_input(path)?),
        false => None,
    };
    let opened = match &input {
        Some(source) => read(source, &ReadOptions::EXAMINE),
        None => open_with(path, &ReadOptions::EXAMINE),
    };
    let failure = match opened {
        Ok(checkpoint) => {
            examined.checkpoint = Some(checkpoint);
            None
        }
        Err(error) => Some(error),
    };
    let ends = data_ends(examined.checkpoint.as_ref());
    let mut found = Vec::new();
    let mut is_known = !files.is_empty();
    for file in &files {
        let source = match input.clone().map_or_else(|| Source::open(file), Ok) {
            Ok(source) => source,
            Err(error) if files.len() == 1 => return Err(error),
            Err(error) => {
                found.push(note_of(&error, Level::Error));
                continue;
            }
        };
        let scan = safety::scan(&source, ends.get(source.name()).copied(), policy);
        is_known &= scan.is_known;
        examined.files = examined.files.saturating_add(1);
        let place = |note: Note| note.in_file(source.name());
        let templates = templates(&source);
        found.extend(scan.notes.into_iter().chain(templates).map(place));
    }
    if let Some(checkpoint) = &examined.checkpoint {
        found.extend(safety::scan_metadata(
            &examined.path,
            &checkpoint.metadata,
            policy,
        ));
    }
    if let Some(error) = failure {
        examined
            .notes
            .extend(failure_note(&error, is_known, &found));
    }
    examined.take_reader_notes(&found);
    examined.notes.extend(found);
    Ok(examined)
}

/// Adds to the notes of a checkpoint what in its file may carry code.
pub fn scan(source: &Source, checkpoint: &mut Checkpoint, policy: &Policy) {
    let end = data_ends(Some(checkpoint)).remove(source.name());
    let scanned = safety::scan(source, end, policy);
    checkpoint.notes.extend(scanned.notes);
}

impl Examined {
    /// Takes what the reader noticed, but for what was found anyway.
    fn take_reader_notes(&mut self, found: &[Note]) {
        let Some(checkpoint) = &mut self.checkpoint else {
            return;
        };
        let said: HashSet<(&str, Option<&str>)> = found
            .iter()
            .map(|note| (note.rule, note.place.member.as_deref()))
            .collect();
        for mut note in std::mem::take(&mut checkpoint.notes) {
            let key = (note.rule, note.place.member.as_deref());
            if SAID_ELSEWHERE.contains(&note.rule) || said.contains(&key) {
                continue;
            }
            note.place.path.get_or_insert_with(|| self.path.clone());
            self.notes.push(note);
        }
    }
}

/// The note on what the reader failed on.
fn failure_note(error: &Error, is_known: bool, found: &[Note]) -> Option<Note> {
    let is_said = found.iter().any(|note| {
        note.level >= Level::Error
            && note.place.offset == error.place().offset
            && note.text.contains(error.message())
    });
    if is_said {
        return None;
    }
    // A format that is not read, of which all that may carry code was looked at.
    if error.kind() == Kind::Unsupported && is_known {
        let text = format!("its tensors are not read: {}", error.message());
        let mut note = note_of(error, Level::Warning);
        (note.rule, note.text) = ("not-read", text);
        return Some(note);
    }
    Some(note_of(error, Level::Error))
}

/// Notes on the templates of a file that holds some.
fn templates(source: &Source) -> Vec<Note> {
    let name = source.name().rsplit(['/', '\\']).next().unwrap_or_default();
    let holds = name.ends_with(".jinja")
        || matches!(
            name,
            "tokenizer_config.json" | "chat_template.json" | "processor_config.json"
        );
    if !holds || source.len() > limits::METADATA_TEXT {
        return Vec::new();
    }
    let bytes = source.read_prefix(0, source.len()).unwrap_or_default();
    safety::scan_templates(name, &String::from_utf8_lossy(&bytes))
}

/// A failure as a note.
fn note_of(error: &Error, level: Level) -> Note {
    let mut note = Note::new(error.rule(), level, error.message());
    note.place = error.place().clone();
    note
}

/// Where the last tensor ends, file by file.
fn data_ends(checkpoint: Option<&Checkpoint>) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    for tensor in checkpoint.iter().flat_map(|checkpoint| &checkpoint.tensors) {
        if let Some((source, offset, len)) = tensor.payload.extent()
            && source.is_as_stored()
        {
            let end = source.file_offset(offset).saturating_add(len);
            let slot: &mut u64 = ends.entry(source.name().to_owned()).or_default();
            *slot = end.max(*slot);
        }
    }
    ends
}

/// The files that belong to a path.
pub(super) fn files_of(path: &Path, notes: &mut Vec<Note>) -> Result<Vec<PathBuf>> {
    if is_folder(path) {
        let mut files = Vec::new();
        below(path, path, 0, &mut files, notes)?;
        return Ok(files);
    }
    if sharded::is_index(path) {
        let folder = path.parent().unwrap_or(Path::new(""));
        // An index that cannot be read fails again where it is opened, with the reason.
        let shards = super::index::files(path).unwrap_or_default();
        let present = shards.into_iter().map(|shard| folder.join(shard));
        return Ok(present
            .filter(|shard| crate::io::file_exists(shard))
            .collect());
    }
    Ok(vec![path.to_owned()])
}

/// All files below a folder, and notes on what leads out of it.
fn below(
    root: &Path,
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    notes: &mut Vec<Note>,
) -> Result<()> {
    for entry in list_folder(folder)? {
        if is_outside(root, &entry.path) {
            notes.push(outside(&entry));
            if entry.is_folder {
                continue;
            }
        }
        let is_full = files.len() >= limits::MODEL_FILES;
        if entry.is_folder && depth < limits::MODEL_FOLDER_DEPTH && entry.name != ".git" {
            below(root, &entry.path, depth.saturating_add(1), files, notes)?;
        } else if !entry.is_folder && !is_full {
            if entry.name.ends_with(".py") {
                let text = "is program code; `trust_remote_code` and the like would run it";
                let note = Note::new("program-code", Level::Info, text);
                notes.push(note.in_file(&entry.path.to_string_lossy()));
            }
            files.push(entry.path);
        }
    }
    Ok(())
}

fn outside(entry: &FolderEntry) -> Note {
    let target = entry.path.canonicalize().unwrap_or_default();
    // The cache of Hugging Face keeps files under their hashes and links to them.
    let is_blob = target.parent().and_then(Path::file_name) == Some("blobs".as_ref());
    let level = if is_blob { Level::Info } else { Level::Warning };
    let text = "is a link that leads out of the folder";
    Note::new("link-outside", level, text).in_file(&entry.path.to_string_lossy())
}
