//! `ckpt workflow`: folders of models, what is found in them, output and exit status.

use super::support::{Ran, ckpt_in, safetensors};
use crate::support::{sha256, testdata};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A safetensors file of empty tensors; only names and the shapes' other dimensions matter.
fn header_only(names: &[(&str, &[u64])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    for (name, rest) in names {
        let shape: Vec<u64> = std::iter::once(0).chain(rest.iter().copied()).collect();
        let entry = json!({"dtype": "F16", "shape": shape, "data_offsets": [0, 0]});
        header.insert((*name).to_owned(), entry);
    }
    safetensors(&Value::Object(header).to_string(), &[])
}

const LORA: &str = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight";

/// A safetensors file of tensors of these shapes, all zeros.
fn with_shapes(tensors: &[(&str, &[u64])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<u64>();
        let entry = json!({"dtype": "F8_E5M2", "shape": shape, "data_offsets": [start, end]});
        header.insert((*name).to_owned(), entry);
    }
    safetensors(&Value::Object(header).to_string(), &vec![0; end as usize])
}

fn checkpoint(width: u64) -> Vec<u8> {
    let unet = |name: &str| format!("model.diffusion_model.input_blocks.{name}");
    let attention = match width {
        2048 => unet("4.1.transformer_blocks.0.attn2.to_k.weight"),
        _ => unet("1.1.transformer_blocks.0.attn2.to_k.weight"),
    };
    let shapes: [(&str, &[u64]); 3] = [
        (&unet("0.0.weight"), &[320, 4, 3, 3]),
        (&attention, &[320, width]),
        ("first_stage_model.encoder.conv_in.weight", &[0]),
    ];
    with_shapes(&shapes)
}

fn lora(width: u64) -> Vec<u8> {
    let up = LORA.replace("down", "up");
    header_only(&[(LORA, &[width]), (&up, &[4])])
}

fn vae() -> Vec<u8> {
    header_only(&[
        ("encoder.conv_in.weight", &[3]),
        ("decoder.conv_in.weight", &[4, 3, 3]),
    ])
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A graph in the API's format of `(class, input, value)`; a LoRA's model is node 1.
fn graph(folder: &Path, nodes: &[(&str, &str, &str)]) {
    let mut graph = serde_json::Map::new();
    for (place, (class, input, value)) in nodes.iter().enumerate() {
        let mut inputs = json!({*input: value});
        if class.starts_with("Lora") {
            inputs["model"] = json!(["1", 0]);
        }
        let node = json!({"class_type": class, "inputs": inputs});
        graph.insert((place + 1).to_string(), node);
    }
    write(
        folder,
        "flow.json",
        Value::Object(graph).to_string().as_bytes(),
    );
}

fn run(folder: &TempDir, more: &[&str]) -> (i32, Vec<Value>) {
    let mut args = vec!["workflow", "flow.json", "--json"];
    args.extend(more);
    let ran = ckpt_in(folder.path(), &args);
    let Ok(Value::Object(mut found)) = serde_json::from_str(&ran.stdout) else {
        panic!("{}{}", ran.stdout, ran.stderr);
    };
    let Some(Value::Array(needs)) = found.remove("needs") else {
        panic!("{found:?}");
    };
    (ran.status, needs)
}

fn statuses(needs: &[Value]) -> Vec<&str> {
    needs
        .iter()
        .map(|need| need["status"].as_str().unwrap())
        .collect()
}

fn problem(need: &Value) -> &str {
    need["problem"].as_str().unwrap_or_default()
}

#[test]
fn finds_files_where_comfyui_looks() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        "ComfyUI/models/checkpoints/base.safetensors",
        &checkpoint(2048),
    );
    write(
        root,
        "ComfyUI/models/loras/styles/ink.safetensors",
        &lora(2048),
    );
    write(root, "ComfyUI/models/vae_approx/taesdxl_encoder.pth", b"x");
    write(
        root,
        "ComfyUI/models/vae_approx/taesdxl_decoder.safetensors",
        &vae(),
    );
    write(
        root,
        "ComfyUI/models/unet/old.safetensors",
        &checkpoint(2048),
    );
    write(
        root,
        "ComfyUI/models/embeddings/bad.pt.safetensors",
        &header_only(&[("clip_l", &[768])]),
    );
    write(
        root,
        "ComfyUI/models/embeddings/easy.safetensors",
        &header_only(&[("clip_l", &[768])]),
    );
    write(root, "ComfyUI/models/ipadapter/ip.onnx", b"an ONNX model");
    graph(
        root,
        &[
            ("CheckpointLoaderSimple", "ckpt_name", "base.safetensors"),
            ("LoraLoader", "lora_name", "styles\\ink.safetensors"),
            ("VAELoader", "vae_name", "taesdxl"),
            ("UNETLoader", "unet_name", "old.safetensors"),
            ("CLIPTextEncode", "text", "a (embedding:easy:1.2), cat"),
            ("Custom", "model", "ip.onnx"),
        ],
    );
    for models in ["ComfyUI", "ComfyUI/models"] {
        let (status, needs) = run(&folder, &["--models", models]);
        assert_eq!(statuses(&needs), ["found"; 6], "{needs:?}");
        assert_eq!(status, 0);
        assert_eq!(needs[1]["file"], "styles\\ink.safetensors");
        assert_eq!(
            needs[1]["found_at"],
            "ComfyUI/models/loras/styles/ink.safetensors"
        );
    }
}

#[test]
fn extra_paths_add_folders_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "models/loras/x", b"");
    write(root, "etc/a1111/Lora/ink.safetensors", &lora(768));
    let yaml = "a1111:\n  base_path: a1111\n  loras: |\n    LyCORIS\n    Lora\n  clip: none\n";
    write(root, "etc/extra.yaml", yaml.as_bytes());
    graph(
        root,
        &[
            ("Nothing", "x", ""),
            ("LoraLoader", "lora_name", "ink.safetensors"),
        ],
    );
    let (status, needs) = run(&folder, &["--models", "models"]);
    assert_eq!((status, statuses(&needs)), (1, vec!["missing"]));
    let (status, needs) = run(
        &folder,
        &["--models", "models", "--extra-paths", "etc/extra.yaml"],
    );
    assert_eq!((status, statuses(&needs)), (0, vec!["found"]));
    write(root, "etc/extra.yaml", b"a: &a [1]\nb: [");
    let args = ["workflow", "flow.json", "--extra-paths", "etc/extra.yaml"];
    assert_eq!(ckpt_in(root, &args).status, 2);
}

#[test]
fn a_missing_file_comes_with_its_nearest_names_and_other_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "m/loras/ink_v2.safetensors", &lora(768));
    write(root, "m/checkpoints/style.safetensors", &lora(768));
    graph(
        root,
        &[
            ("Nothing", "x", ""),
            ("LoraLoader", "lora_name", "ink-v2.safetensors"),
            ("LoraLoader", "lora_name", "style.safetensors"),
            ("LoraLoader", "lora_name", "nothing_like_it.safetensors"),
        ],
    );
    let (status, needs) = run(&folder, &["--models", "m"]);
    assert_eq!((status, statuses(&needs)), (1, vec!["missing"; 3]));
    assert_eq!(
        problem(&needs[0]),
        "is not there; nearest: `ink_v2.safetensors`"
    );
    assert_eq!(
        problem(&needs[1]),
        "is not there, but `checkpoints/style.safetensors` is"
    );
    assert_eq!(needs[2]["problem"], Value::Null);
}

#[test]
fn the_wrong_kind_of_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "m/checkpoints/xl.safetensors", &checkpoint(2048));
    write(root, "m/checkpoints/vae.safetensors", &vae());
    write(root, "m/checkpoints/lora.safetensors", &lora(768));
    write(
        root,
        "m/checkpoints/page.safetensors",
        b"<!DOCTYPE html><html></html>",
    );
    write(root, "m/loras/sd15.safetensors", &lora(768));
    write(root, "m/loras/xl.safetensors", &lora(2048));
    write(root, "m/unet/q.gguf", b"GGUF");
    graph(
        root,
        &[
            ("CheckpointLoaderSimple", "ckpt_name", "xl.safetensors"),
            ("CheckpointLoaderSimple", "ckpt_name", "vae.safetensors"),
            ("CheckpointLoaderSimple", "ckpt_name", "lora.safetensors"),
            ("CheckpointLoaderSimple", "ckpt_name", "page.safetensors"),
            ("LoraLoader", "lora_name", "sd15.safetensors"),
            ("LoraLoader", "lora_name", "xl.safetensors"),
        ],
    );
    let (status, needs) = run(&folder, &["--models", "m"]);
    let expected = ["found", "wrong", "wrong", "wrong", "wrong", "found"];
    assert_eq!((status, statuses(&needs)), (1, expected.to_vec()));
    assert_eq!(
        problem(&needs[1]),
        "is a VAE; checkpoints are looked for here"
    );
    assert_eq!(
        problem(&needs[2]),
        "is a LoRA; checkpoints are looked for here"
    );
    assert_eq!(
        problem(&needs[4]),
        "is made for Stable Diffusion 1, but `xl.safetensors` is Stable Diffusion XL"
    );
}

#[test]
fn hashes_are_checked_where_the_workflow_gives_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let file = lora(768);
    write(root, "m/loras/ink.safetensors", &file);
    let header = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let (whole, data) = (sha256(&file), sha256(&file[8 + header..]));
    let wrong = "0".repeat(64);
    let source = ckpt::io::Source::from_bytes("ink", file);
    let blake3 = ckpt::format::digest::blake3(&source, &ckpt::parallel::Silent).unwrap();
    for (hash, kind, expected) in [
        (whole.as_str(), Some("SHA256"), "found"),
        (&whole.to_uppercase()[..10], Some("AutoV2"), "found"),
        (&whole[..10], None, "found"),
        (&data[..12], Some("AutoV3"), "found"),
        (wrong.as_str(), Some("SHA256"), "wrong"),
        (&wrong[..8], None, "wrong"),
        (wrong.as_str(), Some("BLAKE3"), "wrong"),
        (blake3.as_str(), Some("BLAKE3"), "found"),
        // Nobody knows how this is made.
        (wrong.as_str(), Some("MD6"), "found"),
    ] {
        let model = json!({"name": "ink.safetensors", "url": "https://x.org/ink", "directory": "loras",
                           "hash": hash, "hash_type": kind});
        let node = json!({"id": 1, "type": "LoraLoader", "mode": 0,
                          "widgets_values": ["ink.safetensors", 1, 1], "properties": {"models": [model]}});
        let flow = json!({"nodes": [node], "links": []}).to_string();
        write(root, "flow.json", flow.as_bytes());
        let (_, needs) = run(&folder, &["--models", "m"]);
        assert_eq!(
            statuses(&needs),
            [expected],
            "{hash} {kind:?} {}",
            problem(&needs[0])
        );
        assert_eq!(
            (needs[0]["hash"].as_str(), needs[0]["url"].as_str()),
            (Some(hash), Some("https://x.org/ink"))
        );
    }
}

#[test]
fn a_pickle_that_would_run_something_is_unsafe() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let attack = std::fs::read(testdata("pytorch/attack.pkl")).unwrap();
    write(root, "m/checkpoints/a.ckpt", &attack);
    graph(root, &[("CheckpointLoaderSimple", "ckpt_name", "a.ckpt")]);
    let (status, needs) = run(&folder, &["--models", "m"]);
    assert_eq!(
        (status, statuses(&needs)),
        (1, vec!["unsafe"]),
        "{}",
        problem(&needs[0])
    );
    assert!(
        problem(&needs[0]).starts_with("would call `os.system("),
        "{}",
        problem(&needs[0])
    );
}

#[test]
fn names_never_lead_out_of_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "m/loras/x.safetensors", &lora(768));
    write(root, "secret.safetensors", &lora(768));
    let absolute = root
        .join("secret.safetensors")
        .to_string_lossy()
        .into_owned();
    graph(
        root,
        &[
            ("Nothing", "x", ""),
            ("LoraLoader", "lora_name", "../../secret.safetensors"),
            ("LoraLoader", "lora_name", "..\\..\\secret.safetensors"),
            ("LoraLoader", "lora_name", &absolute),
            ("Custom", "file", "../secret.safetensors"),
        ],
    );
    let (status, needs) = run(&folder, &["--models", "m"]);
    assert_eq!((status, statuses(&needs)), (1, vec!["wrong"; 4]));
    assert!(needs.iter().all(|need| need["found_at"] == Value::Null));
}

#[test]
fn what_does_not_run_is_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "m/loras/x", b"");
    for (mode, status) in [(0, 1), (2, 0), (4, 0)] {
        let node = json!({"id": 1, "type": "VAELoader", "mode": mode, "widgets_values": ["a.safetensors"]});
        write(
            root,
            "flow.json",
            json!({"nodes": [node]}).to_string().as_bytes(),
        );
        let (found, needs) = run(&folder, &["--models", "m"]);
        assert_eq!((found, statuses(&needs)), (status, vec!["missing"]));
        assert_eq!(needs[0]["active"], mode == 0);
    }
}

#[test]
fn the_table_fits_eighty_columns_and_several_files_stand_for_themselves() {
    let folder = testdata("workflow");
    let Ran { status, stdout, .. } =
        ckpt_in(&folder, &["workflow", "ui.json", "bomb.png", "a1111.txt"]);
    assert_eq!(status, 2);
    assert!(stdout.contains("33554432 bytes of text"), "{stdout}");
    let mut narrow = super::support::command(&["workflow", "ui.json"]);
    let output = narrow
        .current_dir(&folder)
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let ran = ckpt_in(&folder, &["workflow", "ui.json", "bomb.png", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&found[0]["graph"], &found[1]["path"]),
        (&json!("ui"), &json!("bomb.png"))
    );
}
