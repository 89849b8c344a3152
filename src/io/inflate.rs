//! Compressed streams, inflated once and with a bound.

use super::Source;
use super::source::WeakSource;
use crate::error::{Error, Result};
use crate::limits;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Bare deflate, as in zip members.
    Deflate,
    /// One or more gzip members.
    Gzip,
    /// Deflate in a zlib envelope.
    Zlib,
}

/// A compressed stream whose inflated length its container declares.
#[derive(Debug)]
pub struct Packed {
    source: Source,
    codec: Codec,
    len: u64,
    inflated: Mutex<WeakSource>,
}

/// The streams that were inflated last, so that the views of one storage share one inflation.
/// Small ones stay in memory, so this holds two of [`limits::INFLATED_IN_MEMORY`] at most.
static RECENT: Mutex<[Option<Source>; 2]> = Mutex::new([None, None]);

impl Packed {
    /// `source` holds the compressed bytes, `len` is what they inflate to.
    pub fn new(source: Source, codec: Codec, len: u64) -> Packed {
        Packed {
            source,
            codec,
            len,
            inflated: Mutex::default(),
        }
    }

    /// The compressed bytes.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How they are compressed.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes after inflating, as the container declares.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The inflated bytes; callers at the same time share one inflation.
    ///
    /// Errors: those of [`inflate`].
    pub fn open(&self) -> Result<Source> {
        let mut inflated = self.inflated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = inflated.upgrade() {
            return Ok(source);
        }
        let source = inflate(&self.source, self.codec, Some(self.len))?;
        *inflated = source.downgrade();
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        recent.rotate_right(1);
        if let Some(slot) = recent.first_mut() {
            *slot = Some(source.clone());
        }
        Ok(source)
    }
}

/// Reads a source front to back.
struct Reader {
    source: Source,
    position: u64,
}

impl Source {
    /// Its bytes, front to back.
    pub fn reader(&self) -> impl Read + Send + use<> {
        Reader {
            source: self.clone(),
            position: 0,
        }
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let remaining = self.source.len().saturating_sub(self.position);
        let count = usize::try_from(remaining)
            .unwrap_or(usize::MAX)
            .min(out.len());
        let out = out.get_mut(..count).unwrap_or_default();
        self.source
            .read_exact_at(self.position, out)
            .map_err(std::io::Error::other)?;
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}

/// A reader of the inflated bytes of `packed`, front to back.
pub fn inflate_stream(packed: &Source, codec: Codec) -> Box<dyn Read + Send> {
    let reader = std::io::BufReader::with_capacity(64 << 10, packed.reader());
    match codec {
        Codec::Deflate => Box::new(DeflateDecoder::new(reader)),
        Codec::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Codec::Zlib => Box::new(ZlibDecoder::new(reader)),
    }
}

/// Inflates `packed` whole: into memory if it is small, else into an unlinked temporary file.
///
/// `expected`: the length that the container declares, if it does; another length is an error.
/// The result has the name of `packed`.
///
/// Errors: `Malformed` for a broken stream or another length, `Limit` past
/// [`limits::INFLATED`] or [`limits::INFLATE_RATIO`], `Io` if the temporary file fails.
pub fn inflate(packed: &Source, codec: Codec, expected: Option<u64>) -> Result<Source> {
    let place = |error: Error| error.at(packed.file_offset(0)).in_file(packed.name());
    let cap = packed
        .len()
        .saturating_mul(limits::INFLATE_RATIO)
        .saturating_add(4096)
        .min(limits::INFLATED);
    let cap = expected.map_or(cap, |expected| expected.min(cap));
    let mut stream = inflate_stream(packed, codec).take(cap.saturating_add(1));
    let mut memory = Vec::new();
    let broken = |e: std::io::Error| place(Error::malformed(format!("cannot be inflated: {e}")));
    (&mut stream)
        .take(limits::INFLATED_IN_MEMORY)
        .read_to_end(&mut memory)
        .map_err(broken)?;
    let mut len = memory.len() as u64;
    let mut spooled = None;
    if len == limits::INFLATED_IN_MEMORY {
        let failed = |e| Error::io("cannot write a temporary file", e);
        let mut file = tempfile::tempfile().map_err(failed)?;
        file.write_all(&memory).map_err(failed)?;
        let mut buffer = std::mem::take(&mut memory);
        loop {
            let count = stream.read(&mut buffer).map_err(broken)?;
            if count == 0 {
                break;
            }
            file.write_all(buffer.get(..count).unwrap_or_default())
                .map_err(failed)?;
            len = len.saturating_add(count as u64);
        }
        spooled = Some(file);
    }
    match expected {
        Some(expected) if len != expected => {
            let more = if len > expected { "more" } else { "fewer" };
            let message = format!("declares {expected} bytes, but inflates to {more}");
            return Err(place(Error::malformed(message)));
        }
        None if len > cap => {
            let message = format!("inflates to over {cap} bytes, the limit");
            return Err(place(Error::limit(message)));
        }
        _ => {}
    }
    let source = match spooled {
        Some(file) => Source::from_file(packed.name(), file, len),
        None => Source::from_bytes(packed.name(), memory),
    };
    Ok(source.marked_inflated())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;

    fn deflated(bytes: &[u8]) -> Source {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        Source::from_bytes("x", encoder.finish().unwrap())
    }

    #[test]
    fn gives_back_small_and_large_streams() {
        for len in [0, 10, limits::INFLATED_IN_MEMORY as usize, 3_000_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let out = inflate(&deflated(&bytes), Codec::Deflate, Some(len as u64)).unwrap();
            assert_eq!(out.read_vec(0, out.len()).unwrap(), bytes);
        }
    }

    #[test]
    fn rejects_a_stream_that_lies_about_its_length() {
        let packed = deflated(&[7; 1000]);
        for lie in [999, 1001, u64::MAX] {
            assert!(inflate(&packed, Codec::Deflate, Some(lie)).is_err());
        }
    }
}
