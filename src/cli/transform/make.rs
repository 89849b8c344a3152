//! From a checkpoint and what is wanted of it to what is written: dtypes found by reading,
//! conversion, weights, metadata, names, in this order.

use super::{WriteArgs, fit, imatrix, metadata, rules};
use crate::cli::args::Global;
use ckpt::Result;
use ckpt::model::Checkpoint;
use ckpt::op::convert::{self, Converted, Options};
use ckpt::op::rules::Rules;
use serde_json::{Map, Value as Json};
use std::path::Path;

/// What is made, and where it goes.
pub(crate) struct Making<'a> {
    pub(crate) target: &'a Path,
    pub(crate) args: &'a WriteArgs,
    pub(crate) rules: &'a Rules,
    /// What `--metadata` says.
    pub(crate) metadata: &'a [String],
}

/// What is to be written.
pub(crate) struct Made {
    pub(crate) converted: Converted,
    /// What the JSON report has to say of it.
    pub(crate) more: Map<String, Json>,
}

impl Making<'_> {
    /// Makes of `checkpoint` what is to be written, and says what that took.
    pub(crate) fn make(
        &self,
        checkpoint: Checkpoint,
        mut options: Options,
        global: &Global,
    ) -> Result<Made> {
        let path = checkpoint.path.clone();
        self.make_of(checkpoint, &mut options, global)
            .map_err(|error| error.in_file(&path))
    }

    fn make_of(
        &self,
        checkpoint: Checkpoint,
        options: &mut Options,
        global: &Global,
    ) -> Result<Made> {
        self.args.find_lossless(&checkpoint, options, global)?;
        let fitted = fit::fit(self, &checkpoint, options, global)?;
        let (converted, unused) = self.convert(checkpoint, options)?;
        rules::say_unused(&unused, global);
        let weights = imatrix::say(&converted, options.importance.as_deref(), global);
        let more = [("target_size", fitted), ("imatrix", weights)];
        let more = more
            .into_iter()
            .filter_map(|(key, said)| Some((key.to_owned(), said?)));
        Ok(Made {
            converted,
            more: more.collect(),
        })
    }

    /// What becomes of `checkpoint`, and which renames are about nothing.
    pub(super) fn convert(
        &self,
        checkpoint: Checkpoint,
        options: &Options,
    ) -> Result<(Converted, Vec<String>)> {
        let mut converted = convert::convert(checkpoint, options)?;
        imatrix::record(&mut converted, options.importance.as_deref());
        // What was asked for stands above what is recorded.
        metadata::set(&mut converted.checkpoint, self.metadata)?;
        let unused = rules::rename(&mut converted, self.rules)?;
        Ok((converted, unused))
    }
}
