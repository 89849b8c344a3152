//! The small files that lie beside a checkpoint: configuration, model card, licence.

use super::yaml;
use crate::error::{Error, Kind, Result};
use crate::io::{is_folder, read_small_file};
use crate::limits;
use crate::model::{Beside, Value, json};
use std::path::Path;

/// Names of licence texts in the order in which they are read.
const LICENCES: &[&str] = &[
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "LICENCE",
    "LICENCE.md",
    "LICENCE.txt",
    "LICENSE-MODEL",
    "MODEL_LICENSE",
    "COPYING",
    "NOTICE",
    "NOTICE.txt",
    "Notice",
    "USE_POLICY.md",
    "ACCEPTABLE_USE_POLICY.md",
];

/// Beginnings of the names under which libraries save the model that `config.json` is of.
const WHOLE_MODELS: &[&str] = &[
    "model",
    "pytorch_model",
    "diffusion_pytorch_model",
    "adapter_model",
    "consolidated",
    "open_clip_pytorch_model",
    "pytorch_lora_weights",
];

/// Reads what lies beside the checkpoint at `path`, a file or a folder.
///
/// A configuration is taken to be that of a file only if a library gave the file its name.
/// What cannot be read is said in the result.
pub fn beside(path: &Path) -> Beside {
    let (folder, is_whole) = match is_folder(path) {
        true => (path, true),
        false => (path.parent().unwrap_or(Path::new("")), is_whole_model(path)),
    };
    let mut beside = Beside::default();
    if is_whole {
        for name in ["model_index.json", "config.json"] {
            let config = look(folder, name, &mut beside.failures, json::parse);
            beside.config = beside.config.or(config);
        }
        beside.adapter_config = look(
            folder,
            "adapter_config.json",
            &mut beside.failures,
            json::parse,
        );
    }
    let card = look(folder, "README.md", &mut beside.failures, front_matter);
    beside.card = card.filter(|card| *card != Value::Null);
    for name in LICENCES {
        let text = |text: &str| Ok(text.to_owned());
        if let Some(text) = look(folder, name, &mut beside.failures, text) {
            beside.licences.push(((*name).to_owned(), text));
        }
    }
    beside
}

fn is_whole_model(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rest = |start: &&str| name.strip_prefix(*start);
    let mut rests = WHOLE_MODELS.iter().filter_map(rest);
    rests.any(|rest| rest.starts_with(['.', '-']))
}

/// The file called `name`, read; `None` if there is none or it cannot be read.
fn look<T>(
    folder: &Path,
    name: &str,
    failures: &mut Vec<String>,
    read: impl FnOnce(&str) -> Result<T>,
) -> Option<T> {
    let path = folder.join(name);
    // Most are not there, and a failed look costs less than listing the folder.
    if !path.is_file() {
        return None;
    }
    let bytes = read_small_file(&path, limits::BESIDE);
    let read = bytes.and_then(|bytes| match String::from_utf8(bytes) {
        Ok(text) => read(&text),
        Err(_) => Err(Error::malformed("is no UTF-8")),
    });
    match read {
        Ok(value) => Some(value),
        Err(error) if error.kind() == Kind::Io => {
            failures.push(error.to_string());
            None
        }
        Err(error) => {
            failures.push(format!("`{name}` {}", error.message()));
            None
        }
    }
}

/// What stands between two lines of three dashes at the beginning; null if nothing does.
fn front_matter(text: &str) -> Result<Value> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let Some(rest) = text.strip_prefix("---") else {
        return Ok(Value::Null);
    };
    let Some((first, rest)) = rest.split_once('\n') else {
        return Ok(Value::Null);
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return match first.trim().is_empty() {
                true => yaml::parse(rest.get(..end).unwrap_or_default()),
                false => Ok(Value::Null),
            };
        }
        end = end.saturating_add(line.len());
    }
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_stands_between_dashes_at_the_start() {
        let card = front_matter("---\r\nlicense: mit\r\n---\r\n# A model\n").unwrap();
        assert_eq!(card.get("license"), Some(&Value::text("mit")));
        assert_eq!(
            front_matter("# A model\n---\nlicense: mit\n---\n").unwrap(),
            Value::Null
        );
        assert_eq!(front_matter("---\nlicense: mit\n").unwrap(), Value::Null);
        assert!(front_matter("---\nlicense: [mit\n---\n").is_err());
    }

    #[test]
    fn a_configuration_is_that_of_a_file_named_by_a_library() {
        for name in [
            "model.safetensors",
            "model-00001-of-00002.safetensors",
            "adapter_model.bin",
        ] {
            assert!(is_whole_model(Path::new(name)), "{name}");
        }
        for name in [
            "modelling.safetensors",
            "my_model.safetensors",
            "sdxl.safetensors",
        ] {
            assert!(!is_whole_model(Path::new(name)), "{name}");
        }
    }
}
