//! An output that appears whole or not at all.
//!
//! Bytes go to a temporary file in the target's folder: one without a name where the system can
//! (Linux: `O_TMPFILE`), so that nothing is left behind even by `kill -9`; a sibling with a
//! random name elsewhere. [`Sink::finish`] syncs it and gives it its name. A sink that is
//! dropped has never existed.
//!
//! Files with a passing name (`.NAME.TOKEN.tmp`) are locked as long as their run lives, so that a
//! later run knows what is left of one that was killed, and removes it.

use super::Source;
use super::folder::{file_exists, list_folder, remove_file};
use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes moved at once where the kernel cannot copy by itself: fits a core's L2 cache.
const BUFFER: usize = 256 << 10;

/// Bytes after which the disk is asked to take what was copied so far.
const SYNC_ALONG: u64 = 256 << 20;

/// How an output gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Take the place of a file that has the name already.
    pub replace: bool,
    /// Wait until the disk has the bytes before the file gets its name.
    pub sync: bool,
}

/// A file in the making, written by position from any thread.
#[derive(Debug)]
pub struct Sink {
    file: File,
    target: PathBuf,
    name: String,
    /// The sibling's path; `None` while the file has no name at all.
    temporary: Option<tempfile::TempPath>,
    options: SinkOptions,
    /// Bytes handed to the system since the disk was last asked to take them.
    unsynced: AtomicU64,
}

impl Sink {
    /// Starts an output that will be called `target`.
    ///
    /// Errors: `Usage` if the target exists and may not be replaced or is a folder, `Io` if its
    /// folder cannot be written.
    pub fn create(target: &Path, options: SinkOptions) -> Result<Sink> {
        let name = target.to_string_lossy().into_owned();
        if target.is_dir() {
            return Err(Error::usage("is a folder, not a file").in_file(&name));
        }
        if let Ok(found) = target.symlink_metadata() {
            if !found.is_file() && !found.is_symlink() {
                return Err(Error::usage("is a pipe or a device, not a file").in_file(&name));
            }
            if !options.replace {
                return Err(exists(&name));
            }
        }
        let folder = folder_of(target);
        let failed = |e| Error::io("cannot create a file in its folder", e).in_file(&name);
        let (file, temporary) = match unnamed(folder) {
            Some(file) => (file, None),
            None => named(folder, target).map_err(failed)?,
        };
        // Where there are no locks, leftovers are not removed.
        #[cfg(unix)]
        let _ = file.try_lock();
        Ok(Sink {
            file,
            target: target.to_owned(),
            name,
            temporary,
            options,
            unsynced: AtomicU64::new(0),
        })
    }

    /// Where the output will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the output its final length, so that it may be written in any order.
    pub fn set_len(&self, len: u64) -> Result<()> {
        self.file
            .set_len(len)
            .map_err(|e| self.failed(format!("cannot make room for {len} bytes"), e))
    }

    /// Writes `bytes` at `offset`.
    pub fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        write_file_at(&self.file, offset, bytes)
            .map_err(|e| self.failed(format!("cannot write {} bytes", bytes.len()), e))
    }

    /// Copies `len` bytes of `source` from `from` to `offset` here.
    ///
    /// `buffer` is reused between calls; it grows to what one step needs.
    pub fn copy_from(
        &self,
        offset: u64,
        source: &Source,
        from: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let mut done = self.copy_in_kernel(offset, source, from, len)?;
        if done < len && buffer.len() < BUFFER {
            buffer.resize(BUFFER, 0);
        }
        while done < len {
            let count = usize::try_from(len.saturating_sub(done))
                .unwrap_or(usize::MAX)
                .min(BUFFER);
            let bytes = buffer.get_mut(..count).unwrap_or_default();
            source.read_exact_at(from.saturating_add(done), bytes)?;
            self.write_all_at(offset.saturating_add(done), bytes)?;
            done = done.saturating_add(count as u64);
        }
        self.sync_along(len)
    }

    /// Lets the disk work while other threads go on copying, so that the sync at the end has
    /// little left to wait for.
    fn sync_along(&self, written: u64) -> Result<()> {
        let before = self.unsynced.fetch_add(written, Ordering::Relaxed);
        if !self.options.sync || before.saturating_add(written) < SYNC_ALONG {
            return Ok(());
        }
        self.unsynced.store(0, Ordering::Relaxed);
        let synced = self.file.sync_data();
        synced.map_err(|e| self.failed("cannot be synced to disk".into(), e))
    }

    /// Copies as much as the kernel will (`copy_file_range`); returns how many bytes that was.
    ///
    /// Against reads and writes through a buffer it saves one of two copies: measured on a
    /// memory file system, 10 to 20 % of the processor time.
    #[cfg(target_os = "linux")]
    fn copy_in_kernel(&self, offset: u64, source: &Source, from: u64, len: u64) -> Result<u64> {
        let Some(file) = source.file() else {
            return Ok(0);
        };
        source.check_range(from, len)?;
        let mut from = source.file_offset(from);
        let mut to = offset;
        let mut done = 0u64;
        while done < len {
            let left = usize::try_from(len.saturating_sub(done)).unwrap_or(usize::MAX);
            let copied =
                rustix::fs::copy_file_range(file, Some(&mut from), &self.file, Some(&mut to), left);
            match copied {
                Ok(count) if count > 0 => done = done.saturating_add(count as u64),
                // The buffered copy goes on from here and says what is wrong, if anything is.
                _ => break,
            }
        }
        Ok(done)
    }

    #[cfg(not(target_os = "linux"))]
    fn copy_in_kernel(&self, _: u64, _: &Source, _: u64, _: u64) -> Result<u64> {
        Ok(0)
    }

    /// A source over what has been written so far, for checks before the name is given.
    pub fn reopen(&self) -> Result<Source> {
        let file = self
            .file
            .try_clone()
            .map_err(|e| self.failed("cannot be read back".into(), e))?;
        let len = file
            .metadata()
            .map_err(|e| self.failed("cannot be read back".into(), e))?
            .len();
        Ok(Source::from_file(self.name.clone(), file, len))
    }

    /// Waits until the disk has the bytes.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|e| self.failed("cannot be synced to disk".into(), e))
    }

    /// Gives the file another name beside the one that [`Sink::finish`] gives it. What it holds
    /// is synced, if the options say so.
    ///
    /// Errors: `Io`, where the file system knows no hard links too.
    pub fn link(&self, name: &Path) -> Result<()> {
        if self.options.sync {
            self.sync()?;
        }
        let linked = match &self.temporary {
            Some(temporary) => std::fs::hard_link(temporary, name),
            None => link_unnamed(&self.file, name),
        };
        linked.map_err(|e| self.failed("cannot be given a second name".into(), e))?;
        self.sync_folder()
    }

    /// Syncs the bytes, if the options say so, and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        if self.options.sync {
            self.sync()?;
        }
        let temporary = match self.temporary.take() {
            Some(temporary) => temporary,
            None if !self.options.replace => {
                let linked = link_unnamed(&self.file, &self.target);
                linked.map_err(|e| self.naming_failed(e))?;
                return self.sync_folder();
            }
            // A file without a name cannot take the place of another: it gets a passing one.
            None => {
                let passing = passing_name(&self.target, "");
                link_unnamed(&self.file, &passing).map_err(|e| self.naming_failed(e))?;
                tempfile::TempPath::try_from_path(passing).map_err(|e| self.naming_failed(e))?
            }
        };
        let given = if self.options.replace {
            temporary.persist(&self.target)
        } else {
            temporary.persist_noclobber(&self.target)
        };
        given.map_err(|e| self.naming_failed(e.error))?;
        self.sync_folder()
    }

    fn sync_folder(&self) -> Result<()> {
        if self.options.sync && cfg!(unix) {
            let folder = File::open(folder_of(&self.target));
            folder
                .and_then(|folder| folder.sync_all())
                .map_err(|e| self.failed("its folder cannot be synced to disk".into(), e))?;
        }
        Ok(())
    }

    fn naming_failed(&self, error: std::io::Error) -> Error {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return exists(&self.name);
        }
        self.failed("cannot be given its name".into(), error)
    }

    fn failed(&self, doing: String, error: std::io::Error) -> Error {
        Error::io(doing, error).in_file(&self.name)
    }
}

/// Writes `bytes` over those at `offset` of the file at `path`, in one go.
///
/// Errors: `Io` if the file may not be written or the disk fails.
pub fn overwrite(path: &Path, offset: u64, bytes: &[u8], sync: bool) -> Result<()> {
    let written = || {
        let file = File::options().write(true).open(path)?;
        write_file_at(&file, offset, bytes)?;
        if sync { file.sync_data() } else { Ok(()) }
    };
    let failed = |e| Error::io(format!("cannot write {} bytes", bytes.len()), e);
    written().map_err(|e| failed(e).in_file(&path.to_string_lossy()))
}

fn exists(name: &str) -> Error {
    Error::usage("exists already and is not overwritten")
        .in_file(name)
        .with_hint("`--force` replaces it")
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A sibling of the target with a random name and the mode that the umask gives.
fn named(folder: &Path, target: &Path) -> std::io::Result<(File, Option<tempfile::TempPath>)> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .make_in(folder, |path| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
        })?;
    let (file, path) = made.into_parts();
    Ok((file, Some(path)))
}

/// A hidden sibling of `target` that is not there yet; `ending` follows what tells it as such.
pub fn passing_name(target: &Path, ending: &str) -> PathBuf {
    let path = |token: String| {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{token}.tmp{ending}"));
        folder_of(target).join(name)
    };
    let id = std::process::id();
    let mut tokens = (1u32..).map(|number| format!("{id}-{number}"));
    let free = tokens.find(|token| !file_exists(&path(token.clone())));
    path(free.unwrap_or_default())
}

/// The name that a file with a passing name was to get.
fn name_of_passing(name: &str) -> Option<&str> {
    let rest = name.strip_prefix('.')?;
    let rest = match rest.strip_suffix(".tmp") {
        Some(rest) => rest,
        // With the extension repeated, for programs that go by it.
        None => rest.rsplit_once('.')?.0.strip_suffix(".tmp")?,
    };
    Some(rest.rsplit_once('.')?.0)
}

/// Removes what killed runs have left in `folder` of files whose name `is_ours` accepts, but for
/// `kept`. What a running program holds is left alone.
pub fn remove_leftovers(folder: &Path, kept: &[String], is_ours: &dyn Fn(&str) -> bool) {
    for entry in list_folder(folder).unwrap_or_default() {
        let is_left = name_of_passing(&entry.name).is_some_and(is_ours);
        if !is_left || entry.is_folder || kept.contains(&entry.name) {
            continue;
        }
        let is_file = entry
            .path
            .symlink_metadata()
            .is_ok_and(|found| found.is_file());
        let is_free = || File::open(&entry.path).is_ok_and(|file| file.try_lock().is_ok());
        let is_free = cfg!(unix) && is_file && is_free();
        if is_free {
            remove_file(&entry.path);
        }
    }
}

/// A file without a name in `folder`, if the system and the file system can do that and can
/// name it later.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    if !Path::new("/proc/self/fd").is_dir() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?;
    Some(File::from(file))
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_folder: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
fn link_unnamed(file: &File, target: &Path) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, itself, CWD, target, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn link_unnamed(_file: &File, _target: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn write_file_at(file: &File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_file_at(file: &File, mut offset: u64, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        offset = offset.saturating_add(count as u64);
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: SinkOptions = SinkOptions {
        replace: false,
        sync: true,
    };
    const REPLACE: SinkOptions = SinkOptions {
        replace: true,
        sync: false,
    };

    fn names(folder: &Path) -> Vec<String> {
        let entries = super::super::list_folder(folder).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_dropped_sink_has_never_existed() {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::create(&folder.path().join("a"), KEEP).unwrap();
        sink.write_all_at(0, b"half").unwrap();
        drop(sink);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_finished_sink_stands_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        for options in [KEEP, REPLACE] {
            let sink = Sink::create(&target, options).unwrap();
            sink.set_len(6).unwrap();
            sink.write_all_at(3, b"def").unwrap();
            sink.write_all_at(0, b"abc").unwrap();
            sink.finish().unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), b"abcdef");
            assert_eq!(names(folder.path()), ["a"]);
        }
    }

    #[test]
    fn refuses_to_overwrite_at_the_start_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let late = Sink::create(&target, KEEP).unwrap();
        std::fs::write(&target, "first").unwrap();
        assert!(Sink::create(&target, KEEP).is_err());
        assert!(late.finish().is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn copies_any_part_of_a_file_or_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..700_000u32).map(|i| (i * 7 / 3) as u8).collect();
        std::fs::write(folder.path().join("from"), &bytes).unwrap();
        let file = Source::open(&folder.path().join("from")).unwrap();
        let part = file.slice(1000, 600_000).unwrap();
        let memory = Source::from_bytes("memory", bytes.clone());
        for (source, base) in [(&file, 0), (&part, 1000), (&memory, 0)] {
            let target = folder.path().join("to");
            let sink = Sink::create(&target, REPLACE).unwrap();
            sink.copy_from(3, source, 17, 500_001, &mut Vec::new())
                .unwrap();
            assert!(
                sink.copy_from(0, source, 500_000, 300_000, &mut Vec::new())
                    .is_err()
            );
            sink.finish().unwrap();
            let found = std::fs::read(&target).unwrap();
            assert_eq!(found[3..500_004], bytes[base + 17..base + 500_018]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_killed_runs_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        let (held, path) = named(folder.path(), &target).unwrap();
        held.lock().unwrap();
        let others = [
            "a.bin",
            ".a.bin",
            ".a.bin.tmp",
            ".b.bin.1-1.tmp",
            "a.bin.1-1.tmp",
        ];
        for name in [".a.bin.1-1.tmp", ".a.bin.1-2.tmp.bin", ".a.bin.1-3.tmp.bin"]
            .iter()
            .chain(&others)
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let kept = [".a.bin.1-3.tmp.bin".to_owned()];
        remove_leftovers(folder.path(), &kept, &|name| name == "a.bin");
        let path = path.unwrap();
        let mut expected = vec![path.file_name().unwrap().to_str().unwrap(), &kept[0]];
        expected.extend(others);
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_named_sibling_is_removed_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let made = named(folder.path(), &folder.path().join("a")).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(made);
        assert!(names(folder.path()).is_empty());
    }
}
