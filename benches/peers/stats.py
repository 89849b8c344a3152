"""ckpt stats beside a torch script that finds the same numbers: 2.7 GB of F32, 1.3 GB of BF16."""

import os
import sys

import common

TORCH = """
import sys, torch
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as file:
    for name in file.keys():
        x = file.get_tensor(name)
        finite = torch.isfinite(x)
        nans, infs = int(torch.isnan(x).sum()), int(torch.isinf(x).sum())
        zeros = int((x == 0).sum())
        y = x[finite].double()
        print(name, float(y.min()), float(y.max()), float(y.mean()), float(y.std(correction=0)),
              float(y.abs().max()), float(y.abs().sum()), float(y.norm()), zeros, nans, infs)
"""


def make(path, dtype):
    """100 tensors of 3328 x 2048 random elements, 0.68 G in all."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, dtype)
    save_file({f"layers.{i}.weight": torch.randn((3328, 2048), generator=generator).to(dtype) for i in range(100)}, path)


def main():
    options = common.options(__doc__)
    for dtype in "float32", "bfloat16":
        source = os.path.join(options.folder, f"ckpt-peer-{dtype}.safetensors")
        if not os.path.exists(source):
            common.make(__file__, source, dtype)
        best = common.compare({"torch": common.python(TORCH, source)}, 1)
        ours = "stats", "stats --sparsity", "audit --values"
        commands = {f"ckpt {name}": [common.CKPT, *name.split(), "--quiet", source] for name in ours}
        best |= common.compare(commands, options.rounds)
        common.table(f"stats of {dtype}", best, "ckpt stats")
        if not options.keep:
            os.remove(source)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(*sys.argv[2:])
    else:
        main()
