//! The parts of `convert`: casts by dtype, and reading views, in bytes of input.
#![allow(clippy::unwrap_used, missing_docs)]

use ckpt::DType;
use ckpt::dtype::cast::cast;
use ckpt::io::Source;
use ckpt::model::{Payload, Shape, Storage, Tensor};
use ckpt::stream::{Reader, Scratch};
use divan::Bencher;
use divan::counter::BytesCount;

/// Elements: what fits a core's L2 cache together with the output.
const ELEMENTS: usize = 64 << 10;

fn main() {
    divan::main();
}

/// Ordinary weights: values between -1 and 1 of every exponent down to 2^-20.
fn weights() -> Vec<u8> {
    let value = |i: usize| {
        let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        sign * (i % 977) as f32 / 977.0 / (1 << (i % 20)) as f32
    };
    (0..ELEMENTS).flat_map(|i| value(i).to_le_bytes()).collect()
}

#[divan::bench(args = [
    (DType::F32, DType::BF16),
    (DType::F32, DType::F16),
    (DType::F32, DType::F64),
    (DType::BF16, DType::F32),
    (DType::F16, DType::F32),
    (DType::F16, DType::BF16),
    (DType::F8E4M3, DType::F32),
    (DType::I64, DType::F32),
])]
fn casts(bencher: Bencher<'_, '_>, (from, to): (DType, DType)) {
    let mut input = vec![0; from.byte_len(ELEMENTS as u64).unwrap() as usize];
    cast(
        DType::F32,
        DType::F32,
        &weights(),
        &mut vec![0; ELEMENTS * 4],
    )
    .unwrap();
    if from.element_bytes() == Some(2) {
        cast(DType::F32, from, &weights(), &mut input).unwrap();
    } else {
        let bytes = weights();
        let filled = bytes.iter().cycle().zip(&mut input);
        filled.for_each(|(byte, out)| *out = *byte);
    }
    let mut out = vec![0; to.byte_len(ELEMENTS as u64).unwrap() as usize];
    bencher
        .counter(BytesCount::new(input.len()))
        .bench_local(|| cast(from, to, &input, &mut out).unwrap());
}

/// A transposed matrix, read row by row in pieces.
#[divan::bench(args = [256, 2048])]
fn transposed(bencher: Bencher<'_, '_>, side: u64) {
    let source = Source::from_bytes("bench", vec![1; (side * side * 4) as usize]);
    let shape = Shape::new([side, side]).unwrap();
    let storage = Storage::extent(&source, 0, side * side * 4);
    let view = Payload::view(storage, DType::F32, &shape, 0, [1, side].into());
    let tensor = Tensor::new("x", DType::F32, shape, view);
    let reader = Reader::open(&tensor).unwrap();
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    bencher
        .counter(BytesCount::new((side * side * 4) as usize))
        .bench_local(|| {
            for rows in 0..side / 64 {
                let first = rows * 64 * side;
                reader
                    .read(first, 64 * side, &mut out, &mut scratch)
                    .unwrap();
            }
        });
}
