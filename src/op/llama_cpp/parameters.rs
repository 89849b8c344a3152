//! Hyperparameters: what `config.json` says, as llama.cpp reads it.
//!
//! Source: convert_hf_to_gguf.py, `TextModel.set_gguf_parameters` and those of its models.

use super::config::Config;
use super::entries::Entries;
use crate::error::{Error, Result};

/// A model of Hugging Face's libraries that llama.cpp knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Architecture {
    /// What `config.json` calls it, in `architectures`.
    pub(super) class: &'static str,
    /// What llama.cpp calls it.
    pub(super) name: &'static str,
    /// Whether rows of Q and K are kept in another order.
    pub(super) is_reordered: bool,
}

const fn row(class: &'static str, name: &'static str, is_reordered: bool) -> Architecture {
    Architecture {
        class,
        name,
        is_reordered,
    }
}

/// The models that are known here.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    row("LlamaForCausalLM", "llama", true),
    row("LLaMAForCausalLM", "llama", true),
    row("MistralForCausalLM", "llama", true),
    row("MixtralForCausalLM", "llama", true),
    row("Qwen2ForCausalLM", "qwen2", false),
    row("Qwen3ForCausalLM", "qwen3", false),
];

/// What the rest needs to know of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub(super) layers: u32,
    pub(super) embedding: u32,
    pub(super) heads: u32,
    pub(super) key_heads: u32,
    pub(super) head_width: u32,
}

impl Parameters {
    pub(super) fn read(config: Config<'_>) -> Result<Parameters> {
        let embedding = config.needed_count(&["hidden_size", "n_embd", "dim"])?;
        let heads = config.needed_count(&["num_attention_heads", "n_head", "n_heads"])?;
        let key_heads = config.count(&["num_key_value_heads", "n_kv_heads"])?;
        let head_width = match config.count(&["head_dim"])? {
            Some(width) => width,
            None if embedding.is_multiple_of(heads) => embedding / heads,
            None => {
                let message = format!(
                    "`hidden_size` is {embedding}, which `num_attention_heads`, {heads}, does not divide"
                );
                return Err(Error::malformed(message).in_file(config.file));
            }
        };
        Ok(Parameters {
            layers: config.needed_count(&["num_hidden_layers", "n_layers", "n_layer"])?,
            embedding,
            heads,
            key_heads: key_heads.unwrap_or(heads),
            head_width,
        })
    }
}

/// Adds the keys that start with the architecture's name. `vocabulary`: rows of the embedding.
pub(super) fn add(
    entries: &mut Entries,
    config: Config<'_>,
    architecture: Architecture,
    parameters: Parameters,
    vocabulary: u32,
    notes: &mut Vec<String>,
) -> Result<()> {
    let name = architecture.name;
    let key = |end: &str| format!("{name}.{end}");
    entries.count(key("block_count"), parameters.layers);
    let context = config.needed_count(&["max_position_embeddings", "n_ctx", "n_positions"])?;
    entries.count(key("context_length"), context);
    entries.count(key("embedding_length"), parameters.embedding);
    let feed_forward = config.needed_count(&["intermediate_size", "n_inner"])?;
    entries.count(key("feed_forward_length"), feed_forward);
    entries.count(key("attention.head_count"), parameters.heads);
    entries.count(key("attention.head_count_kv"), parameters.key_heads);
    add_rope(entries, config, name, context, notes)?;
    let epsilon = config.needed_number(&["rms_norm_eps", "norm_eps"])?;
    entries.number(key("attention.layer_norm_rms_epsilon"), epsilon);
    if let Some(experts) = config.count(&["num_local_experts", "num_experts"])? {
        entries.count(key("expert_count"), experts);
        let used = config.needed_count(&["num_experts_per_tok", "num_experts_per_token"])?;
        entries.count(key("expert_used_count"), used);
    }
    if let Some(width) = config.count(&["head_dim"])? {
        entries.count(key("attention.key_length"), width);
        entries.count(key("attention.value_length"), width);
    }
    if name == "llama" {
        entries.count(key("vocab_size"), vocabulary);
        entries.count(key("rope.dimension_count"), parameters.head_width);
    }
    if config.flag("use_sliding_window")? != Some(false)
        && let Some(window) = config.count(&["sliding_window"])?
        && window < context
    {
        notes.push(format!(
            "`sliding_window` is {window}: llama.cpp attends to all {context} positions instead"
        ));
    }
    Ok(())
}

/// Rotary positions: their scaling, and the base of their frequencies.
fn add_rope(
    entries: &mut Entries,
    config: Config<'_>,
    name: &str,
    context: u32,
    notes: &mut Vec<String>,
) -> Result<()> {
    let key = |end: &str| format!("{name}.rope.{end}");
    let scaling = scaling(config);
    let kind = match scaling {
        None => None,
        Some(scaling) => kind_of(scaling)?,
    };
    if let (Some(scaling), Some(kind)) = (scaling, kind) {
        match kind {
            "linear" | "yarn" => {
                entries.text(key("scaling.type"), kind);
                entries.number(key("scaling.factor"), scaling.needed_number(&["factor"])?);
            }
            "su" | "longrope" => entries.text(key("scaling.type"), "longrope"),
            // llama3 is a tensor of its own.
            "default" | "llama3" => {}
            other => notes.push(format!(
                "warning: rotary positions of type `{other}` are not known to llama.cpp and are left as they are without it"
            )),
        }
        if kind == "yarn" {
            let original = scaling.count(&["original_max_position_embeddings"])?;
            entries.count(
                key("scaling.original_context_length"),
                original.unwrap_or(context),
            );
            for (ours, theirs) in [
                (
                    "scaling.yarn_ext_factor",
                    ["extrapolation_factor", "extrapolation_factor"],
                ),
                (
                    "scaling.yarn_attn_factor",
                    ["attention_factor", "attn_factor"],
                ),
                ("scaling.yarn_beta_fast", ["beta_fast", "beta_fast"]),
                ("scaling.yarn_beta_slow", ["beta_slow", "beta_slow"]),
            ] {
                if let Some(number) = scaling.number(&theirs)? {
                    entries.number(key(ours), number);
                }
            }
        }
    }
    if let Some(base) = base(config)? {
        entries.number(key("freq_base"), base);
    }
    Ok(())
}

/// `rope_parameters` of transformers 5, `rope_scaling` before.
fn scaling(config: Config<'_>) -> Option<Config<'_>> {
    let found = config.inner("rope_parameters");
    let found = found.or_else(|| config.inner("rope_scaling"))?;
    Some(found.inner("full_attention").unwrap_or(found))
}

fn kind_of(scaling: Config<'_>) -> Result<Option<&str>> {
    Ok(scaling.text("rope_type")?.or(scaling.text("type")?))
}

fn base(config: Config<'_>) -> Result<Option<f64>> {
    let inner = match scaling(config) {
        None => None,
        Some(scaling) => scaling.number(&["rope_theta"])?,
    };
    match inner {
        Some(base) => Ok(Some(base)),
        None => config.number(&["rope_theta", "rotary_emb_base"]),
    }
}

/// By what llama3's scaling divides each frequency of a head, in F32; `None` without it.
///
/// Source: `LlamaModel.generate_extra_tensors`.
pub(super) fn rope_factors(config: Config<'_>, head_width: u32) -> Result<Option<Vec<f32>>> {
    let Some(scaling) = scaling(config) else {
        return Ok(None);
    };
    if kind_of(scaling)?.is_none_or(|kind| !kind.eq_ignore_ascii_case("llama3")) {
        return Ok(None);
    }
    let number = |key, default: f64| Ok(scaling.number(&[key])?.unwrap_or(default));
    let factor = number("factor", 8.0)? as f32;
    let low = number("low_freq_factor", 1.0)?;
    let high = number("high_freq_factor", 4.0)?;
    let context = number("original_max_position_embeddings", 8192.0)?;
    let base = base(config)?.unwrap_or(10_000.0);
    if head_width > WIDEST_HEAD {
        let message = format!("`head_dim` is {head_width}; the limit is {WIDEST_HEAD}");
        return Err(Error::limit(message).in_file(config.file));
    }
    let factors = (0..head_width).step_by(2).map(|position| {
        let exponent = position as f32 / head_width as f32;
        let frequency = 1.0 / base.powf(exponent.into()) as f32;
        let wavelength = (2.0 * std::f64::consts::PI) as f32 / frequency;
        if f64::from(wavelength) < context / high {
            1.0
        } else if f64::from(wavelength) > context / low {
            factor
        } else {
            let smooth = (context as f32 / wavelength - low as f32) / (high - low) as f32;
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    });
    Ok(Some(factors.collect()))
}

/// Numbers of a head; real ones have up to 512.
const WIDEST_HEAD: u32 = 1 << 16;
