"""ckpt diff of two F32 files of 2.7 GB beside a torch script that finds the same numbers."""

import os
import sys

import common
import stats

TORCH = """
import sys, torch
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as a, safe_open(sys.argv[2], "pt") as b:
    for name in a.keys():
        x, y = a.get_tensor(name).double(), b.get_tensor(name).double()
        d = (x - y).abs()
        xx, dd = float(x.norm()), float(d.norm())
        print(name, int((x != y).sum()), float(d.max()), int(d.argmax()), float(d.mean()), dd / d.numel() ** 0.5,
              dd / xx, float((x * y).sum()) / (xx * float(y.norm())))
"""


def make(source, target):
    """The tensors of `source`, each element a little changed."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(source)
    for tensor in tensors.values():
        tensor *= 1.0001
    save_file(tensors, target)


def main():
    options = common.options(__doc__)
    a, b = (os.path.join(options.folder, f"ckpt-peer-{name}.safetensors") for name in ("float32", "changed"))
    if not os.path.exists(a):
        common.make(stats.__file__, a, "float32")
    if not os.path.exists(b):
        common.make(__file__, a, b)
    best = common.compare({"torch": common.python(TORCH, a, b)}, 1)
    diff = [common.CKPT, "diff", "--quiet", a, b]
    best |= common.compare({"ckpt diff": diff}, options.rounds)
    common.table("diff of two F32 files of 2.7 GB", best, "ckpt diff")
    if not options.keep:
        os.remove(a)
        os.remove(b)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(*sys.argv[2:])
    else:
        main()
