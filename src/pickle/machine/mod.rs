//! The stack machine: one opcode after the other, front to back.

mod calls;
mod literals;
mod trace;

pub use trace::{Build, Trace, trace};

use super::graph::{Call, CallKind, Extra, Global, Graph, LongText, TextKind, View};
use super::item::{Item, Tag};
use super::line::{self, Number};
use super::memo::Memo;
use crate::error::{Error, Result};
use crate::io::{Cursor, Source};
use crate::limits;
use std::collections::HashMap;

/// The name of what is imported under a name that is computed, not written.
pub const COMPUTED: &str = "<computed>";

/// Runs of up to this many bytes are copied; longer ones stay in the file.
const SHORT_TEXT: u64 = 1024;

/// One pickle, read to its `STOP`.
#[derive(Debug)]
pub struct Pickle {
    /// All objects.
    pub graph: Graph,
    /// The object that loading it would give.
    pub root: Item,
    /// Where the first byte behind `STOP` stands, within the source.
    pub end: u64,
    /// The highest protocol that it declares; 0 if none.
    pub protocol: u8,
    /// How many values the stack held beside the result: 0, unless someone tampered with it.
    pub leftover: usize,
}

/// Reads the pickle that starts at `offset` of `source`. Offsets in the graph are relative to
/// `source`.
///
/// Errors: `Malformed` with the offset of the opcode for what no unpickler would accept,
/// `Unsupported` for out-of-band buffers, `Limit` past the bounds in `limits.rs`.
pub fn read(source: &Source, offset: u64) -> Result<Pickle> {
    Machine::new(source, offset).run()
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    start: u64,
    /// Bytes of long texts, which were not read.
    skipped: u64,
    graph: Graph,
    stack: Vec<Item>,
    marks: Vec<usize>,
    memo: Memo,
    /// Globals by module, newline, name.
    named: HashMap<Box<[u8]>, Item>,
    objects: usize,
    protocol: u8,
    /// What is kept where a pickle is followed past its faults.
    trail: Option<trace::Trail>,
}

impl<'a> Machine<'a> {
    fn new(source: &'a Source, offset: u64) -> Machine<'a> {
        Machine {
            cursor: Cursor::new(source, offset),
            start: offset,
            skipped: 0,
            graph: Graph::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            named: HashMap::new(),
            objects: 0,
            protocol: 0,
            trail: None,
        }
    }
}

impl Machine<'_> {
    fn run(mut self) -> Result<Pickle> {
        for _ in 0..limits::PICKLE_OPCODES {
            let offset = self.cursor.position();
            let opcode = self.cursor.u8()?;
            if opcode == b'.' {
                return self.finish(offset);
            }
            self.step(opcode, offset)
                .map_err(|error| self.place(error, offset))?;
        }
        let message = format!("has over {} opcodes", limits::PICKLE_OPCODES);
        Err(self.place(Error::limit(message), self.cursor.position()))
    }

    fn place(&self, error: Error, offset: u64) -> Error {
        let source = self.cursor.source();
        error.at(source.file_offset(offset)).in_file(source.name())
    }

    fn finish(mut self, offset: u64) -> Result<Pickle> {
        let Some(root) = self.stack.pop() else {
            let error = Error::malformed("ends with nothing on the stack");
            return Err(self.place(error, offset));
        };
        self.graph.text.shrink_to_fit();
        Ok(Pickle {
            root,
            end: self.cursor.position(),
            protocol: self.protocol,
            leftover: self.stack.len(),
            graph: self.graph,
        })
    }

    /// One opcode other than `STOP`. Names and effects as in CPython's `pickletools`.
    fn step(&mut self, opcode: u8, offset: u64) -> Result<()> {
        match opcode {
            b'(' => self.push_mark(),
            b')' => self.push_tuple(self.stack.len()),
            0x85..=0x87 => self.tuple_of(usize::from(opcode.wrapping_sub(0x84))),
            b't' => {
                let from = self.pop_mark()?;
                self.push_tuple(from)
            }
            b']' => self.push_list(Tag::List, Vec::new()),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push_list(Tag::List, items)
            }
            b'}' => self.push_dict(Vec::new()),
            b'd' => {
                let pairs = self.pop_pairs()?;
                self.push_dict(pairs)
            }
            0x8f => self.push_list(Tag::Set, Vec::new()),
            0x91 => {
                let items = self.pop_to_mark()?;
                self.push_list(Tag::Set, items)
            }
            b'N' => self.push(Item::NONE),
            0x88 => self.push(Item::TRUE),
            0x89 => self.push(Item::FALSE),
            b'I' | b'F' | b'G' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b => {
                self.push_number(opcode)
            }
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                self.push_text(opcode)
            }
            b'0' | b'1' | b'2' => self.shuffle(opcode),
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.memorise(opcode),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(opcode),
            b'c' | 0x93 | 0x82..=0x84 => self.push_global(opcode, offset),
            b'R' | 0x81 | 0x92 | b'i' | b'o' => self.call(opcode, offset),
            b'b' => self.build(offset),
            b'P' | b'Q' => self.push_persistent(opcode),
            0x80 => self.set_protocol(),
            // Frames only help a reader to fetch ahead.
            0x95 => self.cursor.u64().map(|_| ()),
            0x97 => {
                self.fault(Error::unsupported(
                    "asks for an out-of-band buffer, which a file cannot hold",
                ))?;
                self.push(Item::ABSENT)
            }
            0x98 => self.peek().map(|_| ()),
            _ => Err(Error::malformed(format!(
                "opcode 0x{opcode:02x} is not supported"
            ))),
        }
    }

    // The stack.

    fn push(&mut self, item: Item) -> Result<()> {
        if self.stack.len() >= limits::PICKLE_STACK {
            let allowed = limits::PICKLE_STACK;
            return Err(Error::limit(format!(
                "the stack holds over {allowed} values"
            )));
        }
        self.stack.push(item);
        Ok(())
    }

    fn push_mark(&mut self) -> Result<()> {
        if self.marks.len() >= limits::PICKLE_STACK {
            let allowed = limits::PICKLE_STACK;
            return Err(Error::limit(format!(
                "the stack holds over {allowed} marks"
            )));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Values below the last mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Item> {
        if self.stack.len() > self.floor()
            && let Some(item) = self.stack.pop()
        {
            return Ok(item);
        }
        self.fault(underflow())?;
        Ok(Item::ABSENT)
    }

    fn peek(&mut self) -> Result<Item> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        match above.last() {
            Some(&item) => Ok(item),
            None => self.fault(underflow()).map(|()| Item::ABSENT),
        }
    }

    fn pop_mark(&mut self) -> Result<usize> {
        if let Some(mark) = self.marks.pop() {
            return Ok(mark);
        }
        self.fault(Error::malformed("needs a mark, but there is none"))?;
        Ok(self.stack.len())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Item>> {
        let from = self.pop_mark()?;
        Ok(self.stack.drain(from.min(self.stack.len())..).collect())
    }

    fn pop_pairs(&mut self) -> Result<Vec<(Item, Item)>> {
        let from = self.pop_mark()?;
        let items = self.stack.get(from..).unwrap_or_default();
        let (pairs, rest) = items.as_chunks::<2>();
        let is_odd = !rest.is_empty();
        let pairs = pairs.iter().map(|&[key, value]| (key, value)).collect();
        self.stack.truncate(from);
        if is_odd {
            self.fault(Error::malformed("a dict is given a key without a value"))?;
        }
        Ok(pairs)
    }

    fn shuffle(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'0' if self.marks.last() == Some(&self.stack.len()) => self.pop_mark().map(|_| ()),
            b'0' => self.pop().map(|_| ()),
            b'1' => {
                let from = self.pop_mark()?;
                self.stack.truncate(from);
                Ok(())
            }
            _ => {
                let item = self.peek()?;
                self.push(item)
            }
        }
    }

    // Objects.

    /// Counts one more object of a pool.
    fn count(&mut self) -> Result<()> {
        self.objects = self.objects.saturating_add(1);
        if self.objects > limits::PICKLE_OBJECTS {
            let allowed = limits::PICKLE_OBJECTS;
            return Err(Error::limit(format!("makes over {allowed} objects")));
        }
        Ok(())
    }

    /// Replaces the values from `from` on by a tuple of them.
    fn push_tuple(&mut self, from: usize) -> Result<()> {
        self.count()?;
        let start = self.graph.items.len();
        let items = self.stack.get(from..).unwrap_or_default();
        let length = items.len();
        // A tuple costs at least what it holds.
        self.objects = self.objects.saturating_add(length / 4);
        self.graph.items.extend_from_slice(items);
        self.stack.truncate(from);
        self.push(Item::tuple(start as u64, length as u64))
    }

    fn tuple_of(&mut self, length: usize) -> Result<()> {
        let from = self.stack.len().checked_sub(length);
        match from.filter(|&from| from >= self.floor()) {
            Some(from) => self.push_tuple(from),
            None => {
                self.fault(underflow())?;
                self.push_tuple(self.floor())
            }
        }
    }

    fn push_list(&mut self, tag: Tag, items: Vec<Item>) -> Result<()> {
        self.count()?;
        let index = self.graph.lists.len() as u64;
        self.graph.lists.push(items);
        self.push(Item::new(tag, index))
    }

    fn push_dict(&mut self, pairs: Vec<(Item, Item)>) -> Result<()> {
        self.count()?;
        let index = self.graph.dicts.len() as u64;
        self.graph.dicts.push(pairs);
        self.push(Item::new(Tag::Dict, index))
    }

    // Text.

    // The memo.

    fn memorise(&mut self, opcode: u8) -> Result<()> {
        let key = match opcode {
            b'h' | b'q' => u64::from(self.cursor.u8()?),
            b'j' | b'r' => u64::from(self.cursor.u32()?),
            0x94 => self.memo.len(),
            _ => {
                let line = self.line()?;
                match line::parse_key(&line) {
                    Ok(key) => key,
                    Err(error) => self.fault(error).map(|()| u64::MAX)?,
                }
            }
        };
        if matches!(opcode, b'g' | b'h' | b'j') {
            let item = match self.memo.get(key) {
                Some(item) => item,
                None => {
                    let message = format!("memo entry {key} is used before it is set");
                    self.fault(Error::malformed(message))?;
                    Item::ABSENT
                }
            };
            return self.push(item);
        }
        let item = self.peek()?;
        self.memo.put(key, item)
    }

    // What is done to containers.

    fn fill(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_pairs(&[(key, value)])
            }
            _ => {
                let pairs = self.pop_pairs()?;
                self.set_pairs(&pairs)
            }
        }
    }

    fn append(&mut self, items: &[Item]) -> Result<()> {
        let target = self.peek()?;
        let list = match target.tag() {
            Tag::List | Tag::Set => self.graph.lists.get_mut(target.index()),
            Tag::Call => Some(&mut self.extra(target)?.appended),
            _ => None,
        };
        match list {
            Some(list) => list.extend_from_slice(items),
            None => return self.fault(self.wrong_target("appends to", target)),
        }
        Ok(())
    }

    fn set_pairs(&mut self, pairs: &[(Item, Item)]) -> Result<()> {
        let target = self.peek()?;
        let dict = match target.tag() {
            Tag::Dict => self.graph.dicts.get_mut(target.index()),
            Tag::Call => Some(&mut self.extra(target)?.pairs),
            _ => None,
        };
        match dict {
            Some(dict) => dict.extend_from_slice(pairs),
            None => return self.fault(self.wrong_target("sets items in", target)),
        }
        Ok(())
    }

    /// What is rarely done to a call's result; made on first use.
    fn extra(&mut self, call: Item) -> Result<&mut Extra> {
        let missing = || Error::malformed("refers to a call that was never made");
        let call = self.graph.calls.get_mut(call.index()).ok_or_else(missing)?;
        if call.extra == 0 {
            self.graph.extras.push(Extra::default());
            call.extra = u32::try_from(self.graph.extras.len()).unwrap_or(0);
        }
        let index = usize::try_from(call.extra)
            .ok()
            .and_then(|i| i.checked_sub(1));
        let extra = index.and_then(|index| self.graph.extras.get_mut(index));
        extra.ok_or_else(missing)
    }

    fn wrong_target(&self, what: &str, target: Item) -> Error {
        Error::malformed(format!("{what} {}", kind_name(self.graph.view(target))))
    }

    // What would be imported and called.

    fn push_global(&mut self, opcode: u8, offset: u64) -> Result<()> {
        let item = match opcode {
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.global(&module, &name, offset)?
            }
            0x93 => {
                let name = self.pop_name()?;
                let module = self.pop_name()?;
                self.global(&module, &name, offset)?
            }
            _ => {
                let code = match opcode {
                    0x82 => u32::from(self.cursor.u8()?),
                    0x83 => u32::from(self.cursor.u16()?),
                    _ => self.cursor.u32()?,
                };
                self.global(b"copyreg", format!("extension {code}").as_bytes(), offset)?
            }
        };
        self.push(item)
    }

    fn pop_name(&mut self) -> Result<Vec<u8>> {
        let item = self.pop()?;
        if let View::Text(_, bytes) = self.graph.view(item) {
            return Ok(bytes.to_vec());
        }
        let found = kind_name(self.graph.view(item));
        self.fault(Error::malformed(format!(
            "imports {found} where a name belongs"
        )))?;
        Ok(COMPUTED.as_bytes().to_vec())
    }

    fn global(&mut self, module: &[u8], name: &[u8], offset: u64) -> Result<Item> {
        let key = [module, b"\n", name].concat();
        if let Some(&item) = self.named.get(key.as_slice()) {
            return Ok(item);
        }
        self.count()?;
        let item = Item::new(Tag::Global, self.graph.globals.len() as u64);
        self.graph.globals.push(Global {
            module: String::from_utf8_lossy(module).into(),
            name: String::from_utf8_lossy(name).into(),
            offset,
            is_called: false,
        });
        self.named.insert(key.into_boxed_slice(), item);
        Ok(item)
    }

    fn push_persistent(&mut self, opcode: u8) -> Result<()> {
        let id = match opcode {
            b'Q' => self.pop()?,
            _ => {
                let line = self.line()?;
                self.push_bytes(TextKind::Unicode, &line)?;
                self.pop()?
            }
        };
        self.count()?;
        let item = Item::new(Tag::Persistent, self.graph.persistent.len() as u64);
        self.graph.persistent.push(id);
        self.push(item)
    }

    fn set_protocol(&mut self) -> Result<()> {
        let protocol = self.cursor.u8()?;
        if protocol > 5 {
            let message = format!("pickle protocol {protocol} is not known; 0 to 5 are");
            return self.fault(Error::unsupported(message));
        }
        self.protocol = self.protocol.max(protocol);
        Ok(())
    }
}

fn underflow() -> Error {
    Error::malformed("needs a value, but the stack has none above its last mark")
}

fn negative_length() -> Error {
    Error::malformed("a length is negative")
}

/// What Python would call it.
fn kind_name(view: View<'_>) -> &'static str {
    match view {
        View::Absent => "nothing",
        View::None => "None",
        View::Bool(_) => "a bool",
        View::Int(_) | View::Long(_) => "an int",
        View::Float(_) => "a float",
        View::Text(TextKind::Unicode, _) => "a str",
        View::Text(..) | View::LongText(_) => "a string of bytes",
        View::Global(_) => "an import",
        View::Tuple(_) => "a tuple",
        View::List(_) => "a list",
        View::Set(_) => "a set",
        View::Dict(_) => "a dict",
        View::Call(_) => "an object",
        View::Persistent(_) => "a persistent object",
    }
}
