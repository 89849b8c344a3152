//! GGUF: the format of llama.cpp, versions 1 to 3, either byte order, one file or several.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `GGUF`, in this order in big-endian files too |
//! | 4 | version; its low half is zero if the file is of the other byte order |
//! | 8 (v1: 4) | number of tensors |
//! | 8 (v1: 4) | number of key-value pairs |
//! | | each pair: key (text), type of the value (4), value |
//! | | each tensor: name (text), dimensions (4), each dimension (8; v1: 4), type (4), offset (8) |
//! | | zeros up to a multiple of `general.alignment` (32 where it is absent) |
//! | | tensor data; offsets count from here |
//!
//! Text is a length (8; v1: 4) and bytes. An array is the type of its elements (4), their count
//! (8; v1: 4) and the elements. Dimensions are stored innermost first and turned round here.
//!
//! | file | what |
//! |---|---|
//! | `types.rs` | the numbers of value types and tensor types |
//! | `fields.rs` | lengths and texts, with their bounds |
//! | `metadata.rs` | key-value pairs |
//! | `tensors.rs` | tensor infos, and whether their data lies in the file |
//! | `read.rs` | the file from front to back |
//! | `write.rs`, `encode.rs` | a file from front to back; values of metadata |
//! | `split.rs` | `NAME-00001-of-00003.gguf` and its siblings |
//!
//! What ggml refuses because it could not be read safely is an error here too; what it refuses
//! only because no writer of its own would do it is a note. Source: gguf.h, gguf.cpp and
//! docs/gguf.md of ggml.

mod encode;
mod fields;
mod metadata;
mod original;
mod read;
pub(super) mod split;
mod tensors;
mod types;
mod write;

use super::{Format, ReadOptions, Writer};
use crate::error::Result;
use crate::io::Source;
use crate::model::Checkpoint;

/// The first bytes of every GGUF file.
const MAGIC: &[u8] = b"GGUF";

/// The gguf format.
#[derive(Clone, Copy, Debug)]
pub struct Gguf;

impl Format for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["gguf"]
    }

    fn writer(&self, _extension: &str) -> Option<&dyn Writer> {
        Some(self)
    }

    fn detect(&self, head: &[u8], _source: &Source) -> bool {
        head.starts_with(MAGIC)
    }

    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
        read::read(source, options)
    }
}
