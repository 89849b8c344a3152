//! The tensors of a Hugging Face checkpoint as llama.cpp wants them.

use super::{Named, gguf_name, reordered};
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Payload, Shape, StoredRows, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// How many heads there are, where GGUF keeps the rows of Q and K in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Of Q.
    pub queries: u64,
    /// Of K.
    pub keys: u64,
}

/// Buffers that a model computes for itself.
const COMPUTED: &[&str] = &[".rotary_emb.inv_freq", ".masked_bias"];

const OUTPUT: &str = "output.weight";

/// Gives the tensors of the llama family GGUF's names, puts the rows of Q and K in its order
/// where there are `heads`, and makes one tensor of the experts of a layer.
///
/// `is_tied`: whether the output is the embedding, so that one of its own means nothing.
///
/// Errors: `Unsupported` naming a tensor that has no place there; `Malformed` for rows that
/// are no whole heads and for experts that do not go together.
pub fn to_gguf(checkpoint: &Checkpoint, heads: Option<Heads>, is_tied: bool) -> Result<Named> {
    let mut named = Named {
        checkpoint: Checkpoint {
            tensors: Vec::with_capacity(checkpoint.tensors.len()),
            notes: Vec::new(),
            groups: Vec::new(),
            ..checkpoint.clone()
        },
        from: Vec::with_capacity(checkpoint.tensors.len()),
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    let mut stacks = Stacks::default();
    for (index, tensor) in checkpoint.tensors.iter().enumerate() {
        if COMPUTED.iter().any(|end| tensor.name.ends_with(end)) {
            named.left_out.push((index, "computed by the program"));
            continue;
        }
        let name = gguf_name(&tensor.name).ok_or_else(|| no_place(tensor))?;
        if name == OUTPUT && (is_tied || tensor.tied_to.is_some()) {
            named.left_out.push((index, "the same as the embedding"));
            continue;
        }
        if let Some((stack, expert)) = stack_and_expert(&name) {
            let place = named.from.len();
            if stacks.add(stack.clone(), expert, index) {
                // Filled in when all experts are known.
                named.checkpoint.tensors.push(tensor.clone());
                named.from.push(Some(index));
                stacks.places.push((stack, place));
            }
            continue;
        }
        let payload = match heads.and_then(|heads| heads_of(&name, heads)) {
            None => tensor.payload.clone(),
            Some(count) => reordered(tensor, count, StoredRows::Halves)
                .ok_or_else(|| no_heads(tensor, count))?,
        };
        named.checkpoint.tensors.push(Tensor {
            name,
            payload,
            tied_to: None,
            ..tensor.clone()
        });
        named.from.push(Some(index));
    }
    stacks.fill(checkpoint, &mut named)?;
    Ok(named)
}

fn no_place(tensor: &Tensor) -> Error {
    let error = Error::unsupported("has no name in GGUF's scheme for the llama family");
    error
        .in_tensor(&tensor.name)
        .with_hint("`--names keep` leaves all names, `--drop NAME` leaves it out")
}

fn no_heads(tensor: &Tensor, heads: u64) -> Error {
    let shape = &tensor.shape;
    let message =
        format!("its shape is {shape}, which {heads} heads cannot share in pairs of rows");
    Error::malformed(message).in_tensor(&tensor.name)
}

/// The heads of the tensor that GGUF calls `name`, if their rows are kept in another order.
fn heads_of(name: &str, heads: Heads) -> Option<u64> {
    let (stem, _) = name.rsplit_once('.')?;
    match stem.rsplit_once('.')?.1 {
        "attn_q" => Some(heads.queries),
        "attn_k" => Some(heads.keys),
        _ => None,
    }
}

/// `blk.0.ffn_up.7.weight` is expert 7 of `blk.0.ffn_up_exps.weight`.
fn stack_and_expert(name: &str) -> Option<(String, u64)> {
    let (stem, suffix) = name.rsplit_once('.')?;
    let (stem, expert) = stem.rsplit_once('.')?;
    let expert = expert.parse().ok()?;
    // The layer's number is followed by a part, an expert's by none.
    stem.contains("ffn_")
        .then(|| (format!("{stem}_exps.{suffix}"), expert))
}

/// Experts on their way into one tensor each.
#[derive(Default)]
struct Stacks {
    /// Of each stack, its experts' numbers and places in the source.
    experts: HashMap<String, Vec<(u64, usize)>>,
    /// Of each stack, its place in the result.
    places: Vec<(String, usize)>,
}

impl Stacks {
    /// Whether it is the first of its stack.
    fn add(&mut self, stack: String, expert: u64, index: usize) -> bool {
        let experts = self.experts.entry(stack).or_default();
        experts.push((expert, index));
        experts.len() == 1
    }

    fn fill(mut self, source: &Checkpoint, named: &mut Named) -> Result<()> {
        for (stack, place) in self.places {
            let mut experts = self.experts.remove(&stack).unwrap_or_default();
            experts.sort_unstable();
            let tensors = experts
                .iter()
                .map(|(_, index)| source.tensors[*index].clone());
            let tensors: Vec<Tensor> = tensors.collect();
            let Some(first) = tensors.first() else {
                continue;
            };
            for ((expert, _), wanted) in experts.iter().zip(0..) {
                if *expert != wanted {
                    let message = format!("expert {wanted} is missing, though there is {expert}");
                    return Err(Error::malformed(message).in_tensor(&first.name));
                }
            }
            let is_other =
                |tensor: &&Tensor| (tensor.dtype, &tensor.shape) != (first.dtype, &first.shape);
            if let Some(other) = tensors.iter().find(is_other) {
                let message = format!(
                    "is {} {}, and the first expert {} {}",
                    other.dtype, other.shape, first.dtype, first.shape
                );
                return Err(Error::malformed(message).in_tensor(&other.name));
            }
            let mut dimensions = vec![tensors.len() as u64];
            dimensions.extend_from_slice(first.shape.dimensions());
            let shape = Shape::new(dimensions).map_err(|e| e.in_tensor(&first.name))?;
            let dtype = first.dtype;
            named.from[place] = experts.first().map(|(_, index)| *index);
            named.checkpoint.tensors[place] =
                Tensor::new(stack, dtype, shape, Payload::Stacked(Arc::from(tensors)));
        }
        Ok(())
    }
}
