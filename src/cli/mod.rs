//! The commands: arguments in, pages out. One file a command.

mod adapter;
mod args;
mod audit;
mod companions;
mod convert;
mod diff;
mod hash;
mod identity;
mod inspect;
mod json;
mod licence;
mod names;
mod output;
mod progress;
mod prune;
mod report;
mod show;
mod stats;
mod transform;
mod values;
mod workflow;

use args::{Format, Global};
use ckpt::{Error, Result};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// What a command came to, as its exit status; the worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Done, same, clean: 0.
    Done,
    /// Differences or findings: 1.
    Findings,
    /// Bad usage, an unreadable file, a failed write: 2.
    Trouble,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Findings => 1,
            Status::Trouble => 2,
        })
    }
}

/// Looks into model checkpoints and converts them, without Python and without running anything
/// that stands in a file.
#[derive(Debug, Parser)]
#[command(
    name = "ckpt",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "A PATH is a file, an index (`*.index.json`) or a folder; `-` is standard \
    input. What a file is, its contents say.\n\
    Exit status: 0 done, 1 differences or findings, 2 trouble."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is in a checkpoint: format, tensors, metadata
    #[command(visible_alias = "ls")]
    Inspect(inspect::Args),
    /// Numbers about every tensor: min, max, mean, std, norms, zeros, NaN
    Stats(stats::Args),
    /// What differs between two checkpoints: which tensors, how much, and where
    Diff(diff::Args),
    /// The values of one tensor, or a slice of it, as numpy prints them
    Show(show::Args),
    /// Another format, dtype or sharding
    Convert(convert::Args),
    /// Content digests that no packing changes, a manifest to check them by, file hashes
    Hash(hash::Args),
    /// Leave out what inference does not need, zero what matters least
    Prune(Box<prune::Args>),
    /// Whether a checkpoint is whole, safe and sane
    Audit(audit::Args),
    /// The model files that a ComfyUI workflow needs, and whether they are there and right
    Workflow(workflow::Args),
}

/// Runs the program on the process's arguments.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(&cli) {
        Ok(status) => status.into(),
        Err(error) => fail(&error),
    }
}

fn dispatch(cli: &Cli) -> Result<Status> {
    let is_audit = matches!(cli.command, Command::Audit(_));
    if cli.global.format() == Format::Sarif && !is_audit {
        return Err(Error::usage("only `audit` has sarif output"));
    }
    match &cli.command {
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Stats(args) => stats::run(args, &cli.global),
        Command::Diff(args) => diff::run(args, &cli.global),
        Command::Show(args) => show::run(args, &cli.global),
        Command::Convert(args) => convert::run(args, &cli.global),
        Command::Hash(args) => hash::run(args, &cli.global),
        Command::Prune(args) => prune::run(args, &cli.global),
        Command::Audit(args) => audit::run(args, &cli.global),
        Command::Workflow(args) => workflow::run(args, &cli.global),
    }
}

/// Prints help, the version, or what is wrong with the arguments. That nobody reads it is no
/// failure of ours.
fn usage(error: &clap::Error) -> ExitCode {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        && std::env::args_os().len() <= 1
    {
        let _ = Cli::command().print_long_help();
        return Status::Done.into();
    }
    let _ = error.print();
    match error.use_stderr() {
        true => Status::Trouble.into(),
        false => Status::Done.into(),
    }
}

fn fail(error: &Error) -> ExitCode {
    if output::is_broken_pipe(error) {
        return Status::Done.into();
    }
    output::say_error(error);
    Status::Trouble.into()
}
