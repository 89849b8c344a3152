//! Key-value pairs.

use super::fields::{Fields, Tally, Text};
use super::types::ValueType;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::io::ByteOrder;
use crate::limits;
use crate::model::{Array, Level, Note, Storage, Value};
use std::collections::HashSet;

/// Before the name of a tensor whose shape is another in the file.
pub(super) const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// The alignment of a file that states none.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;

/// The key that states another one.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

/// All key-value pairs of a file.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) entries: Vec<(String, Value)>,
    /// The type of each value, by key.
    pub(super) types: Vec<(String, &'static str)>,
    /// Where the bytes of texts and arrays lie, by key, if a file that is written has the same.
    pub(super) stored: Vec<(String, Storage)>,
    /// Tensor data is aligned to this many bytes: a power of two.
    pub(super) alignment: u64,
    altered_texts: Tally,
    nested_arrays: Tally,
    /// Keys of shapes that tensors had, and where they stand.
    pub(super) original_shapes: Vec<(String, u64)>,
}

impl Metadata {
    /// Reads `count` pairs. Arrays up to `options.array_elements` are materialised.
    ///
    /// Errors: `Malformed` for an empty or repeated key, an unknown type, a count or length
    /// that exceeds what remains, an alignment that is no power of two; `Limit` for what
    /// exceeds `limits.rs`.
    pub(super) fn read(
        fields: &mut Fields<'_>,
        count: u64,
        options: &ReadOptions,
    ) -> Result<Metadata> {
        let mut metadata = Metadata {
            alignment: DEFAULT_ALIGNMENT,
            ..Metadata::default()
        };
        for _ in 0..count {
            metadata.read_entry(fields, options)?;
        }
        metadata.check_keys()?;
        Ok(metadata)
    }

    fn read_entry(&mut self, fields: &mut Fields<'_>, options: &ReadOptions) -> Result<()> {
        let at = fields.cursor.file_position();
        let key = fields.text(limits::NAME)?;
        self.tally_text(&key, &key.text, at);
        let key = key.text;
        if key.is_empty() {
            return Err(Error::malformed("a metadata key is empty").at(at));
        }
        if key.starts_with(ORIGINAL_SHAPE) {
            self.original_shapes.push((key.clone(), at));
        }
        let kind = read_type(fields)?;
        let start = fields.cursor.position();
        let mut values = Values {
            fields,
            options,
            key: &key,
            metadata: self,
        };
        let (value, type_name) = values.read(kind)?;
        if key == ALIGNMENT_KEY {
            self.alignment = alignment(&value).map_err(|error| error.at(at))?;
        }
        let is_as_written = fields.version > 1 && fields.cursor.order() == ByteOrder::Little;
        if is_as_written && matches!(kind, ValueType::Text | ValueType::Array) {
            let len = fields.cursor.position().saturating_sub(start);
            let stored = Storage::extent(fields.cursor.source(), start, len);
            self.stored.push((key.clone(), stored));
        }
        self.types.push((key.clone(), type_name));
        self.entries.push((key, value));
        Ok(())
    }

    fn tally_text(&mut self, text: &Text, key: &str, at: u64) {
        if text.altered {
            self.altered_texts.add(key, at);
        }
    }

    fn check_keys(&self) -> Result<()> {
        let mut seen = HashSet::with_capacity(self.entries.len());
        match self.entries.iter().find(|(key, _)| !seen.insert(key)) {
            Some((key, _)) => Err(Error::malformed(format!(
                "metadata key `{key}` occurs twice"
            ))),
            None => Ok(()),
        }
    }

    /// What was odd.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        let altered = self.altered_texts.note(
            "gguf-text",
            Level::Warning,
            "texts that are not UTF-8 or end in NUL bytes, shown as far as they can be",
        );
        let nested = self.nested_arrays.note(
            "gguf-nested-array",
            Level::Warning,
            "arrays of arrays, which ggml refuses",
        );
        let mut reshaped = Tally::default();
        for (key, at) in &self.original_shapes {
            reshaped.add(key, *at);
        }
        let reshaped = reshaped.note(
            "gguf-original-shape",
            Level::Info,
            "tensors that were reshaped when they were quantised; the metadata has their true shapes",
        );
        altered.into_iter().chain(nested).chain(reshaped)
    }
}

/// A type's number, as a type.
fn read_type(fields: &mut Fields<'_>) -> Result<ValueType> {
    let at = fields.cursor.file_position();
    let id = fields.cursor.u32()?;
    ValueType::from_id(id)
        .ok_or_else(|| Error::malformed(format!("value type {id}; 0 to 12 exist")).at(at))
}

pub(super) fn alignment(value: &Value) -> Result<u64> {
    let found = value.as_u64().filter(|found| found.is_power_of_two());
    found.ok_or_else(|| {
        let found = match value {
            Value::Int(number) => number.to_string(),
            Value::Unsigned(number) => number.to_string(),
            _ => "no integer".to_owned(),
        };
        Error::malformed(format!(
            "`{ALIGNMENT_KEY}` is {found}; it must be a power of two"
        ))
    })
}

/// Reads one value, of any depth.
struct Values<'v, 'a> {
    fields: &'v mut Fields<'a>,
    options: &'v ReadOptions,
    key: &'v str,
    metadata: &'v mut Metadata,
}

impl Values<'_, '_> {
    fn read(&mut self, kind: ValueType) -> Result<(Value, &'static str)> {
        match kind {
            ValueType::Array => self.array(0),
            kind => Ok((self.value(kind, 0)?, kind.name())),
        }
    }

    /// A value inside `depth` arrays.
    fn value(&mut self, kind: ValueType, depth: usize) -> Result<Value> {
        let cursor = &mut self.fields.cursor;
        Ok(match kind {
            ValueType::U8 => Value::Int(i64::from(cursor.u8()?)),
            ValueType::I8 => Value::Int(i64::from(cursor.u8()?.cast_signed())),
            ValueType::U16 => Value::Int(i64::from(cursor.u16()?)),
            ValueType::I16 => Value::Int(i64::from(cursor.u16()?.cast_signed())),
            ValueType::U32 => Value::Int(i64::from(cursor.u32()?)),
            ValueType::I32 => Value::Int(i64::from(cursor.i32()?)),
            ValueType::U64 => Value::from(cursor.u64()?),
            ValueType::I64 => Value::Int(cursor.i64()?),
            ValueType::F32 => Value::Float(f64::from(f32::from_bits(cursor.u32()?))),
            ValueType::F64 => Value::Float(f64::from_bits(cursor.u64()?)),
            ValueType::Bool => Value::Bool(cursor.u8()? != 0),
            ValueType::Text => self.text()?,
            ValueType::Array => self.array(depth)?.0,
        })
    }

    fn text(&mut self) -> Result<Value> {
        let at = self.fields.cursor.file_position();
        let text = self.fields.text(limits::METADATA_TEXT)?;
        self.metadata.tally_text(&text, self.key, at);
        Ok(Value::Text(text.text))
    }

    /// An array inside `depth` others: all of it, or its beginning if it is a long one.
    fn array(&mut self, depth: usize) -> Result<(Value, &'static str)> {
        let (kind, length) = self.array_head(depth)?;
        let wanted = if length <= self.options.array_elements {
            length
        } else {
            ReadOptions::SUMMARY.array_elements
        };
        let shown = self.fields.grant_elements(wanted);
        let mut first = Vec::new();
        for _ in 0..shown {
            first.push(self.value(kind, depth.saturating_add(1))?);
        }
        self.skip(kind, length.saturating_sub(shown), depth)?;
        let value = if shown == length {
            Value::List(first)
        } else {
            let element = kind.name().to_owned();
            Value::Array(Array {
                element,
                length,
                first,
            })
        };
        Ok((value, kind.array_name()))
    }

    /// The type and count of an array's elements, which fit what remains.
    fn array_head(&mut self, depth: usize) -> Result<(ValueType, u64)> {
        let at = self.fields.cursor.file_position();
        if depth > limits::GGUF_NESTING {
            let limit = limits::GGUF_NESTING;
            let message = format!("`{}` nests arrays deeper than {limit}", self.key);
            return Err(Error::limit(message).at(at));
        }
        let kind = read_type(self.fields)?;
        if kind == ValueType::Array && depth == 0 {
            self.metadata.nested_arrays.add(self.key, at);
        }
        let length_bytes = self.fields.length_bytes();
        let least = match kind {
            ValueType::Array => length_bytes.saturating_add(4),
            kind => kind.byte_len().unwrap_or(length_bytes),
        };
        let what = format_args!("elements of `{}`", self.key);
        let length = self.fields.count(what, least, limits::GGUF_STRING)?;
        Ok((kind, length))
    }

    /// Passes over `count` elements, texts without allocating.
    fn skip(&mut self, kind: ValueType, count: u64, depth: usize) -> Result<()> {
        if let Some(size) = kind.byte_len() {
            return self.fields.cursor.skip(count.saturating_mul(size));
        }
        for _ in 0..count {
            match kind {
                ValueType::Array => {
                    let depth = depth.saturating_add(1);
                    let (inner, length) = self.array_head(depth)?;
                    self.skip(inner, length, depth)?;
                }
                _ => self.fields.skip_text()?,
            }
        }
        Ok(())
    }
}
