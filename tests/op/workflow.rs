//! Which files workflows name, in every format and picture that holds them.

use crate::support::testdata;
use ckpt::Kind;
use ckpt::format::read_texts;
use ckpt::io::Source;
use ckpt::op::workflow::{GraphKind, Mode, Need, Workflow, read};
use serde_json::{Value, json};

fn read_file(name: &str) -> ckpt::Result<Workflow> {
    let texts = read_texts(&Source::open(&testdata("workflow").join(name))?)?;
    read(texts.iter().map(|text| (&*text.key, &*text.text)))
}

fn read_json(graph: &Value) -> ckpt::Result<Workflow> {
    read([("", graph.to_string().as_str())])
}

/// Name, folder, node and mode of a need.
type Summary<'a> = (&'a str, &'a str, &'a str, Mode);

fn summary(need: &Need) -> Summary<'_> {
    let folder = need.folder.as_deref().unwrap_or_default();
    let node = need.node.as_deref().unwrap_or_default();
    (&need.file, folder, node, need.mode)
}

/// What `ui.json` names, by hand.
const UI: [Summary<'_>; 14] = [
    (
        "sd_xl_base_1.0.safetensors",
        "checkpoints",
        "1",
        Mode::Active,
    ),
    ("styles\\ink.safetensors", "loras", "2", Mode::Active),
    ("easynegative", "embeddings", "3", Mode::Active),
    ("bad-hands.pt", "embeddings", "3", Mode::Active),
    ("sdxl_vae.safetensors", "vae", "4", Mode::Muted),
    ("canny.safetensors", "controlnet", "5", Mode::Bypassed),
    ("extra.safetensors", "loras", "6", Mode::Active),
    ("unused.safetensors", "loras", "6", Mode::Off),
    (
        "inner_unet.safetensors",
        "diffusion_models",
        "7:21",
        Mode::Active,
    ),
    ("promoted.safetensors", "text_encoders", "7:22", Mode::Muted),
    ("by_primitive.pth", "upscale_models", "10", Mode::Active),
    ("taesdxl", "vae_approx", "11", Mode::Active),
    (
        "flux1-dev-Q4_K_S.gguf",
        "diffusion_models",
        "13",
        Mode::Active,
    ),
    ("listed_only.safetensors", "text_encoders", "", Mode::Active),
];

/// What `api.json` names, by hand.
const API: [Summary<'_>; 5] = [
    (
        "sd_xl_base_1.0.safetensors",
        "checkpoints",
        "1",
        Mode::Active,
    ),
    ("styles/ink.safetensors", "loras", "2", Mode::Active),
    ("clip_l.safetensors", "text_encoders", "3", Mode::Active),
    ("t5xxl_fp16.safetensors", "text_encoders", "3", Mode::Active),
    ("ip.bin", "ipadapter", "4", Mode::Active),
];

#[test]
fn the_editors_format_is_read_with_subgraphs_and_modes() {
    let workflow = read_file("ui.json").unwrap();
    assert_eq!(workflow.graph, GraphKind::Ui);
    let found: Vec<Summary<'_>> = workflow.needs.iter().map(summary).collect();
    assert_eq!(found, UI);
    let first = &workflow.needs[0];
    let url = "https://example.org/sd_xl_base_1.0.safetensors";
    assert_eq!(first.url.as_deref(), Some(url));
    assert_eq!(first.hash.as_ref().unwrap().kind, "SHA256");
    assert_eq!(workflow.needs[1].bases, [0]);
}

#[test]
fn the_servers_format_is_the_same_wherever_it_stands() {
    for name in [
        "api.json",
        "packed.png",
        "animated.png",
        "saved.safetensors",
    ] {
        let workflow = read_file(name).unwrap();
        let found: Vec<Summary<'_>> = workflow.needs.iter().map(summary).collect();
        assert_eq!(
            (workflow.graph, found.as_slice()),
            (GraphKind::Api, &API[..]),
            "{name}"
        );
        assert_eq!(workflow.needs[1].bases, [0], "{name}");
    }
}

#[test]
fn pictures_with_both_formats_tell_what_either_knows() {
    for name in ["comfyui.png", "comfyui.webp"] {
        let workflow = read_file(name).unwrap();
        assert_eq!(workflow.graph, GraphKind::Ui, "{name}");
        let found: Vec<Summary<'_>> = workflow.needs.iter().map(summary).collect();
        assert_eq!(found, [&UI[..], &API[2..]].concat(), "{name}");
    }
}

#[test]
fn parameters_of_a1111_give_names_and_hashes() {
    for name in ["a1111.txt", "a1111.png", "a1111.jpg"] {
        let workflow = read_file(name).unwrap();
        assert_eq!(workflow.graph, GraphKind::A1111, "{name}");
        let needs = workflow.needs.iter();
        let found: Vec<(&str, &str)> = needs
            .map(|need| (&*need.file, &*need.hash.as_ref().unwrap().text))
            .collect();
        let expected = [
            ("v1-5-pruned-emaonly", "6ce0161689"),
            ("ink", "3b8aa1d351ef"),
            ("easynegative", "c74b4e810b03"),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_a_server_is_sent_is_unwrapped() {
    let graph = json!({"9": {"class_type": "VAELoader", "inputs": {"vae_name": "a.pt"}}});
    let sent = json!({"client_id": "x", "prompt": graph});
    let workflow = read_json(&sent).unwrap();
    assert_eq!(
        summary(&workflow.needs[0]),
        ("a.pt", "vae", "9", Mode::Active)
    );
    let ui = json!({"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["b.pt"]}]});
    let both = json!({"prompt": graph, "extra_data": {"extra_pnginfo": {"workflow": ui}}});
    let workflow = read_json(&both).unwrap();
    assert_eq!(workflow.graph, GraphKind::Ui);
    assert_eq!(workflow.needs[0].file, "b.pt");
}

#[test]
fn a_bomb_of_text_is_a_limit() {
    assert_eq!(read_file("bomb.png").unwrap_err().kind(), Kind::Limit);
    let long = format!("{{\"1\": \"{}\"}}", " ".repeat(100_000_000));
    assert_eq!(read([("", long.as_str())]).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn subgraphs_that_multiply_or_hold_themselves_are_a_limit() {
    let subgraph = |id: &str, of: &str, copies: i64| {
        let nodes: Vec<Value> = (0..copies).map(|i| json!({"id": i, "type": of})).collect();
        json!({"id": id, "nodes": nodes})
    };
    let top = json!([{"id": 1, "type": "s0"}]);
    let levels = (0..12).map(|i| subgraph(&format!("s{i}"), &format!("s{}", i + 1), 10));
    let levels: Vec<Value> = levels.collect();
    let bomb = json!({"nodes": top, "definitions": {"subgraphs": levels}});
    assert_eq!(read_json(&bomb).unwrap_err().kind(), Kind::Limit);
    let own = json!({"nodes": top, "definitions": {"subgraphs": [subgraph("s0", "s0", 1)]}});
    assert_eq!(read_json(&own).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn links_in_circles_end() {
    let reroute = |id: i64, link: i64| json!({"id": id, "type": "Reroute", "inputs": [{"name": "", "link": link}]});
    let input = json!({"name": "vae_name", "link": 1, "widget": {"name": "vae_name"}});
    let loader =
        json!({"id": 3, "type": "VAELoader", "inputs": [input], "widgets_values": ["a.pt"]});
    let graph = json!({"nodes": [reroute(1, 2), reroute(2, 1), loader],
                       "links": [[1, 1, 0, 2, 0, "*"], [2, 2, 0, 1, 0, "*"]]});
    assert_eq!(read_json(&graph).unwrap().needs, []);
}

#[test]
fn odd_shapes_are_passed_over_and_no_graph_is_an_error() {
    let odd = json!({"nodes": [null, 7, {"id": {}, "type": []}, {"type": "VAELoader", "widgets_values": 5},
                               {"id": 2, "type": "VAELoader", "widgets_values": [{"a": 1}, null]}],
                     "links": [[1], {}, 3], "definitions": [], "models": [{}, 1]});
    assert_eq!(read_json(&odd).unwrap().needs, []);
    for text in [
        "{}",
        "[]",
        "{\"nodes\": 3}",
        "not a workflow",
        "{\"1\": {\"class_type\"",
    ] {
        let error = read([("", text)]).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{text}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_of_a_picture_ends_well() {
    for name in ["packed.png", "animated.png", "a1111.jpg", "comfyui.webp"] {
        let bytes = std::fs::read(testdata("workflow").join(name)).unwrap();
        let step = bytes.len() / 500 + 1;
        for place in (0..bytes.len()).step_by(step) {
            let _ = read_texts(&Source::from_bytes(name, &bytes[..place]));
            let mut changed = bytes.clone();
            changed[place] ^= 0xff;
            if let Ok(texts) = read_texts(&Source::from_bytes(name, changed)) {
                let _ = read(texts.iter().map(|text| (&*text.key, &*text.text)));
            }
        }
    }
}
