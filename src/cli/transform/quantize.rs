//! How matrices become blocks: arguments, and what is said of the choices.

use super::report::plural;
use crate::cli::args::Global;
use ckpt::op::convert::{Change, Converted, Reason};
use ckpt::text::{escape, grouped, human_bytes};

/// Under which its flags stand in the help.
pub(super) const HEADING: &str = "Quantising (`--dtype` of blocks, and sizes)";

/// How matrices become blocks.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = HEADING)]
pub(crate) struct QuantizeArgs {
    /// Output and token embeddings become what all other matrices become; without, they get what llama.cpp gives them (the output Q6_K or Q8_0)
    #[arg(long, requires = "dtype")]
    pub(super) pure: bool,
    /// Rows that are no whole blocks are an error; without, they get the nearest type that they fill
    #[arg(long)]
    pub(super) no_fallback: bool,
    /// Choose dtypes so that the output has at most this many bytes, spending them where they save most of the error: `5GB`, `512MiB`
    #[arg(long, value_name = "SIZE", value_parser = super::arrangement::size)]
    pub(super) target_size: Option<u64>,
}

/// Says which tensors became other blocks than was asked, and which stayed floats.
pub(super) fn say(global: &Global, path: &str, converted: &Converted) {
    let tensors = converted.checkpoint.tensors.iter();
    let pairs = tensors.zip(&converted.changes);
    let fallbacks = pairs.clone().filter(|(_, change)| is_fallback(change));
    let mut kinds: Vec<(String, u64)> = Vec::new();
    for (tensor, _) in fallbacks.clone() {
        count(&mut kinds, tensor.dtype.to_string());
    }
    if let Some((first, _)) = fallbacks.clone().next() {
        let (tensors, first) = (
            plural("tensor", fallbacks.count() as u64),
            escape(&first.name),
        );
        let kinds = list(&kinds);
        global.say(&format!(
            "{path}: {tensors} with rows that are no whole blocks fall back to {kinds}, `{first}` the first; `--no-fallback` makes that an error"
        ));
    }
    let mut roles: Vec<(String, u64)> = Vec::new();
    let mut bytes = 0;
    for (_, change) in pairs {
        if let Reason::Default(role) = change.reason {
            count(&mut roles, role.name().to_owned());
            bytes += change.bytes_after;
        }
    }
    if !roles.is_empty() {
        let tensors = plural("tensor", roles.iter().map(|(_, count)| *count).sum());
        let (roles, bytes) = (list(&roles), human_bytes(bytes));
        global.say(&format!(
            "{path}: {tensors} ({bytes}) get the types that llama.cpp gives them: {roles}; `--dtype-for` gives others"
        ));
    }
}

fn is_fallback(change: &Change) -> bool {
    matches!(change.reason, Reason::Fallback { .. })
}

fn count(counts: &mut Vec<(String, u64)>, what: String) {
    match counts.iter_mut().find(|(known, _)| *known == what) {
        Some((_, count)) => *count += 1,
        None => counts.push((what, 1)),
    }
}

/// `norm (3), output (1)`.
fn list(counts: &[(String, u64)]) -> String {
    let word = |(what, count): &(String, u64)| format!("{what} ({})", grouped(*count));
    counts.iter().map(word).collect::<Vec<_>>().join(", ")
}
