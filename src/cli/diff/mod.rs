//! `ckpt diff`: what differs between two checkpoints.

mod document;
mod order;
mod page;
mod tables;

use super::Status;
use super::args::{Format, Global, SelectionArgs, root_choice};
use super::json;
use super::output;
use super::progress::Bar;
use ckpt::format;
use ckpt::model::Checkpoint;
use ckpt::op::diff::{self, Difference, Group, Options, Rename, Tolerance, Verdict};
use ckpt::op::group::Grouping;
use ckpt::op::root::{self, Choice};
use ckpt::report::Writer;
use ckpt::{Error, Result};
use document::Document;
use order::Column;
use std::io::{self, Write};
use std::path::PathBuf;

/// The arguments of `ckpt diff`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Verdicts, mildest first: identical (same dtype, shape and bits), equal_values \
(another dtype, no value lost), rounded (one is exactly the other cast), within_tolerance (--rtol, \
--atol), transposed, non_finite (only NaN or Inf differ), changed, shape, only_in_a, only_in_b.

Every element is read, and metrics are in float64 over pairs that are finite in both; NaN equals \
NaN, and elements that differ in NaN or Inf are counted apart. rel_l2 is |a-b| / |a|, snr_db is \
10 log10(|a|^2 / |a-b|^2). Quantised tensors are compared by the values they stand for.

Names are matched after the prefixes that wrappers add (`module.`, `_orig_mod.`, `model.`), and \
between GGUF and Hugging Face as llama.cpp's converter names and permutes them; what was assumed \
is said on standard error.

Exit status: 0 if every tensor is identical or has a verdict that --allow names, 1 if not, 2 if a \
tensor cannot be read. Metadata and values that differ are shown, but do not count.

Examples:
  ckpt diff a.safetensors b.safetensors                what differs, tensor by tensor
  ckpt diff base.safetensors tuned.safetensors --by layer    which layers moved, which are frozen
  ckpt diff model.safetensors model-q4.gguf            damage by quantisation, worst tensor first
  ckpt diff a.pt b.safetensors --allow equal_values,rounded   a check that a conversion is right
  ckpt diff a.pt b.pt --rtol 1e-5 --atol 1e-8 --allow within_tolerance
  ckpt diff step1.pt step2.pt --root ''                optimizer moments and learning rates too
  ckpt diff train.pt train.pt --root-b model_ema       weights against their moving average
  ckpt diff old.pt new.pt --rename '^encoder\\.=backbone.enc.'
  ckpt diff a.safetensors b.safetensors --top 10 --json | jq '.tensors[].name'"
)]
pub(crate) struct Args {
    /// The first checkpoint: a file, index or folder
    a: PathBuf,
    /// The second
    b: PathBuf,
    /// Turn names of A into names of B; `\1` or `$1` stands for the first group; repeatable
    #[arg(long, value_name = "REGEX=REPLACEMENT")]
    rename: Vec<String>,
    /// Only equal names belong together: no wrapper prefixes, no GGUF names, no permuted rows
    #[arg(long)]
    no_match: bool,
    /// Elements are near enough if |a - b| <= ATOL + RTOL * |b| [default: 0]
    #[arg(long, value_name = "RTOL", value_parser = tolerance, allow_negative_numbers = true)]
    rtol: Option<f64>,
    /// See --rtol [default: 0]
    #[arg(long, value_name = "ATOL", value_parser = tolerance, allow_negative_numbers = true)]
    atol: Option<f64>,
    /// Verdicts that count as the same for the exit status; repeatable, or a list
    #[arg(long, value_name = "VERDICT", value_delimiter = ',')]
    allow: Vec<String>,
    /// Names, dtypes and shapes only: no tensor is read
    #[arg(long, conflicts_with_all = ["rtol", "atol"])]
    structure: bool,
    /// One row for tensors of the same layer, module or dtype, or for each beginning of a name
    /// that a glob matches
    #[arg(long, value_name = "layer|module|dtype|GLOB")]
    by: Option<String>,
    /// The order of the rows, the worst first [default: name; snr_db with --top and where
    /// values were lost to another dtype]
    #[arg(long, value_name = "COLUMN", value_enum)]
    sort: Option<Column>,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Identical tensors too; JSON and CSV always have them
    #[arg(long)]
    all: bool,
    /// All metadata and values that differ, in full
    #[arg(long)]
    metadata: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Only what stands under this key of a training checkpoint; '' means everything
    #[arg(long, value_name = "KEY", help_heading = "Selection")]
    root: Option<String>,
    /// Another root for B
    #[arg(long, value_name = "KEY", help_heading = "Selection")]
    root_b: Option<String>,
}

fn tolerance(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse().ok();
    let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "a number of at least 0 is wanted".to_owned())
}

fn verdict(text: &String) -> Result<Verdict> {
    Verdict::from_name(text).ok_or_else(|| {
        let names = Verdict::ALL.map(Verdict::name).join(", ");
        Error::usage(format!("`{text}` is no verdict; they are {names}"))
    })
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    let found = compare(args, global)?;
    global.emit(|out| write(out, &found, args, global))?;
    Ok(match found.difference.unreadable() {
        0 if found.is_same => Status::Done,
        0 => Status::Findings,
        _ => Status::Trouble,
    })
}

/// What was found, in the order in which it is shown.
struct Found {
    difference: Difference,
    /// What is said of the whole, whichever rows are shown.
    summary: Summary,
    groups: Vec<Group>,
    is_same: bool,
}

/// Counts over all tensors.
struct Summary {
    /// How many have each verdict, mildest first.
    verdicts: [(Verdict, usize); 10],
    unreadable: usize,
    /// Tensors and elements that both sides have.
    shared: [u64; 2],
    /// Those of them that are identical.
    identical: [u64; 2],
    /// Bits of an element in A and B, over the tensors that both have.
    bits: [f64; 2],
    /// Tensors that differ, taken as one.
    changes: Group,
    /// Whether values were lost to another dtype.
    is_damaged: bool,
}

impl Summary {
    fn new(difference: &Difference) -> Summary {
        let mut summary = Summary {
            verdicts: Verdict::ALL.map(|verdict| (verdict, difference.count(verdict))),
            unreadable: difference.unreadable(),
            shared: [0; 2],
            identical: [0; 2],
            bits: [0.0; 2],
            changes: difference.changes(),
            is_damaged: false,
        };
        for row in &difference.rows {
            let (Some(a), Some(b)) = (&row.a, &row.b) else {
                continue;
            };
            let elements = a.shape.elements();
            let add = |[tensors, sum]: &mut [u64; 2]| {
                *tensors += 1;
                *sum = sum.saturating_add(elements);
            };
            add(&mut summary.shared);
            if matches!(row.verdict, Ok(Verdict::Identical)) {
                add(&mut summary.identical);
            }
            summary.bits[0] += a.dtype.bits() * elements as f64;
            summary.bits[1] += b.dtype.bits() * elements as f64;
            let is_lossy = row.metrics.changed.is_some_and(|changed| changed > 0);
            summary.is_damaged |= a.dtype != b.dtype && is_lossy;
        }
        summary.bits = summary.bits.map(|bits| bits / summary.shared[1] as f64);
        summary
    }
}

fn compare(args: &Args, global: &Global) -> Result<Found> {
    let renames = args.rename.iter().map(|text| Rename::read(text));
    let renames = renames.collect::<Result<Vec<Rename>>>()?;
    let allowed = args.allow.iter().map(verdict);
    let allowed = allowed.collect::<Result<Vec<Verdict>>>()?;
    let by = args.by.as_deref().map(Grouping::read).transpose()?;
    // A page for a browser shows layers unless it is told.
    let by = by.or_else(|| (global.format() == Format::Html).then_some(Grouping::Layer));
    let selection = args.selection.selection()?;
    let [a, b] = open(args, global)?;
    let bar = Bar::new(global, "diff", a.totals().1.saturating_add(b.totals().1));
    let tolerance = (args.rtol.is_some() || args.atol.is_some()).then(|| Tolerance {
        rtol: args.rtol.unwrap_or(0.0),
        atol: args.atol.unwrap_or(0.0),
    });
    let options = Options {
        renames,
        is_exact: args.no_match,
        tolerance,
        selection,
        structure_only: args.structure,
        with_norms: by.is_some(),
        threads: global.threads(),
    };
    let difference = diff::diff(&a, &b, &options, &bar)?;
    drop(bar);
    say(&difference, global);
    let groups = by.map(|by| difference.groups(&by)).unwrap_or_default();
    let mut found = Found {
        is_same: difference.is_same(&allowed),
        summary: Summary::new(&difference),
        groups,
        difference,
    };
    order::arrange(&mut found, args);
    Ok(found)
}

/// What was assumed, and what could not be read.
fn say(difference: &Difference, global: &Global) {
    let (a, b) = (&difference.a.path, &difference.b.path);
    for text in &difference.assumptions {
        global.say(&format!("{a}, {b}: note: {text}"));
    }
    for row in &difference.rows {
        if let Err(error) = &row.verdict {
            output::say_error(error);
        }
    }
}

/// Opens both sides and restricts them to their roots. A key that only one side has is looked
/// for there; the other side may be the bare model.
fn open(args: &Args, global: &Global) -> Result<[Checkpoint; 2]> {
    let sides = [format::open(&args.a)?, format::open(&args.b)?];
    let choice = |key: &Option<String>| root_choice(key.as_deref(), Choice::Auto);
    let mut choices = [choice(&args.root), choice(&args.root)];
    if args.root_b.is_some() {
        choices[1] = choice(&args.root_b);
    } else if let Choice::Key(key) = choice(&args.root) {
        let has = [root::has(&sides[0], &key), root::has(&sides[1], &key)];
        if has.contains(&true) {
            for ((side, choice), _) in sides.iter().zip(&mut choices).zip(has).filter(|(_, h)| !h) {
                *choice = Choice::Auto;
                let path = &side.path;
                global.say(&format!("{path}: note: nothing stands under `{key}` here"));
            }
        }
    }
    let [a, b] = sides;
    let [choice_a, choice_b] = choices;
    Ok([
        global.restrict(a, &choice_a)?,
        global.restrict(b, &choice_b)?,
    ])
}

fn write(out: &mut dyn Write, found: &Found, args: &Args, global: &Global) -> io::Result<()> {
    if global.format() == Format::Json {
        json::write(out, &Document { found, args })?;
        return writeln!(out);
    }
    let mut writer = Writer::new(out, global.style(), false)?;
    writer.page(&page::page(found, args, global))?;
    writer.finish()
}
