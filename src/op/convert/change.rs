//! What became of a tensor, and why.

use crate::dtype::DType;

/// What was done to one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name in the source.
    pub from_name: String,
    /// Its dtype in the source.
    pub from_dtype: DType,
    /// What was done.
    pub reason: Reason,
    /// Bytes in the source; 0 for what is written only once there.
    pub bytes_before: u64,
    /// Bytes in the target; 0 for an alias.
    pub bytes_after: u64,
}

/// What was done to a tensor, or where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing: copied.
    Kept,
    /// The dtype was asked for.
    Cast,
    /// The dtype is smaller and holds every element exactly.
    Lossless,
    /// Blocks that the target cannot hold were decoded.
    Decoded,
    /// Quantised integers became the numbers they stand for.
    Dequantized,
    /// Quantised integers became plain ones.
    Integers,
    /// The scale, zero point or axis of quantised integers.
    Quantization,
    /// The scale of 8-bit floats.
    Scale,
    /// Complex numbers became pairs of real ones.
    Pairs,
    /// A sparse tensor was written out.
    Dense,
    /// Another name of a tensor that is stored under its first.
    Alias,
    /// Some elements were zeroed.
    Zeroed,
    /// Tensors that stand for one were made one.
    Folded,
    /// Wrong values were replaced.
    Repaired,
}

impl Reason {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Kept => "kept",
            Reason::Cast => "cast",
            Reason::Lossless => "lossless",
            Reason::Decoded => "decoded",
            Reason::Dequantized => "dequantized",
            Reason::Integers => "integers",
            Reason::Quantization => "quantization",
            Reason::Scale => "scale",
            Reason::Pairs => "pairs",
            Reason::Dense => "dense",
            Reason::Alias => "alias",
            Reason::Zeroed => "zeroed",
            Reason::Folded => "folded",
            Reason::Repaired => "repaired",
        }
    }
}
