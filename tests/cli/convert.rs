//! `ckpt convert`, from the outside.

use super::support::ckpt_in;
use crate::support::testdata;
use safetensors::SafeTensors;
use serde_json::{Value as Json, json};
use std::path::Path;

/// A safetensors file of one F32 vector `w` and one I64 vector `n`, made by the official crate.
fn write_source(folder: &Path) {
    let w: Vec<u8> = [1.0f32, 1e-42, 3.4e38, -2.5]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let n: Vec<u8> = [7i64, -7].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |dtype, shape, data| safetensors::tensor::TensorView::new(dtype, shape, data);
    let tensors = [
        ("w", view(safetensors::Dtype::F32, vec![4], &w).unwrap()),
        ("n", view(safetensors::Dtype::I64, vec![2], &n).unwrap()),
    ];
    let bytes = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(folder.join("a.safetensors"), bytes).unwrap();
}

#[test]
fn casts_floats_only_and_reports_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let args = [
        "convert",
        "a.safetensors",
        "b.safetensors",
        "--dtype",
        "f16",
        "--verify",
        "--json",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["schema"], "ckpt.convert/1");
    assert_eq!(report["verified"], true);
    let w = report["tensors"].as_array().unwrap();
    let w = w.iter().find(|tensor| tensor["name"] == "w").unwrap();
    assert_eq!(w["from"], json!({"name": "w", "dtype": "F32"}));
    assert_eq!((&w["overflow"], &w["underflow"]), (&json!(1), &json!(1)));
    let bytes = std::fs::read(folder.path().join("b.safetensors")).unwrap();
    assert_eq!(report["outputs"][0]["bytes"], bytes.len());
    let read = SafeTensors::deserialize(&bytes).unwrap();
    // 1, 0, infinity, -2.5 as halves.
    let halves: Vec<u8> = [0x3c00u16, 0, 0x7c00, 0xc100]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(read.tensor("w").unwrap().data(), halves);
    assert_eq!(read.tensor("n").unwrap().dtype(), safetensors::Dtype::I64);
}

#[test]
fn a_dry_run_writes_nothing_and_knows_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let run = |extra: &str| {
        let args = [
            "convert",
            "a.safetensors",
            "b.safetensors",
            "--max-shard-size",
            "16",
            "--json",
        ];
        let ran = ckpt_in(folder.path(), &[&args[..], &[extra]].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        serde_json::from_str::<Json>(&ran.stdout).unwrap()
    };
    let planned = run("--dry-run");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let written = run("--no-sync");
    assert_eq!(planned["outputs"], written["outputs"]);
    let outputs = written["outputs"].as_array().unwrap();
    assert_eq!(outputs[0]["file"], "b-00001-of-00002.safetensors");
    assert_eq!(outputs[2]["file"], "b.safetensors.index.json");
    for output in outputs {
        let path = folder.path().join(output["file"].as_str().unwrap());
        assert_eq!(output["bytes"], std::fs::metadata(path).unwrap().len());
    }
    let checkpoint = ckpt::format::open(&folder.path().join("b.safetensors.index.json")).unwrap();
    assert_eq!(checkpoint.tensors.len(), 2);
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let source = testdata("pytorch/dtypes.pt");
    let mut outputs = Vec::new();
    for threads in ["1", "2", "7"] {
        let args = [
            "convert",
            source.to_str().unwrap(),
            "o.safetensors",
            "-f",
            "-j",
            threads,
        ];
        let ran = ckpt_in(folder.path(), &args);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        outputs.push(std::fs::read(folder.path().join("o.safetensors")).unwrap());
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn refuses_to_overwrite_and_to_replace_its_source() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    std::fs::write(folder.path().join("b.safetensors"), "mine").unwrap();
    let ran = ckpt_in(
        folder.path(),
        &["convert", "a.safetensors", "b.safetensors"],
    );
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(
        std::fs::read(folder.path().join("b.safetensors")).unwrap(),
        b"mine"
    );
    let same = ["convert", "a.safetensors", "a.safetensors", "-f"];
    let ran = ckpt_in(folder.path(), &same);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--in-place"), "{}", ran.stderr);
    let ran = ckpt_in(
        folder.path(),
        &[&same[..], &["--in-place", "--dtype", "bf16"]].concat(),
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn what_is_said_of_the_licence_goes_along_or_is_said_to_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"__metadata__":{"modelspec.license":"cc-by-nc-4.0"},
        "w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let file = super::support::safetensors(header, &[0; 8]);
    std::fs::write(folder.path().join("a.safetensors"), file).unwrap();
    for (from, to) in [("a.safetensors", "b.gguf"), ("b.gguf", "c.safetensors")] {
        let ran = ckpt_in(folder.path(), &["convert", "-q", from, to]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let ran = ckpt_in(folder.path(), &["inspect", "--json", to]);
        let found: Json = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            found["metadata"]["modelspec.license"], "cc-by-nc-4.0",
            "{to}"
        );
    }
    let ran = ckpt_in(folder.path(), &["convert", "a.safetensors", "d.npz"]);
    assert!(
        ran.stderr.contains("left out: modelspec.license"),
        "{}",
        ran.stderr
    );
}

#[test]
fn rules_drop_cast_and_rename_single_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"a.w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
        "b.w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},
        "c.w":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}}"#;
    let data: Vec<u8> = [1.0f32; 6].iter().flat_map(|v| v.to_le_bytes()).collect();
    let file = super::support::safetensors(header, &data);
    std::fs::write(folder.path().join("a.safetensors"), file).unwrap();
    let rules = "[[rule]]\nmatch = 're:^c'\nrename = 'd'\n[[rule]]\nmatch = 'a.*'\ndtype = 'f64'\n";
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let args = [
        "convert",
        "a.safetensors",
        "b.safetensors",
        "--dtype",
        "bf16",
        "--verify",
    ];
    let more = [
        "--dtype-for",
        "a.w=keep",
        "--drop",
        "b.*",
        "--drop",
        "x",
        "--rules",
        "rules.toml",
    ];
    let ran = ckpt_in(folder.path(), &[&args[..], &more[..], &["--json"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`--drop x` matches no tensor"),
        "{}",
        ran.stderr
    );
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["dropped"][0]["name"], "b.w");
    let bytes = std::fs::read(folder.path().join("b.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<(String, safetensors::Dtype)> = read
        .iter()
        .map(|(name, view)| (name.to_owned(), view.dtype()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    // The flag comes before the file, which comes before `--dtype`.
    let expected = [
        ("a.w", safetensors::Dtype::F32),
        ("d.w", safetensors::Dtype::BF16),
    ];
    assert_eq!(
        found,
        expected.map(|(name, dtype)| (name.to_owned(), dtype))
    );
    let args = [
        "convert",
        "a.safetensors",
        "c.safetensors",
        "--rename",
        "^..=x.",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 2);
    assert!(!folder.path().join("c.safetensors").exists());
}

#[test]
fn auto_halves_what_loses_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let source = testdata("lossless/mixed.safetensors");
    let source = source.to_str().unwrap();
    let run = |target: &str, extra: &[&str]| {
        let args = ["convert", source, target, "--dtype", "auto", "--json"];
        let ran = ckpt_in(folder.path(), &[&args[..], extra].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap();
        (report, ran.stderr)
    };
    let (planned, said) = run("a.safetensors", &["--dry-run"]);
    // Counted in mixed.safetensors.lossless.json.
    let expected = "14 tensors become BF16, 5 F16, 3 F32 without loss, 7.75 kB saved; 10 tensors (3.26 kB) stay";
    assert!(said.contains(expected), "{said}");
    let (report, _) = run("a.safetensors", &["--verify"]);
    assert_eq!(planned["tensors"], without_losses(&report)["tensors"]);
    assert_eq!(planned["outputs"], report["outputs"]);
    let len = std::fs::metadata(folder.path().join("a.safetensors"))
        .unwrap()
        .len();
    assert_eq!(planned["outputs"][0]["bytes"], len);
    let back = ["diff", source, "a.safetensors", "--json"];
    let ran = ckpt_in(folder.path(), &back);
    let difference: Json = serde_json::from_str(&ran.stdout).unwrap();
    let summary = &difference["summary"];
    assert_eq!(
        (&summary["identical"], &summary["equal_values"]),
        (&json!(13), &json!(22))
    );

    let args = [
        "convert",
        source,
        "b.safetensors",
        "--dtype-for",
        "*nan_*=auto",
        "-q",
        "--json",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    let tensors = report["tensors"].as_array().unwrap().iter();
    let lossless = tensors.filter(|tensor| tensor["reason"] == "lossless");
    let mut lossless: Vec<(&str, &str)> = lossless
        .map(|tensor| {
            (
                tensor["name"].as_str().unwrap(),
                tensor["to"].as_str().unwrap(),
            )
        })
        .collect();
    lossless.sort_unstable();
    assert_eq!(lossless, [("nan_of_bf16", "F16"), ("nan_of_f16", "F16")]);
}

/// A report as it is before anything is written.
fn without_losses(report: &Json) -> Json {
    let mut report = report.clone();
    for tensor in report["tensors"].as_array_mut().unwrap() {
        for count in ["overflow", "underflow", "nan"] {
            tensor[count] = Json::Null;
        }
        tensor.as_object_mut().unwrap().remove("verify");
    }
    report
}

#[test]
fn auto_takes_no_scale() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let args = [
        "convert",
        "a.safetensors",
        "b.safetensors",
        "--dtype",
        "auto",
        "--scale",
    ];
    let ran = ckpt_in(folder.path(), &args);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("auto takes no scale"), "{}", ran.stderr);
}

#[test]
fn what_was_read_back_is_said_for_each_tensor() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let convert = |args: &[&str]| {
        let args = [&["convert", "a.safetensors"], args].concat();
        let ran = ckpt_in(folder.path(), &args);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        ran
    };
    let json = |args: &[&str]| -> Json { serde_json::from_str(&convert(args).stdout).unwrap() };
    let report = json(&["b.safetensors", "--dtype", "bf16", "--verify", "--json"]);
    let of = |name: &str| {
        let tensors = report["tensors"].as_array().unwrap();
        let tensor = tensors.iter().find(|tensor| tensor["name"] == name);
        tensor.unwrap()["verify"].clone()
    };
    assert_eq!(of("n"), json!({"identical": true}));
    assert_eq!(of("w")["identical"], false);
    assert!(of("w")["snr_db"].as_f64().unwrap() > 40.0);
    // In place it is done unasked.
    let in_place = ["a.safetensors", "--in-place", "--json"];
    assert_eq!(json(&in_place)["verified"], true);
    let report = json(&[&in_place[..], &["--no-verify"]].concat());
    assert_eq!(report["verified"], Json::Null);
    let ran = convert(&["c.safetensors", "--verify"]);
    assert!(ran.stdout.contains("bit-identical"), "{}", ran.stdout);
}

#[test]
fn stats_says_what_auto_saves() {
    let folder = tempfile::tempdir().unwrap();
    let source = testdata("lossless/half.safetensors");
    let source = source.to_str().unwrap();
    let ran = ckpt_in(folder.path(), &["stats", source, "--json"]);
    let report: Json = serde_json::from_str(&ran.stdout).unwrap();
    let of = |name: &str| {
        let mut tensors = report["tensors"].as_array().unwrap().iter();
        let tensor = tensors.find(|tensor| tensor["name"] == name);
        tensor.unwrap()["lossless"].clone()
    };
    assert_eq!(of("integers"), json!(["BF16", "F16"]));
    assert_eq!(of("f64_f16"), json!(["F16", "F32"]));
    assert_eq!(of("is_f16"), Json::Null);
    let args = [
        "convert",
        source,
        "a.safetensors",
        "--dtype",
        "auto",
        "--json",
    ];
    let ran = ckpt_in(folder.path(), &args);
    let converted: Json = serde_json::from_str(&ran.stdout).unwrap();
    let sum = |key: &str| -> u64 {
        let tensors = converted["tensors"].as_array().unwrap().iter();
        tensors.map(|tensor| tensor[key].as_u64().unwrap()).sum()
    };
    let saved = sum("bytes_before") - sum("bytes_after");
    assert_eq!(report["totals"]["lossless"]["saves"], saved);
    let page = ckpt_in(folder.path(), &["stats", source]).stdout;
    assert!(
        page.contains("5 of 6 tensors") && page.contains("BF16,F16"),
        "{page}"
    );
}

/// Values that became infinite have no distance, so no number shows them.
#[test]
fn what_is_lost_to_infinity_is_the_worst_of_what_was_verified() {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let args = [
        "convert",
        "a.safetensors",
        "b.safetensors",
        "--dtype",
        "f16",
    ];
    let ran = ckpt_in(folder.path(), &[&args[..], &["--verify"]].concat());
    let line = |key: &str| ran.stdout.lines().find(|line| line.starts_with(key));
    for key in ["cast", "worst"] {
        let said = line(key).unwrap();
        assert!(said.ends_with(", 1 not finite"), "{said}");
    }
    assert!(line("worst").unwrap().contains("w, rel_l2"));
}

/// `--force` is about the output: what lies beside it may be of another model.
#[test]
fn files_beside_an_output_are_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let model = testdata("language/llama-bpe");
    let model = model.to_str().unwrap();
    std::fs::write(folder.path().join("config.json"), "mine").unwrap();
    let convert = |target: &str| ckpt_in(folder.path(), &["convert", model, target, "--force"]);
    let first = convert("a.safetensors");
    assert!(first.stderr.contains("kept"), "{}", first.stderr);
    assert!(
        first.stderr.contains("brought along: README.md"),
        "{}",
        first.stderr
    );
    let second = convert("a.safetensors");
    assert_eq!((first.status, second.status), (0, 0));
    // Equal ones are not worth a word.
    assert!(!second.stderr.contains("README.md"), "{}", second.stderr);
    let config = std::fs::read(folder.path().join("config.json")).unwrap();
    assert_eq!(config, b"mine");
}
