//! `--verify`: what was read back, beside the source.

use crate::cli::args::Global;
use crate::cli::json::Number;
use crate::cli::progress::Bar;
use ckpt::Result;
use ckpt::model::{Checkpoint, Tensor};
use ckpt::op::convert::Converted;
use ckpt::op::diff::Metrics;
use ckpt::op::inspect;
use ckpt::op::verify::{self, Verified};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Table};
use ckpt::text::{grouped, human_number};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Compares what was read back with what was meant.
pub(super) fn verify(
    global: &Global,
    meant: &Checkpoint,
    found: &[Tensor],
) -> Result<Vec<Verified>> {
    let bytes = meant.tensors.iter().filter_map(Tensor::byte_len);
    let bytes = bytes.fold(0, u64::saturating_add).saturating_mul(2);
    let bar = Bar::new(global, "verifying", bytes);
    verify::verify(meant, found, global.threads(), &bar)
}

/// What was found about one tensor, for programs.
pub(super) fn json(verified: &Verified) -> Json {
    if verified.is_identical() {
        return json!({"identical": true});
    }
    let metrics = verified.metrics();
    let number = |value: Option<f64>| json!(value.map(Number));
    json!({
        "identical": false,
        "max_abs": number(metrics.max_abs),
        "rel_l2": number(metrics.rel_l2),
        "snr_db": number(metrics.snr_db),
        "non_finite": metrics.non_finite,
    })
}

/// For people: a row a tensor, those of repeated layers in one, and a summary.
pub(super) fn blocks(converted: &Converted, verified: &[Verified]) -> Vec<Block> {
    let rows = folded(converted, verified);
    if rows.is_empty() {
        return Vec::new();
    }
    let is_exact = |metrics: &Metrics| metrics.changed == Some(0);
    let has_errors = rows.iter().any(|row| !is_exact(&row.verified.metrics()));
    let mut columns = vec![
        Column::new("name", Kind::Name),
        Column::new("count", Kind::Number),
        Column::new("dtype", Kind::Text),
        Column::new("read back", Kind::Text),
    ];
    if has_errors {
        let metrics = ["max_abs", "rel_l2", "snr_db"];
        columns.extend(metrics.map(|title| Column::new(title, Kind::Number)));
    }
    let cells = |row: &Row| {
        let metrics = row.verified.metrics();
        let mut cells = vec![
            Cell::text(&row.name),
            match row.count {
                1 => Cell::Empty,
                count => Cell::Text(format!("x{}", grouped(count))),
            },
            Cell::text(&row.dtype),
            Cell::Text(words(&row.verified, &metrics)),
        ];
        if has_errors && is_exact(&metrics) {
            cells.extend([Cell::Empty, Cell::Empty, Cell::Empty]);
        } else if has_errors {
            let number =
                |value: Option<f64>| value.map_or(Cell::Empty, |v| Cell::Text(human_number(v)));
            let decibels = metrics.snr_db.map(|snr| Cell::Text(format!("{snr:.1}")));
            cells.extend([
                number(metrics.max_abs),
                number(metrics.rel_l2),
                decibels.unwrap_or(Cell::Empty),
            ]);
        }
        cells
    };
    let table = Table {
        rows: rows.iter().map(cells).collect(),
        columns,
    };
    vec![
        Block::Table(table),
        Block::Facts(summary(converted, verified)),
    ]
}

fn words(verified: &Verified, metrics: &Metrics) -> String {
    match metrics.changed {
        _ if verified.is_identical() => "bit-identical".to_owned(),
        Some(0) => "equal values".to_owned(),
        _ if metrics.non_finite > 0 => format!("{} not finite", grouped(metrics.non_finite)),
        _ => "as cast".to_owned(),
    }
}

/// Tensors that differ only in the numbers of their names.
struct Row {
    name: String,
    count: u64,
    dtype: String,
    verified: Verified,
    first: usize,
}

fn folded(converted: &Converted, verified: &[Verified]) -> Vec<Row> {
    let tensors = &converted.checkpoint.tensors;
    let mut alike: BTreeMap<(String, bool), Vec<usize>> = BTreeMap::new();
    for (place, (change, verified)) in converted.changes.iter().zip(verified).enumerate() {
        let from = change.from_dtype.to_string();
        alike
            .entry((from, verified.is_identical()))
            .or_default()
            .push(place);
    }
    let mut rows = Vec::new();
    for ((from, _), places) in alike {
        let some: Vec<Tensor> = places.iter().map(|&place| tensors[place].clone()).collect();
        for row in inspect::fold(&some) {
            let members = row.members.iter().map(|&member| &verified[places[member]]);
            let to = row.dtype.to_string();
            rows.push(Row {
                name: row.name,
                count: row.count,
                dtype: match from == to {
                    true => to,
                    false => format!("{from}->{to}"),
                },
                verified: Verified::merged(members),
                first: places[row.first],
            });
        }
    }
    rows.sort_by_key(|row| row.first);
    rows
}

fn summary(converted: &Converted, verified: &[Verified]) -> Facts {
    let count = |is_one: &dyn Fn(&Verified) -> bool| {
        let count = verified.iter().filter(|one| is_one(one)).count();
        grouped(count as u64)
    };
    let all = grouped(verified.len() as u64);
    let identical = count(&Verified::is_identical);
    let mut entries = vec![(
        "bit-identical".to_owned(),
        format!("{identical} of {all} tensors"),
    )];
    let is_equal = |one: &Verified| !one.is_identical() && one.metrics().changed == Some(0);
    if verified.iter().any(is_equal) {
        let equal = count(&is_equal);
        entries.push((
            "equal values".to_owned(),
            format!("{equal}, in another dtype"),
        ));
    }
    let is_apart = |one: &Verified| one.metrics().changed != Some(0);
    let worst = converted.checkpoint.tensors.iter().zip(verified);
    let worst = worst.filter(|(_, one)| is_apart(one));
    // What became infinite or NaN has no distance, and is worse than any.
    let of = |one: &Verified| {
        let metrics = one.metrics();
        (metrics.non_finite, metrics.rel_l2.unwrap_or(0.0))
    };
    // Of equal ones the first.
    let worst = worst.reduce(|worst, next| {
        if of(next.1) > of(worst.1) {
            next
        } else {
            worst
        }
    });
    if let Some((tensor, one)) = worst {
        let together = Verified::merged(verified.iter().filter(|one| is_apart(one))).metrics();
        let number = |value: Option<f64>| value.map_or("none".to_owned(), human_number);
        let snr = together
            .snr_db
            .map_or("none".to_owned(), |snr| format!("{snr:.1} dB"));
        let text = format!(
            "{}; rel_l2 {}, SNR {snr} over them{}",
            count(&is_apart),
            number(together.rel_l2),
            not_finite(&together)
        );
        entries.push(("cast".to_owned(), text));
        let (name, error) = (&tensor.name, number(one.metrics().rel_l2));
        let lost = not_finite(&one.metrics());
        entries.push(("worst".to_owned(), format!("{name}, rel_l2 {error}{lost}")));
    }
    Facts {
        title: String::new(),
        entries,
    }
}

/// What the other numbers of `metrics` leave aside.
fn not_finite(metrics: &Metrics) -> String {
    match metrics.non_finite {
        0 => String::new(),
        count => format!(", {} not finite", grouped(count)),
    }
}
