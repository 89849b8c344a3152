//! Reading an output back before it gets its name.

use super::moving::{Fragment, Pieces, Readers, elements_in};
use super::plan::Plan;
use crate::error::{Error, Kind, Result};
use crate::format::{ReadOptions, read};
use crate::io::Sink;
use crate::model::{Checkpoint, Tensor};
use crate::parallel;
use crate::stream::{Reader, Scratch};
use std::collections::HashMap;

/// Bytes that are compared at once.
const CHUNK: u64 = 256 << 10;

/// Opens each output through its reader and compares every tensor with what `checkpoint` says,
/// computed by the portable kernels.
///
/// Errors: `Io` naming the first tensor that differs.
pub(super) fn verify(
    plan: &Plan,
    sinks: &[Sink],
    checkpoint: &Checkpoint,
    threads: usize,
) -> Result<()> {
    let mut outputs = Vec::with_capacity(sinks.len());
    for sink in sinks {
        outputs.push(read(&sink.reopen()?, &ReadOptions::SUMMARY)?);
    }
    let mut written: Vec<Option<&Tensor>> = vec![None; checkpoint.tensors.len()];
    for (file, output) in plan.files.iter().zip(&outputs) {
        let by_name: HashMap<&str, &Tensor> = output
            .tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        for &index in &file.tensors {
            let meant = checkpoint.tensors.get(index);
            let found = match output.variant.as_str() {
                // Its one array has no name.
                "npy" => output.tensors.first(),
                _ => meant.and_then(|tensor| by_name.get(tensor.name.as_str()).copied()),
            };
            if let (Some(slot), Some(meant)) = (written.get_mut(index), meant) {
                *slot = Some(check_header(meant, found)?);
            }
        }
    }
    let pieces = Pieces::of(plan, checkpoint);
    let readers = Readers::new(checkpoint, &pieces);
    let work = |buffers: &mut Buffers, piece: usize| {
        let piece = pieces.pieces.get(piece);
        let fragments = piece.map(|piece| pieces.fragments_of(piece));
        for fragment in fragments.unwrap_or_default() {
            if let Some(Some(found)) = written.get(fragment.tensor) {
                compare(&readers, fragment, found, buffers)?;
            }
        }
        Ok(())
    };
    parallel::map(threads, pieces.pieces.len(), Buffers::new, work).map(|_| ())
}

struct Buffers {
    meant: Vec<u8>,
    found: Vec<u8>,
    scratch: Scratch,
}

impl Buffers {
    fn new() -> Buffers {
        Buffers {
            meant: Vec::new(),
            found: Vec::new(),
            scratch: Scratch::portable(),
        }
    }
}

fn check_header<'a>(meant: &Tensor, found: Option<&'a Tensor>) -> Result<&'a Tensor> {
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

fn compare(
    readers: &Readers<'_>,
    fragment: &Fragment,
    written: &Tensor,
    buffers: &mut Buffers,
) -> Result<()> {
    let output = Reader::open(written)?;
    let step = elements_in(written, CHUNK);
    readers.with(fragment.tensor, |source| {
        let mut done = 0u64;
        while done < fragment.elements {
            let elements = step.min(fragment.elements.saturating_sub(done));
            let first = fragment.first.saturating_add(done);
            let Buffers {
                meant,
                found,
                scratch,
            } = &mut *buffers;
            source.read(first, elements, meant, scratch)?;
            output.read(first, elements, found, scratch)?;
            if meant != found {
                let problem = format!(
                    "elements {first} to {} differ",
                    first.saturating_add(elements)
                );
                return Err(differs(&written.name, &problem));
            }
            done = done.saturating_add(elements);
        }
        Ok(())
    })
}

fn differs(tensor: &str, problem: &str) -> Error {
    let message = format!("the output is not what was meant: {problem}; it gets no name");
    Error::new(Kind::Io, message).in_tensor(tensor)
}
