//! Diffusion models in the names of their own authors, which ComfyUI loads too.
//!
//! Ordered: the first that fits is it. Source: ComfyUI, `comfy/model_detection.py`
//! (`detect_unet_config`), and `comfy/supported_models.py` for what tells variants apart.

use super::rule::{Measure, Rule, Variant};
use super::{Domain, Kind};

/// Where the tensors of a diffusion model stand.
pub(super) const PREFIXES: &[&str] = &[
    "model.diffusion_model.",
    "diffusion_model.",
    "model.model.",
    "net.",
    "model.",
    "",
];

const fn rule(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Diffusion, family, name, tests)
}

/// Cross-attention of the first block of a UNet that has any.
const CONTEXT: &str = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight[1] | \
    input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight[1] | \
    input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight[1]";

const UNET: &[Measure] = &[
    ("model_channels", "input_blocks.0.0.weight[0]"),
    ("in_channels", "input_blocks.0.0.weight[1]"),
    ("context_dimension", CONTEXT),
    ("label_dimension", "label_emb.0.0.weight[1]"),
];

const CONTEXT_768: &str = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight[1]=768";
const CONTEXT_1024: &str = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight[1]=1024 | \
    input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight[1]=1024";
const CONTEXT_1280: &str = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight[1]=1280";
const CONTEXT_2048: &str = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight[1]=2048";

const SD1: &[Variant] = &[
    (
        "zero123",
        "",
        &["input_blocks.0.0.weight[1]=8", "cc_projection.weight"],
    ),
    (
        "inpainting",
        "stable-diffusion-v1-inpainting",
        &["input_blocks.0.0.weight[1]=9"],
    ),
    ("instruct-pix2pix", "", &["input_blocks.0.0.weight[1]=8"]),
    (
        "base",
        "stable-diffusion-v1",
        &["input_blocks.0.0.weight[1]=4"],
    ),
];

const SD2: &[Variant] = &[
    (
        "unclip-l",
        "stable-diffusion-v2-unclip-l",
        &["label_emb.0.0.weight[1]=1536"],
    ),
    (
        "unclip-h",
        "stable-diffusion-v2-unclip-h",
        &["label_emb.0.0.weight[1]=2048"],
    ),
    (
        "depth",
        "stable-diffusion-v2-depth",
        &["input_blocks.0.0.weight[1]=5"],
    ),
    (
        "inpainting",
        "stable-diffusion-v2-inpainting",
        &["input_blocks.0.0.weight[1]=9"],
    ),
    ("base", "", &["input_blocks.0.0.weight[1]=4"]),
];

const SDXL: &[Variant] = &[
    (
        "instruct-pix2pix",
        "stable-diffusion-xl-v1-edit",
        &["input_blocks.0.0.weight[1]=8"],
    ),
    ("inpainting", "", &["input_blocks.0.0.weight[1]=9"]),
    (
        "base",
        "stable-diffusion-xl-v1-base",
        &["#input_blocks.7.1.transformer_blocks.=10"],
    ),
    (
        "koala-700m",
        "",
        &["#input_blocks.5.1.transformer_blocks.=5"],
    ),
    ("koala-1b", "", &["#input_blocks.5.1.transformer_blocks.=6"]),
    ("ssd-1b", "", &["#input_blocks.7.1.transformer_blocks.=4"]),
    (
        "segmind-vega",
        "",
        &["#input_blocks.7.1.transformer_blocks.=2"],
    ),
];

const SVD: &[Variant] = &[
    (
        "svd",
        "stable-video-diffusion-img2vid-v1",
        &["label_emb.0.0.weight[1]=768"],
    ),
    ("sv3d-u", "", &["label_emb.0.0.weight[1]=256"]),
    ("sv3d-p", "", &["label_emb.0.0.weight[1]=1280"]),
];

const FLUX: &[Variant] = &[
    (
        "fill",
        "flux-1-dev",
        &["guidance_in.in_layer.weight", "img_in.weight[1]=384"],
    ),
    (
        "canny-depth",
        "flux-1-dev",
        &["guidance_in.in_layer.weight", "img_in.weight[1]=128"],
    ),
    ("dev", "flux-1-dev", &["guidance_in.in_layer.weight"]),
    (
        "schnell",
        "flux-1-schnell",
        &["!guidance_in.in_layer.weight"],
    ),
];

const STREAMS: &[Measure] = &[
    ("double_blocks", "#double_blocks."),
    ("single_blocks", "#single_blocks."),
    (
        "hidden_size",
        "img_in.weight[0] | img_in.proj.weight[0] | img_in_patch.weight[0]",
    ),
    (
        "context_dimension",
        "txt_in.weight[1] | txt_in.input_embedder.weight[1]",
    ),
];

const WAN: &[Variant] = &[
    ("vace", "", &["vace_patch_embedding.weight"]),
    ("camera", "", &["control_adapter.conv.weight"]),
    (
        "s2v",
        "",
        &["casual_audio_encoder.encoder.final_linear.weight"],
    ),
    (
        "humo",
        "",
        &["audio_proj.audio_proj_glob_1.layer.weight | audio_proj.audio_proj_glob_1.*"],
    ),
    (
        "animate",
        "",
        &["face_adapter.fuser_blocks.0.k_norm.weight | face_adapter.*"],
    ),
    ("2.2 ti2v 5b", "", &["head.head.weight[0]=192"]),
    ("fun-control", "", &["patch_embedding.weight[1]=48"]),
    ("i2v", "", &["img_emb.proj.0.bias"]),
    ("2.2 i2v", "", &["patch_embedding.weight[1]=36"]),
    ("t2v 1.3b", "", &["head.modulation[2]=1536"]),
    ("t2v 14b", "", &["head.modulation[2]=5120"]),
];

const HUNYUAN_VIDEO: &[Variant] = &[
    (
        "1.5",
        "",
        &["cond_type_embedding.weight | vision_in.proj.0.weight"],
    ),
    (
        "image 2.1 refiner",
        "hunyuan-image-2.1",
        &[
            "img_in.proj.weight[2]=1",
            "img_in.proj.weight:5",
            "!vector_in.in_layer.weight",
        ],
    ),
    (
        "image 2.1",
        "hunyuan-image-2.1",
        &["!vector_in.in_layer.weight"],
    ),
    ("skyreels i2v", "", &["img_in.proj.weight[1]=32"]),
    ("i2v", "", &["img_in.proj.weight[1]=33"]),
    ("t2v", "", &["img_in.proj.weight[1]=16"]),
];

const BLOCKS: &[Measure] = &[
    ("layers", "#blocks."),
    (
        "hidden_size",
        "x_embedder.proj.1.weight[0] | x_embedder.proj.weight[0] | patch_embed.proj.weight[0]",
    ),
];

const TRANSFORMER_BLOCKS: &[Measure] = &[
    ("layers", "#transformer_blocks."),
    (
        "hidden_size",
        "patchify_proj.weight[0] | img_in.weight[0] | proj_in.weight[0]",
    ),
    (
        "context_dimension",
        "caption_projection.linear_1.weight[1] | txt_norm.weight[0]",
    ),
];

/// The table.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    rule("sd3", "Stable Diffusion 3", &["joint_blocks.0.context_block.attn.qkv.weight"])
        .variants(&[
            ("3.5-medium", "stable-diffusion-3.5-medium", &["joint_blocks.0.x_block.attn2.qkv.weight"]),
            ("3.5-large", "stable-diffusion-3-5-large", &["#joint_blocks.=38"]),
            ("3-medium", "stable-diffusion-v3-medium", &["#joint_blocks.=24"]),
        ])
        .facts(&[("layers", "#joint_blocks."), ("hidden_size", "x_embedder.proj.weight[0]"),
                 ("in_channels", "x_embedder.proj.weight[1]"), ("context_dimension", "context_embedder.weight[1]")]),
    rule("stable-cascade", "Stable Cascade", &["clf.1.weight"])
        .variants(&[
            ("stage-c lite", "stable-cascade-v1-stage-c", &["clip_txt_mapper.weight[0]=1536"]),
            ("stage-c", "stable-cascade-v1-stage-c", &["clip_txt_mapper.weight"]),
            ("stage-b lite", "stable-cascade-v1-stage-b", &["clip_mapper.weight", "down_blocks.1.0.channelwise.0.weight[1]=576"]),
            ("stage-b", "stable-cascade-v1-stage-b", &["clip_mapper.weight"]),
        ]),
    rule("stable-audio", "Stable Audio", &["transformer.rotary_pos_emb.inv_freq"])
        .facts(&[("layers", "#transformer.layers.")]),
    rule("auraflow", "AuraFlow", &["double_layers.0.attn.w1q.weight"])
        .facts(&[("double_layers", "#double_layers."), ("single_layers", "#single_layers."),
                 ("hidden_size", "double_layers.0.attn.w1q.weight[0]"), ("context_dimension", "cond_seq_linear.weight[1]")]),
    rule("hunyuan-dit", "Hunyuan-DiT", &["mlp_t5.0.weight"])
        .variants(&[("1.0 or 1.1", "", &["extra_embedder.0.weight[1]=3968"]), ("1.2", "", &["extra_embedder.0.weight"])])
        .facts(BLOCKS),
    rule("hunyuan-video", "HunyuanVideo", &["txt_in.individual_token_refiner.blocks.0.norm1.weight"])
        .variants(HUNYUAN_VIDEO).facts(STREAMS),
    rule("flux2", "FLUX.2", &["double_blocks.0.img_attn.norm.key_norm.scale | double_blocks.0.img_attn.norm.key_norm.weight",
                              "img_in.weight", "double_stream_modulation_img.lin.weight"]).facts(STREAMS),
    rule("chroma", "Chroma", &["double_blocks.0.img_attn.norm.key_norm.scale | double_blocks.0.img_attn.norm.key_norm.weight",
                               "distilled_guidance_layer.norms.0.scale | distilled_guidance_layer.norms.0.weight"])
        .variants(&[("radiance", "", &["nerf_blocks.0.*"]), ("chroma1", "chroma", &["!nerf_blocks.0.*"])])
        .facts(STREAMS),
    rule("ovis-image", "Ovis-Image", &["double_blocks.0.img_attn.norm.key_norm.scale | double_blocks.0.img_attn.norm.key_norm.weight",
                                       "img_in.weight", "double_blocks.0.img_mlp.gate_proj.weight", "txt_norm.*"]).facts(STREAMS),
    rule("longcat-image", "LongCat-Image", &["double_blocks.0.img_attn.norm.key_norm.scale | double_blocks.0.img_attn.norm.key_norm.weight",
                                             "txt_in.weight[1]=3584", "!vector_in.in_layer.weight"]).facts(STREAMS),
    rule("flux", "FLUX.1", &["double_blocks.0.img_attn.norm.key_norm.scale | double_blocks.0.img_attn.norm.key_norm.weight",
                             "img_in.weight"])
        .variants(FLUX).facts(STREAMS),
    rule("mochi", "Mochi", &["t5_yproj.weight"]).facts(&[("layers", "#blocks.")]),
    rule("minimax-h3", "MiniMax H3", &["video_patch_proj.weight", "audio_patch_proj.weight"]),
    rule("ltx-av", "LTX-AV", &["adaln_single.emb.timestep_embedder.linear_1.bias", "audio_adaln_single.linear.weight"])
        .facts(TRANSFORMER_BLOCKS),
    rule("ltx-video", "LTX-Video", &["adaln_single.emb.timestep_embedder.linear_1.bias", "!pos_embed.proj.bias"])
        .facts(TRANSFORMER_BLOCKS),
    rule("ace-step", "ACE-Step", &["genre_embedder.weight"]),
    rule("ace-step", "ACE-Step", &["encoder.lyric_encoder.layers.0.input_layernorm.weight"])
        .variants(&[("1.5", "", &[])]),
    rule("pixart", "PixArt", &["t_block.1.weight"])
        .variants(&[("alpha", "", &["ar_embedder.mlp.0.weight"]), ("sigma", "", &["!ar_embedder.mlp.0.weight"])])
        .facts(&[("layers", "#blocks."), ("hidden_size", "x_embedder.proj.weight[0]")]),
    rule("cosmos", "Cosmos 1", &["blocks.block0.blocks.0.block.attn.to_q.0.weight"])
        .variants(&[
            ("7b video2world", "", &["blocks.block0.blocks.0.block.attn.to_q.0.weight[0]=4096", "x_embedder.proj.1.weight[1]=72"]),
            ("14b video2world", "", &["blocks.block0.blocks.0.block.attn.to_q.0.weight[0]=5120", "x_embedder.proj.1.weight[1]=72"]),
            ("7b text2world", "", &["blocks.block0.blocks.0.block.attn.to_q.0.weight[0]=4096"]),
            ("14b text2world", "", &["blocks.block0.blocks.0.block.attn.to_q.0.weight[0]=5120"]),
        ])
        .facts(&[("hidden_size", "blocks.block0.blocks.0.block.attn.to_q.0.weight[0]")]),
    rule("pid", "PiD", &["lq_proj.latent_proj.0.weight"]),
    rule("pixeldit", "PixelDiT", &["core.pixel_embedder.proj.weight"]),
    rule("z-image", "Z-Image", &["cap_embedder.1.weight[0]=3840"])
        .variants(&[("pixel space", "", &["dec_net.cond_embed.*"]), ("z-image", "", &["noise_refiner.0.attention.*"])])
        .facts(&[("layers", "#layers."), ("hidden_size", "cap_embedder.1.weight[0]"), ("context_dimension", "cap_embedder.1.weight[1]")]),
    rule("lumina2", "Lumina 2", &["cap_embedder.1.weight", "context_refiner.0.attention.*"])
        .variants(&[("lumina-image-2.0", "lumina-2", &["cap_embedder.1.weight[0]=2304"])])
        .facts(&[("layers", "#layers."), ("hidden_size", "cap_embedder.1.weight[0]"), ("context_dimension", "cap_embedder.1.weight[1]")]),
    rule("cogvideox", "CogVideoX", &["blocks.0.norm1.linear.weight"])
        .variants(&[("1.5", "", &["patch_embed.proj.weight:2"]), ("1.0", "", &["patch_embed.proj.weight:4"])]).facts(BLOCKS),
    rule("seedvr2", "SeedVR2", &["blocks.35.mlp.vid.proj_out.weight | blocks.35.mlp.all.proj_in_gate.weight | \
                                  blocks.31.mlp.vid.proj_out.weight | blocks.31.mlp.all.proj_in_gate.weight"])
        .variants(&[("7b", "", &["#blocks.=36"]), ("3b", "", &["#blocks.=32"])]),
    rule("wan", "Wan", &["head.modulation"]).variants(WAN)
        .facts(&[("layers", "#blocks."), ("hidden_size", "head.modulation[2]"), ("in_channels", "patch_embedding.weight[1]"),
                 ("context_dimension", "text_embedding.0.weight[1]")]),
    rule("hunyuan3d", "Hunyuan3D", &["latent_in.weight"])
        .variants(&[("2 mini", "", &["#double_blocks.=8"]), ("2", "", &["double_blocks.0.*"])]),
    rule("hunyuan3d", "Hunyuan3D", &["t_embedder.mlp.2.weight", "blocks.0.attn1.k_norm.weight"])
        .variants(&[("2.1", "", &[])]),
    rule("hidream", "HiDream", &["caption_projection.0.linear.weight"])
        .variants(&[("i1", "", &["double_stream_blocks.0.*"])])
        .facts(&[("double_blocks", "#double_stream_blocks."), ("single_blocks", "#single_stream_blocks.")]),
    rule("hidream", "HiDream", &["t_embedder1.mlp.0.weight", "x_embedder.proj1.weight"]).variants(&[("o1", "", &[])]),
    rule("cosmos-predict2", "Cosmos-Predict2", &["blocks.0.mlp.layer1.weight"])
        .variants(&[
            ("anima", "anima-preview", &["llm_adapter.blocks.0.cross_attn.q_proj.weight | llm_adapter.blocks.0.*"]),
            ("2b", "", &["blocks.0.mlp.layer1.weight[1]=2048"]),
            ("14b", "", &["blocks.0.mlp.layer1.weight[1]=5120"]),
        ])
        .facts(BLOCKS),
    rule("boogu", "Boogu", &["double_stream_layers.0.img_instruct_attn.*"]),
    rule("omnigen2", "OmniGen2", &["time_caption_embed.timestep_embedder.linear_1.bias", "layers.0.attn.to_q.weight | layers.0.*",
                                   "ref_image_patch_embedder.weight | image_index_embedding | ref_image_refiner.0.*"]),
    rule("lens", "Lens", &["transformer_blocks.0.attn.norm_added_q.weight", "transformer_blocks.0.img_mlp.w1.weight"]),
    rule("mage-flow", "Mage-Flow", &["txt_norm.weight[0]=2560", "proj_out.weight[0]=128"]).facts(TRANSFORMER_BLOCKS),
    rule("qwen-image", "Qwen-Image", &["txt_norm.weight", "transformer_blocks.0.img_mod.1.*"])
        .variants(&[
            ("2511", "", &["__index_timestep_zero__"]),
            ("layered", "", &["time_text_embed.addition_t_embedding.weight"]),
            ("base or edit", "", &["txt_norm.weight[0]=3584"]),
        ])
        .facts(TRANSFORMER_BLOCKS),
    rule("qwen-image", "Qwen-Image", &["txt_in.text_norm.weight", "modulation.1.weight"]).variants(&[("2.1", "", &[])]),
    rule("ideogram4", "Ideogram 4", &["embed_image_indicator.weight"]),
    rule("krea2", "Krea 2", &["txtfusion.projector.weight"]),
    rule("kandinsky5", "Kandinsky 5", &["visual_transformer_blocks.0.cross_attention.key_norm.weight"])
        .variants(&[
            ("pro", "", &["visual_embeddings.in_layer.weight[0]=4096"]),
            ("image lite", "", &["visual_embeddings.in_layer.weight[0]=2560"]),
            ("video lite", "", &["visual_embeddings.in_layer.weight[0]=1792"]),
        ])
        .facts(&[("layers", "#visual_transformer_blocks."), ("hidden_size", "visual_embeddings.in_layer.weight[0]")]),
    rule("ernie-image", "ERNIE-Image", &["layers.0.mlp.linear_fc2.weight", "text_proj.weight | x_embedder.proj.weight"]),
    rule("sensenova", "SenseNova", &["fm_modules.vision_model_mot_gen.embeddings.patch_embedding.weight"]),
    rule("joyimage", "JoyImage", &["img_in.weight:5", "double_blocks.0.attn.img_attn_qkv.weight"]).facts(STREAMS),
    rule("yue2", "YuE2", &["vae2llm.weight", "llm2vae.weight"]),
    rule("svd", "Stable Video Diffusion", &["input_blocks.0.0.weight", "input_blocks.1.0.time_stack.*"]).variants(SVD).facts(UNET),
    rule("sd-x4-upscaler", "Stable Diffusion x4 upscaler", &["input_blocks.0.0.weight[0]=256", "input_blocks.0.0.weight[1]=7"]).facts(UNET),
    rule("lotus", "Lotus", &["input_blocks.0.0.weight[0]=320", "label_emb.0.0.weight[1]=4"]).facts(UNET),
    rule("sd1", "Stable Diffusion 1", &["input_blocks.0.0.weight[0]=320", CONTEXT_768]).variants(SD1).facts(UNET),
    rule("sdxl-refiner", "Stable Diffusion XL refiner", &["input_blocks.0.0.weight[0]=384", CONTEXT_1280])
        .variants(&[("refiner", "stable-diffusion-xl-v1-refiner", &[])]).facts(UNET),
    rule("sdxl", "Stable Diffusion XL", &["input_blocks.0.0.weight[0]=320", CONTEXT_2048]).variants(SDXL).facts(UNET),
    rule("sd2", "Stable Diffusion 2", &["input_blocks.0.0.weight[0]=320", CONTEXT_1024]).variants(SD2).facts(UNET),
];

/// Source: ComfyUI_IPAdapter_plus, `IPAdapterPlus.py` (`ipadapter_execute`).
const IP_ADAPTER: &[Variant] = &[
    (
        "faceid plus",
        "",
        &[
            "ip_adapter.0.to_q_lora.down.weight",
            "image_proj.perceiver_resampler.proj_in.weight",
        ],
    ),
    ("faceid", "", &["ip_adapter.0.to_q_lora.down.weight"]),
    ("full face", "", &["image_proj.proj.3.weight"]),
    ("portrait", "", &["image_proj.proj.2.weight"]),
    ("plus", "", &["image_proj.latents"]),
    ("plain", "", &["image_proj.proj.weight"]),
];

/// What steers a diffusion model, or is a part of one.
#[rustfmt::skip]
pub(super) const CONTROLS: &[Rule] = &[
    rule("sdxl", "ControlNet for Stable Diffusion XL", &["input_hint_block.0.weight", CONTEXT_2048]).of_kind(Kind::ControlNet).facts(UNET),
    rule("sd2", "ControlNet for Stable Diffusion 2", &["input_hint_block.0.weight", CONTEXT_1024]).of_kind(Kind::ControlNet).facts(UNET),
    rule("sd1", "ControlNet for Stable Diffusion 1", &["input_hint_block.0.weight", CONTEXT_768]).of_kind(Kind::ControlNet).facts(UNET),
    rule("control-lora", "Control-LoRA", &["lora_controlnet"]).of_kind(Kind::ControlNet),
    rule("sdxl", "ControlNet for Stable Diffusion XL", &["controlnet_cond_embedding.conv_in.*", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]=2048"]).of_kind(Kind::ControlNet),
    rule("sd2", "ControlNet for Stable Diffusion 2", &["controlnet_cond_embedding.conv_in.*", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]=1024"]).of_kind(Kind::ControlNet),
    rule("sd1", "ControlNet for Stable Diffusion 1", &["controlnet_cond_embedding.conv_in.*", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight[1]=768"]).of_kind(Kind::ControlNet),
    rule("flux", "ControlNet for FLUX.1", &["controlnet_blocks.0.weight", "x_embedder.weight", "controlnet_x_embedder.weight"]).of_kind(Kind::ControlNet),
    rule("sd3", "ControlNet for Stable Diffusion 3", &["controlnet_blocks.0.weight", "pos_embed.proj.weight", "pos_embed_input.*"]).of_kind(Kind::ControlNet),
    rule("qwen-image", "ControlNet for Qwen-Image", &["controlnet_blocks.0.weight", "txt_norm.weight"]).of_kind(Kind::ControlNet),
    rule("flux", "ControlNet for FLUX.1", &["controlnet_blocks.0.weight", "double_blocks.0.*"]).of_kind(Kind::ControlNet),
    rule("t2i-adapter", "T2I-Adapter", &["adapter.conv_in.weight | body.0.block1.weight", "adapter.body.0.resnets.0.block1.weight | body.0.block1.weight"]).of_kind(Kind::ControlNet),
    rule("animatediff", "AnimateDiff motion module", &["mid_block.motion_modules.0.proj_in.weight | down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight",
                                                       "!conv_in.weight"]).of_kind(Kind::MotionModule)
        .facts(&[("frames", "mid_block.motion_modules.0.transformer_blocks.0.pos_embed.pe[1] | \
                             down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe[1]")]),
    rule("ip-adapter", "IP-Adapter", &["ip_adapter.1.to_k_ip.weight", "image_proj.*"]).of_kind(Kind::IpAdapter).variants(IP_ADAPTER)
        .facts(&[("context_dimension", "ip_adapter.1.to_k_ip.weight[1]")]),
    rule("ip-adapter", "IP-Adapter for FLUX.1", &["double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight", "ip_adapter_proj_model.proj.weight"]).of_kind(Kind::IpAdapter)
        .variants(&[("flux", "", &[])]).facts(&[("context_dimension", "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight[1]")]),
    rule("flux-redux", "FLUX.1 Redux", &["redux_up.weight", "redux_down.weight"]).of_kind(Kind::StyleModel),
    rule("gligen", "GLIGEN", &["position_net.null_positive_feature", "position_net.linears.0.weight"]).of_kind(Kind::Gligen),
];
