//! Pairs of tensors that are open for reading, for as long as a part of them is still to be read.

use super::values::Decoder;
use crate::error::{Error, Kind, Result};
use crate::model::Tensor;
use crate::stream::{Reader, Scratch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Elements of a piece: what a thread takes at once.
pub(super) const PIECE: u64 = 1 << 20;

/// Two tensors of the same shape.
#[derive(Debug)]
pub(in crate::op) struct Job<'a> {
    pub(super) a: &'a Tensor,
    pub(super) b: &'a Tensor,
    /// What B has to be, bit for bit; it may be A.
    pub(super) meant: Option<&'a Tensor>,
}

impl<'a> Job<'a> {
    /// A pair of which nothing is known.
    pub(super) fn of(a: &'a Tensor, b: &'a Tensor) -> Job<'a> {
        let meant = None;
        Job { a, b, meant }
    }

    /// A tensor that was made of A, should be `meant`, and was found to be B.
    pub(in crate::op) fn written(a: &'a Tensor, meant: &'a Tensor, b: &'a Tensor) -> Job<'a> {
        let meant = Some(meant);
        Job { a, b, meant }
    }

    /// Whether B has to be A.
    pub(in crate::op) fn is_kept(&self) -> bool {
        self.meant.is_some_and(|meant| std::ptr::eq(meant, self.a))
    }

    /// How many pieces it is measured in.
    pub(super) fn pieces(&self) -> usize {
        usize::try_from(self.a.elements().div_ceil(PIECE)).map_or(usize::MAX, |count| count.max(1))
    }

    /// About how many bytes so many elements are, on both sides.
    pub(super) fn byte_len(&self, elements: u64) -> u64 {
        let bytes = |tensor: &Tensor| (tensor.dtype.bits() * elements as f64 / 8.0) as u64;
        bytes(self.a) + bytes(self.b)
    }
}

/// An open pair, for as long as pieces of it remain.
#[derive(Debug, Default)]
pub(super) struct Slot<'a> {
    pair: Mutex<Option<Arc<Pair<'a>>>>,
    remaining: AtomicUsize,
}

/// A slot for each job, for these pieces of them.
pub(super) fn slots<'a>(jobs: &[Job<'a>], pieces: &[(usize, usize)]) -> Vec<Slot<'a>> {
    let mut slots: Vec<Slot<'a>> = jobs.iter().map(|_| Slot::default()).collect();
    for &(job, _) in pieces {
        *slots[job].remaining.get_mut() += 1;
    }
    slots
}

impl<'a> Slot<'a> {
    pub(super) fn open(&self, job: &Job<'a>) -> Result<Arc<Pair<'a>>> {
        let mut pair = self.pair.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = &*pair {
            return Ok(Arc::clone(pair));
        }
        let opened = Arc::new(Pair::open(job)?);
        *pair = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// One piece has been read.
    pub(super) fn release(&self) {
        if self.remaining.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.pair.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// What one thread reads into.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) a: Vec<u8>,
    pub(super) b: Vec<u8>,
    meant: Vec<u8>,
    scratch: Scratch,
    /// For what B has to be: not made by the code that made B.
    portable: Scratch,
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk {
            a: Vec::new(),
            b: Vec::new(),
            meant: Vec::new(),
            scratch: Scratch::default(),
            portable: Scratch::portable(),
        }
    }
}

/// What B has to be, bit for bit.
#[derive(Debug)]
enum Meant<'a> {
    /// Anything.
    Open,
    /// A.
    A,
    /// This.
    Bits(Reader<'a>),
}

/// Two tensors, ready to be read.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) a: Reader<'a>,
    pub(super) b: Reader<'a>,
    meant: Meant<'a>,
    /// `None` if the elements cannot be read as numbers; their bytes may still be equal.
    pub(super) decoders: Option<(Decoder, Decoder)>,
    /// Whether equal bytes mean equal numbers.
    pub(super) is_like: bool,
}

impl<'a> Pair<'a> {
    pub(super) fn open(job: &Job<'a>) -> Result<Pair<'a>> {
        let (a, b) = (Reader::open(job.a)?, Reader::open(job.b)?);
        let decoders = decoders(job.a, job.b).ok();
        let is_like = job.a.dtype == job.b.dtype;
        let meant = match job.meant {
            None => Meant::Open,
            Some(_) if job.is_kept() => Meant::A,
            Some(meant) => Meant::Bits(Reader::open(meant)?),
        };
        Ok(Pair {
            a,
            b,
            meant,
            decoders,
            is_like,
        })
    }

    /// Whether it is known what B has to be.
    pub(super) fn is_written(&self) -> bool {
        !matches!(self.meant, Meant::Open)
    }

    /// Reads `count` elements from `first` on, of both.
    ///
    /// Errors: those of reading; `Io` if B is not what it has to be.
    pub(super) fn read(&self, first: u64, count: u64, chunk: &mut Chunk) -> Result<()> {
        self.read_both(first, count, chunk)?;
        self.check(first, count, chunk)
    }

    fn read_both(&self, first: u64, count: u64, chunk: &mut Chunk) -> Result<()> {
        let Chunk {
            a,
            b,
            scratch,
            portable,
            ..
        } = chunk;
        let of_a = match self.meant {
            Meant::A => portable,
            _ => &mut *scratch,
        };
        self.a.read(first, count, a, of_a)?;
        self.b.read(first, count, b, scratch).map(|_| ())
    }

    fn check(&self, first: u64, count: u64, chunk: &mut Chunk) -> Result<()> {
        let Chunk {
            a,
            b,
            meant,
            portable,
            ..
        } = chunk;
        let meant = match &self.meant {
            Meant::Open => return Ok(()),
            Meant::A => &*a,
            Meant::Bits(reader) => {
                reader.read(first, count, meant, portable)?;
                &*meant
            }
        };
        if meant == b {
            return Ok(());
        }
        let differ = meant
            .iter()
            .zip(b)
            .position(|(meant, found)| meant != found);
        let facts = self.b.tensor().dtype.facts();
        let block = differ.unwrap_or(0) as u64 / u64::from(facts.block_bytes.max(1));
        let element = first + block * u64::from(facts.block_elements);
        let message =
            format!("the output is not what was meant, from element {element} on; it gets no name");
        Err(Error::new(Kind::Io, message).in_tensor(&self.b.tensor().name))
    }
}

/// How the elements of both are read as numbers.
pub(super) fn decoders(a: &Tensor, b: &Tensor) -> Result<(Decoder, Decoder)> {
    let of =
        |tensor: &Tensor| Decoder::of(tensor.dtype).map_err(|error| error.in_tensor(&tensor.name));
    Ok((of(a)?, of(b)?))
}
