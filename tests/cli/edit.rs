//! `ckpt convert --in-place --metadata`, from the outside: what happens to the file, and when a
//! process is killed on the way.

use super::support::{ckpt_in, command, safetensors};
use ckpt::format;
use ckpt::model::Value;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

const IN_PLACE: [&str; 3] = ["convert", "a.safetensors", "--in-place"];

fn write_source(folder: &Path, metadata: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{metadata},"w":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#
    );
    let file = safetensors(&header, &[1, 2, 3, 4, 5, 6, 7, 8]);
    std::fs::write(folder.join("a.safetensors"), &file).unwrap();
    file
}

/// The metadata as the official crate reads it; the data has to be what it was.
fn metadata(folder: &Path) -> HashMap<String, String> {
    let file = std::fs::read(folder.join("a.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(read.tensor("w").unwrap().data(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    header.metadata().clone().unwrap_or_default()
}

fn edit(folder: &Path, args: &[&str]) -> String {
    let ran = ckpt_in(folder, &[&IN_PLACE[..], args].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stderr
}

fn pairs(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = pairs.iter().map(|(a, b)| ((*a).into(), (*b).into()));
    owned.collect()
}

#[test]
fn what_has_room_is_changed_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let before = write_source(
        folder.path(),
        r#"{"format":"pt","k":"old","ss_a":"1","ss_b":"2"}"#,
    );
    let said = edit(folder.path(), &["--metadata", "k=new"]);
    assert!(said.contains("changed in place"), "{said}");
    let said = edit(folder.path(), &["--metadata-remove", "ss_*"]);
    assert!(said.contains("changed in place"), "{said}");
    assert_eq!(
        metadata(folder.path()),
        pairs(&[("format", "pt"), ("k", "new")])
    );
    let after = std::fs::read(folder.path().join("a.safetensors")).unwrap();
    assert_eq!(after.len(), before.len());
    // And what was removed makes room for more.
    let said = edit(folder.path(), &["--metadata", "more=0123456789"]);
    assert!(said.contains("changed in place"), "{said}");
    assert_eq!(metadata(folder.path())["more"], "0123456789");
}

#[cfg(unix)]
#[test]
fn a_file_is_overwritten_or_replaced_and_never_both() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let number = || {
        std::fs::metadata(folder.path().join("a.safetensors"))
            .unwrap()
            .ino()
    };
    let large = "x".repeat(9000);
    write_source(
        folder.path(),
        &format!(r#"{{"format":"pt","k":"{large}"}}"#),
    );
    let first = number();
    edit(folder.path(), &["--metadata", "format=np"]);
    assert_eq!(number(), first);
    // Over several pages it is a copy that takes the place.
    let said = edit(
        folder.path(),
        &["--metadata", &format!("k={}", "y".repeat(9000))],
    );
    assert!(said.contains("copied as it lies"), "{said}");
    assert_ne!(number(), first);
    assert_eq!(metadata(folder.path())["k"], "y".repeat(9000));
    // And where there is no room the file is written anew.
    let said = edit(
        folder.path(),
        &["--metadata", &format!("k={}", "z".repeat(9999))],
    );
    assert!(said.contains("written"), "{said}");
    assert_eq!(metadata(folder.path())["k"], "z".repeat(9999));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_dry_run_knows_the_bytes_and_a_pattern_has_to_match() {
    let folder = tempfile::tempdir().unwrap();
    let before = write_source(folder.path(), r#"{"format":"pt","k":"old and long"}"#);
    let args = ["--metadata", "k=new", "--dry-run", "--json"];
    let ran = ckpt_in(folder.path(), &[&IN_PLACE[..], &args].concat());
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["outputs"][0]["bytes"], before.len());
    let ran = ckpt_in(
        folder.path(),
        &[&IN_PLACE[..], &["--metadata-remove", "x*"]].concat(),
    );
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("`x*` matches no key"), "{}", ran.stderr);
    let after = std::fs::read(folder.path().join("a.safetensors")).unwrap();
    assert_eq!(after, before);
}

#[test]
fn gguf_is_changed_in_place_where_its_data_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    std::fs::copy(crate::support::testdata("gguf/metadata.gguf"), &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let edit = |value: &str| {
        let set = format!("general.architecture={value}");
        let args = ["convert", "a.gguf", "--in-place", "--metadata", &set];
        let ran = ckpt_in(folder.path(), &args);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let found = format::open(&path).unwrap();
        let found = found
            .metadata
            .iter()
            .find(|(key, _)| key == "general.architecture");
        assert_eq!(found.unwrap().1, Value::text(value));
        ran.stderr
    };
    let old = format::open(&path).unwrap();
    let old = old
        .metadata
        .iter()
        .find(|(key, _)| key == "general.architecture")
        .unwrap();
    let old = old.1.as_text().unwrap().to_owned();
    let said = edit(&"v".repeat(old.len()));
    assert!(said.contains("changed in place"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap().len(), before.len());
    let said = edit(&"v".repeat(1000));
    assert!(said.contains("written"), "{said}");
    edit(&old);
    let after = format::open(&path).unwrap();
    assert_eq!(after.tensors.len(), 1);
}

#[test]
fn a_killed_edit_leaves_the_old_metadata_or_the_new() {
    let folder = tempfile::tempdir().unwrap();
    // One that is changed in place, and one over several pages.
    for length in [2000, 20_000] {
        let value = |letter: &str| letter.repeat(length);
        write_source(
            folder.path(),
            &format!(r#"{{"format":"pt","k":"{}"}}"#, value("a")),
        );
        // How long one takes says when to kill the others.
        let started = Instant::now();
        edit(folder.path(), &["--metadata", "format=pt"]);
        let whole = started.elapsed();
        let mut seen = HashMap::new();
        for round in 0..40u32 {
            let letter = if round % 2 == 0 { "b" } else { "a" };
            let set = format!("k={}", value(letter));
            let args = [&IN_PLACE[..], &["--metadata", &set, "-q"]].concat();
            let mut child = command(&args).current_dir(folder.path()).spawn().unwrap();
            std::thread::sleep(whole * (round % 20) / 14);
            child.kill().unwrap();
            child.wait().unwrap();
            let found = metadata(folder.path())["k"].clone();
            assert!(found == value("a") || found == value("b"), "{found}");
            *seen.entry(found).or_insert(0) += 1;
        }
        // Some were killed before they were done, and some were not.
        assert_eq!(seen.len(), 2, "{:?}", seen.values());
    }
}
