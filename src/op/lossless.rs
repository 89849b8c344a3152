//! Which tensors a smaller float holds exactly, and which one they become.
//!
//! A tensor becomes the smallest dtype that holds all of its elements bit by bit (a NaN only if
//! a cast keeps its payload: see [`crate::kernel::lossless`]) and that the target can hold: F32
//! becomes BF16 or F16, F64 those or F32. Where both of BF16 and F16 do, it is the one that more
//! of the checkpoint's tensors can have or have already; BF16 if as many. Floats of 16 bits
//! stay: an 8-bit float would hold little but a tensor of ones.

use super::rules::Wanted;
use super::work::{self, Run, SharedReader, lock};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::InstructionSet;
use crate::kernel::lossless::{Exact, of_f32, of_f64};
use crate::model::{Checkpoint, Tensor};
use crate::parallel::{self, Progress};
use crate::stream::{Reader, Scratch};
use std::sync::Mutex;

/// Elements that are read at once: 256 or 512 KiB.
const CHUNK: u64 = 64 << 10;

/// Whether elements of this dtype may fit a smaller float.
pub fn may_shrink(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// The smaller floats that hold a tensor of `dtype` exactly, if `exact` does its elements; the
/// smallest first.
pub fn smaller(dtype: DType, exact: Exact) -> impl Iterator<Item = DType> {
    let all = [
        (DType::BF16, exact.bf16),
        (DType::F16, exact.f16),
        (DType::F32, exact.f32 && dtype == DType::F64),
    ];
    let held = all
        .into_iter()
        .filter(move |(_, is_held)| *is_held && may_shrink(dtype));
    held.map(|(dtype, _)| dtype)
}

/// BF16 or F16: what tensors become that both hold. `tensors`: every one's dtype, and what holds
/// its elements.
pub fn preferred(tensors: impl Iterator<Item = (DType, Exact)>) -> DType {
    let (mut bf16, mut f16) = (0u64, 0u64);
    for (dtype, exact) in tensors {
        let has = |half: DType| dtype == half || smaller(dtype, exact).any(|one| one == half);
        bf16 += u64::from(has(DType::BF16));
        f16 += u64::from(has(DType::F16));
    }
    if f16 > bf16 { DType::F16 } else { DType::BF16 }
}

/// What a tensor of `dtype` becomes; `None` if it stays.
pub fn smallest(dtype: DType, exact: Exact, preferred: DType) -> Option<DType> {
    let has_preferred = smaller(dtype, exact).any(|one| one == preferred);
    let first = || smaller(dtype, exact).next();
    has_preferred.then_some(preferred).or_else(first)
}

/// For each tensor what it becomes, where `wanted` says [`Wanted::Lossless`]; `None` for those
/// that stay.
///
/// Reads those tensors, each until it is known that nothing smaller holds it. `holds`: what the
/// target can hold. The result is the same for any number of threads.
/// Errors: whatever reading may fail with; `Limit` for a view of a few bytes that stands for
/// more than anyone can read.
pub fn decide(
    checkpoint: &Checkpoint,
    wanted: &[Option<Wanted>],
    holds: &[DType],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Option<DType>>> {
    let tensors = &checkpoint.tensors;
    let is_wanted = |index: usize| {
        let is_lossless = wanted.get(index) == Some(&Some(Wanted::Lossless));
        is_lossless && may_shrink(tensors[index].dtype) && tensors[index].elements() > 0
    };
    let hoped = |index: usize| match is_wanted(index) {
        true => Exact {
            f32: holds.contains(&DType::F32),
            bf16: holds.contains(&DType::BF16),
            f16: holds.contains(&DType::F16),
        },
        false => Exact::NONE,
    };
    let hoped = (0..tensors.len()).map(hoped).collect();
    let exact = Search::new(tensors, hoped, progress).run(threads)?;
    let dtypes = tensors.iter().map(|tensor| tensor.dtype);
    let pairs = || dtypes.clone().zip(exact.iter().copied());
    let preferred = preferred(pairs());
    Ok(pairs()
        .map(|(dtype, exact)| smallest(dtype, exact, preferred))
        .collect())
}

/// Tensors, and what may still hold them.
struct Search<'a> {
    tensors: &'a [Tensor],
    exact: Vec<Mutex<Exact>>,
    runs: Vec<Run>,
    readers: Vec<SharedReader<'a>>,
    progress: &'a dyn Progress,
}

impl<'a> Search<'a> {
    fn new(tensors: &'a [Tensor], hoped: Vec<Exact>, progress: &'a dyn Progress) -> Search<'a> {
        let mut runs = Vec::new();
        let mut readers = Vec::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            let start = runs.len();
            if hoped[index] != Exact::NONE {
                runs.extend(work::runs_of(index, tensor.elements()));
            }
            readers.push(SharedReader::new(runs.len() - start));
        }
        Search {
            tensors,
            exact: hoped.into_iter().map(Mutex::new).collect(),
            runs,
            readers,
            progress,
        }
    }

    fn run(self, threads: usize) -> Result<Vec<Exact>> {
        let pieces = work::pieces(&self.runs, self.tensors);
        let state = || (Vec::new(), Scratch::default());
        parallel::map(threads, pieces.len(), state, |(bytes, scratch), piece| {
            let mut runs = self.runs[pieces[piece].clone()].iter();
            runs.try_for_each(|run| self.look(run, bytes, scratch))
        })?;
        let exact = self.exact.iter().map(|exact| *lock(exact));
        Ok(exact.collect())
    }

    /// Looks at one run, as long as there is something to hope for.
    fn look(&self, run: &Run, bytes: &mut Vec<u8>, scratch: &mut Scratch) -> Result<()> {
        let shared = &self.readers[run.tensor];
        let found = match self.hoped(run.tensor) {
            Exact::NONE => Ok(()),
            _ => self.look_at(run, shared, bytes, scratch),
        };
        shared.release();
        found
    }

    fn look_at(
        &self,
        run: &Run,
        shared: &SharedReader<'a>,
        bytes: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let tensor = &self.tensors[run.tensor];
        work::check_size(tensor)?;
        let Some(reader) = shared.open(tensor, run.first)? else {
            return Ok(());
        };
        let reader: &Reader<'_> = &reader;
        let end = run.first + run.elements;
        let mut first = run.first;
        while first < end {
            let hoped = self.hoped(run.tensor);
            if hoped == Exact::NONE {
                break;
            }
            let elements = CHUNK.min(end - first);
            reader.read(first, elements, bytes, scratch)?;
            let set = InstructionSet::best();
            let found = match tensor.dtype {
                DType::F64 => of_f64(set, bytes, hoped),
                _ => of_f32(set, bytes, hoped),
            };
            let mut exact = lock(&self.exact[run.tensor]);
            *exact = exact.and(found);
            first += elements;
            self.progress.add(bytes.len() as u64);
        }
        Ok(())
    }

    /// What may hold the whole tensor, by all that has been seen of it.
    fn hoped(&self, tensor: usize) -> Exact {
        let exact = *lock(&self.exact[tensor]);
        match smaller(self.tensors[tensor].dtype, exact).next() {
            Some(_) => exact,
            None => Exact::NONE,
        }
    }
}
