//! A whole checkpoint: an ordered list of tensors, and what else the file says.

use super::{Bytes, Payload, Quantization, Storage, Tensor, Value};
use crate::dtype::DType;
use crate::error::Place;
use crate::io::ByteOrder;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Keys under which training programs keep the model, most trusted first.
pub const ROOT_KEYS: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "generator",
    "params",
    "weights",
];

/// Tensors, metadata, values and what a reader noticed. A plain value.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The file or folder, as the caller named it.
    pub path: String,
    /// The format's name: `safetensors`, `pytorch`, `gguf`, `numpy`.
    pub format: &'static str,
    /// Which kind of it: `zip`, `legacy`, `v3`, `npz`, `sharded`; empty if there is one only.
    pub variant: String,
    /// The key of the outermost mapping that holds the model, if there is one.
    pub root: Option<String>,
    /// The format's own key-value pairs (`__metadata__`, GGUF), in file order.
    pub metadata: Vec<(String, Value)>,
    /// How the format stores a metadata value, by key, where it has several types for one kind
    /// of number: GGUF's `u32`, `f32`, `arr[i32]`. A writer of the same format needs them.
    pub metadata_types: Vec<(String, &'static str)>,
    /// Where the bytes of a metadata value lie, by key, if a writer of the same format can copy
    /// them: GGUF's texts and arrays, of which only the beginning may have been read.
    pub stored_metadata: Vec<(String, Storage)>,
    /// Everything else that is no tensor: epoch, hyperparameters, in file order.
    pub values: Vec<(String, Value)>,
    /// What the reader noticed.
    pub notes: Vec<Note>,
    /// In file order; names are unique.
    pub tensors: Vec<Tensor>,
    /// Keys of the outermost mapping whose values are containers, with the tensors in them.
    /// Empty for formats whose names are flat.
    pub groups: Vec<Group>,
}

/// One key of the outermost mapping, and which tensors stand under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The key, as Python's `str` prints it.
    pub key: String,
    /// Which tensors; all their names start with the key and a dot.
    pub tensors: Range<usize>,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Odd, but readable.
    Warning,
    /// Wrong: what stands there cannot be relied on.
    Error,
    /// Would run code in a program that trusts the file.
    Danger,
}

impl Level {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Danger => "danger",
        }
    }
}

/// What a reader noticed. Readers never print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A stable name, such as `trailing-bytes`.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// One sentence, lower case, without a full stop.
    pub text: String,
}

impl Note {
    /// A note without a place.
    pub fn new(rule: &'static str, level: Level, text: impl Into<String>) -> Note {
        Note {
            rule,
            level,
            place: Place::default(),
            text: text.into(),
        }
    }

    /// Says which tensor it is about.
    #[must_use]
    pub fn on_tensor(mut self, tensor: &str) -> Note {
        self.place.tensor = Some(tensor.to_owned());
        self
    }

    /// Says which byte of the file it is about.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Note {
        self.place.offset = Some(offset);
        self
    }

    /// Says which file it is about.
    #[must_use]
    pub fn in_file(mut self, path: &str) -> Note {
        self.place.path = Some(path.to_owned());
        self
    }

    /// Says which archive member it is about.
    #[must_use]
    pub fn in_member(mut self, member: &str) -> Note {
        self.place.member = Some(member.to_owned());
        self
    }
}

/// Which of several tensors of one name keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    /// The first in file order.
    First,
    /// The last in file order.
    Last,
}

impl Checkpoint {
    /// Gives `key` a new value, of the type that GGUF calls `kind`; a new key comes last.
    pub fn set_metadata(&mut self, key: &str, value: Value, kind: &'static str) {
        self.stored_metadata.retain(|(known, _)| known != key);
        self.metadata_types.retain(|(known, _)| known != key);
        self.metadata_types.push((key.to_owned(), kind));
        match self.metadata.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
    }

    /// Makes names unique: of equal ones the `winner` keeps the name, as the format's own
    /// reader would load it; the others get `#2`, `#3`, each with a warning.
    pub fn make_names_unique(&mut self, winner: Winner) {
        let mut taken: HashSet<String> = HashSet::with_capacity(self.tensors.len());
        let mut repeated: HashSet<usize> = HashSet::new();
        let mut look = |index: usize, tensor: &Tensor| {
            if !taken.insert(tensor.name.clone()) {
                repeated.insert(index);
            }
        };
        match winner {
            Winner::First => self
                .tensors
                .iter()
                .enumerate()
                .for_each(|(i, t)| look(i, t)),
            Winner::Last => {
                let backwards = self.tensors.iter().enumerate().rev();
                backwards.for_each(|(i, t)| look(i, t));
            }
        }
        if repeated.is_empty() {
            return;
        }
        for (index, tensor) in self.tensors.iter_mut().enumerate() {
            if !repeated.contains(&index) {
                continue;
            }
            let original = tensor.name.clone();
            let mut number = 2u64;
            while !taken.insert(tensor.name.clone()) {
                tensor.name = format!("{original}#{number}");
                number += 1;
            }
            let text = format!(
                "the name occurs twice; this one is called `{}`",
                tensor.name
            );
            let note = Note::new("duplicate-name", Level::Warning, text);
            self.notes.push(note.on_tensor(&original));
        }
    }

    /// Finds tensors that are other names of earlier ones (same bytes, dtype, shape and
    /// strides; not empty) and says so in `tied_to`.
    pub fn mark_tied(&mut self) {
        if self.is_laid_out_in_order() {
            return;
        }
        let mut seen: HashMap<Identity, usize> = HashMap::with_capacity(self.tensors.len());
        let mut ties = Vec::new();
        for (index, tensor) in self.tensors.iter().enumerate() {
            if let Some(identity) = Identity::of(tensor) {
                match seen.get(&identity) {
                    Some(&first) => ties.push((index, self.tensors[first].name.clone())),
                    None => {
                        seen.insert(identity, index);
                    }
                }
            }
        }
        for (index, name) in ties {
            self.tensors[index].tied_to = Some(name);
        }
    }

    /// Keeps the tensors whose place in `kept` is true, with the groups, notes and ties that
    /// still make sense.
    pub fn keep(&mut self, kept: &[bool]) {
        let is_kept = |index: usize| kept.get(index).copied().unwrap_or(false);
        // How many are kept before each place: where a group's range moves to.
        let mut before = Vec::with_capacity(self.tensors.len() + 1);
        let mut count = 0;
        for index in 0..self.tensors.len() {
            before.push(count);
            count += usize::from(is_kept(index));
        }
        before.push(count);
        let moved = |index: usize| before.get(index).copied().unwrap_or(count);
        for group in &mut self.groups {
            group.tensors = moved(group.tensors.start)..moved(group.tensors.end);
        }
        let mut dropped: HashSet<String> = HashSet::new();
        let mut index = 0;
        self.tensors.retain_mut(|tensor| {
            let stays = is_kept(index);
            index += 1;
            tensor.tied_to = None;
            if !stays {
                dropped.insert(std::mem::take(&mut tensor.name));
            }
            stays
        });
        self.notes.retain(|note| {
            let tensor = note.place.tensor.as_ref();
            tensor.is_none_or(|name| !dropped.contains(name))
        });
        self.mark_tied();
    }

    /// Whether every tensor lies after the one before it, file by file, so that none can be
    /// another name of an earlier one. Far cheaper than looking, and nearly always so.
    fn is_laid_out_in_order(&self) -> bool {
        let mut files = HashSet::new();
        let mut last: Option<(usize, u64)> = None;
        self.tensors.iter().all(|tensor| {
            let Some((source, offset, len)) = tensor.payload.extent() else {
                return false;
            };
            let (file, start) = (source.identity(), source.file_offset(offset));
            let is_after = match last {
                Some((before, end)) if before == file => start >= end,
                _ => files.insert(file),
            };
            last = Some((file, start.saturating_add(len)));
            is_after
        })
    }

    /// The keys of the outermost mapping that may hold the model, most trusted first.
    pub fn root_candidates(&self) -> Vec<&'static str> {
        let holds = |key: &&str| {
            let mut groups = self.groups.iter();
            groups.any(|group| group.key == *key && !group.tensors.is_empty())
        };
        ROOT_KEYS.into_iter().filter(holds).collect()
    }

    /// The tensor called `name`. Linear: for single look-ups.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Bytes and elements of all tensors, those of tied ones once.
    pub fn totals(&self) -> (u64, u64) {
        let mut elements = 0u64;
        let mut bytes = 0u64;
        for tensor in self
            .tensors
            .iter()
            .filter(|tensor| tensor.tied_to.is_none())
        {
            elements = elements.saturating_add(tensor.elements());
            bytes = bytes.saturating_add(tensor.byte_len().unwrap_or(0));
        }
        (elements, bytes)
    }
}

/// What makes two tensors the same one.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    run: Run,
    dtype: DType,
    order: ByteOrder,
    dimensions: Box<[u64]>,
    view: Option<(u64, Box<[u64]>)>,
    quantization: Option<Box<Scales>>,
}

/// What the integers of a quantised tensor stand for.
#[derive(PartialEq, Eq, Hash)]
enum Scales {
    /// The bits of the scale, the zero point.
    Single(u64, i64),
    /// Scales, zero points, axis.
    Channels(Identity, Identity, u64),
}

/// A run of bytes: in which file, where the compressed stream starts if there is one, where in
/// that the run starts, and how long it is.
type Run = (usize, Option<u64>, u64, u64);

impl Identity {
    fn of(tensor: &Tensor) -> Option<Identity> {
        if tensor.elements() == 0 {
            return None;
        }
        let (storage, view) = match &tensor.payload {
            Payload::Stored(storage) => (storage, None),
            Payload::Strided {
                storage,
                first,
                strides,
            } => (storage, Some((*first, strides.clone()))),
            _ => return None,
        };
        let quantization = match tensor.quantization.as_deref() {
            None => None,
            Some(Quantization::PerTensor { scale, zero_point }) => {
                Some(Scales::Single(scale.to_bits(), *zero_point))
            }
            Some(Quantization::PerChannel {
                scales,
                zero_points,
                axis,
            }) => {
                let (scales, zero_points) = (Identity::of(scales)?, Identity::of(zero_points)?);
                Some(Scales::Channels(scales, zero_points, *axis))
            }
        };
        Some(Identity {
            run: Identity::run(storage),
            dtype: tensor.dtype,
            order: storage.order,
            dimensions: tensor.shape.dimensions().into(),
            view,
            quantization: quantization.map(Box::new),
        })
    }

    fn run(storage: &Storage) -> Run {
        match &storage.bytes {
            Bytes::Extent {
                source,
                offset,
                len,
            } => (source.identity(), None, source.file_offset(*offset), *len),
            Bytes::Packed {
                packed,
                offset,
                len,
            } => {
                let start = packed.source().file_offset(0);
                (packed.source().identity(), Some(start), *offset, *len)
            }
            Bytes::Inline(bytes) => (bytes.as_ptr() as usize, None, 0, bytes.len() as u64),
        }
    }
}
