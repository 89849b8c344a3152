//! Moving bytes: fixed pieces of the output, handed to threads.
//!
//! A large tensor is cut at fixed elements; small neighbours share a piece and one write. What
//! is stored as it will be written is copied; the rest passes through a buffer that fits a
//! core's L2 cache.

use super::plan::{File, Plan};
use crate::dtype::cast::Losses;
use crate::error::{Error, Result};
use crate::io::Sink;
use crate::model::{Checkpoint, Tensor};
use crate::parallel::{self, Progress};
use crate::stream::{Reader, Scratch};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a large tensor that one piece covers.
const PIECE: u64 = 8 << 20;

/// Bytes up to which neighbours share a piece; larger tensors have pieces of their own.
const BATCH: u64 = 1 << 20;

/// Output bytes that are made at once where they are not just copied.
const CHUNK: u64 = 256 << 10;

/// Pieces and chunks start at multiples of this many elements: whole blocks of every dtype.
const STEP: u64 = 1024;

/// One run of the output.
pub(super) struct Piece {
    /// Which file.
    pub(super) file: usize,
    /// Where in it.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) len: u64,
    /// Which fragments follow each other there.
    pub(super) fragments: Range<usize>,
}

/// A run of one tensor's elements.
pub(super) struct Fragment {
    /// Which tensor of the checkpoint.
    pub(super) tensor: usize,
    pub(super) first: u64,
    pub(super) elements: u64,
    pub(super) bytes: u64,
    /// Bytes between it and the fragment before it in the same piece.
    gap: u64,
}

/// Zeros up to which a piece may hold between its fragments: what frames or pads the data.
const GAP: u64 = 512;

/// All runs of all files, in order.
pub(super) struct Pieces {
    pub(super) pieces: Vec<Piece>,
    pub(super) fragments: Vec<Fragment>,
}

impl Pieces {
    pub(super) fn of(plan: &Plan, checkpoint: &Checkpoint) -> Pieces {
        let mut pieces = Pieces {
            pieces: Vec::new(),
            fragments: Vec::new(),
        };
        for (file, planned) in plan.files.iter().enumerate() {
            for &place in &planned.layout.order {
                let index = planned.tensors.get(place);
                let offset = planned.layout.offsets.get(place);
                if let (Some(&index), Some(&offset)) = (index, offset)
                    && let Some(tensor) = checkpoint.tensors.get(index)
                {
                    pieces.add(file, offset, index, tensor);
                }
            }
        }
        pieces
    }

    fn add(&mut self, file: usize, offset: u64, index: usize, tensor: &Tensor) {
        let bytes = tensor.byte_len().unwrap_or(0);
        if bytes == 0 {
            return;
        }
        let whole = Fragment {
            tensor: index,
            first: 0,
            elements: tensor.elements(),
            bytes,
            gap: 0,
        };
        if bytes > BATCH {
            return self.add_large(file, offset, &whole, tensor);
        }
        match self.pieces.last_mut() {
            Some(last) if last.file == file => {
                let end = last.offset.saturating_add(last.len);
                let gap = offset.checked_sub(end).filter(|gap| *gap <= GAP);
                let len = gap.map(|gap| last.len.saturating_add(gap).saturating_add(bytes));
                match (gap, len) {
                    (Some(gap), Some(len)) if len <= BATCH => {
                        last.len = len;
                        last.fragments.end = last.fragments.end.saturating_add(1);
                        self.fragments.push(Fragment { gap, ..whole });
                    }
                    _ => self.push(file, offset, whole),
                }
            }
            _ => self.push(file, offset, whole),
        }
    }

    fn add_large(&mut self, file: usize, offset: u64, whole: &Fragment, tensor: &Tensor) {
        let step = elements_in(tensor, PIECE);
        let mut first = 0u64;
        while first < whole.elements {
            let elements = step.min(whole.elements.saturating_sub(first));
            let at = tensor.dtype.byte_len(first).unwrap_or(0);
            let fragment = Fragment {
                tensor: whole.tensor,
                first,
                elements,
                bytes: tensor.dtype.byte_len(elements).unwrap_or(0),
                gap: 0,
            };
            self.push(file, offset.saturating_add(at), fragment);
            first = first.saturating_add(elements);
        }
    }

    fn push(&mut self, file: usize, offset: u64, fragment: Fragment) {
        let start = self.fragments.len();
        self.pieces.push(Piece {
            file,
            offset,
            len: fragment.bytes,
            fragments: start..start.saturating_add(1),
        });
        self.fragments.push(fragment);
    }

    pub(super) fn fragments_of(&self, piece: &Piece) -> &[Fragment] {
        self.fragments
            .get(piece.fragments.clone())
            .unwrap_or_default()
    }
}

/// How many elements take about `bytes`, in whole steps.
pub(super) fn elements_in(tensor: &Tensor, bytes: u64) -> u64 {
    let step_bytes = tensor.dtype.byte_len(STEP).unwrap_or(1).max(1);
    let steps = bytes.checked_div(step_bytes).unwrap_or(1).max(1);
    steps.saturating_mul(STEP)
}

/// Readers of the tensors that several pieces share: what opening one costs (indices of a
/// sparse tensor, an inflated member) is paid once and given back after the last piece.
pub(super) struct Readers<'a> {
    checkpoint: &'a Checkpoint,
    shared: HashMap<usize, Shared<'a>>,
}

struct Shared<'a> {
    uses_left: AtomicUsize,
    reader: Mutex<Option<Arc<Reader<'a>>>>,
}

impl<'a> Readers<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, pieces: &Pieces) -> Readers<'a> {
        let mut shared: HashMap<usize, Shared<'a>> = HashMap::new();
        for piece in pieces.fragments.chunk_by(|a, b| a.tensor == b.tensor) {
            if let [first, _, ..] = piece {
                let uses = Shared {
                    uses_left: AtomicUsize::new(piece.len()),
                    reader: Mutex::new(None),
                };
                shared.insert(first.tensor, uses);
            }
        }
        Readers { checkpoint, shared }
    }

    /// Does `work` with a reader of a tensor. Called once for each of its fragments.
    pub(super) fn with<R>(
        &self,
        tensor: usize,
        work: impl FnOnce(&Reader<'a>) -> Result<R>,
    ) -> Result<R> {
        let Some(shared) = self.shared.get(&tensor) else {
            return work(&self.open(tensor)?);
        };
        let reader = {
            let mut slot = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(reader) => Arc::clone(reader),
                None => Arc::clone(slot.insert(Arc::new(self.open(tensor)?))),
            }
        };
        let result = work(&reader);
        if shared.uses_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *shared.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }

    fn open(&self, tensor: usize) -> Result<Reader<'a>> {
        let tensor = self.checkpoint.tensors.get(tensor);
        Reader::open(tensor.ok_or_else(|| Error::usage("a tensor that is not there"))?)
    }
}

/// The CRC-32 of each fragment of a piece, if its file has use for them.
struct Checksums(Option<Vec<u32>>);

impl Checksums {
    fn of(file: &File) -> Checksums {
        Checksums(file.layout.archive.as_ref().map(|_| Vec::new()))
    }

    /// The next fragment begins.
    fn start(&mut self) {
        if let Some(checksums) = &mut self.0 {
            checksums.push(0);
        }
    }

    /// More of the fragment that was begun last.
    fn add(&mut self, bytes: &[u8]) {
        if let Some(last) = self.0.as_mut().and_then(|checksums| checksums.last_mut()) {
            let mut crc = crc32fast::Hasher::new_with_initial(*last);
            crc.update(bytes);
            *last = crc.finalize();
        }
    }
}

/// What one thread keeps between pieces.
#[derive(Default)]
struct Worker {
    buffer: Vec<u8>,
    scratch: Scratch,
}

/// Sums that any thread may add to: the outcome does not depend on the order.
#[derive(Default)]
struct Tally {
    overflow: AtomicU64,
    underflow: AtomicU64,
    nan: AtomicU64,
}

impl Tally {
    fn add(&self, losses: Losses) {
        if losses != Losses::default() {
            self.overflow.fetch_add(losses.overflow, Ordering::Relaxed);
            self.underflow
                .fetch_add(losses.underflow, Ordering::Relaxed);
            self.nan.fetch_add(losses.nan, Ordering::Relaxed);
        }
    }
}

/// Fills `sinks`, one for each planned file, and returns what each tensor's casts lost.
pub(super) fn move_bytes(
    plan: &Plan,
    sinks: &[Sink],
    checkpoint: &Checkpoint,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Losses>> {
    for (sink, file) in sinks.iter().zip(&plan.files) {
        sink.set_len(file.layout.len)?;
        sink.write_all_at(0, &file.layout.header)?;
    }
    let pieces = Pieces::of(plan, checkpoint);
    let mover = Mover {
        plan,
        readers: Readers::new(checkpoint, &pieces),
        pieces: &pieces,
        sinks,
        tallies: checkpoint
            .tensors
            .iter()
            .map(|_| Tally::default())
            .collect(),
        progress,
    };
    let work = |worker: &mut Worker, piece: usize| mover.piece(worker, piece);
    let checksums = parallel::map(threads, pieces.pieces.len(), Worker::default, work)?;
    frame(plan, sinks, &combined(&pieces, checksums, checkpoint))?;
    let losses = mover.tallies.into_iter().map(|tally| Losses {
        overflow: tally.overflow.into_inner(),
        underflow: tally.underflow.into_inner(),
        nan: tally.nan.into_inner(),
    });
    Ok(losses.collect())
}

/// The CRC-32 of each tensor of the checkpoint, from those of its fragments; 0 where none were
/// computed.
fn combined(pieces: &Pieces, checksums: Vec<Vec<u32>>, checkpoint: &Checkpoint) -> Vec<u32> {
    let mut whole = vec![0u32; checkpoint.tensors.len()];
    for (piece, checksums) in pieces.pieces.iter().zip(checksums) {
        for (fragment, checksum) in pieces.fragments_of(piece).iter().zip(checksums) {
            if let Some(before) = whole.get_mut(fragment.tensor) {
                let mut crc = crc32fast::Hasher::new_with_initial(*before);
                let next = crc32fast::Hasher::new_with_initial_len(checksum, fragment.bytes);
                crc.combine(&next);
                *before = crc.finalize();
            }
        }
    }
    whole
}

/// Writes what frames the data of archives.
fn frame(plan: &Plan, sinks: &[Sink], checksums: &[u32]) -> Result<()> {
    for (sink, file) in sinks.iter().zip(&plan.files) {
        let Some(archive) = &file.layout.archive else {
            continue;
        };
        let of = |place: &usize| {
            let index = file.tensors.get(*place)?;
            checksums.get(*index).copied()
        };
        let order = file.layout.order.iter();
        let checksums: Vec<u32> = order.map(|place| of(place).unwrap_or(0)).collect();
        archive.frames(&checksums, |offset, bytes| sink.write_all_at(offset, bytes))?;
    }
    Ok(())
}

struct Mover<'a> {
    plan: &'a Plan,
    pieces: &'a Pieces,
    sinks: &'a [Sink],
    readers: Readers<'a>,
    tallies: Vec<Tally>,
    progress: &'a dyn Progress,
}

impl Mover<'_> {
    /// Moves one piece; returns the CRC-32 of each of its fragments if the file needs them.
    fn piece(&self, worker: &mut Worker, piece: usize) -> Result<Vec<u32>> {
        let Some(piece) = self.pieces.pieces.get(piece) else {
            return Ok(Vec::new());
        };
        let file = self.plan.files.get(piece.file);
        let (Some(file), Some(sink)) = (file, self.sinks.get(piece.file)) else {
            return Ok(Vec::new());
        };
        let mut checksums = Checksums::of(file);
        match self.pieces.fragments_of(piece) {
            [single] if single.bytes > CHUNK => {
                let place = (sink, piece.offset);
                self.large(worker, place, single, &mut checksums)?;
            }
            several => self.batch(worker, sink, piece, several, &mut checksums)?,
        }
        Ok(checksums.0.unwrap_or_default())
    }

    /// One write for all.
    fn batch(
        &self,
        worker: &mut Worker,
        sink: &Sink,
        piece: &Piece,
        fragments: &[Fragment],
        checksums: &mut Checksums,
    ) -> Result<()> {
        let Worker { buffer, scratch } = worker;
        let short = || Error::usage("a piece is shorter than its fragments");
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        buffer.resize(size(piece.len), 0);
        let mut rest = buffer.as_mut_slice();
        for fragment in fragments {
            let (gap, after) = rest
                .split_at_mut_checked(size(fragment.gap))
                .ok_or_else(short)?;
            gap.fill(0);
            let (out, after) = after
                .split_at_mut_checked(size(fragment.bytes))
                .ok_or_else(short)?;
            let read = |reader: &Reader<'_>| {
                reader.read_into(fragment.first, fragment.elements, out, scratch)
            };
            self.add(fragment.tensor, self.readers.with(fragment.tensor, read)?);
            checksums.start();
            checksums.add(out);
            rest = after;
        }
        sink.write_all_at(piece.offset, buffer)?;
        self.progress.add(piece.len);
        Ok(())
    }

    /// Copied, or made chunk by chunk.
    fn large(
        &self,
        worker: &mut Worker,
        (sink, offset): (&Sink, u64),
        fragment: &Fragment,
        checksums: &mut Checksums,
    ) -> Result<()> {
        checksums.start();
        self.readers.with(fragment.tensor, |reader| {
            let dtype = reader.tensor().dtype;
            // What is checksummed passes through memory.
            if let (Some((source, start)), None) = (reader.run(), &checksums.0) {
                let skipped = dtype.byte_len(fragment.first).unwrap_or(u64::MAX);
                let from = start.saturating_add(skipped);
                sink.copy_from(offset, source, from, fragment.bytes, &mut worker.buffer)?;
                self.progress.add(fragment.bytes);
                return Ok(());
            }
            let step = elements_in(reader.tensor(), CHUNK);
            let (mut done, mut written) = (0u64, 0u64);
            while done < fragment.elements {
                let elements = step.min(fragment.elements.saturating_sub(done));
                let Worker { buffer, scratch } = &mut *worker;
                let first = fragment.first.saturating_add(done);
                let losses = reader.read(first, elements, buffer, scratch)?;
                self.add(fragment.tensor, losses);
                checksums.add(buffer);
                sink.write_all_at(offset.saturating_add(written), buffer)?;
                self.progress.add(buffer.len() as u64);
                done = done.saturating_add(elements);
                written = written.saturating_add(buffer.len() as u64);
            }
            Ok(())
        })
    }

    fn add(&self, tensor: usize, losses: Losses) {
        if let Some(tally) = self.tallies.get(tensor) {
            tally.add(losses);
        }
    }
}
