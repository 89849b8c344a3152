//! `diff` against plain reading of the same two files: how much of the machine's rate is left.
//!
//! `cargo bench --bench diff`. Each line is the best of several runs that alternate with runs
//! of plain reading, so that a busy moment hits both; ratios carry from machine to machine,
//! times do not. Rates count the bytes of both files. `CKPT_BENCH_MB` sets the size of the
//! files (default 512), which lie in the folder for temporary files and should fit the page
//! cache.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod common;

use ckpt::DType;
use ckpt::io::Source;
use ckpt::kernel::InstructionSet;
use ckpt::op::diff::{Options, diff_with};
use ckpt::parallel::Silent;
use common::{THREADS, checkpoint, file_bytes, head, source};
use std::hint::black_box;

fn main() {
    head("diff");
    let bytes = file_bytes();
    let best = InstructionSet::best();
    let single = |seed| source(DType::F32, bytes, seed);
    let half = |dtype, seed| source(dtype, bytes / 2, seed);
    {
        let (a, b) = (single(1), single(2));
        compare(
            "F32 and other F32",
            best,
            [(&a, DType::F32), (&b, DType::F32)],
            4,
        );
        for (name, set) in [
            ("AVX2 at most", InstructionSet::Avx2),
            ("baseline", InstructionSet::Baseline),
        ] {
            let label = format!("F32 and other F32, {name}");
            compare(&label, set, [(&a, DType::F32), (&b, DType::F32)], 4);
        }
    }
    let (a, b) = (single(1), single(1));
    compare(
        "two identical files of F32",
        best,
        [(&a, DType::F32), (&b, DType::F32)],
        4,
    );
    for dtype in [DType::BF16, DType::F16] {
        for (label, seed) in [("its", 1), ("other", 2)] {
            let b = half(dtype, seed);
            let label = format!("F32 and {label} {dtype}");
            compare(&label, best, [(&a, DType::F32), (&b, dtype)], 4);
        }
    }
    let (a, b) = (half(DType::BF16, 1), half(DType::BF16, 2));
    compare(
        "BF16 and other BF16",
        best,
        [(&a, DType::BF16), (&b, DType::BF16)],
        4,
    );
    let small = |seed| source(DType::F32, 100_000 * 1000, seed);
    let (a, b) = (small(1), small(2));
    let label = "F32 and other F32, 100,000 tensors of 1 kB";
    compare(label, best, [(&a, DType::F32), (&b, DType::F32)], 100_000);
}

fn compare(label: &str, set: InstructionSet, sides: [(&Source, DType); 2], tensors: u64) {
    let [a, b] = sides.map(|(source, dtype)| checkpoint(source, dtype, tensors));
    let options = Options {
        threads: THREADS,
        ..Options::default()
    };
    common::compare(label, &sides.map(|(source, _)| source), || {
        black_box(diff_with(set, &a, &b, &options, &Silent).unwrap());
    });
}
