//! The files beside the weights of a folder: which there are, and which change with them.

use super::super::args::Global;
use ckpt::io::{is_folder, list_folder, read_small_text};
use ckpt::op::prune::{self, Pruned};
use ckpt::{Result, limits};
use std::path::{Path, PathBuf};

/// Files that say how many layers the model beside them has.
const CONFIGURATIONS: [&str; 2] = ["config.json", "params.json"];

/// Names and bytes of the files in `source`, if that is a folder.
pub(super) fn files(source: &Path) -> Result<Vec<(String, u64)>> {
    if !is_folder(source) {
        return Ok(Vec::new());
    }
    let entries = list_folder(source)?.into_iter();
    let files = entries.filter(|entry| !entry.is_folder);
    Ok(files.map(|entry| (entry.name, entry.len)).collect())
}

/// Where the small files of what is left lie: of one part of a pipeline, in the part's folder.
pub(super) fn companions(source: &Path, pruned: &Pruned) -> PathBuf {
    let part = pruned.part.as_ref();
    let own = part.map(|part| source.join(part.prefix.trim_end_matches('.')));
    match own {
        Some(own) if is_folder(&own) => own,
        _ => source.to_owned(),
    }
}

/// The configurations in `folder` that change with the number of layers.
pub(super) fn rewritten(
    folder: &Path,
    pruned: &Pruned,
    global: &Global,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut rewritten = Vec::new();
    if pruned.layers.is_empty() || !is_folder(folder) {
        return Ok(rewritten);
    }
    let files = files(folder)?;
    for name in CONFIGURATIONS {
        if files.iter().any(|(file, _)| file == name) {
            let path = folder.join(name);
            let text = read_small_text(&path, limits::BESIDE)?;
            let (text, notes) = prune::update_config(name, &text, &pruned.layers);
            for note in notes {
                global.say(&format!("{}: warning: {}", path.display(), note.text));
            }
            rewritten.push((name.to_owned(), text.into_bytes()));
        }
    }
    Ok(rewritten)
}
