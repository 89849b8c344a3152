//! Reading outputs back, through their format's own reader, before they get their names.

use super::plan::Plan;
use crate::error::{Error, Kind, Result};
use crate::format::{ReadOptions, read};
use crate::io::Sink;
use crate::model::{Checkpoint, Quantization, Tensor};
use crate::stream::Reader;
use std::collections::HashMap;

/// The tensors of the outputs, one for each of `checkpoint` and in its order. Their bytes lie in
/// the outputs.
///
/// Errors: those of reading; `Io` naming the first tensor that is missing, or of another dtype,
/// shape or scale than was meant, or whose other name means another.
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
        Some(found) if !same_scales(meant, found)? => "has other scales or zero points".to_owned(),
        Some(found) => return Ok(found),
    };
    Err(differs(&meant.name, &problem))
}

/// Whether the integers of quantised tensors stand for the same numbers.
fn same_scales(meant: &Tensor, found: &Tensor) -> Result<bool> {
    let of = |tensor: &'_ Tensor| tensor.quantization.clone();
    let (Some(meant), Some(found)) = (of(meant), of(found)) else {
        return Ok(meant.quantization.is_none() && found.quantization.is_none());
    };
    match (&*meant, &*found) {
        (
            Quantization::PerTensor { scale, zero_point },
            Quantization::PerTensor {
                scale: found_scale,
                zero_point: found_point,
            },
        ) => Ok(scale.to_bits() == found_scale.to_bits() && zero_point == found_point),
        (
            Quantization::PerChannel {
                scales,
                zero_points,
                axis,
            },
            Quantization::PerChannel {
                scales: found_scales,
                zero_points: found_points,
                axis: found_axis,
            },
        ) => Ok(axis == found_axis
            && same_numbers(scales, found_scales)?
            && same_numbers(zero_points, found_points)?),
        _ => Ok(false),
    }
}

/// Whether `found` is `meant`, in whichever dtype.
fn same_numbers(meant: &Tensor, found: &Tensor) -> Result<bool> {
    let cast = meant.cast(found.dtype);
    let read = |tensor: &Tensor| Reader::open(tensor)?.read_all();
    Ok(meant.elements() == found.elements() && read(&cast)? == read(found)?)
}

fn differs(tensor: &str, problem: &str) -> Error {
    let message = format!("the output is not what was meant: {problem}; it gets no name");
    Error::new(Kind::Io, message).in_tensor(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::model::Payload;
    use crate::model::{Shape, Storage};
    use std::sync::Arc;

    #[test]
    fn scales_are_compared_as_numbers_and_bits() {
        let tensor = |dtype, bytes: &[u8]| {
            let stored = Payload::Stored(Storage::inline(bytes));
            Box::new(Tensor::new("t", dtype, Shape::scalar(), stored))
        };
        let quantized = |quantization| Tensor {
            quantization: Some(Arc::new(quantization)),
            ..*tensor(DType::QI8, &[0])
        };
        let single = |scale, zero_point| quantized(Quantization::PerTensor { scale, zero_point });
        let channels = |scales, point: i64, axis| {
            quantized(Quantization::PerChannel {
                scales,
                zero_points: tensor(DType::I64, &point.to_le_bytes()),
                axis,
            })
        };
        let half = || tensor(DType::F64, &0.5f64.to_le_bytes());
        let short_half = || tensor(DType::F32, &0.5f32.to_le_bytes());
        let quarter = || tensor(DType::F64, &0.25f64.to_le_bytes());
        let same = |meant: &Tensor, found: &Tensor| same_scales(meant, found).unwrap();
        assert!(same(&single(0.5, 1), &single(0.5, 1)));
        assert!(!same(&single(0.5, 1), &single(0.5, 2)));
        assert!(!same(&single(0.0, 1), &single(-0.0, 1)));
        assert!(!same(&single(0.5, 1), &tensor(DType::QI8, &[0])));
        assert!(!same(&single(0.5, 1), &channels(half(), 1, 0)));
        assert!(same(&channels(short_half(), 1, 0), &channels(half(), 1, 0)));
        assert!(!same(&channels(quarter(), 1, 0), &channels(half(), 1, 0)));
        assert!(!same(&channels(half(), 2, 0), &channels(half(), 1, 0)));
        assert!(!same(&channels(half(), 1, 1), &channels(half(), 1, 0)));
    }
}
