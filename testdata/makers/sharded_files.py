"""Several files that are one checkpoint: indexes, folders, pipelines."""

import json

import numpy
import safetensors.numpy
import torch

from .common import expect, folder, numpy_entry
from .torch_expect import library, tensor_entry


def write_index(path, shards, **metadata):
    weight_map = {name: file for file, tensors in shards.items() for name in tensors}
    total = sum(t.nbytes if hasattr(t, "nbytes") else t.numel() * t.element_size()
                for tensors in shards.values() for t in tensors.values())
    text = json.dumps({"metadata": {"total_size": total, **metadata}, "weight_map": dict(sorted(weight_map.items()))}, indent=2)
    path.write_text(text + "\n")


def make():
    out = folder("sharded")
    generator = numpy.random.default_rng(51)

    def array(*shape):
        return generator.standard_normal(shape).astype("f4")

    def save_shards(where, shards):
        where.mkdir(parents=True, exist_ok=True)
        for file, tensors in shards.items():
            safetensors.numpy.save_file(tensors, where / file, metadata={"format": "pt"})

    def entries(shards, prefix=""):
        return [numpy_entry(prefix + name, t) for tensors in shards.values() for name, t in tensors.items()]

    # What `save_pretrained(max_shard_size=...)` leaves, with its companions.
    where = out / "safetensors-index"
    shards = {
        "model-00001-of-00003.safetensors": {"model.embed.weight": array(8, 4)},
        "model-00002-of-00003.safetensors": {f"model.layers.{i}.weight": array(4, 4) for i in range(2)},
        "model-00003-of-00003.safetensors": {"lm_head.weight": array(8, 4), "model.norm.weight": array(4)},
    }
    save_shards(where, shards)
    index = where / "model.safetensors.index.json"
    write_index(index, shards, total_parameters=100)
    (where / "config.json").write_text('{"architectures": ["TestModel"]}\n')
    facts = dict(format="safetensors", ordered=False, library="safetensors, numpy")
    expect(where, entries(shards), **facts)
    expect(index, entries(shards), **facts)

    where = out / "pytorch-index"
    where.mkdir(exist_ok=True)
    torch.manual_seed(52)
    shards = {
        "pytorch_model-00001-of-00002.bin": {"a.weight": torch.randn(3, 4), "a.bias": torch.randn(3).half()},
        "pytorch_model-00002-of-00002.bin": {"b.weight": torch.randn(4, 3).t(), "b.count": torch.tensor(5)},
    }
    for file, tensors in shards.items():
        torch.save(tensors, where / file)
    index = where / "pytorch_model.bin.index.json"
    write_index(index, shards)
    tensors = [tensor_entry(n, t) for ts in shards.values() for n, t in ts.items()]
    expect(where, tensors, format="pytorch", ordered=False, library=library())
    expect(index, tensors, format="pytorch", ordered=False, library=library())

    # Shards, but the index was not downloaded.
    where = out / "no-index"
    shards = {f"model-0000{i}-of-00002.safetensors": {f"layer.{i}.weight": array(2, i + 1)} for i in [1, 2]}
    save_shards(where, shards)
    expect(where, entries(shards), **facts)

    where = out / "no-index-pytorch"
    where.mkdir(exist_ok=True)
    tensors = []
    for i in [1, 2]:
        shard = {f"layer.{i}.weight": torch.full((2, i), float(i))}
        torch.save(shard, where / f"pytorch_model-0000{i}-of-00002.bin")
        tensors += [tensor_entry(n, t) for n, t in shard.items()]
    expect(where, tensors, format="pytorch", ordered=False, library=library())

    # One file in a folder; the same model as PyTorch beside it is not taken.
    where = out / "two-formats"
    shards = {"model.safetensors": {"w": array(3)}}
    save_shards(where, shards)
    torch.save({"other": torch.ones(2)}, where / "pytorch_model.bin")
    expect(where, entries(shards), **facts)

    # A pipeline of diffusers: each part's names get its folder's.
    where = out / "pipeline"
    where.mkdir(exist_ok=True)
    (where / "model_index.json").write_text(json.dumps({
        "_class_name": "TestPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"]}, indent=2) + "\n")
    (where / "scheduler").mkdir(exist_ok=True)
    (where / "scheduler/scheduler_config.json").write_text("{}\n")
    unet = {"diffusion_pytorch_model.safetensors": {"conv_in.weight": array(4, 3, 3, 3), "conv_in.bias": array(4)}}
    vae = {
        "diffusion_pytorch_model-00001-of-00002.safetensors": {"encoder.weight": array(2, 2)},
        "diffusion_pytorch_model-00002-of-00002.safetensors": {"decoder.weight": array(2, 3)},
    }
    save_shards(where / "unet", unet)
    save_shards(where / "vae", vae)
    write_index(where / "vae/diffusion_pytorch_model.safetensors.index.json", vae)
    expect(where, entries(unet, "unet.") + entries(vae, "vae."), **facts)
