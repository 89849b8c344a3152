//! `--target-size`: dtypes that make an output fit.

use super::support::{ckpt_in, safetensors};
use serde_json::Value as Json;
use std::fmt::Write;
use std::path::Path;

/// `model.safetensors`: matrices of 64 rows of 256 F32. Those of `even` layers hold whole
/// numbers up to 8 and are exact in every float; the others need all of their digits.
fn write_model(folder: &Path) {
    const BYTES: usize = 64 * 256 * 4;
    let mut header = String::from("{");
    let mut data: Vec<u8> = Vec::new();
    for layer in 0..6u32 {
        let start = layer as usize * BYTES;
        let (comma, end) = (if layer > 0 { "," } else { "" }, start + BYTES);
        write!(
            header,
            r#"{comma}"blk.{layer}.ffn_up.weight":{{"dtype":"F32","shape":[64,256],"data_offsets":[{start},{end}]}}"#
        )
        .unwrap();
        for index in 0..64 * 256u32 {
            let mixed = (index + layer).wrapping_mul(2_654_435_761) >> 8;
            let value = match layer % 2 {
                0 => (mixed % 17) as f32 - 8.0,
                _ => mixed as f32 / 8_388_608.0 - 1.0,
            };
            data.extend(value.to_le_bytes());
        }
    }
    header.push('}');
    std::fs::write(
        folder.join("model.safetensors"),
        safetensors(&header, &data),
    )
    .unwrap();
}

fn convert(folder: &Path, target: &str, more: &[&str]) -> super::support::Ran {
    let args = [
        "convert",
        "model.safetensors",
        target,
        "--no-sync",
        "-f",
        "--json",
    ];
    ckpt_in(folder, &[&args[..], more].concat())
}

fn report(folder: &Path, target: &str, more: &[&str]) -> Json {
    let ran = convert(folder, target, more);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn dtypes(report: &Json) -> Vec<&str> {
    let tensors = report["tensors"].as_array().unwrap().iter();
    tensors
        .map(|tensor| tensor["to"].as_str().unwrap())
        .collect()
}

#[test]
fn what_costs_no_error_is_lowered_first() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    // Three matrices of four at four bytes an element, three at one.
    let found = report(folder.path(), "a.safetensors", &["--target-size", "250kB"]);
    let exact = "F8_E4M3";
    assert_eq!(dtypes(&found), [exact, "F32", exact, "F32", exact, "F32"]);
    assert_eq!(found["target_size"]["worst"], Json::Null);
    assert_eq!(found["tensors"][0]["reason"], "target size");
    assert_eq!(found["tensors"][1]["reason"], "kept");
}

#[test]
fn outputs_fit_and_fill_their_size_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    // A matrix is 5 kB (Q2_K) to 66 kB (F32) of these.
    for (target, size) in [
        ("a.gguf", 40_000),
        ("a.gguf", 75_000),
        ("a.gguf", 110_000),
        ("a.gguf", 300_000),
        ("a.safetensors", 120_000),
        ("a.pt", 250_000),
    ] {
        let size_text = size.to_string();
        let more = ["--target-size", size_text.as_str(), "-j"];
        let found = report(folder.path(), target, &[&more[..], &["1"]].concat());
        let len = std::fs::metadata(folder.path().join(target)).unwrap().len();
        assert_eq!(found["target_size"]["bytes"], len);
        assert!(
            len <= size && len * 10 >= size * 9,
            "{target}: {len} of {size}"
        );
        let again = report(folder.path(), target, &[&more[..], &["7"]].concat());
        assert_eq!(found, again);
    }
}

#[test]
fn the_error_is_that_which_diff_measures() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    let found = report(folder.path(), "a.gguf", &["--target-size", "60kB"]);
    let ran = ckpt_in(
        folder.path(),
        &["diff", "model.safetensors", "a.gguf", "--json"],
    );
    let diff: Json = serde_json::from_str(&ran.stdout).unwrap();
    let worst = &found["target_size"]["worst"];
    let rows = diff["tensors"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["name"] == worst["name"])
        .unwrap();
    let measured = row["rel_l2"].as_f64().unwrap().powi(2);
    let stated = worst["error"].as_f64().unwrap();
    assert!(
        (stated / measured - 1.0).abs() < 1e-6,
        "{stated} {measured}"
    );
    let squares = rows
        .iter()
        .map(|row| row["rel_l2"].as_f64().unwrap().powi(2));
    let mean = squares.sum::<f64>() / rows.len() as f64;
    let stated = found["target_size"]["mean_error"].as_f64().unwrap();
    assert!((stated / mean - 1.0).abs() < 1e-6, "{stated} {mean}");
}

#[test]
fn a_size_out_of_reach_is_an_error_that_names_the_smallest() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    for target in ["a.safetensors", "a.gguf", "a.npz"] {
        let ran = convert(folder.path(), target, &["--target-size", "1kB"]);
        assert_eq!(ran.status, 2);
        assert!(!folder.path().join(target).exists());
        let smallest = ran.stderr.split("reached is ").nth(1).unwrap();
        let digits = |c: &char| c.is_ascii_digit();
        let line = smallest.lines().next().unwrap();
        let smallest: String = line.chars().filter(digits).collect();
        report(folder.path(), target, &["--target-size", &smallest]);
        let len = std::fs::metadata(folder.path().join(target)).unwrap().len();
        assert_eq!(len.to_string(), smallest, "{target}");
    }
}

#[test]
fn rules_and_what_is_larger_than_the_dtype_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    let more = [
        "--target-size",
        "110kB",
        "--dtype-for",
        "blk.0.*=keep",
        "--dtype",
        "q8_0",
    ];
    let found = report(folder.path(), "a.gguf", &more);
    let (first, others) = (dtypes(&found)[0], dtypes(&found)[1..].to_vec());
    assert_eq!(first, "F32");
    assert!(
        others.iter().all(|dtype| dtype.starts_with('Q')),
        "{others:?}"
    );
    assert_eq!(found["tensors"][0]["reason"], "rule");
}
