//! The files beside the weights of a folder: which there are, and which change with them.

use super::super::args::Global;
use ckpt::io::{is_folder, list_folder, read_small_text};
use ckpt::op::prune::{self, Pruned};
use ckpt::{Error, Result, limits};
use std::path::{Path, PathBuf};

/// How the names of files end that hold tensors.
const WEIGHTS: [&str; 6] = [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf"];

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

/// Errors: `Usage` if `source` is a folder with what training needs beside models, which lie in
/// folders of their own: Accelerate, called by the training scripts of diffusers.
pub(super) fn check(source: &Path) -> Result<()> {
    let has_weights = |(name, _): &(String, u64)| WEIGHTS.iter().any(|end| name.ends_with(end));
    let is_state = |(name, _): &(String, u64)| prune::is_training_file(name).is_some();
    let files = files(source)?;
    let is_model = |file: &(String, u64)| has_weights(file) && !is_state(file);
    if !files.iter().any(is_state) || files.iter().any(is_model) {
        return Ok(());
    }
    let mut models = Vec::new();
    for entry in list_folder(source)?.iter().filter(|entry| entry.is_folder) {
        if self::files(&entry.path)?.iter().any(is_model) {
            models.push(entry.name.clone());
        }
    }
    let Some(first) = models.first() else {
        return Ok(());
    };
    let error = Error::usage(format!(
        "holds the state of a training beside its models, which lie in `{}`",
        models.join("`, `")
    ));
    let path = source.join(first);
    Err(error.in_file(&source.to_string_lossy()).with_hint(format!(
        "prune one of them: `ckpt prune {} DST`",
        path.display()
    )))
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
