//! Asking every format whether some bytes are its own is harmless. (Of a real file exactly one
//! says so, which tests/laws.rs holds; bytes made for it can look like several, and the first
//! in FORMATS reads them.)
#![no_main]

use ckpt::format::{FORMATS, HEAD};
use ckpt::io::Source;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    let head = source.read_prefix(0, HEAD).unwrap();
    for format in FORMATS {
        let _ = format.detect(&head, &source);
    }
});
