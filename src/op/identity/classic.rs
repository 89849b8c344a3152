//! Text encoders, audio models and autoencoders that everything else is built upon.
//!
//! Source: `state_dict()` of transformers, OpenCLIP and OpenAI's CLIP and Whisper;
//! ComfyUI, `comfy/sd.py` (`detect_te_model`), for text encoders as its users keep them.

use super::rule::{Measure, Rule, Variant};
use super::vision::VIT;
use super::{Domain, Kind};

/// Where an encoder stands: alone, in a pipeline's folder, in a checkpoint of a diffusion model.
pub(super) const PREFIXES: &[&str] = &[
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "conditioner.embedders.0.transformer.",
    "conditioner.embedders.0.model.",
    "conditioner.embedders.1.model.",
    "conditioner.embedders.0.open_clip.model.",
    "embedder.model.",
    "text_encoders.clip_l.transformer.",
    "text_encoders.clip_g.transformer.",
    "text_encoders.clip_h.transformer.",
    "text_encoders.t5xxl.transformer.",
    "text_encoders.t5xl.transformer.",
    "text_encoders.t5base.transformer.",
    "text_encoders.umt5xxl.transformer.",
    "text_encoders.pile_t5xl.transformer.",
    "text_encoders.gemma2_2b.transformer.",
    "text_encoders.qwen25_7b.transformer.",
    "text_encoders.llama.transformer.",
    "text_encoder.",
    "text_encoder_2.",
    "text_encoder_3.",
    "image_encoder.",
    "safety_checker.",
    "model.model.",
    "model.",
    "",
];

const fn text(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Language, family, name, tests).of_kind(Kind::TextEncoder)
}

const fn vision(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Vision, family, name, tests)
}

const fn audio(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Audio, family, name, tests)
}

const CLIP_TEXT: &[Measure] = &[
    (
        "layers",
        "#text_model.encoder.layers. | #encoder.layers. | #transformer.resblocks. | #text_encoder.encoder.layers.",
    ),
    (
        "hidden_size",
        "text_model.final_layer_norm.weight[0] | final_layer_norm.weight[0] | ln_final.weight[0]",
    ),
    (
        "vocabulary",
        "text_model.embeddings.token_embedding.weight[0] | embeddings.token_embedding.weight[0] | token_embedding.weight[0]",
    ),
    (
        "positions",
        "text_model.embeddings.position_embedding.weight[0] | embeddings.position_embedding.weight[0] | positional_embedding[0]",
    ),
];

const CLIP_SIZE: &[Variant] = &[
    (
        "OpenCLIP bigG/14",
        "",
        &[
            "text_model.final_layer_norm.weight[0]=1280 | final_layer_norm.weight[0]=1280 | ln_final.weight[0]=1280",
        ],
    ),
    (
        "OpenCLIP H/14",
        "",
        &[
            "text_model.final_layer_norm.weight[0]=1024 | final_layer_norm.weight[0]=1024 | ln_final.weight[0]=1024",
        ],
    ),
    (
        "CLIP L/14",
        "",
        &[
            "text_model.final_layer_norm.weight[0]=768 | final_layer_norm.weight[0]=768 | ln_final.weight[0]=768",
        ],
    ),
    (
        "CLIP B",
        "",
        &[
            "text_model.final_layer_norm.weight[0]=512 | final_layer_norm.weight[0]=512 | ln_final.weight[0]=512",
        ],
    ),
];

const CLIP_BOTH: &[Measure] = &[
    (
        "layers",
        "#text_model.encoder.layers. | #transformer.resblocks.",
    ),
    (
        "hidden_size",
        "text_model.final_layer_norm.weight[0] | ln_final.weight[0]",
    ),
    (
        "vision_layers",
        "#vision_model.encoder.layers. | #visual.transformer.resblocks.",
    ),
    (
        "vision_hidden_size",
        "vision_model.post_layernorm.weight[0] | visual.ln_post.weight[0]",
    ),
    (
        "patch_size",
        "vision_model.embeddings.patch_embedding.weight[2] | visual.conv1.weight[2]",
    ),
];

const T5: &[Measure] = &[
    ("layers", "#encoder.block."),
    ("decoder_layers", "#decoder.block."),
    ("hidden_size", "encoder.final_layer_norm.weight[0]"),
    (
        "vocabulary",
        "shared.weight[0] | encoder.embed_tokens.weight[0]",
    ),
    (
        "heads",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight[1]",
    ),
    (
        "intermediate_size",
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight[0] | encoder.block.0.layer.1.DenseReluDense.wi.weight[0]",
    ),
];

const T5_SIZE: &[Variant] = &[
    (
        "byt5-small glyph",
        "",
        &[
            "encoder.block.0.layer.0.SelfAttention.k.weight[0]=384",
            "shared.weight[0]=1510 | encoder.embed_tokens.weight[0]=1510",
        ],
    ),
    (
        "umt5-xxl",
        "",
        &[
            "shared.weight[0]=256384",
            "encoder.final_layer_norm.weight[0]=4096",
        ],
    ),
    ("xxl", "", &["encoder.final_layer_norm.weight[0]=4096"]),
    ("xl", "", &["encoder.final_layer_norm.weight[0]=2048"]),
    ("large", "", &["encoder.final_layer_norm.weight[0]=1024"]),
    ("base", "", &["encoder.final_layer_norm.weight[0]=768"]),
    ("small", "", &["encoder.final_layer_norm.weight[0]=512"]),
];

const BERT: &[Measure] = &[
    (
        "layers",
        "#encoder.layer. | #bert.encoder.layer. | #roberta.encoder.layer. | #distilbert.transformer.layer. | #transformer.layer. | #electra.encoder.layer. | #deberta.encoder.layer.",
    ),
    (
        "hidden_size",
        "encoder.layer.0.attention.output.dense.weight[0] | bert.encoder.layer.0.attention.output.dense.weight[0] | roberta.encoder.layer.0.attention.output.dense.weight[0] | \
        distilbert.embeddings.LayerNorm.weight[0] | embeddings.LayerNorm.weight[0]",
    ),
    (
        "vocabulary",
        "embeddings.word_embeddings.weight[0] | bert.embeddings.word_embeddings.weight[0] | roberta.embeddings.word_embeddings.weight[0] | distilbert.embeddings.word_embeddings.weight[0]",
    ),
    (
        "positions",
        "embeddings.position_embeddings.weight[0] | bert.embeddings.position_embeddings.weight[0] | roberta.embeddings.position_embeddings.weight[0] | distilbert.embeddings.position_embeddings.weight[0]",
    ),
];

const WHISPER: &[Measure] = &[
    ("layers", "#encoder.layers. | #encoder.blocks."),
    ("decoder_layers", "#decoder.layers. | #decoder.blocks."),
    ("hidden_size", "encoder.conv1.weight[0]"),
    ("mel_bins", "encoder.conv1.weight[1]"),
    (
        "vocabulary",
        "decoder.embed_tokens.weight[0] | decoder.token_embedding.weight[0]",
    ),
];

/// The first is told by its decoder alone.
const WHISPER_SIZE: &[Variant] = &[
    (
        "large-v3-turbo",
        "",
        &[
            "encoder.conv1.weight[1]=128",
            "#decoder.layers.=4 | #decoder.blocks.=4",
        ],
    ),
    (
        "large-v3",
        "",
        &[
            "encoder.conv1.weight[1]=128",
            "encoder.conv1.weight[0]=1280",
        ],
    ),
    ("large", "", &["encoder.conv1.weight[0]=1280"]),
    ("medium", "", &["encoder.conv1.weight[0]=1024"]),
    ("small", "", &["encoder.conv1.weight[0]=768"]),
    ("base", "", &["encoder.conv1.weight[0]=512"]),
    ("tiny", "", &["encoder.conv1.weight[0]=384"]),
];

const SEQ2SEQ: &[Measure] = &[
    ("layers", "#encoder.layers."),
    ("decoder_layers", "#decoder.layers."),
    ("hidden_size", "shared.weight[1]"),
    ("vocabulary", "shared.weight[0]"),
];

/// The table: the first that fits is it.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    vision("clip", "CLIP, text and vision", &["text_model.encoder.layers.0.layer_norm1.weight", "vision_model.encoder.layers.0.layer_norm1.weight", "text_projection.weight"]).variants(CLIP_SIZE).facts(CLIP_BOTH),
    vision("siglip", "SigLIP, text and vision", &["text_model.encoder.layers.0.layer_norm1.weight", "vision_model.encoder.layers.0.layer_norm1.weight", "logit_bias"]).facts(CLIP_BOTH),
    vision("clip", "CLIP, text and vision", &["visual.transformer.resblocks.0.ln_1.weight", "transformer.resblocks.0.ln_1.weight", "text_projection"]).variants(CLIP_SIZE).facts(CLIP_BOTH),
    vision("clip", "CLIP with a ResNet", &["visual.attnpool.q_proj.weight", "transformer.resblocks.0.ln_1.weight"]).facts(CLIP_BOTH),
    text("clip", "CLIP text encoder", &["text_model.encoder.layers.0.layer_norm1.weight | encoder.layers.0.layer_norm1.weight",
                                        "text_model.embeddings.token_embedding.weight | embeddings.token_embedding.weight"]).variants(CLIP_SIZE).facts(CLIP_TEXT),
    text("clip", "CLIP text encoder", &["transformer.resblocks.0.ln_1.weight", "token_embedding.weight", "!visual.conv1.weight"]).variants(CLIP_SIZE).facts(CLIP_TEXT),
    vision("clip-vision", "CLIP vision encoder", &["vision_model.encoder.layers.0.layer_norm1.weight | encoder.layers.0.layer_norm1.weight", "vision_model.embeddings.class_embedding | embeddings.class_embedding"])
        .of_kind(Kind::VisionEncoder)
        .variants(&[("G/14", "", &["vision_model.post_layernorm.weight[0]=1664 | post_layernorm.weight[0]=1664"]), ("H/14", "", &["vision_model.post_layernorm.weight[0]=1280 | post_layernorm.weight[0]=1280"]), ("L/14", "", &["vision_model.post_layernorm.weight[0]=1024 | post_layernorm.weight[0]=1024"]), ("B", "", &["vision_model.post_layernorm.weight[0]=768 | post_layernorm.weight[0]=768"])])
        .facts(VIT),
    vision("siglip-vision", "SigLIP vision encoder", &["vision_model.encoder.layers.0.layer_norm1.weight | encoder.layers.0.layer_norm1.weight", "vision_model.embeddings.patch_embedding.bias | embeddings.patch_embedding.bias"]).of_kind(Kind::VisionEncoder).facts(VIT),
    vision("clip-vision", "CLIP vision encoder", &["visual.transformer.resblocks.0.ln_1.weight", "!transformer.resblocks.0.ln_1.weight"]).of_kind(Kind::VisionEncoder).facts(CLIP_BOTH),
    Rule::new(Domain::Language, "t5", "T5", &["encoder.block.0.layer.0.SelfAttention.*", "decoder.block.0.layer.0.SelfAttention.*"]).variants(T5_SIZE).facts(T5),
    text("t5", "T5 encoder", &["encoder.block.0.layer.0.SelfAttention.*", "!decoder.block.0.layer.0.*"]).variants(T5_SIZE).facts(T5),
    text("gemma2", "Gemma 2 text encoder", &["model.layers.0.post_feedforward_layernorm.weight", "!model.layers.0.self_attn.q_norm.weight", "!lm_head.weight", "spiece_model"]),
    audio("whisper", "Whisper", &["encoder.conv1.weight:3", "encoder.conv2.weight:3", "decoder.layers.0.encoder_attn.k_proj.weight | decoder.blocks.0.cross_attn.key.weight"]).variants(WHISPER_SIZE).facts(WHISPER),
    audio("whisper-encoder", "Whisper encoder", &["encoder.conv1.weight:3", "encoder.conv2.weight:3", "encoder.layers.0.self_attn.k_proj.weight"]).of_kind(Kind::AudioEncoder).variants(WHISPER_SIZE.split_at(1).1).facts(WHISPER),
    audio("hubert", "wav2vec 2.0, HuBERT or a model of their shape", &["wav2vec2.feature_extractor.conv_layers.0.conv.weight | hubert.feature_extractor.conv_layers.0.conv.weight | wavlm.feature_extractor.conv_layers.0.conv.weight | feature_extractor.conv_layers.0.conv.weight"])
        .variants(&[("wav2vec2", "", &["wav2vec2.feature_extractor.conv_layers.0.conv.weight"]), ("hubert", "", &["hubert.feature_extractor.conv_layers.0.conv.weight"]), ("wavlm", "", &["wavlm.feature_extractor.conv_layers.0.conv.weight"])])
        .facts(&[("layers", "#wav2vec2.encoder.layers. | #hubert.encoder.layers. | #encoder.layers."), ("hidden_size", "wav2vec2.encoder.layer_norm.weight[0] | hubert.encoder.layer_norm.weight[0] | encoder.layer_norm.weight[0]"), ("vocabulary", "lm_head.weight[0]")]),
    audio("clap", "CLAP", &["audio_model.audio_encoder.patch_embed.proj.weight", "text_model.encoder.layer.0.attention.self.query.weight"]),
    audio("encodec", "EnCodec", &["quantizer.layers.0.codebook.embed", "encoder.layers.0.conv.*"]),
    audio("dac", "Descript Audio Codec", &["quantizer.quantizers.0.codebook.weight", "encoder.block.0.res_unit1.snake1.alpha"]),
    audio("vits", "VITS", &["text_encoder.encoder.layers.0.attention.emb_rel_k | enc_p.encoder.attn_layers.0.emb_rel_k", "flow.flows.0.*"]),
    audio("musicgen", "MusicGen decoder", &["decoder.embed_tokens.0.weight", "decoder.layers.0.encoder_attn.k_proj.weight"]).facts(&[("layers", "#decoder.layers.")]),
    audio("bark", "Bark", &["semantic.input_embeds_layer.weight", "coarse_acoustics.input_embeds_layer.weight"]),
    audio("speecht5", "SpeechT5", &["speecht5.encoder.wrapped_encoder.layer_norm.weight"]),
    audio("silero-vad", "Silero VAD", &["stft_conv.weight | _model.stft.forward_basis_buffer | stft.forward_basis_buffer | model.stft.forward_basis_buffer", "lstm_cell.weight_ih | _model.decoder.rnn.weight_ih | decoder.rnn.weight_ih | decoder.rnn.weight_ih_l0 | _model.decoder.rnn.weight_ih_l0 | model.decoder.rnn.weight_ih"]),
    audio("crepe", "CREPE", &["conv1_BN.weight", "conv6_BN.weight", "classifier.weight[0]=360"]).variants(&[("tiny", "", &["classifier.weight[1]=256"]), ("full", "", &["classifier.weight[1]=2048"])]),
    Rule::new(Domain::Language, "bart", "BART", &["encoder.layernorm_embedding.weight", "decoder.layers.0.encoder_attn.k_proj.weight"]).facts(SEQ2SEQ),
    Rule::new(Domain::Language, "m2m100", "M2M-100 or NLLB", &["encoder.layer_norm.weight", "decoder.layers.0.encoder_attn.k_proj.weight", "shared.weight"]).facts(SEQ2SEQ),
    Rule::new(Domain::Language, "marian", "Marian", &["encoder.embed_positions.weight", "decoder.layers.0.encoder_attn.k_proj.weight", "shared.weight | decoder.embed_tokens.weight"]).facts(SEQ2SEQ),
    Rule::new(Domain::Language, "albert", "ALBERT", &["encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight | albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight"]),
    Rule::new(Domain::Language, "mpnet", "MPNet", &["encoder.relative_attention_bias.weight | mpnet.encoder.relative_attention_bias.weight", "encoder.layer.0.attention.attn.q.weight | mpnet.encoder.layer.0.attention.attn.q.weight"]).facts(BERT),
    Rule::new(Domain::Language, "deberta-v2", "DeBERTa v2 or v3", &["encoder.layer.0.attention.self.query_proj.weight | deberta.encoder.layer.0.attention.self.query_proj.weight"]).facts(BERT),
    Rule::new(Domain::Language, "distilbert", "DistilBERT", &["distilbert.transformer.layer.0.attention.q_lin.weight | transformer.layer.0.attention.q_lin.weight"]).facts(BERT),
    Rule::new(Domain::Language, "electra", "ELECTRA", &["embeddings_project.weight | electra.embeddings_project.weight | discriminator_predictions.dense.weight | generator_predictions.dense.weight"]).facts(BERT),
    Rule::new(Domain::Language, "xlm-roberta", "XLM-RoBERTa", &["roberta.encoder.layer.0.attention.self.query.weight | encoder.layer.0.attention.self.query.weight", "roberta.embeddings.word_embeddings.weight[0]=250002 | embeddings.word_embeddings.weight[0]=250002"]).facts(BERT),
    Rule::new(Domain::Language, "roberta", "RoBERTa", &["roberta.encoder.layer.0.attention.self.query.weight | encoder.layer.0.attention.self.query.weight", "roberta.embeddings.token_type_embeddings.weight[0]=1 | embeddings.token_type_embeddings.weight[0]=1"]).facts(BERT),
    Rule::new(Domain::Language, "bert", "BERT", &["bert.encoder.layer.0.attention.self.query.weight | encoder.layer.0.attention.self.query.weight", "bert.embeddings.token_type_embeddings.weight | embeddings.token_type_embeddings.weight"]).facts(BERT),
];

/// Autoencoders and other parts of diffusion models, and single-purpose files beside them.
pub(super) const PART_PREFIXES: &[&str] = &[
    "first_stage_model.",
    "vae.",
    "vqvae.",
    "audio_vae.",
    "pretransform.model.",
    "model.",
    "module.",
    "params_ema.",
    "params.",
    "",
];

const fn vae(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Diffusion, family, name, tests).of_kind(Kind::Vae)
}

const LATENT: &[Measure] = &[(
    "latent_channels",
    "decoder.conv_in.weight[1] | decoder.conv_in.conv.weight[1] | decoder.conv1.weight[1]",
)];

/// The table of parts: the first that fits is it.
#[rustfmt::skip]
pub(super) const PARTS: &[Rule] = &[
    vae("vae-wan", "VAE of Wan and Qwen-Image", &["encoder.downsamples.0.residual.0.gamma | encoder.down_blocks.0.norm1.gamma", "decoder.conv1.weight[1]=16 | decoder.conv_in.weight[1]=16"]).facts(LATENT),
    vae("vae-wan-2.2", "VAE of Wan 2.2", &["encoder.downsamples.0.downsamples.0.residual.0.gamma | encoder.down_blocks.0.resnets.0.norm1.gamma", "decoder.conv1.weight[1]=48 | decoder.conv_in.weight[1]=48"]).facts(LATENT),
    vae("vae-hunyuan-video", "VAE of HunyuanVideo", &["encoder.conv_in.conv.weight[0]=128", "decoder.conv_in.conv.weight[1]=16", "encoder.mid_block.attentions.0.to_q.weight | encoder.mid.block_1.conv1.conv.weight"]).facts(LATENT),
    vae("vae-ltx", "VAE of LTX-Video", &["encoder.conv_in.conv.weight[1]=48", "decoder.conv_in.conv.weight[1]=128"]).facts(LATENT),
    vae("vae-cogvideox", "VAE of CogVideoX", &["decoder.mid_block.resnets.0.norm1.conv_y.conv.weight | decoder.mid.block_1.norm1.conv_y.conv.weight"]).facts(LATENT),
    vae("vae-mochi", "VAE of Mochi", &["encoder.block_in.resnets.0.conv1.conv.weight | decoder.blocks.2.blocks.3.stack.5.weight | blocks.2.blocks.3.stack.5.weight"]),
    vae("vae-cosmos", "VAE of Cosmos", &["encoder.conv_in.conv_s.weight | encoder.unpatcher3d.wavelets | decoder.unpatcher3d.wavelets"]).facts(LATENT),
    vae("vae-dc", "Deep compression autoencoder", &["encoder.down_blocks.0.0.conv1.weight", "decoder.up_blocks.0.1.conv1.weight | decoder.up_blocks.0.0.conv.weight"]).facts(LATENT),
    vae("vae-flux2", "VAE of FLUX.2", &["encoder.conv_in.weight", "decoder.conv_in.weight[1]=32", "bn.running_mean"]).facts(LATENT),
    vae("vae-16", "VAE of FLUX.1 or Stable Diffusion 3", &["encoder.conv_in.weight", "decoder.conv_in.weight[1]=16", "decoder.conv_in.weight:4"])
        .variants(&[("diffusers names", "", &["encoder.down_blocks.0.resnets.0.conv1.weight"]), ("original names", "", &["encoder.down.0.block.0.conv1.weight"])]).facts(LATENT),
    vae("vae-vq", "VQ autoencoder", &["quantize.embedding.weight", "decoder.conv_in.weight"]).facts(LATENT),
    vae("vae-sd", "VAE of Stable Diffusion 1, 2 or XL", &["encoder.conv_in.weight", "decoder.conv_in.weight[1]=4"])
        .variants(&[("diffusers names", "", &["encoder.down_blocks.0.resnets.0.conv1.weight"]), ("original names", "", &["encoder.down.0.block.0.conv1.weight"])]).facts(LATENT),
    vae("vae-approx", "tiny autoencoder", &["encoder.layers.0.weight[0]=64", "decoder.layers.0.weight[0]=64"]).facts(&[("latent_channels", "decoder.layers.0.weight[1]")]),
    vae("vae-approx", "tiny autoencoder", &["taesd_decoder.1.weight | 1.weight:4", "3.conv.0.weight | taesd_decoder.3.conv.0.weight"])
        .variants(&[("decoder", "", &["1.weight"]), ("both halves", "", &["taesd_encoder.0.weight"])])
        .facts(&[("latent_channels", "taesd_decoder.1.weight[1] | 1.weight[1]")]),
    vae("vae-approx", "tiny autoencoder", &["0.weight[1]=3", "1.conv.0.weight:4", "2.weight:4"]).variants(&[("encoder", "", &[])]),
    vae("vae-oobleck", "VAE of Stable Audio", &["encoder.block.0.res_unit1.conv1.weight_v | decoder.layers.1.layers.0.beta | decoder.layers.1.layers.1.weight_v"]),
    Rule::new(Domain::Diffusion, "textual-inversion-sdxl", "textual inversion for Stable Diffusion XL", &["clip_l:2", "clip_g:2"]).of_kind(Kind::Embedding).facts(&[("vectors", "clip_l[0]")]),
    Rule::new(Domain::Diffusion, "textual-inversion", "textual inversion", &["emb_params:2 | string_to_param.*:2"]).of_kind(Kind::Embedding)
        .variants(&[("Stable Diffusion 1", "stable-diffusion-v1/textual-inversion", &["emb_params[1]=768 | string_to_param.*[1]=768"]), ("Stable Diffusion 2", "", &["emb_params[1]=1024 | string_to_param.*[1]=1024"]), ("bigG", "", &["emb_params[1]=1280"])])
        .facts(&[("vectors", "emb_params[0]"), ("context_dimension", "emb_params[1]")]),
    Rule::new(Domain::Diffusion, "hypernetwork", "hypernetwork", &["768.0.linear.0.weight | 320.0.linear.0.weight | 1024.0.linear.0.weight"]).of_kind(Kind::Hypernetwork),
];
