//! Examining goes on past faults: a file with several shows them all, and what is whole is read.

use ckpt::format::{self, ReadOptions, examine};
use ckpt::io::Source;
use ckpt::model::{Checkpoint, Level, Note};
use ckpt::safety::Policy;
use std::path::Path;

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn read(bytes: Vec<u8>, options: &ReadOptions) -> ckpt::Result<Checkpoint> {
    format::read(&Source::from_bytes("x", bytes), options)
}

/// Rule and tensor of each error, in order.
fn errors(notes: &[Note]) -> Vec<(&str, &str)> {
    let errors = notes.iter().filter(|note| note.level >= Level::Error);
    errors
        .map(|note| (note.rule, note.place.tensor.as_deref().unwrap_or("")))
        .collect()
}

#[test]
fn five_faults_of_a_safetensors_file_are_five_findings() {
    let header = r#"{
        "whole":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "overlapping":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},
        "backwards":{"dtype":"F32","shape":[2],"data_offsets":[20,12]},
        "short":{"dtype":"F32","shape":[3],"data_offsets":[20,28]},
        "cut":{"dtype":"F32","shape":[4],"data_offsets":[28,44]}}"#;
    let bytes = safetensors(header, 40);
    assert!(read(bytes.clone(), &ReadOptions::SUMMARY).is_err());
    let checkpoint = read(bytes, &ReadOptions::EXAMINE).unwrap();
    assert_eq!(
        errors(&checkpoint.notes),
        [
            ("overlap", "overlapping"),
            ("malformed", "backwards"),
            ("gap", "backwards"),
            ("gap", "short"),
            ("truncated", "cut"),
            ("malformed", "short"),
        ]
    );
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["whole", "overlapping", "cut"]);
}

#[test]
fn a_truncated_file_is_said_to_be_so_once() {
    let entry = |index: usize| {
        let (begin, end) = (index * 4, index * 4 + 4);
        format!(r#""t{index}":{{"dtype":"F32","shape":[1],"data_offsets":[{begin},{end}]}}"#)
    };
    let entries: Vec<String> = (0..50).map(entry).collect();
    let bytes = safetensors(&format!("{{{}}}", entries.join(",")), 80);
    let checkpoint = read(bytes, &ReadOptions::EXAMINE).unwrap();
    assert_eq!(errors(&checkpoint.notes), [("truncated", "t20")]);
    let present = checkpoint
        .tensors
        .iter()
        .filter(|t| t.payload.extent().is_some());
    assert_eq!((checkpoint.tensors.len(), present.count()), (50, 20));
}

/// What examining lists is bounded.
#[test]
fn ten_thousand_faults_are_counted() {
    let entry =
        |index: usize| format!(r#""t{index}":{{"dtype":"F32","shape":[1],"data_offsets":[9,1]}}"#);
    let entries: Vec<String> = (0..10_000).map(entry).collect();
    let bytes = safetensors(&format!("{{{}}}", entries.join(",")), 0);
    let checkpoint = read(bytes, &ReadOptions::EXAMINE).unwrap();
    let last = checkpoint.notes.last().unwrap();
    assert!(last.text.contains("more faults"), "{}", last.text);
    assert!(checkpoint.notes.len() <= ckpt::limits::FAULTS + 4);
}

#[test]
fn every_missing_shard_and_every_broken_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    write("one.safetensors", &safetensors(header, 8));
    write("four.safetensors", b"nothing");
    let index = r#"{"weight_map":{"a":"one.safetensors","b":"two.safetensors",
        "c":"three.safetensors","d":"four.safetensors","e":"../five.safetensors"}}"#;
    write("model.safetensors.index.json", index.as_bytes());
    let path = folder.path().join("model.safetensors.index.json");
    let examined = examine(Path::new(&path), &Policy::default()).unwrap();
    let texts: Vec<String> = examined
        .notes
        .iter()
        .filter(|note| note.level >= Level::Error)
        .map(|note| format!("{}: {}", note.rule, note.text))
        .collect();
    let all = texts.join("\n");
    for expected in [
        "missing-shard: shard `two.safetensors` is missing; 2 of 5",
        "missing-shard: shard `three.safetensors` is missing",
        "names the shard `../five.safetensors`",
        "is of no format that is read here; it starts with 6e 6f",
        "missing-tensor",
    ] {
        assert!(all.contains(expected), "{expected} not in\n{all}");
    }
    let checkpoint = examined.checkpoint.unwrap();
    assert_eq!(checkpoint.tensors.len(), 1);
}
