//! Pages as GitHub-flavoured Markdown.

use super::{Block, Facts, Kind, Page, Remark, Table};
use crate::text::escape;
use std::io::{self, Write};

/// Writes a page under its title.
pub(super) fn page(out: &mut dyn Write, page: &Page, is_first: bool) -> io::Result<()> {
    if !is_first {
        writeln!(out)?;
    }
    if !page.title.is_empty() {
        writeln!(out, "## {}\n", code(&page.title))?;
    }
    for (index, block) in page.blocks.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        match block {
            Block::Facts(facts) => write_facts(out, facts)?,
            Block::Table(table) => write_table(out, table)?,
            Block::Remarks(remarks) => write_remarks(out, remarks)?,
            Block::Heading(text) => writeln!(out, "### {}", plain(text))?,
            Block::Text(text) => write_text(out, text)?,
        }
    }
    Ok(())
}

fn write_facts(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    writeln!(out, "| {} | |\n|---|---|", plain(&facts.title))?;
    for (key, value) in &facts.entries {
        let lines: Vec<String> = value.lines().map(plain).collect();
        writeln!(out, "| {} | {} |", plain(key), lines.join("<br>"))?;
    }
    Ok(())
}

fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    let titles: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.title.as_ref())
        .collect();
    writeln!(out, "| {} |", titles.join(" | "))?;
    for column in &table.columns {
        let rule = match column.kind {
            Kind::Number => "|---:",
            Kind::Name | Kind::Text => "|---",
        };
        out.write_all(rule.as_bytes())?;
    }
    writeln!(out, "|")?;
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(row) {
            let text = cell.to_human();
            match column.kind {
                Kind::Name => write!(out, "| {} ", code(&text))?,
                Kind::Text | Kind::Number => write!(out, "| {} ", plain(&text))?,
            }
        }
        writeln!(out, "|")?;
    }
    Ok(())
}

fn write_remarks(out: &mut dyn Write, remarks: &[Remark]) -> io::Result<()> {
    for remark in remarks {
        let severity = remark.severity.name();
        writeln!(out, "- **{severity}**: {}", plain(&remark.text))?;
    }
    Ok(())
}

/// A code block, fenced by more backticks than stand in it.
fn write_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "{fence}")?;
    for line in text.lines() {
        writeln!(out, "{}", escape(line))?;
    }
    writeln!(out, "{fence}")
}

/// A name as code, which keeps its underscores and asterisks.
fn code(text: &str) -> String {
    let text = escape(text);
    if text.is_empty() || text.contains('`') {
        return plain(&text);
    }
    // Leading spaces show the depth in a tree; Markdown would drop them.
    let inner = text.trim_start_matches(' ');
    let indent = "&nbsp;".repeat(text.len() - inner.len());
    format!("{indent}`{}`", inner.replace('|', "\\|"))
}

/// Text in which nothing is markup.
fn plain(text: &str) -> String {
    let escaped = escape(text);
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars().peekable();
    while let Some(c) = chars.next() {
        let is_markup = match c {
            '\\' | '`' | '*' | '_' | '<' | '|' | '&' | '~' | '#' | '$' => true,
            // Brackets mean something only before others: `[text](link)`.
            ']' => matches!(chars.peek(), Some('(' | '[' | ':')),
            _ => false,
        };
        if is_markup {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
