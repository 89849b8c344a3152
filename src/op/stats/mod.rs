//! Statistics of every tensor, or of groups of them: one exhaustive pass over each.
//!
//! The digits are the same for any number of threads, any size of chunks and any instruction
//! set: tensors are cut into runs of a fixed number of elements, runs into tiles, and all are
//! merged from left to right. Memory: the chunks (256 KiB a thread), 2 MiB a thread and some
//! pages a tensor under way if quantiles or histograms are asked for, and a few hundred bytes a
//! tensor.

mod measure;
mod moments;
mod plan;
mod sketch;

pub use moments::Moments;

use super::group::Grouping;
use super::lossless;
use super::sparsity::{self, Pattern};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::InstructionSet;
use crate::kernel::lossless::Exact;
use crate::model::{Checkpoint, Shape, Tensor};
use crate::parallel::{self, Progress, Silent};

/// What to measure, and how.
#[derive(Clone)]
pub struct Options<'a> {
    /// Threads to work with.
    pub threads: usize,
    /// Bytes that are read at once. They should fit the cache next to the processor.
    pub chunk_bytes: usize,
    /// Instructions to use at most.
    pub instructions: InstructionSet,
    /// Which quantiles to find, each between 0 and 1.
    pub quantiles: Vec<f64>,
    /// Bins of a histogram; 0 for none.
    pub bins: usize,
    /// Groups to measure instead of single tensors.
    pub by: Option<Grouping>,
    /// Patterns N:M whose groups are counted, with zeros by rows and channels; if there are any,
    /// tensors are read twice. Not of groups of tensors.
    pub sparsity: Vec<Pattern>,
    /// Who hears about bytes done.
    pub progress: &'a dyn Progress,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            threads: parallel::thread_count(None),
            chunk_bytes: 256 << 10,
            instructions: InstructionSet::best(),
            quantiles: Vec::new(),
            bins: 0,
            by: None,
            sparsity: Vec::new(),
            progress: &Silent,
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("chunk_bytes", &self.chunk_bytes)
            .field("instructions", &self.instructions)
            .field("quantiles", &self.quantiles)
            .field("bins", &self.bins)
            .field("by", &self.by)
            .field("sparsity", &self.sparsity)
            .finish_non_exhaustive()
    }
}

/// The statistics of a checkpoint.
#[derive(Debug)]
pub struct Stats {
    /// The file or folder.
    pub path: String,
    /// Its format.
    pub format: &'static str,
    /// Tensors in file order, or groups in the order of their first tensors.
    pub rows: Vec<Row>,
    /// Over all tensors, those of tied ones once.
    pub totals: Totals,
    /// Tensors without statistics, by name, and why.
    pub absent: Vec<(String, String)>,
    /// What went wrong with the tensors that could not be read.
    pub failures: Vec<Error>,
}

/// One tensor, or one group of them.
#[derive(Debug)]
pub struct Row {
    /// The tensor's name, or what the group has in common.
    pub name: String,
    /// The dtype; `None` for a group of several.
    pub dtype: Option<DType>,
    /// The shape; `None` for a group.
    pub shape: Option<Shape>,
    /// Tensors; in a group, tied ones count where the first of them stands.
    pub tensors: u64,
    /// Elements.
    pub elements: u64,
    /// Bytes, if they are known.
    pub bytes: Option<u64>,
    /// The tensor that this is another name of.
    pub tied_to: Option<String>,
    /// What was found.
    pub outcome: Outcome,
    /// How sparse it is, if that was asked and it is of floats.
    pub sparsity: Option<sparsity::Found>,
}

/// What became of a tensor.
#[derive(Debug)]
pub enum Outcome {
    /// Its statistics.
    Measured(Box<Measures>),
    /// It has none: why.
    Absent(String),
    /// It could not be read: what went wrong.
    Failed(String),
}

impl Row {
    /// The statistics, if there are any.
    pub fn measures(&self) -> Option<&Measures> {
        match &self.outcome {
            Outcome::Measured(measures) => Some(measures),
            Outcome::Absent(_) | Outcome::Failed(_) => None,
        }
    }

    /// The smaller floats that hold every element exactly, the smallest first; `None` where that
    /// is not asked: of other dtypes than F32 and F64, or of several.
    pub fn lossless(&self) -> Option<Vec<DType>> {
        let dtype = self.dtype.filter(|dtype| lossless::may_shrink(*dtype))?;
        let exact = self.measures()?.moments.exact;
        let held = lossless::smaller(dtype, exact);
        Some(held.filter(|_| self.elements > 0).collect())
    }
}

/// The statistics of one tensor or group: over finite elements, but for the counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// What the elements are.
    pub domain: Domain,
    /// Counts and sums.
    pub moments: Moments,
    /// The quantiles asked for, in their order; empty if nothing is finite or none was.
    pub quantiles: Vec<f64>,
    /// Elements in each bin between the least and the greatest.
    pub histogram: Vec<u64>,
}

/// What numbers a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Integers: extremes are exact.
    Integer,
    /// Real numbers.
    Real,
    /// Complex numbers, of which only magnitudes are measured.
    Complex,
}

impl Domain {
    fn of(dtype: DType) -> Domain {
        use crate::dtype::Class;
        match dtype.class() {
            Class::Bool | Class::Unsigned | Class::Signed => Domain::Integer,
            Class::Complex => Domain::Complex,
            _ => Domain::Real,
        }
    }

    /// What both kinds of numbers are.
    fn and(self, other: Domain) -> Domain {
        match (self, other) {
            (a, b) if a == b => a,
            // A complex number has no place among real ones but by its magnitude.
            (Domain::Complex, _) | (_, Domain::Complex) => Domain::Complex,
            _ => Domain::Real,
        }
    }
}

/// A statistic that is exact for integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Integer(i128),
    /// A float.
    Float(f64),
}

impl Number {
    /// As a float, for comparisons.
    pub fn value(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Float(value) => value,
        }
    }
}

impl Measures {
    /// The least element; `None` for complex ones, or if nothing is finite.
    pub fn min(&self) -> Option<Number> {
        self.extremes().map(|(min, _)| min)
    }

    /// The greatest element; `None` as for [`Measures::min`].
    pub fn max(&self) -> Option<Number> {
        self.extremes().map(|(_, max)| max)
    }

    fn extremes(&self) -> Option<(Number, Number)> {
        if self.moments.finite == 0 || self.domain == Domain::Complex {
            return None;
        }
        let (min, max) = (self.moments.min, self.moments.max);
        Some(match (self.domain, self.moments.integers) {
            (Domain::Integer, Some((min, max))) => (Number::Integer(min), Number::Integer(max)),
            // Integers of at most 32 bits, which an `f64` holds.
            (Domain::Integer, None) => (Number::Integer(min as i128), Number::Integer(max as i128)),
            _ => (Number::Float(min), Number::Float(max)),
        })
    }

    /// The largest magnitude.
    pub fn abs_max(&self) -> Option<Number> {
        match self.extremes() {
            Some((Number::Integer(min), Number::Integer(max))) => {
                Some(Number::Integer(max.max(-min)))
            }
            _ => self.moments.abs_max().map(Number::Float),
        }
    }

    /// The mean; `None` for complex elements.
    pub fn mean(&self) -> Option<f64> {
        let is_real = self.domain != Domain::Complex;
        self.moments.mean().filter(|_| is_real)
    }

    /// The population's standard deviation; `None` for complex elements.
    pub fn std(&self) -> Option<f64> {
        let is_real = self.domain != Domain::Complex;
        self.moments.deviation().filter(|_| is_real)
    }
}

/// Over all tensors, those of tied ones once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tensors, tied ones too.
    pub tensors: u64,
    /// Elements.
    pub elements: u64,
    /// Bytes.
    pub bytes: u64,
    /// Elements that are zero.
    pub zeros: u64,
    /// Elements that are no number.
    pub nans: u64,
    /// Infinite elements.
    pub infs: u64,
    /// Tensors that a smaller dtype holds exactly.
    pub lossless: u64,
    /// Bytes of those.
    pub lossless_bytes: u64,
    /// How many bytes fewer they would be.
    pub lossless_saves: u64,
}

impl Totals {
    /// Adds a tensor, if a smaller dtype holds it.
    fn add_lossless(&mut self, tensor: &Tensor, exact: Exact) {
        let smallest = lossless::smaller(tensor.dtype, exact).next();
        let Some(dtype) = smallest.filter(|_| tensor.elements() > 0) else {
            return;
        };
        let before = tensor.byte_len().unwrap_or(0);
        let after = dtype.byte_len(tensor.elements()).unwrap_or(before);
        self.lossless += 1;
        self.lossless_bytes = self.lossless_bytes.saturating_add(before);
        self.lossless_saves = self
            .lossless_saves
            .saturating_add(before.saturating_sub(after));
    }
}

/// Measures every tensor of `checkpoint`.
///
/// A tensor that cannot be read is a row that says so. One without data, of an unknown type, or
/// of blocks that nothing decodes, is a row without statistics.
/// Errors: `Usage` for a quantile that is not between 0 and 1.
pub fn stats(checkpoint: &Checkpoint, options: &Options<'_>) -> Result<Stats> {
    if let Some(at) = options
        .quantiles
        .iter()
        .find(|at| !(0.0..=1.0).contains(*at))
    {
        return Err(Error::usage(format!(
            "quantile {at} is not between 0 and 1"
        )));
    }
    let mut stats = plan::carry_out(checkpoint, options)?;
    if options.by.is_none() && !options.sparsity.is_empty() {
        let (patterns, threads) = (&options.sparsity, options.threads);
        let found = sparsity::measure(checkpoint, patterns, threads, options.progress)?;
        for (row, found) in stats.rows.iter_mut().zip(found) {
            row.sparsity = found;
        }
    }
    Ok(stats)
}
