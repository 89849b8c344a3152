//! What can be done with checkpoints.

mod adapter;
mod audit;
mod convert;
mod diff;
mod faults;
mod hash;
mod identity;
#[cfg(feature = "candle")]
mod importance;
mod inspect;
mod licence;
mod lossless;
mod prune;
mod root;
mod schema;
mod select;
mod show;
mod sparsity;
mod stats;
mod tie;
mod verify;
mod workflow;

use ckpt::DType;
use ckpt::io::Source;
use ckpt::model::{Checkpoint, Group, Payload, Shape, Storage, Tensor};
use std::ops::Range;

/// A tensor of zeros that lies in a file of its own.
fn tensor(name: &str, dtype: DType, shape: &[u64]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let len = dtype.byte_len(shape.elements()).unwrap();
    let source = Source::from_bytes(name, vec![0; len as usize]);
    let payload = Payload::Stored(Storage::extent(&source, 0, len));
    Tensor::new(name, dtype, shape, payload)
}

/// A training checkpoint of tensors of two F32 values each.
fn checkpoint(names: &[&str], groups: &[(&str, Range<usize>)]) -> Checkpoint {
    let group = |(key, tensors): &(&str, Range<usize>)| Group {
        key: (*key).to_owned(),
        tensors: tensors.clone(),
    };
    Checkpoint {
        path: "a.pt".to_owned(),
        format: "pytorch",
        tensors: names
            .iter()
            .map(|name| tensor(name, DType::F32, &[2]))
            .collect(),
        groups: groups.iter().map(group).collect(),
        ..Checkpoint::default()
    }
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint
        .tensors
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect()
}
