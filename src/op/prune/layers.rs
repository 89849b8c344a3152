//! Leaving out whole layers: the others move up.
//!
//! A *stack* is a run of layers numbered from 0 without a gap: `model.layers.N.`,
//! `transformer.h.N.`, `encoder.layer.N.`, `blk.N.`. Ranges are as in Rust: `20..24` is 20, 21,
//! 22 and 23, `20..=23` the same.

use super::draft::Draft;
use crate::error::{Error, Result};
use crate::model::{Level, Note};
use std::collections::{BTreeMap, BTreeSet};

/// Why a tensor goes.
const DROPPED: &str = "dropped layer";

/// What a stack is called, before the number of a layer. `double_blocks` and the like are those
/// of diffusion transformers.
const STACKS: [&str; 11] = [
    "layers",
    "layer",
    "h",
    "blk",
    "block",
    "blocks",
    "resblocks",
    "transformer_blocks",
    "double_blocks",
    "single_blocks",
    "joint_blocks",
];

/// Which layers are to go: `20..24`, `3,5,7`, `decoder.layers:0..2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropLayers {
    /// The stack, or the end of its name; `None` if there is only one.
    pub stack: Option<String>,
    /// Ranges of layers: first, and one past the last.
    pub ranges: Vec<(u64, u64)>,
    /// As the caller wrote it.
    text: String,
}

/// What went of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedLayers {
    /// The stack: `model.layers`.
    pub stack: String,
    /// How many layers it had.
    pub before: u64,
    /// Which are gone, in order.
    pub gone: Vec<u64>,
    /// Whether there are other stacks.
    pub is_one_of_several: bool,
}

impl DropLayers {
    /// Reads `[STACK:]LAYERS`, where `LAYERS` are numbers and ranges, parted by commas.
    ///
    /// Errors: `Usage` for anything else.
    pub fn read(text: &str) -> Result<DropLayers> {
        let (stack, list) = match text.rsplit_once(':') {
            Some((stack, list)) => (Some(stack.trim_end_matches('.').to_owned()), list),
            None => (None, text),
        };
        let ranges: Option<Vec<(u64, u64)>> = list.split(',').map(read_range).collect();
        match ranges {
            Some(ranges) if stack.as_deref() != Some("") => Ok(DropLayers {
                stack,
                ranges,
                text: text.to_owned(),
            }),
            _ => {
                let error = Error::usage(format!("`--drop-layers {text}` names no layers"));
                Err(error.with_hint(
                    "`20..24` is 20, 21, 22 and 23, as is `20..=23`; `3,5,7`; `decoder.layers:0..2`",
                ))
            }
        }
    }
}

fn read_range(text: &str) -> Option<(u64, u64)> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (first, end) = if let Some((first, last)) = text.split_once("..=") {
        (number(first)?, number(last)?.checked_add(1)?)
    } else if let Some((first, end)) = text.split_once("..") {
        (number(first)?, number(end)?)
    } else {
        let layer = number(text)?;
        (layer, layer.checked_add(1)?)
    };
    (first < end).then_some((first, end))
}

impl DroppedLayers {
    /// How many of the first `count` layers are gone.
    pub fn gone_below(&self, count: u64) -> u64 {
        self.gone.partition_point(|layer| *layer < count) as u64
    }

    /// The new number of a layer; `None` if it is gone.
    pub fn renumbered(&self, layer: u64) -> Option<u64> {
        match self.gone.binary_search(&layer) {
            Ok(_) => None,
            Err(below) => Some(layer - below as u64),
        }
    }
}

/// The place of a layer's number in a name: what stands before it, the number, what follows.
/// The outermost counts: experts and the like have numbers further in, and what stands in a
/// numbered part (the levels of a U-Net) is no stack. Several text encoders (`embedders.0.`)
/// and a model that is the first of several modules (`0.`) are looked into.
fn split(name: &str) -> Option<(&str, u64, &str)> {
    let mut start = 0;
    let mut before = "";
    for part in name.split('.') {
        let end = start + part.len();
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = is_number && (part == "0" || !part.starts_with('0'));
        if is_number && STACKS.contains(&before) {
            let number = part.parse().ok()?;
            return Some((&name[..start - 1], number, &name[end..]));
        }
        if is_number && !before.is_empty() && before != "embedders" {
            return None;
        }
        before = part;
        start = end + 1;
    }
    None
}

/// The stacks of the model in `draft`, in the order of their names, with how many layers each
/// has. A run with a gap is none.
fn stacks(draft: &Draft) -> BTreeMap<String, u64> {
    let mut layers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let model = draft.items.iter().filter(|item| item.is_model);
    for (stack, number, _) in model.filter_map(|item| split(&item.tensor.name)) {
        layers.entry(stack).or_default().insert(number);
    }
    let whole = layers.into_iter().filter_map(|(stack, numbers)| {
        let count = numbers.len() as u64;
        (numbers.last() == Some(&(count - 1))).then(|| (stack.to_owned(), count))
    });
    whole.collect()
}

/// Leaves out the layers that `asked` names, and renumbers the others.
///
/// Errors: `Usage` if a stack is not there or not named where there are several, if a layer
/// is not there, or if none would be left.
pub(super) fn drop_layers(draft: &mut Draft, asked: &[DropLayers]) -> Result<Vec<DroppedLayers>> {
    let stacks = stacks(draft);
    let mut dropped: Vec<DroppedLayers> = Vec::new();
    for one in asked {
        let (stack, before) = find(&stacks, one)?;
        let gone = layers_of(one, stack, before)?;
        match dropped.iter_mut().find(|other| other.stack == stack) {
            Some(other) => {
                other.gone.extend(gone);
                other.gone.sort_unstable();
                other.gone.dedup();
            }
            None => dropped.push(DroppedLayers {
                stack: stack.to_owned(),
                before,
                gone,
                is_one_of_several: stacks.len() > 1,
            }),
        }
    }
    let before = ends(draft);
    for layers in &dropped {
        if layers.gone.len() as u64 == layers.before {
            return Err(Error::usage(format!(
                "`--drop-layers` leaves none of the {} layers of `{}`",
                layers.before, layers.stack
            )));
        }
        leave_out(draft, layers)?;
    }
    let after = ends(draft);
    for (stack, end) in before.difference(&after) {
        let text = format!("no layer of `{stack}` that is left has `{}`", &end[1..]);
        draft
            .notes
            .push(Note::new("layer-parts", Level::Warning, text));
    }
    Ok(dropped)
}

/// What the layers of each stack have: the ends of names after the number, from the dot on.
fn ends(draft: &Draft) -> BTreeSet<(String, String)> {
    let model = draft.items.iter().filter(|item| item.is_model);
    let split = model.filter_map(|item| split(&item.tensor.name));
    split
        .filter(|(_, _, end)| !end.is_empty())
        .map(|(stack, _, end)| (stack.to_owned(), end.to_owned()))
        .collect()
}

fn leave_out(draft: &mut Draft, layers: &DroppedLayers) -> Result<()> {
    let number = |name: &str| match split(name) {
        Some((stack, number, _)) if stack == layers.stack => Some(number),
        _ => None,
    };
    let is_gone = |name: &str| number(name).is_some_and(|n| layers.renumbered(n).is_none());
    let pinned = draft.items.iter();
    let mut pinned = pinned.filter(|item| item.is_model && item.is_pinned);
    if let Some(item) = pinned.find(|item| is_gone(&item.tensor.name)) {
        return Err(Error::usage(format!(
            "`{}` is both kept and in a layer that is dropped",
            item.source
        )));
    }
    draft.drop_where(|item| (item.is_model && is_gone(&item.tensor.name)).then_some(DROPPED));
    for item in draft.items.iter_mut().filter(|item| item.is_model) {
        let new = match split(&item.tensor.name) {
            Some((stack, number, rest)) if stack == layers.stack => layers
                .renumbered(number)
                .map(|number| format!("{stack}.{number}{rest}")),
            _ => None,
        };
        if let Some(new) = new {
            item.tensor.name = new;
        }
    }
    Ok(())
}

fn find<'a>(stacks: &'a BTreeMap<String, u64>, asked: &DropLayers) -> Result<(&'a str, u64)> {
    let list = |stacks: &[(&String, &u64)]| {
        let words = stacks
            .iter()
            .map(|(stack, count)| format!("`{stack}` ({count})"));
        words.collect::<Vec<_>>().join(", ")
    };
    let all: Vec<(&String, &u64)> = stacks.iter().collect();
    if all.is_empty() {
        return Err(Error::usage("has no layers that are numbered from 0 on"));
    }
    let Some(wanted) = &asked.stack else {
        return match all.as_slice() {
            [(stack, count)] => Ok((stack, **count)),
            several => {
                let first = several[0].0;
                let text = format!("has several stacks of layers: {}", list(several));
                Err(Error::usage(text)
                    .with_hint(format!("`--drop-layers {first}:{}` names one", asked.text)))
            }
        };
    };
    let is_meant = |stack: &str| {
        let end = stack.strip_suffix(wanted.as_str());
        end.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let exact = all.iter().find(|(stack, _)| *stack == wanted);
    let found: Vec<(&String, &u64)> = match exact {
        Some(exact) => vec![*exact],
        None => all
            .iter()
            .copied()
            .filter(|(stack, _)| is_meant(stack))
            .collect(),
    };
    match found.as_slice() {
        [(stack, count)] => Ok((stack, **count)),
        [] => Err(Error::usage(format!(
            "has no stack of layers `{wanted}`; there are {}",
            list(&all)
        ))),
        several => Err(Error::usage(format!(
            "`{wanted}` may be any of {}",
            list(several)
        ))),
    }
}

/// The layers that are named, in order, each once.
fn layers_of(asked: &DropLayers, stack: &str, count: u64) -> Result<Vec<u64>> {
    let mut gone = BTreeSet::new();
    for &(first, end) in &asked.ranges {
        if end > count {
            return Err(Error::usage(format!(
                "`--drop-layers {}`: `{stack}` has {count} layers, 0 to {}",
                asked.text,
                count - 1
            )));
        }
        gone.extend(first..end);
    }
    Ok(gone.into_iter().collect())
}
