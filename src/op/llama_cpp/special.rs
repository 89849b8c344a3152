//! Which tokens begin, end, pad; whether they are added; the chat template.
//!
//! Source: gguf-py, `SpecialVocab`.

use super::config::Config;
use super::entries::Entries;
use super::vocabulary::TOKENIZER_CONFIG;
use crate::error::Result;
use crate::model::{LanguageFiles, Value};

/// Roles: what Hugging Face calls them, and GGUF's key for the token's number.
const ROLES: &[(&str, &str)] = &[
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"),
    ("pad", "padding_token_id"),
    ("cls", "cls_token_id"),
    ("mask", "mask_token_id"),
];

/// Roles whose tokens GGUF can say are added to each text.
const ADDED: &[&str] = &["bos", "eos", "sep"];

/// Adds the numbers of special tokens, whether they are added, and the chat template. `rows`:
/// those of the embedding.
pub(super) fn add(
    entries: &mut Entries,
    files: &LanguageFiles,
    config: Config<'_>,
    rows: u32,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut ids: Vec<(&str, u64)> = Vec::new();
    let added = added_tokens(files);
    for (role, _) in ROLES {
        let stated = role_text(files, role);
        let found = added.iter().find(|(text, _)| Some(*text) == stated);
        ids.extend(found.map(|(_, id)| (*role, *id)));
    }
    for (role, _) in ROLES {
        // A list of several, as for `eos_token_id`, names none of them.
        let id = config.value.get(&format!("{role}_token_id"));
        ids.extend(id.and_then(Value::as_u64).map(|id| (*role, id)));
    }
    for (role, id) in ids {
        let key = ROLES.iter().find(|(known, _)| *known == role);
        let Some((_, key)) = key else { continue };
        match u32::try_from(id) {
            Ok(id) if id < rows => entries.count(format!("tokenizer.ggml.{key}"), id),
            _ => notes.push(format!(
                "warning: `{role}_token_id` is {id}, and there are {rows} tokens: left out"
            )),
        }
    }
    for (role, is_added) in added_roles(files)? {
        entries.flag(format!("tokenizer.ggml.add_{role}_token"), is_added);
    }
    add_template(entries, files);
    Ok(())
}

/// The texts of all roles that `tokenizer_config.json` names.
pub(super) fn roles(files: &LanguageFiles) -> Vec<&str> {
    let texts = ROLES.iter().filter_map(|(role, _)| role_text(files, role));
    texts.collect()
}

/// The token of a role: a text, or an object with it.
fn role_text<'a>(files: &'a LanguageFiles, role: &str) -> Option<&'a str> {
    let config = files.tokenizer_config.as_ref()?;
    let entry = config.get(&format!("{role}_token"))?;
    entry.as_text().or_else(|| entry.get("content")?.as_text())
}

/// Tokens that `tokenizer.json` adds, with their numbers.
fn added_tokens(files: &LanguageFiles) -> Vec<(&str, u64)> {
    let tokenizer = files.tokenizer.as_ref();
    let Some(Value::List(added)) = tokenizer.and_then(|value| value.get("added_tokens")) else {
        return Vec::new();
    };
    let token = |value: &'_ Value| value.get("id").and_then(Value::as_u64);
    let text = |value| Value::get(value, "content").and_then(Value::as_text);
    let pairs = added
        .iter()
        .filter_map(|value| Some((text(value)?, token(value)?)));
    pairs.collect()
}

/// What stands before and after each text: the post-processor's word counts, then the
/// configuration's.
fn added_roles(files: &LanguageFiles) -> Result<Vec<(&'static str, bool)>> {
    let mut found: Vec<(&'static str, bool)> = Vec::new();
    let mut set = |role: &'static str, flag: bool, replaces: bool| match found
        .iter_mut()
        .find(|(known, _)| *known == role)
    {
        Some((_, old)) if replaces => *old = flag,
        Some(_) => {}
        None => found.push((role, flag)),
    };
    let bos = role_text(files, "bos").or_else(|| role_text(files, "cls"));
    let eos = role_text(files, "eos").or_else(|| role_text(files, "sep"));
    for processor in processors(files) {
        match processor.get("type").and_then(Value::as_text) {
            Some("ByteLevel") => {
                set("bos", false, false);
                set("eos", false, false);
            }
            Some("RobertaProcessing") => {
                for role in ADDED {
                    set(role, true, true);
                }
            }
            Some("TemplateProcessing") => {
                let (first, last) = ends(processor, "single");
                if let Some(first) = first {
                    set("bos", bos.is_none_or(|bos| bos == first), true);
                }
                if let Some(last) = last {
                    set("eos", eos.is_none_or(|eos| eos == last), true);
                }
                if let Some(is_added) = separates(processor, first, last, eos) {
                    set("sep", is_added, true);
                }
            }
            _ => {}
        }
    }
    if let Some(value) = &files.tokenizer_config {
        let path = files.path_of(TOKENIZER_CONFIG);
        let config = Config { value, file: &path };
        for (role, key) in [
            ("bos", "add_bos_token"),
            ("eos", "add_eos_token"),
            ("sep", "add_sep_token"),
        ] {
            if let Some(flag) = config.flag(key)? {
                set(role, flag, false);
            }
        }
    }
    Ok(found)
}

/// The post-processors of `tokenizer.json`, one after the other.
fn processors(files: &LanguageFiles) -> Vec<&Value> {
    let tokenizer = files.tokenizer.as_ref();
    let Some(outer) = tokenizer.and_then(|value| value.get("post_processor")) else {
        return Vec::new();
    };
    match outer.get("processors") {
        Some(Value::List(inner)) => inner.iter().collect(),
        _ => vec![outer],
    }
}

/// The special tokens with which a template of over one part begins and ends.
fn ends<'a>(processor: &'a Value, key: &str) -> (Option<&'a str>, Option<&'a str>) {
    match processor.get(key) {
        Some(Value::List(parts)) if parts.len() > 1 => (
            parts.first().and_then(special),
            parts.last().and_then(special),
        ),
        _ => (None, None),
    }
}

/// The token of a part of a template, if it is a special one.
fn special(part: &Value) -> Option<&str> {
    part.get("SpecialToken")?.get("id")?.as_text()
}

/// Whether a template puts a separator between two texts; `None` if nothing stands there.
fn separates(
    processor: &Value,
    first: Option<&str>,
    last: Option<&str>,
    eos: Option<&str>,
) -> Option<bool> {
    let Some(Value::List(pair)) = processor.get("pair") else {
        return None;
    };
    let mut parts = pair.as_slice();
    if let [part, rest @ ..] = parts
        && first.is_some()
        && special(part) == first
    {
        parts = rest;
    }
    if let [rest @ .., part] = parts
        && last.is_some()
        && special(part) == last
    {
        parts = rest;
    }
    let sequence = |part: &Value, id: &str| {
        let found = part.get("Sequence").and_then(|sequence| sequence.get("id"));
        found.and_then(Value::as_text) == Some(id)
    };
    let [a, between @ .., b] = parts else {
        return None;
    };
    if !sequence(a, "A") || !sequence(b, "B") || between.is_empty() {
        return None;
    }
    let is_separator = |part: &Value| special(part).is_some() && special(part) == eos;
    let is_one = is_separator(&between[0]) && last.is_none();
    Some(is_one || between.get(1).is_some_and(is_separator))
}

/// The chat template, or several with names.
fn add_template(entries: &mut Entries, files: &LanguageFiles) {
    const KEY: &str = "tokenizer.chat_template";
    let config = files.tokenizer_config.as_ref();
    match config.and_then(|config| config.get("chat_template")) {
        Some(Value::Text(text)) => entries.text(KEY, text),
        Some(Value::List(templates)) => {
            let part = |value: &Value, key| value.get(key)?.as_text().map(str::to_owned);
            let templates = templates
                .iter()
                .filter_map(|value| Some((part(value, "name")?, part(value, "template")?)));
            let mut names = Vec::new();
            for (name, template) in templates {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let name: String = name
                    .chars()
                    .map(|c| if is_plain(c) { c } else { '_' })
                    .collect();
                match name.as_str() {
                    "default" => entries.text(KEY, template),
                    _ => {
                        entries.text(format!("{KEY}.{name}"), template);
                        names.push(name);
                    }
                }
            }
            if !names.is_empty() {
                entries.texts("tokenizer.chat_templates", names);
            }
        }
        _ => {
            if let Some(text) = &files.chat_template {
                entries.text(KEY, text);
            }
        }
    }
}
