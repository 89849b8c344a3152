//! EXIF: a small TIFF, of which the entries that hold text are read.
//!
//! ```text
//! 0   2   "II" little-endian, "MM" big-endian
//! 2   2   42
//! 4   4   offset of the first directory         a directory: a count (2), then entries
//!
//! 0   2   tag                                   one entry
//! 2   2   type: 2 text, 7 bytes
//! 4   4   how many
//! 8   4   the value, or its offset if it has more than 4 bytes
//! ```
//!
//! ComfyUI writes `KEY:{json}` as the text of tags counted down from 0x0110; A1111 writes its
//! parameters as the user comment. Source: CIPA DC-008, section 4.6.

use super::super::texts::{Text, decode};
use crate::error::{Error, Result};
use crate::io::{ByteOrder, Cursor, Source};
use crate::limits;

/// Stands before the TIFF in JPEG, and by some writers in WebP.
const PREFIX: &[u8] = b"Exif\0\0";

/// Tag of the directory that holds the user comment.
const EXIF_DIRECTORY: u16 = 0x8769;

/// Tag of the user comment.
const USER_COMMENT: u16 = 0x9286;

/// Reads a block of `len` bytes at the cursor.
pub(super) fn read_from(cursor: &mut Cursor<'_>, len: u64) -> Result<Vec<Text>> {
    if len > limits::IMAGE_TEXT {
        let allowed = limits::IMAGE_TEXT;
        let message = format!("has {len} bytes of EXIF; the limit is {allowed}");
        return Err(Error::limit(message));
    }
    read(&cursor.bytes(len)?)
}

/// The texts of an EXIF block. A block that is none gives none: XMP stands in APP1, too.
pub(super) fn read(block: &[u8]) -> Result<Vec<Text>> {
    let block = block.strip_prefix(PREFIX).unwrap_or(block);
    let order = match block.get(..4) {
        Some(b"II\x2a\0") => ByteOrder::Little,
        Some(b"MM\0\x2a") => ByteOrder::Big,
        _ => return Ok(Vec::new()),
    };
    let source = Source::from_bytes("EXIF", block);
    let mut cursor = Cursor::new(&source, 4);
    cursor.set_order(order);
    let first = cursor.u32()?;
    let mut reader = Reader {
        cursor,
        texts: Vec::new(),
        bytes: 0,
    };
    let inner = reader.directory(first)?;
    if let Some(offset) = inner {
        reader.directory(offset)?;
    }
    Ok(reader.texts)
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    texts: Vec<Text>,
    bytes: u64,
}

impl Reader<'_> {
    /// Reads the directory at `offset`; returns where the one with the user comment lies.
    fn directory(&mut self, offset: u32) -> Result<Option<u32>> {
        self.cursor.seek(u64::from(offset))?;
        let count = self.cursor.u16()?;
        if count > limits::EXIF_ENTRIES {
            let allowed = limits::EXIF_ENTRIES;
            let message = format!("has {count} EXIF entries; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        let mut inner = None;
        for _ in 0..count {
            let tag = self.cursor.u16()?;
            let kind = self.cursor.u16()?;
            let len = self.cursor.u32()?;
            let next = self.cursor.position().saturating_add(4);
            match (tag, kind) {
                (EXIF_DIRECTORY, _) => inner = Some(self.cursor.u32()?),
                (USER_COMMENT, _) | (_, 2) => self.text(tag, len)?,
                _ => {}
            }
            self.cursor.seek(next)?;
        }
        Ok(inner)
    }

    fn text(&mut self, tag: u16, len: u32) -> Result<()> {
        // Entries may share their bytes, so what they give together is counted.
        self.bytes = self.bytes.saturating_add(u64::from(len));
        if self.bytes > limits::IMAGE_TEXT {
            let allowed = limits::IMAGE_TEXT;
            return Err(Error::limit(format!("holds over {allowed} bytes of text")));
        }
        if len > 4 {
            let offset = self.cursor.u32()?;
            self.cursor.seek(u64::from(offset))?;
        }
        let bytes = self.cursor.bytes(u64::from(len))?;
        let (key, text) = match tag {
            USER_COMMENT => (String::from("parameters"), comment(&bytes)),
            _ => keyed(&decode(&bytes)),
        };
        self.texts.push(Text { key, text });
        Ok(())
    }
}

/// Splits `KEY:{json}`; any other text has no key.
fn keyed(text: &str) -> (String, String) {
    let text = text.trim_end_matches('\0');
    let is_key =
        |key: &str| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
    match text.split_once(':') {
        Some((key, rest)) if is_key(key) && rest.trim_start().starts_with('{') => {
            (key.to_owned(), rest.to_owned())
        }
        _ => (String::new(), text.to_owned()),
    }
}

/// A user comment: eight bytes that name its character set, then the text.
fn comment(bytes: &[u8]) -> String {
    let Some((set, text)) = bytes.split_first_chunk::<8>() else {
        return decode(bytes);
    };
    let text = match set {
        b"UNICODE\0" => utf16(text),
        b"ASCII\0\0\0" | b"JIS\0\0\0\0\0" | [0, 0, 0, 0, 0, 0, 0, 0] => decode(text),
        _ => decode(bytes),
    };
    text.trim_end_matches('\0').to_owned()
}

/// UTF-16 in the order that its first character, which is ASCII in practice, shows: writers do
/// not keep to the block's order.
fn utf16(bytes: &[u8]) -> String {
    let is_big = bytes.first() == Some(&0) || bytes.starts_with(&[0xfe, 0xff]);
    let (pairs, _) = bytes.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match is_big {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    };
    let units: Vec<u16> = pairs.iter().map(unit).collect();
    let text = String::from_utf16_lossy(&units);
    text.trim_start_matches('\u{feff}').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one directory; values of over 4 bytes lie behind it.
    fn block(entries: &[(u16, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
        bytes.extend((entries.len() as u16).to_le_bytes());
        let mut offset = 8 + 2 + entries.len() * 12 + 4;
        for (tag, kind, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend((offset as u32).to_le_bytes());
            offset += value.len();
        }
        bytes.extend([0; 4]);
        for (_, _, value) in entries {
            bytes.extend(*value);
        }
        bytes
    }

    #[test]
    fn reads_keys_before_json_and_the_user_comment() {
        let comment = b"UNICODE\0\0a\0,\0 \0\xe9";
        let block = block(&[
            (0x010f, 2, b"workflow:{\"nodes\": []}\0"),
            (0x0110, 2, b"prompt:{}\0"),
            (0x0131, 2, b"made by: hand\0"),
            (USER_COMMENT, 7, comment),
        ]);
        let texts = read(&block).unwrap();
        let found: Vec<(&str, &str)> = texts.iter().map(|t| (&*t.key, &*t.text)).collect();
        let expected = [
            ("workflow", "{\"nodes\": []}"),
            ("prompt", "{}"),
            ("", "made by: hand"),
            ("parameters", "a, \u{e9}"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_cut_of_a_block_is_an_error_or_gives_less() {
        let block = block(&[(0x0110, 2, b"prompt:{}\0"), (USER_COMMENT, 7, b"12345678a")]);
        for end in 0..block.len() {
            let _ = read(&block[..end]);
        }
        let mut looped = block;
        looped[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read(&looped).is_err());
    }
}
