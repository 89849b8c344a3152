//! Code in texts: chat templates that reach behind their values, and scripts, pickles and
//! archives in metadata.

use super::Policy;
use super::files::{Scan, Spot};
use crate::io::Source;
use crate::model::{Level, Note, Value};

/// Names by which a template leaves its sandbox.
const SPECIAL: &[&str] = &[
    "__class__",
    "__base__",
    "__bases__",
    "__mro__",
    "__subclasses__",
    "__globals__",
    "__builtins__",
    "__import__",
    "__init__",
    "__dict__",
    "__code__",
    "__getattribute__",
    "__getattr__",
    "__loader__",
    "__spec__",
    "__reduce__",
    "_TemplateReference__context",
    "func_globals",
    "gi_frame",
    "f_globals",
];

/// Calls that nobody needs in metadata.
const SCRIPTS: &[&str] = &[
    "<script",
    "javascript:",
    "__import__(",
    "os.system(",
    "os.popen(",
    "subprocess.",
    "eval(compile(",
    "exec(base64",
    "exec(compile(",
    "pickle.loads(",
    "marshal.loads(",
    "powershell -",
];

/// Looks through the texts of a checkpoint's metadata, keys in front.
pub fn scan_metadata(path: &str, metadata: &[(String, Value)], policy: &Policy) -> Vec<Note> {
    let mut scan = Scan::new(policy);
    for (key, value) in metadata {
        look(&mut scan, path, key, value, 0);
    }
    scan.into_notes()
}

/// Looks through a file of templates, or the templates in a JSON file.
pub fn scan_templates(path: &str, text: &str) -> Vec<Note> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => {
            let mut notes = Vec::new();
            templates_in(&json, &mut notes);
            notes
        }
        Err(_) => template(path, text).into_iter().collect(),
    }
}

fn templates_in(json: &serde_json::Value, notes: &mut Vec<Note>) {
    match json {
        serde_json::Value::String(text) if text.contains("{%") || text.contains("{{") => {
            notes.extend(template("a template", text));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|i| templates_in(i, notes)),
        serde_json::Value::Object(map) => map.values().for_each(|i| templates_in(i, notes)),
        _ => {}
    }
}

fn look(scan: &mut Scan<'_>, path: &str, key: &str, value: &Value, depth: usize) {
    match value {
        Value::Text(text) => {
            let spot = Spot::default().inside(&format!("metadata `{key}`"));
            if key.contains("chat_template") {
                template(key, text)
                    .into_iter()
                    .for_each(|note| scan.say(note, &Spot::default()));
            } else if let Some(note) = script(key, text) {
                scan.say(note, &Spot::default());
            }
            let inner = Source::from_bytes(path, text.as_bytes());
            if let Err(error) = scan.hidden(&inner, &spot) {
                scan.failed(&error, &spot);
            }
        }
        Value::List(items) if depth < 8 => {
            items
                .iter()
                .for_each(|item| look(scan, path, key, item, depth.saturating_add(1)));
        }
        Value::Map(entries) if depth < 8 => {
            for (inner, value) in entries {
                look(
                    scan,
                    path,
                    &format!("{key}.{inner}"),
                    value,
                    depth.saturating_add(1),
                );
            }
        }
        _ => {}
    }
}

/// A text in metadata that is a script, or holds one.
fn script(key: &str, text: &str) -> Option<Note> {
    let found = match text.starts_with("#!") {
        true => Some("#!"),
        false => SCRIPTS.iter().copied().find(|script| text.contains(script)),
    };
    let text = format!(
        "metadata `{key}` holds `{}`, which reads like program code",
        found?
    );
    Some(Note::new("script-in-metadata", Level::Warning, text))
}

/// What a Jinja template does that no chat template needs: the worst of it.
fn template(key: &str, text: &str) -> Option<Note> {
    let mut note: Option<Note> = None;
    for block in blocks(text) {
        let found = judge(block);
        let Some((level, what)) = found else { continue };
        if note.as_ref().is_none_or(|note| note.level < level) {
            let text = format!("template `{key}` {what}");
            note = Some(Note::new("template-escape", level, text));
        }
    }
    note
}

fn judge(block: &str) -> Option<(Level, String)> {
    if let Some(name) = SPECIAL.iter().find(|name| block.contains(*name)) {
        let what = format!("reaches `{name}`, behind its values, into the running program");
        return Some((Level::Danger, what));
    }
    if ["\\x5f", "\\u005f", "\\137"]
        .iter()
        .any(|escape| block.contains(escape))
    {
        let what = "spells an underscore by its number, as if to hide a name".to_owned();
        return Some((Level::Danger, what));
    }
    let plain: String = block.split_whitespace().collect();
    if plain.contains("|attr(") || plain.contains("getattr(") {
        let what = "reaches attributes whose names it computes".to_owned();
        return Some((Level::Danger, what));
    }
    let word = block
        .trim_start_matches(['-', '+'])
        .split_whitespace()
        .next();
    if let Some(word @ ("import" | "include" | "extends" | "from")) = word {
        return Some((Level::Error, format!("loads another template by `{word}`")));
    }
    None
}

/// What stands between `{{` and `}}`, and between `{%` and `%}`.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find("{%").into_iter().chain(rest.find("{{")).min()?;
        let inner = rest.get(start.saturating_add(2)..)?;
        let close = match rest.get(start..)?.starts_with("{%") {
            true => "%}",
            false => "}}",
        };
        let end = inner.find(close).unwrap_or(inner.len());
        let (block, after) = inner.split_at_checked(end)?;
        rest = after;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_templates_pass() {
        let text = "{% set ns = namespace(found=false) %}{%- for m in messages | map(attribute='role') %}\
            {{ '<|' + m['role'] + '|>' + m.content|trim|tojson }}{% if loop.last %}import __class__{% endif %}\
            {%- macro x(y) %}{{ y.items() }}{% endmacro %}{{ raise_exception('from import') }}";
        // What stands outside of blocks is only printed.
        assert_eq!(template("t", text), None);
    }

    #[test]
    fn ways_out_of_the_sandbox_are_found() {
        for text in [
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{% for x in ()['__class__'] %}{% endfor %}",
            "{{ cycler|attr('__in' ~ 'it__') }}",
            "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        ] {
            assert_eq!(
                template("t", text).map(|note| note.level),
                Some(Level::Danger),
                "{text}"
            );
        }
        let level = template("t", "{%- include 'a' %}").map(|note| note.level);
        assert_eq!(level, Some(Level::Error));
    }
}
