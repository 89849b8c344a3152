//! `ckpt prune`, from the outside.

use super::support::ckpt_in;
use crate::support::testdata;
use serde_json::Value as Json;
use std::path::Path;

fn prune(folder: &Path, file: &str, more: &[&str]) -> super::support::Ran {
    let source = testdata(file).to_string_lossy().into_owned();
    let mut args = vec!["prune", &source, "out.safetensors"];
    args.extend(more);
    ckpt_in(folder, &args)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_training_checkpoint_becomes_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let ran = prune(folder.path(), "pytorch/training.pt", &["--verify"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("left out: optimizer (12 tensors, 200 B)"),
        "{}",
        ran.stderr
    );
    let file = std::fs::read(folder.path().join("out.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut names = tensors.names();
    names.sort();
    assert_eq!(names, ["0.bias", "0.weight", "1.bias", "1.weight"]);
}

#[test]
fn a_dry_run_says_everything_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ran = prune(
        folder.path(),
        "prune/mmengine.pth",
        &["--dry-run", "--json"],
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(files(folder.path()).is_empty());
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["schema"], "ckpt.prune/1");
    assert_eq!(report["recipe"], "openmmlab");
    assert_eq!(report["weights"], "ema");
    assert_eq!(report["verified"], Json::Null);
    let dropped = report["dropped"].as_array().unwrap();
    let live = dropped
        .iter()
        .find(|d| d["name"] == "ema_state_dict.module.0.weight")
        .unwrap();
    assert_eq!(live["reason"], "live copy");
    assert_eq!(live["bytes"], 72);
    let first = &report["tensors"][0];
    assert_eq!(first["name"], "0.weight");
    assert_eq!(first["from"]["name"], "state_dict.0.weight");
}

#[test]
fn a_trainer_folder_becomes_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("checkpoint-5");
    std::fs::create_dir(&source).unwrap();
    std::fs::copy(
        testdata("safetensors/torch.safetensors"),
        source.join("model.safetensors"),
    )
    .unwrap();
    std::fs::copy(
        testdata("pytorch/optimizer.pt"),
        source.join("optimizer.pt"),
    )
    .unwrap();
    for name in ["config.json", "trainer_state.json", "tokenizer.json"] {
        std::fs::write(source.join(name), "{}").unwrap();
    }
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let ran = ckpt_in(folder.path(), &["prune", "checkpoint-5", "out"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let expected = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(files(&folder.path().join("out")), expected);
    assert!(ran.stderr.contains("optimizer (1 file, "), "{}", ran.stderr);
}

#[test]
fn bad_requests_are_named_and_write_nothing() {
    for (file, options, message) in [
        (
            "pytorch/training.pt",
            vec!["--recipe", "lightnig"],
            "`lightnig` is no recipe",
        ),
        (
            "pytorch/training.pt",
            vec!["--weights", "ema"],
            "holds no average",
        ),
        (
            "pytorch/training.pt",
            vec!["--drop", "*"],
            "nothing would be left",
        ),
        (
            "pytorch/training.pt",
            vec!["--drop", "x*"],
            "`x*` matches no tensor",
        ),
        (
            "pytorch/training.pt",
            vec!["--root", "x"],
            "under the root `x`",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ran = prune(folder.path(), file, &options);
        assert_eq!(ran.status, 2, "{options:?}");
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn recipes_are_listed_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let ran = ckpt_in(folder.path(), &["prune", "--recipe", "list"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .lines()
            .any(|line| line.starts_with("lightning "))
    );
}
