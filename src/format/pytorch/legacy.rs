//! Stacked pickles: `torch.save` from 0.1.10 to 1.5.
//!
//! | what | in what form |
//! |---|---|
//! | magic | a pickled integer, 0x1950a86a20f9469cfc6c |
//! | protocol version | a pickled integer, 1001 |
//! | system | a pickled dict, ignored |
//! | object | a pickle whose persistent ids are storages |
//! | keys | a pickled list of the storages' keys |
//! | storages | for each key: elements (u64), then the elements, little-endian |
//!
//! Source: torch/serialization.py (`_legacy_save`), torch/csrc/serialization.cpp.

use super::storage::{Place, Storages, Unpickled, storage_dtype};
use crate::error::{Error, Result};
use crate::io::{ByteOrder, Cursor, Source};
use crate::model::{Bytes, Level, Note};
use crate::pickle::{self, Graph, Item, Pickle, View};
use std::collections::HashMap;

/// 0x1950a86a20f9469cfc6c, as LONG1 writes it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The same in digits, as protocols 0 and 1 write it.
const MAGIC_LINE: &[u8] = b"L119547037146038801333356L\n.";

/// The version of the stream, 1001 since 0.1.10.
const VERSION: i64 = 1001;

/// Whether a file that starts with `head` is a stream.
pub(super) fn detect(head: &[u8]) -> bool {
    if head.starts_with(MAGIC_LINE) {
        return true;
    }
    let rest = match head {
        // A frame opcode with its length comes before the number from protocol 4 on.
        [0x80, 4 | 5, 0x95, _, _, _, _, _, _, _, _, rest @ ..] | [0x80, _, rest @ ..] => rest,
        rest => rest,
    };
    let number = rest.strip_prefix(&[0x8a, 10]);
    number.is_some_and(|rest| rest.starts_with(&MAGIC))
}

/// Whether a pickle that ends at `end` stands where a stream has its magic number: the version
/// and the system follow.
pub(super) fn follows(source: &Source, end: u64) -> bool {
    let version = pickle::read(source, end).ok();
    let version = version.filter(|version| version.graph.int(version.root) == Some(VERSION));
    let system = version.and_then(|version| pickle::read(source, version.end).ok());
    system.is_some_and(|system| matches!(system.graph.view(system.root), View::Dict(_)))
}

/// A stream and what was odd about it.
pub(super) fn read(source: &Source) -> Result<(Unpickled, Vec<Note>)> {
    let (unpickled, end, mut notes) = read_parts(source, 0)?;
    let rest = source.len().saturating_sub(end);
    if rest > 0 {
        let head = source.read_prefix(end, super::super::HEAD)?;
        let text = match detect(&head) {
            true => format!("another stream follows; torch reads the first, {rest} bytes are left"),
            false => {
                format!("{rest} bytes follow the last storage; `torch.load` does not see them")
            }
        };
        let offset = source.file_offset(end);
        notes.push(Note::new("trailing-bytes", Level::Warning, text).at(offset));
    }
    Ok((unpickled, notes))
}

/// A stream inside a byte string.
pub(super) fn read_stream(source: &Source, nesting: usize) -> Result<Unpickled> {
    Ok(read_parts(source, nesting)?.0)
}

fn read_parts(source: &Source, nesting: usize) -> Result<(Unpickled, u64, Vec<Note>)> {
    let head = source.read_prefix(0, 64)?;
    if !detect(&head) {
        let error = Error::malformed("a stream does not start with torch's magic number");
        return Err(error.at(source.file_offset(0)));
    }
    let magic = pickle::read(source, 0)?;
    let version = pickle::read(source, magic.end)?;
    let found = version.graph.int(version.root);
    if found != Some(VERSION) {
        let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
        let message = format!("stream version {found} is not read; {VERSION} is");
        return Err(Error::unsupported(message).at(source.file_offset(magic.end)));
    }
    let system = pickle::read(source, version.end)?;
    let main = pickle::read(source, system.end)?;
    let mut notes = Vec::new();
    if main.leftover > 0 {
        notes.push(super::leftover(main.leftover));
    }
    let keys = pickle::read(source, main.end)?;
    let (runs, end) = storages(source, &main.graph, &keys)?;
    let unpickled = Unpickled {
        graph: main.graph,
        root: main.root,
        source: source.clone(),
        storages: Storages::new(Place::Runs(runs), ByteOrder::Little),
        tensors: None,
        nesting,
    };
    Ok((unpickled, end, notes))
}

/// Finds the storages behind the pickles, and where the last one ends.
fn storages(
    source: &Source,
    graph: &Graph,
    keys: &Pickle,
) -> Result<(HashMap<String, Bytes>, u64)> {
    let place = |message: String, offset| Error::malformed(message).at(source.file_offset(offset));
    let sizes = element_sizes(graph)?;
    let View::List(items) = keys.graph.view(keys.root) else {
        return Err(place("the storage keys are no list".to_owned(), keys.end));
    };
    let mut runs = HashMap::with_capacity(items.len());
    let mut cursor = Cursor::new(source, keys.end);
    for &item in items {
        let key = keys.graph.text(item).unwrap_or_default().into_owned();
        let start = cursor.position();
        let element = sizes.get(&key).copied().ok_or_else(|| {
            place(
                format!("storage `{key}` is listed, but nothing refers to it"),
                start,
            )
        })?;
        let elements = cursor.u64()?;
        let len = elements
            .checked_mul(element)
            .ok_or_else(|| place(format!("storage `{key}` has {elements} elements"), start))?;
        let offset = cursor.position();
        cursor.skip(len)?;
        let run = Bytes::Extent {
            source: source.clone(),
            offset,
            len,
        };
        runs.insert(key, run);
    }
    Ok((runs, cursor.position()))
}

/// Bytes of one element of each storage that the object refers to.
fn element_sizes(graph: &Graph) -> Result<HashMap<String, u64>> {
    let mut sizes = HashMap::new();
    for &id in graph.persistent_ids() {
        if let Some(&[kind, class, key, ..]) = graph.sequence(id)
            && graph.text(kind).as_deref() == Some("storage")
            && let Some(key) = graph.text(key)
        {
            let dtype = storage_dtype(graph, class)?;
            let size = dtype.map_or(1, |dtype| u64::from(dtype.facts().block_bytes));
            sizes.insert(key.into_owned(), size);
        }
    }
    Ok(sizes)
}

/// The items of a pickled list or tuple.
pub(super) fn items(pickle: &Pickle) -> &[Item] {
    pickle.graph.sequence(pickle.root).unwrap_or_default()
}
