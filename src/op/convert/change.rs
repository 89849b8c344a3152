//! What became of a tensor, and why.

use super::roles::Role;
use crate::dtype::DType;
use std::fmt;
use std::sync::Arc;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing: copied.
    Kept,
    /// The dtype was asked for.
    Cast,
    /// The dtype is smaller and holds every element exactly.
    Lossless,
    /// A rule gave the dtype; how the caller wrote it.
    Rule(Arc<str>),
    /// Quantising leaves tensors of this role alone, or gives them a dtype of their own.
    Default(Role),
    /// Rows of so many elements are no whole blocks of so many.
    Fallback {
        /// Elements of a row.
        row: u64,
        /// Elements of a block of the dtype that was wanted.
        block: u32,
    },
    /// The dtype makes the output fit into the size that was asked for.
    TargetSize,
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
    pub fn name(&self) -> &'static str {
        match self {
            Reason::Kept => "kept",
            Reason::Cast => "cast",
            Reason::Lossless => "lossless",
            Reason::Rule(_) => "rule",
            Reason::Default(_) => "default",
            Reason::Fallback { .. } => "fallback",
            Reason::TargetSize => "target size",
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

    /// What there is to say beyond the word.
    pub fn detail(&self) -> Option<String> {
        match self {
            Reason::Rule(rule) => Some(plain(rule).to_owned()),
            Reason::Default(role) => Some(role.name().to_owned()),
            Reason::Fallback { row, block } => {
                Some(format!("row length {row} is no multiple of {block}"))
            }
            _ => None,
        }
    }
}

/// A rule's origin without what the word says already.
fn plain(rule: &str) -> &str {
    let rule = rule.trim_matches('`');
    rule.strip_prefix("the rule on ").unwrap_or(rule)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.detail() {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}
