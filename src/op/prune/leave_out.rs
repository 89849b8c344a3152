//! What goes and what stays, by the place where it stands.

use super::average::{BY_POSITION, Second};
use super::draft::{Draft, Dropped, Item, Kind};
use super::recipes::{BOOKKEEPING, Copy, Recipe, STRAY_LORA};
use super::{Options, Weights};
use crate::dtype::Class;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Level, Note, Tensor};
use crate::op::root::{self, Choice};
use crate::op::rules::{Decision, Decisions, Rules};
use crate::op::select::Selection;
use crate::text::human_bytes;
use std::collections::HashMap;

/// Why a tensor goes that was not asked for.
const NOT_SELECTED: &str = "not selected";

/// Why a tensor goes that was named.
const ASKED: &str = "asked for";

/// Why a tensor goes that a rule names.
const BY_RULE: &str = "dropped by a rule";

/// What every decision looks at.
struct Chooser<'a> {
    checkpoint: &'a Checkpoint,
    recipe: &'static Recipe,
    root: Option<String>,
    seconds: Vec<Second>,
    /// The copy whose elements take the place of the model's.
    chosen: Option<usize>,
    selected: Vec<bool>,
    kept: Vec<bool>,
    asked: Vec<bool>,
    decisions: Vec<Decision>,
    /// For each tensor, the group it stands in.
    groups: Vec<Option<usize>>,
    /// Whether the adapter is what is wanted.
    wants_adapter: bool,
    unknown: Unknown,
}

/// Which copy of the weights was taken.
pub(super) struct Taken {
    pub(super) weights: Option<Copy>,
    pub(super) has_other: bool,
    /// Rules that match no tensor.
    pub(super) unused_rules: Vec<String>,
}

/// Keys of the outermost mapping that nobody knows, with tensors and bytes.
#[derive(Default)]
struct Unknown {
    keys: Vec<(String, u64, u64)>,
    places: HashMap<String, usize>,
}

/// Decides about every tensor, and says which copy of the weights is taken.
pub(super) fn leave_out(
    checkpoint: &mut Checkpoint,
    recipe: &'static Recipe,
    options: &Options,
) -> Result<(Draft, Taken)> {
    let root = find_root(checkpoint, recipe, options)?;
    let checkpoint = &*checkpoint;
    let seconds = match recipe.is_none() {
        true => Vec::new(),
        false => find_seconds(checkpoint, recipe, root.as_deref())?,
    };
    let takes_over = |second: &Second| second.takes_over(options.weights);
    let chosen = seconds.iter().position(takes_over);
    let weights = match (seconds.first(), chosen) {
        (Some(first), None) => Some(first.wanted(options.weights)),
        (_, Some(chosen)) => Some(seconds[chosen].wanted(options.weights)),
        (None, None) => root.as_deref().and_then(average_alone),
    };
    check_weights(checkpoint, options.weights, weights)?;
    let decided = decide(checkpoint, root.as_deref(), &options.rules);
    let taken = Taken {
        weights,
        has_other: !seconds.is_empty(),
        unused_rules: decided.unused,
    };
    let mut kept = matches(checkpoint, &options.keep)?;
    let asked = matches(checkpoint, &options.drop)?;
    // Flags come before the file; of each, what is kept cannot be dropped.
    for (index, decision) in decided.decisions.iter().enumerate() {
        kept[index] |= !asked[index] && decision.stays == Some(true);
    }
    let mut chooser = Chooser {
        checkpoint,
        recipe,
        root,
        seconds,
        chosen,
        selected: options.selection.choose(checkpoint)?,
        kept,
        asked,
        decisions: decided.decisions,
        groups: groups_of(checkpoint),
        wants_adapter: options.component.as_deref() == Some("lora"),
        unknown: Unknown::default(),
    };
    let mut draft = chooser.decide()?;
    draft
        .dropped
        .extend(dropped_values(checkpoint, recipe, chooser.root.as_deref()));
    draft.notes.extend(chooser.unknown.notes());
    let roots = checkpoint.notes.iter();
    draft
        .notes
        .extend(roots.filter(|note| note.level >= Level::Warning).cloned());
    Ok((draft, taken))
}

/// For each tensor, whether one of `patterns` matches its name.
fn matches(checkpoint: &Checkpoint, patterns: &[String]) -> Result<Vec<bool>> {
    match patterns.is_empty() {
        true => Ok(vec![false; checkpoint.tensors.len()]),
        false => Selection::new(patterns, &[], &[])?.choose(checkpoint),
    }
}

/// What the rules say, of names with and without the root.
fn decide(checkpoint: &Checkpoint, root: Option<&str>, rules: &Rules) -> Decisions {
    let under = root.map(|root| root::under(checkpoint, root));
    let cut = root.map_or(0, |root| root.len() + 1);
    let names = checkpoint.tensors.iter().enumerate();
    rules.decide_either(names.map(|(index, tensor)| {
        let name = tensor.name.as_str();
        let is_below = under.as_ref().is_some_and(|under| under[index]);
        [name, if is_below { &name[cut..] } else { name }]
    }))
}

/// The root; where the model itself is missing, its average.
fn find_root(
    checkpoint: &mut Checkpoint,
    recipe: &Recipe,
    options: &Options,
) -> Result<Option<String>> {
    let root = root::find(checkpoint, &options.root)?;
    if root.is_some() || options.root != Choice::Auto {
        return Ok(root);
    }
    let averages = recipe
        .all_averages()
        .filter(|average| !average.is_below_root);
    let mut keys = averages.filter_map(|average| average.prefix.strip_suffix('.'));
    let holds = |key: &&str| {
        let mut groups = checkpoint.groups.iter();
        groups.any(|group| group.key == *key && !group.tensors.is_empty())
    };
    Ok(keys.find(holds).map(str::to_owned))
}

/// Whether the root is itself the average, for want of anything else.
fn average_alone(root: &str) -> Option<Copy> {
    (!crate::model::ROOT_KEYS.contains(&root) && root.contains("ema")).then_some(Copy::Ema)
}

fn find_seconds(
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    root: Option<&str>,
) -> Result<Vec<Second>> {
    let prefix = root.map(|root| format!("{root}."));
    let tensors = checkpoint.tensors.iter().enumerate();
    let live: Vec<(usize, &str)> = match (root, &prefix) {
        (Some(root), Some(prefix)) => {
            let under = root::under(checkpoint, root);
            tensors
                .filter(|(index, _)| under[*index])
                .map(|(index, tensor)| (index, &tensor.name[prefix.len()..]))
                .collect()
        }
        _ => tensors
            .map(|(index, tensor)| (index, tensor.name.as_str()))
            .collect(),
    };
    let is_flat = checkpoint.groups.is_empty();
    Second::find_all(recipe, &checkpoint.tensors, &live, root, is_flat)
}

fn check_weights(checkpoint: &Checkpoint, asked: Weights, found: Option<Copy>) -> Result<()> {
    match (asked, found) {
        (Weights::Ema, None) => {
            let is_nameless = |tensor: &Tensor| tensor.name.contains(BY_POSITION);
            let error = Error::usage(match checkpoint.tensors.iter().any(is_nameless) {
                true => {
                    "holds an average (EMA) without names, which does not fit the model's parameters one by one"
                }
                false => "holds no average (EMA) of the weights",
            });
            Err(error
                .in_file(&checkpoint.path)
                .with_hint("`--weights auto` takes what there is"))
        }
        (Weights::Live, Some(Copy::Ema)) => {
            let error = Error::usage("holds an average (EMA) of the weights only");
            Err(error.in_file(&checkpoint.path))
        }
        _ => Ok(()),
    }
}

impl Chooser<'_> {
    fn decide(&mut self) -> Result<Draft> {
        let mut draft = Draft::default();
        let prefix = self.root.as_ref().map(|root| format!("{root}."));
        let under = self
            .root
            .as_ref()
            .map(|root| root::under(self.checkpoint, root));
        let used = self.chosen.map(|chosen| self.seconds[chosen].used());
        let mut without_copy = 0u64;
        for (index, tensor) in self.checkpoint.tensors.iter().enumerate() {
            let is_below = under.as_ref().is_none_or(|under| under[index]);
            let name = match (&prefix, is_below) {
                (Some(prefix), true) => &tensor.name[prefix.len()..],
                _ => &tensor.name,
            };
            if used.as_ref().is_some_and(|used| used[index]) && !self.kept[index] {
                continue;
            }
            if let Some(reason) = self.reason(index, tensor, name, is_below) {
                draft.dropped.push(Dropped::tensor(tensor, reason));
                continue;
            }
            let is_member = self.seconds.iter().any(|second| second.is_member[index]);
            let is_model = is_below && !is_member;
            let mut item = Item {
                source: tensor.name.clone(),
                tensor: tensor.clone(),
                is_model,
                is_pinned: self.kept[index],
                reason: None,
                asked: self.decisions[index].asked.clone(),
                sparsity: self.decisions[index].sparsity,
            };
            if is_model {
                item.tensor.name = name.to_owned();
            }
            if let (Some(chosen), true) = (self.chosen, is_model) {
                let second = &self.seconds[chosen];
                if second.replace(&self.checkpoint.tensors, index, &mut item)? {
                    let reason = second.wanted_reason();
                    draft.dropped.push(Dropped::tensor(tensor, reason));
                } else if tensor.dtype.class() == Class::Float {
                    without_copy += 1;
                }
            }
            draft.items.push(item);
        }
        if without_copy > 0 {
            let text = format!(
                "{without_copy} tensors of the model have no other copy and are kept as they are"
            );
            draft.notes.push(Note::new("no-copy", Level::Info, text));
        }
        if self
            .chosen
            .is_some_and(|chosen| self.seconds[chosen].is_by_position)
        {
            let text = "the average has no names: it was matched to the model's parameters by order, and every shape fits";
            draft
                .notes
                .push(Note::new("matched-by-order", Level::Info, text));
        }
        Ok(draft)
    }

    /// Why a tensor goes; `None` if it stays. `name`: without the root's prefix.
    fn reason(
        &mut self,
        index: usize,
        tensor: &Tensor,
        name: &str,
        is_below: bool,
    ) -> Option<&'static str> {
        if self.kept[index] {
            return None;
        }
        if !self.selected[index] {
            return Some(NOT_SELECTED);
        }
        if self.asked[index] {
            return Some(ASKED);
        }
        if self.decisions[index].stays == Some(false) {
            return Some(BY_RULE);
        }
        if self.recipe.is_none() {
            return None;
        }
        if let Some(at) = self
            .seconds
            .iter()
            .position(|second| second.is_member[index])
        {
            // What takes the model's place is taken from there.
            return Some(match self.chosen {
                Some(chosen) if chosen == at => BOOKKEEPING,
                _ => self.seconds[at].reason(),
            });
        }
        if is_below {
            let flat = self.root.is_none().then(|| self.beside(index, tensor));
            let own = self.recipe.reason_for_tensor(name);
            let own = own.filter(|reason| !(self.wants_adapter && *reason == STRAY_LORA));
            return own.or(flat.flatten());
        }
        let reason = self.beside(index, tensor);
        if reason.is_none() {
            let key = self.key(index).unwrap_or(&tensor.name).to_owned();
            self.unknown.add(&key, tensor.byte_len().unwrap_or(0));
        }
        reason
    }

    /// Why a tensor beside the root goes.
    fn beside(&self, index: usize, tensor: &Tensor) -> Option<&'static str> {
        let Some(key) = self.key(index) else {
            return match self.root.is_some() {
                true => self.recipe.reason_for_key(&tensor.name),
                false => flat_reason(&tensor.name),
            };
        };
        let is_optimizer = key == "state"
            && self
                .checkpoint
                .values
                .iter()
                .any(|(k, _)| k == "param_groups");
        match is_optimizer {
            true => Some("optimizer"),
            false => self.recipe.reason_for_key(key),
        }
    }

    /// The key of the outermost mapping that a tensor stands under.
    fn key(&self, index: usize) -> Option<&str> {
        let group = self.checkpoint.groups.get(self.groups[index]?)?;
        Some(&group.key)
    }
}

/// For each tensor, the group it stands in.
fn groups_of(checkpoint: &Checkpoint) -> Vec<Option<usize>> {
    let mut groups = vec![None; checkpoint.tensors.len()];
    for (number, group) in checkpoint.groups.iter().enumerate() {
        for index in group.tensors.clone() {
            if let Some(slot) = groups.get_mut(index) {
                *slot = Some(number);
            }
        }
    }
    groups
}

impl Unknown {
    fn add(&mut self, key: &str, bytes: u64) {
        let next = self.keys.len();
        let place = *self.places.entry(key.to_owned()).or_insert(next);
        if place == next {
            self.keys.push((key.to_owned(), 0, 0));
        }
        let (_, tensors, sum) = &mut self.keys[place];
        *tensors += 1;
        *sum = sum.saturating_add(bytes);
    }

    fn notes(&self) -> Vec<Note> {
        const SHOWN: usize = 8;
        let note = |text: String| Note::new("unknown-kept", Level::Warning, text);
        let shown = self.keys.iter().take(SHOWN).map(|(key, tensors, bytes)| {
            let bytes = human_bytes(*bytes);
            note(format!(
                "`{key}` ({tensors} tensors, {bytes}) is not known and kept; `--drop '{key}*'` leaves it out"
            ))
        });
        let mut notes: Vec<Note> = shown.collect();
        if let Some(more @ 1..) = self.keys.len().checked_sub(SHOWN) {
            notes.push(note(format!("{more} more keys are not known and kept")));
        }
        notes
    }
}

/// Why a tensor of a flat file goes: what a training checkpoint becomes when it is written with
/// everything in it.
fn flat_reason(name: &str) -> Option<&'static str> {
    let starts = [
        "optimizer.state.",
        "optimizer_states.",
        "optimizer_state_dict.state.",
    ];
    let is_optimizer = starts.iter().any(|start| name.starts_with(start));
    is_optimizer.then_some("optimizer")
}

/// Values go with the format, which has no place for them; what they are, the recipe knows.
fn dropped_values(checkpoint: &Checkpoint, recipe: &Recipe, root: Option<&str>) -> Vec<Dropped> {
    let values = checkpoint.values.iter();
    let others = values.filter(|(key, _)| Some(key.as_str()) != root);
    others
        .map(|(key, _)| Dropped {
            kind: Kind::Value,
            name: key.clone(),
            reason: recipe.reason_for_key(key).unwrap_or("no tensor"),
            bytes: 0,
        })
        .collect()
}
