//! A pickle followed past its faults: for judging what it would do, not for reading it.
//!
//! Python runs every opcode before the one that it fails on, so what stands in front of a fault
//! counts, and what other unpicklers forgive must not end the search. Faults that every
//! unpickler stops at (an unknown opcode, the end of the file, a negative length) end it.

use super::*;
use crate::pickle::numpy;

/// Faults after which a pickle is not followed any further: it is no pickle then.
const FAULTS: usize = 64;

/// Texts that may hold something and are kept for a look; 8 bytes each.
const TEXTS: usize = 4_000_000;

/// Bytes of the shortest pickle that imports something: `ca\nb\n`.
const SHORTEST: usize = 5;

/// Pickles within pickles that joblib puts between the opcodes.
const NESTED: usize = 4;

/// What following a pickle brought up.
#[derive(Debug)]
pub struct Trace {
    /// All objects.
    pub graph: Graph,
    /// The object that loading it would give; absent if there is none.
    pub root: Item,
    /// Where the first byte behind the last opcode that was followed stands, within the source.
    pub end: u64,
    /// Whether that opcode was `STOP`.
    pub is_finished: bool,
    /// The highest protocol that it declares; 0 if none.
    pub protocol: u8,
    /// How many values the stack held beside the result.
    pub leftover: usize,
    /// What an unpickler trips over, or might, in order.
    pub faults: Vec<Error>,
    /// Every `BUILD`, in order.
    pub builds: Vec<Build>,
    /// Texts and byte strings that begin like something that may hold code.
    pub texts: Vec<Item>,
    /// Whole pickles between the opcodes of this one, as joblib puts arrays of objects.
    pub nested: Vec<Trace>,
    /// Whether arrays stand between the opcodes, as joblib puts them.
    pub is_joblib: bool,
}

/// One `BUILD`: state given to an object, or attributes to what was imported.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// What takes the state.
    pub target: Item,
    /// The state.
    pub state: Item,
    /// Where the opcode stands, within the source of the pickle.
    pub offset: u64,
}

/// What is kept on the way.
#[derive(Default)]
pub(super) struct Trail {
    faults: Vec<Error>,
    builds: Vec<Build>,
    texts: Vec<Item>,
    nested: Vec<Trace>,
    is_joblib: bool,
    depth: usize,
}

/// Follows the pickle that starts at `offset` of `source`, as far as any unpickler would.
pub fn trace(source: &Source, offset: u64) -> Trace {
    trace_nested(source, offset, 0)
}

fn trace_nested(source: &Source, offset: u64, depth: usize) -> Trace {
    let mut machine = Machine::new(source, offset);
    machine.trail = Some(Trail {
        depth,
        ..Trail::default()
    });
    machine.follow()
}

impl Machine<'_> {
    fn follow(mut self) -> Trace {
        let mut is_finished = false;
        let mut fatal = None;
        for _ in 0..limits::PICKLE_OPCODES {
            let offset = self.cursor.position();
            let opcode = match self.cursor.u8() {
                Ok(opcode) => opcode,
                Err(error) => {
                    fatal = Some(error);
                    break;
                }
            };
            if opcode == b'.' {
                is_finished = true;
                break;
            }
            if let Err(error) = self.step(opcode, offset) {
                fatal = Some(self.place(error, offset));
                break;
            }
        }
        if !is_finished && fatal.is_none() {
            let message = format!("has over {} opcodes", limits::PICKLE_OPCODES);
            fatal = Some(self.place(Error::limit(message), self.cursor.position()));
        }
        self.into_trace(is_finished, fatal)
    }

    fn into_trace(mut self, is_finished: bool, fatal: Option<Error>) -> Trace {
        let mut trail = self.trail.take().unwrap_or_default();
        trail.faults.extend(fatal);
        let root = self.stack.pop().unwrap_or(Item::ABSENT);
        if is_finished && root.is_absent() && trail.faults.is_empty() {
            let error = Error::malformed("ends with nothing on the stack");
            let offset = self.cursor.position().saturating_sub(1);
            trail.faults.push(self.place(error, offset));
        }
        Trace {
            root,
            end: self.cursor.position(),
            is_finished,
            protocol: self.protocol,
            leftover: self.stack.len(),
            graph: self.graph,
            faults: trail.faults,
            builds: trail.builds,
            texts: trail.texts,
            nested: trail.nested,
            is_joblib: trail.is_joblib,
        }
    }

    /// A fault that another unpickler might pass over: an error where a pickle is read, a
    /// remark where it is followed.
    pub(super) fn fault(&mut self, error: Error) -> Result<()> {
        let offset = self.cursor.position();
        let Some(trail) = &mut self.trail else {
            return Err(error);
        };
        if trail.faults.len() >= FAULTS {
            return Err(error);
        }
        let source = self.cursor.source();
        let error = error.at(source.file_offset(offset)).in_file(source.name());
        trail.faults.push(error);
        Ok(())
    }

    /// Keeps a text that may hold something.
    pub(super) fn follow_text(&mut self, item: Item, length: usize) -> Result<()> {
        if length < SHORTEST || self.trail.is_none() {
            return Ok(());
        }
        let first = match self.graph.view(item) {
            View::Text(_, bytes) => bytes.first_chunk().copied().unwrap_or_default(),
            View::LongText(text) => {
                let head = self.cursor.source().read_prefix(text.offset, 2)?;
                head.first_chunk().copied().unwrap_or_default()
            }
            _ => return Ok(()),
        };
        if let Some(trail) = self.trail.as_mut().filter(|_| may_hide(first))
            && trail.texts.len() < TEXTS
        {
            trail.texts.push(item);
        }
        Ok(())
    }

    /// Keeps a `BUILD`, and passes over the array that follows one of joblib's wrappers.
    pub(super) fn follow_build(&mut self, target: Item, state: Item, offset: u64) -> Result<()> {
        let build = Build {
            target,
            state,
            offset,
        };
        if let Some(trail) = &mut self.trail {
            trail.builds.push(build);
        }
        let View::Call(call) = self.graph.view(target) else {
            return Ok(());
        };
        let is_wrapper = self.graph.global(call.callable).is_some_and(|global| {
            &*global.module == "joblib.numpy_pickle" && &*global.name == "NumpyArrayWrapper"
        });
        match is_wrapper {
            true => self.skip_array(state),
            false => Ok(()),
        }
    }

    /// Passes over the array behind a wrapper of joblib: padding whose length its first byte
    /// says, then the elements; or a pickle, if they are objects.
    ///
    /// Source: joblib/numpy_pickle.py, `NumpyArrayWrapper.read_array`.
    fn skip_array(&mut self, state: Item) -> Result<()> {
        let unknown = || Error::unsupported("has an array of joblib whose extent cannot be told");
        let pairs = match self.graph.view(state) {
            View::Dict(pairs) => pairs,
            _ => return Err(unknown()),
        };
        let field = |name: &str| {
            let mut pairs = pairs.iter().rev();
            let found = pairs.find(|(key, _)| self.graph.text(*key).as_deref() == Some(name));
            found.map(|&(_, value)| value)
        };
        let element = field("dtype").ok_or_else(unknown)?;
        let element = numpy::element(&self.graph, element).map_err(|_| unknown())?;
        let shape = field("shape").and_then(|shape| self.graph.sequence(shape));
        let elements = shape.ok_or_else(unknown)?.iter().try_fold(1u64, |n, &d| {
            n.checked_mul(u64::try_from(self.graph.int(d)?).ok()?)
        });
        let is_padded = field("numpy_array_alignment_bytes")
            .is_some_and(|bytes| self.graph.int(bytes).is_some());
        let len = elements.and_then(|elements| elements.checked_mul(element.byte_len));
        let len = len.ok_or_else(unknown)?;
        if let Some(trail) = &mut self.trail {
            trail.is_joblib = true;
        }
        if element.is_object() {
            return self.follow_nested();
        }
        if is_padded {
            let padding = self.cursor.u8()?;
            self.cursor.skip(padding.into())?;
        }
        self.skipped = self.skipped.saturating_add(len);
        self.cursor.skip(len)
    }

    fn follow_nested(&mut self) -> Result<()> {
        let source = self.cursor.source();
        let position = self.cursor.position();
        let depth = self.trail.as_ref().map_or(0, |trail| trail.depth);
        if depth >= NESTED {
            let message = format!("has pickles within pickles, over {NESTED} deep");
            return Err(Error::limit(message));
        }
        let nested = trace_nested(source, position, depth.saturating_add(1));
        let (end, is_finished) = (nested.end, nested.is_finished);
        if let Some(trail) = &mut self.trail {
            trail.nested.push(nested);
        }
        match is_finished {
            true => self.cursor.seek(end),
            false => Err(Error::malformed("has an array of objects without an end")),
        }
    }
}

/// Whether what begins like this may be a pickle, an archive, something compressed, or base64
/// of those. Letters that are opcodes begin many an ordinary text; those are looked at too.
fn may_hide(first: [u8; 2]) -> bool {
    match first {
        [0x80, 0..=5] | [0xc2, 0x80] | [0x1f, 0x8b] => true,
        // zlib, 7z, xz, RAR, NumPy, and base64 of a pickle.
        [0x78, _] | [b'7', b'z'] | [0xfd, b'7'] | [b'R', b'a'] | [0x93, b'N'] | [b'g', b'A'] => {
            true
        }
        [first, _] => {
            b"(])}ciIFGJKLMNSTUVXBCP\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96".contains(&first)
        }
    }
}
