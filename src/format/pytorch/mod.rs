//! PyTorch: whatever `torch.save` and `torch.jit.save` ever wrote, and bare pickles.
//!
//! | variant | what it is | file |
//! |---|---|---|
//! | `zip` | a zip with a pickle and one record a storage, since 1.6 | `zip.rs` |
//! | `torchscript` | the same beside compiled code | `zip.rs` |
//! | `legacy` | five pickles, then the storages, 0.1.10 to 1.5 | `legacy.rs` |
//! | `tar` | a tar of storages, tensors and a pickle, up to 0.1.9 | `tar.rs` |
//! | `pickle` | a bare pickle, of NumPy arrays mostly | this file |
//!
//! A zip holds, below one folder:
//!
//! | record | what |
//! |---|---|
//! | `data.pkl` | the object; a storage is the persistent id `('storage', class, key, location, elements)` |
//! | `data/KEY` | the bytes of a storage |
//! | `byteorder` | `little` or `big`; `little` if it is missing |
//! | `version` or `.data/version` | decimal |
//! | `constants.pkl`, `code/` | TorchScript only; constants belong to the code and are not listed |
//!
//! `write.rs`, `pickler.rs` and `quantizer.rs` write the first of these, a flat dict of tensors; `storage.rs` finds storages, `rebuild.rs` gives the functions that rebuild tensors their
//! meaning, `walk.rs` names what it meets. Sources: torch/serialization.py, torch/_utils.py,
//! caffe2/serialize/inline_container.cc.

pub(super) mod dtypes;
mod legacy;
mod members;
mod names;
mod pickler;
mod quantizer;
mod rebuild;
mod storage;
mod tar;
mod walk;
mod write;
mod zip;

use super::{Format, HEAD, ReadOptions, Writer};
use crate::error::{Error, Result};
use crate::io::archive::Archive;
use crate::io::{ByteOrder, Source};
use crate::model::{Checkpoint, Level, Note, Value, Winner};
use crate::pickle::{self, View};
use crate::safety::import_notes;
use storage::{Place, Storages, Unpickled};

/// The PyTorch format.
#[derive(Clone, Copy, Debug)]
pub struct PyTorch;

/// Bytes up to which a file is tried as a pickle that does not begin with its protocol.
const UNMARKED: u64 = 64 << 20;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "pytorch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "bin", "ckpt"]
    }

    fn writer(&self, _extension: &str) -> Option<&dyn Writer> {
        Some(self)
    }

    fn detect(&self, head: &[u8], source: &Source) -> bool {
        if Archive::is_zip(head) {
            return zip::detect(head, source);
        }
        refused(head).is_some()
            || legacy::detect(head)
            || is_pickle(head, source)
            || (Archive::is_tar(head) && tar::detect(source))
    }

    fn read(&self, source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
        let head = source.read_prefix(0, super::HEAD)?;
        if let Some(why) = refused(&head) {
            return Err(Error::unsupported(why).at(source.file_offset(0)));
        }
        if Archive::is_zip(&head) {
            let zip = zip::read(source)?;
            let variant = if zip.is_script { "torchscript" } else { "zip" };
            let mut checkpoint = listed(&zip.unpickled, variant, zip.notes, options)?;
            checkpoint.metadata = zip.metadata;
            return Ok(checkpoint);
        }
        if legacy::detect(&head) {
            let (unpickled, notes) = legacy::read(source)?;
            return listed(&unpickled, "legacy", notes, options);
        }
        if Archive::is_tar(&head) {
            return listed(&tar::read(source)?, "tar", Vec::new(), options);
        }
        let (unpickled, notes) = read_bare(source)?;
        listed(&unpickled, "pickle", notes, options)
    }
}

/// Why a file that starts with `head` is known but not read.
fn refused(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PYTORCH1") {
        return Some("is of the preview format of PyTorch 1.0, which no release reads");
    }
    if head.get(4..8) == Some(b"PTMF") {
        return Some("is a mobile flatbuffer of TorchScript, which is not read");
    }
    None
}

/// Whether this is a bare pickle.
fn is_pickle(head: &[u8], source: &Source) -> bool {
    if let &[0x80, 2..=5, opcode, ..] = head {
        // The length of a safetensors header may look like this.
        let is_header = head.get(6..9) == Some(b"\0\0{");
        return !is_header && b"\x95}]()cXUTKJMNGB\x88\x89\x8a\x8c\x8fCV".contains(&opcode);
    }
    // Protocols 0 and 1 have no header, so only reading it to its end tells.
    let start = head.first().copied().unwrap_or_default();
    if !b"(cSVILFdlNi]})".contains(&start) || source.len() > UNMARKED {
        return false;
    }
    let tail = source
        .read_prefix(source.len().saturating_sub(2), 2)
        .unwrap_or_default();
    tail.trim_ascii_end().last() == Some(&b'.')
        && pickle::read(source, 0).is_ok_and(|pickle| {
            let holds_things = !matches!(
                pickle.graph.view(pickle.root),
                View::None | View::Bool(_) | View::Int(_) | View::Float(_) | View::Text(..)
            );
            holds_things && source.len().saturating_sub(pickle.end) < 2
        })
}

/// Whether joblib wrote this pickle: it names its wrapper of arrays near the start.
fn is_joblib(source: &Source) -> Result<bool> {
    let head = source.read_prefix(0, HEAD)?;
    let name = b"joblib.numpy_pickle";
    Ok(head.windows(name.len()).any(|window| window == name))
}

/// Reads a bare pickle: arrays lie inside it.
fn read_bare(source: &Source) -> Result<(Unpickled, Vec<Note>)> {
    let pickle = match pickle::read(source, 0) {
        Err(_) if is_joblib(source)? => {
            let message = "is a joblib file, whose arrays stand between the opcodes of its pickle";
            return Err(Error::unsupported(message).with_hint(
                "`numpy.savez` or `safetensors.numpy.save_file` write its arrays as they can be read",
            ));
        }
        pickle => pickle?,
    };
    let is_joblib = |global: &pickle::Global| global.module.starts_with("joblib.numpy_pickle");
    if pickle.graph.globals().iter().any(is_joblib) {
        let message = "is a joblib file, whose arrays lie between the opcodes; that is not read";
        return Err(Error::unsupported(message));
    }
    let mut notes = Vec::new();
    if pickle.leftover > 0 {
        notes.push(leftover(pickle.leftover));
    }
    let rest = source.len().saturating_sub(pickle.end);
    if rest > 1 {
        if legacy::follows(source, pickle.end) {
            let message = "is a stream whose first pickle is not torch's magic number as it stands";
            return Err(Error::malformed(message).at(source.file_offset(0)));
        }
        let text = format!("{rest} bytes follow the pickle; Python does not see them");
        let offset = source.file_offset(pickle.end);
        notes.push(Note::new("trailing-bytes", Level::Warning, text).at(offset));
    }
    let unpickled = Unpickled {
        graph: pickle.graph,
        root: pickle.root,
        source: source.clone(),
        storages: Storages::new(Place::Nowhere, ByteOrder::Little),
        tensors: None,
        nesting: 0,
    };
    Ok((unpickled, notes))
}

/// The note on values that a pickle leaves on the stack: a sign of tampering.
fn leftover(count: usize) -> Note {
    let text = format!("the pickle makes {count} objects beside its result");
    Note::new("leftover-objects", Level::Warning, text)
}

/// The checkpoint that an unpickled file amounts to.
fn listed(
    unpickled: &Unpickled,
    variant: &str,
    notes: Vec<Note>,
    options: &ReadOptions,
) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint {
        path: unpickled.source.name().to_owned(),
        format: "pytorch",
        variant: variant.to_owned(),
        notes,
        ..Checkpoint::default()
    };
    let is_script = variant == "torchscript";
    walk::walk(unpickled, options, is_script, &mut checkpoint)?;
    checkpoint
        .notes
        .extend(import_notes(&unpickled.graph, &unpickled.source));
    checkpoint.notes.extend(unpickled.storages.take_notes());
    checkpoint
        .notes
        .extend(unpickled.storages.unseen(&checkpoint.tensors));
    let unused = unpickled.storages.unused();
    if unused > 0 {
        let text = format!("{unused} storages are in the file, but no tensor lies in them");
        checkpoint
            .notes
            .push(Note::new("unused-storage", Level::Info, text));
    }
    checkpoint.make_names_unique(Winner::First);
    checkpoint.root = checkpoint
        .root_candidates()
        .first()
        .map(|key| (*key).to_owned());
    checkpoint
        .values
        .retain(|(_, value)| *value != Value::Null || !is_script);
    Ok(checkpoint)
}
