//! What trainers write into an adapter's metadata, readably, and what of it is private.
//!
//! Source: sd-scripts, `train_network.py`; ModelSpec 1.0.1.

use crate::model::{Checkpoint, Value, json};

/// Tags that are listed.
const TAGS: usize = 20;

/// Paths of one key that are listed.
const PATHS: usize = 3;

/// Bytes of one value that are searched for paths.
const SEARCHED: usize = 4 << 20;

/// How something was trained.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    /// What and how, in order.
    pub entries: Vec<(&'static str, String)>,
    /// The tags of the captions, the most frequent first.
    pub tags: Vec<(String, u64)>,
    /// How many tags there are.
    pub tag_count: usize,
    /// Keys whose values have paths of the machine they were written on, and the first of them.
    pub private: Vec<(String, Vec<String>)>,
}

/// Keys, and what they say.
const KEYS: &[(&str, &str)] = &[
    ("modelspec.title", "title"),
    ("modelspec.author", "author"),
    ("modelspec.date", "date"),
    ("modelspec.description", "description"),
    ("modelspec.usage_hint", "usage hint"),
    ("modelspec.trigger_phrase", "trigger phrase"),
    ("modelspec.tags", "tags"),
    ("modelspec.resolution", "resolution"),
    ("modelspec.prediction_type", "prediction"),
    ("modelspec.merged_from", "merged from"),
    ("ss_output_name", "name"),
    ("ss_base_model_version", "base version"),
    ("ss_sd_model_name", "base model"),
    ("ss_network_module", "network"),
    ("ss_network_dim", "rank"),
    ("ss_network_alpha", "alpha"),
    ("ss_num_train_images", "images"),
    ("ss_num_epochs", "epochs"),
    ("ss_steps", "steps"),
    ("ss_max_train_steps", "steps planned"),
    ("ss_total_batch_size", "batch size"),
    ("ss_learning_rate", "learning rate"),
    ("ss_unet_lr", "learning rate, unet"),
    ("ss_text_encoder_lr", "learning rate, text encoder"),
    ("ss_lr_scheduler", "scheduler"),
    ("ss_optimizer", "optimizer"),
    ("ss_resolution", "resolution"),
    ("ss_clip_skip", "clip skip"),
    ("ss_mixed_precision", "precision"),
    ("ss_noise_offset", "noise offset"),
    ("ss_seed", "seed"),
    ("ss_training_comment", "comment"),
];

/// What the metadata say about training; `None` if nothing.
pub fn read(checkpoint: &Checkpoint) -> Option<Training> {
    let text = |key: &str| {
        let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
        found.and_then(|(_, value)| value.as_text())
    };
    let mut training = Training::default();
    for (key, name) in KEYS {
        // Python's None is how trainers leave a key unset.
        if let Some(text) = text(key).filter(|text| !matches!(text.trim(), "" | "None")) {
            training.entries.push((name, text.to_owned()));
        }
    }
    let time = |key: &str| text(key)?.parse::<f64>().ok().filter(|time| *time > 0.0);
    if let (Some(start), Some(end)) = (
        time("ss_training_started_at"),
        time("ss_training_finished_at"),
    ) && end >= start
    {
        training.entries.push(("took", hours(end - start)));
    }
    if let Some(tags) = text("ss_tag_frequency") {
        add_tags(&mut training, tags);
    }
    add_private(&mut training, checkpoint);
    let is_empty =
        training.entries.is_empty() && training.tags.is_empty() && training.private.is_empty();
    (!is_empty).then_some(training)
}

fn hours(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0..60 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Adds up the tags of all folders.
fn add_tags(training: &mut Training, text: &str) {
    let Ok(Value::Map(folders)) = json::parse(text) else {
        return;
    };
    let mut counts: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    for (_, tags) in folders {
        let Value::Map(tags) = tags else {
            continue;
        };
        for (tag, count) in tags {
            let sum = counts.entry(tag.trim().to_owned()).or_default();
            *sum = sum.saturating_add(count.as_u64().unwrap_or(0));
        }
    }
    training.tag_count = counts.len();
    let mut tags: Vec<(String, u64)> = counts.into_iter().collect();
    // Stable: equal ones stay in the order of their names.
    tags.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    tags.truncate(TAGS);
    training.tags = tags;
}

/// Beginnings of paths on somebody's machine.
const ROOTS: &[&str] = &[
    "/home/",
    "/Users/",
    "/root/",
    "/mnt/",
    "/media/",
    "/workspace/",
    "/content/",
    "/kaggle/",
    "/data/",
    "/storage/",
    "/tmp/",
    "/opt/",
    "/var/",
    "/srv/",
    "file://",
    "\\\\",
];

fn add_private(training: &mut Training, checkpoint: &Checkpoint) {
    for (key, value) in &checkpoint.metadata {
        let Some(text) = value.as_text() else {
            continue;
        };
        let found = paths(text);
        if !found.is_empty() {
            training.private.push((key.clone(), found));
        }
    }
}

/// The first paths in a text.
fn paths(text: &str) -> Vec<String> {
    let end = text.len().min(SEARCHED);
    let end = (0..=end)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    let is_end = |c: char| {
        c.is_control() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '|' | '*' | '?')
    };
    let mut found: Vec<String> = Vec::new();
    for word in text[..end].split(is_end) {
        let word = word.trim_matches(|c: char| {
            c.is_whitespace() || matches!(c, '[' | ']' | '{' | '}' | '(' | ')')
        });
        let root = ROOTS.iter().filter_map(|root| word.find(root)).min();
        let root = root.filter(|start| is_beginning(word, *start));
        let start = [root, drive(word)].into_iter().flatten().min();
        let Some(path) = start.and_then(|start| word.get(start..)) else {
            continue;
        };
        // A root alone names nobody.
        if path.len() > 6 && !found.iter().any(|known| known == path) {
            found.push(path.to_owned());
        }
        if found.len() == PATHS {
            break;
        }
    }
    found
}

/// Whether a path starts there, not an address that goes on.
fn is_beginning(word: &str, start: usize) -> bool {
    let before = word[..start].chars().next_back();
    before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '/' | '-' | '_'))
}

/// Where `C:\` or `C:/` stands.
fn drive(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    bytes
        .windows(3)
        .position(|three| {
            three[0].is_ascii_alphabetic() && three[1] == b':' && matches!(three[2], b'\\' | b'/')
        })
        .filter(|start| is_beginning(word, *start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found_and_addresses_are_not() {
        assert_eq!(
            paths(r#"{"C:\\train\\10_anna": {"n": 1}}"#),
            [r"C:\\train\\10_anna"]
        );
        assert_eq!(
            paths("/home/anna/models/base.safetensors"),
            ["/home/anna/models/base.safetensors"]
        );
        assert!(paths("https://example.org/home/page").is_empty());
        assert!(paths("stable-diffusion-xl/base").is_empty());
        assert!(paths("a: /tmp").is_empty());
    }
}
