//! What GGUF files say of themselves, and what their shapes say to that.

use crate::op::tensor;
use crate::support::testdata;
use ckpt::DType;
use ckpt::model::{Beside, Checkpoint, Value};
use ckpt::op::identity::{Identity, Kind, identify, known};

fn model(architecture: &str, numbers: &[(&str, u64)], tensors: &[(&str, &[u64])]) -> Identity {
    let mut metadata = vec![("general.architecture".to_owned(), Value::text(architecture))];
    let numbers = numbers.iter();
    metadata
        .extend(numbers.map(|(key, value)| (format!("{architecture}.{key}"), Value::from(*value))));
    let tensors = tensors.iter();
    let checkpoint = Checkpoint {
        path: "a.gguf".to_owned(),
        format: "gguf",
        tensors: tensors
            .map(|(name, shape)| tensor(name, DType::F16, shape))
            .collect(),
        metadata,
        ..Checkpoint::default()
    };
    identify(&checkpoint, &Beside::default())
}

/// gguf-py's list: `MODEL_ARCH_NAMES`.
#[test]
fn every_architecture_of_gguf_has_a_name_here() {
    let text = std::fs::read_to_string(testdata("identity/gguf-architectures.json")).unwrap();
    let names: Vec<String> = serde_json::from_str(&text).unwrap();
    assert!(names.len() > 120, "{} names", names.len());
    for name in names {
        let identity = model(&name, &[], &[("blk.0.attn_norm.weight", &[8])]);
        let kind = identity.kind;
        assert!(identity.domain.is_some(), "{name} is not known");
        assert_ne!(kind, Kind::Unknown, "{name}");
        assert_eq!(identity.architecture.as_deref(), Some(name.as_str()));
    }
}

/// Of diffusion models in GGUF: a family is the one that tensors would tell.
#[test]
fn architectures_of_diffusion_models_are_families_of_the_tables() {
    let families: Vec<&str> = known().iter().map(|rule| rule.family).collect();
    for name in [
        "flux",
        "sd1",
        "sdxl",
        "sd3",
        "aura",
        "hidream",
        "cosmos",
        "ltxv",
        "hyvid",
        "wan",
        "lumina2",
        "qwen_image",
    ] {
        let identity = model(name, &[], &[("a.weight", &[8])]);
        let family = identity.family.unwrap();
        assert!(families.contains(&family.as_str()), "{name}: {family}");
    }
}

const SHAPES: &[(&str, &[u64])] = &[
    ("token_embd.weight", &[320, 64]),
    ("output_norm.weight", &[64]),
    ("blk.0.attn_q.weight", &[64, 64]),
    ("blk.0.attn_k.weight", &[16, 64]),
    ("blk.0.ffn_down.weight", &[64, 160]),
    ("blk.1.attn_q.weight", &[64, 64]),
];

const NUMBERS: &[(&str, u64)] = &[
    ("block_count", 2),
    ("embedding_length", 64),
    ("feed_forward_length", 160),
    ("attention.head_count", 8),
    ("attention.head_count_kv", 2),
    ("vocab_size", 320),
];

#[test]
fn shapes_prove_what_metadata_say() {
    let identity = model("llama", NUMBERS, SHAPES);
    assert_eq!(identity.conflicts, Vec::<String>::new());
    let proven = identity.facts.iter().filter(|fact| fact.is_proven);
    let proven: Vec<(&str, u64)> = proven.map(|f| (f.name.as_str(), f.value)).collect();
    let expected = [
        ("layers", 2),
        ("hidden_size", 64),
        ("intermediate_size", 160),
        ("vocabulary", 320),
        ("query_size", 64),
        ("key_size", 16),
    ];
    assert_eq!(proven, expected);
}

#[test]
fn shapes_contradict_each_number_that_is_wrong() {
    for (place, (key, value)) in NUMBERS.iter().enumerate() {
        let mut numbers = NUMBERS.to_vec();
        numbers[place].1 = value + 1;
        let identity = model("llama", &numbers, SHAPES);
        let conflicts = identity.conflicts;
        assert!(
            conflicts.iter().any(|text| text.contains(key)),
            "{key}: {conflicts:?}"
        );
    }
}

#[test]
fn latent_attention_and_gated_queries_contradict_nothing() {
    let mut numbers = NUMBERS.to_vec();
    numbers.extend([("attention.key_length", 24), ("attention.kv_lora_rank", 16)]);
    let identity = model("deepseek2", &numbers, SHAPES);
    assert_eq!(identity.conflicts, Vec::<String>::new());
    let mut shapes = SHAPES.to_vec();
    shapes[2].1 = &[128, 64];
    let identity = model("qwen3next", NUMBERS, &shapes);
    assert_eq!(identity.conflicts, Vec::<String>::new());
}

#[test]
fn an_architecture_that_nobody_knows_is_named_as_such() {
    let identity = model("nobodys", NUMBERS, SHAPES);
    assert_eq!(identity.kind, Kind::Model);
    assert_eq!(identity.family.as_deref(), Some("nobodys"));
    assert_eq!(identity.domain, None);
    for placeholder in ["unknown", "pig", ""] {
        let identity = model(placeholder, &[], SHAPES);
        assert_eq!(
            (identity.kind, identity.architecture),
            (Kind::Unknown, None)
        );
    }
}
