//! What the integers of quantised tensors stand for, as PyTorch keeps it.
//!
//! One scale and zero point stand in the pickle; those of channels are tensors beside the
//! integers. Source: ATen/quantized/Quantizer.cpp (`make_per_channel_affine_quantizer`).

use super::pickler::Element;
use crate::dtype::{Class, DType};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Checkpoint, Quantization, Tensor};
use crate::stream::Reader;

/// Bytes of a scale and a zero point at most.
const CHANNEL: u64 = 16;

/// What turns the integers of one tensor into numbers.
#[derive(Clone, Debug)]
pub(super) enum Quantizer {
    PerTensor {
        scale: f64,
        zero_point: i64,
    },
    PerChannel {
        /// Scales, zero points.
        parts: [Channels; 2],
        /// How many there are of each.
        count: u64,
        axis: u64,
    },
}

/// One number a channel.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    /// How PyTorch calls their type.
    pub(super) element: Element,
    /// The numbers, little-endian.
    bytes: Vec<u8>,
}

impl Quantizer {
    /// Reads what `tensor` says about its integers; `None` if it is no quantised tensor.
    ///
    /// Errors: `Unsupported` for integers without a scale, `Malformed` if there is not one scale
    /// and one zero point a channel, those of reading.
    pub(super) fn of(tensor: &Tensor) -> Result<Option<Quantizer>> {
        if tensor.dtype.class() != Class::Quantized {
            return Ok(None);
        }
        let quantization = tensor.quantization.as_deref().ok_or_else(|| {
            Error::unsupported(format!("{} has no scale to go with it", tensor.dtype))
        })?;
        Ok(Some(match quantization {
            Quantization::PerTensor { scale, zero_point } => Quantizer::PerTensor {
                scale: *scale,
                zero_point: *zero_point,
            },
            Quantization::PerChannel {
                scales,
                zero_points,
                axis,
            } => {
                let index = usize::try_from(*axis).unwrap_or(usize::MAX);
                let count = tensor.shape.dimensions().get(index).copied();
                let count = count
                    .filter(|&count| scales.elements() == count && zero_points.elements() == count);
                let count = count.ok_or_else(|| {
                    let (found, shape) = (scales.elements(), &tensor.shape);
                    Error::malformed(format!("has {found} scales for axis {axis} of {shape}"))
                })?;
                let parts = match zero_points.dtype.class() {
                    Class::Float => [
                        Channels::read(scales, DType::F32, "Float")?,
                        Channels::read(zero_points, DType::F32, "Float")?,
                    ],
                    _ => [
                        Channels::read(scales, DType::F64, "Double")?,
                        Channels::read(zero_points, DType::I64, "Long")?,
                    ],
                };
                let axis = *axis;
                Quantizer::PerChannel { parts, count, axis }
            }
        }))
    }

    /// What lies in storages of its own.
    pub(super) fn storages(&self) -> impl Iterator<Item = &[u8]> {
        let parts: &[Channels] = match self {
            Quantizer::PerTensor { .. } => &[],
            Quantizer::PerChannel { parts, .. } => parts,
        };
        parts.iter().map(|part| part.bytes.as_slice())
    }
}

impl Channels {
    fn read(from: &Tensor, dtype: DType, stem: &'static str) -> Result<Channels> {
        Ok(Channels {
            element: Element::Class(stem),
            bytes: Reader::open(&from.cast(dtype))?.read_all()?,
        })
    }
}

/// Before anything is read: all scales and zero points are held in memory, and a view may claim
/// more of them than the file has bytes.
///
/// Errors: `Limit`.
pub(super) fn check_size(checkpoint: &Checkpoint) -> Result<()> {
    let channels =
        checkpoint
            .tensors
            .iter()
            .filter_map(|tensor| match tensor.quantization.as_deref()? {
                Quantization::PerTensor { .. } => None,
                Quantization::PerChannel { scales, .. } => Some(scales.elements()),
            });
    let bytes = channels
        .fold(0, u64::saturating_add)
        .saturating_mul(CHANNEL);
    if bytes > limits::QUANTIZATION {
        let allowed = limits::QUANTIZATION;
        let message = format!("scales and zero points take {bytes} bytes; the limit is {allowed}");
        let error = Error::limit(message);
        return Err(error.with_hint("`--dtype` makes plain numbers of quantised tensors"));
    }
    Ok(())
}
