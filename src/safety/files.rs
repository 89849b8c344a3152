//! Every place where a pickle may hide: streams of them, byte strings inside them, compressed
//! streams, tars, arrays of objects, what follows the end, what stands before the start.

use super::content::{Content, HEAD, LATIN, SHORT, base64, begins_import, may_be_pickle, runs};
use super::judge;
use super::{Policy, zips};
use crate::error::{Error, Kind, Result};
use crate::io::archive::Archive;
use crate::io::{Codec, Source, inflate};
use crate::limits;
use crate::model::{Level, Note};
use crate::pickle::{self, Item, TextKind, Trace, View};

/// Pickles one after another in one stream.
const STREAM: usize = 100_000;

/// Pickles before the storages of a stream of torch's.
const STREAM_OF_TORCH: usize = 5;

/// Where something was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Spot {
    /// Members within members, joined by ` > `.
    pub(super) member: Option<String>,
    pub(super) depth: usize,
    /// Whether it is called like a pickle, so that a broken one is an error.
    pub(super) is_named: bool,
}

impl Spot {
    /// A part of this spot.
    pub(super) fn inside(&self, name: &str) -> Spot {
        let member = match &self.member {
            Some(outer) => format!("{outer} > {name}"),
            None => name.to_owned(),
        };
        const PICKLES: [&str; 8] = [
            ".pkl", ".pickle", ".p", ".pk", ".joblib", ".dill", ".pt", ".pth",
        ];
        let lower = name.to_ascii_lowercase();
        Spot {
            member: Some(member),
            depth: self.depth.saturating_add(1),
            is_named: PICKLES.iter().any(|end| lower.ends_with(end)),
        }
    }

    /// A record of a tar of torch 0.1, whose pickles stand between the data.
    fn is_interleaved(&self) -> bool {
        let member = self.member.as_deref().unwrap_or_default();
        matches!(member.rsplit('/').next(), Some("storages" | "tensors"))
    }

    fn is_weights_of_keras(&self) -> bool {
        let member = self.member.as_deref().unwrap_or_default();
        member.ends_with(".weights.h5")
    }

    /// Something unpacked from this spot.
    fn unpacked(&self) -> Spot {
        Spot {
            depth: self.depth.saturating_add(1),
            ..self.clone()
        }
    }
}

/// One look through a file.
pub(super) struct Scan<'a> {
    policy: &'a Policy,
    notes: Vec<Note>,
    /// Bytes that may still be unpacked.
    budget: u64,
    /// Bytes that may still be searched.
    hunt: u64,
    /// Places that may still be looked at in searches.
    looks: u64,
    /// Bytes that were followed in searches, and were no pickle.
    traced: u64,
    /// Whether anything was recognised.
    pub(super) is_known: bool,
    data_end: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(policy: &'a Policy) -> Scan<'a> {
        Scan {
            policy,
            notes: Vec::new(),
            budget: limits::EXAMINED,
            hunt: limits::HUNTED,
            looks: limits::LOOKS,
            traced: 0,
            is_known: false,
            data_end: 0,
        }
    }

    pub(super) fn into_notes(self) -> Vec<Note> {
        self.notes
    }

    pub(super) fn say(&mut self, note: Note, spot: &Spot) {
        if self.notes.len() >= limits::FINDINGS.saturating_mul(4) {
            return;
        }
        self.notes.push(match &spot.member {
            Some(member) if note.place.member.is_none() => note.in_member(member),
            _ => note,
        });
    }

    /// Says that something could not be looked into.
    pub(super) fn closed(&mut self, why: &str, source: &Source, spot: &Spot) {
        let text = format!("{why}: what it holds cannot be looked into, so it is not clean");
        let note = Note::new("not-examined", Level::Error, text);
        self.say(note.at(source.file_offset(0)), spot);
    }

    pub(super) fn failed(&mut self, error: &Error, spot: &Spot) {
        let mut note = Note::new(error.rule(), Level::Error, error.message());
        note.place.offset = error.place().offset;
        self.say(note, spot);
    }

    /// Looks through a whole file, of which the tensors end at `data_end`.
    pub(super) fn file(&mut self, source: &Source, data_end: Option<u64>) {
        self.data_end = data_end.unwrap_or(0).min(source.len());
        let spot = Spot {
            is_named: is_pickle_named(source.name()),
            ..Spot::default()
        };
        self.content(source, &spot);
    }

    /// Looks through anything, by what its first bytes say it is.
    pub(super) fn content(&mut self, source: &Source, spot: &Spot) {
        if spot.depth > limits::EXAMINED_DEPTH {
            let why = format!("lies over {} archives deep", limits::EXAMINED_DEPTH);
            self.closed(&why, source, spot);
            return;
        }
        let head = match source.read_prefix(0, HEAD) {
            Ok(head) => head,
            Err(error) => return self.failed(&error, spot),
        };
        let content = Content::of_file(&head, source);
        self.is_known |= matches!(
            content,
            Content::Zip | Content::Tar | Content::Array | Content::Unread
        );
        match content {
            Content::Zip => zips::scan(self, source, spot),
            Content::Gzip => self.inflated(source, Codec::Gzip, spot),
            Content::Zlib => self.inflated(source, Codec::Zlib, spot),
            Content::Tar => self.tar(source, spot),
            Content::Array => self.array(source, &head, spot),
            // Keras keeps nothing but arrays in those.
            Content::Closed(_) if spot.is_weights_of_keras() => {
                let text = "weights in HDF5 are not read";
                self.say(Note::new("not-read", Level::Warning, text), spot);
            }
            Content::Closed(what) => self.closed(&format!("is {what}"), source, spot),
            // A length may spell the beginning of a pickle too.
            Content::Plain if may_be_pickle(&head) => {
                self.stream(source, 0, spot);
            }
            Content::Plain => {}
            Content::Other | Content::Unread => {
                let is_pickle = self.stream(source, 0, spot);
                if spot.member.is_none() && !is_pickle && zips::has_directory(source) {
                    zips::scan(self, source, spot);
                }
            }
        }
    }

    /// Whether what begins with `head` is worth to be unpacked and looked through.
    pub(super) fn is_worth(head: &[u8]) -> bool {
        match Content::of(head) {
            Content::Plain => false,
            Content::Other | Content::Unread => may_be_pickle(head),
            _ => true,
        }
    }

    /// Says that a member's name leads out of the folder that it would be unpacked to.
    pub(super) fn member_name(&mut self, name: &str, spot: &Spot) {
        let climbs = name.split(['/', '\\']).any(|part| part == "..");
        let is_drive = matches!(name.as_bytes(), [_, b':', ..]);
        if climbs || is_drive || name.starts_with(['/', '\\']) {
            let text = "the member's name leads out of the folder that it is unpacked to";
            self.say(Note::new("member-path", Level::Warning, text), spot);
        }
    }

    fn inflated(&mut self, source: &Source, codec: Codec, spot: &Spot) {
        match inflate(source, codec, None) {
            Ok(inner) => {
                if self.spend(inner.len(), source, spot) {
                    self.content(&inner, &spot.unpacked());
                }
            }
            Err(error) if codec == Codec::Gzip || error.kind() == Kind::Limit => {
                self.failed(&error, spot);
            }
            // Two bytes do not make a zlib stream.
            Err(_) => {
                self.stream(source, 0, spot);
            }
        }
    }

    /// Takes `len` bytes off what may be unpacked.
    pub(super) fn spend(&mut self, len: u64, source: &Source, spot: &Spot) -> bool {
        match self.budget.checked_sub(len) {
            Some(rest) => {
                self.budget = rest;
                true
            }
            None => {
                let why = format!("unpacks to over {} bytes", limits::EXAMINED);
                self.closed(&why, source, spot);
                false
            }
        }
    }

    fn tar(&mut self, source: &Source, spot: &Spot) {
        let archive = match Archive::read_tar(source) {
            Ok(archive) => archive,
            Err(error) => return self.failed(&error, spot),
        };
        for member in &archive.members {
            let inside = spot.inside(&member.name);
            self.member_name(&member.name, &inside);
            match archive.open(member) {
                Ok(inner) => self.content(&inner, &inside),
                Err(error) => self.failed(&error, &inside),
            }
        }
        // torch once read a tar of which the first member is no pickle, but pickles follow it.
    }

    /// An array of NumPy: of objects, if a pickle stands behind its header.
    fn array(&mut self, source: &Source, head: &[u8], spot: &Spot) {
        let start = match head {
            [_, _, _, _, _, _, 1, _, low, high, ..] => {
                u64::from(u16::from_le_bytes([*low, *high])).saturating_add(10)
            }
            [_, _, _, _, _, _, _, _, a, b, c, d, ..] => {
                u64::from(u32::from_le_bytes([*a, *b, *c, *d])).saturating_add(12)
            }
            _ => return,
        };
        let header = head.get(..usize::try_from(start).unwrap_or(usize::MAX));
        let header = header.unwrap_or(head);
        // Kind `O` alone or within a structure; a word of the header holds it otherwise at
        // most, and then there is no pickle to be found.
        let has_objects = header
            .windows(2)
            .any(|pair| matches!(pair, [b'O', b'\'' | b'"' | b'8' | b'4']));
        if has_objects {
            let inside = Spot {
                is_named: true,
                ..spot.clone()
            };
            self.stream(source, start, &inside);
        }
    }

    /// Pickles one after another from `start` on, and what follows them.
    /// Returns whether there was one.
    pub(super) fn stream(&mut self, source: &Source, start: u64, spot: &Spot) -> bool {
        let mut position = start;
        let mut found = 0usize;
        while position < source.len() && found < STREAM {
            let head = source.read_prefix(position, HEAD).unwrap_or_default();
            let is_expected = spot.is_named && found == 0;
            if !may_be_pickle(&head) && !is_expected {
                break;
            }
            let trace = pickle::trace(source, position);
            if !self.is_pickle(&trace, &head, is_expected) {
                break;
            }
            self.is_known = true;
            self.trace(&trace, source, spot);
            found = found.saturating_add(1);
            let is_stuck = trace.end <= position;
            position = trace.end;
            if !trace.is_finished || is_stuck {
                break;
            }
            // Storages follow the five pickles of a stream of torch's.
            if found == STREAM_OF_TORCH && spot.member.is_none() {
                position = position.max(self.data_end);
            }
        }
        let rest = source.len().saturating_sub(position);
        if found > 0 && rest > 0 || found == 0 && spot.depth == 0 {
            self.rest(source, position, spot);
        }
        found > 0
    }

    /// What follows the last pickle: a zip, or bytes that are searched.
    fn rest(&mut self, source: &Source, position: u64, spot: &Spot) {
        let rest = source.len().saturating_sub(position);
        let head = source.read_prefix(position, HEAD).unwrap_or_default();
        if Content::of(&head) == Content::Zip
            && let Ok(zip) = source.slice(position, rest)
        {
            let text =
                format!("{position} bytes stand before a zip; torch refuses it, Python does not");
            let note = Note::new("zip-prepended", Level::Warning, text);
            self.say(note.at(source.file_offset(position)), spot);
            self.content(&zip, &spot.unpacked());
            return;
        }
        self.search(source, position, rest, spot);
    }

    fn is_pickle(&self, trace: &Trace, head: &[u8], is_expected: bool) -> bool {
        let is_marked = matches!(head, [0x80, 0..=5, ..]);
        let imports = judge::imports(trace);
        (is_expected && (imports || is_marked || trace.is_finished))
            || (is_marked && (trace.is_finished || imports))
            || (trace.is_finished
                && trace.faults.is_empty()
                && (imports || trace.graph.globals().is_empty()))
            || judge::is_dangerous(trace)
    }

    /// Judges one pickle, and looks into its byte strings.
    fn trace(&mut self, trace: &Trace, source: &Source, spot: &Spot) {
        for note in judge::notes(trace, source, self.policy) {
            self.say(note, spot);
        }
        for nested in &trace.nested {
            self.trace(nested, source, spot);
        }
        for &text in &trace.texts {
            if let Err(error) = self.text(trace, text, source, spot) {
                self.failed(&error, spot);
            }
        }
    }

    /// Looks into one text or byte string of a pickle.
    fn text(&mut self, trace: &Trace, item: Item, source: &Source, spot: &Spot) -> Result<()> {
        let inner = match trace.graph.view(item) {
            View::Text(kind, bytes) => {
                Source::from_bytes(source.name(), plain_bytes(kind, bytes.to_vec()))
            }
            View::LongText(text) => {
                let slice = source.slice(text.offset, text.len)?;
                let head = slice.read_prefix(0, 2)?;
                match text.kind == TextKind::Unicode && head.starts_with(&[0xc2]) {
                    true => {
                        let bytes = slice.read_prefix(0, LATIN)?;
                        Source::from_bytes(source.name(), plain_bytes(text.kind, bytes))
                    }
                    false => slice,
                }
            }
            _ => return Ok(()),
        };
        self.hidden(&inner, spot)
    }

    /// Looks at bytes that may hold a pickle where none is expected.
    pub(super) fn hidden(&mut self, inner: &Source, spot: &Spot) -> Result<()> {
        let head = inner.read_prefix(0, HEAD)?;
        let within = Spot {
            is_named: false,
            ..spot.inside("a byte string")
        };
        match Content::of(&head) {
            Content::Plain => {}
            Content::Other | Content::Unread => {
                if let Some(bytes) = base64(&head, inner)? {
                    let decoded = Source::from_bytes(inner.name(), bytes);
                    return self.hidden(&decoded, spot);
                }
                if !may_be_pickle(&head) {
                    return Ok(());
                }
                let trace = pickle::trace(inner, 0);
                let is_marked = matches!(&*head, [0x80, 0..=5, ..]);
                let is_stream = is_marked && trace.is_finished;
                if is_stream || judge::imports(&trace) && (is_marked || runs(&trace)) {
                    self.content(inner, &within);
                }
            }
            _ if within.depth > limits::EXAMINED_DEPTH => self.content(inner, &within),
            // Ordinary bytes may begin like something compressed; only what proves to be it
            // counts.
            Content::Zlib | Content::Gzip => {
                let codec = match head.first() {
                    Some(0x78) => Codec::Zlib,
                    _ => Codec::Gzip,
                };
                if let Ok(inflated) = inflate(inner, codec, None)
                    && self.spend(inflated.len(), inner, spot)
                {
                    return self.hidden(&inflated, &within);
                }
            }
            _ => self.content(inner, &within),
        }
        Ok(())
    }

    /// Searches bytes that belong to nothing for pickles.
    pub(super) fn search(&mut self, source: &Source, start: u64, len: u64, spot: &Spot) {
        let allowed = len.min(self.hunt);
        self.hunt = self.hunt.saturating_sub(allowed);
        let Ok(bytes) = source.read_vec(start, allowed) else {
            return;
        };
        let mut next = 0usize;
        for at in 0..bytes.len() {
            let head = bytes.get(at..).unwrap_or_default();
            if at < next || !begins_import(head) {
                continue;
            }
            self.looks = self.looks.saturating_sub(1);
            if self.looks == 0 || self.traced > limits::TRACED {
                let why = "has more beginnings of pickles than are followed";
                self.closed(why, source, spot);
                return;
            }
            // A first look at little, since lists of words begin like imports everywhere.
            if !may_be_pickle(head.get(..SHORT.min(head.len())).unwrap_or_default()) {
                continue;
            }
            let position = start.saturating_add(at as u64);
            let trace = pickle::trace(source, position);
            let is_marked = matches!(head, [0x80, 2..=5, ..]);
            let is_real = judge::imports(&trace) && (is_marked || runs(&trace));
            if !is_real {
                let len = trace.end.saturating_sub(position);
                self.traced = self.traced.saturating_add(len);
                continue;
            }
            if !spot.is_interleaved() {
                let text = "a pickle stands where no reader of this format looks for one";
                let note = Note::new("hidden-pickle", Level::Warning, text);
                self.say(note.at(source.file_offset(position)), spot);
            }
            self.trace(&trace, source, spot);
            next = usize::try_from(trace.end.saturating_sub(start)).unwrap_or(usize::MAX);
        }
    }
}

fn is_pickle_named(name: &str) -> bool {
    [".pkl", ".pickle", ".joblib", ".dill"]
        .iter()
        .any(|end| name.to_ascii_lowercase().ends_with(end))
}

/// Bytes that were written as text, one character a byte, as protocols 0 to 2 write them.
fn plain_bytes(kind: TextKind, bytes: Vec<u8>) -> Vec<u8> {
    if kind != TextKind::Unicode || bytes.is_ascii() {
        return bytes;
    }
    let end = match std::str::from_utf8(&bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    let valid = bytes.get(..end).unwrap_or_default();
    let text = String::from_utf8_lossy(valid);
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    latin.unwrap_or(bytes)
}
