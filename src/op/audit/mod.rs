//! Whether a checkpoint is whole, safe and sane: findings, each under a rule.
//!
//! Readers and the look for code notice things as notes; here they become findings, beside what
//! the tensors' names, places and values give away.

mod rules;
mod structure;
pub mod values;

pub use rules::{Family, RULES, Rule, find as find_rule};

use crate::model::{Checkpoint, Level, Note};

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable name.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Level,
    /// One sentence, lower case, without a full stop.
    pub text: String,
    /// The tensor concerned.
    pub tensor: Option<String>,
    /// The file, as the caller named it or as it stands in the folder.
    pub file: Option<String>,
    /// The member of an archive; members within members are joined by ` > `.
    pub member: Option<String>,
    /// Bytes from the start of the file (of the member, where it is a compressed one).
    pub offset: Option<u64>,
}

impl Finding {
    fn of(note: Note) -> Finding {
        Finding {
            rule: note.rule,
            severity: note.level,
            text: note.text,
            tensor: note.place.tensor,
            file: note.place.path,
            member: note.place.member,
            offset: note.place.offset,
        }
    }
}

/// What all findings amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing, or things worth knowing.
    Clean,
    /// Something is odd.
    Warnings,
    /// Something is wrong, or could not be looked into.
    Errors,
    /// Something would run code in a program that trusts the file.
    Dangerous,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Warnings => "warnings",
            Verdict::Errors => "errors",
            Verdict::Dangerous => "dangerous",
        }
    }
}

/// What an audit came to.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The path as it was given.
    pub path: String,
    /// The format, if it is one that is read.
    pub format: Option<&'static str>,
    /// What was found, the worst first, then in the order of the file.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// What the findings amount to.
    pub fn verdict(&self) -> Verdict {
        match self.findings.iter().map(|finding| finding.severity).max() {
            None | Some(Level::Info) => Verdict::Clean,
            Some(Level::Warning) => Verdict::Warnings,
            Some(Level::Error) => Verdict::Errors,
            Some(Level::Danger) => Verdict::Dangerous,
        }
    }

    /// Whether anything in the file could not be looked into.
    pub fn is_incomplete(&self) -> bool {
        let is_closed =
            |finding: &Finding| finding.rule == "not-examined" && finding.severity >= Level::Error;
        self.findings.iter().any(is_closed)
    }

    /// Whether a finding reaches `level`.
    pub fn reaches(&self, level: Level) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity >= level)
    }
}

/// Puts together what was noticed about a checkpoint and what its tensors give away.
///
/// `checkpoint`: what the reader made of it, if it could. `notes`: what was noticed about the
/// file, by the reader and by whoever looked for code.
pub fn audit(path: &str, checkpoint: Option<&Checkpoint>, notes: Vec<Note>) -> Audit {
    let mut findings: Vec<Finding> = notes.into_iter().map(Finding::of).collect();
    if let Some(checkpoint) = checkpoint {
        let noticed = structure::notes(checkpoint);
        findings.extend(noticed.into_iter().map(Finding::of));
    }
    // Stable: within a severity the order of the file stays.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Audit {
        path: path.to_owned(),
        format: checkpoint.map(|checkpoint| checkpoint.format),
        findings,
    }
}
