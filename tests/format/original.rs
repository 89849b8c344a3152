//! Names and shapes that GGUF cannot hold, there and back.

use ckpt::DType;
use ckpt::format::{self, Arrangement, WriteOptions};
use ckpt::io::SinkOptions;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::parallel::Silent;
use ckpt::stream::Reader;
use std::path::Path;

fn tensor(name: &str, dtype: DType, shape: &[u64]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let len = dtype.byte_len(shape.elements()).unwrap();
    let bytes: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
    Tensor::new(name, dtype, shape, Payload::Stored(Storage::inline(bytes)))
}

fn write(checkpoint: &Checkpoint, target: &Path) {
    let (replace, sync) = (true, false);
    let options = WriteOptions {
        sink: SinkOptions { replace, sync },
        threads: 2,
        arrangement: Arrangement::default(),
        in_place: false,
    };
    format::write(checkpoint, target, &options, &Silent).unwrap();
}

/// Name, dtype, shape, bytes.
fn content(checkpoint: &Checkpoint) -> Vec<(String, DType, Vec<u64>, Vec<u8>)> {
    let tensors = checkpoint.tensors.iter();
    let content = tensors.map(|tensor| {
        let bytes = Reader::open(tensor).unwrap().read_all().unwrap();
        let shape = tensor.shape.dimensions().to_vec();
        (tensor.name.clone(), tensor.dtype, shape, bytes)
    });
    content.collect()
}

fn checkpoint() -> Checkpoint {
    let long = |end: &str| format!("{}{end}", "transformer.blocks.ä.".repeat(9));
    Checkpoint {
        tensors: vec![
            tensor("conv3d", DType::F16, &[2, 3, 1, 2, 5]),
            tensor(&long("weight"), DType::F32, &[4]),
            tensor(&long("bias"), DType::Q8_0, &[2, 1, 2, 1, 2, 32]),
            tensor(&"n".repeat(127), DType::F32, &[2, 2]),
        ],
        ..Checkpoint::default()
    }
}

#[test]
fn long_names_and_shapes_of_many_dimensions_come_back_from_gguf() {
    let folder = tempfile::tempdir().unwrap();
    let (target, again) = (folder.path().join("a.gguf"), folder.path().join("b.gguf"));
    let meant = checkpoint();
    write(&meant, &target);
    let found = format::open(&target).unwrap();
    assert_eq!(content(&found), content(&meant));
    let is_kept = |(key, _): &&(String, _)| key.contains("orig");
    assert_eq!(found.metadata.iter().filter(is_kept).count(), 0);
    write(&found, &again);
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert_eq!(bytes(&target), bytes(&again));
}

/// gguf.h: up to four dimensions; ggml's names have 63 bytes, those of other programs 127.
#[test]
fn what_stands_in_the_file_is_what_readers_take() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.gguf");
    write(&checkpoint(), &target);
    let mut bytes = std::fs::read(&target).unwrap();
    // Without the keys nothing is given back.
    for key in ["ckpt.original_name.", "comfy.gguf.orig_shape."] {
        let found = |bytes: &[u8]| bytes.windows(key.len()).position(|w| w == key.as_bytes());
        while let Some(place) = found(&bytes) {
            bytes[place] = b'X';
        }
    }
    std::fs::write(&target, bytes).unwrap();
    let found = format::open(&target).unwrap();
    let shape = |index: usize| found.tensors[index].shape.dimensions().to_vec();
    assert_eq!(shape(0), [6, 1, 2, 5]);
    assert_eq!(shape(2), [4, 1, 2, 32]);
    let lengths = found.tensors.iter().map(|tensor| tensor.name.len());
    let lengths: Vec<usize> = lengths.collect();
    assert!(lengths[1] <= 63 && lengths[2] <= 63, "{lengths:?}");
    assert_ne!(found.tensors[1].name, found.tensors[2].name);
}

#[test]
fn a_name_that_is_not_the_one_that_was_shortened_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.gguf");
    write(&checkpoint(), &target);
    let mut bytes = std::fs::read(&target).unwrap();
    let long = "blocks.ä.weight".as_bytes();
    let place = bytes.windows(long.len()).position(|w| w == long).unwrap();
    bytes[place] = b'B';
    std::fs::write(&target, bytes).unwrap();
    let found = format::open(&target).unwrap();
    assert!(found.tensors[1].name.len() <= 63);
    assert_eq!(found.tensors[2].name, checkpoint().tensors[2].name);
}
