//! Where models lie: ComfyUI's folders, their old names, and `extra_model_paths.yaml`.

use crate::error::{Error, Result};
use crate::model::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Folders below `models/` by ComfyUI's name for them, where the two differ
/// (`folder_paths.py`). Looked through in this order.
const LAYOUT: &[(&str, &[&str])] = &[
    ("text_encoders", &["text_encoders", "clip"]),
    ("diffusion_models", &["unet", "diffusion_models"]),
    ("controlnet", &["controlnet", "t2i_adapter"]),
];

/// Folders as A1111 calls them.
const A1111: &[(&str, &[&str])] = &[
    ("checkpoints", &["Stable-diffusion"]),
    ("vae", &["VAE"]),
    ("loras", &["Lora", "LyCORIS"]),
    ("upscale_models", &["ESRGAN", "RealESRGAN", "SwinIR"]),
    ("controlnet", &["ControlNet"]),
];

/// Keys of a section that name no models.
const NO_MODELS: &[&str] = &["base_path", "is_default", "custom_nodes"];

/// The name that a folder has now.
pub(super) fn canonical(folder: &str) -> &str {
    match folder {
        "unet" => "diffusion_models",
        "clip" => "text_encoders",
        folder => folder,
    }
}

/// A name without a model's extension.
pub(super) fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if super::nodes::has_model_extension(name) => stem,
        _ => name,
    }
}

/// A folder in which models of one kind are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    /// ComfyUI's name for the kind: `loras`.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Whether a key of `extra_model_paths.yaml` names models.
pub fn is_model_key(key: &str) -> bool {
    !NO_MODELS.contains(&key)
}

/// The folders below a `models` folder, whose own folders are `names`: known ones in ComfyUI's
/// order, others under their own names, as custom nodes use them.
pub fn standard_folders(models: &Path, names: &[String]) -> Vec<ModelFolder> {
    let mut folders = Vec::new();
    let mut add = |key: &str, name: &str| {
        if names.iter().any(|known| known == name) {
            let (key, path) = (key.to_owned(), models.join(name));
            folders.push(ModelFolder { key, path });
        }
    };
    for (key, below) in LAYOUT.iter().chain(A1111) {
        below.iter().for_each(|name| add(key, name));
    }
    let is_in_table = |name: &&String| {
        let mut tables = LAYOUT.iter().chain(A1111);
        tables.any(|(_, below)| below.contains(&name.as_str()))
    };
    for name in names.iter().filter(|name| !is_in_table(name)) {
        add(name, name);
    }
    folders
}

/// Adds the folders that `extra_model_paths.yaml` names to `folders`. `beside`: the folder it
/// lies in. `expand`: puts in the home folder and variables of the environment.
///
/// Errors: `Malformed` if a section is no mapping, or a folder no text.
pub fn extra_folders(
    yaml: &Value,
    beside: &Path,
    expand: impl Fn(&str) -> String,
    folders: &mut Vec<ModelFolder>,
) -> Result<()> {
    let Value::Map(sections) = yaml else {
        return match yaml {
            Value::Null => Ok(()),
            _ => Err(Error::malformed("is no mapping of sections to folders")),
        };
    };
    for (name, section) in sections {
        let Value::Map(entries) = section else {
            if *section == Value::Null {
                continue;
            }
            let message = format!("section `{name}` is no mapping of names to folders");
            return Err(Error::malformed(message));
        };
        let base = section
            .get("base_path")
            .and_then(Value::as_text)
            .map(&expand);
        let base = base.map_or_else(|| beside.to_owned(), |base| beside.join(base));
        let is_default = section.get("is_default") == Some(&Value::Bool(true));
        for (key, value) in entries.iter().filter(|(key, _)| is_model_key(key)) {
            let Some(lines) = value.as_text() else {
                if *value == Value::Null {
                    continue;
                }
                let message = format!("section `{name}`: `{key}` is no folder");
                return Err(Error::malformed(message));
            };
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let key = canonical(key).to_owned();
                let folder = ModelFolder {
                    key,
                    path: base.join(line),
                };
                match is_default {
                    true => folders.insert(0, folder),
                    false => folders.push(folder),
                }
            }
        }
    }
    Ok(())
}

/// One file in a folder of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// ComfyUI's name for the folder.
    pub folder: String,
    /// The path below the folder, with `/`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub len: u64,
}

/// All files in the folders of models, in the order in which the folders are looked through.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    files: Vec<ModelFile>,
    by_name: HashMap<(String, String), usize>,
    /// By the last part of the name without its extension.
    by_stem: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    /// Of several files of one name and folder the first is used, as ComfyUI does.
    pub fn new(files: Vec<ModelFile>) -> Catalogue {
        let mut by_name = HashMap::with_capacity(files.len());
        let mut by_stem: HashMap<String, Vec<usize>> = HashMap::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            let key = (file.folder.clone(), file.name.clone());
            by_name.entry(key).or_insert(place);
            by_stem.entry(stem(&file.name)).or_default().push(place);
        }
        Catalogue {
            files,
            by_name,
            by_stem,
        }
    }

    /// All files.
    pub fn files(&self) -> &[ModelFile] {
        &self.files
    }

    /// The file called exactly `name` in `folder`.
    pub(super) fn exact(&self, folder: &str, name: &str) -> Option<usize> {
        let key = (folder.to_owned(), name.to_owned());
        self.by_name.get(&key).copied()
    }

    /// Files whose last part is that of `name`, whatever their folder and extension.
    pub(super) fn alike(&self, name: &str) -> &[usize] {
        self.by_stem.get(&stem(name)).map_or(&[], Vec::as_slice)
    }

    /// Up to three files of `folder` (of any, if `None`) whose names are nearest to `name`.
    pub(super) fn nearest(&self, folder: Option<&str>, name: &str) -> Vec<&str> {
        let wanted = stem(name);
        if wanted.len() > 128 {
            return Vec::new();
        }
        let allowed = (wanted.chars().count() / 3).max(2);
        let is_in = |file: &&ModelFile| folder.is_none_or(|folder| file.folder == folder);
        let mut ranked: Vec<(usize, &str)> = Vec::new();
        for file in self.files.iter().filter(is_in) {
            let found = stem(&file.name);
            if found.len().abs_diff(wanted.len()) > allowed {
                continue;
            }
            let distance = distance(&wanted, &found);
            if distance <= allowed {
                ranked.push((distance, &file.name));
            }
        }
        ranked.sort();
        ranked.dedup();
        ranked.into_iter().take(3).map(|(_, name)| name).collect()
    }
}

/// What names are compared by: the last part, without its extension, in lower case.
fn stem(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    without_extension(last).to_lowercase()
}

/// Characters to add, remove or replace to turn one name into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn folders_are_looked_through_as_comfyui_does() {
        let entry = |key: &str, value: &str| (key.to_owned(), Value::text(value));
        let section = Value::Map(vec![
            entry("base_path", "~/other"),
            ("is_default".to_owned(), Value::Bool(true)),
            entry("unet", "unet"),
            entry("loras", "Lora\nLyCORIS\n"),
            entry("custom_nodes", "custom_nodes"),
        ]);
        let yaml = Value::Map(vec![("other".to_owned(), section)]);
        let names = ["clip", "loras", "sams", "unet"].map(str::to_owned);
        let mut folders = standard_folders(Path::new("/m"), &names);
        let expand = |text: &str| text.replace('~', "/home/me");
        extra_folders(&yaml, Path::new("/etc"), expand, &mut folders).unwrap();
        let found: Vec<(&str, &str)> = folders
            .iter()
            .map(|folder| (&*folder.key, folder.path.to_str().unwrap()))
            .collect();
        let expected = [
            ("loras", "/home/me/other/LyCORIS"),
            ("loras", "/home/me/other/Lora"),
            ("diffusion_models", "/home/me/other/unet"),
            ("text_encoders", "/m/clip"),
            ("diffusion_models", "/m/unet"),
            ("loras", "/m/loras"),
            ("sams", "/m/sams"),
        ];
        assert_eq!(found, expected);
    }
}
