//! The folders of models: listing them, and opening what they hold.

use crate::cli::args::Global;
use crate::cli::progress::Bar;
use ckpt::format::{self, digest, yaml};
use ckpt::io::{Source, list_folder, read_small_text};
use ckpt::model::Checkpoint;
use ckpt::op::workflow::{
    Catalogue, Digest, Library, ModelFile, ModelFolder, Workflow, extra_folders, standard_folders,
};
use ckpt::safety::Policy;
use ckpt::{Error, Result, limits};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a diffusers pipeline's folder holds.
const PIPELINE: &str = "model_index.json";

/// Lists all folders of models: those given, then those of the lists of more.
///
/// Errors: those of folders that cannot be listed, `Limit` past [`limits::MODEL_FILES`].
pub(super) fn catalogue(models: &[PathBuf], extra: &[PathBuf]) -> Result<Catalogue> {
    let mut folders = Vec::new();
    for path in models {
        folders.extend(below(path)?);
    }
    for path in extra {
        let name = path.to_string_lossy();
        read_extra(path, &mut folders).map_err(|error| error.in_file(&name))?;
    }
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| folder.path.is_dir()) {
        list(folder, &mut files)?;
    }
    Ok(Catalogue::new(files))
}

/// The folders of models in `path`, or in the `models` in it.
fn below(path: &Path) -> Result<Vec<ModelFolder>> {
    let names = folder_names(path)?;
    let inner = path.join("models");
    if !names.iter().any(|name| name == "models") {
        return Ok(standard_folders(path, &names));
    }
    let mut folders = standard_folders(&inner, &folder_names(&inner)?);
    // A1111 has its embeddings beside its models.
    if names.iter().any(|name| name == "embeddings") {
        folders.push(ModelFolder {
            key: "embeddings".to_owned(),
            path: path.join("embeddings"),
        });
    }
    Ok(folders)
}

fn folder_names(path: &Path) -> Result<Vec<String>> {
    let entries = list_folder(path)?.into_iter();
    let folders = entries.filter(|entry| entry.is_folder && !entry.name.starts_with('.'));
    Ok(folders.map(|entry| entry.name).collect())
}

fn read_extra(path: &Path, folders: &mut Vec<ModelFolder>) -> Result<()> {
    let text = read_small_text(path, limits::YAML)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    extra_folders(&yaml::parse(&text)?, beside, expand, folders)
}

/// Puts in the home folder for `~`, and variables of the environment for `$NAME` and `${NAME}`.
fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    if let Some(after) = text
        .strip_prefix('~')
        .filter(|t| t.is_empty() || t.starts_with('/'))
    {
        out.push_str(&std::env::var("HOME").unwrap_or_else(|_| "~".to_owned()));
        rest = after;
    }
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after, spelled) = match after.strip_prefix('{').and_then(|t| t.split_once('}')) {
            Some((name, after)) => (name, after, format!("${{{name}}}")),
            None => {
                let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
                (&after[..end], &after[end..], format!("${}", &after[..end]))
            }
        };
        // An unknown variable stays as it is, as in Python.
        let value = match name.chars().all(is_part) && !name.is_empty() {
            true => std::env::var(name).unwrap_or(spelled),
            false => spelled,
        };
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Adds all files below `folder`. Links are followed, as ComfyUI does, but in no circle.
fn list(folder: &ModelFolder, files: &mut Vec<ModelFile>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut open = vec![(folder.path.clone(), String::new(), 0)];
    while let Some((path, prefix, depth)) = open.pop() {
        let is_new = path.canonicalize().is_ok_and(|real| seen.insert(real));
        if !is_new || depth > limits::MODEL_FOLDER_DEPTH {
            continue;
        }
        let entries = list_folder(&path)?;
        if folder.key == "diffusers" && entries.iter().any(|entry| entry.name == PIPELINE) {
            files.push(file(
                folder,
                prefix.trim_end_matches('/').to_owned(),
                path,
                0,
            ));
            continue;
        }
        for entry in entries
            .into_iter()
            .filter(|entry| !entry.name.starts_with('.'))
        {
            let name = format!("{prefix}{}", entry.name);
            match entry.is_folder {
                true => open.push((entry.path, format!("{name}/"), depth + 1)),
                false => files.push(file(folder, name, entry.path, entry.len)),
            }
        }
        if files.len() > limits::MODEL_FILES {
            let message = format!("holds over {} files", limits::MODEL_FILES);
            return Err(Error::limit(message).in_file(&folder.path.to_string_lossy()));
        }
    }
    Ok(())
}

fn file(folder: &ModelFolder, name: String, path: PathBuf, len: u64) -> ModelFile {
    ModelFile {
        folder: folder.key.clone(),
        name,
        path,
        len,
    }
}

/// Opens listed files.
pub(super) struct Files {
    bar: Bar,
}

impl Files {
    /// For the files of `workflow`: those with a hash are read whole.
    pub(super) fn new(global: &Global, workflow: &Workflow, catalogue: &Catalogue) -> Files {
        let hashed = workflow.needs.iter().filter(|need| need.hash.is_some());
        let names: HashSet<&str> = hashed.map(|need| need.file.as_str()).collect();
        let files = catalogue.files().iter();
        let total = files.filter(|file| names.contains(file.name.as_str()));
        Files {
            bar: Bar::new(global, "hashing", total.map(|file| file.len).sum()),
        }
    }
}

impl Library for Files {
    fn examine(&self, file: &ModelFile) -> Result<Checkpoint> {
        // A pipeline's folder is one need; any other is a file even if its name says otherwise.
        if file.folder == "diffusers" && file.path.is_dir() {
            return format::open(&file.path);
        }
        let source = Source::open(&file.path)?;
        let mut checkpoint = format::read(&source, &format::ReadOptions::SUMMARY)?;
        format::scan(&source, &mut checkpoint, &Policy::default());
        Ok(checkpoint)
    }

    fn digest(&self, file: &ModelFile, kind: Digest) -> Result<Option<String>> {
        let source = Source::open(&file.path)?;
        match kind {
            Digest::Sha256 => digest::sha256(&source, &self.bar).map(Some),
            Digest::Sha256OfData => digest::sha256_of_data(&source, &self.bar),
            Digest::Sha256OfPart => digest::sha256_of_part(&source).map(Some),
            Digest::Crc32 => digest::crc32(&source, &self.bar).map(Some),
            Digest::Blake3 => digest::blake3(&source, &self.bar).map(Some),
        }
    }
}
