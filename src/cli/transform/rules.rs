//! `--dtype-for`, `--rename`, `--rules FILE`: what convert and prune say of single tensors.

use crate::cli::args::Global;
use ckpt::io::read_small_text;
use ckpt::op::convert::Converted;
use ckpt::op::rules::Rules;
use ckpt::{Result, limits};
use std::collections::HashMap;
use std::path::PathBuf;

/// Below the other flags of its heading.
const LAST: usize = 1000;

/// What becomes of which tensors.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RuleArgs {
    /// Change names, after everything else; `\1` or `$1` stands for the first group; repeatable
    #[arg(long, value_name = "REGEX=REPLACEMENT", help_heading = super::RULES)]
    rename: Vec<String>,
    /// Rules in a file (TOML), after those above: `[[rule]]` with `match` (a glob or `re:...`) and
    /// `dtype`, `keep = true`, `drop = true` or `rename`; for `prune` also `sparsity = 0.5` or
    /// `structured = "2:4"`
    #[arg(long, value_name = "FILE", help_heading = super::RULES)]
    rules: Option<PathBuf>,
    /// The dtype of tensors whose source name matches, or `keep` or `auto`; the first that matches
    /// counts; repeatable
    #[arg(long, value_name = "GLOB=DTYPE", help_heading = super::DTYPES, display_order = LAST)]
    dtype_for: Vec<String>,
}

impl RuleArgs {
    /// The rules of flags, then those of the file. `drop`: patterns of what goes.
    pub(crate) fn rules(&self, drop: &[String]) -> Result<Rules> {
        let mut rules = Rules::default();
        for text in &self.dtype_for {
            rules.add_dtype_for(text)?;
        }
        for text in drop {
            rules.add_drop(text)?;
        }
        for text in &self.rename {
            rules.add_rename(text)?;
        }
        if let Some(path) = &self.rules {
            let text = read_small_text(path, limits::RULES)?;
            let added = rules.add_file(&text);
            added.map_err(|error| error.in_file(&path.to_string_lossy()))?;
        }
        Ok(rules)
    }
}

/// Gives the tensors the names that the rules say, ties too; returns which renames are about
/// nothing.
pub(crate) fn rename(converted: &mut Converted, rules: &Rules) -> Result<Vec<String>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let tensors = &mut converted.checkpoint.tensors;
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let (renamed, unused) = rules.rename(&names)?;
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
    Ok(unused)
}

/// Says which rules are about nothing.
pub(crate) fn say_unused(unused: &[String], global: &Global) {
    for rule in unused {
        global.say(&format!("warning: {rule} matches no tensor"));
    }
}
