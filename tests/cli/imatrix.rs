//! `--imatrix`, from the outside.

use super::support::ckpt_in;
use crate::support::testdata;
use ckpt::format;
use ckpt::model::Value;
use serde_json::Value as Json;
use std::path::Path;

/// A safetensors file of one matrix that has an entry, and one that has none.
fn write_source(folder: &Path) {
    let bytes: Vec<u8> = (0..2048)
        .flat_map(|i| ((i * 37 % 101) as f32 / 101.0).to_le_bytes())
        .collect();
    let view = |data| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 512], data).unwrap()
    };
    let names = [0, 1].map(|layer| format!("model.layers.{layer}.self_attn.q_proj.weight"));
    let tensors = names.map(|name| (name, view(&bytes)));
    let bytes = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(folder.join("a.safetensors"), bytes).unwrap();
}

#[test]
fn weights_are_used_recorded_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let matrix = testdata("imatrix/measured.dat");
    let matrix = matrix.to_str().unwrap();
    for command in ["convert", "prune"] {
        let args = [
            command,
            "a.safetensors",
            "b.gguf",
            "--dtype",
            "q4_k",
            "-f",
            "--json",
        ];
        let plain = ckpt_in(folder.path(), &args);
        assert_eq!(plain.status, 0, "{}", plain.stderr);
        let without = std::fs::read(folder.path().join("b.gguf")).unwrap();
        let args = [&args[..], &["--verify", "--imatrix", matrix]].concat();
        let ran = ckpt_in(folder.path(), &args);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap();
        let second = "model.layers.1.self_attn.q_proj.weight";
        assert_eq!(report["imatrix"]["tensors"], 1);
        assert_eq!(report["imatrix"]["without"][0], second);
        let said = format!("1 tensors have weights, 1 have none: `{second}`");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        let with = std::fs::read(folder.path().join("b.gguf")).unwrap();
        assert_ne!(with[with.len() - 2304..], without[without.len() - 2304..]);
        let read = format::open(&folder.path().join("b.gguf")).unwrap();
        let file = read
            .metadata
            .iter()
            .find(|(key, _)| key == "quantize.imatrix.file");
        assert_eq!(file.unwrap().1, Value::text(matrix));
    }
}

#[test]
fn a_matrix_that_is_not_used_is_said_and_a_broken_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let run = |matrix: &Path| {
        let matrix = matrix.to_str().unwrap();
        let args = [
            "convert",
            "a.safetensors",
            "b.gguf",
            "--dtype",
            "q8_0",
            "-f",
        ];
        ckpt_in(folder.path(), &[&args[..], &["--imatrix", matrix]].concat())
    };
    let ran = run(&testdata("imatrix/measured.gguf"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("is not used"), "{}", ran.stderr);
    let whole = std::fs::read(testdata("imatrix/measured.dat")).unwrap();
    std::fs::write(folder.path().join("cut.dat"), &whole[..5000]).unwrap();
    std::fs::remove_file(folder.path().join("b.gguf")).unwrap();
    let ran = run(&folder.path().join("cut.dat"));
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("blk.0.ffn_up_exps.weight"),
        "{}",
        ran.stderr
    );
    assert!(!folder.path().join("b.gguf").exists());
}
