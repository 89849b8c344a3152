"""ckpt prune beside ckpt convert to the same dtype: 2.7 GB of F32, 1.3 GB of BF16."""

import os

import common
import stats

WAYS = {
    "by magnitude": ["--sparsity", "0.5"],
    "by magnitude, global": ["--sparsity", "0.5", "--global"],
    "2:4": ["--structured", "2:4"],
    "rows": ["--rows", "0.5"],
    "channels": ["--channels", "0.5"],
}


def main():
    options = common.options(__doc__)
    target = os.path.join(options.folder, "ckpt-peer-pruned.safetensors")
    for dtype in "float32", "bfloat16":
        source = os.path.join(options.folder, f"ckpt-peer-{dtype}.safetensors")
        if not os.path.exists(source):
            common.make(stats.__file__, source, dtype)
        whole = ["--quiet", "--force", "--no-sync", source, target]
        commands = {"ckpt convert": [common.CKPT, "convert", *whole]}
        commands |= {f"ckpt prune, {way}": [common.CKPT, "prune", *arguments, *whole] for way, arguments in WAYS.items()}
        common.table(f"zeroing {dtype}", common.compare(commands, options.rounds), "ckpt convert")
        for path in [target] + ([] if options.keep else [source]):
            os.remove(path)


if __name__ == "__main__":
    main()
