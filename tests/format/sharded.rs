//! Indexes and folders: what is taken, what is noted, what is refused.

use ckpt::error::Kind;
use ckpt::format;
use ckpt::model::{Level, Value};
use ckpt::stream::Reader;
use ckpt::{Checkpoint, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::path::Path;
use tempfile::TempDir;

/// Files by name, in a folder of their own.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// A safetensors file of one-byte tensors, written by the official crate.
fn model(tensors: &[(&str, u8)]) -> Vec<u8> {
    model_with(tensors, &[("format", "pt")])
}

fn model_with(tensors: &[(&str, u8)], metadata: &[(&str, &str)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, byte)| {
        let view = TensorView::new(Dtype::U8, vec![1], std::slice::from_ref(byte)).unwrap();
        (name.to_string(), view)
    });
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    let metadata: HashMap<String, String> = metadata.iter().map(owned).collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

const INDEX: &str = "model.safetensors.index.json";

fn index(weight_map: &str) -> (&'static str, Vec<u8>) {
    let text = format!(r#"{{"metadata":{{"total_size":2}},"weight_map":{{{weight_map}}}}}"#);
    (INDEX, text.into_bytes())
}

fn open(folder: &TempDir, name: &str) -> Result<Checkpoint> {
    format::open(&folder.path().join(name))
}

/// The message of an error, without the temporary folder's name.
fn error(folder: &TempDir, name: &str) -> String {
    let message = open(folder, name).unwrap_err().to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    let tensors = checkpoint.tensors.iter();
    tensors.map(|tensor| tensor.name.as_str()).collect()
}

fn notes(checkpoint: &Checkpoint) -> Vec<(&'static str, Level)> {
    let notes = checkpoint.notes.iter();
    notes.map(|note| (note.rule, note.level)).collect()
}

fn byte_of(checkpoint: &Checkpoint, name: &str) -> u8 {
    let tensor = checkpoint.tensor(name).unwrap();
    Reader::open(tensor).unwrap().read_all().unwrap()[0]
}

#[test]
fn joins_the_shards_of_an_index_in_the_order_of_the_index() {
    let folder = folder(&[
        index(r#""z":"2.safetensors","a":"1.safetensors""#),
        ("1.safetensors", model(&[("a", 1)])),
        ("2.safetensors", model(&[("z", 2)])),
    ]);
    for path in [INDEX, ""] {
        let checkpoint = open(&folder, path).unwrap();
        assert_eq!(names(&checkpoint), ["z", "a"]);
        assert_eq!(byte_of(&checkpoint, "a"), 1);
        assert_eq!(
            (checkpoint.format, &*checkpoint.variant),
            ("safetensors", "sharded")
        );
        assert_eq!(notes(&checkpoint), []);
        let expected = [
            ("total_size".to_owned(), Value::Int(2)),
            ("format".to_owned(), Value::text("pt")),
        ];
        assert_eq!(checkpoint.metadata, expected);
        assert_eq!(checkpoint.path, folder.path().join(path).to_string_lossy());
    }
}

#[test]
fn numbered_shards_are_joined_in_the_order_of_their_numbers() {
    let (first, second) = (
        "m-00001-of-00002.safetensors",
        "m-00002-of-00002.safetensors",
    );
    let folder = folder(&[
        index(&format!(r#""a":"{second}","z":"{first}""#)),
        (first, model(&[("z", 1)])),
        (second, model(&[("a", 2)])),
    ]);
    let checkpoint = open(&folder, INDEX).unwrap();
    assert_eq!(names(&checkpoint), ["z", "a"]);
    assert_eq!(byte_of(&checkpoint, "a"), 2);
    assert_eq!(notes(&checkpoint), []);
}

#[test]
fn keeps_only_the_metadata_that_all_shards_share() {
    let folder = folder(&[
        index(r#""a":"1.safetensors","b":"2.safetensors""#),
        (
            "1.safetensors",
            model_with(&[("a", 1)], &[("format", "pt"), ("part", "1")]),
        ),
        (
            "2.safetensors",
            model_with(&[("b", 2)], &[("format", "pt"), ("part", "2")]),
        ),
    ]);
    let checkpoint = open(&folder, INDEX).unwrap();
    let keys: Vec<&str> = checkpoint
        .metadata
        .iter()
        .map(|(k, _)| k.as_str())
        .collect();
    assert_eq!(keys, ["total_size", "format"]);
}

#[test]
fn names_the_shards_that_are_missing() {
    let folder = folder(&[
        index(r#""a":"1.safetensors","b":"2.safetensors","c":"3.safetensors""#),
        ("1.safetensors", model(&[("a", 1)])),
    ]);
    assert_eq!(
        error(&folder, INDEX),
        "model.safetensors.index.json: shard `2.safetensors` is missing; 2 of 3 shards are not in the index's folder"
    );
}

#[test]
fn names_the_tensors_that_no_shard_has() {
    let folder = folder(&[
        index(r#""a":"1.safetensors","gone":"1.safetensors""#),
        ("1.safetensors", model(&[("a", 1)])),
    ]);
    assert_eq!(
        error(&folder, INDEX),
        "model.safetensors.index.json: tensor `gone`: is listed in shard `1.safetensors`, but no shard has it; 1 of 2 listed tensors are missing"
    );
}

#[test]
fn an_index_cannot_point_outside_its_folder() {
    for name in [
        "../1.safetensors",
        "/etc/passwd",
        "sub/../../1.safetensors",
        r"..\\1.safetensors",
        "C:1.safetensors",
        "",
        ".",
        "a//b",
    ] {
        let folder = folder(&[index(&format!(r#""a":"{name}""#))]);
        let found = open(&folder, INDEX).unwrap_err();
        assert_eq!(found.kind(), Kind::Malformed, "{name}");
        assert!(
            found.message().contains("no path below the index's folder"),
            "{found}"
        );
    }
}

#[test]
fn an_alias_in_a_shard_counts_as_its_tensor() {
    let folder = folder(&[
        index(r#""embed":"1.safetensors","head":"1.safetensors","b":"2.safetensors""#),
        (
            "1.safetensors",
            model_with(&[("embed", 1)], &[("head", "embed")]),
        ),
        ("2.safetensors", model(&[("b", 2)])),
    ]);
    let checkpoint = open(&folder, INDEX).unwrap();
    assert_eq!(names(&checkpoint), ["embed", "head", "b"]);
    assert_eq!(checkpoint.tensors[1].tied_to.as_deref(), Some("embed"));
    // total_size is 2: tied tensors count once.
    assert_eq!(notes(&checkpoint), []);
}

#[test]
fn what_index_and_shards_disagree_on_is_noted() {
    let folder = folder(&[
        index(r#""a":"1.safetensors","b":"1.safetensors","both":"2.safetensors""#),
        ("1.safetensors", model(&[("a", 1), ("both", 3)])),
        (
            "2.safetensors",
            model(&[("b", 2), ("both", 4), ("extra", 5)]),
        ),
    ]);
    let checkpoint = open(&folder, INDEX).unwrap();
    assert_eq!(names(&checkpoint), ["a", "b", "both", "extra", "both#2"]);
    assert_eq!(byte_of(&checkpoint, "both"), 4);
    assert_eq!(byte_of(&checkpoint, "both#2"), 3);
    let expected = [
        ("misplaced-tensor", Level::Warning),
        ("duplicate-name", Level::Warning),
        ("unlisted-tensor", Level::Warning),
        ("total-size", Level::Warning),
        ("duplicate-name", Level::Warning),
    ];
    assert_eq!(notes(&checkpoint), expected);
}

#[test]
fn says_what_is_wrong_with_an_index() {
    let cases = [
        ("", "EOF while parsing"),
        ("[]", "expected an object with a `weight_map`"),
        ("{}", "has no `weight_map`"),
        (r#"{"weight_map":{}}"#, "names no shard"),
        (r#"{"weight_map":{"a":1}}"#, "expected a string"),
        (r#"{"weight_map":{"a":"b"}} x"#, "trailing characters"),
    ];
    for (text, expected) in cases {
        let folder = folder(&[(INDEX, text.as_bytes().to_vec())]);
        let message = error(&folder, INDEX);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_large_metadata_of_an_index_is_refused() {
    let list = vec!["0"; 20_000].join(",");
    let text = format!(r#"{{"metadata":{{"x":[{list}]}},"weight_map":{{"a":"b"}}}}"#);
    let folder = folder(&[(INDEX, text.into_bytes())]);
    assert_eq!(open(&folder, INDEX).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn an_error_in_a_shard_names_the_shard() {
    let folder = folder(&[
        index(r#""a":"1.safetensors""#),
        ("1.safetensors", [model(&[("a", 1)]), vec![0; 3]].concat()),
    ]);
    let message = error(&folder, INDEX);
    assert!(
        message.starts_with("1.safetensors: 3 bytes follow"),
        "{message}"
    );
}

#[test]
fn joins_numbered_shards_without_an_index() {
    let folder = folder(&[
        ("model-00002-of-00002.safetensors", model(&[("b", 2)])),
        ("model-00001-of-00002.safetensors", model(&[("a", 1)])),
        ("optimizer.pt", vec![]),
        ("config.json", vec![]),
    ]);
    let checkpoint = open(&folder, "").unwrap();
    assert_eq!(names(&checkpoint), ["a", "b"]);
    let expected = [("no-index", Level::Info), ("not-read", Level::Info)];
    assert_eq!(notes(&checkpoint), expected);
    assert_eq!(checkpoint.notes[1].text, "not read: `optimizer.pt`");
}

#[test]
fn names_the_numbered_shard_that_is_missing() {
    let folder = folder(&[("m-00001-of-00003.safetensors", model(&[("a", 1)]))]);
    let message = error(&folder, "");
    let expected = "shard `m-00002-of-00003.safetensors` is missing; 2 of 3 are not in the folder";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn takes_the_likeliest_model_and_notes_the_rest() {
    let folder = folder(&[
        ("alpha.safetensors", model(&[("x", 1)])),
        ("model.safetensors", model(&[("a", 2)])),
        ("pytorch_model.bin", vec![]),
        ("README.md", vec![]),
    ]);
    let checkpoint = open(&folder, "").unwrap();
    assert_eq!(names(&checkpoint), ["a"]);
    assert_eq!(notes(&checkpoint), [("not-read", Level::Info)]);
    let expected = "not read: `alpha.safetensors`, `pytorch_model.bin`";
    assert_eq!(checkpoint.notes[0].text, expected);
}

#[test]
fn an_arbitrary_choice_is_a_warning() {
    let folder = folder(&[
        ("b.safetensors", model(&[("b", 1)])),
        ("a.safetensors", model(&[("a", 2)])),
    ]);
    let checkpoint = open(&folder, "").unwrap();
    assert_eq!(names(&checkpoint), ["a"]);
    assert_eq!(notes(&checkpoint), [("not-read", Level::Warning)]);
}

#[test]
fn the_components_of_a_pipeline_stand_under_their_folders() {
    let folder = folder(&[
        ("model_index.json", b"{}".to_vec()),
        (
            "unet/diffusion_pytorch_model.safetensors",
            model(&[("w", 1)]),
        ),
        ("text_encoder/model.safetensors", model(&[("w", 2)])),
        ("scheduler/config.json", vec![]),
        ("whole.safetensors", model(&[("w", 3)])),
    ]);
    let checkpoint = open(&folder, "").unwrap();
    assert_eq!(names(&checkpoint), ["text_encoder.w", "unet.w"]);
    assert_eq!(byte_of(&checkpoint, "unet.w"), 1);
    assert_eq!(checkpoint.variant, "pipeline");
    assert_eq!(notes(&checkpoint), [("not-read", Level::Info)]);
}

#[test]
fn finds_a_model_without_a_telling_name() {
    let folder = folder(&[("weights", model(&[("a", 1)])), ("notes.txt", vec![1])]);
    assert_eq!(names(&open(&folder, "").unwrap()), ["a"]);
}

#[test]
fn says_what_a_folder_without_a_model_has() {
    let folder = folder(&[("a.txt", vec![]), ("sub/b.txt", vec![])]);
    let message = error(&folder, "");
    let expected = "holds no checkpoint that is read here; it has `a.txt`, `sub/`";
    assert!(message.ends_with(expected), "{message}");
    let empty = tempfile::tempdir().unwrap();
    assert!(error(&empty, "").ends_with("is an empty folder"));
}

#[test]
fn parts_of_a_model_parallel_checkpoint_are_not_taken_for_the_whole() {
    let folder = folder(&[
        ("consolidated.00.pth", vec![1]),
        ("consolidated.01.pth", vec![1]),
    ]);
    let found = open(&folder, "").unwrap_err();
    assert_eq!(found.kind(), Kind::Unsupported);
    assert!(
        found
            .message()
            .contains("the 2 parts of a model-parallel checkpoint"),
        "{found}"
    );
}

#[test]
fn an_index_is_known_by_its_name_with_or_without_a_variant() {
    let is_index = |name: &str| ckpt::format::sharded::is_index(Path::new(name));
    assert!(is_index("model.safetensors.index.json"));
    assert!(is_index(
        "diffusion_pytorch_model.safetensors.index.fp16.json"
    ));
    assert!(is_index("x/pytorch_model.bin.index.json"));
    assert!(!is_index("model_index.json"));
    assert!(!is_index("index.safetensors"));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_followed_and_noted() {
    let blobs = folder(&[("blob", model(&[("a", 1)]))]);
    let folder = folder(&[index(r#""a":"1.safetensors""#)]);
    let link = folder.path().join("1.safetensors");
    std::os::unix::fs::symlink(blobs.path().join("blob"), link).unwrap();
    let checkpoint = open(&folder, INDEX).unwrap();
    assert_eq!(names(&checkpoint), ["a"]);
    assert_eq!(notes(&checkpoint)[0], ("linked-shard", Level::Info));
}
