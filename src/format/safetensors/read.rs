//! Header to checkpoint: the entries held against each other and against the file.

use super::header::{self, Entry, Header};
use super::{LENGTH_BYTES, from_crate};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::format::ReadOptions;
use crate::format::faults::Faults;
use crate::io::Source;
use crate::limits;
use crate::model::{Checkpoint, Level, Note, Payload, Shape, Storage, Tensor, Value, Winner};
use safetensors::Dtype;
use std::collections::{HashMap, HashSet};

/// Bytes of a header that the Hub's tools read of a remote file
/// (huggingface_hub, `SAFETENSORS_MAX_HEADER_LENGTH`).
const HUB_HEADER: u64 = 25_000_000;

/// Reads the header of a safetensors file.
///
/// Errors: `Malformed` for what the official crate rejects, `Limit` for what `limits.rs` does.
pub(super) fn read(source: &Source, options: &ReadOptions) -> Result<Checkpoint> {
    let length = header_length(source)?;
    let bytes = source.read_vec(LENGTH_BYTES, length)?;
    let header = header::parse(&bytes, source.file_offset(LENGTH_BYTES))?;
    let mut notes = Vec::new();
    note_odd_layout(&bytes, &mut notes);
    drop(bytes);
    let data = Data {
        source,
        start: LENGTH_BYTES.saturating_add(length),
    };
    let mut faults = Faults::new(options);
    let mut checkpoint = assemble(header, &data, notes, &mut faults)?;
    for note in &mut checkpoint.notes {
        note.place.offset = note.place.offset.map(|offset| source.file_offset(offset));
    }
    checkpoint.notes.extend(faults.into_notes());
    Ok(checkpoint)
}

fn header_length(source: &Source) -> Result<u64> {
    let file = source.len();
    let place = |error: Error| error.at(source.file_offset(0));
    let Ok(bytes) = source.read_vec(0, LENGTH_BYTES) else {
        let message = format!("has {file} bytes; the header's length alone takes 8");
        return Err(place(Error::malformed(message).under("truncated")));
    };
    let length = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let available = file.saturating_sub(LENGTH_BYTES);
    if length > available {
        let message = format!(
            "header says {length} bytes, but the file has {available} after its first 8: {} are missing",
            length.saturating_sub(available)
        );
        return Err(place(Error::malformed(message).under("truncated")));
    }
    let allowed = limits::SAFETENSORS_HEADER;
    if length > allowed {
        let message = format!("header says {length} bytes; the limit is {allowed}");
        return Err(place(Error::limit(message)));
    }
    Ok(length)
}

/// Notes on the header's form.
fn note_odd_layout(bytes: &[u8], notes: &mut Vec<Note>) {
    let length = bytes.len();
    let leading = length.saturating_sub(bytes.trim_ascii_start().len());
    if leading > 0 {
        let text = format!("{leading} bytes of white space stand before the header's `{{`");
        notes.push(Note::new("leading-whitespace", Level::Warning, text).at(LENGTH_BYTES));
    }
    if !length.is_multiple_of(8) {
        let text = format!("the header has {length} bytes, no multiple of 8");
        notes.push(Note::new("unaligned-header", Level::Info, text).at(0));
    }
    if length as u64 > HUB_HEADER {
        let text = format!(
            "the header has {length} bytes; the Hub's tools read up to {HUB_HEADER} of a remote file"
        );
        notes.push(Note::new("large-header", Level::Info, text).at(0));
    }
}

fn assemble(
    header: Header,
    data: &Data<'_>,
    mut notes: Vec<Note>,
    faults: &mut Faults,
) -> Result<Checkpoint> {
    note_odd_content(&header, &mut notes);
    let names = Names::of(&header.entries);
    data.check_tiling(&header.entries, &names, faults)?;
    note_order(&header.entries, data, &mut notes);
    let metadata = last_of_each_key(header.metadata, &mut notes);
    let aliases = find_aliases(&metadata, &names);
    let count = header.entries.len().saturating_add(aliases.len()) as u64;
    if count > limits::TENSORS {
        let allowed = limits::TENSORS;
        let message = format!("has {count} tensors with their aliases; the limit is {allowed}");
        return Err(Error::limit(message).at(data.source.file_offset(LENGTH_BYTES)));
    }
    let Names { repeated, .. } = names;
    let mut tensors = Vec::with_capacity(header.entries.len());
    for (index, entry) in header.entries.into_iter().enumerate() {
        let is_repeated = repeated.contains(&index);
        let may_be_cut = faults.are_noted() && !is_repeated;
        tensors.push(match data.tensor(entry, may_be_cut) {
            Ok(tensor) => Some(tensor),
            Err(error) if is_repeated => {
                notes.push(left_out(&error));
                None
            }
            Err(error) => faults.pass(Err(error))?,
        });
    }
    let alias = |(name, index): (String, usize)| {
        let mut tensor = tensors.get(index)?.clone()?;
        tensor.name = name;
        Some(tensor)
    };
    let aliases: Vec<Tensor> = aliases.into_iter().filter_map(alias).collect();
    let mut checkpoint = Checkpoint {
        format: "safetensors",
        metadata,
        notes,
        tensors: tensors.into_iter().flatten().chain(aliases).collect(),
        ..Checkpoint::default()
    };
    if !repeated.is_empty() {
        checkpoint.make_names_unique(Winner::Last);
    }
    Ok(checkpoint)
}

/// The note for an earlier entry of a repeated name that could not be read at all.
fn left_out(error: &Error) -> Note {
    let text = format!(
        "the name occurs twice, and what stands there first is left out: {}",
        error.message()
    );
    let mut note = Note::new("duplicate-name", Level::Warning, text);
    note.place = error.place().clone();
    note
}

/// Which entry has which name.
struct Names<'a> {
    /// The last entry of each name: the one that the official crate loads.
    last: HashMap<&'a str, usize>,
    /// The other entries.
    repeated: HashSet<usize>,
}

impl<'a> Names<'a> {
    fn of(entries: &'a [Entry]) -> Names<'a> {
        let mut last = HashMap::with_capacity(entries.len());
        let mut repeated = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            repeated.extend(last.insert(entry.name.as_str(), index));
        }
        Names { last, repeated }
    }

    /// What to add to an error that a repeated name may explain.
    fn explanation(&self, entries: &[Entry]) -> String {
        let first = self.repeated.iter().min();
        match first.and_then(|&index| entries.get(index)) {
            Some(entry) => format!(
                "; the header has `{}` more than once, and only the last counts",
                entry.name
            ),
            None => String::new(),
        }
    }
}

/// The data of a file, which the entries are to tile.
struct Data<'a> {
    source: &'a Source,
    /// Where it starts in the source.
    start: u64,
}

impl Data<'_> {
    /// `offset` within the data as an offset in the file.
    fn in_file(&self, offset: u64) -> u64 {
        self.source.file_offset(self.start.saturating_add(offset))
    }

    /// Holds the entries that count against each other and the file, in the order of their
    /// data: no gap, no overlap, nothing missing, nothing left.
    fn check_tiling(
        &self,
        entries: &[Entry],
        names: &Names<'_>,
        faults: &mut Faults,
    ) -> Result<()> {
        let counts = |index: &usize| !names.repeated.contains(index);
        let kept = (0..entries.len()).filter(counts);
        let mut kept: Vec<&Entry> = kept.filter_map(|index| entries.get(index)).collect();
        if !kept.is_sorted_by_key(|entry| (entry.begin, entry.end)) {
            kept.sort_by_key(|entry| (entry.begin, entry.end));
        }
        let mut before: Option<&Entry> = None;
        for &entry in &kept {
            let place = |error: Error| error.at(self.in_file(entry.begin)).in_tensor(&entry.name);
            faults.pass(self.check_span(entry).map_err(place))?;
            let joint = self.check_joint(before, entry, names, entries);
            faults.pass(joint.map_err(place))?;
            if before.is_none_or(|before| before.end <= entry.end) {
                before = Some(entry);
            }
        }
        let last = before.map_or(0, |before| before.end);
        faults.pass(self.check_end(&kept, last))?;
        Ok(())
    }

    /// Whether `entry` ends after it begins, and where a file may end.
    fn check_span(&self, entry: &Entry) -> Result<()> {
        let (begin, end) = (entry.begin, entry.end);
        span(begin, end)?;
        if self.start.checked_add(end).is_none() {
            let message = format!("data_offsets [{begin}, {end}] lie beyond any file's end");
            return Err(Error::malformed(message).at(self.in_file(0)));
        }
        Ok(())
    }

    /// Whether `entry` starts where the one before it ends.
    fn check_joint(
        &self,
        before: Option<&Entry>,
        entry: &Entry,
        names: &Names<'_>,
        entries: &[Entry],
    ) -> Result<()> {
        let expected = before.map_or(0, |before| before.end);
        if entry.begin == expected {
            return Ok(());
        }
        let (begin, end) = (self.in_file(entry.begin), self.in_file(expected));
        let explanation = names.explanation(entries);
        let rule = match before {
            Some(_) if entry.begin < expected => "overlap",
            _ => "gap",
        };
        let message = match before {
            Some(before) if entry.begin < expected => format!(
                "data starts at byte {begin}, inside that of `{}`, which ends at byte {end}: they overlap by {} bytes{explanation}",
                before.name,
                end.saturating_sub(begin)
            ),
            _ => format!(
                "data starts at byte {begin}, but what stands before it ends at byte {end}: {} bytes belong to no tensor{explanation}",
                begin.saturating_sub(end)
            ),
        };
        Err(Error::malformed(message).under(rule))
    }

    /// Whether the data ends where the last entry does.
    fn check_end(&self, kept: &[&Entry], needed: u64) -> Result<()> {
        let available = self.source.len().saturating_sub(self.start);
        if needed < available {
            let message = format!(
                "{} bytes follow the data of the last tensor, which ends at byte {}; nothing may follow it: the official reader refuses such a file",
                available.saturating_sub(needed),
                self.in_file(needed)
            );
            let error = Error::malformed(message).under("trailing-bytes");
            return Err(error.at(self.in_file(needed)));
        }
        let Some(cut) = kept.iter().find(|entry| entry.end > available) else {
            return Ok(());
        };
        let message = format!(
            "data ends at byte {}, but the file has {} bytes: the tensors need {}, {} are missing",
            self.in_file(cut.end),
            self.in_file(available),
            self.in_file(needed),
            needed.saturating_sub(available)
        );
        Err(Error::malformed(message)
            .under("truncated")
            .at(self.in_file(cut.begin))
            .in_tensor(&cut.name))
    }

    /// `may_be_cut`: a tensor that the file does not hold to its end has no data; that is said
    /// elsewhere.
    fn tensor(&self, entry: Entry, may_be_cut: bool) -> Result<Tensor> {
        let (begin, end, name) = (entry.begin, entry.end, entry.name);
        let place = |error: Error| error.at(self.in_file(begin)).in_tensor(&name);
        let (dtype, shape) = describe(entry.dtype, entry.dimensions, begin, end).map_err(place)?;
        // The tiling has settled this, except for earlier entries of a repeated name.
        let available = self.source.len().saturating_sub(self.start);
        if end > available && may_be_cut {
            let payload = Payload::Absent("it lies beyond the end of the file");
            return Ok(Tensor::new(name, dtype, shape, payload));
        }
        if end > available {
            let message = format!(
                "data ends at byte {}, but the file has {} bytes",
                self.in_file(end),
                self.in_file(available)
            );
            return Err(place(Error::malformed(message).under("truncated")));
        }
        let offset = self.start.saturating_add(begin);
        let length = end.saturating_sub(begin);
        let payload = Payload::Stored(Storage::extent(self.source, offset, length));
        Ok(Tensor::new(name, dtype, shape, payload))
    }
}

/// Bytes between two offsets.
fn span(begin: u64, end: u64) -> Result<u64> {
    end.checked_sub(begin).ok_or_else(|| {
        Error::malformed(format!(
            "data_offsets [{begin}, {end}] end before they begin"
        ))
    })
}

/// Type and shape of an entry, held against its offsets.
fn describe(theirs: Dtype, dimensions: Box<[u64]>, begin: u64, end: u64) -> Result<(DType, Shape)> {
    let dtype = from_crate(theirs)
        .ok_or_else(|| Error::unsupported(format!("dtype {theirs} is not known here")))?;
    let shape = Shape::new(dimensions)?;
    let length = span(begin, end)?;
    let facts = dtype.facts();
    let group = u64::from(facts.block_elements);
    if !shape.elements().is_multiple_of(group) {
        return Err(Error::malformed(format!(
            "{} elements of {dtype} do not fill whole bytes; {group} of them take {}",
            shape.elements(),
            facts.block_bytes
        )));
    }
    let needed = dtype
        .byte_len(shape.elements())
        .ok_or_else(|| Error::malformed(format!("{dtype} {shape} takes more than 2^64 bytes")))?;
    if needed != length {
        return Err(Error::malformed(format!(
            "{dtype} {shape} takes {needed} bytes, but data_offsets [{begin}, {end}] hold {length}"
        )));
    }
    Ok((dtype, shape))
}

/// Notes on what the crate passes over in silence.
fn note_odd_content(header: &Header, notes: &mut Vec<Note>) {
    if header.has_null_metadata {
        let text = "`__metadata__` is null";
        notes.push(Note::new("null-metadata", Level::Info, text));
    }
    if let Some((tensor, field)) = &header.first_unknown_field {
        let text = format!(
            "{} fields of tensors have no meaning, the first is `{field}`",
            header.unknown_fields
        );
        notes.push(Note::new("unknown-field", Level::Warning, text).on_tensor(tensor));
    }
}

/// Notes on the order and alignment of the data, each with the first tensor it is about.
fn note_order(entries: &[Entry], data: &Data<'_>, notes: &mut Vec<Note>) {
    let unsorted = entries.windows(2).find_map(|pair| match pair {
        [first, second] if second.begin < first.begin => Some(second),
        _ => None,
    });
    if let Some(entry) = unsorted {
        let text = "tensors are not listed in the order of their data";
        let note = Note::new("unsorted-tensors", Level::Info, text);
        notes.push(note.on_tensor(&entry.name));
    }
    let is_unaligned = |entry: &&Entry| {
        let element = from_crate(entry.dtype).and_then(DType::element_bytes);
        !entry.begin.is_multiple_of(u64::from(element.unwrap_or(1)))
    };
    let mut unaligned = entries.iter().filter(is_unaligned);
    if let Some(first) = unaligned.next() {
        let count = unaligned.count().saturating_add(1);
        let text = format!("{count} tensors start at no multiple of their element size");
        let note = Note::new("unaligned-tensors", Level::Info, text);
        let offset = data.start.saturating_add(first.begin);
        notes.push(note.on_tensor(&first.name).at(offset));
    }
}

/// Metadata in file order; of equal keys the last, which is what the crate keeps.
fn last_of_each_key(pairs: Vec<(String, String)>, notes: &mut Vec<Note>) -> Vec<(String, Value)> {
    let mut seen = HashSet::with_capacity(pairs.len());
    let is_last: Vec<bool> = pairs
        .iter()
        .rev()
        .map(|(key, _)| seen.insert(key))
        .collect();
    let repeated = pairs.len().saturating_sub(seen.len());
    if repeated > 0 {
        let text = format!(
            "{repeated} keys of `__metadata__` occur more than once; the last of each counts"
        );
        notes.push(Note::new("duplicate-metadata", Level::Warning, text));
    }
    let pairs = pairs.into_iter().zip(is_last.into_iter().rev());
    pairs
        .filter(|(_, is_last)| *is_last)
        .map(|((key, value), _)| (key, Value::Text(value)))
        .collect()
}

/// Names that stand in the metadata for tensors which were stored once only, as the Hub's
/// tools write them: `alias: kept`. With each the entry that it is another name of.
///
/// `format` is never one: its values `pt`, `np` and the like may well be a tensor's name; nor
/// is an entry without a value. Any other whose value happens to be a tensor's name reads as an
/// alias: the convention has no mark of its own.
fn find_aliases(metadata: &[(String, Value)], names: &Names<'_>) -> Vec<(String, usize)> {
    let alias = |(key, value): &(String, Value)| {
        let &kept = names
            .last
            .get(value.as_text().filter(|kept| !kept.is_empty())?)?;
        let is_free = key != "format" && !names.last.contains_key(key.as_str());
        is_free.then(|| (key.clone(), kept))
    };
    metadata.iter().filter_map(alias).collect()
}
