//! Any bytes are numpy or an error, whether or not they look like it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ckpt_fuzz::read_as("numpy", data));
