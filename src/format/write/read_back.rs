//! Reading outputs back, through their format's own reader, before they get their names.

use super::plan::Plan;
use crate::error::{Error, Kind, Result};
use crate::format::{ReadOptions, read};
use crate::io::Sink;
use crate::model::{Checkpoint, Tensor};
use std::collections::HashMap;

/// The tensors of the outputs, one for each of `checkpoint` and in its order. Their bytes lie in
/// the outputs.
///
/// Errors: those of reading; `Io` naming the first tensor that is missing, or of another dtype
/// or shape than was meant, or whose other name means another.
pub(super) fn read_back(
    plan: &Plan,
    sinks: &[Sink],
    checkpoint: &Checkpoint,
) -> Result<Vec<Tensor>> {
    let mut outputs = Vec::with_capacity(sinks.len());
    for sink in sinks {
        outputs.push(read(&sink.reopen()?, &ReadOptions::SUMMARY)?);
    }
    let mut everywhere: HashMap<&str, &Tensor> = HashMap::new();
    let mut found: Vec<Option<&Tensor>> = vec![None; checkpoint.tensors.len()];
    for (file, output) in plan.files.iter().zip(&outputs) {
        let named = output.tensors.iter();
        let by_name: HashMap<&str, &Tensor> = named.map(|t| (t.name.as_str(), t)).collect();
        for &index in &file.tensors {
            let meant = checkpoint.tensors.get(index);
            if let (Some(slot), Some(meant)) = (found.get_mut(index), meant) {
                *slot = match output.variant.as_str() {
                    // Its one array has no name.
                    "npy" => output.tensors.first(),
                    _ => by_name.get(meant.name.as_str()).copied(),
                };
            }
        }
        everywhere.extend(by_name);
    }
    let tensors = checkpoint.tensors.iter().zip(&found);
    tensors
        .map(|(meant, found)| match (found, &meant.tied_to) {
            (None, Some(kept)) => alias(meant, everywhere.get(kept.as_str()), &everywhere),
            (found, _) => check(meant, *found).cloned(),
        })
        .collect()
}

/// Another name of `kept`, which has to mean the same bytes.
fn alias(meant: &Tensor, kept: Option<&&Tensor>, found: &HashMap<&str, &Tensor>) -> Result<Tensor> {
    let alias = check(meant, found.get(meant.name.as_str()).copied())?;
    let extent = |tensor: &Tensor| tensor.payload.extent().map(|(_, start, len)| (start, len));
    match kept {
        Some(kept) if extent(kept) == extent(alias) => Ok(alias.clone()),
        _ => Err(differs(
            &meant.name,
            "is no other name of what it is tied to",
        )),
    }
}

fn check<'a>(meant: &Tensor, found: Option<&'a Tensor>) -> Result<&'a Tensor> {
    let problem = match found {
        None => "is missing".to_owned(),
        Some(found) if found.dtype != meant.dtype || found.shape != meant.shape => format!(
            "is {} {}, not {} {}",
            found.dtype, found.shape, meant.dtype, meant.shape
        ),
        Some(found) => return Ok(found),
    };
    Err(differs(&meant.name, &problem))
}

fn differs(tensor: &str, problem: &str) -> Error {
    let message = format!("the output is not what was meant: {problem}; it gets no name");
    Error::new(Kind::Io, message).in_tensor(tensor)
}
