//! Pages for a terminal: aligned columns, no lines, at most as wide as the terminal.

use super::{Block, Cell, Column, Facts, Kind, Page, Remark, Severity, Table};
use crate::text::escape;
use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement};
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Rows up to which the table library does the layout. It takes about 2 ms for these, so
/// 100,000 rows go to [`write_rows`], which draws the same.
const LAID_OUT: usize = 1000;

/// Spaces between columns.
const GAP: usize = 2;

/// Columns are not made narrower than this.
const NARROWEST: usize = 20;

/// How wide and how colourful.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) width: Option<usize>,
    pub(super) color: bool,
}

/// Writes a page under its title.
pub(super) fn page(out: &mut dyn Write, page: &Page, look: Look) -> io::Result<()> {
    if !page.title.is_empty() {
        writeln!(out, "{}", bold(&escape(&page.title), look))?;
    }
    for (index, block) in page.blocks.iter().enumerate() {
        let follows_heading = index > 0 && matches!(page.blocks[index - 1], Block::Heading(_));
        if index > 0 && !follows_heading {
            writeln!(out)?;
        }
        match block {
            Block::Facts(facts) => write_facts(out, facts, look)?,
            Block::Table(table) => write_table(out, table, look)?,
            Block::Remarks(remarks) => write_remarks(out, remarks, look)?,
            Block::Heading(text) => writeln!(out, "{}", bold(&escape(text), look))?,
            Block::Text(text) => {
                for line in text.lines() {
                    writeln!(out, "{}", escape(line))?;
                }
            }
        }
    }
    Ok(())
}

fn bold(text: &str, look: Look) -> String {
    match look.color {
        true => format!("\u{1b}[1m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

/// A table without lines that is styled as `look` says and not as the terminal would have it.
fn bare_table(look: Look) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    match look.color {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

fn write_facts(out: &mut dyn Write, facts: &Facts, look: Look) -> io::Result<()> {
    if !facts.title.is_empty() {
        writeln!(out, "{}", bold(&escape(&facts.title), look))?;
    }
    let mut table = bare_table(look);
    for (key, value) in &facts.entries {
        let lines: Vec<_> = value.lines().map(escape).collect();
        let key = comfy_table::Cell::new(escape(key)).fg(Color::Cyan);
        table.add_row([key, comfy_table::Cell::new(lines.join("\n"))]);
    }
    if let Some(width) = look.width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    let indent = u16::from(!facts.title.is_empty()) * 2;
    set_padding(&mut table, 0, indent);
    set_padding(&mut table, 1, 0);
    write_lines(out, &table)
}

fn set_padding(table: &mut comfy_table::Table, column: usize, left: u16) {
    if let Some(column) = table.column_mut(column) {
        column.set_padding((left, GAP as u16));
    }
}

fn write_lines(out: &mut dyn Write, table: &comfy_table::Table) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn write_remarks(out: &mut dyn Write, remarks: &[Remark], look: Look) -> io::Result<()> {
    let mut table = bare_table(look);
    for remark in remarks {
        let color = match remark.severity {
            Severity::Info => Color::Cyan,
            Severity::Warning => Color::Yellow,
            Severity::Error | Severity::Danger => Color::Red,
        };
        let severity = comfy_table::Cell::new(remark.severity.name()).fg(color);
        table.add_row([severity, comfy_table::Cell::new(escape(&remark.text))]);
    }
    if let Some(width) = look.width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    set_padding(&mut table, 0, 0);
    set_padding(&mut table, 1, 0);
    write_lines(out, &table)
}

fn write_table(out: &mut dyn Write, table: &Table, look: Look) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        rows.push(row.iter().map(Cell::to_human).collect());
    }
    let widths = fit(&table.columns, &rows, look.width);
    for row in &mut rows {
        for (cell, &width) in row.iter_mut().zip(&widths) {
            shorten(cell, width);
        }
    }
    if rows.len() <= LAID_OUT {
        lay_out(out, &table.columns, rows, look)
    } else {
        write_rows(out, &table.columns, &widths, &rows, look)
    }
}

/// How wide each column is: as its widest cell, or less where that exceeds `limit`. Names are
/// shortened first, then words; numbers never.
fn fit(columns: &[Column], rows: &[Vec<String>], limit: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(width_of(cell));
        }
    }
    let Some(limit) = limit else {
        return widths;
    };
    let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut excess = total.saturating_sub(limit);
    for kind in [Kind::Name, Kind::Text] {
        for (width, column) in widths.iter_mut().zip(columns) {
            if column.kind == kind {
                let less = excess.min(width.saturating_sub(NARROWEST));
                *width -= less;
                excess -= less;
            }
        }
    }
    widths
}

fn width_of(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.width(),
    }
}

/// Cuts out the middle of a text that is wider than `width`; the end of a name says more than
/// its beginning, so more of it stays.
fn shorten(text: &mut String, width: usize) {
    if width_of(text) <= width {
        return;
    }
    let room = width.saturating_sub(1);
    let head = take_width(text.chars(), room / 3);
    let tail = take_width(text.chars().rev(), room - room / 3);
    let tail: String = tail.chars().rev().collect();
    *text = format!("{head}…{tail}");
}

fn take_width(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut taken = String::new();
    let mut used = 0;
    for c in chars {
        used += width_of(c.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        taken.push(c);
    }
    taken
}

fn lay_out(
    out: &mut dyn Write,
    columns: &[Column],
    rows: Vec<Vec<String>>,
    look: Look,
) -> io::Result<()> {
    let mut table = bare_table(look);
    let title =
        |column: &Column| comfy_table::Cell::new(&column.title).add_attribute(Attribute::Bold);
    table.set_header(columns.iter().map(title).collect::<Vec<_>>());
    table.add_rows(rows);
    for (index, column) in columns.iter().enumerate() {
        set_padding(&mut table, index, 0);
        if let (Kind::Number, Some(drawn)) = (column.kind, table.column_mut(index)) {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    write_lines(out, &table)
}

/// Draws what [`lay_out`] draws.
fn write_rows(
    out: &mut dyn Write,
    columns: &[Column],
    widths: &[usize],
    rows: &[Vec<String>],
    look: Look,
) -> io::Result<()> {
    let titles: Vec<String> = columns
        .iter()
        .map(|c| c.title.clone().into_owned())
        .collect();
    let mut line = String::new();
    for (index, row) in std::iter::once(&titles).chain(rows).enumerate() {
        line.clear();
        for ((cell, &width), column) in row.iter().zip(widths).zip(columns) {
            let blank = width.saturating_sub(width_of(cell));
            let (left, right) = match column.kind {
                Kind::Number => (blank, 0),
                Kind::Name | Kind::Text => (0, blank),
            };
            line.extend(std::iter::repeat_n(' ', left));
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', right + GAP));
        }
        line.truncate(line.trim_end().len());
        match index {
            0 => writeln!(out, "{}", bold(&line, look))?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_drawing_a_table_agree() {
        let columns = [
            Column::new("name", Kind::Name),
            Column::new("count", Kind::Number),
            Column::new("shape", Kind::Text),
        ];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![
            row(["a.weight", "12", "[3, 4]"]),
            row(["日本", "1,234", ""]),
        ];
        let look = Look {
            width: None,
            color: false,
        };
        let widths = fit(&columns, &rows, None);
        let (mut laid_out, mut written) = (Vec::new(), Vec::new());
        write_rows(&mut written, &columns, &widths, &rows, look).unwrap();
        lay_out(&mut laid_out, &columns, rows, look).unwrap();
        let expected = "name      count  shape\na.weight     12  [3, 4]\n日本      1,234\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        assert_eq!(String::from_utf8(laid_out).unwrap(), expected);
    }

    #[test]
    fn long_names_lose_their_middle() {
        let mut name = "model.layers.10.self_attn.q_proj.weight".to_owned();
        shorten(&mut name, 20);
        assert_eq!(name, "model.…q_proj.weight");
    }
}
