"""Opening large headers: 100,000 tensors, and a vocabulary of 256,000 tokens."""

import os
import sys

import common

TORCH = "import sys, torch; torch.load(sys.argv[1], weights_only=True)"
SAFETENSORS = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as file:
    for name in file.keys():
        part = file.get_slice(name)
        part.get_shape(), part.get_dtype()
"""
GGUF = "import sys, gguf; gguf.GGUFReader(sys.argv[1])"


def make(*paths):
    import numpy
    import torch
    from gguf import GGUFWriter
    from safetensors.torch import save_file

    state = {f"model.layers.{i // 10}.part.{i % 10}.weight": torch.zeros(16) for i in range(100_000)}
    save_file(state, paths[0])
    torch.save(state, paths[1])
    writer = GGUFWriter(paths[2], "llama")
    writer.add_token_list([f"token-{i}" for i in range(256_000)])
    writer.add_token_scores([0.0] * 256_000)
    writer.add_tensor("output.weight", numpy.zeros((4, 32), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    options = common.options(__doc__)
    names = ("ckpt-peer-many." + extension for extension in ("safetensors", "pt", "gguf"))
    safetensors, pytorch, gguf = (os.path.join(options.folder, name) for name in names)
    common.make(__file__, safetensors, pytorch, gguf)
    for title, path, peer, code in (
        ("safetensors, 100,000 tensors", safetensors, "safetensors (Python)", SAFETENSORS),
        ("PyTorch zip, 100,000 tensors", pytorch, "torch.load", TORCH),
        ("GGUF, 256,000 tokens", gguf, "gguf-py", GGUF),
    ):
        inspect = {"ckpt inspect": [common.CKPT, "inspect", path]}
        best = common.compare(inspect, options.rounds)
        best |= common.compare({peer: common.python(code, path)}, 1)
        common.table(title, best, "ckpt inspect")
    start = {"ckpt --version": [common.CKPT, "--version"]}
    common.table("start-up", common.compare(start, options.rounds), "ckpt --version")
    if not options.keep:
        for path in (safetensors, pytorch, gguf):
            os.remove(path)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(*sys.argv[2:])
    else:
        main()
