//! Elements of one dtype as another, and what is lost on the way.
//!
//! Every float is the exact value rounded once, to nearest, ties to even. Where a value has
//! more digits than `f32`, it goes to the smaller floats through an `f32` *rounded to odd*: one
//! of whose last bit says that something was cut off, so that the second rounding is right.
//! (Blocks are made from the nearest `f32`: they have no right rounding of their own.)

mod decode;
mod encode;

use super::{Class, DType};
use crate::error::{Error, Result};
use crate::kernel::{Path, narrow, view, widen};
use std::sync::Arc;

pub use crate::kernel::narrow::Losses;

/// Elements that are decoded at once: 4 KiB of `f32`, and whole blocks of every dtype.
const TILE: usize = 1024;

/// What becomes of values beyond the target's largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The largest finite value, of infinities too.
    Saturate,
    /// Infinity, or NaN where the target has none.
    Infinity,
    /// NaN. Infinities stay, where the target has them.
    Nan,
    /// An error that names the first of them.
    Error,
}

impl Overflow {
    /// Infinity where the target has it, otherwise the largest value.
    pub fn of(to: DType) -> Overflow {
        match to {
            DType::F8E4M3 | DType::F8E4M3Fnuz | DType::F8E5M2Fnuz => Overflow::Saturate,
            _ => Overflow::Infinity,
        }
    }

    fn kernel(self) -> narrow::Overflow {
        match self {
            Overflow::Saturate => narrow::Overflow::Saturate,
            Overflow::Nan => narrow::Overflow::Nan,
            Overflow::Infinity | Overflow::Error => narrow::Overflow::Infinity,
        }
    }
}

/// How elements are cast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What becomes of values beyond the largest; `None`: what [`Overflow::of`] says.
    pub overflow: Option<Overflow>,
    /// How much the error of each column matters, for k-quants: one weight for each element of
    /// a row; or of several matrices (experts) as many times, one after the other.
    pub importance: Option<Arc<[f32]>>,
}

/// The dtypes that numbers can be cast to, floats first.
pub fn targets() -> impl Iterator<Item = DType> {
    let all = DType::ALL.iter().copied();
    all.filter(|&dtype| check(DType::F32, dtype).is_ok())
}

/// Whether elements of `from` can be cast to `to`.
///
/// Errors: `Unsupported` for targets that are no floats of 8 bits or more and no blocks that
/// can be encoded (or the integers of a quantised type), and for types that are no plain numbers.
pub fn check(from: DType, to: DType) -> Result<()> {
    let is_float = matches!(to, DType::F32 | DType::F64) || encode::narrow_kind(to).is_some();
    if from != to
        && to.class() == Class::Block
        && from.class() != Class::Unknown
        && !encode::encodes(to)
    {
        return Err(encode::no_encoder(to));
    }
    let is_target = is_float || to.class() == Class::Block;
    let possible = match from.class() {
        _ if from == to => true,
        Class::Bool | Class::Unsigned | Class::Signed | Class::Float | Class::Block => is_target,
        Class::Quantized => integers_of(from) == Some(to),
        Class::Complex | Class::Unknown => false,
    };
    if possible {
        return Ok(());
    }
    let reason = format!("{from} cannot be cast to {to}");
    Err(Error::unsupported(reason).with_hint("`-x NAME` leaves the tensor out"))
}

/// Whether rows of `dimensions`, outermost first, consist of whole blocks of `to`.
///
/// Errors: `Unsupported` if not.
pub fn check_rows(to: DType, dimensions: &[u64]) -> Result<()> {
    let block = u64::from(to.facts().block_elements);
    let row = dimensions.last().copied().unwrap_or(1);
    if to.class() != Class::Block || row.is_multiple_of(block) {
        return Ok(());
    }
    let reason = format!("rows of {row} elements are no whole blocks of {to}, which has {block}");
    Err(Error::unsupported(reason).with_hint("leave the tensor in a float type"))
}

/// The plain integers that a PyTorch quantised type consists of.
pub fn integers_of(dtype: DType) -> Option<DType> {
    match dtype {
        DType::QI8 => Some(DType::I8),
        DType::QI32 => Some(DType::I32),
        DType::QU8 | DType::QU4x2 | DType::QU2x4 => Some(DType::U8),
        _ => None,
    }
}

/// Casts canonical bytes of `from` to canonical bytes of `to`; both hold the same elements.
pub fn cast(from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Result<Losses> {
    cast_by(Path::Fast, from, to, input, out)
}

/// As [`cast`], with the kernels of `path`.
///
/// Errors: those of [`check`]; `Usage` if the lengths do not fit each other.
pub fn cast_by(path: Path, from: DType, to: DType, input: &[u8], out: &mut [u8]) -> Result<Losses> {
    check(from, to)?;
    let overflow = Overflow::of(to);
    let importance = None;
    Cast {
        from,
        to,
        overflow,
        importance,
    }
    .run(path, 0, input, out)
}

/// The cast of one tensor's elements.
#[derive(Clone, Debug)]
pub struct Cast {
    from: DType,
    to: DType,
    overflow: Overflow,
    importance: Option<Importance>,
}

#[derive(Clone, Debug)]
struct Importance {
    weights: Arc<[f32]>,
    row: u64,
    /// Elements that share the weights of a row.
    matrix: u64,
}

impl Cast {
    /// The cast of a tensor of `dimensions`.
    ///
    /// Errors: those of [`check`] and [`check_rows`]; `Usage` if there are not as many weights
    /// as a row has elements (or as the rows of all matrices together).
    pub fn new(from: DType, to: DType, dimensions: &[u64], options: &Options) -> Result<Cast> {
        check(from, to)?;
        check_rows(to, dimensions)?;
        let importance = options.importance.as_ref();
        Ok(Cast {
            from,
            to,
            overflow: options.overflow.unwrap_or(Overflow::of(to)),
            importance: importance
                .map(|weights| Importance::new(weights, dimensions))
                .transpose()?,
        })
    }

    /// Casts the elements from number `first` on, canonical bytes to canonical bytes.
    ///
    /// Errors: `Unsupported` if a value cannot be stored, and that is not allowed to pass;
    /// `Usage` if the lengths do not fit each other.
    pub fn run(&self, path: Path, first: u64, input: &[u8], out: &mut [u8]) -> Result<Losses> {
        let Cast { from, to, .. } = *self;
        check_lengths(from, to, input, out)?;
        let mut losses = Losses::default();
        match (from, to, encode::narrow_kind(to)) {
            _ if from == to => out.copy_from_slice(input),
            (DType::F32, _, Some(kind)) => {
                losses = narrow::f32_to(path, kind, self.overflow.kernel(), input, out);
            }
            (DType::BF16, DType::F32, _) => widen::bf16_to_f32(path, input, out),
            (DType::F16, DType::F32, _) => widen::f16_to_f32(path, input, out),
            (DType::F64, DType::F32, _) => losses = f64_to_f32(self.overflow, input, out),
            _ if from.class() == Class::Quantized => decode::unpack(from, input, out),
            (DType::I64 | DType::U64 | DType::I32 | DType::U32, DType::F32 | DType::F64, _) => {
                decode::long_to_float(from, to, input, out)
            }
            _ => losses = self.by_tiles(path, first, input, out)?,
        }
        if self.overflow == Overflow::Error && (losses.overflow > 0 || losses.nan > 0) {
            return Err(self.too_large(first, input));
        }
        Ok(losses)
    }

    /// Decodes to `f32` (exactly, or rounded to odd for the smaller floats), then encodes.
    fn by_tiles(&self, path: Path, first: u64, input: &[u8], out: &mut [u8]) -> Result<Losses> {
        let Cast { from, to, .. } = *self;
        if to == DType::F32
            && let Some(values) = view::floats_mut(out)
        {
            decode::decode(path, from, input, values);
            return Ok(Losses::default());
        }
        let bytes_in = |dtype: DType| dtype.byte_len(TILE as u64).unwrap_or(1) as usize;
        let tiles = input
            .chunks(bytes_in(from))
            .zip(out.chunks_mut(bytes_in(to)));
        let mut tile = [0f32; TILE];
        let mut weights = Vec::new();
        let mut losses = Losses::default();
        for (index, (input, out)) in tiles.enumerate() {
            let facts = from.facts();
            let blocks = input.len() / facts.block_bytes.max(1) as usize;
            let values = &mut tile[..blocks * facts.block_elements as usize];
            match (from, to.class()) {
                (DType::F64, Class::Block) => {
                    let doubles = input.as_chunks::<8>().0.iter().zip(&mut *values);
                    doubles.for_each(|(bytes, value)| *value = f64::from_le_bytes(*bytes) as f32);
                }
                _ => decode::decode(path, from, input, values),
            }
            let at = first + (index * TILE) as u64;
            let weights = self.importance.as_ref().map(|importance| {
                importance.fill(at, values.len(), &mut weights);
                weights.as_slice()
            });
            losses += encode::encode(path, to, self.overflow, at, values, weights, out)?;
        }
        Ok(losses)
    }

    /// The first value that is too large, for an error.
    fn too_large(&self, first: u64, input: &[u8]) -> Error {
        let to = self.to;
        let one = |place: usize, input: &[u8]| {
            let width = to.facts().block_bytes as usize;
            let one = Cast {
                overflow: Overflow::Infinity,
                ..self.clone()
            };
            let losses = one
                .run(Path::Portable, 0, input, &mut vec![0; width])
                .ok()?;
            (losses.overflow + losses.nan > 0).then_some(place)
        };
        let width = self.from.element_bytes().unwrap_or(1) as usize;
        let elements = input.chunks_exact(width);
        let place = elements
            .enumerate()
            .find_map(|(place, element)| one(place, element));
        let text = match place {
            Some(place) => format!("element {} is too large for {to}", first + place as u64),
            None => format!("holds values too large for {to}"),
        };
        Error::unsupported(text).with_hint("`--overflow saturate` makes it the largest that fits")
    }
}

impl Importance {
    fn new(weights: &Arc<[f32]>, dimensions: &[u64]) -> Result<Importance> {
        let row = dimensions.last().copied().unwrap_or(1);
        let elements: u64 = dimensions.iter().product();
        let found = weights.len() as u64;
        let matrices = found.checked_div(row).unwrap_or(0);
        let fits = row > 0 && found == row * matrices && matrices > 0;
        if !fits || !elements.is_multiple_of(row * matrices) {
            return Err(Error::usage(format!(
                "{found} weights of importance for rows of {row}"
            )));
        }
        Ok(Importance {
            weights: Arc::clone(weights),
            row,
            matrix: elements / matrices,
        })
    }

    /// The weights of `count` elements from `first` on.
    fn fill(&self, first: u64, count: usize, out: &mut Vec<f32>) {
        out.clear();
        let end = first + count as u64;
        let mut at = first;
        while at < end {
            let column = at % self.row;
            let start = at / self.matrix * self.row + column;
            let run = (self.row - column).min(end - at);
            let weights = self.weights.get(start as usize..(start + run) as usize);
            out.extend_from_slice(weights.unwrap_or_default());
            at += run;
        }
    }
}

fn check_lengths(from: DType, to: DType, input: &[u8], out: &[u8]) -> Result<()> {
    let elements = |dtype: DType, bytes: usize| {
        let facts = dtype.facts();
        let block = facts.block_bytes.max(1) as usize;
        let whole = bytes.is_multiple_of(block);
        whole.then_some(bytes / block * facts.block_elements as usize)
    };
    match (elements(from, input.len()), elements(to, out.len())) {
        (Some(a), Some(b)) if a == b => Ok(()),
        _ => Err(Error::usage(format!(
            "{} bytes of {from} do not fill {} bytes of {to}",
            input.len(),
            out.len()
        ))),
    }
}

fn f64_to_f32(overflow: Overflow, input: &[u8], out: &mut [u8]) -> Losses {
    let mut losses = Losses::default();
    let pairs = input
        .as_chunks::<8>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<4>().0);
    for (from, to) in pairs {
        let wide = f64::from_le_bytes(*from);
        let mut single = wide as f32;
        losses.underflow += u64::from(wide != 0.0 && single == 0.0);
        if single.is_infinite() {
            let is_lost = wide.is_finite();
            match overflow {
                Overflow::Saturate => {
                    single = f32::MAX.copysign(single);
                    losses.overflow += 1;
                }
                Overflow::Nan if is_lost => {
                    single = f32::NAN.copysign(single);
                    losses.nan += 1;
                }
                _ => losses.overflow += u64::from(is_lost),
            }
        }
        *to = single.to_le_bytes();
    }
    losses
}

#[cfg(test)]
mod tests;
