//! Any bytes can be looked through for pickles and other carriers of code.
#![no_main]

use ckpt::io::Source;
use ckpt::safety::{Policy, scan};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    let _ = scan(&source, None, &Policy::default());
});
