//! `ckpt inspect`.

use super::support::{ckpt_in, folder};
use crate::support::testdata;

#[test]
fn the_table_folds_layers_and_escapes_names() {
    let folder = folder();
    let ran = ckpt_in(folder.path(), &["inspect", "m.safetensors"]);
    let size = std::fs::metadata(folder.path().join("m.safetensors"))
        .unwrap()
        .len();
    let expected = format!(
        "m.safetensors
identity    unknown
format      safetensors
size        {size} B
tensors     3
parameters  9
data        40 B
dtypes      F32 32 B (2), I64 8 B (1)

metadata
  format  pt

name           count  dtype  shape   bytes
h.{{0,1}}.w         x2  F32    [2, 2]   32 B
<b>|,\\u{{202e}}         I64    [1]       8 B
"
    );
    assert_eq!(ran.stdout, expected);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

/// Keys and their order are fixed by the schema.
#[test]
fn json_has_every_key_in_order() {
    let folder = folder();
    let ran = ckpt_in(
        folder.path(),
        &["inspect", "m.safetensors", "--json", "-x", "h.1*"],
    );
    let mut header = std::fs::read(folder.path().join("m.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(header[..8].try_into().unwrap());
    header.clear();
    let last = start + 32;
    let expected = format!(
        r#"{{
  "schema": "ckpt.inspect/1",
  "path": "m.safetensors",
  "format": "safetensors",
  "variant": "",
  "root": null,
  "tensors": [
    {{"name": "h.0.w", "dtype": "F32", "shape": [2, 2], "elements": 4, "bytes": 16, "file": "m.safetensors", "offset": {start}, "contiguous": true, "tied_to": null}},
    {{"name": "<b>|,{}", "dtype": "I64", "shape": [1], "elements": 1, "bytes": 8, "file": "m.safetensors", "offset": {last}, "contiguous": true, "tied_to": null}}
  ],
  "totals": {{
    "tensors": 2,
    "elements": 5,
    "bytes": 24,
    "by_dtype": [{{"dtype": "F32", "tensors": 1, "elements": 4, "bytes": 16}}, {{"dtype": "I64", "tensors": 1, "elements": 1, "bytes": 8}}]
  }},
  "metadata": {{
    "format": "pt"
  }},
  "values": {{}},
  "notes": [],
  "identity": {{
    "kind": "unknown",
    "family": null,
    "variant": null,
    "architecture": null,
    "components": [],
    "facts": {{}},
    "parameters": {{"stored": 9, "logical": 9, "declared": [], "differences": [], "memory": [{{"dtype": "F32", "bytes": 36}}, {{"dtype": "BF16", "bytes": 18}}, {{"dtype": "F8", "bytes": 9}}, {{"dtype": "4 bits", "bytes": 5}}, {{"dtype": "as stored", "bytes": 40}}]}},
    "evidence": [],
    "name": null,
    "domain": null,
    "conflicts": [],
    "nearest": null,
    "adapter": null
  }},
  "licence": [],
  "licence_facts": {{
    "class": "unknown",
    "bases": [],
    "conflicts": [],
    "disclaimer": "a summary of what is stated, not legal advice"
  }},
  "training": null
}}
"#,
        '\u{202e}'
    );
    assert_eq!(ran.stdout, expected);
}

#[test]
fn several_paths_are_an_array_and_a_failure_an_entry() {
    let folder = folder();
    let paths = [
        "inspect",
        "m.safetensors",
        "bad.safetensors",
        "m.safetensors",
    ];
    let ran = ckpt_in(folder.path(), &[&paths[..], &["--json"]].concat());
    assert_eq!(ran.status, 2);
    let parsed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let entries = parsed.as_array().unwrap();
    assert_eq!(entries.len(), 3);
    let failure = entries[1].as_object().unwrap();
    let keys: Vec<&String> = failure.keys().collect();
    assert_eq!(keys, ["schema", "path", "error"]);
    assert_eq!(entries[2]["totals"]["tensors"], 3);
    let table = ckpt_in(folder.path(), &paths);
    assert_eq!(table.status, 2);
    assert_eq!(table.stdout.matches("parameters").count(), 2);
}

#[test]
fn csv_has_one_row_a_tensor_quoted_as_rfc_4180_has_it() {
    let folder = folder();
    let ran = ckpt_in(
        folder.path(),
        &["inspect", "m.safetensors", "--format", "csv"],
    );
    let lines: Vec<&str> = ran.stdout.split("\r\n").collect();
    assert_eq!(lines[0], "name,dtype,shape,elements,bytes,offset");
    assert!(lines[1].starts_with("h.0.w,F32,\"[2, 2]\",4,16,"));
    assert!(lines[3].starts_with("\"<b>|,\u{202e}\",I64,[1],1,8,"));
    let several = [
        "inspect",
        "m.safetensors",
        "m.safetensors",
        "--format",
        "csv",
    ];
    let ran = ckpt_in(folder.path(), &several);
    assert!(ran.stdout.starts_with("path,name,"));
    assert_eq!(ran.stdout.matches("\r\n").count(), 7);
}

#[test]
fn markup_in_names_is_inert() {
    let folder = folder();
    let html = ckpt_in(
        folder.path(),
        &["inspect", "m.safetensors", "--format", "html"],
    )
    .stdout;
    assert!(html.contains("&lt;b&gt;|,\\u{202e}") && !html.contains("<b>"));
    let markdown = ckpt_in(
        folder.path(),
        &["inspect", "m.safetensors", "--format", "markdown"],
    );
    assert!(
        markdown.stdout.contains("| `<b>\\|,\\u{202e}` |"),
        "{}",
        markdown.stdout
    );
}

#[test]
fn narrow_terminals_shorten_names_in_the_middle() {
    let folder = folder();
    let name = "model.".repeat(12) + "weight";
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let file = super::support::safetensors(&header, &[0; 4]);
    std::fs::write(folder.path().join("long.safetensors"), file).unwrap();
    let run = |columns: &str| {
        let mut command = super::support::command(&["inspect", "long.safetensors", "--flat"]);
        let output = command
            .env("COLUMNS", columns)
            .current_dir(folder.path())
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(run("200").contains(&name));
    let narrow = run("60");
    assert!(!narrow.contains(&name) && narrow.contains("…"));
    let widths = narrow.lines().map(|line| line.chars().count());
    assert!(widths.max().unwrap() <= 60);
}

#[test]
fn an_adapter_is_read_where_asked_for() {
    let folder = testdata("adapter");
    let ran = ckpt_in(&folder, &["inspect", "kohya-sdxl.safetensors", "--adapter"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    for line in [
        "identity    an adapter for Stable Diffusion XL, LoRA and LoCon",
        "training\n",
        "took                 1 h 30 min",
        "tags of captions     cat (40), sitting (15), dog (8)",
        "`ss_sd_model_name` holds a path of somebody's machine",
        "`lora_unet_input_blocks_4_1_proj_in`: changes nothing",
        "openrail++ (use-restricted), by modelspec.license",
    ] {
        assert!(ran.stdout.contains(line), "no `{line}` in\n{}", ran.stdout);
    }
    let ran = ckpt_in(
        &testdata(""),
        &["inspect", "safetensors/numpy.safetensors", "--adapter"],
    );
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("is no adapter"), "{}", ran.stderr);
}
