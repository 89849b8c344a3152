//! What the tests share: where the test data lies, and what it must read as.

use ckpt::model::{Checkpoint, Tensor, Value};
use ckpt::stream::Reader;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A path below `testdata/`.
pub(crate) fn testdata(relative: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    if relative.is_empty() {
        root
    } else {
        root.join(relative)
    }
}

/// The files below `folder` whose name `wanted` accepts, sorted, at any depth.
pub(crate) fn files_below(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path.file_name().unwrap().to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Files and folders of test data that must read well, each with its expectation.
pub(crate) fn good_files() -> Vec<(PathBuf, Json)> {
    let expectations = files_below(&testdata(""), &|name| name.ends_with(".expected.json"));
    assert!(expectations.len() > 100, "{} found", expectations.len());
    let pair = |path: PathBuf| {
        let json = read_json(&path);
        let name = path.to_string_lossy().into_owned();
        (
            PathBuf::from(name.strip_suffix(".expected.json").unwrap()),
            json,
        )
    };
    expectations.into_iter().map(pair).collect()
}

/// Files and folders that must fail, with what `why.json` says about them.
pub(crate) fn bad_files() -> Vec<(PathBuf, Json)> {
    let Json::Object(reasons) = read_json(&testdata("bad/why.json")) else {
        panic!("bad/why.json is no object");
    };
    assert!(reasons.len() > 100, "{} found", reasons.len());
    let pair = |(name, reason): (String, Json)| (testdata("bad").join(name), reason);
    reasons.into_iter().map(pair).collect()
}

pub(crate) fn read_json(path: &Path) -> Json {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

/// The SHA-256 of `bytes`, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Everything in which `found` differs from the expectation, one line each.
///
/// Names, dtypes, shapes, ties and canonical bytes are compared, in order unless the
/// expectation says `"ordered": false`; of the rest only what it names.
pub(crate) fn mismatches(found: &Checkpoint, expected: &Json) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |what: &str, found: Json| {
        if let Some(expected) = expected.get(what).filter(|expected| **expected != found) {
            out.push(format!("{what}: found {found}, expected {expected}"));
        }
    };
    check("format", found.format.into());
    check("variant", found.variant.as_str().into());
    check("root", found.root.as_deref().into());
    if expected.get("danger").is_some() {
        let is_danger = |note: &ckpt::model::Note| note.level == ckpt::model::Level::Danger;
        check("danger", found.notes.iter().any(is_danger).into());
    }
    for section in ["metadata", "values"] {
        let have = match section {
            "metadata" => &found.metadata,
            _ => &found.values,
        };
        for (key, expected) in expected
            .get(section)
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            let value = have.iter().find(|(k, _)| k == key).map(|(_, v)| json_of(v));
            if value.as_ref() != Some(expected) {
                out.push(format!(
                    "{section} `{key}`: found {value:?}, expected {expected}"
                ));
            }
        }
    }
    for rule in expected
        .get("notes")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        if !found.notes.iter().any(|note| note.rule == rule) {
            out.push(format!("no note `{rule}`"));
        }
    }
    out.extend(tensor_mismatches(&found.tensors, expected));
    out
}

pub(crate) fn tensor_mismatches(found: &[Tensor], expected: &Json) -> Vec<String> {
    let wanted = expected["tensors"].as_array().unwrap();
    let names: Vec<&str> = wanted.iter().map(|t| t["name"].as_str().unwrap()).collect();
    let mut by_name: HashMap<&str, &Tensor> = found.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut out = Vec::new();
    for wanted in wanted {
        let name = wanted["name"].as_str().unwrap();
        match by_name.remove(name) {
            Some(tensor) => {
                out.extend(differences(tensor, wanted).map(|text| format!("`{name}`: {text}")))
            }
            None => out.push(format!("`{name}`: is missing")),
        }
    }
    let mut extra: Vec<&&str> = by_name.keys().collect();
    extra.sort();
    if expected["subset"] != true {
        out.extend(
            extra
                .iter()
                .map(|name| format!("`{name}`: is not expected")),
        );
    }
    if out.is_empty() && expected["ordered"] != false && expected["subset"] != true {
        let order: Vec<&str> = found.iter().map(|t| t.name.as_str()).collect();
        if order != names {
            out.push(format!("order: found {order:?}, expected {names:?}"));
        }
    }
    out
}

fn differences(tensor: &Tensor, wanted: &Json) -> Option<String> {
    let mut out = Vec::new();
    let mut check = |what: &str, found: Json| {
        if let Some(wanted) = wanted.get(what).filter(|wanted| **wanted != found) {
            out.push(format!("{what} is {found}, expected {wanted}"));
        }
    };
    check("dtype", tensor.dtype.to_string().into());
    check("shape", tensor.shape.dimensions().into());
    check("tied_to", tensor.tied_to.as_deref().into());
    match Reader::open(tensor).and_then(|reader| reader.read_all()) {
        Ok(bytes) => {
            check("nbytes", bytes.len().into());
            check("sha256", sha256(&bytes).into());
        }
        // Meta tensors and unknown types have no bytes to read.
        Err(_) if wanted["sha256"].is_null() => {}
        Err(error) => check("sha256", format!("unreadable: {error}").into()),
    }
    (!out.is_empty()).then(|| out.join("; "))
}

/// A value as JSON, long arrays by their beginning.
pub(crate) fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Unsigned(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(k, v)| (k.clone(), json_of(v)))
            .collect(),
        Value::Array(array) => array.first.iter().map(json_of).collect(),
    }
}

/// Fails with everything that was collected, if there is anything.
pub(crate) fn assert_none(what: &str, failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} {what}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A path as people know it: below `testdata/`.
pub(crate) fn short(path: &Path) -> String {
    let path = path.strip_prefix(testdata("")).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}
