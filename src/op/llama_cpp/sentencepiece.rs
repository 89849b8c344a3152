//! `tokenizer.model`: the pieces of a sentencepiece model.
//!
//! A protobuf message. Of `ModelProto` only field 1 is needed, one `SentencePiece` each:
//!
//! | field | wire type | what |
//! |---|---|---|
//! | 1 | 2 (length, bytes) | the piece, UTF-8 |
//! | 2 | 5 (4 bytes) | its score, F32 |
//! | 3 | 0 (varint) | its type, 1 if absent |
//!
//! Source: sentencepiece_model.proto.

use crate::error::{Error, Result};

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte: as in GGUF.
    pub(super) kind: i32,
}

/// The pieces in `bytes`, of which there may be `limit`.
///
/// Errors: `Malformed` with the offset for what is no such message, `Limit`.
pub(super) fn read(bytes: &[u8], limit: u64) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut fields = Fields::new(bytes, 0);
    while let Some((number, field)) = fields.next()? {
        if let (1, Field::Bytes(message, offset)) = (number, field) {
            if pieces.len() as u64 >= limit {
                let error = Error::limit(format!("has over {limit} pieces"));
                return Err(error.at(offset));
            }
            pieces.push(piece(message, offset)?);
        }
    }
    match pieces.is_empty() {
        true => Err(Error::malformed(
            "is no sentencepiece model: it has no pieces",
        )),
        false => Ok(pieces),
    }
}

fn piece(message: &[u8], offset: u64) -> Result<Piece> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: 1,
    };
    let mut fields = Fields::new(message, offset);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, Field::Bytes(text, at)) => match std::str::from_utf8(text) {
                Ok(text) => text.clone_into(&mut piece.text),
                Err(_) => return Err(Error::malformed("a piece is no UTF-8").at(at)),
            },
            (2, Field::Fixed(bits)) => piece.score = f32::from_bits(bits),
            (3, Field::Varint(kind)) => {
                piece.kind = i32::try_from(kind)
                    .ok()
                    .filter(|kind| (1..=6).contains(kind))
                    .ok_or_else(|| {
                        Error::malformed(format!("a piece is of type {kind}; 1 to 6 exist"))
                            .at(offset)
                    })?;
            }
            _ => {}
        }
    }
    Ok(piece)
}

/// A field's value. Groups and 8-byte numbers are passed over.
enum Field<'a> {
    Varint(u64),
    Fixed(u32),
    /// With where they start in the file.
    Bytes(&'a [u8], u64),
    Other,
}

/// The fields of a message, one after the other.
struct Fields<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Fields<'a> {
    fn new(message: &'a [u8], offset: u64) -> Fields<'a> {
        Fields {
            rest: message,
            offset,
        }
    }

    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.offset;
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Other
            }
            2 => {
                let len = self.varint()?;
                let start = self.offset;
                Field::Bytes(self.take(len)?, start)
            }
            5 => {
                let bytes = self.take(4)?;
                let bits = bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
                Field::Fixed(bits)
            }
            other => {
                let message = format!("is no sentencepiece model: wire type {other}");
                return Err(Error::malformed(message).at(at));
            }
        };
        Ok(Some((tag >> 3, field)))
    }

    /// Seven bits a byte, the lowest first; at most ten bytes.
    fn varint(&mut self) -> Result<u64> {
        let at = self.offset;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::malformed("a number has over ten bytes").at(at))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(len).ok();
        let split = split.and_then(|len| self.rest.split_at_checked(len));
        let Some((taken, rest)) = split else {
            let remaining = self.rest.len();
            let message = format!("a field of {len} bytes, but only {remaining} remain");
            return Err(Error::malformed(message).at(self.offset));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_and_the_rest_is_passed_over() {
        // A piece `ab` with score 0.5 and type 3, a trainer's specification, a piece `c`.
        let model = b"\x0a\x0b\x0a\x02ab\x15\0\0\0\x3f\x18\x03\x12\x02\x18\x01\x0a\x03\x0a\x01c";
        let piece = |text: &str, score, kind| Piece {
            text: text.to_owned(),
            score,
            kind,
        };
        let expected = vec![piece("ab", 0.5, 3), piece("c", 0.0, 1)];
        assert_eq!(read(model, 10).unwrap(), expected);
        assert!(read(model, 1).is_err());
        for end in 0..model.len() {
            // Cut between fields it is a shorter model.
            if let Ok(found) = read(&model[..end], 10) {
                assert_eq!(found, expected[..1], "cut at {end}");
            }
        }
    }

    #[test]
    fn refuses_what_is_no_such_message() {
        for bytes in [
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".as_slice(),
            b"\x0a\xff\xff\xff\x7fab",
            b"\x0a\x02\x18\x07",
            b"\x0a\x03\x0a\x01\xff",
            b"\x0b",
            b"{}",
            b"",
        ] {
            assert!(read(bytes, 10).is_err(), "{bytes:?}");
        }
    }
}
