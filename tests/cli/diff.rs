//! `ckpt diff`: verdicts, exit status, order, and every format.

use super::support::{Ran, ckpt_in, safetensors};
use serde_json::Value as Json;
use std::path::Path;

/// One tensor of a file: name, dtype, shape and bytes.
type Entry<'a> = (&'a str, &'a str, &'a [u64], Vec<u8>);

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn vector<'a>(name: &'a str, shape: &'a [u64], values: &[f32]) -> Entry<'a> {
    (name, "F32", shape, f32s(values))
}

fn write(path: &Path, entries: &[Entry<'_>], metadata: &str) {
    let mut header = vec![format!(r#""__metadata__":{{{metadata}}}"#)];
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in entries {
        let (start, end) = (data.len(), data.len() + bytes.len());
        header.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
        data.extend(bytes);
    }
    let header = format!("{{{}}}", header.join(","));
    std::fs::write(path, safetensors(&header, &data)).unwrap();
}

/// A folder with `a.safetensors` and `b.safetensors`.
fn pair(a: &[Entry<'_>], b: &[Entry<'_>]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.safetensors"), a, r#""step":"1""#);
    write(&folder.path().join("b.safetensors"), b, r#""step":"2""#);
    folder
}

fn diff(folder: &tempfile::TempDir, args: &[&str]) -> Ran {
    let files = ["diff", "a.safetensors", "b.safetensors"];
    ckpt_in(folder.path(), &[&files, args].concat())
}

fn json(folder: &tempfile::TempDir, args: &[&str]) -> Json {
    let ran = diff(folder, &[&["--json"], args].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr))
}

/// Two layers, of which the second moves by hand: |a| = 5, |a - b| = 1.
fn layers() -> tempfile::TempDir {
    let a = [
        vector("h.0.w", &[2], &[1.0, 2.0]),
        vector("h.1.w", &[2], &[3.0, 4.0]),
        vector("x", &[1], &[1.0]),
    ];
    let b = [
        vector("y", &[1], &[1.0]),
        vector("h.1.w", &[2], &[3.0, 5.0]),
        vector("h.0.w", &[2], &[1.0, 2.0]),
    ];
    pair(&a, &b)
}

#[test]
fn the_json_has_the_keys_of_the_contract_in_their_order() {
    let ran = diff(&layers(), &["--json"]);
    assert_eq!(ran.status, 1);
    let row = r#"{"name": "h.1.w", "verdict": "changed", "a": {"dtype": "F32", "shape": [2]}, "b": {"dtype": "F32", "shape": [2]}, "changed": 1, "max_abs": 1.0, "max_abs_at": 1, "mean_abs": 0.5, "rmse": 0.7071067811865476, "rel_l2": 0.2, "#;
    assert!(ran.stdout.contains(row), "{}", ran.stdout);
    let keys = [
        "schema",
        "a",
        "b",
        "same",
        "summary",
        "tensors",
        "metadata",
        "unreadable",
    ];
    let places = keys.map(|key| ran.stdout.find(&format!("\n  \"{key}\": ")).unwrap());
    assert!(places.is_sorted());
    let found: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["schema"], "ckpt.diff/1");
    assert_eq!(found["a"]["format"], "safetensors");
    assert_eq!(found["same"], false);
    assert_eq!(found["summary"]["identical"], 1);
    assert_eq!(found["summary"]["only_in_b"], 1);
    assert_eq!(found["metadata"][0]["key"], "step");
    assert_eq!(found["metadata"][0]["b"], "2");
    assert_eq!(found["tensors"][2]["b"], Json::Null);
    // 10 log10(25).
    let snr = found["tensors"][1]["snr_db"].as_f64().unwrap();
    assert!((snr - 13.979400086720377).abs() < 1e-12);
}

#[test]
fn the_table_shows_what_differs_and_ends_with_the_verdicts() {
    let ran = diff(&layers(), &[]);
    let expected = "\
a.safetensors -> b.safetensors
name   verdict  dtype  changed  max_abs  at   rel_l2  snr_db
h.1.w  changed  F32     50.0 %    1.000  [1]  0.2000    14.0

only in A
name  count  dtype  shape
x            F32    [1]

only in B
name  count  dtype  shape
y            F32    [1]

metadata and values that differ
key   a  b
step  1  2

result     different: 1 identical, 1 changed, 1 only_in_a, 1 only_in_b
identical  1 of 2 tensors, 50.0 % of their elements
apart by   rel_l2 0.2000, cosine 0.994692, SNR 14.0 dB, over the tensors that differ
";
    assert_eq!(ran.stdout, expected);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, ""));
}

#[test]
fn layers_are_drawn_as_bars_and_frozen_tensors_named() {
    let ran = diff(&layers(), &["--by", "layer", "-i", "h.*"]);
    let expected = "\
a.safetensors -> b.safetensors
name  tensors  identical  verdict    changed  snr_db  rel_l2  change
h.0         1          1  identical      0 %     inf       0
h.1         1          0  changed     50.0 %    14.0  0.2000  ██████████

frozen: identical in both
name   count  dtype  shape
h.0.w         F32    [2]
";
    assert!(ran.stdout.starts_with(expected), "{}", ran.stdout);
    let found = json(
        &layers(),
        &["--by", "layer", "--sort", "rel_l2", "--top", "1"],
    );
    assert_eq!(found["groups"].as_array().unwrap().len(), 1);
    assert_eq!(found["groups"][0]["name"], "h.1");
    assert_eq!(found["groups"][0]["rel_l2"], 0.2);
    assert_eq!(found["tensors"].as_array().unwrap().len(), 4);
}

#[test]
fn the_exit_status_says_whether_they_are_the_same() {
    let folder = layers();
    let status = |args: &[&str]| diff(&folder, args).status;
    assert_eq!(status(&["-i", "h.0.w"]), 0);
    assert_eq!(status(&["-i", "h.1.w"]), 1);
    assert_eq!(status(&["-i", "h.1.w", "--allow", "changed"]), 0);
    assert_eq!(status(&["--allow", "changed,only-in-a,only_in_b"]), 0);
    assert_eq!(status(&["--allow", "changed,only_in_a"]), 1);
    // numpy.allclose([3, 4], [3, 5], rtol=0.2, atol=0) is True.
    let near = ["-i", "h.1.w", "--rtol", "0.2"];
    assert_eq!(status(&near), 1);
    let near = [&near[..], &["--allow", "within_tolerance"]].concat();
    assert_eq!(status(&near), 0);
    assert_eq!(status(&["--structure", "-i", "h.*"]), 0);
    assert_eq!(status(&["-i", "nothing"]), 2);
}

#[test]
fn names_are_matched_unless_that_is_turned_off() {
    let folder = pair(
        &[vector("module.enc.w", &[1], &[1.0])],
        &[vector("encoder.w", &[1], &[1.0])],
    );
    let ran = diff(&folder, &["--rename", r"^module\.enc\.=module.encoder."]);
    assert_eq!(ran.status, 0);
    let note = "ckpt: a.safetensors, b.safetensors: note: `module.` is taken off all names of A\n";
    assert_eq!(ran.stderr, note);
    let exact = ["--no-match", "--rename", r"^module\.enc\.=module.encoder."];
    assert_eq!(diff(&folder, &exact).status, 1);
    let whole = ["--no-match", "--rename", r"module\.(...)\.=$1oder."];
    let ran = diff(&folder, &whole);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

#[test]
fn what_is_wrong_with_an_option_is_said() {
    let folder = layers();
    let error = |args: &[&str]| {
        let ran = diff(&folder, args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{args:?}");
        ran.stderr.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        error(&["--rename", "q=r"]),
        "ckpt: `--rename q` matches no tensor of A"
    );
    assert!(error(&["--allow", "fine"]).starts_with("ckpt: `fine` is no verdict; they are"));
    assert!(error(&["--by", "layers"]).starts_with("ckpt: `layers` is no way to group"));
    assert!(error(&["--rtol", "-1"]).contains("--rtol"));
    assert!(error(&["--root", "ema"]).contains("no tensor stands under the root `ema`"));
}

#[test]
fn a_number_that_is_not_finite_is_never_passed_over() {
    let nan = f32::NAN;
    let folder = pair(
        &[
            vector("both", &[2], &[nan, 1.0]),
            vector("far", &[2], &[1.0, 1.0]),
            vector("one", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ],
        &[
            vector("both", &[2], &[nan, 1.0]),
            vector("far", &[2], &[1.0, 9.0]),
            vector("one", &[2, 2], &[1.0, 2.0, nan, 4.0]),
        ],
    );
    let ran = diff(&folder, &["--top", "1"]);
    let row =
        "one   non_finite  F32     25.0 %        0           0     inf  1 NaN/Inf at [1, 0]\n";
    assert!(ran.stdout.contains(row), "{}", ran.stdout);
    let found = json(&folder, &[]);
    let of = |name: &str| {
        let rows = found["tensors"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(of("both")["verdict"], "identical");
    assert_eq!(of("one")["verdict"], "non_finite");
    assert_eq!(of("one")["changed"], 1);
    assert_eq!(of("one")["first_non_finite"], 2);
}

#[test]
fn a_tensor_that_cannot_be_read_fails_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/gguf");
    let args = ["diff", "unknown-type.gguf", "unknown-type.gguf", "--json"];
    let ran = ckpt_in(&folder, &args);
    let found: Json = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, &found["same"]), (2, &Json::Bool(false)));
    assert_eq!(found["unreadable"], 1);
    assert_eq!(found["summary"]["identical"], 2);
    let row = &found["tensors"][2];
    assert_eq!(row["verdict"], Json::Null);
    let error = "unknown-type.gguf: tensor `strange`: type UNKNOWN(97) is not known, so its bytes \
                 mean nothing";
    assert_eq!(row["error"], error);
    let line = format!("ckpt: {error}");
    assert!(
        ran.stderr.lines().any(|said| said == line),
        "{}",
        ran.stderr
    );
}

/// Elements of many sizes, the same each time; long enough for several pieces of work.
fn mixed(count: u32, seed: u32) -> Vec<f32> {
    let value = |i: u32| {
        let bits = (i ^ seed).wrapping_mul(0x9e37_79b9);
        (bits >> 8) as f32 / 16_777_216.0 * 2f32.powi((bits % 17) as i32 - 8)
    };
    (0..count).map(value).collect()
}

#[test]
fn threads_and_the_order_of_the_file_change_no_byte_of_the_output() {
    let (a, b) = (mixed(600_000, 1), mixed(600_000, 2));
    let small = [
        vector("h.0.w", &[2], &[1.0, 2.0]),
        vector("h.10.w", &[2], &[1.0, 3.0]),
    ];
    let large = |values: &[f32]| vector("h.2.w", &[600, 1000], values);
    let one = [large(&a), small[0].clone(), small[1].clone()];
    let other = [small[1].clone(), large(&a), small[0].clone()];
    let changed = [large(&b), small[1].clone(), small[0].clone()];
    let (folder, reordered) = (pair(&one, &changed), pair(&other, &changed));
    for format in ["table", "json", "csv"] {
        let run = |folder: &tempfile::TempDir, threads: &str| {
            diff(folder, &["--format", format, "-j", threads, "--all"]).stdout
        };
        let expected = run(&folder, "1");
        assert!(expected.contains("h.2.w"), "{expected}");
        for threads in ["1", "2", "7"] {
            assert_eq!(
                run(&folder, threads),
                expected,
                "{format}, {threads} threads"
            );
            assert_eq!(run(&reordered, threads), expected, "{format}, reordered");
        }
    }
}

#[test]
fn structure_is_compared_without_the_values() {
    let other = [vector("w", &[2], &[5.0, 6.0])];
    let folder = pair(&[vector("w", &[2], &[1.0, 2.0])], &other);
    assert_eq!(diff(&folder, &["--structure"]).status, 0);
    assert_eq!(diff(&folder, &[]).status, 1);
    let wider = pair(&other, &[vector("w", &[3], &[5.0, 6.0, 7.0])]);
    let found = json(&wider, &["--structure"]);
    assert_eq!(found["tensors"][0]["verdict"], "shape");
}

#[test]
fn programs_and_pages_get_every_row() {
    let folder = layers();
    let csv = diff(&folder, &["--format", "csv"]).stdout;
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].starts_with("name,"), "{csv}");
    for name in ["h.0.w,", "h.1.w,", "x,", "y,"] {
        assert_eq!(
            rows.iter().filter(|row| row.starts_with(name)).count(),
            1,
            "{csv}"
        );
    }
    let markdown = diff(&folder, &["--format", "markdown"]).stdout;
    assert!(
        markdown.contains("h.1.w") && markdown.contains("|---"),
        "{markdown}"
    );
    let html = diff(&folder, &["--format", "html"]).stdout;
    assert!(html.starts_with("<!"), "{html}");
    assert!(
        html.contains("h.1") && !html.contains("<script src"),
        "{html}"
    );
}
