//! Checkpoints inside gzip and tar: `weights.pt.gz`, model archives with a configuration.

use super::sharded::under_names;
use super::{FORMATS, HEAD, ReadOptions, read_nested, unrecognised};
use crate::error::{Error, Result};
use crate::io::archive::{Archive, Member};
use crate::io::{Codec, Source, inflate};
use crate::model::{Checkpoint, Level, Note, Winner};

/// Wrappers within wrappers: a tar in a gzip in a tar.
const DEPTH: usize = 3;

/// Reads a file that is no checkpoint itself but may hold one.
pub(super) fn read(
    head: &[u8],
    source: &Source,
    options: &ReadOptions,
    depth: usize,
) -> Result<Checkpoint> {
    if depth >= DEPTH {
        let message = format!("is wrapped in over {DEPTH} archives");
        return Err(Error::limit(message));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        let inflated = inflate(source, Codec::Gzip, None)?;
        let mut checkpoint = read_nested(&inflated, options, depth.saturating_add(1))?;
        let text = format!(
            "is compressed by gzip; {} bytes inflated to {}, to which offsets refer",
            source.len(),
            inflated.len()
        );
        let note = Note::new("compressed", Level::Info, text);
        checkpoint.notes.insert(0, note.in_file(source.name()));
        return Ok(checkpoint);
    }
    if Archive::is_tar(head) {
        return read_tar(source, options, depth);
    }
    Err(unrecognised(head, source))
}

/// Reads the checkpoints among the members of a tar: one as it is, several under the names of
/// their members.
fn read_tar(source: &Source, options: &ReadOptions, depth: usize) -> Result<Checkpoint> {
    let archive = Archive::read_tar(source)?;
    let mut found = Vec::new();
    let mut others = Vec::new();
    for member in &archive.members {
        let inner = archive.open(member)?;
        if is_checkpoint(&inner)? {
            let read = read_nested(&inner, options, depth.saturating_add(1));
            let checkpoint = read.map_err(|error| error.in_member(&member.name))?;
            found.push((member, checkpoint));
        } else {
            others.push(member.name.as_str());
        }
    }
    let note = taken_note(&found, &others);
    let mut checkpoint = match found.len() {
        0 => {
            let message = "is a tar archive without a checkpoint among its members";
            return Err(Error::unsupported(message));
        }
        1 => found.remove(0).1,
        _ => merge(found),
    };
    checkpoint.notes.insert(0, note.in_file(source.name()));
    Ok(checkpoint)
}

fn is_checkpoint(source: &Source) -> Result<bool> {
    let head = source.read_prefix(0, HEAD)?;
    let is_known = FORMATS.iter().any(|format| format.detect(&head, source));
    Ok(is_known || head.starts_with(&[0x1f, 0x8b]))
}

fn taken_note(found: &[(&Member, Checkpoint)], others: &[&str]) -> Note {
    let taken: Vec<&str> = found.iter().map(|(member, _)| &*member.name).collect();
    let mut text = format!("is a tar archive; read from it: {}", taken.join(", "));
    if !others.is_empty() {
        let shown = others.get(..8.min(others.len())).unwrap_or_default();
        text.push_str(&format!("; not read: {}", shown.join(", ")));
        if others.len() > shown.len() {
            let more = others.len().saturating_sub(shown.len());
            text.push_str(&format!(" and {more} more"));
        }
    }
    Note::new("archive", Level::Info, text)
}

/// Puts the tensors of several members under the members' names, without their extensions.
fn merge(found: Vec<(&Member, Checkpoint)>) -> Checkpoint {
    let named = |(member, mut checkpoint): (&Member, Checkpoint)| {
        let stem = member.name.rsplit_once('.').map(|(stem, _)| stem);
        let notes = std::mem::take(&mut checkpoint.notes).into_iter();
        checkpoint.notes = notes.map(|note| note.in_member(&member.name)).collect();
        (stem.unwrap_or(&member.name).to_owned(), checkpoint)
    };
    let mut all = under_names("archive", found.into_iter().map(named).collect());
    all.make_names_unique(Winner::First);
    all
}
