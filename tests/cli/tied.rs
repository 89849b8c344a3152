//! `--tied` and `--verify`, from the outside.

use super::shards::run;
use super::support::{ckpt_in, safetensors};
use crate::support::testdata;
use serde_json::Value as Json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// `a.safetensors`: two matrices of equal bytes, one of others, two vectors of equal bytes.
fn write_source(folder: &Path) {
    let header = r#"{"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},
        "b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]},
        "c":{"dtype":"F16","shape":[2,2],"data_offsets":[16,24]},
        "v":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},
        "w":{"dtype":"F16","shape":[2],"data_offsets":[28,32]}}"#;
    let matrix = [1u8, 0, 2, 0, 3, 0, 4, 0];
    let other = [9u8, 0, 2, 0, 3, 0, 4, 0];
    let data = [&matrix[..], &matrix, &other, &[0; 8]].concat();
    std::fs::write(folder.join("a.safetensors"), safetensors(header, &data)).unwrap();
}

#[test]
fn equal_matrices_are_stored_once_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_source(folder);
    for target in ["o.safetensors", "o.pt"] {
        for (how, aliases) in [("alias", vec![]), ("clone", vec![]), ("content", vec!["b"])] {
            let args = ["convert", "a.safetensors", target, "-f", "--verify"];
            let report = run(folder, &[&args[..], &["--json", "--tied", how]].concat());
            let report: Json = serde_json::from_str(&report).unwrap();
            let tensors = report["tensors"].as_array().unwrap();
            let is_alias = |tensor: &&Json| tensor["reason"] == "alias";
            let found = tensors.iter().filter(is_alias);
            let found: Vec<&str> = found.map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(found, aliases, "{target} {how}");
            let read = ckpt::format::open(&folder.join(target)).unwrap();
            let tied = read.tensors.iter().filter(|t| t.tied_to.is_some());
            let tied: Vec<&str> = tied.map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(tied, aliases, "{target} {how}");
            let same = ckpt_in(folder, &["diff", "a.safetensors", target]);
            assert_eq!(same.status, 0, "{target} {how}: {}", same.stdout);
        }
    }
    // What has no second names says so.
    let args = ["convert", "a.safetensors", "o.npz", "--tied", "content"];
    let ran = ckpt_in(folder, &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let said = "the format of the output has no second names";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn ties_are_an_error_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let source = testdata("pytorch/shared.pt");
    let args = ["convert", source.to_str().unwrap(), "o.safetensors"];
    let args = [&args[..], &["--tied", "error"]].concat();
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 2);
    let said = "`head.weight` = `embed.weight`";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Where nothing is shared it is none.
    write_source(folder.path());
    let args = ["convert", "a.safetensors", "o.pt", "--tied", "error"];
    run(folder.path(), &args);
}

/// Somebody writes into the source all the time, so that what is read for the comparison is
/// not what was read for the copy. Whether that happens in between is chance: it is tried until
/// it does.
#[test]
fn an_output_that_is_not_the_source_is_an_error_and_gets_no_name() {
    use std::os::unix::fs::FileExt;
    const BYTES: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{BYTES}],"data_offsets":[0,{BYTES}]}}}}"#);
    let whole = safetensors(&header, &vec![0; BYTES]);
    let path = folder.join("a.safetensors");
    std::fs::write(&path, &whole).unwrap();
    let is_over = AtomicBool::new(false);
    let fails = |is_over: &AtomicBool| {
        let args = [
            "convert",
            "a.safetensors",
            "b.safetensors",
            "--verify",
            "-f",
        ];
        let failed = (0..200).find_map(|_| {
            let ran = ckpt_in(folder, &args);
            match ran.status {
                0 => std::fs::remove_file(folder.join("b.safetensors")).unwrap(),
                _ => return Some(ran),
            }
            None
        });
        is_over.store(true, Ordering::Relaxed);
        failed
    };
    let failed = std::thread::scope(|scope| {
        let is_over = &is_over;
        let writing = || {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let mut byte = 0u8;
            while !is_over.load(Ordering::Relaxed) {
                byte = byte.wrapping_add(1);
                let data = vec![byte; 64 << 10];
                for start in (whole.len() - BYTES..whole.len()).step_by(64 << 10) {
                    file.write_all_at(&data, start as u64).unwrap();
                }
            }
        };
        scope.spawn(writing);
        fails(is_over)
    });
    let ran = failed.expect("no run of 200 met a source that changed");
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("tensor `w`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("it gets no name"), "{}", ran.stderr);
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
