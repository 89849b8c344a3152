"""679 million F32 values to GGUF blocks: ckpt and candle's tool.

CKPT_CANDLE_TOOL names the tool: `cargo build --release -p tensor-tools` in a checkout of candle.
"""

import json
import os
import struct
import sys

import common

KINDS = {"q8_0": "q8_0", "q4_0": "q4_0", "q4_k": "q4k", "q6_k": "q6k"}


def make(path):
    """86 F32 matrices, 2.7 GB."""
    import numpy

    shapes = {}
    for layer in range(12):
        for name, shape in {
            "q": (2048, 2048), "k": (2048, 2048), "v": (2048, 2048), "o": (2048, 2048),
            "gate": (6144, 2048), "up": (6144, 2048), "down": (2048, 6144),
        }.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    shapes["model.embed.weight"] = shapes["lm_head.weight"] = (6144, 2048)
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + shape[0] * shape[1] * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = numpy.random.default_rng(0)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            file.write((random.standard_normal(shape, dtype=numpy.float32) * numpy.float32(0.02)).tobytes())


def main():
    options = common.options(__doc__)
    tool = os.environ.get("CKPT_CANDLE_TOOL") or sys.exit("CKPT_CANDLE_TOOL: the path of candle's tensor-tools")
    source, out = (os.path.join(options.folder, name) for name in ("ckpt-peer.safetensors", "ckpt-peer.gguf"))
    if not os.path.exists(source):
        common.make(__file__, source)

    def remove():
        if os.path.exists(out):
            os.remove(out)

    for ours, theirs in KINDS.items():
        commands = {
            "candle's tensor-tools": [tool, "quantize", source, "--out-file", out, "--quantization", theirs],
            "ckpt convert --no-sync": [common.CKPT, "convert", "-q", "--no-sync", source, out, "--dtype", ours],
        }
        best = common.compare(commands, options.rounds, remove)
        common.table(f"679 M F32 to {ours}", best, "candle's tensor-tools")
        remove()
    if not options.keep:
        os.remove(source)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(sys.argv[2])
    else:
        main()
