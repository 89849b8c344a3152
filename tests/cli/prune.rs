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
        "prune/mmengine-ema.pth",
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
        .find(|d| d["name"] == "ema_state_dict.module.net.0.weight")
        .unwrap();
    assert_eq!(live["reason"], "live copy");
    assert_eq!(live["bytes"], 72);
    let first = &report["tensors"][0];
    assert_eq!(first["name"], "net.0.weight");
    assert_eq!(first["from"]["name"], "state_dict.net.0.weight");
}

#[test]
fn folders_of_training_become_what_is_published() {
    for (source, published, reason) in [
        (
            "prune/checkpoint-2",
            &["config.json", "model.safetensors"][..],
            "random state (1 file, ",
        ),
        (
            "prune/accelerate",
            &["model.safetensors"],
            "custom state (1 file, ",
        ),
        (
            "prune/accelerate-bin",
            &["model.safetensors"],
            "optimizer (1 file, ",
        ),
        (
            "prune/diffusers-training/unet_ema",
            &["config.json", "diffusion_pytorch_model.safetensors"],
            "",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        let source = testdata(source).to_string_lossy().into_owned();
        let ran = ckpt_in(folder.path(), &["prune", &source, "out"]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(files(&folder.path().join("out")), published, "{source}");
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[test]
fn a_folder_of_several_models_in_training_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let ran = prune(folder.path(), "prune/diffusers-training", &[]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("lie in `unet`, `unet_ema`"),
        "{}",
        ran.stderr
    );
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_average_without_names_is_taken_only_where_it_fits() {
    let folder = tempfile::tempdir().unwrap();
    let ran = prune(
        folder.path(),
        "prune/shadow-params-some.pt",
        &["--weights", "ema"],
    );
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("without names"), "{}", ran.stderr);
    assert!(files(folder.path()).is_empty());
}

/// What `--dry-run --json` says of `file` with `options`.
fn plan(folder: &Path, file: &str, options: &[&str]) -> Json {
    let mut all = vec!["--dry-run", "--json"];
    all.extend(options);
    let ran = prune(folder, file, &all);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Name, dtype and reason of each tensor of a plan.
fn rows(plan: &Json) -> Vec<[&str; 3]> {
    let tensors = plan["tensors"].as_array().unwrap().iter();
    tensors
        .map(|tensor| ["name", "to", "reason"].map(|key| tensor[key].as_str().unwrap()))
        .collect()
}

#[test]
fn rules_say_what_becomes_of_single_tensors_as_in_convert() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nmatch = 'optimizer.state.0.exp_avg'\nkeep = true\n\
        [[rule]]\nmatch = '0.bias'\ndrop = true\n\
        [[rule]]\nmatch = 'state_dict.1.*'\ndtype = 'f16'\n\
        [[rule]]\nmatch = '0.weight'\nsparsity = 0.5\n\
        [[rule]]\nmatch = 'no.such'\ndrop = true\n\
        [[rule]]\nmatch = 're:^1'\nrename = 'head'\n";
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let options = ["--rules", "rules.toml", "--dtype-for", "1.bias=f64"];
    let plan = plan(folder.path(), "pytorch/training.pt", &options);
    let expected = [
        ["0.weight", "F32", "zeroed"],
        ["head.weight", "F16", "rule"],
        ["head.bias", "F64", "rule"],
        ["optimizer.state.0.exp_avg", "F32", "kept"],
    ];
    assert_eq!(rows(&plan), expected);
    assert_eq!(plan["tensors"][1]["from"]["name"], "state_dict.1.weight");
    let dropped = plan["dropped"].as_array().unwrap();
    let bias = dropped.iter().find(|d| d["name"] == "state_dict.0.bias");
    assert_eq!(bias.unwrap()["reason"], "dropped by a rule");
    assert_eq!(plan["zeroed"][0]["zeros_after"], 6);
    let mut all = vec!["--dry-run"];
    all.extend(options);
    let ran = prune(folder.path(), "pytorch/training.pt", &all);
    let warning = "the rule on line 13 matches no tensor";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
}

#[test]
fn flags_come_before_a_file_of_rules_and_keep_before_drop() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nmatch = '*.bias'\nkeep = true\n\
        [[rule]]\nmatch = '0.weight'\nstructured = '1:4'\n";
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let flags = ["--drop", "*.0.*", "--keep", "state_dict.0.weight"];
    let options = [&flags[..], &["--rules", "rules.toml"]].concat();
    let plan = plan(folder.path(), "pytorch/training.pt", &options);
    let names: Vec<&str> = rows(&plan).iter().map(|row| row[0]).collect();
    assert_eq!(names, ["0.weight", "1.weight", "1.bias"]);
    assert_eq!(plan["zeroed"].as_array().unwrap().len(), 1);
    assert_eq!(plan["zeroed"][0]["conforming"], 3);
    assert_eq!(plan["zeroed"][0]["zeros_after"], 9);
}

#[test]
fn what_was_mended_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let ran = prune(folder.path(), "prune/sd-merged.ckpt", &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let said = "were F32, 4 of 77 wrong; written as I64, 0 to 76";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    for reason in [
        "noise schedule",
        "average's bookkeeping",
        "training loss",
        "stray LoRA",
        "training of embeddings",
    ] {
        assert!(ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
    }
    let ran = prune(folder.path(), "prune/sd-nai.ckpt", &["--dry-run"]);
    let said = "37 tensors of the text encoder get";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn parts_are_listed_without_a_target() {
    let folder = tempfile::tempdir().unwrap();
    let source = testdata("prune/sdxl.pt").to_string_lossy().into_owned();
    let args = ["prune", &source, "--component", "list", "--json"];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let parts: Json = serde_json::from_str(&ran.stdout).unwrap();
    let parts = parts.as_array().unwrap().iter();
    let parts: Vec<(&str, &str)> = parts
        .map(|part| {
            (
                part["name"].as_str().unwrap(),
                part["prefix"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("unet", "model.diffusion_model."),
        ("vae", "first_stage_model."),
        ("text-encoder", "conditioner.embedders.0.transformer."),
        ("text-encoder-2", "conditioner.embedders.1.model."),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn a_part_of_a_pipeline_comes_with_its_own_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("pipeline");
    for part in ["vae", "text_encoder"] {
        std::fs::create_dir_all(pipeline.join(part)).unwrap();
        std::fs::write(pipeline.join(part).join("config.json"), part).unwrap();
        std::fs::copy(
            testdata("safetensors/torch.safetensors"),
            pipeline.join(part).join("model.safetensors"),
        )
        .unwrap();
    }
    let index =
        r#"{"_class_name": "P", "vae": ["diffusers", "A"], "text_encoder": ["transformers", "B"]}"#;
    std::fs::write(pipeline.join("model_index.json"), index).unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let args = ["prune", "pipeline", "out", "--component", "text-encoder"];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let out = folder.path().join("out");
    assert_eq!(files(&out), ["config.json", "model.safetensors"]);
    let config = std::fs::read_to_string(out.join("config.json")).unwrap();
    assert_eq!(config, "text_encoder");
}

#[test]
fn dropped_layers_are_counted_in_the_configuration_that_comes_along() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("model");
    std::fs::create_dir(&source).unwrap();
    let file = testdata("prune/llama-layers.pt")
        .to_string_lossy()
        .into_owned();
    let args = ["convert", &file, "model/model.safetensors"];
    let split = [&args[..], &["--max-shard-size", "500"]].concat();
    assert_eq!(ckpt_in(folder.path(), &split).status, 0);
    let config = r#"{"num_hidden_layers": 4, "layer_types": ["a", "b", "c", "d"]}"#;
    std::fs::write(source.join("config.json"), config).unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let args = ["prune", "model", "out", "--drop-layers", "1..3", "--json"];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    let layers = serde_json::json!([{"stack": "model.layers", "before": 4, "dropped": [1, 2]}]);
    assert_eq!(report["layers"], layers);
    let config = std::fs::read_to_string(folder.path().join("out/config.json")).unwrap();
    let config: Json = serde_json::from_str(&config).unwrap();
    let expected = serde_json::json!({"num_hidden_layers": 2, "layer_types": ["a", "d"]});
    assert_eq!(config, expected);
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
            vec!["--sparsity", "0.5", "--norm", "l1"],
            "--rows <SHARE>|--channels <SHARE>",
        ),
        ("safetensors/empty.safetensors", vec![], "holds no tensors"),
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
        (
            "prune/sdxl.pt",
            vec!["--component", "clip"],
            "has no part `clip`; there are unet, vae, text-encoder, text-encoder-2",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--component", "unet"],
            "has no part `unet`, nor any other that is known",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--drop-layers", "4"],
            "`model.layers` has 4 layers, 0 to 3",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--drop-layers", "0..4"],
            "leaves none of the 4 layers",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--drop-layers", "3..2"],
            "names no layers",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--drop-layers", "h:1"],
            "has no stack of layers `h`; there are `model.layers` (4)",
        ),
        (
            "prune/t5-layers.pt",
            vec!["--drop-layers", "0"],
            "has several stacks of layers: `decoder.block` (3), `encoder.block` (2)",
        ),
        (
            "prune/plain.pt",
            vec!["--drop-layers", "0"],
            "has no layers that are numbered",
        ),
        (
            "prune/llama-layers.pt",
            vec!["--drop-layers", "1", "--keep", "*.1.*"],
            "is both kept and in a layer that is dropped",
        ),
        (
            "pytorch/training.pt",
            vec!["--sparsity", "1.5"],
            "a share of 1.5 is not between 0 and 1",
        ),
        (
            "pytorch/training.pt",
            vec!["--structured", "4:2"],
            "4:2 keeps 4 of each 2",
        ),
        (
            "pytorch/training.pt",
            vec!["--structured", "1:3"],
            "which 1:3 does not divide into groups of 3",
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
