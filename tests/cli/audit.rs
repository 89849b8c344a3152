//! `ckpt audit`: hostile files, output and exit status.

use super::support::{Ran, ckpt_in};
use crate::support::{assert_none, read_json, testdata};
use serde_json::Value;

fn run(args: &[&str]) -> Ran {
    ckpt_in(&testdata("audit"), &[&["audit"], args].concat())
}

fn json(args: &[&str]) -> (Value, i32) {
    let ran = run(&[args, &["--json"]].concat());
    let json = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
    (json, ran.status)
}

/// Whether `found` is what is expected: each key as it stands, `contains` within the text.
fn fits(found: &Value, expected: &Value) -> bool {
    expected
        .as_object()
        .unwrap()
        .iter()
        .all(|(key, value)| match key.as_str() {
            "contains" => found["text"]
                .as_str()
                .unwrap()
                .contains(value.as_str().unwrap()),
            key => found[key] == *value,
        })
}

#[test]
fn finds_what_each_file_hides() {
    let expectations = read_json(&testdata("audit/expected.json"));
    let expectations = expectations.as_object().unwrap();
    assert!(expectations.len() > 80, "{}", expectations.len());
    let mut failures = Vec::new();
    for (name, expected) in expectations {
        let mut args: Vec<&str> = vec![name];
        let extra = expected.get("args").and_then(Value::as_array);
        args.extend(extra.into_iter().flatten().filter_map(Value::as_str));
        let (found, status) = json(&args);
        if status != expected["status"] {
            failures.push(format!("{name}: exit status {status}"));
        }
        if found["verdict"] != expected["verdict"] {
            failures.push(format!("{name}: {}", found["verdict"]));
        }
        for wanted in expected["findings"].as_array().unwrap() {
            let findings = found["findings"].as_array().unwrap();
            if !findings.iter().any(|finding| fits(finding, wanted)) {
                failures.push(format!("{name}: lacks {wanted}: {findings:?}"));
            }
        }
        if expected["verdict"] == "clean" && found["findings"] != serde_json::json!([]) {
            failures.push(format!("{name}: {}", found["findings"]));
        }
    }
    assert_none("files are judged otherwise", &failures);
}

#[test]
fn a_finding_has_the_keys_of_the_contract() {
    let (found, _) = json(&["zip.pt"]);
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    let expected = ["schema", "path", "format", "verdict", "findings"];
    for key in expected {
        assert!(keys.iter().any(|k| *k == key), "{keys:?}");
    }
    let finding = &found["findings"][0];
    for key in [
        "rule", "severity", "text", "tensor", "file", "offset", "member",
    ] {
        assert!(finding.get(key).is_some(), "{key}: {finding}");
    }
    assert_eq!(found["schema"], "ckpt.audit/1");
    assert_eq!(finding["file"], "zip.pt");
}

#[test]
fn the_exit_status_follows_what_is_asked_for() {
    let status = |args: &[&str]| run(args).status;
    assert_eq!(status(&["clean-zip.pt"]), 0);
    assert_eq!(status(&["class.pkl"]), 1);
    assert_eq!(status(&["class.pkl", "--fail-on", "error"]), 0);
    assert_eq!(status(&["unknown-function.pkl", "--fail-on", "error"]), 1);
    assert_eq!(status(&["unknown-function.pkl", "--fail-on", "danger"]), 0);
    assert_eq!(status(&["reduce.pkl", "--fail-on", "danger"]), 1);
    assert_eq!(
        status(&["class.pkl", "--allow-global", "models.net.Net"]),
        0
    );
    assert_eq!(status(&["class.pkl", "--allow-global", "models"]), 2);
    assert_eq!(status(&["pickle.7z", "--fail-on", "danger"]), 2);
    assert_eq!(status(&["reduce.pkl", "clean-zip.pt"]), 1);
    assert_eq!(status(&["reduce.pkl", "not-there.pt"]), 2);
    assert_eq!(status(&[]), 2);
}

#[test]
fn a_path_that_cannot_be_opened_is_an_object_too() {
    let (found, status) = json(&["not-there.pt"]);
    assert_eq!(status, 2);
    assert_eq!(found["verdict"], "errors");
    assert_eq!(found["findings"][0]["rule"], "not-examined");
    let (found, status) = json(&["not-there.pt", "clean-zip.pt"]);
    assert_eq!(status, 2);
    assert!(found[0]["error"].is_string(), "{found}");
    assert_eq!(found[1]["verdict"], "clean");
}

#[test]
fn a_folder_is_looked_through_whole() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(testdata(from), folder.path().join(to)).unwrap();
    };
    copy("safetensors/torch.safetensors", "model.safetensors");
    std::fs::create_dir(folder.path().join("extra")).unwrap();
    copy("audit/reduce.pkl", "extra/notes.txt");
    let ran = ckpt_in(folder.path(), &["audit", ".", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, &found["verdict"]), (1, &"dangerous".into()));
    assert_eq!(found["format"], "safetensors");
    assert_eq!(found["findings"][0]["file"], "./extra/notes.txt");
}

#[test]
fn sarif_has_what_the_standard_requires() {
    let ran = run(&["reduce.pkl", "zip-case.pt", "--format", "sarif"]);
    assert_eq!(ran.status, 1);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let driver = &log["runs"][0]["tool"]["driver"];
    assert_eq!(driver["name"], "ckpt");
    let rules = driver["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["id"].is_string()));
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.len() >= 3, "{results:?}");
    for result in results {
        assert!(result["message"]["text"].is_string());
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
    }
    assert_eq!(results[0]["level"], "error");
    assert_eq!(
        ckpt_in(
            &testdata("audit"),
            &["inspect", "zip.pt", "--format", "sarif"]
        )
        .status,
        2
    );
}

#[test]
fn every_format_names_what_would_run() {
    for format in ["table", "csv", "markdown", "html"] {
        let ran = run(&["zip.pt", "--format", format]);
        assert_eq!(ran.status, 1);
        assert!(
            ran.stdout.contains("os.system("),
            "{format}: {}",
            ran.stdout
        );
        assert!(
            ran.stdout.contains("dangerous-import"),
            "{format}: {}",
            ran.stdout
        );
    }
}

#[test]
fn standard_input_is_looked_through_too() {
    use std::process::Stdio;
    let file = std::fs::File::open(testdata("audit/zip.pt")).unwrap();
    let mut command = super::support::command(&["audit", "-", "--json"]);
    let output = command.stdin(Stdio::from(file)).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["verdict"], "dangerous", "{found}");
}

#[test]
fn rules_are_listed() {
    let ran = run(&["--list-rules"]);
    assert_eq!(ran.status, 0);
    assert!(ran.stdout.contains("dangerous-import"), "{}", ran.stdout);
    let (rules, _) = json(&["--list-rules"]);
    assert!(rules.as_array().unwrap().len() > 40);
}

/// Faults in data, which only reading it finds.
#[test]
fn with_values_broken_data_is_found() {
    let mut failures = Vec::new();
    for name in [
        "zip-bomb.pt",
        "zip-deflate-long.pt",
        "zip-deflate-short.pt",
        "sparse-index-negative.pt",
        "sparse-index-too-large.pt",
        "sparse-too-dense.pt",
    ] {
        let ran = ckpt_in(&testdata("bad"), &["audit", "--values", name]);
        if ran.status == 0 || !ran.stdout.contains("verdict   errors") {
            failures.push(format!("{name}: {}: {}", ran.status, ran.stdout));
        }
    }
    assert_none("broken data is called clean", &failures);
}

#[test]
fn licences_that_are_not_allowed_are_findings() {
    let folder = testdata("adapter");
    let file = folder.join("kohya-sdxl.safetensors");
    let file = file.to_str().unwrap();
    let ran = run(&[file, "--licence", "allow=permissive"]);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("openrail++"), "{}", ran.stdout);
    let ran = run(&[file, "--licence", "allow=permissive,use-restricted"]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    let ran = run(&[file, "--licence", "allow=free"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("`free` is no class"), "{}", ran.stderr);
}

#[test]
fn what_a_file_declares_against_its_tensors_is_a_finding() {
    let file = |architecture: &str| {
        let header = format!(
            r#"{{"__metadata__": {{"modelspec.architecture": "{architecture}"}},
            "input_blocks.0.0.weight": {{"dtype": "F16", "shape": [320, 4, 3, 3], "data_offsets": [0, 23040]}},
            "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": {{"dtype": "F16", "shape": [320, 768], "data_offsets": [23040, 514560]}}}}"#
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + 514_560, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    };
    let (_folder, path) = file("stable-diffusion-xl-v1-base");
    let ran = run(&[&path]);
    assert!(ran.stdout.contains("sd1 [identity]"), "{}", ran.stdout);
    let (_folder, path) = file("stable-diffusion-v1");
    let ran = run(&[&path]);
    assert!(!ran.stdout.contains("[identity]"), "{}", ran.stdout);
}
