//! The small files beside a language model, from which llama.cpp's metadata is made.

use super::{Beside, Value};

/// What lies beside a language model of Hugging Face's libraries. A plain value: whoever opens
/// files fills it in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguageFiles {
    /// The folder, for errors.
    pub folder: String,
    /// The folder's own name.
    pub folder_name: String,
    /// `config.json` and the model card.
    pub beside: Beside,
    /// `generation_config.json`.
    pub generation_config: Option<Value>,
    /// `tokenizer.json`.
    pub tokenizer: Option<Value>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<Value>,
    /// `added_tokens.json`.
    pub added_tokens: Option<Value>,
    /// `tokenizer.model`, as it lies.
    pub sentencepiece: Option<Vec<u8>>,
    /// `chat_template.jinja`, or the text in `chat_template.json`.
    pub chat_template: Option<String>,
}

impl LanguageFiles {
    /// How errors call the file `name`.
    pub fn path_of(&self, name: &str) -> String {
        match self.folder.is_empty() {
            true => name.to_owned(),
            false => format!("{}/{name}", self.folder.trim_end_matches('/')),
        }
    }
}
