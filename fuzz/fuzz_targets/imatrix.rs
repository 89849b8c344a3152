//! Any bytes are an importance matrix or an error, and weights come out of what is one.
#![no_main]

use ckpt::DType;
use ckpt::format::imatrix;
use ckpt::io::Source;
use ckpt::model::{Payload, Shape, Storage, Tensor};
use ckpt::op::importance::Weights;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(matrix) = imatrix::read(&Source::from_bytes("input", data)) else {
        return;
    };
    let names: Vec<String> = matrix
        .entries
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let weights = Weights::new(matrix);
    for name in names {
        for shape in [&[256][..], &[2, 256], &[3, 1, 256]] {
            let payload = Payload::Stored(Storage::inline([]));
            let shape = Shape::new(shape).unwrap();
            let _ = weights.of(&Tensor::new(name.as_str(), DType::F32, shape, payload));
        }
    }
});
