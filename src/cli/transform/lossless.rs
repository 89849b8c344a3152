//! `--dtype auto`: looks for the smallest dtypes that lose nothing, and says what they save.

use super::WriteArgs;
use super::report::plural;
use crate::cli::args::Global;
use crate::cli::progress::Bar;
use ckpt::model::{Checkpoint, Tensor};
use ckpt::op::convert::Options;
use ckpt::op::lossless;
use ckpt::op::rules::{Asked, Wanted};
use ckpt::text::{grouped, human_bytes};
use ckpt::{DType, Result};
use std::sync::Arc;

impl WriteArgs {
    /// Finds out what becomes of the tensors that `--dtype auto` or a rule wants without loss:
    /// reads them.
    pub(super) fn find_lossless(
        &self,
        checkpoint: &Checkpoint,
        options: &mut Options,
        global: &Global,
    ) -> Result<()> {
        if self.dtype == Some(Wanted::Lossless) {
            options.wanted.resize(checkpoint.tensors.len(), None);
            let rule: Arc<str> = "--dtype auto".into();
            for asked in &mut options.wanted {
                asked.get_or_insert_with(|| Asked {
                    wanted: Wanted::Lossless,
                    rule: Arc::clone(&rule),
                });
            }
        }
        let asked = options.wanted.iter();
        let wanted: Vec<Option<Wanted>> = asked
            .map(|asked| asked.as_ref().map(|asked| asked.wanted))
            .collect();
        let tensors = checkpoint.tensors.iter().zip(&wanted);
        let floats = tensors.filter(|(tensor, wanted)| {
            **wanted == Some(Wanted::Lossless) && lossless::may_shrink(tensor.dtype)
        });
        let bytes = floats.map(|(tensor, _)| byte_len(tensor)).sum();
        if !wanted.contains(&Some(Wanted::Lossless)) {
            return Ok(());
        }
        let bar = Bar::new(global, "measuring", bytes);
        let threads = global.threads();
        options.lossless = lossless::decide(checkpoint, &wanted, &options.holds, threads, &bar)?;
        drop(bar);
        let said = summary(checkpoint, &wanted, &options.lossless);
        global.say(&format!("{}: {said}", checkpoint.path));
        Ok(())
    }
}

/// How many tensors become what, and what that saves.
fn summary(checkpoint: &Checkpoint, wanted: &[Option<Wanted>], found: &[Option<DType>]) -> String {
    let mut became: Vec<(DType, u64)> = Vec::new();
    let (mut before, mut after) = (0u64, 0u64);
    let (mut stay, mut stay_bytes) = (0u64, 0u64);
    let decided = wanted.iter().zip(found);
    for (tensor, (wanted, found)) in checkpoint.tensors.iter().zip(decided) {
        let is_one = *wanted == Some(Wanted::Lossless) && lossless::may_shrink(tensor.dtype);
        if !is_one || tensor.tied_to.is_some() {
            continue;
        }
        let Some(dtype) = *found else {
            stay += 1;
            stay_bytes = stay_bytes.saturating_add(byte_len(tensor));
            continue;
        };
        match became.iter_mut().find(|(one, _)| *one == dtype) {
            Some((_, count)) => *count += 1,
            None => became.push((dtype, 1)),
        }
        before = before.saturating_add(byte_len(tensor));
        after = after.saturating_add(dtype.byte_len(tensor.elements()).unwrap_or(0));
    }
    let rest = match stay {
        0 => String::new(),
        _ => format!(
            "; {} ({}) stay",
            plural("tensor", stay),
            human_bytes(stay_bytes)
        ),
    };
    if became.is_empty() {
        return format!("no tensor fits a smaller dtype without loss{rest}");
    }
    became.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut kinds = became.iter();
    let first = kinds.next().map(|(dtype, count)| match count {
        1 => format!("1 tensor becomes {dtype}"),
        _ => format!("{} become {dtype}", plural("tensor", *count)),
    });
    let others = kinds.map(|(dtype, count)| format!("{} {dtype}", grouped(*count)));
    let became: Vec<String> = first.into_iter().chain(others).collect();
    let saved = human_bytes(before.saturating_sub(after));
    format!("{} without loss, {saved} saved{rest}", became.join(", "))
}

fn byte_len(tensor: &Tensor) -> u64 {
    tensor.byte_len().unwrap_or(0)
}
