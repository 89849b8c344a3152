//! What a file is, as far as names and shapes leave no doubt, and whether it is safe.

use crate::model::{Checkpoint, Level, Note, Tensor};
use crate::op::audit::{Family as RuleFamily, find_rule};
use std::fmt;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Checkpoint,
    DiffusionModel,
    Lora,
    Vae,
    TextEncoder,
    ControlNet,
    Upscaler,
    Embedding,
}

impl Kind {
    /// As in "is a LoRA".
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Checkpoint => "a whole checkpoint",
            Kind::DiffusionModel => "a diffusion model",
            Kind::Lora => "a LoRA",
            Kind::Vae => "a VAE",
            Kind::TextEncoder => "a text encoder",
            Kind::ControlNet => "a ControlNet",
            Kind::Upscaler => "an upscaler",
            Kind::Embedding => "an embedding",
        }
    }

    /// Whether a loader that looks in `folder` can use it.
    pub(super) fn fits(self, folder: &str) -> bool {
        match folder {
            "checkpoints" | "diffusion_models" => {
                matches!(self, Kind::Checkpoint | Kind::DiffusionModel)
            }
            "loras" => self == Kind::Lora,
            "vae" => self == Kind::Vae,
            "text_encoders" => self == Kind::TextEncoder,
            "controlnet" => self == Kind::ControlNet,
            "upscale_models" => self == Kind::Upscaler,
            "embeddings" => self == Kind::Embedding,
            _ => true,
        }
    }
}

/// For which base model a file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// A UNet with cross-attention to so many features: 768 is SD 1.x, 1024 SD 2.x, 2048 SDXL.
    Unet(u64),
    /// A transformer with two streams, as Flux is.
    DoubleStream,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Family::Unet(768) => f.write_str("SD 1.x"),
            Family::Unet(1024) => f.write_str("SD 2.x"),
            Family::Unet(1280) => f.write_str("SDXL refiner"),
            Family::Unet(2048) => f.write_str("SDXL"),
            Family::Unet(width) => write!(f, "a UNet with cross-attention over {width}"),
            Family::DoubleStream => f.write_str("Flux or its kin"),
        }
    }
}

/// What the header of a file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgement {
    pub(super) kind: Option<Kind>,
    pub(super) family: Option<Family>,
    /// What a program that trusts the file would run.
    pub(super) danger: Option<String>,
}

/// Judges a file by its header.
pub(super) fn judge(checkpoint: &Checkpoint) -> Judgement {
    let tensors = &checkpoint.tensors;
    Judgement {
        kind: kind(tensors),
        family: tensors.iter().find_map(family),
        danger: danger(checkpoint),
    }
}

fn danger(checkpoint: &Checkpoint) -> Option<String> {
    // As `audit` judges: what would run code, calls what nobody knows, or cannot be followed.
    let is_bad = |note: &&Note| {
        let is_safety = find_rule(note.rule).is_some_and(|rule| rule.family == RuleFamily::Safety);
        note.level >= Level::Error && is_safety
    };
    let notes = checkpoint.notes.iter().filter(is_bad);
    // The summary of a reader says less.
    let worst = notes.max_by_key(|note| (note.level, note.rule != "would-import"));
    worst.map(|note| note.text.clone())
}

/// Ends of names that only adapters have.
const LORA: &[&str] = &[
    ".lora_down.weight",
    ".lora_up.weight",
    ".lora_A.weight",
    ".lora_B.weight",
    ".lora.down.weight",
    ".lora.up.weight",
    "_lora.down.weight",
    "_lora.up.weight",
    ".hada_w1_a",
    ".hada_w1_b",
    ".hada_w2_a",
    ".hada_w2_b",
    ".lokr_w1",
    ".lokr_w2",
];

/// Beginnings and parts of names, of which one tells the kind. The first that holds decides.
fn kind(tensors: &[Tensor]) -> Option<Kind> {
    let starts = |start: &str| tensors.iter().any(|t| t.name.starts_with(start));
    let contains = |part: &str| tensors.iter().any(|t| t.name.contains(part));
    let has = |name: &str| tensors.iter().any(|t| t.name == name);
    let is_lora = |tensor: &&Tensor| LORA.iter().any(|end| tensor.name.ends_with(end));
    let loras = tensors.iter().filter(is_lora).count();
    // Alphas and scales stand beside them, so a third is most.
    if loras > 0 && loras * 3 >= tensors.len() {
        return Some(Kind::Lora);
    }
    let is_control = starts("control_model.")
        || has("input_hint_block.0.weight")
        || starts("controlnet_cond_embedding.")
        || starts("controlnet_blocks.")
        || has("lora_controlnet");
    if is_control && !starts("model.diffusion_model.input_blocks.") {
        return Some(Kind::ControlNet);
    }
    if starts("model.diffusion_model.") {
        let companions = [
            "first_stage_model.",
            "cond_stage_model.",
            "conditioner.",
            "vae.",
        ];
        let has_more = companions.iter().any(|start| starts(start)) || starts("text_encoders.");
        return Some(match has_more {
            true => Kind::Checkpoint,
            false => Kind::DiffusionModel,
        });
    }
    let is_unet = starts("input_blocks.0.0.") && starts("output_blocks.");
    let is_diffusers = starts("down_blocks.") && starts("up_blocks.") && starts("time_embedding.");
    let is_transformer = starts("double_blocks.0.img_attn.") || starts("joint_blocks.0.x_block.");
    if is_unet || is_diffusers || is_transformer {
        return Some(Kind::DiffusionModel);
    }
    let is_vae = |start: &str| {
        has(&format!("{start}encoder.conv_in.weight"))
            && has(&format!("{start}decoder.conv_in.weight"))
    };
    if is_vae("") || is_vae("first_stage_model.") {
        return Some(Kind::Vae);
    }
    if contains("vision_model.") || starts("visual.") {
        return None;
    }
    let is_encoder = contains("text_model.encoder.layers.0.")
        || has("encoder.block.0.layer.0.SelfAttention.k.weight");
    if is_encoder {
        return Some(Kind::TextEncoder);
    }
    if starts("body.0.rdb1.conv1.") || starts("model.1.sub.0.RDB1.conv1.") {
        return Some(Kind::Upscaler);
    }
    let is_small = tensors.len() <= 4;
    let embedding = ["emb_params", "clip_l", "clip_g", "string_to_param.*"];
    (is_small && embedding.iter().any(|name| has(name))).then_some(Kind::Embedding)
}

/// The family that one tensor proves.
fn family(tensor: &Tensor) -> Option<Family> {
    let name = tensor.name.as_str();
    if name.contains("double_blocks") {
        return Some(Family::DoubleStream);
    }
    // Other models have cross-attention under the same name; only UNets have these parts.
    let parts = [
        "input_blocks",
        "down_blocks",
        "middle_block",
        "mid_block",
        "output_blocks",
        "up_blocks",
    ];
    if !parts.iter().any(|part| name.contains(part)) {
        return None;
    }
    let (_, end) = name.split_once("attn2")?;
    let end = end
        .trim_start_matches(".processor")
        .trim_start_matches(['.', '_']);
    let ends = [
        "to_k.weight",
        "to_k.lora_down.weight",
        "to_k.lora_A.weight",
        "to_k.lora.down.weight",
        "to_k_lora.down.weight",
        "to_k.hada_w1_b",
    ];
    if !ends.contains(&end) {
        return None;
    }
    let width = *tensor.shape.dimensions().get(1)?;
    Some(Family::Unet(width))
}
