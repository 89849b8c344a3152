//! `op::sparsity` against counts made by numpy, whatever the threads and the cuts.

use crate::support::testdata;
use ckpt::dtype::DType;
use ckpt::format;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::op::sparsity::{Count, Pattern, measure};
use ckpt::parallel::Silent;
use serde_json::Value;
use std::sync::Arc;

const PATTERNS: [&str; 4] = ["2:4", "4:8", "1:4", "3:6"];

fn patterns() -> Vec<Pattern> {
    PATTERNS.map(|text| Pattern::read(text).unwrap()).to_vec()
}

fn count(value: &Value) -> Option<Count> {
    let pair = value.as_array()?;
    Some(Count {
        of: pair[0].as_u64().unwrap(),
        all: pair[1].as_u64().unwrap(),
    })
}

#[test]
fn counts_are_those_of_numpy() {
    let path = testdata("sparsity/zeros.safetensors");
    let checkpoint = format::open(&path).unwrap();
    let text = std::fs::read_to_string(testdata("sparsity/zeros.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for threads in [1, 2, 7] {
        let found = measure(&checkpoint, &patterns(), threads, &Silent).unwrap();
        assert_eq!(found.len(), expected.as_object().unwrap().len());
        for (tensor, found) in checkpoint.tensors.iter().zip(found) {
            let (found, expected) = (found.unwrap(), &expected[&tensor.name]);
            let name = &tensor.name;
            assert_eq!(Some(found.zeros), count(&expected["zeros"]), "{name}");
            assert_eq!(found.rows, count(&expected["rows"]), "{name}");
            assert_eq!(found.channels, count(&expected["channels"]), "{name}");
            let groups = expected["groups"].as_array().unwrap();
            let groups: Vec<Option<Count>> = groups.iter().map(count).collect();
            assert_eq!(found.groups, groups, "{name}");
        }
    }
}

/// Larger than a piece of work, cut inside rows.
#[test]
fn pieces_add_up() {
    let (rows, columns) = (3, 5 << 20);
    let header = format!(
        r#"{{"a":{{"dtype":"F8_E4M3","shape":[{rows},{columns}],"data_offsets":[0,{}]}}}}"#,
        rows * columns
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    let start = bytes.len();
    // Every third element is not zero; the second row and the last channel are zeros.
    let value = |index: usize| {
        let (row, column) = (index / columns, index % columns);
        let is_zero = row == 1 || column == columns - 1 || column % 3 > 0;
        if is_zero { 0x80 } else { 0x38 }
    };
    bytes.extend((0..rows * columns).map(value));
    let source = ckpt::io::Source::from_bytes("x", bytes.clone());
    let checkpoint = format::read(&source, &format::ReadOptions::SUMMARY).unwrap();
    let data = &bytes[start..];
    let zeros = data.iter().filter(|byte| **byte == 0x80).count() as u64;
    for threads in [1, 3] {
        let found = measure(&checkpoint, &patterns(), threads, &Silent).unwrap();
        let found = found[0].clone().unwrap();
        assert_eq!(found.zeros.of, zeros);
        assert_eq!(found.rows, Some(Count { of: 1, all: 3 }));
        let channels = (0..columns).filter(|&column| column == columns - 1 || column % 3 > 0);
        let all = columns as u64;
        let of = channels.count() as u64;
        assert_eq!(found.channels, Some(Count { of, all }));
        let slow = |of: usize, kept: usize| {
            let groups = data.chunks(of);
            let is_kept =
                |group: &&[u8]| group.iter().filter(|byte| **byte != 0x80).count() <= kept;
            groups.filter(is_kept).count() as u64
        };
        assert_eq!(found.groups[0].unwrap().of, slow(4, 2));
        assert_eq!(found.groups[1].unwrap().of, slow(8, 4));
        assert_eq!(found.groups[2].unwrap().of, slow(4, 1));
        assert_eq!(found.groups[3], None);
    }
}

#[test]
fn patterns_that_cannot_be_are_refused() {
    for text in ["", "2", "2:", "5:4", "1:0", "1:2000", "a:b"] {
        assert!(Pattern::read(text).is_err(), "{text}");
    }
    let checkpoint = format::open(&testdata("sparsity/zeros.safetensors")).unwrap();
    let patterns: Vec<Pattern> = ["1:1023", "1:1021"]
        .map(|text| Pattern::read(text).unwrap())
        .to_vec();
    let error = measure(&checkpoint, &patterns, 1, &Silent).unwrap_err();
    assert!(error.message().contains("limit"), "{}", error.message());
}

/// A few bytes that stand for more than anyone can read.
#[test]
fn enormous_views_are_left_aside() {
    let stored = Payload::Stored(Storage::inline([0; 4]));
    let single = Tensor::new("a", DType::F32, Shape::scalar(), stored);
    let shape = Shape::new([1 << 40, 1 << 20]).unwrap();
    let view = Payload::Reinterpreted(Arc::new(single));
    let checkpoint = Checkpoint {
        tensors: vec![Tensor::new("a", DType::F32, shape, view)],
        ..Checkpoint::default()
    };
    let found = measure(&checkpoint, &patterns(), 2, &Silent).unwrap();
    assert_eq!(found, [None]);
}
