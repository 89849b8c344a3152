//! Pages as one HTML document without references to others.

use super::{Block, Cell, Facts, Kind, Page, Remark, Table};
use crate::text::escape;
use std::io::{self, Write};

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>ckpt</title>
<style>
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; }
h1 { font-size: 1.2rem; } h2 { font-size: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid; position: sticky; top: 0; background: Canvas; }
tbody tr:hover { background: color-mix(in srgb, CanvasText 8%, transparent); }
.name, pre { font-family: ui-monospace, monospace; white-space: pre; }
.value { white-space: pre-wrap; overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { width: 16rem; min-width: 8rem; vertical-align: middle; }
.bar div { height: .7em; border-radius: 2px; background: #3b82c4; }
.warning { color: #b35900; } .error, .danger { color: #c00000; }
</style>
</head>
<body>
";

/// Starts the document.
pub(super) fn begin(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(HEAD.as_bytes())
}

/// Ends the document.
pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"</body>\n</html>\n")
}

/// Writes a page.
pub(super) fn page(out: &mut dyn Write, page: &Page) -> io::Result<()> {
    if !page.title.is_empty() {
        writeln!(out, "<h1>{}</h1>", quote(&page.title))?;
    }
    for block in &page.blocks {
        match block {
            Block::Facts(facts) => write_facts(out, facts)?,
            Block::Table(table) => write_table(out, table)?,
            Block::Remarks(remarks) => write_remarks(out, remarks)?,
            Block::Heading(text) => writeln!(out, "<h2>{}</h2>", quote(text))?,
            Block::Text(text) => {
                let lines: Vec<String> = text.lines().map(quote).collect();
                writeln!(out, "<pre>{}</pre>", lines.join("\n"))?;
            }
        }
    }
    Ok(())
}

fn write_facts(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    if !facts.title.is_empty() {
        writeln!(out, "<h2>{}</h2>", quote(&facts.title))?;
    }
    writeln!(out, "<table><tbody>")?;
    for (key, value) in &facts.entries {
        let lines: Vec<String> = value.lines().map(quote).collect();
        writeln!(
            out,
            "<tr><th>{}</th><td class=\"value\">{}</td></tr>",
            quote(key),
            lines.join("\n")
        )?;
    }
    writeln!(out, "</tbody></table>")
}

fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    write!(out, "<table><thead><tr>")?;
    for column in &table.columns {
        let class = class(column.kind);
        write!(out, "<th class=\"{class}\">{}</th>", quote(&column.title))?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for row in &table.rows {
        out.write_all(b"<tr>")?;
        for (column, cell) in table.columns.iter().zip(row) {
            let class = class(column.kind);
            match cell {
                Cell::Bar(thousandths) => write!(
                    out,
                    "<td class=\"bar\"><div style=\"width: {}%\"></div></td>",
                    f64::from(*thousandths) / 10.0
                )?,
                cell => write!(
                    out,
                    "<td class=\"{class}\">{}</td>",
                    quote(&cell.to_human())
                )?,
            }
        }
        out.write_all(b"</tr>\n")?;
    }
    writeln!(out, "</tbody></table>")
}

fn write_remarks(out: &mut dyn Write, remarks: &[Remark]) -> io::Result<()> {
    writeln!(out, "<ul>")?;
    for remark in remarks {
        let severity = remark.severity.name();
        let text = quote(&remark.text);
        writeln!(
            out,
            "<li><span class=\"{severity}\">{severity}</span>: {text}</li>"
        )?;
    }
    writeln!(out, "</ul>")
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Name => "name",
        Kind::Text => "text",
        Kind::Number => "number",
    }
}

/// Text in which nothing is markup.
fn quote(text: &str) -> String {
    let text = escape(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
