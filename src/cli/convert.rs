//! `ckpt convert`: another format, dtype or sharding.

use super::args::{Format, Global, RootArgs, SelectionArgs};
use super::progress::Bar;
use super::{Status, companions};
use ckpt::dtype::cast::Losses;
use ckpt::format::{self, Output, Plan, ReadOptions, WriteOptions};
use ckpt::io::{SinkOptions, is_folder};
use ckpt::model::{Checkpoint, Level};
use ckpt::op::convert::{self, Change, Converted, Options, Reason, Tied};
use ckpt::op::root::{self, Choice};
use ckpt::text::{grouped, human_bytes, parse_size};
use ckpt::{DType, Error, Result};
use clap::ValueEnum;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The arguments of `ckpt convert`. (`-f/--force`, `-o`, `-q`, `-j` and `--json` are in
/// [`Global`].)
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A file, an index or a folder; `-` is standard input
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The file to write, `NAME.safetensors`; or a folder to write it into
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// The dtype for every floating tensor; integers and bools stay
    #[arg(long, value_name = "DTYPE", value_enum, ignore_case = true)]
    dtype: Option<Target>,
    /// What becomes of tensors that share their bytes
    #[arg(long, value_name = "HOW", value_enum, default_value_t = TiedArg::Alias)]
    tied: TiedArg,
    /// Split into shards of at most this much data, with an index: `5GB`, `512MiB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_shard_size: Option<u64>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Read the output back and compare every tensor before it gets its name
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// Let the output take the place of the source
    #[arg(long)]
    in_place: bool,
    /// Do not wait until the disk has the bytes
    #[arg(long)]
    no_sync: bool,
    /// Leave the small files beside the weights behind (config, tokenizer, model card, licence)
    #[arg(long)]
    weights_only: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
}

/// The dtypes that `--dtype` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    F32,
    F16,
    Bf16,
    F64,
}

impl Target {
    fn dtype(self) -> DType {
        match self {
            Target::F32 => DType::F32,
            Target::F16 => DType::F16,
            Target::Bf16 => DType::BF16,
            Target::F64 => DType::F64,
        }
    }
}

/// What `--tied` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TiedArg {
    /// Stored once; the other names are recorded in the metadata
    Alias,
    /// Written again under each name
    Clone,
}

fn size(text: &str) -> std::result::Result<u64, String> {
    let size = parse_size(text).filter(|size| *size > 0);
    size.ok_or_else(|| "not a size such as `5GB`, `512MiB` or `1000`".to_owned())
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    global.require_format("convert", &[Format::Table, Format::Json])?;
    let target = target_path(&args.source, &args.target);
    let holds = format::dtypes_of_target(&target)?;
    let checkpoint = format::open_with(&args.source, &ReadOptions::SUMMARY)?;
    let chosen = choose(checkpoint, args, global)?;
    let options = Options {
        dtype: args.dtype.map(Target::dtype),
        tied: match args.tied {
            TiedArg::Alias => Tied::Alias,
            TiedArg::Clone => Tied::Clone,
        },
        holds,
    };
    let path = chosen.checkpoint.path.clone();
    let converted = convert::convert(chosen.checkpoint, &options).map_err(|e| e.in_file(&path))?;
    let plan = format::plan(&converted.checkpoint, &target, args.max_shard_size)?;
    say_changes(global, &path, &converted);
    let replace = check_in_place(args, &converted.checkpoint, &plan)?;
    let mut report = Report {
        source: &args.source,
        prefix: chosen.prefix,
        dropped: chosen.dropped,
        converted: &converted,
        outputs: plan.outputs(),
        losses: None,
        verified: None,
    };
    if args.dry_run {
        global.emit(|out| report.write(global, out))?;
        return Ok(Status::Done);
    }
    let sink = SinkOptions {
        replace: replace || global.force,
        sync: !args.no_sync,
    };
    let write_options = WriteOptions {
        sink,
        threads: global.threads(),
        max_shard_size: args.max_shard_size,
        verify: args.verify,
    };
    let bar = Bar::new(global, "converting", plan.data_bytes());
    let written = format::write(&converted.checkpoint, &target, &write_options, &bar)
        .map_err(|error| error.in_file(&path))?;
    drop(bar);
    if !args.weights_only && is_folder(&args.source) {
        companions::bring(global, &args.source, &target, sink)?;
    }
    for stale in &written.stale {
        let name = stale.display();
        global.say(&format!(
            "{name}: warning: is no part of what was written now"
        ));
    }
    say_losses(global, &target, &converted, &written.losses);
    report.losses = Some(written.losses);
    report.verified = args.verify.then_some(true);
    match global.format() {
        Format::Json => global.emit(|out| report.write(global, out))?,
        _ => report.say_done(global),
    }
    Ok(Status::Done)
}

/// Inside `target`, if that is a folder.
fn target_path(source: &Path, target: &Path) -> PathBuf {
    if !is_folder(target) {
        return target.to_owned();
    }
    let stem = match is_folder(source) {
        true => None,
        false => source.file_stem().filter(|stem| *stem != "-"),
    };
    let mut name = stem.unwrap_or("model".as_ref()).to_os_string();
    name.push(".safetensors");
    target.join(name)
}

/// What is to be converted.
struct Chosen {
    checkpoint: Checkpoint,
    /// What was cut off the names.
    prefix: String,
    dropped: Vec<Dropped>,
}

/// A tensor that is not converted.
struct Dropped {
    name: String,
    reason: &'static str,
    bytes: u64,
}

fn choose(mut checkpoint: Checkpoint, args: &Args, global: &Global) -> Result<Chosen> {
    let path = checkpoint.path.clone();
    let mut dropped = Vec::new();
    let selection = args.selection.selection()?;
    if !selection.is_everything() {
        let chosen = selection
            .choose(&checkpoint)
            .map_err(|e| e.in_file(&path))?;
        let pairs = checkpoint.tensors.iter().zip(&chosen);
        dropped.extend(
            pairs
                .filter(|(_, kept)| !**kept)
                .map(|(tensor, _)| Dropped {
                    name: tensor.name.clone(),
                    reason: "not selected",
                    bytes: tensor.byte_len().unwrap_or(0),
                }),
        );
        checkpoint.keep(&chosen);
    }
    let all: Vec<(String, u64)> = checkpoint
        .tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.byte_len().unwrap_or(0)))
        .collect();
    let rooted = root::restrict(checkpoint, &args.root.choice(Choice::Auto))?;
    let checkpoint = rooted.checkpoint;
    let is_cut = checkpoint.tensors.len() < all.len() || !rooted.left_out.is_empty();
    let root = checkpoint.root.as_deref().unwrap_or_default();
    let prefix = match all
        .iter()
        .any(|(name, _)| Some(name) == first_name(&checkpoint))
    {
        true => String::new(),
        false => format!("{root}."),
    };
    if is_cut {
        let kept: HashSet<String> = checkpoint
            .tensors
            .iter()
            .map(|tensor| format!("{prefix}{}", tensor.name))
            .collect();
        let left_out = all.into_iter().filter(|(name, _)| !kept.contains(name));
        dropped.extend(left_out.map(|(name, bytes)| Dropped {
            name,
            reason: "outside the root",
            bytes,
        }));
        global.say_left_out(&path, root, &rooted.left_out);
    }
    global.say_notes(&path, &checkpoint.notes, Level::Warning);
    say_values(global, &path, &checkpoint);
    Ok(Chosen {
        checkpoint,
        prefix,
        dropped,
    })
}

fn first_name(checkpoint: &Checkpoint) -> Option<&String> {
    checkpoint.tensors.first().map(|tensor| &tensor.name)
}

/// Says which values have no place in a file of tensors.
fn say_values(global: &Global, path: &str, checkpoint: &Checkpoint) {
    const SHOWN: usize = 8;
    let count = checkpoint.values.len();
    if count == 0 {
        return;
    }
    let keys = checkpoint.values.iter().take(SHOWN);
    let mut keys: Vec<&str> = keys.map(|(key, _)| key.as_str()).collect();
    if count > SHOWN {
        keys.push("...");
    }
    let keys = keys.join(", ");
    global.say(&format!(
        "{path}: values that are no tensors are left out: {keys}"
    ));
}

/// Says what could not be kept as it was.
fn say_changes(global: &Global, path: &str, converted: &Converted) {
    let sum = |reason: Reason, bytes: fn(&Change) -> u64| -> u64 {
        let changes = converted.changes.iter();
        changes.filter(|c| c.reason == reason).map(bytes).sum()
    };
    let before = sum(Reason::Decoded, |change| change.bytes_before);
    if before > 0 {
        let (before, after) = (
            human_bytes(before),
            human_bytes(sum(Reason::Decoded, |change| change.bytes_after)),
        );
        global.say(&format!(
            "{path}: quantised blocks are decoded to F32: {before} become {after}; `--dtype bf16` halves that"
        ));
    }
    if !converted.lost_metadata.is_empty() {
        let keys = converted.lost_metadata.join(", ");
        global.say(&format!(
            "{path}: metadata that is no text is left out: {keys}"
        ));
    }
}

/// Whether the output replaces the source, and may.
fn check_in_place(args: &Args, checkpoint: &Checkpoint, plan: &Plan) -> Result<bool> {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    let mut sources: HashSet<PathBuf> = HashSet::new();
    let mut last = String::new();
    for tensor in &checkpoint.tensors {
        for source in tensor.payload.sources() {
            if source.name() != last {
                source.name().clone_into(&mut last);
                sources.extend(canonical(Path::new(&last)));
            }
        }
    }
    sources.extend(canonical(&args.source));
    for output in plan.outputs() {
        let is_source = canonical(&output.path).is_some_and(|path| sources.contains(&path));
        if is_source && !args.in_place {
            let error = Error::usage("is the source itself");
            return Err(error
                .in_file(&output.path.to_string_lossy())
                .with_hint("`--in-place` lets the output take its place"));
        }
        if is_source {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says what the casts lost.
fn say_losses(global: &Global, target: &Path, converted: &Converted, losses: &[Losses]) {
    let say = |count: fn(&Losses) -> u64, what: &str| {
        let tensors = converted.checkpoint.tensors.iter().zip(losses);
        let lossy: Vec<(&str, u64)> = tensors
            .map(|(tensor, losses)| (tensor.name.as_str(), count(losses)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let total = lossy.iter().map(|(_, count)| count).sum();
        if let Some((first, _)) = lossy.first() {
            global.say(&format!(
                "{}: {} values {what}, in {} tensors, `{first}` the first",
                target.display(),
                grouped(total),
                grouped(lossy.len() as u64)
            ));
        }
    };
    say(|losses| losses.overflow, "became infinite");
    say(|losses| losses.underflow, "became zero or subnormal");
}

/// What was done, or would be.
struct Report<'a> {
    source: &'a Path,
    prefix: String,
    dropped: Vec<Dropped>,
    converted: &'a Converted,
    outputs: Vec<Output>,
    losses: Option<Vec<Losses>>,
    verified: Option<bool>,
}

impl Report<'_> {
    fn write(&self, global: &Global, out: &mut dyn Write) -> io::Result<()> {
        match global.format() {
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &self.json())?;
                writeln!(out)
            }
            _ => self.write_text(out),
        }
    }

    fn json(&self) -> Json {
        let outputs = self.outputs.iter();
        let outputs: Vec<Json> = outputs
            .map(|output| json!({"file": output.path.to_string_lossy(), "bytes": output.bytes}))
            .collect();
        let dropped = self.dropped.iter();
        let dropped: Vec<Json> = dropped
            .map(|d| json!({"name": d.name, "reason": d.reason, "bytes": d.bytes}))
            .collect();
        json!({
            "schema": "ckpt.convert/1",
            "source": self.source.to_string_lossy(),
            "outputs": outputs,
            "tensors": self.tensors(),
            "dropped": dropped,
            "verified": self.verified,
        })
    }

    fn tensors(&self) -> Vec<Json> {
        let tensors = self.converted.checkpoint.tensors.iter();
        let pairs = tensors.zip(&self.converted.changes).enumerate();
        pairs
            .map(|(index, (tensor, change))| {
                // Before anything is cast, nobody knows what that loses.
                let losses = self.losses.as_ref().and_then(|losses| losses.get(index));
                json!({
                    "name": tensor.name,
                    "from": {
                        "name": format!("{}{}", self.prefix, change.from_name),
                        "dtype": change.from_dtype.to_string(),
                    },
                    "to": tensor.dtype.to_string(),
                    "reason": change.reason.name(),
                    "bytes_before": change.bytes_before,
                    "bytes_after": change.bytes_after,
                    "overflow": losses.map(|losses| losses.overflow),
                    "underflow": losses.map(|losses| losses.underflow),
                })
            })
            .collect()
    }

    /// One line for each kind of change, then the outputs.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut kinds: BTreeMap<(String, String, &str), (u64, u64, u64)> = BTreeMap::new();
        let tensors = self.converted.checkpoint.tensors.iter();
        for (tensor, change) in tensors.zip(&self.converted.changes) {
            let (from, to) = (change.from_dtype.to_string(), tensor.dtype.to_string());
            let sums = kinds.entry((from, to, change.reason.name())).or_default();
            sums.0 += 1;
            sums.1 += change.bytes_before;
            sums.2 += change.bytes_after;
        }
        for ((from, to, reason), (count, before, after)) in kinds {
            let (count, before, after) = (grouped(count), human_bytes(before), human_bytes(after));
            writeln!(
                out,
                "{from:<10} -> {to:<5} {reason:<12} x{count:<8} {before:>8} -> {after:>8}"
            )?;
        }
        if !self.dropped.is_empty() {
            let bytes = self.dropped.iter().map(|dropped| dropped.bytes).sum();
            let count = grouped(self.dropped.len() as u64);
            writeln!(out, "left out: {count} tensors, {}", human_bytes(bytes))?;
        }
        for output in &self.outputs {
            let path = output.path.to_string_lossy();
            let path = ckpt::text::escape(&path);
            writeln!(out, "{path}  {} bytes", grouped(output.bytes))?;
        }
        Ok(())
    }

    fn say_done(&self, global: &Global) {
        for output in &self.outputs {
            global.say(&format!(
                "{}: written, {}{}",
                output.path.display(),
                human_bytes(output.bytes),
                if self.verified == Some(true) {
                    ", verified"
                } else {
                    ""
                }
            ));
        }
    }
}
