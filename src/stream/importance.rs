//! Weights of the columns of a tensor, from what was measured about them.

use super::Reader;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Importance;
use std::sync::Arc;

/// What a column that never had an input weighs, as a share of the mean of its matrix. A block of
/// zeros would leave its scale open.
const LEAST: f64 = 1e-6;

/// One weight for each column of each matrix: the mean of the squares, as `llama-quantize` finds
/// it.
pub(super) fn weights(importance: &Importance) -> Result<Arc<[f32]>> {
    let (count, matrices) = (importance.weights(), importance.counts.len());
    if count > limits::IMPORTANCE_WEIGHTS {
        let allowed = limits::IMPORTANCE_WEIGHTS;
        let text = format!("has {count} weights of importance; the limit is {allowed}");
        return Err(Error::limit(text));
    }
    let bytes = Reader::open(&importance.sums)?.read_all()?;
    let sums = bytes.as_chunks::<4>().0.iter();
    let mut weights: Vec<f32> = sums.map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let columns = weights.len().checked_div(matrices).unwrap_or(0).max(1);
    for (matrix, count) in weights.chunks_mut(columns).zip(importance.counts.iter()) {
        weigh(matrix, *count);
    }
    Ok(weights.into())
}

/// Turns the sums of one matrix into weights.
fn weigh(matrix: &mut [f32], count: f32) {
    if count > 0.0 {
        matrix.iter_mut().for_each(|value| *value /= count);
    }
    let total: f64 = matrix.iter().map(|value| f64::from(*value)).sum();
    let least = (total / matrix.len() as f64 * LEAST) as f32;
    if count <= 0.0 || least == 0.0 {
        return matrix.fill(1.0);
    }
    for value in matrix.iter_mut().filter(|value| **value == 0.0) {
        *value = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::model::{Payload, Shape, Storage, Tensor};

    #[test]
    fn sums_become_means_and_gaps_are_filled() {
        let sums = [4.0f32, 0.0, 8.0, 9.0, 9.0, 9.0, 0.0, 0.0, 0.0];
        let stored = Storage::inline(sums.map(f32::to_le_bytes).concat());
        let shape = Shape::new([3, 3]).unwrap();
        let importance = Importance {
            sums: Tensor::new("x", DType::F32, shape, Payload::Stored(stored)),
            counts: Arc::from([4.0, 0.0, 2.0]),
        };
        let expected = [1.0, 1e-6, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(*weights(&importance).unwrap(), expected);
    }
}
