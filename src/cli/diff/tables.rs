//! The tables of `ckpt diff`: a row a tensor, or a row a group.

use super::Found;
use super::order::Entry;
use ckpt::model::Shape;
use ckpt::op::diff::{Facts, Group, Metrics, Row, Verdict};
use ckpt::report::{Cell, Column, Kind, Table};
use ckpt::text::human_number;

/// For whom a table is, and how wide it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// For people, in so many columns.
    Columns(usize),
    /// For programs: every column, every digit.
    Programs,
}

impl Room {
    fn has(self, columns: usize) -> bool {
        matches!(self, Room::Columns(found) if found >= columns)
    }
}

/// A column, and what stands in it.
struct Drawn<T> {
    column: Column,
    cell: fn(&T) -> Cell,
}

fn drawn<T>(title: &'static str, kind: Kind, cell: fn(&T) -> Cell) -> Drawn<T> {
    let column = Column::new(title, kind);
    Drawn { column, cell }
}

fn table<'a, T: 'a>(drawn: Vec<Drawn<T>>, rows: impl Iterator<Item = &'a T>) -> Table {
    let row = |row: &T| drawn.iter().map(|drawn| (drawn.cell)(row)).collect();
    Table {
        rows: rows.map(row).collect(),
        columns: drawn.into_iter().map(|drawn| drawn.column).collect(),
    }
}

/// A row a tensor.
pub(super) fn rows(rows: &[&Row], found: &Found, room: Room) -> Table {
    let drawn = match room {
        Room::Programs => every_column(),
        _ => columns(rows, found.summary.is_damaged, room),
    };
    table(drawn, rows.iter().copied())
}

/// What fits, the most telling first: where values were lost to another dtype, how much.
fn columns(rows: &[&Row], is_damaged: bool, room: Room) -> Vec<Drawn<Row>> {
    use Kind::{Name, Number, Text};
    let any = |is_so: fn(&Row) -> bool| rows.iter().any(|row| is_so(row));
    let is_wide = room.has(100);
    let mut columns = vec![drawn("name", Name, |row: &Row| Cell::text(&row.name))];
    if is_wide || !is_damaged || any(|row| row.metrics.changed.is_none()) {
        columns.push(drawn("verdict", Text, |row| Cell::text(verdict(row))));
    }
    if is_wide || any(|row| dtype(row).contains("->")) {
        columns.push(drawn("dtype", Text, |row| Cell::text(dtype(row))));
    }
    if room.has(140) || any(|row| shape(row).contains("->")) {
        columns.push(drawn("shape", Text, |row| Cell::text(shape(row))));
    }
    if is_damaged {
        columns.push(drawn("bits", Number, bits_of_b));
    }
    if any(|row| row.metrics.changed.is_some_and(|changed| changed > 0)) {
        columns.extend(metric_columns(is_damaged, room));
    }
    if any(|row| !remark(row).is_empty()) {
        columns.push(drawn("remarks", Text, |row| Cell::Text(remark(row))));
    }
    if room.has(160) && any(|row| row.b_name.is_some()) {
        let name = |row: &Row| optional(row.b_name.as_ref());
        columns.push(drawn("name in B", Name, name));
    }
    columns
}

fn metric_columns(is_damaged: bool, room: Room) -> Vec<Drawn<Row>> {
    use Kind::{Number, Text};
    let max_abs = |row: &Row| number(row.metrics.max_abs);
    let rel_l2 = |row: &Row| number(row.metrics.rel_l2);
    let is_wide = room.has(100);
    let all = [
        (
            !is_damaged || room.has(140),
            drawn("changed", Number, share),
        ),
        (!is_damaged || is_wide, drawn("max_abs", Number, max_abs)),
        (
            room.has(if is_damaged { 140 } else { 100 }),
            drawn("at", Text, place),
        ),
        (true, drawn("rel_l2", Number, rel_l2)),
        (room.has(140), drawn("cosine", Number, cosine)),
        (is_damaged || is_wide, drawn("snr_db", Number, decibels)),
    ];
    let fits = all.into_iter().filter(|(fits, _)| *fits);
    fits.map(|(_, drawn)| drawn).collect()
}

fn every_column() -> Vec<Drawn<Row>> {
    use Kind::{Name, Number, Text};
    let mut columns = vec![
        drawn("name", Name, |row: &Row| Cell::text(&row.name)),
        drawn("name_b", Name, |row| optional(row.b_name.as_ref())),
        drawn("verdict", Text, |row| Cell::text(verdict(row))),
        drawn("dtype_a", Text, |row| {
            optional(row.a.as_ref().map(|a| a.dtype))
        }),
        drawn("dtype_b", Text, |row| {
            optional(row.b.as_ref().map(|b| b.dtype))
        }),
        drawn("shape_a", Text, |row| {
            optional(row.a.as_ref().map(|a| &a.shape))
        }),
        drawn("shape_b", Text, |row| {
            optional(row.b.as_ref().map(|b| &b.shape))
        }),
        drawn("elements", Number, |row| Cell::Count(row.elements())),
    ];
    columns.extend(every_metric());
    columns.extend([
        drawn("max_abs_at", Number, |row: &Row| {
            count(row.metrics.max_abs_at)
        }),
        drawn("first_non_finite", Number, |row| {
            count(row.metrics.first_non_finite)
        }),
        drawn("bits_a", Number, |row| {
            optional(row.a.as_ref().and_then(bits))
        }),
        drawn("bits_b", Number, |row| {
            optional(row.b.as_ref().and_then(bits))
        }),
        drawn("error", Text, |row| optional(row.verdict.as_ref().err())),
    ]);
    columns
}

/// A row a group.
pub(super) fn groups(groups: &[Group], found: &Found, room: Room) -> Table {
    use Kind::{Name, Number, Text};
    let mut columns = vec![drawn("name", Name, |group: &Group| Cell::text(&group.name))];
    let words: [Drawn<Group>; 4] = [
        drawn("tensors", Number, |group| Cell::Count(group.tensors)),
        drawn("identical", Number, |group| Cell::Count(group.identical)),
        drawn("verdict", Text, |group| Cell::text(word(group.verdict))),
        drawn("elements", Number, |group| Cell::Count(group.elements)),
    ];
    let is_measured = groups.iter().any(|group| group.metrics.changed.is_some());
    columns.extend(words.into_iter().take(match room {
        Room::Columns(_) => 3,
        Room::Programs => 4,
    }));
    if room == Room::Programs {
        columns.extend(every_metric());
    } else if is_measured {
        if room.has(100) {
            columns.push(drawn("changed", Number, share));
        }
        if found.summary.is_damaged || room.has(100) {
            columns.push(drawn("snr_db", Number, decibels));
        }
        columns.push(drawn("rel_l2", Number, |group| {
            number(group.metrics.rel_l2)
        }));
    }
    let mut table = table(columns, groups.iter());
    if is_measured && room != Room::Programs {
        add_bars(&mut table, groups);
    }
    table
}

/// Adds the relative change as bars, the largest one the longest.
fn add_bars(table: &mut Table, groups: &[Group]) {
    let change = |group: &Group| group.metrics.rel_l2.filter(|change| change.is_finite());
    let largest = groups.iter().filter_map(change).fold(0.0, f64::max);
    table.columns.push(Column::new("change", Kind::Text));
    for (row, group) in table.rows.iter_mut().zip(groups) {
        let share = change(group)
            .filter(|_| largest > 0.0)
            .map(|change| change / largest);
        // Rounded up, so that only nothing is drawn as nothing.
        let bar = |share: f64| Cell::Bar((share * 1000.0).ceil().clamp(0.0, 1000.0) as u16);
        row.push(share.map_or(Cell::Empty, bar));
    }
}

/// Every metric that tensors and groups have, with all digits.
fn every_metric<T: Entry>() -> Vec<Drawn<T>> {
    fn digits(value: Option<f64>) -> Cell {
        value.map_or(Cell::Empty, |value| Cell::Text(format!("{value:?}")))
    }
    let number = |title, cell| drawn(title, Kind::Number, cell);
    vec![
        number("changed", |entry: &T| count(entry.metrics().changed)),
        number("max_abs", |entry| digits(entry.metrics().max_abs)),
        number("mean_abs", |entry| digits(entry.metrics().mean_abs)),
        number("rmse", |entry| digits(entry.metrics().rmse)),
        number("rel_l2", |entry| digits(entry.metrics().rel_l2)),
        number("cosine", |entry| digits(entry.metrics().cosine)),
        number("snr_db", |entry| digits(entry.metrics().snr_db)),
        number("both_nan", |entry| Cell::Count(entry.metrics().both_nan)),
        number("non_finite", |entry| {
            Cell::Count(entry.metrics().non_finite)
        }),
    ]
}

fn verdict(row: &Row) -> &'static str {
    word(row.verdict())
}

fn word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("unreadable", Verdict::name)
}

fn dtype(row: &Row) -> String {
    of_both(row, |facts| facts.dtype.to_string())
}

fn shape(row: &Row) -> String {
    of_both(row, |facts| facts.shape.to_string())
}

/// What both sides have, once if it is the same.
fn of_both(row: &Row, what: impl Fn(&Facts) -> String) -> String {
    match (row.a.as_ref().map(&what), row.b.as_ref().map(&what)) {
        (Some(a), Some(b)) if a != b => format!("{a}->{b}"),
        (a, b) => a.or(b).unwrap_or_default(),
    }
}

/// Bits of an element; nobody knows those of an unknown type.
pub(super) fn bits(facts: &Facts) -> Option<f64> {
    Some(facts.dtype.bits()).filter(|bits| *bits > 0.0)
}

fn bits_of_b(row: &Row) -> Cell {
    let bits = row.b.as_ref().and_then(bits);
    optional(bits.map(|bits| format!("{bits:.2}")))
}

fn optional(value: Option<impl ToString>) -> Cell {
    value.map_or(Cell::Empty, |value| Cell::Text(value.to_string()))
}

fn count(value: Option<u64>) -> Cell {
    value.map_or(Cell::Empty, Cell::Count)
}

fn number(value: Option<f64>) -> Cell {
    optional(value.map(human_number))
}

fn share<T: Entry>(entry: &T) -> Cell {
    let changed = entry.metrics().changed;
    optional(changed.map(|changed| percent(changed, entry.elements())))
}

fn decibels<T: Entry>(entry: &T) -> Cell {
    optional(entry.metrics().snr_db.map(|snr| format!("{snr:.1}")))
}

fn cosine<T: Entry>(entry: &T) -> Cell {
    optional(entry.metrics().cosine.map(human_cosine))
}

/// A cosine that does not look like 1 unless it is nearly so to every digit.
pub(super) fn human_cosine(cosine: f64) -> String {
    match 1.0 - cosine {
        0.0 => "1".to_owned(),
        away if away < 1e-6 => format!("1-{away:.1e}"),
        _ => format!("{cosine:.6}"),
    }
}

/// Where the largest difference stands, an index for each axis.
fn place(row: &Row) -> Cell {
    let shape = row.a.as_ref().map(|facts| &facts.shape);
    let place = row.metrics.max_abs_at.zip(shape);
    optional(place.map(|(at, shape)| indices(at, shape)))
}

/// The place of an element, row by row, as an index for each axis.
fn indices(mut at: u64, shape: &Shape) -> String {
    let mut indices: Vec<String> = Vec::new();
    for &length in shape.dimensions().iter().rev() {
        indices.push((at % length.max(1)).to_string());
        at /= length.max(1);
    }
    indices.reverse();
    format!("[{}]", indices.join(", "))
}

/// What is unusual about a row: why it cannot be read, or what NaN and infinity do in it.
fn remark(row: &Row) -> String {
    if let Err(error) = &row.verdict {
        return error.to_string();
    }
    let Metrics {
        both_nan,
        non_finite,
        first_non_finite,
        ..
    } = row.metrics;
    let mut words = Vec::new();
    if non_finite > 0 {
        let shape = row.a.as_ref().map(|facts| &facts.shape);
        let first = first_non_finite
            .zip(shape)
            .map(|(at, shape)| indices(at, shape));
        let first = first.map_or_else(String::new, |first| format!(" at {first}"));
        words.push(format!("{non_finite} NaN/Inf{first}"));
    }
    if both_nan > 0 {
        words.push(format!("{both_nan} NaN in both"));
    }
    words.join(", ")
}

/// A share that is 0 % or 100 % only if it is exactly so.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = part as f64 / whole as f64 * 100.0;
    match share {
        _ if part == 0 => "0 %".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        ..0.01 => "<0.01 %".to_owned(),
        99.99.. => ">99.99 %".to_owned(),
        ..1.0 | 99.0.. => format!("{share:.2} %"),
        _ => format!("{share:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_whole_only_if_it_is() {
        let found = [(0, 7), (1, 1_000_000), (1, 3), (999_999, 1_000_000), (7, 7)];
        let found = found.map(|(part, whole)| percent(part, whole));
        assert_eq!(found, ["0 %", "<0.01 %", "33.3 %", ">99.99 %", "100 %"]);
        assert_eq!(percent(0, 0), "0 %");
    }

    // numpy: np.unravel_index(23, (2, 3, 4)) is (1, 2, 3).
    #[test]
    fn a_place_is_an_index_for_each_axis() {
        assert_eq!(indices(23, &Shape::new([2, 3, 4]).unwrap()), "[1, 2, 3]");
        assert_eq!(indices(0, &Shape::scalar()), "[]");
    }

    #[test]
    fn a_cosine_below_one_does_not_look_like_one() {
        assert_eq!(human_cosine(1.0), "1");
        assert_eq!(human_cosine(1.0 - 1e-9), "1-1.0e-9");
        assert_eq!(human_cosine(0.5), "0.500000");
    }
}
