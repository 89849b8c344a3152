//! The k-quants from `f32`, by candle's port of ggml's searches for the best scales.

use super::DType;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

/// Elements of a block.
pub(crate) const BLOCK: usize = 256;

/// candle's name of a k-quant that it encodes with and without weights.
pub(crate) fn kind_of(dtype: DType) -> Option<GgmlDType> {
    Some(match dtype {
        DType::Q2K => GgmlDType::Q2K,
        DType::Q3K => GgmlDType::Q3K,
        DType::Q4K => GgmlDType::Q4K,
        DType::Q5K => GgmlDType::Q5K,
        DType::Q6K => GgmlDType::Q6K,
        _ => return None,
    })
}

/// Encodes whole blocks: `values`, which are finite, and `out` hold the same elements. Errors
/// are minimised as `weights` has it, which is as long as `values`; without, evenly or by
/// magnitude, as ggml does.
pub(crate) fn encode(
    kind: GgmlDType,
    values: &[f32],
    weights: Option<&[f32]>,
    out: &mut [u8],
) -> candle_core::Result<()> {
    let elements = values.len() / BLOCK * BLOCK;
    let mut blocks = kind.cpu_zeros(elements);
    match weights {
        Some(weights) => blocks.from_float_imatrix(&values[..elements], weights, elements),
        None => blocks.from_float(&values[..elements]),
    }
    let tensor = QTensor::new(QStorage::Cpu(blocks), elements)?;
    let bytes = tensor.data()?;
    if bytes.len() != out.len() {
        let (found, wanted) = (bytes.len(), out.len());
        candle_core::bail!("{found} bytes of blocks, not {wanted}");
    }
    out.copy_from_slice(&bytes);
    Ok(())
}
