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

/// Errors of examining `path`, as rule and text; and the names of the tensors that were read.
fn examined(path: &Path) -> (Vec<String>, Vec<String>) {
    let examined = examine(path, &Policy::default()).unwrap();
    let errors = examined
        .notes
        .iter()
        .filter(|note| note.level >= Level::Error);
    let errors = errors.map(|note| format!("{}: {}", note.rule, note.text));
    let tensors = examined.checkpoint.unwrap().tensors.into_iter();
    (errors.collect(), tensors.map(|t| t.name).collect())
}

#[test]
fn every_hole_among_numbered_shards_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let name = |number: u64| format!("m-0000{number}-of-00004.safetensors");
    std::fs::write(folder.path().join(name(2)), safetensors(header, 8)).unwrap();
    std::fs::write(folder.path().join(name(3)), b"nothing").unwrap();
    let (errors, tensors) = examined(folder.path());
    let missing = |number| {
        let name = name(number);
        format!("missing-shard: shard `{name}` is missing; 2 of 4 are not in the folder")
    };
    assert_eq!(errors[..2], [missing(1), missing(4)]);
    assert!(errors[2].contains("no format that is read here"));
    assert_eq!((errors.len(), tensors), (3, vec!["a".to_owned()]));
}

/// A GGUF file of one tensor `NAME`, the part `number` of three; source: gguf.md, "File Structure".
fn gguf_part(number: u32, name: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([1_u64, 2].map(u64::to_le_bytes).concat());
    for (key, value) in [("split.no", number - 1), ("split.count", 3)] {
        bytes.extend([text(key), 4_u32.to_le_bytes().into()].concat());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([text(name), 1_u32.to_le_bytes().into()].concat());
    bytes.extend(2_u64.to_le_bytes());
    bytes.extend([0_u32, 0, 0].map(u32::to_le_bytes).concat());
    bytes.resize(bytes.len().next_multiple_of(32) + 32, 0);
    bytes
}

#[test]
fn every_hole_in_a_split_gguf_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let part = |number: u64| folder.path().join(format!("m-0000{number}-of-00003.gguf"));
    std::fs::write(part(1), gguf_part(1, "a")).unwrap();
    let (errors, tensors) = examined(&part(1));
    let expected = [
        "missing-shard: part 2 of 3 is missing",
        "missing-shard: part 3 of 3 is missing",
    ];
    assert_eq!(
        (errors, tensors),
        (expected.map(String::from).to_vec(), vec!["a".to_owned()])
    );

    std::fs::write(part(2), b"nothing").unwrap();
    std::fs::write(part(3), gguf_part(2, "c")).unwrap();
    let (errors, tensors) = examined(&part(1));
    assert!(
        errors[0].contains("no format that is read here"),
        "{errors:?}"
    );
    let expected = "malformed: `split.no` says that this is part 2, but the name says 3";
    assert_eq!(errors[1..], [expected]);
    assert_eq!(tensors, ["a"]);
}
