//! PNG: a signature, then chunks.
//!
//! ```text
//! 0   8   89 50 4E 47 0D 0A 1A 0A
//! 8   4   length of the data, big-endian        one chunk; the last is IEND
//!     4   type, four letters
//!     n   data
//!     4   CRC-32 of type and data
//! ```
//!
//! Source: PNG specification, third edition, sections 5 and 11.3.3; `comf` is ComfyUI's.

use super::super::texts::{Text, decode};
use super::exif;
use crate::error::{Error, Result};
use crate::io::{ByteOrder, Codec, Cursor, Source, inflate_stream};
use crate::limits;
use std::io::Read;

/// The first bytes of every PNG.
pub(super) const SIGNATURE: &[u8] = &[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/// The texts of a PNG, in file order.
pub(super) fn read(source: &Source) -> Result<Vec<Text>> {
    let mut cursor = Cursor::new(source, SIGNATURE.len() as u64);
    cursor.set_order(ByteOrder::Big);
    let mut texts = Texts::default();
    for _ in 0..limits::IMAGE_CHUNKS {
        // Some programs leave out the end; pictures that were cut off have none.
        if cursor.remaining() == 0 {
            return Ok(texts.found);
        }
        let start = cursor.file_position();
        let len = u64::from(cursor.u32()?);
        let kind: [u8; 4] = cursor.array()?;
        if kind == *b"IEND" {
            return Ok(texts.found);
        }
        let offset = cursor.position();
        // The checksum counts, so that a cut chunk is not taken for a whole one.
        cursor.skip(len.saturating_add(4))?;
        let data = source.slice(offset, len)?;
        texts.take(&kind, &data).map_err(|error| error.at(start))?;
    }
    let allowed = limits::IMAGE_CHUNKS;
    Err(Error::limit(format!("has over {allowed} chunks")))
}

/// The texts found so far, and how many bytes of them there are.
#[derive(Default)]
struct Texts {
    found: Vec<Text>,
    bytes: u64,
}

impl Texts {
    fn take(&mut self, kind: &[u8; 4], data: &Source) -> Result<()> {
        if !matches!(kind, b"tEXt" | b"comf" | b"zTXt" | b"iTXt" | b"eXIf") {
            return Ok(());
        }
        self.count(data.len())?;
        let bytes = data.read_vec(0, data.len())?;
        if kind == b"eXIf" {
            self.found.extend(exif::read(&bytes)?);
            return Ok(());
        }
        // A chunk without a keyword is no text; other programs pass over it, too.
        let Some((key, rest)) = split(&bytes) else {
            return Ok(());
        };
        let text = match kind {
            b"zTXt" => rest.get(1..).map(|packed| self.inflate(packed)),
            b"iTXt" => self.international(rest),
            _ => Some(Ok(rest.to_vec())),
        };
        if let Some(text) = text {
            self.found.push(Text {
                key: decode(key),
                text: decode(&text?),
            });
        }
        Ok(())
    }

    /// What follows an iTXt's keyword: two flags, a language, a translated keyword, the text.
    fn international(&self, rest: &[u8]) -> Option<Result<Vec<u8>>> {
        let (flags, rest) = rest.split_first_chunk::<2>()?;
        let (_language, rest) = split(rest)?;
        let (_keyword, text) = split(rest)?;
        match flags {
            [1, _] => Some(self.inflate(text)),
            _ => Some(Ok(text.to_vec())),
        }
    }

    fn inflate(&self, packed: &[u8]) -> Result<Vec<u8>> {
        let allowed = limits::IMAGE_TEXT.saturating_sub(self.bytes);
        let packed = Source::from_bytes("text", packed);
        let mut out = Vec::new();
        inflate_stream(&packed, Codec::Zlib)
            .take(allowed.saturating_add(1))
            .read_to_end(&mut out)
            .map_err(|e| Error::malformed(format!("a text cannot be inflated: {e}")))?;
        match out.len() as u64 > allowed {
            true => Err(too_much()),
            false => Ok(out),
        }
    }

    /// Counts what was read and what was inflated, before either is kept.
    fn count(&mut self, bytes: u64) -> Result<()> {
        let kept: usize = self.found.iter().map(|text| text.text.len()).sum();
        self.bytes = (kept as u64).saturating_add(bytes);
        match self.bytes > limits::IMAGE_TEXT {
            true => Err(too_much()),
            false => Ok(()),
        }
    }
}

fn too_much() -> Error {
    let allowed = limits::IMAGE_TEXT;
    Error::limit(format!("holds over {allowed} bytes of text"))
}

/// What stands before and after the first NUL.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end.checked_add(1)?..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Source {
        let mut bytes = SIGNATURE.to_vec();
        for (kind, data) in chunks {
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend(*kind);
            bytes.extend(data);
            bytes.extend([0; 4]);
        }
        Source::from_bytes("a.png", bytes)
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn reads_every_kind_of_text_wherever_it_stands() {
        let packed = zlib(b"two");
        let source = png(&[
            (b"IHDR", vec![0; 13]),
            (b"tEXt", b"a\0one".to_vec()),
            (b"IDAT", vec![0; 9]),
            (b"zTXt", [b"b\0\0", packed.as_slice()].concat()),
            (b"iTXt", b"c\0\0\0en\0k\0thr\xc3\xa9e".to_vec()),
            (b"iTXt", [b"d\0\x01\0\0\0", packed.as_slice()].concat()),
            (b"comf", b"e\0{\"x\": \"\xe9\"}".to_vec()),
            (b"tEXt", b"no keyword".to_vec()),
            (b"IEND", vec![]),
            (b"tEXt", b"f\0past the end".to_vec()),
        ]);
        let texts = read(&source).unwrap();
        let found: Vec<(&str, &str)> = texts.iter().map(|t| (&*t.key, &*t.text)).collect();
        let expected = [
            ("a", "one"),
            ("b", "two"),
            ("c", "thr\u{e9}e"),
            ("d", "two"),
            ("e", "{\"x\": \"\u{e9}\"}"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn caps_what_texts_inflate_to_alone_and_together() {
        let bomb = zlib(&vec![b' '; limits::IMAGE_TEXT as usize + 1]);
        let source = png(&[(b"zTXt", [b"b\0\0", bomb.as_slice()].concat())]);
        assert_eq!(read(&source).unwrap_err().kind(), Kind::Limit);
        let half = zlib(&vec![b' '; limits::IMAGE_TEXT as usize / 2 + 1]);
        let half: Vec<u8> = [b"b\0\0", half.as_slice()].concat();
        let source = png(&[(b"zTXt", half.clone()), (b"zTXt", half)]);
        assert_eq!(read(&source).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn rejects_a_chunk_past_the_end() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(u32::MAX.to_be_bytes());
        bytes.extend(b"tEXta\0b");
        let error = read(&Source::from_bytes("a.png", bytes)).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed);
    }
}
