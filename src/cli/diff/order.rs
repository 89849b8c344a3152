//! The order of the rows of `ckpt diff`.

use super::{Args, Found};
use ckpt::op::diff::{Group, Metrics, Row, Verdict};
use ckpt::text::natural_order;
use clap::ValueEnum;
use std::cmp::Ordering;

/// What rows can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Column {
    /// By name, numbers in it as numbers
    Name,
    /// The severest first
    Verdict,
    Elements,
    Changed,
    MaxAbs,
    MeanAbs,
    Rmse,
    RelL2,
    /// The smallest first
    Cosine,
    /// The smallest first
    SnrDb,
}

/// Sorts rows and groups as asked, the worst first, and cuts them off. Those without the
/// metric come last; equal ones stay in the order of their names.
pub(super) fn arrange(found: &mut Found, args: &Args) {
    let is_worst_first = found.summary.is_damaged || args.top.is_some();
    let by = args.sort.unwrap_or(match is_worst_first {
        true => Column::SnrDb,
        false => Column::Name,
    });
    sort(&mut found.difference.rows, by, args.reverse);
    sort(&mut found.groups, by, args.reverse);
    let top = args.top.unwrap_or(usize::MAX);
    found.groups.truncate(top);
    if args.by.is_none() {
        found.difference.rows.truncate(top);
    }
}

/// What is sorted and shown: a tensor, or tensors that belong together.
pub(super) trait Entry {
    fn name(&self) -> &str;
    fn verdict(&self) -> Option<Verdict>;
    fn elements(&self) -> u64;
    fn metrics(&self) -> &Metrics;
}

impl Entry for Row {
    fn name(&self) -> &str {
        &self.name
    }

    fn verdict(&self) -> Option<Verdict> {
        self.verdict.as_ref().ok().copied()
    }

    fn elements(&self) -> u64 {
        let facts = self.a.as_ref().or(self.b.as_ref());
        facts.map_or(0, |facts| facts.shape.elements())
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Entry for Group {
    fn name(&self) -> &str {
        &self.name
    }

    fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    fn elements(&self) -> u64 {
        self.elements
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn sort<T: Entry>(entries: &mut [T], by: Column, reverse: bool) {
    let turn = |order: Ordering| if reverse { order.reverse() } else { order };
    match by {
        Column::Name => entries.sort_by(|a, b| turn(natural_order(a.name(), b.name()))),
        // What cannot be read is worse than any verdict.
        Column::Verdict => entries.sort_by(|a, b| {
            let rank = |entry: &T| (entry.verdict().is_none(), entry.verdict());
            turn(rank(b).cmp(&rank(a)))
        }),
        _ => entries.sort_by(|a, b| match (badness(a, by), badness(b, by)) {
            (Some(a), Some(b)) => turn(b.total_cmp(&a)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }),
    }
}

/// The larger, the worse. An element that is NaN or infinite on one side only is worse than any
/// distance.
fn badness(entry: &impl Entry, by: Column) -> Option<f64> {
    let metrics = entry.metrics();
    let distance = match by {
        Column::Name | Column::Verdict => return None,
        Column::Elements => return Some(entry.elements() as f64),
        Column::Changed => return metrics.changed.map(|changed| changed as f64),
        Column::MaxAbs => metrics.max_abs,
        Column::MeanAbs => metrics.mean_abs,
        Column::Rmse => metrics.rmse,
        Column::RelL2 => metrics.rel_l2,
        Column::Cosine => metrics.cosine.map(|cosine| -cosine),
        Column::SnrDb => metrics.snr_db.map(|snr| -snr),
    };
    match metrics.non_finite {
        0 => distance,
        _ => Some(f64::INFINITY),
    }
}
