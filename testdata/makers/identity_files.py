"""Names and shapes of real models, for the rules that recognise them.

Architectures are built on torch's meta device from published configurations, by transformers and
diffusers, so no weights are needed; names are those that the library writes to files.

Each model becomes `identity/DOMAIN/NAME.txt`: comments with its source, `= key value` lines with
what must be recognised (from the configuration, not from us), then `name dtype shape`, where
`{a-b}` in a name stands for each number.
"""

import json
import re
from collections import OrderedDict

from makers.common import folder

NUMBER = re.compile(r"(?<![A-Za-z])\d+(?![A-Za-z])|(?<=[a-z_])\d+(?=\.)")


def fold(tensors):
    """Rows that differ in one number become one row, from the right of the names to the left."""
    rows = [(re.split(r"(\d+)", name), dtype, tuple(shape)) for name, dtype, shape in tensors]
    depth = max((len(parts) for parts, _, _ in rows), default=0)
    for place in range(depth - 1 - (depth % 2 == 1), 0, -2):
        groups = OrderedDict()
        for parts, dtype, shape in rows:
            if place < len(parts) and parts[place].isdigit() and str(int(parts[place])) == parts[place]:
                key = (tuple(parts[:place]), tuple(parts[place + 1:]), dtype, shape)
                groups.setdefault(key, []).append(int(parts[place]))
            else:
                groups[(tuple(parts), None, dtype, shape)] = None
        folded = []
        for (before, after, dtype, shape), numbers in groups.items():
            if numbers is None:
                folded.append((list(before), dtype, shape))
                continue
            start = 0
            for index in range(1, len(numbers) + 1):
                if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
                    first, last = numbers[start], numbers[index - 1]
                    text = str(first) if first == last else "{%d-%d}" % (first, last)
                    folded.append(([*before, text, *after], dtype, shape))
                    start = index
        rows = folded
    return [("".join(parts), dtype, shape) for parts, dtype, shape in rows]


def write(domain, name, source, expected, tensors):
    lines = [f"# {source}"]
    for key, value in expected.items():
        lines.append(f"= {key} {value}")
    for pattern, dtype, shape in fold(tensors):
        lines.append(f"{pattern} {dtype} {','.join(map(str, shape))}")
    (folder("identity/" + domain) / f"{name}.txt").write_text("\n".join(lines) + "\n")


def on_meta(build):
    import torch

    with torch.device("meta"):
        return build()


def in_files(model):
    """The names that the library writes, which in transformers 5 are not those in memory."""
    from transformers.core_model_loading import revert_weight_conversion

    return revert_weight_conversion(model, model.state_dict())


def numbers(config, pairs):
    return {key: getattr(config, attribute) for key, attribute in pairs.items()}


DECODER = {"layers": "num_hidden_layers", "hidden_size": "hidden_size", "vocabulary": "vocab_size"}
HEADED = {**DECODER, "heads": "num_attention_heads", "key_value_heads": "num_key_value_heads", "head_dimension": "head_dim"}
EXPERTS = {**DECODER, "experts": "num_local_experts"}
GPT = {"layers": "n_layer", "hidden_size": "n_embd", "vocabulary": "vocab_size"}
BERT = {**DECODER, "positions": "max_position_embeddings"}
T5 = {"layers": "num_layers", "hidden_size": "d_model", "heads": "num_heads", "vocabulary": "vocab_size"}
WHISPER = {"layers": "encoder_layers", "decoder_layers": "decoder_layers", "hidden_size": "d_model", "vocabulary": "vocab_size", "mel_bins": "num_mel_bins"}
CLIP = {"layers": "num_hidden_layers", "hidden_size": "hidden_size"}

# name, class, configuration, changes to it, family, variant, facts. Configurations without
# changes are the library's defaults, which are those of a published model.
LANGUAGE = [
    ("llama-2-7b", "LlamaForCausalLM", "LlamaConfig", {}, "llama", "1 or 2 7b shape", {**DECODER, "intermediate_size": "intermediate_size"}),
    ("llama-3-8b", "LlamaForCausalLM", "LlamaConfig", {"vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8}, "llama", "3 8b", DECODER),
    ("mistral-7b", "MistralForCausalLM", "MistralConfig", {}, "llama", "mistral 7b shape", DECODER),
    ("mixtral-8x7b", "MixtralForCausalLM", "MixtralConfig", {}, "mixtral", "mixtral", EXPERTS),
    ("qwen2-7b", "Qwen2ForCausalLM", "Qwen2Config", {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}, "qwen2", "7b", DECODER),
    ("qwen2-moe", "Qwen2MoeForCausalLM", "Qwen2MoeConfig", {}, "qwen2-moe", None, {**DECODER, "experts": "num_experts"}),
    ("qwen3-8b", "Qwen3ForCausalLM", "Qwen3Config", {"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}, "qwen3", "8b", HEADED),
    ("qwen3-30b-a3b", "Qwen3MoeForCausalLM", "Qwen3MoeConfig", {"num_hidden_layers": 48, "num_experts": 128, "head_dim": 128, "num_key_value_heads": 4}, "qwen3-moe", None, {**HEADED, "experts": "num_experts"}),
    ("qwen3-next", "Qwen3NextForCausalLM", "Qwen3NextConfig", {"num_hidden_layers": 8, "num_experts": 16}, "qwen3-next", None, DECODER),
    ("qwen2.5-vl", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig", {}, "qwen2.5-vl", "vision-language", {}),
    ("qwen3-vl", "Qwen3VLForConditionalGeneration", "Qwen3VLConfig", {}, "qwen3-vl", "vision-language", {}),
    ("qwen2-vl", "Qwen2VLForConditionalGeneration", "Qwen2VLConfig", {}, "qwen2-vl", "vision-language", {}),
    ("gemma-7b", "GemmaForCausalLM", "GemmaConfig", {}, "gemma", "7b", DECODER),
    ("gemma-2-2b", "Gemma2ForCausalLM", "Gemma2Config", {}, "gemma2", "2b", DECODER),
    ("gemma-3-1b", "Gemma3ForCausalLM", "Gemma3TextConfig", {"vocab_size": 262144, "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256}, "gemma3", "1b", HEADED),
    ("gemma-3-vision", "Gemma3ForConditionalGeneration", "Gemma3Config", {}, "gemma3", "vision-language", {}),
    ("phi-2", "PhiForCausalLM", "PhiConfig", {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32}, "phi", "phi-2", DECODER),
    ("phi-3-mini", "Phi3ForCausalLM", "Phi3Config", {}, "phi3", "mini", DECODER),
    ("phi-3.5-moe", "PhimoeForCausalLM", "PhimoeConfig", {}, "mixtral", "phi-3.5-moe", EXPERTS),
    ("gpt2", "GPT2LMHeadModel", "GPT2Config", {}, "gpt2", "small", {**GPT, "positions": "n_positions"}),
    ("gpt-neox-20b", "GPTNeoXForCausalLM", "GPTNeoXConfig", {}, "gpt-neox", None, DECODER),
    ("gpt-j-6b", "GPTJForCausalLM", "GPTJConfig", {}, "gpt-j", None, GPT),
    ("gpt-neo-1.3b", "GPTNeoForCausalLM", "GPTNeoConfig", {}, "gpt-neo", None, {"layers": "num_layers", "hidden_size": "hidden_size"}),
    ("codegen", "CodeGenForCausalLM", "CodeGenConfig", {}, "codegen", None, GPT),
    ("gpt-bigcode", "GPTBigCodeForCausalLM", "GPTBigCodeConfig", {}, "starcoder", None, GPT),
    ("opt-125m", "OPTForCausalLM", "OPTConfig", {}, "opt", None, DECODER),
    ("bloom-560m", "BloomForCausalLM", "BloomConfig", {"hidden_size": 1024, "n_layer": 24, "n_head": 16}, "bloom", None, DECODER),
    ("falcon-7b", "FalconForCausalLM", "FalconConfig", {}, "falcon", None, DECODER),
    ("mpt", "MptForCausalLM", "MptConfig", {}, "mpt", None, {"layers": "n_layers", "hidden_size": "d_model", "vocabulary": "vocab_size"}),
    ("stablelm-3b", "StableLmForCausalLM", "StableLmConfig", {}, "stablelm", None, DECODER),
    ("starcoder2-3b", "Starcoder2ForCausalLM", "Starcoder2Config", {"hidden_size": 3072}, "starcoder2", "3b", DECODER),
    ("deepseek-v2", "DeepseekV2ForCausalLM", "DeepseekV2Config", {}, "deepseek-v2", "v2", DECODER),
    ("deepseek-v3", "DeepseekV3ForCausalLM", "DeepseekV3Config", {"num_hidden_layers": 6}, "deepseek-v3", "v3", {**DECODER, "experts": "n_routed_experts"}),
    ("glm-4-9b", "GlmForCausalLM", "GlmConfig", {}, "glm", None, DECODER),
    ("glm-4-0414", "Glm4ForCausalLM", "Glm4Config", {}, "glm4", None, DECODER),
    ("glm-4.5-air", "Glm4MoeForCausalLM", "Glm4MoeConfig", {}, "glm4-moe", None, {**DECODER, "experts": "n_routed_experts"}),
    ("olmo-7b", "OlmoForCausalLM", "OlmoConfig", {}, "olmo", None, {"layers": "num_hidden_layers", "hidden_size": "hidden_size"}),
    ("olmo-2-7b", "Olmo2ForCausalLM", "Olmo2Config", {}, "olmo2", None, DECODER),
    ("olmoe", "OlmoeForCausalLM", "OlmoeConfig", {}, "olmoe", None, {**DECODER, "experts": "num_experts"}),
    ("command-r", "CohereForCausalLM", "CohereConfig", {}, "command-r", None, DECODER),
    ("mamba-130m", "MambaForCausalLM", "MambaConfig", {"hidden_size": 768, "num_hidden_layers": 24}, "mamba", None, {"layers": "num_hidden_layers", "hidden_size": "hidden_size", "vocabulary": "vocab_size"}),
    ("mamba2", "Mamba2ForCausalLM", "Mamba2Config", {}, "mamba2", None, {"layers": "num_hidden_layers", "hidden_size": "hidden_size"}),
    ("rwkv-4", "RwkvForCausalLM", "RwkvConfig", {}, "rwkv", "4", DECODER),
    ("gpt-oss-120b", "GptOssForCausalLM", "GptOssConfig", {}, "gpt-oss", "120b", EXPERTS),
    ("llama-4", "Llama4ForConditionalGeneration", "Llama4Config", {}, "llama4", "vision-language", {}),
    ("jamba", "JambaForCausalLM", "JambaConfig", {}, "jamba", None, DECODER),
    ("granite-moe", "GraniteMoeForCausalLM", "GraniteMoeConfig", {}, "granite-moe", None, DECODER),
    ("persimmon-8b", "PersimmonForCausalLM", "PersimmonConfig", {}, "persimmon", None, DECODER),
    ("exaone-4", "Exaone4ForCausalLM", "Exaone4Config", {}, "exaone4", None, DECODER),
    ("minimax", "MiniMaxForCausalLM", "MiniMaxConfig", {}, "minimax", None, DECODER),
    ("lfm2", "Lfm2ForCausalLM", "Lfm2Config", {}, "lfm2", None, {"layers": "num_hidden_layers", "vocabulary": "vocab_size"}),
    ("llava-1.5", "LlavaForConditionalGeneration", "LlavaConfig", {}, "llava", "vision-language", {}),
    ("mistral-small-3.1", "Mistral3ForConditionalGeneration", "Mistral3Config", {}, "mistral3", "vision-language", {}),
    ("paligemma", "PaliGemmaForConditionalGeneration", "PaliGemmaConfig", {}, "paligemma", "vision-language", {}),
    ("florence-2", "Florence2ForConditionalGeneration", "Florence2Config", {}, "florence2", "vision-language", {}),
    ("modernbert-base", "ModernBertForMaskedLM", "ModernBertConfig", {}, "modernbert", None, DECODER),
    ("nomic-bert", "NomicBertModel", "NomicBertConfig", {}, "nomic-bert", None, {"layers": "num_hidden_layers"}),
]

CLASSIC = [
    ("bert-base", "BertForMaskedLM", "BertConfig", {}, "bert", None, BERT),
    ("bert-base-bare", "BertModel", "BertConfig", {}, "bert", None, BERT),
    ("roberta-base", "RobertaForMaskedLM", "RobertaConfig", {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}, "roberta", None, BERT),
    ("xlm-roberta-base", "XLMRobertaForMaskedLM", "XLMRobertaConfig", {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}, "xlm-roberta", None, BERT),
    ("distilbert", "DistilBertForMaskedLM", "DistilBertConfig", {}, "distilbert", None, {"layers": "n_layers", "hidden_size": "dim", "vocabulary": "vocab_size"}),
    ("electra-small", "ElectraModel", "ElectraConfig", {}, "electra", None, {"layers": "num_hidden_layers"}),
    ("deberta-v2-xlarge", "DebertaV2Model", "DebertaV2Config", {}, "deberta-v2", None, DECODER),
    ("albert-xxlarge", "AlbertModel", "AlbertConfig", {}, "albert", None, {}),
    ("mpnet-base", "MPNetModel", "MPNetConfig", {}, "mpnet", None, {"vocabulary": "vocab_size"}),
    ("t5-small", "T5ForConditionalGeneration", "T5Config", {}, "t5", "small", T5),
    ("t5-v1.1-xxl-encoder", "T5EncoderModel", "T5Config", {"d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "feed_forward_proj": "gated-gelu"}, "t5", "xxl", T5),
    ("umt5-xxl-encoder", "UMT5EncoderModel", "UMT5Config", {"vocab_size": 256384, "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "feed_forward_proj": "gated-gelu"}, "t5", "umt5-xxl", T5),
    ("bart-large", "BartForConditionalGeneration", "BartConfig", {}, "bart", None, {"layers": "encoder_layers", "hidden_size": "d_model"}),
    ("m2m100-418m", "M2M100ForConditionalGeneration", "M2M100Config", {}, "m2m100", None, {"layers": "encoder_layers", "hidden_size": "d_model"}),
    ("marian", "MarianMTModel", "MarianConfig", {}, "marian", None, {"layers": "encoder_layers", "hidden_size": "d_model"}),
    ("clip-l-text", "CLIPTextModel", "CLIPTextConfig", {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12}, "clip", "CLIP L/14", CLIP),
    ("openclip-bigg-text", "CLIPTextModelWithProjection", "CLIPTextConfig", {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32, "projection_dim": 1280}, "clip", "OpenCLIP bigG/14", CLIP),
    ("clip-vision-h", "CLIPVisionModelWithProjection", "CLIPVisionConfig", {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16, "patch_size": 14, "projection_dim": 1024}, "clip-vision", "H/14", {**CLIP, "patch_size": "patch_size"}),
    ("siglip-base", "SiglipModel", "SiglipConfig", {}, "siglip", None, {}),
    ("siglip-vision", "SiglipVisionModel", "SiglipVisionConfig", {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 384, "patch_size": 14}, "siglip-vision", None, CLIP),
    ("dinov2-base", "Dinov2Model", "Dinov2Config", {}, "dinov2", None, CLIP),
    ("dinov3-small", "DINOv3ViTModel", "DINOv3ViTConfig", {"num_register_tokens": 4}, "dinov3", None, CLIP),
    ("vit-base", "ViTForImageClassification", "ViTConfig", {"num_labels": 1000}, "vit", None, {**CLIP, "patch_size": "patch_size", "classes": "num_labels"}),
    ("deit-base", "DeiTForImageClassification", "DeiTConfig", {}, "deit", None, CLIP),
    ("swin-tiny", "SwinForImageClassification", "SwinConfig", {}, "swin", None, {}),
    ("convnext-tiny", "ConvNextForImageClassification", "ConvNextConfig", {}, "convnext", None, {}),
    ("resnet-50", "ResNetForImageClassification", "ResNetConfig", {}, "resnet", None, {}),
    ("yolos", "YolosForObjectDetection", "YolosConfig", {}, "yolos", None, CLIP),
    ("sam-base", "SamModel", "SamConfig", {}, "sam", None, {}),
    ("depth-anything-small", "DepthAnythingForDepthEstimation", "DepthAnythingConfig", {}, "depth-anything", "small", {}),
    ("segformer-b0", "SegformerForSemanticSegmentation", "SegformerConfig", {}, "segformer", None, {}),
    ("whisper-tiny", "WhisperForConditionalGeneration", "WhisperConfig", {"d_model": 384, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 6, "decoder_attention_heads": 6, "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536, "vocab_size": 51865}, "whisper", "tiny", WHISPER),
    ("whisper-large-v3", "WhisperForConditionalGeneration", "WhisperConfig", {"d_model": 1280, "encoder_layers": 32, "decoder_layers": 32, "encoder_attention_heads": 20, "decoder_attention_heads": 20, "encoder_ffn_dim": 5120, "decoder_ffn_dim": 5120, "vocab_size": 51866, "num_mel_bins": 128}, "whisper", "large-v3", WHISPER),
    ("wav2vec2-base", "Wav2Vec2ForCTC", "Wav2Vec2Config", {}, "hubert", "wav2vec2", CLIP),
    ("encodec-24khz", "EncodecModel", "EncodecConfig", {}, "encodec", None, {}),
    ("dac-16khz", "DacModel", "DacConfig", {}, "dac", None, {}),
    ("vits", "VitsModel", "VitsConfig", {}, "vits", None, {}),
    ("musicgen-decoder", "MusicgenForCausalLM", "MusicgenDecoderConfig", {}, "musicgen", None, {"layers": "num_hidden_layers"}),
    ("bark", "BarkModel", "BarkConfig", {}, "bark", None, {}),
    ("clap", "ClapModel", "ClapConfig", {}, "clap", None, {}),
    ("speecht5", "SpeechT5ForTextToSpeech", "SpeechT5Config", {}, "speecht5", None, {}),
    ("csm-1b", "CsmForConditionalGeneration", "CsmConfig", {}, "csm", None, {}),
]

KINDS = {
    "t5-v1.1-xxl-encoder": "text_encoder", "umt5-xxl-encoder": "text_encoder", "clip-l-text": "text_encoder", "openclip-bigg-text": "text_encoder",
    "clip-vision-h": "vision_encoder", "siglip-vision": "vision_encoder", "dinov2-base": "vision_encoder",
}


def transformers_models(domain, models):
    import transformers

    for name, model_class, config_class, changes, family, variant, facts in models:
        config = getattr(transformers, config_class)(**changes)
        model = on_meta(lambda: getattr(transformers, model_class)(config))
        tensors = [(key, "BF16", value.shape) for key, value in in_files(model).items()]
        # The library ties these and writes one.
        expected = {"kind": KINDS.get(name, "model"), "family": family}
        if variant:
            expected["variant"] = variant
        expected.update(numbers(config, facts))
        source = f"transformers {transformers.__version__}, {model_class}, {config_class}({', '.join(f'{k}={v}' for k, v in changes.items())})"
        write(domain, name, source, expected, tensors)


SDXL = {
    "cross_attention_dim": 2048, "attention_head_dim": [5, 10, 20], "use_linear_projection": True, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}
REFINER = {
    "cross_attention_dim": 1280, "attention_head_dim": [6, 12, 24, 24], "use_linear_projection": True, "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "transformer_layers_per_block": 4,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2560,
}
SD2 = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}
VAE_16 = {**VAE, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
WAN_1_3B = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}

# name, class, arguments, kind, family, variant, facts
DIFFUSERS = [
    ("sd1", "UNet2DConditionModel", {"cross_attention_dim": 768, "attention_head_dim": 8}, "model", "sd1", "base", {"context_dimension": 768, "in_channels": 4}),
    ("sd1-inpainting", "UNet2DConditionModel", {"cross_attention_dim": 768, "attention_head_dim": 8, "in_channels": 9}, "model", "sd1", "inpainting", {"in_channels": 9}),
    ("sd2", "UNet2DConditionModel", SD2, "model", "sd2", "base", {"context_dimension": 1024}),
    ("sdxl", "UNet2DConditionModel", SDXL, "model", "sdxl", "base", {"context_dimension": 2048}),
    ("sdxl-inpainting", "UNet2DConditionModel", {**SDXL, "in_channels": 9}, "model", "sdxl", "inpainting", {}),
    ("ssd-1b", "UNet2DConditionModel", {**SDXL, "transformer_layers_per_block": [1, 2, 4]}, "model", "sdxl", "ssd-1b", {}),
    ("sdxl-refiner", "UNet2DConditionModel", REFINER, "model", "sdxl-refiner", "refiner", {"model_channels": 384}),
    ("svd", "UNetSpatioTemporalConditionModel", {}, "model", "svd", "svd", {}),
    ("flux-schnell", "FluxTransformer2DModel", {}, "model", "flux", "schnell", {"double_blocks": 19, "single_blocks": 38, "hidden_size": 3072}),
    ("flux-dev", "FluxTransformer2DModel", {"guidance_embeds": True}, "model", "flux", "dev", {}),
    ("flux-fill", "FluxTransformer2DModel", {"guidance_embeds": True, "in_channels": 384, "out_channels": 64}, "model", "flux", "fill", {}),
    ("flux2", "Flux2Transformer2DModel", {}, "model", "flux2", None, {"hidden_size": 6144}),
    ("chroma", "ChromaTransformer2DModel", {}, "model", "chroma", "chroma1", {}),
    ("bria", "BriaTransformer2DModel", {}, "model", "bria", None, {}),
    ("longcat", "LongCatImageTransformer2DModel", {}, "model", "longcat-image", None, {}),
    ("ovis", "OvisImageTransformer2DModel", {}, "model", "ovis-image", None, {}),
    ("sd3-medium", "SD3Transformer2DModel", {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192}, "model", "sd3", "3-medium", {"layers": 24, "hidden_size": 1536}),
    ("sd3.5-medium", "SD3Transformer2DModel", {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 384, "dual_attention_layers": tuple(range(13)), "qk_norm": "rms_norm"}, "model", "sd3", "3.5-medium", {}),
    ("sd3.5-large", "SD3Transformer2DModel", {"num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "pos_embed_max_size": 192, "qk_norm": "rms_norm"}, "model", "sd3", "3.5-large", {"layers": 38}),
    ("pixart-alpha", "PixArtTransformer2DModel", {"use_additional_conditions": True}, "model", "pixart", "alpha", {"layers": 28}),
    ("pixart-sigma", "PixArtTransformer2DModel", {"use_additional_conditions": False}, "model", "pixart", "sigma", {}),
    ("wan-t2v-14b", "WanTransformer3DModel", {}, "model", "wan", "t2v 14b", {"layers": 40, "hidden_size": 5120, "in_channels": 16}),
    ("wan-t2v-1.3b", "WanTransformer3DModel", WAN_1_3B, "model", "wan", "t2v 1.3b", {"layers": 30}),
    ("wan-i2v-14b", "WanTransformer3DModel", {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}, "model", "wan", "i2v", {"in_channels": 36}),
    ("wan-2.2-i2v", "WanTransformer3DModel", {"in_channels": 36}, "model", "wan", "2.2 i2v", {}),
    ("wan-2.2-ti2v-5b", "WanTransformer3DModel", {"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30}, "model", "wan", "2.2 ti2v 5b", {}),
    ("wan-vace", "WanVACETransformer3DModel", {}, "model", "wan", "vace", {}),
    ("hunyuan-video", "HunyuanVideoTransformer3DModel", {}, "model", "hunyuan-video", "t2v", {"double_blocks": 20, "single_blocks": 40}),
    ("hunyuan-video-1.5", "HunyuanVideo15Transformer3DModel", {}, "model", "hunyuan-video", "1.5", {}),
    ("hunyuan-image", "HunyuanImageTransformer2DModel", {}, "model", "hunyuan-video", "image 2.1", {}),
    ("ltx-video", "LTXVideoTransformer3DModel", {}, "model", "ltx-video", None, {"layers": 28, "hidden_size": 2048}),
    ("ltx-2", "LTX2VideoTransformer3DModel", {}, "model", "ltx-av", None, {}),
    ("cogvideox", "CogVideoXTransformer3DModel", {}, "model", "cogvideox", "1.0", {"layers": 30}),
    ("cogview4", "CogView4Transformer2DModel", {}, "model", "cogview4", None, {}),
    ("mochi", "MochiTransformer3DModel", {}, "model", "mochi", None, {"layers": 48}),
    ("auraflow", "AuraFlowTransformer2DModel", {}, "model", "auraflow", None, {"hidden_size": 3072}),
    ("lumina2", "Lumina2Transformer2DModel", {}, "model", "lumina2", "lumina-image-2.0", {}),
    ("z-image", "ZImageTransformer2DModel", {}, "model", "z-image", None, {"layers": 30}),
    ("sana", "SanaTransformer2DModel", {}, "model", "sana", None, {"layers": 20}),
    ("qwen-image", "QwenImageTransformer2DModel", {}, "model", "qwen-image", "base or edit", {"layers": 60}),
    ("cosmos-1", "CosmosTransformer3DModel", {}, "model", "cosmos", None, {}),
    ("kandinsky-5", "Kandinsky5Transformer3DModel", {"model_dim": 1792}, "model", "kandinsky5", "video lite", {}),
    ("stable-audio", "StableAudioDiTModel", {}, "model", "stable-audio", None, {"layers": 24}),
    ("dit", "DiTTransformer2DModel", {}, "model", "dit", None, {}),
    ("ernie-image", "ErnieImageTransformer2DModel", {}, "model", "ernie-image", None, {}),
    ("controlnet-sd1", "ControlNetModel", {"cross_attention_dim": 768}, "controlnet", "sd1", None, {}),
    ("controlnet-sdxl", "ControlNetModel", {**{k: v for k, v in SDXL.items() if k != "up_block_types"}}, "controlnet", "sdxl", None, {}),
    ("controlnet-flux", "FluxControlNetModel", {}, "controlnet", "flux", None, {}),
    ("controlnet-sd3", "SD3ControlNetModel", {}, "controlnet", "sd3", None, {}),
    ("t2i-adapter", "T2IAdapter", {}, "controlnet", "t2i-adapter", None, {}),
    ("motion-adapter", "MotionAdapter", {}, "motion_module", "animatediff", None, {"frames": 32}),
    ("vae-sd", "AutoencoderKL", VAE, "vae", "vae-sd", "diffusers names", {"latent_channels": 4}),
    ("vae-flux", "AutoencoderKL", VAE_16, "vae", "vae-16", "diffusers names", {"latent_channels": 16}),
    ("vae-flux2", "AutoencoderKLFlux2", {}, "vae", "vae-flux2", None, {"latent_channels": 32}),
    ("vae-wan", "AutoencoderKLWan", {}, "vae", "vae-wan", None, {"latent_channels": 16}),
    ("vae-hunyuan-video", "AutoencoderKLHunyuanVideo", {}, "vae", "vae-hunyuan-video", None, {"latent_channels": 16}),
    ("vae-ltx", "AutoencoderKLLTXVideo", {}, "vae", "vae-ltx", None, {"latent_channels": 128}),
    ("vae-cogvideox", "AutoencoderKLCogVideoX", {}, "vae", "vae-cogvideox", None, {}),
    ("vae-mochi", "AutoencoderKLMochi", {}, "vae", "vae-mochi", None, {}),
    ("vae-cosmos", "AutoencoderKLCosmos", {}, "vae", "vae-cosmos", None, {}),
    ("vae-dc", "AutoencoderDC", {}, "vae", "vae-dc", None, {}),
    ("vae-tiny", "AutoencoderTiny", {}, "vae", "vae-approx", None, {"latent_channels": 4}),
    ("vae-vq", "VQModel", {}, "vae", "vae-vq", None, {}),
    ("vae-stable-audio", "AutoencoderOobleck", {}, "vae", "vae-oobleck", None, {}),
]


def diffusers_models():
    import diffusers

    for name, model_class, arguments, kind, family, variant, facts in DIFFUSERS:
        model = on_meta(lambda: getattr(diffusers, model_class)(**arguments))
        tensors = [(key, "F16", value.shape) for key, value in model.state_dict().items()]
        expected = {"kind": kind, "family": family, **({"variant": variant} if variant else {}), **facts}
        source = f"diffusers {diffusers.__version__}, {model_class}"
        write("diffusers", name, source, expected, tensors)


def gguf_architectures():
    import gguf

    names = sorted(set(gguf.MODEL_ARCH_NAMES.values()))
    (folder("identity") / "gguf-architectures.json").write_text(json.dumps(names, indent=1) + "\n")


def make():
    gguf_architectures()
    transformers_models("language", LANGUAGE)
    transformers_models("classic", CLASSIC)
    diffusers_models()
