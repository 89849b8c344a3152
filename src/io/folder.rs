//! The few questions that are asked of folders.

use super::Source;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry {
    /// The entry's name, lossily as text.
    pub name: String,
    /// Its full path.
    pub path: PathBuf,
    /// Whether it is a folder itself (symbolic links are followed).
    pub is_folder: bool,
    /// Bytes, for a file.
    pub len: u64,
}

/// Whether `path` is a folder.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// The folder in which `path` stands; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    or_here(path.parent().unwrap_or(Path::new("")))
}

/// `folder`, or `.` if it is empty: what is left of a bare name.
pub fn or_here(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// Whether something stands at `path`, be it a broken link.
pub fn file_exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether `path` leads, through links, to a place outside `folder`. What cannot be followed
/// counts as inside: opening it will say why.
pub fn is_outside(folder: &Path, path: &Path) -> bool {
    match (or_here(folder).canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => !path.starts_with(folder),
        _ => false,
    }
}

/// What a folder holds, sorted by name. Entries that vanish or cannot be examined are left out.
pub fn list_folder(path: &Path) -> Result<Vec<FolderEntry>> {
    let name = path.to_string_lossy();
    let read = std::fs::read_dir(path)
        .map_err(|e| Error::io("cannot list the folder", e).in_file(&name))?;
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry.map_err(|e| Error::io("cannot list the folder", e).in_file(&name))?;
        let Ok(metadata) = std::fs::metadata(entry.path()) else {
            continue;
        };
        entries.push(FolderEntry {
            name: entry.file_name().to_string_lossy().into_owned(),
            path: entry.path(),
            is_folder: metadata.is_dir(),
            len: metadata.len(),
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A whole small file, such as an index; `limit` in bytes.
pub fn read_small_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let source = Source::open(path)?;
    if source.len() > limit {
        let message = format!("has {} bytes; the limit is {limit}", source.len());
        return Err(Error::limit(message).in_file(source.name()));
    }
    source.read_vec(0, source.len())
}

/// A whole small text file; `limit` in bytes. Errors name the file.
pub fn read_small_text(path: &Path, limit: u64) -> Result<String> {
    let name = path.to_string_lossy();
    let bytes = read_small_file(path, limit).map_err(|error| error.in_file(&name))?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to() as u64;
        Error::malformed("is no UTF-8").at(offset).in_file(&name)
    })
}

/// The one path under which a file is known, whatever links lead to it; `None` if it is not there.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// Gives a file another name in its folder.
pub fn rename_file(from: &Path, to: &Path) -> Result<()> {
    let name = from.to_string_lossy();
    std::fs::rename(from, to).map_err(|e| Error::io("cannot be set aside", e).in_file(&name))
}

/// Removes a file, as far as that is possible.
pub fn remove_file(path: &Path) {
    // This undoes what failed; the failure is what the caller hears of.
    let _ = std::fs::remove_file(path);
}

/// Bytes that may still be written to the disk on which `path` is to stand; `None` where the
/// system does not say.
#[cfg(unix)]
pub fn free_space(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder_of(path)).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Bytes that may still be written to the disk on which `path` is to stand; `None` where the
/// system does not say.
#[cfg(not(unix))]
pub fn free_space(_path: &Path) -> Option<u64> {
    None
}
