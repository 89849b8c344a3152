//! What a file is for, where a workflow may load it, and whether it is safe.

use crate::model::{Beside, Checkpoint, Level};
use crate::op::identity::{Domain, Identity, Kind, identify};

/// What the header of a file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgement {
    /// What it is, if that is known.
    pub(super) identity: Option<Identity>,
    /// What a program that trusts the file would run.
    pub(super) danger: Option<String>,
}

/// Judges a file by its header.
pub(super) fn judge(checkpoint: &Checkpoint) -> Judgement {
    let identity = identify(checkpoint, &Beside::default());
    Judgement {
        identity: Some(identity).filter(|identity| identity.kind != Kind::Unknown),
        danger: danger(checkpoint),
    }
}

fn danger(checkpoint: &Checkpoint) -> Option<String> {
    let is_bad = |level: Level, rule: &str| {
        level == Level::Danger || (rule == "would-import" && level >= Level::Warning)
    };
    let notes = checkpoint.notes.iter();
    let worst = notes
        .filter(|note| is_bad(note.level, note.rule))
        .max_by_key(|note| note.level);
    worst.map(|note| note.text.clone())
}

/// Folders of ComfyUI and what their loaders can use. A folder that is not listed takes
/// anything.
pub(super) fn fits(identity: &Identity, folder: &str) -> bool {
    let kind = identity.kind;
    let is_diffusion = identity
        .domain
        .is_none_or(|domain| domain == Domain::Diffusion);
    match folder {
        "checkpoints" | "diffusion_models" => {
            matches!(kind, Kind::Model | Kind::TrainingCheckpoint) && is_diffusion
        }
        "loras" => kind == Kind::Adapter,
        "vae" => kind == Kind::Vae,
        // Language models serve as encoders; CLIP's text part is taken out of the whole.
        "text_encoders" => {
            kind == Kind::TextEncoder
                || kind == Kind::Model && identity.domain != Some(Domain::Diffusion)
        }
        "clip_vision" => kind == Kind::VisionEncoder || kind == Kind::Model && !is_diffusion,
        "controlnet" => kind == Kind::ControlNet,
        "style_models" => matches!(kind, Kind::StyleModel | Kind::IpAdapter),
        "upscale_models" => kind == Kind::Upscaler,
        "embeddings" => kind == Kind::Embedding,
        "hypernetworks" => kind == Kind::Hypernetwork,
        _ => true,
    }
}

/// As in "is a LoRA".
pub(super) fn phrase(identity: &Identity) -> String {
    let name = identity.name.as_deref();
    match (identity.kind, &identity.adapter, name) {
        (Kind::Adapter, Some(adapter), _) => match adapter.methods().first() {
            Some((method, _)) => format!("a {}", method.name()),
            None => "an adapter".to_owned(),
        },
        (Kind::Model, _, Some(name)) => format!("a model: {name}"),
        (kind, _, _) => kind.phrase().to_owned(),
    }
}

/// Families of diffusion models that adapters are made for, and those that they fit as well,
/// being of the same build.
const FAMILIES: &[(&str, &[&str])] = &[
    ("sd1", &[]),
    ("sd2", &[]),
    ("sdxl", &[]),
    ("sdxl-refiner", &[]),
    ("sd3", &[]),
    ("flux", &["chroma", "longcat-image", "ovis-image", "bria"]),
    ("flux2", &[]),
    ("chroma", &["flux"]),
    ("wan", &[]),
    ("hunyuan-video", &[]),
    ("qwen-image", &[]),
    ("z-image", &[]),
    ("lumina2", &[]),
    ("auraflow", &[]),
    ("ltx-video", &["ltx-av"]),
    ("pixart", &[]),
    ("cogvideox", &[]),
    ("hidream", &[]),
];

/// The family of a file, if it is one that adapters and models are compared by.
pub(super) fn family(identity: &Identity) -> Option<(&'static str, String)> {
    let own = identity.family.as_deref()?;
    let (family, _) = FAMILIES.iter().find(|(family, _)| *family == own)?;
    let name = identity.name.as_deref().unwrap_or(own);
    // A ControlNet's name says both what it is and what it is for.
    let name = name.rsplit_once(" for ").map_or(name, |(_, base)| base);
    Some((family, name.to_owned()))
}

/// Whether what is made for `family` can be applied to a model of `base`.
pub(super) fn is_of(family: &str, base: &str) -> bool {
    let row = FAMILIES.iter().find(|(known, _)| *known == family);
    family == base || row.is_some_and(|(_, others)| others.contains(&base))
}
