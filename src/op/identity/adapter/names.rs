//! Which tensor of an adapter is what, by the end of its name.
//!
//! Source: sd-scripts, `networks/lora.py`; LyCORIS; ComfyUI, `comfy/lora.py` and
//! `comfy/weight_adapter/`; PEFT, `peft/tuners/`; diffusers, `loaders/lora_conversion_utils.py`.

/// What a tensor is to its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `[rank, in, ...]`.
    Down,
    /// `[out, rank, ...]`.
    Up,
    /// The core of a Tucker decomposition: `[rank, rank, height, width]`.
    Mid,
    /// `[rank, vocabulary]`.
    EmbeddingDown,
    /// `[width, rank]`.
    EmbeddingUp,
    /// One number.
    Alpha,
    /// DoRA's magnitude.
    Magnitude,
    /// LoHa: `(w1_a * w1_b) o (w2_a * w2_b)`, and its cores.
    HadamardA1,
    HadamardB1,
    HadamardA2,
    HadamardB2,
    HadamardCore1,
    HadamardCore2,
    /// LoKr: `w1 (x) w2`, either perhaps a product.
    Kronecker1,
    Kronecker2,
    KroneckerA1,
    KroneckerB1,
    KroneckerA2,
    KroneckerB2,
    KroneckerCore,
    /// OFT's blocks.
    Oft,
    /// IA3's scales.
    Ia3,
    /// The difference of a weight.
    Difference,
    /// The difference of a bias.
    BiasDifference,
    /// Bookkeeping.
    Other,
}

impl Role {
    /// Whether it is part of a change.
    pub(super) fn is_matrix(self) -> bool {
        !matches!(self, Role::Alpha | Role::Magnitude | Role::Other)
    }
}

/// Ends of names, what they mean, and whose they are. Longer ones stand before those that they
/// end with.
#[rustfmt::skip]
const ENDS: &[(&str, Role, &str)] = &[
    (".lora_linear_layer.down.weight", Role::Down, "diffusers"),
    (".lora_linear_layer.up.weight", Role::Up, "diffusers"),
    (".lora_down.weight", Role::Down, "kohya"),
    (".lora_up.weight", Role::Up, "kohya"),
    (".lora_mid.weight", Role::Mid, "kohya"),
    (".alpha", Role::Alpha, "kohya"),
    (".dora_scale", Role::Magnitude, "kohya"),
    (".lora.down.weight", Role::Down, "diffusers"),
    (".lora.up.weight", Role::Up, "diffusers"),
    ("_lora1.down.weight", Role::Down, "XLabs"),
    ("_lora1.up.weight", Role::Up, "XLabs"),
    ("_lora2.down.weight", Role::Down, "XLabs"),
    ("_lora2.up.weight", Role::Up, "XLabs"),
    ("_lora.down.weight", Role::Down, "diffusers"),
    ("_lora.up.weight", Role::Up, "diffusers"),
    (".lora_A.weight", Role::Down, "PEFT"),
    (".lora_B.weight", Role::Up, "PEFT"),
    (".lora_A.default.weight", Role::Down, "PEFT"),
    (".lora_B.default.weight", Role::Up, "PEFT"),
    (".lora_A.default_0.weight", Role::Down, "PEFT"),
    (".lora_B.default_0.weight", Role::Up, "PEFT"),
    (".lora_embedding_A", Role::EmbeddingDown, "PEFT"),
    (".lora_embedding_B", Role::EmbeddingUp, "PEFT"),
    (".lora_magnitude_vector", Role::Magnitude, "PEFT"),
    (".lora_magnitude_vector.weight", Role::Magnitude, "PEFT"),
    (".lora_magnitude_vector.default.weight", Role::Magnitude, "PEFT"),
    (".lora_A", Role::Down, "Mochi"),
    (".lora_B", Role::Up, "Mochi"),
    (".weight.lora_a", Role::Down, "llama.cpp"),
    (".weight.lora_b", Role::Up, "llama.cpp"),
    (".hada_w1_a", Role::HadamardA1, "LyCORIS"),
    (".hada_w1_b", Role::HadamardB1, "LyCORIS"),
    (".hada_w2_a", Role::HadamardA2, "LyCORIS"),
    (".hada_w2_b", Role::HadamardB2, "LyCORIS"),
    (".hada_t1", Role::HadamardCore1, "LyCORIS"),
    (".hada_t2", Role::HadamardCore2, "LyCORIS"),
    (".lokr_w1", Role::Kronecker1, "LyCORIS"),
    (".lokr_w2", Role::Kronecker2, "LyCORIS"),
    (".lokr_w1_a", Role::KroneckerA1, "LyCORIS"),
    (".lokr_w1_b", Role::KroneckerB1, "LyCORIS"),
    (".lokr_w2_a", Role::KroneckerA2, "LyCORIS"),
    (".lokr_w2_b", Role::KroneckerB2, "LyCORIS"),
    (".lokr_t2", Role::KroneckerCore, "LyCORIS"),
    (".oft_blocks", Role::Oft, "LyCORIS"),
    (".oft_diag", Role::Oft, "LyCORIS"),
    (".oft_R.weight", Role::Oft, "PEFT"),
    (".ia3_l", Role::Ia3, "PEFT"),
    (".on_input", Role::Other, "LyCORIS"),
    (".rescale", Role::Other, "LyCORIS"),
    (".diff", Role::Difference, "LyCORIS"),
    (".diff_b", Role::BiasDifference, "LyCORIS"),
    (":down", Role::Down, "lora (cloneofsimo)"),
    (":up", Role::Up, "lora (cloneofsimo)"),
];

/// The module that a tensor belongs to, what it is to it, and whose names these are.
pub(super) fn parse(name: &str) -> Option<(&str, Role, &'static str)> {
    // XLabs's two pairs at one module must not become one.
    let (end, role, naming) = ENDS.iter().find(|(end, _, _)| name.ends_with(end))?;
    let mut module = &name[..name.len() - end.len()];
    if let Some(cut) = end.strip_prefix("_lora").and_then(|rest| rest.find('.')) {
        module = &name[..name.len() - end.len() + "_lora".len() + cut];
    }
    let naming = match *naming {
        "PEFT" if module.starts_with("transformer.") || module.starts_with("unet.") => "diffusers",
        "PEFT" if module.starts_with("diffusion_model.") => "ComfyUI",
        naming => naming,
    };
    Some((module, *role, naming))
}

/// Beginnings that say to which part of the model a module belongs, and that part.
#[rustfmt::skip]
const PARTS: &[(&str, &str)] = &[
    ("lora_unet_", "unet"),
    ("lycoris_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("lora_transformer_", "transformer"),
    ("lora_prior_unet_", "prior"),
    ("lora_prior_te_", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder:", "text_encoder"),
    ("text_encoders.", "text_encoder"),
    ("unet.", "unet"),
    ("unet:", "unet"),
    ("transformer.", "transformer"),
    ("diffusion_model.", "transformer"),
    ("base_model.model.", "model"),
];

/// The part of the model that a module belongs to.
pub(super) fn part(module: &str) -> &'static str {
    let row = PARTS.iter().find(|(start, _)| module.starts_with(start));
    row.map_or("model", |(_, part)| part)
}

/// The module as the model calls it, as far as the prefix goes.
pub(super) fn plain(module: &str) -> &str {
    module.strip_prefix("base_model.model.").unwrap_or(module)
}
