//! The page of `ckpt diff`: rows or groups, what is frozen, metadata, and a summary.

use super::tables::{self, Room};
use super::{Args, Found, Summary};
use crate::cli::args::Global;
use crate::cli::values::{in_full, in_short};
use ckpt::model::{Payload, Tensor, Value};
use ckpt::op::diff::{MetadataChange, Row, Verdict};
use ckpt::op::inspect;
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Style, Table};
use ckpt::text::{grouped, human_number};

/// Metadata and values that are shown, unless all were asked for.
const ENTRIES: usize = 20;

/// Rows of folded tensors that are shown.
const FOLDED: usize = 40;

/// Draws what was found.
pub(super) fn page(found: &Found, args: &Args, global: &Global) -> Page {
    let rows = &found.difference.rows;
    let room = match global.style() {
        Style::Csv => Room::Programs,
        Style::Text { width, .. } => Room::Columns(width.unwrap_or(usize::MAX)),
        Style::Markdown | Style::Html => Room::Columns(usize::MAX),
    };
    let mut blocks = Vec::new();
    add(&mut blocks, "", tables::groups(&found.groups, found, room));
    if room == Room::Programs {
        if args.by.is_none() {
            let rows: Vec<&Row> = rows.iter().collect();
            add(&mut blocks, "", tables::rows(&rows, found, room));
        }
        return page_of(found, blocks);
    }
    if args.by.is_none() {
        let is_shown = |row: &&Row| args.all || is_difference(row);
        let rows: Vec<&Row> = rows.iter().filter(is_shown).collect();
        let title = if blocks.is_empty() { "" } else { "tensors" };
        add(&mut blocks, title, tables::rows(&rows, found, room));
    }
    if args.by.is_some() || !args.all {
        add_folded(&mut blocks, "only in A", rows, Verdict::OnlyInA);
        add_folded(&mut blocks, "only in B", rows, Verdict::OnlyInB);
    }
    if !found.groups.is_empty() && found.summary.changes.tensors > 0 && !args.structure {
        add_folded(
            &mut blocks,
            "frozen: identical in both",
            rows,
            Verdict::Identical,
        );
    }
    let metadata = metadata(&found.difference.metadata, args.metadata);
    add(&mut blocks, "metadata and values that differ", metadata);
    let facts = Block::Facts(facts(found, args));
    // A terminal shows the end, a page its beginning.
    match global.style() {
        Style::Text { .. } => blocks.push(facts),
        _ => blocks.insert(0, facts),
    }
    page_of(found, blocks)
}

/// Whether both sides have the tensor, and not the same one.
fn is_difference(row: &Row) -> bool {
    use Verdict::{Identical, OnlyInA, OnlyInB};
    !matches!(row.verdict, Ok(Identical | OnlyInA | OnlyInB))
}

fn page_of(found: &Found, blocks: Vec<Block>) -> Page {
    let (a, b) = (&found.difference.a.path, &found.difference.b.path);
    Page {
        title: format!("{a} -> {b}"),
        blocks,
    }
}

/// Adds a table that has rows, under a title if it is not empty.
fn add(blocks: &mut Vec<Block>, title: &str, table: Table) {
    if table.rows.is_empty() {
        return;
    }
    if !title.is_empty() {
        blocks.push(Block::Heading(title.to_owned()));
    }
    blocks.push(Block::Table(table));
}

/// Adds the tensors of one verdict under a title, equal layers as one row.
fn add_folded(blocks: &mut Vec<Block>, title: &str, rows: &[Row], verdict: Verdict) {
    let tensor = |row: &Row| {
        let facts = row.a.as_ref().or(row.b.as_ref())?;
        let payload = Payload::Absent("only its name is looked at");
        let shape = facts.shape.clone();
        Some(Tensor::new(row.name.clone(), facts.dtype, shape, payload))
    };
    let is_one = |row: &&Row| row.verdict.as_ref().is_ok_and(|found| *found == verdict);
    let tensors: Vec<Tensor> = rows.iter().filter(is_one).filter_map(tensor).collect();
    let folded = inspect::fold(&tensors);
    let line = |row: &inspect::Row| {
        let count = match row.count {
            1 => Cell::Empty,
            count => Cell::Text(format!("x{}", grouped(count))),
        };
        let (dtype, shape) = (row.dtype.to_string(), row.shape.to_string());
        vec![
            Cell::text(&row.name),
            count,
            Cell::Text(dtype),
            Cell::Text(shape),
        ]
    };
    let mut lines: Vec<Vec<Cell>> = folded.iter().take(FOLDED).map(line).collect();
    if folded.len() > FOLDED {
        let more = grouped((folded.len() - FOLDED) as u64);
        let mut line = vec![Cell::Text(format!("... {more} more; --json has all"))];
        line.resize(4, Cell::Empty);
        lines.push(line);
    }
    let columns = vec![
        Column::new("name", Kind::Name),
        Column::new("count", Kind::Number),
        Column::new("dtype", Kind::Text),
        Column::new("shape", Kind::Text),
    ];
    add(
        blocks,
        title,
        Table {
            columns,
            rows: lines,
        },
    );
}

fn metadata(changes: &[MetadataChange], all: bool) -> Table {
    let text = |value: &Option<Value>| match value {
        None => Cell::Empty,
        Some(value) if all => Cell::Text(in_full(value)),
        Some(value) => Cell::Text(in_short(value)),
    };
    let line =
        |change: &MetadataChange| vec![Cell::text(&change.key), text(&change.a), text(&change.b)];
    let shown = if all { changes.len() } else { ENTRIES };
    let mut rows: Vec<Vec<Cell>> = changes.iter().take(shown).map(line).collect();
    if changes.len() > shown {
        let more = grouped((changes.len() - shown) as u64);
        let text = format!("... {more} more; --metadata shows all");
        rows.push(vec![Cell::Text(text), Cell::Empty, Cell::Empty]);
    }
    Table {
        columns: vec![
            Column::new("key", Kind::Name),
            Column::new("a", Kind::Text),
            Column::new("b", Kind::Text),
        ],
        rows,
    }
}

/// What is said of all tensors together.
fn facts(found: &Found, args: &Args) -> Facts {
    let summary = &found.summary;
    let mut entries = Vec::new();
    let mut add = |key: &str, value: String| entries.push((key.to_owned(), value));
    add("result", result(found, args));
    let [tensors, elements] = summary.shared;
    if tensors > 0 && !args.structure {
        let [same, same_elements] = summary.identical;
        let (of, share) = (grouped(tensors), tables::percent(same_elements, elements));
        add(
            "identical",
            format!(
                "{} of {of} tensors, {share} of their elements",
                grouped(same)
            ),
        );
    }
    if let Some(text) = distance(summary) {
        add("apart by", text);
    }
    if summary.is_damaged {
        let [a, b] = summary.bits.map(|bits| format!("{bits:.2}"));
        add("bits", format!("{a} an element in A, {b} in B"));
    }
    if let Some(top) = args.top {
        let what = if args.by.is_some() {
            "groups"
        } else {
            "tensors"
        };
        add("shown", format!("at most {} {what}", grouped(top as u64)));
    }
    Facts {
        title: String::new(),
        entries,
    }
}

/// One line of verdicts.
fn result(found: &Found, args: &Args) -> String {
    let summary = &found.summary;
    let mut counts: Vec<String> = summary
        .verdicts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| format!("{} {verdict}", grouped(*count as u64)))
        .collect();
    if summary.unreadable > 0 {
        counts.push(format!("{} unreadable", grouped(summary.unreadable as u64)));
    }
    if counts.is_empty() {
        counts.push("no tensors".to_owned());
    }
    let what = if args.structure { " structure" } else { "" };
    let word = if found.is_same { "same" } else { "different" };
    format!("{word}{what}: {}", counts.join(", "))
}

/// How far the tensors that differ are apart, taken as one.
fn distance(summary: &Summary) -> Option<String> {
    let metrics = &summary.changes.metrics;
    let mut words = Vec::new();
    if metrics.max_abs.is_some_and(|distance| distance > 0.0) {
        let cosine = |cosine| format!("cosine {}", tables::human_cosine(cosine));
        let change = |change| format!("rel_l2 {}", human_number(change));
        words.extend(metrics.rel_l2.map(change));
        words.extend(metrics.cosine.map(cosine));
        words.extend(metrics.snr_db.map(|snr| format!("SNR {snr:.1} dB")));
    }
    match metrics.non_finite {
        0 => {}
        count => words.push(format!("{} differ in NaN or Inf", grouped(count))),
    }
    match metrics.both_nan {
        0 => {}
        count => words.push(format!("{} are NaN in both", grouped(count))),
    }
    let text = format!("{}, over the tensors that differ", words.join(", "));
    (!words.is_empty()).then_some(text)
}
