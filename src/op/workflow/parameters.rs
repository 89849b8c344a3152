//! The parameters that A1111 writes under a picture.
//!
//! ```text
//! a prompt <lora:name:0.8>
//! Negative prompt: another
//! Steps: 20, Model hash: 6ce0161689, Model: name, Lora hashes: "name: 12hex", Hashes: {json}
//! ```

use super::{Hash, Need};
use crate::model::{Value, json};

/// How the last part begins.
const STEPS: &str = "Steps: ";

/// What an extra network's tag is called, and the folder it looks in.
const TAGS: &[(&str, &str)] = &[
    ("lora", "loras"),
    ("lyco", "loras"),
    ("hypernet", "hypernetworks"),
];

/// Keys whose value is a model, the key of its hash, and the folder it is looked for in.
const MODELS: &[(&str, &str, &str)] = &[
    ("Model", "Model hash", "checkpoints"),
    ("Refiner", "", "checkpoints"),
    ("VAE", "VAE hash", "vae"),
    ("Hires checkpoint", "", "checkpoints"),
];

/// Keys whose value is `"NAME: HASH, ..."`.
const LISTS: &[(&str, &str)] = &[("Lora hashes", "loras"), ("TI hashes", "embeddings")];

/// The needs that `text` names; `None` if these are no parameters.
pub(super) fn read(text: &str) -> Option<Vec<Need>> {
    let start = match text.starts_with(STEPS) {
        true => 0,
        false => text.rfind(&format!("\n{STEPS}"))? + 1,
    };
    let (prompt, settings) = text.split_at(start);
    let settings = pairs(settings);
    let value = |key: &str| {
        let found = settings.iter().find(|(k, _)| *k == key);
        found.map(|(_, value)| value.as_str())
    };
    let mut needs = Needs::default();
    for (key, hash, folder) in MODELS {
        if let Some(name) = value(key) {
            let (name, short) = split_hash(name);
            needs.add(folder, name, value(hash).or(short));
        }
    }
    for (folder, name) in tags(prompt) {
        needs.add(folder, name, None);
    }
    for (key, folder) in LISTS {
        for item in value(key).unwrap_or_default().split(',') {
            if let Some((name, hash)) = item.rsplit_once(':') {
                needs.add(folder, name, Some(hash));
            }
        }
    }
    for (key, value) in &settings {
        if key.starts_with("ControlNet ") {
            let inner = pairs(value);
            let model = inner.iter().find(|(key, _)| *key == "Model");
            if let Some((_, model)) = model {
                let (name, hash) = split_hash(model);
                needs.add("controlnet", name, hash);
            }
        }
    }
    needs.add_hashes(value("Hashes").unwrap_or_default());
    Some(needs.needs)
}

/// The `<KIND:NAME:WEIGHT>` of a prompt, as folder and name.
pub(super) fn tags(text: &str) -> impl Iterator<Item = (&'static str, &str)> {
    text.match_indices('<').filter_map(|(start, _)| {
        let rest = &text[start + 1..];
        let (kind, rest) = rest.split_once(':')?;
        let (_, folder) = TAGS.iter().find(|(tag, _)| *tag == kind)?;
        let end = rest.find([':', '>', '\n'])?;
        let name = rest[..end].trim();
        (!name.is_empty() && name.len() <= 1024).then_some((*folder, name))
    })
}

#[derive(Default)]
struct Needs {
    needs: Vec<Need>,
}

/// Files that one set of parameters may name.
const NEEDS: usize = 1000;

impl Needs {
    fn add(&mut self, folder: &str, name: &str, hash: Option<&str>) {
        let name = name.trim();
        let is_none = super::nodes::is_no_file(name) || name == "Automatic";
        if is_none || name.len() > 1024 || self.needs.len() >= NEEDS {
            return;
        }
        let hash = hash.and_then(|hash| Hash::new(hash, None));
        let known = self.needs.iter_mut();
        let mut known = known.filter(|need| need.folder.as_deref() == Some(folder));
        if let Some(need) = known.find(|need| need.file == name) {
            need.hash = need.hash.take().or(hash);
            return;
        }
        self.needs.push(Need {
            file: name.to_owned(),
            folder: Some(folder.to_owned()),
            is_folder_certain: true,
            is_loose: true,
            hash,
            ..Need::default()
        });
    }

    /// `{"model": HASH, "vae": HASH, "lora:NAME": HASH, "embed:NAME": HASH}`.
    fn add_hashes(&mut self, text: &str) {
        let Ok(Value::Map(entries)) = json::parse(text) else {
            return;
        };
        for (key, value) in &entries {
            let Some(hash) = value.as_text() else {
                continue;
            };
            match key.split_once(':') {
                Some(("lora" | "lyco", name)) => self.add("loras", name, Some(hash)),
                Some(("embed", name)) => self.add("embeddings", name, Some(hash)),
                Some(("hypernet", name)) => self.add("hypernetworks", name, Some(hash)),
                Some(_) => {}
                None => {
                    let folder = match key.as_str() {
                        "model" => "checkpoints",
                        "vae" => "vae",
                        _ => continue,
                    };
                    let mut needs = self.needs.iter_mut();
                    let need = needs.find(|need| need.folder.as_deref() == Some(folder));
                    if let Some(need) = need.filter(|need| need.hash.is_none()) {
                        need.hash = Hash::new(hash, None);
                    }
                }
            }
        }
    }
}

/// `NAME [HASH]`.
fn split_hash(text: &str) -> (&str, Option<&str>) {
    match text
        .trim()
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(" ["))
    {
        Some((name, hash)) => (name, Some(hash)),
        None => (text, None),
    }
}

/// `KEY: VALUE, KEY: VALUE`, where a value may be a quoted text or JSON in braces.
fn pairs(text: &str) -> Vec<(&str, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once(':') {
        let after = after.trim_start();
        let (value, end) = match after.as_bytes().first() {
            Some(b'"') => quoted(after),
            Some(b'{') => braced(after),
            _ => {
                let end = after.find([',', '\n']).unwrap_or(after.len());
                (after[..end].trim().to_owned(), end)
            }
        };
        pairs.push((key.trim_matches([',', ' ', '\n', '\r']), value));
        if pairs.len() > NEEDS {
            break;
        }
        rest = after[end..].trim_start_matches([',', ' ', '\n', '\r']);
    }
    pairs
}

/// The text in quotes at the start, and where it ends.
fn quoted(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut is_escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => {
                value.push(if c == 'n' { '\n' } else { c });
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (value, offset + 1),
            c => value.push(c),
        }
    }
    (value, text.len())
}

/// The braces at the start with all in them, and where they end.
fn braced(text: &str) -> (String, usize) {
    let mut depth = 0usize;
    let (mut is_text, mut is_escaped) = (false, false);
    for (offset, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_text,
            '"' => is_text = !is_text,
            '{' if !is_text => depth += 1,
            '}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return (text[..=offset].to_owned(), offset + 1);
        }
    }
    (text.to_owned(), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_models_tags_and_hashes() {
        let text = "a <b> cat <lora:more_details:0.5>\nNegative prompt: easynegative\nSteps: 20, \
                    Sampler: DPM++ 2M, CFG scale: 7, Model hash: 6ce0161689, Model: v1-5-pruned, \
                    VAE hash: 735e4c3a44, VAE: vae-ft-mse.safetensors, ControlNet 0: \"Module: canny, \
                    Model: control_canny [d14c016b], Weight: 1\", Lora hashes: \"more_details: \
                    3b8aa1d351ef\", TI hashes: \"easynegative: c74b4e810b03\", Version: v1.6.0";
        let found: Vec<(String, String, String)> = read(text)
            .unwrap()
            .into_iter()
            .map(|need| {
                let hash = need.hash.map(|hash| hash.text).unwrap_or_default();
                (need.file, need.folder.unwrap(), hash)
            })
            .collect();
        let expected = [
            ("v1-5-pruned", "checkpoints", "6ce0161689"),
            ("vae-ft-mse.safetensors", "vae", "735e4c3a44"),
            ("more_details", "loras", "3b8aa1d351ef"),
            ("easynegative", "embeddings", "c74b4e810b03"),
            ("control_canny", "controlnet", "d14c016b"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(read("a poem: with colons"), None);
    }
}
