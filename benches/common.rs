//! What the benches of measuring share: files of numbers, plain reading of the same files, and
//! times of both in turn.

use ckpt::DType;
use ckpt::io::Source;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::time::Instant;

/// Runs of each; the first is thrown away.
const RUNS: usize = 9;

/// Bytes that plain reading reads at once, on as many threads as what it is compared with.
const BUFFER: usize = 256 << 10;

pub(crate) const THREADS: usize = 2;

/// Says what the columns are.
pub(crate) fn head(what: &str) {
    println!("{:<44} {:>10} {what:>10} {:>7}", "", "reading", "ratio");
}

/// Times `work` and plain reading of the same files in turn, and prints the best of each.
pub(crate) fn compare(label: &str, sources: &[&Source], work: impl Fn()) {
    let (mut reading, mut working) = (f64::INFINITY, f64::INFINITY);
    for run in 0..RUNS {
        let read = seconds(|| sources.iter().for_each(|source| read_all(source)));
        let worked = seconds(&work);
        if run > 0 {
            reading = reading.min(read);
            working = working.min(worked);
        }
    }
    let bytes: u64 = sources.iter().map(|source| source.len()).sum();
    let rate = |seconds: f64| format!("{:.2} GB/s", bytes as f64 / seconds / 1e9);
    let ratio = 100.0 * reading / working;
    let (read, worked) = (rate(reading), rate(working));
    println!("{label:<44} {read:>10} {worked:>10} {ratio:>5.0} %");
}

/// How large files are, in bytes.
pub(crate) fn file_bytes() -> u64 {
    let asked = std::env::var("CKPT_BENCH_MB").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(512) * 1_000_000
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn read_all(source: &Source) {
    let share = source.len().div_ceil(THREADS as u64);
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            scope.spawn(move || {
                let mut buffer = vec![0; BUFFER];
                let end = source.len().min((thread + 1) * share);
                let mut offset = thread * share;
                while offset < end {
                    let part = &mut buffer[..BUFFER.min((end - offset) as usize)];
                    source.read_exact_at(offset, part).unwrap();
                    offset += part.len() as u64;
                }
                black_box(&buffer);
            });
        }
    });
}

/// An unlinked file of about `bytes` bytes: numbers as weights have them, around zero. Other seeds
/// give other numbers; the same seed gives the same ones, rounded, in another dtype.
pub(crate) fn source(dtype: DType, bytes: u64, seed: u64) -> Source {
    let element = u64::from(dtype.element_bytes().unwrap());
    file(&pattern(dtype, seed), bytes / element * element)
}

/// As [`source`], of F32 that were rounded to `half`.
#[allow(dead_code, reason = "one of the benches does without")]
pub(crate) fn widened(half: DType, bytes: u64, seed: u64) -> Source {
    let halves = pattern(half, seed);
    let mut singles = vec![0; 2 * halves.len()];
    ckpt::dtype::cast::cast(half, DType::F32, &halves, &mut singles).unwrap();
    file(&singles, bytes / 4 * 4)
}

fn pattern(dtype: DType, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut pattern = Vec::new();
    for _ in 0..1 << 18 {
        let mut sum = -2.0;
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            sum += (state >> 40) as f64 / (1u64 << 24) as f64;
        }
        let weight = sum as f32 * 0.05;
        match dtype {
            DType::F32 => pattern.extend(weight.to_le_bytes()),
            DType::BF16 => pattern.extend(half::bf16::from_f32(weight).to_le_bytes()),
            DType::F16 => pattern.extend(half::f16::from_f32(weight).to_le_bytes()),
            DType::F64 => pattern.extend((sum * 0.05).to_le_bytes()),
            DType::I64 => pattern.extend(((sum * 1e6) as i64).to_le_bytes()),
            _ => pattern.push((sum * 60.0) as i8 as u8),
        }
    }
    pattern
}

/// A file of `len` bytes that repeats `pattern`.
fn file(pattern: &[u8], len: u64) -> Source {
    let file = tempfile::tempfile().unwrap();
    let mut out = BufWriter::new(File::try_clone(&file).unwrap());
    let mut left = len as usize;
    while left > 0 {
        let part = left.min(pattern.len());
        out.write_all(&pattern[..part]).unwrap();
        left -= part;
    }
    out.flush().unwrap();
    Source::from_file("bench", file, len)
}

/// The file as `count` tensors of equal size.
pub(crate) fn checkpoint(source: &Source, dtype: DType, count: u64) -> Checkpoint {
    let element = u64::from(dtype.element_bytes().unwrap());
    let elements = source.len() / element / count;
    let len = elements * element;
    let tensor = |index: u64| {
        let payload = Payload::Stored(Storage::extent(source, index * len, len));
        let shape = Shape::new([elements]).unwrap();
        Tensor::new(format!("layers.{index}.weight"), dtype, shape, payload)
    };
    Checkpoint {
        tensors: (0..count).map(tensor).collect(),
        ..Checkpoint::default()
    }
}
