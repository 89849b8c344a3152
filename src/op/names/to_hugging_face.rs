//! The tensors of a GGUF file of the llama family as Hugging Face's libraries call them.

use super::{Named, apart, hugging_face_names, metadata, reordered, reordered_heads};
use crate::error::{Error, Result};
use crate::model::{Checkpoint, StoredRows, Tensor};

/// Architectures whose names are known, and which of the names that Hugging Face has for their
/// experts is theirs.
const ARCHITECTURES: &[(&str, Experts)] = &[
    ("llama", Experts::Mixtral),
    ("qwen2", Experts::Plain),
    ("qwen2moe", Experts::Plain),
    ("qwen3", Experts::Plain),
    ("qwen3moe", Experts::Plain),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Experts {
    /// `mlp.experts.0.up_proj`
    Plain,
    /// `block_sparse_moe.experts.0.w3`
    Mixtral,
}

/// What llama.cpp computes ahead of time.
const COMPUTED: &str = "rope_freqs.weight";

/// Gives the tensors of a GGUF file of the llama family the names that Hugging Face has for
/// them, puts the rows of Q and K back in order and takes experts apart.
///
/// Errors: `Unsupported` for another architecture, or naming a tensor that has no name there.
pub fn to_hugging_face(checkpoint: &Checkpoint) -> Result<Named> {
    let architecture = metadata(checkpoint, "general.architecture").and_then(|v| v.as_text());
    let architecture = architecture.unwrap_or("unknown");
    let known = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    let Some((_, experts)) = known else {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
        let message = format!("architecture `{architecture}`: Hugging Face's names are not known");
        let hint = format!(
            "known: {}; `--names keep` leaves all names",
            known.join(", ")
        );
        return Err(Error::unsupported(message).with_hint(&hint));
    };
    let mut named = Named {
        checkpoint: Checkpoint {
            tensors: Vec::with_capacity(checkpoint.tensors.len()),
            notes: Vec::new(),
            ..checkpoint.clone()
        },
        from: Vec::with_capacity(checkpoint.tensors.len()),
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    for (index, tensor) in checkpoint.tensors.iter().enumerate() {
        if tensor.name == COMPUTED {
            named.left_out.push((index, "computed by the program"));
            continue;
        }
        let parts = apart(std::slice::from_ref(tensor)).unwrap_or_else(|| vec![tensor.clone()]);
        for part in parts {
            let name = name(&part.name, *experts).ok_or_else(|| {
                let error = Error::unsupported("Hugging Face's name is not known");
                let hint = "`--names keep` leaves all names, `--drop NAME` leaves it out";
                error.in_tensor(&part.name).with_hint(hint)
            })?;
            let heads = reordered_heads(checkpoint, &part.name);
            let payload = match heads {
                None => part.payload.clone(),
                Some(heads) => {
                    reordered(&part, heads, StoredRows::Interleaved).ok_or_else(|| {
                        let shape = &part.shape;
                        let message =
                            format!("its shape is {shape}, which {heads} heads cannot share");
                        Error::malformed(message).in_tensor(&part.name)
                    })?
                }
            };
            named.checkpoint.tensors.push(Tensor {
                name,
                payload,
                ..part
            });
            named.from.push(Some(index));
        }
    }
    Ok(named)
}

fn name(gguf: &str, experts: Experts) -> Option<String> {
    let mut names = hugging_face_names(gguf).into_iter();
    let name = match experts {
        Experts::Plain => names.next()?,
        Experts::Mixtral => names.last()?,
    };
    Some(match name.starts_with("lm_head.") {
        true => name,
        false => format!("model.{name}"),
    })
}
