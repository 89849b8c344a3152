//! What checkpoints are: descriptions of real models must be recognised as what they are.

mod gguf;
mod hostile;
mod parameters;

use crate::support::{assert_none, files_below, short, testdata};
use ckpt::format;
use ckpt::model::{Beside, Checkpoint};
use ckpt::op::identity::{Identity, Kind, identify, known};
use serde_json::{Map, json};
use std::collections::{BTreeMap, HashSet};
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

/// A model of a few tensors, those that tell what it is.
struct Signature {
    /// The lines that say what it is, and what was changed.
    said: String,
    expected: String,
    tensors: BTreeMap<String, Vec<u64>>,
}

/// `a.{0-2}.b 3,4` as three tensors; `*` for a scalar.
fn read_tensors(text: &str) -> Vec<(String, Vec<u64>)> {
    let (pattern, shape) = text.split_once(' ').unwrap();
    let shape = shape.split(',').filter(|word| *word != "*");
    let shape: Vec<u64> = shape.map(|word| word.parse().unwrap()).collect();
    let names = expand(pattern).into_iter();
    names.map(|name| (name, shape.clone())).collect()
}

/// The signatures of a file and, as signatures of their own, these with tensors gone, added or of
/// another size; and the prefixes under which all are tested.
fn read_signatures(path: &Path) -> (Vec<Signature>, Vec<String>) {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut signatures, mut prefixes) = (Vec::<Signature>::new(), vec![String::new()]);
    let mut whole = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_once(' ').unwrap();
        match mark {
            "#" => {}
            "@" => prefixes.push(rest.to_owned()),
            "=" => {
                whole = signatures.len();
                signatures.push(Signature {
                    said: String::new(),
                    expected: rest.to_owned(),
                    tensors: BTreeMap::new(),
                });
            }
            "-" | "+" => {
                let mut tensors = signatures[whole].tensors.clone();
                let (changes, expected) = rest.split_once(" => ").unwrap();
                for change in changes.split("; ") {
                    match mark {
                        "+" => tensors.extend(read_tensors(change)),
                        _ => assert!(
                            expand(change)
                                .iter()
                                .all(|name| tensors.remove(name).is_some())
                        ),
                    }
                }
                signatures.push(Signature {
                    said: format!("{}, {line}", signatures[whole].expected),
                    expected: expected.to_owned(),
                    tensors,
                });
            }
            _ => signatures[whole].tensors.extend(read_tensors(line)),
        }
    }
    (signatures, prefixes)
}

/// `kind family variant`, or what comes nearest.
fn said(identity: &Identity) -> String {
    match (&identity.family, &identity.variant, &identity.nearest) {
        (Some(family), Some(variant), _) => {
            format!("{} {family} {variant}", identity.kind.name())
        }
        (Some(family), None, _) => format!("{} {family}", identity.kind.name()),
        (None, _, Some(nearest)) => format!("{} near {}", identity.kind.name(), nearest.name),
        _ => identity.kind.name().to_owned(),
    }
}

fn identify_below(prefix: &str, tensors: &BTreeMap<String, Vec<u64>>) -> Identity {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape)| (format!("{prefix}{name}"), "F16".to_owned(), shape.clone()))
        .collect();
    identify(&open_as_safetensors(&tensors), &Beside::default())
}

/// Models in layouts that no library at hand writes, by the keys and sizes that ComfyUI and
/// others look at, each with its nearest neighbours.
#[test]
fn models_are_told_from_their_neighbours() {
    let files = files_below(&testdata("signatures"), &|name| name.ends_with(".txt"));
    assert!(files.len() >= 2, "{} found", files.len());
    let mut failures = Vec::new();
    for path in files {
        let (signatures, prefixes) = read_signatures(&path);
        for prefix in &prefixes {
            for signature in &signatures {
                let found = said(&identify_below(prefix, &signature.tensors));
                // What is nearest depends on what else may stand below the prefix.
                let is_as_far = !prefix.is_empty()
                    && found.starts_with("unknown")
                    && signature.expected.starts_with("unknown");
                if found != signature.expected && !is_as_far {
                    let (expected, changed) = (&signature.expected, &signature.said);
                    let file = short(&path);
                    failures.push(format!(
                        "{file}: `{prefix}` {expected} ({changed}): {found}"
                    ));
                }
            }
        }
    }
    assert_none("models are taken for others", &failures);
}

/// No rule is without a model that it tells, nor is any of its variants.
#[test]
fn every_rule_and_variant_tells_a_described_model() {
    let mut seen: HashSet<(*const &str, Option<&str>)> = HashSet::new();
    let mut add = |identity: Identity| {
        for component in identity.components {
            seen.insert((component.rule.as_ptr(), component.variant));
        }
    };
    for path in files_below(&testdata("identity"), &|name| name.ends_with(".txt")) {
        let tensors = read_description(&path).tensors;
        add(identify(&open_as_safetensors(&tensors), &Beside::default()));
    }
    for path in files_below(&testdata("signatures"), &|name| name.ends_with(".txt")) {
        for signature in read_signatures(&path).0 {
            add(identify_below("", &signature.tensors));
        }
    }
    let known = known();
    assert!(known.len() > 200, "{} rules", known.len());
    let mut missing = Vec::new();
    for rule in known {
        let mut wanted: Vec<Option<&str>> = rule.variants.iter().copied().map(Some).collect();
        if wanted.is_empty() {
            wanted.push(None);
        }
        for variant in wanted {
            if !seen.contains(&(rule.rule.as_ptr(), variant)) {
                let (kind, family) = (rule.kind.name(), rule.family);
                let variant = variant.unwrap_or("-");
                missing.push(format!("{kind} {family} {variant}: {:?}", rule.rule));
            }
        }
    }
    assert_none("rules and variants tell nothing", &missing);
}
