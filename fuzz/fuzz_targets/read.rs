//! Any bytes are a checkpoint or an error; what a checkpoint lists can be read or refused.
#![no_main]

use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;
use ckpt::stream::{Reader, Scratch};

/// Elements read of each tensor: expanded views may be far larger than the file.
const ELEMENTS: u64 = 4096;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    for options in [ReadOptions::SUMMARY, ReadOptions::ALL] {
        let Ok(mut checkpoint) = format::read(&source, &options) else {
            continue;
        };
        checkpoint.mark_tied();
        let (mut out, mut scratch) = (Vec::new(), Scratch::default());
        for tensor in checkpoint.tensors.iter().take(100) {
            let Ok(reader) = Reader::open(tensor) else {
                continue;
            };
            let granularity = reader.granularity();
            let count = tensor
                .elements()
                .min(ELEMENTS.next_multiple_of(granularity));
            let _ = reader.read(0, count, &mut out, &mut scratch);
        }
    }
});
