//! For which model an adapter is made, by the names of its modules and their widths.

use super::Pair;
use super::names::Role;
use crate::model::Tensor;

/// What modules a family has. Names are compared with `.` as `_`, as kohya spells them.
pub(super) struct Base {
    pub(super) family: &'static str,
    pub(super) name: &'static str,
    /// Some module has all of these in its name ...
    words: &'static [&'static str],
    /// ... and takes one of these widths, if any are given.
    widths: &'static [u64],
}

const fn base(
    family: &'static str,
    name: &'static str,
    words: &'static [&'static str],
    widths: &'static [u64],
) -> Base {
    Base {
        family,
        name,
        words,
        widths,
    }
}

/// The first that fits is it. Widths are those of the text's features for UNets, of the model
/// for transformers.
#[rustfmt::skip]
const BASES: &[Base] = &[
    base("sdxl", "Stable Diffusion XL", &["_attn2_", "to_k"], &[2048]),
    base("sdxl-refiner", "Stable Diffusion XL refiner", &["_blocks_", "_attn2_", "to_k"], &[1280]),
    base("sd1", "Stable Diffusion 1", &["_blocks_", "_attn2_", "to_k"], &[768]),
    base("sd2", "Stable Diffusion 2", &["_blocks_", "_attn2_", "to_k"], &[1024]),
    base("hidream", "HiDream", &["double_stream_blocks_"], &[]),
    base("hunyuan-video", "HunyuanVideo", &["double_blocks_", "img_mlp_fc1"], &[3072]),
    base("hunyuan-video", "HunyuanVideo", &["txt_in_individual_token_refiner"], &[]),
    base("flux2", "FLUX.2", &["double_blocks_", "img_attn_qkv"], &[6144, 4096]),
    base("flux", "FLUX.1 or Chroma", &["double_blocks_", "_attn_qkv"], &[3072]),
    base("flux", "FLUX.1 or Chroma", &["double_blocks_", "processor"], &[3072]),
    base("flux", "FLUX.1 or Chroma", &["single_blocks_", "linear1"], &[3072]),
    base("flux2", "FLUX.2", &["single_transformer_blocks_", "to_qkv_mlp_proj"], &[]),
    base("flux", "FLUX.1 or Chroma", &["single_transformer_blocks_", "attn_to_"], &[3072]),
    base("flux", "FLUX.1 or Chroma", &["single_transformer_blocks_", "proj_mlp"], &[3072]),
    base("qwen-image", "Qwen-Image", &["transformer_blocks_", "img_mlp_net"], &[3072]),
    base("qwen-image", "Qwen-Image", &["transformer_blocks_", "img_mod_1"], &[3072]),
    base("sd3", "Stable Diffusion 3", &["joint_blocks_"], &[1536, 2432]),
    base("sd3", "Stable Diffusion 3", &["transformer_blocks_", "attn_add_"], &[1536, 2432]),
    base("auraflow", "AuraFlow", &["joint_transformer_blocks_"], &[]),
    base("wan", "Wan", &["blocks_", "cross_attn_k"], &[1536, 3072, 5120]),
    base("wan", "Wan", &["blocks_", "self_attn_q"], &[1536, 3072, 5120]),
    base("z-image", "Z-Image", &["layers_", "attention_"], &[3840]),
    base("lumina2", "Lumina 2", &["layers_", "attention_"], &[2304]),
    base("ltx-video", "LTX-Video", &["transformer_blocks_", "attn1_to_q"], &[2048]),
    base("pixart", "PixArt", &["transformer_blocks_", "attn1_to_q"], &[1152]),
    base("cogvideox", "CogVideoX", &["transformer_blocks_", "attn1_to_q"], &[1920, 3072]),
    base("gpt2", "GPT-2", &["h_", "attn_c_attn"], &[]),
    base("t5", "T5", &["block_", "SelfAttention_q"], &[]),
    base("bert", "BERT or RoBERTa", &["encoder_layer_", "attention_self_query"], &[]),
    base("whisper", "Whisper or BART", &["decoder_layers_", "encoder_attn_"], &[]),
    base("clip", "CLIP", &["text_model_encoder_layers_", "self_attn_q_proj"], &[]),
    base("phi3", "Phi-3", &["layers_", "self_attn_qkv_proj"], &[]),
    base("gpt-neox", "GPT-NeoX", &["layers_", "attention_query_key_value"], &[]),
    base("falcon", "Falcon or BLOOM", &["h_", "self_attention_query_key_value"], &[]),
    base("llama", "Llama or a model of its shape (Qwen, Mistral, Gemma ...)", &["layers_", "self_attn_"], &[]),
    base("llama", "Llama or a model of its shape (Qwen, Mistral, Gemma ...)", &["layers_", "mlp_gate_proj"], &[]),
    base("llama", "Llama or a model of its shape, in GGUF's names", &["blk_", "attn_"], &[]),
];

/// Families of text models; the others make pictures, video or sound.
const LANGUAGE: &[&str] = &["gpt2", "t5", "bert", "phi3", "gpt-neox", "falcon", "llama"];

pub(super) fn is_language(family: &str) -> bool {
    LANGUAGE.contains(&family)
}

/// The first row that some pair fits, and that pair.
pub(super) fn find<'a>(pairs: &'a [Pair], tensors: &[Tensor]) -> Option<(&'static Base, &'a Pair)> {
    let spelled: Vec<String> = pairs
        .iter()
        .map(|pair| pair.module.replace('.', "_"))
        .collect();
    BASES.iter().find_map(|base| {
        let fits = |number: &usize| {
            let has_words = base
                .words
                .iter()
                .all(|word| spelled[*number].contains(word));
            let is_encoder = super::names::part(&pairs[*number].module).starts_with("text_encoder");
            let is_allowed = !is_encoder || is_language(base.family) || base.family == "clip";
            has_words
                && is_allowed
                && (base.widths.is_empty()
                    || width(&pairs[*number], tensors)
                        .is_some_and(|width| base.widths.contains(&width)))
        };
        let number = (0..pairs.len()).find(fits)?;
        Some((base, &pairs[number]))
    })
}

/// What the module takes: columns of the smaller matrix.
fn width(pair: &Pair, tensors: &[Tensor]) -> Option<u64> {
    let place = pair
        .place(Role::Down)
        .or_else(|| pair.place(Role::HadamardB1))
        .or_else(|| pair.place(Role::Difference))?;
    tensors.get(place)?.shape.dimensions().get(1).copied()
}
