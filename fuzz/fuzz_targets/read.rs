//! Any bytes are a checkpoint or an error, gzip and tar around them too; what a checkpoint
//! lists can be read or refused.
#![no_main]

use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    if let Ok(checkpoint) = format::read(&source, &ReadOptions::SUMMARY) {
        ckpt_fuzz::read_tensors(checkpoint);
    }
});
