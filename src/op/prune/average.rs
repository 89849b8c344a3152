//! Two copies of the weights: which tensors of the one belong to which of the other.

use super::recipes::{Average, Copy, Recipe};
use super::{Weights, draft::Item};
use crate::error::{Error, Result};
use crate::model::Tensor;
use std::collections::HashMap;

/// The copy beside the model.
#[derive(Debug)]
pub(super) struct Second {
    pub(super) average: &'static Average,
    /// For each tensor of the checkpoint, whether it belongs to the copy.
    pub(super) is_member: Vec<bool>,
    /// Tensors of the copy by the model's tensors, as places in the checkpoint.
    partners: HashMap<usize, usize>,
}

/// What wrappers put before the names of a copy.
const WRAPPERS: [&str; 7] = [
    "module.",
    "ema_model.",
    "averaged_model.",
    "shadow.",
    "_orig_mod.",
    "_forward_module.",
    "model.",
];

impl Second {
    /// All copies in `tensors`. `live`: the model's tensors, their places and their names
    /// without the root.
    pub(super) fn find_all(
        recipe: &Recipe,
        tensors: &[Tensor],
        live: &[(usize, &str)],
        root: Option<&str>,
        is_flat: bool,
    ) -> Result<Vec<Second>> {
        let mut found: Vec<Second> = Vec::new();
        for average in recipe.all_averages() {
            let prefix = match (average.is_below_root, root) {
                (true, Some(root)) => format!("{root}.{}", average.prefix),
                (true, None) => average.prefix.to_owned(),
                // A flat name that starts so may be a part of the model.
                (false, _) if is_flat => continue,
                (false, _) => average.prefix.to_owned(),
            };
            let members = tensors.iter().enumerate().filter_map(|(index, tensor)| {
                let name = tensor.name.strip_prefix(&prefix)?;
                let is_new = found.iter().all(|second| !second.is_member[index]);
                is_new.then_some((index, name))
            });
            let members: Vec<(usize, &str)> = members.collect();
            if members.is_empty() {
                continue;
            }
            let mut is_member = vec![false; tensors.len()];
            members
                .iter()
                .for_each(|(index, _)| is_member[*index] = true);
            let rest = live.iter().filter(|(index, _)| !is_member[*index]);
            let rest: Vec<(usize, &str)> = rest.copied().collect();
            let partners = match_names(&rest, &members, average.is_below_root)?;
            if partners.is_empty() {
                continue;
            }
            found.push(Second {
                average,
                is_member,
                partners,
            });
        }
        Ok(found)
    }

    /// For each tensor of the checkpoint, whether its elements take a model's tensor's place.
    pub(super) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.is_member.len()];
        self.partners.values().for_each(|index| used[*index] = true);
        used
    }

    /// Which copy is wanted.
    pub(super) fn wanted(&self, weights: Weights) -> Copy {
        match weights {
            Weights::Auto => self.average.auto,
            Weights::Live => Copy::Live,
            Weights::Ema => Copy::Ema,
        }
    }

    /// Whether the wanted copy is the one beside the root.
    pub(super) fn takes_over(&self, weights: Weights) -> bool {
        self.wanted(weights) != self.average.root_holds
    }

    /// Why its tensors go.
    pub(super) fn reason(&self) -> &'static str {
        match self.average.root_holds {
            Copy::Live => Copy::Ema.reason(),
            Copy::Ema => Copy::Live.reason(),
        }
    }

    /// Why the root's tensors go where the copy takes over.
    pub(super) fn wanted_reason(&self) -> &'static str {
        self.average.root_holds.reason()
    }

    /// Puts the copy's elements in the place of those of `item`, the model's tensor `index`.
    ///
    /// Returns whether it has any. Errors: `Malformed` if the shapes differ.
    pub(super) fn replace(
        &self,
        tensors: &[Tensor],
        index: usize,
        item: &mut Item,
    ) -> Result<bool> {
        let Some(&partner) = self.partners.get(&index) else {
            return Ok(false);
        };
        let other = &tensors[partner];
        if other.shape != item.tensor.shape {
            let error = Error::malformed(format!(
                "has shape {}, but its copy `{}` has {}",
                item.tensor.shape, other.name, other.shape
            ));
            return Err(error.in_tensor(&tensors[index].name));
        }
        item.source.clone_from(&other.name);
        item.tensor = Tensor {
            name: item.tensor.name.clone(),
            ..other.clone()
        };
        Ok(true)
    }
}

/// The copy's tensors by the model's. `is_condensed`: the copy's names may have lost their dots
/// and a leading `model.`, which cannot be undone but from the model's names.
fn match_names(
    live: &[(usize, &str)],
    members: &[(usize, &str)],
    is_condensed: bool,
) -> Result<HashMap<usize, usize>> {
    let exact: HashMap<&str, usize> = live.iter().map(|&(index, name)| (name, index)).collect();
    let mut bare: HashMap<&str, usize> = HashMap::new();
    let mut condensed: HashMap<String, (usize, &str)> = HashMap::new();
    for &(index, name) in live {
        bare.entry(without_wrappers(name)).or_insert(index);
        if !is_condensed {
            continue;
        }
        let short = name.strip_prefix("model.").unwrap_or(name).replace('.', "");
        if let Some((_, other)) = condensed.insert(short, (index, name)) {
            return Err(Error::malformed(format!(
                "`{other}` and `{name}` have one name in the average"
            )));
        }
    }
    let mut partners = HashMap::with_capacity(members.len());
    for &(index, name) in members {
        let found = exact.get(name).or_else(|| bare.get(without_wrappers(name)));
        let found = found.copied();
        let found = found.or_else(|| condensed.get(name).map(|(index, _)| *index));
        if let Some(live) = found {
            partners.entry(live).or_insert(index);
        }
    }
    Ok(partners)
}

fn without_wrappers(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| name.strip_prefix(wrapper))
    {
        name = rest;
    }
    name
}
