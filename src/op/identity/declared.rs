//! What a file, and what lies beside it, say about themselves.

use super::{Domain, Evidence, Identity, Kind};
use crate::model::{Beside, Checkpoint, Value};

/// Beginnings of ModelSpec's names of architectures and of kohya's base versions, and the
/// family that each means. The first that fits is it. Source: ModelSpec 1.0.1; sd-scripts,
/// `library/sai_model_spec.py`, `library/model_util.py`, `train_network.py`.
const DECLARED: &[(&str, &str)] = &[
    ("stable-diffusion-v1", "sd1"),
    ("stable-diffusion-v2", "sd2"),
    ("stable-diffusion-xl-v1-refiner", "sdxl-refiner"),
    ("stable-diffusion-xl", "sdxl"),
    ("stable-diffusion-v3", "sd3"),
    ("stable-diffusion-3", "sd3"),
    ("stable-video-diffusion", "svd"),
    ("stable-cascade", "stable-cascade"),
    ("flux-2", "flux2"),
    ("flux-1", "flux"),
    ("chroma", "chroma"),
    ("lumina", "lumina2"),
    ("hunyuan-image", "hunyuan-video"),
    ("anima", "cosmos-predict2"),
    ("gpt-neo-x", "gpt-neox"),
    ("sdxl_base", "sdxl"),
    ("sdxl", "sdxl"),
    ("sd_v1", "sd1"),
    ("sd_v2", "sd2"),
    ("sd_1", "sd1"),
    ("sd_2", "sd2"),
    ("sd3", "sd3"),
    ("flux1", "flux"),
    ("flux", "flux"),
    ("wan", "wan"),
];

/// Keys by which a file declares its architecture.
const KEYS: [&str; 2] = ["modelspec.architecture", "ss_base_model_version"];

/// Numbers of a Hugging Face configuration, by every name that they go by there.
const NUMBERS: &[(&str, &[&str])] = &[
    (
        "layers",
        &["num_hidden_layers", "n_layer", "num_layers", "n_layers"],
    ),
    ("hidden_size", &["hidden_size", "n_embd", "d_model"]),
    (
        "intermediate_size",
        &["intermediate_size", "n_inner", "d_ff"],
    ),
    (
        "heads",
        &["num_attention_heads", "n_head", "num_heads", "n_heads"],
    ),
    ("key_value_heads", &["num_key_value_heads"]),
    ("head_dimension", &["head_dim", "d_kv"]),
    ("vocabulary", &["vocab_size"]),
    (
        "context_length",
        &[
            "max_position_embeddings",
            "n_positions",
            "n_ctx",
            "seq_length",
        ],
    ),
    (
        "experts",
        &["num_local_experts", "num_experts", "n_routed_experts"],
    ),
    ("experts_used", &["num_experts_per_tok"]),
];

/// Adds what is declared, and what of it the tensors contradict.
pub(super) fn add(identity: &mut Identity, checkpoint: &Checkpoint, beside: &Beside) {
    for key in KEYS {
        let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
        if let Some(text) = found.and_then(|(_, value)| value.as_text()) {
            add_architecture(identity, key, text);
        }
    }
    if let Some(config) = &beside.config {
        add_config(identity, config);
    }
}

fn add_architecture(identity: &mut Identity, key: &str, text: &str) {
    let lower = text.to_ascii_lowercase();
    let row = DECLARED.iter().find(|(start, _)| lower.starts_with(start));
    identity.evidence.push(Evidence::of_key(key, text));
    let Some((_, declared)) = row else {
        return;
    };
    match identity.family.as_deref() {
        None => {
            identity.family = Some((*declared).to_owned());
            identity.name.get_or_insert_with(|| text.to_owned());
        }
        Some(family) if family == *declared => {}
        // A part of a pipeline is no less of the family.
        Some(_) if !matches!(identity.kind, Kind::Model | Kind::Adapter) => {}
        Some(family) => {
            let conflict = format!("`{key}` says `{text}`, but the tensors are those of {family}");
            identity.conflicts.push(conflict);
        }
    }
}

fn add_config(identity: &mut Identity, config: &Value) {
    let class = config.get("_class_name").and_then(Value::as_text);
    let first = match config.get("architectures") {
        Some(Value::List(names)) => names.first().and_then(Value::as_text),
        _ => None,
    };
    if let Some(class) = class.or(first) {
        identity
            .evidence
            .push(Evidence::of_key("config.json", class));
        identity.architecture.get_or_insert(class.to_owned());
    }
    // The numbers of pipelines and autoencoders go by other names.
    if class.is_some() || matches!(identity.kind, Kind::Adapter) {
        return;
    }
    let model_type = config.get("model_type").and_then(Value::as_text);
    if let Some(model_type) = model_type {
        add_model_type(identity, model_type);
    }
    let of_text = config.get("text_config");
    for (name, keys) in NUMBERS {
        let number = |config: &Value| {
            keys.iter()
                .find_map(|key| Some((*key, config.get(key)?.as_u64()?)))
        };
        if let Some((key, value)) = of_text.and_then(number).or_else(|| number(config)) {
            identity.declare(name, value, &format!("config.json: {key}"));
        }
    }
    if identity
        .facts
        .iter()
        .all(|fact| fact.name != "head_dimension")
    {
        add_head_dimension(identity);
    }
}

/// Names and shapes do not tell models of Llama's shape apart; a configuration does.
fn add_model_type(identity: &mut Identity, model_type: &str) {
    if identity.kind == Kind::Unknown {
        identity.kind = Kind::Model;
        identity.family = Some(model_type.to_owned());
        identity.name = Some(model_type.to_owned());
    } else if identity.family.as_deref() == Some("llama") && model_type != "llama" {
        identity.family = Some(model_type.to_owned());
        identity.name = Some(format!("{model_type}, of Llama's shape"));
        identity.variant = None;
    }
    identity
        .evidence
        .push(Evidence::of_key("config.json: model_type", model_type));
}

/// What projections and a declared number of heads make of each other.
fn add_head_dimension(identity: &mut Identity) {
    if identity.domain != Some(Domain::Language) {
        return;
    }
    let value = |name: &str| {
        identity
            .facts
            .iter()
            .find(|fact| fact.name == name)
            .map(|f| f.value)
    };
    let dimension = match (value("query_size"), value("heads")) {
        (Some(size), Some(heads)) if heads > 0 && size % heads == 0 => size / heads,
        _ => return,
    };
    identity.declare("head_dimension", dimension, "config.json");
}
