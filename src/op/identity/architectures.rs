//! Architectures by the names that GGUF files have for them.
//!
//! Source: gguf-py, `constants.py` (`MODEL_ARCH_NAMES`); ComfyUI-GGUF, `loader.py` (`IMG_ARCH_LIST`), for diffusion models.

use super::Domain;

/// The name in `general.architecture`, the family that the other tables know it by, and as people
/// call it.
pub(super) type Row = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const LANGUAGE: &[Row] = &[
    ("afmoe", "afmoe", "Arcee AFMoE (Trinity)"),
    ("apertus", "apertus", "Apertus"),
    ("arcee", "arcee", "Arcee AFM"),
    ("arctic", "arctic", "Snowflake Arctic"),
    ("arwkv7", "rwkv", "ARWKV 7, Qwen2 turned into RWKV"),
    ("baichuan", "baichuan", "Baichuan"),
    ("bailingmoe", "bailing-moe", "Bailing MoE (Ling)"),
    ("bailingmoe2", "bailing-moe", "Bailing MoE 2 (Ling 2)"),
    ("bert", "bert", "BERT"),
    ("bitnet", "bitnet", "BitNet"),
    ("bloom", "bloom", "BLOOM"),
    ("chameleon", "chameleon", "Chameleon"),
    ("chatglm", "chatglm", "ChatGLM or GLM-4"),
    ("codeshell", "codeshell", "CodeShell"),
    ("cogvlm", "cogvlm", "CogVLM"),
    ("cohere2", "command-r", "Command R7B or A"),
    ("command-r", "command-r", "Command R"),
    ("dbrx", "dbrx", "DBRX"),
    ("deci", "deci", "Deci or Nemotron NAS"),
    ("deepseek", "deepseek", "DeepSeek MoE"),
    ("deepseek2", "deepseek-v2", "DeepSeek V2, V3 or Kimi K2"),
    ("deepseek2-ocr", "deepseek-ocr", "DeepSeek-OCR"),
    ("dots1", "dots1", "dots.llm1"),
    ("dream", "dream", "Dream"),
    ("ernie4_5", "ernie4.5", "ERNIE 4.5"),
    ("ernie4_5-moe", "ernie4.5", "ERNIE 4.5 MoE"),
    ("eurobert", "eurobert", "EuroBERT"),
    ("exaone", "exaone", "EXAONE 3"),
    ("exaone-moe", "exaone-moe", "EXAONE MoE"),
    ("exaone4", "exaone4", "EXAONE 4"),
    ("falcon", "falcon", "Falcon"),
    ("falcon-h1", "falcon-h1", "Falcon-H1"),
    ("gemma", "gemma", "Gemma"),
    ("gemma-embedding", "gemma3", "EmbeddingGemma"),
    ("gemma2", "gemma2", "Gemma 2"),
    ("gemma3", "gemma3", "Gemma 3"),
    ("gemma3n", "gemma3n", "Gemma 3n"),
    ("gemma4", "gemma4", "Gemma 4"),
    ("glm-dsa", "glm-dsa", "GLM with sparse attention"),
    ("glm4", "glm4", "GLM-4"),
    ("glm4moe", "glm4-moe", "GLM-4 MoE"),
    ("gpt-oss", "gpt-oss", "gpt-oss"),
    ("gpt2", "gpt2", "GPT-2"),
    ("gptj", "gpt-j", "GPT-J"),
    ("gptneox", "gpt-neox", "GPT-NeoX or Pythia"),
    ("granite", "granite", "Granite"),
    ("granitehybrid", "granite-hybrid", "Granite 4, hybrid"),
    ("granitemoe", "granite-moe", "Granite MoE"),
    ("grok", "grok", "Grok"),
    ("grovemoe", "grove-moe", "GroveMoE"),
    ("hunyuan-dense", "hunyuan", "Hunyuan, dense"),
    ("hunyuan-moe", "hunyuan", "Hunyuan MoE"),
    ("hunyuan_vl", "hunyuan", "Hunyuan-VL"),
    ("internlm2", "internlm2", "InternLM2"),
    ("jais", "jais", "Jais"),
    ("jais2", "jais2", "Jais 2"),
    ("jamba", "jamba", "Jamba"),
    ("jina-bert-v2", "jina-bert", "Jina BERT v2"),
    ("jina-bert-v3", "jina-bert", "Jina BERT v3"),
    ("kimi-linear", "kimi-linear", "Kimi Linear"),
    ("lfm2", "lfm2", "LFM2"),
    ("lfm2moe", "lfm2", "LFM2 MoE"),
    ("llada", "llada", "LLaDA"),
    ("llada-moe", "llada", "LLaDA MoE"),
    ("llama", "llama", "Llama or a model of its shape"),
    ("llama-embed", "llama", "Llama for embeddings"),
    ("llama4", "llama4", "Llama 4"),
    ("maincoder", "maincoder", "Maincoder"),
    ("mamba", "mamba", "Mamba"),
    ("mamba2", "mamba2", "Mamba-2"),
    ("mimo2", "mimo2", "MiMo 2"),
    ("minicpm", "minicpm", "MiniCPM"),
    ("minicpm3", "minicpm3", "MiniCPM 3"),
    ("minimax-m2", "minimax", "MiniMax"),
    ("mistral3", "mistral3", "Mistral 3"),
    ("mistral4", "mistral4", "Mistral 4"),
    ("modern-bert", "modernbert", "ModernBERT"),
    ("mpt", "mpt", "MPT"),
    ("nemotron", "nemotron", "Nemotron"),
    ("nemotron_h", "nemotron-h", "Nemotron-H"),
    ("nemotron_h_moe", "nemotron-h", "Nemotron-H MoE"),
    ("neo-bert", "neobert", "NeoBERT"),
    ("nomic-bert", "nomic-bert", "Nomic BERT"),
    ("nomic-bert-moe", "nomic-bert", "Nomic BERT MoE"),
    ("olmo", "olmo", "OLMo"),
    ("olmo2", "olmo2", "OLMo 2"),
    ("olmoe", "olmoe", "OLMoE"),
    ("openelm", "openelm", "OpenELM"),
    ("orion", "orion", "Orion"),
    ("paddleocr", "paddleocr", "PaddleOCR-VL"),
    ("pangu-embedded", "pangu", "openPangu Embedded"),
    ("phi2", "phi", "Phi"),
    ("phi3", "phi3", "Phi-3"),
    ("phimoe", "phi-moe", "Phi-3.5-MoE"),
    ("plamo", "plamo", "PLaMo"),
    ("plamo2", "plamo2", "PLaMo 2"),
    ("plamo3", "plamo3", "PLaMo 3"),
    ("plm", "plm", "PLM"),
    ("qwen", "qwen", "Qwen"),
    ("qwen2", "qwen2", "Qwen2"),
    ("qwen2moe", "qwen2-moe", "Qwen2-MoE"),
    ("qwen2vl", "qwen2-vl", "Qwen2-VL or Qwen2.5-VL"),
    ("qwen3", "qwen3", "Qwen3"),
    ("qwen35", "qwen3.5", "Qwen3.5"),
    ("qwen35moe", "qwen3.5", "Qwen3.5 MoE"),
    ("qwen3moe", "qwen3-moe", "Qwen3-MoE"),
    ("qwen3next", "qwen3-next", "Qwen3-Next"),
    ("qwen3vl", "qwen3-vl", "Qwen3-VL"),
    ("qwen3vlmoe", "qwen3-vl", "Qwen3-VL MoE"),
    ("refact", "refact", "Refact"),
    ("rnd1", "rnd1", "RND1"),
    ("rwkv6", "rwkv", "RWKV 6"),
    ("rwkv6qwen2", "rwkv", "QRWKV 6, Qwen2 turned into RWKV"),
    ("rwkv7", "rwkv", "RWKV 7"),
    ("seed_oss", "seed-oss", "Seed-OSS"),
    ("smallthinker", "smallthinker", "SmallThinker"),
    ("smollm3", "smollm3", "SmolLM3"),
    ("stablelm", "stablelm", "StableLM"),
    ("starcoder", "starcoder", "GPT-BigCode"),
    ("starcoder2", "starcoder2", "StarCoder2"),
    ("step35", "step3.5", "Step 3.5"),
    ("t5", "t5", "T5"),
    ("t5encoder", "t5", "T5 encoder"),
    ("xverse", "xverse", "XVERSE"),
];

#[rustfmt::skip]
const VISION: &[Row] = &[
    ("clip", "clip-vision", "vision part of a language model"),
];

#[rustfmt::skip]
const AUDIO: &[Row] = &[
    ("wavtokenizer-dec", "wavtokenizer", "WavTokenizer decoder"),
    ("whisper", "whisper", "Whisper"),
];

#[rustfmt::skip]
const DIFFUSION: &[Row] = &[
    ("aura", "auraflow", "AuraFlow"),
    ("cosmos", "cosmos-predict2", "Cosmos-Predict2"),
    ("flux", "flux", "FLUX.1"),
    ("hidream", "hidream", "HiDream"),
    ("hyvid", "hunyuan-video", "HunyuanVideo"),
    ("ltxv", "ltx-video", "LTX-Video"),
    ("lumina2", "lumina2", "Lumina 2"),
    ("qwen_image", "qwen-image", "Qwen-Image"),
    ("sd1", "sd1", "Stable Diffusion 1"),
    ("sd3", "sd3", "Stable Diffusion 3"),
    ("sdxl", "sdxl", "Stable Diffusion XL"),
    ("wan", "wan", "Wan"),
];

/// The row of an architecture, and what it works on.
pub(super) fn find(architecture: &str) -> Option<(Domain, &'static Row)> {
    let tables = [
        (Domain::Language, LANGUAGE),
        (Domain::Vision, VISION),
        (Domain::Audio, AUDIO),
        (Domain::Diffusion, DIFFUSION),
    ];
    tables.into_iter().find_map(|(domain, rows)| {
        let row = rows.iter().find(|row| row.0 == architecture)?;
        Some((domain, row))
    })
}
