//! What differs between two checkpoints.
//!
//! | what | where |
//! |---|---|
//! | which tensor is which | `match_names` |
//! | one word for how two tensors relate | `verdict` |
//! | reading pairs piece by piece | `measure`, `pair` |
//! | bytes as numbers, and the numbers compared | `values`, `tile` |
//! | sums, and the metrics that follow | `tally` |
//! | rows merged by layer, module or dtype | `groups` |
//! | what differs beside the tensors | `metadata` |

mod groups;
mod match_names;
pub(in crate::op) mod measure;
mod metadata;
pub(in crate::op) mod pair;
pub(in crate::op) mod tally;
mod tile;
pub(in crate::op) mod values;
mod verdict;

pub use crate::op::rename::Rename;
pub use groups::Group;
pub use metadata::MetadataChange;
pub use tally::Metrics;
pub use tile::Tolerance;
pub use verdict::Verdict;

use crate::dtype::{Class, DType};
use crate::error::Result;
use crate::kernel::InstructionSet;
use crate::model::{Checkpoint, Payload, Quantization, RowOrder, Shape, StoredRows, Tensor};
use crate::op::group::Grouping;
use crate::op::names::{apart, reordered_heads};
use crate::op::select::Selection;
use crate::parallel::Progress;
use crate::stream::Reader;
use crate::text::natural_order;
use match_names::{Names, match_names};
use measure::{How, Outcome};
use pair::Job;
use std::borrow::Cow;
use std::sync::Arc;
use tally::Tally;
use values::Decoder;

/// How two checkpoints are compared.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What tensors of A are called in B; applied in this order.
    pub renames: Vec<Rename>,
    /// Whether only equal names belong together: no wrappers, no GGUF names.
    pub is_exact: bool,
    /// How near is near enough.
    pub tolerance: Option<Tolerance>,
    /// Which tensors are compared.
    pub selection: Selection,
    /// Names, dtypes and shapes only: no tensor is read.
    pub structure_only: bool,
    /// Whether identical tensors are measured too, so that groups know how large they are.
    pub with_norms: bool,
    /// How many threads work; 0 counts as 1.
    pub threads: usize,
}

/// What differs between A and B.
#[derive(Debug)]
pub struct Difference {
    /// The first checkpoint.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// One row a tensor, sorted by name; numbers in names count as numbers.
    pub rows: Vec<Row>,
    /// Keys of metadata and values that differ.
    pub metadata: Vec<MetadataChange>,
    /// What was assumed to match names, one sentence each.
    pub assumptions: Vec<String>,
}

/// One of the two checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The file or folder, as the caller named it.
    pub path: String,
    /// The format's name.
    pub format: &'static str,
}

/// What is said of one tensor, or of two that belong together.
#[derive(Debug)]
pub struct Row {
    /// The name in A; in B, if only B has it.
    pub name: String,
    /// The name in B, if it is another one.
    pub b_name: Option<String>,
    /// The tensor in A.
    pub a: Option<Facts>,
    /// The tensor in B.
    pub b: Option<Facts>,
    /// How they relate, or why they cannot be read.
    pub verdict: Result<Verdict>,
    /// How far they are apart.
    pub metrics: Metrics,
    tally: Tally,
}

/// What a tensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The type of its elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Shape,
}

impl Difference {
    /// How many tensors have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let has = |row: &&Row| row.verdict.as_ref().is_ok_and(|found| *found == verdict);
        self.rows.iter().filter(has).count()
    }

    /// How many tensors could not be read.
    pub fn unreadable(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict.is_err()).count()
    }

    /// Whether every tensor is identical, or relates as one of `allowed` says.
    pub fn is_same(&self, allowed: &[Verdict]) -> bool {
        let is_fine =
            |verdict: &Verdict| *verdict == Verdict::Identical || allowed.contains(verdict);
        self.rows
            .iter()
            .all(|row| row.verdict.as_ref().is_ok_and(is_fine))
    }

    /// The tensors merged by layer, module, dtype or glob, in the order of their names.
    pub fn groups(&self, grouping: &Grouping) -> Vec<Group> {
        groups::merge(&self.rows, grouping)
    }

    /// The tensors that both have and that are not identical, merged.
    pub fn changes(&self) -> Group {
        let is_change = |row: &&Row| {
            let is_identical = matches!(row.verdict, Ok(Verdict::Identical));
            row.a.is_some() && row.b.is_some() && !is_identical
        };
        groups::merge_all(self.rows.iter().filter(is_change))
    }
}

/// Compares two checkpoints. Tensors are read piece by piece; one that cannot be read is an
/// error in its row.
///
/// Errors: `Usage` for a rename that matches nothing or is ambiguous.
pub fn diff(
    a: &Checkpoint,
    b: &Checkpoint,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Difference> {
    diff_with(InstructionSet::best(), a, b, options, progress)
}

/// As [`diff`], with no better instructions than those of `instructions`: all give the same
/// digits, so this is for measuring how fast each is.
///
/// Errors: those of [`diff`].
pub fn diff_with(
    instructions: InstructionSet,
    a: &Checkpoint,
    b: &Checkpoint,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Difference> {
    let mut assumptions = Vec::new();
    let a_tensors = tensors(a, b, options, &mut assumptions);
    let b_tensors = tensors(b, a, options, &mut assumptions);
    let matches = match_names(
        &names(a, &a_tensors),
        &names(b, &b_tensors),
        &options.renames,
        options.is_exact,
    )?;
    assumptions.extend(matches.assumptions);
    let mut is_taken = vec![false; b_tensors.len()];
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(a_tensors.len());
    for (a, &counterpart) in a_tensors.iter().zip(&matches.b_of_a) {
        let b = counterpart.map(|b| {
            is_taken[b] = true;
            &b_tensors[b]
        });
        pairs.push([Some(a), b]);
    }
    let left = b_tensors.iter().zip(is_taken).filter(|(_, taken)| !taken);
    pairs.extend(left.map(|(b, _)| [None, Some(b)]));

    choose(&mut pairs, [a, b], &options.selection)?;

    let mut rows: Vec<Row> = pairs.iter().map(|[a, b]| Row::new(*a, *b)).collect();
    if !options.structure_only {
        let how = How {
            instructions,
            threads: options.threads,
            tolerance: options.tolerance,
            with_norms: options.with_norms,
            progress,
        };
        let orders = row_orders(a, b, &pairs, options, &mut assumptions);
        fill(&mut rows, &pairs, &orders, how)?;
        name_files(&mut rows, &pairs, [a, b]);
    }
    rows.sort_by(|a, b| natural_order(&a.name, &b.name));
    Ok(Difference {
        a: Side::of(a),
        b: Side::of(b),
        rows,
        metadata: metadata::compare(a, b),
        assumptions,
    })
}

/// A tensor of A and its counterpart in B; one of them may be missing.
type Pair<'a> = [Option<&'a Tensor>; 2];

const GGUF: &str = "gguf";

/// Leaves the pairs that are selected.
fn choose(pairs: &mut Vec<Pair<'_>>, sides: [&Checkpoint; 2], selection: &Selection) -> Result<()> {
    if selection.is_everything() {
        return Ok(());
    }
    // A side that still has groups has not been restricted to its root.
    let root = |side: &'_ Checkpoint| side.root.clone().filter(|_| side.groups.is_empty());
    let roots = sides.map(root);
    let roots = [roots[0].as_deref(), roots[1].as_deref()];
    let mut chosen = selection.choose_pairs(pairs, roots)?.into_iter();
    pairs.retain(|_| chosen.next() == Some(true));
    Ok(())
}

fn names<'a>(side: &Checkpoint, tensors: &'a [Tensor]) -> Names<'a> {
    Names {
        names: tensors.iter().map(|tensor| tensor.name.as_str()).collect(),
        is_gguf: side.format == GGUF,
    }
}

/// The tensors of one side, with GGUF's stacks of experts taken apart if the other side has
/// none.
fn tensors<'a>(
    side: &'a Checkpoint,
    other: &Checkpoint,
    options: &Options,
    assumptions: &mut Vec<String>,
) -> Cow<'a, [Tensor]> {
    if options.is_exact || side.format != GGUF || other.format == GGUF {
        return Cow::Borrowed(&side.tensors);
    }
    match apart(&side.tensors) {
        Some(apart) => {
            let path = &side.path;
            assumptions.push(format!(
                "the experts that `{path}` stacks are compared one by one"
            ));
            Cow::Owned(apart)
        }
        None => Cow::Borrowed(&side.tensors),
    }
}

/// For each pair, the order of B's rows where it is not that of A's.
fn row_orders(
    a: &Checkpoint,
    b: &Checkpoint,
    pairs: &[Pair<'_>],
    options: &Options,
    assumptions: &mut Vec<String>,
) -> Vec<Option<RowOrder>> {
    let is_gguf = [a.format == GGUF, b.format == GGUF];
    if options.is_exact || is_gguf[0] == is_gguf[1] {
        return vec![None; pairs.len()];
    }
    let (gguf, stored) = match is_gguf[0] {
        true => (a, StoredRows::Halves),
        false => (b, StoredRows::Interleaved),
    };
    let order = |pair: &Pair<'_>| {
        let [Some(a), Some(b)] = pair else {
            return None;
        };
        // A file that keeps GGUF's names keeps its rows, too.
        if a.name == b.name {
            return None;
        }
        let heads = reordered_heads(gguf, if is_gguf[0] { &a.name } else { &b.name })?;
        RowOrder::new(&b.shape, heads, stored)
    };
    let orders: Vec<Option<RowOrder>> = pairs.iter().map(order).collect();
    let count = orders.iter().flatten().count();
    if count > 0 {
        assumptions.push(format!(
            "rows of Q and K are taken in the order of A, as the GGUF converter permutes them \
             by head ({count} tensors)"
        ));
    }
    orders
}

/// Reads the pairs that have the same shape, and says how they relate.
fn fill(
    rows: &mut [Row],
    pairs: &[Pair<'_>],
    orders: &[Option<RowOrder>],
    how: How<'_>,
) -> Result<()> {
    let mut places = Vec::new();
    let mut both = Vec::new();
    for (place, pair) in pairs.iter().enumerate() {
        if let [Some(a), Some(b)] = *pair
            && a.shape == b.shape
        {
            places.push(place);
            both.push((a, b));
        }
    }
    let changed: Vec<[Option<Tensor>; 2]> = both
        .iter()
        .zip(&places)
        .map(|((a, b), place)| {
            let [new_a, new_b] = [a, b].map(|tensor| dequantized(tensor));
            match orders[*place] {
                None => [new_a, new_b],
                Some(order) => {
                    let b = new_b.unwrap_or_else(|| (*b).clone());
                    [new_a, Some(reordered(b, order))]
                }
            }
        })
        .collect();
    let jobs: Vec<Job<'_>> = both
        .iter()
        .zip(&changed)
        .map(|(&(a, b), [new_a, new_b])| {
            Job::of(new_a.as_ref().unwrap_or(a), new_b.as_ref().unwrap_or(b))
        })
        .collect();
    let outcomes = measure::measure(&jobs, how)?;
    let same_integers = same_integers(&both, how)?;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let (a, b) = both[index];
        let is_same_type = a.dtype == b.dtype && a.dtype.class() != Class::Quantized;
        let may_be_identical = is_same_type || same_integers[index];
        rows[places[index]].settle(outcome, may_be_identical);
    }
    find_transposed(rows, pairs, how)
}

/// Says which file an error is about, where reading did not come to know it.
fn name_files(rows: &mut [Row], pairs: &[Pair<'_>], sides: [&Checkpoint; 2]) {
    let is_readable =
        |tensor: &Tensor| Reader::open(tensor).is_ok() && Decoder::of(tensor.dtype).is_ok();
    for (row, pair) in rows.iter_mut().zip(pairs) {
        if row.verdict.is_ok() {
            continue;
        }
        let is_from_b = pair[0].is_none_or(is_readable);
        let path = &sides[usize::from(is_from_b)].path;
        let verdict = std::mem::replace(&mut row.verdict, Ok(Verdict::Changed));
        row.verdict = verdict.map_err(|error| error.in_file(path));
    }
}

/// A tensor with its rows in another order.
fn reordered(tensor: Tensor, order: RowOrder) -> Tensor {
    Tensor {
        payload: Payload::Rows {
            of: Arc::new(tensor.clone()),
            order,
        },
        ..tensor
    }
}

/// A PyTorch quantised tensor as the floats it stands for.
fn dequantized(tensor: &Tensor) -> Option<Tensor> {
    (tensor.dtype.class() == Class::Quantized).then(|| Tensor {
        dtype: DType::F32,
        payload: Payload::Dequantized(Arc::new(tensor.clone())),
        quantization: None,
        ..tensor.clone()
    })
}

/// For each pair, whether both are quantised in the same way to the same integers.
fn same_integers(pairs: &[(&Tensor, &Tensor)], how: How<'_>) -> Result<Vec<bool>> {
    let mut same = vec![false; pairs.len()];
    let mut places = Vec::new();
    let mut jobs = Vec::new();
    for (place, &(a, b)) in pairs.iter().enumerate() {
        if a.dtype == b.dtype && is_quantized_alike(a, b) {
            places.push(place);
            jobs.push(Job::of(a, b));
        }
    }
    for (place, is_equal) in places
        .into_iter()
        .zip(measure::are_equal(&jobs, how.threads)?)
    {
        same[place] = is_equal;
    }
    Ok(same)
}

fn is_quantized_alike(a: &Tensor, b: &Tensor) -> bool {
    let bytes = |tensor: &Tensor| Reader::open(tensor)?.read_all();
    let is_equal = |a: &Tensor, b: &Tensor| {
        a.dtype == b.dtype && matches!((bytes(a), bytes(b)), (Ok(a), Ok(b)) if a == b)
    };
    use Quantization::{PerChannel, PerTensor};
    match (a.quantization.as_deref(), b.quantization.as_deref()) {
        (
            Some(PerTensor { scale, zero_point }),
            Some(PerTensor {
                scale: other_scale,
                zero_point: other_zero_point,
            }),
        ) => scale.to_bits() == other_scale.to_bits() && zero_point == other_zero_point,
        (
            Some(PerChannel {
                scales,
                zero_points,
                axis,
            }),
            Some(PerChannel {
                scales: other_scales,
                zero_points: others,
                axis: other_axis,
            }),
        ) => axis == other_axis && is_equal(scales, other_scales) && is_equal(zero_points, others),
        _ => false,
    }
}

impl Side {
    fn of(checkpoint: &Checkpoint) -> Side {
        Side {
            path: checkpoint.path.clone(),
            format: checkpoint.format,
        }
    }
}

impl Facts {
    fn of(tensor: &Tensor) -> Facts {
        Facts {
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
        }
    }
}

impl Row {
    /// A row as names, dtypes and shapes tell it.
    fn new(a: Option<&Tensor>, b: Option<&Tensor>) -> Row {
        let verdict = match (a, b) {
            (Some(a), Some(b)) if a.shape != b.shape => Verdict::Shape,
            (Some(a), Some(b)) if a.dtype != b.dtype => Verdict::Changed,
            (Some(_), Some(_)) => Verdict::Identical,
            (Some(_), None) => Verdict::OnlyInA,
            (None, _) => Verdict::OnlyInB,
        };
        let name = a
            .or(b)
            .map_or_else(String::new, |tensor| tensor.name.clone());
        Row {
            b_name: b.filter(|b| b.name != name).map(|b| b.name.clone()),
            name,
            a: a.map(Facts::of),
            b: b.map(Facts::of),
            verdict: Ok(verdict),
            metrics: Metrics::default(),
            tally: Tally::default(),
        }
    }

    /// Takes over what was measured. `may_be_identical`: whether equal values have equal bits.
    fn settle(&mut self, outcome: Result<Outcome>, may_be_identical: bool) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.verdict = Err(error);
                return;
            }
        };
        let tally = &outcome.tally;
        let verdict = match tally.is_equal() {
            true if outcome.is_identical && may_be_identical => Verdict::Identical,
            true => Verdict::EqualValues,
            false if outcome.is_rounded => Verdict::Rounded,
            false if outcome.is_near => Verdict::WithinTolerance,
            false if tally.changed == 0 => Verdict::NonFinite,
            false => Verdict::Changed,
        };
        self.metrics = match verdict {
            Verdict::Identical => Metrics::IDENTICAL,
            _ => tally.metrics(),
        };
        self.tally = outcome.tally;
        self.verdict = Ok(verdict);
    }
}

/// Finds matrices that are each other's transpose: those whose shapes say so, and square ones
/// that have changed.
fn find_transposed(rows: &mut [Row], pairs: &[Pair<'_>], how: How<'_>) -> Result<()> {
    let mut places = Vec::new();
    let mut views = Vec::new();
    for (place, (row, pair)) in rows.iter().zip(pairs).enumerate() {
        let is_candidate = matches!(row.verdict, Ok(Verdict::Changed | Verdict::Shape));
        if let (true, [Some(a), Some(b)]) = (is_candidate, *pair)
            && let Some(view) = transposed(b)
            && view.shape == a.shape
        {
            places.push(place);
            views.push((a, view));
        }
    }
    let jobs: Vec<Job<'_>> = views.iter().map(|(a, b)| Job::of(a, b)).collect();
    let found = measure::are_equal(&jobs, how.threads)?;
    for (place, _) in places
        .into_iter()
        .zip(found)
        .filter(|(_, is_equal)| *is_equal)
    {
        rows[place].verdict = Ok(Verdict::Transposed);
        rows[place].metrics = Metrics::default();
    }
    Ok(())
}

/// A matrix with its axes exchanged, if its elements can be read in that order.
fn transposed(tensor: &Tensor) -> Option<Tensor> {
    let &[rows, columns] = tensor.shape.dimensions() else {
        return None;
    };
    tensor.dtype.element_bytes()?;
    if tensor.dtype.class() == Class::Quantized {
        return None;
    }
    let payload = match &tensor.payload {
        Payload::Stored(storage) => Payload::Strided {
            storage: storage.clone(),
            first: 0,
            strides: [1, columns].into(),
        },
        Payload::Strided {
            storage,
            first,
            strides,
        } => Payload::Strided {
            storage: storage.clone(),
            first: *first,
            strides: strides.iter().rev().copied().collect(),
        },
        _ => return None,
    };
    Some(Tensor {
        shape: Shape::new([columns, rows]).ok()?,
        payload,
        ..tensor.clone()
    })
}
