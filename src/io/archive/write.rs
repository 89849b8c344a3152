//! A zip of stored members, planned to the byte before any of their data is there.
//!
//! ```text
//! member:    "PK\3\4", 26 bytes, name, [zip64 extra], "FB" extra of filler, data, [descriptor]
//! directory: "PK\1\2", 42 bytes, name, [zip64 extra]         per member
//! end:       zip64 end record, 56 bytes; its locator, 20; end record, 22
//! ```
//!
//! Every member's data starts at a multiple of 64, which the filler sees to. Checksums
//! are known last: [`ZipPlan::frames`] yields everything that is no data once they are.
//!
//! Source: PKWARE APPNOTE 4.3; miniz as `torch.save` uses it (caffe2/serialize/inline_container.cc).

use crate::error::{Error, Result};
use std::hash::Hasher as _;

/// Data starts at multiples of this many bytes.
const ALIGNMENT: u64 = 64;

/// Digits of a member that identifies the content of the others.
const IDENTITY_LEN: u64 = 40;

const MASK_32: u64 = 0xffff_ffff;
const LOCAL_LEN: u64 = 30;
const DIRECTORY_ENTRY_LEN: u64 = 46;
const END_LEN: u64 = 56 + 20 + 22;
/// A zip without members is only the last of those.
const EMPTY_LEN: u64 = 22;
/// "FB", and how much filler follows.
const FILLER_HEAD: u64 = 4;

/// UTF-8 names.
const FLAG_UTF8: u16 = 0x0800;
/// Checksum and sizes follow the data.
const FLAG_DESCRIPTOR: u16 = 0x0008;

/// Where a member's checksum and sizes stand, beside the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Behind its data, as `torch.save` has it.
    Descriptors,
    /// Before its data, for readers that do without the directory.
    Headers,
}

/// What a member holds.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Bytes that are known.
    Bytes(Vec<u8>),
    /// Known bytes, then data that is written by somebody else.
    Data {
        /// Stands before the data.
        head: Vec<u8>,
        /// Bytes of the data.
        len: u64,
    },
    /// 40 digits that depend on the names and the content of all members before.
    Identity,
}

/// A zip in the making.
#[derive(Clone, Debug)]
pub struct ZipPlan {
    framing: Framing,
    members: Vec<Member>,
    /// Where the next member's header goes.
    cursor: u64,
    directory_len: u64,
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    content: Fill,
    header: u64,
    start: u64,
    len: u64,
}

impl Member {
    fn is_large(&self) -> bool {
        self.len >= MASK_32
    }

    fn is_far(&self) -> bool {
        self.header >= MASK_32
    }

    fn is_zip64(&self) -> bool {
        self.is_large() || self.is_far()
    }

    /// Bytes of the zip64 extra field.
    fn zip64_len(&self) -> u64 {
        match (self.is_large(), self.is_far()) {
            (false, false) => 0,
            (false, true) => 4 + 8,
            (true, false) => 4 + 16,
            (true, true) => 4 + 16 + 8,
        }
    }

    /// Bytes of the descriptor behind the data.
    fn descriptor_len(&self, framing: Framing) -> u64 {
        match (framing, self.len, self.is_zip64()) {
            (Framing::Headers, ..) | (_, 0, _) => 0,
            (_, _, true) => 24,
            (_, _, false) => 16,
        }
    }

    fn flags(&self, framing: Framing) -> u16 {
        match self.descriptor_len(framing) {
            0 => FLAG_UTF8,
            _ => FLAG_UTF8 | FLAG_DESCRIPTOR,
        }
    }

    fn head(&self) -> &[u8] {
        match &self.content {
            Fill::Bytes(bytes) | Fill::Data { head: bytes, .. } => bytes,
            Fill::Identity => &[],
        }
    }
}

impl ZipPlan {
    /// A zip without members.
    pub fn new(framing: Framing) -> ZipPlan {
        ZipPlan {
            framing,
            members: Vec::new(),
            cursor: 0,
            directory_len: 0,
        }
    }

    /// Adds a member; returns where the data goes that somebody else writes.
    ///
    /// Errors: `Unsupported` for a name over 65,535 bytes, `Limit` for a zip of over 2^64 bytes.
    pub fn add(&mut self, name: String, content: Fill) -> Result<u64> {
        if name.len() > usize::from(u16::MAX) {
            let error = Error::unsupported("a zip holds names of up to 65535 bytes");
            return Err(error.in_member(&name));
        }
        let too_long = || Error::limit("the zip would have more than 2^64 bytes");
        let (head, data) = match &content {
            Fill::Bytes(bytes) => (bytes.len() as u64, 0),
            Fill::Data { head, len } => (head.len() as u64, *len),
            Fill::Identity => (IDENTITY_LEN, 0),
        };
        let len = head.checked_add(data).ok_or_else(too_long)?;
        let mut member = Member {
            name,
            content,
            header: self.cursor,
            start: 0,
            len,
        };
        let name_len = member.name.len() as u64;
        let extra = member.zip64_len().saturating_add(FILLER_HEAD);
        let header = LOCAL_LEN.saturating_add(name_len).saturating_add(extra);
        let start = self.cursor.checked_add(header);
        let start = start.and_then(|start| start.checked_next_multiple_of(ALIGNMENT));
        member.start = start.ok_or_else(too_long)?;
        let end = member.start.checked_add(len);
        let end = end.and_then(|end| end.checked_add(member.descriptor_len(self.framing)));
        self.cursor = end.ok_or_else(too_long)?;
        for part in [DIRECTORY_ENTRY_LEN, name_len, member.zip64_len()] {
            self.directory_len = self.directory_len.saturating_add(part);
        }
        let place = member.start.saturating_add(head);
        self.members.push(member);
        Ok(place)
    }

    /// Bytes of the zip with the members so far.
    pub fn len(&self) -> u64 {
        if self.is_empty() {
            return EMPTY_LEN;
        }
        let end = self.cursor.saturating_add(self.directory_len);
        end.saturating_add(END_LEN)
    }

    /// Whether there is no member yet.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Hands every run of bytes that is not [`Fill::Data`]'s to `write`, with its offset, in
    /// ascending order.
    ///
    /// `checksums`: CRC-32 of the data that others write, in the order in which it was added.
    pub fn frames(
        &self,
        checksums: &[u32],
        mut write: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut run = Run::default();
        let mut identity = Identity::default();
        let mut crcs = Vec::with_capacity(self.members.len());
        let mut checksums = checksums.iter().copied();
        for member in &self.members {
            let made = match member.content {
                Fill::Identity => identity.digits().into_bytes(),
                _ => Vec::new(),
            };
            let mut crc = crc32fast::Hasher::new();
            crc.update(member.head());
            crc.update(&made);
            if let Fill::Data { len, .. } = member.content {
                let data = checksums.next().unwrap_or(0);
                crc.combine(&crc32fast::Hasher::new_with_initial_len(data, len));
            }
            let crc = crc.finalize();
            self.push_local_header(&mut run.bytes, member, crc);
            run.bytes.extend_from_slice(member.head());
            run.bytes.extend_from_slice(&made);
            if let Fill::Data { len, .. } = member.content {
                let end = member.start.saturating_add(member.len);
                if len > 0 {
                    run.flush(end, &mut write)?;
                }
            }
            if member.descriptor_len(self.framing) > 0 {
                push_descriptor(&mut run.bytes, member, crc);
            }
            identity.add(&member.name, crc);
            crcs.push(crc);
        }
        for (member, crc) in self.members.iter().zip(crcs) {
            self.push_directory_entry(&mut run.bytes, member, crc);
        }
        self.push_end(&mut run.bytes);
        run.flush(self.len(), &mut write)
    }

    fn push_local_header(&self, out: &mut Vec<u8>, member: &Member, crc: u32) {
        let is_known = self.framing == Framing::Headers;
        let size = if is_known { member.len } else { 0 };
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&[0; 2]);
        push_u16(out, member.flags(self.framing).into());
        // Method (stored), time and date.
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&(if is_known { crc } else { 0 }).to_le_bytes());
        push_u32(out, size);
        push_u32(out, size);
        let used = LOCAL_LEN
            .saturating_add(member.name.len() as u64)
            .saturating_add(member.zip64_len())
            .saturating_add(FILLER_HEAD);
        let filler = member
            .start
            .saturating_sub(member.header)
            .saturating_sub(used);
        push_u16(out, member.name.len() as u64);
        let extra = filler
            .saturating_add(member.zip64_len())
            .saturating_add(FILLER_HEAD);
        push_u16(out, extra);
        out.extend_from_slice(member.name.as_bytes());
        // Before the data miniz does not know the compressed size yet, and says 0.
        push_zip64(out, member, size);
        out.extend_from_slice(b"FB");
        push_u16(out, filler);
        out.extend((0..filler).map(|_| b'Z'));
    }

    fn push_directory_entry(&self, out: &mut Vec<u8>, member: &Member, crc: u32) {
        out.extend_from_slice(b"PK\x01\x02");
        out.extend_from_slice(&[0; 4]);
        push_u16(out, member.flags(self.framing).into());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&crc.to_le_bytes());
        push_u32(out, member.len);
        push_u32(out, member.len);
        push_u16(out, member.name.len() as u64);
        push_u16(out, member.zip64_len());
        // Comment, disk, attributes.
        out.extend_from_slice(&[0; 10]);
        push_u32(out, member.header);
        out.extend_from_slice(member.name.as_bytes());
        push_zip64(out, member, member.len);
    }

    fn push_end(&self, out: &mut Vec<u8>) {
        let count = self.members.len() as u64;
        let end = self.cursor.saturating_add(self.directory_len);
        // An empty zip is recognised by its end record.
        if count == 0 {
            out.extend_from_slice(b"PK\x05\x06");
            out.extend_from_slice(&[0; 18]);
            return;
        }
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44u64.to_le_bytes());
        // Made by version 3.0 on Unix, needs 4.5.
        out.extend_from_slice(&[0x1e, 0x03, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, self.directory_len, self.cursor] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        push_u16(out, count);
        push_u16(out, count);
        push_u32(out, self.directory_len);
        push_u32(out, self.cursor);
        push_u16(out, 0);
    }
}

/// Bytes that follow each other in the file.
#[derive(Default)]
struct Run {
    start: u64,
    bytes: Vec<u8>,
}

impl Run {
    /// Writes what there is; the next run starts at `next`.
    fn flush(&mut self, next: u64, write: &mut impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        write(self.start, &self.bytes)?;
        self.start = next;
        self.bytes.clear();
        Ok(())
    }
}

/// What tells one archive from another, as `torch.save` does with hashes of its own.
#[derive(Default)]
struct Identity {
    names: Fnv,
    checksums: Fnv,
}

impl Identity {
    fn add(&mut self, name: &str, crc: u32) {
        self.names.write(name.as_bytes());
        self.names.write(&[0]);
        self.checksums.write(&crc.to_le_bytes());
    }

    fn digits(&self) -> String {
        format!("{:020}{:020}", self.names.finish(), self.checksums.finish())
    }
}

/// FNV-1a: the same number on every machine.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// Sizes if they are large, the header's offset if it is far.
fn push_zip64(out: &mut Vec<u8>, member: &Member, packed: u64) {
    if !member.is_zip64() {
        return;
    }
    out.extend_from_slice(&1u16.to_le_bytes());
    push_u16(out, member.zip64_len().saturating_sub(4));
    if member.is_large() {
        out.extend_from_slice(&member.len.to_le_bytes());
        out.extend_from_slice(&packed.to_le_bytes());
    }
    if member.is_far() {
        out.extend_from_slice(&member.header.to_le_bytes());
    }
}

fn push_descriptor(out: &mut Vec<u8>, member: &Member, crc: u32) {
    out.extend_from_slice(b"PK\x07\x08");
    out.extend_from_slice(&crc.to_le_bytes());
    for _ in ["packed", "unpacked"] {
        match member.is_zip64() {
            true => out.extend_from_slice(&member.len.to_le_bytes()),
            false => push_u32(out, member.len),
        }
    }
}

/// All ones where zip64 has the number.
fn push_u32(out: &mut Vec<u8>, number: u64) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    out.extend_from_slice(&number.to_le_bytes());
}

fn push_u16(out: &mut Vec<u8>, number: u64) {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{Archive, Content};
    use super::*;
    use crate::io::Source;

    /// The zip of `members`; the data of each is `fill` bytes of its number.
    fn zip(framing: Framing, members: &[(&str, Option<u64>)]) -> Vec<u8> {
        let mut plan = ZipPlan::new(framing);
        let (mut runs, mut checksums) = (Vec::new(), Vec::new());
        for (number, (name, data)) in members.iter().enumerate() {
            let content = match data {
                Some(len) => Fill::Data {
                    head: b"head".to_vec(),
                    len: *len,
                },
                None => Fill::Identity,
            };
            let place = plan.add((*name).to_owned(), content).unwrap() as usize;
            if let Some(len) = data {
                let data = vec![number as u8; *len as usize];
                checksums.push(crc32fast::hash(&data));
                runs.push((place, data));
            }
        }
        let mut file = vec![0xee; plan.len() as usize];
        for (place, data) in runs {
            file[place..place + data.len()].copy_from_slice(&data);
        }
        let mut last = 0;
        let write = |offset: u64, bytes: &[u8]| {
            assert!(offset >= last);
            last = offset + bytes.len() as u64;
            file[offset as usize..last as usize].copy_from_slice(bytes);
            Ok(())
        };
        plan.frames(&checksums, write).unwrap();
        file
    }

    #[test]
    fn every_member_reads_back_aligned_and_with_its_checksum() {
        let members = [
            ("d/a", Some(3)),
            ("d/b", Some(0)),
            ("d/ü", Some(200)),
            ("d/id", None),
        ];
        for framing in [Framing::Descriptors, Framing::Headers] {
            let file = zip(framing, &members);
            assert!(!file.contains(&0xee), "a byte that nobody wrote");
            let source = Source::from_bytes("zip", file.clone());
            let archive = Archive::read_zip(&source).unwrap();
            assert!(archive.oddities.is_empty());
            for (member, (name, _)) in archive.members.iter().zip(members) {
                assert_eq!(member.name, name);
                let Content::Stored { offset, len } = archive.content(member).unwrap() else {
                    panic!("{name} is packed");
                };
                assert_eq!(offset % ALIGNMENT, 0);
                let bytes = &file[offset as usize..][..len as usize];
                assert_eq!(crc32fast::hash(bytes), member.crc32, "{name}");
            }
        }
    }

    // torch.save({"a": torch.empty(3), "big": torch.empty(2**30 + 1), "after": torch.empty(5)},
    // "big.pt") of torch 2.15, under `skip_data`.
    #[test]
    fn what_lies_beyond_four_gib_is_framed_as_torch_does() {
        let mut plan = ZipPlan::new(Framing::Descriptors);
        let mut add = |name: &str, len| {
            let head = Vec::new();
            plan.add(format!("big/{name}"), Fill::Data { head, len })
                .unwrap()
        };
        add("data.pkl", 289);
        add(".format_version", 1);
        add(".storage_alignment", 2);
        add("byteorder", 6);
        add("data/0", 12);
        assert_eq!(add("data/1", 0x1_0000_0004), 860 + 30 + 10 + 0x3c);
        assert_eq!(add("data/2", 20), 4_294_968_284 + 30 + 10 + 0x3c);
        add("version", 2);
        add(".data/serialization_id", 40);
        assert_eq!(plan.len(), 4_294_969_405);
        let mut runs = Vec::new();
        let write = |offset, bytes: &[u8]| {
            runs.push((offset, bytes.to_vec()));
            Ok(())
        };
        plan.frames(&[0; 9], write).unwrap();
        // Behind `data/0`: its descriptor, then the header of `data/1`.
        let (_, before) = &runs[5];
        assert_eq!(before[..16], *b"PK\x07\x08\0\0\0\0\x0c\0\0\0\x0c\0\0\0");
        assert_eq!(
            before[16..42],
            *b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        );
        let extra = b"\x01\0\x10\0\x04\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0FB\x24\0ZZ";
        assert_eq!(before[56..82], *extra);
        let (offset, after) = &runs[6];
        assert_eq!(offset + 24, 4_294_968_284);
        let sizes = b"\x04\0\0\0\x01\0\0\0\x04\0\0\0\x01\0\0\0";
        assert_eq!(after[8..24], *sizes);
        assert_eq!(
            after[64..80],
            *b"\x01\0\x08\0\xdc\x03\0\0\x01\0\0\0FB\x2c\0"
        );
        let (_, end) = runs.last().unwrap();
        assert!(end.ends_with(b"PK\x05\x06\0\0\0\0\t\0\t\0[\x02\0\0\xff\xff\xff\xff\0\0"));
    }

    #[test]
    fn the_identity_depends_on_names_and_data() {
        let of = |name, len| {
            let file = zip(Framing::Descriptors, &[(name, Some(len)), ("id", None)]);
            let archive = Archive::read_zip(&Source::from_bytes("zip", file)).unwrap();
            let digits = archive.open(archive.find("id").unwrap()).unwrap();
            String::from_utf8(digits.read_vec(0, 40).unwrap()).unwrap()
        };
        assert!(of("a", 1).bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(of("a", 1), of("a", 1));
        assert_ne!(of("a", 1), of("b", 1));
        assert_ne!(of("a", 1), of("a", 2));
    }
}
