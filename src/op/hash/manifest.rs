//! The manifest: digests as text, as `sha256sum` writes them, without paths.
//!
//! ```text
//! # ckpt.hash/1 blake3, root 5c1f...
//! 0d5a...  model.embed_tokens.weight
//! ```
//!
//! `#` starts a comment. A name with a backslash, a line break or a character that a terminal
//! acts upon is written with `\\`, `\n`, `\r`, `\t` or `\u{hex}`, and a backslash stands before
//! the line's digest. The root is BLAKE3 over all lines that are no comment, so
//! `grep -v '^#' MANIFEST | b3sum` gives it again.

use super::{Digest, Hashes, Row};
use crate::error::{Error, Result};
use crate::limits;
use crate::text::is_hidden;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What the first line says before the root.
const HEAD: &str = "# ckpt.hash/1 blake3, root ";

/// The digest of the lines of `rows`, which are sorted by name. Rows without digest have none.
pub(super) fn root(rows: &[Row]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for line in rows.iter().filter_map(line) {
        hasher.update(line.as_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The whole manifest. Tensors that could not be read have no line, and there is no root then.
pub fn write(hashes: &Hashes) -> String {
    let root = match &hashes.root {
        Some(root) => root.to_string(),
        None => "unknown: not every tensor could be read".to_owned(),
    };
    let mut out = format!("{HEAD}{root}\n");
    out.extend(hashes.rows.iter().filter_map(line));
    out
}

fn line(row: &Row) -> Option<String> {
    let (name, is_escaped) = escape(&row.name);
    let mark = if is_escaped { "\\" } else { "" };
    Some(format!("{mark}{}  {name}\n", row.digest?))
}

fn escape(name: &str) -> (String, bool) {
    if !name.contains(|c: char| c == '\\' || is_hidden(c)) {
        return (name.to_owned(), false);
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    (out, true)
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut letters = after.chars();
        let (c, next) = match letters.next()? {
            '\\' => ('\\', letters.as_str()),
            'n' => ('\n', letters.as_str()),
            'r' => ('\r', letters.as_str()),
            't' => ('\t', letters.as_str()),
            'u' => {
                let (digits, next) = letters.as_str().strip_prefix('{')?.split_once('}')?;
                (char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, next)
            }
            _ => return None,
        };
        out.push(c);
        rest = next;
    }
    out.push_str(rest);
    Some(out)
}

/// A manifest that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Names and digests, sorted by name.
    pub digests: BTreeMap<String, Digest>,
}

/// Reads a manifest.
///
/// Errors: `Malformed` for a line that is none, with its number; for a name that occurs twice;
/// if the first line's root is not that of the lines. `Limit` for too many lines.
pub fn read(text: &str) -> Result<Manifest> {
    let mut manifest = Manifest::default();
    let mut root = None;
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| Error::malformed(format!("line {}: {what}", index + 1));
        if line.starts_with('#') {
            let said = line.strip_prefix(HEAD);
            root = root.or_else(|| Digest::from_hex(said?.trim_end()));
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (name, digest) = read_line(line)
            .ok_or_else(|| wrong("is not 64 hex digits, two blanks and a tensor's name"))?;
        if manifest.digests.len() as u64 >= limits::TENSORS {
            let message = format!("lists over {} tensors", limits::TENSORS);
            return Err(Error::limit(message));
        }
        match manifest.digests.entry(name) {
            Entry::Vacant(place) => place.insert(digest),
            Entry::Occupied(place) => {
                return Err(wrong(&format!("`{}` stands there twice", place.key())));
            }
        };
    }
    check_root(root, text)?;
    Ok(manifest)
}

fn read_line(line: &str) -> Option<(String, Digest)> {
    let (line, is_escaped) = match line.strip_prefix('\\') {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (digest, name) = line.split_once("  ")?;
    let name = match is_escaped {
        true => unescape(name)?,
        false => name.to_owned(),
    };
    Some((name, Digest::from_hex(digest)?))
}

/// A manifest that was cut or edited no longer has the root that it names.
fn check_root(said: Option<Digest>, text: &str) -> Result<()> {
    let Some(said) = said else {
        return Ok(());
    };
    let mut hasher = blake3::Hasher::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        hasher.update(line.as_bytes()).update(b"\n");
    }
    let found = Digest(*hasher.finalize().as_bytes());
    if found == said {
        return Ok(());
    }
    let error = Error::malformed(format!("names the root {said}, but its lines have {found}"));
    Err(error.with_hint(
        "lines were lost, added or changed; without its first line each stands for itself",
    ))
}

/// How a checkpoint and a manifest relate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Tensors whose digests are equal.
    pub equal: u64,
    /// What differs, by name.
    pub differing: Vec<(String, Relation)>,
}

/// What is wrong with one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Another digest: other bytes, dtype or shape.
    Mismatch,
    /// In the manifest only.
    Missing,
    /// In the checkpoint only.
    Extra,
    /// It could not be read.
    Unreadable,
}

impl Relation {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Mismatch => "mismatch",
            Relation::Missing => "missing",
            Relation::Extra => "extra",
            Relation::Unreadable => "unreadable",
        }
    }
}

/// Holds the tensors of `hashes` against `manifest`. Names count as the bytes they are.
pub fn compare(hashes: &Hashes, manifest: &Manifest) -> Comparison {
    let mut comparison = Comparison::default();
    let mut expected = manifest.digests.clone();
    for row in &hashes.rows {
        let relation = match (row.digest, expected.remove(&row.name)) {
            (None, _) => Relation::Unreadable,
            (Some(found), Some(expected)) if found == expected => {
                comparison.equal += 1;
                continue;
            }
            (Some(_), Some(_)) => Relation::Mismatch,
            (Some(_), None) => Relation::Extra,
        };
        comparison.differing.push((row.name.clone(), relation));
    }
    let missing = expected.into_keys().map(|name| (name, Relation::Missing));
    comparison.differing.extend(missing);
    comparison.differing.sort();
    comparison
}
