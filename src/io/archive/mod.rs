//! Members of zip and tar archives: name to extent.
//!
//! Only the directory is read. What contradicts itself is an error; what is odd but readable
//! stays visible in [`Archive::oddities`], for the format to pass on.

mod survey;
mod tar;
mod write;
mod zip;

pub use survey::{Found, Survey, survey};

use super::{Codec, Packed, Source, inflate};
use crate::error::{Error, Result};
use std::sync::{Mutex, PoisonError};

pub use write::{Fill, Framing, ZipPlan};

/// The members of an archive, in the order of its directory.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    /// In directory order; names may repeat.
    pub members: Vec<Member>,
    /// What is odd but readable.
    pub oddities: Vec<Oddity>,
    /// Indices of members, ordered by name and then by place in the directory.
    by_name: Vec<usize>,
    /// The stretch of the file that was read last for members' own headers.
    window: Mutex<zip::Window>,
}

/// One member, as the directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name. Bytes that are no UTF-8 are shown lossily.
    pub name: String,
    /// How it is stored.
    pub method: Method,
    /// Bytes in the archive.
    pub packed_len: u64,
    /// Bytes when unpacked, as the directory declares.
    pub len: u64,
    /// The checksum that the directory declares; 0 in a tar. Never checked here, because
    /// torch writes and loads members with wrong ones.
    pub crc32: u32,
    /// Where its own header lies.
    pub header_offset: u64,
    /// Where the directory describes it.
    pub directory_offset: u64,
    /// The directory says that it is encrypted.
    pub is_encrypted: bool,
    /// Whether its own header leaves sizes and checksum to a descriptor behind the data.
    has_descriptor: bool,
    /// The name's bytes as they stand, to hold the member's own header against.
    raw_name_len: u16,
    raw_name_hash: u64,
}

/// How a member is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// Deflated.
    Deflated,
    /// By a zip method that is not read here.
    Other(u16),
}

/// Something odd about an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// A stable name, such as `duplicate-member`.
    pub rule: &'static str,
    /// Byte in the file.
    pub offset: u64,
    /// The member concerned.
    pub member: Option<String>,
    /// One sentence.
    pub text: String,
}

/// Where a member's bytes are.
#[derive(Debug)]
pub enum Content {
    /// A run of the archive, within its source.
    Stored {
        /// First byte.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// A compressed run.
    Packed(Packed),
}

impl Archive {
    /// Reads the directory of a zip.
    ///
    /// Errors: `Malformed` if there is none (a truncated file), if it does not lie in the file,
    /// or if its records contradict each other; `Limit` for too many members.
    pub fn read_zip(source: &Source) -> Result<Archive> {
        zip::read(source)
    }

    /// Reads the headers of an uncompressed tar.
    ///
    /// Errors: `Malformed` for a wrong checksum or size.
    pub fn read_tar(source: &Source) -> Result<Archive> {
        tar::read(source)
    }

    /// Whether a file that starts with `head` is a zip.
    pub fn is_zip(head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
    }

    /// Whether a file that starts with `head` is a tar.
    pub fn is_tar(head: &[u8]) -> bool {
        head.get(257..262) == Some(b"ustar")
    }

    fn new(source: &Source, members: Vec<Member>) -> Archive {
        let mut by_name: Vec<usize> = (0..members.len()).collect();
        let name = |&index: &usize| members.get(index).map(|member| member.name.as_str());
        by_name.sort_by_key(name);
        let mut oddities = Vec::new();
        for pair in by_name.windows(2) {
            let [before, after] = pair else { continue };
            let (before, Some(after)) = (name(before), members.get(*after)) else {
                continue;
            };
            if before == Some(&after.name) {
                oddities.push(Oddity {
                    rule: "duplicate-member",
                    offset: source.file_offset(after.directory_offset),
                    member: Some(after.name.clone()),
                    text: "the name occurs twice in the archive; the last one is used".to_owned(),
                });
            }
        }
        Archive {
            source: source.clone(),
            members,
            oddities,
            by_name,
            window: Mutex::default(),
        }
    }

    /// The file that the archive lies in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The member of exactly this name; of several the last.
    pub fn find(&self, name: &str) -> Option<&Member> {
        let member = |&index: &usize| self.members.get(index);
        let after = |index: &usize| member(index).is_none_or(|member| *member.name <= *name);
        let last = self.by_name.partition_point(after).checked_sub(1)?;
        member(self.by_name.get(last)?).filter(|member| member.name == name)
    }

    /// Where a member's bytes are. Reads the member's own header.
    ///
    /// Errors: `Malformed` if that header lies outside the file or contradicts the directory,
    /// `Unsupported` for an encrypted member or a method that is not read here.
    pub fn content(&self, member: &Member) -> Result<Content> {
        let place = |error: Error| {
            let offset = self.source.file_offset(member.header_offset);
            let error = error.in_member(&member.name).at(offset);
            error.in_file(self.source.name())
        };
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = zip::payload_offset(&self.source, member, &mut window).map_err(place)?;
        drop(window);
        match member.method {
            Method::Stored => Ok(Content::Stored {
                offset,
                len: member.len,
            }),
            Method::Deflated => {
                let packed = self.source.slice(offset, member.packed_len);
                let packed = packed.map_err(place)?;
                Ok(Content::Packed(Packed::new(
                    packed,
                    Codec::Deflate,
                    member.len,
                )))
            }
            Method::Other(method) => Err(place(Error::unsupported(format!(
                "compression method {method} is not read; 0 (stored) and 8 (deflated) are"
            )))),
        }
    }

    /// A member as a source of its own; a deflated one is inflated.
    pub fn open(&self, member: &Member) -> Result<Source> {
        let opened = match self.content(member)? {
            Content::Stored { offset, len } => self.source.slice(offset, len),
            Content::Packed(packed) => inflate(packed.source(), packed.codec(), Some(member.len)),
        };
        opened.map_err(|error| error.in_member(&member.name))
    }
}

/// A short digest of a name's bytes, so that members need not keep them twice.
fn name_hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
