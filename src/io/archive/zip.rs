//! The central directory of a zip, as torch's reader (miniz) understands it.
//!
//! ```text
//! member:    "PK\3\4" 22 bytes, u16 name length, u16 extra length, name, extra, data
//! directory: "PK\1\2" per member: flags, method, crc, sizes, lengths, header offset, name, extra
//! [zip64 end record "PK\6\6" 56 bytes] [locator "PK\6\7" 20 bytes]
//! end:       "PK\5\6" 18 bytes, comment
//! ```
//!
//! Source: PKWARE APPNOTE 4.3; what torch's reader does differently is said where it matters.

use super::{Archive, Member, Method, Oddity, name_hash};
use crate::error::{Error, Result};
use crate::io::{Cursor, Source};
use crate::limits;

pub(super) const END_LEN: u64 = 22;
const LOCATOR_LEN: u64 = 20;
pub(super) const LOCAL_LEN: u64 = 30;
const DIRECTORY_ENTRY_LEN: u64 = 46;
pub(super) const MASK_16: u64 = 0xffff;
const MASK_32: u64 = 0xffff_ffff;

/// Bytes read at once where members are small, so that a hundred thousand of them do not take as
/// many reads.
const WINDOW: u64 = 64 << 10;

/// A member behind which the next header is worth reading along.
const SMALL: u64 = 4096;

/// A stretch of the file.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// `len` bytes at `offset`, fewer where the file ends; `more` are read along.
    fn read(&mut self, source: &Source, offset: u64, len: u64, more: u64) -> Result<&[u8]> {
        if self.within(offset, len).is_none() {
            self.bytes = source.read_prefix(offset, len.saturating_add(more))?;
            self.start = offset;
        }
        let held = usize::try_from(len)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let short = self.bytes.get(..held).unwrap_or_default();
        Ok(self.within(offset, len).unwrap_or(short))
    }

    fn within(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..)?.get(..usize::try_from(len).ok()?)
    }
}

/// What the end records say about the directory.
pub(super) struct Directory {
    entries: u64,
    pub(super) len: u64,
    pub(super) offset: u64,
    /// Where the first end record stands: the directory lies before it.
    pub(super) end: u64,
    /// The first byte behind the last end record.
    pub(super) stop: u64,
}

pub(super) fn read(source: &Source) -> Result<Archive> {
    let place = |error: Error| error.in_file(source.name());
    let (directory, comment_oddity) = find_directory(source).map_err(place)?;
    let members = read_directory(source, &directory).map_err(place)?;
    let mut archive = Archive::new(source, members);
    archive.oddities.extend(comment_oddity);
    Ok(archive)
}

/// Finds the end record: the last signature within a comment's length of the end.
pub(super) fn find_directory(source: &Source) -> Result<(Directory, Option<Oddity>)> {
    let tail_len = source.len().min(END_LEN.saturating_add(MASK_16));
    let tail_start = source.len().saturating_sub(tail_len);
    let tail = source.read_vec(tail_start, tail_len)?;
    let found = tail
        .windows(4)
        .enumerate()
        .rev()
        .map(|(index, _)| index)
        .find(|&index| {
            let rest = tail.get(index..).unwrap_or_default();
            rest.starts_with(b"PK\x05\x06") && rest.len() as u64 >= END_LEN
        });
    let Some(index) = found else {
        return Err(Error::malformed(
            "has no zip directory at its end: it is truncated, or was never finished",
        )
        .under("truncated")
        .at(source.file_offset(source.len())));
    };
    let end = tail_start.saturating_add(index as u64);
    let mut cursor = Cursor::new(source, end);
    cursor.skip(4)?;
    let disk = cursor.u16()?;
    let directory_disk = cursor.u16()?;
    cursor.skip(2)?;
    let plain = Directory {
        entries: cursor.u16()?.into(),
        len: cursor.u32()?.into(),
        offset: cursor.u32()?.into(),
        end,
        stop: end.saturating_add(END_LEN),
    };
    let comment_len = u64::from(cursor.u16()?);
    if disk != directory_disk {
        return Err(Error::unsupported("is one disk of a zip that spans several").at(end));
    }
    let after = source.len().saturating_sub(end).saturating_sub(END_LEN);
    let oddity = (after != comment_len).then(|| Oddity {
        rule: "zip-trailing-bytes",
        offset: source.file_offset(end.saturating_add(END_LEN)),
        member: None,
        text: format!(
            "{after} bytes follow the zip directory, which declares a comment of {comment_len}; torch and Python's `zipfile` look past up to 64 KiB"
        ),
    });
    let directory = match read_zip64(source, end)? {
        Some(zip64) => reconcile(source, &plain, zip64)?,
        None => plain,
    };
    Ok((directory, oddity))
}

/// The zip64 end record, looked for as torch does: by its locator, right before the end record.
fn read_zip64(source: &Source, end: u64) -> Result<Option<Directory>> {
    let Some(locator) = end.checked_sub(LOCATOR_LEN) else {
        return Ok(None);
    };
    let mut cursor = Cursor::new(source, locator);
    if cursor.array::<4>()? != *b"PK\x06\x07" {
        return Ok(None);
    }
    cursor.skip(4)?;
    let record = cursor.u64()?;
    let lies = || {
        Error::malformed(format!(
            "zip64 locator points to byte {record}, where no record is"
        ))
        .at(source.file_offset(locator))
    };
    if record.saturating_add(56) > locator {
        return Err(lies());
    }
    cursor.seek(record)?;
    if cursor.array::<4>()? != *b"PK\x06\x06" {
        return Err(lies());
    }
    cursor.skip(8 + 2 + 2 + 4 + 4 + 8)?;
    Ok(Some(Directory {
        entries: cursor.u64()?,
        len: cursor.u64()?,
        offset: cursor.u64()?,
        end: record,
        stop: end.saturating_add(END_LEN),
    }))
}

/// The plain record may leave values to the zip64 one; those it gives must agree.
fn reconcile(source: &Source, plain: &Directory, zip64: Directory) -> Result<Directory> {
    let checks = [
        ("entries", plain.entries, zip64.entries, MASK_16),
        ("directory bytes", plain.len, zip64.len, MASK_32),
        ("directory offset", plain.offset, zip64.offset, MASK_32),
    ];
    for (what, said, says, mask) in checks {
        // Writers without room put the mask, or (torch) the value cut to 16 bits.
        if said != mask && said != says && said != says & mask {
            return Err(Error::malformed(format!(
                "the two end records of the zip disagree: {what} {said} and {says}"
            ))
            .at(source.file_offset(plain.end)));
        }
    }
    Ok(zip64)
}

fn read_directory(source: &Source, directory: &Directory) -> Result<Vec<Member>> {
    let Directory {
        entries,
        len,
        offset,
        end,
        ..
    } = *directory;
    let place = |error: Error| error.at(source.file_offset(offset.min(source.len())));
    if offset.checked_add(len).is_none_or(|stop| stop > end) {
        let message = format!(
            "zip directory of {len} bytes at {offset} does not lie before its end record at {end}"
        );
        return Err(place(Error::malformed(message)));
    }
    if entries > limits::ARCHIVE_MEMBERS || len > limits::CENTRAL_DIRECTORY {
        let message = format!(
            "zip directory has {entries} entries in {len} bytes; the limits are {} and {}",
            limits::ARCHIVE_MEMBERS,
            limits::CENTRAL_DIRECTORY
        );
        return Err(place(Error::limit(message)));
    }
    if entries.saturating_mul(DIRECTORY_ENTRY_LEN) > len {
        let message = format!("zip directory of {len} bytes cannot hold {entries} entries");
        return Err(place(Error::malformed(message)));
    }
    let region = source.slice(0, offset.saturating_add(len))?;
    let mut cursor = Cursor::new(&region, offset);
    let mut members = Vec::with_capacity(usize::try_from(entries).unwrap_or(0));
    for _ in 0..entries {
        members.push(read_entry(&mut cursor, end)?);
    }
    Ok(members)
}

fn read_entry(cursor: &mut Cursor<'_>, directory_end: u64) -> Result<Member> {
    let directory_offset = cursor.position();
    if cursor.array::<4>()? != *b"PK\x01\x02" {
        let error = Error::malformed("zip directory entry has a wrong signature");
        return Err(error.at(cursor.source().file_offset(directory_offset)));
    }
    cursor.skip(4)?;
    let flags = cursor.u16()?;
    let method = cursor.u16()?;
    cursor.skip(4)?;
    let crc32 = cursor.u32()?;
    let mut packed_len = u64::from(cursor.u32()?);
    let mut len = u64::from(cursor.u32()?);
    let name_len = cursor.u16()?;
    let extra_len = cursor.u16()?;
    let comment_len = cursor.u16()?;
    cursor.skip(2 + 2 + 4)?;
    let mut header_offset = u64::from(cursor.u32()?);
    let raw_name = cursor.borrow(name_len.into())?;
    let name = String::from_utf8_lossy(raw_name).into_owned();
    let raw_name_hash = name_hash(raw_name);
    let extra = cursor.borrow(extra_len.into())?.to_vec();
    cursor.skip(comment_len.into())?;
    let wide = [&mut len, &mut packed_len, &mut header_offset];
    let place = |error: Error| {
        let offset = cursor.source().file_offset(directory_offset);
        error.in_member(&name).at(offset)
    };
    read_zip64_extra(&extra, wide).map_err(place)?;
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => Method::Other(other),
    };
    check_entry(method, packed_len, len, header_offset, directory_end).map_err(place)?;
    Ok(Member {
        name,
        method,
        packed_len,
        len,
        crc32,
        header_offset,
        directory_offset,
        is_encrypted: flags & 0x2061 != 0,
        has_descriptor: flags & 8 != 0,
        raw_name_len: name_len,
        raw_name_hash,
    })
}

/// Values of 0xffffffff stand in extra field 1, in this order.
fn read_zip64_extra(mut extra: &[u8], wide: [&mut u64; 3]) -> Result<()> {
    let mut fields = &[][..];
    while let Some((header, rest)) = extra.split_first_chunk::<4>() {
        let [id0, id1, len0, len1] = *header;
        let len = usize::from(u16::from_le_bytes([len0, len1]));
        let Some((body, next)) = rest.split_at_checked(len) else {
            break;
        };
        if u16::from_le_bytes([id0, id1]) == 1 {
            fields = body;
            break;
        }
        extra = next;
    }
    for value in wide {
        if *value == MASK_32 {
            let (bytes, rest) = fields.split_first_chunk::<8>().ok_or_else(|| {
                Error::malformed("a 64-bit size is announced, but the extra field lacks it")
            })?;
            *value = u64::from_le_bytes(*bytes);
            fields = rest;
        }
    }
    Ok(())
}

fn check_entry(
    method: Method,
    packed_len: u64,
    len: u64,
    header_offset: u64,
    directory_end: u64,
) -> Result<()> {
    let end = header_offset
        .checked_add(LOCAL_LEN)
        .and_then(|start| start.checked_add(packed_len));
    if end.is_none_or(|end| end > directory_end) {
        return Err(Error::malformed(format!(
            "{packed_len} bytes behind the header at {header_offset} reach past the directory"
        )));
    }
    if method == Method::Stored && packed_len != len {
        return Err(Error::malformed(format!(
            "is stored, but declares {packed_len} bytes packed and {len} unpacked"
        )));
    }
    if packed_len == 0 && len > 0 {
        return Err(Error::malformed(format!("declares {len} bytes out of 0")));
    }
    Ok(())
}

/// Where a member's data starts: behind its own header, whose lengths differ from the
/// directory's. Tar members have no such header.
///
/// torch ignores the header's name; a file in which the two differ reads differently in other
/// programs, so it is refused here.
pub(super) fn payload_offset(source: &Source, member: &Member, window: &mut Window) -> Result<u64> {
    if member.is_encrypted {
        return Err(Error::unsupported("is encrypted"));
    }
    if member.directory_offset == super::tar::NO_DIRECTORY {
        return Ok(member.header_offset);
    }
    let head_len = LOCAL_LEN.saturating_add(member.raw_name_len.into());
    let more = if member.packed_len <= SMALL {
        WINDOW
    } else {
        0
    };
    let head = window.read(source, member.header_offset, head_len, more)?;
    let short = || Error::malformed("the header of the member lies outside the file");
    let field_16 = |at: usize| -> Result<u64> {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk::<2>);
        Ok(u16::from_le_bytes(*bytes.ok_or_else(short)?).into())
    };
    let field_32 = |at: usize| -> Result<u64> {
        let bytes = head.get(at..).and_then(<[u8]>::first_chunk::<4>);
        Ok(u32::from_le_bytes(*bytes.ok_or_else(short)?).into())
    };
    if !head.starts_with(b"PK\x03\x04") {
        return Err(Error::malformed(
            "no member starts where the directory says",
        ));
    }
    let (name_len, extra_len) = (field_16(26)?, field_16(28)?);
    let name = head.get(30..).unwrap_or_default();
    if name_len != u64::from(member.raw_name_len) || name_hash(name) != member.raw_name_hash {
        return Err(Error::malformed(format!(
            "the member's own header calls it `{}`",
            String::from_utf8_lossy(name)
        )));
    }
    let (packed_len, len) = (field_32(18)?, field_32(22)?);
    let agrees = |said: u64, says: u64| said == says || said == MASK_32;
    if !(member.has_descriptor || agrees(packed_len, member.packed_len) && agrees(len, member.len))
    {
        return Err(Error::malformed(format!(
            "the directory says {} bytes, the member's own header {len}",
            member.len
        )));
    }
    let start = member
        .header_offset
        .saturating_add(LOCAL_LEN)
        .saturating_add(name_len)
        .saturating_add(extra_len);
    let end = start.saturating_add(member.packed_len);
    if end > source.len() {
        return Err(Error::malformed(format!(
            "needs {} bytes from {start} on, but the file has {}",
            member.packed_len,
            source.len()
        )));
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::*;

    /// A zip of one stored member, with descriptors and zip64 end records as torch writes them.
    fn torch_like(name: &str, data: &[u8]) -> Vec<u8> {
        let mut zip = Vec::new();
        zip.extend(b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0");
        zip.extend([0; 12]);
        zip.extend((name.len() as u16).to_le_bytes());
        zip.extend([4, 0]);
        zip.extend(name.as_bytes());
        zip.extend(b"FB\0\0");
        zip.extend(data);
        let directory = zip.len() as u64;
        zip.extend(b"PK\x01\x02\0\0\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0");
        zip.extend((data.len() as u32).to_le_bytes());
        zip.extend((data.len() as u32).to_le_bytes());
        zip.extend((name.len() as u16).to_le_bytes());
        zip.extend([0; 16]);
        zip.extend(name.as_bytes());
        let len = zip.len() as u64 - directory;
        let record = zip.len() as u64;
        zip.extend(b"PK\x06\x06");
        zip.extend([0; 28]);
        for value in [1, len, directory] {
            zip.extend(value.to_le_bytes());
        }
        zip.extend(b"PK\x06\x07\0\0\0\0");
        zip.extend(record.to_le_bytes());
        zip.extend([1, 0, 0, 0]);
        zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        zip.extend((len as u32).to_le_bytes());
        zip.extend((directory as u32).to_le_bytes());
        zip.extend([0, 0]);
        zip
    }

    fn read_first(zip: Vec<u8>) -> Result<Vec<u8>> {
        let archive = Archive::read_zip(&Source::from_bytes("a.zip", zip))?;
        let source = archive.open(&archive.members[0])?;
        source.read_vec(0, source.len())
    }

    #[test]
    fn reads_a_stored_member_behind_its_padding() {
        assert_eq!(
            read_first(torch_like("a/data.pkl", b"hello")).unwrap(),
            b"hello"
        );
    }

    #[test]
    fn finds_the_offset_of_the_data_in_the_file() {
        let source = Source::from_bytes("a.zip", torch_like("a/b", b"hello"));
        let archive = Archive::read_zip(&source).unwrap();
        let content = archive.content(archive.find("a/b").unwrap()).unwrap();
        assert!(matches!(content, Content::Stored { offset: 37, len: 5 }));
    }

    #[test]
    fn refuses_a_member_whose_header_has_another_name() {
        let mut zip = torch_like("a/data.pkl", b"hello");
        zip[32] = b'X';
        let error = read_first(zip).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.zip: member `a/data.pkl`: the member's own header calls it `a/Xata.pkl` (at byte 0)"
        );
    }

    #[test]
    fn refuses_end_records_that_disagree() {
        let zip = torch_like("a/b", b"hello");
        let at = zip.len() - 6;
        let mut lying = zip;
        lying[at] ^= 1;
        let error = read_first(lying).unwrap_err().to_string();
        assert!(error.contains("end records of the zip disagree"), "{error}");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_an_answer() {
        let zip = torch_like("a/b", b"hello");
        for end in 0..zip.len() {
            assert!(read_first(zip[..end].to_vec()).is_err());
        }
        for at in 0..zip.len() {
            for value in [0, 0xff, zip[at] ^ 1, zip[at] ^ 0x80] {
                let mut changed = zip.clone();
                changed[at] = value;
                let source = Source::from_bytes("a.zip", changed);
                if let Ok(archive) = Archive::read_zip(&source) {
                    for member in &archive.members {
                        let _ = archive.open(member);
                    }
                }
            }
        }
    }
}
