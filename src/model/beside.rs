//! The small files that lie beside a checkpoint and say what it is.

use super::Value;

/// What was found beside a checkpoint. A plain value: whoever opens files fills it in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// `config.json`, or `model_index.json` of a pipeline.
    pub config: Option<Value>,
    /// `adapter_config.json` of PEFT.
    pub adapter_config: Option<Value>,
    /// The front matter of the model card, `README.md`.
    pub card: Option<Value>,
    /// Licence texts: the file's name and its beginning.
    pub licences: Vec<(String, String)>,
    /// What could not be read, one sentence each.
    pub failures: Vec<String>,
}
