//! New metadata for a file whose tensors stay where they lie.
//!
//! The new header has to have the length of the old one, so that the data stays. Where all that
//! changes lies in one page, it is written over the old in one go: the system takes a page from
//! a process whole or not at all, so that a reader, or a process that is killed, finds the old
//! metadata or the new (a disk that loses power may tear a page only if it does not write 4 KiB
//! as one). Otherwise the whole file is copied, by the system and without moving data where the
//! file system shares blocks between files, and the copy takes the place of the file.

use super::Check;
use super::plan::{aliases, at_all, names, writer_of};
use crate::error::{Error, Kind, Result};
use crate::format::{FORMATS, Order, Part, ReadOptions, Ties, read};
use crate::io::{Sink, SinkOptions, Source, overwrite};
use crate::model::{Checkpoint, Tensor};
use std::path::{Path, PathBuf};

/// Bytes of the smallest page in use.
const PAGE: u64 = 4096;

/// A header that is to take the place of another of the same length.
#[derive(Debug)]
pub struct Edit {
    path: PathBuf,
    source: Source,
    header: Vec<u8>,
    /// The first byte that changes, and those from there to the last.
    changed: (u64, Vec<u8>),
}

/// Plans to give the file at `path` the metadata of `checkpoint`. `None` if more than the
/// metadata would change, or if the new header has no room before the data.
///
/// Errors: those of reading the file.
pub fn plan_edit(checkpoint: &Checkpoint, path: &Path) -> Result<Option<Edit>> {
    let writer = writer_of(path)?;
    let source = Source::open(path)?;
    let mut old = read(&source, &ReadOptions::SUMMARY)?;
    old.mark_tied();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let extension = extension.to_ascii_lowercase();
    let mut formats = FORMATS.iter().filter(|format| format.name() == old.format);
    let is_own = formats.any(|format| format.writer(&extension).is_some());
    if !is_own || !is_same(&old, checkpoint) {
        return Ok(None);
    }
    let aliases = match writer.ties() {
        Ties::Copies => vec![None; checkpoint.tensors.len()],
        _ => aliases(checkpoint),
    };
    let stored = aliases
        .iter()
        .enumerate()
        .filter(|(_, kept)| kept.is_none());
    let stored: Vec<usize> = stored.map(|(index, _)| index).collect();
    let part = Part {
        checkpoint,
        tensors: at_all(&checkpoint.tensors, &stored),
        names: names(checkpoint, &aliases, &stored),
        number: 0,
        count: 1,
        order: Order::Source,
    };
    let Some(header) = writer.edit(&part, &source)? else {
        return Ok(None);
    };
    let old = source.read_vec(0, header.len() as u64)?;
    let differ = || old.iter().zip(&header).map(|(old, new)| old != new);
    let first = differ().position(|differs| differs).unwrap_or(0);
    let last = differ().rposition(|differs| differs);
    let end = last.map_or(first, |last| last.saturating_add(1));
    let bytes = header.get(first..end).unwrap_or_default().to_vec();
    Ok(Some(Edit {
        path: path.to_owned(),
        source,
        changed: (first as u64, bytes),
        header,
    }))
}

/// Whether both have the same tensors in the same places.
fn is_same(a: &Checkpoint, b: &Checkpoint) -> bool {
    let place = |tensor: &Tensor| {
        let extent = tensor.payload.extent();
        extent.map(|(source, start, len)| (source.file_offset(start), len))
    };
    let is_same = |(a, b): (&Tensor, &Tensor)| {
        let is_there = place(a).is_some() || a.elements() == 0;
        let facts = |tensor: &Tensor| (tensor.dtype, tensor.name.clone(), tensor.tied_to.clone());
        is_there && place(a) == place(b) && facts(a) == facts(b) && a.shape == b.shape
    };
    a.tensors.len() == b.tensors.len() && a.tensors.iter().zip(&b.tensors).all(is_same)
}

impl Edit {
    /// Bytes of the file, before and after.
    pub fn file_bytes(&self) -> u64 {
        self.source.len()
    }

    /// How many bytes are written over others; `None` if the file is copied.
    pub fn bytes_in_place(&self) -> Option<u64> {
        let (first, bytes) = &self.changed;
        let last = first.saturating_add((bytes.len() as u64).saturating_sub(1));
        (first / PAGE == last / PAGE).then_some(bytes.len() as u64)
    }

    /// Writes the header, once the file's own reader has found in it what it should say.
    ///
    /// `checkpoint`: what was planned with. `check` looks at a copy before it has the name.
    ///
    /// Errors: `Io` if the disk is full, the file may not be written, or something else is read
    /// back than was meant; those of `check`. After an error the file is as it was.
    pub fn apply(
        self,
        checkpoint: &Checkpoint,
        sync: bool,
        check: Option<Check<'_>>,
    ) -> Result<()> {
        let replace = true;
        let sink = Sink::create(&self.path, SinkOptions { replace, sync })?;
        let is_in_place = self.bytes_in_place().is_some();
        // To look at a header, holes do for the data.
        match is_in_place {
            true => sink.set_len(self.source.len())?,
            false => sink.copy_from(0, &self.source, 0, self.source.len(), &mut Vec::new())?,
        }
        sink.write_all_at(0, &self.header)?;
        let mut found = read(&sink.reopen()?, &ReadOptions::SUMMARY)?;
        found.mark_tied();
        if !is_same(&found, checkpoint) {
            let message = "the header is not what was meant; the file stays as it is";
            let error = Error::new(Kind::Io, message);
            return Err(error.in_file(&self.path.to_string_lossy()));
        }
        if is_in_place {
            let (offset, bytes) = &self.changed;
            return overwrite(&self.path, *offset, bytes, sync);
        }
        if let Some(check) = check {
            check(&found.tensors)?;
        }
        sink.finish()
    }
}
