//! Real checkpoints from public repositories, where the folder that holds them exists.
//!
//! `CKPT_CORPUS` names it; without that it is looked for beside the checkout. Each file has an
//! `expected/NAME.json` from independent readers; nothing is tested where there is no folder.

use crate::support::{assert_none, mismatches, read_json};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// Kinds of files in the folder that are not read here: these must fail, clearly.
const NOT_READ: &[&str] = &["onnx", "tf-ckpt", "tf-ckpt-v1"];

/// The folder, if there is one.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("CKPT_CORPUS").map_or(beside, PathBuf::from);
    folder.join("expected").is_dir().then_some(folder)
}

/// The dtype's name here, for one in the style of torch or NumPy; `None` for what is no tensor.
fn dtype(name: &str) -> Option<&str> {
    Some(match name {
        "bool" => "BOOL",
        "uint8" => "U8",
        "int8" => "I8",
        "uint16" => "U16",
        "int16" => "I16",
        "uint32" => "U32",
        "int32" => "I32",
        "uint64" => "U64",
        "int64" => "I64",
        "float16" => "F16",
        "bfloat16" => "BF16",
        "float32" => "F32",
        "float64" => "F64",
        "complex64" => "C64",
        "complex128" => "C128",
        "float8_e4m3fn" => "F8_E4M3",
        "float8_e5m2" => "F8_E5M2",
        name if name.starts_with(['<', '>', '|', '[', 'O']) || name == "string" => return None,
        ggml => ggml,
    })
}

/// The tensors of an expectation, in the form of those beside `testdata/`.
fn translate(expected: &Json) -> Json {
    let inner = expected
        .get("members")
        .and_then(|members| members.get("weights.th"));
    let listed = inner.unwrap_or(expected)["tensors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut tensors = Vec::new();
    for tensor in &listed {
        let Some(dtype) = dtype(tensor["dtype"].as_str().unwrap()) else {
            continue;
        };
        let name = match tensor["name"].as_str().unwrap() {
            "" => "tensor",
            name => name,
        };
        tensors.push(json!({
            "name": name, "dtype": dtype, "shape": tensor["shape"], "sha256": tensor["sha256"],
        }));
    }
    // torch lists a TorchScript's parameters and buffers only.
    let subset = expected["kind"] == "torchscript";
    json!({ "tensors": tensors, "ordered": false, "subset": subset })
}

/// What is wrong with one file, if anything.
fn check(folder: &Path, expected: &Json) -> Vec<String> {
    let kind = expected["kind"].as_str().unwrap();
    let file = expected["file"].as_str().unwrap();
    let path = folder.join(file);
    let opened = ckpt::format::open(&path);
    if NOT_READ.contains(&kind) || expected.get("error").is_some() {
        return match opened {
            Ok(found) => vec![format!("{file}: reads as {} tensors", found.tensors.len())],
            Err(_) => Vec::new(),
        };
    }
    let lines = match opened {
        Ok(found) => mismatches(&found, &translate(expected)),
        Err(error) => vec![format!("cannot be opened: {error}")],
    };
    lines.iter().map(|line| format!("{file}: {line}")).collect()
}

#[test]
#[allow(clippy::print_stderr)]
fn real_files_read_as_independent_readers_say() {
    let Some(folder) = corpus() else {
        eprintln!("no folder of real files: nothing tested");
        return;
    };
    let expectations =
        crate::support::files_below(&folder.join("expected"), &|name| name.ends_with(".json"));
    assert!(!expectations.is_empty(), "{folder:?} is empty");
    let mut failures = Vec::new();
    for path in &expectations {
        failures.extend(check(&folder, &read_json(path)));
    }
    eprintln!("{} real files tested", expectations.len());
    assert_none(
        &format!("differences in {} real files", expectations.len()),
        &failures,
    );
}
