//! Names of the llama family: GGUF's and Hugging Face's.
//!
//! Source: gguf-py `constants.py` and `tensor_mapping.py`. Hugging Face's names are given
//! without their leading `model.`.

mod to_gguf;
mod to_hugging_face;

pub use to_gguf::{Heads, to_gguf};
pub use to_hugging_face::to_hugging_face;

use crate::model::{Checkpoint, Payload, RowOrder, Shape, Storage, StoredRows, Tensor, Value};
use std::sync::Arc;

/// A checkpoint under other names.
#[derive(Clone, Debug)]
pub struct Named {
    /// The tensors, with their rows and experts as the other side has them.
    pub checkpoint: Checkpoint,
    /// For each tensor, which one of the source it was made of, or the first of several; `None`
    /// for what was computed.
    pub from: Vec<Option<usize>>,
    /// Which of the source are in none, and why.
    pub left_out: Vec<(usize, &'static str)>,
    /// What else there is to say, a sentence each.
    pub notes: Vec<String>,
}

/// Tensors that stand once in a model.
const GLOBAL: &[(&str, &str)] = &[
    ("token_embd", "embed_tokens"),
    ("output_norm", "norm"),
    ("output", "lm_head"),
];

/// Tensors of each layer: `blk.{layer}.X` is `layers.{layer}.Y`, for the first Y that is there.
const LAYER: &[(&str, &[&str])] = &[
    ("attn_norm", &["input_layernorm"]),
    ("attn_q", &["self_attn.q_proj"]),
    ("attn_k", &["self_attn.k_proj"]),
    ("attn_v", &["self_attn.v_proj"]),
    ("attn_output", &["self_attn.o_proj"]),
    ("attn_q_norm", &["self_attn.q_norm"]),
    ("attn_k_norm", &["self_attn.k_norm"]),
    ("ffn_norm", &["post_attention_layernorm"]),
    ("ffn_gate", &["mlp.gate_proj"]),
    ("ffn_up", &["mlp.up_proj"]),
    ("ffn_down", &["mlp.down_proj"]),
    ("ffn_gate_inp", &["mlp.gate", "block_sparse_moe.gate"]),
    ("ffn_gate_shexp", &["mlp.shared_expert.gate_proj"]),
    ("ffn_up_shexp", &["mlp.shared_expert.up_proj"]),
    ("ffn_down_shexp", &["mlp.shared_expert.down_proj"]),
    ("ffn_gate_inp_shexp", &["mlp.shared_expert_gate"]),
];

/// Tensors of each expert: `blk.{layer}.X.{expert}`.
const EXPERT: &[(&str, [&str; 2])] = &[
    ("ffn_gate", ["gate_proj", "w1"]),
    ("ffn_up", ["up_proj", "w3"]),
    ("ffn_down", ["down_proj", "w2"]),
];

/// The names that Hugging Face may give to what GGUF calls `name`, likeliest first.
pub(crate) fn hugging_face_names(name: &str) -> Vec<String> {
    let Some((stem, suffix)) = name.rsplit_once('.') else {
        return Vec::new();
    };
    if !matches!(suffix, "weight" | "bias") {
        return Vec::new();
    }
    if let Some((_, theirs)) = GLOBAL.iter().find(|(ours, _)| *ours == stem) {
        return vec![format!("{theirs}.{suffix}")];
    }
    let Some((layer, part)) = layer_and_part(stem) else {
        return Vec::new();
    };
    if let Some((_, theirs)) = LAYER.iter().find(|(ours, _)| *ours == part) {
        let full = |theirs: &&str| format!("layers.{layer}.{theirs}.{suffix}");
        return theirs.iter().map(full).collect();
    }
    let expert = part.split_once('.').filter(|(_, expert)| is_number(expert));
    let found = expert.and_then(|(part, expert)| {
        let (_, names) = EXPERT.iter().find(|(ours, _)| *ours == part)?;
        Some((names, expert))
    });
    found.map_or_else(Vec::new, |([name, short], expert)| {
        vec![
            format!("layers.{layer}.mlp.experts.{expert}.{name}.{suffix}"),
            format!("layers.{layer}.block_sparse_moe.experts.{expert}.{short}.{suffix}"),
        ]
    })
}

/// What GGUF calls the tensor that Hugging Face calls `name`, with or without `model.`; that of
/// one expert as older files have it, `blk.0.ffn_up.7.weight`.
pub(crate) fn gguf_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let (stem, suffix) = name.rsplit_once('.')?;
    if !matches!(suffix, "weight" | "bias") {
        return None;
    }
    if let Some((ours, _)) = GLOBAL.iter().find(|(_, theirs)| *theirs == stem) {
        return Some(format!("{ours}.{suffix}"));
    }
    let (layer, part) = stem.strip_prefix("layers.")?.split_once('.')?;
    if !is_number(layer) {
        return None;
    }
    if let Some((ours, _)) = LAYER.iter().find(|(_, theirs)| theirs.contains(&part)) {
        return Some(format!("blk.{layer}.{ours}.{suffix}"));
    }
    let homes = ["mlp.experts.", "block_sparse_moe.experts."];
    let inside = homes.iter().find_map(|home| part.strip_prefix(home))?;
    let (expert, part) = inside.split_once('.')?;
    let (ours, _) = EXPERT.iter().find(|(_, theirs)| theirs.contains(&part))?;
    is_number(expert).then(|| format!("blk.{layer}.{ours}.{expert}.{suffix}"))
}

/// `tensor` with the rows of `heads` heads in the other order, if its shape can be cut so.
fn reordered(tensor: &Tensor, heads: u64, stored: StoredRows) -> Option<Payload> {
    let order = RowOrder::new(&tensor.shape, heads, stored)?;
    let of = Arc::new(tensor.clone());
    Some(Payload::Rows { of, order })
}

/// `blk.3.attn_q` is `("3", "attn_q")`.
fn layer_and_part(stem: &str) -> Option<(&str, &str)> {
    let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
    is_number(layer).then_some((layer, part))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Architectures whose Q and K rows the converter reorders: those that it builds on llama's
/// code with llama's rotary positions.
const REORDERED: &[&str] = &[
    "llama",
    "mistral3",
    "granite",
    "granitemoe",
    "deci",
    "minicpm",
    "baichuan",
    "internlm2",
    "xverse",
    "arcee",
    "smollm3",
];

/// How many heads the tensor called `name` has, if GGUF keeps its rows in another order.
pub(crate) fn reordered_heads(gguf: &Checkpoint, name: &str) -> Option<u64> {
    let (stem, _) = name.rsplit_once('.')?;
    let (layer, part) = layer_and_part(stem)?;
    let architecture = metadata(gguf, "general.architecture")?.as_text()?;
    if !REORDERED.contains(&architecture) {
        return None;
    }
    let layer: usize = layer.parse().ok()?;
    let count = |key: &str| {
        let key = format!("{architecture}.attention.{key}");
        number_of_layer(metadata(gguf, &key)?, layer)
    };
    match part {
        "attn_q" => count("head_count"),
        "attn_k" => count("head_count_kv").or_else(|| count("head_count")),
        _ => None,
    }
}

fn metadata<'a>(checkpoint: &'a Checkpoint, key: &str) -> Option<&'a Value> {
    let mut entries = checkpoint.metadata.iter();
    entries.find(|(k, _)| k == key).map(|(_, value)| value)
}

/// One number for all layers, or one for each.
fn number_of_layer(value: &Value, layer: usize) -> Option<u64> {
    match value {
        Value::List(list) => list.get(layer)?.as_u64(),
        Value::Array(array) => array.first.get(layer)?.as_u64(),
        value => value.as_u64(),
    }
}

/// The tensors of a GGUF file with each stack of experts taken apart, under the names that
/// older files give to single experts: `blk.0.ffn_up_exps.weight` becomes
/// `blk.0.ffn_up.0.weight` and so on. `None` if there is no such stack.
pub(crate) fn apart(gguf: &[Tensor]) -> Option<Vec<Tensor>> {
    let is_stack = |tensor: &Tensor| tensor.name.contains("_exps.");
    if !gguf.iter().any(is_stack) {
        return None;
    }
    let mut out = Vec::with_capacity(gguf.len());
    for tensor in gguf {
        match experts(tensor) {
            Some(experts) if is_stack(tensor) => out.extend(experts),
            _ => out.push(tensor.clone()),
        }
    }
    Some(out)
}

fn experts(stack: &Tensor) -> Option<Vec<Tensor>> {
    let (count, inner) = stack.shape.dimensions().split_first()?;
    let shape = Shape::new(inner).ok()?;
    let byte_len = stack.dtype.byte_len(shape.elements())?;
    let Payload::Stored(Storage { bytes, order }) = &stack.payload else {
        return None;
    };
    // The number of experts is a claim; it is no larger than the bytes that are there.
    let expert = |index: u64| {
        let bytes = bytes.part(index.checked_mul(byte_len)?, byte_len)?;
        let storage = Storage {
            bytes,
            order: *order,
        };
        let name = stack.name.replacen("_exps.", &format!(".{index}."), 1);
        Some(Tensor::new(
            name,
            stack.dtype,
            shape.clone(),
            Payload::Stored(storage),
        ))
    };
    if byte_len == 0 || *count > MOST_EXPERTS {
        return None;
    }
    (0..*count).map(expert).collect()
}

/// Experts of one stack; real models have up to 512.
const MOST_EXPERTS: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    // Oracle: gguf-py, `get_tensor_name_map(MODEL_ARCH.LLAMA, 32)`, read backwards.
    #[test]
    fn names_are_those_of_the_converter() {
        let first = |name| hugging_face_names(name).into_iter().next();
        let is = |ours, theirs: &str| assert_eq!(first(ours).as_deref(), Some(theirs));
        is("token_embd.weight", "embed_tokens.weight");
        is("output.weight", "lm_head.weight");
        is("output_norm.weight", "norm.weight");
        is("blk.11.attn_k.bias", "layers.11.self_attn.k_proj.bias");
        is(
            "blk.0.ffn_norm.weight",
            "layers.0.post_attention_layernorm.weight",
        );
        is(
            "blk.0.ffn_down.7.weight",
            "layers.0.mlp.experts.7.down_proj.weight",
        );
        for odd in [
            "rope_freqs.weight",
            "blk.x.attn_q.weight",
            "blk.0.attn_q",
            "output.scale",
        ] {
            assert_eq!(first(odd), None);
        }
    }

    #[test]
    fn names_lead_back_to_themselves() {
        for name in [
            "token_embd.weight",
            "output.weight",
            "blk.3.attn_output.weight",
            "blk.0.ffn_gate_inp.weight",
            "blk.12.ffn_up.7.weight",
        ] {
            for theirs in hugging_face_names(name) {
                assert_eq!(gguf_name(&theirs).as_deref(), Some(name), "{theirs}");
                let full = format!("model.{theirs}");
                assert_eq!(gguf_name(&full).as_deref(), Some(name), "{full}");
            }
        }
        for odd in [
            "embed_tokens",
            "layers.x.mlp.gate.weight",
            "layers.0.mlp.gate.scales",
        ] {
            assert_eq!(gguf_name(odd), None);
        }
    }

    #[test]
    fn heads_may_be_given_for_each_layer() {
        let list = Value::List(vec![Value::Int(4), Value::Int(2)]);
        let gguf = Checkpoint {
            metadata: vec![
                ("general.architecture".to_owned(), Value::text("llama")),
                ("llama.attention.head_count".to_owned(), Value::Int(8)),
                ("llama.attention.head_count_kv".to_owned(), list),
            ],
            ..Checkpoint::default()
        };
        assert_eq!(reordered_heads(&gguf, "blk.1.attn_q.weight"), Some(8));
        assert_eq!(reordered_heads(&gguf, "blk.1.attn_k.weight"), Some(2));
        assert_eq!(reordered_heads(&gguf, "blk.1.attn_v.weight"), None);
        assert_eq!(reordered_heads(&gguf, "blk.7.attn_k.weight"), Some(8));
    }
}
