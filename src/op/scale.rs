//! The scale of a tensor that is stored in 8-bit floats: what its largest magnitude needs.
//!
//! As in the fp8 checkpoints of the Hugging Face Hub: `value = stored * scale`, one F32 for the
//! whole tensor, `scale = largest magnitude / largest value of the dtype`.

use crate::dtype::DType;
use crate::error::Result;
use crate::model::Tensor;
use crate::parallel;
use crate::stream::{Reader, Scratch};

/// Elements that one thread looks at without a break; whole blocks of every dtype.
const PIECE: u64 = 1 << 16;

/// The largest finite value of an 8-bit float; `None` for other dtypes.
pub fn largest_of(dtype: DType) -> Option<f32> {
    Some(match dtype {
        DType::F8E4M3 => 448.0,
        DType::F8E4M3Fnuz => 240.0,
        DType::F8E5M2 | DType::F8E5M2Fnuz => 57344.0,
        _ => return None,
    })
}

/// The scale for `tensor` in a dtype whose largest value is `largest`. Infinities and NaNs have
/// no part in it; where nothing is left it is 1.
///
/// Reads the whole tensor. Errors: whatever reading may fail with.
pub fn scale(tensor: &Tensor, largest: f32, threads: usize) -> Result<f32> {
    let single = tensor.cast(DType::F32);
    let reader = Reader::open(&single)?;
    let elements = single.elements();
    let pieces = usize::try_from(elements.div_ceil(PIECE)).unwrap_or(usize::MAX);
    let state = || (Vec::new(), Scratch::default());
    let found = parallel::map(threads, pieces, state, |(bytes, scratch), piece| {
        let first = piece as u64 * PIECE;
        reader.read(first, PIECE.min(elements - first), bytes, scratch)?;
        let values = bytes.as_chunks::<4>().0.iter();
        let magnitudes = values.map(|bytes| f32::from_le_bytes(*bytes).abs());
        Ok(magnitudes
            .filter(|magnitude| magnitude.is_finite())
            .fold(0.0, f32::max))
    })?;
    let magnitude = found.into_iter().fold(0.0, f32::max);
    let scale = magnitude / largest;
    // A subnormal scale would have too few digits, and zero none.
    Ok(match magnitude {
        0.0 => 1.0,
        _ => scale.max(f32::MIN_POSITIVE),
    })
}
