//! Rows merged by layer or module: which part of a model moved.

use super::tally::Tally;
use super::{Row, Verdict};
use std::collections::HashMap;

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Names up to their first number: `model.layers.3`; without one, as for modules.
    Layer,
    /// Names without their last part: `model.layers.3.self_attn.q_proj`.
    Module,
}

impl Grouping {
    fn name_of(self, name: &str) -> &str {
        if self == Grouping::Layer {
            let mut end = 0;
            for part in name.split('.') {
                end += part.len();
                if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                    return &name[..end];
                }
                end += 1;
            }
        }
        name.rsplit_once('.').map_or(name, |(module, _)| module)
    }
}

/// What is said of tensors that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What their names have in common.
    pub name: String,
    /// How many there are.
    pub tensors: u64,
    /// How many of them are identical.
    pub identical: u64,
    /// Elements of the tensors that were measured.
    pub elements: u64,
    /// Of those, how many differ.
    pub changed: u64,
    /// `|a - b| / |a|` over all of them; `None` if none were measured, and of groups in which
    /// identical tensors were not.
    pub rel_l2: Option<f64>,
    /// The severest verdict; `None` if a tensor cannot be read.
    pub verdict: Option<Verdict>,
}

/// Merges rows in their order; a group stands where its first tensor does.
pub(super) fn merge(rows: &[Row], grouping: Grouping) -> Vec<Group> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<(Group, Tally)> = Vec::new();
    for row in rows {
        let name = grouping.name_of(&row.name);
        let place = *places.entry(name).or_insert(groups.len());
        if place == groups.len() {
            let group = Group {
                name: name.to_owned(),
                tensors: 0,
                identical: 0,
                elements: 0,
                changed: 0,
                rel_l2: None,
                verdict: Some(Verdict::Identical),
            };
            groups.push((group, Tally::default()));
        }
        let (group, tally) = &mut groups[place];
        add(group, tally, row);
    }
    let finish = |(mut group, tally): (Group, Tally)| {
        group.rel_l2 = match group.identical == group.tensors {
            true => Some(0.0),
            false => tally.rel_l2(),
        };
        group
    };
    groups.into_iter().map(finish).collect()
}

fn add(group: &mut Group, tally: &mut Tally, row: &Row) {
    group.tensors += 1;
    let verdict = row.verdict.as_ref().ok();
    group.identical += u64::from(verdict == Some(&Verdict::Identical));
    if let (Some(changed), Some(a)) = (row.metrics.changed, &row.a) {
        group.elements += a.shape.elements();
        group.changed += changed;
        tally.finite += row.tally.finite;
        tally.add_sums(&row.tally);
    }
    group.verdict = match (group.verdict, verdict) {
        (Some(severest), Some(&verdict)) => Some(severest.max(verdict)),
        _ => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_layers_and_modules() {
        let layer = |name| Grouping::Layer.name_of(name);
        assert_eq!(layer("model.layers.3.mlp.up.weight"), "model.layers.3");
        assert_eq!(layer("model.norm.weight"), "model.norm");
        assert_eq!(layer("3.weight"), "3");
        assert_eq!(layer("w"), "w");
        let module = |name| Grouping::Module.name_of(name);
        assert_eq!(
            module("model.layers.3.mlp.up.weight"),
            "model.layers.3.mlp.up"
        );
    }
}
