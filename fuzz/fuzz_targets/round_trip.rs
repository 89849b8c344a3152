//! What reads can be written as safetensors, and reads back equal.
#![no_main]

use ckpt::format::{self, ReadOptions, WriteOptions};
use ckpt::io::{SinkOptions, Source};
use ckpt::model::{Checkpoint, Value};
use ckpt::op::convert::{Options, Tied, convert};
use ckpt::parallel::Silent;
use ckpt::stream::Reader;

/// Bytes of tensors worth writing: expanded views may be far larger than the file.
const BYTES: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    let Ok(mut checkpoint) = format::read(&source, &ReadOptions::SUMMARY) else {
        return;
    };
    checkpoint.mark_tied();
    if checkpoint.totals().1 > BYTES || checkpoint.tensors.len() > 1000 {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.safetensors");
    let options = Options {
        dtype: None,
        tied: Tied::Clone,
        holds: format::dtypes_of_target(&target).unwrap(),
        ..Default::default()
    };
    let Ok(converted) = convert(checkpoint, &options) else {
        return;
    };
    let options = WriteOptions {
        sink: SinkOptions {
            replace: false,
            sync: false,
        },
        threads: 1,
        arrangement: format::Arrangement::default(),
        in_place: false,
    };
    if format::write(&converted.checkpoint, &target, &options, &Silent).is_err() {
        assert!(!target.exists(), "half an output");
        return;
    }
    let back = format::open(&target).unwrap();
    // Metadata whose value is a tensor's name reads as an alias of it.
    let names = &converted.checkpoint.tensors;
    let is_name = |value: &Value| {
        names
            .iter()
            .any(|tensor| value.as_text() == Some(&tensor.name))
    };
    let mut metadata = converted.checkpoint.metadata.iter();
    if metadata.any(|(_, value)| is_name(value)) {
        return;
    }
    assert_eq!(content(&converted.checkpoint), content(&back));
});

/// Name, dtype, shape and bytes of every tensor, sorted by name.
fn content(checkpoint: &Checkpoint) -> Vec<(String, String, String, Vec<u8>)> {
    let mut content: Vec<_> = checkpoint
        .tensors
        .iter()
        .map(|tensor| {
            let bytes = Reader::open(tensor).unwrap().read_all().unwrap();
            let (dtype, shape) = (tensor.dtype.to_string(), tensor.shape.to_string());
            (tensor.name.clone(), dtype, shape, bytes)
        })
        .collect();
    content.sort();
    content
}
