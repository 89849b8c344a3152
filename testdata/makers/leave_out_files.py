"""What of a model is left without its dead buffers, parts of it, and fewer layers of it.

Expected tensors are the state dicts of the modules of transformers and diffusers into which they
load strictly.
"""

import torch
from torch import nn

from .common import folder
from .hide_paths import hide_paths
from .prune_files import expect_pruned, frozen, prefixed


def make():
    import transformers

    transformers.logging.set_verbosity_error()
    out = folder("prune")
    hide_paths()
    for maker in (buffers, stable_diffusion):
        for name, content, *cases in maker():
            torch.save(content, out / name)
            expect_pruned(out / name, *cases)


def seeded(module):
    """The module with small weights that differ from each other."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.1)
    return module.eval()


def buffers():
    """Buffers that transformers wrote until 4.31, as its code made them."""
    import transformers as t

    config = t.GPT2Config(n_layer=2, n_embd=4, n_head=1, n_positions=8, vocab_size=8, bos_token_id=0, eos_token_id=0,
                          tie_word_embeddings=False)
    gpt2 = frozen(seeded(t.GPT2LMHeadModel(config)))
    dead = {}
    for layer in range(2):
        mask = torch.tril(torch.ones((8, 8), dtype=torch.uint8)).view(1, 1, 8, 8)
        dead[f"transformer.h.{layer}.attn.bias"] = mask
        dead[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    yield ("gpt2-masks.pt", gpt2 | dead, ({}, gpt2), ({"recipe": "none"}, gpt2 | dead),
           ({"keep": ["*.0.attn.*"]}, gpt2 | {n: v for n, v in dead.items() if ".0." in n}))
    # A mask that looks back two positions only is no part of the code.
    local = torch.triu(torch.ones((8, 8), dtype=torch.uint8), -1).view(1, 1, 8, 8) * mask
    other = {"h.0.attn.bias": local, "h.0.attn.masked_bias": torch.tensor(-1e9)}
    yield "local-masks.pt", other, ({}, other)

    config = t.LlamaConfig(hidden_size=16, intermediate_size=4, num_hidden_layers=2, num_attention_heads=1,
                           num_key_value_heads=1, vocab_size=8, bos_token_id=0, eos_token_id=0)
    model = seeded(t.LlamaForCausalLM(config))
    plain = 1.0 / (10000.0 ** (torch.arange(0, 16, 2).float() / 16))
    assert torch.equal(plain, model.model.rotary_emb.inv_freq)
    for name, frequencies, dtype in (("f32", plain, torch.float32), ("bf16", plain, torch.bfloat16)):
        llama = frozen(model.to(dtype))
        rotary = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": frequencies.to(dtype) for n in range(2)}
        yield f"rotary-{name}.pt", llama | rotary, ({}, llama)
    scaled = {"model.layers.0.self_attn.rotary_emb.inv_freq": plain / 2, "norm.weight": torch.ones(2)}
    yield "rotary-scaled.pt", scaled, ({}, scaled)

    config = t.BertConfig(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=8,
                          max_position_embeddings=300, pad_token_id=0)
    bert = frozen(seeded(t.BertModel(config)))
    positions = torch.arange(300).expand((1, -1))
    for name, value in (("positions.pt", positions), ("positions-bf16.pt", positions.bfloat16())):
        yield name, bert | {"embeddings.position_ids": value}, ({}, bert)
    # RoBERTa counts from 2 on where there is no padding: such numbers are somebody's own.
    other = {"embeddings.position_ids": positions + 2, "w": torch.ones(2)}
    yield "positions-own.pt", other, ({}, other)

    norm = nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2))
    state = frozen(norm)
    without = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    norm.load_state_dict(without, strict=True)
    yield "counters.pt", dict(state), ({}, state), ({"counters": True}, without)


def text_encoder():
    import transformers as t

    config = t.CLIPTextConfig(vocab_size=8, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
                              max_position_embeddings=77, projection_dim=8, bos_token_id=0, eos_token_id=0)
    return seeded(t.CLIPTextModelWithProjection(config))


def stable_diffusion():
    """Files as merging programs leave them."""
    encoder = {n: v for n, v in frozen(text_encoder()).items() if n != "text_projection.weight"}
    rest = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.randn(4, 4, 3, 3),
        "first_stage_model.decoder.conv_in.weight": torch.randn(4, 4, 3, 3),
        "alphas_cumprod": torch.linspace(1, 0, 10),
    }
    junk = {
        "betas": torch.zeros(10), "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(3, dtype=torch.int32),
        "first_stage_model.loss.logvar": torch.zeros(()), "lora_te_text_model_encoder_layers_0.alpha": torch.tensor(1.0),
        "embedding_manager.embedder.weight": torch.zeros(2), "denoiser.sigmas": torch.zeros(10),
    }
    inside = "cond_stage_model.transformer.text_model."
    whole = prefixed("cond_stage_model.transformer.", encoder)
    right = {inside + "embeddings.position_ids": torch.arange(77).view(1, 77)}
    # Two files merged with weights whose sum is a little less than one.
    wrong = {n: v.float() * 0.35 + v.float() * 0.65 for n, v in right.items()}
    assert not torch.equal(wrong[inside + "embeddings.position_ids"].long(), right[inside + "embeddings.position_ids"])
    expected = rest | whole | right
    yield "sd-merged.ckpt", {"state_dict": rest | junk | whole | wrong}, ({}, expected)
    old = {name.replace("text_model.", ""): tensor for name, tensor in (whole | right).items()}
    yield "sd-nai.ckpt", {"state_dict": rest | old}, ({}, expected)
