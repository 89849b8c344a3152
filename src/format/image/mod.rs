//! Pictures: the texts that a program leaves in them beside the pixels.
//!
//! Containers are walked piece by piece; no pixel is decoded and only pieces that hold text
//! are read.
//!
//! | container | where texts stand |
//! |---|---|
//! | PNG | chunks `tEXt`, `zTXt`, `iTXt`, ComfyUI's `comf` behind the pixels, and `eXIf` |
//! | WebP | chunk `EXIF` of the RIFF |
//! | JPEG | segment APP1 `Exif` |

mod exif;
mod jpeg;
mod png;
mod webp;

use super::texts::Text;
use crate::error::Result;
use crate::io::Source;

/// The texts of the picture in `source`; `None` if it is none that is known here. `head`: its
/// first bytes.
///
/// Errors: `Malformed` for a container that contradicts itself, `Limit` past
/// [`crate::limits::IMAGE_TEXT`] or [`crate::limits::IMAGE_CHUNKS`].
pub(super) fn read(head: &[u8], source: &Source) -> Result<Option<Vec<Text>>> {
    if head.starts_with(png::SIGNATURE) {
        return png::read(source).map(Some);
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return webp::read(source).map(Some);
    }
    if head.starts_with(&[0xff, 0xd8, 0xff]) {
        return jpeg::read(source).map(Some);
    }
    Ok(None)
}
