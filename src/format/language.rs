//! The small files beside a language model: configurations, tokenizer, chat template.

use super::beside;
use crate::error::{Error, Result};
use crate::io::{is_folder, read_small_file, read_small_text};
use crate::limits;
use crate::model::{LanguageFiles, Value, json};
use std::path::Path;

/// Reads what lies beside the language model at `path`, a file or a folder. What is not there
/// is `None`.
///
/// Errors name the file: those of reading, `Malformed` for what is no JSON, `Limit` for what
/// is larger than such files are.
pub fn language_files(path: &Path) -> Result<LanguageFiles> {
    let folder = match is_folder(path) {
        true => path,
        false => path.parent().unwrap_or(Path::new("")),
    };
    let absolute = match folder.as_os_str().is_empty() {
        true => Path::new(".").canonicalize(),
        false => folder.canonicalize(),
    };
    let absolute = absolute.unwrap_or_else(|_| folder.to_owned());
    let mut files = LanguageFiles {
        folder: folder.to_string_lossy().into_owned(),
        folder_name: absolute
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        beside: beside(path),
        generation_config: read_json(folder, "generation_config.json")?,
        tokenizer: read_json(folder, "tokenizer.json")?,
        tokenizer_config: read_json(folder, "tokenizer_config.json")?,
        added_tokens: read_json(folder, "added_tokens.json")?,
        ..LanguageFiles::default()
    };
    let model = folder.join("tokenizer.model");
    if model.is_file() {
        files.sentencepiece = Some(read_small_file(&model, limits::TOKENIZER)?);
    }
    let template = folder.join("chat_template.jinja");
    files.chat_template = match template.is_file() {
        true => Some(read_small_text(&template, limits::BESIDE)?),
        false => read_json(folder, "chat_template.json")?.and_then(|value| {
            let text = value.get("chat_template")?.as_text()?;
            Some(text.to_owned())
        }),
    };
    Ok(files)
}

fn read_json(folder: &Path, name: &str) -> Result<Option<Value>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_small_text(&path, limits::TOKENIZER)?;
    let values = json::parse_within(&text, limits::TOKENIZER, limits::TOKENIZER_VALUES);
    let values = values.map_err(|error: Error| error.in_file(&path.to_string_lossy()));
    values.map(Some)
}
