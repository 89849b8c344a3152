//! Two copies of the weights: which tensors of the one belong to which of the other.

use super::recipes::{Average, Copy, Naming, Recipe};
use super::{Weights, draft::Item};
use crate::dtype::Class;
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
    /// Whether the copy has no names of its own, and its order says what belongs to what.
    pub(super) is_by_position: bool,
}

/// What comes before the places of tensors in an average that has no names: diffusers'
/// `EMAModel`, torch_ema.
pub(super) const BY_POSITION: &str = "shadow_params.";

/// How the names of buffers end that are no parameters, of all that hold real numbers.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

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
            let mut partners = match_names(&rest, &members, average.naming)?;
            if average.naming == Naming::Underscored {
                // What only starts alike is a part of the model.
                is_member.fill(false);
                partners.values().for_each(|index| is_member[*index] = true);
            }
            let is_by_position = partners.is_empty();
            if is_by_position {
                partners = match_places(tensors, &rest, &members);
            }
            if partners.is_empty() {
                continue;
            }
            found.push(Second {
                average,
                is_member,
                partners,
                is_by_position,
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

/// The copy's tensors by the model's.
///
/// Errors: `Malformed` if a name of the copy may come of two of the model's.
fn match_names(
    live: &[(usize, &str)],
    members: &[(usize, &str)],
    naming: Naming,
) -> Result<HashMap<usize, usize>> {
    let exact: HashMap<&str, usize> = live.iter().map(|&(index, name)| (name, index)).collect();
    let mut bare: HashMap<&str, usize> = HashMap::new();
    // What has lost its dots gets them back from the model's names only.
    let mut without_dots: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, &(index, name)) in live.iter().enumerate() {
        bare.entry(without_wrappers(name)).or_insert(index);
        let short = match naming {
            Naming::Same => continue,
            Naming::Joined => name.strip_prefix("model.").unwrap_or(name).replace('.', ""),
            Naming::Underscored => name.replace('.', "_"),
        };
        without_dots.entry(short).or_default().push(place);
    }
    let mut partners = HashMap::with_capacity(members.len());
    for &(index, name) in members {
        let found = exact.get(name).or_else(|| bare.get(without_wrappers(name)));
        let found = match (found, without_dots.get(name).map(Vec::as_slice)) {
            (Some(live), _) => *live,
            (None, Some(&[place])) => live[place].0,
            (None, Some(&[one, other, ..])) => {
                return Err(Error::malformed(format!(
                    "`{name}` of the average may be `{}` or `{}`",
                    live[one].1, live[other].1
                )));
            }
            (None, _) => continue,
        };
        partners.entry(found).or_insert(index);
    }
    Ok(partners)
}

/// The copy's tensors by the model's, for a copy that has places instead of names.
///
/// A state dict lists parameters in the order of `parameters()`, with buffers between them and
/// shared ones again. So the order holds where, without those, there are as many parameters as
/// places and each has its place's shape; else nothing is matched.
fn match_places(
    tensors: &[Tensor],
    live: &[(usize, &str)],
    members: &[(usize, &str)],
) -> HashMap<usize, usize> {
    let is_parameter = |&&(index, name): &&(usize, &str)| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let tensor = &tensors[index];
        let is_real = tensor.dtype.class() == Class::Float;
        is_real && tensor.tied_to.is_none() && !STATISTICS.contains(&last)
    };
    let parameters = live.iter().filter(is_parameter).map(|(index, _)| *index);
    let parameters: Vec<usize> = parameters.collect();
    let in_places = members.iter().filter_map(|&(index, name)| {
        let (_, place) = name.split_once(BY_POSITION)?;
        Some((place.parse().ok()?, index))
    });
    let in_places: Vec<(usize, usize)> = in_places.collect();
    let places = in_places.iter().map(|(place, _)| *place);
    if parameters.len() != in_places.len() || !places.eq(0..parameters.len()) {
        return HashMap::new();
    }
    let copies = in_places.into_iter().map(|(_, index)| index);
    let pairs: Vec<(usize, usize)> = parameters.into_iter().zip(copies).collect();
    let fits = |&(live, copy): &(usize, usize)| tensors[live].shape == tensors[copy].shape;
    match pairs.iter().all(fits) {
        true => pairs.into_iter().collect(),
        false => HashMap::new(),
    }
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
