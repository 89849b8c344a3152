//! `ckpt convert`: another format, dtype or sharding.

use super::Status;
use super::args::{Format, Global, RootArgs, SelectionArgs};
use super::transform::{self, Dropped, Report, WriteArgs, say_values, target_path};
use ckpt::format;
use ckpt::io::read_small_text;
use ckpt::model::{Checkpoint, Level};
use ckpt::op::convert::{self, Converted};
use ckpt::op::root::{self, Choice};
use ckpt::op::rules::{Rules, Wanted};
use ckpt::{Error, Result, limits};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// The arguments of `ckpt convert`. (`-f/--force`, `-o`, `-q`, `-j` and `--json` are in
/// [`Global`].)
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A file, an index or a folder; `-` is standard input
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The file to write, of the format that its extension says (`.safetensors`, `.gguf`, `.pt`, `.pth`, `.bin`, `.ckpt`, `.npz`, `.npy`); or a folder to write a safetensors file into
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// Sets an entry of the metadata; the type is one of GGUF's (`u32`, `f32`, `bool`, `str` ...)
    /// or the one that the entry has; repeatable
    #[arg(long, value_name = "KEY=VALUE[:TYPE]")]
    metadata: Vec<String>,
    /// The dtype of tensors whose source name matches, or `keep`; the first that matches counts;
    /// repeatable
    #[arg(long, value_name = "GLOB=DTYPE")]
    dtype_for: Vec<String>,
    /// Leave out tensors whose source name matches; repeatable
    #[arg(long, value_name = "GLOB")]
    drop: Vec<String>,
    /// Change names, after everything else; `\1` or `$1` stands for the first group; repeatable
    #[arg(long, value_name = "REGEX=REPLACEMENT")]
    rename: Vec<String>,
    /// Rules in a file (TOML), after those above: `[[rule]]` with `match` (a glob or `re:...`) and
    /// `dtype`, `keep = true`, `drop = true` or `rename`
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    global.require_format("convert", &[Format::Table, Format::Json])?;
    let target = target_path(&args.source, &args.target);
    let mut options = args.write.options(&target, global.threads())?;
    let rules = rules(args)?;
    let checkpoint = format::open_for(&args.source, &target)?;
    let mut chosen = choose(checkpoint, args, global)?;
    transform::metadata::set(&mut chosen.checkpoint, &args.metadata)?;
    let path = chosen.checkpoint.path.clone();
    options.wanted = apply(&rules, &mut chosen, global)?;
    let converted = convert::convert(chosen.checkpoint, &options).map_err(|e| e.in_file(&path))?;
    let converted = rename(converted, &rules, global)?;
    let source_name = |name: &str| format!("{}{name}", chosen.prefix);
    let mut report = Report::new(
        "convert",
        "converting",
        &args.source,
        &converted,
        &source_name,
    );
    report.dropped = chosen.dropped;
    transform::finish(report, &target, &args.write, global)
}

/// The rules of flags, then those of the file.
fn rules(args: &Args) -> Result<Rules> {
    let mut rules = Rules::default();
    for text in &args.dtype_for {
        rules.add_dtype_for(text)?;
    }
    for text in &args.drop {
        rules.add_drop(text)?;
    }
    for text in &args.rename {
        rules.add_rename(text)?;
    }
    if let Some(path) = &args.rules {
        let text = read_small_text(path, limits::RULES)?;
        let added = rules.add_file(&text);
        added.map_err(|error| error.in_file(&path.to_string_lossy()))?;
    }
    Ok(rules)
}

/// Leaves out what the rules drop; the dtypes that they name for the others.
fn apply(rules: &Rules, chosen: &mut Chosen, global: &Global) -> Result<Vec<Option<Wanted>>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let tensors = &chosen.checkpoint.tensors;
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let decided = rules.decide(&names, &chosen.prefix);
    say_unused(&decided.unused, global);
    let wanted = decided.decisions.iter().map(|decision| decision.wanted);
    if wanted
        .clone()
        .any(|wanted| wanted == Some(Wanted::Lossless))
    {
        return Err(Error::unsupported(
            "a rule's dtype `auto` is not carried out yet",
        ));
    }
    let stays = decided.decisions.iter().map(|one| one.stays != Some(false));
    let stays: Vec<bool> = stays.collect();
    let wanted = wanted.zip(&stays).filter(|(_, stays)| **stays);
    let wanted = wanted.map(|(wanted, _)| wanted).collect();
    for (tensor, _) in tensors.iter().zip(&stays).filter(|(_, stays)| !**stays) {
        chosen.dropped.push(Dropped {
            kind: "tensor",
            name: format!("{}{}", chosen.prefix, tensor.name),
            reason: "dropped by a rule",
            bytes: tensor.byte_len().unwrap_or(0),
        });
    }
    chosen.checkpoint.keep(&stays);
    Ok(wanted)
}

/// Gives the tensors the names that the rules say, ties too.
fn rename(mut converted: Converted, rules: &Rules, global: &Global) -> Result<Converted> {
    if rules.is_empty() {
        return Ok(converted);
    }
    let tensors = &mut converted.checkpoint.tensors;
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let (renamed, unused) = rules.rename(&names)?;
    say_unused(&unused, global);
    let new: HashMap<String, String> = names
        .iter()
        .map(|name| (*name).to_owned())
        .zip(renamed.iter().cloned())
        .collect();
    for (tensor, name) in tensors.iter_mut().zip(renamed) {
        tensor.name = name;
        if let Some(kept) = &mut tensor.tied_to
            && let Some(name) = new.get(kept)
        {
            kept.clone_from(name);
        }
    }
    Ok(converted)
}

fn say_unused(unused: &[String], global: &Global) {
    for rule in unused {
        global.say(&format!("warning: {rule} matches no tensor"));
    }
}

/// What is to be converted.
struct Chosen {
    checkpoint: Checkpoint,
    /// What was cut off the names.
    prefix: String,
    dropped: Vec<Dropped>,
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
                    kind: "tensor",
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
            kind: "tensor",
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
