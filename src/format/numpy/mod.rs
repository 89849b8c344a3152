//! NumPy: one array a file (npy), or a zip of such files (npz).
//!
//! | byte | size   | what                                                                |
//! |------|--------|---------------------------------------------------------------------|
//! | 0    | 6      | `\x93NUMPY`                                                         |
//! | 6    | 2      | version: 1.0, 2.0 or 3.0                                            |
//! | 8    | 2 or 4 | `N`, the header's length: u16 in version 1.0, u32 later             |
//! | ...  | N      | the header: a Python dict literal, padded with spaces, a newline    |
//! | ...  | rest   | the elements; a pickle if they are Python objects                   |
//!
//! The header is `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, in Latin-1,
//! from version 3.0 on in UTF-8. An npz names each array by its member, without `.npy`.
//!
//! Numbers become tensors. What else an array may hold (strings, structures, dates, Python
//! objects) goes to `values`.
//!
//! Source: numpy/lib/_format_impl.py.

mod element;
mod header;
mod literal;
mod object;
mod read;
mod text;
mod write;

use super::{Format, ReadOptions, Writer};
use crate::error::Result;
use crate::io::Source;
use crate::io::archive::Archive;
use crate::model::Checkpoint;

/// The first bytes of an npy file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What the single array of an npy file is called.
const BARE_NAME: &str = "tensor";

/// What every member of an npz is called.
const MEMBER_SUFFIX: &str = ".npy";

/// The NumPy format.
#[derive(Clone, Copy, Debug)]
pub struct Numpy;

impl Format for Numpy {
    fn name(&self) -> &'static str {
        "numpy"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["npy", "npz"]
    }

    fn writer(&self, extension: &str) -> Option<&dyn Writer> {
        match extension {
            "npy" => Some(&write::Npy),
            "npz" => Some(&write::Npz),
            _ => None,
        }
    }

    fn detect(&self, head: &[u8], source: &Source) -> bool {
        head.starts_with(MAGIC) || may_be_npz(head) && is_npz(source)
    }

    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
        if source.read_prefix(0, MAGIC.len() as u64)? == MAGIC {
            return read::read_npy(source, options);
        }
        read::read_npz(source, options)
    }
}

/// Whether the first member of a zip is called like an array, or there is none. Saves reading the directory of
/// archives that are something else.
fn may_be_npz(head: &[u8]) -> bool {
    // A member's own header: 26 bytes, lengths of name and extra field, name.
    let length = head.get(26..28).and_then(|bytes| bytes.try_into().ok());
    let length = length.map_or(0, u16::from_le_bytes);
    let name = head.get(30..).and_then(|rest| rest.get(..length.into()));
    let is_empty = head.starts_with(b"PK\x05\x06");
    is_empty
        || Archive::is_zip(head)
            && name.is_some_and(|name| name.ends_with(MEMBER_SUFFIX.as_bytes()))
}

/// Whether all members of a zip are called like arrays. One that cannot be read is taken for
/// an npz, to say why.
fn is_npz(source: &Source) -> bool {
    let is_array = |archive: Archive| {
        let mut members = archive.members.iter();
        members.all(|member| member.name.ends_with(MEMBER_SUFFIX))
    };
    Archive::read_zip(source).map_or(true, is_array)
}
