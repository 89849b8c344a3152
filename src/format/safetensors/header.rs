//! The JSON header: bytes to entries in one pass, without a tree of values in between.

use super::METADATA_KEY;
use crate::error::{Error, Kind};
use crate::limits;
use safetensors::Dtype;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

/// What a header says, not yet held against itself or the file.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Key-value pairs of `__metadata__` in file order; keys may repeat.
    pub(super) metadata: Vec<(String, String)>,
    /// Whether `__metadata__` is null.
    pub(super) has_null_metadata: bool,
    /// Tensors in file order; names may repeat.
    pub(super) entries: Vec<Entry>,
    /// Fields of entries that nobody reads.
    pub(super) unknown_fields: u64,
    /// The first of them: tensor and field.
    pub(super) first_unknown_field: Option<(String, String)>,
}

/// One tensor, as the header describes it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    /// Outermost first; at most [`limits::DIMENSIONS`].
    pub(super) dimensions: Box<[u64]>,
    /// First byte within the data.
    pub(super) begin: u64,
    /// Byte after the last, within the data.
    pub(super) end: u64,
}

/// Reads a header of which `bytes` are all; `start` is its offset in the file.
///
/// Errors: `Malformed` for what is no JSON or no header, `Limit` past [`limits::TENSORS`],
/// [`limits::METADATA_ENTRIES`], [`limits::DIMENSIONS`] or [`limits::NAME`].
pub(super) fn parse(bytes: &[u8], start: u64) -> Result<Header, Error> {
    let mut reader = HeaderReader::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = (&mut reader).deserialize(&mut json);
    match parsed.and_then(|()| json.end()) {
        Ok(()) => Ok(reader.header),
        Err(error) => Err(reader.failure(&error, bytes, start)),
    }
}

/// Fills a [`Header`] and remembers where it failed.
#[derive(Default)]
struct HeaderReader {
    header: Header,
    tensor: Option<String>,
    is_over_limit: bool,
}

impl HeaderReader {
    fn failure(self, error: &serde_json::Error, bytes: &[u8], start: u64) -> Error {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = error.to_string();
        let text = text.strip_suffix(&place).unwrap_or(&text);
        let (kind, message) = match self.is_over_limit {
            true => (Kind::Limit, text.to_owned()),
            false => (Kind::Malformed, format!("header is not valid: {text}")),
        };
        let offset = offset_of(bytes, error.line(), error.column());
        let error = Error::new(kind, message).at(start.saturating_add(offset));
        match self.tensor {
            Some(tensor) => error.in_tensor(&tensor),
            None => error,
        }
    }

    /// An error about what we allow, not about what the format allows.
    fn over_limit<E: serde::de::Error>(&mut self, message: fmt::Arguments<'_>) -> E {
        self.is_over_limit = true;
        E::custom(message)
    }

    fn check_name<E: serde::de::Error>(&mut self, name: &str) -> Result<(), E> {
        let length = name.len() as u64;
        if length > limits::NAME {
            let allowed = limits::NAME;
            return Err(self.over_limit(format_args!(
                "a name has {length} bytes; the limit is {allowed}"
            )));
        }
        Ok(())
    }
}

/// The offset in `bytes` of serde_json's line and column, both counted from 1.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> u64 {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let line_start = match line {
        0 | 1 => 0,
        _ => newlines
            .map(|(index, _)| index.saturating_add(1))
            .nth(line.saturating_sub(2))
            .unwrap_or(0),
    };
    line_start.saturating_add(column).saturating_sub(1) as u64
}

impl<'de> DeserializeSeed<'de> for &mut HeaderReader {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut HeaderReader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                if std::mem::replace(&mut has_metadata, true) {
                    return Err(A::Error::duplicate_field(METADATA_KEY));
                }
                map.next_value_seed(MetadataReader(self))?;
                continue;
            }
            self.check_name(&name)?;
            if self.header.entries.len() as u64 >= limits::TENSORS {
                let allowed = limits::TENSORS;
                return Err(self.over_limit(format_args!("has over {allowed} tensors, the limit")));
            }
            match map.next_value_seed(EntryReader { reader: self }) {
                Ok(parts) => {
                    let entry = parts.named(name, self);
                    self.header.entries.push(entry);
                }
                Err(error) => {
                    self.tensor = Some(name);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Reads the value of `__metadata__`: a map of strings, or null.
struct MetadataReader<'a>(&'a mut HeaderReader);

impl<'de> DeserializeSeed<'de> for MetadataReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for MetadataReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`__metadata__` as an object of strings")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.0.header.has_null_metadata = true;
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut metadata = Vec::new();
        while let Some(entry) = map.next_entry::<String, String>()? {
            if metadata.len() as u64 >= limits::METADATA_ENTRIES {
                let allowed = limits::METADATA_ENTRIES;
                let message = format_args!("`__metadata__` has over {allowed} entries, the limit");
                return Err(self.0.over_limit(message));
            }
            metadata.push(entry);
        }
        self.0.header.metadata = metadata;
        Ok(())
    }
}

/// An entry without its name.
struct Parts {
    dtype: Dtype,
    dimensions: Box<[u64]>,
    offsets: (u64, u64),
    unknown_fields: u64,
    first_unknown_field: Option<String>,
}

impl Parts {
    fn named(self, name: String, reader: &mut HeaderReader) -> Entry {
        let header = &mut reader.header;
        header.unknown_fields = header.unknown_fields.saturating_add(self.unknown_fields);
        if let Some(field) = self.first_unknown_field {
            header
                .first_unknown_field
                .get_or_insert_with(|| (name.clone(), field));
        }
        Entry {
            name,
            dtype: self.dtype,
            dimensions: self.dimensions,
            begin: self.offsets.0,
            end: self.offsets.1,
        }
    }
}

/// Reads the value of one tensor's key.
struct EntryReader<'a> {
    reader: &'a mut HeaderReader,
}

const FIELDS: &[&str] = &["dtype", "shape", "data_offsets"];

impl<'de> DeserializeSeed<'de> for EntryReader<'_> {
    type Value = Parts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parts, D::Error> {
        deserializer.deserialize_struct("TensorInfo", FIELDS, self)
    }
}

impl<'de> Visitor<'de> for EntryReader<'_> {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let (mut dtype, mut dimensions, mut offsets) = (None, None, None);
        let (mut unknown_fields, mut first_unknown_field) = (0u64, None);
        while let Some(field) = map.next_key_seed(FieldReader)? {
            let is_repeated = match field {
                Field::Dtype => dtype.replace(map.next_value::<Dtype>()?).is_some(),
                Field::Shape => dimensions
                    .replace(map.next_value_seed(ShapeReader(self.reader))?)
                    .is_some(),
                Field::Offsets => offsets.replace(map.next_value::<(u64, u64)>()?).is_some(),
                Field::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    unknown_fields = unknown_fields.saturating_add(1);
                    first_unknown_field.get_or_insert(name);
                    false
                }
            };
            if is_repeated {
                return Err(A::Error::custom("a field stands there twice"));
            }
        }
        Ok(Parts {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            dimensions: dimensions.ok_or_else(|| A::Error::missing_field("shape"))?,
            offsets: offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
            unknown_fields,
            first_unknown_field,
        })
    }

    /// `["F32", [2, 3], [0, 24]]`: nobody writes it, but the crate reads it.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Parts, A::Error> {
        let short = |length| A::Error::invalid_length(length, &"three elements");
        Ok(Parts {
            dtype: sequence.next_element()?.ok_or_else(|| short(0))?,
            dimensions: sequence
                .next_element_seed(ShapeReader(self.reader))?
                .ok_or_else(|| short(1))?,
            offsets: sequence.next_element()?.ok_or_else(|| short(2))?,
            unknown_fields: 0,
            first_unknown_field: None,
        })
    }
}

/// A field of an entry.
enum Field {
    Dtype,
    Shape,
    Offsets,
    Unknown(String),
}

struct FieldReader;

impl<'de> DeserializeSeed<'de> for FieldReader {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldReader {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(match name {
            "dtype" => Field::Dtype,
            "shape" => Field::Shape,
            "data_offsets" => Field::Offsets,
            unknown => Field::Unknown(unknown.chars().take(64).collect()),
        })
    }
}

/// Reads dimensions into a box of their number.
struct ShapeReader<'a>(&'a mut HeaderReader);

impl<'de> DeserializeSeed<'de> for ShapeReader<'_> {
    type Value = Box<[u64]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<[u64]>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ShapeReader<'_> {
    type Value = Box<[u64]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Box<[u64]>, A::Error> {
        let mut dimensions = [0; limits::DIMENSIONS];
        let mut rank = 0usize;
        while let Some(dimension) = sequence.next_element()? {
            let Some(slot) = dimensions.get_mut(rank) else {
                let allowed = limits::DIMENSIONS;
                return Err(self.0.over_limit(format_args!(
                    "shape has over {allowed} dimensions, the limit"
                )));
            };
            *slot = dimension;
            rank = rank.saturating_add(1);
        }
        Ok(dimensions.get(..rank).unwrap_or_default().into())
    }
}
