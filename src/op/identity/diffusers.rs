//! Diffusion models in the names of the diffusers library.
//!
//! Source: `state_dict()` of its model classes.

use super::Domain;
use super::rule::{Measure, Rule, Variant};

/// Where the tensors of a diffusion model stand: alone, or in the folders of a pipeline.
pub(super) const PREFIXES: &[&str] = &[
    "unet.",
    "transformer.",
    "transformer_2.",
    "prior.",
    "decoder.",
    "",
];

const fn rule(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Diffusion, family, name, tests)
}

const CONTEXT: &str = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight[1] | \
    down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]";

const UNET: &[Measure] = &[
    ("model_channels", "conv_in.weight[0]"),
    ("in_channels", "conv_in.weight[1]"),
    ("context_dimension", CONTEXT),
];

const SDXL: &[Variant] = &[
    (
        "instruct-pix2pix",
        "stable-diffusion-xl-v1-edit",
        &["conv_in.weight[1]=8"],
    ),
    ("inpainting", "", &["conv_in.weight[1]=9"]),
    (
        "base",
        "stable-diffusion-xl-v1-base",
        &["#down_blocks.2.attentions.0.transformer_blocks.=10"],
    ),
    (
        "ssd-1b",
        "",
        &["#down_blocks.2.attentions.0.transformer_blocks.=4"],
    ),
    (
        "segmind-vega",
        "",
        &["#down_blocks.2.attentions.0.transformer_blocks.=2"],
    ),
    (
        "koala-700m",
        "",
        &["#down_blocks.2.attentions.0.transformer_blocks.=5"],
    ),
    (
        "koala-1b",
        "",
        &["#down_blocks.2.attentions.0.transformer_blocks.=6"],
    ),
];

const SIZE: &[Measure] = &[
    ("layers", "#transformer_blocks. | #blocks. | #layers."),
    ("double_blocks", "#transformer_blocks."),
    ("single_blocks", "#single_transformer_blocks."),
    (
        "hidden_size",
        "x_embedder.weight[0] | x_embedder.proj.weight[0] | pos_embed.proj.weight[0] | patch_embed.proj.weight[0] | \
        patch_embedding.weight[0] | img_in.weight[0] | proj_in.weight[0] | all_x_embedder.2-1.weight[0] | visual_embeddings.in_layer.weight[0]",
    ),
    (
        "context_dimension",
        "context_embedder.weight[1] | caption_projection.linear_1.weight[1] | \
        condition_embedder.text_embedder.linear_1.weight[1] | txt_in.weight[1] | context_embedder.proj_in.weight[1]",
    ),
];

/// The table: the first that fits is it.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    rule("svd", "Stable Video Diffusion", &["down_blocks.0.attentions.0.temporal_transformer_blocks.0.*", "conv_in.weight[1]=8"])
        .variants(&[("svd", "stable-video-diffusion-img2vid-v1", &["add_embedding.linear_1.weight[1]=768"])]).facts(UNET),
    rule("sdxl-refiner", "Stable Diffusion XL refiner", &["conv_in.weight[0]=384", "add_embedding.linear_1.weight[1]=2560"])
        .variants(&[("refiner", "stable-diffusion-xl-v1-refiner", &[])]).facts(UNET),
    rule("sdxl", "Stable Diffusion XL", &["conv_in.weight[0]=320", "add_embedding.linear_1.weight[1]=2816"]).variants(SDXL).facts(UNET),
    rule("sd1", "Stable Diffusion 1", &["conv_in.weight[0]=320", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]=768",
                                        "!controlnet_cond_embedding.conv_in.weight"])
        .variants(&[
            ("inpainting", "stable-diffusion-v1-inpainting", &["conv_in.weight[1]=9"]),
            ("instruct-pix2pix", "", &["conv_in.weight[1]=8"]),
            ("base", "stable-diffusion-v1", &["conv_in.weight[1]=4"]),
        ])
        .facts(UNET),
    rule("sd2", "Stable Diffusion 2", &["conv_in.weight[0]=320", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]=1024",
                                        "!controlnet_cond_embedding.conv_in.weight"])
        .variants(&[
            ("unclip-l", "stable-diffusion-v2-unclip-l", &["class_embedding.linear_1.weight[1]=1536"]),
            ("unclip-h", "stable-diffusion-v2-unclip-h", &["class_embedding.linear_1.weight[1]=2048"]),
            ("depth", "stable-diffusion-v2-depth", &["conv_in.weight[1]=5"]),
            ("inpainting", "stable-diffusion-v2-inpainting", &["conv_in.weight[1]=9"]),
            ("base", "", &["conv_in.weight[1]=4"]),
        ])
        .facts(UNET),
    rule("sd-x4-upscaler", "Stable Diffusion x4 upscaler", &["conv_in.weight[0]=256", "conv_in.weight[1]=7"]).facts(UNET),
    rule("stable-cascade", "Stable Cascade", &["clip_txt_pooled_mapper.weight", "down_blocks.0.0.depthwise.weight"])
        .variants(&[("stage-c", "stable-cascade-v1-stage-c", &["clip_txt_mapper.weight"]), ("stage-b", "stable-cascade-v1-stage-b", &["embedding.1.weight"])]),
    rule("flux2", "FLUX.2", &["double_stream_modulation_img.linear.weight", "single_stream_modulation.linear.weight"]).facts(SIZE),
    rule("chroma", "Chroma", &["distilled_guidance_layer.in_proj.weight", "transformer_blocks.0.attn.norm_added_k.weight"])
        .variants(&[("chroma1", "chroma", &[])]).facts(SIZE),
    rule("ovis-image", "Ovis-Image", &["context_embedder_norm.weight", "x_embedder.weight", "transformer_blocks.0.attn.norm_added_k.weight"]).facts(SIZE),
    rule("longcat-image", "LongCat-Image", &["time_embed.timestep_embedder.linear_1.weight", "context_embedder.weight[1]=3584",
                                             "single_transformer_blocks.0.attn.norm_k.weight"]).facts(SIZE),
    rule("bria", "Bria", &["time_embed.timestep_embedder.linear_1.weight", "context_embedder.weight[1]=4096",
                           "single_transformer_blocks.0.attn.norm_k.weight"]).facts(SIZE),
    rule("flux", "FLUX.1", &["single_transformer_blocks.0.attn.norm_k.weight", "time_text_embed.text_embedder.linear_1.weight",
                             "x_embedder.weight", "!controlnet_x_embedder.weight"])
        .variants(&[
            ("fill", "flux-1-dev", &["x_embedder.weight[1]=384"]),
            ("canny-depth", "flux-1-dev", &["x_embedder.weight[1]=128"]),
            ("dev", "flux-1-dev", &["time_text_embed.guidance_embedder.linear_1.weight"]),
            ("schnell", "flux-1-schnell", &["!time_text_embed.guidance_embedder.linear_1.weight"]),
        ])
        .facts(SIZE),
    rule("hunyuan-video", "HunyuanVideo", &["context_embedder.token_refiner.refiner_blocks.0.norm1.weight", "x_embedder.proj.weight"])
        .variants(&[
            ("1.5", "", &["image_embedder.linear_1.weight"]),
            ("image 2.1", "hunyuan-image-2.1", &["x_embedder.proj.weight:4"]),
            ("skyreels i2v", "", &["x_embedder.proj.weight[1]=32"]),
            ("i2v", "", &["x_embedder.proj.weight[1]=33"]),
            ("t2v", "", &["x_embedder.proj.weight[1]=16"]),
        ])
        .facts(SIZE),
    rule("sd3", "Stable Diffusion 3", &["pos_embed.pos_embed", "pos_embed.proj.weight", "transformer_blocks.0.norm1_context.linear.weight",
                                        "time_text_embed.text_embedder.linear_1.weight", "!pos_embed_input.proj.weight"])
        .variants(&[
            ("3.5-medium", "stable-diffusion-3.5-medium", &["transformer_blocks.0.attn2.to_q.weight"]),
            ("3.5-large", "stable-diffusion-3-5-large", &["#transformer_blocks.=38"]),
            ("3-medium", "stable-diffusion-v3-medium", &["#transformer_blocks.=24"]),
        ])
        .facts(SIZE),
    rule("auraflow", "AuraFlow", &["joint_transformer_blocks.0.norm1.linear.weight", "register_tokens"])
        .facts(&[("double_layers", "#joint_transformer_blocks."), ("single_layers", "#single_transformer_blocks."),
                 ("hidden_size", "context_embedder.weight[0]"), ("context_dimension", "context_embedder.weight[1]")]),
    rule("wan", "Wan", &["condition_embedder.time_proj.weight", "patch_embedding.weight:5", "blocks.0.attn1.norm_q.weight"])
        .variants(&[
            ("vace", "", &["vace_patch_embedding.weight"]),
            ("2.2 ti2v 5b", "", &["patch_embedding.weight[1]=48", "proj_out.weight[0]=192"]),
            ("i2v", "", &["condition_embedder.image_embedder.ff.net.0.proj.weight"]),
            ("2.2 i2v", "", &["patch_embedding.weight[1]=36"]),
            ("t2v 1.3b", "", &["patch_embedding.weight[0]=1536"]),
            ("t2v 14b", "", &["patch_embedding.weight[0]=5120"]),
        ])
        .facts(&[("layers", "#blocks."), ("hidden_size", "patch_embedding.weight[0]"), ("in_channels", "patch_embedding.weight[1]"),
                 ("context_dimension", "condition_embedder.text_embedder.linear_1.weight[1]")]),
    rule("ltx-av", "LTX-AV", &["audio_proj_in.weight", "audio_time_embed.linear.weight"]).facts(SIZE),
    rule("sana", "Sana", &["transformer_blocks.0.ff.conv_depth.weight", "caption_norm.weight"]).facts(SIZE),
    rule("ltx-video", "LTX-Video", &["scale_shift_table", "time_embed.emb.timestep_embedder.linear_1.weight", "caption_projection.linear_1.weight",
                                     "transformer_blocks.0.attn1.norm_q.weight"]).facts(SIZE),
    rule("pixart", "PixArt", &["scale_shift_table", "adaln_single.emb.timestep_embedder.linear_1.weight", "pos_embed.proj.weight[0]=1152"])
        .variants(&[("alpha", "", &["adaln_single.emb.resolution_embedder.linear_1.weight"]), ("sigma", "", &["!adaln_single.emb.resolution_embedder.linear_1.weight"])])
        .facts(SIZE),
    rule("cogvideox", "CogVideoX", &["patch_embed.text_proj.weight", "time_embedding.linear_1.weight", "transformer_blocks.0.norm1.linear.weight"])
        .variants(&[("1.5", "", &["patch_embed.proj.weight:2"]), ("1.0", "", &["patch_embed.proj.weight:4"])]).facts(SIZE),
    rule("cogview4", "CogView4", &["patch_embed.text_proj.weight", "time_condition_embed.condition_embedder.linear_1.weight"]).facts(SIZE),
    rule("mochi", "Mochi", &["pos_frequencies", "time_embed.pooler.to_kv.weight"]).facts(SIZE),
    rule("lumina2", "Lumina 2", &["time_caption_embed.timestep_embedder.linear_1.weight", "noise_refiner.0.attn.norm_q.weight", "x_embedder.weight[0]=2304"])
        .variants(&[("lumina-image-2.0", "lumina-2", &[])]).facts(SIZE),
    rule("cosmos", "Cosmos", &["time_embed.t_embedder.linear_1.weight", "transformer_blocks.0.norm1.linear_1.weight", "patch_embed.proj.weight:2"]).facts(SIZE),
    rule("stable-audio", "Stable Audio", &["cross_attention_proj.0.weight", "preprocess_conv.weight", "timestep_proj.0.weight"]).facts(SIZE),
    rule("dit", "DiT", &["transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"]).facts(SIZE),
];
