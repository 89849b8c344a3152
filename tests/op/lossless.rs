//! `op::lossless`: what becomes of `testdata/lossless/`, where torch says what holds what.

use crate::support::{read_json, testdata};
use ckpt::kernel::InstructionSet;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::op::convert::{Converted, Options, Reason, convert};
use ckpt::op::lossless::decide;
use ckpt::op::rules::{Asked, Wanted};
use ckpt::op::stats::{self, stats};
use ckpt::parallel::Silent;
use ckpt::stream::Reader;
use ckpt::{DType, format};
use serde_json::Value as Json;
use std::sync::Arc;

const FILES: [&str; 3] = ["mixed", "tie", "half"];

fn open(file: &str) -> (Checkpoint, Vec<Json>) {
    let path = testdata(&format!("lossless/{file}.safetensors"));
    let expected = read_json(&path.with_extension("safetensors.lossless.json"));
    let checkpoint = format::open(&path).unwrap();
    let entries = expected.as_array().unwrap();
    assert_eq!(entries.len(), checkpoint.tensors.len());
    let of = |tensor: &Tensor| {
        let mut entries = entries.iter();
        let entry = entries.find(|entry| entry["name"] == tensor.name.as_str());
        entry.unwrap().clone()
    };
    let expected = checkpoint.tensors.iter().map(of).collect();
    (checkpoint, expected)
}

fn auto(checkpoint: &Checkpoint, target: &str, threads: usize) -> Vec<Option<DType>> {
    let wanted = vec![Some(Wanted::Lossless); checkpoint.tensors.len()];
    let holds = format::dtypes_of_target(target.as_ref()).unwrap();
    decide(checkpoint, &wanted, &holds, threads, &Silent).unwrap()
}

fn options(checkpoint: &Checkpoint) -> Options {
    let asked = Asked {
        wanted: Wanted::Lossless,
        rule: "auto".into(),
    };
    Options {
        wanted: vec![Some(asked); checkpoint.tensors.len()],
        lossless: auto(checkpoint, "x.safetensors", 2),
        holds: format::dtypes_of_target("x.safetensors".as_ref()).unwrap(),
        ..Options::default()
    }
}

#[test]
fn each_tensor_becomes_what_torch_can_bring_back_bit_by_bit() {
    for file in FILES {
        let (checkpoint, expected) = open(file);
        for threads in [1, 2, 7] {
            let found = auto(&checkpoint, "x.safetensors", threads);
            for ((tensor, found), expected) in checkpoint.tensors.iter().zip(found).zip(&expected) {
                let dtype = found.unwrap_or(tensor.dtype).to_string();
                assert_eq!(expected["auto"], dtype, "{file}: `{}`", tensor.name);
            }
        }
    }
}

#[test]
fn statistics_say_which_dtypes_hold_a_tensor() {
    for file in FILES {
        let (checkpoint, expected) = open(file);
        for (threads, instructions) in [
            (1, InstructionSet::Baseline),
            (2, InstructionSet::Avx2),
            (7, InstructionSet::Avx512),
        ] {
            let options = stats::Options {
                threads,
                instructions,
                ..stats::Options::default()
            };
            let found = stats(&checkpoint, &options).unwrap();
            let mut smaller = 0;
            for (row, expected) in found.rows.iter().zip(&expected) {
                let is_asked = matches!(row.dtype, Some(DType::F32 | DType::F64));
                let held = row.lossless();
                assert_eq!(held.is_some(), is_asked, "{file}: `{}`", row.name);
                let held = held.unwrap_or_default();
                let names: Vec<String> = held.iter().map(DType::to_string).collect();
                assert_eq!(
                    expected["holds"],
                    Json::from(names),
                    "{file}: `{}`",
                    row.name
                );
                smaller += u64::from(!held.is_empty());
            }
            assert_eq!(found.totals.lossless, smaller, "{file}");
            assert!(found.totals.lossless_saves < found.totals.lossless_bytes);
        }
    }
}

/// In a group the worst tensor decides; one of several dtypes is not asked.
#[test]
fn groups_hold_what_all_of_their_tensors_hold() {
    let single = |name: &str, value: f32| {
        let stored = Payload::Stored(Storage::inline(value.to_le_bytes()));
        Tensor::new(name, DType::F32, Shape::new([1]).unwrap(), stored)
    };
    let mut half = single("layers.2.b", 1.0);
    half.dtype = DType::F16;
    half.payload = Payload::Stored(Storage::inline([0, 0x3c]));
    let checkpoint = Checkpoint {
        tensors: vec![
            single("layers.0.a", 1.0),
            single("layers.0.b", 2f32.powi(-30)),
            single("layers.1.a", 0.1),
            single("layers.1.b", 1.0),
            single("layers.2.a", 1.0),
            half,
        ],
        ..Checkpoint::default()
    };
    let options = stats::Options {
        by: Some(ckpt::op::group::Grouping::read("layer").unwrap()),
        ..stats::Options::default()
    };
    let found = stats(&checkpoint, &options).unwrap();
    let held: Vec<_> = found.rows.iter().map(stats::Row::lossless).collect();
    assert_eq!(held, [Some(vec![DType::BF16]), Some(vec![]), None]);
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    Reader::open(tensor).unwrap().read_all().unwrap()
}

#[test]
fn every_bit_comes_back() {
    for file in FILES {
        let (checkpoint, _) = open(file);
        let sources = checkpoint.tensors.clone();
        let options = options(&checkpoint);
        let Converted {
            checkpoint,
            changes,
        } = convert(checkpoint, &options).unwrap();
        let mut smaller = 0;
        for ((source, made), change) in sources.iter().zip(&checkpoint.tensors).zip(&changes) {
            let back = Tensor {
                dtype: source.dtype,
                payload: Payload::Cast(Arc::new(made.clone())),
                ..made.clone()
            };
            assert_eq!(bytes(source), bytes(&back), "{file}: `{}`", source.name);
            let reason = match made.dtype == source.dtype {
                true => Reason::Kept,
                false => Reason::Lossless,
            };
            assert_eq!(change.reason, reason, "{file}: `{}`", source.name);
            smaller += u64::from(change.bytes_after < change.bytes_before);
        }
        assert!(smaller >= 3, "{file}");
    }
}

#[test]
fn only_what_the_target_holds_is_chosen() {
    let (checkpoint, _) = open("mixed");
    let found = auto(&checkpoint, "x.npz", 2);
    let of = |name: &str| {
        let names = checkpoint
            .tensors
            .iter()
            .position(|tensor| tensor.name == name);
        found[names.unwrap()]
    };
    assert_eq!(of("bf16"), None);
    assert_eq!(of("integers"), Some(DType::F16));
    assert_eq!(of("f64_bf16"), Some(DType::F32));
}

#[test]
fn only_those_that_are_wanted_are_looked_at() {
    let (checkpoint, _) = open("tie");
    let index = |name: &str| {
        checkpoint
            .tensors
            .iter()
            .position(|tensor| tensor.name == name)
    };
    let mut wanted = vec![None; 4];
    wanted[index("f16").unwrap()] = Some(Wanted::Lossless);
    wanted[index("bf16").unwrap()] = Some(Wanted::Source);
    let holds = [DType::BF16, DType::F16, DType::F32];
    let found = decide(&checkpoint, &wanted, &holds, 2, &Silent).unwrap();
    let became: Vec<_> = found
        .iter()
        .enumerate()
        .filter(|(_, found)| found.is_some())
        .collect();
    assert_eq!(became, [(index("f16").unwrap(), &Some(DType::F16))]);
}

/// Runs of several threads, of which the last one decides.
#[test]
fn the_last_element_of_a_large_tensor_counts() {
    let tensor = |name: &str, last: f32| {
        let mut bytes = vec![0; (2 << 20) * 4 + 12];
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&last.to_le_bytes());
        let shape = Shape::new([bytes.len() as u64 / 4]).unwrap();
        Tensor::new(
            name,
            DType::F32,
            shape,
            Payload::Stored(Storage::inline(bytes)),
        )
    };
    let checkpoint = Checkpoint {
        tensors: vec![
            tensor("a", 1.0),
            tensor("b", 0.1),
            tensor("c", 2f32.powi(-30)),
        ],
        ..Checkpoint::default()
    };
    for threads in [1, 3] {
        let found = auto(&checkpoint, "x.safetensors", threads);
        assert_eq!(found, [Some(DType::BF16), None, Some(DType::BF16)]);
    }
}
