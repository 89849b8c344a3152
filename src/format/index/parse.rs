//! The JSON of an index, read in one pass.

use crate::error::{Error, Kind};
use crate::limits;
use crate::model::Value;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::collections::HashMap;
use std::fmt;

/// What an index says.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// `metadata`, in the order of the file.
    pub(super) metadata: Vec<(String, Value)>,
    /// The shards, in the order in which they are first named.
    pub(super) files: Vec<String>,
    /// The tensors with the number of their shard, in the order of the file.
    pub(super) tensors: Vec<(String, usize)>,
}

/// Reads an index.
///
/// Errors: `Malformed` for what is none, `Limit` past [`limits::SHARDS`], [`limits::TENSORS`]
/// or, for its `metadata`, [`limits::VALUE_NODES`].
pub(super) fn parse(bytes: &[u8]) -> Result<Index, Error> {
    let mut reader = IndexReader::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = json.deserialize_map(&mut reader);
    parsed.and_then(|()| json.end()).map_err(|error| {
        let kind = match reader.is_over_limit {
            true => Kind::Limit,
            false => Kind::Malformed,
        };
        Error::new(kind, format!("is no valid index of shards: {error}"))
    })?;
    if !reader.has_weight_map {
        let message = "is no valid index of shards: it has no `weight_map`";
        return Err(Error::malformed(message));
    }
    if reader.index.files.is_empty() {
        return Err(Error::malformed("names no shard in its `weight_map`"));
    }
    Ok(reader.index)
}

/// Fills an [`Index`].
#[derive(Default)]
struct IndexReader {
    index: Index,
    has_weight_map: bool,
    /// Number of each file.
    numbers: HashMap<String, usize>,
    /// Nodes of `metadata` so far.
    nodes: u64,
    is_over_limit: bool,
}

impl IndexReader {
    fn over_limit<E: serde::de::Error>(&mut self, what: &str, allowed: u64) -> E {
        self.is_over_limit = true;
        E::custom(format_args!("over {allowed} {what}, the limit"))
    }

    /// The number of a file, which may be a new one.
    fn number<E: serde::de::Error>(&mut self, file: String) -> Result<usize, E> {
        if let Some(&number) = self.numbers.get(&file) {
            return Ok(number);
        }
        let number = self.index.files.len();
        if number as u64 >= limits::SHARDS {
            return Err(self.over_limit("shards", limits::SHARDS));
        }
        self.index.files.push(file.clone());
        self.numbers.insert(file, number);
        Ok(number)
    }
}

impl<'de> Visitor<'de> for &mut IndexReader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a `weight_map`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "weight_map" if self.has_weight_map => {
                    return Err(A::Error::duplicate_field("weight_map"));
                }
                "weight_map" => {
                    self.has_weight_map = true;
                    map.next_value_seed(WeightMapReader(self))?;
                }
                "metadata" => {
                    self.index.metadata = match map.next_value_seed(ValueReader(self))? {
                        Value::Map(entries) => entries,
                        Value::Null => Vec::new(),
                        other => vec![(key, other)],
                    };
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads `weight_map`.
struct WeightMapReader<'a>(&'a mut IndexReader);

impl<'de> DeserializeSeed<'de> for WeightMapReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMapReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`weight_map` as an object of file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((tensor, file)) = map.next_entry::<String, String>()? {
            if self.0.index.tensors.len() as u64 >= limits::TENSORS {
                return Err(self.0.over_limit("tensors", limits::TENSORS));
            }
            let number = self.0.number(file)?;
            self.0.index.tensors.push((tensor, number));
        }
        Ok(())
    }
}

/// Reads any JSON as a [`Value`], as far as [`limits::VALUE_NODES`] goes; serde_json bounds
/// the depth.
struct ValueReader<'a>(&'a mut IndexReader);

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.nodes = self.0.nodes.saturating_add(1);
        if self.0.nodes > limits::VALUE_NODES {
            return Err(self
                .0
                .over_limit("values in `metadata`", limits::VALUE_NODES));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(ValueReader(&mut *self.0))? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value_seed(ValueReader(&mut *self.0))?));
        }
        Ok(Value::Map(entries))
    }
}
