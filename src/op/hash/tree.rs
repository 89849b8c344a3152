//! Digests of tensors: cut along BLAKE3's own tree, so that any number of threads gives the
//! digest that one pass over the bytes gives.

use super::Digest;
use crate::error::{Error, Result};
use crate::model::{Payload, Quantization, Tensor};
use crate::parallel::{self, Progress};
use crate::stream::{Reader, Scratch};
use blake3::Hasher;
use blake3::hazmat::{self, HasherExt, Mode};

/// Bytes of one subtree: a power of two of BLAKE3's chunks, enough to be worth a task.
const SUBTREE: u64 = 1 << 20;

/// Bytes that are read at once: they fit the cache next to the processor.
const CHUNK: u64 = 128 << 10;

/// Bytes and tensors of one piece of work: small tensors share one.
const PIECE_BYTES: u64 = 4 << 20;
const PIECE_PARTS: usize = 256;

/// The digest of one tensor, as the module above defines it.
///
/// Errors: those of reading it.
pub fn digest_of(tensor: &Tensor) -> Result<Digest> {
    let mut worker = Worker::default();
    let subject = Subject::of(tensor)?;
    match worker.hash(&subject, 0..subject.len(), &parallel::Silent)? {
        Hashed::Whole(digest) => Ok(digest),
        Hashed::Part(part) => Ok(Digest(part)),
    }
}

/// For each tensor its digest, or what is wrong with it; `None` for another name of an earlier
/// one.
pub(super) fn digests(
    tensors: &[Tensor],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Option<Result<Digest>>>> {
    let subjects: Vec<Option<Result<Subject<'_>>>> = tensors
        .iter()
        .map(|tensor| tensor.tied_to.is_none().then(|| Subject::of(tensor)))
        .collect();
    let pieces = pieces(&subjects);
    let work = |worker: &mut Worker, piece: usize| -> Result<Vec<Result<Hashed>>> {
        let piece: &[Part] = pieces.get(piece).map_or(&[], Vec::as_slice);
        let hash = |part: &Part| match subjects.get(part.tensor) {
            Some(Some(Ok(subject))) => worker.hash(subject, part.bytes.clone(), progress),
            _ => Err(Error::usage("no such tensor")),
        };
        Ok(piece.iter().map(hash).collect())
    };
    let results = parallel::map(threads, pieces.len(), Worker::default, work)?;
    let mut merging: Vec<Merging> = subjects.iter().map(|_| Merging::default()).collect();
    let parts = pieces.iter().flatten();
    for (part, result) in parts.zip(results.into_iter().flatten()) {
        if let Some(merging) = merging.get_mut(part.tensor) {
            merging.add(result);
        }
    }
    let outcomes = subjects.into_iter().zip(merging);
    Ok(outcomes
        .map(|(subject, merging)| subject.map(|subject| subject.and_then(|_| merging.finish())))
        .collect())
}

/// What is hashed of one tensor: its bytes, then its trailer.
struct Subject<'a> {
    tensor: &'a Tensor,
    data: u64,
    trailer: String,
}

impl<'a> Subject<'a> {
    fn of(tensor: &'a Tensor) -> Result<Subject<'a>> {
        let data = tensor.byte_len();
        // Opening says why there are no bytes.
        let data = match data {
            Some(data) if !matches!(tensor.payload, Payload::Absent(_)) => data,
            _ => Reader::open(tensor).map(|_| data.unwrap_or(0))?,
        };
        Ok(Subject {
            tensor,
            data,
            trailer: trailer(tensor)?,
        })
    }

    fn len(&self) -> u64 {
        self.data.saturating_add(self.trailer.len() as u64)
    }

    /// Whether any part of it can be read as cheaply as the first.
    fn may_be_cut(&self) -> bool {
        self.tensor.payload.extent().is_some()
    }
}

/// What is hashed after the bytes. A line feed stands at its start only, so that no two
/// tensors give the same input.
fn trailer(tensor: &Tensor) -> Result<String> {
    let mut text = format!("\n{} {}", tensor.dtype, tensor.shape);
    match tensor.quantization.as_deref() {
        None => {}
        Some(Quantization::PerTensor { scale, zero_point }) => {
            let bits = scale.to_bits();
            text += &format!(" scale {bits:016x} zero_point {zero_point}");
        }
        Some(Quantization::PerChannel {
            scales,
            zero_points,
            axis,
        }) => {
            let (scales, zero_points) = (digest_of(scales)?, digest_of(zero_points)?);
            text += &format!(" axis {axis} scales {scales} zero_points {zero_points}");
        }
    }
    Ok(text)
}

/// A run of one tensor's bytes: all of them, or one subtree.
struct Part {
    tensor: usize,
    bytes: std::ops::Range<u64>,
}

/// Cuts the tensors into parts, and collects these in pieces of work, without regard to
/// threads.
fn pieces(subjects: &[Option<Result<Subject<'_>>>]) -> Vec<Vec<Part>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Part> = Vec::new();
    let mut bytes = 0u64;
    for (tensor, subject) in subjects.iter().enumerate() {
        let Some(Ok(subject)) = subject else {
            continue;
        };
        let step = match subject.may_be_cut() {
            true => SUBTREE,
            false => u64::MAX,
        };
        let mut start = 0u64;
        while start < subject.len() {
            let end = start.saturating_add(step).min(subject.len());
            piece.push(Part {
                tensor,
                bytes: start..end,
            });
            bytes = bytes.saturating_add(end.saturating_sub(start));
            if bytes >= PIECE_BYTES || piece.len() >= PIECE_PARTS {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
            start = end;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// What hashing a part gave.
enum Hashed {
    /// The part was the whole tensor.
    Whole(Digest),
    /// The chaining value of a subtree.
    Part([u8; 32]),
}

/// Buffers of one thread.
#[derive(Default)]
struct Worker {
    buffer: Vec<u8>,
    scratch: Scratch,
}

impl Worker {
    fn hash(
        &mut self,
        subject: &Subject<'_>,
        bytes: std::ops::Range<u64>,
        progress: &dyn Progress,
    ) -> Result<Hashed> {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(bytes.start);
        let data_end = bytes.end.min(subject.data);
        if bytes.start < data_end {
            let reader = Reader::open(subject.tensor)?;
            self.feed(&reader, bytes.start..data_end, &mut hasher)?;
            progress.add(data_end.saturating_sub(bytes.start));
        }
        let trailer = |offset: u64| usize::try_from(offset.saturating_sub(subject.data)).ok();
        let text = trailer(bytes.start).zip(trailer(bytes.end));
        let text = text.and_then(|(from, to)| subject.trailer.as_bytes().get(from..to));
        hasher.update(text.unwrap_or_default());
        Ok(match bytes == (0..subject.len()) {
            true => Hashed::Whole(Digest(*hasher.finalize().as_bytes())),
            false => Hashed::Part(hasher.finalize_non_root()),
        })
    }

    /// Feeds canonical bytes of a tensor, which need not start or end with an element.
    fn feed(
        &mut self,
        reader: &Reader<'_>,
        bytes: std::ops::Range<u64>,
        hasher: &mut Hasher,
    ) -> Result<()> {
        let tensor = reader.tensor();
        let step = reader.granularity().max(1);
        let step_bytes = tensor.dtype.byte_len(step).unwrap_or(1).max(1);
        let mut at = bytes.start;
        while at < bytes.end {
            let stop = at.saturating_add(CHUNK).min(bytes.end);
            let steps = at / step_bytes..stop.div_ceil(step_bytes);
            let first = steps.start.saturating_mul(step);
            let last = steps.end.saturating_mul(step).min(tensor.elements());
            let count = last.saturating_sub(first);
            reader.read(first, count, &mut self.buffer, &mut self.scratch)?;
            let skipped = at.saturating_sub(steps.start.saturating_mul(step_bytes));
            let from = usize::try_from(skipped).unwrap_or(usize::MAX);
            let len = usize::try_from(stop.saturating_sub(at)).unwrap_or(usize::MAX);
            let part = self.buffer.get(from..from.saturating_add(len));
            hasher.update(part.ok_or_else(|| Error::usage("a read came out short"))?);
            at = stop;
        }
        Ok(())
    }
}

/// The subtrees of one tensor, in order.
#[derive(Default)]
struct Merging {
    whole: Option<Digest>,
    parts: Vec<[u8; 32]>,
    failure: Option<Error>,
}

impl Merging {
    fn add(&mut self, result: Result<Hashed>) {
        match result {
            Ok(Hashed::Whole(digest)) => self.whole = Some(digest),
            Ok(Hashed::Part(part)) => self.parts.push(part),
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn finish(self) -> Result<Digest> {
        match (self.failure, self.whole) {
            (Some(error), _) => Err(error),
            (None, Some(digest)) => Ok(digest),
            (None, None) => match halves(&self.parts) {
                Some((left, right)) => {
                    let root = hazmat::merge_subtrees_root(&left, &right, Mode::Hash);
                    Ok(Digest(*root.as_bytes()))
                }
                None => Err(Error::usage("nothing to hash")),
            },
        }
    }
}

/// The two children of a node over `parts`: the left one has the largest power of two of them
/// that leaves something for the right one. `None` for fewer than two parts.
fn halves(parts: &[[u8; 32]]) -> Option<([u8; 32], [u8; 32])> {
    let left = parts.len().checked_next_power_of_two()? / 2;
    if parts.len() < 2 {
        return None;
    }
    let (left, right) = parts.split_at_checked(left)?;
    Some((node(left)?, node(right)?))
}

fn node(parts: &[[u8; 32]]) -> Option<[u8; 32]> {
    match parts {
        [part] => Some(*part),
        _ => {
            let (left, right) = halves(parts)?;
            Some(hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::io::Source;
    use crate::model::{Shape, Storage};

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn tensor(dtype: DType, elements: u64, bytes: Vec<u8>) -> Tensor {
        let source = Source::from_bytes("x", bytes.clone());
        let storage = Storage::extent(&source, 0, bytes.len() as u64);
        let shape = Shape::new([elements]).unwrap();
        Tensor::new("x", dtype, shape, Payload::Stored(storage))
    }

    /// Expected: BLAKE3 of everything in one piece.
    #[test]
    fn any_cut_gives_the_digest_of_one_pass() {
        let subtree = SUBTREE as usize;
        let mut seen = 0;
        for len in [
            0,
            1,
            1000,
            subtree - 9,
            subtree,
            subtree + 1,
            5 * subtree + 77,
        ] {
            let data = bytes(len);
            let trailer = format!("\nU8 [{len}]");
            let expected = *blake3::hash(&[&data[..], trailer.as_bytes()].concat()).as_bytes();
            let tensor = tensor(DType::U8, len as u64, data);
            for threads in [1, 2, 7] {
                let tensors = std::slice::from_ref(&tensor);
                let found = digests(tensors, threads, &parallel::Silent).unwrap();
                let found = found.into_iter().next().unwrap().unwrap().unwrap();
                assert_eq!(found, Digest(expected), "{len} bytes, {threads} threads");
                seen += 1;
            }
            assert_eq!(digest_of(&tensor).unwrap(), Digest(expected));
        }
        assert_eq!(seen, 21);
    }

    /// Blocks of 144 bytes and groups of 3 do not end where subtrees do.
    #[test]
    fn elements_may_lie_across_the_cuts() {
        for (dtype, elements, len) in [
            (DType::Q4K, 256 * 9000, 144 * 9000),
            (DType::F6E2M3, 4 * 700_000, 3 * 700_000),
        ] {
            let data = bytes(len);
            let trailer = format!("\n{dtype} [{elements}]");
            let expected = *blake3::hash(&[&data[..], trailer.as_bytes()].concat()).as_bytes();
            let tensor = tensor(dtype, elements, data);
            let found = digests(&[tensor], 2, &parallel::Silent).unwrap();
            assert_eq!(
                found[0].as_ref().unwrap().as_ref().unwrap(),
                &Digest(expected)
            );
        }
    }
}
