//! One part of a checkpoint, under the names that its own loaders expect.
//!
//! | part | names afterwards | loaded by |
//! |---|---|---|
//! | `unet`, `transformer` | those of its authors, or of diffusers | ComfyUI `diffusion_models`; diffusers |
//! | `vae` | `encoder.`, `decoder.`, ... | A1111, ComfyUI `vae`; diffusers |
//! | `text-encoder`, `-2`, ... | `text_model.` (CLIP), `encoder.block.` (T5) | transformers, ComfyUI `text_encoders` |
//! | `vision-encoder`, `language-model`, ... | without the whole's prefix | transformers |
//! | `lora` | PEFT's, or as they stand | PEFT, A1111, ComfyUI `loras` |
//!
//! Sources: ComfyUI, `comfy/sd.py` (`load_diffusion_model_state_dict`, `load_clip`, `VAE`) and
//! `comfy/clip_vision.py`; A1111, `modules/sd_vae.py`; diffusers, `single_file_utils.py`; PEFT,
//! `utils/save_and_load.py`.

use super::draft::{Draft, Item};
use super::open_clip;
use crate::error::{Error, Result};
use crate::model::{Beside, Checkpoint};
use crate::op::identity::{self, adapter};
use std::collections::HashSet;

/// Why what belongs to other parts goes.
const OTHER: &str = "another part";

/// One part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called on the command line.
    pub name: String,
    /// What it is, if that is known.
    pub about: Option<&'static str>,
    /// What stands before its names, of which the first is shown.
    pub prefix: String,
    /// Tensors.
    pub tensors: u64,
    /// Their bytes, those of tied ones once.
    pub bytes: u64,
    /// Which items of the draft.
    items: Vec<usize>,
}

/// Where a part stands, and what becomes of the beginning of its names.
struct Place {
    part: &'static str,
    prefix: &'static str,
    becomes: &'static str,
    when: When,
}

/// When a place is what it looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// In a diffusers pipeline: `transformer.` stands before the names of GPT-2, too.
    Pipeline,
    /// Beside a part that sees: `model.` may be all there is.
    Vision,
}

const fn place(part: &'static str, prefix: &'static str, becomes: &'static str) -> Place {
    Place {
        part,
        prefix,
        becomes,
        when: When::Always,
    }
}

const fn pipeline(part: &'static str, prefix: &'static str) -> Place {
    Place {
        when: When::Pipeline,
        ..place(part, prefix, "")
    }
}

const fn beside_vision(part: &'static str, prefix: &'static str, becomes: &'static str) -> Place {
    Place {
        when: When::Vision,
        ..place(part, prefix, becomes)
    }
}

/// A text encoder: they are numbered as they come.
const ENCODER: &str = "text-encoder";

/// What denoises; called `transformer` if it has no U.
const DENOISER: &str = "unet";

/// Parts and where they stand, in the order in which they are listed. A part may have several
/// places; the first that fits a name counts.
const PLACES: &[Place] = &[
    place(DENOISER, "model.diffusion_model.", ""),
    place(DENOISER, "diffusion_model.", ""),
    pipeline(DENOISER, "unet."),
    pipeline(DENOISER, "transformer."),
    pipeline("transformer-2", "transformer_2."),
    pipeline("prior", "prior."),
    place("vae", "first_stage_model.", ""),
    pipeline("vae", "vae."),
    pipeline("audio-vae", "audio_vae."),
    place(ENCODER, "cond_stage_model.transformer.", ""),
    place(ENCODER, "cond_stage_model.model.", ""),
    place(ENCODER, "conditioner.embedders.0.transformer.", ""),
    place(
        "image-encoder",
        "conditioner.embedders.0.open_clip.model.",
        "",
    ),
    place(ENCODER, "conditioner.embedders.0.model.", ""),
    place(ENCODER, "conditioner.embedders.1.transformer.", ""),
    place(ENCODER, "conditioner.embedders.1.model.", ""),
    place(ENCODER, "text_encoders.clip_l.transformer.", ""),
    place(ENCODER, "text_encoders.clip_g.transformer.", ""),
    place(ENCODER, "text_encoders.clip_h.transformer.", ""),
    place(ENCODER, "text_encoders.t5xxl.transformer.", ""),
    place(ENCODER, "text_encoders.t5xl.transformer.", ""),
    place(ENCODER, "text_encoders.t5base.transformer.", ""),
    place(ENCODER, "text_encoders.umt5xxl.transformer.", ""),
    place(ENCODER, "text_encoders.pile_t5xl.transformer.", ""),
    place(ENCODER, "text_encoders.gemma2_2b.transformer.", ""),
    place(ENCODER, "text_encoders.qwen25_7b.transformer.", ""),
    place(ENCODER, "text_encoders.llama.transformer.", ""),
    pipeline(ENCODER, "text_encoder."),
    pipeline(ENCODER, "text_encoder_2."),
    pipeline(ENCODER, "text_encoder_3."),
    pipeline(ENCODER, "text_encoder_4."),
    pipeline("image-encoder", "image_encoder."),
    pipeline("safety-checker", "safety_checker."),
    pipeline("controlnet", "controlnet."),
    place("controlnet", "control_model.", ""),
    place("vision-encoder", "vision_tower.", ""),
    place("vision-encoder", "model.vision_tower.", ""),
    place("vision-encoder", "visual.", ""),
    place("vision-encoder", "model.visual.", ""),
    place("vision-encoder", "vision_model.", "vision_model."),
    place("vision-encoder", "visual_projection.", "visual_projection."),
    beside_vision(ENCODER, "text_model.", "text_model."),
    beside_vision(ENCODER, "text_projection.", "text_projection."),
    place("projector", "multi_modal_projector.", ""),
    place("projector", "model.multi_modal_projector.", ""),
    place("audio-encoder", "audio_tower.", ""),
    place("audio-encoder", "model.audio_tower.", ""),
    place("language-model", "language_model.", ""),
    place("language-model", "model.language_model.", "model."),
    beside_vision("language-model", "lm_head.", "lm_head."),
];

/// The parts of the model in `draft`, in the order of the table.
pub(super) fn parts(draft: &Draft) -> Vec<Part> {
    let model: Vec<(usize, &str)> = draft
        .items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.is_model)
        .map(|(index, item)| (index, item.tensor.name.as_str()))
        .collect();
    let has = |prefix: &str| model.iter().any(|(_, name)| name.starts_with(prefix));
    let is_pipeline = has("vae.") || has("text_encoder.");
    let sees = PLACES.iter().any(|place| {
        place.part == "vision-encoder" && place.when == When::Always && has(place.prefix)
    });
    let mut parts: Vec<Part> = Vec::new();
    let mut encoders = 0u32;
    for place in PLACES {
        let counts = match place.when {
            When::Always => true,
            When::Pipeline => is_pipeline,
            When::Vision => sees,
        };
        let below = model
            .iter()
            .filter(|(_, name)| name.starts_with(place.prefix));
        let items: Vec<usize> = below.map(|(index, _)| *index).collect();
        if !counts || items.is_empty() {
            continue;
        }
        let name = name_of(place, &model, &mut encoders);
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => part.items.extend(items),
            None => parts.push(Part {
                name,
                about: None,
                prefix: place.prefix.to_owned(),
                tensors: 0,
                bytes: 0,
                items,
            }),
        }
    }
    parts.extend(adapter_part(&model));
    measure(draft, &mut parts);
    describe(draft, &mut parts);
    parts
}

/// What the part at `place` is called: a second text encoder `text-encoder-2`.
fn name_of(place: &Place, model: &[(usize, &str)], encoders: &mut u32) -> String {
    let below = |start: &str| {
        let is_there = |(_, name): &(usize, &str)| {
            let rest = name.strip_prefix(place.prefix);
            rest.is_some_and(|rest| rest.starts_with(start))
        };
        model.iter().any(is_there)
    };
    match place.part {
        ENCODER if place.prefix != "text_projection." => {
            *encoders += 1;
            match *encoders {
                1 => ENCODER.to_owned(),
                number => format!("{ENCODER}-{number}"),
            }
        }
        DENOISER if !below("input_blocks.") && !below("down_blocks.") => "transformer".to_owned(),
        part => part.to_owned(),
    }
}

/// The tensors of modules that have a low-rank pair or its like.
fn adapter_part(model: &[(usize, &str)]) -> Option<Part> {
    let items = adapter::members(model.iter().map(|(_, name)| *name));
    let members = model.iter().zip(items).filter(|(_, is_member)| *is_member);
    let items: Vec<usize> = members.map(|((index, _), _)| *index).collect();
    (!items.is_empty()).then(|| Part {
        name: "lora".to_owned(),
        about: Some("adapter"),
        prefix: String::new(),
        tensors: 0,
        bytes: 0,
        items,
    })
}

fn measure(draft: &Draft, parts: &mut [Part]) {
    for part in parts {
        part.tensors = part.items.len() as u64;
        let items = part.items.iter().map(|&index| &draft.items[index].tensor);
        let own = items.filter(|tensor| tensor.tied_to.is_none());
        part.bytes = own.filter_map(|tensor| tensor.byte_len()).sum();
    }
}

/// Says what each part is, where the rules that recognise models know it.
fn describe(draft: &Draft, parts: &mut [Part]) {
    let model = draft.items.iter().filter(|item| item.is_model);
    let checkpoint = Checkpoint {
        tensors: model.map(|item| item.tensor.clone()).collect(),
        ..Checkpoint::default()
    };
    let components = identity::identify(&checkpoint, &Beside::default()).components;
    for part in parts.iter_mut().filter(|part| part.about.is_none()) {
        let stem = part.prefix.trim_end_matches("model.");
        let known = components
            .iter()
            .find(|component| component.prefix == part.prefix)
            .or_else(|| {
                components
                    .iter()
                    .find(|c| !stem.is_empty() && c.prefix.starts_with(stem))
            });
        part.about = known.map(|component| component.name);
    }
}

/// Leaves the part called `asked`, under its own names.
///
/// Errors: `Usage` if there is no such part.
pub(super) fn extract(draft: &mut Draft, asked: &str) -> Result<Part> {
    let parts = parts(draft);
    let part = find(&parts, asked)?;
    let chosen: HashSet<usize> = part.items.iter().copied().collect();
    let mut index = 0;
    draft.drop_where(|item| {
        index += 1;
        let stays = chosen.contains(&(index - 1)) || item.is_pinned;
        (!stays).then_some(OTHER)
    });
    for item in draft.items.iter_mut().filter(|item| item.is_model) {
        rename(item, &part.name);
    }
    if part.name.starts_with(ENCODER) {
        open_clip::into_transformers(draft)?;
    }
    Ok(part.clone())
}

fn find<'a>(parts: &'a [Part], asked: &str) -> Result<&'a Part> {
    let asked = asked.to_ascii_lowercase().replace('_', "-");
    let named = |name: &str| parts.iter().find(|part| part.name == name);
    let found = named(&asked).or_else(|| match asked.as_str() {
        "unet" | "transformer" | "diffusion-model" => {
            named("unet").or_else(|| named("transformer"))
        }
        "adapter" => named("lora"),
        "text-encoder-1" => named(ENCODER),
        _ => None,
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let error = match names.is_empty() {
            true => Error::usage(format!(
                "has no part `{asked}`, nor any other that is known"
            )),
            false => Error::usage(format!(
                "has no part `{asked}`; there are {}",
                names.join(", ")
            )),
        };
        error.with_hint("`--component list` says what each is")
    })
}

/// Takes the whole's prefix off, and of an adapter what PEFT takes off when it saves.
fn rename(item: &mut Item, part: &str) {
    let name = &item.tensor.name;
    if part == "lora" {
        item.tensor.name = adapter::saved_name(name);
        return;
    }
    let mut places = PLACES.iter();
    if let Some(place) = places.find(|place| name.starts_with(place.prefix)) {
        item.tensor.name = format!("{}{}", place.becomes, &name[place.prefix.len()..]);
    }
}
