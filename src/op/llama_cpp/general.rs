//! `general.*`: how to sample, name, size, licence, where the model comes from.
//!
//! From the model card, `generation_config.json`, the configuration and the folder's name.
//! llama.cpp's converter also cuts names into base, size and version; what it only guesses is
//! left out here.
//!
//! Source: gguf-py, `Metadata` and `size_label`.

use super::config::Config;
use super::entries::Entries;
use crate::error::Result;
use crate::model::{LanguageFiles, Tensor, Value};

/// Numbers of `generation_config.json`: key, GGUF's key, whether it is a count.
const SAMPLING: &[(&str, &str, bool)] = &[
    ("top_k", "top_k", true),
    ("top_p", "top_p", false),
    ("min_p", "min_p", false),
    ("temperature", "temp", false),
    ("repetition_penalty", "penalty_repeat", false),
];

/// Texts of the model card: GGUF's key, and keys of the card, the first first.
const CARD: &[(&str, &[&str])] = &[
    ("author", &["author", "model_author", "model_creator"]),
    ("version", &["version", "model_version"]),
    ("organization", &["organization", "model_organization"]),
    ("finetune", &["finetune", "model_finetune"]),
    ("basename", &["basename", "model_basename", "model_type"]),
    ("description", &["description", "model_description"]),
];

/// Entries of one list of a card that are kept.
const MOST: usize = 1000;

pub(super) fn add(
    entries: &mut Entries,
    files: &LanguageFiles,
    config: Config<'_>,
    tensors: &[Tensor],
) -> Result<()> {
    if let Some(value) = &files.generation_config {
        let path = files.path_of("generation_config.json");
        let generation = Config { value, file: &path };
        for (theirs, ours, is_count) in SAMPLING {
            let key = format!("general.sampling.{ours}");
            if !is_count {
                if let Some(number) = generation.number(&[*theirs])? {
                    entries.number(key, number);
                }
            } else if let Some(Value::Int(number)) = value.get(theirs)
                && let Ok(number) = i32::try_from(*number)
            {
                entries.integer(key, number);
            }
        }
    }
    let empty = Value::Null;
    let card = files.beside.card.as_ref().unwrap_or(&empty);
    let text = |keys: &[&str]| keys.iter().find_map(|key| card.get(key)?.scalar_text());
    let name = text(&["name", "model_name"]).or_else(|| name(files, config));
    entries.text("general.name", name.unwrap_or_else(|| "model".to_owned()));
    for (ours, theirs) in CARD {
        if let Some(text) = text(theirs) {
            entries.text(format!("general.{ours}"), text);
        }
    }
    if let Some(size) = text(&["size_label", "model_size_label"]).or_else(|| size_label(tensors)) {
        entries.text("general.size_label", size);
    }
    let licence = texts(card, &["license"]);
    if !licence.is_empty() {
        entries.text("general.license", licence.join(","));
    }
    for (ours, theirs) in [("name", "license_name"), ("link", "license_link")] {
        if let Some(text) = text(&[theirs]) {
            entries.text(format!("general.license.{ours}"), text);
        }
    }
    add_sources(
        entries,
        "base_model",
        texts(card, &["base_model", "base_models"]),
    );
    add_sources(entries, "dataset", texts(card, &["datasets", "dataset"]));
    let mut tags = texts(card, &["tags"]);
    tags.extend(texts(card, &["pipeline_tag"]));
    let mut languages = texts(card, &["languages"]);
    languages.extend(texts(card, &["language"]));
    for (key, list) in [("general.tags", tags), ("general.languages", languages)] {
        if !list.is_empty() {
            entries.texts(key, list);
        }
    }
    Ok(())
}

/// The texts under the first of `keys` that is there: one, or a list.
fn texts(card: &Value, keys: &[&str]) -> Vec<String> {
    match keys.iter().find_map(|key| card.get(key)) {
        Some(Value::List(list)) => {
            let texts = list.iter().filter_map(Value::scalar_text);
            texts.take(MOST).collect()
        }
        Some(value) => value.scalar_text().into_iter().collect(),
        None => Vec::new(),
    }
}

/// Models or data that the model is made from.
fn add_sources(entries: &mut Entries, kind: &str, sources: Vec<String>) {
    let Ok(count) = u32::try_from(sources.len()) else {
        return;
    };
    if count > 0 {
        entries.count(format!("general.{kind}.count"), count);
    }
    for (number, source) in sources.into_iter().enumerate() {
        let key = |end: &str| format!("general.{kind}.{number}.{end}");
        let hub = "https://huggingface.co/";
        let id = match source.strip_prefix(hub) {
            None if source.contains("://") => {
                entries.text(key("repo_url"), source);
                continue;
            }
            id => id.unwrap_or(&source),
        };
        match id.split_once('/') {
            Some((organization, name)) if !id.contains(' ') => {
                entries.text(key("name"), title(name));
                entries.text(key("organization"), title(organization));
                entries.text(key("repo_url"), format!("{hub}{id}"));
            }
            _ => entries.text(key("name"), title(id)),
        }
    }
}

/// The model's name by what the configuration or the folder is called.
fn name(files: &LanguageFiles, config: Config<'_>) -> Option<String> {
    let stated = config.value.get("_name_or_path").and_then(Value::as_text);
    // More slashes make it a path of somebody's machine.
    let stated = stated.filter(|id| !id.is_empty() && id.matches('/').count() <= 1);
    let id = stated.unwrap_or(&files.folder_name);
    let id = match id.contains(' ') {
        true => id,
        false => id.split_once('/').map_or(id, |(_, name)| name),
    };
    (!id.is_empty()).then(|| title(id))
}

/// `tiny-model-v2` is `Tiny Model v2`: lower-case words get a capital, versions do not.
fn title(id: &str) -> String {
    let spaced = id.replace('-', " ");
    let words = spaced.split_whitespace().map(|word| {
        let is_lower =
            word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
        match is_lower && !is_version(word) {
            true => capitals(word),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `7b`, `v2`, `v0.3`
fn is_version(word: &str) -> bool {
    let numbers = |text: &str| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        text.split('.').all(is_number)
    };
    word.starts_with(|c: char| c.is_ascii_digit()) || word.strip_prefix('v').is_some_and(numbers)
}

/// As Python's `str.title`: a capital after each character that is no letter.
fn capitals(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut is_start = true;
    for letter in word.chars() {
        match is_start {
            true => out.extend(letter.to_uppercase()),
            false => out.extend(letter.to_lowercase()),
        }
        is_start = !letter.is_alphabetic();
    }
    out
}

/// `7.2B`, or `8x7B` where there are experts.
fn size_label(tensors: &[Tensor]) -> Option<String> {
    let (mut shared, mut expert) = (0u64, 0u64);
    let (mut experts, mut stacks) = (0u64, 0u64);
    for tensor in tensors {
        let (elements, dimensions) = (tensor.elements(), tensor.shape.dimensions());
        match dimensions
            .len()
            .checked_sub(3)
            .and_then(|at| dimensions.get(at))
        {
            Some(&count) if tensor.name.contains("_exps.") && count > 0 => {
                expert = expert.saturating_add(elements / count);
                experts = experts.saturating_add(count);
                stacks = stacks.saturating_add(1);
            }
            _ => shared = shared.saturating_add(elements),
        }
    }
    let size = rounded(shared.saturating_add(expert));
    let label = match experts.checked_div(stacks) {
        None | Some(0) => size,
        Some(count) => format!("{count}x{size}"),
    };
    (shared > 0).then_some(label)
}

/// Two digits at least: `38K`, `1.2B`, `405B`.
fn rounded(count: u64) -> String {
    let count = count as f64;
    let (scaled, suffix) = match count {
        _ if count > 1e12 => (count * 1e-12, 'T'),
        _ if count > 1e9 => (count * 1e-9, 'B'),
        _ if count > 1e6 => (count * 1e-6, 'M'),
        _ => (count * 1e-3, 'K'),
    };
    let digits = match scaled.round_ties_even() {
        whole if whole < 1.0 => 0,
        whole if whole < 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.*}{suffix}", 2 - digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Oracle: gguf-py, `model_weight_count_rounded_notation`, `Metadata.id_to_title`.
    #[test]
    fn sizes_and_titles_are_those_of_gguf_py() {
        let sizes = [
            (38_000, "38K"),
            (400, "0.40K"),
            (1_235_814_400, "1.2B"),
            (7_241_732_096, "7.2B"),
            (9_960_000_000, "10B"),
            (405_853_388_800, "406B"),
        ];
        for (count, label) in sizes {
            assert_eq!(rounded(count), label);
        }
        let titles = [
            ("llama-3.2-1b-instruct", "Llama 3.2 1b Instruct"),
            ("Mistral-7B-v0.3", "Mistral 7B v0.3"),
            ("qwen2.5-coder", "Qwen2.5 Coder"),
            ("a2b-vision", "A2B Vision"),
        ];
        for (id, name) in titles {
            assert_eq!(title(id), name);
        }
    }
}
