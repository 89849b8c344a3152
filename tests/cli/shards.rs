//! Splitting, merging and re-sharding.

use super::support::{ckpt_in, safetensors};
use serde_json::Value as Json;
use std::path::Path;

/// A model of 4 layers, F32 and F16 mixed, names not in order.
pub(super) fn write_model(path: &Path) {
    let mut names: Vec<(String, &str, usize)> = vec![
        ("lm_head.weight".into(), "F16", 512),
        ("model.embed_tokens.weight".into(), "F16", 512),
        ("model.norm.weight".into(), "F32", 8),
    ];
    for layer in [3, 0, 2, 1] {
        names.push((format!("model.layers.{layer}.mlp.weight"), "F16", 768));
        names.push((format!("model.layers.{layer}.attn.weight"), "F32", 256));
        names.push((format!("model.layers.{layer}.norm.weight"), "F32", 8));
    }
    let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
    let mut data = Vec::new();
    for (name, dtype, elements) in names {
        let begin = data.len();
        for element in 0..elements {
            match dtype {
                "F32" => data.extend((element as f32 + begin as f32).to_le_bytes()),
                _ => data.extend((element as u16 ^ begin as u16 & 0x3fff).to_le_bytes()),
            }
        }
        let end = data.len();
        header += &format!(
            r#","{name}":{{"dtype":"{dtype}","shape":[{},8],"data_offsets":[{begin},{end}]}}"#,
            elements / 8
        );
    }
    std::fs::write(path, safetensors(&(header + "}"), &data)).unwrap();
}

/// Runs `ckpt`, which must succeed; what it printed.
pub(super) fn run(folder: &Path, args: &[&str]) -> String {
    let ran = ckpt_in(folder, args);
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
    ran.stdout
}

/// The digest of the tensors, which no sharding changes.
pub(super) fn digest(folder: &Path, path: &str) -> String {
    let found: Json = serde_json::from_str(&run(folder, &["hash", "--json", path])).unwrap();
    found["digest"].as_str().unwrap().to_owned()
}

#[test]
fn every_way_to_split_gives_the_same_tensors_and_merges_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    let expected = digest(folder, "a.safetensors");
    for (extension, index) in [
        ("safetensors", Some("s.safetensors.index.json")),
        ("bin", Some("s.bin.index.json")),
        ("gguf", None),
    ] {
        for cut in [["--max-shard-size", "4kB"], ["--shards", "5"]] {
            for order in ["source", "layer", "balanced"] {
                let target = format!("s.{extension}");
                let args = ["convert", "a.safetensors", &target, "--json", "--no-sync"];
                let args = [&args[..], &cut, &["--shard-order", order]].concat();
                let report: Json = serde_json::from_str(&run(folder, &args)).unwrap();
                let outputs = report["outputs"].as_array().unwrap();
                let files: Vec<&str> = outputs
                    .iter()
                    .map(|output| output["file"].as_str().unwrap())
                    .collect();
                let shards = files.len() - usize::from(index.is_some());
                assert!(cut[0] != "--shards" || shards == 5, "{args:?}: {shards}");
                let whole = index.unwrap_or(files[0]);
                assert_eq!(digest(folder, whole), expected, "{args:?}");
                run(folder, &["convert", whole, "m.safetensors", "--no-sync"]);
                assert_eq!(digest(folder, "m.safetensors"), expected, "{args:?}");
                for file in files.iter().chain(&["m.safetensors"]) {
                    std::fs::remove_file(folder.join(file)).unwrap();
                }
            }
        }
    }
}

#[test]
fn the_tensors_of_a_layer_are_in_one_shard() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    let args = ["convert", "a.safetensors", "s.safetensors", "--shards", "3"];
    run(folder, &[&args[..], &["--shard-order", "layer"]].concat());
    let index = std::fs::read(folder.join("s.safetensors.index.json")).unwrap();
    let index: Json = serde_json::from_slice(&index).unwrap();
    let shard = |name: &str| index["weight_map"][name].as_str().unwrap().to_owned();
    for layer in 0..4 {
        let of_part = |part: &str| shard(&format!("model.layers.{layer}.{part}.weight"));
        assert_eq!(of_part("mlp"), of_part("attn"));
        assert_eq!(of_part("mlp"), of_part("norm"));
    }
    let first = shard("model.embed_tokens.weight");
    assert_eq!(first, "s-00001-of-00003.safetensors");
    assert_eq!(shard("lm_head.weight"), "s-00003-of-00003.safetensors");
}

#[test]
fn tensors_lie_in_the_order_of_the_source_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // One byte, then floats: the second starts at no multiple of four.
    let header = r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
        "a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#;
    let data = [7, 0, 0, 128, 63, 0, 0, 0, 64];
    std::fs::write(folder.join("a.safetensors"), safetensors(header, &data)).unwrap();
    for (order, expected) in [
        ("source", data.to_vec()),
        ("official", [&data[1..], &[7]].concat()),
    ] {
        let args = [
            "convert",
            "a.safetensors",
            "o.safetensors",
            "--order",
            order,
        ];
        run(folder, &[&args[..], &["-f", "--verify"]].concat());
        let bytes = std::fs::read(folder.join("o.safetensors")).unwrap();
        assert_eq!(bytes[bytes.len() - 9..], expected, "{order}");
        let read = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("a").unwrap().data(), &data[1..]);
    }
}

#[test]
fn sharding_options_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    let convert = |target: &str, more: &[&str]| {
        let ran = ckpt_in(
            folder,
            &[&["convert", "a.safetensors", target], more].concat(),
        );
        assert_eq!(ran.status, 2, "{more:?}");
        ran.stderr
    };
    let said = convert("o.safetensors", &["--shards", "99"]);
    assert!(said.contains("15 tensors, too few for 99 shards"), "{said}");
    convert("o.safetensors", &["--shards", "0"]);
    convert("o.safetensors", &["--shard-order", "layer"]);
    convert(
        "o.safetensors",
        &["--shards", "2", "--max-shard-size", "1kB"],
    );
    convert("o.npz", &["--shards", "2"]);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn in_place_the_old_set_goes_and_what_is_not_of_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("model.safetensors"));
    let expected = digest(folder, "model.safetensors");
    let convert = |more: &[&str]| ckpt_in(folder, &[&["convert", ".", "."], more].concat());
    for (shards, files) in [("3", 4), ("2", 3), ("2", 3), ("1", 1), ("3", 4)] {
        let ran = convert(&["--in-place", "--shards", shards]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(names(folder).len(), files, "{:?}", names(folder));
        assert_eq!(digest(folder, "."), expected);
    }
    // The index is the source itself.
    let ran = convert(&["-f", "--shards", "2"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--in-place"), "{}", ran.stderr);
    // A foreign set is not removed, but said.
    let inner = folder.join("foreign");
    std::fs::create_dir(&inner).unwrap();
    write_model(&inner.join("model.safetensors"));
    let ran = ckpt_in(folder, &["convert", "foreign", ".", "-f", "--shards", "2"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let said = "warning: called like what was written, but no part of it; programs may load it \
                instead: `model-00001-of-00003.safetensors`";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(names(folder).len(), 7);
    // One shard that was opened by itself does not speak for the others.
    let single = "model-00002-of-00003.safetensors";
    let ran = ckpt_in(
        folder,
        &["convert", single, "model.safetensors", "--in-place"],
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(names(folder).len(), 8);
    let said = format!("{single}: stays as it is: `--in-place` replaces files of the same name");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}

#[test]
fn a_large_set_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    for (shards, lines) in [("4", 5), ("5", 2)] {
        let args = [
            "convert",
            "a.safetensors",
            "o.bin",
            "-f",
            "--shards",
            shards,
        ];
        let ran = ckpt_in(folder, &args);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let written = ran
            .stderr
            .lines()
            .filter(|line| line.contains("written, ") && !line.contains("warning"));
        assert_eq!(written.count(), lines, "{}", ran.stderr);
    }
    let bytes = (1..=5).map(|number| {
        let path = folder.join(format!("o-0000{number}-of-00005.bin"));
        std::fs::metadata(path).unwrap().len()
    });
    let total = ckpt::text::human_bytes(bytes.sum());
    let args = ["convert", "a.safetensors", "o.bin", "--shards", "5", "-f"];
    let ran = ckpt_in(folder, &args);
    let said = format!("o-00001-of-00005.bin to o-00005-of-00005.bin: 5 files, written, {total}\n");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    let ran = ckpt_in(folder, &["convert", "a.safetensors", "new/"]);
    assert_eq!(ran.status, 2);
    let said = "new/: there is no such folder";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn shards_are_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_model(&folder.join("a.safetensors"));
    for (target, more) in [
        (
            "o.safetensors",
            &["--dtype", "f8_e4m3", "--scale", "--shards", "3"][..],
        ),
        (
            "o.bin",
            &[
                "--dtype",
                "bf16",
                "--shards",
                "3",
                "--shard-order",
                "balanced",
            ],
        ),
        ("o.gguf", &["--dtype", "f16", "--max-shard-size", "4kB"]),
    ] {
        let mut outputs = Vec::new();
        for threads in ["1", "2", "7"] {
            let args = ["convert", "a.safetensors", target, "-f", "-j", threads];
            run(folder, &[&args[..], more].concat());
            let of_target = |name: &String| name.starts_with("o");
            let files = names(folder).into_iter().filter(of_target);
            let files: Vec<_> = files
                .map(|name| (std::fs::read(folder.join(&name)).unwrap(), name))
                .collect();
            outputs.push(files);
        }
        assert!(outputs[0].len() > 2);
        assert!(outputs.iter().all(|files| *files == outputs[0]), "{target}");
        for (_, name) in &outputs[0] {
            std::fs::remove_file(folder.join(name)).unwrap();
        }
    }
}
