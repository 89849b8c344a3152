//! What checkpoints are: descriptions of real models must be recognised as what they are.

use crate::support::{assert_none, files_below, short, testdata};
use ckpt::format;
use ckpt::model::{Beside, Checkpoint};
use ckpt::op::identity::{Identity, Kind, identify};
use serde_json::{Map, json};
use std::io::Write;
use std::path::Path;

/// A described model: what must be recognised, and its tensors.
struct Description {
    expected: Vec<(String, String)>,
    tensors: Vec<(String, String, Vec<u64>)>,
}

fn read_description(path: &Path) -> Description {
    let text = std::fs::read_to_string(path).unwrap();
    let mut description = Description {
        expected: Vec::new(),
        tensors: Vec::new(),
    };
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(expected) = line.strip_prefix("= ") {
            let (key, value) = expected.split_once(' ').unwrap();
            description
                .expected
                .push((key.to_owned(), value.to_owned()));
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let shape = words[2].split(',').filter(|word| !word.is_empty());
        let shape: Vec<u64> = shape.map(|word| word.parse().unwrap()).collect();
        for name in expand(words[0]) {
            description
                .tensors
                .push((name, words[1].to_owned(), shape.clone()));
        }
    }
    description
}

/// `a.{0-2}.b` as three names.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (range, after) = rest.split_once('}').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    let tails = expand(after);
    let name = |number: u64| {
        tails
            .iter()
            .map(move |tail| format!("{before}{number}{tail}"))
    };
    (first..=last).flat_map(name).collect()
}

/// A safetensors file with these tensors whose data is a hole.
fn open_as_safetensors(tensors: &[(String, String, Vec<u64>)]) -> Checkpoint {
    let mut header = Map::new();
    let mut end = 0u64;
    for (name, dtype, shape) in tensors {
        let bytes = match dtype.as_str() {
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" => 2,
            "I64" => 8,
            _ => 1,
        };
        let start = end;
        end += bytes * shape.iter().product::<u64>();
        header.insert(
            name.clone(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let text = serde_json::to_vec(&header).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&text).unwrap();
    file.as_file().set_len(8 + text.len() as u64 + end).unwrap();
    format::open(file.path()).unwrap()
}

/// What is wrong with the identity of a described model.
fn mismatches(identity: &Identity, description: &Description) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, expected) in &description.expected {
        let found = match key.as_str() {
            "kind" => Some(identity.kind.name().to_owned()),
            "family" => identity.family.clone(),
            "variant" => identity.variant.clone(),
            key => {
                let fact = identity.facts.iter().find(|fact| fact.name == *key);
                fact.map(|fact| fact.value.to_string())
            }
        };
        if found.as_ref() != Some(expected) {
            wrong.push(format!("{key} is {found:?}, expected {expected}"));
        }
    }
    wrong
}

#[test]
fn recognises_every_described_model() {
    let files = files_below(&testdata("identity"), &|name| name.ends_with(".txt"));
    assert!(files.len() > 150, "{} found", files.len());
    let mut failures = Vec::new();
    for path in files {
        let description = read_description(&path);
        let checkpoint = open_as_safetensors(&description.tensors);
        let identity = identify(&checkpoint, &Beside::default());
        let wrong = mismatches(&identity, &description);
        failures.extend(
            wrong
                .into_iter()
                .map(|text| format!("{}: {text}", short(&path))),
        );
        if identity.kind != Kind::Unknown && identity.evidence.is_empty() {
            failures.push(format!("{}: no evidence", short(&path)));
        }
    }
    assert_none("models are not recognised", &failures);
}
