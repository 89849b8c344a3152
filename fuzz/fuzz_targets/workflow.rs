//! Any bytes are a workflow, a picture that holds one, or an error.
#![no_main]

use ckpt::format::read_texts;
use ckpt::io::Source;
use ckpt::op::workflow;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    if let Ok(texts) = read_texts(&source) {
        let _ = workflow::read(texts.iter().map(|text| (&*text.key, &*text.text)));
    }
});
