//! Storages: where the elements of tensors lie, by the key that a persistent id names.

use super::dtypes;
use super::legacy;
use super::members::Members;
use super::rebuild::Built;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::archive::Content;
use crate::io::{ByteOrder, Source};
use crate::limits;
use crate::model::{Bytes, Level, Note, Payload, Tensor};
use crate::pickle::{Graph, Item, View, numpy};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A pickle, where it lies, and the storages it refers to.
#[derive(Debug)]
pub(super) struct Unpickled {
    pub(super) graph: Graph,
    pub(super) root: Item,
    /// Where the pickle lies: offsets of long texts refer to it.
    pub(super) source: Source,
    pub(super) storages: Storages,
    /// What persistent ids name directly, in tar files; `None` in others.
    pub(super) tensors: Option<HashMap<String, Built>>,
    /// Streams inside byte strings inside streams.
    pub(super) nesting: usize,
}

/// Bytes up to which nobody minds what no tensor shows of a storage.
const UNSEEN: u64 = 16 << 10;

/// How many times larger than what tensors show of it a storage may be.
const UNSEEN_TIMES: u64 = 4;

/// The storages of one file.
#[derive(Debug)]
pub(super) struct Storages {
    /// The order of the bytes in all of them.
    pub(super) order: ByteOrder,
    pub(super) place: Place,
    /// What each key was first said to hold.
    seen: RefCell<HashMap<String, Seen>>,
    /// What was odd.
    notes: RefCell<Vec<Note>>,
}

/// How keys lead to bytes.
#[derive(Debug)]
pub(super) enum Place {
    /// Members of a zip: this in front of the key.
    Zip { members: Members, prefix: String },
    /// Known runs.
    Runs(HashMap<String, Bytes>),
    /// There are none.
    Nowhere,
}

#[derive(Debug)]
struct Seen {
    bytes: Bytes,
    dtype: Option<DType>,
}

/// One storage, as a persistent id refers to it.
#[derive(Clone, Debug)]
pub(super) struct StorageRef {
    /// `None` on the meta device.
    pub(super) bytes: Option<Bytes>,
    pub(super) order: ByteOrder,
    /// `None` if it is untyped: whoever views it says.
    pub(super) dtype: Option<DType>,
}

impl Storages {
    pub(super) fn new(place: Place, order: ByteOrder) -> Storages {
        Storages {
            order,
            place,
            seen: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// What was odd about the storages that were asked for.
    pub(super) fn take_notes(&self) -> Vec<Note> {
        self.notes.take()
    }

    /// How many storages nothing has referred to.
    pub(super) fn unused(&self) -> usize {
        let seen = self.seen.borrow();
        let all: Vec<&str> = match &self.place {
            Place::Zip { members, prefix } => {
                let names = members.archive.members.iter();
                names
                    .filter_map(|m| m.name.strip_prefix(prefix.as_str()))
                    .collect()
            }
            Place::Runs(runs) => runs.keys().map(String::as_str).collect(),
            Place::Nowhere => Vec::new(),
        };
        all.iter().filter(|key| !seen.contains_key(**key)).count()
    }

    /// Notes on storages of which the tensors show a small part only: slices that were saved
    /// with all of what they were cut from.
    pub(super) fn unseen(&self, tensors: &[Tensor]) -> Vec<Note> {
        let seen = self.seen.borrow();
        let extent = |bytes: &Bytes| match bytes {
            Bytes::Extent { offset, len, .. } => Some((*offset, *len)),
            _ => None,
        };
        let large = |(key, seen): (&String, &Seen)| {
            let (offset, len) = extent(&seen.bytes).filter(|&(_, len)| len > UNSEEN)?;
            Some((offset, (len, key.clone(), 0u64)))
        };
        let mut storages: BTreeMap<u64, (u64, String, u64)> =
            seen.iter().filter_map(large).collect();
        for tensor in tensors {
            let (Payload::Stored(storage) | Payload::Strided { storage, .. }) = &tensor.payload
            else {
                continue;
            };
            if let Some((offset, _)) = extent(&storage.bytes)
                && let Some((start, (len, _, shown))) = storages.range_mut(..=offset).next_back()
                && offset.saturating_sub(*start) < *len
            {
                *shown = shown.saturating_add(tensor.byte_len().unwrap_or(0));
            }
        }
        let note = |(offset, (len, key, shown)): (u64, (u64, String, u64))| {
            let text = format!(
                "tensors show {shown} bytes of storage `{key}`, which has {len}; the rest was saved with them"
            );
            let is_small = len / UNSEEN_TIMES > shown;
            is_small.then(|| Note::new("unseen-storage", Level::Warning, text).at(offset))
        };
        storages.into_iter().filter_map(note).take(100).collect()
    }

    /// The storage called `key`, which is said to hold `byte_len` bytes of `dtype`.
    fn find(&self, key: &str, byte_len: u64, dtype: Option<DType>) -> Result<Bytes> {
        if let Some(seen) = self.seen.borrow().get(key) {
            if seen.dtype != dtype && !seen.bytes.is_empty() {
                let name =
                    |dtype: Option<DType>| dtype.map_or("untyped".to_owned(), |d| d.to_string());
                let (first, now) = (name(seen.dtype), name(dtype));
                let message = format!("storage `{key}` is said to hold {first} and {now}");
                return Err(Error::malformed(message));
            }
            return self.check(key, seen.bytes.clone(), byte_len);
        }
        let bytes = self.locate(key, byte_len)?;
        let checked = self.check(key, bytes.clone(), byte_len)?;
        let seen = Seen { bytes, dtype };
        self.seen.borrow_mut().insert(key.to_owned(), seen);
        Ok(checked)
    }

    fn locate(&self, key: &str, byte_len: u64) -> Result<Bytes> {
        let missing = || Error::malformed(format!("storage `{key}` is not in the file"));
        match &self.place {
            Place::Zip { members, prefix } => {
                let archive = &members.archive;
                let Some(member) = members.find(&format!("{prefix}{key}"))? else {
                    // Nothing is stored of nothing in some writers' files.
                    return match byte_len {
                        0 => Ok(Bytes::Inline(Arc::from([]))),
                        _ => Err(missing()),
                    };
                };
                Ok(match archive.content(member)? {
                    Content::Stored { offset, len } => Bytes::Extent {
                        source: archive.source().clone(),
                        offset,
                        len,
                    },
                    Content::Packed(packed) => Bytes::Packed {
                        offset: 0,
                        len: packed.len(),
                        packed: Arc::new(packed),
                    },
                })
            }
            Place::Runs(runs) => runs.get(key).cloned().ok_or_else(missing),
            Place::Nowhere => Err(Error::malformed(
                "refers to a storage, but the file has none",
            )),
        }
    }

    /// Cuts `bytes` to the declared length. Newer versions of torch refuse another length;
    /// older ones took what there was.
    fn check(&self, key: &str, bytes: Bytes, byte_len: u64) -> Result<Bytes> {
        let found = bytes.len();
        if found == byte_len {
            return Ok(bytes);
        }
        let text = format!("storage `{key}` has {found} bytes, but {byte_len} are declared");
        let Some(bytes) = bytes.part(0, byte_len) else {
            return Err(Error::malformed(text));
        };
        let mut notes = self.notes.borrow_mut();
        if notes.len() < 100 {
            notes.push(Note::new("storage-length", Level::Warning, text));
        }
        Ok(bytes)
    }
}

/// What a persistent id of a storage says.
struct StorageId {
    key: String,
    dtype: Option<DType>,
    location: String,
    elements: u64,
    /// First element and number of elements of an old view.
    view: Option<(u64, u64)>,
}

impl Unpickled {
    /// Whether `item` is a storage.
    pub(super) fn is_storage(&self, item: Item) -> bool {
        match self.graph.view(item) {
            View::Persistent(_) => true,
            View::Call(call) => self.is_load_from_bytes(call.callable),
            _ => false,
        }
    }

    fn is_load_from_bytes(&self, callable: Item) -> bool {
        self.graph.global(callable).is_some_and(|global| {
            &*global.module == "torch.storage" && &*global.name == "_load_from_bytes"
        })
    }

    /// The storage that `item` refers to.
    ///
    /// Errors: `Malformed` if it is none, or does not have the bytes that it should.
    pub(super) fn storage(&self, item: Item) -> Result<StorageRef> {
        match self.graph.view(item) {
            View::Persistent(id) => self.storage_of(id),
            View::Call(call) if self.is_load_from_bytes(call.callable) => {
                let argument = self.graph.args(call).first().copied();
                self.nested_storage(argument.unwrap_or(Item::ABSENT))
            }
            // `TypedStorage(wrap_storage=..., dtype=...)` objects keep an untyped one.
            _ => Err(Error::malformed("stands on something that is no storage")),
        }
    }

    /// A storage that came as a whole stream inside a byte string.
    fn nested_storage(&self, bytes: Item) -> Result<StorageRef> {
        if self.nesting >= limits::PICKLE_NESTING {
            let allowed = limits::PICKLE_NESTING;
            let message = format!("streams inside streams are over {allowed} deep");
            return Err(Error::limit(message));
        }
        let raw = numpy::raw_bytes(&self.graph, &self.source, bytes)?;
        let raw = raw.ok_or_else(|| Error::malformed("a nested stream is no byte string"))?;
        let source = match raw {
            numpy::RawBytes::Extent { offset, len } => self.source.slice(offset, len)?,
            numpy::RawBytes::Inline(bytes) => Source::from_bytes(self.source.name(), bytes),
        };
        let inner = legacy::read_stream(&source, self.nesting.saturating_add(1))?;
        inner.storage(inner.root)
    }

    fn storage_of(&self, id: Item) -> Result<StorageRef> {
        let id = self.storage_id(id)?;
        let element = id
            .dtype
            .map_or(1, |dtype| u64::from(dtype.facts().block_bytes));
        let too_large = || Error::malformed(format!("storage `{}` is too large", id.key));
        let byte_len = id.elements.checked_mul(element).ok_or_else(too_large)?;
        if id.location == "meta" {
            return Ok(StorageRef {
                bytes: None,
                order: self.storages.order,
                dtype: id.dtype,
            });
        }
        let mut bytes = self.storages.find(&id.key, byte_len, id.dtype)?;
        if let Some((first, count)) = id.view {
            let start = first.checked_mul(element).ok_or_else(too_large)?;
            let len = count.checked_mul(element).ok_or_else(too_large)?;
            bytes = bytes.part(start, len).ok_or_else(|| {
                Error::malformed(format!("a view leaves the storage `{}`", id.key))
            })?;
        }
        Ok(StorageRef {
            bytes: Some(bytes),
            order: self.storages.order,
            dtype: id.dtype,
        })
    }

    /// Reads `('storage', class, key, location, elements[, view])`.
    fn storage_id(&self, id: Item) -> Result<StorageId> {
        let graph = &self.graph;
        let unknown = || Error::malformed("a persistent id does not describe a storage");
        let parts = graph.sequence(id).ok_or_else(unknown)?;
        let &[kind, class, key, location, elements, ref rest @ ..] = parts else {
            return Err(unknown());
        };
        if graph.text(kind).as_deref() != Some("storage") {
            return Err(unknown());
        }
        let key = self.key_text(key).ok_or_else(unknown)?;
        let elements = graph.int(elements).and_then(|n| u64::try_from(n).ok());
        let elements = elements.ok_or_else(|| {
            Error::malformed(format!("storage `{key}` has no length that makes sense"))
        })?;
        if key.contains(['/', '\\', '\0']) || key.contains("..") {
            return Err(Error::malformed(format!("storage key `{key}` is a path")));
        }
        Ok(StorageId {
            dtype: self.storage_dtype(class)?,
            location: graph.text(location).unwrap_or_default().into_owned(),
            view: rest.first().and_then(|&view| self.view_of(view)),
            key,
            elements,
        })
    }

    /// A key: a string, in tar files a number.
    pub(super) fn key_text(&self, key: Item) -> Option<String> {
        match self.graph.view(key) {
            View::Int(key) => Some(key.to_string()),
            _ => self.graph.text(key).map(|key| key.into_owned()),
        }
    }

    /// Reads `(view_key, offset, size)` of old streams.
    fn view_of(&self, view: Item) -> Option<(u64, u64)> {
        let &[_, offset, size] = self.graph.sequence(view)? else {
            return None;
        };
        let offset = u64::try_from(self.graph.int(offset)?).ok()?;
        Some((offset, u64::try_from(self.graph.int(size)?).ok()?))
    }

    /// The dtype of a storage class; `None` for untyped ones. As torch does, by the name
    /// alone, whatever the module.
    pub(super) fn storage_dtype(&self, class: Item) -> Result<Option<DType>> {
        storage_dtype(&self.graph, class)
    }
}

/// As [`Unpickled::storage_dtype`].
pub(super) fn storage_dtype(graph: &Graph, class: Item) -> Result<Option<DType>> {
    let global = graph.global(class);
    let name = global.map_or("", |global| &*global.name);
    let name = name.rsplit('.').next().unwrap_or(name);
    if matches!(name, "UntypedStorage" | "_UntypedStorage") {
        return Ok(None);
    }
    let stem = name.strip_suffix("Storage");
    let found = stem.and_then(dtypes::of_class);
    found
        .map(|found| Some(found.dtype))
        .ok_or_else(|| Error::unsupported(format!("storage class `{name}` is not known")))
}
