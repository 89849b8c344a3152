"""A 1.3 GB safetensors file: ckpt hash beside b3sum and sha256sum (Debian's packages of these names)."""

import os
import shutil
import sys

import common


def make(path):
    """96 BF16 tensors of 2048 x 3328 random elements."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    shape = (2048, 3328)
    tensors = {
        f"layers.{i}.weight": torch.randn(shape, generator=generator).to(torch.bfloat16) for i in range(96)
    }
    save_file(tensors, path)


def main():
    options = common.options(__doc__)
    source = os.path.join(options.folder, "ckpt-peer-hash.safetensors")
    if not os.path.exists(source):
        common.make(__file__, source)
    content = {"ckpt hash": [common.CKPT, "hash", "--quiet", source]}
    if shutil.which("b3sum"):
        content = {"b3sum": ["b3sum", source]} | content
    table = common.compare(content, options.rounds)
    common.table("content digests, against the hash of the file", table, next(iter(table)))
    files = {
        "sha256sum": ["sha256sum", source],
        "ckpt hash --files -j 1 (all hashes)": [common.CKPT, "hash", "--quiet", "--files", "-j", "1", source],
        "ckpt hash --files (all hashes)": [common.CKPT, "hash", "--quiet", "--files", source],
    }
    table = common.compare(files, options.rounds)
    common.table("file hashes", table, "sha256sum")
    if not options.keep:
        os.remove(source)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(sys.argv[2])
    else:
        main()
