//! Content digests against those that other programs compute.

use crate::support::{read_json, testdata};
use ckpt::format;
use ckpt::op::hash::manifest::{self, Relation};
use ckpt::op::hash::{Algorithm, Hashes, gguf_hashes, hash};
use ckpt::op::root::{Choice, restrict};
use ckpt::parallel::Silent;
use serde_json::{Map, Value as Json};

fn expected(section: &str) -> Map<String, Json> {
    let Json::Object(expected) = read_json(&testdata("hash/expected.json"))[section].take() else {
        panic!("no {section}");
    };
    assert!(!expected.is_empty());
    expected
}

fn hashes(path: &str, threads: usize) -> Hashes {
    let checkpoint = format::open(&testdata(path)).unwrap();
    let checkpoint = restrict(checkpoint, &Choice::Auto).unwrap().checkpoint;
    hash(&checkpoint, threads, &Silent).unwrap()
}

#[test]
fn digests_are_those_of_other_programs() {
    for (path, expected) in expected("content") {
        for threads in [1, 2, 7] {
            let found = hashes(&path, threads);
            let digests: Map<String, Json> = found
                .rows
                .iter()
                .map(|row| (row.name.clone(), row.digest.unwrap().to_string().into()))
                .collect();
            assert_eq!(Json::Object(digests), expected["tensors"], "{path}");
            let root = found.root.unwrap().to_string();
            assert_eq!(root, expected["root"], "{path} on {threads} threads");
        }
    }
}

#[test]
fn gguf_hashes_are_those_of_other_programs() {
    use Algorithm::{Sha1, Sha256, Uuid, Xxh3, Xxh64};
    for (path, expected) in expected("gguf_hash") {
        let checkpoint = format::open(&testdata(&path)).unwrap();
        let all = [Xxh64, Xxh3, Sha1, Sha256, Uuid];
        let found = gguf_hashes(&checkpoint, &all, &Silent).unwrap();
        let mut by_kind: Map<String, Json> = Map::new();
        let model = ("".to_owned(), found.model);
        for (name, hashes) in found.tensors.into_iter().chain([model]) {
            for (algorithm, hash) in hashes {
                by_kind
                    .entry(algorithm.name())
                    .or_insert(Json::Object(Map::new()))[&name] = hash.into();
            }
        }
        assert_eq!(Json::Object(by_kind), expected, "{path}");
    }
}

/// Each list is one set of tensors in several packings.
#[test]
fn packing_does_not_matter() {
    let lists: [&[&str]; 3] = [
        &["state_dict.pt", "legacy-state_dict.pt"],
        &[
            "training.pt",
            "deflated.pt",
            "zip64.pt",
            "legacy-training.pt",
        ],
        &["strides.pt", "deflated-strides.pt", "legacy-strides.pt"],
    ];
    let mut roots = Vec::new();
    for list in lists {
        let of = |name: &&str| hashes(&format!("pytorch/{name}"), 2).root.unwrap();
        let mut found: Vec<_> = list.iter().map(of).collect();
        found.dedup();
        assert_eq!(found.len(), 1, "{list:?}");
        roots.extend(found);
    }
    roots.dedup();
    assert_eq!(roots.len(), 3);
}

#[test]
fn a_tensor_without_data_is_a_failure_and_there_is_no_root() {
    let found = hashes("pytorch/meta.pt", 1);
    assert!(found.root.is_none());
    assert!(!found.failures.is_empty());
    assert!(found.rows.iter().any(|row| row.digest.is_none()));
    let text = manifest::write(&found);
    assert!(
        text.starts_with("# ckpt.hash/1 blake3, root unknown"),
        "{text}"
    );
    // What is there can still be checked.
    let comparison = manifest::compare(&found, &manifest::read(&text).unwrap());
    let unreadable = |(_, relation): &(String, Relation)| *relation == Relation::Unreadable;
    assert!(comparison.differing.iter().all(unreadable));
}

#[test]
fn manifests_read_as_they_are_written_whatever_the_names() {
    let found = hashes("safetensors/odd-names.safetensors", 1);
    let text = manifest::write(&found);
    assert!(text.lines().any(|line| line.starts_with('\\')), "{text}");
    let read = manifest::read(&text).unwrap();
    assert_eq!(read.digests.len(), found.rows.len());
    let comparison = manifest::compare(&found, &read);
    assert_eq!(comparison.equal, found.rows.len() as u64);
    assert!(comparison.differing.is_empty());
}

#[test]
fn manifests_that_were_changed_are_refused() {
    let text = manifest::write(&hashes("pytorch/training.pt", 1));
    let lines: Vec<&str> = text.lines().collect();
    let message = |text: &str| manifest::read(text).unwrap_err().message().to_owned();
    let cut = lines[..lines.len() - 1].join("\n");
    assert!(
        message(&cut).starts_with("names the root"),
        "{}",
        message(&cut)
    );
    // Without its first line, lines stand for themselves.
    let part = manifest::read(&lines[1..3].join("\n")).unwrap();
    assert_eq!(part.digests.len(), 2);
    let twice = [lines[1], lines[1]].join("\n");
    assert_eq!(message(&twice), "line 2: `0.bias` stands there twice");
    let short = "abc  name";
    assert!(message(short).starts_with("line 1: is not 64 hex digits"));
    let escape = format!("\\{}  a\\q", "0".repeat(64));
    assert!(message(&escape).starts_with("line 1: is not 64 hex digits"));
}
