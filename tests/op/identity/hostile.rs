//! What lies beside a checkpoint, or in its metadata, may claim anything.

use super::open_as_safetensors;
use crate::support::testdata;
use ckpt::format;
use ckpt::model::{Beside, json};
use ckpt::op::identity::adapter::measure;
use ckpt::op::identity::{Identity, identify};
use std::io::Write;
use std::time::{Duration, Instant};

fn with_config(text: &str) -> Identity {
    let shape = vec![4096, 512];
    let tensors = [
        (
            "model.layers.0.self_attn.q_proj.qweight".to_owned(),
            "I32".to_owned(),
            shape,
        ),
        ("model.norm.weight".to_owned(), "F16".to_owned(), vec![4096]),
    ];
    let beside = Beside {
        config: Some(json::parse(text).unwrap()),
        ..Beside::default()
    };
    identify(&open_as_safetensors(&tensors), &beside)
}

/// What is no count is no fact, and bits that are none do not divide by zero or overflow.
#[test]
fn numbers_of_a_configuration_that_are_absurd_are_left_aside() {
    for text in [
        r#"{"num_hidden_layers": -1, "hidden_size": 1e308, "vocab_size": "many", "num_attention_heads": null}"#,
        r#"{"num_hidden_layers": [1], "hidden_size": {"a": 1}, "vocab_size": true, "head_dim": 0.5}"#,
        r#"{"architectures": {"a": 1}, "model_type": 7, "text_config": [], "quantization_config": 3}"#,
        r#"{"architectures": [[], {}], "text_config": {"text_config": {}}, "quantization_config": []}"#,
    ] {
        assert_eq!(with_config(text).facts, [], "{text}");
    }
    for bits in [
        "0",
        "-4",
        "1e300",
        "18446744073709551615",
        "33",
        "null",
        r#""4""#,
    ] {
        let config =
            format!(r#"{{"quantization_config": {{"bits": {bits}, "quant_method": "gptq"}}}}"#);
        let parameters = with_config(&config).parameters;
        assert_eq!(parameters.logical, 4096 * 512 * 8 + 4096, "{bits}");
    }
    let largest = with_config(
        r#"{"num_hidden_layers": 18446744073709551615, "num_attention_heads": 0, "hidden_size": 0}"#,
    );
    let layers = largest.facts.iter().find(|fact| fact.name == "layers");
    assert!(layers.is_some_and(|fact| !fact.is_proven));
}

/// Patterns are compiled one by one and none of them to much, and matching takes linear time.
#[test]
fn patterns_of_an_adapter_cannot_take_long() {
    let path = testdata("adapter/peft-lora/adapter_model.safetensors");
    let checkpoint = format::open(&path).unwrap();
    let mut patterns: Vec<String> = (0..2_000)
        .map(|n| format!("((((a{{{n}}}){{50}}){{50}}){{50}})+"))
        .collect();
    patterns.extend(["(a+)+$", "(.*)*x", "(?:x", "\\\\p{L}{400}", "((.*.*)*)*"].map(str::to_owned));
    let entries: Vec<String> = patterns
        .iter()
        .map(|pattern| format!("\"{pattern}\": 3"))
        .collect();
    let text = format!(
        "{{\"lora_alpha\": 8, \"alpha_pattern\": {{{}}}}}",
        entries.join(", ")
    );
    let beside = Beside {
        adapter_config: Some(json::parse(&text).unwrap()),
        ..Beside::default()
    };
    let start = Instant::now();
    let identity = identify(&checkpoint, &beside);
    let adapter = identity.adapter.unwrap();
    // A hundred times what it takes.
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    // Those that fit stand for few letters; of 2,005 patterns 1,000 are tried.
    assert!(
        adapter.unused_patterns > 1_900,
        "{}",
        adapter.unused_patterns
    );
    assert!(
        identity
            .conflicts
            .iter()
            .any(|text| text.contains("`alpha_pattern`"))
    );
    let health = measure(&adapter, &checkpoint, 1).unwrap();
    let scales: Vec<f64> = health.modules.iter().map(|module| module.scale).collect();
    assert!(scales.len() > 1 && scales.iter().all(|scale| *scale == scales[0]));
}

/// A header may have 100 MB: all of it one value that is searched for tags and paths.
#[test]
fn metadata_of_a_hundred_megabytes_are_looked_through() {
    for value in [
        "{\\\"a\\\": 1, ".repeat(7 << 20),
        "/home/somebody/".repeat(6 << 20),
    ] {
        let header = format!(
            r#"{{"__metadata__": {{"ss_tag_frequency": "{value}"}}, "a": {{"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}}}"#
        );
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&[0]).unwrap();
        let checkpoint = format::open(file.path()).unwrap();
        let identity = identify(&checkpoint, &Beside::default());
        assert_eq!(identity.family, None);
        let training = ckpt::op::identity::training::read(&checkpoint);
        assert!(training.is_none_or(|training| training.tags.is_empty()));
    }
}
