//! What GGUF's own keys say, the architecture and its numbers, and what shapes say to that.
//!
//! Source: gguf-py, `constants.py` (`Keys`, `TENSOR_NAMES`); llama.cpp, `llama_model::load_tensors`,
//! for the shapes that it asks for.

use super::names::Names;
use super::rule::{Measure, Place};
use super::{Evidence, Fact, Identity, Kind, architectures};
use crate::model::{Checkpoint, Value};

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

/// What the tensors of a language model prove.
const SHAPES: &[Measure] = &[
    ("layers", "#blk."),
    (
        "hidden_size",
        "output_norm.weight[0] | token_embd_norm.weight[0] | token_embd.weight[1]",
    ),
    ("intermediate_size", "blk.0.ffn_down.weight[1]"),
    ("vocabulary", "token_embd.weight[0]"),
    (
        "experts",
        "blk.0.ffn_down_exps.weight[0] | blk.1.ffn_down_exps.weight[0] | blk.3.ffn_down_exps.weight[0]",
    ),
    ("query_size", "blk.0.attn_q.weight[0]"),
    ("key_size", "blk.0.attn_k.weight[0]"),
];

/// What writers put where they know no architecture.
const NO_ARCHITECTURE: [&str; 3] = ["", "unknown", "pig"];

/// Fills in what the metadata say, if they are GGUF's, and what speaks against it.
pub(super) fn describe(identity: &mut Identity, checkpoint: &Checkpoint, names: &Names<'_>) {
    let kind = metadata(checkpoint, "general.type").and_then(Value::as_text);
    let architecture = metadata(checkpoint, "general.architecture").and_then(Value::as_text);
    let Some(architecture) = architecture else {
        // An importance matrix does not say of which architecture it is.
        if kind == Some("imatrix") {
            identity.kind = Kind::ImportanceMatrix;
            identity
                .evidence
                .push(Evidence::of_key("general.type", "imatrix"));
        }
        return;
    };
    let evidence = Evidence::of_key("general.architecture", architecture);
    identity.evidence.push(evidence);
    let is_declared = !NO_ARCHITECTURE.contains(&architecture);
    // What the tensors have shown stays.
    if identity.kind == Kind::Unknown && is_declared {
        name_architecture(identity, architecture);
        if kind.is_none_or(|kind| kind == "model") && is_whole(checkpoint) {
            add_shapes(identity, names);
        }
    }
    identity.kind = match kind {
        Some("adapter") => Kind::Adapter,
        Some("imatrix") => Kind::ImportanceMatrix,
        Some("mmproj") => Kind::VisionEncoder,
        _ if checkpoint.tensors.is_empty() => Kind::Vocabulary,
        _ => identity.kind,
    };
    if is_declared {
        identity.architecture.get_or_insert(architecture.to_owned());
    }
    add_numbers(identity, checkpoint, architecture);
    check_heads(identity, checkpoint, architecture);
}

fn metadata<'a>(checkpoint: &'a Checkpoint, key: &str) -> Option<&'a Value> {
    let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
    found.map(|(_, value)| value)
}

fn name_architecture(identity: &mut Identity, architecture: &str) {
    let row = architectures::find(architecture);
    identity.domain = row.map(|(domain, _)| domain);
    identity.family = Some(row.map_or(architecture, |(_, row)| row.1).to_owned());
    let name = row.map_or("a model of an architecture not known here", |(_, row)| {
        row.2
    });
    identity.name = Some(name.to_owned());
    identity.kind = match architecture {
        "clip" => Kind::VisionEncoder,
        "t5encoder" => Kind::TextEncoder,
        _ => Kind::Model,
    };
}

/// Whether all tensors are here: one part of a split model proves nothing about the rest.
fn is_whole(checkpoint: &Checkpoint) -> bool {
    let count = metadata(checkpoint, "split.tensors.count").and_then(Value::as_u64);
    count.is_none_or(|count| count == checkpoint.tensors.len() as u64)
}

fn add_shapes(identity: &mut Identity, names: &Names<'_>) {
    let place = Place { names, prefix: "" };
    if place.measure("#blk.").is_none() {
        return;
    }
    identity.facts = SHAPES
        .iter()
        .filter_map(|(name, measure)| {
            Some(Fact {
                name: (*name).to_owned(),
                value: place.measure(measure)?,
                is_proven: true,
            })
        })
        .collect();
}

/// Rows of the first block's queries and keys against the declared heads. Where blocks differ in
/// the size of their heads, or a head is made of two parts, one number says nothing.
fn check_heads(identity: &mut Identity, checkpoint: &Checkpoint, architecture: &str) {
    let number = |end: &str| {
        let value = metadata(checkpoint, &format!("{architecture}.{end}"))?;
        value.as_u64()
    };
    let fact = |name: &str| {
        let found = identity.facts.iter().find(|fact| fact.name == name);
        found.filter(|fact| fact.is_proven).map(|fact| fact.value)
    };
    let differs = ["attention.kv_lora_rank", "attention.key_length_swa"];
    if differs.iter().any(|end| number(end).is_some()) {
        return;
    }
    let dimension = number("attention.key_length").or_else(|| {
        let heads = number("attention.head_count")?;
        number("embedding_length")?.checked_div(heads)
    });
    let Some(dimension) = dimension else {
        return;
    };
    let mut conflicts = Vec::new();
    for (end, size, tensor) in [
        ("attention.head_count", "query_size", "blk.0.attn_q.weight"),
        ("attention.head_count_kv", "key_size", "blk.0.attn_k.weight"),
    ] {
        let (Some(heads), Some(rows)) = (number(end), fact(size)) else {
            continue;
        };
        // Queries may have a gate of their own size beside them.
        let allowed = heads.checked_mul(dimension);
        let gated = allowed.and_then(|rows| rows.checked_mul(2));
        let is_gated = size == "query_size" && gated == Some(rows);
        if allowed != Some(rows) && !is_gated {
            conflicts.push(format!(
                "`{architecture}.{end}` says {heads} heads of {dimension}, but `{tensor}` has {rows} rows"
            ));
        }
    }
    identity.conflicts.append(&mut conflicts);
}

fn add_numbers(identity: &mut Identity, checkpoint: &Checkpoint, architecture: &str) {
    for (end, name) in NUMBERS {
        let key = format!("{architecture}.{end}");
        if let Some(value) = metadata(checkpoint, &key).and_then(Value::as_u64) {
            identity.declare(name, value, &key);
        }
    }
    let count = match metadata(checkpoint, "tokenizer.ggml.tokens") {
        Some(Value::Array(array)) => array.length,
        Some(Value::List(items)) => items.len() as u64,
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
