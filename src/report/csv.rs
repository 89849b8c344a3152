//! Tables as comma-separated values, RFC 4180: a header line, CRLF, quotes where needed.

use super::{Block, Cell, Page, Table};
use std::borrow::Cow;
use std::io::{self, Write};

/// Writes the tables of a page; with a `title` each row starts with it, under `path`.
pub(super) fn page(
    out: &mut dyn Write,
    page: &Page,
    title: Option<&str>,
    with_header: bool,
) -> io::Result<()> {
    for block in &page.blocks {
        if let Block::Table(table) = block {
            write_table(out, table, title, with_header)?;
        }
    }
    Ok(())
}

fn write_table(
    out: &mut dyn Write,
    table: &Table,
    title: Option<&str>,
    with_header: bool,
) -> io::Result<()> {
    if with_header {
        let titles = table.columns.iter().map(|column| column.title.clone());
        write_record(out, title.map(|_| Cow::from("path")), titles)?;
    }
    for row in &table.rows {
        let cells = row.iter().map(exact);
        write_record(out, title.map(Cow::from), cells)?;
    }
    Ok(())
}

fn exact(cell: &Cell) -> Cow<'_, str> {
    match cell {
        Cell::Empty => Cow::from(""),
        Cell::Text(text) => Cow::from(text.as_str()),
        Cell::Count(number) | Cell::Bytes(number) => Cow::from(number.to_string()),
        Cell::Bar(thousandths) => Cow::from(thousandths.to_string()),
    }
}

fn write_record<'a>(
    out: &mut dyn Write,
    first: Option<Cow<'a, str>>,
    fields: impl Iterator<Item = Cow<'a, str>>,
) -> io::Result<()> {
    for (index, field) in first.into_iter().chain(fields).enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write_field(out, &field)?;
    }
    out.write_all(b"\r\n")
}

fn write_field(out: &mut dyn Write, field: &str) -> io::Result<()> {
    if field.contains([',', '"', '\r', '\n']) {
        write!(out, "\"{}\"", field.replace('"', "\"\""))
    } else {
        out.write_all(field.as_bytes())
    }
}
