"""What of a model is left without its dead buffers, parts of it, and fewer layers of it.

Expected tensors are the state dicts of the modules of transformers and diffusers into which they
load strictly.
"""

import re

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
    for maker in (buffers, stable_diffusion, sdxl, clip, llava, adapter, layers):
        for name, content, *cases in maker():
            torch.save(content, out / name)
            expect_pruned(out / name, *cases)
    gguf_layers(out)


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

    config = t.CLIPTextConfig(vocab_size=8, hidden_size=4, intermediate_size=8, num_hidden_layers=2, num_attention_heads=1,
                              max_position_embeddings=77, projection_dim=4, bos_token_id=0, eos_token_id=0)
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


def strict(module, state):
    """The state, which loads strictly into the module."""
    module.load_state_dict(state, strict=True)
    return state


def ldm_autoencoder():
    """An autoencoder's tensors under the names of latent-diffusion, and those of diffusers."""
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    model = seeded(AutoencoderKL(block_out_channels=(4,), layers_per_block=1, norm_num_groups=2, latent_channels=4))
    steps = [(r"(down|up)_blocks\.(\d)\.resnets\.(\d)", r"\1.\2.block.\3"), (r"mid_block\.resnets\.0", "mid.block_1"),
             (r"mid_block\.resnets\.1", "mid.block_2"), (r"mid_block\.attentions\.0", "mid.attn_1"), (r"conv_norm_out", "norm_out"),
             (r"attn_1\.group_norm", "attn_1.norm"), (r"to_out\.0", "proj_out"), (r"to_([qkv])", r"\1")]
    ldm = {}
    for name, tensor in frozen(model).items():
        new = name
        for pattern, replacement in steps:
            new = re.sub(pattern, replacement, new)
        is_convolution = ".attn_1." in new and ".norm." not in new and new.endswith("weight")
        ldm[new] = tensor[:, :, None, None].clone() if is_convolution else tensor
    strict(model, convert_ldm_vae_checkpoint(dict(ldm), model.config))
    return ldm


def sdxl():
    """All in one file: two text encoders, the second in OpenCLIP's arrangement."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    first = {n: v for n, v in frozen(text_encoder()).items() if n != "text_projection.weight"}
    model = text_encoder()
    second = {n: v + 1 for n, v in frozen(model).items()}
    names = [("text_model.embeddings.position_embedding.weight", "positional_embedding"), ("text_model.embeddings.", ""),
             ("text_model.final_layer_norm", "ln_final"), ("text_model.encoder.layers", "transformer.resblocks"), ("layer_norm", "ln_"),
             ("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")]
    clip = {"logit_scale": torch.tensor(4.6)}
    for name, tensor in second.items():
        if name == "text_projection.weight":
            clip["text_projection"] = tensor.T.contiguous()
        elif name.endswith(("q_proj.weight", "q_proj.bias")):
            parts = [second[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            new = name.replace("text_model.encoder.layers", "transformer.resblocks")
            clip[new.replace("self_attn.q_proj.", "attn.in_proj_")] = torch.cat(parts)
        elif "k_proj" not in name and "v_proj" not in name:
            for old, new in names:
                name = name.replace(old, new)
            clip[name] = tensor
    prefix = "conditioner.embedders.1.model."
    converted = convert_open_clip_checkpoint(model, prefixed(prefix, clip), prefix=prefix)
    assert all(torch.equal(converted[name], tensor) for name, tensor in strict(model, second).items())
    vae = ldm_autoencoder()
    unet = {"input_blocks.0.0.weight": torch.randn(4, 4, 3, 3), "out.2.weight": torch.randn(4, 4, 3, 3),
            "middle_block.1.transformer_blocks.0.attn2.to_k.weight": torch.randn(2, 3)}
    positions = {"text_model.embeddings.position_ids": torch.arange(77).view(1, 77)}
    content = (prefixed("model.diffusion_model.", unet) | prefixed("first_stage_model.", vae) | prefixed(prefix, clip)
               | prefixed("conditioner.embedders.0.transformer.", first | positions))
    yield ("sdxl.pt", content, ({}, content), ({"component": "unet"}, unet), ({"component": "vae"}, vae),
           ({"component": "text-encoder"}, first), ({"component": "text_encoder_2"}, second),
           ({"component": "text-encoder-2", "layers": ["0"]}, moved(second, "text_model.encoder.layers", {1: 0})))


def clip():
    """A whole CLIP: each half loads into its own class."""
    import transformers as t

    text = text_encoder().config
    vision = t.CLIPVisionConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=4,
                                patch_size=2, projection_dim=4)
    whole = seeded(t.CLIPModel(t.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=4)))
    state = frozen(whole)
    of = lambda *starts: {name: tensor for name, tensor in state.items() if name.startswith(starts)}
    halves = (strict(text_encoder(), of("text_")), strict(t.CLIPVisionModelWithProjection(vision), of("vision_", "visual_")))
    yield ("clip.pt", state, ({"component": "text-encoder"}, halves[0]), ({"component": "vision-encoder"}, halves[1]))


def llava():
    import transformers as t

    vision = t.CLIPVisionConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=4, patch_size=2)
    config = t.LlavaConfig(vision_config=vision, text_config=llama_config(1), image_token_index=7)
    state = frozen(seeded(t.LlavaForConditionalGeneration(config)))
    inside = "model.language_model."
    language = {n.replace(inside, "model."): v for n, v in state.items() if n.startswith(inside) or n == "lm_head.weight"}
    tower = {n.removeprefix("model.vision_tower."): v for n, v in state.items() if n.startswith("model.vision_tower.")}
    yield ("llava.pt", state, ({"component": "language-model"}, strict(t.LlamaForCausalLM(config.text_config), language)),
           ({"component": "vision-encoder"}, strict(t.CLIPVisionModel(vision), tower)))


def llama_config(layers):
    import transformers as t

    return t.LlamaConfig(hidden_size=8, intermediate_size=4, num_hidden_layers=layers, num_attention_heads=1, num_key_value_heads=1,
                         vocab_size=8, bos_token_id=0, eos_token_id=0)


def adapter():
    """What PEFT holds while it trains, and what it saves."""
    import peft
    import transformers as t

    model = seeded(t.LlamaForCausalLM(llama_config(1)))
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"], use_dora=False)
    model = seeded(peft.get_peft_model(model, config))
    saved = {name: tensor.clone() for name, tensor in peft.get_peft_model_state_dict(model, save_embedding_layers=False).items()}
    yield "peft-training.pt", frozen(model), ({"component": "lora"}, saved)


def moved(state, stack, new):
    """The tensors with the layers of a stack that `new` names, under their new numbers."""
    found = {}
    for name, tensor in state.items():
        match = re.match(re.escape(stack) + r"\.(\d+)(\..*)", name)
        if match is None:
            found[name] = tensor
        elif int(match[1]) in new:
            found[f"{stack}.{new[int(match[1])]}{match[2]}"] = tensor
    return found


def layers():
    import transformers as t

    state = frozen(seeded(t.LlamaForCausalLM(llama_config(4))))
    shorter = strict(t.LlamaForCausalLM(llama_config(2)), moved(state, "model.layers", {0: 0, 3: 1}))
    yield ("llama-layers.pt", state, ({"layers": ["1..3"]}, shorter), ({"layers": ["layers:1..=2"]}, shorter),
           ({"layers": ["1", "model.layers:2,1"]}, shorter), ({"recipe": "none", "layers": ["1,2"]}, shorter))
    config = lambda encoder, decoder: t.T5Config(d_model=4, d_kv=2, d_ff=4, num_layers=encoder, num_decoder_layers=decoder, num_heads=2,
                                                 vocab_size=8, tie_word_embeddings=False)
    state = frozen(seeded(t.T5ForConditionalGeneration(config(2, 3))))
    state = {name: tensor.clone() for name, tensor in state.items() if "embed_tokens" not in name}
    shorter = moved(moved(state, "decoder.block", {0: 0, 2: 1}), "encoder.block", {0: 0})
    result = t.T5ForConditionalGeneration(config(1, 2)).load_state_dict(shorter, strict=False)
    assert not result.unexpected_keys and all("embed_tokens" in name for name in result.missing_keys)
    yield "t5-layers.pt", state, ({"layers": ["decoder.block:1", "encoder.block:1"]}, shorter)
    config = lambda layers: t.BertConfig(hidden_size=4, intermediate_size=4, num_hidden_layers=layers, num_attention_heads=1, vocab_size=8,
                                         max_position_embeddings=4, pad_token_id=0)
    state = frozen(seeded(t.BertModel(config(3))))
    yield ("bert-layers.pt", state,
           ({"layers": ["0"]}, strict(t.BertModel(config(2)), moved(state, "encoder.layer", {1: 0, 2: 1}))))


def gguf_layers(out):
    """A GGUF, and the same as gguf-py writes it without a layer."""
    import gguf
    import numpy

    def write(path, layers):
        writer = gguf.GGUFWriter(path, "llama")
        of_layers = lambda values: [values[layer] for layer in layers]
        writer.add_name("layers")
        writer.add_block_count(len(layers))
        writer.add_head_count(4)
        writer.add_head_count_kv(of_layers([1, 2, 4]))
        writer.add_feed_forward_length(of_layers([8, 16, 32]))
        writer.add_sliding_window_pattern(of_layers([True, False, True]))
        writer.add_leading_dense_block_count(sum(layer < 2 for layer in layers))
        writer.add_rope_dimension_sections([1, 2, 3])
        writer.add_tensor("token_embd.weight", numpy.arange(8, dtype=numpy.float32).reshape(2, 4))
        for place, layer in enumerate(layers):
            values = numpy.full((2, 32), layer, dtype=numpy.float32)
            writer.add_tensor(f"blk.{place}.ffn_up.weight", gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0),
                              raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(f"blk.{place}.attn_norm.weight", numpy.full(4, layer, dtype=numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write(out / "layers.gguf", [0, 1, 2])
    write(out / "layers-0-2.gguf", [0, 2])
