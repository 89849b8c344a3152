//! Tensors that quantising does not treat as any other matrix, by the names that llama.cpp and
//! the Hugging Face Hub have for them.
//!
//! | role | dtype |
//! |---|---|
//! | one dimension, norms, routers, positions, small matrices, what is no `weight` | F32; blocks stay as they are |
//! | output | Q6_K; Q8_0 where the others are Q8_0 or MXFP4, or where rows are no whole blocks |
//! | embedding of tokens | as the others; as the output where there is no output; Q4_K beside ternary blocks |
//!
//! The mixtures of llama.cpp (`Q4_K_M` and its like) also give more bits to some layers of
//! attention and feed-forward; nothing here does. Source: llama.cpp, src/llama-quant.cpp
//! (`tensor_allows_quantization`, `llama_tensor_get_type_impl`, `tensor_type_fallback`), and
//! convert_hf_to_gguf.py for what becomes F32.

use crate::dtype::{DType, cast};

/// What a tensor is for, where that decides how it is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A vector: dimensions of 1 before it do not count.
    OneDimension,
    /// The weight of a normalisation.
    Norm,
    /// What is not called a weight.
    NoWeight,
    /// What chooses the experts.
    Router,
    /// Embeddings of positions and of kinds of tokens.
    Position,
    /// Matrices that are small or that little hangs on: convolutions of state-space models,
    /// low-rank parts of RWKV, patches of images.
    Small,
    /// What turns the last state into logits.
    Output,
    /// The embeddings of tokens.
    Embedding,
}

/// Parts of names of small matrices.
const SMALL: [&str; 29] = [
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    ".conv1d.",
    "shortconv.conv.",
    "indexer.k_proj.",
    "indexer.q_proj.",
    "ffn_gate_tid2eid.",
    "time_mix_first.",
    "time_mix_w0.",
    "time_mix_w1.",
    "time_mix_w2.",
    "time_mix_v0.",
    "time_mix_v1.",
    "time_mix_v2.",
    "time_mix_a0.",
    "time_mix_a1.",
    "time_mix_a2.",
    "time_mix_g1.",
    "time_mix_g2.",
    "time_mix_decay_w1.",
    "time_mix_decay_w2.",
    "time_mix_lerp_fused.",
    ".patch_emb",
    ".patch_merger",
    "sam.neck.",
    "sam.net_",
    "rvq.codebook",
];

/// Parts of names of positions and the like.
const POSITION: [&str; 10] = [
    "position_emb",
    "pos_emb",
    "embed_positions.",
    "token_types.",
    "token_type_embeddings.",
    "attn_rel_b.",
    "relative_attention_bias.",
    ".rel_pos",
    "wpe.",
    "mm.a.code_embd",
];

/// Modules that are the embeddings of tokens, whatever they stand in.
const EMBEDDINGS: [&str; 9] = [
    "token_embd",
    "per_layer_token_embd",
    "embed_tokens",
    "embed_tokens_per_layer",
    "tok_embeddings",
    "word_embeddings",
    "token_embedding",
    "embed_in",
    "wte",
];

impl Role {
    /// The role of a tensor of this name and of these dimensions, outermost first.
    pub(super) fn of(name: &str, dimensions: &[u64]) -> Option<Role> {
        let is_wide = |dimension: &&u64| **dimension == 1;
        let leading_ones = dimensions.iter().take_while(is_wide).count();
        if dimensions.len() - leading_ones < 2 {
            return Some(Role::OneDimension);
        }
        let Some(stem) = name.strip_suffix("weight") else {
            let is_lora = [".lora_a", ".lora_b"].iter().any(|end| name.ends_with(end));
            // Experts of a layer in one tensor are parameters without a module on the Hub.
            let is_weight = is_lora || name.contains(".experts.") && dimensions.len() > 2;
            return (!is_weight).then_some(Role::NoWeight);
        };
        let path = stem.trim_end_matches(['.', '_']);
        let module = path.rsplit('.').next().unwrap_or(path);
        let contains = |parts: &[&str]| parts.iter().any(|part| stem.contains(part));
        Some(match module {
            _ if is_output(path, module) => Role::Output,
            _ if EMBEDDINGS.contains(&module) || path == "shared" || path == "emb" => {
                Role::Embedding
            }
            _ if module.to_ascii_lowercase().contains("norm") || module.starts_with("ln_") => {
                Role::Norm
            }
            _ if is_router(module, dimensions) => Role::Router,
            _ if contains(&POSITION) => Role::Position,
            _ if contains(&SMALL) => Role::Small,
            _ => return None,
        })
    }

    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::OneDimension => "one dimension",
            Role::Norm => "norm",
            Role::NoWeight => "no weight",
            Role::Router => "router",
            Role::Position => "position",
            Role::Small => "small",
            Role::Output => "output",
            Role::Embedding => "embedding",
        }
    }

    /// Whether quantising leaves such tensors alone.
    pub(super) fn is_left_alone(self) -> bool {
        !matches!(self, Role::Output | Role::Embedding)
    }

    /// The dtype of outputs and embeddings with rows of `row` elements where other matrices
    /// become `wanted`; `None` if they become the same. `has_output`: whether there is an
    /// output beside the embeddings.
    pub(super) fn dtype(self, wanted: DType, row: u64, has_output: bool) -> Option<DType> {
        let is_ternary = matches!(wanted, DType::Tq1_0 | DType::Tq2_0 | DType::Q2_0);
        let dtype = match self {
            Role::Embedding if has_output && is_ternary => DType::Q4K,
            Role::Embedding if has_output => return None,
            Role::Output | Role::Embedding => output_dtype(wanted, row),
            _ => return None,
        };
        (dtype != wanted).then_some(dtype)
    }
}

fn output_dtype(wanted: DType, row: u64) -> DType {
    let is_whole = row.is_multiple_of(wanted.facts().block_elements.into());
    match wanted {
        DType::Mxfp4 | DType::Q8_0 => DType::Q8_0,
        _ if !is_whole => DType::Q8_0,
        _ if !can_encode(DType::Q6K) => DType::Q8_0,
        _ => DType::Q6K,
    }
}

fn is_output(path: &str, module: &str) -> bool {
    let anywhere = ["lm_head", "embed_out", "output_layer"];
    // RWKV's attention has an `output` in every layer.
    path == "output" || path == "head" || anywhere.contains(&module)
}

fn is_router(module: &str, dimensions: &[u64]) -> bool {
    let (first, last) = (dimensions.first(), dimensions.last());
    match module {
        "ffn_gate_inp" | "ffn_gate_inp_shexp" | "shared_expert_gate" | "router" => true,
        // Some models call the gate of a feed-forward layer so: it is no smaller than its input.
        "gate" | "wg" => first
            .zip(last)
            .is_some_and(|(experts, inputs)| experts.saturating_mul(2) <= *inputs),
        _ => false,
    }
}

fn can_encode(dtype: DType) -> bool {
    cast::check(DType::F32, dtype).is_ok()
}

/// The dtype in the place of `dtype` for rows of `row` elements, which are no whole blocks of it:
/// smaller blocks of as many bits or more, or F16.
pub(super) fn fallback(dtype: DType, row: u64) -> DType {
    let smaller = match dtype {
        DType::Iq1S | DType::Iq1M | DType::Iq2Xxs | DType::Iq2Xs | DType::Iq2S => DType::Iq4Nl,
        DType::Iq3Xxs | DType::Iq3S | DType::Iq4Xs => DType::Iq4Nl,
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        _ => DType::Q4_0,
    };
    let is_whole = row.is_multiple_of(smaller.facts().block_elements.into());
    match is_whole && can_encode(smaller) {
        true => smaller,
        false => DType::F16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, dimensions, role: names of llama.cpp and of the Hub.
    const CASES: &[(&str, &[u64], Option<Role>)] = &[
        ("blk.0.attn_q.weight", &[64, 64], None),
        ("model.layers.0.self_attn.q_proj.weight", &[64, 64], None),
        ("blk.0.attn_q_norm.weight", &[4, 16], Some(Role::Norm)),
        (
            "model.layers.0.self_attn.q_norm.weight",
            &[4, 16],
            Some(Role::Norm),
        ),
        ("transformer.h.0.ln_1.weight", &[2, 64], Some(Role::Norm)),
        ("blk.0.attn_norm.weight", &[64], Some(Role::OneDimension)),
        ("blk.0.x.weight", &[1, 64], Some(Role::OneDimension)),
        ("norm1.linear.weight", &[64, 64], None),
        ("output.weight", &[512, 64], Some(Role::Output)),
        ("lm_head.weight", &[512, 64], Some(Role::Output)),
        (
            "language_model.lm_head.weight",
            &[512, 64],
            Some(Role::Output),
        ),
        ("blocks.0.attention.output.weight", &[64, 64], None),
        ("token_embd.weight", &[512, 64], Some(Role::Embedding)),
        (
            "model.embed_tokens.weight",
            &[512, 64],
            Some(Role::Embedding),
        ),
        ("transformer.wte.weight", &[512, 64], Some(Role::Embedding)),
        ("transformer.wpe.weight", &[512, 64], Some(Role::Position)),
        ("position_embd.weight", &[512, 64], Some(Role::Position)),
        ("v.position_embd.weight", &[512, 64], Some(Role::Position)),
        (
            "embeddings.position_embeddings.weight",
            &[9, 64],
            Some(Role::Position),
        ),
        ("blk.0.ffn_gate_inp.weight", &[8, 64], Some(Role::Router)),
        (
            "model.layers.0.mlp.gate.weight",
            &[8, 64],
            Some(Role::Router),
        ),
        ("model.layers.0.mlp.gate.weight", &[128, 64], None),
        ("model.layers.0.mlp.gate_proj.weight", &[8, 64], None),
        ("blk.0.ffn_up_exps.weight", &[8, 64, 64], None),
        (
            "model.layers.0.mlp.experts.gate_up_proj",
            &[8, 64, 64],
            None,
        ),
        (
            "model.layers.0.mlp.experts.gate_up_proj_bias",
            &[8, 64],
            Some(Role::NoWeight),
        ),
        ("blk.0.ssm_a", &[64, 16], Some(Role::NoWeight)),
        ("blk.0.ssm_conv1d.weight", &[64, 4], Some(Role::Small)),
        (
            "model.layers.0.mixer.conv1d.weight",
            &[64, 1, 4],
            Some(Role::Small),
        ),
        ("attn.in_proj_weight", &[192, 64], None),
    ];

    #[test]
    fn roles_are_known_by_either_name() {
        for (name, dimensions, role) in CASES {
            assert_eq!(Role::of(name, dimensions), *role, "{name}");
        }
    }

    // llama-quant.cpp, `llama_tensor_get_type_impl`.
    #[cfg(feature = "candle")]
    #[test]
    fn outputs_and_embeddings_get_the_types_of_llama_cpp() {
        let output = |wanted, row| Role::Output.dtype(wanted, row, true);
        assert_eq!(output(DType::Q4K, 256), Some(DType::Q6K));
        assert_eq!(output(DType::Q4_0, 256), Some(DType::Q6K));
        assert_eq!(output(DType::Q6K, 256), None);
        assert_eq!(output(DType::Q8_0, 256), None);
        assert_eq!(output(DType::Q4K, 96), Some(DType::Q8_0));
        assert_eq!(output(DType::Mxfp4, 256), Some(DType::Q8_0));
        let embedding = |wanted, has_output| Role::Embedding.dtype(wanted, 256, has_output);
        assert_eq!(embedding(DType::Q4K, true), None);
        assert_eq!(embedding(DType::Q4K, false), Some(DType::Q6K));
        assert_eq!(embedding(DType::Tq2_0, true), Some(DType::Q4K));
        assert_eq!(embedding(DType::Tq2_0, false), Some(DType::Q6K));
    }

    // llama-quant.cpp, `tensor_type_fallback`.
    #[test]
    fn rows_that_do_not_fit_get_the_types_of_llama_cpp() {
        let cases = [
            (DType::Q2K, DType::Q4_0),
            (DType::Q3K, DType::Q4_0),
            (DType::Tq1_0, DType::Q4_0),
            (DType::Q4K, DType::Q5_0),
            (DType::Q5K, DType::Q5_1),
            (DType::Q6K, DType::Q8_0),
        ];
        for (from, to) in cases {
            assert_eq!(fallback(from, 96), to);
            assert_eq!(fallback(from, 100), DType::F16);
        }
        assert_eq!(fallback(DType::Q8_0, 100), DType::F16);
    }
}
