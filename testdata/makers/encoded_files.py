"""Values and what gguf-py's quantisers and torch's casts make of them.

`encoded/NAME.bin`: little-endian f32, whole blocks, then the blocks that gguf-py makes.
`encoded/torch.bin`: u32 count, that many f32, then their casts: bfloat16, float16, and of each 8-bit float
`.to()` as it is, and after `.clamp()` to the largest value.
"""

import gguf
import numpy
import torch
from gguf.quants import quantize

from .common import folder

BLOCKS = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 TQ1_0 TQ2_0 MXFP4".split()
FLOATS = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]


def rows(size, random):
    """Blocks that a quantiser may get wrong, then ordinary weights of many magnitudes."""
    steps = numpy.arange(size, dtype=numpy.float32)
    yield numpy.zeros(size)
    yield numpy.full(size, 0.37)
    yield numpy.full(size, -3.0)
    # The largest magnitude twice, with either sign first.
    yield numpy.where(steps % 2 == 0, 1.0, -1.0)
    yield numpy.where(steps % 2 == 0, -1.0, 1.0)
    # Ties between two quants, of every type.
    yield (steps % 32 - 16) / 2
    yield (steps % 17 - 8) * 0.25 + 0.125
    yield numpy.where(steps == 5, -127.0, steps % 9 + 0.5)
    yield numpy.where(steps == 7, 6.0, (steps % 25) / 4)
    yield numpy.where(steps == 7, 6.0, -(steps % 25) / 4)
    # Just below powers of two, where MXFP4's logarithm rounds up.
    for exponent in (-20, -4, -3, 0, 1, 10):
        below = numpy.nextafter(numpy.float32(2.0**exponent), numpy.float32(0))
        yield numpy.where(steps == 3, below, random.uniform(-0.9, 0.9, size) * below)
        yield numpy.where(steps == 3, below * numpy.float32(1 - 2.0**-17), below / 3)
    # Scales that are subnormal or zero as f16.
    yield random.standard_normal(size) * 1e-6
    yield random.standard_normal(size) * 1e-9
    for _ in range(20):
        yield random.standard_normal(size) * 10.0 ** random.uniform(-4, 3)
    for _ in range(5):
        yield random.standard_t(2, size) * 0.02


def patterns():
    """Around the values and the middles between them of every kind, and a walk through all bits."""
    found = [numpy.arange(0, 1 << 31, 2_999_999, dtype=numpy.uint64).astype(numpy.uint32)]
    for kind in FLOATS:
        codes = torch.arange(256, dtype=torch.uint8).view(kind).float().numpy()
        values = numpy.unique(numpy.abs(codes[numpy.isfinite(codes)]))
        middles = (values[1:] + values[:-1]) / 2
        bits = numpy.concatenate([values, middles, [values[-1] * 1.0625, values[-1] * 1.125]])
        bits = bits.astype(numpy.float32).view(numpy.uint32)
        found += [bits, bits + 1, numpy.maximum(bits, 1) - 1]
    bits = numpy.unique(numpy.concatenate(found))
    return numpy.concatenate([bits, bits | numpy.uint32(1 << 31)]).view(numpy.float32)


def make():
    place = folder("encoded")
    for name in BLOCKS:
        kind = gguf.GGMLQuantizationType[name]
        size = gguf.GGML_QUANT_SIZES[kind][0]
        random = numpy.random.default_rng(7)
        values = numpy.stack([numpy.asarray(row) for row in rows(size, random)]).astype("<f4")
        with numpy.errstate(all="ignore"):
            blocks = quantize(values, kind)
        (place / f"{name}.bin").write_bytes(values.tobytes() + blocks.tobytes())
    values = patterns()
    x = torch.from_numpy(values.copy())
    parts = [numpy.array([len(values)], dtype="<u4"), values, x.bfloat16().view(torch.int16).numpy(),
             x.half().view(torch.int16).numpy()]
    for kind in FLOATS:
        largest = torch.finfo(kind).max
        parts += [x.to(kind).view(torch.uint8).numpy(), x.clamp(-largest, largest).to(kind).view(torch.uint8).numpy()]
    (place / "torch.bin").write_bytes(b"".join(part.tobytes() for part in parts))
