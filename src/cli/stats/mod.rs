//! `ckpt stats`: numbers about every tensor.

mod document;
mod order;
mod page;

use super::Status;
use super::args::{Global, RootArgs, SelectionArgs};
use super::output;
use super::progress::Bar;
use super::report::{self, Report};
use ckpt::format;
use ckpt::op::group::Grouping;
use ckpt::op::root::Choice;
use ckpt::op::select::Selection;
use ckpt::op::sparsity::Pattern;
use ckpt::op::stats::{self, Options, Stats};
use ckpt::report::Page;
use ckpt::{Error, Result};
use document::Document;
use order::Column;
use std::path::{Path, PathBuf};

/// What `--quantiles` finds unless it is told.
const QUANTILES: &str = "0.01,0.05,0.25,0.5,0.75,0.95,0.99";

/// Quantiles and bins that can be asked for.
const MOST_QUANTILES: usize = 1000;

/// The arguments of `ckpt stats`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Every element is read. Statistics are over finite elements, std is the \
population's, l1 and l2 are norms; quantised tensors are measured after dequantisation.

lossless: the smaller dtypes that hold every element of an F32 or F64 tensor bit by bit, `-` if \
none does; `ckpt convert --dtype auto` makes use of them. A NaN counts if its payload fits and it \
is quiet.

Quantiles and histograms come from counts in buckets: exact for types of at most 16 bits \
(GGUF blocks are not among them) and for values of at most 8 significant bits, otherwise each \
value is taken as the middle of its bucket, within 0.4 %.

Examples:
  ckpt stats model.safetensors                    a row a tensor
  ckpt stats model.gguf --by layer                a row a layer
  ckpt stats model.pt --by 'model.layers.*.mlp'   a row for each beginning that matches
  ckpt stats model.pt --sort std --top 10         the ten that vary most
  ckpt stats model.pt --quantiles=0.001,0.999 --histogram -i '*.weight'
  ckpt stats pruned.safetensors --sparsity=2:4    zeros, and how many groups are 2:4 sparse
  ckpt stats model.safetensors --json | jq '.tensors[] | select(.nans > 0) | .name'"
)]
pub(crate) struct Args {
    /// Files, indexes or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Quantiles too: a list between 0 and 1 [default: 0.01,0.05,0.25,0.5,0.75,0.95,0.99]
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true,
          default_missing_value = QUANTILES, value_delimiter = ',')]
    quantiles: Vec<f64>,
    /// How many elements lie in each of BINS equal parts between min and max [default: 16]
    #[arg(long, value_name = "BINS", num_args = 0..=1, require_equals = true,
          default_missing_value = "16", value_parser = clap::value_parser!(u16).range(1..=4096))]
    histogram: Option<u16>,
    /// Zeros by element, row and channel, and the share of groups along the innermost dimension
    /// that keep each pattern N:M [default: 2:4,4:8]
    #[arg(long, value_name = "N:M,...", num_args = 0..=1, require_equals = true,
          default_missing_value = "2:4,4:8", value_delimiter = ',', conflicts_with = "by")]
    sparsity: Vec<String>,
    /// One row for tensors of the same layer, module or dtype, or for each beginning of a name
    /// that a glob matches
    #[arg(long, value_name = "layer|module|dtype|GLOB")]
    by: Option<String>,
    /// The order of the rows; numbers start with the largest
    #[arg(long, value_name = "COLUMN", value_enum)]
    sort: Option<Column>,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    report::run(&Request::new(args, global)?, global, &args.paths)
}

/// What was asked for.
struct Request<'a> {
    args: &'a Args,
    global: &'a Global,
    selection: Selection,
    choice: Choice,
    by: Option<Grouping>,
    patterns: Vec<Pattern>,
}

impl<'a> Request<'a> {
    fn new(args: &'a Args, global: &'a Global) -> Result<Request<'a>> {
        if args.quantiles.len() > MOST_QUANTILES {
            return Err(Error::usage(format!(
                "{} quantiles are asked for; the limit is {MOST_QUANTILES}",
                args.quantiles.len()
            )));
        }
        Ok(Request {
            args,
            global,
            selection: args.selection.selection()?,
            choice: args.root.choice(Choice::Auto),
            by: args.by.as_deref().map(Grouping::read).transpose()?,
            patterns: args
                .sparsity
                .iter()
                .map(|text| Pattern::read(text))
                .collect::<Result<_>>()?,
        })
    }

    fn measure(&self, path: &Path) -> Result<Stats> {
        let mut checkpoint = format::open(path)?;
        self.selection.apply(&mut checkpoint)?;
        let checkpoint = self.global.restrict(checkpoint, &self.choice)?;

        let passes = if self.patterns.is_empty() { 1 } else { 2 };
        let bytes = checkpoint.totals().1.saturating_mul(passes);
        let bar = Bar::new(self.global, "stats", bytes);
        let options = Options {
            threads: self.global.threads(),
            quantiles: self.args.quantiles.clone(),
            bins: self.args.histogram.map_or(0, usize::from),
            by: self.by.clone(),
            sparsity: self.patterns.clone(),
            progress: &bar,
            ..Options::default()
        };
        let mut stats = stats::stats(&checkpoint, &options)?;
        drop(bar);
        self.say_troubles(&stats);
        order::arrange(&mut stats.rows, self.args.sort, self.args.reverse);
        stats.rows.truncate(self.args.top.unwrap_or(usize::MAX));
        Ok(stats)
    }

    fn say_troubles(&self, stats: &Stats) {
        for (name, why) in &stats.absent {
            let text = format!("tensor `{name}` has no statistics: {why}");
            self.global.say(&format!("{}: note: {text}", stats.path));
        }
        for error in &stats.failures {
            output::say_error(error);
        }
    }
}

impl Report for Request<'_> {
    type Found = Stats;

    const SCHEMA: &'static str = document::SCHEMA;

    fn find(&self, path: &Path) -> Result<Stats> {
        self.measure(path)
    }

    fn document<'a>(&'a self, stats: &'a Stats) -> impl serde::Serialize + 'a {
        Document::new(stats, &self.args.quantiles, &self.patterns)
    }

    fn page(&self, stats: &Stats) -> Page {
        page::page(stats, self.args, &self.patterns, self.global)
    }

    /// Tensors that could not be read are trouble, even though the others are reported.
    fn status(&self, stats: &Stats) -> Status {
        match stats.failures.is_empty() {
            true => Status::Done,
            false => Status::Trouble,
        }
    }
}
