//! `ckpt hash`, from the outside.

use super::support::{ckpt_in, folder, safetensors};
use crate::support::{read_json, testdata};
use serde_json::{Value as Json, json};

#[test]
fn a_manifest_checks_what_it_was_made_from_and_names_what_differs() {
    let folder = folder();
    let made = ckpt_in(folder.path(), &["hash", "m.safetensors", "-o", "m.b3"]);
    assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    let same = ckpt_in(folder.path(), &["hash", "--check", "m.b3", "m.safetensors"]);
    assert_eq!(same.status, 0, "{}", same.stdout);

    // One value changed, one tensor under another name.
    let header = r#"{"h.0.w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
        "h.2.w":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},
        "<b>|,\u202e":{"dtype":"I64","shape":[1],"data_offsets":[32,40]}}"#;
    let mut data: Vec<u8> = (0..8u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    data.extend((-6i64).to_le_bytes());
    std::fs::write(
        folder.path().join("n.safetensors"),
        safetensors(header, &data),
    )
    .unwrap();
    let args = ["hash", "--check", "m.b3", "n.safetensors", "--json"];
    let other = ckpt_in(folder.path(), &args);
    assert_eq!(other.status, 1);
    let found: Json = serde_json::from_str(&other.stdout).unwrap();
    let expected = json!({"equal": 1, "differing": [
        {"name": "<b>|,\u{202e}", "is": "mismatch"},
        {"name": "h.1.w", "is": "missing"},
        {"name": "h.2.w", "is": "extra"},
    ]});
    assert_eq!(found["check"], expected);
    let table = ckpt_in(folder.path(), &["hash", "--check", "m.b3", "n.safetensors"]);
    assert!(
        table.stdout.contains("h.1.w          missing"),
        "{}",
        table.stdout
    );
    assert!(table.stdout.contains("<b>|,\\u{202e}"), "{}", table.stdout);
}

#[test]
fn a_selection_is_all_that_is_checked() {
    let folder = folder();
    ckpt_in(folder.path(), &["hash", "m.safetensors", "-o", "m.b3"]);
    let args = ["hash", "--check", "m.b3", "m.safetensors", "-i", "h.*"];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert_eq!(ran.stderr, "ckpt: only the selected tensors are checked\n");
}

#[test]
fn the_same_weights_have_one_root_in_any_packing() {
    let folder = folder();
    let source = testdata("pytorch/training.pt");
    let source = source.to_str().unwrap();
    let convert = [
        "convert",
        source,
        "c.safetensors",
        "-q",
        "--max-shard-size",
        "20",
    ];
    assert_eq!(ckpt_in(folder.path(), &convert).status, 0);
    let index = "c.safetensors.index.json";
    let ran = ckpt_in(folder.path(), &["hash", "-q", source, index, "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let found: Json = serde_json::from_str(&ran.stdout).unwrap();
    let expected = read_json(&testdata("hash/expected.json"));
    let expected = &expected["content"]["pytorch/training.pt"]["root"];
    assert_eq!(
        (&found[0]["digest"], &found[1]["digest"]),
        (expected, expected)
    );
}

#[test]
fn files_have_the_hashes_by_which_people_look_them_up() {
    let path = "safetensors/torch.safetensors";
    let ran = ckpt_in(&testdata(""), &["hash", path, "--files", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let found: Json = serde_json::from_str(&ran.stdout).unwrap();
    let expected = read_json(&testdata("hash/expected.json"));
    let expected = expected["files"][path].as_object().unwrap();
    assert_eq!(expected.len(), 6);
    for (kind, hash) in expected {
        assert_eq!(&found["files"][0][kind], hash, "{kind}");
    }
    assert_eq!(found["files"][0]["file"], path);
}

#[test]
fn a_damaged_file_still_has_file_hashes() {
    let folder = folder();
    let ran = ckpt_in(
        folder.path(),
        &["hash", "bad.safetensors", "--files", "--json"],
    );
    assert_eq!(ran.status, 2);
    let found: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["digest"], Json::Null);
    assert_eq!(found["files"][0]["sha256"].as_str().unwrap().len(), 64);
    assert!(found["error"].as_str().unwrap().contains("bad.safetensors"));
    assert!(ran.stderr.contains("bad.safetensors"), "{}", ran.stderr);
    assert_eq!(
        ckpt_in(folder.path(), &["hash", "bad.safetensors"]).status,
        2
    );
}

#[test]
fn gguf_hash_lines_have_its_form() {
    let args = ["hash", "--gguf-hash=sha1,uuid", "gguf/alignment-64.gguf"];
    let ran = ckpt_in(&testdata(""), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("sha1      "), "{}", lines[0]);
    assert!(
        lines[0].ends_with("  gguf/alignment-64.gguf:a"),
        "{}",
        lines[0]
    );
    let model: Vec<&&str> = lines.iter().filter(|l| l.ends_with(".gguf")).collect();
    assert_eq!(model.len(), 2, "{lines:?}");
}

#[test]
fn a_manifest_is_about_one_checkpoint() {
    let folder = folder();
    ckpt_in(folder.path(), &["hash", "m.safetensors", "-o", "m.b3"]);
    let args = ["hash", "--check", "m.b3", "m.safetensors", "m.safetensors"];
    let ran = ckpt_in(folder.path(), &args);
    let message = "ckpt: a manifest is about one checkpoint, but 2 paths are given\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (2, message));
    let args = ["hash", "--check", "m.safetensors", "m.safetensors"];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.starts_with("ckpt: m.safetensors: "),
        "{}",
        ran.stderr
    );
}
