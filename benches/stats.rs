//! `stats` against plain reading of the same file: how much of the machine's rate is left.
//!
//! `cargo bench --bench stats`. Each line is the best of several runs that alternate with runs
//! of plain reading, so that a busy moment hits both; ratios carry from machine to machine,
//! times do not. `CKPT_BENCH_MB` sets the size of the files (default 512), which lie in the
//! folder for temporary files and should fit the page cache.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use ckpt::DType;
use ckpt::io::Source;
use ckpt::kernel::InstructionSet;
use ckpt::model::{Checkpoint, Payload, Shape, Storage, Tensor};
use ckpt::op::stats::{Options, stats};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::time::Instant;

/// Runs of each; the first is thrown away.
const RUNS: usize = 9;

/// Bytes that plain reading reads at once, on as many threads as `stats` has.
const BUFFER: usize = 256 << 10;

const THREADS: usize = 2;

fn main() {
    let bytes = 1_000_000 * megabytes();
    println!(
        "{:<34} {:>10} {:>10} {:>7}",
        "", "reading", "stats", "ratio"
    );
    for dtype in [
        DType::F32,
        DType::BF16,
        DType::F16,
        DType::F64,
        DType::I64,
        DType::I8,
    ] {
        let source = source(dtype, bytes);
        let whole = checkpoint(&source, dtype, 4);
        compare(&format!("{dtype}"), &source, &whole, &options());
        if dtype == DType::F32 {
            let narrow = Options {
                instructions: InstructionSet::Avx2,
                ..options()
            };
            compare("F32, AVX2 at most", &source, &whole, &narrow);
            let portable = Options {
                instructions: InstructionSet::Baseline,
                ..options()
            };
            compare("F32, baseline", &source, &whole, &portable);
        }
        if matches!(dtype, DType::F32 | DType::BF16) {
            let quantiles = Options {
                quantiles: vec![0.01, 0.5, 0.99],
                ..options()
            };
            compare(
                &format!("{dtype}, --quantiles"),
                &source,
                &whole,
                &quantiles,
            );
        }
    }
    let source = source(DType::F32, 100_000 * 1000);
    let small = checkpoint(&source, DType::F32, 100_000);
    compare("F32, 100,000 tensors of 1 kB", &source, &small, &options());
}

fn megabytes() -> u64 {
    let asked = std::env::var("CKPT_BENCH_MB").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(512)
}

fn options() -> Options<'static> {
    Options {
        threads: THREADS,
        ..Options::default()
    }
}

fn compare(label: &str, source: &Source, checkpoint: &Checkpoint, options: &Options<'_>) {
    let (mut reading, mut measuring) = (f64::INFINITY, f64::INFINITY);
    for run in 0..RUNS {
        let read = seconds(|| read_all(source));
        let measured = seconds(|| {
            black_box(stats(checkpoint, options).unwrap());
        });
        if run > 0 {
            reading = reading.min(read);
            measuring = measuring.min(measured);
        }
    }
    let rate = |seconds: f64| format!("{:.2} GB/s", source.len() as f64 / seconds / 1e9);
    let ratio = 100.0 * reading / measuring;
    let (read, measured) = (rate(reading), rate(measuring));
    println!("{label:<34} {read:>10} {measured:>10} {ratio:>5.0} %");
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

/// An unlinked file of about `bytes` bytes: numbers as weights have them, around zero.
fn source(dtype: DType, bytes: u64) -> Source {
    let element = u64::from(dtype.element_bytes().unwrap());
    let mut state = 1u64;
    let mut pattern = Vec::with_capacity(1 << 20);
    while pattern.len() < 1 << 20 {
        let mut sum = -2.0;
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            sum += (state >> 40) as f64 / (1u64 << 24) as f64;
        }
        match dtype {
            DType::F32 => pattern.extend((sum as f32 * 0.05).to_le_bytes()),
            DType::BF16 => pattern.extend(half::bf16::from_f64(sum * 0.05).to_le_bytes()),
            DType::F16 => pattern.extend(half::f16::from_f64(sum * 0.05).to_le_bytes()),
            DType::F64 => pattern.extend((sum * 0.05).to_le_bytes()),
            DType::I64 => pattern.extend(((sum * 1e6) as i64).to_le_bytes()),
            _ => pattern.push((sum * 60.0) as i8 as u8),
        }
    }
    let file = tempfile::tempfile().unwrap();
    let mut out = BufWriter::new(File::try_clone(&file).unwrap());
    let len = bytes / element * element;
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
fn checkpoint(source: &Source, dtype: DType, count: u64) -> Checkpoint {
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
