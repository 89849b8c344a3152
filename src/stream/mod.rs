//! The one interpreter of [`Payload`]: any range of any tensor as canonical bytes.
//!
//! Canonical means contiguous, row by row, little-endian. A [`Reader`] may be shared by
//! threads; it holds no tensor data, except for sparse tensors (their indices) and compressed
//! ones (a temporary file).

mod arranged;
mod derived;
mod importance;
mod quantized;
mod sparse;
mod strided;

use crate::dtype::cast::{self, Cast, Losses};
use crate::dtype::{self, DType};
use crate::error::{Error, Result};
use crate::io::{ByteOrder, Source};
use crate::kernel;
use crate::model::{Bytes, CastOptions, Payload, Storage, Tensor};

/// Reads ranges of one tensor.
#[derive(Debug)]
pub struct Reader<'a> {
    tensor: &'a Tensor,
    plan: Plan<'a>,
}

/// Buffers that are reused between reads; one a thread.
#[derive(Debug, Default)]
pub struct Scratch {
    buffers: Vec<Vec<u8>>,
    path: kernel::Path,
}

impl Scratch {
    /// Buffers for reads that use the portable kernels only: for checks of the faster ones.
    pub fn portable() -> Scratch {
        Scratch {
            buffers: Vec::new(),
            path: kernel::Path::Portable,
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn give(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }
}

/// How ranges are read.
#[derive(Debug)]
enum Plan<'a> {
    Run(Run),
    Strided {
        run: Run,
        first: u64,
        strides: &'a [u64],
    },
    Sparse(sparse::Image),
    Lazy {
        plan: Box<Plan<'a>>,
        conjugate: bool,
        negative: bool,
    },
    Cast(Box<Reader<'a>>, Cast),
    Scaled(Box<Reader<'a>>, f32),
    Dequantized(Box<Reader<'a>>, quantized::Dequantizer),
    Reinterpreted(Box<Reader<'a>>),
    Masked(derived::Masked<'a>),
    Rows(arranged::Rows<'a>),
    Stacked(arranged::Stacked<'a>),
    Product(Box<[Reader<'a>; 2]>),
    Normalized(derived::Normalized<'a>),
}

/// Bytes as they lie, readable by position.
#[derive(Debug)]
struct Run {
    source: Source,
    offset: u64,
    order: ByteOrder,
}

impl Run {
    fn open(storage: &Storage) -> Result<Run> {
        let (source, offset) = match &storage.bytes {
            Bytes::Extent { source, offset, .. } => (source.clone(), *offset),
            Bytes::Packed { packed, offset, .. } => (packed.open()?, *offset),
            Bytes::Inline(bytes) => (Source::from_bytes("header", bytes.clone()), 0),
        };
        Ok(Run {
            source,
            offset,
            order: storage.order,
        })
    }
}

impl<'a> Reader<'a> {
    /// Prepares to read `tensor`. Cheap for stored and strided tensors.
    ///
    /// Errors: `Unsupported` if it has no data, an unknown type, or a cast that does not exist;
    /// `Limit` if it is sparse and too large; `Malformed` if a compressed stream is broken.
    pub fn open(tensor: &'a Tensor) -> Result<Reader<'a>> {
        let plan = Plan::of(tensor, &tensor.payload).map_err(|e| e.in_tensor(&tensor.name))?;
        Ok(Reader { tensor, plan })
    }

    /// The tensor being read.
    pub fn tensor(&self) -> &'a Tensor {
        self.tensor
    }

    /// Where a range may start and end: multiples of this many elements.
    pub fn granularity(&self) -> u64 {
        let own = u64::from(self.tensor.dtype.facts().block_elements);
        match &self.plan {
            Plan::Cast(from, _) | Plan::Scaled(from, _) | Plan::Dequantized(from, _) => {
                own.max(from.granularity())
            }
            Plan::Rows(rows) => rows.granularity(),
            Plan::Stacked(parts) => own.max(parts.granularity()),
            _ => own,
        }
    }

    /// Replaces `out` by `elements` elements from `first` on, in canonical bytes.
    ///
    /// Both are multiples of [`Reader::granularity`], or reach the end. Returns what a cast
    /// lost on the way.
    pub fn read(
        &self,
        first: u64,
        elements: u64,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        self.read_range(first, elements, out, scratch)
            .map_err(|error| error.in_tensor(&self.tensor.name))
    }

    /// As [`Reader::read`], into `out`, which is as long as the elements.
    pub fn read_into(
        &self,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let mut read = || {
            let needed = range_bytes(self.tensor, first, elements)?;
            if out.len() != needed {
                let room = out.len();
                return Err(Error::usage(format!("{needed} bytes do not fill {room}")));
            }
            self.plan.fill(self.tensor, first, elements, out, scratch)
        };
        read().map_err(|error| error.in_tensor(&self.tensor.name))
    }

    /// The whole tensor in canonical bytes; for small ones.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let elements = self.tensor.elements();
        self.read(0, elements, &mut out, &mut Scratch::default())?;
        Ok(out)
    }

    /// The file run behind the tensor, if its canonical bytes lie in one: for copies that need
    /// not pass through memory.
    pub fn run(&self) -> Option<(&Source, u64)> {
        match &self.plan {
            Plan::Run(run) if is_canonical(self.tensor.dtype, run.order) => {
                Some((&run.source, run.offset))
            }
            _ => None,
        }
    }

    fn read_range(
        &self,
        first: u64,
        elements: u64,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let byte_len = range_bytes(self.tensor, first, elements)?;
        // A buffer only grows: clearing it first would fill it with zeros each time.
        out.resize(byte_len, 0);
        self.plan.fill(self.tensor, first, elements, out, scratch)
    }
}

/// Bytes of a range, checked against the tensor's length.
fn range_bytes(tensor: &Tensor, first: u64, elements: u64) -> Result<usize> {
    let total = tensor.elements();
    if first.checked_add(elements).is_none_or(|end| end > total) {
        return Err(Error::usage(format!(
            "elements {first} to {} of {total}",
            first.saturating_add(elements)
        )));
    }
    let bytes = tensor.dtype.byte_len(elements);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| match tensor.dtype {
        DType::Unknown(_) => unknown(tensor.dtype),
        dtype => Error::usage(format!(
            "{elements} elements are no whole blocks of {dtype}"
        )),
    })
}

fn unknown(dtype: DType) -> Error {
    Error::unsupported(format!(
        "type {dtype} is not known, so its bytes mean nothing"
    ))
    .with_hint("`-x NAME` leaves it out")
}

/// A tensor that does not fit the bytes that it is said to lie in.
fn misfit(tensor: &Tensor, storage: &Storage, needed: Option<u64>) -> Error {
    let needed = needed.map_or("more bytes than there can be".to_owned(), |n| {
        format!("{n} bytes")
    });
    Error::malformed(format!(
        "{} {} needs {needed}, but {} are stored",
        tensor.dtype,
        tensor.shape,
        storage.bytes.len()
    ))
}

/// Whether bytes of `dtype` in this order are canonical as they lie.
fn is_canonical(dtype: DType, order: ByteOrder) -> bool {
    order == ByteOrder::Little || dtype.facts().words.is_empty()
}

impl<'a> Plan<'a> {
    fn of(tensor: &'a Tensor, payload: &'a Payload) -> Result<Plan<'a>> {
        if let DType::Unknown(_) = tensor.dtype {
            return Err(unknown(tensor.dtype));
        }
        Ok(match payload {
            Payload::Stored(storage) => {
                let needed = tensor.byte_len();
                if needed != Some(storage.bytes.len()) {
                    return Err(misfit(tensor, storage, needed));
                }
                Plan::Run(Run::open(storage)?)
            }
            Payload::Strided {
                storage,
                first,
                strides,
            } => {
                let needed = strided::extent(tensor, *first, strides);
                if needed.is_none_or(|needed| needed > storage.bytes.len()) {
                    return Err(misfit(tensor, storage, needed));
                }
                Plan::Strided {
                    run: Run::open(storage)?,
                    first: *first,
                    strides,
                }
            }
            Payload::Sparse { layout, parts } => {
                Plan::Sparse(sparse::Image::read(tensor, *layout, parts)?)
            }
            Payload::Lazy {
                of,
                conjugate,
                negative,
            } => Plan::Lazy {
                plan: Box::new(Plan::of(tensor, of)?),
                conjugate: *conjugate,
                negative: *negative,
            },
            Payload::Cast(from) => cast_plan(tensor, from, &CastOptions::default())?,
            Payload::CastWith(from, options) => cast_plan(tensor, from, options)?,
            Payload::Scaled(from, scale) => {
                if (from.dtype, tensor.dtype) != (DType::F32, DType::F32) {
                    let kind = from.dtype;
                    return Err(Error::usage(format!("{kind} is scaled as F32 only")));
                }
                Plan::Scaled(Box::new(Reader::open(from)?), *scale)
            }
            Payload::Dequantized(from) => {
                let dequantizer = quantized::Dequantizer::of(from)?;
                Plan::Dequantized(Box::new(Reader::open(from)?), dequantizer)
            }
            Payload::Reinterpreted(from) => Plan::Reinterpreted(Box::new(Reader::open(from)?)),
            Payload::Masked { of, mask } => Plan::Masked(derived::Masked::open(of, mask)?),
            Payload::Rows { of, order } => Plan::Rows(arranged::Rows::open(of, *order)?),
            Payload::Stacked(parts) => Plan::Stacked(arranged::Stacked::open(tensor, parts)?),
            Payload::Product(pair) => Plan::Product(derived::open_pair(tensor, pair)?),
            Payload::Normalized {
                direction,
                magnitude,
                axis,
            } => Plan::Normalized(derived::Normalized::open(direction, magnitude, *axis)?),
            Payload::Absent(why) => {
                return Err(Error::unsupported(format!("has no data: {why}"))
                    .with_hint("`-x NAME` leaves it out"));
            }
        })
    }

    /// Fills `out`, which has the range's length.
    fn fill(
        &self,
        tensor: &Tensor,
        first: u64,
        elements: u64,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Losses> {
        let dtype = tensor.dtype;
        match self {
            Plan::Run(run) => {
                let start = dtype.byte_len(first).unwrap_or(u64::MAX);
                run.source
                    .read_exact_at(run.offset.saturating_add(start), out)?;
                swap_if_big(dtype, run.order, out);
            }
            Plan::Strided {
                run,
                first: start,
                strides,
            } => {
                let mut window = scratch.take();
                let view = strided::View {
                    source: &run.source,
                    offset: run.offset,
                    element: dtype.element_bytes().ok_or_else(|| {
                        Error::unsupported(format!("strided {dtype} has no whole-byte elements"))
                    })?,
                    first: *start,
                    strides,
                };
                let filled = view.gather(&tensor.shape, first, elements, out, &mut window);
                scratch.give(window);
                filled?;
                swap_if_big(dtype, run.order, out);
            }
            Plan::Sparse(image) => image.fill(first, out),
            Plan::Lazy {
                plan,
                conjugate,
                negative,
            } => {
                plan.fill(tensor, first, elements, out, scratch)?;
                flip_signs(dtype, *conjugate, *negative, out)?;
            }
            Plan::Cast(from, cast) => {
                let mut input = scratch.take();
                let read = from.read(first, elements, &mut input, scratch);
                // What casts one below the other lost adds up.
                let losses = read.and_then(|mut lost| {
                    lost += cast.run(scratch.path, first, &input, out)?;
                    Ok(lost)
                });
                scratch.give(input);
                return losses;
            }
            Plan::Scaled(from, scale) => {
                let losses = from.read_into(first, elements, out, scratch)?;
                for bytes in out.as_chunks_mut::<4>().0 {
                    *bytes = (f32::from_le_bytes(*bytes) / scale).to_le_bytes();
                }
                return Ok(losses);
            }
            Plan::Dequantized(from, dequantizer) => {
                let mut input = scratch.take();
                let read = from.read(first, elements, &mut input, scratch);
                let filled =
                    read.and_then(|_| dequantizer.fill(from.tensor.dtype, &input, first, out));
                scratch.give(input);
                filled?;
            }
            Plan::Reinterpreted(from) => {
                // Whole tensors or runs of the same bits: positions scale with the sizes.
                let bytes = dtype.byte_len(first).unwrap_or(u64::MAX);
                let source = from.tensor;
                let facts = source.dtype.facts();
                let scale = |bytes: u64| {
                    bytes / u64::from(facts.block_bytes.max(1)) * u64::from(facts.block_elements)
                };
                let mut input = scratch.take();
                let count = scale(out.len() as u64);
                let read = from.read(scale(bytes), count, &mut input, scratch);
                let copied = read.and_then(|_| {
                    if input.len() != out.len() {
                        return Err(Error::usage("a range cuts through an element"));
                    }
                    out.copy_from_slice(&input);
                    Ok(())
                });
                scratch.give(input);
                copied?;
            }
            Plan::Masked(masked) => masked.fill(first, elements, out, scratch)?,
            Plan::Rows(rows) => return rows.fill(first, elements, out, scratch),
            Plan::Stacked(parts) => return parts.fill(first, elements, out, scratch),
            Plan::Product(pair) => derived::multiply(dtype, pair, first, elements, out, scratch)?,
            Plan::Normalized(normalized) => {
                normalized.fill(dtype, first, elements, out, scratch)?
            }
        }
        Ok(Losses::default())
    }
}

fn cast_plan<'a>(tensor: &Tensor, from: &'a Tensor, options: &CastOptions) -> Result<Plan<'a>> {
    let importance = options.importance.as_ref().map(importance::weights);
    let options = cast::Options {
        overflow: options.overflow,
        importance: importance.transpose()?,
    };
    let cast = Cast::new(
        from.dtype,
        tensor.dtype,
        tensor.shape.dimensions(),
        &options,
    )?;
    Ok(Plan::Cast(Box::new(Reader::open(from)?), cast))
}

fn swap_if_big(dtype: DType, order: ByteOrder, bytes: &mut [u8]) {
    if order == ByteOrder::Big {
        dtype::swap_bytes(dtype, bytes);
    }
}

/// Applies PyTorch's lazy bits by flipping sign bits of floats, little-endian.
fn flip_signs(dtype: DType, conjugate: bool, negative: bool, bytes: &mut [u8]) -> Result<()> {
    let (part, parts) = match dtype {
        DType::F16 | DType::BF16 => (2, 1),
        DType::F32 => (4, 1),
        DType::F64 => (8, 1),
        DType::C32 => (2, 2),
        DType::C64 => (4, 2),
        DType::C128 => (8, 2),
        _ => {
            return Err(Error::unsupported(format!(
                "a conjugate or negative bit on {dtype} has no meaning"
            )));
        }
    };
    for element in bytes.chunks_exact_mut(part * parts) {
        for (index, number) in element.chunks_exact_mut(part).enumerate() {
            let flip = negative ^ (conjugate && index == 1);
            number[part - 1] ^= u8::from(flip) << 7;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shape;

    fn tensor(dtype: DType, shape: &[u64], payload: Payload) -> Tensor {
        Tensor::new("x", dtype, Shape::new(shape).unwrap(), payload)
    }

    #[test]
    fn big_endian_storages_are_swapped_in_views_too() {
        let storage = Storage::inline([0, 1, 0, 2, 0, 3, 0, 4]).with_order(ByteOrder::Big);
        let shape = Shape::new([2, 2]).unwrap();
        let view = Payload::view(storage, DType::I16, &shape, 0, [1, 2].into());
        let tensor = Tensor::new("x", DType::I16, shape, view);
        let bytes = Reader::open(&tensor).unwrap().read_all().unwrap();
        assert_eq!(bytes, [1, 0, 3, 0, 2, 0, 4, 0]);
    }

    #[test]
    fn lazy_bits_flip_signs() {
        let stored: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let payload = Payload::Lazy {
            of: Box::new(Payload::Stored(Storage::inline(stored))),
            conjugate: true,
            negative: true,
        };
        let tensor = tensor(DType::C64, &[1], payload);
        let bytes = Reader::open(&tensor).unwrap().read_all().unwrap();
        let expected: Vec<u8> = [-1.0f32, 2.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn reinterpreted_bytes_are_the_same_bytes() {
        let pairs = tensor(
            DType::C128,
            &[2],
            Payload::Stored(Storage::inline((0..32).collect::<Vec<u8>>())),
        );
        let flat = tensor(DType::F64, &[2, 2], Payload::Reinterpreted(pairs.into()));
        let reader = Reader::open(&flat).unwrap();
        assert_eq!(reader.read_all().unwrap(), (0..32).collect::<Vec<u8>>());
        let mut out = Vec::new();
        reader
            .read(2, 2, &mut out, &mut Scratch::default())
            .unwrap();
        assert_eq!(out, (16..32).collect::<Vec<u8>>());
    }

    #[test]
    fn refuses_views_that_leave_their_storage() {
        let far: [(u64, &[u64]); 4] = [
            (3, &[2, 1]),
            (0, &[4, 1]),
            (0, &[u64::MAX, 1]),
            (9, &[0, 0]),
        ];
        for (first, strides) in far {
            let view = Payload::Strided {
                storage: Storage::inline([0; 16]),
                first,
                strides: strides.into(),
            };
            let tensor = tensor(DType::F32, &[2, 2], view);
            let error = Reader::open(&tensor).unwrap_err().to_string();
            assert!(error.starts_with("tensor `x`: F32 [2, 2] needs"), "{error}");
        }
    }

    #[test]
    fn ranges_past_the_end_are_refused() {
        let tensor = tensor(DType::U8, &[4], Payload::Stored(Storage::inline([0; 4])));
        let reader = Reader::open(&tensor).unwrap();
        let read =
            |first, count| reader.read(first, count, &mut Vec::new(), &mut Scratch::default());
        assert!(read(4, 0).is_ok());
        assert!(read(3, 2).is_err());
        assert!(read(u64::MAX, 2).is_err());
    }
}
