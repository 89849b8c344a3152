//! What casts lost, on standard error: a line for each tensor, then the totals.

use crate::cli::args::Global;
use ckpt::dtype::cast::Losses;
use ckpt::op::convert::Converted;
use ckpt::text::{escape, grouped};
use std::path::Path;

/// Tensors that are named.
const SHOWN: usize = 10;

/// Says what was lost in the tensors of `target`.
pub(super) fn say(global: &Global, target: &Path, converted: &Converted, losses: &[Losses]) {
    let target = target.display();
    let names = converted.checkpoint.tensors.iter().map(|t| t.name.as_str());
    let lossy: Vec<(&str, &Losses)> = names
        .zip(losses)
        .filter(|(_, losses)| **losses != Losses::default())
        .collect();
    if lossy.is_empty() {
        return;
    }
    for (name, losses) in lossy.iter().take(SHOWN) {
        let (name, words) = (escape(name), words(losses));
        global.say(&format!("{target}: values of `{name}`: {words}"));
    }
    if let Some(more @ 1..) = lossy.len().checked_sub(SHOWN) {
        let (more, ending) = (grouped(more as u64), if more == 1 { "" } else { "s" });
        global.say(&format!(
            "{target}: ... and {more} more tensor{ending}; `--json` lists all"
        ));
    }
    if let [_, _, ..] = lossy.as_slice() {
        let (tensors, words) = (grouped(lossy.len() as u64), words(&total(&lossy)));
        global.say(&format!("{target}: values of {tensors} tensors: {words}"));
    }
}

fn total(lossy: &[(&str, &Losses)]) -> Losses {
    let mut total = Losses::default();
    for (_, losses) in lossy {
        total += **losses;
    }
    total
}

/// `3 too large (now infinite or the largest), 12 now zero`.
fn words(losses: &Losses) -> String {
    let kinds = [
        (losses.overflow, "too large (now infinite or the largest)"),
        (losses.underflow, "now zero"),
        (losses.nan, "now NaN"),
    ];
    let found = kinds.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = found
        .map(|(count, what)| format!("{} {what}", grouped(count)))
        .collect();
    words.join(", ")
}
