//! Tensor infos, and whether their data lies in the file.

use super::fields::{Fields, Tally};
use super::original::GGML_NAME;
use super::types::{removed_name, tensor_type};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::faults::Faults;
use crate::io::Source;
use crate::limits;
use crate::model::{Note, Payload, Shape, Storage, Tensor};
use std::collections::HashSet;

/// Unknown type numbers of which a note is made.
const UNKNOWN_TYPES: usize = 64;

/// What the header says about one tensor.
#[derive(Debug)]
struct Info {
    name: String,
    dtype: DType,
    shape: Shape,
    /// Bytes from the start of the data section.
    offset: u64,
    /// Where in the file this stands.
    at: u64,
}

/// All tensor infos of a file.
#[derive(Debug, Default)]
pub(super) struct Infos {
    infos: Vec<Info>,
    long_names: Tally,
    altered_names: Tally,
    displaced: Tally,
    /// One tally for each type number without a known layout.
    unknown_types: Vec<(u32, Tally)>,
}

impl Infos {
    /// Reads `count` infos.
    ///
    /// Errors: `Malformed` for a repeated name, over four dimensions, a shape of 2^63 elements
    /// or more, rows that are no whole blocks.
    pub(super) fn read(fields: &mut Fields<'_>, count: u64, faults: &mut Faults) -> Result<Infos> {
        let mut infos = Infos::default();
        for _ in 0..count {
            infos.read_info(fields, faults)?;
        }
        infos.check_names(faults)?;
        Ok(infos)
    }

    /// Bytes of the shortest info: an empty name, no dimension.
    pub(super) fn least_bytes(fields: &Fields<'_>) -> u64 {
        fields.length_bytes().saturating_add(4 + 4 + 8)
    }

    fn read_info(&mut self, fields: &mut Fields<'_>, faults: &mut Faults) -> Result<()> {
        let at = fields.cursor.file_position();
        let name = fields.text(limits::NAME)?;
        if name.altered {
            self.altered_names.add(&name.text, at);
        }
        let name = name.text;
        let place = |error: Error| error.in_tensor(&name).at(at);
        let stated = Stated::read(fields).map_err(place)?;
        let info = stated.check(name.clone(), at).map_err(place);
        let Some(info) = faults.pass(info)? else {
            return Ok(());
        };
        if info.name.len() > GGML_NAME {
            self.long_names.add(&info.name, at);
        }
        if let DType::Unknown(id) = info.dtype {
            self.tally_unknown(id, &info);
        }
        self.infos.push(info);
        Ok(())
    }

    fn tally_unknown(&mut self, id: u32, info: &Info) {
        let is_same = |(known, _): &(u32, Tally)| *known == id;
        // A hostile file could use a million numbers; the first of them are said.
        if !self.unknown_types.iter().any(is_same) && self.unknown_types.len() < UNKNOWN_TYPES {
            self.unknown_types.push((id, Tally::default()));
        }
        if let Some((_, tally)) = self.unknown_types.iter_mut().find(|entry| is_same(entry)) {
            tally.add(&info.name, info.at);
        }
    }

    fn check_names(&self, faults: &mut Faults) -> Result<()> {
        let mut seen = HashSet::with_capacity(self.infos.len());
        for info in &self.infos {
            if !seen.insert(&info.name) {
                let error = Error::malformed("the name occurs twice").under("duplicate-name");
                faults.pass(Err::<(), _>(error.in_tensor(&info.name).at(info.at)))?;
            }
        }
        Ok(())
    }

    /// The tensors, whose data section starts at `data_start`.
    ///
    /// Errors: `Malformed` if the data of one reaches beyond the end of the file.
    pub(super) fn locate(
        &mut self,
        place: &DataSection<'_>,
        faults: &mut Faults,
    ) -> Result<Vec<Tensor>> {
        if faults.are_noted() {
            faults.pass(self.check_end(place))?;
        }
        let mut tensors = Vec::with_capacity(self.infos.len());
        let mut expected = Some(0);
        for info in std::mem::take(&mut self.infos) {
            if expected.is_some_and(|expected| expected != info.offset) {
                self.displaced.add(&info.name, info.at);
            }
            expected = place.after(&info);
            let is_beyond = place
                .end_of(&info)
                .is_some_and(|end| end > place.source.len());
            let payload = match is_beyond && faults.are_noted() {
                true => Payload::Absent("it lies beyond the end of the file"),
                false => {
                    let payload = place.payload(&info);
                    let payload = payload.map_err(|error| error.in_tensor(&info.name));
                    let absent = Payload::Absent("it lies nowhere");
                    faults.pass(payload)?.unwrap_or(absent)
                }
            };
            tensors.push(Tensor::new(info.name, info.dtype, info.shape, payload));
        }
        Ok(tensors)
    }

    /// Whether the file holds all of the tensors whose place is known.
    fn check_end(&self, place: &DataSection<'_>) -> Result<()> {
        let ends = self.infos.iter().filter_map(|info| place.end_of(info));
        let needed = ends.clone().max().unwrap_or(0);
        let present = place.source.len();
        if needed <= present {
            return Ok(());
        }
        let cut = ends.filter(|end| *end > present).count();
        let message = format!(
            "has {present} bytes, but its tensors need {needed}: {} are missing, which cut {cut} of {} tensors",
            needed.saturating_sub(present),
            self.infos.len()
        );
        Err(Error::malformed(message)
            .under("truncated")
            .at(place.source.file_offset(present)))
    }

    /// What was odd.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        let long = self.long_names.tensor_note(
            "gguf-long-name",
            &format!("names over the {GGML_NAME} bytes that ggml keeps"),
        );
        let altered = self.altered_names.tensor_note(
            "gguf-text",
            "names that are not UTF-8 or end in NUL bytes, shown as far as they can be",
        );
        let displaced = self.displaced.tensor_note(
            "gguf-offset",
            "tensors that do not start where the one before them ends, which ggml refuses",
        );
        let unknown = self.unknown_types.iter().filter_map(|(id, tally)| {
            let what = removed_name(*id).map_or("not known".to_owned(), |name| {
                format!("{name}, removed from the format")
            });
            let text = format!("tensors of type {id} ({what}), whose data cannot be read");
            tally.tensor_note("unknown-type", &text)
        });
        long.into_iter()
            .chain(altered)
            .chain(displaced)
            .chain(unknown)
    }
}

/// What follows the name of a tensor, nothing of it checked but the number of dimensions.
struct Stated {
    dimensions: Vec<u64>,
    /// Where in the file the dimensions stand.
    dimensions_at: u64,
    dtype: DType,
    offset: u64,
}

impl Stated {
    fn read(fields: &mut Fields<'_>) -> Result<Stated> {
        let dimensions_at = fields.cursor.file_position();
        let rank = fields.cursor.u32()?;
        if rank > limits::GGUF_DIMENSIONS {
            let limit = limits::GGUF_DIMENSIONS;
            let message = format!("has {rank} dimensions; the limit is {limit}");
            return Err(Error::malformed(message).at(dimensions_at));
        }
        let mut dimensions = Vec::new();
        for _ in 0..rank {
            dimensions.push(fields.length()?);
        }
        dimensions.reverse();
        Ok(Stated {
            dimensions,
            dimensions_at,
            dtype: tensor_type(fields.cursor.u32()?),
            offset: fields.cursor.u64()?,
        })
    }

    fn check(self, name: String, at: u64) -> Result<Info> {
        let place = |error: Error| error.at(self.dimensions_at);
        let shape = Shape::new(self.dimensions).map_err(place)?;
        let dtype = self.dtype;
        let block = u64::from(dtype.facts().block_elements);
        if !shape.row_elements().is_multiple_of(block) {
            let row = shape.row_elements();
            let message =
                format!("rows of {row} elements are no whole blocks of {dtype} ({block})");
            return Err(place(Error::malformed(message)));
        }
        Ok(Info {
            name,
            dtype,
            shape,
            offset: self.offset,
            at,
        })
    }
}

/// Where tensor data lies.
#[derive(Debug)]
pub(super) struct DataSection<'a> {
    pub(super) source: &'a Source,
    pub(super) order: crate::io::ByteOrder,
    /// First byte, from the start of the source.
    pub(super) start: u64,
    /// A power of two.
    pub(super) alignment: u64,
}

impl DataSection<'_> {
    /// Where in the source a tensor of a known layout ends, if it can.
    fn end_of(&self, info: &Info) -> Option<u64> {
        if matches!(info.dtype, DType::Unknown(_)) {
            return None;
        }
        let len = info.dtype.byte_len(info.shape.elements())?;
        // An empty tensor may stand anywhere.
        if len == 0 {
            return None;
        }
        self.start.checked_add(info.offset)?.checked_add(len)
    }

    /// Where the next tensor should start, if that is known.
    fn after(&self, info: &Info) -> Option<u64> {
        let len = info.dtype.byte_len(info.shape.elements())?;
        info.offset
            .checked_add(len)?
            .checked_next_multiple_of(self.alignment)
    }

    fn payload(&self, info: &Info) -> Result<Payload> {
        if let DType::Unknown(_) = info.dtype {
            return Ok(Payload::Absent("its type has no known layout"));
        }
        let elements = info.shape.elements();
        let len = info.dtype.byte_len(elements).ok_or_else(|| {
            let dtype = info.dtype;
            Error::malformed(format!("{elements} elements of {dtype} exceed 2^64 bytes"))
                .at(info.at)
        })?;
        let start = self.start.checked_add(info.offset).ok_or_else(|| {
            let offset = info.offset;
            Error::malformed(format!("offset {offset} exceeds 2^64 bytes")).at(info.at)
        })?;
        let present = self.source.len().saturating_sub(start);
        // An empty tensor may stand anywhere.
        if len > present {
            let message = format!("needs {len} bytes, but only {present} remain");
            let error = Error::malformed(message).under("truncated");
            return Err(error.at(self.source.file_offset(start)));
        }
        let storage = Storage::extent(self.source, start.min(self.source.len()), len);
        Ok(Payload::Stored(storage.with_order(self.order)))
    }
}
