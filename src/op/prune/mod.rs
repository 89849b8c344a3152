//! Pruning: leaving out what inference does not need, and zeroing what matters least.
//!
//! | what | where |
//! |---|---|
//! | what training programs write | [`recipes`] |
//! | what goes and what stays | `leave_out` |
//! | which copy of the weights | `average` |
//! | names without wrappers | `names` |

mod average;
mod draft;
mod files;
mod leave_out;
mod names;
pub mod recipes;

pub use draft::{Dropped, Kind};
pub use files::{is_training_file, left_out_files};
pub use recipes::{Copy, RECIPES, Recipe};

use super::convert::Reason;
use super::root::Choice;
use super::select::Selection;
use crate::error::Result;
use crate::model::{Checkpoint, Note};

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
    /// Which copy of the weights is taken.
    pub weights: Weights,
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
}

/// Leaves out of `checkpoint` what `options` say.
///
/// Errors: `Usage` for a pattern that matches nothing, a selection that leaves nothing, two
/// tensors of one name, or weights that are not there; `Malformed` if two copies of the weights
/// do not fit each other.
pub fn prune(mut checkpoint: Checkpoint, options: &Options) -> Result<Pruned> {
    let recipe = options.recipe.unwrap_or_else(|| Recipe::of(&checkpoint));
    let (mut draft, taken) = leave_out::leave_out(&mut checkpoint, recipe, options)?;
    if !recipe.is_none() {
        names::unwrap(&mut draft);
    }
    draft.check()?;
    let mut sources = Vec::with_capacity(draft.items.len());
    let mut reasons = Vec::with_capacity(draft.items.len());
    let mut tensors = Vec::with_capacity(draft.items.len());
    for item in draft.items {
        sources.push(item.source);
        reasons.push(item.reason);
        tensors.push(item.tensor);
        // Ties are found again: what a tensor is tied to may have gone.
        if let Some(last) = tensors.last_mut() {
            last.tied_to = None;
        }
    }
    let mut pruned = Checkpoint {
        path: checkpoint.path,
        format: checkpoint.format,
        variant: checkpoint.variant,
        metadata: checkpoint.metadata,
        metadata_types: checkpoint.metadata_types,
        stored_metadata: checkpoint.stored_metadata,
        tensors,
        ..Checkpoint::default()
    };
    pruned.mark_tied();
    Ok(Pruned {
        checkpoint: pruned,
        sources,
        reasons,
        dropped: draft.dropped,
        notes: draft.notes,
        recipe,
        weights: taken.weights,
        has_other_weights: taken.has_other,
    })
}
