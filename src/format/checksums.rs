//! The checksums of zip members, held against what they unpack to. Reads everything.

use super::examine::files_of;
use crate::error::Result;
use crate::io::archive::{Archive, Content, Found, survey};
use crate::io::{Codec, Source, inflate_stream};
use crate::model::{Level, Note};
use crate::parallel::{self, Progress};
use std::io::Read;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Checks every member of every zip that belongs to `path`, on `threads` threads.
///
/// Errors: `Io` if the path cannot be opened.
pub fn check_members(path: &Path, threads: usize, progress: &dyn Progress) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    for file in files_of(path, &mut Vec::new())? {
        let Ok(source) = Source::open(&file) else {
            continue;
        };
        if !Archive::is_zip(&source.read_prefix(0, 4)?) {
            continue;
        }
        let members = survey(&source).members;
        let buffer = || vec![0; CHUNK];
        let found = parallel::map(threads, members.len(), buffer, |buffer, index| {
            let member = members.get(index);
            Ok(member.and_then(|member| check(&source, member, buffer, progress)))
        })?;
        let place = |note: Note| note.in_file(source.name());
        notes.extend(found.into_iter().flatten().map(place));
    }
    Ok(notes)
}

fn check(
    source: &Source,
    found: &Found,
    buffer: &mut [u8],
    progress: &dyn Progress,
) -> Option<Note> {
    let offset = source.file_offset(found.offset);
    let note = |rule, level, text: String| {
        Some(
            Note::new(rule, level, text)
                .in_member(&found.name)
                .at(offset),
        )
    };
    // What cannot be unpacked is a note of the look for code.
    let content = found.content(source).ok()?;
    let mut stream: Box<dyn Read + Send> = match content {
        Content::Stored { offset, len } => Box::new(source.slice(offset, len).ok()?.reader()),
        Content::Packed(packed) => inflate_stream(packed.source(), Codec::Deflate),
    };
    let mut hasher = crc32fast::Hasher::new();
    let mut len = 0u64;
    loop {
        match stream.read(buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                len = len.saturating_add(count as u64);
                progress.add(count as u64);
            }
            Err(error) => {
                let text = format!("cannot be unpacked: {error}");
                return note("malformed", Level::Error, text);
            }
        }
        if len > found.len {
            break;
        }
    }
    if len != found.len {
        let than = if len > found.len { "more" } else { "fewer" };
        let text = format!("declares {} bytes, but unpacks to {than}", found.len);
        return note("malformed", Level::Error, text);
    }
    let sum = hasher.finalize();
    if sum == found.crc32 {
        return None;
    }
    let text = format!(
        "the directory says CRC-32 {:08x}, the bytes have {sum:08x}; torch does not look at it",
        found.crc32
    );
    note("wrong-checksum", Level::Warning, text)
}
