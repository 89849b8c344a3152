//! `--target-size`: dtypes that make the output fit, and what they cost.

use super::Making;
use crate::cli::args::Global;
use crate::cli::progress::Bar;
use ckpt::format;
use ckpt::model::Checkpoint;
use ckpt::op::convert::{self, Options, Scaling};
use ckpt::text::{escape, grouped, human_number};
use ckpt::{DType, Result};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Chooses dtypes for `--target-size`, if that is given; returns what the report says of it.
pub(super) fn fit(
    making: &Making<'_>,
    checkpoint: &Checkpoint,
    options: &mut Options,
    global: &Global,
) -> Result<Option<Json>> {
    let Making { target, args, .. } = making;
    let Some(size) = args.quantize.target_size else {
        return Ok(None);
    };
    let planned = Options {
        // Sizes do not depend on the scales, which would be measured each time.
        scaling: match options.scaling {
            Scaling::None => Scaling::None,
            _ => Scaling::Planned,
        },
        ..options.clone()
    };
    let output_bytes = |dtypes: &[Option<DType>]| {
        let tried = Options {
            fitted: dtypes.to_vec(),
            ..planned.clone()
        };
        let (converted, _) = making.convert(checkpoint.clone(), &tried)?;
        let plan = format::plan(
            &converted.checkpoint,
            target,
            &args.arrangement.arrangement(),
        )?;
        Ok(plan.outputs().iter().map(|output| output.bytes).sum())
    };
    let bar = Bar::new(global, "measuring", convert::sampled_bytes(checkpoint));
    let threads = global.threads();
    let fitted = convert::fit(checkpoint, &planned, size, threads, &bar, &output_bytes)?;
    drop(bar);
    let worst = fitted.worst.and_then(|(place, error)| {
        let name = checkpoint.tensors.get(place)?.name.as_str();
        Some((name, error))
    });
    say(global, target, size, &fitted, worst);
    let worst = worst.map(|(name, error)| json!({"name": name, "error": error}));
    options.fitted = fitted.dtypes;
    Ok(Some(json!({
        "size": size,
        "bytes": fitted.bytes,
        "mean_error": fitted.mean,
        "worst": worst,
    })))
}

fn say(
    global: &Global,
    target: &Path,
    size: u64,
    fitted: &convert::Fitted,
    worst: Option<(&str, f64)>,
) {
    let (bytes, size) = (grouped(fitted.bytes), grouped(size));
    let lost = worst.map_or("nothing is lost".to_owned(), |(name, error)| {
        let (mean, error) = (human_number(fitted.mean), human_number(error));
        let name = escape(name);
        format!(
            "relative squared error {mean} in the mean of the tensors, {error} at most, in `{name}`"
        )
    });
    let target = target.display();
    global.say(&format!("{target}: {bytes} of {size} bytes; {lost}"));
}
