//! The small files beside a model's weights, which go where the weights go.

use super::args::Global;
use ckpt::io::{FolderEntry, Sink, SinkOptions, Source, file_exists, folder_of, list_folder};
use ckpt::{Error, Result};
use std::path::Path;

/// Larger files are no companions: the largest tokenizers have about 35 MB.
const LARGEST: u64 = 64 << 20;

/// Bytes that are compared at once.
const PIECE: usize = 1 << 16;

/// Companions that are treated otherwise.
pub(crate) struct Special<'a> {
    /// Which stay behind.
    pub(crate) skips: fn(&str) -> bool,
    /// Which come along with other content.
    pub(crate) rewritten: &'a [(String, Vec<u8>)],
}

/// Copies the companions in `source`, a folder, to the folder of `target`. What stands there
/// already is left alone: `--force` is about the output, and what lies beside it may be of
/// another model.
pub(crate) fn bring(
    global: &Global,
    source: &Path,
    target: &Path,
    sync: bool,
    special: &Special<'_>,
) -> Result<()> {
    let folder = folder_of(target);
    let canonical = |path: &Path| {
        let name = path.to_string_lossy().into_owned();
        std::fs::canonicalize(path).map_err(|e| Error::io("cannot be found", e).in_file(&name))
    };
    if canonical(source)? == canonical(folder)? {
        return Ok(());
    }
    let options = SinkOptions {
        replace: false,
        sync,
    };
    let (mut brought, mut kept) = (Vec::new(), Vec::new());
    let entries = list_folder(source)?.into_iter().filter(is_companion);
    for entry in entries.filter(|entry| !(special.skips)(&entry.name)) {
        let to = folder.join(&entry.name);
        let mut rewritten = special.rewritten.iter();
        let from = match rewritten.find(|(name, _)| *name == entry.name) {
            Some((name, bytes)) => Source::from_bytes(name, bytes.as_slice()),
            None => Source::open(&entry.path)?,
        };
        if file_exists(&to) {
            // What cannot be read is another file.
            let is_same = Source::open(&to).and_then(|there| is_same(&there, &from));
            kept.extend((!is_same.unwrap_or(false)).then_some(entry.name));
            continue;
        }
        let sink = Sink::create(&to, options)?;
        sink.copy_from(0, &from, 0, from.len(), &mut Vec::new())?;
        sink.finish()?;
        brought.push(entry.name);
    }
    let say = |names: &[String], what: &str| {
        if !names.is_empty() {
            let (folder, names) = (folder.display(), names.join(", "));
            global.say(&format!("{folder}: {what}: {names}"));
        }
    };
    say(&brought, "brought along");
    say(
        &kept,
        "warning: other files of these names stand there and are kept, not those of the source",
    );
    Ok(())
}

/// Whether two files hold the same bytes.
fn is_same(a: &Source, b: &Source) -> Result<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for offset in (0..a.len()).step_by(PIECE) {
        let piece = PIECE as u64;
        if a.read_prefix(offset, piece)? != b.read_prefix(offset, piece)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Configuration, tokenizer, model card, licence.
fn is_companion(entry: &FolderEntry) -> bool {
    let name = entry.name.to_ascii_lowercase();
    if entry.is_folder || entry.len > LARGEST || name.ends_with(".index.json") {
        return false;
    }
    let is_legal = ["license", "licence", "notice", "use_policy", "copying"]
        .iter()
        .any(|word| name.starts_with(word));
    let extensions = [
        ".json",
        ".txt",
        ".md",
        ".model",
        ".jinja",
        ".tiktoken",
        ".yaml",
        ".yml",
    ];
    is_legal || extensions.iter().any(|extension| name.ends_with(extension))
}
