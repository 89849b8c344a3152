//! Pruning: what is left of training checkpoints. Expected tensors are torch 2.15's.

use crate::support::{assert_none, files_below, read_json, tensor_mismatches, testdata};
use ckpt::DType;
use ckpt::format;
use ckpt::io::Source;
use ckpt::model::{Payload, Shape, Storage};
use ckpt::op::prune::layers::DropLayers;
use ckpt::op::prune::zero::{How, Norm, Zeroing};
use ckpt::op::prune::{Options, Pruned, Recipe, Weights, prune};
use ckpt::op::select::Selection;
use ckpt::parallel::Silent;
use ckpt::stream::Reader;
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
        let known = "recipe weights keep drop exclude each global rows channels norm groups zero ratios counters component layers";
        let mut known = known.split(' ');
        assert!(known.any(|known| known == key), "{key}");
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
        drops_counters: json["counters"] == true,
        component: json["component"].as_str().map(str::to_owned),
        layers: texts(&json["layers"])
            .iter()
            .map(|text| DropLayers::read(text).unwrap())
            .collect(),
        zeroing: zeroing(json),
        selection: Selection::new(&[], &texts(&json["exclude"]), &[]).unwrap(),
        ..Options::default()
    }
}

fn zeroing(json: &Json) -> Zeroing {
    let norm = match json["norm"].as_str() {
        Some("l1") => Norm::L1,
        Some("max") => Norm::Max,
        _ => Norm::L2,
    };
    let share = |key: &str| json[key].as_f64();
    let slices = |axis, ratio| How::Slices { axis, ratio, norm };
    let groups = json["groups"].as_array().map(|pair| How::Groups {
        kept: pair[0].as_u64().unwrap() as u32,
        of: pair[1].as_u64().unwrap(),
    });
    let each = share("each").map(How::Each);
    let how = each.or(share("global").map(How::Global)).or(groups);
    let how = how.or(share("rows").map(|ratio| slices(0, ratio)));
    let pair = |pair: &Json| {
        (
            pair[0].as_str().unwrap().to_owned(),
            pair[1].as_f64().unwrap(),
        )
    };
    Zeroing {
        how: how.or(share("channels").map(|ratio| slices(1, ratio))),
        tensors: texts(&json["zero"]),
        ratios: json["ratios"]
            .as_array()
            .into_iter()
            .flatten()
            .map(pair)
            .collect(),
    }
}

fn pruned(path: &Path, json: &Json) -> Pruned {
    let checkpoint = format::open(path).unwrap();
    prune(checkpoint, &options(json), 2, &Silent).unwrap_or_else(|e| panic!("{path:?} {json}: {e}"))
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
    for file in [
        "prune/mmengine-ema.pth",
        "prune/yolo.pt",
        "pytorch/training.pt",
    ] {
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
        ("prune/mmengine-ema.pth", "openmmlab"),
        ("prune/yolo.pt", "yolo"),
        ("prune/timm-saver.pth.tar", "timm"),
        ("prune/fairseq.pt", "fairseq"),
        ("prune/deepspeed.pt", "deepspeed"),
        ("prune/basicsr.pth", "basicsr"),
        ("prune/lightning-ema.ckpt", "lightning"),
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
        prune(checkpoint, &options(&json), 2, &Silent)
            .unwrap_err()
            .to_string()
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

/// Values with many ties, zeros of both signs, NaN and infinities, more than a piece holds.
fn noisy(dtype: DType, count: u64) -> ckpt::model::Checkpoint {
    let facts = dtype.facts();
    let mut bytes = Vec::new();
    for index in 0..count {
        let random = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = ((random >> 40) as f32 / 16_777_216.0 - 0.5) * (1 + random % 7) as f32;
        let value = match index % 1009 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => -0.0,
            _ => (value * 512.0).round() / 512.0,
        };
        match facts.block_bytes {
            2 if dtype == DType::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
            2 => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
            4 => bytes.extend(value.to_le_bytes()),
            _ => bytes.extend(f64::from(value).to_le_bytes()),
        }
    }
    let source = Source::from_bytes("noise", bytes);
    let len = dtype.byte_len(count).unwrap();
    let payload = Payload::Stored(Storage::extent(&source, 0, len));
    let shape = Shape::new([count / 8, 8]).unwrap();
    ckpt::model::Checkpoint {
        tensors: vec![ckpt::Tensor::new("w", dtype, shape, payload)],
        ..Default::default()
    }
}

/// The plainest way: sort by magnitude, then by position.
fn sorted_zeroes(before: &[f64], count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by(|&a, &b| {
        let key = |index: usize| before[index].to_bits() & (u64::MAX >> 1);
        key(a).cmp(&key(b)).then(a.cmp(&b))
    });
    let mut zeroed = vec![false; before.len()];
    order[..count]
        .iter()
        .for_each(|&index| zeroed[index] = true);
    zeroed
}

fn doubles(tensor: &ckpt::Tensor) -> Vec<f64> {
    let bytes = Reader::open(tensor).unwrap().read_all().unwrap();
    let mut wide = vec![0; tensor.elements() as usize * 8];
    ckpt::dtype::cast::cast(tensor.dtype, DType::F64, &bytes, &mut wide).unwrap();
    let words = wide.as_chunks::<8>().0.iter();
    words.map(|word| f64::from_le_bytes(*word)).collect()
}

#[test]
fn exactly_the_smallest_are_zeroed_whatever_the_type_and_the_threads() {
    // One of them is longer than a piece.
    for (dtype, count) in [
        (DType::F32, 1 << 15),
        (DType::F16, 1 << 15),
        (DType::BF16, (2 << 20) + 64),
        (DType::F64, 1 << 15),
    ] {
        let checkpoint = noisy(dtype, count);
        let before = doubles(&checkpoint.tensors[0]);
        for how in [How::Each(0.001), How::Each(0.5), How::Global(0.613)] {
            let (How::Each(ratio) | How::Global(ratio)) = how else {
                panic!()
            };
            let count = (ratio * before.len() as f64).round_ties_even() as usize;
            let expected = sorted_zeroes(&before, count);
            for threads in [1, 3] {
                let options = Options {
                    zeroing: Zeroing {
                        how: Some(how),
                        ..Zeroing::default()
                    },
                    ..Options::default()
                };
                let pruned = prune(checkpoint.clone(), &options, threads, &Silent).unwrap();
                let after = doubles(&pruned.checkpoint.tensors[0]);
                let zeros = after.iter().filter(|value| **value == 0.0).count() as u64;
                let is_right = |((before, after), gone): ((&f64, &f64), &bool)| match gone {
                    true => *after == 0.0,
                    false => before == after || before.is_nan() && after.is_nan(),
                };
                assert!(
                    before.iter().zip(&after).zip(&expected).all(is_right),
                    "{dtype} {how:?}"
                );
                let said = &pruned.zeroed[0];
                assert_eq!(said.zeros_after, zeros);
                let squares = |values: &[f64]| -> f64 {
                    values.iter().filter(|v| v.is_finite()).map(|v| v * v).sum()
                };
                let kept = (squares(&after) / squares(&before)).sqrt();
                assert!((said.norm_kept - kept).abs() < 1e-12, "{dtype} {how:?}");
            }
        }
    }
}

#[test]
fn weight_norm_is_folded_by_its_definition() {
    let tensor = |name: &str, shape: &[u64], values: &[f32]| {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let payload = Payload::Stored(Storage::inline(bytes));
        ckpt::Tensor::new(name, DType::F32, Shape::new(shape).unwrap(), payload)
    };
    let v = [3.0, 4.0, 0.0, 5.0];
    for (first, second, whole) in [
        ("fc.weight_g", "fc.weight_v", "fc.weight"),
        (
            "fc.parametrizations.weight.original0",
            "fc.parametrizations.weight.original1",
            "fc.weight",
        ),
    ] {
        let checkpoint = ckpt::model::Checkpoint {
            tensors: vec![
                tensor(first, &[2, 1], &[10.0, 1.0]),
                tensor(second, &[2, 2], &v),
            ],
            ..Default::default()
        };
        let pruned = prune(checkpoint, &Options::default(), 1, &Silent).unwrap();
        assert_eq!(pruned.checkpoint.tensors.len(), 1);
        assert_eq!(pruned.checkpoint.tensors[0].name, whole);
        assert_eq!(doubles(&pruned.checkpoint.tensors[0]), [6.0, 8.0, 0.0, 1.0]);
    }
}

#[test]
fn a_gguf_without_a_layer_is_as_gguf_py_writes_it() {
    let json = json!({"layers": ["1"]});
    let found = pruned(&testdata("prune/layers.gguf"), &json).checkpoint;
    let expected = format::open(&testdata("prune/layers-0-2.gguf")).unwrap();
    assert_eq!(found.metadata, expected.metadata);
    let sorted = |mut types: Vec<(String, &'static str)>| {
        types.sort();
        types
    };
    let types = sorted(found.metadata_types);
    assert_eq!(types, sorted(expected.metadata_types));
    let contents = |tensors: &[ckpt::Tensor]| -> Vec<_> {
        let read = |tensor: &ckpt::Tensor| Reader::open(tensor).unwrap().read_all().unwrap();
        tensors
            .iter()
            .map(|tensor| (tensor.name.clone(), tensor.dtype, read(tensor)))
            .collect()
    };
    assert_eq!(contents(&found.tensors), contents(&expected.tensors));
}

#[test]
fn what_stands_in_a_dropped_layer_only_is_pointed_at() {
    let json = json!({"layers": ["decoder.block:0"]});
    let pruned = pruned(&testdata("prune/t5-layers.pt"), &json);
    let texts: Vec<&str> = pruned.notes.iter().map(|note| note.text.as_str()).collect();
    let expected = "no layer of `decoder.block` that is left has `layer.0.SelfAttention.relative_attention_bias.weight`";
    assert_eq!(texts, [expected]);
}
