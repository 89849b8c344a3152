//! Any bytes are an archive or an error, as a zip and as a tar.
#![no_main]

use ckpt::io::Source;
use ckpt::io::archive::Archive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    for archive in [Archive::read_zip(&source), Archive::read_tar(&source)] {
        let Ok(archive) = archive else {
            continue;
        };
        for member in archive.members.iter().take(50) {
            if let Ok(opened) = archive.open(member) {
                let _ = opened.read_prefix(0, 4096);
            }
        }
    }
});
