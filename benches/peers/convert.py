"""A 2.7 GB PyTorch file to safetensors: ckpt, torch with safetensors, and `cp`."""

import os
import sys

import common

TORCH = """
import sys, torch
from safetensors.torch import save_file
state = torch.load(sys.argv[1], weights_only=True)
if sys.argv[3] == "bf16":
    state = {name: tensor.to(torch.bfloat16) for name, tensor in state.items()}
save_file(state, sys.argv[2], {"format": "pt"})
"""


def make(path):
    """111 F32 tensors, 2.7 GB."""
    import torch

    generator = torch.Generator().manual_seed(0)
    state = {}
    for layer in range(12):
        for name, shape in {
            "q": (2048, 2048), "k": (2048, 2048), "v": (2048, 2048), "o": (2048, 2048),
            "gate": (6144, 2048), "up": (6144, 2048), "down": (2048, 6144),
            "norm1": (2048,), "norm2": (2048,),
        }.items():
            state[f"model.layers.{layer}.{name}.weight"] = torch.randn(shape, generator=generator)
    state["model.embed.weight"] = torch.randn((6144, 2048), generator=generator)
    state["model.norm.weight"] = torch.randn((2048,), generator=generator)
    state["lm_head.weight"] = torch.randn((6144, 2048), generator=generator)
    torch.save(state, path)


def main():
    options = common.options(__doc__)
    source, out = (os.path.join(options.folder, name) for name in ("ckpt-peer.pt", "ckpt-peer.out"))
    target, half = out + ".safetensors", os.path.join(options.folder, "ckpt-peer-half")
    if not os.path.exists(source):
        common.make(__file__, source)
    convert = [common.CKPT, "convert", "--quiet", "--force", source, target]

    def remove():
        for path in (out, target):
            if os.path.exists(path):
                os.remove(path)

    copy = ["cp", source, out]
    copy_synced = ["sh", "-c", 'cp "$0" "$1" && sync "$1"', source, out]
    best = common.compare(
        {"cp": copy, "ckpt convert --no-sync": convert + ["--no-sync"]}, options.rounds, remove
    )
    best |= common.compare({"torch + safetensors": common.python(TORCH, source, target, "f32")}, 1, remove)
    common.table("2.7 GB F32 .pt to safetensors", best, "cp")
    best = common.compare({"cp, sync": copy_synced, "ckpt convert": convert}, options.rounds, remove)
    common.table("the same, synced to disk", best, "cp, sync")
    remove()
    os.system(f'head -c {os.path.getsize(source) // 2} "{source}" > "{half}"')
    best = common.compare(
        {
            "cp": ["cp", half, out],
            "ckpt convert --dtype bf16 --no-sync": convert + ["--no-sync", "--dtype", "bf16"],
        },
        options.rounds,
        remove,
    )
    best |= common.compare({"torch + safetensors": common.python(TORCH, source, target, "bf16")}, 1, remove)
    common.table("to BF16, against cp of a file of the output's size", best, "cp")
    remove()
    os.remove(half)
    if not options.keep:
        os.remove(source)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(sys.argv[2])
    else:
        main()
