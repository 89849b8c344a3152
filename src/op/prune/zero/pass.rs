//! One pass over tensors as keys: pieces of fixed length, handed to threads.

use super::select::own_key;
use crate::dtype::{DType, cast};
use crate::error::Result;
use crate::kernel::Path;
use crate::kernel::rank::{self, Tally};
use crate::model::{Mask, Tensor};
use crate::parallel::{self, Progress};
use crate::stream::{Reader, Scratch};
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements of a piece; no more than the 32-bit counters of a histogram can take.
const PIECE: u64 = 2 << 20;

/// Elements that are looked at while they are in the cache.
const CHUNK: u64 = 64 << 10;

/// Digits of a key have 16 bits.
const DIGITS: usize = 1 << 16;

/// The key of an infinite `f64`; above are NaNs.
const INFINITY: u64 = 0x7ff0_0000_0000_0000;

/// A run of one tensor.
pub(super) struct Piece {
    pub(super) tensor: usize,
    first: u64,
    elements: u64,
}

/// Tensors that are looked at together, again and again.
pub(super) struct Pass<'a> {
    tensors: &'a [&'a Tensor],
    readers: Vec<Reader<'a>>,
    pieces: Vec<Piece>,
    /// Whether keys are those of `f64` values.
    is_wide: bool,
    threads: usize,
    progress: &'a dyn Progress,
}

/// What one thread keeps.
#[derive(Default)]
struct Worker {
    raw: Vec<u8>,
    wide: Vec<u8>,
    counts: Vec<u32>,
    scratch: Scratch,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        tensors: &'a [&'a Tensor],
        threads: usize,
        progress: &'a dyn Progress,
    ) -> Result<Pass<'a>> {
        let mut pieces = Vec::new();
        let mut readers = Vec::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            readers.push(Reader::open(tensor)?);
            let total = tensor.elements();
            let mut first = 0;
            while first < total {
                let elements = PIECE.min(total - first);
                pieces.push(Piece {
                    tensor: index,
                    first,
                    elements,
                });
                first += elements;
            }
        }
        Ok(Pass {
            tensors,
            readers,
            pieces,
            is_wide: tensors.iter().any(|tensor| tensor.dtype == DType::F64),
            threads,
            progress,
        })
    }

    pub(super) fn tensors(&self) -> &'a [&'a Tensor] {
        self.tensors
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn key_bits(&self) -> u32 {
        if self.is_wide { 64 } else { 32 }
    }

    pub(super) fn key_above_all(&self) -> u64 {
        1 << (self.key_bits() - 1)
    }

    /// Whether the bits below `shift` are zero in every key.
    pub(super) fn ends_at(&self, shift: u32) -> bool {
        let is_short = |tensor: &&Tensor| !matches!(tensor.dtype, DType::F16 | DType::F32);
        !self.is_wide && shift == 16 && self.tensors.iter().all(is_short)
    }

    /// The value of a key.
    pub(super) fn value(&self, key: u64) -> f64 {
        match self.is_wide {
            true => f64::from_bits(key),
            false => f32::from_bits(key as u32).into(),
        }
    }

    /// The mask of a tensor that zeroes keys below `key`, and those equal to it before `ties`.
    pub(super) fn mask(&self, tensor: usize, key: u64, ties: u64) -> Mask {
        let tensor = self.tensors[tensor];
        match ties >= tensor.elements() {
            true => Mask::Below {
                bits: own_key(tensor.dtype, key + 1, self.is_wide),
                ties: 0,
            },
            false => Mask::Below {
                bits: own_key(tensor.dtype, key, self.is_wide),
                ties,
            },
        }
    }

    /// How often each digit at `shift` occurs among the keys that start with `prefix`; and with
    /// `limit`, the tallies by it, one a piece.
    pub(super) fn count(
        &self,
        shift: u32,
        prefix: Option<u64>,
        limit: Option<u64>,
    ) -> Result<(Vec<u64>, Vec<Tally>)> {
        let sums: Vec<AtomicU64> = (0..DIGITS).map(|_| AtomicU64::new(0)).collect();
        let work = |worker: &mut Worker, piece: usize| {
            let mut counts = std::mem::take(&mut worker.counts);
            counts.resize(DIGITS, 0);
            let mut tally = Tally::default();
            self.chunks(worker, &self.pieces[piece], |bytes| {
                self.count_chunk(bytes, shift, prefix, &mut counts);
                if let Some(limit) = limit {
                    tally += self.tally_chunk(bytes, limit);
                }
            })?;
            for (sum, count) in sums.iter().zip(&mut counts) {
                if *count > 0 {
                    sum.fetch_add(u64::from(std::mem::take(count)), Ordering::Relaxed);
                }
            }
            worker.counts = counts;
            Ok(tally)
        };
        let tallies = parallel::map(self.threads, self.pieces.len(), Worker::default, work)?;
        let counts = sums.into_iter().map(AtomicU64::into_inner).collect();
        Ok((counts, tallies))
    }

    fn count_chunk(&self, bytes: &[u8], shift: u32, prefix: Option<u64>, counts: &mut [u32]) {
        match (self.is_wide, prefix) {
            (false, None) => rank::count_high(bytes, &mut counts[..rank::HIGH]),
            (false, Some(high)) => rank::count_low(Path::Fast, bytes, high as u32, counts),
            (true, prefix) => {
                for key in wide_keys(bytes) {
                    let is_meant = prefix.is_none_or(|prefix| key >> shift >> 16 == prefix);
                    if is_meant {
                        counts[(key >> shift & 0xffff) as usize] += 1;
                    }
                }
            }
        }
    }

    /// Tallies by `limit`, one a piece.
    pub(super) fn tally(&self, limit: u64) -> Result<Vec<Tally>> {
        let work = |worker: &mut Worker, piece: usize| {
            let mut tally = Tally::default();
            self.chunks(worker, &self.pieces[piece], |bytes| {
                tally += self.tally_chunk(bytes, limit);
            })?;
            Ok(tally)
        };
        parallel::map(self.threads, self.pieces.len(), Worker::default, work)
    }

    fn tally_chunk(&self, bytes: &[u8], limit: u64) -> Tally {
        match self.is_wide {
            true => wide_tally(bytes, limit),
            false => rank::tally(Path::Fast, bytes, limit as u32),
        }
    }

    /// The index after the `count`-th element of exactly `key` in `piece`.
    pub(super) fn position(&self, piece: &Piece, key: u64, count: u64) -> Result<u64> {
        let (mut left, mut index, mut found) = (count, piece.first, 0);
        let mut look = |own: u64| {
            index += 1;
            if own == key && left > 0 {
                left -= 1;
                found = index;
            }
        };
        self.chunks(&mut Worker::default(), piece, |bytes| match self.is_wide {
            true => wide_keys(bytes).for_each(&mut look),
            false => keys(bytes).for_each(&mut look),
        })?;
        Ok(found)
    }

    /// Does `work` on the values of a piece, chunk by chunk.
    fn chunks(
        &self,
        worker: &mut Worker,
        piece: &Piece,
        mut work: impl FnMut(&[u8]),
    ) -> Result<()> {
        let reader = &self.readers[piece.tensor];
        let dtype = reader.tensor().dtype;
        let wide = if self.is_wide { DType::F64 } else { DType::F32 };
        let mut done = 0;
        while done < piece.elements {
            let elements = CHUNK.min(piece.elements - done);
            let Worker {
                raw,
                wide: out,
                scratch,
                ..
            } = worker;
            reader.read(piece.first + done, elements, raw, scratch)?;
            self.progress.add(raw.len() as u64);
            if dtype == wide {
                work(raw);
            } else {
                out.resize((elements * u64::from(wide.facts().block_bytes)) as usize, 0);
                cast::cast(dtype, wide, raw, out)?;
                work(out);
            }
            done += elements;
        }
        Ok(())
    }
}

fn keys(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u64::from(u32::from_le_bytes(*word) & 0x7fff_ffff))
}

fn wide_keys(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let words = bytes.as_chunks::<8>().0.iter();
    words.map(|word| u64::from_le_bytes(*word) & (u64::MAX >> 1))
}

fn wide_tally(bytes: &[u8], limit: u64) -> Tally {
    let mut tally = Tally::default();
    for key in wide_keys(bytes) {
        tally.zeros += u64::from(key == 0);
        tally.below += u64::from(key < limit);
        tally.equal += u64::from(key == limit);
        if key < INFINITY {
            let square = f64::from_bits(key) * f64::from_bits(key);
            tally.squares += square;
            tally.squares_below += if key < limit { square } else { 0.0 };
        }
    }
    tally
}
