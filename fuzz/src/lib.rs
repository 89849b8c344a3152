//! What the targets share: trying everything on what a reader returns.

use ckpt::format::{FORMATS, ReadOptions};
use ckpt::io::Source;
use ckpt::model::Checkpoint;
use ckpt::stream::{Reader, Scratch};

/// Elements read of each tensor: expanded views may be far larger than the file.
const ELEMENTS: u64 = 4096;

/// Tensors read of each checkpoint.
const TENSORS: usize = 100;

/// Reads `data` as the format of this name, whether or not that would be detected, and then
/// the tensors it lists.
pub fn read_as(format: &str, data: &[u8]) {
    let format = FORMATS.iter().find(|known| known.name() == format).unwrap();
    let source = Source::from_bytes("input", data);
    for options in [ReadOptions::SUMMARY, ReadOptions::ALL, ReadOptions::EXAMINE] {
        if let Ok(checkpoint) = format.read(&source, &options) {
            read_tensors(checkpoint);
        }
    }
}

/// Reads the beginning of every tensor; the outcome does not matter.
pub fn read_tensors(mut checkpoint: Checkpoint) {
    checkpoint.mark_tied();
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    for tensor in checkpoint.tensors.iter().take(TENSORS) {
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
