//! Which inputs of which nodes name model files, as tables.

/// One kind of node: its widgets in order, each with the folder it names a file of; `""` for a
/// widget that names none.
pub(super) struct Loader {
    pub(super) class: &'static str,
    pub(super) widgets: &'static [(&'static str, &'static str)],
}

const CHECKPOINT: &[(&str, &str)] = &[("ckpt_name", "checkpoints")];
const LORA: &[(&str, &str)] = &[
    ("lora_name", "loras"),
    ("strength_model", ""),
    ("strength_clip", ""),
];
const CONTROLNET: &[(&str, &str)] = &[("control_net_name", "controlnet")];
const UNET: &[(&str, &str)] = &[("unet_name", "diffusion_models")];
const CLIP: &[(&str, &str)] = &[("clip_name", "text_encoders"), ("type", "")];
const CLIP_2: &[(&str, &str)] = &[
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("type", ""),
];
const CLIP_3: &[(&str, &str)] = &[
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("clip_name3", "text_encoders"),
];
const CLIP_4: &[(&str, &str)] = &[
    ("clip_name1", "text_encoders"),
    ("clip_name2", "text_encoders"),
    ("clip_name3", "text_encoders"),
    ("clip_name4", "text_encoders"),
];

const fn loader(class: &'static str, widgets: &'static [(&'static str, &'static str)]) -> Loader {
    Loader { class, widgets }
}

/// The nodes of ComfyUI itself (`nodes.py`, `comfy_extras`) and of ComfyUI-GGUF.
#[rustfmt::skip]
pub(super) const LOADERS: &[Loader] = &[
    loader("CheckpointLoaderSimple", CHECKPOINT),
    loader("CheckpointLoader", &[("config_name", "configs"), ("ckpt_name", "checkpoints")]),
    loader("unCLIPCheckpointLoader", CHECKPOINT),
    loader("ImageOnlyCheckpointLoader", CHECKPOINT),
    loader("CreateHookModelAsLora", CHECKPOINT),
    loader("CreateHookModelAsLoraModelOnly", CHECKPOINT),
    loader("DiffusersLoader", &[("model_path", "diffusers")]),
    loader("UNETLoader", &[("unet_name", "diffusion_models"), ("weight_dtype", "")]),
    loader("VAELoader", &[("vae_name", "vae")]),
    loader("CLIPLoader", &[("clip_name", "text_encoders"), ("type", ""), ("device", "")]),
    loader("DualCLIPLoader", CLIP_2),
    loader("TripleCLIPLoader", CLIP_3),
    loader("QuadrupleCLIPLoader", CLIP_4),
    loader("CLIPVisionLoader", &[("clip_name", "clip_vision")]),
    loader("LoraLoader", LORA),
    loader("LoraLoaderModelOnly", LORA),
    loader("CreateHookLora", LORA),
    loader("CreateHookLoraModelOnly", LORA),
    loader("ControlNetLoader", CONTROLNET),
    loader("DiffControlNetLoader", CONTROLNET),
    loader("StyleModelLoader", &[("style_model_name", "style_models")]),
    loader("GLIGENLoader", &[("gligen_name", "gligen")]),
    loader("HypernetworkLoader", &[("hypernetwork_name", "hypernetworks")]),
    loader("UpscaleModelLoader", &[("model_name", "upscale_models")]),
    loader("LatentUpscaleModelLoader", &[("model_name", "latent_upscale_models")]),
    loader("PhotoMakerLoader", &[("photomaker_model_name", "photomaker")]),
    loader("ModelPatchLoader", &[("name", "model_patches")]),
    loader("AudioEncoderLoader", &[("audio_encoder_name", "audio_encoders")]),
    loader("UnetLoaderGGUF", UNET),
    loader("UnetLoaderGGUFAdvanced", UNET),
    loader("CLIPLoaderGGUF", CLIP),
    loader("DualCLIPLoaderGGUF", CLIP_2),
    loader("TripleCLIPLoaderGGUF", CLIP_3),
    loader("QuadrupleCLIPLoaderGGUF", CLIP_4),
];

/// Where an input of a node that is not in [`LOADERS`] most likely looks: the first row whose
/// beginning its name has.
const INPUTS: &[(&str, &str)] = &[
    ("ckpt", "checkpoints"),
    ("checkpoint", "checkpoints"),
    ("base_ckpt", "checkpoints"),
    ("refiner_ckpt", "checkpoints"),
    ("lora", "loras"),
    ("vae", "vae"),
    ("unet", "diffusion_models"),
    ("diffusion_model", "diffusion_models"),
    ("clip_vision", "clip_vision"),
    ("clip", "text_encoders"),
    ("text_encoder", "text_encoders"),
    ("control_net", "controlnet"),
    ("controlnet", "controlnet"),
    ("upscale_model", "upscale_models"),
    ("style_model", "style_models"),
    ("hypernetwork", "hypernetworks"),
    ("embedding", "embeddings"),
    ("ipadapter", "ipadapter"),
];

/// Nodes whose text is for people.
const NOTES: &[&str] = &["Note", "MarkdownNote", "Label (rgthree)"];

/// Nodes that give others a text and do nothing themselves.
const PRIMITIVES: &[&str] = &[
    "PrimitiveNode",
    "PrimitiveString",
    "PrimitiveStringMultiline",
];

/// Values of a widget that name no file.
const NO_FILE: &[&str] = &[
    "",
    "none",
    "[none]",
    "null",
    "default",
    "baked vae",
    "pixel_space",
];

/// Extensions of model files, by which values of unknown nodes are recognised.
const EXTENSIONS: &[&str] = &[
    "safetensors",
    "sft",
    "ckpt",
    "pt",
    "pth",
    "bin",
    "gguf",
    "onnx",
];

/// Extensions that ComfyUI's own loaders list (`folder_paths.supported_pt_extensions`).
const LISTED: &[&str] = &[
    "ckpt",
    "pt",
    "pt2",
    "bin",
    "pth",
    "safetensors",
    "pkl",
    "sft",
];

/// The table's row for `class`.
pub(super) fn find(class: &str) -> Option<&'static Loader> {
    LOADERS.iter().find(|loader| loader.class == class)
}

/// The folder that an input called `name` most likely means.
pub(super) fn guess(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let row = INPUTS.iter().find(|(start, _)| name.starts_with(start));
    row.map(|(_, folder)| *folder)
}

/// Whether the texts of this node are for people.
pub(super) fn is_note(class: &str) -> bool {
    NOTES.contains(&class)
}

/// Whether the node only hands its value on.
pub(super) fn is_primitive(class: &str) -> bool {
    PRIMITIVES.contains(&class)
}

/// Whether a widget's value stands for no file at all.
pub(super) fn is_no_file(value: &str) -> bool {
    NO_FILE.contains(&value.trim().to_ascii_lowercase().as_str())
}

/// Whether `name` ends as model files do.
pub(super) fn has_model_extension(name: &str) -> bool {
    has_extension_of(EXTENSIONS, name)
}

/// Whether a loader of `class` shows files called `name`.
pub(super) fn lists(class: &str, folder: &str, name: &str) -> bool {
    match folder {
        "configs" | "diffusers" | "classifiers" => true,
        _ if class.contains("GGUF") && has_extension_of(&["gguf"], name) => true,
        _ => find(class).is_none() || has_extension_of(LISTED, name),
    }
}

fn has_extension_of(extensions: &[&str], name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    !stem.is_empty()
        && extensions
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
}
