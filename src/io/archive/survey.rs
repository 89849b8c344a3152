//! Everything that any reader might find in a zip: for examining it, not for reading it.
//!
//! Readers differ. torch (miniz) takes the last end record and ignores the names in members' own
//! headers, Python's `zipfile` shifts all offsets by what is prepended, streaming readers go from
//! header to header and never see the directory. A survey lists what each of them finds, and
//! says where they disagree. Nothing in it fails on content: what cannot be read is an oddity.

use super::zip::{self, END_LEN, LOCAL_LEN, MASK_16};
use super::{Archive, Content, Member, Method, Oddity};
use crate::error::{Error, Result};
use crate::io::{Codec, Packed, Source};
use crate::limits;
use std::collections::{HashMap, HashSet};

/// Bytes of a descriptor behind a member's data, in its longest form.
const DESCRIPTOR: u64 = 24;

/// Directories beside the one that torch reads.
const OTHERS: usize = 4;

/// Oddities of one kind that are kept; the rest is counted.
const KEPT: usize = 20;

/// What a zip holds, by whichever way one looks at it.
#[derive(Debug, Default)]
pub struct Survey {
    /// Members of the directory that torch reads, then those that only others see.
    pub members: Vec<Found>,
    /// Where readers disagree, and what is broken.
    pub oddities: Vec<Oddity>,
    /// Members that no directory lists.
    hidden: usize,
    /// Where the headers of members of other directories stand.
    header_places: HashSet<u64>,
    /// Stretches that belong to no member and to no directory.
    pub gaps: Vec<(u64, u64)>,
    /// Whether there are more hidden members than are listed.
    pub is_cut: bool,
    /// Why the directory cannot be read, if it cannot.
    pub broken: Option<Error>,
}

/// One member, where its data lies.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name; the directory's, if that has it.
    pub name: String,
    /// How it is stored.
    pub method: Method,
    /// The name in its own header, if that is another one.
    pub other_name: Option<String>,
    /// Whether either header says that it is encrypted.
    pub is_encrypted: bool,
    /// Whether the directory that torch reads does not list it.
    pub is_hidden: bool,
    /// The checksum that the directory, or else the header, declares.
    pub crc32: u32,
    /// First byte of its data.
    pub offset: u64,
    /// Bytes in the archive.
    pub packed_len: u64,
    /// Bytes when unpacked, as declared.
    pub len: u64,
}

impl Found {
    /// Where its bytes are.
    ///
    /// Errors: `Malformed` if they lie outside the file, `Unsupported` if they are encrypted or
    /// compressed by a method that is not read here.
    pub fn content(&self, source: &Source) -> Result<Content> {
        if self.is_encrypted {
            return Err(Error::unsupported("is encrypted"));
        }
        let packed = source.slice(self.offset, self.packed_len)?;
        match self.method {
            Method::Stored => Ok(Content::Stored {
                offset: self.offset,
                len: self.packed_len,
            }),
            Method::Deflated => {
                let packed = Packed::new(packed, Codec::Deflate, self.len);
                Ok(Content::Packed(packed))
            }
            Method::Other(method) => Err(Error::unsupported(format!(
                "compression method {method} is not read; 0 (stored) and 8 (deflated) are"
            ))),
        }
    }
}

/// Looks at a zip from all sides.
pub fn survey(source: &Source) -> Survey {
    let mut survey = Survey::default();
    let mut covered: Vec<(u64, u64)> = Vec::new();
    let directory = match zip::find_directory(source) {
        Ok((directory, oddity)) => {
            survey.oddities.extend(oddity);
            let stop = directory.offset.saturating_add(directory.len);
            covered.push((directory.offset, stop));
            covered.push((directory.end, directory.stop));
            Some(directory)
        }
        Err(error) => {
            survey.broken = Some(error);
            None
        }
    };
    match Archive::read_zip(source) {
        Ok(archive) => survey.take(source, &archive, &mut covered),
        Err(error) => survey.broken = Some(error),
    }
    if let Some(directory) = directory {
        survey.look_for_shifted(source, &directory);
    }
    survey.look_for_other_directories(source);
    survey.look_into_gaps(source, covered);
    survey
}

impl Survey {
    fn odd(&mut self, rule: &'static str, offset: u64, member: Option<&str>, text: String) {
        let same = self.oddities.iter().filter(|oddity| oddity.rule == rule);
        if same.count() < KEPT {
            self.oddities.push(Oddity {
                rule,
                offset,
                member: member.map(str::to_owned),
                text,
            });
        }
    }

    /// Takes the members of the directory, each held against its own header.
    fn take(&mut self, source: &Source, archive: &Archive, covered: &mut Vec<(u64, u64)>) {
        let said: Vec<&str> = self.oddities.iter().map(|oddity| oddity.rule).collect();
        let new = archive.oddities.iter();
        let new: Vec<Oddity> = new
            .filter(|oddity| !said.contains(&oddity.rule))
            .cloned()
            .collect();
        self.oddities.extend(new);
        self.compare_cases(source, archive);
        for member in &archive.members {
            let found = self.hold_together(source, member);
            let stop = found.offset.saturating_add(found.packed_len);
            covered.push((member.header_offset, stop));
            self.members.push(found);
        }
    }

    /// Names that torch's reader does not tell apart.
    fn compare_cases(&mut self, source: &Source, archive: &Archive) {
        let mut seen: HashMap<String, &str> = HashMap::with_capacity(archive.members.len());
        for member in &archive.members {
            let first = seen
                .entry(member.name.to_ascii_lowercase())
                .or_insert(&member.name);
            if *first != member.name {
                let text =
                    format!("differs from `{first}` in case only, which torch does not tell apart");
                let at = source.file_offset(member.directory_offset);
                self.odd("duplicate-member", at, Some(&member.name), text);
            }
        }
    }

    fn hold_together(&mut self, source: &Source, member: &Member) -> Found {
        let mut found = Found {
            name: member.name.clone(),
            method: member.method,
            other_name: None,
            is_encrypted: member.is_encrypted,
            is_hidden: false,
            crc32: member.crc32,
            offset: member.header_offset.saturating_add(LOCAL_LEN),
            packed_len: member.packed_len,
            len: member.len,
        };
        let at = source.file_offset(member.header_offset);
        let Some(own) = read_header(source, member.header_offset) else {
            let text = "no member starts where the directory says".to_owned();
            self.odd("zip-headers-differ", at, Some(&member.name), text);
            return found;
        };
        found.offset = own.found.offset;
        let name = &member.name;
        if own.found.name != *name {
            let other = own.found.name.clone();
            let text = format!(
                "the member's own header calls it `{other}`; torch and Python go by the directory, \
                 programs that read from front to back do not"
            );
            self.odd("zip-headers-differ", at, Some(name), text);
            found.other_name = Some(other);
        }
        if own.found.method != member.method {
            let text = "the directory and the member's own header name two compressions".to_owned();
            self.odd("zip-headers-differ", at, Some(name), text);
        }
        let sizes = (own.found.packed_len, own.found.len);
        if !own.has_descriptor && !own.is_wide && sizes != (member.packed_len, member.len) {
            let text = format!(
                "the directory says {} bytes, the member's own header {}",
                member.len, own.found.len
            );
            self.odd("zip-headers-differ", at, Some(name), text);
        }
        if own.found.is_encrypted != member.is_encrypted {
            let text = "only one of the directory and the member's own header says that it is \
                        encrypted; torch goes by the directory"
                .to_owned();
            self.odd("zip-flags", at, Some(name), text);
        }
        found
    }

    /// What readers find that shift offsets by what is prepended.
    fn look_for_shifted(&mut self, source: &Source, directory: &zip::Directory) {
        let Some(start) = directory.end.checked_sub(directory.len) else {
            return;
        };
        let Some(shift) = start.checked_sub(directory.offset).filter(|&s| s > 0) else {
            return;
        };
        let text = format!(
            "{shift} bytes stand before what its offsets call the start; Python shifts them, torch does not"
        );
        self.odd("zip-prepended", source.file_offset(0), None, text);
        let rest = source.len().saturating_sub(shift);
        if let Ok(shifted) = source.slice(shift, rest)
            && let Ok(archive) = Archive::read_zip(&shifted)
        {
            self.add_hidden(source, &archive, shift);
        }
    }

    /// End records before the last one, which other readers may take.
    fn look_for_other_directories(&mut self, source: &Source) {
        let tail_len = source
            .len()
            .min(END_LEN.saturating_add(MASK_16).saturating_mul(2));
        let start = source.len().saturating_sub(tail_len);
        let Ok(tail) = source.read_vec(start, tail_len) else {
            return;
        };
        let signatures = tail.windows(4).enumerate();
        let at: Vec<u64> = signatures
            .filter(|(_, window)| *window == b"PK\x05\x06")
            .map(|(index, _)| start.saturating_add(index as u64))
            .collect();
        let Some((_, earlier)) = at.split_last() else {
            return;
        };
        // More than a few is a file made to keep us busy; the gaps are searched anyway.
        for &end in earlier.iter().rev().take(OTHERS) {
            let Ok(cut) = source.slice(0, end.saturating_add(END_LEN)) else {
                continue;
            };
            let Ok(archive) = Archive::read_zip(&cut) else {
                continue;
            };
            if archive.members.is_empty() {
                continue;
            }
            let text = format!(
                "an earlier end record describes another directory, of {} members; which one counts depends on the reader",
                archive.members.len()
            );
            self.odd("zip-two-directories", source.file_offset(end), None, text);
            self.add_hidden(source, &archive, 0);
        }
    }

    /// Adds the members of a directory that torch does not read, where they are others.
    fn add_hidden(&mut self, source: &Source, archive: &Archive, shift: u64) {
        let known: HashSet<(u64, String)> = self
            .members
            .iter()
            .map(|found| (found.offset, found.name.clone()))
            .collect();
        for member in &archive.members {
            let at = member.header_offset.saturating_add(shift);
            self.header_places.insert(at);
            let own = read_header(source, at);
            let offset = own.map(|own| own.found.offset);
            let Some(offset) = offset.filter(|&at| !known.contains(&(at, member.name.clone())))
            else {
                continue;
            };
            self.members.push(Found {
                name: member.name.clone(),
                method: member.method,
                other_name: None,
                is_encrypted: member.is_encrypted,
                is_hidden: true,
                crc32: member.crc32,
                offset,
                packed_len: member.packed_len,
                len: member.len,
            });
        }
    }

    /// Headers of members that no directory lists, between those that it does.
    fn look_into_gaps(&mut self, source: &Source, mut covered: Vec<(u64, u64)>) {
        covered.sort_unstable();
        let mut position = 0u64;
        let mut budget = limits::HUNTED;
        covered.push((source.len(), source.len()));
        for (start, stop) in covered {
            if start > position {
                let end = start.min(position.saturating_add(budget));
                budget = budget.saturating_sub(end.saturating_sub(position));
                self.look_into_gap(source, position, end);
            }
            position = position.max(stop);
        }
    }

    fn look_into_gap(&mut self, source: &Source, start: u64, end: u64) {
        let Ok(bytes) = source.read_vec(start, end.saturating_sub(start)) else {
            return;
        };
        let is_descriptor = bytes.len() as u64 <= DESCRIPTOR;
        if is_descriptor || bytes.iter().all(|&byte| byte == 0) {
            return;
        }
        let known = self.header_places.clone();
        let mut next = 0u64;
        let headers = bytes.windows(4).enumerate();
        for (index, _) in headers.filter(|(_, window)| *window == b"PK\x03\x04") {
            let at = start.saturating_add(index as u64);
            if at < next || known.contains(&at) {
                continue;
            }
            let Some(mut own) = read_header(source, at) else {
                continue;
            };
            self.hidden = self.hidden.saturating_add(1);
            if self.hidden > limits::HIDDEN_MEMBERS {
                self.is_cut = true;
                break;
            }
            if own.has_descriptor && own.found.packed_len == 0 {
                own.found.packed_len = end.saturating_sub(own.found.offset.min(end));
            }
            own.found.is_hidden = true;
            next = own.found.offset.saturating_add(own.found.packed_len);
            let text =
                "no directory lists this member; programs that read from front to back find it"
                    .to_owned();
            let name = own.found.name.clone();
            self.odd(
                "zip-hidden-member",
                source.file_offset(at),
                Some(&name),
                text,
            );
            self.members.push(own.found);
        }
        self.gaps.push((start, end));
    }
}

/// A member's own header.
struct OwnHeader {
    found: Found,
    has_descriptor: bool,
    /// Whether its sizes stand in an extra field.
    is_wide: bool,
}

/// Reads the header that stands at `offset`, if one does.
fn read_header(source: &Source, offset: u64) -> Option<OwnHeader> {
    let head = source.read_vec(offset, LOCAL_LEN).ok()?;
    if !head.starts_with(b"PK\x03\x04") {
        return None;
    }
    let field_16 = |at: usize| {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk::<2>);
        bytes.map(|bytes| u16::from_le_bytes(*bytes))
    };
    let field_32 = |at: usize| {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map(|bytes| u32::from_le_bytes(*bytes))
    };
    let flags = field_16(6)?;
    let name_start = offset.saturating_add(LOCAL_LEN);
    let name = source.read_vec(name_start, field_16(26)?.into()).ok()?;
    let start = name_start.saturating_add(field_16(26)?.into());
    let (packed_len, len) = (field_32(18)?, field_32(22)?);
    Some(OwnHeader {
        found: Found {
            name: String::from_utf8_lossy(&name).into_owned(),
            method: match field_16(8)? {
                0 => Method::Stored,
                8 => Method::Deflated,
                other => Method::Other(other),
            },
            other_name: None,
            is_encrypted: flags & 0x2061 != 0,
            is_hidden: false,
            crc32: field_32(14)?,
            offset: start.saturating_add(field_16(28)?.into()),
            packed_len: packed_len.into(),
            len: len.into(),
        },
        has_descriptor: flags & 8 != 0,
        is_wide: packed_len == u32::MAX || len == u32::MAX,
    })
}
