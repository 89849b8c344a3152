//! The plan of a conversion, and what quantising does by default.

use super::support::{ckpt_in, safetensors};
use serde_json::Value as Json;
use std::fmt::Write;
use std::path::Path;

/// A safetensors file `model.safetensors` of F32 tensors whose values are small.
fn write_model(folder: &Path, tensors: &[(&str, &[u64])]) {
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in tensors {
        let start = data.len();
        let elements: u64 = shape.iter().product();
        let value = |index: u64| ((index * 37 % 101) as f32 - 50.0) / 64.0;
        data.extend((0..elements).flat_map(|index| value(index).to_le_bytes()));
        let comma = if header.len() > 1 { "," } else { "" };
        let end = data.len();
        write!(
            header,
            r#"{comma}"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        )
        .unwrap();
    }
    header.push('}');
    let file = safetensors(&header, &data);
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}

/// Two layers, with rows of 64 and of 80, an output and embeddings.
const LLAMA: &[(&str, &[u64])] = &[
    ("model.embed_tokens.weight", &[32, 64]),
    ("model.layers.0.input_layernorm.weight", &[64]),
    ("model.layers.0.mlp.down_proj.weight", &[64, 80]),
    ("model.layers.0.self_attn.q_proj.weight", &[64, 64]),
    ("model.layers.1.input_layernorm.weight", &[64]),
    ("model.layers.1.mlp.down_proj.weight", &[64, 80]),
    ("model.layers.1.self_attn.q_proj.weight", &[64, 64]),
    ("lm_head.weight", &[32, 64]),
];

fn json(folder: &Path, args: &[&str]) -> Json {
    let ran = ckpt_in(
        folder,
        &[&["convert", "model.safetensors"], args, &["--json"]].concat(),
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// `name: dtype, reason: detail` of each tensor.
fn decisions(report: &Json) -> Vec<String> {
    let tensors = report["tensors"].as_array().unwrap().iter();
    let line = |tensor: &Json| {
        let word = |key: &str| tensor[key].as_str().unwrap_or_default().to_owned();
        let (name, to, reason) = (word("name"), word("to"), word("reason"));
        format!("{name} {to} {reason}: {}", word("detail"))
    };
    tensors.map(line).collect()
}

#[test]
fn a_plan_is_true_to_the_byte_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LLAMA);
    let cases: &[(&str, &[&str])] = &[
        ("a.safetensors", &["--dtype", "bf16"]),
        ("b.safetensors", &["--max-shard-size", "30kB"]),
        ("c.safetensors", &["--dtype", "f8_e4m3", "--scale"]),
        ("a.gguf", &["--dtype", "q8_0"]),
        ("b.gguf", &["--dtype", "q4_0", "--max-shard-size", "10kB"]),
        ("a.pt", &[]),
        ("b.bin", &["--dtype", "f16", "--max-shard-size", "20kB"]),
        ("a.npz", &["--dtype", "f64"]),
    ];
    for (target, more) in cases {
        let args = [&[*target], *more].concat();
        let planned = json(folder.path(), &[&args[..], &["--dry-run"]].concat());
        let written = json(folder.path(), &[&args[..], &["--no-sync"]].concat());
        assert_eq!(planned["outputs"], written["outputs"], "{target}");
        let mut sum = 0;
        for output in planned["outputs"].as_array().unwrap() {
            let file = folder.path().join(output["file"].as_str().unwrap());
            assert_eq!(output["bytes"], std::fs::metadata(file).unwrap().len());
            sum += 1;
        }
        assert_eq!(sum > 1, more.contains(&"--max-shard-size"), "{target}");
        for tensor in planned["tensors"].as_array().unwrap() {
            let file = folder.path().join(tensor["file"].as_str().unwrap());
            // Of a split GGUF file, the reader opens all parts.
            let read = ckpt::format::open(&file).unwrap();
            let found = read.tensor(tensor["name"].as_str().unwrap()).unwrap();
            assert_eq!(tensor["to"], found.dtype.to_string());
            assert_eq!(tensor["bytes_after"], found.byte_len().unwrap());
            let sources = found.payload.sources();
            let lies_there = |source: &&ckpt::io::Source| Path::new(source.name()) == file;
            assert!(sources.iter().any(lies_there), "{target}");
        }
    }
}

#[test]
fn equal_layers_are_one_row_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LLAMA);
    let args = [
        "convert",
        "model.safetensors",
        "a.gguf",
        "--dtype",
        "q8_0",
        "--dry-run",
        "--dtype-for",
        "*.1.self_attn.*=f16",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(!folder.path().join("a.gguf").exists());
    // Q8_0 has 34 bytes for 32 elements, so lm_head takes 32 * 64 / 32 * 34 = 2176.
    let expected = "\
model.safetensors
tensors  8
data     90.6 kB -> 37.9 kB
output   38.6 kB (38,624 bytes) in 1 file

name                                       count  from  to    reason     before    after
model.embed_tokens.weight                         F32   Q8_0  cast      8.19 kB  2.18 kB
model.layers.{0,1}.input_layernorm.weight     x2  F32   F32   default     512 B    512 B
model.layers.{0,1}.mlp.down_proj.weight       x2  F32   F16   fallback  41.0 kB  20.5 kB
model.layers.0.self_attn.q_proj.weight            F32   Q8_0  cast      16.4 kB  4.35 kB
model.layers.1.self_attn.q_proj.weight            F32   F16   rule      16.4 kB  8.19 kB
lm_head.weight                                    F32   Q8_0  cast      8.19 kB  2.18 kB

from  to    reason                                        tensors   before    after
F32   F16   fallback: row length 80 is no multiple of 32        2  41.0 kB  20.5 kB
F32   F16   rule: --dtype-for *.1.self_attn.*=f16               1  16.4 kB  8.19 kB
F32   F32   default: one dimension                              2    512 B    512 B
F32   Q8_0  cast                                                3  32.8 kB  8.70 kB

output   bytes
a.gguf  38,624
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn what_llama_cpp_keeps_is_kept_and_what_does_not_fit_falls_back() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LLAMA);
    let plan = |more: &[&str]| {
        let args = ["a.gguf", "--dry-run"];
        decisions(&json(folder.path(), &[&args[..], more].concat()))
    };
    let norm = "F32 default: one dimension";
    let fallback = "F16 fallback: row length 80 is no multiple of 32";
    let (q, e) = ("Q4_0 cast: ", "Q4_0 cast: ");
    let found = plan(&[
        "--dtype",
        "q4_0",
        "--dtype-for",
        "*.0.input_layernorm.*=bf16",
    ]);
    // Rows of 64 have room for no block of Q6_K, which the output would get.
    let expected = [
        "lm_head.weight Q8_0 fallback: row length 64 is no multiple of 256".to_owned(),
        format!("model.embed_tokens.weight {e}"),
        "model.layers.0.input_layernorm.weight BF16 rule: --dtype-for *.0.input_layernorm.*=bf16"
            .to_owned(),
        format!("model.layers.0.mlp.down_proj.weight {fallback}"),
        format!("model.layers.0.self_attn.q_proj.weight {q}"),
        format!("model.layers.1.input_layernorm.weight {norm}"),
        format!("model.layers.1.mlp.down_proj.weight {fallback}"),
        format!("model.layers.1.self_attn.q_proj.weight {q}"),
    ];
    let mut sorted = found;
    sorted.sort();
    assert_eq!(sorted, expected);
    let pure = plan(&["--dtype", "q4_0", "--pure"]);
    assert!(pure.contains(&"lm_head.weight Q4_0 cast: ".to_owned()));
    assert!(pure.contains(&format!("model.layers.0.input_layernorm.weight {norm}")));
    let args = [
        "convert",
        "model.safetensors",
        "a.gguf",
        "--dtype",
        "q8_0",
        "--no-fallback",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 2);
    let place = "model.safetensors: tensor `model.layers.0.mlp.down_proj.weight`: rows of 80";
    assert!(ran.stderr.contains(place), "{}", ran.stderr);
    assert!(!folder.path().join("a.gguf").exists());
}

#[test]
fn the_file_type_is_that_of_the_new_blocks() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LLAMA);
    json(
        folder.path(),
        &["a.gguf", "--no-sync", "-x", "*.down_proj.*"],
    );
    let types = |file: &str| {
        let read = ckpt::format::open(&folder.path().join(file)).unwrap();
        let number = |key: &str| {
            let entry = read.metadata.iter().find(|(known, _)| known == key);
            entry.and_then(|(_, value)| value.as_u64())
        };
        (
            number("general.file_type"),
            number("general.quantization_version"),
        )
    };
    assert_eq!(types("a.gguf"), (Some(0), None));
    let again = |target: &str, more: &[&str]| {
        let args = ["convert", "a.gguf", target, "--no-sync"];
        let ran = ckpt_in(folder.path(), &[&args[..], more].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    };
    // llama.h: MOSTLY_Q4_0 is 2, MOSTLY_Q8_0 is 7.
    again("b.gguf", &["--dtype", "q4_0"]);
    assert_eq!(types("b.gguf"), (Some(2), Some(2)));
    again("c.gguf", &["--dtype", "q8_0"]);
    assert_eq!(types("c.gguf"), (Some(7), Some(2)));
    again("d.gguf", &[]);
    assert_eq!(types("d.gguf"), (Some(0), None));
}

#[test]
fn a_rule_keeps_what_the_selection_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), LLAMA);
    let rules = "[[rule]]\nmatch = '*.1.*norm*'\nkeep = true\n";
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let args = [
        "a.pt",
        "--dry-run",
        "--rules",
        "rules.toml",
        "-x",
        "*.layers.*",
    ];
    let names: Vec<String> = decisions(&json(folder.path(), &args));
    let kept = "model.layers.1.input_layernorm.weight F32 kept: ";
    let embeddings = "model.embed_tokens.weight F32 kept: ";
    let mut names = names;
    names.sort();
    assert_eq!(names, ["lm_head.weight F32 kept: ", embeddings, kept]);
}

#[test]
fn what_is_lost_is_said_of_each_tensor_and_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for index in 0..12 {
        let (start, comma) = (index * 8, if index > 0 { "," } else { "" });
        let end = start + 8;
        write!(
            header,
            r#"{comma}"t{index:02}":{{"dtype":"F32","shape":[2],"data_offsets":[{start},{end}]}}"#
        )
        .unwrap();
        // 65504 is the largest F16, 6e-8 the smallest.
        data.extend([1e6f32, 1e-9].iter().flat_map(|value| value.to_le_bytes()));
    }
    header.push('}');
    let file = safetensors(&header, &data);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let args = [
        "convert",
        "model.safetensors",
        "h.safetensors",
        "--dtype",
        "f16",
        "--no-sync",
    ];
    let ran = ckpt_in(folder.path(), &args);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let one = "1 too large (now infinite or the largest), 1 now zero";
    assert_eq!(
        lines[0],
        format!("ckpt: h.safetensors: values of `t00`: {one}")
    );
    assert_eq!(
        lines[9],
        format!("ckpt: h.safetensors: values of `t09`: {one}")
    );
    assert_eq!(
        lines[10],
        "ckpt: h.safetensors: ... and 2 more tensors; `--json` lists all"
    );
    let all = "12 too large (now infinite or the largest), 12 now zero";
    assert_eq!(
        lines[11],
        format!("ckpt: h.safetensors: values of 12 tensors: {all}")
    );
}
