//! `ckpt inspect`: what is in a checkpoint.

mod document;
mod page;
mod tables;

use super::Status;
use super::args::{Format, Global, RootArgs, SelectionArgs};
use super::report::{self, Report};
use ckpt::format::{self, ReadOptions};
use ckpt::model::Checkpoint;
use ckpt::op::identity::adapter::Health;
use ckpt::op::identity::training::Training;
use ckpt::op::identity::{self, Identity, adapter, training};
use ckpt::op::inspect::{self, Order};
use ckpt::op::licence::{self, Licences};
use ckpt::op::root::{self, Choice, LeftOut};
use ckpt::op::schema;
use ckpt::op::select::Selection;
use ckpt::report::Page;
use ckpt::{Error, Result};
use clap::ValueEnum;
use document::Document;
use std::path::{Path, PathBuf};

/// The arguments of `ckpt inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ckpt inspect model.safetensors                 facts, then tensors, equal layers as one row
  ckpt inspect model.gguf --metadata             every key in full, with its long arrays
  ckpt inspect checkpoint.pt --root optimizer    one part of a training checkpoint
  ckpt inspect model.pt --flat --sort size       every tensor, the largest first
  ckpt inspect model.pt -i '*.bias' --tree       a selection, as a tree with subtotals
  ckpt inspect lora.safetensors --adapter        what each module of a LoRA changes, and how much
  ckpt inspect *.safetensors --json | jq '.[].totals.bytes'
  ckpt inspect good.safetensors --as-schema > model.toml; ckpt audit new.safetensors --schema model.toml")]
pub(crate) struct Args {
    /// Files, indexes or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Every tensor a row of its own
    #[arg(long)]
    flat: bool,
    /// The names as a tree, with subtotals
    #[arg(long, conflicts_with = "flat")]
    tree: bool,
    /// All metadata and values in full, long arrays too; no tensors unless --flat or --tree
    #[arg(long)]
    metadata: bool,
    /// Read the values of an adapter: the norm of each change, what does nothing, NaN, outliers
    #[arg(long, conflicts_with_all = ["flat", "tree"])]
    adapter: bool,
    /// The order of the tensors; sizes start with the largest
    #[arg(long, value_name = "KEY", value_enum)]
    sort: Option<SortKey>,
    /// The other way round
    #[arg(long)]
    reverse: bool,
    /// What a checkpoint must be like to be of this form, for `ckpt audit --schema` (TOML)
    #[arg(long, conflicts_with_all = ["flat", "tree", "metadata", "sort", "reverse"])]
    as_schema: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SortKey {
    /// By name, numbers in it as numbers
    Name,
    /// By bytes
    Size,
    /// By number of elements
    Elements,
    /// By place in the file
    Offset,
    /// By dtype
    Dtype,
}

/// How tensors are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Folded,
    Flat,
    Tree,
    /// The modules of an adapter in their place.
    Adapter,
    None,
}

/// What the checkpoint is, and what may be done with it.
struct About {
    identity: Identity,
    licences: Licences,
    training: Option<Training>,
    /// Of an adapter whose values were asked for.
    health: Option<Health>,
}

/// What was found at one path.
struct Found {
    checkpoint: Checkpoint,
    about: About,
    order: Order,
    is_reverse: bool,
    left_out: LeftOut,
    is_selection: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    if args.as_schema {
        global.require_format("inspect --as-schema", &[Format::Table])?;
        if args.paths.len() > 1 {
            let found = args.paths.len();
            let message = format!("a schema is of one checkpoint, but {found} paths are given");
            return Err(Error::usage(message));
        }
    }
    report::run(&Request::new(args, global)?, global, &args.paths)
}

/// What was asked for.
struct Request<'a> {
    args: &'a Args,
    global: &'a Global,
    selection: Selection,
    choice: Choice,
}

impl<'a> Request<'a> {
    fn new(args: &'a Args, global: &'a Global) -> Result<Request<'a>> {
        Ok(Request {
            args,
            global,
            selection: args.selection.selection()?,
            choice: args.root.choice(Choice::Everything),
        })
    }

    fn describe(&self, checkpoint: &Checkpoint, path: &Path) -> Result<About> {
        let beside = format::beside(path);
        let identity = identity::identify(checkpoint, &beside);
        let health = match (&identity.adapter, self.args.adapter) {
            (Some(found), true) => {
                Some(adapter::measure(found, checkpoint, self.global.threads())?)
            }
            (None, true) => {
                let error = Error::usage(
                    "is no adapter that is known here; --adapter reads the values of one",
                );
                return Err(error.in_file(&path.to_string_lossy()));
            }
            (_, false) => None,
        };
        Ok(About {
            licences: licence::find(checkpoint, &beside, &identity),
            training: training::read(checkpoint),
            identity,
            health,
        })
    }

    fn open(&self, path: &Path) -> Result<Found> {
        let options = match self.args.metadata {
            true => ReadOptions::ALL,
            false => ReadOptions::SUMMARY,
        };
        let mut checkpoint = format::open_with(path, &options)?;
        // Of the whole: a selection would hide what decides.
        let about = self.describe(&checkpoint, path)?;
        self.selection.apply(&mut checkpoint)?;
        let rooted = root::restrict(checkpoint, &self.choice)?;
        let mut checkpoint = rooted.checkpoint;
        let order = match self.args.sort {
            None => Order::File,
            Some(SortKey::Name) => Order::Name,
            Some(SortKey::Size) => Order::Size,
            Some(SortKey::Elements) => Order::Elements,
            Some(SortKey::Offset) => Order::Offset,
            Some(SortKey::Dtype) => Order::DType,
        };
        inspect::sort(&mut checkpoint, order, self.args.reverse);
        Ok(Found {
            checkpoint,
            about,
            order,
            is_reverse: self.args.reverse,
            left_out: rooted.left_out,
            is_selection: !self.selection.is_everything(),
        })
    }
}

impl Report for Request<'_> {
    type Found = Found;

    const SCHEMA: &'static str = document::SCHEMA;

    fn find(&self, path: &Path) -> Result<Found> {
        self.open(path)
    }

    fn document<'a>(&'a self, found: &'a Found) -> impl serde::Serialize + 'a {
        Document::new(&found.checkpoint, &found.about, self.args.metadata)
    }

    fn page(&self, found: &Found) -> Page {
        let listing = match self.args {
            Args { adapter: true, .. } => Listing::Adapter,
            Args { flat: true, .. } => Listing::Flat,
            Args { tree: true, .. } => Listing::Tree,
            _ if self.global.format() == Format::Csv => Listing::Flat,
            Args { metadata: true, .. } => Listing::None,
            _ => Listing::Folded,
        };
        page::page(found, listing, self.args.metadata)
    }
    fn lines(&self, found: &Found) -> Option<String> {
        let is_wanted = self.args.as_schema;
        is_wanted.then(|| schema::write::write(&found.checkpoint, &found.about.identity))
    }

    fn status(&self, _: &Found) -> Status {
        Status::Done
    }
}
