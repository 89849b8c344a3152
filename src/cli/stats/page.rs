//! The page of `ckpt stats`: totals, and a row a tensor.

use super::Args;
use crate::cli::args::{Format, Global};
use ckpt::op::sparsity::{Count, Pattern};
use ckpt::op::stats::{Measures, Number, Outcome, Row, Stats, Totals};
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Style, Table};
use ckpt::text::{grouped, human_bytes, human_count, human_number};

/// Columns of a terminal from which on a histogram fits beside the rest.
const WIDE: usize = 120;

/// Bins of a histogram that is drawn in a cell.
const DRAWN: usize = 32;

/// Draws what was found.
pub(super) fn page(stats: &Stats, args: &Args, patterns: &[Pattern], global: &Global) -> Page {
    let mut blocks = Vec::new();
    if !stats.rows.is_empty() {
        let layout = Layout::new(stats, args, patterns, global);
        blocks.push(Block::Table(Table {
            columns: layout.columns(),
            rows: stats.rows.iter().map(|row| layout.row(row)).collect(),
        }));
    }
    blocks.push(Block::Facts(facts(&stats.totals)));
    Page {
        title: stats.path.clone(),
        blocks,
    }
}

fn facts(totals: &Totals) -> Facts {
    let count = |value: u64| match value {
        0..1000 => value.to_string(),
        _ => format!("{} ({})", human_count(value), grouped(value)),
    };
    let mut entries = vec![
        ("tensors", grouped(totals.tensors)),
        ("elements", count(totals.elements)),
        ("data", human_bytes(totals.bytes)),
        ("zeros", count(totals.zeros)),
        ("nans", count(totals.nans)),
        ("infs", count(totals.infs)),
    ];
    if totals.lossless > 0 {
        entries.push(("lossless", lossless(totals)));
    }
    Facts {
        title: "total".to_owned(),
        entries: entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}

/// What `convert --dtype auto` would save.
fn lossless(totals: &Totals) -> String {
    let (count, all) = (grouped(totals.lossless), grouped(totals.tensors));
    let bytes = human_bytes(totals.lossless_bytes);
    let saves = human_bytes(totals.lossless_saves);
    format!(
        "{count} of {all} tensors ({bytes}) are exact in fewer bits: `ckpt convert --dtype auto` saves {saves}"
    )
}

/// Which columns there are, and how numbers are written in them.
struct Layout<'a> {
    quantiles: &'a [f64],
    /// Patterns of groups that were counted; if there are any, a table is about sparsity.
    patterns: &'a [Pattern],
    /// Every statistic with all of its digits, for programs.
    is_full: bool,
    is_grouped: bool,
    has_nonfinite: bool,
    has_lossless: bool,
    has_remarks: bool,
    has_histogram: bool,
}

impl<'a> Layout<'a> {
    fn new(stats: &Stats, args: &'a Args, patterns: &'a [Pattern], global: &Global) -> Layout<'a> {
        let is_full = global.format() == Format::Csv;
        let fits = match global.style() {
            Style::Text { width, .. } => width.is_none_or(|width| width >= WIDE),
            _ => true,
        };
        let bins = args.histogram.map_or(0, usize::from);
        let totals = &stats.totals;
        Layout {
            quantiles: &args.quantiles,
            patterns,
            is_full,
            is_grouped: args.by.is_some(),
            has_nonfinite: is_full || totals.nans > 0 || totals.infs > 0,
            has_lossless: is_full || totals.lossless > 0,
            has_remarks: is_full || stats.rows.iter().any(|row| !remark(row).is_empty()),
            has_histogram: bins > 0 && (is_full || fits && bins <= DRAWN),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let number = |title: &'static str| Column::new(title, Kind::Number);
        let mut columns = vec![
            Column::new("name", Kind::Name),
            Column::new("dtype", Kind::Text),
        ];
        match self.is_grouped {
            true => columns.push(number("tensors")),
            false => columns.push(Column::new("shape", Kind::Text)),
        }
        if self.is_full || self.is_grouped {
            columns.push(number("elements"));
        }
        if self.has_moments() {
            columns.extend(["min", "max", "mean", "std"].map(number));
        }
        if self.is_full {
            columns.extend(["abs_max", "l1", "l2"].map(number));
        }
        columns.push(number("zeros"));
        if !self.patterns.is_empty() {
            columns.extend(["sparsity", "zero_rows", "zero_channels"].map(number));
            let titles = self.patterns.iter().map(Pattern::to_string);
            columns.extend(titles.map(|title| Column::new(title, Kind::Number)));
        }
        if self.has_nonfinite {
            columns.extend(["nans", "infs"].map(number));
        }
        if self.is_full {
            columns.push(number("first_nonfinite"));
        }
        if self.has_lossless {
            columns.push(Column::new("lossless", Kind::Text));
        }
        let title = |at: &f64| format!("q{at}");
        columns.extend(
            self.quantiles
                .iter()
                .map(|at| Column::new(title(at), Kind::Number)),
        );
        if self.has_histogram {
            columns.push(Column::new("histogram", Kind::Text));
        }
        if self.has_remarks {
            columns.push(Column::new("remarks", Kind::Text));
        }
        columns
    }

    fn row(&self, row: &Row) -> Vec<Cell> {
        let found = row.measures();
        let mut cells = vec![
            Cell::text(&row.name),
            Cell::Text(row.dtype.map_or("mixed".to_owned(), |d| d.to_string())),
            match &row.shape {
                Some(shape) => Cell::Text(shape.to_string()),
                None => Cell::Count(row.tensors),
            },
        ];
        if self.is_full || self.is_grouped {
            cells.push(Cell::Count(row.elements));
        }
        let number = |value: Option<Number>| value.map_or(Cell::Empty, |v| self.number(v));
        let float = |value: Option<f64>| number(value.map(Number::Float));
        let count = |value: fn(&Measures) -> u64| {
            found.map_or(Cell::Empty, |found| Cell::Count(value(found)))
        };
        if self.has_moments() {
            cells.push(number(found.and_then(Measures::min)));
            cells.push(number(found.and_then(Measures::max)));
            cells.push(float(found.and_then(Measures::mean)));
            cells.push(float(found.and_then(Measures::std)));
        }
        if self.is_full {
            cells.push(number(found.and_then(Measures::abs_max)));
            cells.push(float(found.and_then(|found| found.moments.l1())));
            cells.push(float(found.and_then(|found| found.moments.l2())));
        }
        cells.push(count(|found| found.moments.zeros));
        if !self.patterns.is_empty() {
            cells.extend(self.sparsity(row));
        }
        if self.has_nonfinite {
            cells.push(count(|found| found.moments.nans));
            cells.push(count(|found| found.moments.infs));
        }
        if self.is_full {
            let first = found.and_then(|found| found.moments.first_nonfinite);
            cells.push(first.map_or(Cell::Empty, Cell::Count));
        }
        if self.has_lossless {
            cells.push(Cell::Text(lossless_dtypes(row)));
        }
        let quantiles = found.map_or(&[][..], |found| &found.quantiles);
        cells.extend((0..self.quantiles.len()).map(|index| float(quantiles.get(index).copied())));
        if self.has_histogram {
            let counts = found.map_or(&[][..], |found| &found.histogram);
            cells.push(Cell::Text(self.histogram(counts)));
        }
        if self.has_remarks {
            cells.push(Cell::Text(remark(row)));
        }
        cells
    }

    /// Whether there are columns for the moments: a table of sparsity has no room for them.
    fn has_moments(&self) -> bool {
        self.is_full || self.patterns.is_empty()
    }

    fn sparsity(&self, row: &Row) -> Vec<Cell> {
        let Some(found) = &row.sparsity else {
            return vec![Cell::Empty; self.patterns.len() + 3];
        };
        let share = |count: Count| {
            let share = count.of as f64 / count.all.max(1) as f64;
            Cell::Text(match self.is_full {
                true => format!("{share:?}"),
                false => percent(count),
            })
        };
        let slices = |count: Option<Count>| match count {
            None => Cell::Empty,
            Some(count) if self.is_full => Cell::Count(count.of),
            Some(count) => Cell::Text(format!("{}/{}", count.of, count.all)),
        };
        let mut cells = vec![
            share(found.zeros),
            slices(found.rows),
            slices(found.channels),
        ];
        let shares = found.groups.iter();
        cells.extend(shares.map(|count| count.map_or(Cell::Empty, share)));
        cells
    }

    fn number(&self, value: Number) -> Cell {
        Cell::Text(match value {
            Number::Integer(value) => value.to_string(),
            Number::Float(value) if self.is_full => format!("{value:?}"),
            Number::Float(value) => human_number(value),
        })
    }

    fn histogram(&self, counts: &[u64]) -> String {
        if self.is_full {
            let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
            return counts.join(" ");
        }
        bars(counts)
    }
}

/// A share in percent, which is 0 or 100 only if it is that exactly.
fn percent(count: Count) -> String {
    let share = count.of as f64 / count.all.max(1) as f64 * 100.0;
    match count.of {
        0 => "0 %".to_owned(),
        of if of == count.all => "100 %".to_owned(),
        _ => format!("{:.1} %", share.clamp(0.1, 99.9)),
    }
}

/// Counts as bars of eight heights; none of them hides a count that is not zero.
fn bars(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let bar = |&count: &u64| match count {
        0 => ' ',
        _ => BARS[((count as f64 / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    counts.iter().map(bar).collect()
}

/// The smaller dtypes that hold a row exactly: `-` if none does, nothing where nobody asks.
fn lossless_dtypes(row: &Row) -> String {
    match row.lossless() {
        None => String::new(),
        Some(held) if held.is_empty() => "-".to_owned(),
        Some(held) => {
            let names: Vec<String> = held.iter().map(|dtype| dtype.to_string()).collect();
            names.join(",")
        }
    }
}

/// What is unusual about a row.
fn remark(row: &Row) -> String {
    match (&row.outcome, &row.tied_to) {
        (Outcome::Absent(why) | Outcome::Failed(why), _) => why.clone(),
        (Outcome::Measured(_), Some(name)) => format!("= {name}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_every_count_that_is_not_zero() {
        assert_eq!(bars(&[0, 1, 500, 1000]), " ▁▄█");
        assert_eq!(bars(&[0, 0]), "  ");
    }
}
