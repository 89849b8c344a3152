//! The headers of an uncompressed tar.
//!
//! | byte | size | what (text, octal numbers) |
//! |------|------|----------------------------|
//! | 0    | 100  | name                       |
//! | 124  | 12   | size                       |
//! | 148  | 8    | checksum of the header     |
//! | 156  | 1    | type: `0` file, `L` GNU long name, `x` pax attributes |
//! | 257  | 5    | `ustar`                    |
//! | 345  | 155  | prefix of the name (POSIX) |
//!
//! Header and data are padded to 512 bytes each. Source: POSIX.1-2017, pax.

use super::{Archive, Member, Method, name_hash};
use crate::error::{Error, Result};
use crate::io::Source;
use crate::limits;

const BLOCK: u64 = 512;

/// Marks members that no central directory describes.
pub(super) const NO_DIRECTORY: u64 = u64::MAX;

/// Bytes of a long name or of pax attributes.
const EXTENSION: u64 = 64 << 10;

pub(super) fn read(source: &Source) -> Result<Archive> {
    let mut members = Vec::new();
    let mut position = 0u64;
    let mut long_name = None;
    while position < source.len() {
        let place = |error: Error| {
            error
                .at(source.file_offset(position))
                .in_file(source.name())
        };
        let header = source.read_prefix(position, BLOCK)?;
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        let header: &[u8; 512] = header
            .first_chunk()
            .ok_or_else(|| place(Error::malformed("ends in the middle of a tar header")))?;
        check_header(header).map_err(place)?;
        let size = number(field(header, 124, 12))
            .ok_or_else(|| place(Error::malformed("tar header has no valid size")))?;
        let start = position.saturating_add(BLOCK);
        let remain = source.len().saturating_sub(start);
        if size > remain {
            let message = format!("tar member needs {size} bytes, but only {remain} remain");
            return Err(place(Error::malformed(message)));
        }
        match header.get(156) {
            Some(b'L') => long_name = Some(text(&extension(source, start, size)?)),
            Some(b'x') => long_name = pax_path(&extension(source, start, size)?),
            Some(b'0' | 0 | b'7') => {
                let name = long_name.take().unwrap_or_else(|| plain_name(header));
                members.push(member(name, start, size));
            }
            _ => long_name = None,
        }
        if members.len() as u64 > limits::ARCHIVE_MEMBERS {
            let limit = limits::ARCHIVE_MEMBERS;
            return Err(place(Error::limit(format!("tar has over {limit} members"))));
        }
        let padded = size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        position = start.saturating_add(padded);
    }
    Ok(Archive::new(source, members))
}

fn member(name: String, start: u64, len: u64) -> Member {
    Member {
        method: Method::Stored,
        packed_len: len,
        len,
        crc32: 0,
        header_offset: start,
        directory_offset: NO_DIRECTORY,
        is_encrypted: false,
        has_descriptor: false,
        raw_name_len: 0,
        raw_name_hash: name_hash(name.as_bytes()),
        name,
    }
}

fn field(header: &[u8; 512], start: usize, len: usize) -> &[u8] {
    let end = start.saturating_add(len);
    header.get(start..end).unwrap_or_default()
}

/// The sum of the header's bytes, its own field read as blanks.
fn check_header(header: &[u8; 512]) -> Result<()> {
    let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field(header, 148, 8).iter().map(|&b| u64::from(b)).sum();
    let sum = sum.saturating_sub(own).saturating_add(8 * 32);
    match number(field(header, 148, 8)) {
        Some(said) if said == sum => Ok(()),
        _ => Err(Error::malformed(format!(
            "tar header has a wrong checksum; its bytes sum to {sum}"
        ))),
    }
}

/// Octal text, or (GNU) a big-endian number behind a byte 0x80.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        return rest.iter().try_fold(0u64, |value, &byte| {
            value.checked_mul(256)?.checked_add(byte.into())
        });
    }
    let digits: Vec<u8> = field
        .iter()
        .copied()
        .skip_while(|&byte| byte == b' ')
        .take_while(|byte| !matches!(byte, 0 | b' '))
        .collect();
    u64::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn plain_name(header: &[u8; 512]) -> String {
    let name = text(field(header, 0, 100));
    let is_posix = header.get(262) == Some(&0);
    let prefix = text(field(header, 345, 155));
    if is_posix && !prefix.is_empty() {
        return format!("{prefix}/{name}");
    }
    name
}

fn extension(source: &Source, start: u64, size: u64) -> Result<Vec<u8>> {
    if size > EXTENSION {
        let message = format!("tar attributes have {size} bytes; the limit is {EXTENSION}");
        return Err(Error::limit(message).at(start).in_file(source.name()));
    }
    source.read_vec(start, size)
}

/// `LENGTH path=VALUE\n` among pax attributes.
fn pax_path(attributes: &[u8]) -> Option<String> {
    attributes.split(|&byte| byte == b'\n').find_map(|line| {
        let space = line.iter().position(|&byte| byte == b' ')?;
        let value = line.get(space.checked_add(1)?..)?.strip_prefix(b"path=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, size: usize, kind: u8) -> Vec<u8> {
        let mut header = vec![0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn tar() -> Vec<u8> {
        let mut tar = header("././@LongLink", 12, b'L');
        tar.extend(b"a/long/name\0");
        tar.resize(1024, 0);
        tar.extend(header("short", 5, b'0'));
        tar.extend(b"hello");
        tar.resize(2048, 0);
        tar.extend(header("second", 0, b'0'));
        tar.extend([0; 1024]);
        tar
    }

    #[test]
    fn reads_names_and_extents() {
        let source = Source::from_bytes("a.tar", tar());
        let archive = Archive::read_tar(&source).unwrap();
        let names: Vec<&str> = archive.members.iter().map(|m| &*m.name).collect();
        assert_eq!(names, ["a/long/name", "second"]);
        let member = archive.open(&archive.members[0]).unwrap();
        assert_eq!(member.read_vec(0, 5).unwrap(), b"hello");
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_an_answer() {
        let tar = tar();
        for end in 0..tar.len() {
            let _ = Archive::read_tar(&Source::from_bytes("a.tar", &tar[..end]));
        }
        for at in 0..tar.len() {
            let mut changed = tar.clone();
            changed[at] ^= 0x7f;
            let _ = Archive::read_tar(&Source::from_bytes("a.tar", changed));
        }
    }
}
