//! Writing a checkpoint: one file, or shards with an index.
//!
//! First a [`Plan`]: which tensor goes where, to the byte. Then the bytes are moved. Then all
//! outputs get their names, as [`naming`] has it: none has a name before all are complete and on
//! disk, and whenever a run is killed, the old set stands or the new one.

mod edit;
pub(in crate::format) mod layout;
mod moving;
pub(in crate::format) mod naming;
mod plan;
mod read_back;
mod shards;

pub use edit::{Edit, plan_edit};
pub use plan::{Arrangement, Output, Plan, dtypes_of_target, plan, ties_of_target};
pub use shards::{Cut, ShardOrder};

use crate::dtype::cast::Losses;
use crate::error::{Error, Kind, Result};
use crate::io::{Sink, SinkOptions, file_exists, free_space};
use crate::model::{Checkpoint, Tensor};
use crate::parallel::Progress;
use naming::Naming;
use std::path::{Path, PathBuf};

/// How a checkpoint is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// How outputs get their names.
    pub sink: SinkOptions,
    /// Threads that move bytes.
    pub threads: usize,
    /// How tensors are spread over files and lie in them.
    pub arrangement: Arrangement,
    /// Files of the source that are called like the target, but have none of the outputs' names,
    /// go when the outputs are complete: shards of another number, the file in one piece.
    pub in_place: bool,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The files, shards first, then the index.
    pub outputs: Vec<Output>,
    /// What casts lost, for each tensor of the checkpoint.
    pub losses: Vec<Losses>,
    /// Files of the source that were removed.
    pub removed: Vec<PathBuf>,
    /// Files of an earlier checkpoint of the same name that are no part of this one; they are
    /// left where they are.
    pub stale: Vec<PathBuf>,
}

impl Written {
    /// Of outputs whose tensors stay as they lie.
    pub fn untouched(outputs: Vec<Output>, checkpoint: &Checkpoint) -> Written {
        Written {
            outputs,
            losses: vec![Losses::default(); checkpoint.tensors.len()],
            removed: Vec::new(),
            stale: Vec::new(),
        }
    }
}

/// Writes `checkpoint` to `target`, in the format of its extension.
///
/// A tensor whose `tied_to` names another one is not written again: the format records the
/// alias. The bytes are the same for any number of threads.
///
/// Errors: those of [`plan`]; `Usage` if an output exists and may not be replaced; `Io` if the
/// disk is full; whatever reading the tensors gives. After an error nothing stands that did not
/// stand before.
pub fn write(
    checkpoint: &Checkpoint,
    target: &Path,
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Written> {
    write_checked(checkpoint, target, options, progress, None)
}

/// Looks at the tensors of the outputs as their own reader finds them, one for each of the
/// checkpoint, before the outputs get their names; after an error they get none.
pub type Check<'a> = &'a mut dyn FnMut(&[Tensor]) -> Result<()>;

/// As [`write()`], with a look at what was written.
///
/// Errors: those of [`write()`] and of `check`; `Io` if the outputs' own reader finds a tensor
/// missing or of another dtype or shape.
pub fn write_checked(
    checkpoint: &Checkpoint,
    target: &Path,
    options: &WriteOptions,
    progress: &dyn Progress,
    check: Option<Check<'_>>,
) -> Result<Written> {
    let plan = plan(checkpoint, target, &options.arrangement)?;
    plan.clean();
    check_space(&plan, options.in_place)?;
    let old = match options.in_place {
        true => plan.replaced(checkpoint)?,
        false => Vec::new(),
    };
    let steps = naming::steps(&plan, &old)?;
    let mut sinks = Vec::with_capacity(plan.files.len());
    for file in &plan.files {
        sinks.push(Sink::create(&file.path, options.sink)?);
    }
    let index = match &plan.index {
        Some((path, bytes)) => {
            let sink = Sink::create(path, options.sink)?;
            sink.write_all_at(0, bytes)?;
            Some(sink)
        }
        None => None,
    };
    let losses = moving::move_bytes(&plan, &sinks, checkpoint, options.threads, progress)?;
    if let Some(check) = check {
        check(&read_back::read_back(&plan, &sinks, checkpoint)?)?;
    }
    let sinks = sinks.into_iter().chain(index);
    let naming = Naming {
        sinks: sinks.map(Some).collect(),
        options: options.sink,
    };
    naming.finish(steps)?;
    plan.clean();
    Ok(Written {
        outputs: plan.outputs(),
        losses,
        removed: old.into_iter().filter(|path| !file_exists(path)).collect(),
        // What is written stands, whether or not its folder can be listed.
        stale: plan.stale().unwrap_or_default(),
    })
}

fn check_space(plan: &Plan, in_place: bool) -> Result<()> {
    let Some(first) = plan.files.first() else {
        return Ok(());
    };
    let needed = plan.outputs().into_iter().map(|output| output.bytes);
    let needed = needed.fold(0u64, u64::saturating_add);
    match free_space(&first.path) {
        Some(free) if free < needed => {
            let message = format!("needs {needed} bytes, but its disk has {free} free");
            let error = Error::new(Kind::Io, message).in_file(&first.path.to_string_lossy());
            Err(match in_place {
                true => error.with_hint("the old files go only when the new ones are complete"),
                false => error,
            })
        }
        _ => Ok(()),
    }
}
