//! Schemas: what they find, and that configurations imply what transformers makes of them.

use super::{checkpoint, tensor};
use crate::support::{good_files, read_json, short, testdata};
use ckpt::DType;
use ckpt::format;
use ckpt::model::{Checkpoint, Note, Value};
use ckpt::op::identity::Identity;
use ckpt::op::schema::{Schema, config, write};
use serde_json::{Map, Value as Json};

fn of(tensors: &[(&str, DType, &[u64])]) -> Checkpoint {
    let mut checkpoint = checkpoint(&[], &[]);
    let make = |(name, dtype, shape): &(&str, DType, &[u64])| tensor(name, *dtype, shape);
    checkpoint.tensors = tensors.iter().map(make).collect();
    checkpoint
}

/// Each finding as `rule name: text`.
fn words(notes: &[Note]) -> Vec<String> {
    let word = |note: &Note| {
        let tensor = note.place.tensor.as_deref().unwrap_or("-");
        format!("{} {tensor}: {}", note.rule, note.text)
    };
    notes.iter().map(word).collect()
}

fn found(schema: &str, checkpoint: &Checkpoint) -> Vec<String> {
    words(&Schema::read(schema).unwrap().check(checkpoint).unwrap())
}

const SCHEMA: &str = r#"
schema = "ckpt.schema/1"
[dimensions]
heads = 2
[[tensors]]
name = "layers.{0..1}.q.weight"
dtype = ["BF16", "F16"]
shape = ["heads*4", "hidden"]
[[tensors]]
name = "embed.weight"
shape = ["*", "hidden"]
[[tensors]]
name = "*.up.weight"
dtype = "F32"
shape = ["4*hidden", "hidden"]
count = 2
[[tensors]]
name = "bias"
shape = []
optional = true
"#;

#[test]
fn a_checkpoint_that_fits_has_no_findings() {
    let good = of(&[
        ("embed.weight", DType::F32, &[100, 6]),
        ("layers.0.q.weight", DType::BF16, &[8, 6]),
        ("layers.0.up.weight", DType::F32, &[24, 6]),
        ("layers.1.q.weight", DType::F16, &[8, 6]),
        ("layers.1.up.weight", DType::F32, &[24, 6]),
    ]);
    assert_eq!(found(SCHEMA, &good), Vec::<String>::new());
}

#[test]
fn every_way_not_to_fit_is_a_finding_with_what_was_found_and_wanted() {
    let bad = of(&[
        ("embed.weight", DType::F32, &[100, 6]),
        ("layers.0.q.weight", DType::F32, &[8, 6]),
        ("layers.0.up.weight", DType::F32, &[23, 6]),
        ("bias", DType::F32, &[1]),
        ("more", DType::F32, &[1]),
    ]);
    let expected = [
        "schema-missing layers.1.q.weight: is not there",
        "schema-dtype layers.0.q.weight: is F32, not BF16 or F16",
        "schema-count -: `*.up.weight` matches 1 tensors, not 2",
        "schema-shape layers.0.up.weight: has shape [23, 6], not [24, 6] ([4*hidden, hidden])",
        "schema-shape bias: has shape [1], not []",
        "schema-unexpected more: the schema has no such tensor",
    ];
    assert_eq!(found(SCHEMA, &bad), expected);
    let allowing = format!("extra = \"allow\"\n{SCHEMA}");
    assert_eq!(found(&allowing, &bad), expected[..5]);
}

#[test]
fn a_symbol_is_the_same_everywhere() {
    let schema = r#"{"tensors": [
        {"name": "a", "shape": ["n", "m"]}, {"name": "b", "shape": ["m", "n"]}]}"#;
    let fits = of(&[("a", DType::F32, &[2, 3]), ("b", DType::F32, &[3, 2])]);
    assert!(found(schema, &fits).is_empty());
    let differs = of(&[("a", DType::F32, &[2, 3]), ("b", DType::F32, &[4, 2])]);
    let expected = ["schema-shape b: has shape [4, 2], not [3, 2] ([m, n])"];
    assert_eq!(found(schema, &differs), expected);
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, expected) in [
        (
            "[[tensors]]\nname = 'a'\nsize = 3",
            "line 3: unknown field `size`",
        ),
        (
            "schema = 'other/1'",
            "is of schema `other/1`, not `ckpt.schema/1`",
        ),
        (
            "[[tensors]]\nname = 'a{0..'",
            "`a{0..`: a brace is opened and not closed",
        ),
        (
            "[[tensors]]\nname = 'a'\nshape = ['2*']",
            "`a`: `2*` lacks a number or a symbol",
        ),
        (
            "[[tensors]]\nname = 'a'\ndtype = 'F99'",
            "`F99` is no dtype",
        ),
        ("{\"tensors\": 1}", "invalid type"),
    ] {
        let error = Schema::read(text).unwrap_err();
        assert!(error.message().starts_with(expected), "{}", error.message());
    }
    let unbound = Schema::read("[[tensors]]\nname = 'a'\nshape = ['2*x']").unwrap();
    let error = unbound.check(&of(&[("a", DType::F32, &[2])])).unwrap_err();
    assert_eq!(error.message(), "`a`: `2*x` needs a value for `x`");
}

#[test]
fn every_good_file_fits_the_schema_written_from_it() {
    let mut seen = 0;
    for (path, _) in good_files() {
        let Ok(checkpoint) = format::open(&path) else {
            continue;
        };
        let text = write::write(&checkpoint, &Identity::default());
        let schema =
            Schema::read(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", short(&path)));
        let notes = schema.check(&checkpoint).unwrap();
        assert!(
            notes.is_empty(),
            "{}: {:?}\n{text}",
            short(&path),
            words(&notes)
        );
        // Without its last tensor it fits no longer.
        let mut less = checkpoint;
        if less.tensors.pop().is_some() {
            assert_eq!(schema.check(&less).unwrap().len(), 1, "{}", short(&path));
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

fn configs() -> Map<String, Json> {
    let Json::Object(configs) = read_json(&testdata("schema/configs.json")) else {
        panic!("no configurations");
    };
    configs
}

/// What of a configuration matters here.
fn value(json: &Json) -> Value {
    match json {
        Json::Object(entries) => {
            let entries = entries.iter();
            Value::Map(entries.map(|(k, v)| (k.clone(), value(v))).collect())
        }
        Json::String(text) => Value::Text(text.clone()),
        json => json.as_i64().map_or(Value::Null, Value::Int),
    }
}

fn model(tensors: &Json) -> Checkpoint {
    let tensors = tensors.as_object().unwrap().iter();
    let mut checkpoint = checkpoint(&[], &[]);
    checkpoint.tensors = tensors
        .map(|(name, shape)| {
            let shape: Vec<u64> = serde_json::from_value(shape.clone()).unwrap();
            tensor(name, DType::F32, &shape)
        })
        .collect();
    checkpoint
}

/// Names and shapes: transformers' own modules.
#[test]
fn configurations_imply_the_shapes_that_transformers_makes() {
    let mut seen = 0;
    for (kind, entry) in configs() {
        let schema = config::schema_of(&value(&entry["config"])).unwrap();
        let schema = schema.unwrap_or_else(|| panic!("{kind} is not known"));
        let notes = schema.check(&model(&entry["tensors"])).unwrap();
        assert_eq!(words(&notes), Vec::<String>::new(), "{kind}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

/// Another width, depth or vocabulary in the configuration than in the weights is noticed.
#[test]
fn a_configuration_of_other_weights_is_noticed() {
    let keys = [
        "hidden_size",
        "n_embd",
        "dim",
        "d_model",
        "vocab_size",
        "num_hidden_layers",
        "n_layer",
        "n_layers",
        "num_layers",
        "encoder_layers",
        "intermediate_size",
        "d_ff",
        "hidden_dim",
    ];
    let mut seen = 0;
    for (kind, entry) in configs() {
        for key in keys {
            let mut config = entry["config"].as_object().unwrap().clone();
            let Some(number) = config.get(key).and_then(Json::as_u64) else {
                continue;
            };
            // Vision models have no vocabulary, and experts widths of their own.
            let is_unused = matches!((&*kind, key), ("vit", "vocab_size"))
                || matches!(
                    (&*kind, key),
                    ("mixtral" | "qwen2_moe", "intermediate_size")
                )
                || matches!(
                    (&*kind, key),
                    ("whisper" | "t5" | "mt5", "num_hidden_layers")
                );
            if is_unused {
                continue;
            }
            config.insert(key.to_owned(), (number + 8).into());
            let config = value(&Json::Object(config));
            let schema = config::schema_of(&config).unwrap().unwrap();
            let notes = schema.check(&model(&entry["tensors"])).unwrap();
            assert!(!notes.is_empty(), "{kind} with another {key}");
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn quantised_and_unknown_configurations_imply_nothing() {
    for text in [
        r#"{"model_type": "llama", "quantization_config": {"bits": 4}, "hidden_size": 1}"#,
        r#"{"model_type": "no-such-thing", "hidden_size": 1}"#,
        "{}",
    ] {
        let config: Json = serde_json::from_str(text).unwrap();
        let schema = config::schema_of(&value(&config)).unwrap();
        assert!(schema.is_none(), "{text}");
    }
}
