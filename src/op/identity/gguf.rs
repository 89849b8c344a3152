//! What GGUF's own keys say: the architecture and its numbers.
//!
//! Source: gguf-py, `constants.py` (`MODEL_ARCH_NAMES`, `Keys`).

use super::{Domain, Evidence, Fact, Identity, Kind};
use crate::model::{Checkpoint, Value};

/// Architectures under which families of the other tables are kept, with the family's name.
const ARCHITECTURES: &[(&str, Domain, &str, &str)] = &[
    (
        "llama",
        Domain::Language,
        "llama",
        "Llama or a model of its shape",
    ),
    ("llama4", Domain::Language, "llama4", "Llama 4"),
    ("mistral3", Domain::Language, "mistral3", "Mistral 3"),
    ("qwen", Domain::Language, "qwen", "Qwen"),
    ("qwen2", Domain::Language, "qwen2", "Qwen2"),
    ("qwen2moe", Domain::Language, "qwen2-moe", "Qwen2-MoE"),
    (
        "qwen2vl",
        Domain::Language,
        "qwen2-vl",
        "Qwen2-VL or Qwen2.5-VL",
    ),
    ("qwen3", Domain::Language, "qwen3", "Qwen3"),
    ("qwen3moe", Domain::Language, "qwen3-moe", "Qwen3-MoE"),
    ("qwen3next", Domain::Language, "qwen3-next", "Qwen3-Next"),
    ("qwen3vl", Domain::Language, "qwen3-vl", "Qwen3-VL"),
    ("qwen3vlmoe", Domain::Language, "qwen3-vl", "Qwen3-VL MoE"),
    ("gemma", Domain::Language, "gemma", "Gemma"),
    ("gemma2", Domain::Language, "gemma2", "Gemma 2"),
    ("gemma3", Domain::Language, "gemma3", "Gemma 3"),
    ("gemma3n", Domain::Language, "gemma3n", "Gemma 3n"),
    ("phi2", Domain::Language, "phi", "Phi"),
    ("phi3", Domain::Language, "phi3", "Phi-3"),
    ("phimoe", Domain::Language, "phi-moe", "Phi-3.5-MoE"),
    ("gpt2", Domain::Language, "gpt2", "GPT-2"),
    ("gptj", Domain::Language, "gpt-j", "GPT-J"),
    (
        "gptneox",
        Domain::Language,
        "gpt-neox",
        "GPT-NeoX or Pythia",
    ),
    ("gpt-oss", Domain::Language, "gpt-oss", "gpt-oss"),
    ("bloom", Domain::Language, "bloom", "BLOOM"),
    ("falcon", Domain::Language, "falcon", "Falcon"),
    ("mpt", Domain::Language, "mpt", "MPT"),
    ("baichuan", Domain::Language, "baichuan", "Baichuan"),
    ("starcoder", Domain::Language, "starcoder", "GPT-BigCode"),
    ("starcoder2", Domain::Language, "starcoder2", "StarCoder2"),
    ("stablelm", Domain::Language, "stablelm", "StableLM"),
    ("command-r", Domain::Language, "command-r", "Command R"),
    ("cohere2", Domain::Language, "command-r", "Command R7B or A"),
    (
        "deepseek2",
        Domain::Language,
        "deepseek-v2",
        "DeepSeek V2, V3 or Kimi K2",
    ),
    ("chatglm", Domain::Language, "chatglm", "ChatGLM or GLM-4"),
    ("glm4", Domain::Language, "glm4", "GLM-4"),
    ("glm4moe", Domain::Language, "glm4-moe", "GLM-4 MoE"),
    ("olmo", Domain::Language, "olmo", "OLMo"),
    ("olmo2", Domain::Language, "olmo2", "OLMo 2"),
    ("olmoe", Domain::Language, "olmoe", "OLMoE"),
    ("granite", Domain::Language, "granite", "Granite"),
    ("granitemoe", Domain::Language, "granite-moe", "Granite MoE"),
    ("internlm2", Domain::Language, "internlm2", "InternLM2"),
    ("exaone4", Domain::Language, "exaone4", "EXAONE 4"),
    ("smollm3", Domain::Language, "smollm3", "SmolLM3"),
    ("lfm2", Domain::Language, "lfm2", "LFM2"),
    ("minimax-m2", Domain::Language, "minimax", "MiniMax"),
    ("mamba", Domain::Language, "mamba", "Mamba"),
    ("mamba2", Domain::Language, "mamba2", "Mamba-2"),
    ("jamba", Domain::Language, "jamba", "Jamba"),
    ("rwkv6", Domain::Language, "rwkv", "RWKV 6"),
    ("rwkv7", Domain::Language, "rwkv", "RWKV 7"),
    ("bert", Domain::Language, "bert", "BERT"),
    ("nomic-bert", Domain::Language, "nomic-bert", "Nomic BERT"),
    ("t5", Domain::Language, "t5", "T5"),
    ("t5encoder", Domain::Language, "t5", "T5 encoder"),
    ("whisper", Domain::Audio, "whisper", "Whisper"),
    (
        "clip",
        Domain::Vision,
        "clip-vision",
        "vision part of a language model",
    ),
    ("flux", Domain::Diffusion, "flux", "FLUX.1"),
    ("sd1", Domain::Diffusion, "sd1", "Stable Diffusion 1"),
    ("sdxl", Domain::Diffusion, "sdxl", "Stable Diffusion XL"),
    ("sd3", Domain::Diffusion, "sd3", "Stable Diffusion 3"),
    ("aura", Domain::Diffusion, "auraflow", "AuraFlow"),
    ("hidream", Domain::Diffusion, "hidream", "HiDream"),
    (
        "cosmos",
        Domain::Diffusion,
        "cosmos-predict2",
        "Cosmos-Predict2",
    ),
    ("ltxv", Domain::Diffusion, "ltx-video", "LTX-Video"),
    ("hyvid", Domain::Diffusion, "hunyuan-video", "HunyuanVideo"),
    ("wan", Domain::Diffusion, "wan", "Wan"),
    ("lumina2", Domain::Diffusion, "lumina2", "Lumina 2"),
    ("qwen_image", Domain::Diffusion, "qwen-image", "Qwen-Image"),
];

/// Numbers by the ends of their keys.
const NUMBERS: &[(&str, &str)] = &[
    ("block_count", "layers"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "heads"),
    ("attention.head_count_kv", "key_value_heads"),
    ("attention.key_length", "head_dimension"),
    ("vocab_size", "vocabulary"),
    ("context_length", "context_length"),
    ("expert_count", "experts"),
    ("expert_used_count", "experts_used"),
];

/// Fills in what the metadata say, if they are GGUF's.
pub(super) fn describe(identity: &mut Identity, checkpoint: &Checkpoint) {
    let value = |key: &str| {
        let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
        found.map(|(_, value)| value)
    };
    let kind = value("general.type").and_then(Value::as_text);
    let Some(architecture) = value("general.architecture").and_then(Value::as_text) else {
        // An importance matrix does not say of which architecture it is.
        if kind == Some("imatrix") {
            identity.kind = Kind::ImportanceMatrix;
            identity
                .evidence
                .push(Evidence::of_key("general.type", "imatrix"));
        }
        return;
    };
    let row = ARCHITECTURES.iter().find(|row| row.0 == architecture);
    // What the tensors have shown stays.
    if identity.kind == Kind::Unknown {
        identity.domain = row.map(|row| row.1);
        identity.family = Some(row.map_or(architecture, |row| row.2).to_owned());
        identity.name = Some(row.map_or(architecture, |row| row.3).to_owned());
        identity.kind = match architecture {
            "clip" => Kind::VisionEncoder,
            "t5encoder" => Kind::TextEncoder,
            _ => Kind::Model,
        };
    }
    identity.kind = match kind {
        Some("adapter") => Kind::Adapter,
        Some("imatrix") => Kind::ImportanceMatrix,
        Some("mmproj") => Kind::VisionEncoder,
        _ if checkpoint.tensors.is_empty() => Kind::Vocabulary,
        _ => identity.kind,
    };
    identity.architecture.get_or_insert(architecture.to_owned());
    let evidence = Evidence::of_key("general.architecture", architecture);
    identity.evidence.push(evidence);
    add_numbers(identity, checkpoint, architecture);
}

fn add_numbers(identity: &mut Identity, checkpoint: &Checkpoint, architecture: &str) {
    for (end, name) in NUMBERS {
        let key = format!("{architecture}.{end}");
        let found = checkpoint.metadata.iter().find(|(k, _)| *k == key);
        if let Some(value) = found.and_then(|(_, value)| value.as_u64()) {
            identity.declare(name, value, &key);
        }
    }
    let tokens = checkpoint
        .metadata
        .iter()
        .find(|(key, _)| key == "tokenizer.ggml.tokens");
    let count = match tokens {
        Some((_, Value::Array(array))) => array.length,
        Some((_, Value::List(items))) => items.len() as u64,
        _ => return,
    };
    identity.declare("vocabulary", count, "tokenizer.ggml.tokens");
}

impl Identity {
    /// Adds a number that the file or what lies beside it declares; one that shapes prove
    /// otherwise is a conflict.
    pub(super) fn declare(&mut self, name: &str, value: u64, source: &str) {
        match self.facts.iter().find(|fact| fact.name == name) {
            None => self.facts.push(Fact {
                name: name.to_owned(),
                value,
                is_proven: false,
            }),
            Some(fact) if fact.value == value || !fact.is_proven => {}
            Some(fact) => self.conflicts.push(format!(
                "`{source}` says {value} for {name}, the tensors have {}",
                fact.value
            )),
        }
    }
}
