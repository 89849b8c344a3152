//! The common tensor model: plain values, nothing is read here.

mod beside;
mod checkpoint;
mod importance;
pub mod json;
mod language;
mod payload;
mod rows;
mod tensor;
mod value;

pub use beside::Beside;
pub use checkpoint::{Checkpoint, Group, Level, Note, ROOT_KEYS, Winner};
pub use importance::{Importance, ImportanceMatrix};
pub use language::LanguageFiles;
pub use payload::{Bytes, CastOptions, Mask, Payload, Quantization, SparseLayout, Storage};
pub use rows::{RowOrder, RowRun, StoredRows};
pub use tensor::{Shape, Tensor};
pub use value::{Array, Value};
