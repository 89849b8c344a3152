//! What is wrong with the numbers: findings from the statistics of every tensor.
//!
//! One pass, that of `op::stats`. Only tensors whose statistics agree to the last bit are read
//! again, to see whether their bytes do.

use super::structure::few;
use crate::dtype::Class;
use crate::error::Result;
use crate::model::{Checkpoint, Level, Note, Shape, Tensor};
use crate::op::hash;
use crate::op::stats::{self, Measures, Outcome, Row, Stats};
use crate::parallel::{Progress, Silent};
use std::collections::{BTreeMap, HashMap};

/// What to look for, and how.
pub struct Options<'a> {
    /// Threads to work with.
    pub threads: usize,
    /// Magnitudes above this are extreme.
    pub max_magnitude: f64,
    /// Who hears about bytes done.
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("max_magnitude", &self.max_magnitude)
            .finish_non_exhaustive()
    }
}

/// The largest number of F16: what is above becomes infinite in most programs.
pub const MAX_MAGNITUDE: f64 = 65504.0;

/// Elements from which all of them being equal is no accident.
const CONSTANT: u64 = 16;

/// Bytes from which a copy is worth a warning.
const COPY: u64 = 4096;

/// Siblings from which their scales have a middle.
const SIBLINGS: usize = 8;

/// How many times the typical deviation from the middle an outlier is off, and how many times
/// larger or smaller than the middle it is at least.
const DEVIATIONS: f64 = 8.0;
const FACTOR: f64 = 10.0;

/// Both halves of a low-rank pair, the one that starts as zeros first.
const PAIRS: &[(&str, &str)] = &[
    ("lora_up", "lora_down"),
    ("lora_B", "lora_A"),
    ("lora.up", "lora.down"),
    ("lora_embedding_B", "lora_embedding_A"),
    ("hada_w1_a", "hada_w1_b"),
    ("hada_w2_a", "hada_w2_b"),
    ("lokr_w1", "lokr_w2"),
];

/// Everything that is odd about the values of a checkpoint.
///
/// Errors: those of the threads; a tensor that cannot be read is a note.
pub fn notes(checkpoint: &Checkpoint, options: &Options<'_>) -> Result<Vec<Note>> {
    let stats = stats::stats(
        checkpoint,
        &stats::Options {
            threads: options.threads,
            progress: options.progress,
            ..stats::Options::default()
        },
    )?;
    let measured: Vec<Measured<'_>> = measured(checkpoint, &stats).collect();
    let mut notes: Vec<Note> = stats.failures.iter().map(failure).collect();
    let idle = idle_pairs(&measured);
    let named: Vec<&str> = idle
        .iter()
        .filter_map(|n| n.place.tensor.as_deref())
        .collect();
    for rule in [not_a_number, infinite, extreme] {
        notes.extend(few(measured
            .iter()
            .filter_map(|found| rule(found, options))));
    }
    let not_idle = |found: &&Measured<'_>| !named.contains(&found.tensor.name.as_str());
    notes.extend(few(measured.iter().filter(not_idle).filter_map(constant)));
    notes.extend(few(idle.into_iter()));
    notes.extend(few(unpaired(checkpoint).into_iter()));
    notes.extend(few(outliers(&measured).into_iter()));
    notes.extend(few(copies(checkpoint, &measured, options)?.into_iter()));
    Ok(notes)
}

/// A tensor of its own, and what was measured of it.
struct Measured<'a> {
    tensor: &'a Tensor,
    measures: &'a Measures,
}

fn measured<'a>(
    checkpoint: &'a Checkpoint,
    stats: &'a Stats,
) -> impl Iterator<Item = Measured<'a>> {
    let rows = checkpoint.tensors.iter().zip(&stats.rows);
    rows.filter_map(|(tensor, row): (&Tensor, &Row)| match &row.outcome {
        Outcome::Measured(measures) if tensor.tied_to.is_none() => {
            Some(Measured { tensor, measures })
        }
        _ => None,
    })
}

fn failure(error: &crate::Error) -> Note {
    let mut note = Note::new(error.rule(), Level::Error, error.message());
    note.place = error.place().clone();
    note
}

fn not_a_number(found: &Measured<'_>, _: &Options<'_>) -> Option<Note> {
    let moments = &found.measures.moments;
    let (count, all) = (moments.nans, moments.elements);
    let first = moments.first_nonfinite.filter(|_| count > 0)?;
    let text = format!(
        "{count} of {all} elements are NaN; the first that is not finite is element {first}"
    );
    Some(Note::new("nan", Level::Error, text).on_tensor(&found.tensor.name))
}

fn infinite(found: &Measured<'_>, _: &Options<'_>) -> Option<Note> {
    let moments = &found.measures.moments;
    let (count, all) = (moments.infs, moments.elements);
    let first = moments.first_nonfinite.filter(|_| count > 0)?;
    let text = format!(
        "{count} of {all} elements are infinite; the first that is not finite is element {first}"
    );
    // Masks are made of them.
    Some(Note::new("infinite", Level::Warning, text).on_tensor(&found.tensor.name))
}

fn extreme(found: &Measured<'_>, options: &Options<'_>) -> Option<Note> {
    let largest = found.measures.abs_max()?.value();
    if !is_real(found.tensor) || largest <= options.max_magnitude {
        return None;
    }
    let text = format!(
        "the largest magnitude is {largest:e}; the limit is {}",
        options.max_magnitude
    );
    Some(Note::new("extreme-magnitude", Level::Warning, text).on_tensor(&found.tensor.name))
}

/// Whether elements stand for real numbers: not counts, indices or codes.
fn is_real(tensor: &Tensor) -> bool {
    matches!(
        tensor.dtype.class(),
        Class::Float | Class::Block | Class::Quantized | Class::Complex
    )
}

/// All zeros, or all the same. A vector of either is how biases and norms begin.
fn constant(found: &Measured<'_>) -> Option<Note> {
    let moments = &found.measures.moments;
    let is_whole = moments.finite == moments.elements && moments.elements >= CONSTANT;
    if !is_real(found.tensor) || !is_whole {
        return None;
    }
    let level = match found.tensor.shape.rank() {
        0 | 1 => Level::Info,
        _ => Level::Warning,
    };
    let note = if moments.zeros == moments.elements {
        let text = format!("all {} elements are zero", moments.elements);
        Note::new("all-zero", level, text)
    } else {
        let (min, max) = (found.measures.min()?.value(), found.measures.max()?.value());
        if min != max {
            return None;
        }
        let text = format!("all {} elements are {min}", moments.elements);
        Note::new("constant", level, text)
    };
    Some(note.on_tensor(&found.tensor.name))
}

/// The name of the other half of a low-rank pair, if this is the half that starts as zeros.
fn partner(name: &str) -> Option<String> {
    PAIRS.iter().find_map(|(up, down)| {
        let (front, back) = name.rsplit_once(up)?;
        let is_word = back.is_empty() || back.starts_with('.');
        is_word.then(|| format!("{front}{down}{back}"))
    })
}

/// Low-rank pairs of which one half is zero, so that they change nothing.
fn idle_pairs(measured: &[Measured<'_>]) -> Vec<Note> {
    let by_name: HashMap<&str, &Measured<'_>> = measured
        .iter()
        .map(|found| (found.tensor.name.as_str(), found))
        .collect();
    let is_zero = |found: &Measured<'_>| {
        found.measures.moments.elements > 0
            && found.measures.moments.zeros == found.measures.moments.elements
    };
    let idle = |found: &Measured<'_>| {
        let down = by_name.get(partner(&found.tensor.name)?.as_str())?;
        let zero = match (is_zero(found), is_zero(down)) {
            (true, _) => found,
            (_, true) => down,
            _ => return None,
        };
        let text = "is all zeros, so that its low-rank pair does nothing".to_owned();
        Some(Note::new("lora-idle", Level::Warning, text).on_tensor(&zero.tensor.name))
    };
    measured.iter().filter_map(idle).collect()
}

/// Halves of low-rank pairs without the other.
fn unpaired(checkpoint: &Checkpoint) -> Vec<Note> {
    let names: HashMap<&str, ()> = checkpoint
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), ()))
        .collect();
    let alone = |tensor: &Tensor| {
        let partner =
            partner(&tensor.name).filter(|partner| !names.contains_key(partner.as_str()))?;
        // A Kronecker factor may be split in two.
        if tensor.name.ends_with("lokr_w1") {
            return None;
        }
        let text = format!("the other half of its low-rank pair, `{partner}`, is not there");
        Some(Note::new("lora-unpaired", Level::Warning, text).on_tensor(&tensor.name))
    };
    checkpoint.tensors.iter().filter_map(alone).collect()
}

/// Tensors whose scale (root of the mean square) is out of line with that of their siblings:
/// those of the same name but for its numbers, dtype and shape.
///
/// Judged on logarithms by median and median absolute deviation, which outliers do not move:
/// out of line is what is off by [`DEVIATIONS`] deviations and by a factor of [`FACTOR`].
fn outliers(measured: &[Measured<'_>]) -> Vec<Note> {
    let mut families: BTreeMap<(String, String), Vec<(f64, &Measured<'_>)>> = BTreeMap::new();
    for found in measured.iter().filter(|found| is_real(found.tensor)) {
        let moments = &found.measures.moments;
        let pattern = pattern(&found.tensor.name);
        let scale = found.measures.moments.l2().unwrap_or(0.0) / (moments.finite as f64).sqrt();
        if scale > 0.0 && pattern != found.tensor.name {
            let kind = format!("{} {}", found.tensor.dtype, found.tensor.shape);
            families
                .entry((pattern, kind))
                .or_default()
                .push((scale.log10(), found));
        }
    }
    let families = families
        .into_values()
        .filter(|family| family.len() >= SIBLINGS);
    families.flat_map(|family| outliers_of(&family)).collect()
}

fn outliers_of(family: &[(f64, &Measured<'_>)]) -> Vec<Note> {
    let middle = median(family.iter().map(|(scale, _)| *scale).collect());
    let deviation = median(
        family
            .iter()
            .map(|(scale, _)| (scale - middle).abs())
            .collect(),
    );
    let limit = (DEVIATIONS * 1.4826 * deviation).max(FACTOR.log10());
    let off = family
        .iter()
        .filter(|(scale, _)| (scale - middle).abs() > limit);
    off.map(|(scale, found)| {
        let times = 10f64.powf((scale - middle).abs());
        let word = if *scale > middle { "larger" } else { "smaller" };
        let text = format!(
            "its scale, {:.3e}, is {times:.0} times {word} than the middle of its {} siblings, {:.3e}",
            10f64.powf(*scale),
            family.len(),
            10f64.powf(middle)
        );
        Note::new("scale-outlier", Level::Warning, text).on_tensor(&found.tensor.name)
    })
    .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A name with its numbers taken out.
fn pattern(name: &str) -> String {
    let parts = name.split('.').map(|part| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Tensors that have the bytes of an earlier one, but are stored again.
fn copies(
    checkpoint: &Checkpoint,
    measured: &[Measured<'_>],
    options: &Options<'_>,
) -> Result<Vec<Note>> {
    let mut alike: HashMap<Likeness, Vec<&str>> = HashMap::new();
    for found in measured {
        let moments = &found.measures.moments;
        let is_constant = moments.min == moments.max;
        if moments.elements >= CONSTANT && !is_constant {
            alike
                .entry(Likeness::of(found))
                .or_default()
                .push(&found.tensor.name);
        }
    }
    alike.retain(|_, names| names.len() > 1);
    if alike.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<bool> = {
        let mut names: HashMap<&str, ()> = HashMap::new();
        names.extend(alike.values().flatten().map(|name| (*name, ())));
        let tensors = checkpoint.tensors.iter();
        tensors
            .map(|tensor| names.contains_key(tensor.name.as_str()))
            .collect()
    };
    let mut suspects = checkpoint.clone();
    suspects.keep(&wanted);
    let hashes = hash::hash(&suspects, options.threads, &Silent)?;
    let digests = hashes
        .rows
        .iter()
        .filter_map(|row| Some((&*row.name, row.digest?)));
    let digests: HashMap<&str, hash::Digest> = digests.collect();
    let mut first: HashMap<[u8; 32], &str> = HashMap::new();
    let mut notes = Vec::new();
    for tensor in &suspects.tensors {
        let Some(digest) = digests.get(&*tensor.name) else {
            continue;
        };
        match first.get(&digest.0) {
            Some(name) => {
                let bytes = tensor.byte_len().unwrap_or(0);
                let level = if bytes >= COPY {
                    Level::Warning
                } else {
                    Level::Info
                };
                let text =
                    format!("has the values of `{name}`, but is stored again: {bytes} bytes");
                notes.push(Note::new("duplicate-tensor", level, text).on_tensor(&tensor.name));
            }
            None => {
                first.insert(digest.0, &tensor.name);
            }
        }
    }
    Ok(notes)
}

/// Statistics that two tensors of the same bytes share.
#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    dtype: String,
    shape: Shape,
    numbers: [u64; 6],
}

impl Likeness {
    fn of(found: &Measured<'_>) -> Likeness {
        let moments = &found.measures.moments;
        let float = |value: Option<f64>| value.unwrap_or(0.0).to_bits();
        Likeness {
            dtype: found.tensor.dtype.to_string(),
            shape: found.tensor.shape.clone(),
            numbers: [
                moments.min.to_bits(),
                moments.max.to_bits(),
                float(moments.l1()),
                float(moments.l2()),
                float(moments.mean()),
                moments.zeros,
            ],
        }
    }
}
