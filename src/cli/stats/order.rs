//! The order of the rows of `ckpt stats`.

use ckpt::op::stats::{Measures, Number, Row};
use ckpt::text::natural_order;
use clap::ValueEnum;
use std::cmp::Ordering;

/// What rows can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Column {
    /// By name, numbers in it as numbers
    Name,
    Dtype,
    Elements,
    Min,
    Max,
    Mean,
    Std,
    AbsMax,
    L1,
    L2,
    Zeros,
    Nans,
    Infs,
}

/// Sorts rows: words ascending, numbers from the largest, or all the other way round. Rows
/// without the statistic come last either way; equal ones stay in their order.
pub(super) fn arrange(rows: &mut [Row], by: Option<Column>, reverse: bool) {
    let Some(by) = by else {
        if reverse {
            rows.reverse();
        }
        return;
    };
    let turn = |order: Ordering| if reverse { order.reverse() } else { order };
    rows.sort_by(|a, b| match by {
        Column::Name => turn(natural_order(&a.name, &b.name)),
        Column::Dtype => turn(
            a.dtype
                .map(|d| d.to_string())
                .cmp(&b.dtype.map(|d| d.to_string())),
        ),
        Column::Elements => turn(b.elements.cmp(&a.elements)),
        _ => match (key(a, by), key(b, by)) {
            (Some(a), Some(b)) => turn(compare(b, a)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
    });
}

fn compare(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
        _ => a.value().total_cmp(&b.value()),
    }
}

fn key(row: &Row, by: Column) -> Option<Number> {
    let measures: &Measures = row.measures()?;
    let moments = &measures.moments;
    let count = |count: u64| Some(Number::Integer(i128::from(count)));
    match by {
        Column::Min => measures.min(),
        Column::Max => measures.max(),
        Column::AbsMax => measures.abs_max(),
        Column::Mean => measures.mean().map(Number::Float),
        Column::Std => measures.std().map(Number::Float),
        Column::L1 => moments.l1().map(Number::Float),
        Column::L2 => moments.l2().map(Number::Float),
        Column::Zeros => count(moments.zeros),
        Column::Nans => count(moments.nans),
        Column::Infs => count(moments.infs),
        Column::Name | Column::Dtype | Column::Elements => None,
    }
}
