//! The texts in which programs that make pictures and models say how: workflows, parameters.

use super::{FORMATS, HEAD, ReadOptions, image};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::limits;
use crate::model::Value;

/// One text that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What its writer calls it: `workflow`, `prompt`, `parameters`; empty for a whole file.
    pub key: String,
    /// The text.
    pub text: String,
}

/// Metadata of a checkpoint under which ComfyUI saves how it was made.
const KEYS: [&str; 3] = ["workflow", "prompt", "parameters"];

/// The texts of a picture, a text file, or the metadata of a checkpoint.
///
/// Errors: `Unsupported` for a file of another kind, `Limit` for a text over
/// [`limits::WORKFLOW`] bytes; those of the containers.
pub fn read_texts(source: &Source) -> Result<Vec<Text>> {
    read(source).map_err(|error| error.in_file(source.name()))
}

fn read(source: &Source) -> Result<Vec<Text>> {
    let head = source.read_prefix(0, HEAD)?;
    if let Some(texts) = image::read(&head, source)? {
        return Ok(texts);
    }
    // Before the formats: JSON may have its second brace where safetensors has its first.
    if is_text(&head) {
        return read_whole(source);
    }
    if let Some(format) = FORMATS.iter().find(|format| format.detect(&head, source)) {
        let checkpoint = format.read(source, &ReadOptions::SUMMARY)?;
        let text = |(key, value): (String, Value)| match value {
            Value::Text(text) if KEYS.contains(&&*key) => Some(Text { key, text }),
            _ => None,
        };
        return Ok(checkpoint.metadata.into_iter().filter_map(text).collect());
    }
    let message = "is no workflow, and no picture or checkpoint that may hold one";
    Err(Error::unsupported(message))
}

/// Whether a file begins as text does: none of the control characters of binary headers.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| !matches!(byte, 0..=8 | 14..=31))
}

fn read_whole(source: &Source) -> Result<Vec<Text>> {
    if source.is_empty() {
        return Err(Error::malformed("is empty"));
    }
    if source.len() > limits::WORKFLOW {
        let (found, allowed) = (source.len(), limits::WORKFLOW);
        let message = format!("has {found} bytes of text; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    let bytes = source.read_vec(0, source.len())?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to() as u64;
        Error::malformed("is no UTF-8").at(offset)
    })?;
    Ok(vec![Text {
        key: String::new(),
        text: text.trim_start_matches('\u{feff}').to_owned(),
    }])
}

/// Bytes as text: UTF-8 if they are, else Latin-1, as PNG has it.
pub(super) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}
