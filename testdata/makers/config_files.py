"""What transformers makes of small configurations: `schema/configs.json`, names and shapes by
`model_type`, from modules on the meta device. Needs transformers; no weights are made."""

import json

import torch
import transformers

from . import common

SMALL = {
    "llama": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "mistral": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, head_dim=24),
    "qwen2": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "qwen3": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, head_dim=32),
    "gemma": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, vocab_size=100, head_dim=32),
    "gemma2": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, head_dim=32),
    "olmo2": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "granite": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "stablelm": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "mixtral": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, num_local_experts=2),
    "qwen2_moe": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, num_experts=2, moe_intermediate_size=32, shared_expert_intermediate_size=48),
    "cohere": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "olmo": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100),
    "phi3": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, pad_token_id=0),
    "gpt_neox": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100),
    "gpt2": dict(n_embd=64, n_layer=2, n_head=4, vocab_size=100, n_positions=50),
    "bert": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100, max_position_embeddings=40),
    "roberta": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100, max_position_embeddings=40),
    "electra": dict(hidden_size=64, embedding_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100),
    "distilbert": dict(dim=64, hidden_dim=96, n_layers=2, n_heads=4, vocab_size=100, max_position_embeddings=40),
    "t5": dict(d_model=64, d_kv=8, num_heads=4, d_ff=96, num_layers=2, vocab_size=100),
    "mt5": dict(d_model=64, d_kv=8, num_heads=4, d_ff=96, num_layers=2, vocab_size=100),
    "vit": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8),
    "whisper": dict(d_model=64, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=80, vocab_size=100, num_mel_bins=80, max_source_positions=60, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1),
    "clip": dict(
        text_config=dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, vocab_size=100),
        vision_config=dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)),
}


def make():
    lines = []
    for kind, settings in SMALL.items():
        config = transformers.AutoConfig.for_model(kind, **settings)
        classes = transformers.AutoModelForSeq2SeqLM, transformers.AutoModelForSpeechSeq2Seq, transformers.AutoModelForCausalLM, transformers.AutoModel
        for auto in classes:
            if type(config) in auto._model_mapping.keys():
                break
        with torch.device("meta"):
            model = auto.from_config(config)
        shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        # As save_pretrained writes it; keys that are defaults stay in.
        entry = {"config": json.loads(config.to_json_string(use_diff=False)), "tensors": shapes}
        lines.append(f"{json.dumps(kind)}: {json.dumps(entry)}")
    path = common.folder("schema") / "configs.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
