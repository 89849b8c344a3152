//! The objects of a pickle, in pools. Cycles are legal: objects refer to each other by place.

use super::item::{Item, Tag};
use std::borrow::Cow;
use std::fmt;

/// All objects of one pickle.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) text: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) floats: Vec<f64>,
    pub(super) lists: Vec<Vec<Item>>,
    pub(super) dicts: Vec<Vec<(Item, Item)>>,
    pub(super) globals: Vec<Global>,
    pub(super) calls: Vec<Call>,
    pub(super) extras: Vec<Extra>,
    pub(super) persistent: Vec<Item>,
    pub(super) longs: Vec<Box<[u8]>>,
    pub(super) long_texts: Vec<LongText>,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum View<'a> {
    /// No value at all.
    Absent,
    /// None.
    None,
    /// True or false.
    Bool(bool),
    /// An integer that fits 60 bits, or 64.
    Int(i64),
    /// A longer integer: two's complement, little-endian.
    Long(&'a [u8]),
    /// A float.
    Float(f64),
    /// A short run of characters or bytes.
    Text(TextKind, &'a [u8]),
    /// A long run, which stays in the file.
    LongText(&'a LongText),
    /// Something that would be imported.
    Global(&'a Global),
    /// A tuple.
    Tuple(&'a [Item]),
    /// A list.
    List(&'a [Item]),
    /// A set or frozen set.
    Set(&'a [Item]),
    /// A dict, in the order of the file; keys may repeat.
    Dict(&'a [(Item, Item)]),
    /// The result of a call.
    Call(&'a Call),
    /// What the program around the pickle would supply for this persistent id.
    Persistent(Item),
}

/// What a run of bytes is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// `str`: UTF-8.
    Unicode,
    /// `bytes` and `bytearray`.
    Bytes,
    /// Python 2's `str`: text of an unknown encoding, or bytes.
    ByteString,
}

/// A run of bytes that stays in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongText {
    /// What it is meant to be.
    pub kind: TextKind,
    /// First byte within the source of the pickle.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// Something that a program reading the pickle would import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// The module, as the file spells it.
    pub module: Box<str>,
    /// The name in it; dotted names are followed from protocol 4 on.
    pub name: Box<str>,
    /// Where the opcode stands first, within the source of the pickle.
    pub offset: u64,
    /// Whether anything calls it.
    pub is_called: bool,
}

/// By which opcode something would be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// `REDUCE`: `callable(*args)`.
    Reduce,
    /// `NEWOBJ` and `NEWOBJ_EX`: `callable.__new__(callable, *args)`.
    New,
    /// `INST` and `OBJ`: `callable(*args)`.
    Instance,
}

/// A call that would be made, and what is then done to its result.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What would be called.
    pub callable: Item,
    /// With what: a tuple, except in TorchScript.
    pub args: Item,
    /// The argument of the last `BUILD`, or [`Item::ABSENT`].
    pub state: Item,
    /// Where the opcode stands, within the source of the pickle.
    pub offset: u64,
    /// By which opcode.
    pub kind: CallKind,
    /// One more than the index of its `extras`; 0 for none.
    pub(super) extra: u32,
}

/// What is rarely done to the result of a call.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) appended: Vec<Item>,
    pub(super) pairs: Vec<(Item, Item)>,
    pub(super) keywords: Option<Item>,
}

impl Graph {
    /// What `item` is.
    pub fn view(&self, item: Item) -> View<'_> {
        let found = match item.tag() {
            Tag::Constant => Some(match item {
                Item::NONE => View::None,
                Item::FALSE => View::Bool(false),
                Item::TRUE => View::Bool(true),
                _ => View::Absent,
            }),
            Tag::Int => Some(View::Int(item.signed())),
            Tag::Float => self.floats.get(item.index()).copied().map(View::Float),
            Tag::Text => self.short(TextKind::Unicode, item),
            Tag::Bytes => self.short(TextKind::Bytes, item),
            Tag::ByteString => self.short(TextKind::ByteString, item),
            Tag::Global => self.globals.get(item.index()).map(View::Global),
            Tag::Tuple => {
                let (start, length) = item.tuple_span();
                let end = start.saturating_add(length);
                self.items.get(start..end).map(View::Tuple)
            }
            Tag::List => self.lists.get(item.index()).map(|list| View::List(list)),
            Tag::Set => self.lists.get(item.index()).map(|list| View::Set(list)),
            Tag::Dict => self.dicts.get(item.index()).map(|dict| View::Dict(dict)),
            Tag::Call => self.calls.get(item.index()).map(View::Call),
            Tag::Persistent => {
                let id = self.persistent.get(item.index());
                id.copied().map(View::Persistent)
            }
            Tag::Long => self.longs.get(item.index()).map(|long| view_long(long)),
            Tag::LongText => self.long_texts.get(item.index()).map(View::LongText),
        };
        found.unwrap_or(View::Absent)
    }

    fn short(&self, kind: TextKind, item: Item) -> Option<View<'_>> {
        let (start, length) = item.text_span();
        let bytes = self.text.get(start..start.saturating_add(length))?;
        Some(View::Text(kind, bytes))
    }

    /// Everything that would be imported, in the order of the file, each once.
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// Every call that would be made, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Every persistent id, in order.
    pub fn persistent_ids(&self) -> &[Item] {
        &self.persistent
    }

    /// What would be appended or added to the result of a call.
    pub fn appended(&self, call: &Call) -> &[Item] {
        self.extra(call).map_or(&[], |extra| &extra.appended)
    }

    /// What would be set in the result of a call, as in a dict.
    pub fn pairs(&self, call: &Call) -> &[(Item, Item)] {
        self.extra(call).map_or(&[], |extra| &extra.pairs)
    }

    /// The keyword arguments of a call.
    pub fn keywords(&self, call: &Call) -> Option<Item> {
        self.extra(call)?.keywords
    }

    fn extra(&self, call: &Call) -> Option<&Extra> {
        let index = usize::try_from(call.extra).ok()?.checked_sub(1)?;
        self.extras.get(index)
    }

    /// The positional arguments of a call; none if they are no tuple.
    pub fn args(&self, call: &Call) -> &[Item] {
        match self.view(call.args) {
            View::Tuple(args) => args,
            _ => &[],
        }
    }

    /// The items of a tuple or list.
    pub fn sequence(&self, item: Item) -> Option<&[Item]> {
        match self.view(item) {
            View::Tuple(items) | View::List(items) => Some(items),
            _ => None,
        }
    }

    /// The import behind `item`, if it is one.
    pub fn global(&self, item: Item) -> Option<&Global> {
        match self.view(item) {
            View::Global(global) => Some(global),
            _ => None,
        }
    }

    /// Which of [`Graph::globals`] `item` is, if it is one.
    pub fn global_index(&self, item: Item) -> Option<usize> {
        (item.tag() == Tag::Global).then(|| item.index())
    }

    /// The integer behind `item`; booleans count, as in Python.
    pub fn int(&self, item: Item) -> Option<i64> {
        match self.view(item) {
            View::Int(value) => Some(value),
            View::Bool(value) => Some(i64::from(value)),
            _ => None,
        }
    }

    /// The short text behind `item`: UTF-8, or else each byte a character.
    pub fn text(&self, item: Item) -> Option<Cow<'_, str>> {
        match self.view(item) {
            View::Text(kind, bytes) => Some(decode_text(kind, bytes)),
            _ => None,
        }
    }
}

/// Characters of a run of bytes. Python 2 strings that are no UTF-8 are taken as Latin-1.
pub(crate) fn decode_text(kind: TextKind, bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if kind == TextKind::Unicode => String::from_utf8_lossy(bytes),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// A long integer, or the plain one that it amounts to.
fn view_long(bytes: &[u8]) -> View<'_> {
    if bytes.len() > 8 {
        return View::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut padded = [if negative { 0xff } else { 0 }; 8];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    View::Int(i64::from_le_bytes(padded))
}

impl fmt::Display for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}
