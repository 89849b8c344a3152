//! Dtypes that make an output fit a size, chosen where they cost least.
//!
//! Each tensor has levels: the dtype that it would have anyway, and smaller ones, each with its
//! bytes and its error: the squares of what the cast changes over the squares of the values, on
//! a sample. All tensors start at their smallest level. Then bytes are spent step by step where
//! they lower the sum of the tensors' errors most, until no step fits. (A relative error of a
//! matrix is what it adds to its outputs, whatever its size; so errors are summed as they are.)
//!
//! The sample: up to 64 runs of 1024 elements, evenly spaced over the tensor; fewer where there
//! are over 1024 tensors, so that some 64 million elements are read in all.

use super::spend::{Chosen, Ladder, Level};
use super::{Choice, Names, Options, Reason, Role, Scaling, target_dtype};
use crate::dtype::cast::{self, Cast};
use crate::dtype::{Class, DType};
use crate::error::{Error, Kind, Result};
use crate::kernel::Path;
use crate::model::{Checkpoint, Payload, Tensor};
use crate::op::scale;
use crate::parallel::{self, Progress};
use crate::stream::{Reader, Scratch};
use crate::text::grouped;
use std::sync::Arc;

/// Elements of one run: whole blocks of every dtype.
const RUN: u64 = 1024;

/// Runs of one tensor at most.
const RUNS: u64 = 64;

/// Runs of all tensors together, if each has more than one.
const ALL_RUNS: u64 = 1 << 16;

/// How often a choice is tried with less room: headers differ by a few bytes with the dtypes.
const TRIES: usize = 16;

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// For [`Options::fitted`].
    pub dtypes: Vec<Option<DType>>,
    /// Bytes of the output.
    pub bytes: u64,
    /// The mean of the measured tensors' relative squared errors.
    pub mean: f64,
    /// The largest of them, and the place of its tensor.
    pub worst: Option<(usize, f64)>,
}

/// Chooses dtypes for `checkpoint` with which the output has at most `size` bytes, as
/// `output_bytes` says of [`Options::fitted`].
///
/// Tensors for which a rule decides, and those that quantising leaves alone, keep what they
/// would have anyway. The choice is the same for any number of threads. Reads the samples.
///
/// Errors: `Usage` with the smallest size that can be reached, if that is larger; whatever
/// reading and planning may fail with.
pub fn fit(
    checkpoint: &Checkpoint,
    options: &Options,
    size: u64,
    threads: usize,
    progress: &dyn Progress,
    output_bytes: &dyn Fn(&[Option<DType>]) -> Result<u64>,
) -> Result<Fitted> {
    let ladders = ladders(checkpoint, options, threads, progress)?;
    let mut chosen = Chosen::smallest(&ladders);
    let smallest = output_bytes(&chosen.dtypes(checkpoint))?;
    if smallest > size {
        let (size, smallest) = (grouped(size), grouped(smallest));
        let error = Error::usage(format!(
            "cannot be made to fit {size} bytes; the smallest that can be reached is {smallest}"
        ));
        return Err(error.with_hint("`--dtype-for` and `--drop` decide for single tensors"));
    }
    let overhead = smallest.saturating_sub(chosen.bytes());
    let mut room = size.saturating_sub(overhead);
    let mut bytes = smallest;
    for _ in 0..TRIES {
        let mut tried = Chosen::smallest(&ladders);
        tried.spend(room);
        let found = output_bytes(&tried.dtypes(checkpoint))?;
        if found <= size {
            (chosen, bytes) = (tried, found);
            break;
        }
        room = room.saturating_sub(found - size);
    }
    Ok(Fitted {
        bytes,
        mean: chosen.mean(),
        worst: chosen.worst(),
        dtypes: chosen.dtypes(checkpoint),
    })
}

/// Bytes that are read as samples of F32, about: of tensors that turn out to be settled, none.
pub fn sampled_bytes(checkpoint: &Checkpoint) -> u64 {
    let of_tensor = runs_of(checkpoint.tensors.len()) * RUN;
    let tensors = checkpoint.tensors.iter();
    let bytes = tensors.map(|tensor| tensor.elements().min(of_tensor) * 4);
    bytes.fold(0, u64::saturating_add)
}

/// Runs of each of so many tensors.
fn runs_of(tensors: usize) -> u64 {
    (ALL_RUNS / (tensors as u64).max(1)).clamp(1, RUNS)
}

/// The ladders of tensors that have more than one level, or whose only level is not exact.
fn ladders(
    checkpoint: &Checkpoint,
    options: &Options,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Ladder>> {
    let names = Names::of(checkpoint);
    let mut wishes = Vec::new();
    for (index, tensor) in checkpoint.tensors.iter().enumerate() {
        wishes.extend(Wish::of(index, tensor, options, names)?);
    }
    let runs = runs_of(wishes.len());
    let ladder = |sampler: &mut Sampler, place: usize| -> Result<Option<Ladder>> {
        let Some(wish) = wishes.get(place) else {
            return Ok(None);
        };
        let levels = wish.levels(sampler, options, runs, progress);
        let levels = levels.map_err(|error| error.in_tensor(&wish.tensor.name))?;
        let tensor = wish.index;
        Ok(Some(Ladder { tensor, levels }))
    };
    let found = parallel::map(threads, wishes.len(), Sampler::default, ladder)?;
    Ok(found.into_iter().flatten().collect())
}

/// A tensor that may become something smaller.
struct Wish<'a> {
    index: usize,
    tensor: &'a Tensor,
    /// What it would become anyway.
    start: DType,
    smaller: Vec<DType>,
}

impl<'a> Wish<'a> {
    fn of(
        index: usize,
        tensor: &'a Tensor,
        options: &Options,
        names: Names,
    ) -> Result<Option<Wish<'a>>> {
        let is_float = matches!(tensor.dtype.class(), Class::Float | Class::Block);
        let choice = options.choose(index, tensor, names);
        let is_settled = match &choice.reason {
            Reason::Rule(_) => true,
            Reason::Default(role) => role.is_left_alone(),
            _ => false,
        };
        // Another name of a tensor follows that tensor.
        if !is_float || is_settled || tensor.tied_to.is_some() || tensor.elements() == 0 {
            return Ok(None);
        }
        let start = start(tensor, &choice, options).map_err(|e| e.in_tensor(&tensor.name))?;
        let smaller = candidates(tensor, start, options, names);
        Ok(Some(Wish {
            index,
            tensor,
            start,
            smaller,
        }))
    }

    /// What is measured of each dtype. Those that cannot hold the values are left out, and those
    /// that are larger than another without being better.
    fn levels(
        &self,
        sampler: &mut Sampler,
        options: &Options,
        runs: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<Level>> {
        sampler.read(self.tensor, runs)?;
        let level = |dtype: Option<DType>, error: f64| Level {
            dtype,
            bytes: cost(self.tensor, dtype.unwrap_or(self.start), options),
            error,
        };
        let of_start = match self.start == self.tensor.dtype {
            true => Some(0.0),
            false => sampler.error(self.start, options)?,
        };
        let mut levels = vec![level(None, of_start.unwrap_or(f64::MAX))];
        for &dtype in &self.smaller {
            if let Some(error) = sampler.error(dtype, options)? {
                levels.push(level(Some(dtype), error));
            }
        }
        progress.add(sampler.values.len() as u64);
        levels.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.error.total_cmp(&b.error)));
        let mut best: Vec<Level> = Vec::with_capacity(levels.len());
        for level in levels {
            if best.last().is_none_or(|last| level.error < last.error) {
                best.push(level);
            }
        }
        Ok(best)
    }
}

/// The dtype that the tensor would have without a size to fit.
fn start(tensor: &Tensor, choice: &Choice, options: &Options) -> Result<DType> {
    let wanted = target_dtype(tensor, choice, options)?;
    Ok(options.fit_rows(tensor, wanted)?.0)
}

/// What a tensor that would be `start` may be instead.
fn candidates(tensor: &Tensor, start: DType, options: &Options, names: Names) -> Vec<DType> {
    const FLOATS: [DType; 2] = [DType::F16, DType::BF16];
    const BLOCKS_OF_256: [DType; 5] = [DType::Q6K, DType::Q5K, DType::Q4K, DType::Q3K, DType::Q2K];
    const BLOCKS_OF_32: [DType; 4] = [DType::Q5_1, DType::Q5_0, DType::Q4_1, DType::Q4_0];
    let dimensions = tensor.shape.dimensions();
    let can_be = |dtype: &DType| {
        options.holds.contains(dtype)
            && cast::check(tensor.dtype, *dtype).is_ok()
            && cast::check_rows(*dtype, dimensions).is_ok()
    };
    let role = Role::of(&tensor.name, dimensions);
    let mut all: Vec<DType> = FLOATS.into_iter().filter(can_be).collect();
    let is_vector = matches!(role, Some(Role::OneDimension | Role::Norm));
    match can_be(&DType::Q8_0) {
        _ if is_vector => {}
        true => {
            all.push(DType::Q8_0);
            let large = BLOCKS_OF_256.into_iter().filter(can_be);
            let mut blocks: Vec<DType> = large.collect();
            if blocks.is_empty() {
                blocks.extend(BLOCKS_OF_32.into_iter().filter(can_be));
            }
            all.extend(blocks);
        }
        false => all.extend([DType::F8E4M3].into_iter().filter(can_be)),
    }
    let row = tensor.shape.row_elements();
    // What is usual for an output is the least that it becomes.
    let least = role.filter(|role| !options.is_pure && !role.is_left_alone());
    let least = least.and_then(|role| role.dtype(DType::Q2K, row, names.has_output));
    let floor = least.filter(can_be).map_or(0.0, DType::bits);
    let fits = |dtype: &DType| dtype.bits() < start.bits() && dtype.bits() >= floor;
    all.into_iter().filter(fits).collect()
}

/// Bytes of the tensor in `dtype`, with its scale.
fn cost(tensor: &Tensor, dtype: DType, options: &Options) -> u64 {
    // The scale, and what a header says of it.
    const SCALE: u64 = 100;
    let is_scaled = options.scaling != Scaling::None && scale::largest_of(dtype).is_some();
    let scale = SCALE + tensor.name.len() as u64;
    let bytes = dtype.byte_len(tensor.elements()).unwrap_or(u64::MAX);
    bytes.saturating_add(if is_scaled { scale } else { 0 })
}

/// The sampled values of one tensor, and buffers.
#[derive(Default)]
struct Sampler {
    /// Values as F32, run after run.
    values: Vec<u8>,
    /// What they are divided by where 8-bit floats are scaled.
    largest: f32,
    squares: f64,
    run: Vec<u8>,
    encoded: Vec<u8>,
    decoded: Vec<u8>,
    scratch: Scratch,
}

impl Sampler {
    /// Reads `runs` runs, evenly spaced.
    fn read(&mut self, tensor: &Tensor, runs: u64) -> Result<()> {
        let single = Tensor {
            dtype: DType::F32,
            payload: match tensor.dtype {
                DType::F32 => tensor.payload.clone(),
                _ => Payload::Cast(Arc::new(tensor.clone())),
            },
            ..tensor.clone()
        };
        let reader = Reader::open(&single)?;
        let elements = single.elements();
        let all = elements.div_ceil(RUN);
        let runs = runs.min(all);
        self.values.clear();
        for run in 0..runs {
            // 2^63 elements in 2^53 runs, times 64: no overflow.
            let first = (run * all / runs) * RUN;
            let count = RUN.min(elements - first);
            reader.read(first, count, &mut self.run, &mut self.scratch)?;
            self.values.extend_from_slice(&self.run);
        }
        let finite = || floats(&self.values).filter(|value| value.is_finite());
        self.squares = finite().map(|value| f64::from(value).powi(2)).sum();
        self.largest = finite().fold(0.0, |most, value| most.max(value.abs()));
        Ok(())
    }

    /// The relative squared error of the sample in `dtype`; `None` if it cannot hold a value.
    fn error(&mut self, dtype: DType, options: &Options) -> Result<Option<f64>> {
        let count = self.values.len() / 4;
        let bytes = dtype
            .byte_len(count as u64)
            .and_then(|n| usize::try_from(n).ok());
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let divisor = match (options.scaling, scale::largest_of(dtype)) {
            (Scaling::None, _) | (_, None) => 1.0,
            (_, Some(_)) if self.largest == 0.0 => 1.0,
            (_, Some(most)) => (self.largest / most).max(f32::MIN_POSITIVE),
        };
        let divided: Vec<u8> = match divisor {
            1.0 => self.values.clone(),
            _ => floats(&self.values)
                .flat_map(|value| (value / divisor).to_le_bytes())
                .collect(),
        };
        self.encoded.clear();
        self.encoded.resize(bytes, 0);
        self.decoded.clear();
        self.decoded.resize(self.values.len(), 0);
        let cast_options = cast::Options {
            overflow: options.overflow,
            ..cast::Options::default()
        };
        let to = Cast::new(DType::F32, dtype, &[count as u64], &cast_options)?;
        match to.run(Path::Fast, 0, &divided, &mut self.encoded) {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Unsupported => return Ok(None),
            Err(error) => return Err(error),
        }
        cast::cast(dtype, DType::F32, &self.encoded, &mut self.decoded)?;
        let mut lost = 0f64;
        for (value, other) in floats(&self.values).zip(floats(&self.decoded)) {
            if value.is_finite() {
                lost += (f64::from(value) - f64::from(other) * f64::from(divisor)).powi(2);
            }
        }
        // An infinity or NaN in the place of a number.
        if !lost.is_finite() {
            return Ok(None);
        }
        Ok(Some(if lost == 0.0 {
            0.0
        } else {
            lost / self.squares
        }))
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let values = bytes.as_chunks::<4>().0.iter();
    values.map(|bytes| f32::from_le_bytes(*bytes))
}
