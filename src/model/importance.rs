//! How much the error of each column of a matrix matters when it is quantised.

use super::Tensor;
use std::sync::Arc;

/// What was measured about the columns of one tensor: sums of squares of what its matrices were
/// multiplied with. Nothing is read until they are needed.
#[derive(Clone, Debug)]
pub struct Importance {
    /// Sums as F32, one for each column; those of several matrices (experts) follow each other.
    pub sums: Tensor,
    /// By what the sums of each matrix are divided; each has the same share of the sums. Where it
    /// is not positive, nothing is known, and all columns weigh the same.
    pub counts: Arc<[f32]>,
}

impl Importance {
    /// How many weights there are.
    pub fn weights(&self) -> u64 {
        self.sums.elements()
    }
}

/// An importance matrix: the measurements of a whole model, as llama.cpp's `imatrix` takes them.
#[derive(Clone, Debug, Default)]
pub struct ImportanceMatrix {
    /// Where it was read from.
    pub path: String,
    /// By the name that GGUF has for the tensor; no name stands twice.
    pub entries: Vec<(String, Importance)>,
    /// What texts it was measured on.
    pub datasets: Vec<String>,
    /// How many pieces of them; 0: not known.
    pub chunks: u32,
}
