//! A bounds-checked reader of headers that knows its offset in the file.

use super::{ByteOrder, Source};
use crate::error::{Error, Result};

/// Bytes fetched at once. Headers are read front to back, so this is the only buffer.
const BUFFER: u64 = 128 << 10;

/// Reads numbers, strings and lines from a [`Source`], front to back.
///
/// Every method fails with `Malformed` and the offset if the source ends too early, before
/// anything is allocated.
#[derive(Debug)]
pub struct Cursor<'a> {
    source: &'a Source,
    order: ByteOrder,
    buffer: Vec<u8>,
    /// Where the buffer lies in the source.
    buffer_start: u64,
    /// Next byte, as an index into the buffer.
    next: usize,
    end: u64,
}

impl<'a> Cursor<'a> {
    /// A cursor at `offset`, little-endian.
    pub fn new(source: &'a Source, offset: u64) -> Cursor<'a> {
        Cursor {
            source,
            order: ByteOrder::Little,
            buffer: Vec::new(),
            buffer_start: offset.min(source.len()),
            next: 0,
            end: source.len(),
        }
    }

    /// From here on numbers are read in this order.
    pub fn set_order(&mut self, order: ByteOrder) {
        self.order = order;
    }

    /// The order numbers are read in.
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// The source this cursor reads.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Offset of the next byte within the source.
    #[inline]
    pub fn position(&self) -> u64 {
        self.buffer_start.saturating_add(self.next as u64)
    }

    /// Offset of the next byte from the start of the file, for error messages.
    pub fn file_position(&self) -> u64 {
        self.source.file_offset(self.position())
    }

    /// Bytes left.
    #[inline]
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.position())
    }

    /// Moves to `offset`.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        if offset > self.end {
            let message = format!("offset {offset} lies past the end at {}", self.end);
            return Err(Error::malformed(message)
                .at(self.source.file_offset(offset))
                .in_file(self.source.name()));
        }
        let within = offset.checked_sub(self.buffer_start);
        match within.and_then(|within| usize::try_from(within).ok()) {
            Some(within) if within <= self.buffer.len() => self.next = within,
            _ => {
                self.buffer.clear();
                self.buffer_start = offset;
                self.next = 0;
            }
        }
        Ok(())
    }

    /// Passes over `len` bytes without reading them.
    pub fn skip(&mut self, len: u64) -> Result<()> {
        if len > self.remaining() {
            return Err(self.ends(len));
        }
        self.seek(self.position().saturating_add(len))
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        if let Some(bytes) = self.buffer.get(self.next..).and_then(<[u8]>::first_chunk) {
            let bytes = *bytes;
            self.next = self.next.saturating_add(N);
            return Ok(bytes);
        }
        let mut out = [0; N];
        out.copy_from_slice(self.borrow(N)?);
        Ok(out)
    }

    /// The next `len` bytes, borrowed from the buffer; for lengths that a constant bounds.
    pub fn borrow(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.next.saturating_add(len);
        if end > self.buffer.len() {
            self.refill(len)?;
        }
        let start = self.next;
        let end = start.saturating_add(len);
        let found = self.buffer.get(start..end);
        self.next = end;
        // `refill` has made sure of it.
        Ok(found.unwrap_or_default())
    }

    /// The next `len` bytes, copied; checked against what remains before allocating.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        if len > self.remaining() {
            return Err(self.ends(len));
        }
        if len <= BUFFER {
            return Ok(self
                .borrow(usize::try_from(len).unwrap_or(usize::MAX))?
                .to_vec());
        }
        let out = self.source.read_vec(self.position(), len)?;
        self.skip(len)?;
        Ok(out)
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next two bytes as a number.
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    /// The next four bytes as a number.
    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }

    /// The next eight bytes as a number.
    #[inline]
    pub fn u64(&mut self) -> Result<u64> {
        let bytes = self.array()?;
        Ok(match self.order {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        })
    }

    /// The next four bytes as a signed number.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(self.u32()?.cast_signed())
    }

    /// The next eight bytes as a signed number.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(self.u64()?.cast_signed())
    }

    /// Bytes up to the next newline, which is passed over and not returned.
    ///
    /// Errors: `Malformed` if the source ends first, `Limit` if the line exceeds `limit` bytes.
    pub fn line(&mut self, limit: usize) -> Result<Vec<u8>> {
        let start = self.file_position();
        let mut out = Vec::new();
        loop {
            match self.u8() {
                Ok(b'\n') => return Ok(out),
                Ok(byte) => out.push(byte),
                Err(error) => return Err(error),
            }
            if out.len() > limit {
                let message = format!("a line exceeds {limit} bytes");
                return Err(Error::limit(message).at(start).in_file(self.source.name()));
            }
        }
    }

    /// An error of the reader's at the current position.
    pub fn malformed(&self, message: impl Into<String>) -> Error {
        Error::malformed(message)
            .at(self.file_position())
            .in_file(self.source.name())
    }

    fn refill(&mut self, len: usize) -> Result<()> {
        let position = self.position();
        let remaining = self.remaining();
        if len as u64 > remaining {
            return Err(self.ends(len as u64));
        }
        let wanted = remaining.min(BUFFER.max(len as u64));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        self.buffer.resize(wanted, 0);
        self.buffer_start = position;
        self.next = 0;
        if let Err(error) = self.source.read_exact_at(position, &mut self.buffer) {
            self.buffer.clear();
            return Err(error);
        }
        Ok(())
    }

    fn ends(&self, len: u64) -> Error {
        let message = format!("needs {len} bytes, but only {} remain", self.remaining());
        self.malformed(message).under("truncated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_in_both_orders() {
        let source = Source::from_bytes("x", vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        let mut cursor = Cursor::new(&source, 0);
        assert_eq!(cursor.u16().unwrap(), 0x0201);
        cursor.set_order(ByteOrder::Big);
        assert_eq!(cursor.u64().unwrap(), 3);
        assert_eq!(cursor.remaining(), 0);
    }

    #[test]
    fn refuses_a_length_past_the_end_before_allocating() {
        let source = Source::from_bytes("x", vec![0; 8]);
        let mut cursor = Cursor::new(&source, 4);
        let error = cursor.bytes(1 << 60).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x: needs 1152921504606846976 bytes, but only 4 remain (at byte 4)"
        );
    }

    #[test]
    fn seeks_inside_and_outside_its_buffer() {
        let bytes: Vec<u8> = (0..400_000u32).map(|i| (i / 1000) as u8).collect();
        let source = Source::from_bytes("x", bytes);
        let mut cursor = Cursor::new(&source, 0);
        for offset in [0, 399_999, 5_000, 131_072, 131_071] {
            cursor.seek(offset).unwrap();
            assert_eq!(cursor.u8().unwrap(), (offset / 1000) as u8);
        }
        assert!(cursor.seek(400_001).is_err());
    }
}
