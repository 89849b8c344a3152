//! The plan for people: what becomes of every tensor, repeated layers as one row, then sums.

use super::report::{Report, plural};
use crate::cli::args::{Format, Global};
use ckpt::op::convert::{Change, Reason};
use ckpt::op::inspect;
use ckpt::report::{Block, Cell, Column, Facts, Kind, Page, Style, Table, Writer};
use ckpt::text::{grouped, human_bytes};
use ckpt::{DType, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// One tensor of the plan.
struct Line<'a> {
    tensor: &'a Tensor,
    change: &'a Change,
    /// Its name in the source, if that is another than in the target.
    source: Option<String>,
    /// Which of the outputs it goes to.
    output: Option<usize>,
}

/// Columns of a terminal below which a reason's word has to do; the sums give it in full.
const NARROW: usize = 130;

/// How tensors are listed.
#[derive(Clone, Copy)]
struct Look {
    /// Every tensor as a row of its own.
    is_flat: bool,
    is_narrow: bool,
}

/// Writes the plan, and what there is beside it.
pub(super) fn write(report: &Report<'_>, global: &Global, out: &mut dyn Write) -> io::Result<()> {
    if global.format() == Format::Json {
        serde_json::to_writer_pretty(&mut *out, &report.json())?;
        return writeln!(out);
    }
    let mut plan = page(report, global);
    if global.format() != Format::Csv {
        let more = report.page.iter();
        plan.blocks
            .extend(more.flat_map(|more| more.blocks.clone()));
    }
    draw(&plan, global, out)
}

/// Writes what there is beside the plan.
pub(super) fn write_more(
    report: &Report<'_>,
    global: &Global,
    out: &mut dyn Write,
) -> io::Result<()> {
    match &report.page {
        Some(page) => draw(page, global, out),
        None => Ok(()),
    }
}

fn draw(page: &Page, global: &Global, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer::new(out, global.style(), false)?;
    writer.page(page)?;
    writer.finish()
}

/// Draws the plan.
fn page(report: &Report<'_>, global: &Global) -> Page {
    let (lines, prefix) = lines(report);
    let is_sheet = global.format() == Format::Csv;
    let look = Look {
        is_flat: is_sheet || report.is_flat,
        is_narrow: matches!(
            global.style(),
            Style::Text {
                width: Some(..NARROW),
                ..
            }
        ),
    };
    let table = Block::Table(tensors(report, &lines, look));
    let title = report.source.to_string_lossy().into_owned();
    if is_sheet {
        let blocks = vec![table];
        return Page { title, blocks };
    }
    let mut blocks = vec![Block::Facts(facts(report, prefix))];
    if !lines.is_empty() {
        blocks.extend([table, Block::Table(kinds(&lines))]);
    }
    let left_out = left_out(report);
    if !left_out.rows.is_empty() {
        blocks.push(Block::Table(left_out));
    }
    blocks.push(Block::Table(outputs(report)));
    Page { title, blocks }
}

/// The tensors in order, and what all names lose in front.
fn lines<'a>(report: &'a Report<'_>) -> (Vec<Line<'a>>, Option<String>) {
    let tensors = report.converted.checkpoint.tensors.iter();
    let pairs = tensors.zip(&report.converted.changes).enumerate();
    let line = |(index, (tensor, change)): (usize, (&'a Tensor, &'a Change))| {
        let is_made = matches!(change.reason, Reason::Scale | Reason::Quantization);
        let source = (report.source_name)(&change.from_name);
        Line {
            tensor,
            change,
            source: (!is_made).then_some(source),
            output: report.places.get(index).copied().flatten(),
        }
    };
    let mut lines: Vec<Line<'a>> = pairs.map(line).collect();
    let prefix = common_prefix(&lines);
    for line in &mut lines {
        let (name, prefix) = (&line.tensor.name, prefix.as_deref().unwrap_or_default());
        let is_same = |source: &String| source.strip_prefix(prefix) == Some(name);
        if line.source.as_ref().is_some_and(is_same) {
            line.source = None;
        }
    }
    (lines, prefix)
}

/// What every name loses in front, if that is all that becomes of names.
fn common_prefix(lines: &[Line<'_>]) -> Option<String> {
    let pairs = lines.iter().filter_map(|line| {
        let source = line.source.as_deref()?;
        Some(source.strip_suffix(line.tensor.name.as_str()))
    });
    let mut prefixes = pairs.clone();
    let first = prefixes.next()??;
    let is_same = |prefix: Option<&str>| prefix == Some(first);
    (!first.is_empty() && prefixes.all(is_same)).then(|| first.to_owned())
}

fn facts(report: &Report<'_>, prefix: Option<String>) -> Facts {
    let changes = &report.converted.changes;
    let before: u64 = changes.iter().map(|change| change.bytes_before).sum();
    let after: u64 = changes.iter().map(|change| change.bytes_after).sum();
    let bytes: u64 = report.outputs.iter().map(|output| output.bytes).sum();
    let files = plural("file", report.outputs.len() as u64);
    let (before, after) = (human_bytes(before), human_bytes(after));
    let output = format!(
        "{} ({} bytes) in {files}",
        human_bytes(bytes),
        grouped(bytes)
    );
    let mut entries = vec![
        ("tensors".to_owned(), grouped(changes.len() as u64)),
        ("data".to_owned(), format!("{before} -> {after}")),
        ("output".to_owned(), output),
    ];
    entries.extend(prefix.map(|prefix| ("names".to_owned(), format!("lose `{prefix}`"))));
    Facts {
        title: String::new(),
        entries,
    }
}

/// What becomes of each tensor, or of tensors that differ in the numbers of their names only.
fn tensors(report: &Report<'_>, lines: &[Line<'_>], look: Look) -> Table {
    let has_files = report.outputs.len() > 1;
    let has_sources = lines.iter().any(|line| line.source.is_some());
    let mut columns = vec![Column::new("name", Kind::Name)];
    if has_sources {
        columns.push(Column::new("was", Kind::Name));
    }
    if !look.is_flat {
        columns.push(Column::new("count", Kind::Number));
    }
    columns.extend([
        Column::new("from", Kind::Text),
        Column::new("to", Kind::Text),
        Column::new("reason", Kind::Text),
        Column::new("before", Kind::Number),
        Column::new("after", Kind::Number),
    ]);
    if has_files {
        columns.push(Column::new("file", Kind::Name));
    }
    let row = |(name, members): (String, Vec<usize>)| {
        let Some(first) = members.first().and_then(|&index| lines.get(index)) else {
            return Vec::new();
        };
        let all = || members.iter().filter_map(|&index| lines.get(index));
        let mut cells = vec![Cell::Text(name)];
        if has_sources {
            cells.push(source_cell(&all().collect::<Vec<_>>()));
        }
        if !look.is_flat {
            cells.push(match members.len() {
                1 => Cell::Empty,
                count => Cell::Text(format!("x{count}")),
            });
        }
        cells.extend([
            Cell::Text(first.change.from_dtype.to_string()),
            Cell::Text(first.tensor.dtype.to_string()),
            match look.is_narrow {
                true => Cell::text(first.change.reason.name()),
                false => Cell::Text(first.change.reason.to_string()),
            },
            Cell::Bytes(all().map(|line| line.change.bytes_before).sum()),
            Cell::Bytes(all().map(|line| line.change.bytes_after).sum()),
        ]);
        if has_files {
            let file = first.output.and_then(|place| report.outputs.get(place));
            let name = file.and_then(|output| output.path.file_name());
            let name = name.map(|name| name.to_string_lossy().into_owned());
            cells.push(name.map_or(Cell::Empty, Cell::Text));
        }
        cells
    };
    let rows = match look.is_flat {
        false => folded(report, lines),
        true => {
            let names = lines.iter().map(|line| line.tensor.name.clone());
            names
                .zip(0..)
                .map(|(name, index)| (name, vec![index]))
                .collect()
        }
    };
    Table {
        rows: rows.into_iter().map(row).collect(),
        columns,
    }
}

/// What tensors of one row have in common beside what `inspect` looks at: dtype in the source,
/// reason, output, name in the source without its digits.
type Key<'a> = (DType, &'a Reason, Option<usize>, Option<String>);

/// Rows as `inspect` has them, of tensors of which the same becomes.
fn folded(report: &Report<'_>, lines: &[Line<'_>]) -> Vec<(String, Vec<usize>)> {
    let mut known: HashMap<Key<'_>, usize> = HashMap::new();
    let mut kinds = Vec::with_capacity(lines.len());
    for line in lines {
        let change = line.change;
        // Numbers aside, the names in the source must be the same too.
        let source = line.source.as_ref().map(|source| without_digits(source));
        let next = known.len();
        let key = (change.from_dtype, &change.reason, line.output, source);
        kinds.push(*known.entry(key).or_insert(next));
    }
    let tensors = &report.converted.checkpoint.tensors;
    let kind = |index: usize| kinds.get(index).copied().unwrap_or_default();
    let rows = inspect::fold_by_kind(tensors, kind).into_iter();
    rows.map(|row| (row.name, row.members)).collect()
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The names in the source as one; the first and dots where they cannot be one.
fn source_cell(lines: &[&Line<'_>]) -> Cell {
    let names = lines.iter().filter_map(|line| line.source.as_deref());
    let names: Vec<&str> = names.collect();
    match (names.as_slice(), inspect::fold_names(&names)) {
        ([], _) => Cell::Empty,
        (_, Some(name)) => Cell::Text(name),
        ([first, ..], None) => Cell::Text(format!("{first} ...")),
    }
}

/// Sums over equal changes.
fn kinds(lines: &[Line<'_>]) -> Table {
    let mut kinds: BTreeMap<(String, String, String), (u64, u64, u64)> = BTreeMap::new();
    for Line { tensor, change, .. } in lines {
        let (from, to) = (change.from_dtype.to_string(), tensor.dtype.to_string());
        let sums = kinds
            .entry((from, to, change.reason.to_string()))
            .or_default();
        sums.0 += 1;
        sums.1 += change.bytes_before;
        sums.2 += change.bytes_after;
    }
    let row = |((from, to, reason), (count, before, after))| {
        vec![
            Cell::Text(from),
            Cell::Text(to),
            Cell::Text(reason),
            Cell::Count(count),
            Cell::Bytes(before),
            Cell::Bytes(after),
        ]
    };
    Table {
        columns: vec![
            Column::new("from", Kind::Text),
            Column::new("to", Kind::Text),
            Column::new("reason", Kind::Text),
            Column::new("tensors", Kind::Number),
            Column::new("before", Kind::Number),
            Column::new("after", Kind::Number),
        ],
        rows: kinds.into_iter().map(row).collect(),
    }
}

fn left_out(report: &Report<'_>) -> Table {
    let sums = report.dropped_by_reason().into_iter();
    let row = |(reason, kind, count, bytes)| {
        let what = Cell::Text(plural(kind, count));
        vec![Cell::text(reason), what, Cell::Bytes(bytes)]
    };
    Table {
        columns: vec![
            Column::new("left out", Kind::Text),
            Column::new("what", Kind::Text),
            Column::new("bytes", Kind::Number),
        ],
        rows: sums.map(row).collect(),
    }
}

fn outputs(report: &Report<'_>) -> Table {
    let row = |output: &ckpt::format::Output| {
        let path = output.path.to_string_lossy().into_owned();
        vec![Cell::Text(path), Cell::Count(output.bytes)]
    };
    Table {
        columns: vec![
            Column::new("output", Kind::Name),
            Column::new("bytes", Kind::Number),
        ],
        rows: report.outputs.iter().map(row).collect(),
    }
}
