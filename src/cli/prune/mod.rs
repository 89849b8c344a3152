//! `ckpt prune`: leave out what is not needed, zero what does not matter.

mod folder;
mod parts;
mod zeroing;

use super::Status;
use super::args::{Format, Global, RootArgs, SelectionArgs};
use super::progress::Bar;
use super::transform::rules::{self, RuleArgs};
use super::transform::{self, Dropped, Making, Report, WriteArgs, target_path};
use ckpt::format::{self, ReadOptions};
use ckpt::model::Level;
use ckpt::op::convert::{Converted, Reason};
use ckpt::op::prune::layers::DropLayers;
use ckpt::op::prune::{self, Kind, Options, Pruned, Recipe, Weights};
use ckpt::op::root::Choice;
use ckpt::{Error, Result};
use clap::ValueEnum;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use zeroing::ZeroingArgs;

/// Entries of a metadata array that are read: more layers than any model has.
const LAYERS: u64 = 1024;

/// The arguments of `ckpt prune`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Without options, what inference needs is kept: the model under its own \
    names, without optimizer, scheduler, random state, second copies of the weights and the \
    wrappers' prefixes. What is not known is kept, with a warning.\n\n\
    Examples:\n  \
    ckpt prune last.ckpt model.safetensors\n  \
    ckpt prune last.ckpt model.safetensors --dry-run\n  \
    ckpt prune sd-full-ema.ckpt sd.safetensors --weights ema --dtype f16\n  \
    ckpt prune checkpoint-500/ published/          a folder that is there\n  \
    ckpt prune model.pt small.safetensors --drop 'aux_head.*'\n  \
    ckpt prune sd.safetensors --component list\n  \
    ckpt prune sd.safetensors vae.safetensors --component vae\n  \
    ckpt prune llama/ shorter/ --drop-layers 20..24"
)]
pub(crate) struct Args {
    /// A file, an index or a folder; `-` is standard input
    #[arg(value_name = "SRC", required_unless_present = "recipe")]
    source: Option<PathBuf>,
    /// The file to write, `NAME.safetensors`; or a folder to write it into
    #[arg(value_name = "DST")]
    target: Option<PathBuf>,
    /// Whose checkpoint it is, where its contents do not say; `list` lists them
    #[arg(long, value_name = "NAME", help_heading = "What is left out")]
    recipe: Option<String>,
    /// Tensors that stay, whatever else says; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "What is left out")]
    keep: Vec<String>,
    /// Tensors that go; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "What is left out")]
    drop: Vec<String>,
    /// Which copy of the weights, where there are two
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = WeightsArg::Auto, help_heading = "What is left out")]
    weights: WeightsArg,
    /// Also leave out counters that training kept: `num_batches_tracked`
    #[arg(long, help_heading = "What is left out")]
    drop_buffers: bool,
    /// Only this part, under the names that its own loaders expect: `unet`, `vae`,
    /// `text-encoder`, `lora`, ...; `list` lists those of SRC
    #[arg(long, value_name = "PART", help_heading = "What is left out")]
    component: Option<String>,
    /// Leave out layers and renumber the others: `20..24` is 20 to 23, as is `20..=23`; `3,5,7`;
    /// `decoder.layers:0..2` where there are several stacks; repeatable
    #[arg(long, value_name = "[STACK:]LAYERS", help_heading = "What is left out")]
    drop_layers: Vec<String>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    zeroing: ZeroingArgs,
    #[command(flatten)]
    write: WriteArgs,
}

/// What `--weights` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum WeightsArg {
    /// What the programs that load such checkpoints take
    Auto,
    /// As the optimizer left them
    Live,
    /// Their moving average
    Ema,
}

impl From<WeightsArg> for Weights {
    fn from(arg: WeightsArg) -> Weights {
        match arg {
            WeightsArg::Auto => Weights::Auto,
            WeightsArg::Live => Weights::Live,
            WeightsArg::Ema => Weights::Ema,
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    transform::require_format("prune", global)?;
    if args.recipe.as_deref() == Some("list") {
        return list_recipes(global);
    }
    let options = options(args)?;
    let (source, target) = match (&args.source, &args.target) {
        (Some(source), _) if options.component.as_deref() == Some("list") => {
            return list_parts(source, &options, global);
        }
        (Some(source), Some(target)) => (source, target_path(source, target)),
        _ => return Err(Error::usage("SRC and DST are needed")),
    };
    let mut convert_options = args.write.options(&target, global.threads())?;
    folder::check(source)?;
    // A list of one entry a layer must be there as a whole.
    let read = ReadOptions {
        array_elements: LAYERS,
        ..ReadOptions::SUMMARY
    };
    let checkpoint = format::open_with(source, &read)?;
    let path = checkpoint.path.clone();
    let in_file = |error: Error| error.in_file(&path);
    let folder = folder::files(source)?;
    let bar = Bar::new(
        global,
        "measuring",
        zeroing::bytes_to_read(&checkpoint, &options.zeroing),
    );
    let mut pruned = prune::prune(checkpoint, &options, global.threads(), &bar).map_err(in_file)?;
    drop(bar);
    global.say_notes(&path, &pruned.notes, Level::Info);
    say_weights(global, &path, &pruned, options.weights);
    let mut checkpoint = std::mem::take(&mut pruned.checkpoint);
    args.write.tie(&mut checkpoint, &target, global)?;
    let names: HashMap<String, String> = checkpoint
        .tensors
        .iter()
        .zip(&pruned.sources)
        .map(|(tensor, source)| (tensor.name.clone(), source.clone()))
        .collect();
    rules::say_unused(&pruned.unused_rules, global);
    convert_options.wanted = std::mem::take(&mut pruned.asked);
    let making = Making {
        target: &target,
        args: &args.write,
        rules: &options.rules,
        metadata: &[],
    };
    let made = making.make(checkpoint, convert_options, global)?;
    let mut converted = made.converted;
    say_reasons(&mut converted, &pruned, &names);
    let source_name = |name: &str| names.get(name).map_or(name, String::as_str).to_owned();
    let mut report = Report::new("prune", "pruning", source, &converted, &source_name);
    report.dropped = dropped(&pruned, &folder);
    report.companions = folder::companions(source, &pruned);
    report.rewritten = folder::rewritten(&report.companions, &pruned, global)?;
    report.skips = |name| prune::is_training_file(name).is_some();
    report.more = more(&pruned);
    report.more.extend(made.more);
    if !args.write.is_dry_run() {
        report.say_dropped(global);
    }
    report.page = zeroing::page(&path, &pruned.zeroed);
    transform::finish(report, &target, &args.write, global)
}

fn list_parts(source: &Path, options: &Options, global: &Global) -> Result<Status> {
    let checkpoint = format::open_with(source, &ReadOptions::SUMMARY)?;
    let path = checkpoint.path.clone();
    let parts = prune::parts(checkpoint, options).map_err(|error| error.in_file(&path))?;
    parts::list(&parts, &path, global)?;
    Ok(Status::Done)
}

fn options(args: &Args) -> Result<Options> {
    let recipe = match args.recipe.as_deref() {
        None => None,
        Some(name) => Some(Recipe::named(name).ok_or_else(|| unknown_recipe(name))?),
    };
    Ok(Options {
        recipe,
        root: args.root.choice(Choice::Auto),
        selection: args.selection.selection()?,
        keep: args.keep.clone(),
        drop: args.drop.clone(),
        rules: args.rules.rules(&[])?,
        drops_counters: args.drop_buffers,
        component: args.component.clone(),
        layers: args
            .drop_layers
            .iter()
            .map(|text| DropLayers::read(text))
            .collect::<Result<_>>()?,
        weights: args.weights.into(),
        zeroing: args.zeroing.zeroing()?,
    })
}

fn unknown_recipe(name: &str) -> Error {
    let names: Vec<&str> = prune::RECIPES.iter().map(|recipe| recipe.name).collect();
    Error::usage(format!(
        "`{name}` is no recipe; there are {}",
        names.join(", ")
    ))
    .with_hint("`--recipe list` says what each is for")
}

fn list_recipes(global: &Global) -> Result<Status> {
    global.emit(|out| {
        if global.format() == Format::Json {
            let recipes = prune::RECIPES.iter();
            let list: Vec<Json> = recipes
                .map(|recipe| serde_json::json!({"name": recipe.name, "about": recipe.about}))
                .collect();
            serde_json::to_writer_pretty(&mut *out, &list)?;
            return writeln!(out);
        }
        for recipe in prune::RECIPES {
            writeln!(out, "{:<11} {}", recipe.name, recipe.about)?;
        }
        Ok(())
    })?;
    Ok(Status::Done)
}

fn say_weights(global: &Global, path: &str, pruned: &Pruned, asked: Weights) {
    let (Some(weights), Weights::Auto, true) = (pruned.weights, asked, pruned.has_other_weights)
    else {
        return;
    };
    let (taken, other) = match weights {
        prune::Copy::Live => ("live weights", "ema"),
        prune::Copy::Ema => ("moving average", "live"),
    };
    global.say(&format!(
        "{path}: holds two copies of the weights; taken: the {taken}; `--weights {other}` takes the other"
    ));
}

/// Puts what pruning did in the place of "kept".
fn say_reasons(converted: &mut Converted, pruned: &Pruned, names: &HashMap<String, String>) {
    let sources = pruned.sources.iter().zip(&pruned.reasons);
    let reasons: HashMap<&str, Reason> = sources
        .filter_map(|(source, reason)| Some((source.as_str(), reason.clone()?)))
        .collect();
    for change in &mut converted.changes {
        let source = names.get(&change.from_name);
        let reason = source.and_then(|source| reasons.get(source.as_str()));
        if let (Reason::Kept, Some(reason)) = (&change.reason, reason) {
            change.reason = reason.clone();
        }
    }
}

fn dropped(pruned: &Pruned, files: &[(String, u64)]) -> Vec<Dropped> {
    let files = prune::left_out_files(files);
    let all = pruned.dropped.iter().chain(&files);
    all.map(|dropped| Dropped {
        kind: match dropped.kind {
            Kind::Tensor => "tensor",
            Kind::Value => "value",
            Kind::File => "file",
        },
        name: dropped.name.clone(),
        reason: dropped.reason,
        bytes: dropped.bytes,
    })
    .collect()
}

fn more(pruned: &Pruned) -> Map<String, Json> {
    let mut more = Map::new();
    more.insert("recipe".to_owned(), pruned.recipe.name.into());
    let weights = pruned.weights.map(prune::Copy::name);
    more.insert("weights".to_owned(), weights.into());
    let part = pruned.part.as_ref().map(|part| part.name.as_str());
    more.insert("component".to_owned(), part.into());
    let layers = pruned.layers.iter();
    let layers = layers.map(|layers| {
        serde_json::json!({"stack": layers.stack, "before": layers.before, "dropped": layers.gone})
    });
    more.insert("layers".to_owned(), layers.collect());
    more.insert("zeroed".to_owned(), zeroing::json(&pruned.zeroed));
    more
}
