//! How results are drawn; knows no operation.
//!
//! A result is a [`Page`] of [`Block`]s. A [`Writer`] draws pages one after another in a
//! [`Style`]. Text in pages is raw: each style escapes it in its own way.

mod csv;
mod html;
mod markdown;
mod text;

use std::borrow::Cow;
use std::io::{self, Write};

/// What is shown about one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What it is about: a path.
    pub title: String,
    /// What there is to say, in order.
    pub blocks: Vec<Block>,
}

/// One part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Keys and values.
    Facts(Facts),
    /// Rows and columns.
    Table(Table),
    /// Remarks, each with a level.
    Remarks(Vec<Remark>),
    /// Text as it stands, of fixed width.
    Text(String),
    /// What the next blocks are about.
    Heading(String),
}

/// Keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What they are about; empty for none.
    pub title: String,
    /// In order. A value may have several lines.
    pub entries: Vec<(String, String)>,
}

/// Rows and columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// As many cells in each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// One word.
    pub title: Cow<'static, str>,
    /// What stands in it.
    pub kind: Kind,
}

impl Column {
    /// A column called `title`.
    pub fn new(title: impl Into<Cow<'static, str>>, kind: Kind) -> Column {
        let title = title.into();
        Column { title, kind }
    }
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Names: left, shortened in the middle where room is scarce.
    Name,
    /// Words: left.
    Text,
    /// Numbers: right.
    Number,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Words.
    Text(String),
    /// How many.
    Count(u64),
    /// How many bytes: scaled for people, exact for programs.
    Bytes(u64),
    /// A bar, in thousandths of the longest.
    Bar(u16),
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// As people read it.
    fn to_human(&self) -> String {
        match self {
            Cell::Bytes(bytes) => crate::text::human_bytes(*bytes),
            Cell::Count(count) => crate::text::grouped(*count),
            Cell::Text(text) => crate::text::escape(text).into_owned(),
            Cell::Bar(thousandths) => bar(*thousandths),
            Cell::Empty => String::new(),
        }
    }
}

/// A bar of up to ten characters, in eighths of one; only nothing is drawn as nothing.
fn bar(thousandths: u16) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (usize::from(thousandths.min(1000)) * 80).div_ceil(1000);
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Odd.
    Warning,
    /// Wrong.
    Error,
    /// Dangerous.
    Danger,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Danger => "danger",
        }
    }
}

/// How pages are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people at a terminal.
    Text {
        /// Columns of the terminal; `None` for as many as it takes.
        width: Option<usize>,
        /// Whether to use ANSI colours.
        color: bool,
    },
    /// The tables alone, as RFC 4180 has it.
    Csv,
    /// Tables as GitHub has them.
    Markdown,
    /// One document without references to others.
    Html,
}

/// Draws pages one after another.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    style: Style,
    /// Whether rows say which page they are of.
    several: bool,
    pages: usize,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({:?}, {} pages)", self.style, self.pages)
    }
}

impl<'a> Writer<'a> {
    /// Starts a report of one page, or of `several`.
    pub fn new(out: &'a mut dyn Write, style: Style, several: bool) -> io::Result<Writer<'a>> {
        if style == Style::Html {
            html::begin(out)?;
        }
        Ok(Writer {
            out,
            style,
            several,
            pages: 0,
        })
    }

    /// Draws a page.
    pub fn page(&mut self, page: &Page) -> io::Result<()> {
        let is_first = self.pages == 0;
        self.pages += 1;
        match self.style {
            Style::Text { width, color } => {
                if !is_first {
                    writeln!(self.out)?;
                }
                text::page(self.out, page, text::Look { width, color })
            }
            Style::Csv => {
                let title = self.several.then_some(page.title.as_str());
                csv::page(self.out, page, title, is_first)
            }
            Style::Markdown => markdown::page(self.out, page, is_first),
            Style::Html => html::page(self.out, page),
        }
    }

    /// Ends the report.
    pub fn finish(self) -> io::Result<()> {
        match self.style {
            Style::Html => html::end(self.out),
            _ => Ok(()),
        }
    }
}
