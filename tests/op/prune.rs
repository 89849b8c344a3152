//! Pruning: what is left of training checkpoints. Expected tensors are torch 2.15's.

use crate::support::{assert_none, files_below, read_json, tensor_mismatches, testdata};
use ckpt::format;
use ckpt::op::prune::{Options, Pruned, Recipe, Weights, prune};
use ckpt::op::select::Selection;
use serde_json::{Value as Json, json};
use std::path::Path;

fn texts(value: &Json) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// Options as `NAME.pruned.json` writes them.
fn options(json: &Json) -> Options {
    for key in json.as_object().unwrap().keys() {
        let known = ["recipe", "weights", "keep", "drop", "exclude"];
        assert!(known.contains(&key.as_str()), "{key}");
    }
    Options {
        recipe: json["recipe"]
            .as_str()
            .map(|name| Recipe::named(name).unwrap()),
        weights: match json["weights"].as_str() {
            None => Weights::Auto,
            Some("live") => Weights::Live,
            Some("ema") => Weights::Ema,
            Some(other) => panic!("{other}"),
        },
        keep: texts(&json["keep"]),
        drop: texts(&json["drop"]),
        selection: Selection::new(&[], &texts(&json["exclude"]), &[]).unwrap(),
        ..Options::default()
    }
}

fn pruned(path: &Path, json: &Json) -> Pruned {
    let checkpoint = format::open(path).unwrap();
    prune(checkpoint, &options(json)).unwrap_or_else(|e| panic!("{path:?} {json}: {e}"))
}

#[test]
fn what_is_left_of_every_layout_is_what_torch_says() {
    let expectations = files_below(&testdata("prune"), &|name| name.ends_with(".pruned.json"));
    assert!(expectations.len() > 10);
    let mut failures = Vec::new();
    for expectation in expectations {
        let name = expectation.to_string_lossy().into_owned();
        let path = Path::new(name.strip_suffix(".pruned.json").unwrap());
        for case in read_json(&expectation).as_array().unwrap() {
            let found = pruned(path, &case["options"]).checkpoint.tensors;
            let unordered = json!({"tensors": case["tensors"], "ordered": false});
            let mismatches = tensor_mismatches(&found, &unordered).into_iter();
            failures.extend(mismatches.map(|text| format!("{path:?} {}: {text}", case["options"])));
        }
    }
    assert_none("tensors are not what is left", &failures);
}

#[test]
fn every_tensor_is_either_left_or_dropped() {
    for file in ["prune/mmengine.pth", "prune/yolo.pt", "pytorch/training.pt"] {
        let all = format::open(&testdata(file)).unwrap().tensors;
        let pruned = pruned(&testdata(file), &json!({}));
        for tensor in &all {
            let is_left = pruned.sources.contains(&tensor.name);
            let is_dropped = pruned
                .dropped
                .iter()
                .any(|dropped| dropped.name == tensor.name);
            assert!(is_left != is_dropped, "{file}: `{}`", tensor.name);
        }
    }
}

#[test]
fn a_recipe_is_found_by_what_stands_in_the_checkpoint() {
    for (file, recipe) in [
        ("prune/mmengine.pth", "openmmlab"),
        ("prune/yolo.pt", "yolo"),
        ("prune/timm.pth.tar", "timm"),
        ("prune/fairseq.pt", "fairseq"),
        ("prune/deepspeed.pt", "deepspeed"),
        ("prune/basicsr.pth", "basicsr"),
        ("prune/lightning-averaging.ckpt", "lightning"),
        ("pytorch/model_zoo-2.pkl", "detectron2"),
        ("pytorch/training.pt", "torch"),
        ("safetensors/torch.safetensors", "torch"),
    ] {
        let checkpoint = format::open(&testdata(file)).unwrap();
        assert_eq!(Recipe::of(&checkpoint).name, recipe, "{file}");
    }
}

#[test]
fn a_part_that_nobody_knows_is_kept_with_a_warning() {
    let pruned = pruned(&testdata("prune/gan.pt"), &json!({}));
    let notes: Vec<&str> = pruned.notes.iter().map(|note| note.rule).collect();
    assert_eq!(notes, ["unknown-kept"]);
    assert!(
        pruned.notes[0]
            .text
            .starts_with("`discriminator` (9 tensors")
    );
}

#[test]
fn a_plain_file_is_left_as_it_is() {
    let path = testdata("safetensors/torch.safetensors");
    let before = format::open(&path).unwrap();
    let pruned = pruned(&path, &json!({}));
    let names = |tensors: &[ckpt::Tensor]| -> Vec<String> {
        tensors.iter().map(|tensor| tensor.name.clone()).collect()
    };
    assert_eq!(names(&before.tensors), names(&pruned.checkpoint.tensors));
    assert!(pruned.dropped.is_empty());
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |file: &str, json: Json| {
        let checkpoint = format::open(&testdata(file)).unwrap();
        prune(checkpoint, &options(&json)).unwrap_err().to_string()
    };
    for (file, options, message) in [
        (
            "pytorch/training.pt",
            json!({"weights": "ema"}),
            "holds no average",
        ),
        (
            "prune/only-ema.pt",
            json!({"weights": "live"}),
            "average (EMA) of the weights only",
        ),
        (
            "pytorch/optimizer.pt",
            json!({}),
            "nothing would be left; out: optimizer",
        ),
        (
            "pytorch/training.pt",
            json!({"drop": ["*"]}),
            "nothing would be left",
        ),
        (
            "pytorch/training.pt",
            json!({"keep": ["nothing*"]}),
            "`nothing*` matches no tensor",
        ),
        (
            "pytorch/training.pt",
            json!({"drop": ["nothing*"]}),
            "`nothing*` matches no tensor",
        ),
    ] {
        let found = refused(file, options);
        assert!(found.contains(message), "{found}");
    }
}
