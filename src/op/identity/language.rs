//! Language models, by the names that the Hugging Face Hub, their authors and GGUF give them.
//!
//! Source: `state_dict()` of the transformers library's classes; where the library keeps other
//! names in files than in memory, both stand here. Norms decide where they can: they keep
//! their names when the projections are quantised.

use super::Domain;
use super::rule::{Measure, Rule, Variant};

/// What stands before the names of a language model.
pub(super) const PREFIXES: &[&str] = &[
    "",
    "model.",
    "model.language_model.",
    "language_model.model.",
    "thinker.model.",
    "transformer.",
];

const fn rule(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Language, family, name, tests)
}

const DECODER: &[Measure] = &[
    ("layers", "#layers."),
    (
        "hidden_size",
        "norm.weight[0] | layers.0.input_layernorm.weight[0] | embed_tokens.weight[1] | final_layernorm.weight[0]",
    ),
    (
        "intermediate_size",
        "layers.0.mlp.gate_proj.weight[0] | layers.0.mlp.gate_up_proj.weight[0]/2 | layers.0.mlp.fc1.weight[0] | layers.0.mlp.c_fc.weight[0]",
    ),
    ("vocabulary", "embed_tokens.weight[0]"),
    (
        "head_dimension",
        "layers.0.self_attn.q_norm.weight[0] | layers.0.self_attn.q_layernorm.weight[0]",
    ),
    ("query_size", "layers.0.self_attn.q_proj.weight[0]"),
    (
        "key_size",
        "layers.0.self_attn.k_proj.weight[0] | layers.0.self_attn.k_proj.bias[0]",
    ),
];

/// Of models whose norms of queries span all heads, so that they prove no head's size.
const PLAIN: &[Measure] = &[
    ("layers", "#layers."),
    (
        "hidden_size",
        "norm.weight[0] | layers.0.post_attention_layernorm.weight[0] | embed_tokens.weight[1]",
    ),
    (
        "intermediate_size",
        "layers.0.mlp.gate_proj.weight[0] | layers.0.mlp.experts.0.gate_proj.weight[0]",
    ),
    ("vocabulary", "embed_tokens.weight[0]"),
    ("experts", "layers.0.mlp.gate.weight[0]"),
    ("query_size", "layers.0.self_attn.q_proj.weight[0]"),
    ("key_size", "layers.0.self_attn.k_proj.weight[0]"),
];

const EXPERTS: &[Measure] = &[
    ("layers", "#layers."),
    (
        "hidden_size",
        "norm.weight[0] | layers.0.input_layernorm.weight[0]",
    ),
    ("vocabulary", "embed_tokens.weight[0]"),
    (
        "experts",
        "layers.0.block_sparse_moe.gate.weight[0] | layers.0.mlp.gate.weight[0] | layers.1.mlp.gate.weight[0] | layers.3.mlp.gate.weight[0] | \
        layers.0.mlp.router.weight[0] | layers.0.feed_forward.router.weight[0] | layers.1.feed_forward.router.weight[0] | layers.0.block_sparse_moe.router.layer.weight[0] | \
        layers.0.block_sparse_moe.router.weight[0] | layers.0.mlp.experts.gate_up_proj[0]",
    ),
    (
        "expert_size",
        "layers.0.block_sparse_moe.experts.0.w1.weight[0] | layers.0.mlp.experts.0.gate_proj.weight[0] | layers.1.mlp.experts.0.gate_proj.weight[0] | \
        layers.3.mlp.experts.0.gate_proj.weight[0] | layers.0.mlp.experts.gate_up_proj[1]/2 | layers.1.mlp.experts.gate_up_proj[1]/2 | layers.3.mlp.experts.gate_up_proj[1]/2",
    ),
    ("head_dimension", "layers.0.self_attn.q_norm.weight[0]"),
    ("query_size", "layers.0.self_attn.q_proj.weight[0]"),
    ("key_size", "layers.0.self_attn.k_proj.weight[0]"),
];

const GPT: &[Measure] = &[
    ("layers", "#h. | #blocks. | #layers."),
    (
        "hidden_size",
        "ln_f.weight[0] | wte.weight[1] | norm_f.weight[0] | word_embeddings.weight[1] | gpt_neox.final_layer_norm.weight[0] | final_layer_norm.weight[0]",
    ),
    (
        "vocabulary",
        "wte.weight[0] | word_embeddings.weight[0] | gpt_neox.embed_in.weight[0] | embed_in.weight[0]",
    ),
    ("positions", "wpe.weight[0]"),
];

const MAMBA: &[Measure] = &[
    ("layers", "#backbone.layers. | #layers."),
    (
        "hidden_size",
        "backbone.layers.0.norm.weight[0] | layers.0.norm.weight[0]",
    ),
    (
        "vocabulary",
        "backbone.embeddings.weight[0] | backbone.embedding.weight[0] | embeddings.weight[0]",
    ),
    (
        "inner_size",
        "backbone.layers.0.mixer.out_proj.weight[1] | layers.0.mixer.out_proj.weight[1]",
    ),
];

const BOTH: &[Measure] = &[
    (
        "layers",
        "#model.language_model.layers. | #language_model.model.layers. | #model.layers. | #language_model.layers.",
    ),
    (
        "hidden_size",
        "model.language_model.norm.weight[0] | language_model.model.norm.weight[0] | model.norm.weight[0]",
    ),
    (
        "intermediate_size",
        "model.language_model.layers.0.mlp.gate_proj.weight[0] | language_model.model.layers.0.mlp.gate_proj.weight[0] | model.layers.0.mlp.gate_proj.weight[0]",
    ),
    (
        "vocabulary",
        "model.language_model.embed_tokens.weight[0] | language_model.model.embed_tokens.weight[0] | model.embed_tokens.weight[0]",
    ),
    (
        "vision_layers",
        "#model.visual.blocks. | #visual.blocks. | #model.vision_tower.encoder.layers. | #vision_tower.vision_model.encoder.layers. | \
        #model.vision_tower.vision_model.encoder.layers. | #vision_tower.transformer.layers. | #model.vision_tower.transformer.layers. | #vision_model.model.layers.",
    ),
];

const VISION: &[Variant] = &[("vision-language", "", &[])];

/// A model of the shape that Llama gave its name to.
const LLAMA: &str = "layers.0.post_attention_layernorm.weight";
const INPUT: &str = "layers.0.input_layernorm.weight";
const ATTENTION: &str = "layers.0.self_attn.q_proj.*";
const GATE: &str = "layers.0.mlp.gate_proj.*";

/// Models that see pictures too: their parts have prefixes of their own, so they come first.
#[rustfmt::skip]
pub(super) const VISION_LANGUAGE: &[Rule] = &[
    rule("qwen3-vl", "Qwen3-VL", &["model.visual.deepstack_merger_list.0.norm.weight | visual.deepstack_merger_list.0.norm.weight"]).variants(VISION).facts(BOTH),
    rule("qwen2.5-vl", "Qwen2.5-VL", &["model.visual.blocks.0.mlp.gate_proj.weight | visual.blocks.0.mlp.gate_proj.weight", "model.visual.merger.ln_q.weight | visual.merger.ln_q.weight"]).variants(VISION).facts(BOTH),
    rule("qwen2-vl", "Qwen2-VL", &["model.visual.blocks.0.mlp.fc1.weight | visual.blocks.0.mlp.fc1.weight", "model.visual.merger.ln_q.weight | visual.merger.ln_q.weight"]).variants(VISION).facts(BOTH),
    rule("gemma3", "Gemma 3", &["model.multi_modal_projector.mm_soft_emb_norm.weight | multi_modal_projector.mm_soft_emb_norm.weight"]).variants(VISION).facts(BOTH),
    rule("llama4", "Llama 4", &["vision_model.positional_embedding_vlm", "multi_modal_projector.linear_1.weight"]).variants(VISION).facts(BOTH),
    rule("mllama", "Llama 3.2 Vision", &["vision_model.gated_positional_embedding.embedding | model.vision_model.gated_positional_embedding.embedding"]).variants(VISION),
    rule("mistral3", "Mistral 3", &["model.multi_modal_projector.patch_merger.merging_layer.weight | multi_modal_projector.patch_merger.merging_layer.weight"]).variants(VISION).facts(BOTH),
    rule("pixtral", "Pixtral", &["vision_tower.patch_conv.weight | model.vision_tower.patch_conv.weight"]).variants(VISION).facts(BOTH),
    rule("florence2", "Florence-2", &["model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed | visual_temporal_embed.pos_idx_to_embed | model.vision_tower.convs.0.conv.weight | vision_tower.convs.0.proj.weight"]).variants(VISION),
    rule("paligemma", "PaliGemma", &["multi_modal_projector.linear.weight | model.multi_modal_projector.linear.weight"]).variants(VISION).facts(BOTH),
    rule("llava", "LLaVA", &["multi_modal_projector.linear_1.weight | model.multi_modal_projector.linear_1.weight | model.mm_projector.0.weight"]).variants(VISION).facts(BOTH),
    rule("blip2", "BLIP-2", &["qformer.encoder.layer.0.*", "query_tokens", "language_projection.weight"]).variants(VISION),
    rule("csm", "CSM", &["backbone_model.embed_tokens.embed_audio_tokens.weight", "depth_decoder.model.embed_tokens.weight"]),
];

/// The table: the first that fits is it.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    rule("gpt-oss", "gpt-oss", &["layers.0.self_attn.sinks", "layers.0.mlp.router.weight | layers.0.mlp.router.*"])
        .variants(&[("120b", "", &["layers.0.mlp.router.weight[0]=128"]), ("20b", "", &["layers.0.mlp.router.weight[0]=32"])]).facts(EXPERTS),
    rule("deepseek-v3", "DeepSeek V3", &["layers.0.self_attn.kv_a_layernorm.weight", "layers.3.mlp.gate.e_score_correction_bias | layers.1.mlp.gate.e_score_correction_bias"])
        .variants(&[("kimi-k2", "", &["layers.1.mlp.gate.weight[0]=384"]), ("v3", "", &["layers.3.mlp.gate.weight[0]=256"])]).facts(EXPERTS),
    rule("deepseek-v2", "DeepSeek V2", &["layers.0.self_attn.kv_a_layernorm.weight"])
        .variants(&[("v2", "", &["layers.0.self_attn.q_a_layernorm.weight"]), ("v2 lite", "", &["!layers.0.self_attn.q_a_layernorm.weight"])]).facts(EXPERTS),
    rule("llama4", "Llama 4", &["layers.0.feed_forward.shared_expert.gate_proj.*", "layers.0.feed_forward.router.*"])
        .facts(EXPERTS),
    rule("jamba", "Jamba", &["layers.0.mamba.A_log", "layers.0.pre_ff_layernorm.weight"]).facts(EXPERTS),
    rule("minimax", "MiniMax", &["layers.0.self_attn.slope_rate | layers.1.self_attn.slope_rate | layers.0.self_attn.output_gate.* | layers.1.self_attn.output_gate.*"]).facts(EXPERTS),
    rule("qwen3-next", "Qwen3-Next", &["layers.0.linear_attn.A_log", "layers.0.mlp.shared_expert_gate.*"]).facts(EXPERTS),
    rule("mixtral", "Mixtral", &["layers.0.block_sparse_moe.gate.*", INPUT, "layers.0.block_sparse_moe.experts.*"])
        .variants(&[("phi-3.5-moe", "", &["layers.0.input_layernorm.bias"]), ("mixtral", "", &["layers.0.input_layernorm.weight"])]).facts(EXPERTS),
    rule("granite-moe", "Granite MoE", &["layers.0.block_sparse_moe.router.*", INPUT]).facts(EXPERTS),
    rule("qwen2-moe", "Qwen2-MoE", &["layers.0.mlp.shared_expert_gate.*", "layers.0.self_attn.q_proj.bias"]).facts(EXPERTS),
    rule("glm4-moe", "GLM-4 MoE", &["layers.1.mlp.shared_experts.gate_proj.*", "layers.1.mlp.gate.*", "layers.0.self_attn.q_proj.*", INPUT]).facts(EXPERTS),
    rule("olmoe", "OLMoE", &["layers.0.mlp.gate.weight", "layers.0.self_attn.q_norm.weight[0]>=1024", INPUT]).facts(PLAIN),
    rule("qwen3-moe", "Qwen3-MoE", &["layers.0.mlp.gate.weight", "layers.0.self_attn.q_norm.weight", INPUT]).facts(EXPERTS),
    rule("phi-moe", "Phi-3.5-MoE", &["layers.0.mlp.router.weight", "layers.0.mlp.experts.*", "layers.0.input_layernorm.bias"]).facts(EXPERTS),
    rule("mixtral", "Mixtral", &["layers.0.mlp.gate.weight", "layers.0.mlp.experts.gate_up_proj", INPUT, LLAMA]).facts(EXPERTS),
    rule("gemma3", "Gemma 3", &["layers.0.pre_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight"])
        .variants(&[("270m", "", &["#layers.=18", "norm.weight[0]=640"]), ("1b", "", &["#layers.=26", "norm.weight[0]=1152"]), ("4b", "", &["#layers.=34"]), ("12b", "", &["#layers.=48"]), ("27b", "", &["#layers.=62"])]).facts(DECODER),
    rule("gemma2", "Gemma 2", &["layers.0.pre_feedforward_layernorm.weight", "!layers.0.self_attn.q_norm.weight"])
        .variants(&[("2b", "", &["#layers.=26"]), ("9b", "", &["#layers.=42"]), ("27b", "", &["#layers.=46"])]).facts(DECODER),
    rule("exaone4", "EXAONE 4", &["layers.0.post_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight[0]=128", "!layers.0.input_layernorm.weight"]).facts(DECODER),
    rule("olmo2", "OLMo 2", &["layers.0.post_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight", "!layers.0.input_layernorm.weight"]).facts(PLAIN),
    rule("glm4", "GLM-4", &["layers.0.post_self_attn_layernorm.weight", "layers.0.post_mlp_layernorm.weight"]).facts(DECODER),
    rule("phi3", "Phi-3", &["layers.0.self_attn.qkv_proj.*", "layers.0.mlp.gate_up_proj.*", LLAMA])
        .variants(&[("mini", "", &["norm.weight[0]=3072", "#layers.=32"]), ("medium or phi-4", "", &["norm.weight[0]=5120", "#layers.=40"])]).facts(DECODER),
    rule("glm", "GLM", &["layers.0.mlp.gate_up_proj.*", ATTENTION, LLAMA]).facts(DECODER),
    rule("persimmon", "Persimmon", &["layers.0.self_attn.query_key_value.*", "layers.0.self_attn.q_layernorm.weight"]).facts(DECODER),
    rule("phi", "Phi", &["layers.0.self_attn.dense.*", "layers.0.mlp.fc1.*", "final_layernorm.weight"])
        .variants(&[("phi-2", "", &["final_layernorm.weight[0]=2560"]), ("phi-1 or phi-1.5", "", &["final_layernorm.weight[0]=2048"])]).facts(DECODER),
    rule("starcoder2", "StarCoder2", &["layers.0.mlp.c_fc.*", ATTENTION, INPUT])
        .variants(&[("3b", "", &["norm.weight[0]=3072"]), ("7b", "", &["norm.weight[0]=4608"]), ("15b", "", &["norm.weight[0]=6144"])]).facts(DECODER),
    rule("lfm2", "LFM2", &["layers.0.operator_norm.weight", "layers.0.ffn_norm.weight"]).facts(DECODER),
    rule("internlm2", "InternLM2", &["layers.0.attention.wqkv.*", "layers.0.feed_forward.w1.*"]).facts(&[("layers", "#layers."), ("hidden_size", "norm.weight[0]"), ("vocabulary", "tok_embeddings.weight[0]")]),
    rule("baichuan", "Baichuan", &["layers.0.self_attn.W_pack.*", GATE]).facts(DECODER),
    rule("modernbert", "ModernBERT", &["layers.0.attn.Wqkv.weight", "layers.0.mlp.Wi.weight", "embeddings.tok_embeddings.weight"])
        .facts(&[("layers", "#layers."), ("hidden_size", "final_norm.weight[0]"), ("vocabulary", "embeddings.tok_embeddings.weight[0]")]),
    rule("nomic-bert", "Nomic BERT", &["embeddings.token_type_embeddings.weight", "encoder.layers.0.mlp.fc11.weight | layers.0.post_mlp_layernorm.weight"])
        .facts(&[("layers", "#encoder.layers. | #layers."), ("hidden_size", "embeddings.word_embeddings.weight[1]"), ("vocabulary", "embeddings.word_embeddings.weight[0]")]),
    rule("command-r", "Command R", &[INPUT, ATTENTION, GATE, "!layers.0.post_attention_layernorm.weight", "!layers.0.input_layernorm.bias"]).facts(DECODER),
    rule("olmo", "OLMo", &[ATTENTION, GATE, "!layers.0.input_layernorm.weight", "!layers.0.post_attention_layernorm.weight", "!layers.0.attention_norm.weight", "embed_tokens.weight"]).facts(DECODER),
    rule("stablelm", "StableLM", &["layers.0.input_layernorm.bias", ATTENTION, GATE]).facts(DECODER),
    rule("qwen3", "Qwen3", &["layers.0.self_attn.q_norm.weight", "layers.0.self_attn.k_norm.weight", INPUT, LLAMA, GATE])
        .variants(&[
            ("0.6b", "", &["#layers.=28", "norm.weight[0]=1024"]), ("1.7b", "", &["#layers.=28", "norm.weight[0]=2048"]),
            ("4b", "", &["#layers.=36", "norm.weight[0]=2560"]), ("8b", "", &["#layers.=36", "norm.weight[0]=4096"]),
            ("14b", "", &["#layers.=40", "norm.weight[0]=5120"]), ("32b", "", &["#layers.=64", "norm.weight[0]=5120"]),
        ])
        .facts(DECODER),
    rule("qwen2", "Qwen2", &["layers.0.self_attn.q_proj.bias", "layers.0.self_attn.k_proj.bias", "!layers.0.self_attn.o_proj.bias", INPUT, LLAMA, GATE])
        .variants(&[
            ("0.5b", "", &["#layers.=24", "norm.weight[0]=896"]), ("1.5b", "", &["#layers.=28", "norm.weight[0]=1536"]),
            ("3b", "", &["#layers.=36", "norm.weight[0]=2048"]), ("7b", "", &["#layers.=28", "norm.weight[0]=3584"]),
            ("14b", "", &["#layers.=48", "norm.weight[0]=5120"]), ("32b", "", &["#layers.=64", "norm.weight[0]=5120"]),
            ("72b", "", &["#layers.=80", "norm.weight[0]=8192"]),
        ])
        .facts(DECODER),
    rule("gemma", "Gemma", &["embed_tokens.weight[0]=256000,256128", INPUT, LLAMA, GATE, "layers.0.mlp.gate_proj.weight[0]=16384,24576"])
        .variants(&[("2b", "", &["#layers.=18"]), ("7b", "", &["#layers.=28"])]).facts(DECODER),
    rule("llama", "Llama or a model of its shape (Mistral, Yi, SmolLM, Granite ...)", &[INPUT, LLAMA, GATE, ATTENTION])
        .variants(&[
            ("3 8b", "", &["embed_tokens.weight[0]=128256", "#layers.=32", "norm.weight[0]=4096"]),
            ("3 70b", "", &["embed_tokens.weight[0]=128256", "#layers.=80", "norm.weight[0]=8192"]),
            ("3.1 405b", "", &["embed_tokens.weight[0]=128256", "#layers.=126"]),
            ("3.2 1b", "", &["embed_tokens.weight[0]=128256", "#layers.=16", "norm.weight[0]=2048"]),
            ("3.2 3b", "", &["embed_tokens.weight[0]=128256", "#layers.=28", "norm.weight[0]=3072"]),
            ("mistral 7b shape", "", &["layers.0.mlp.gate_proj.weight[0]=14336", "embed_tokens.weight[0]=32000,32768"]),
            ("1 or 2 7b shape", "", &["layers.0.mlp.gate_proj.weight[0]=11008", "embed_tokens.weight[0]=32000", "#layers.=32"]),
            ("1 or 2 13b shape", "", &["layers.0.mlp.gate_proj.weight[0]=13824", "embed_tokens.weight[0]=32000", "#layers.=40"]),
            ("2 70b shape", "", &["layers.0.mlp.gate_proj.weight[0]=28672", "embed_tokens.weight[0]=32000", "#layers.=80"]),
        ])
        .facts(DECODER),
    rule("llama", "Llama in Meta's own names", &["layers.0.attention.wq.weight", "layers.0.feed_forward.w1.weight | layers.0.feed_forward.w1.*", "layers.0.ffn_norm.weight"])
        .facts(&[("layers", "#layers."), ("hidden_size", "norm.weight[0]"), ("vocabulary", "tok_embeddings.weight[0]"), ("query_size", "layers.0.attention.wq.weight[0]"), ("key_size", "layers.0.attention.wk.weight[0]")]),
    rule("opt", "OPT", &["decoder.embed_positions.weight", "decoder.layers.0.self_attn.q_proj.*", "!encoder.layers.0.self_attn.q_proj.weight", "!decoder.layers.0.encoder_attn.q_proj.weight"])
        .facts(&[("layers", "#decoder.layers."), ("hidden_size", "decoder.layers.0.self_attn_layer_norm.weight[0]"), ("vocabulary", "decoder.embed_tokens.weight[0]"), ("positions", "decoder.embed_positions.weight[0]")]),
    rule("starcoder", "GPT-BigCode", &["wpe.weight", "h.0.attn.c_attn.weight:2", "h.0.mlp.c_fc.weight", "h.0.attn.c_attn.weight[0]>=129", "h.0.attn.c_attn.weight[1]=768,2048,6144,1024,8192,4096"]).facts(GPT),
    rule("gpt2", "GPT-2", &["wpe.weight", "h.0.attn.c_attn.weight", "h.0.mlp.c_fc.weight"])
        .variants(&[("small", "", &["#h.=12"]), ("medium", "", &["#h.=24"]), ("large", "", &["#h.=36"]), ("xl", "", &["#h.=48"])]).facts(GPT),
    rule("qwen", "Qwen", &["h.0.attn.c_attn.*", "h.0.mlp.w1.*"]).facts(GPT),
    rule("gpt-neox", "GPT-NeoX or Pythia", &["gpt_neox.layers.0.attention.query_key_value.* | layers.0.attention.query_key_value.*", "gpt_neox.final_layer_norm.weight | final_layer_norm.weight"])
        .facts(&[("layers", "#gpt_neox.layers. | #layers."), ("hidden_size", "gpt_neox.final_layer_norm.weight[0] | final_layer_norm.weight[0]"), ("vocabulary", "gpt_neox.embed_in.weight[0] | embed_in.weight[0]")]),
    rule("gpt-neo", "GPT-Neo", &["h.0.attn.attention.q_proj.*", "wpe.weight"]).facts(GPT),
    rule("codegen", "CodeGen", &["h.0.attn.qkv_proj.*", "h.0.mlp.fc_in.*"]).facts(GPT),
    rule("gpt-j", "GPT-J", &["h.0.attn.q_proj.*", "h.0.mlp.fc_in.*"]).facts(GPT),
    rule("bloom", "BLOOM", &["word_embeddings_layernorm.weight", "h.0.self_attention.query_key_value.*"]).facts(GPT),
    rule("falcon", "Falcon", &["word_embeddings.weight", "h.0.self_attention.query_key_value.*"]).facts(GPT),
    rule("mpt", "MPT", &["blocks.0.attn.Wqkv.*", "blocks.0.norm_1.weight"]).facts(GPT),
    rule("chatglm", "ChatGLM", &["encoder.layers.0.self_attention.query_key_value.*", "embedding.word_embeddings.weight"])
        .facts(&[("layers", "#encoder.layers."), ("vocabulary", "embedding.word_embeddings.weight[0]"), ("hidden_size", "encoder.final_layernorm.weight[0]")]),
    rule("mamba2", "Mamba-2", &["backbone.layers.0.mixer.A_log:1 | layers.0.mixer.A_log:1", "backbone.layers.0.mixer.norm.weight | layers.0.mixer.norm.weight"]).facts(MAMBA),
    rule("mamba", "Mamba", &["backbone.layers.0.mixer.A_log:2 | layers.0.mixer.A_log:2"]).facts(MAMBA),
    rule("rwkv", "RWKV", &["rwkv.blocks.0.attention.time_decay | blocks.0.att.time_decay | blocks.0.att.w0 | blocks.0.att.x_r"])
        .variants(&[("7", "", &["blocks.0.att.w0"]), ("6", "", &["blocks.0.att.time_maa_x"]), ("5", "", &["blocks.0.att.gate.weight"]), ("4", "", &["rwkv.blocks.0.attention.time_mix_key | blocks.0.att.time_mix_k"])])
        .facts(&[("layers", "#rwkv.blocks. | #blocks."), ("hidden_size", "rwkv.ln_out.weight[0] | ln_out.weight[0]"), ("vocabulary", "rwkv.embeddings.weight[0] | emb.weight[0]")]),
];
