//! JPEG: segments up to the pixels; APP1 may hold EXIF.
//!
//! ```text
//! 0   2   FF D8
//! 2   2   FF and the kind of segment            one segment; FF DA starts the pixels
//!     2   its length, big-endian, these two bytes included
//! ```
//!
//! Source: ITU-T T.81, annex B; CIPA DC-008, section 4.7.2.

use super::super::texts::Text;
use super::exif;
use crate::error::Result;
use crate::io::{ByteOrder, Cursor, Source};
use crate::limits;

/// APP1.
const APPLICATION_1: u8 = 0xe1;

/// Start of scan, and end of image.
const ENDS: [u8; 2] = [0xda, 0xd9];

/// The texts in the EXIF blocks of a JPEG.
pub(super) fn read(source: &Source) -> Result<Vec<Text>> {
    let mut cursor = Cursor::new(source, 2);
    cursor.set_order(ByteOrder::Big);
    let mut texts = Vec::new();
    for _ in 0..limits::IMAGE_CHUNKS {
        if cursor.remaining() < 4 {
            break;
        }
        let [mark, kind] = cursor.array()?;
        if mark != 0xff || ENDS.contains(&kind) {
            break;
        }
        let len = u64::from(cursor.u16()?).saturating_sub(2);
        let next = cursor.position().saturating_add(len);
        if kind == APPLICATION_1 {
            let start = cursor.file_position();
            let found = exif::read_from(&mut cursor, len);
            texts.extend(found.map_err(|error| error.at(start))?);
        }
        cursor.seek(next)?;
    }
    Ok(texts)
}
