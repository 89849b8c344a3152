//! How many elements one thread decodes and encodes: GGUF blocks and small floats from and to
//! `f32`.
//!
//! `cargo bench --bench blocks [-- decode|encode [TYPE...]]`. Millions of elements a second, the
//! best of many short runs. 16 rows of 4096 elements at once, so that all stays in the cache:
//! `cast` from memory to memory, `stream` through a reader as `stats` and `convert` have it.
//! `benches/peers/run.sh blocks` sets the decoders beside ggml's.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use ckpt::DType;
use ckpt::dtype::Class;
use ckpt::dtype::cast::{cast, check};
use ckpt::model::{Payload, Shape, Storage, Tensor};
use ckpt::stream::{Reader, Scratch};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rows of 4096 elements.
const ELEMENTS: usize = 16 * 4096;

/// How long each is measured.
const TIME: Duration = Duration::from_millis(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
    let part = words.next().map(String::as_str);
    let names: Vec<&String> = words.collect();
    let is_asked =
        |dtype: &DType| names.is_empty() || names.iter().any(|name| **name == dtype.to_string());
    let types = || DType::ALL.iter().copied().filter(is_asked);
    if part.is_none_or(|part| part == "decode") {
        println!("{:<12} {:>10} {:>10}", "decode", "cast", "stream");
        types().filter(is_decoded).for_each(decode);
    }
    if part.is_none_or(|part| part == "encode") {
        println!("{:<12} {:>10}", "encode", "cast");
        types().filter(is_encoded).for_each(encode);
    }
}

fn is_decoded(dtype: &DType) -> bool {
    let is_wide = dtype.element_bytes().is_some_and(|bytes| bytes > 2);
    let is_float = matches!(dtype.class(), Class::Float | Class::Block);
    is_float && !is_wide && check(*dtype, DType::F32).is_ok()
}

fn is_encoded(dtype: &DType) -> bool {
    is_decoded(dtype) && check(DType::F32, *dtype).is_ok()
}

fn decode(dtype: DType) {
    let bytes = stored(dtype);
    let mut out = vec![0; ELEMENTS * 4];
    let memory = rate(|| {
        cast(dtype, DType::F32, &bytes, &mut out).unwrap();
        black_box(&mut out);
    });
    let shape = Shape::new([16, 4096]).unwrap();
    let payload = Payload::Stored(Storage::inline(bytes));
    let blocks = Tensor::new("blocks", dtype, shape.clone(), payload);
    let floats = Tensor::new("floats", DType::F32, shape, Payload::Cast(blocks.into()));
    let reader = Reader::open(&floats).unwrap();
    let mut scratch = Scratch::default();
    let stream = rate(|| {
        let read = reader.read(0, ELEMENTS as u64, &mut out, &mut scratch);
        black_box(read.unwrap());
    });
    println!("{dtype:<12} {memory:>10.0} {stream:>10.0}");
}

fn encode(dtype: DType) {
    let mut random = Random(2);
    let values = (0..ELEMENTS).flat_map(|_| random.weight().to_le_bytes());
    let values: Vec<u8> = values.collect();
    let mut out = vec![0; dtype.byte_len(ELEMENTS as u64).unwrap() as usize];
    let memory = rate(|| {
        cast(DType::F32, dtype, &values, &mut out).unwrap();
        black_box(&mut out);
    });
    println!("{dtype:<12} {memory:>10.1}");
}

/// Millions of elements a second.
fn rate(mut work: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    let start = Instant::now();
    while best == Duration::MAX || start.elapsed() < TIME {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed());
    }
    ELEMENTS as f64 / best.as_secs_f64() / 1e6
}

/// Random elements that decode to finite numbers, block by block.
fn stored(dtype: DType) -> Vec<u8> {
    let facts = dtype.facts();
    let (width, count) = (facts.block_bytes as usize, facts.block_elements as usize);
    let mut random = Random(1);
    let mut stored = Vec::new();
    let mut values = vec![0; count * 4];
    while stored.len() < ELEMENTS / count * width {
        let block: Vec<u8> = (0..width).map(|_| random.byte()).collect();
        cast(dtype, DType::F32, &block, &mut values).unwrap();
        let words = values.as_chunks::<4>().0;
        if words
            .iter()
            .all(|word| f32::from_le_bytes(*word).is_finite())
        {
            stored.extend(block);
        }
    }
    stored
}

/// Knuth's linear congruence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 24) as u8
    }

    /// Around zero, as weights lie.
    fn weight(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| self.next() as f64 / 2f64.powi(32)).sum();
        (sum - 2.0) as f32 * 0.05
    }
}
