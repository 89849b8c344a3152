//! Arrays to tensors and values, from a file of their own or the members of a zip.

use super::element::{Element, ElementKind};
use super::header::{self, Header, Next};
use super::object::{self, Objects};
use super::{BARE_NAME, MEMBER_SUFFIX, text};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::format::faults::Faults;
use crate::io::archive::{Archive, Content, Member};
use crate::io::{Cursor, Packed, Source, inflate_stream};
use crate::limits;
use crate::model::{
    Bytes, Checkpoint, Level, Note, Payload, Shape, Storage, Tensor, Value, Winner,
};
use std::io::Read;
use std::sync::Arc;

/// Reads an npy file.
pub(super) fn read_npy(source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
    let mut arrays = Arrays::new("npy", options);
    arrays.add(BARE_NAME, &Place::Stored(source.clone()))?;
    Ok(arrays.checkpoint)
}

/// Reads an npz file, its arrays in the order of its directory.
pub(super) fn read_npz(source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
    let archive = Archive::read_zip(source)?;
    let mut arrays = Arrays::new("npz", options);
    for oddity in &archive.oddities {
        let note = Note::new(oddity.rule, Level::Warning, &oddity.text).at(oddity.offset);
        arrays.checkpoint.notes.push(match &oddity.member {
            Some(member) => note.in_member(member),
            None => note,
        });
    }
    let mut faults = Faults::new(options);
    for member in &archive.members {
        let noted = arrays.checkpoint.notes.len();
        let added = arrays.add_member(source, &archive, member);
        faults.pass(added.map_err(|error| error.in_member(&member.name)))?;
        for note in arrays.checkpoint.notes.iter_mut().skip(noted) {
            note.place.member = Some(member.name.clone());
        }
    }
    // Of two members of one name, Python's zipfile opens the last.
    arrays.checkpoint.make_names_unique(Winner::Last);
    arrays.checkpoint.notes.extend(faults.into_notes());
    Ok(arrays.checkpoint)
}

/// Where an array lies, header included.
enum Place {
    Stored(Source),
    /// Offsets are within the inflated bytes.
    Packed(Arc<Packed>),
}

impl Place {
    fn len(&self) -> u64 {
        match self {
            Place::Stored(source) => source.len(),
            Place::Packed(packed) => packed.len(),
        }
    }

    /// `offset` within the array, for errors: from the start of the file, or of the inflated
    /// member.
    fn shown(&self, offset: u64) -> u64 {
        match self {
            Place::Stored(source) => source.file_offset(offset),
            Place::Packed(_) => offset,
        }
    }

    /// Hands the array's bytes to `work`, front to back. Only what is asked for is inflated.
    fn read_front<R>(&self, work: impl FnOnce(&mut Next<'_>) -> Result<R>) -> Result<R> {
        match self {
            Place::Stored(source) => {
                let mut cursor = Cursor::new(source, 0);
                work(&mut |len| cursor.bytes(len))
            }
            Place::Packed(packed) => {
                let mut stream = inflate_stream(packed.source(), packed.codec());
                let mut position = 0u64;
                work(&mut |len| {
                    let mut bytes = Vec::new();
                    let read = (&mut stream).take(len).read_to_end(&mut bytes);
                    read.map_err(|e| Error::malformed(format!("cannot be inflated: {e}")))?;
                    if (bytes.len() as u64) < len {
                        let found = bytes.len();
                        let message = format!("needs {len} bytes, but only {found} remain");
                        return Err(Error::malformed(message).at(position));
                    }
                    position = position.saturating_add(len);
                    Ok(bytes)
                })
            }
        }
    }

    /// The elements, `len` bytes behind the header.
    fn storage(&self, offset: u64, len: u64) -> Storage {
        match self {
            Place::Stored(source) => Storage::extent(source, offset, len),
            Place::Packed(packed) => Storage {
                bytes: Bytes::Packed {
                    packed: Arc::clone(packed),
                    offset,
                    len,
                },
                order: crate::io::ByteOrder::Little,
            },
        }
    }

    /// The whole array as a source; inflated if need be.
    fn open(&self) -> Result<Source> {
        match self {
            Place::Stored(source) => Ok(source.clone()),
            Place::Packed(packed) => packed.open(),
        }
    }
}

/// What has been read so far.
struct Arrays<'a> {
    checkpoint: Checkpoint,
    options: &'a ReadOptions,
    budget: Budget,
}

impl<'a> Arrays<'a> {
    fn new(variant: &str, options: &'a ReadOptions) -> Arrays<'a> {
        Arrays {
            checkpoint: Checkpoint {
                format: "numpy",
                variant: variant.to_owned(),
                ..Checkpoint::default()
            },
            options,
            budget: Budget::new(),
        }
    }

    fn add_member(&mut self, source: &Source, archive: &Archive, member: &Member) -> Result<()> {
        let array = match archive.content(member)? {
            Content::Stored { offset, len } => Place::Stored(source.slice(offset, len)?),
            Content::Packed(packed) => Place::Packed(Arc::new(packed)),
        };
        let name = member.name.strip_suffix(MEMBER_SUFFIX);
        self.add(name.unwrap_or(&member.name), &array)
    }

    /// Adds one array to the tensors or the values.
    fn add(&mut self, name: &str, place: &Place) -> Result<()> {
        if name.len() as u64 > limits::NAME {
            let (found, allowed) = (name.len(), limits::NAME);
            let message = format!("a name has {found} bytes; the limit is {allowed}");
            return Err(Error::limit(message));
        }
        let (header, element, texts) = place.read_front(|next| {
            let header = header::read(place.shown(0), next)?;
            let element = Element::of(&header.descr).map_err(|error| error.at(place.shown(0)))?;
            check_len(&header, &element, place).map_err(|error| error.in_tensor(name))?;
            let texts = text::first_texts(
                &element,
                &header.shape,
                self.options,
                &mut self.budget,
                next,
            )?;
            Ok((header, element, texts))
        })?;
        let mut end = data_len(&header, &element).map(|len| header.len.saturating_add(len));
        let values = match element.kind {
            ElementKind::Number(dtype) => {
                let tensor = tensor(name, dtype, &header, &element, place);
                self.checkpoint.tensors.push(tensor);
                self.checkpoint
                    .notes
                    .extend(trailing_note(name, end, place));
                return Ok(());
            }
            ElementKind::Unicode | ElementKind::Bytes => Some(texts),
            ElementKind::Object => {
                let objects = self.objects(name, &header, place)?;
                end = Some(objects.end);
                self.checkpoint.tensors.extend(objects.tensors);
                self.checkpoint.notes.extend(objects.notes);
                if objects.value.is_none() {
                    self.checkpoint
                        .notes
                        .extend(trailing_note(name, end, place));
                    return Ok(());
                }
                objects.value
            }
            ElementKind::Other => None,
        };
        self.budget.spend()?;
        let value = described(&header, &element, values);
        self.checkpoint.values.push((name.to_owned(), value));
        self.checkpoint
            .notes
            .extend(trailing_note(name, end, place));
        Ok(())
    }

    /// An array of objects. Names in a bare npy start with nothing.
    fn objects(&mut self, name: &str, header: &Header, place: &Place) -> Result<Objects> {
        let path = match self.checkpoint.variant.as_str() {
            "npy" => "",
            _ => name,
        };
        let is_scalar = header.shape.rank() == 0;
        let source = place.open()?;
        object::read(
            &source,
            header.len,
            path,
            is_scalar,
            self.options,
            &mut self.budget,
        )
    }
}

/// Nodes of `values` that may still be made.
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    fn new() -> Budget {
        Budget {
            left: limits::VALUE_NODES,
        }
    }

    /// How many.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Makes one.
    ///
    /// Errors: `Limit` if none is left.
    pub(super) fn spend(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let allowed = limits::VALUE_NODES;
            Error::limit(format!(
                "has over {allowed} values that are no tensors, the limit"
            ))
        })?;
        Ok(())
    }
}

/// Bytes of the elements, if that can be said.
fn data_len(header: &Header, element: &Element) -> Option<u64> {
    header.shape.elements().checked_mul(element.byte_len?)
}

/// Holds the size of the elements against what there is.
fn check_len(header: &Header, element: &Element, place: &Place) -> Result<()> {
    let place_at = |error: Error| error.at(place.shown(header.len));
    let Some(byte_len) = element.byte_len else {
        return Ok(());
    };
    let (name, shape) = (&element.name, &header.shape);
    let needed = shape.elements().checked_mul(byte_len).ok_or_else(|| {
        place_at(Error::malformed(format!(
            "{name} {shape} takes more than 2^64 bytes"
        )))
    })?;
    let available = place.len().saturating_sub(header.len);
    if needed > available {
        let missing = needed.saturating_sub(available);
        let message = format!(
            "{name} {shape} takes {needed} bytes, but only {available} remain: {missing} are missing"
        );
        return Err(place_at(Error::malformed(message).under("truncated")));
    }
    Ok(())
}

fn tensor(name: &str, dtype: DType, header: &Header, element: &Element, place: &Place) -> Tensor {
    let shape = header.shape.clone();
    let len = data_len(header, element).unwrap_or(0);
    let storage = place.storage(header.len, len).with_order(element.order);
    let strides = match header.is_fortran {
        true => column_major(&shape),
        false => shape.row_major_strides().into(),
    };
    let payload = Payload::view(storage, dtype, &shape, 0, strides);
    Tensor::new(name, dtype, shape, payload)
}

/// Strides, in elements, of a shape whose first index runs fastest.
fn column_major(shape: &Shape) -> Box<[u64]> {
    let mut next = 1u64;
    let stride = |&dimension: &u64| {
        let stride = next;
        next = next.saturating_mul(dimension.max(1));
        stride
    };
    shape.dimensions().iter().map(stride).collect()
}

/// The value for an array that is no tensor: a scalar's own, else with type and shape.
fn described(header: &Header, element: &Element, values: Option<Value>) -> Value {
    let is_scalar = header.shape.rank() == 0;
    let values = match values {
        Some(value) if is_scalar => return value,
        values => values,
    };
    let dimensions = header.shape.dimensions().iter().map(|&d| Value::from(d));
    let mut entries = vec![
        ("dtype".to_owned(), Value::text(&element.name)),
        ("shape".to_owned(), Value::List(dimensions.collect())),
    ];
    entries.extend(values.map(|values| ("values".to_owned(), values)));
    Value::Map(entries)
}

/// The note for what follows an array.
fn trailing_note(name: &str, end: Option<u64>, place: &Place) -> Option<Note> {
    let end = end?;
    let left = place.len().checked_sub(end).filter(|&left| left > 0)?;
    let text = format!("{left} bytes follow the array; `numpy.load` does not see them");
    let note = Note::new("trailing-bytes", Level::Warning, text);
    Some(note.on_tensor(name).at(place.shown(end)))
}
