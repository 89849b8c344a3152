//! Opcodes that push a number or a text.

use super::*;

impl Machine<'_> {
    /// Pushes a value that could not be read.
    fn push_fault(&mut self, error: Error) -> Result<()> {
        self.fault(error)?;
        self.push(Item::ABSENT)
    }

    pub(super) fn push_number(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'K' => {
                let value = self.cursor.u8()?;
                self.push_int(value.into())
            }
            b'M' => {
                let value = self.cursor.u16()?;
                self.push_int(value.into())
            }
            b'J' => {
                let value = self.cursor.i32()?;
                self.push_int(value.into())
            }
            b'G' => {
                let value = f64::from_be_bytes(self.cursor.array()?);
                self.push_float(value)
            }
            b'F' => {
                let line = self.line()?;
                match line::parse_float(&line) {
                    Ok(value) => self.push_float(value),
                    Err(error) => self.push_fault(error),
                }
            }
            0x8a => {
                let length = self.cursor.u8()?;
                self.push_long_of(length.into())
            }
            0x8b => {
                let length = self.cursor.i32()?;
                let length = u64::try_from(length);
                self.push_long_of(length.map_err(|_| negative_length())?)
            }
            _ => {
                let line = self.line()?;
                match line::parse_int(&line, opcode == b'L') {
                    Ok(Number::Bool(true)) => self.push(Item::TRUE),
                    Ok(Number::Bool(false)) => self.push(Item::FALSE),
                    Ok(Number::Int(value)) => self.push_int(value),
                    Ok(Number::Long(bytes)) => self.push_long(bytes),
                    Err(error) => self.push_fault(error),
                }
            }
        }
    }

    pub(super) fn push_int(&mut self, value: i64) -> Result<()> {
        match Item::int(value) {
            Some(item) => self.push(item),
            None => self.push_long(value.to_le_bytes().to_vec()),
        }
    }

    pub(super) fn push_float(&mut self, value: f64) -> Result<()> {
        self.count()?;
        let index = self.graph.floats.len() as u64;
        self.graph.floats.push(value);
        self.push(Item::new(Tag::Float, index))
    }

    pub(super) fn push_long_of(&mut self, length: u64) -> Result<()> {
        if length > limits::PICKLE_LONG {
            let allowed = limits::PICKLE_LONG;
            let message = format!("an integer has {length} bytes; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        let bytes = self.cursor.bytes(length)?;
        self.push_long(bytes)
    }

    pub(super) fn push_long(&mut self, bytes: Vec<u8>) -> Result<()> {
        let bytes = bytes.into_boxed_slice();
        if bytes.len() <= 8 {
            let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
            let mut padded = [if negative { 0xff } else { 0 }; 8];
            for (to, from) in padded.iter_mut().zip(&bytes) {
                *to = *from;
            }
            if let Some(item) = Item::int(i64::from_le_bytes(padded)) {
                return self.push(item);
            }
        }
        self.count()?;
        let index = self.graph.longs.len() as u64;
        self.graph.longs.push(bytes);
        self.push(Item::new(Tag::Long, index))
    }

    pub(super) fn line(&mut self) -> Result<Vec<u8>> {
        self.cursor.line(limits::PICKLE_LINE)
    }

    pub(super) fn push_text(&mut self, opcode: u8) -> Result<()> {
        let (kind, length) = match opcode {
            b'S' => {
                let line = self.line()?;
                return match line::parse_string(&line) {
                    Ok(bytes) => self.push_bytes(TextKind::ByteString, &bytes),
                    Err(error) => self.push_fault(error),
                };
            }
            b'V' => {
                let line = self.line()?;
                return match line::parse_unicode(&line) {
                    Ok(text) => self.push_bytes(TextKind::Unicode, text.as_bytes()),
                    Err(error) => self.push_fault(error),
                };
            }
            b'U' => (TextKind::ByteString, u64::from(self.cursor.u8()?)),
            b'T' => {
                let length = u64::try_from(self.cursor.i32()?);
                (TextKind::ByteString, length.map_err(|_| negative_length())?)
            }
            0x8c => (TextKind::Unicode, u64::from(self.cursor.u8()?)),
            b'X' => (TextKind::Unicode, u64::from(self.cursor.u32()?)),
            0x8d => (TextKind::Unicode, self.cursor.u64()?),
            b'C' => (TextKind::Bytes, u64::from(self.cursor.u8()?)),
            b'B' => (TextKind::Bytes, u64::from(self.cursor.u32()?)),
            // BINBYTES8, BYTEARRAY8
            _ => (TextKind::Bytes, self.cursor.u64()?),
        };
        if length > SHORT_TEXT {
            return self.push_long_text(kind, length);
        }
        let start = self.graph.text.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.cursor.borrow(length)?;
        self.graph.text.extend_from_slice(bytes);
        self.push_span(kind, start)
    }

    /// Text that came as a line: up to [`limits::PICKLE_LINE`] bytes.
    pub(super) fn push_bytes(&mut self, kind: TextKind, bytes: &[u8]) -> Result<()> {
        let start = self.graph.text.len();
        self.graph.text.extend_from_slice(bytes);
        self.push_span(kind, start)
    }

    /// Pushes the text from `start` to the end of the pool.
    pub(super) fn push_span(&mut self, kind: TextKind, start: usize) -> Result<()> {
        let read = self.cursor.position().saturating_sub(self.start);
        if read.saturating_sub(self.skipped) > limits::PICKLE {
            let allowed = limits::PICKLE;
            return Err(Error::limit(format!("has over {allowed} bytes")));
        }
        let length = self.graph.text.len().saturating_sub(start);
        let tag = match kind {
            TextKind::Unicode => Tag::Text,
            TextKind::Bytes => Tag::Bytes,
            TextKind::ByteString => Tag::ByteString,
        };
        let item = Item::text(tag, start as u64, length as u64);
        self.follow_text(item, length)?;
        self.push(item)
    }

    pub(super) fn push_long_text(&mut self, kind: TextKind, len: u64) -> Result<()> {
        self.count()?;
        let offset = self.cursor.position();
        self.cursor.skip(len)?;
        self.skipped = self.skipped.saturating_add(len);
        let index = self.graph.long_texts.len() as u64;
        let text = LongText { kind, offset, len };
        self.graph.long_texts.push(text);
        let item = Item::new(Tag::LongText, index);
        self.follow_text(item, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.push(item)
    }
}
