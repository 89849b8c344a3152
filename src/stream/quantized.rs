//! PyTorch quantised tensors as numbers.

use super::{Reader, Scratch};
use crate::dtype::DType;
use crate::dtype::cast;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Quantization, Tensor};

/// Scales and zero points, by channel.
///
/// `value = (q - zero_point) * scale` in `f32`, as torch's `dequantize` computes it.
#[derive(Debug)]
pub(super) struct Dequantizer {
    /// The integers' type.
    integer: DType,
    scales: Vec<f32>,
    zero_points: ZeroPoints,
    /// Elements that follow each other within one channel.
    run: u64,
}

#[derive(Debug)]
enum ZeroPoints {
    Integer(Vec<i64>),
    Float(Vec<f32>),
}

impl Dequantizer {
    /// Reads what `tensor`, a quantised one, says about its integers.
    pub(super) fn of(tensor: &Tensor) -> Result<Dequantizer> {
        let integer = cast::integers_of(tensor.dtype);
        let (Some(integer), Some(quantization)) = (integer, tensor.quantization.as_deref()) else {
            return Err(Error::unsupported(format!(
                "{} has no scale to dequantise it by",
                tensor.dtype
            )));
        };
        match quantization {
            Quantization::PerTensor { scale, zero_point } => Ok(Dequantizer {
                integer,
                scales: vec![*scale as f32],
                zero_points: ZeroPoints::Integer(vec![*zero_point]),
                run: u64::MAX,
            }),
            Quantization::PerChannel {
                scales,
                zero_points,
                axis,
            } => {
                let dimensions = tensor.shape.dimensions();
                let axis = usize::try_from(*axis).unwrap_or(usize::MAX);
                let Some(&channels) = dimensions.get(axis) else {
                    return Err(Error::malformed(format!(
                        "is quantised along axis {axis}, but has {} dimensions",
                        dimensions.len()
                    )));
                };
                check_channels(scales, channels)?;
                check_channels(zero_points, channels)?;
                Ok(Dequantizer {
                    integer,
                    scales: floats(scales)?.iter().map(|&scale| scale as f32).collect(),
                    zero_points: ZeroPoints::read(zero_points)?,
                    run: dimensions[axis + 1..].iter().product(),
                })
            }
        }
    }

    /// Fills `out` with `f32` made from `input`, the integers from element `first` on.
    pub(super) fn fill(&self, from: DType, input: &[u8], first: u64, out: &mut [u8]) -> Result<()> {
        let (out, _) = out.as_chunks_mut::<4>();
        let mut integers = vec![0u8; out.len() * self.integer.facts().block_bytes as usize];
        cast::cast(from, self.integer, input, &mut integers)?;
        for (index, value) in out.iter_mut().enumerate() {
            let q = self.integer_at(&integers, index);
            let position = first + index as u64;
            let channel = (position / self.run % self.scales.len() as u64) as usize;
            let steps = match &self.zero_points {
                ZeroPoints::Integer(points) => q.saturating_sub(points[channel]) as f32,
                ZeroPoints::Float(points) => q as f32 - points[channel],
            };
            *value = (steps * self.scales[channel]).to_le_bytes();
        }
        Ok(())
    }

    fn integer_at(&self, integers: &[u8], index: usize) -> i64 {
        match self.integer {
            DType::I8 => i64::from(integers[index] as i8),
            DType::I32 => {
                let word = integers.as_chunks::<4>().0[index];
                i64::from(i32::from_le_bytes(word))
            }
            _ => i64::from(integers[index]),
        }
    }
}

impl ZeroPoints {
    fn read(tensor: &Tensor) -> Result<ZeroPoints> {
        if tensor.dtype != DType::I64 && tensor.dtype != DType::I32 {
            let points = floats(tensor)?;
            return Ok(ZeroPoints::Float(
                points.iter().map(|&p| p as f32).collect(),
            ));
        }
        let bytes = Reader::open(tensor)?.read_all()?;
        Ok(ZeroPoints::Integer(match tensor.dtype {
            DType::I64 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| i64::from_le_bytes(*b))
                .collect(),
            _ => {
                let words = bytes.as_chunks().0.iter();
                words.map(|b| i64::from(i32::from_le_bytes(*b))).collect()
            }
        }))
    }
}

/// A claim about channels is checked before anything is read: a view may repeat one value.
fn check_channels(tensor: &Tensor, channels: u64) -> Result<()> {
    let found = tensor.elements();
    if found != channels {
        return Err(Error::malformed(format!(
            "has {channels} channels, but `{}` has {found} elements",
            tensor.name
        )));
    }
    if channels > limits::SPARSE_ELEMENTS {
        return Err(Error::limit(format!(
            "has {channels} channels; the limit is {}",
            limits::SPARSE_ELEMENTS
        )));
    }
    Ok(())
}

fn floats(tensor: &Tensor) -> Result<Vec<f64>> {
    let reader = Reader::open(tensor)?;
    let mut bytes = Vec::new();
    reader.read(0, tensor.elements(), &mut bytes, &mut Scratch::default())?;
    let mut wide = vec![0; tensor.elements() as usize * 8];
    cast::cast(tensor.dtype, DType::F64, &bytes, &mut wide)?;
    Ok(wide
        .as_chunks()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect())
}
