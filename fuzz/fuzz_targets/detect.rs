//! At most one format claims any bytes, and asking is harmless.
#![no_main]

use ckpt::format::{FORMATS, HEAD};
use ckpt::io::Source;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    let head = source.read_prefix(0, HEAD).unwrap();
    let claims = FORMATS
        .iter()
        .filter(|format| format.detect(&head, &source));
    let names: Vec<&str> = claims.map(|format| format.name()).collect();
    assert!(names.len() <= 1, "claimed by {names:?}");
});
