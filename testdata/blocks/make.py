"""Makes NAME.bin for every GGUF block type that decodes: random blocks, then their values.

Each file: 3 blocks as they lie in a GGUF file, then 3 x (elements of a block) little-endian f32.
Values come from gguf-py (`pip install gguf==0.19.0`); for Q8_1, Q8_K, Q1_0 and Q2_0, which it does
not decode, from the formula in ggml-quants.c, written out below.

    python testdata/blocks/make.py
"""

import pathlib

import gguf
import numpy
from gguf.quants import dequantize

HERE = pathlib.Path(__file__).parent
BLOCKS = 3
SIZES = {"Q8_1": (32, 36), "Q8_K": (256, 292), "Q1_0": (128, 18), "Q2_0": (64, 18)}
NAMES = (
    "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ4_NL IQ4_XS MXFP4 NVFP4 "
    "TQ1_0 TQ2_0 Q1_0 Q2_0 IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S"
).split()


def by_formula(name, block):
    f16 = block[:2].copy().view(numpy.float16)[0].astype(numpy.float32)
    bits = numpy.unpackbits(block[2:], bitorder="little")
    if name == "Q8_1":
        return f16 * block[4:].view(numpy.int8).astype(numpy.float32)
    if name == "Q8_K":
        d = block[:4].copy().view(numpy.float32)[0]
        return d * block[4:260].view(numpy.int8).astype(numpy.float32)
    if name == "Q1_0":
        return numpy.where(bits == 1, f16, -f16).astype(numpy.float32)
    quants = bits[0::2] + 2 * bits[1::2]
    return f16 * (quants.astype(numpy.float32) - 1)


def values(name, block):
    if name in SIZES:
        return by_formula(name, block)
    return dequantize(block, gguf.GGMLQuantizationType[name])


def main():
    random = numpy.random.default_rng(20240607)
    for name in NAMES:
        size = SIZES[name][1] if name in SIZES else gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
        blocks, decoded = [], []
        while len(blocks) < BLOCKS:
            block = random.integers(0, 256, size, dtype=numpy.uint8)
            with numpy.errstate(all="ignore"):
                out = values(name, block).astype("<f4").ravel()
            # Random scales may be infinite or NaN; those say nothing about the quants.
            if numpy.isfinite(out).all() and out.any():
                blocks.append(block.tobytes())
                decoded.append(out.tobytes())
        (HERE / f"{name}.bin").write_bytes(b"".join(blocks) + b"".join(decoded))


if __name__ == "__main__":
    main()
