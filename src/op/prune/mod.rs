//! Pruning: leaving out what inference does not need, and zeroing what matters least.
//!
//! | what | where |
//! |---|---|
//! | what training programs write | [`recipes`] |
//! | what goes and what stays | `leave_out` |
//! | which copy of the weights | `average` |
//! | names without wrappers | `names` |
//! | several tensors that stand for one | `fold` |
//! | buffers that are dead, and broken ones | `buffers` |
//! | one part under its own names | `component`, `open_clip` |
//! | fewer layers, and what counts them | [`layers`], `layer_counts` |
//! | what is zeroed | [`zero`] |

mod average;
mod buffers;
mod component;
mod draft;
mod files;
mod fold;
mod layer_counts;
pub mod layers;
mod leave_out;
mod names;
mod open_clip;
pub mod recipes;
pub mod zero;

pub use component::Part;
pub use draft::{Dropped, Kind};
pub use files::{is_training_file, left_out_files};
pub use layer_counts::update_config;
pub use recipes::{Copy, RECIPES, Recipe};

use super::convert::Reason;
use super::root::Choice;
use super::rules::{Asked, Rules};
use super::select::Selection;
use crate::error::Result;
use crate::model::{Checkpoint, Level, Note};
use crate::parallel::Progress;
use buffers::Buffers;
use draft::{Draft, Item};
use layers::{DropLayers, DroppedLayers};
use leave_out::Taken;
use zero::{Zeroed, Zeroing};

/// What is to go.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose checkpoint it is; `None`: what stands in it says so.
    pub recipe: Option<&'static Recipe>,
    /// Which part is the model.
    pub root: Choice,
    /// Only these tensors are looked at.
    pub selection: Selection,
    /// Tensors that stay, whatever else says.
    pub keep: Vec<String>,
    /// Tensors that go.
    pub drop: Vec<String>,
    /// What else becomes of which tensors; renames are the caller's to carry out.
    pub rules: Rules,
    /// Which copy of the weights is taken.
    pub weights: Weights,
    /// The only part that stays, under the names that its own loaders expect.
    pub component: Option<String>,
    /// Layers that go.
    pub layers: Vec<DropLayers>,
    /// Whether counters of training batches go, too.
    pub drops_counters: bool,
    /// What is zeroed.
    pub zeroing: Zeroing,
}

/// Which copy of the weights is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// The one that the programs that load such checkpoints take.
    #[default]
    Auto,
    /// As the optimizer left them.
    Live,
    /// Their moving average.
    Ema,
}

/// A pruned checkpoint.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// What is left, ready to be converted and written.
    pub checkpoint: Checkpoint,
    /// What each tensor is called in the source.
    pub sources: Vec<String>,
    /// What was done to each tensor's elements, if anything.
    pub reasons: Vec<Option<Reason>>,
    /// What rules say of each tensor's dtype.
    pub asked: Vec<Option<Asked>>,
    /// Rules that match no tensor, as the caller wrote them.
    pub unused_rules: Vec<String>,
    /// What goes, in the order of the source.
    pub dropped: Vec<Dropped>,
    /// What one should know about the choice.
    pub notes: Vec<Note>,
    /// The recipe that was followed.
    pub recipe: &'static Recipe,
    /// Which copy of the weights was taken, if that is known.
    pub weights: Option<Copy>,
    /// Whether there is another copy.
    pub has_other_weights: bool,
    /// The only part that was taken.
    pub part: Option<Part>,
    /// The layers that are gone.
    pub layers: Vec<DroppedLayers>,
    /// What zeroing did, for each tensor that it was about.
    pub zeroed: Vec<Zeroed>,
}

/// Leaves out of `checkpoint` what `options` say, and zeroes what they say of the rest.
///
/// Without zeroing, no tensor data is read but that of a few small tensors. `threads` and
/// `progress` are for zeroing.
/// Errors: `Usage` for a pattern that matches nothing, a selection that leaves nothing, two
/// tensors of one name, or weights that are not there; `Malformed` if two copies of the weights
/// do not fit each other.
pub fn prune(
    mut checkpoint: Checkpoint,
    options: &Options,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Pruned> {
    options.zeroing.check()?;
    let recipe = options.recipe.unwrap_or_else(|| Recipe::of(&checkpoint));
    let (mut draft, taken) = model(&mut checkpoint, recipe, options)?;
    let part = match &options.component {
        Some(component) => Some(component::extract(&mut draft, component)?),
        None => None,
    };
    if !recipe.is_none() {
        let buffers = Buffers {
            drops_counters: options.drops_counters,
            keeps_positions: recipe.name == "ldm" && options.component.is_none(),
        };
        buffers::leave_out(&mut draft, buffers)?;
    }
    let layers = layers::drop_layers(&mut draft, &options.layers)?;
    let notes = layer_counts::update_metadata(&mut checkpoint, &layers)?;
    draft.notes.extend(notes);
    draft.check()?;
    retie(&mut draft.items);
    let zeroed = zero_items(&mut draft, options, threads, progress)?;
    let mut pruned = Pruned {
        checkpoint: Checkpoint {
            path: checkpoint.path,
            format: checkpoint.format,
            variant: checkpoint.variant,
            metadata: checkpoint.metadata,
            metadata_types: checkpoint.metadata_types,
            stored_metadata: checkpoint.stored_metadata,
            ..Checkpoint::default()
        },
        sources: Vec::with_capacity(draft.items.len()),
        reasons: Vec::with_capacity(draft.items.len()),
        asked: Vec::with_capacity(draft.items.len()),
        unused_rules: taken.unused_rules,
        dropped: draft.dropped,
        notes: draft.notes,
        recipe,
        weights: taken.weights,
        has_other_weights: taken.has_other,
        part,
        layers,
        zeroed,
    };
    for item in draft.items {
        pruned.sources.push(item.source);
        pruned.reasons.push(item.reason);
        pruned.asked.push(item.asked);
        pruned.checkpoint.tensors.push(item.tensor);
    }
    Ok(pruned)
}

/// The model of `checkpoint` under its own names, with what is kept beside it.
fn model(
    checkpoint: &mut Checkpoint,
    recipe: &'static Recipe,
    options: &Options,
) -> Result<(Draft, Taken)> {
    let (mut draft, taken) = leave_out::leave_out(checkpoint, recipe, options)?;
    if !recipe.is_none() {
        names::unwrap(&mut draft);
        fold::fold(&mut draft);
        buffers::repair(&mut draft, recipe)?;
    }
    Ok((draft, taken))
}

/// The parts of `checkpoint` of which one can be taken by itself.
///
/// Errors: those of [`prune`] that are about the choice of tensors.
pub fn parts(mut checkpoint: Checkpoint, options: &Options) -> Result<Vec<Part>> {
    let recipe = options.recipe.unwrap_or_else(|| Recipe::of(&checkpoint));
    let (draft, _) = model(&mut checkpoint, recipe, options)?;
    Ok(component::parts(&draft))
}

/// Finds again which items are other names of one tensor: what one was tied to may have gone.
fn retie(items: &mut [Item]) {
    let tensors = items.iter_mut().map(|item| {
        item.tensor.tied_to = None;
        item.tensor.clone()
    });
    let mut checkpoint = Checkpoint {
        tensors: tensors.collect(),
        ..Checkpoint::default()
    };
    checkpoint.mark_tied();
    for (item, tensor) in items.iter_mut().zip(checkpoint.tensors) {
        item.tensor.tied_to = tensor.tied_to;
    }
}

fn zero_items(
    draft: &mut Draft,
    options: &Options,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Zeroed>> {
    let has_own = draft.items.iter().any(|item| item.sparsity.is_some());
    if options.zeroing.is_nothing() && !has_own {
        return Ok(Vec::new());
    }
    let (zeroed, left_alone) = zero::zero(&mut draft.items, &options.zeroing, threads, progress)?;
    if left_alone > 0 {
        let text = format!(
            "{left_alone} tensors of quantised or packed types are left as they are: `ckpt convert --dtype f32` first makes numbers of them"
        );
        draft
            .notes
            .push(Note::new("not-zeroed", Level::Warning, text));
    }
    Ok(zeroed)
}
