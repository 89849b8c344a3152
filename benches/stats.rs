//! `stats` against plain reading of the same file: how much of the machine's rate is left.
//!
//! `cargo bench --bench stats`. Each line is the best of several runs that alternate with runs
//! of plain reading, so that a busy moment hits both; ratios carry from machine to machine,
//! times do not. `CKPT_BENCH_MB` sets the size of the files (default 512), which lie in the
//! folder for temporary files and should fit the page cache.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod common;

use ckpt::DType;
use ckpt::io::Source;
use ckpt::kernel::InstructionSet;
use ckpt::model::Checkpoint;
use ckpt::op::lossless::decide;
use ckpt::op::rules::Wanted;
use ckpt::op::stats::{Options, stats};
use ckpt::parallel::Silent;
use common::{THREADS, checkpoint, file_bytes, head, source};
use std::hint::black_box;

fn main() {
    head("stats");
    for dtype in [
        DType::F32,
        DType::BF16,
        DType::F16,
        DType::F64,
        DType::I64,
        DType::I8,
    ] {
        let source = source(dtype, file_bytes(), 1);
        let whole = checkpoint(&source, dtype, 4);
        compare(&format!("{dtype}"), &source, &whole, &options());
        if matches!(dtype, DType::F32 | DType::BF16 | DType::F16) {
            for (name, instructions) in [
                ("AVX2 at most", InstructionSet::Avx2),
                ("baseline", InstructionSet::Baseline),
            ] {
                let options = Options {
                    instructions,
                    ..options()
                };
                compare(&format!("{dtype}, {name}"), &source, &whole, &options);
            }
            let quantiles = Options {
                quantiles: vec![0.01, 0.5, 0.99],
                ..options()
            };
            let label = format!("{dtype}, --quantiles");
            compare(&label, &source, &whole, &quantiles);
        }
    }
    for half in [DType::BF16, DType::F16] {
        let source = common::widened(half, file_bytes(), 1);
        let whole = checkpoint(&source, DType::F32, 4);
        let label = format!("F32 that {half} holds exactly");
        compare(&label, &source, &whole, &options());
        let avx2 = Options {
            instructions: InstructionSet::Avx2,
            ..options()
        };
        compare(&format!("{label}, AVX2 at most"), &source, &whole, &avx2);
        let wanted = vec![Some(Wanted::Lossless); 4];
        let holds = [DType::BF16, DType::F16];
        common::compare(&format!("{label}, `decide`"), &[&source], || {
            black_box(decide(&whole, &wanted, &holds, THREADS, &Silent).unwrap());
        });
    }
    let source = source(DType::F32, 100_000 * 1000, 1);
    let small = checkpoint(&source, DType::F32, 100_000);
    compare("F32, 100,000 tensors of 1 kB", &source, &small, &options());
}

fn options() -> Options<'static> {
    Options {
        threads: THREADS,
        ..Options::default()
    }
}

fn compare(label: &str, source: &Source, checkpoint: &Checkpoint, options: &Options<'_>) {
    common::compare(label, &[source], || {
        black_box(stats(checkpoint, options).unwrap());
    });
}
