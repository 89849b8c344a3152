//! WebP: a RIFF of chunks, little-endian, each padded to an even length.
//!
//! ```text
//! 0   4   "RIFF"
//! 4   4   bytes that follow
//! 8   4   "WEBP"
//! 12  4   type                                  one chunk
//!     4   length of the data
//!     n   data, and a zero if n is odd
//! ```
//!
//! Source: RFC 9649, sections 2.3 and 2.7.

use super::super::texts::Text;
use super::exif;
use crate::error::{Error, Result};
use crate::io::{Cursor, Source};
use crate::limits;

/// The texts in the EXIF block of a WebP.
pub(super) fn read(source: &Source) -> Result<Vec<Text>> {
    let mut cursor = Cursor::new(source, 12);
    for _ in 0..limits::IMAGE_CHUNKS {
        if cursor.remaining() < 8 {
            return Ok(Vec::new());
        }
        let kind: [u8; 4] = cursor.array()?;
        let len = u64::from(cursor.u32()?);
        if kind == *b"EXIF" {
            let start = cursor.file_position();
            return exif::read_from(&mut cursor, len).map_err(|error| error.at(start));
        }
        cursor.skip(len)?;
        if len % 2 == 1 && cursor.remaining() > 0 {
            cursor.skip(1)?;
        }
    }
    let allowed = limits::IMAGE_CHUNKS;
    Err(Error::limit(format!("has over {allowed} chunks")))
}
