//! Tensors that are one: refused where they share bytes, found where they only have equal ones.

use super::hash;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Payload, Tensor};
use crate::parallel::Progress;
use std::collections::HashMap;

/// Names that an error lists.
const LISTED: usize = 8;

/// Errors: `Usage` that names the tensors which are other names of earlier ones.
pub fn refuse(checkpoint: &Checkpoint) -> Result<()> {
    let tensors = checkpoint.tensors.iter();
    let tied = tensors.filter_map(|tensor| Some((&tensor.name, tensor.tied_to.as_ref()?)));
    let count = tied.clone().count();
    if count == 0 {
        return Ok(());
    }
    let shown = tied.take(LISTED);
    let mut shown: Vec<String> = shown
        .map(|(name, kept)| format!("`{name}` = `{kept}`"))
        .collect();
    if count > LISTED {
        shown.push(format!("{} more", count - LISTED));
    }
    let error = Error::usage(format!("tensors share their bytes: {}", shown.join(", ")));
    Err(error.with_hint("`--tied alias` stores them once, `--tied clone` each for itself"))
}

/// Bytes that [`by_content`] reads.
pub fn bytes_to_read(checkpoint: &Checkpoint) -> u64 {
    let wanted = candidates(&checkpoint.tensors);
    let tensors = checkpoint.tensors.iter().zip(wanted);
    let bytes = tensors
        .filter(|(_, wanted)| *wanted)
        .filter_map(|(tensor, _)| tensor.byte_len());
    bytes.fold(0, u64::saturating_add)
}

/// Ties matrices (and tensors of more dimensions) to the first of the same dtype, shape and
/// bytes, by their digests. Vectors are left alone: biases and norms that have not been trained
/// are alike without being one.
///
/// Reads the tensors that may be alike once. Errors: those of reading.
pub fn by_content(
    checkpoint: &mut Checkpoint,
    threads: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let wanted = candidates(&checkpoint.tensors);
    let tensors = checkpoint.tensors.iter().zip(&wanted);
    let tensors = tensors.filter(|(_, wanted)| **wanted);
    let suspects = Checkpoint {
        tensors: tensors.map(|(tensor, _)| tensor.clone()).collect(),
        ..Checkpoint::default()
    };
    let mut hashes = hash::hash(&suspects, threads, progress)?;
    if !hashes.failures.is_empty() {
        return Err(hashes.failures.swap_remove(0));
    }
    let rows = hashes.rows.iter();
    let digests: HashMap<&str, [u8; 32]> = rows
        .filter_map(|row| Some((row.name.as_str(), row.digest?.0)))
        .collect();
    let mut first: HashMap<[u8; 32], String> = HashMap::new();
    let mut new: HashMap<String, String> = HashMap::new();
    for tensor in &mut checkpoint.tensors {
        // What was tied already follows where the first of it went.
        if let Some(kept) = &mut tensor.tied_to {
            if let Some(first) = new.get(kept) {
                kept.clone_from(first);
            }
            continue;
        }
        let Some(digest) = digests.get(tensor.name.as_str()) else {
            continue;
        };
        match first.get(digest) {
            Some(kept) => {
                tensor.tied_to = Some(kept.clone());
                new.insert(tensor.name.clone(), kept.clone());
            }
            None => {
                first.insert(*digest, tensor.name.clone());
            }
        }
    }
    Ok(())
}

/// Which tensors have the dtype and shape of another.
fn candidates(tensors: &[Tensor]) -> Vec<bool> {
    let may_be_alike = |tensor: &Tensor| {
        tensor.tied_to.is_none()
            && tensor.shape.rank() > 1
            && tensor.elements() > 0
            && !matches!(tensor.payload, Payload::Absent(_))
            && !matches!(tensor.dtype, DType::Unknown(_))
    };
    let mut counts: HashMap<(DType, &[u64]), usize> = HashMap::new();
    for tensor in tensors.iter().filter(|tensor| may_be_alike(tensor)) {
        *counts
            .entry((tensor.dtype, tensor.shape.dimensions()))
            .or_default() += 1;
    }
    let has_equal = |tensor: &Tensor| {
        let count = counts.get(&(tensor.dtype, tensor.shape.dimensions()));
        may_be_alike(tensor) && count.is_some_and(|count| *count > 1)
    };
    tensors.iter().map(has_equal).collect()
}
