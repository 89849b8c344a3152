//! Rows merged by layer, module, dtype or glob: which part of a model moved.

use super::tally::Tally;
use super::{Metrics, Row, Verdict};
use crate::dtype::DType;
use crate::op::group::Grouping;
use std::collections::HashMap;

/// What is said of tensors that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// How many there are.
    pub tensors: u64,
    /// How many of them are identical.
    pub identical: u64,
    /// Elements of the tensors that were measured.
    pub elements: u64,
    /// How far they are apart, taken as one; nothing if none were measured. Places are left
    /// out, and norms are those of all only if identical tensors were measured too.
    pub metrics: Metrics,
    /// The severest verdict; `None` if a tensor cannot be read.
    pub verdict: Option<Verdict>,
}

/// Merges rows in their order; a group stands where its first tensor does.
pub(super) fn merge(rows: &[Row], grouping: &Grouping) -> Vec<Group> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut members: Vec<Vec<&Row>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        let name = key(row, grouping);
        let place = *places.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            members.push(Vec::new());
            members.len() - 1
        });
        members[place].push(row);
    }
    let group = |(name, rows): (String, Vec<&Row>)| Group {
        name,
        ..merge_all(rows.into_iter())
    };
    names.into_iter().zip(members).map(group).collect()
}

/// The group of a row; by dtype that is both dtypes where they differ.
fn key(row: &Row, grouping: &Grouping) -> String {
    let [a, b] = [&row.a, &row.b].map(|facts| facts.as_ref().map(|facts| facts.dtype));
    match (grouping, a, b) {
        (Grouping::DType, Some(a), Some(b)) if a != b => format!("{a}->{b}"),
        _ => grouping.key(&row.name, a.or(b).unwrap_or(DType::F32)),
    }
}

/// Merges rows to a group without a name.
pub(super) fn merge_all<'a>(rows: impl Iterator<Item = &'a Row>) -> Group {
    let mut group = Group {
        name: String::new(),
        tensors: 0,
        identical: 0,
        elements: 0,
        metrics: Metrics::default(),
        verdict: Some(Verdict::Identical),
    };
    let mut tally = Tally::default();
    let mut is_measured = false;
    for row in rows {
        let verdict = row.verdict.as_ref().ok();
        group.tensors += 1;
        group.identical += u64::from(verdict == Some(&Verdict::Identical));
        if let (Some(_), Some(a)) = (row.metrics.changed, &row.a) {
            is_measured = true;
            group.elements = group.elements.saturating_add(a.shape.elements());
            tally.add(&row.tally);
        }
        group.verdict = match (group.verdict, verdict) {
            (Some(severest), Some(&verdict)) => Some(severest.max(verdict)),
            _ => None,
        };
    }
    group.metrics = match (is_measured, group.identical == group.tensors) {
        (false, _) => Metrics::default(),
        (true, true) => Metrics::IDENTICAL,
        (true, false) => Metrics {
            max_abs_at: None,
            first_non_finite: None,
            ..tally.metrics()
        },
    };
    group
}
