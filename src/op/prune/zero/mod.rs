//! Zeroing: which tensors, how much of each, and what that leaves.
//!
//! Nothing is zeroed here: tensors get a mask, which the readers apply.

mod pass;
mod select;
mod slices;

use super::draft::Item;
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Mask, Payload, Tensor};
use crate::op::convert::Reason;
use crate::op::rules::Sparsity;
use crate::op::select::Selection;
use crate::parallel::{self, Progress};
use std::collections::HashMap;
use std::sync::Arc;

/// Tensors up to this many elements are worked on side by side, larger ones one after the other
/// with all threads.
const SMALL: u64 = 32 << 20;

pub use crate::op::rules::GROUP;

/// What is zeroed.
#[derive(Clone, Debug, Default)]
pub struct Zeroing {
    /// How, for tensors that no ratio of their own is given for.
    pub how: Option<How>,
    /// Which tensors; if there are none, floating matrices that are no embeddings.
    pub tensors: Vec<String>,
    /// Patterns with shares of their own; the first that matches counts.
    pub ratios: Vec<(String, f64)>,
}

/// How elements are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// This share of each tensor, the smallest magnitudes.
    Each(f64),
    /// This share of all tensors together.
    Global(f64),
    /// All but this many of each group of so many along the innermost dimension.
    Groups {
        /// Elements that stay.
        kept: u32,
        /// Elements of a group.
        of: u64,
    },
    /// This share of the slices along an axis, those with the smallest norms.
    Slices {
        /// 0: rows, the outputs of a layer; 1: channels, its inputs.
        axis: usize,
        /// Which share.
        ratio: f64,
        /// By which norm.
        norm: Norm,
    },
}

/// The size of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    #[default]
    L2,
    /// Largest magnitude.
    Max,
}

/// What zeroing does to one tensor.
#[derive(Clone, Debug)]
pub struct Zeroed {
    /// Its name in the source.
    pub source: String,
    /// Elements.
    pub elements: u64,
    /// Zeros that were there.
    pub zeros_before: u64,
    /// Zeros that there are then.
    pub zeros_after: u64,
    /// The share of the L2 norm over finite elements that is kept; 1 for a tensor of zeros.
    pub norm_kept: f64,
    /// Of N:M, how many groups there are and how many conform.
    pub groups: Option<(u64, u64)>,
}

/// A mask, and what it does.
struct Outcome {
    mask: Mask,
    elements: u64,
    zeros_before: u64,
    zeros_after: u64,
    squares_before: f64,
    squares_after: f64,
    groups: Option<(u64, u64)>,
}

/// Names of which a part says that the tensor is an embedding.
const EMBEDDINGS: [&str; 8] = [
    "wte",
    "wpe",
    "token_embd",
    "position_embd",
    "token_types",
    "shared",
    "emb",
    "relative_attention_bias",
];

impl Zeroing {
    /// Whether nothing is zeroed.
    pub fn is_nothing(&self) -> bool {
        self.how.is_none() && self.ratios.is_empty()
    }

    /// Errors: `Usage` for a share outside 0 to 1, or groups that cannot be.
    pub fn check(&self) -> Result<()> {
        let ratios = self.ratios.iter().map(|(_, ratio)| *ratio);
        for ratio in ratios {
            Sparsity::Share(ratio).check()?;
        }
        match self.how {
            Some(How::Each(ratio) | How::Global(ratio) | How::Slices { ratio, .. }) => {
                Sparsity::Share(ratio).check()
            }
            Some(How::Groups { kept, of }) => Sparsity::Groups { kept, of }.check(),
            None => Ok(()),
        }
    }
}

/// What is done to one tensor.
struct Job {
    item: usize,
    how: How,
}

/// Puts masks over the tensors of `items`, and says what they do, and to how many quantised
/// tensors nothing is done.
///
/// Ties between items must be known. Errors: `Usage` for a pattern that matches nothing or
/// matches a tensor that cannot be zeroed, and for a row that groups do not divide; whatever
/// reading the tensors gives.
pub(super) fn zero(
    items: &mut [Item],
    zeroing: &Zeroing,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Vec<Zeroed>, u64)> {
    let (jobs, left_alone) = jobs(items, zeroing)?;
    let outcomes = work(items, &jobs, threads, progress)?;
    let mut zeroed = Vec::with_capacity(jobs.len());
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let item = &mut items[job.item];
        let norm_kept = match outcome.squares_before > 0.0 {
            true => (outcome.squares_after / outcome.squares_before).sqrt(),
            false => 1.0,
        };
        zeroed.push(Zeroed {
            source: item.source.clone(),
            elements: outcome.elements,
            zeros_before: outcome.zeros_before,
            zeros_after: outcome.zeros_after,
            norm_kept,
            groups: outcome.groups,
        });
        item.reason = Some(Reason::Zeroed);
        item.tensor.payload = Payload::Masked {
            of: Arc::new(item.tensor.clone()),
            mask: outcome.mask,
        };
    }
    follow_ties(items);
    Ok((zeroed, left_alone))
}

/// Other names of a zeroed tensor are names of the zeroed one.
fn follow_ties(items: &mut [Item]) {
    let zeroed: HashMap<String, Payload> = items
        .iter()
        .filter(|item| item.reason == Some(Reason::Zeroed))
        .map(|item| (item.tensor.name.clone(), item.tensor.payload.clone()))
        .collect();
    for item in items.iter_mut() {
        let kept = item.tensor.tied_to.as_ref();
        if let Some(payload) = kept.and_then(|kept| zeroed.get(kept)) {
            item.tensor.payload = payload.clone();
        }
    }
}

fn jobs(items: &[Item], zeroing: &Zeroing) -> Result<(Vec<Job>, u64)> {
    let named = matches(items, &zeroing.tensors)?;
    let mut ratios = Vec::with_capacity(zeroing.ratios.len());
    for (pattern, ratio) in &zeroing.ratios {
        ratios.push((matches(items, std::slice::from_ref(pattern))?, *ratio));
    }
    let has_names = !zeroing.tensors.is_empty();
    let (mut jobs, mut left_alone) = (Vec::new(), 0);
    for (index, item) in items.iter().enumerate() {
        let own = ratios.iter().find(|(matches, _)| matches[index]);
        let own = own
            .map(|(_, ratio)| Sparsity::Share(*ratio))
            .or(item.sparsity);
        let how = match (own, zeroing.how) {
            (Some(Sparsity::Groups { kept, of }), _) => How::Groups { kept, of },
            // A share of its own is a share of the tensor, of its slices, or outside the pool.
            (Some(Sparsity::Share(ratio)), Some(How::Slices { axis, norm, .. })) => {
                How::Slices { axis, ratio, norm }
            }
            (Some(Sparsity::Share(ratio)), _) => How::Each(ratio),
            (None, Some(how)) => how,
            (None, None) => continue,
        };
        let is_asked = own.is_some() || has_names && named[index];
        if item.tensor.tied_to.is_some() || item.tensor.elements() == 0 {
            continue;
        }
        if !can_be_zeroed(item.tensor.dtype) {
            if is_asked {
                return Err(refused(item));
            }
            left_alone += u64::from(is_quantised(item.tensor.dtype));
            continue;
        }
        let is_wanted = is_asked || !has_names && is_usual(item, how);
        if !is_wanted {
            continue;
        }
        check_rank(item, how)?;
        jobs.push(Job { item: index, how });
    }
    if jobs.is_empty() {
        let error = Error::usage("no tensor is left to zero elements of");
        return Err(error.with_hint(
            "norms, biases and embeddings are left alone; `--zero GLOB` names what is zeroed",
        ));
    }
    Ok((jobs, left_alone))
}

/// For each item, whether one of `patterns` matches its name in the source or its new one.
fn matches(items: &[Item], patterns: &[String]) -> Result<Vec<bool>> {
    let mut found = vec![false; items.len()];
    for pattern in patterns {
        let selection = Selection::new(std::slice::from_ref(pattern), &[], &[])?;
        let named = |name: &dyn Fn(&Item) -> String| Checkpoint {
            tensors: items
                .iter()
                .map(|item| Tensor {
                    name: name(item),
                    ..item.tensor.clone()
                })
                .collect(),
            ..Checkpoint::default()
        };
        let by_source = selection.choose(&named(&|item| item.source.clone()));
        let by_name = selection.choose(&named(&|item| item.tensor.name.clone()));
        let chosen = match (by_source, by_name) {
            (Ok(source), Ok(name)) => source.iter().zip(name).map(|(a, b)| *a || b).collect(),
            (Ok(chosen), Err(_)) | (Err(_), Ok(chosen)) => chosen,
            (Err(error), Err(_)) => return Err(error),
        };
        found
            .iter_mut()
            .zip(chosen)
            .for_each(|(found, chosen)| *found |= chosen);
    }
    Ok(found)
}

/// Types of whole bytes with the sign in the highest bit and a zero of all bits zero.
fn can_be_zeroed(dtype: DType) -> bool {
    use DType::{BF16, F8E4M3, F8E5M2, F16, F32, F64};
    matches!(dtype, F64 | F32 | F16 | BF16 | F8E4M3 | F8E5M2)
}

fn is_quantised(dtype: DType) -> bool {
    matches!(
        dtype.class(),
        Class::Block | Class::Quantized | Class::Float
    )
}

fn refused(item: &Item) -> Error {
    let error = Error::usage(format!(
        "is {}; elements of F64, F32, F16, BF16, F8_E4M3 and F8_E5M2 can be zeroed",
        item.tensor.dtype
    ));
    let error = error.in_tensor(&item.source);
    match item.tensor.dtype.class() {
        Class::Block | Class::Quantized => {
            error.with_hint("`ckpt convert --dtype f32` makes numbers of it first")
        }
        _ => error,
    }
}

/// Whether a tensor is a matrix (of a layer or a convolution) and no embedding. Groups are
/// along the inputs, which are innermost in matrices only.
fn is_usual(item: &Item, how: How) -> bool {
    let rank = item.tensor.shape.rank();
    let has_rank = match how {
        How::Groups { .. } => rank == 2,
        _ => rank >= 2,
    };
    let name = item.tensor.name.to_ascii_lowercase();
    let is_special = |part: &str| {
        EMBEDDINGS.contains(&part)
            || part.contains("embed")
            || part.contains("norm")
            || part == "bias"
    };
    has_rank && !name.split(['.', '/']).any(is_special)
}

fn check_rank(item: &Item, how: How) -> Result<()> {
    let rank = item.tensor.shape.rank();
    let needed = match how {
        How::Slices { axis, .. } => axis + 1,
        How::Groups { .. } => 1,
        _ => 0,
    };
    if rank >= needed {
        return Ok(());
    }
    let what = if needed == 2 { "channels" } else { "rows" };
    let error = Error::usage(format!("has {rank} dimensions, and so no {what}"));
    Err(error.in_tensor(&item.source))
}

/// As many elements as torch's pruning takes: the nearest whole number, the even one of two.
fn share(ratio: f64, of: u64) -> u64 {
    ((ratio * of as f64).round_ties_even() as u64).min(of)
}

/// What each job comes to, in order.
fn work(
    items: &[Item],
    jobs: &[Job],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
    let pool = |job: &&Job| matches!(job.how, How::Global(_));
    let pooled: Vec<&Tensor> = jobs
        .iter()
        .filter(pool)
        .map(|job| &items[job.item].tensor)
        .collect();
    if let Some(How::Global(ratio)) = jobs.iter().find(pool).map(|job| job.how) {
        let total = pooled.iter().map(|tensor| tensor.elements()).sum();
        let count = share(ratio, total);
        let mut found = select::smallest(&pooled, count, threads, progress)?.into_iter();
        for (job, slot) in jobs.iter().zip(&mut outcomes) {
            if pool(&job) {
                *slot = found.next();
            }
        }
    }
    let is_large =
        |job: &Job| matches!(job.how, How::Each(_)) && items[job.item].tensor.elements() > SMALL;
    let small: Vec<usize> = (0..jobs.len())
        .filter(|&job| outcomes[job].is_none() && !is_large(&jobs[job]))
        .collect();
    let done = parallel::map(
        threads,
        small.len(),
        || (),
        |(), at| {
            let job = &jobs[small[at]];
            single(&items[job.item], job.how, 1, progress)
        },
    )?;
    for (job, outcome) in small.into_iter().zip(done) {
        outcomes[job] = Some(outcome);
    }
    let mut all = Vec::with_capacity(jobs.len());
    for (job, outcome) in jobs.iter().zip(outcomes) {
        all.push(match outcome {
            Some(outcome) => outcome,
            None => single(&items[job.item], job.how, threads, progress)?,
        });
    }
    Ok(all)
}

fn single(item: &Item, how: How, threads: usize, progress: &dyn Progress) -> Result<Outcome> {
    let tensor = &item.tensor;
    let outcome = match how {
        How::Each(ratio) | How::Global(ratio) => {
            let count = share(ratio, tensor.elements());
            let mut found = select::smallest(&[tensor], count, threads, progress)?;
            found
                .pop()
                .ok_or_else(|| Error::usage("a tensor that is not there"))
        }
        How::Groups { kept, of } => slices::groups(tensor, kept, of),
        How::Slices { axis, ratio, norm } => {
            let count = share(ratio, tensor.shape.dimensions()[axis]);
            slices::by_norm(tensor, axis, count, norm)
        }
    };
    if !matches!(how, How::Each(_) | How::Global(_)) {
        progress.add(tensor.byte_len().unwrap_or(0));
    }
    outcome.map_err(|error| error.in_tensor(&item.source))
}
