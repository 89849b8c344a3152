//! What checkpoints are: descriptions of real models must be recognised as what they are.

use crate::support::{assert_none, files_below, short, testdata};
use ckpt::format;
use ckpt::model::{Beside, Checkpoint};
use ckpt::op::identity::{Identity, Kind, identify};
use serde_json::{Map, json};
use std::io::Write;
use std::path::Path;

/// A described model: what must be recognised, and its tensors.
struct Description {
    expected: Vec<(String, String)>,
    tensors: Vec<(String, String, Vec<u64>)>,
}

fn read_description(path: &Path) -> Description {
    let text = std::fs::read_to_string(path).unwrap();
    let mut description = Description {
        expected: Vec::new(),
        tensors: Vec::new(),
    };
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(expected) = line.strip_prefix("= ") {
            let (key, value) = expected.split_once(' ').unwrap();
            description
                .expected
                .push((key.to_owned(), value.to_owned()));
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let shape = words[2].split(',').filter(|word| !word.is_empty());
        let shape: Vec<u64> = shape.map(|word| word.parse().unwrap()).collect();
        for name in expand(words[0]) {
            description
                .tensors
                .push((name, words[1].to_owned(), shape.clone()));
        }
    }
    description
}

/// `a.{0-2}.b` as three names.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return vec![pattern.to_owned()];
    };
    let (range, after) = rest.split_once('}').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    let tails = expand(after);
    let name = |number: u64| {
        tails
            .iter()
            .map(move |tail| format!("{before}{number}{tail}"))
    };
    (first..=last).flat_map(name).collect()
}

/// A safetensors file with these tensors whose data is a hole.
fn open_as_safetensors(tensors: &[(String, String, Vec<u64>)]) -> Checkpoint {
    let mut header = Map::new();
    let mut end = 0u64;
    for (name, dtype, shape) in tensors {
        let bytes = match dtype.as_str() {
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" => 2,
            "I64" => 8,
            _ => 1,
        };
        let start = end;
        end += bytes * shape.iter().product::<u64>();
        header.insert(
            name.clone(),
            json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let text = serde_json::to_vec(&header).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&text).unwrap();
    file.as_file().set_len(8 + text.len() as u64 + end).unwrap();
    format::open(file.path()).unwrap()
}

/// What is wrong with the identity of a described model.
fn mismatches(identity: &Identity, description: &Description) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, expected) in &description.expected {
        let found = match key.as_str() {
            "kind" => Some(identity.kind.name().to_owned()),
            "family" => identity.family.clone(),
            "variant" => identity.variant.clone(),
            key => {
                let fact = identity.facts.iter().find(|fact| fact.name == *key);
                fact.map(|fact| fact.value.to_string())
            }
        };
        if found.as_ref() != Some(expected) {
            wrong.push(format!("{key} is {found:?}, expected {expected}"));
        }
    }
    wrong
}

#[test]
fn recognises_every_described_model() {
    let files = files_below(&testdata("identity"), &|name| name.ends_with(".txt"));
    assert!(files.len() > 150, "{} found", files.len());
    let mut failures = Vec::new();
    for path in files {
        let description = read_description(&path);
        let checkpoint = open_as_safetensors(&description.tensors);
        let identity = identify(&checkpoint, &Beside::default());
        let wrong = mismatches(&identity, &description);
        failures.extend(
            wrong
                .into_iter()
                .map(|text| format!("{}: {text}", short(&path))),
        );
        if identity.kind != Kind::Unknown && identity.evidence.is_empty() {
            failures.push(format!("{}: no evidence", short(&path)));
        }
    }
    assert_none("models are not recognised", &failures);
}

/// What must be recognised, and the tensors that a model has in its authors' own names.
type Signature<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, &'a [u64])]);

const KEY_NORM: (&str, &[u64]) = ("double_blocks.0.img_attn.norm.key_norm.scale", &[128]);
const INPUT_4: (&str, &[u64]) = ("input_blocks.0.0.weight", &[320, 4, 3, 3]);

/// In the authors' own layouts, by the keys and sizes that ComfyUI's `detect_unet_config` looks
/// at, nearest neighbours side by side.
#[test]
fn models_in_their_authors_names_are_told_from_their_neighbours() {
    const FIRST: &str = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
    const FOURTH: &str = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight";
    const DEEPEST: &str = "input_blocks.7.1.transformer_blocks.{0-9}.norm1.weight";
    let guidance: (&str, &[u64]) = ("guidance_in.in_layer.weight", &[3072, 256]);
    let refiner: (&str, &[u64]) = (
        "txt_in.individual_token_refiner.blocks.0.norm1.weight",
        &[3072],
    );
    let wan: (&str, &[u64]) = ("head.modulation", &[1, 2, 5120]);
    let patches = |channels: &'static [u64]| ("patch_embedding.weight", channels);
    let signatures: &[Signature<'_>] = &[
        ("sd1", Some("base"), &[INPUT_4, (FIRST, &[320, 768])]),
        (
            "sd1",
            Some("inpainting"),
            &[
                ("input_blocks.0.0.weight", &[320, 9, 3, 3]),
                (FIRST, &[320, 768]),
            ],
        ),
        (
            "sd1",
            Some("instruct-pix2pix"),
            &[
                ("input_blocks.0.0.weight", &[320, 8, 3, 3]),
                (FIRST, &[320, 768]),
            ],
        ),
        ("sd2", Some("base"), &[INPUT_4, (FIRST, &[320, 1024])]),
        (
            "sd2",
            Some("depth"),
            &[
                ("input_blocks.0.0.weight", &[320, 5, 3, 3]),
                (FIRST, &[320, 1024]),
            ],
        ),
        (
            "sd2",
            Some("unclip-h"),
            &[
                INPUT_4,
                (FIRST, &[320, 1024]),
                ("label_emb.0.0.weight", &[1280, 2048]),
            ],
        ),
        (
            "sdxl",
            Some("base"),
            &[INPUT_4, (FOURTH, &[640, 2048]), (DEEPEST, &[1280])],
        ),
        (
            "sdxl",
            Some("ssd-1b"),
            &[
                INPUT_4,
                (FOURTH, &[640, 2048]),
                (
                    "input_blocks.7.1.transformer_blocks.{0-3}.norm1.weight",
                    &[1280],
                ),
            ],
        ),
        (
            "sdxl-refiner",
            Some("refiner"),
            &[
                ("input_blocks.0.0.weight", &[384, 4, 3, 3]),
                (FOURTH, &[768, 1280]),
            ],
        ),
        (
            "svd",
            Some("svd"),
            &[
                ("input_blocks.0.0.weight", &[320, 8, 3, 3]),
                (FIRST, &[320, 1024]),
                ("input_blocks.1.0.time_stack.in_layers.0.weight", &[320]),
                ("label_emb.0.0.weight", &[1280, 768]),
            ],
        ),
        (
            "sd-x4-upscaler",
            None,
            &[
                ("input_blocks.0.0.weight", &[256, 7, 3, 3]),
                (FIRST, &[256, 1024]),
            ],
        ),
        (
            "sd3",
            Some("3-medium"),
            &[(
                "joint_blocks.{0-23}.context_block.attn.qkv.weight",
                &[4608, 1536],
            )],
        ),
        (
            "sd3",
            Some("3.5-large"),
            &[(
                "joint_blocks.{0-37}.context_block.attn.qkv.weight",
                &[7296, 2432],
            )],
        ),
        (
            "sd3",
            Some("3.5-medium"),
            &[
                (
                    "joint_blocks.{0-23}.context_block.attn.qkv.weight",
                    &[4608, 1536],
                ),
                ("joint_blocks.0.x_block.attn2.qkv.weight", &[4608, 1536]),
            ],
        ),
        (
            "stable-cascade",
            Some("stage-c"),
            &[
                ("clf.1.weight", &[16, 2048, 1, 1]),
                ("clip_txt_mapper.weight", &[2048, 1280]),
            ],
        ),
        (
            "stable-cascade",
            Some("stage-b"),
            &[
                ("clf.1.weight", &[16, 320, 1, 1]),
                ("clip_mapper.weight", &[5120, 1280]),
            ],
        ),
        (
            "auraflow",
            None,
            &[("double_layers.0.attn.w1q.weight", &[3072, 3072])],
        ),
        (
            "hunyuan-dit",
            Some("1.0 or 1.1"),
            &[
                ("mlp_t5.0.weight", &[8192, 2048]),
                ("extra_embedder.0.weight", &[5632, 3968]),
            ],
        ),
        (
            "hunyuan-video",
            Some("t2v"),
            &[
                refiner,
                ("img_in.proj.weight", &[3072, 16, 1, 2, 2]),
                ("vector_in.in_layer.weight", &[3072, 768]),
            ],
        ),
        (
            "hunyuan-video",
            Some("i2v"),
            &[
                refiner,
                ("img_in.proj.weight", &[3072, 33, 1, 2, 2]),
                ("vector_in.in_layer.weight", &[3072, 768]),
            ],
        ),
        (
            "hunyuan-video",
            Some("image 2.1"),
            &[refiner, ("img_in.proj.weight", &[3584, 64, 1, 1])],
        ),
        (
            "flux",
            Some("schnell"),
            &[KEY_NORM, ("img_in.weight", &[3072, 64])],
        ),
        (
            "flux",
            Some("dev"),
            &[KEY_NORM, ("img_in.weight", &[3072, 64]), guidance],
        ),
        (
            "flux",
            Some("fill"),
            &[KEY_NORM, ("img_in.weight", &[3072, 384]), guidance],
        ),
        (
            "flux2",
            None,
            &[
                KEY_NORM,
                ("img_in.weight", &[6144, 128]),
                ("double_stream_modulation_img.lin.weight", &[36864, 6144]),
            ],
        ),
        (
            "chroma",
            Some("chroma1"),
            &[
                KEY_NORM,
                ("img_in.weight", &[3072, 64]),
                ("distilled_guidance_layer.norms.0.scale", &[5120]),
            ],
        ),
        (
            "chroma",
            Some("radiance"),
            &[
                KEY_NORM,
                ("distilled_guidance_layer.norms.0.scale", &[5120]),
                ("nerf_blocks.0.norm.scale", &[64]),
            ],
        ),
        (
            "longcat-image",
            None,
            &[
                KEY_NORM,
                ("img_in.weight", &[3072, 64]),
                ("txt_in.weight", &[3072, 3584]),
            ],
        ),
        ("mochi", None, &[("t5_yproj.weight", &[1536, 4096])]),
        (
            "ltx-video",
            None,
            &[("adaln_single.emb.timestep_embedder.linear_1.bias", &[2048])],
        ),
        (
            "ltx-av",
            None,
            &[
                ("adaln_single.emb.timestep_embedder.linear_1.bias", &[4096]),
                ("audio_adaln_single.linear.weight", &[12288, 2048]),
            ],
        ),
        (
            "pixart",
            Some("alpha"),
            &[
                ("t_block.1.weight", &[6912, 1152]),
                ("ar_embedder.mlp.0.weight", &[384, 256]),
            ],
        ),
        (
            "pixart",
            Some("sigma"),
            &[("t_block.1.weight", &[6912, 1152])],
        ),
        (
            "cosmos",
            Some("7b text2world"),
            &[(
                "blocks.block0.blocks.0.block.attn.to_q.0.weight",
                &[4096, 4096],
            )],
        ),
        (
            "lumina2",
            Some("lumina-image-2.0"),
            &[
                ("cap_embedder.1.weight", &[2304, 2304]),
                ("context_refiner.0.attention.qkv.weight", &[3840, 2304]),
            ],
        ),
        (
            "z-image",
            Some("z-image"),
            &[
                ("cap_embedder.1.weight", &[3840, 2560]),
                ("noise_refiner.0.attention.k_norm.weight", &[128]),
            ],
        ),
        (
            "cogvideox",
            Some("1.5"),
            &[
                ("blocks.0.norm1.linear.weight", &[18432, 512]),
                ("patch_embed.proj.weight", &[3072, 256]),
            ],
        ),
        (
            "seedvr2",
            Some("7b"),
            &[("blocks.{0-35}.mlp.vid.proj_out.weight", &[3072, 12288])],
        ),
        (
            "wan",
            Some("t2v 14b"),
            &[wan, patches(&[5120, 16, 1, 2, 2])],
        ),
        (
            "wan",
            Some("2.2 i2v"),
            &[wan, patches(&[5120, 36, 1, 2, 2])],
        ),
        (
            "wan",
            Some("i2v"),
            &[
                wan,
                patches(&[5120, 36, 1, 2, 2]),
                ("img_emb.proj.0.bias", &[1280]),
            ],
        ),
        (
            "wan",
            Some("vace"),
            &[
                wan,
                patches(&[5120, 16, 1, 2, 2]),
                ("vace_patch_embedding.weight", &[5120, 96, 1, 2, 2]),
            ],
        ),
        (
            "wan",
            Some("2.2 ti2v 5b"),
            &[
                ("head.modulation", &[1, 2, 3072]),
                ("head.head.weight", &[192, 3072]),
            ],
        ),
        (
            "hunyuan3d",
            Some("2 mini"),
            &[
                ("latent_in.weight", &[1024, 64]),
                ("double_blocks.{0-7}.img_attn.qkv.weight", &[3072, 1024]),
            ],
        ),
        (
            "hidream",
            Some("i1"),
            &[
                ("caption_projection.0.linear.weight", &[2560, 4096]),
                ("double_stream_blocks.0.block.ff_i.gate.weight", &[4, 2560]),
            ],
        ),
        (
            "cosmos-predict2",
            Some("2b"),
            &[("blocks.0.mlp.layer1.weight", &[8192, 2048])],
        ),
        (
            "cosmos-predict2",
            Some("anima"),
            &[
                ("blocks.0.mlp.layer1.weight", &[8192, 2048]),
                (
                    "llm_adapter.blocks.0.cross_attn.q_proj.weight",
                    &[1024, 1024],
                ),
            ],
        ),
        (
            "qwen-image",
            Some("base or edit"),
            &[
                ("txt_norm.weight", &[3584]),
                ("transformer_blocks.0.img_mod.1.weight", &[18432, 3072]),
            ],
        ),
        (
            "kandinsky5",
            Some("pro"),
            &[
                (
                    "visual_transformer_blocks.0.cross_attention.key_norm.weight",
                    &[128],
                ),
                ("visual_embeddings.in_layer.weight", &[4096, 132]),
            ],
        ),
    ];
    let mut failures = Vec::new();
    for prefix in ["", "model.diffusion_model."] {
        for (family, variant, shapes) in signatures {
            let mut tensors = Vec::new();
            for (pattern, shape) in *shapes {
                let names = expand(pattern).into_iter();
                tensors.extend(
                    names.map(|name| (format!("{prefix}{name}"), "F16".to_owned(), shape.to_vec())),
                );
            }
            let identity = identify(&open_as_safetensors(&tensors), &Beside::default());
            let found = (identity.family.as_deref(), identity.variant.as_deref());
            if (identity.kind, found) != (Kind::Model, (Some(*family), *variant)) {
                failures.push(format!(
                    "`{prefix}` {family} {variant:?}: found {:?} {found:?}",
                    identity.kind
                ));
            }
        }
    }
    assert_none("models are taken for others", &failures);
}

/// Stored and logical parameters of tensors of `(name, dtype, shape)`, with a configuration.
fn counted(config: &str, tensors: &[(&str, &str, &[u64])]) -> (u64, u64) {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, dtype, shape)| ((*name).to_owned(), (*dtype).to_owned(), shape.to_vec()))
        .collect();
    let beside = Beside {
        config: (!config.is_empty()).then(|| ckpt::model::json::parse(config).unwrap()),
        ..Beside::default()
    };
    let identity = identify(&open_as_safetensors(&tensors), &beside);
    (identity.parameters.stored, identity.parameters.logical)
}

/// A layer of 4096 x 4096 weights, as each way of quantising it stores it: the weights are what
/// counts.
#[test]
fn quantised_weights_count_as_the_weights_they_stand_for() {
    let logical = 4096 * 4096;
    let of = |config: &str, tensors: &[(&str, &str, &[u64])]| counted(config, tensors).1;
    let gptq: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[512, 4096]),
        ("l.qzeros", "I32", &[32, 512]),
        ("l.scales", "F16", &[32, 4096]),
        ("l.g_idx", "I32", &[4096]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "gptq", "bits": 4}}"#;
    assert_eq!(of(config, gptq), logical);
    let gptq8: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[1024, 4096]),
        ("l.scales", "F16", &[32, 4096]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "gptq", "bits": 8}}"#;
    assert_eq!(of(config, gptq8), logical);
    let awq: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[4096, 512]),
        ("l.qzeros", "I32", &[32, 512]),
        ("l.scales", "F16", &[32, 4096]),
    ];
    assert_eq!(of("", awq), logical);
    let bitsandbytes: &[(&str, &str, &[u64])] = &[
        ("l.weight", "U8", &[8_388_608, 1]),
        ("l.weight.absmax", "U8", &[262_144]),
        ("l.weight.quant_map", "F32", &[16]),
        ("l.weight.nested_absmax", "F32", &[1024]),
        ("l.weight.quant_state.bitsandbytes__nf4", "U8", &[100]),
    ];
    assert_eq!(of("", bitsandbytes), logical);
    let packed: &[(&str, &str, &[u64])] = &[
        ("l.weight_packed", "I32", &[4096, 512]),
        ("l.weight_scale", "BF16", &[4096, 32]),
        ("l.weight_shape", "I64", &[2]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}}"#;
    assert_eq!(of(config, packed), logical);
    let mxfp4: &[(&str, &str, &[u64])] = &[
        ("l.down_proj_blocks", "U8", &[1, 4096, 128, 16]),
        ("l.down_proj_scales", "U8", &[1, 4096, 128]),
    ];
    assert_eq!(of("", mxfp4), logical);
    let fp8: &[(&str, &str, &[u64])] = &[
        ("l.weight", "F8_E4M3", &[4096, 4096]),
        ("l.weight_scale_inv", "F32", &[32, 32]),
    ];
    assert_eq!(counted("", fp8), (logical + 1024, logical));
    let plain: &[(&str, &str, &[u64])] = &[
        ("l.weight", "BF16", &[4096, 4096]),
        ("l.scales", "F32", &[3]),
    ];
    assert_eq!(of("", plain), logical + 3);
}
