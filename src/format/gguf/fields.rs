//! Lengths and texts, as each version of the format stores them.

use crate::error::{Error, Result};
use crate::io::Cursor;
use crate::limits;
use crate::model::{Level, Note};
use std::fmt;

/// Reads the fields that headers are made of, within what one header may put into memory.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) version: u32,
    /// Bytes of text that may still be materialised.
    text_budget: u64,
    /// Elements of arrays that may still be materialised.
    element_budget: u64,
}

/// A text, and whether it is shown as it is stored.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Whether bytes were replaced (no UTF-8) or dropped (NULs at the end).
    pub(super) altered: bool,
}

impl<'a> Fields<'a> {
    /// `cursor` stands behind the version and knows the byte order.
    pub(super) fn new(cursor: Cursor<'a>, version: u32) -> Fields<'a> {
        Fields {
            cursor,
            version,
            text_budget: limits::METADATA_TEXT,
            element_budget: limits::METADATA_ELEMENTS,
        }
    }

    /// A count or a length: 8 bytes, 4 in version 1.
    #[inline]
    pub(super) fn length(&mut self) -> Result<u64> {
        match self.version {
            1 => Ok(u64::from(self.cursor.u32()?)),
            _ => self.cursor.u64(),
        }
    }

    /// Bytes of a [`Fields::length`].
    pub(super) fn length_bytes(&self) -> u64 {
        if self.version == 1 { 4 } else { 8 }
    }

    /// A count of things that take at least `least_bytes` each, held against what remains.
    ///
    /// `what` names them in the plural, `limit` is how many are allowed.
    pub(super) fn count(
        &mut self,
        what: fmt::Arguments<'_>,
        least_bytes: u64,
        limit: u64,
    ) -> Result<u64> {
        let at = self.cursor.file_position();
        let count = self.length()?;
        if count > limit {
            let message = format!("asks for {count} {what}; the limit is {limit}");
            return Err(Error::limit(message).at(at));
        }
        self.check_room(count, least_bytes, what)
            .map_err(|error| error.at(at))?;
        Ok(count)
    }

    /// Whether `count` things of `least_bytes` each fit what remains.
    pub(super) fn check_room(
        &self,
        count: u64,
        least_bytes: u64,
        what: fmt::Arguments<'_>,
    ) -> Result<()> {
        let remaining = self.cursor.remaining();
        match count.checked_mul(least_bytes) {
            Some(needed) if needed <= remaining => Ok(()),
            _ => Err(Error::malformed(format!(
                "{count} {what} need at least {least_bytes} bytes each, but only {remaining} bytes remain"
            ))),
        }
    }

    /// A text, materialised.
    ///
    /// Errors: `Malformed` if it is longer than what remains, `Limit` if it is longer than
    /// `limit` or all texts together exceed [`limits::METADATA_TEXT`].
    pub(super) fn text(&mut self, limit: u64) -> Result<Text> {
        let at = self.cursor.file_position();
        let len = self.length()?;
        let remaining = self.cursor.remaining();
        if len > remaining {
            let message = format!("a text of {len} bytes, but only {remaining} remain");
            return Err(Error::malformed(message).at(at));
        }
        if len > limit {
            let message = format!("a text of {len} bytes; the limit is {limit}");
            return Err(Error::limit(message).at(at));
        }
        self.text_budget = self.text_budget.checked_sub(len).ok_or_else(|| {
            let limit = limits::METADATA_TEXT;
            Error::limit(format!("holds more than {limit} bytes of names and texts")).at(at)
        })?;
        Ok(Text::from_bytes(self.cursor.bytes(len)?))
    }

    /// Passes over a text.
    #[inline]
    pub(super) fn skip_text(&mut self) -> Result<()> {
        let len = self.length()?;
        self.cursor.skip(len)
    }

    /// How many of `wanted` elements may be materialised.
    pub(super) fn grant_elements(&mut self, wanted: u64) -> u64 {
        let granted = wanted.min(self.element_budget);
        self.element_budget = self.element_budget.saturating_sub(granted);
        granted
    }
}

impl Text {
    fn from_bytes(mut bytes: Vec<u8>) -> Text {
        let stored = bytes.len();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let trimmed = bytes.len() < stored;
        match String::from_utf8(bytes) {
            Ok(text) => Text {
                text,
                altered: trimmed,
            },
            Err(error) => Text {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                altered: true,
            },
        }
    }
}

/// How often one oddity occurs, and where first: a file may hold a million of them, but one
/// note says it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: u64,
    first: Option<(String, u64)>,
}

impl Tally {
    /// One more, about `name`, at `offset` of the file.
    pub(super) fn add(&mut self, name: &str, offset: u64) {
        self.count = self.count.saturating_add(1);
        self.first.get_or_insert_with(|| (name.to_owned(), offset));
    }

    /// The note, if there is something to say; `what` names the oddity in the plural.
    pub(super) fn note(&self, rule: &'static str, level: Level, what: &str) -> Option<Note> {
        let (name, offset) = self.first.as_ref()?;
        let count = self.count;
        let text = format!("{what}: {count}, the first is `{name}`");
        Some(Note::new(rule, level, text).at(*offset))
    }

    /// The same about tensors: it says which is the first.
    pub(super) fn tensor_note(&self, rule: &'static str, what: &str) -> Option<Note> {
        let (name, _) = self.first.as_ref()?;
        let note = self.note(rule, Level::Warning, what)?;
        Some(note.on_tensor(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_trailing_nuls_and_keep_what_is_valid() {
        let text = Text::from_bytes(b"llama\0\0".to_vec());
        assert_eq!((text.text.as_str(), text.altered), ("llama", true));
        let text = Text::from_bytes(b"a\xffb".to_vec());
        assert_eq!((text.text.as_str(), text.altered), ("a\u{fffd}b", true));
        let text = Text::from_bytes(b"a\0b".to_vec());
        assert_eq!((text.text.as_str(), text.altered), ("a\0b", false));
    }
}
