//! An open thing with a name and a length, read by position from any thread.

use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Weak};

/// An open input: a file, a part of one, or bytes in memory. Cheap to clone.
///
/// Offsets are relative to this source; errors report bytes from the start of the file.
#[derive(Clone)]
pub struct Source {
    backing: Arc<Backing>,
    base: u64,
    len: u64,
}

struct Backing {
    name: String,
    bytes: Bytes,
    is_inflated: bool,
}

enum Bytes {
    File(File),
    Memory(Arc<[u8]>),
}

impl Source {
    /// Opens a regular file for reading. Folders, pipes and devices are refused before the
    /// system call that would block on them.
    pub fn open(path: &Path) -> Result<Source> {
        let name = path.to_string_lossy().into_owned();
        Source::open_named(path, name.clone()).map_err(|error| error.in_file(&name))
    }

    /// Opens `path`, where `-` is standard input.
    pub fn open_or_standard_input(path: &Path) -> Result<Source> {
        if path == Path::new("-") {
            return Source::from_standard_input(crate::limits::STANDARD_INPUT);
        }
        Source::open(path)
    }

    fn open_named(path: &Path, name: String) -> Result<Source> {
        let metadata = std::fs::metadata(path).map_err(|e| Error::io("cannot open", e))?;
        if metadata.is_dir() {
            return Err(Error::usage("is a folder, not a file"));
        }
        if !metadata.is_file() {
            return Err(Error::usage(
                "is neither a file nor a folder; pipes and devices cannot be read by position",
            )
            .with_hint("`-` reads standard input"));
        }
        let file = File::open(path).map_err(|e| Error::io("cannot open", e))?;
        let len = file
            .metadata()
            .map_err(|e| Error::io("cannot open", e))?
            .len();
        Ok(Source::from_file(name, file, len))
    }

    /// A source over an open file, such as an unlinked temporary one.
    pub fn from_file(name: impl Into<String>, file: File, len: u64) -> Source {
        Source::over(name.into(), Bytes::File(file), len)
    }

    /// A source over bytes in memory.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Source {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Source::over(name.into(), Bytes::Memory(bytes), len)
    }

    /// Copies all of standard input into an unlinked temporary file, capped by `limit` bytes.
    pub fn from_standard_input(limit: u64) -> Result<Source> {
        use std::io::Read;
        let mut file = tempfile::tempfile()
            .map_err(|e| Error::io("cannot make a temporary file", e))
            .map_err(|e| e.in_file("-"))?;
        let mut input = std::io::stdin().lock().take(limit.saturating_add(1));
        let len = std::io::copy(&mut input, &mut file)
            .map_err(|e| Error::io("cannot read standard input", e).in_file("-"))?;
        if len > limit {
            return Err(
                Error::limit(format!("standard input has over {limit} bytes")).in_file("-"),
            );
        }
        Ok(Source::from_file("-", file, len))
    }

    fn over(name: String, bytes: Bytes, len: u64) -> Source {
        let backing = Arc::new(Backing {
            name,
            bytes,
            is_inflated: false,
        });
        Source {
            backing,
            base: 0,
            len,
        }
    }

    /// The part of this source at `offset` with `len` bytes, as a source of its own.
    pub fn slice(&self, offset: u64, len: u64) -> Result<Source> {
        self.check(offset, len)?;
        Ok(Source {
            backing: Arc::clone(&self.backing),
            base: self.base.saturating_add(offset),
            len,
        })
    }

    /// The path as the caller gave it, or what else names the bytes.
    pub fn name(&self) -> &str {
        &self.backing.name
    }

    /// Says that these bytes are not those of the named file, but what they inflate to.
    pub(super) fn marked_inflated(mut self) -> Source {
        if let Some(backing) = Arc::get_mut(&mut self.backing) {
            backing.is_inflated = true;
        }
        self
    }

    /// Whether offsets here are offsets in the named file, not in what it inflates to.
    pub fn is_as_stored(&self) -> bool {
        !self.backing.is_inflated
    }

    /// Bytes in this source.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn downgrade(&self) -> WeakSource {
        WeakSource {
            backing: Arc::downgrade(&self.backing),
            base: self.base,
            len: self.len,
        }
    }

    /// `offset` within this source as bytes from the start of the file it lies in.
    pub fn file_offset(&self, offset: u64) -> u64 {
        self.base.saturating_add(offset)
    }

    /// The file behind this source, for copies inside the kernel; `None` for memory.
    /// Positions in it are those of [`Source::file_offset`].
    pub fn file(&self) -> Option<&File> {
        match &self.backing.bytes {
            Bytes::File(file) => Some(file),
            Bytes::Memory(_) => None,
        }
    }

    /// Whether both read from the same open file.
    pub fn is_same_file(&self, other: &Source) -> bool {
        Arc::ptr_eq(&self.backing, &other.backing)
    }

    /// A number that is the same for sources over the same open file, while one is alive.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.backing) as usize
    }

    /// Fills `out` from `offset`.
    ///
    /// Errors: `Malformed` if the source ends before; `Io` if the system fails or the file
    /// has shrunk since it was opened.
    pub fn read_exact_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.check(offset, out.len() as u64)?;
        let start = self.file_offset(offset);
        match &self.backing.bytes {
            Bytes::Memory(bytes) => {
                let from = usize::try_from(start).ok();
                let bytes = from.and_then(|from| bytes.get(from..)?.get(..out.len()));
                out.copy_from_slice(bytes.ok_or_else(|| self.ends(offset, out.len() as u64))?);
                Ok(())
            }
            Bytes::File(file) => read_file_at(file, start, out)
                .map_err(|error| self.read_failed(offset, out.len(), error)),
        }
    }

    /// `len` bytes from `offset`, checked against the source's length before allocating.
    pub fn read_vec(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        let len = usize::try_from(len)
            .map_err(|_| Error::limit(format!("{len} bytes do not fit this machine's memory")))?;
        let mut out = vec![0; len];
        self.read_exact_at(offset, &mut out)?;
        Ok(out)
    }

    /// Up to `len` bytes from `offset`: fewer where the source ends before.
    pub fn read_prefix(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let available = self.len.saturating_sub(offset).min(len);
        self.read_vec(offset.min(self.len), available)
    }

    /// Whether `len` bytes stand at `offset`; `Malformed` if they do not.
    pub(super) fn check_range(&self, offset: u64, len: u64) -> Result<()> {
        self.check(offset, len)
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(self.ends(offset, len)),
        }
    }

    fn ends(&self, offset: u64, len: u64) -> Error {
        let remain = self.len.saturating_sub(offset);
        Error::malformed(format!("needs {len} bytes, but only {remain} remain"))
            .under("truncated")
            .at(self.file_offset(offset))
            .in_file(self.name())
    }

    fn read_failed(&self, offset: u64, len: usize, error: std::io::Error) -> Error {
        let doing = format!("cannot read {len} bytes");
        let error = if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Error::new(Kind::Io, format!("{doing}: the file has become shorter"))
        } else {
            Error::io(doing, error)
        };
        error.at(self.file_offset(offset)).in_file(self.name())
    }
}

/// A source that may have been closed.
#[derive(Default)]
pub(super) struct WeakSource {
    backing: Weak<Backing>,
    base: u64,
    len: u64,
}

impl WeakSource {
    pub(super) fn upgrade(&self) -> Option<Source> {
        Some(Source {
            backing: self.backing.upgrade()?,
            base: self.base,
            len: self.len,
        })
    }
}

impl std::fmt::Debug for WeakSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakSource")
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}..+{}]", self.name(), self.base, self.len)
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, mut offset: u64, mut out: &mut [u8]) -> std::io::Result<()> {
    while !out.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, out, offset)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        offset = offset.saturating_add(count as u64);
        out = out.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}
