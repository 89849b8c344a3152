//! Whether a file is safe to be opened by programs that trust it: every pickle in it, and
//! whatever else may carry code. Nothing is run; pickles are followed as data.
//!
//! | what | where |
//! |---|---|
//! | every place where a pickle may hide | `files.rs`, `zips.rs` |
//! | what bytes are, by how they begin | `content.rs` |
//! | what a pickle would do | `judge.rs` |
//! | what is harmless and what is dangerous | `globals.rs`, `names.rs` |
//! | code that lies openly in a zip: TorchScript, Keras | `carriers.rs` |
//! | templates and metadata | `texts.rs` |
//! | calls and values as text | `show.rs` |
//! | the notes of readers | `imports.rs` |
//!
//! What cannot be looked into is never clean: it is a note of level `Error`.

mod carriers;
mod content;
mod files;
mod globals;
mod imports;
mod judge;
mod names;
mod show;
mod texts;
mod zips;

pub use imports::import_notes;
pub use texts::{scan_metadata, scan_templates};

use crate::io::Source;
use crate::model::Note;

/// What a look through a file brought up.
#[derive(Debug)]
pub struct Scanned {
    /// What was found.
    pub notes: Vec<Note>,
    /// Whether the file is of a kind whose every place for code is known.
    pub is_known: bool,
}

/// What the user takes responsibility for.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Imports that are taken for harmless, `MODULE.NAME`.
    pub allowed: Vec<String>,
}

impl Policy {
    fn allows(&self, module: &str, name: &str) -> bool {
        let is_it = |allowed: &String| {
            let rest = allowed.strip_prefix(module);
            rest.and_then(|rest| rest.strip_prefix('.')) == Some(name)
        };
        self.allowed.iter().any(is_it)
    }
}

/// Looks for everything in a file that may carry code, and says what it would do.
///
/// `data_end`: where the last tensor's bytes end, if a reader knows; what follows the pickles of
/// a stream up to there is data and is not searched.
pub fn scan(source: &Source, data_end: Option<u64>, policy: &Policy) -> Scanned {
    let mut scan = files::Scan::new(policy);
    scan.file(source, data_end);
    let is_known = scan.is_known;
    Scanned {
        notes: judge::fold(scan.into_notes()),
        is_known,
    }
}
