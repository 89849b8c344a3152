//! Bytes in and out. Knows no tensor and no format's meaning.
//!
//! Inputs are read by position from any thread and never mapped: a mapped file that shrinks
//! kills the process, and its resident memory grows with the file.

#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

pub mod archive;
mod cursor;
mod folder;
mod inflate;
mod sink;
mod source;

pub use cursor::Cursor;
pub use folder::{
    FolderEntry, file_exists, folder_of, free_space, is_folder, is_outside, list_folder, or_here,
    read_small_file, read_small_text, real_path, remove_file, rename_file,
};
pub use inflate::{Codec, Packed, inflate, inflate_stream};
pub use sink::{Sink, SinkOptions, overwrite, passing_name, remove_leftovers};
pub use source::Source;

/// Which end of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}
