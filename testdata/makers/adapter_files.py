"""Adapters by the writers that people use, and the norms that NumPy finds in them.

PEFT writes its own; diffusers' names come from diffusers' own conversion of PEFT's; kohya's and
LyCORIS's are written here by the names of their code. Expected norms are those of the whole
product, made in float64: the slow and obvious way.
"""

import json
import shutil

import numpy

from makers.common import folder

WIDTH, OUT, RANK = 16, 24, 4


def product(up, down):
    return up.astype(numpy.float64).reshape(up.shape[0], -1) @ down.astype(numpy.float64).reshape(down.shape[0], -1)


def norm(matrix, scale):
    return float(numpy.linalg.norm(matrix) * scale)


def save(name, tensors, metadata, norms, config=None):
    from safetensors.numpy import save_file

    path = folder("adapter") / name
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata)
    if config is not None:
        (path.parent / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    expect(path, norms)


def expect(path, norms):
    path.with_name(path.name + ".norms.json").write_text(json.dumps(norms, indent=1) + "\n")


def values(random, *shape, dtype="float32"):
    return random.standard_normal(shape).astype(dtype)


def kohya(random):
    tensors, norms = {}, {}
    modules = [
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", (RANK, 2048), (640, RANK), 2.0),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", (RANK, 640), (640, RANK), 2.0),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", (8, 768), (3072, 8), 8.0),
        ("lora_unet_input_blocks_1_0_in_layers_2", (RANK, 32, 3, 3), (32, RANK, 1, 1), 1.0),
        ("lora_unet_input_blocks_4_1_proj_in", (RANK, 640), (640, RANK), 4.0),
        ("lora_unet_input_blocks_4_1_proj_out", (RANK, 640), (640, RANK), 4.0),
    ]
    for number, (module, down_shape, up_shape, alpha) in enumerate(modules):
        down, up = values(random, *down_shape, dtype="float16"), values(random, *up_shape, dtype="float16")
        if number == 4:
            up[:] = 0
        if number == 5:
            up *= numpy.float16(100)
        tensors[f"{module}.lora_down.weight"], tensors[f"{module}.lora_up.weight"] = down, up
        tensors[f"{module}.alpha"] = numpy.array(alpha, dtype="float16")
        norms[module] = norm(product(up, down), alpha / down.shape[0])
    metadata = {
        "ss_network_module": "networks.lora", "ss_network_dim": "4", "ss_network_alpha": "2.0", "ss_base_model_version": "sdxl_base_v1-0",
        "ss_sd_model_name": "/home/anna/models/sd_xl_base_1.0.safetensors", "ss_num_train_images": "40", "ss_num_epochs": "10", "ss_unet_lr": "0.0001",
        "ss_training_started_at": "1700000000.5", "ss_training_finished_at": "1700005400.5", "ss_optimizer": "AdamW8bit",
        "ss_tag_frequency": json.dumps({"10_cat": {"cat": 40, "sitting": 12}, "5_dog": {"dog": 8, "sitting": 3}}),
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "modelspec.title": "cat", "modelspec.license": "CreativeML Open RAIL++-M",
    }
    save("kohya-sdxl.safetensors", tensors, metadata, norms)


def lycoris(random):
    tensors, norms = {}, {}
    module = "lycoris_unet_loha"
    a1, b1 = values(random, OUT, RANK), values(random, RANK, WIDTH)
    a2, b2 = values(random, OUT, RANK), values(random, RANK, WIDTH)
    tensors.update({f"{module}.hada_w1_a": a1, f"{module}.hada_w1_b": b1, f"{module}.hada_w2_a": a2, f"{module}.hada_w2_b": b2})
    tensors[f"{module}.alpha"] = numpy.array(1, dtype="float32")
    norms[module] = norm(product(a1, b1) * product(a2, b2), 1 / RANK)
    # A convolution with a core: i j k l, j r, i p -> p r k l.
    module = "lycoris_unet_loha_conv"
    t1, t2 = values(random, RANK, RANK, 3, 3), values(random, RANK, RANK, 3, 3)
    a1, b1 = values(random, RANK, OUT), values(random, RANK, WIDTH)
    a2, b2 = values(random, RANK, OUT), values(random, RANK, WIDTH)
    tensors.update({f"{module}.hada_t1": t1, f"{module}.hada_w1_a": a1, f"{module}.hada_w1_b": b1})
    tensors.update({f"{module}.hada_t2": t2, f"{module}.hada_w2_a": a2, f"{module}.hada_w2_b": b2})
    wide = [x.astype(numpy.float64) for x in (t1, b1, a1, t2, b2, a2)]
    first = numpy.einsum("ijkl,jr,ip->prkl", *wide[:3])
    second = numpy.einsum("ijkl,jr,ip->prkl", *wide[3:])
    norms[module] = norm(first * second, 1)
    module = "lycoris_unet_lokr"
    w1, w2a, w2b = values(random, 4, 4), values(random, 6, RANK), values(random, RANK, 5)
    tensors.update({f"{module}.lokr_w1": w1, f"{module}.lokr_w2_a": w2a, f"{module}.lokr_w2_b": w2b, f"{module}.alpha": numpy.array(2, dtype="float32")})
    norms[module] = norm(numpy.kron(w1.astype(numpy.float64), product(w2a, w2b)), 2 / RANK)
    module = "lycoris_unet_full"
    difference = values(random, OUT, WIDTH)
    tensors[f"{module}.diff"] = difference
    norms[module] = norm(difference.astype(numpy.float64), 1)
    # LoCon with a core between its factors.
    module = "lora_unet_tucker"
    up, mid, down = values(random, OUT, RANK, 1, 1), values(random, RANK, RANK, 3, 3), values(random, RANK, WIDTH, 1, 1)
    tensors.update({f"{module}.lora_up.weight": up, f"{module}.lora_mid.weight": mid, f"{module}.lora_down.weight": down, f"{module}.alpha": numpy.array(4, dtype="float32")})
    whole = numpy.einsum("onab,nmkl,miab->oikl", up.astype(numpy.float64), mid.astype(numpy.float64), down.astype(numpy.float64))
    norms[module] = norm(whole, 1)
    save("lycoris.safetensors", tensors, {"ss_network_module": "lycoris.kohya"}, norms)


def peft():
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model
    from safetensors.numpy import load_file

    config = transformers.LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    cases = {
        "peft-lora": LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], alpha_pattern={"layers.1.self_attn.v_proj": 4}),
        "peft-rslora": LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "down_proj"], use_rslora=True),
        "peft-dora": LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], use_dora=True),
    }
    for name, lora in cases.items():
        torch.manual_seed(7)
        model = get_peft_model(transformers.LlamaForCausalLM(config), lora)
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter)
        model.peft_config["default"].base_model_name_or_path = "meta-llama/Llama-3.1-8B"
        path = folder("adapter") / name
        model.save_pretrained(path)
        (path / "README.md").unlink(missing_ok=True)
        tensors = load_file(path / "adapter_model.safetensors")
        norms = {}
        for key, down in tensors.items():
            if key.endswith(".lora_A.weight"):
                module = key.removesuffix(".lora_A.weight")
                up = tensors[module + ".lora_B.weight"]
                # The scale that the library itself applies.
                layer = model.get_submodule(module)
                norms[module] = norm(product(up, down), layer.scaling["default"])
        expect(path / "adapter_model.safetensors", norms)


def diffusers_names(random):
    import torch
    from diffusers.utils import convert_state_dict_to_diffusers

    tensors, norms = {}, {}
    for module in ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"]:
        width = 768 if "attn2" in module else 64
        tensors[f"{module}.lora_A.weight"] = torch.from_numpy(values(random, RANK, width))
        tensors[f"{module}.lora_B.weight"] = torch.from_numpy(values(random, 64, RANK))
    converted = {key: value.numpy() for key, value in convert_state_dict_to_diffusers(tensors).items()}
    for key, down in converted.items():
        for end, other in ((".lora.down.weight", ".lora.up.weight"), (".lora_A.weight", ".lora_B.weight")):
            if key.endswith(end):
                module = key.removesuffix(end)
                norms[module] = norm(product(converted[module + other], down), 1)
    save("diffusers-sd1.safetensors", converted, {"format": "pt"}, norms)
    # What diffusers writes for a transformer.
    tensors, norms = {}, {}
    for module in ["transformer.single_transformer_blocks.0.attn.to_q", "transformer.transformer_blocks.0.attn.to_k"]:
        down, up = values(random, RANK, 3072, dtype="float16"), values(random, 64, RANK, dtype="float16")
        tensors[f"{module}.lora_A.weight"], tensors[f"{module}.lora_B.weight"] = down, up
        norms[module] = norm(product(up, down), 1)
    save("diffusers-flux.safetensors", tensors, {"format": "pt"}, norms)


def broken(random):
    down, up = values(random, RANK, WIDTH), values(random, OUT, RANK)
    down[1, 2] = numpy.nan
    tensors = {"lora_unet_a.lora_down.weight": down, "lora_unet_a.lora_up.weight": up}
    tensors.update({"lora_unet_b.lora_down.weight": values(random, RANK, WIDTH), "lora_unet_b.lora_up.weight": values(random, OUT, RANK + 1)})
    tensors["lora_unet_c.lora_down.weight"] = values(random, RANK, WIDTH)
    save("broken.safetensors", tensors, {}, {})


def make():
    shutil.rmtree(folder("adapter"))
    random = numpy.random.default_rng(11)
    kohya(random)
    lycoris(random)
    peft()
    diffusers_names(random)
    broken(random)
