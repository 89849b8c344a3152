//! Code that lies openly in a zip: TorchScript, packages, and what Keras builds from its
//! configuration.

use super::files::{Scan, Spot};
use super::globals::{self, Verdict};
use crate::io::Source;
use crate::io::archive::{Content, Found, Survey};
use crate::io::inflate;
use crate::model::{Level, Note};
use serde_json::Value;

/// Bytes of a Keras configuration or a file of TorchScript that is read.
const TEXT: u64 = 64 << 20;

/// Values inside values of a configuration.
const DEPTH: usize = 100;

/// Functions of TorchScript that reach files.
const FILES: &[&str] = &[
    "torch.from_file(",
    "torch.save(",
    "torch.load(",
    "aten::from_file",
    "aten::save",
];

/// Libraries whose classes Keras builds without a word.
const KERAS: &[&str] = &[
    "keras",
    "tensorflow",
    "tf_keras",
    "keras_nlp",
    "keras_cv",
    "keras_hub",
];

/// Says what code a zip holds.
pub(super) fn scan(scan: &mut Scan<'_>, source: &Source, survey: &Survey, spot: &Spot) {
    let named = |end: &str| {
        survey
            .members
            .iter()
            .find(|found| is_called(&found.name, end))
    };
    if let Some(config) = named("config.json").filter(|_| named("metadata.json").is_some()) {
        keras(scan, source, config, spot);
    }
    let is_package = named(".data/extern_modules").is_some();
    let code = survey.members.iter().filter(|f| f.name.ends_with(".py"));
    let count = code.count();
    if is_package && count > 0 {
        let text = format!(
            "is a torch.package with {count} files of Python, which run when it is imported"
        );
        scan.say(Note::new("program-code", Level::Error, text), spot);
    } else if count > 0 {
        script(scan, source, survey, spot);
    }
}

fn is_called(name: &str, end: &str) -> bool {
    let rest = name.strip_suffix(end);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// TorchScript: code for PyTorch's own interpreter, which reaches files only by its functions.
fn script(scan: &mut Scan<'_>, source: &Source, survey: &Survey, spot: &Spot) {
    let mut count = 0usize;
    for found in survey
        .members
        .iter()
        .filter(|f| f.name.contains("/code/") && f.name.ends_with(".py"))
    {
        count = count.saturating_add(1);
        let text = read(source, found).unwrap_or_default();
        if let Some(function) = FILES.iter().find(|function| text.contains(*function)) {
            let said = format!("its TorchScript calls `{function}...)`, which reaches files");
            let note = Note::new("program-code", Level::Warning, said);
            scan.say(note, &spot.inside(&found.name));
        }
    }
    if count > 0 {
        let text = format!(
            "has {count} files of TorchScript, which PyTorch's own interpreter runs when the model is called"
        );
        scan.say(Note::new("program-code", Level::Info, text), spot);
    }
}

/// A small member as text.
fn read(source: &Source, found: &Found) -> Option<String> {
    if found.len > TEXT {
        return None;
    }
    let inner = match found.content(source).ok()? {
        Content::Stored { offset, len } => source.slice(offset, len).ok()?,
        Content::Packed(packed) => {
            inflate(packed.source(), packed.codec(), Some(found.len)).ok()?
        }
    };
    let bytes = inner.read_prefix(0, TEXT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn keras(scan: &mut Scan<'_>, source: &Source, config: &Found, spot: &Spot) {
    let inside = spot.inside(&config.name);
    let json = read(source, config).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    match json {
        Some(json) => walk(scan, source, &json, &inside, 0),
        None => {
            let text = "is no JSON that can be read, so what Keras would build from it is unknown";
            scan.say(Note::new("not-examined", Level::Error, text), &inside);
        }
    }
}

fn walk(scan: &mut Scan<'_>, source: &Source, json: &Value, spot: &Spot, depth: usize) {
    if depth > DEPTH {
        let text = format!("the configuration is nested over {DEPTH} deep");
        scan.say(Note::new("not-examined", Level::Error, text), spot);
        return;
    }
    let below = depth.saturating_add(1);
    match json {
        Value::Object(map) => {
            if let Some(class) = map.get("class_name").and_then(Value::as_str) {
                let module = map
                    .get("module")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                object(scan, class, module, map.get("config"), spot);
            }
            map.values()
                .for_each(|value| walk(scan, source, value, spot, below));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| walk(scan, source, item, spot, below)),
        Value::String(text) => {
            let inner = Source::from_bytes(source.name(), text.as_bytes());
            if let Err(error) = scan.hidden(&inner, spot) {
                scan.failed(&error, spot);
            }
        }
        _ => {}
    }
}

/// Judges one object that Keras would build.
fn object(scan: &mut Scan<'_>, class: &str, module: &str, config: Option<&Value>, spot: &Spot) {
    let mut say = |rule, level, text: String| scan.say(Note::new(rule, level, text), spot);
    if matches!(class, "Lambda" | "__lambda__" | "TorchModuleWrapper") {
        let what = match class {
            "TorchModuleWrapper" => "a whole pickle of PyTorch",
            _ => "Python bytecode of its own",
        };
        let text = format!("the configuration has a `{class}`, which carries {what}");
        return say("keras-code", Level::Danger, text);
    }
    let name = match class {
        "function" => config.and_then(Value::as_str).unwrap_or(class),
        class => class,
    };
    let top = module.split('.').next().unwrap_or_default();
    if module.is_empty() || KERAS.contains(&top) && class != "function" {
        return;
    }
    match globals::judge(module, name) {
        Verdict::Dangerous(why) => {
            say(
                "keras-code",
                Level::Danger,
                format!("would import `{module}.{name}`: {why}"),
            );
        }
        Verdict::Unknown if class == "function" && !KERAS.contains(&top) => {
            let text =
                format!("would import the function `{module}.{name}`: not known to be harmless");
            say("keras-code", Level::Error, text);
        }
        Verdict::Unknown if !KERAS.contains(&top) => {
            let text = format!("would make `{module}.{name}`: not known to be harmless");
            say("keras-code", Level::Warning, text);
        }
        _ => {}
    }
}
