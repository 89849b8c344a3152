//! The small files beside a model's weights, which go where the weights go.

use super::args::Global;
use ckpt::io::{FolderEntry, Sink, SinkOptions, Source, file_exists, folder_of, list_folder};
use ckpt::{Error, Result};
use std::path::Path;

/// Larger files are no companions: the largest tokenizers have about 35 MB.
const LARGEST: u64 = 64 << 20;

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
    let mut brought = Vec::new();
    let entries = list_folder(source)?.into_iter().filter(is_companion);
    for entry in entries.filter(|entry| !(special.skips)(&entry.name)) {
        let to = folder.join(&entry.name);
        if file_exists(&to) {
            let shown = to.display();
            global.say(&format!(
                "{shown}: exists already and is kept; remove it to have the source's"
            ));
            continue;
        }
        let sink = Sink::create(&to, options)?;
        match special
            .rewritten
            .iter()
            .find(|(name, _)| *name == entry.name)
        {
            Some((_, bytes)) => sink.write_all_at(0, bytes)?,
            None => {
                let from = Source::open(&entry.path)?;
                sink.copy_from(0, &from, 0, from.len(), &mut Vec::new())?;
            }
        }
        sink.finish()?;
        brought.push(entry.name);
    }
    if !brought.is_empty() {
        global.say(&format!(
            "{}: brought along: {}",
            folder.display(),
            brought.join(", ")
        ));
    }
    Ok(())
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
