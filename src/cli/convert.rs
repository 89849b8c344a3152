//! `ckpt convert`: another format, dtype or sharding.

use super::Status;
use super::args::{Global, RootArgs, SelectionArgs};
use super::names::{NamesArg, arrange, is_in_metadata};
use super::transform::rules::{self, RuleArgs};
use super::transform::{
    self, Dropped, Made, Making, Report, WriteArgs, metadata, say_values, target_path,
};
use ckpt::format;
use ckpt::model::{Checkpoint, Level};
use ckpt::op::root::{self, Choice};
use ckpt::op::rules::{Asked, Rules};
use ckpt::op::select;
use ckpt::{Error, Result};
use std::collections::HashSet;
use std::path::PathBuf;

/// The arguments of `ckpt convert`. (`-f/--force`, `-o`, `-q`, `-j` and `--json` are in
/// [`Global`].)
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ckpt convert model.pt model.safetensors --dtype bf16
  ckpt convert Llama-folder/ model.gguf                 config and tokenizer go along; loads in llama.cpp
  ckpt convert Llama-folder/ model.gguf --dtype q8_0    vectors and norms stay F32
  ckpt convert model.gguf model.safetensors --names hf")]
pub(crate) struct Args {
    /// A file, an index or a folder; `-` is standard input
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The file to write, of the format that its extension says (`.safetensors`, `.gguf`, `.pt`, `.pth`, `.bin`, `.ckpt`, `.npz`, `.npy`); or a folder to write a safetensors file into; left out with `--in-place`, SRC
    #[arg(value_name = "DST", required_unless_present = "in_place")]
    target: Option<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    root: RootArgs,
    /// Leave out tensors whose source name matches; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    drop: Vec<String>,
    /// Whose names the tensors get: for `.gguf` GGUF's where the architecture is known, otherwise their own
    #[arg(long, value_name = "WHOSE", value_enum, help_heading = transform::RULES)]
    names: Option<NamesArg>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// Sets an entry of the metadata; the type is one of GGUF's (`u32`, `f32`, `bool`, `str` ...)
    /// or the one that the entry has; repeatable
    #[arg(long, value_name = "KEY=VALUE[:TYPE]", help_heading = "Metadata")]
    metadata: Vec<String>,
    /// Removes the entries of the metadata whose keys match; repeatable
    #[arg(long, value_name = "GLOB", help_heading = "Metadata")]
    metadata_remove: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    transform::require_format("convert", global)?;
    let target = args.target.as_ref().unwrap_or(&args.source);
    let target = target_path(&args.source, target);
    let mut options = args.write.options(&target, global.threads())?;
    let rules = args.rules.rules(&args.drop)?;
    let checkpoint = format::open_for(&args.source, &target)?;
    let mut chosen = choose(checkpoint, args, &rules, global)?;
    let path = chosen.checkpoint.path.clone();
    args.write.tie(&mut chosen.checkpoint, &target, global)?;
    let wanted = apply(&rules, &mut chosen, global)?;
    let Chosen { checkpoint, .. } = chosen;
    let mut arranged = arrange(
        checkpoint,
        wanted,
        args.names,
        &args.source,
        &target,
        global,
    )?;
    let removed = select::remove_metadata(&mut arranged.checkpoint, &args.metadata_remove);
    removed.map_err(|error| error.in_file(&path))?;
    metadata::set(&mut arranged.checkpoint, &args.metadata)?;
    options.wanted = arranged.wanted;
    let making = Making {
        target: &target,
        args: &args.write,
        rules: &rules,
        metadata: &args.metadata,
    };
    let Made { converted, more } = making.make(arranged.checkpoint, options, global)?;
    let source_name = |name: &str| {
        let own = arranged.source_names.get(name).map_or(name, String::as_str);
        format!("{}{own}", chosen.prefix)
    };
    let mut report = Report::new(
        "convert",
        "converting",
        &args.source,
        &converted,
        &source_name,
    );
    report.dropped = chosen.dropped;
    report.dropped.extend(arranged.dropped);
    if arranged.is_described {
        report.skips = is_in_metadata;
    }
    report.more = more;
    report.edits_metadata = !args.metadata.is_empty() || !args.metadata_remove.is_empty();
    transform::finish(report, &target, &args.write, global)
}

/// Leaves out what the rules drop; the dtypes that they name for the others.
fn apply(rules: &Rules, chosen: &mut Chosen, global: &Global) -> Result<Vec<Option<Asked>>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let tensors = &chosen.checkpoint.tensors;
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let decided = rules.decide(&names, &chosen.prefix);
    rules::say_unused(&decided.unused, global);
    if decided.decisions.iter().any(|one| one.sparsity.is_some()) {
        let error = Error::usage("a rule says what is zeroed, which `convert` does not");
        return Err(error.with_hint("`ckpt prune` takes the same rules"));
    }
    let stays = decided.decisions.iter().map(|one| one.stays != Some(false));
    let stays: Vec<bool> = stays.collect();
    let asked = decided.decisions.into_iter().zip(&stays);
    let asked = asked.filter(|(_, stays)| **stays);
    let asked: Vec<Option<Asked>> = asked.map(|(one, _)| one.asked).collect();
    for (tensor, _) in tensors.iter().zip(&stays).filter(|(_, stays)| !**stays) {
        chosen.dropped.push(Dropped {
            kind: "tensor",
            name: format!("{}{}", chosen.prefix, tensor.name),
            reason: "dropped by a rule",
            bytes: tensor.byte_len().unwrap_or(0),
        });
    }
    chosen.checkpoint.keep(&stays);
    Ok(asked)
}

/// What is to be converted.
struct Chosen {
    checkpoint: Checkpoint,
    /// What was cut off the names.
    prefix: String,
    dropped: Vec<Dropped>,
}

fn choose(
    mut checkpoint: Checkpoint,
    args: &Args,
    rules: &Rules,
    global: &Global,
) -> Result<Chosen> {
    let path = checkpoint.path.clone();
    let mut dropped = Vec::new();
    let selection = args.selection.selection()?;
    if !selection.is_everything() {
        let mut chosen = selection
            .choose(&checkpoint)
            .map_err(|e| e.in_file(&path))?;
        keep_by_rules(&checkpoint, rules, &mut chosen);
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

/// Takes in what the selection leaves out, but a rule keeps.
fn keep_by_rules(checkpoint: &Checkpoint, rules: &Rules, chosen: &mut [bool]) {
    let roots = checkpoint.root_candidates();
    for (tensor, chosen) in checkpoint.tensors.iter().zip(chosen) {
        // Rules see names with and without the root, which is not known yet.
        let short = |root: &&str| tensor.name.strip_prefix(root)?.strip_prefix('.');
        let short = roots.iter().find_map(short).unwrap_or(&tensor.name);
        *chosen = *chosen || rules.stays([&tensor.name, short]) == Some(true);
    }
}

fn first_name(checkpoint: &Checkpoint) -> Option<&String> {
    checkpoint.tensors.first().map(|tensor| &tensor.name)
}
