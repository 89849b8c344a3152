//! Faults in parts of a file: the end of reading it, or notes beside what the rest holds.

use super::ReadOptions;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Level, Note};

/// Takes the faults of single tensors and shards as [`ReadOptions::notes_faults`] says.
#[derive(Debug)]
pub(super) struct Faults {
    is_noted: bool,
    notes: Vec<Note>,
    /// Faults that are counted only.
    more: u64,
}

impl Faults {
    pub(super) fn new(options: &ReadOptions) -> Faults {
        Faults {
            is_noted: options.notes_faults,
            notes: Vec::new(),
            more: 0,
        }
    }

    /// The value; `None` if its fault became a note.
    ///
    /// Errors: the fault, where faults end the reading, and always if it is one of our limits.
    pub(super) fn pass<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if !self.is_noted || error.kind() == Kind::Limit => Err(error),
            Err(error) => {
                self.add(&error);
                Ok(None)
            }
        }
    }

    /// Whether faults become notes.
    pub(super) fn are_noted(&self) -> bool {
        self.is_noted
    }

    fn add(&mut self, error: &Error) {
        let mut note = Note::new(error.rule(), Level::Error, error.message());
        note.place = error.place().clone();
        if self.notes.contains(&note) {
            return;
        }
        if self.notes.len() < limits::FAULTS {
            self.notes.push(note);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// The notes on what was passed, in the order in which it was met.
    pub(super) fn into_notes(mut self) -> Vec<Note> {
        if self.more > 0 {
            let text = format!("{} more faults like these are not listed", self.more);
            self.notes.push(Note::new("malformed", Level::Error, text));
        }
        self.notes
    }
}
