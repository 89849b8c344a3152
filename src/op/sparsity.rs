//! How sparse tensors are: zeros, which patterns N:M their groups keep, rows and channels of
//! zeros.
//!
//! Groups lie along the innermost dimension, as `prune --structured` makes them and as sparse
//! matrix units read weights (inputs innermost). Rows are the slices along the first dimension,
//! channels those along the second.

use super::rules::{GROUP, Sparsity};
use super::work::{SharedReader, as_f32, check_size};
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::kernel::{Path, zero};
use crate::limits;
use crate::model::{Checkpoint, Payload, Tensor};
use crate::parallel::{self, Progress};
use crate::stream::Scratch;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements that are looked at while they are in the cache.
const CHUNK: u64 = 64 << 10;

/// Elements of one piece of work.
const PIECE: u64 = 2 << 20;

/// Patterns that can be asked for.
const PATTERNS: usize = 8;

/// At most `kept` of each `of` neighbours are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Elements that may stay.
    pub kept: u32,
    /// Elements of a group.
    pub of: u64,
}

impl Pattern {
    /// Reads `N:M`.
    ///
    /// Errors: `Usage` for anything else, N above M, or M outside 1 to 1024.
    pub fn read(text: &str) -> Result<Pattern> {
        let unread = || {
            let error = Error::usage(format!("`{text}` is no pattern N:M"));
            error.with_hint("as in `2:4`: at most 2 of each 4 neighbours are not zero")
        };
        let sparsity = Sparsity::read_groups(text).ok_or_else(unread)?;
        sparsity.check()?;
        match sparsity {
            Sparsity::Groups { kept, of } => Ok(Pattern { kept, of }),
            Sparsity::Share(_) => Err(unread()),
        }
    }

    fn zeros(self) -> usize {
        usize::try_from(self.of)
            .unwrap_or(0)
            .saturating_sub(self.kept as usize)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kept, self.of)
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that are meant.
    pub of: u64,
    /// All.
    pub all: u64,
}

/// How sparse a tensor is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Elements that are zero.
    pub zeros: Count,
    /// Groups that keep each pattern; `None` where its groups do not divide the rows.
    pub groups: Vec<Option<Count>>,
    /// Rows of zeros; `None` below two dimensions.
    pub rows: Option<Count>,
    /// Channels of zeros; `None` below two dimensions.
    pub channels: Option<Count>,
}

/// Measures the floating tensors of `checkpoint`, quantised ones after dequantisation, each with
/// a read of its own. The result has an entry a tensor: `None` for integers, for tensors without
/// elements, and for what cannot be read.
///
/// Errors: `Usage` for more patterns, or larger ones together, than fit.
pub fn measure(
    checkpoint: &Checkpoint,
    patterns: &[Pattern],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Option<Found>>> {
    let step = step(patterns)?;
    let mut slices_left = limits::SPARSE_ELEMENTS;
    let subjects = checkpoint.tensors.iter();
    let subjects: Vec<Option<Subject>> = subjects
        .map(|tensor| Subject::new(tensor, patterns, &mut slices_left))
        .collect();
    let mut pieces = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        let Some(subject) = subject else { continue };
        let whole = PIECE / step * step;
        let mut first = 0;
        while first < subject.elements {
            let elements = whole.min(subject.elements - first);
            pieces.push((index, first, elements));
            first += elements;
        }
    }
    let mut counts = vec![0; subjects.len()];
    pieces.iter().for_each(|(index, ..)| counts[*index] += 1);
    let readers: Vec<SharedReader<'_>> = counts.into_iter().map(SharedReader::new).collect();
    let done = parallel::map(threads, pieces.len(), Worker::default, |worker, piece| {
        let (index, first, elements) = pieces[piece];
        let found = subjects[index].as_ref().map(|subject| {
            let found = subject.look(&readers[index], first, elements, step, worker, progress);
            readers[index].release();
            found
        });
        Ok(found.and_then(Result::ok).flatten())
    })?;
    let mut totals: Vec<Option<Sums>> = subjects.iter().map(|_| Some(Sums::default())).collect();
    for ((index, ..), sums) in pieces.iter().zip(done) {
        let total = totals[*index].take();
        totals[*index] = total.zip(sums).map(|(total, sums)| total.plus(&sums));
    }
    let found = subjects.iter().zip(totals);
    let found = found.map(|(subject, sums)| subject.as_ref()?.finish(&sums?));
    Ok(with_ties(&checkpoint.tensors, found.collect()))
}

/// Elements that can be cut off without cutting a group of any pattern.
fn step(patterns: &[Pattern]) -> Result<u64> {
    if patterns.len() > PATTERNS {
        let count = patterns.len();
        return Err(Error::usage(format!(
            "{count} patterns are asked for; the limit is {PATTERNS}"
        )));
    }
    let step = patterns.iter().fold(1, |step, pattern| {
        let (mut a, mut b) = (step, pattern.of);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        step / a * pattern.of
    });
    match step <= CHUNK {
        true => Ok(step),
        false => Err(Error::usage(format!(
            "the groups of these patterns end together every {step} elements only; the limit is {CHUNK}"
        ))),
    }
}

/// Other names of a tensor are as sparse.
fn with_ties(tensors: &[Tensor], mut found: Vec<Option<Found>>) -> Vec<Option<Found>> {
    let mut places = HashMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        places.insert(tensor.name.as_str(), index);
    }
    for (index, tensor) in tensors.iter().enumerate() {
        let kept = tensor.tied_to.as_deref().and_then(|name| places.get(name));
        if let Some(&kept) = kept {
            found[index] = found[kept].clone();
        }
    }
    found
}

/// A tensor that is looked at.
struct Subject {
    tensor: Tensor,
    elements: u64,
    /// Of each pattern, whether its groups divide the rows.
    patterns: Vec<(Pattern, bool)>,
    /// Whether a row or a channel has an element that is not zero.
    rows: Vec<AtomicBool>,
    channels: Vec<AtomicBool>,
    /// Neighbours in one channel.
    inner: u64,
}

#[derive(Default)]
struct Worker {
    bytes: Vec<u8>,
    flags: Vec<u8>,
    /// For each channel, not 0 if an element of it is not zero.
    channels: Vec<u8>,
    scratch: Scratch,
}

/// What pieces add up to.
#[derive(Clone, Default)]
struct Sums {
    zeros: u64,
    conforming: [u64; PATTERNS],
}

impl Sums {
    fn plus(mut self, other: &Sums) -> Sums {
        self.zeros += other.zeros;
        let pairs = self.conforming.iter_mut().zip(other.conforming);
        pairs.for_each(|(sum, count)| *sum += count);
        self
    }
}

impl Subject {
    /// `slices_left`: rows and channels that may still be told apart.
    fn new(tensor: &Tensor, patterns: &[Pattern], slices_left: &mut u64) -> Option<Subject> {
        let is_number = matches!(
            tensor.dtype.class(),
            Class::Float | Class::Block | Class::Quantized
        );
        let can_be_read =
            !matches!(tensor.payload, Payload::Absent(_)) && check_size(tensor).is_ok();
        if !is_number || !can_be_read || tensor.tied_to.is_some() || tensor.elements() == 0 {
            return None;
        }
        let row = tensor.shape.row_elements();
        let (mut rows, mut channels, mut inner) = (0, 0, 0);
        if let [first, second, rest @ ..] = tensor.shape.dimensions() {
            let slices = first.saturating_add(*second);
            if slices <= *slices_left {
                *slices_left -= slices;
                (rows, channels) = (*first, *second);
                inner = rest.iter().product();
            }
        }
        let unseen = |count: u64| (0..count).map(|_| AtomicBool::new(false)).collect();
        Some(Subject {
            tensor: as_plain(tensor),
            elements: tensor.elements(),
            patterns: patterns
                .iter()
                .map(|pattern| (*pattern, row.is_multiple_of(pattern.of)))
                .collect(),
            rows: unseen(rows),
            channels: unseen(channels),
            inner,
        })
    }

    fn look<'a>(
        &'a self,
        reader: &SharedReader<'a>,
        first: u64,
        elements: u64,
        step: u64,
        worker: &mut Worker,
        progress: &dyn Progress,
    ) -> Result<Option<Sums>> {
        let Some(reader) = reader.open(&self.tensor, first)? else {
            return Ok(None);
        };
        let width = self.tensor.dtype.element_bytes().unwrap_or(1);
        let mut sums = Sums::default();
        worker.channels.clear();
        worker.channels.resize(self.channels.len(), 0);
        let chunk = CHUNK / step * step;
        let mut done = 0;
        while done < elements {
            let count = chunk.min(elements - done);
            let Worker {
                bytes,
                flags,
                scratch,
                ..
            } = worker;
            reader.read(first + done, count, bytes, scratch)?;
            flags.resize(usize::try_from(count).unwrap_or(0), 0);
            zero::flags(Path::Fast, width, bytes, flags);
            progress.add(bytes.len() as u64);
            sums.zeros += zero::count_flagged(Path::Fast, flags, 1, 1);
            let conforming = sums.conforming.iter_mut().zip(&self.patterns);
            for (sum, (pattern, divides)) in conforming {
                let of = usize::try_from(pattern.of.min(GROUP)).unwrap_or(1);
                if *divides {
                    *sum += zero::count_flagged(Path::Fast, flags, of, pattern.zeros());
                }
            }
            self.mark(first + done, &worker.flags, &mut worker.channels);
            done += count;
        }
        for (seen, flag) in self.channels.iter().zip(&worker.channels) {
            if *flag > 0 {
                seen.store(true, Ordering::Relaxed);
            }
        }
        Ok(Some(sums))
    }

    /// Marks the rows and channels of elements that are not zero. `first`: the index of the
    /// first flag.
    fn mark(&self, first: u64, mut flags: &[u8], channels: &mut [u8]) {
        if self.rows.is_empty() || self.channels.is_empty() {
            return;
        }
        let row_elements = self.inner.saturating_mul(self.channels.len() as u64).max(1);
        let mut row = usize::try_from(first / row_elements).unwrap_or(usize::MAX);
        let mut within = first % row_elements;
        while !flags.is_empty() {
            let left = usize::try_from(row_elements - within).unwrap_or(usize::MAX);
            let (here, rest) = flags.split_at(left.min(flags.len()));
            if here.contains(&0)
                && let Some(seen) = self.rows.get(row)
            {
                seen.store(true, Ordering::Relaxed);
            }
            self.mark_channels(within, here, channels);
            (flags, row, within) = (rest, row.saturating_add(1), 0);
        }
    }

    /// Marks the channels of elements of one row, from `within` it on.
    fn mark_channels(&self, within: u64, mut flags: &[u8], channels: &mut [u8]) {
        let inner = self.inner.max(1);
        let first = usize::try_from(within / inner).unwrap_or(usize::MAX);
        let channels = channels.get_mut(first..).unwrap_or_default();
        if inner == 1 {
            for (channel, flag) in channels.iter_mut().zip(flags) {
                *channel |= flag ^ 1;
            }
            return;
        }
        let mut left = inner - within % inner;
        for channel in channels {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(flags.len());
            let (here, rest) = flags.split_at(length);
            *channel |= u8::from(here.contains(&0));
            (flags, left) = (rest, inner);
        }
    }

    fn finish(&self, sums: &Sums) -> Option<Found> {
        let groups = self.patterns.iter().zip(sums.conforming);
        let groups = groups.map(|((pattern, divides), of)| {
            let all = self.elements / pattern.of;
            divides.then_some(Count { of, all })
        });
        let unseen = |slices: &[AtomicBool]| {
            let unseen = slices.iter().filter(|seen| !seen.load(Ordering::Relaxed));
            let count = Count {
                of: unseen.count() as u64,
                all: slices.len() as u64,
            };
            (!slices.is_empty()).then_some(count)
        };
        Some(Found {
            zeros: Count {
                of: sums.zeros,
                all: self.elements,
            },
            groups: groups.collect(),
            rows: unseen(&self.rows),
            channels: unseen(&self.channels),
        })
    }
}

/// The tensor, or its elements as `f32` where a zero is not told by its bits.
fn as_plain(tensor: &Tensor) -> Tensor {
    use DType::{BF16, F8E4M3, F8E5M2, F16, F32, F64};
    if matches!(tensor.dtype, F64 | F32 | F16 | BF16 | F8E4M3 | F8E5M2) {
        return tensor.clone();
    }
    as_f32(tensor.clone())
}
