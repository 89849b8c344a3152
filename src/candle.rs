//! Any tensor of any format as a `candle_core::Tensor`, on any device.
//!
//! For devices other than the processor, turn on the feature `cuda` or `metal` of `candle-core`
//! in your own `Cargo.toml`.
//!
//! ```no_run
//! # fn main() -> ckpt::Result<()> {
//! use candle_core::Device;
//!
//! let tensors = ckpt::candle::load("model.pt".as_ref(), &Device::Cpu)?;
//! let by_name: std::collections::HashMap<_, _> = tensors.into_iter().collect();
//! // `candle_nn::VarBuilder::from_tensors(by_name, ..)` builds a model from it.
//! # Ok(())
//! # }
//! ```
//!
//! | ours | candle's |
//! |---|---|
//! | `U8 U32 I16 I32 I64 F16 BF16 F32 F64 F8_E4M3` | the same |
//! | `F8_E8M0 F6_E2M3 F6_E3M2 F4` | the same: bits that candle stores, but does not compute with |
//! | `BOOL` | `U8`, 0 or 1 |
//! | `I8`, `U16`, `U64` | `I16`, `U32`, `I64`: the next type that holds the values |
//! | GGUF blocks that candle knows | `F32`, by candle's own decoders; [`to_qtensor`] keeps them quantised |
//! | other GGUF blocks | `F32`, where this library decodes them |
//! | complex, PyTorch's quantised, other floats | none: an error says what would help |

use crate::dtype::cast;
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::format;
use crate::model::Tensor;
use crate::stream::Reader;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType as CandleType, Device, Tensor as CandleTensor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Bytes to which candle's largest blocks are aligned.
const ALIGNMENT: usize = 8;

/// Every tensor of the checkpoint at `path`, in file order.
///
/// Tensors are read one at a time, so that at most one is in memory twice. Tied tensors share
/// their memory.
///
/// Errors: those of [`format::open`] and of [`to_candle`].
pub fn load(path: &Path, device: &Device) -> Result<Vec<(String, CandleTensor)>> {
    let checkpoint = format::open(path)?;
    let mut loaded: Vec<(String, CandleTensor)> = Vec::with_capacity(checkpoint.tensors.len());
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(checkpoint.tensors.len());
    for tensor in &checkpoint.tensors {
        let tied = tensor.tied_to.as_deref();
        let earlier = tied.and_then(|name| loaded.get(*places.get(name)?));
        let made = match earlier {
            Some((_, same)) => same.clone(),
            None => to_candle(tensor, device).map_err(|e| e.in_file(&checkpoint.path))?,
        };
        places.insert(&tensor.name, loaded.len());
        loaded.push((tensor.name.clone(), made));
    }
    Ok(loaded)
}

/// One tensor on `device`, with its shape; the table above says of which type.
///
/// Errors: `Unsupported` for a type that candle cannot hold, and whatever reading the tensor's
/// bytes may fail with.
pub fn to_candle(tensor: &Tensor, device: &Device) -> Result<CandleTensor> {
    convert(tensor, device).map_err(|error| error.in_tensor(&tensor.name))
}

/// One tensor on `device` as it is, for candle's quantised layers: GGUF blocks that candle
/// knows, `F32`, `F16` and `BF16`, which such layers take too.
///
/// Errors: `Unsupported` for any other type, and for a single value.
pub fn to_qtensor(tensor: &Tensor, device: &Device) -> Result<QTensor> {
    let made = ggml_type(tensor.dtype)
        .ok_or_else(|| no_quantised_type(tensor.dtype))
        .and_then(|kind| quantised(tensor, kind, device));
    made.map_err(|error| error.in_tensor(&tensor.name))
}

fn convert(tensor: &Tensor, device: &Device) -> Result<CandleTensor> {
    let shape = candle_shape(tensor)?;
    if let Some(kind) = candle_type(tensor.dtype) {
        let bytes = Reader::open(tensor)?.read_all()?;
        return CandleTensor::from_raw_buffer(&bytes, kind, &shape, device).map_err(refused);
    }
    match tensor.dtype {
        DType::Bool => widen(tensor, &shape, device, |[byte]| u8::from(byte != 0)),
        DType::I8 => widen(tensor, &shape, device, |b| i16::from(i8::from_le_bytes(b))),
        DType::U16 => widen(tensor, &shape, device, |b| u32::from(u16::from_le_bytes(b))),
        DType::U64 => signed(tensor, &shape, device),
        dtype => match ggml_type(dtype) {
            Some(kind) => dequantised(tensor, kind, &shape, device),
            None if dtype.class() == Class::Block => decoded(tensor, device),
            None => Err(no_type(dtype)),
        },
    }
}

/// The dimensions as this machine's numbers.
fn candle_shape(tensor: &Tensor) -> Result<Vec<usize>> {
    let dimensions = tensor.shape.dimensions().iter();
    let fitting: Option<Vec<usize>> = dimensions.map(|&d| usize::try_from(d).ok()).collect();
    fitting.ok_or_else(|| Error::limit(format!("shape {} does not fit memory", tensor.shape)))
}

/// The same type at candle, byte for byte.
fn candle_type(dtype: DType) -> Option<CandleType> {
    Some(match dtype {
        DType::U8 => CandleType::U8,
        DType::U32 => CandleType::U32,
        DType::I16 => CandleType::I16,
        DType::I32 => CandleType::I32,
        DType::I64 => CandleType::I64,
        DType::F16 => CandleType::F16,
        DType::BF16 => CandleType::BF16,
        DType::F32 => CandleType::F32,
        DType::F64 => CandleType::F64,
        DType::F8E4M3 => CandleType::F8E4M3,
        DType::F8E8M0 => CandleType::F8E8M0,
        DType::F6E2M3 => CandleType::F6E2M3,
        DType::F6E3M2 => CandleType::F6E3M2,
        DType::F4 => CandleType::F4,
        _ => return None,
    })
}

/// The same type among candle's quantised tensors, which plain floats are too.
fn ggml_type(dtype: DType) -> Option<GgmlDType> {
    Some(match dtype {
        DType::F32 => GgmlDType::F32,
        DType::F16 => GgmlDType::F16,
        DType::BF16 => GgmlDType::BF16,
        DType::Q4_0 => GgmlDType::Q4_0,
        DType::Q4_1 => GgmlDType::Q4_1,
        DType::Q5_0 => GgmlDType::Q5_0,
        DType::Q5_1 => GgmlDType::Q5_1,
        DType::Q8_0 => GgmlDType::Q8_0,
        DType::Q8_1 => GgmlDType::Q8_1,
        DType::Q2K => GgmlDType::Q2K,
        DType::Q3K => GgmlDType::Q3K,
        DType::Q4K => GgmlDType::Q4K,
        DType::Q5K => GgmlDType::Q5K,
        DType::Q6K => GgmlDType::Q6K,
        DType::Q8K => GgmlDType::Q8K,
        _ => return None,
    })
}

/// Elements of `N` bytes each as another type.
fn widen<const N: usize, T: candle_core::WithDType>(
    tensor: &Tensor,
    shape: &[usize],
    device: &Device,
    element: impl Fn([u8; N]) -> T,
) -> Result<CandleTensor> {
    let bytes = Reader::open(tensor)?.read_all()?;
    let elements = bytes.as_chunks::<N>().0.iter();
    let values: Vec<T> = elements.map(|&bytes| element(bytes)).collect();
    CandleTensor::from_vec(values, shape, device).map_err(refused)
}

/// Unsigned numbers as signed ones, if all of them fit.
fn signed(tensor: &Tensor, shape: &[usize], device: &Device) -> Result<CandleTensor> {
    let bytes = Reader::open(tensor)?.read_all()?;
    let numbers = bytes.as_chunks::<8>().0.iter().copied();
    let values: Result<Vec<i64>> = numbers
        .map(|bytes| {
            let number = u64::from_le_bytes(bytes);
            i64::try_from(number).map_err(|_| {
                Error::unsupported(format!(
                    "holds {number}; candle's largest integer is {}",
                    i64::MAX
                ))
            })
        })
        .collect();
    CandleTensor::from_vec(values?, shape, device).map_err(refused)
}

/// Blocks as candle decodes them, on the processor, and then moved to `device`.
fn dequantised(
    tensor: &Tensor,
    kind: GgmlDType,
    shape: &[usize],
    device: &Device,
) -> Result<CandleTensor> {
    if tensor.elements() == 0 {
        return CandleTensor::zeros(shape, CandleType::F32, device).map_err(refused);
    }
    let blocks = quantised(tensor, kind, &Device::Cpu)?;
    blocks.dequantize(device).map_err(refused)
}

/// Blocks as this library decodes them.
fn decoded(tensor: &Tensor, device: &Device) -> Result<CandleTensor> {
    cast::check(tensor.dtype, DType::F32).map_err(|_| no_type(tensor.dtype))?;
    convert(&tensor.cast(DType::F32), device)
}

fn quantised(tensor: &Tensor, kind: GgmlDType, device: &Device) -> Result<QTensor> {
    let shape = candle_shape(tensor)?;
    let row = tensor.shape.row_elements();
    let block = u64::from(tensor.dtype.facts().block_elements);
    if shape.is_empty() {
        let message = "candle's quantised tensors have at least one dimension";
        return Err(Error::unsupported(message).with_hint("`to_candle` takes single values"));
    }
    if !row.is_multiple_of(block) {
        return Err(Error::unsupported(format!(
            "rows of {row} elements are no whole blocks of {} ({block})",
            tensor.dtype
        )));
    }
    let bytes = Reader::open(tensor)?.read_all()?;
    // candle asserts both; `read_all` and the table of dtypes see to the first.
    if !bytes.len().is_multiple_of(kind.type_size()) {
        let message = format!("{} bytes are no whole blocks of candle's", bytes.len());
        return Err(Error::unsupported(message));
    }
    with_aligned(&bytes, |bytes| {
        let storage = QStorage::from_data(Cow::Borrowed(bytes), device, kind);
        storage
            .and_then(|storage| QTensor::new(storage, shape))
            .map_err(refused)
    })
}

/// Calls `use_bytes` with the same bytes at an address that is a multiple of [`ALIGNMENT`];
/// they are copied only if they are not.
fn with_aligned<R>(bytes: &[u8], use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    if bytes.as_ptr().align_offset(ALIGNMENT) == 0 {
        return use_bytes(bytes);
    }
    let mut room = vec![0; bytes.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let aligned = room
        .get_mut(start..)
        .and_then(|rest| rest.get_mut(..bytes.len()));
    let aligned = aligned.ok_or_else(|| Error::unsupported("memory cannot be aligned"))?;
    aligned.copy_from_slice(bytes);
    use_bytes(aligned)
}

fn no_type(dtype: DType) -> Error {
    let error = Error::unsupported(format!("candle has no type for {dtype}"));
    match dtype.class() {
        Class::Complex => error
            .with_hint("candle has no complex numbers; take the real and the imaginary part apart"),
        Class::Quantized => error.with_hint("`Payload::Cast` to F32 dequantises it"),
        Class::Block => error.with_hint("this library does not decode the type yet"),
        Class::Unknown => {
            error.with_hint("the file is newer than this library, or made by a fork of ggml")
        }
        _ => error.with_hint("`Payload::Cast` to F32 makes it a type that candle has"),
    }
}

fn no_quantised_type(dtype: DType) -> Error {
    Error::unsupported(format!("candle has no quantised tensors of {dtype}"))
        .with_hint("`to_candle` decodes it")
}

fn refused(error: candle_core::Error) -> Error {
    Error::unsupported(format!("candle refuses it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unaligned_bytes_are_moved() {
        let bytes: Vec<u8> = (0..40).collect();
        for start in 0..8 {
            let part = &bytes[start..start + 16];
            let is_aligned = |bytes: &[u8]| {
                assert_eq!(bytes, part);
                Ok(bytes.as_ptr() as usize % ALIGNMENT)
            };
            assert_eq!(with_aligned(part, is_aligned).unwrap(), 0);
        }
    }

    #[test]
    fn blocks_have_candle_s_sizes() {
        for &dtype in DType::ALL {
            if let Some(kind) = ggml_type(dtype) {
                let facts = dtype.facts();
                assert_eq!(kind.type_size(), facts.block_bytes as usize, "{dtype}");
                assert_eq!(kind.block_size(), facts.block_elements as usize, "{dtype}");
            }
        }
    }
}
