//! Arguments that commands share.

use ckpt::op::root::Choice;
use ckpt::op::select::Selection;
use ckpt::{Error, Result, parallel};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options that every command takes, before or after its name.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Global {
    /// How the result is drawn
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    /// Short for `--format json`
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,
    /// Write the result to a file instead of standard output
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite outputs that exist
    #[arg(short, long, global = true)]
    pub(crate) force: bool,
    /// Say nothing but errors: no notes, no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours; `NO_COLOR` is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Threads to work with [default: one a processor]
    #[arg(short = 'j', long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

/// How a result is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One object, or an array of them for several paths
    Json,
    /// Rows and columns for programs (RFC 4180)
    Csv,
    /// For issues and model cards
    Markdown,
    /// One page without references
    Html,
    /// SARIF 2.1.0, for code scanning; `audit` only
    Sarif,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that can
    Auto,
    /// Into files and pipes too
    Always,
    /// Not at all
    Never,
}

impl Global {
    /// How the result is drawn.
    pub(crate) fn format(&self) -> Format {
        match (self.json, self.format) {
            (true, _) => Format::Json,
            (false, format) => format.unwrap_or(Format::Table),
        }
    }

    /// How many threads may work.
    pub(crate) fn threads(&self) -> usize {
        parallel::thread_count(self.threads.map(usize::from))
    }

    /// Refuses a format that this command has no use for.
    pub(crate) fn require_format(&self, command: &str, allowed: &[Format]) -> Result<()> {
        let name = |format: &Format| match format.to_possible_value() {
            Some(value) => value.get_name().to_owned(),
            None => String::new(),
        };
        if allowed.contains(&self.format()) {
            return Ok(());
        }
        let names: Vec<String> = allowed.iter().map(name).collect();
        Err(Error::usage(format!(
            "{command} has no {} output; it has {}",
            name(&self.format()),
            names.join(", ")
        )))
    }
}

/// Which tensors: the same options in every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectionArgs {
    /// Only tensors whose full name matches; `*` matches anything, `re:` starts a regular
    /// expression; repeatable
    #[arg(short, long, value_name = "GLOB")]
    include: Vec<String>,
    /// Not the tensors whose full name matches; repeatable
    #[arg(short = 'x', long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Only tensors of this dtype; repeatable
    #[arg(long, value_name = "DTYPE", value_delimiter = ',')]
    only_dtype: Vec<String>,
}

impl SelectionArgs {
    /// The selection that they describe.
    pub(crate) fn selection(&self) -> Result<Selection> {
        Selection::new(&self.include, &self.exclude, &self.only_dtype)
    }
}

/// Which part of a training checkpoint.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selection")]
pub(crate) struct RootArgs {
    /// Only what stands under this key of a training checkpoint; '' means everything
    #[arg(long, value_name = "KEY")]
    root: Option<String>,
}

impl RootArgs {
    /// What was asked for; `default` if nothing was.
    pub(crate) fn choice(&self, default: Choice) -> Choice {
        root_choice(self.root.as_deref(), default)
    }
}

/// What `--root` asks for; `default` if it is not given.
pub(crate) fn root_choice(key: Option<&str>, default: Choice) -> Choice {
    match key {
        None => default,
        Some("") => Choice::Everything,
        Some(key) => Choice::Key(key.to_owned()),
    }
}
