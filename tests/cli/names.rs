//! `--names`: models of Hugging Face's libraries for llama.cpp, and back.
//!
//! `testdata/language/NAME.gguf.json` is what llama.cpp's own converter makes of `NAME`.

use super::support::{Ran, ckpt_in};
use crate::support::{assert_none, read_json, sha256, testdata};
use ckpt::format::{self, ReadOptions};
use ckpt::model::{Checkpoint, Value};
use ckpt::stream::Reader;
use serde_json::Value as Json;
use std::path::Path;
use std::process::Command;

const MODELS: [&str; 5] = ["llama-bpe", "llama-spm", "qwen2-tied", "qwen3", "mixtral"];

fn convert(folder: &Path, source: &Path, target: &str, more: &[&str]) -> Ran {
    let source = source.to_str().unwrap();
    let args = [&["convert", source, target, "-f"], more].concat();
    ckpt_in(folder, &args)
}

/// The checkpoint that the program makes of a model of `testdata/language`.
fn converted(folder: &Path, model: &str, more: &[&str]) -> Checkpoint {
    let source = testdata("language").join(model);
    let target = format!("{model}.gguf");
    let ran = convert(folder, &source, &target, more);
    assert_eq!(ran.status, 0, "{model}: {}", ran.stderr);
    format::open_with(&folder.join(target), &ReadOptions::ALL).unwrap()
}

fn bytes(checkpoint: &Checkpoint, name: &str) -> Vec<u8> {
    let tensor = checkpoint
        .tensor(name)
        .unwrap_or_else(|| panic!("{name} is missing"));
    Reader::open(tensor).unwrap().read_all().unwrap()
}

/// A metadata value as JSON, floats as they are in F32.
fn json(value: &Value) -> Json {
    match value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Float(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        other => panic!("{other:?}"),
    }
}

/// gguf-py's words for a type.
fn type_of(kind: &str) -> Vec<String> {
    let word = |kind: &str| {
        match kind {
            "u32" => "uint32",
            "i32" => "int32",
            "f32" => "float32",
            "str" => "string",
            other => other,
        }
        .to_owned()
    };
    match kind
        .strip_prefix("arr[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(element) => vec!["array".to_owned(), word(element)],
        None => vec![word(kind)],
    }
}

#[test]
fn models_are_those_of_llama_cpps_converter() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for model in MODELS {
        let found = converted(folder.path(), model, &[]);
        let expected = read_json(&testdata("language").join(format!("{model}.gguf.json")));
        let metadata = expected["metadata"].as_object().unwrap();
        for (key, value) in &found.metadata {
            let kind = found.metadata_types.iter().find(|(known, _)| known == key);
            let ours = serde_json::json!({"type": type_of(kind.unwrap().1), "value": json(value)});
            if Some(&ours) != metadata.get(key) {
                failures.push(format!(
                    "{model}: {key}: {ours}, not {:?}",
                    metadata.get(key)
                ));
            }
        }
        assert_eq!(found.metadata.len(), metadata.len(), "{model}");
        let tensors = expected["tensors"].as_object().unwrap();
        assert_eq!(found.tensors.len(), tensors.len(), "{model}");
        for tensor in &found.tensors {
            let (dtype, shape) = (tensor.dtype.to_string(), tensor.shape.dimensions());
            let digest = sha256(&bytes(&found, &tensor.name));
            let ours = serde_json::json!([dtype, shape, digest]);
            if Some(&ours) != tensors.get(&tensor.name) {
                failures.push(format!("{model}: {}: {ours}", tensor.name));
            }
        }
    }
    assert_none("differences from llama.cpp's converter", &failures);
}

#[test]
fn the_way_to_gguf_and_back_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (model, dtype) in [
        ("llama-bpe", "bf16"),
        ("llama-spm", "f16"),
        ("qwen2-tied", "f32"),
        ("qwen3", "bf16"),
        ("mixtral", "bf16"),
    ] {
        converted(folder.path(), model, &[]);
        let gguf = folder.path().join(format!("{model}.gguf"));
        let more = ["--names", "hf", "--dtype", dtype];
        let ran = convert(folder.path(), &gguf, "back.safetensors", &more);
        assert_eq!(ran.status, 0, "{model}: {}", ran.stderr);
        let back = format::open(&folder.path().join("back.safetensors")).unwrap();
        let first = format::open(&testdata("language").join(model)).unwrap();
        let sorted = |checkpoint: &Checkpoint| {
            let names = checkpoint.tensors.iter().map(|tensor| tensor.name.clone());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        assert_eq!(sorted(&back), sorted(&first), "{model}");
        for tensor in &first.tensors {
            let found = back.tensor(&tensor.name).unwrap();
            assert_eq!((found.dtype, &found.shape), (tensor.dtype, &tensor.shape));
            let same = bytes(&back, &tensor.name) == bytes(&first, &tensor.name);
            assert!(same, "{model}: {}", tensor.name);
        }
    }
}

/// `CKPT_LLAMA_PYTHON` names a Python that has llama-cpp-python; without one there is nothing
/// to ask.
#[test]
#[allow(clippy::print_stderr)]
fn llama_cpp_loads_models_and_computes_what_transformers_computes() {
    let Some(python) = std::env::var_os("CKPT_LLAMA_PYTHON") else {
        eprintln!("skipped: CKPT_LLAMA_PYTHON names no Python with llama-cpp-python");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for model in MODELS {
        converted(folder.path(), model, &["--dtype", "f32"]);
        let facts = testdata("language").join(format!("{model}.logits.json"));
        let mut command = Command::new(&python);
        let command = command
            .args(["-m", "makers.read_llama"])
            .arg(folder.path().join(format!("{model}.gguf")))
            .arg(&facts);
        let output = command.current_dir(testdata("")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{model}: {text}");
        let found: Json = serde_json::from_slice(&output.stdout).unwrap();
        let difference = found["difference"].as_f64().unwrap();
        // Logits reach 6; a mistake leaves tenths, llama.cpp's approximations thousandths.
        assert!(difference < 5e-3, "{model}: logits differ by {difference}");
        assert_eq!(found["ids"], read_json(&facts)["ids"], "{model}: tokens");
    }
}

#[test]
fn vectors_and_norms_stay_f32_whatever_the_dtype() {
    let folder = tempfile::tempdir().unwrap();
    let found = converted(folder.path(), "mixtral", &["--dtype", "q8_0"]);
    let dtype = |name: &str| found.tensor(name).unwrap().dtype.to_string();
    assert_eq!(dtype("blk.0.ffn_up_exps.weight"), "Q8_0");
    assert_eq!(dtype("blk.0.attn_q.weight"), "Q8_0");
    assert_eq!(dtype("blk.0.ffn_gate_inp.weight"), "F32");
    assert_eq!(dtype("output_norm.weight"), "F32");
    let more = ["--dtype", "q8_0", "--dtype-for", "*.gate.weight=f16"];
    let found = converted(folder.path(), "mixtral", &more);
    let gate = found.tensor("blk.0.ffn_gate_inp.weight").unwrap();
    assert_eq!(
        gate.dtype.to_string(),
        "F16",
        "rules are about source names"
    );
}

/// A copy of `llama-bpe`, in which one file may be changed.
fn copy(folder: &Path) {
    for entry in std::fs::read_dir(testdata("language/llama-bpe")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

#[test]
fn without_a_known_architecture_names_are_kept_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    copy(folder.path());
    let says = |what: &str, more: &[&str]| {
        let ran = convert(folder.path(), folder.path(), "out/m.gguf", more);
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
        ran.status
    };
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let config = folder.path().join("config.json");
    std::fs::write(&config, r#"{"architectures": ["BertModel"]}"#).unwrap();
    assert_eq!(says("GGUF's names for `BertModel`", &[]), 0);
    assert_eq!(says("`general.architecture` is `unknown`", &[]), 0);
    assert_eq!(says("`--names gguf`", &["--names", "gguf"]), 2);
    std::fs::remove_file(&config).unwrap();
    assert_eq!(says("no `config.json`", &[]), 0);
    let found = format::open(&folder.path().join("out/m.gguf")).unwrap();
    assert!(found.tensor("model.norm.weight").is_some());
}

#[test]
fn what_is_wrong_beside_the_weights_is_named() {
    let changes: [(&str, &str, &str, &str); 14] = [
        (
            "config.json",
            r#""hidden_size": 32"#,
            r#""hidden_size": [32]"#,
            "`hidden_size` is `a list`",
        ),
        (
            "config.json",
            r#""hidden_size": 32"#,
            r#""hidden_size": 64"#,
            "`hidden_size` is 64",
        ),
        (
            "config.json",
            r#""hidden_size": 32,"#,
            "",
            "`hidden_size` is missing",
        ),
        (
            "config.json",
            r#""num_attention_heads": 4"#,
            r#""num_attention_heads": 99999999999999999999"#,
            "`num_attention_heads` is `1e20`",
        ),
        (
            "config.json",
            r#""num_attention_heads": 4"#,
            r#""num_attention_heads": 0"#,
            "`num_attention_heads` is `0`",
        ),
        (
            "config.json",
            r#""head_dim": 8"#,
            r#""head_dim": 4294967295"#,
            "times `head_dim` is 8589934590",
        ),
        (
            "config.json",
            r#""num_key_value_heads": 2"#,
            r#""num_key_value_heads": 3"#,
            "24, but tensor",
        ),
        (
            "config.json",
            r#""rms_norm_eps": 1e-05"#,
            r#""rms_norm_eps": 1e300"#,
            "`rms_norm_eps`",
        ),
        (
            "config.json",
            r#""rope_theta": 500000.0"#,
            r#""rope_theta": "x""#,
            "`rope_theta` is `x`",
        ),
        (
            "config.json",
            r#""use_cache": true"#,
            r#""quantization_config": {"quant_method": "gptq"}"#,
            "quantised by `gptq`",
        ),
        (
            "tokenizer.json",
            r#""content": "<|eot_id|>""#,
            r#""content": 7"#,
            "has no `content`",
        ),
        (
            "tokenizer.json",
            r#""id": 292"#,
            r#""id": -1"#,
            "`<|eot_id|>` has no number",
        ),
        (
            "tokenizer.json",
            r#""merges": ["#,
            r#""merges": [7,"#,
            "a merge is no pair",
        ),
        ("tokenizer_config.json", "{", "[", "no JSON"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (file, old, new, what) in changes {
        copy(folder.path());
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file}: {old}");
        std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let ran = convert(folder.path(), folder.path(), "m.gguf", &[]);
        assert_eq!(ran.status, 2, "{new}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(what) && ran.stderr.contains(file),
            "{new}: {}",
            ran.stderr
        );
        assert!(!folder.path().join("m.gguf").exists());
    }
}

#[test]
fn oddities_beside_the_weights_are_warnings() {
    let changes = [
        (
            "config.json",
            r#""num_hidden_layers": 2"#,
            r#""num_hidden_layers": 4000000000"#,
            "blk.2.attn_norm.weight",
        ),
        (
            "config.json",
            r#""vocab_size": 296"#,
            r#""vocab_size": 4000000000"#,
            "296 rows, which count",
        ),
        (
            "config.json",
            r#""bos_token_id": 290"#,
            r#""bos_token_id": 29000"#,
            "`bos_token_id` is 29000",
        ),
        (
            "tokenizer.json",
            r#""id": 292"#,
            r#""id": 292000"#,
            "1 tokens have numbers beyond",
        ),
        (
            "tokenizer.json",
            r#""type": "BPE""#,
            r#""type": "Unigram""#,
            "of type `Unigram`",
        ),
        (
            "tokenizer.json",
            r#"\\p{N}{1,3}"#,
            r#"\\p{N}{1,4}"#,
            "`tokenizer.ggml.pre` is `default`",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (file, old, new, what) in changes {
        copy(folder.path());
        let path = folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file}: {old}");
        std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let ran = convert(folder.path(), folder.path(), "m.gguf", &[]);
        assert_eq!(ran.status, 0, "{new}: {}", ran.stderr);
        assert!(ran.stderr.contains(what), "{new}: {}", ran.stderr);
    }
}

#[test]
fn what_hugging_faces_libraries_lack_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    converted(folder, "llama-bpe", &[]);
    let args = [
        "convert",
        "llama-bpe.gguf",
        "hf.safetensors",
        "--names",
        "hf",
    ];
    let ran = ckpt_in(folder, &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let said = "of its metadata no `config.json` and no tokenizer are made";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    // F32 entries have the digits of F32.
    let read = format::open(&folder.join("hf.safetensors")).unwrap();
    let top_p = read
        .metadata
        .iter()
        .find(|(key, _)| key == "general.sampling.top_p");
    assert_eq!(top_p.unwrap().1, Value::text("0.9"));
    let args = [
        "convert",
        "hf.safetensors",
        "again.safetensors",
        "--names",
        "hf",
    ];
    let ran = ckpt_in(folder, &args);
    let said = "names are kept: `--names hf` is about those of GGUF files";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}
