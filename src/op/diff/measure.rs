//! Reads pairs of tensors piece by piece and counts what differs.
//!
//! A piece is a fixed number of elements, so results do not depend on threads. Pairs whose
//! bytes mean the same are compared as bytes first: a piece that is equal needs no arithmetic,
//! unless another piece of its tensor differs; then it is measured after all, for the norms.

use super::pair::{Chunk, Job, PIECE, Pair, Slot, decoders, slots};
use super::tally::Tally;
use super::tile::{self, TILE, Tolerance};
use super::values::{Decoder, Numbers, Room, Width};
use crate::error::{Error, Result};
use crate::kernel::InstructionSet;
use crate::parallel::{self, Progress};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements that are read at once: 128 KiB of `f32` a side, so that both stay in the L2 cache.
const CHUNK: u64 = 32 << 10;

/// Elements of small tensors that a thread takes at once, and how many tensors at most.
const BATCH: u64 = 1 << 18;
const BATCH_TENSORS: usize = 256;

/// How pairs are measured.
#[derive(Clone, Copy)]
pub(in crate::op) struct How<'a> {
    pub(in crate::op) instructions: InstructionSet,
    pub(in crate::op) threads: usize,
    pub(in crate::op) tolerance: Option<Tolerance>,
    /// Whether equal pieces need arithmetic, too.
    pub(in crate::op) with_norms: bool,
    pub(in crate::op) progress: &'a dyn Progress,
}

impl How<'_> {
    fn arithmetic(self) -> Arithmetic {
        Arithmetic {
            instructions: self.instructions,
            tolerance: self.tolerance,
        }
    }
}

/// How elements are compared.
#[derive(Clone, Copy, Debug)]
struct Arithmetic {
    instructions: InstructionSet,
    tolerance: Option<Tolerance>,
}

/// What was found about one pair.
#[derive(Debug)]
pub(in crate::op) struct Outcome {
    /// Whether every bit is the same, and means the same.
    pub(super) is_identical: bool,
    /// Whether one is the other, cast.
    pub(super) is_rounded: bool,
    /// Whether every element is within the tolerance.
    pub(super) is_near: bool,
    /// Empty if identical.
    pub(in crate::op) tally: Tally,
}

/// What was found about one piece.
#[derive(Debug)]
struct Piece {
    is_identical: bool,
    /// Whether B is A cast to B's dtype, and the reverse.
    is_rounded: [bool; 2],
    is_near: bool,
    tally: Tally,
}

/// Measures every pair; one that cannot be read is an error of its own.
///
/// Errors: threads that cannot be started.
pub(in crate::op) fn measure(jobs: &[Job<'_>], how: How<'_>) -> Result<Vec<Result<Outcome>>> {
    let skip = if how.with_norms {
        Skip::Nothing
    } else {
        Skip::Equal
    };
    let every: Vec<(usize, usize)> = jobs
        .iter()
        .enumerate()
        .flat_map(|(job, pair)| (0..pair.pieces()).map(move |piece| (job, piece)))
        .collect();
    let mut found: Vec<Vec<Result<Piece>>> = jobs.iter().map(|_| Vec::new()).collect();
    for ((job, _), piece) in every.iter().zip(run(jobs, &every, skip, how)?) {
        found[*job].push(piece);
    }
    if skip == Skip::Nothing {
        return Ok(found.into_iter().map(join).collect());
    }
    let needed: Vec<(usize, usize)> = every
        .into_iter()
        .filter(|&(job, piece)| {
            let is_identical = |piece: &Result<Piece>| matches!(piece, Ok(p) if p.is_identical);
            is_identical(&found[job][piece]) && !found[job].iter().all(is_identical)
        })
        .collect();
    for (&(job, index), piece) in needed.iter().zip(run(jobs, &needed, Skip::Nothing, how)?) {
        found[job][index] = piece;
    }
    Ok(found.into_iter().map(join).collect())
}

/// Merges pieces from the first to the last; the first error is that of the tensor.
fn join(pieces: Vec<Result<Piece>>) -> Result<Outcome> {
    let mut is_identical = true;
    let mut is_rounded = [true; 2];
    let mut is_near = true;
    let mut tally = Tally::default();
    for piece in pieces {
        let piece = piece?;
        is_identical &= piece.is_identical;
        is_rounded = [0, 1].map(|way| is_rounded[way] && piece.is_rounded[way]);
        is_near &= piece.is_near;
        tally.add(&piece.tally);
    }
    Ok(Outcome {
        is_identical,
        is_rounded: is_rounded.contains(&true),
        is_near,
        tally,
    })
}

/// Which pieces need no arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    /// Those whose bytes are equal.
    Equal,
    /// None.
    Nothing,
}

/// Measures pieces, given as job and index in ascending order. Small ones are batched.
fn run(
    jobs: &[Job<'_>],
    pieces: &[(usize, usize)],
    skip: Skip,
    how: How<'_>,
) -> Result<Vec<Result<Piece>>> {
    let slots: Vec<Slot<'_>> = slots(jobs, pieces);
    let batches = batches(jobs, pieces);
    let measure = |buffers: &mut Buffers, &(job, index): &(usize, usize)| {
        let piece = slots[job].open(&jobs[job]).and_then(|pair| {
            let start = index as u64 * PIECE;
            let end = jobs[job].a.elements().min(start + PIECE);
            let piece = pair.measure(start..end, skip, how.arithmetic(), buffers);
            how.progress.add(jobs[job].byte_len(end - start));
            piece
        });
        slots[job].release();
        piece
    };
    let work = |buffers: &mut Buffers, batch: usize| {
        let batch = pieces[batches[batch].clone()].iter();
        Ok(batch
            .map(|piece| measure(buffers, piece))
            .collect::<Vec<_>>())
    };
    let found = parallel::map(how.threads, batches.len(), Buffers::default, work)?;
    Ok(found.into_iter().flatten().collect())
}

/// Runs of pieces that one thread takes at once.
fn batches(jobs: &[Job<'_>], pieces: &[(usize, usize)]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut elements = u64::MAX;
    for (position, &(job, index)) in pieces.iter().enumerate() {
        let rest = jobs[job].a.elements().saturating_sub(index as u64 * PIECE);
        let own = rest.min(PIECE);
        let together = elements.saturating_add(own);
        match batches.last_mut() {
            Some(batch) if together <= BATCH && batch.len() < BATCH_TENSORS => {
                batch.end = position + 1;
                elements = together;
            }
            _ => {
                batches.push(position..position + 1);
                elements = own;
            }
        }
    }
    batches
}

/// What one thread keeps.
#[derive(Debug, Default)]
struct Buffers {
    chunk: Chunk,
    tile: TileBuffers,
}

#[derive(Debug, Default)]
struct TileBuffers {
    cast: Vec<u8>,
    a: Room,
    b: Room,
    a_numbers: Numbers,
    b_numbers: Numbers,
}

impl Pair<'_> {
    /// Measures the elements of `range`, which starts at a multiple of [`TILE`].
    fn measure(
        &self,
        range: Range<u64>,
        skip: Skip,
        arithmetic: Arithmetic,
        buffers: &mut Buffers,
    ) -> Result<Piece> {
        let mut is_equal = self.is_like && skip == Skip::Equal;
        let mut pass = None;
        let mut first = range.start;
        while first < range.end {
            let count = CHUNK.min(range.end - first);
            self.read(first, count, &mut buffers.chunk)?;
            if is_equal && buffers.chunk.a == buffers.chunk.b {
                first += count;
                continue;
            }
            // Chunks that were skipped because they are equal are measured after all.
            if std::mem::take(&mut is_equal) && first > range.start {
                first = range.start;
                continue;
            }
            let Buffers { chunk, tile } = &mut *buffers;
            let (a, b) = (&chunk.a, &chunk.b);
            let pass = match &mut pass {
                Some(pass) => pass,
                none => none.insert(Pass::new(self, skip, arithmetic)?),
            };
            pass.piece.is_identical = pass.piece.is_identical && a == b;
            pass.add(a, b, first, tile)?;
            first += count;
        }
        Ok(match pass {
            Some(pass) => pass.piece,
            None => Piece {
                is_identical: self.is_like,
                is_rounded: [true; 2],
                is_near: true,
                tally: Tally::default(),
            },
        })
    }
}

/// The arithmetic over one piece.
struct Pass<'p> {
    a: &'p Decoder,
    b: &'p Decoder,
    arithmetic: Arithmetic,
    is_single: bool,
    piece: Piece,
}

impl<'p> Pass<'p> {
    /// Errors: elements that cannot be read as numbers.
    fn new(pair: &'p Pair<'_>, skip: Skip, arithmetic: Arithmetic) -> Result<Pass<'p>> {
        let Some((a, b)) = &pair.decoders else {
            // Asking again says why.
            decoders(pair.a.tensor(), pair.b.tensor())?;
            return Err(Error::unsupported("cannot be read as numbers"));
        };
        Ok(Pass {
            a,
            b,
            arithmetic,
            is_single: a.width == Width::Single && b.width == Width::Single,
            piece: Piece {
                is_identical: pair.is_like && skip == Skip::Nothing,
                // What was written is known to be rounded, if it is.
                is_rounded: match pair.is_written() {
                    false => [a.can_round(b), b.can_round(a)],
                    true => [false; 2],
                },
                is_near: arithmetic.tolerance.is_some(),
                tally: Tally::default(),
            },
        })
    }

    /// Adds a chunk, tile by tile. `first`: index of its first element.
    fn add(&mut self, a: &[u8], b: &[u8], first: u64, buffers: &mut TileBuffers) -> Result<()> {
        let tiles = a
            .chunks(self.a.byte_len(TILE))
            .zip(b.chunks(self.b.byte_len(TILE)));
        for ((a, b), first) in tiles.zip((first..).step_by(TILE)) {
            let tally = match self.is_single {
                true => self.compare_singles(a, b, first, buffers)?,
                false => self.compare_numbers(a, b, first, buffers)?,
            };
            self.piece.tally.add(&tally);
            if !tally.is_equal() {
                for way in [0, 1] {
                    self.piece.is_rounded[way] =
                        self.piece.is_rounded[way] && self.is_rounded(way, a, b, buffers)?;
                }
            }
        }
        Ok(())
    }

    fn compare_singles(
        &mut self,
        a: &[u8],
        b: &[u8],
        first: u64,
        buffers: &mut TileBuffers,
    ) -> Result<Tally> {
        let a = self.a.singles(a, &mut buffers.a)?;
        let b = self.b.singles(b, &mut buffers.b)?;
        let tally = tile::compare_singles(
            self.arithmetic.instructions,
            a,
            b,
            first,
            self.piece.tally.max_abs,
        );
        if let (Some(tolerance), true, false) = (
            self.arithmetic.tolerance,
            self.piece.is_near,
            tally.is_equal(),
        ) {
            self.piece.is_near = tolerance.holds_for_singles(a, b);
        }
        Ok(tally)
    }

    fn compare_numbers(
        &mut self,
        a: &[u8],
        b: &[u8],
        first: u64,
        buffers: &mut TileBuffers,
    ) -> Result<Tally> {
        self.a.numbers(a, &mut buffers.a_numbers)?;
        self.b.numbers(b, &mut buffers.b_numbers)?;
        let (a, b) = (&buffers.a_numbers, &buffers.b_numbers);
        let tally = tile::compare_numbers(a, b, first);
        if let (Some(tolerance), true, false) = (
            self.arithmetic.tolerance,
            self.piece.is_near,
            tally.is_equal(),
        ) {
            self.piece.is_near = tolerance.holds_for_numbers(a, b);
        }
        Ok(tally)
    }

    /// Whether one is exactly the other cast: A to B's dtype (way 0), or B to A's (way 1).
    fn is_rounded(
        &self,
        way: usize,
        a: &[u8],
        b: &[u8],
        buffers: &mut TileBuffers,
    ) -> Result<bool> {
        let (from, wide, to, narrow) = match way {
            0 => (self.a, a, self.b, b),
            _ => (self.b, b, self.a, a),
        };
        from.cast(to, wide, &mut buffers.cast)?;
        if buffers.cast == narrow {
            return Ok(true);
        }
        // Other bits may be the same value: NaN payloads, zeros.
        if to.width == Width::Single {
            let found = to.singles(&buffers.cast, &mut buffers.b)?;
            let wanted = to.singles(narrow, &mut buffers.a)?;
            let is_same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
            return Ok(found.iter().zip(wanted).all(is_same));
        }
        to.numbers(&buffers.cast, &mut buffers.b_numbers)?;
        to.numbers(narrow, &mut buffers.a_numbers)?;
        let tally = tile::compare_numbers(&buffers.b_numbers, &buffers.a_numbers, 0);
        Ok(tally.is_equal())
    }
}

/// For each pair, whether every element is equal; reading stops where one is not.
///
/// Errors: threads that cannot be started. A pair that cannot be read is not equal.
pub(super) fn are_equal(jobs: &[Job<'_>], threads: usize) -> Result<Vec<bool>> {
    /// Enough to tell most matrices from each other's transpose.
    const GLIMPSE: u64 = 64;
    let differs: Vec<AtomicBool> = jobs.iter().map(|_| AtomicBool::new(false)).collect();
    let arithmetic = Arithmetic {
        instructions: InstructionSet::best(),
        tolerance: None,
    };
    let check = |range: &dyn Fn(&Job<'_>) -> Range<u64>, job: usize, buffers: &mut Buffers| {
        if differs[job].load(Ordering::Relaxed) {
            return;
        }
        let pair = Pair::open(&jobs[job]);
        let piece =
            pair.and_then(|p| p.measure(range(&jobs[job]), Skip::Equal, arithmetic, buffers));
        if !piece.is_ok_and(|piece| piece.is_identical || piece.tally.is_equal()) {
            differs[job].store(true, Ordering::Relaxed);
        }
    };
    parallel::map(threads, jobs.len(), Buffers::default, |buffers, job| {
        check(&|job| 0..job.a.elements().min(GLIMPSE), job, buffers);
        Ok(())
    })?;
    let pieces: Vec<(usize, u64)> = (0..jobs.len())
        .filter(|&job| !differs[job].load(Ordering::Relaxed))
        .flat_map(|job| {
            (0..jobs[job].a.elements())
                .step_by(CHUNK as usize)
                .map(move |f| (job, f))
        })
        .collect();
    parallel::map(threads, pieces.len(), Buffers::default, |buffers, index| {
        let (job, first) = pieces[index];
        check(
            &|job| first..job.a.elements().min(first + CHUNK),
            job,
            buffers,
        );
        Ok(())
    })?;
    Ok(differs
        .into_iter()
        .map(|differs| !differs.into_inner())
        .collect())
}
