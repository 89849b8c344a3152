//! Which measurements of an importance matrix belong to which tensor.
//!
//! Its entries have GGUF's names. Tensors of the llama family are found under Hugging Face's as
//! well; quantising looks at columns, which no converter reorders.

use super::names::hugging_face_names;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::model::{
    Checkpoint, Importance, ImportanceMatrix, Payload, Shape, Storage, Tensor, Value,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether the quantiser of `dtype` takes weights.
pub fn takes_weights(dtype: DType) -> bool {
    use DType::{Q2K, Q3K, Q4K, Q5K, Q6K};
    matches!(dtype, Q2K | Q3K | Q4K | Q5K | Q6K)
}

/// The entries of an importance matrix by the names of tensors.
#[derive(Debug)]
pub struct Weights {
    matrix: ImportanceMatrix,
    /// Where the measurements of a tensor are; without the `model.` before Hugging Face's names.
    places: HashMap<String, Place>,
}

/// An entry, or a matrix of it.
#[derive(Clone, Copy, Debug)]
struct Place {
    entry: usize,
    /// Whether the tensor is one of several experts in it.
    is_stack: bool,
}

/// What became of an importance matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Tensors that were quantised with weights.
    pub with: usize,
    /// Those that could have been, but have none.
    pub without: Vec<String>,
}

impl Weights {
    /// Makes the entries of `matrix` findable.
    pub fn new(matrix: ImportanceMatrix) -> Weights {
        let mut places = HashMap::new();
        for (entry, (name, _)) in matrix.entries.iter().enumerate() {
            let mut add = |name: String, is_stack: bool| {
                places.entry(name).or_insert(Place { entry, is_stack });
            };
            for theirs in hugging_face_names(name) {
                add(theirs, false);
            }
            add(name.clone(), false);
            // The first expert stands for all of them.
            let single = name.replacen("_exps.", ".0.", 1);
            if single != *name {
                for theirs in hugging_face_names(&single) {
                    add(theirs, true);
                }
                add(single, true);
            }
        }
        Weights { matrix, places }
    }

    /// What was measured about `tensor`; `None` if nothing was.
    ///
    /// Errors: `Malformed` if it is about another number of columns. (Of token embeddings it
    /// always is: `None`, as in llama.cpp.)
    pub fn of(&self, tensor: &Tensor) -> Result<Option<Importance>> {
        let name = tensor.name.as_str();
        let name = name.strip_prefix("model.").unwrap_or(name);
        let (generic, expert) = match self.places.contains_key(name) {
            true => (name.to_owned(), 0),
            false => one_expert(name).unwrap_or_default(),
        };
        let place = self.places.get(&generic);
        let found = place.and_then(|place| Some((place, self.matrix.entries.get(place.entry)?)));
        let Some((place, (entry, importance))) = found else {
            return Ok(None);
        };
        let columns = tensor.shape.row_elements();
        let part = match place.is_stack {
            false => Some(importance.clone()),
            true => part(importance, expert, columns),
        };
        let expected = columns.saturating_mul(matrices(tensor));
        match part {
            Some(part) if part.weights() == expected => Ok(Some(part)),
            _ if entry == "token_embd.weight" => Ok(None),
            _ => Err(Error::malformed(format!(
                "the importance matrix has {} weights in `{entry}`, but {} needs {expected}",
                importance.weights(),
                tensor.shape
            ))
            .with_hint("it was measured on another model")),
        }
    }

    /// Says in `checkpoint` where its weights came from, as llama.cpp does.
    pub fn record(&self, checkpoint: &mut Checkpoint) {
        let number = |n: u32| Value::Int(i64::from(n));
        let entries = u32::try_from(self.matrix.entries.len()).unwrap_or(u32::MAX);
        let mut set = |key: &str, value: Value, kind: &'static str| {
            checkpoint.set_metadata(&format!("quantize.imatrix.{key}"), value, kind);
        };
        set("file", Value::text(&self.matrix.path), "str");
        if let Some(dataset) = self.matrix.datasets.first() {
            set("dataset", Value::text(dataset), "str");
        }
        set("entries_count", number(entries), "u32");
        if self.matrix.chunks > 0 {
            set("chunks_count", number(self.matrix.chunks), "u32");
        }
    }

    /// The matrix.
    pub fn matrix(&self) -> &ImportanceMatrix {
        &self.matrix
    }
}

/// Which tensors of a checkpoint that is ready to be written have weights.
pub fn used(tensors: &[Tensor]) -> Used {
    let mut used = Used::default();
    for tensor in tensors {
        let (from, importance) = match &tensor.payload {
            Payload::CastWith(from, options) => (from, options.importance.is_some()),
            Payload::Cast(from) => (from, false),
            _ => continue,
        };
        if !takes_weights(tensor.dtype) || from.dtype == tensor.dtype || tensor.tied_to.is_some() {
            continue;
        }
        match importance {
            true => used.with += 1,
            false => used.without.push(tensor.name.clone()),
        }
    }
    used
}

/// Matrices of a tensor: GGUF's stacks of experts have one dimension more.
fn matrices(tensor: &Tensor) -> u64 {
    match tensor.shape.dimensions() {
        [stacks @ .., _, _] => stacks.iter().product(),
        _ => 1,
    }
}

/// The measurements of one of the matrices of an entry.
fn part(importance: &Importance, index: u64, columns: u64) -> Option<Importance> {
    let bytes = columns.checked_mul(4)?;
    let Payload::Stored(Storage { bytes: all, order }) = &importance.sums.payload else {
        return None;
    };
    let storage = Storage {
        bytes: all.part(index.checked_mul(bytes)?, bytes)?,
        order: *order,
    };
    let shape = Shape::new([columns]).ok()?;
    let name = importance.sums.name.as_str();
    let whole = importance.counts.len() as u64;
    let count = match whole {
        1 => importance.counts.first()?,
        // The columns must be those of one count.
        _ if whole.checked_mul(columns)? != importance.weights() => return None,
        _ => importance.counts.get(usize::try_from(index).ok()?)?,
    };
    Some(Importance {
        sums: Tensor::new(name, DType::F32, shape, Payload::Stored(storage)),
        counts: Arc::from([*count]),
    })
}

/// What the first expert is called where `name` is that of one expert, and which one it is:
/// `layers.0.mlp.experts.7.up_proj.weight` or `blk.0.ffn_up.7.weight`.
fn one_expert(name: &str) -> Option<(String, u64)> {
    let (before, number, after) = match name.split_once("experts.") {
        Some((before, rest)) => {
            let (number, after) = rest.split_once('.')?;
            (format!("{before}experts"), number, after)
        }
        None => {
            let (rest, after) = name.strip_prefix("blk.")?.rsplit_once('.')?;
            let (before, number) = rest.rsplit_once('.')?;
            (format!("blk.{before}"), number, after)
        }
    };
    Some((format!("{before}.0.{after}"), number.parse().ok()?))
}
