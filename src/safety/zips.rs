//! Zips from all sides: what each kind of reader would find, and what is in it.

use super::carriers;
use super::content::HEAD;
use super::files::{Scan, Spot};
use crate::io::archive::{self, Content, Found, Oddity};
use crate::io::{Source, inflate, inflate_stream};
use crate::model::{Level, Note};
use std::io::Read;

/// Bytes of a stretch between members that is worth a word.
const GAP: u64 = 64;

/// Whether a zip directory stands at the end of something that does not begin like a zip.
pub(super) fn has_directory(source: &Source) -> bool {
    let start = source.len().saturating_sub(22);
    let tail = source.read_prefix(start, 22).unwrap_or_default();
    tail.starts_with(b"PK\x05\x06") || !archive::survey(source).members.is_empty()
}

/// Looks through a zip.
pub(super) fn scan(scan: &mut Scan<'_>, source: &Source, spot: &Spot) {
    let survey = archive::survey(source);
    for oddity in &survey.oddities {
        scan.say(note(oddity), spot);
    }
    if let Some(error) = &survey.broken {
        scan.failed(error, spot);
    }
    if survey.is_cut {
        scan.closed("has more hidden members than are listed", source, spot);
    }
    for found in &survey.members {
        let mut inside = spot.inside(&found.name);
        if let Some(other) = &found.other_name {
            inside.is_named |= spot.inside(other).is_named;
        }
        scan.member_name(&found.name, &inside);
        member(scan, source, found, &inside);
    }
    carriers::scan(scan, source, &survey, spot);
    for &(start, end) in &survey.gaps {
        let len = end.saturating_sub(start);
        let offset = source.file_offset(start);
        let is_said = survey
            .oddities
            .iter()
            .any(|oddity| oddity.rule == "zip-trailing-bytes" && oddity.offset == offset);
        if len >= GAP && !is_said {
            let text = format!("{len} bytes belong to no member of the zip");
            let note = Note::new("zip-gap", Level::Warning, text);
            scan.say(note.at(offset), spot);
        }
        scan.search(source, start, len, spot);
    }
}

fn member(scan: &mut Scan<'_>, source: &Source, found: &Found, spot: &Spot) {
    let is_folder = found.name.ends_with('/') && found.len == 0 && found.packed_len == 0;
    if is_folder {
        return;
    }
    match found.content(source) {
        Ok(Content::Stored { offset, len }) => {
            let inner = source.slice(offset, len);
            match inner.and_then(|inner| Ok((inner.read_prefix(0, HEAD)?, inner))) {
                Ok((head, inner)) => {
                    if spot.is_named || Scan::is_worth(&head) {
                        scan.content(&inner, spot);
                    }
                }
                Err(error) => scan.failed(&error, spot),
            }
        }
        Ok(Content::Packed(packed)) => {
            let mut head = Vec::new();
            let stream = inflate_stream(packed.source(), packed.codec());
            // What breaks off later is found by whoever unpacks it whole.
            let read = stream.take(HEAD).read_to_end(&mut head);
            if read.is_err() && head.is_empty() && found.packed_len > 0 {
                scan.closed("cannot be inflated", packed.source(), spot);
                return;
            }
            if !(spot.is_named || Scan::is_worth(&head)) {
                return;
            }
            match inflate(packed.source(), packed.codec(), None) {
                Ok(inner) => {
                    if scan.spend(inner.len(), source, spot) {
                        scan.content(&inner, spot);
                    }
                }
                Err(error) => {
                    scan.failed(&error, spot);
                    // What is there before the fault counts.
                    scan.content(&Source::from_bytes(source.name(), head), spot);
                }
            }
        }
        Err(error) => {
            let at = source.slice(found.offset.min(source.len()), 0);
            let at = at.unwrap_or_else(|_| source.clone());
            scan.closed(error.message(), &at, spot);
        }
    }
}

fn note(oddity: &Oddity) -> Note {
    let level = match oddity.rule {
        "zip-headers-differ" | "zip-two-directories" | "zip-hidden-member" | "zip-flags" => {
            Level::Error
        }
        _ => Level::Warning,
    };
    let note = Note::new(oddity.rule, level, oddity.text.clone()).at(oddity.offset);
    match &oddity.member {
        Some(member) => note.in_member(member),
        None => note,
    }
}
