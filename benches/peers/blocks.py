"""Decoders and encoders beside ggml's C functions, one thread, in turn. CKPT_GGML names a shared library with them.

That is libggml-base.so of a build of llama.cpp; with the machine's own instructions by
cmake -B build -DBUILD_SHARED_LIBS=ON -DCMAKE_C_FLAGS=-march=native && cmake --build build -t ggml-base
"""

import ctypes
import os
import pathlib
import subprocess
import sys
import time

import common
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
# As in benches/blocks.rs: 16 rows of 4096 elements at once.
ELEMENTS = 16 * 4096
SECONDS = 0.06
# Names, elements and bytes of a block, ggml's functions.
BLOCKS = """
F16 1 2 ggml_fp16_to_fp32_row, BF16 1 2 ggml_bf16_to_fp32_row, Q4_0 32 18 q4_0, Q4_1 32 20 q4_1,
Q5_0 32 22 q5_0, Q5_1 32 24 q5_1, Q8_0 32 34 q8_0, Q2_K 256 84 q2_K, Q3_K 256 110 q3_K,
Q4_K 256 144 q4_K, Q5_K 256 176 q5_K, Q6_K 256 210 q6_K, Q8_K 256 292 q8_K, IQ1_S 256 50 iq1_s,
IQ1_M 256 56 iq1_m, IQ2_XXS 256 66 iq2_xxs, IQ2_XS 256 74 iq2_xs, IQ2_S 256 82 iq2_s,
IQ3_XXS 256 98 iq3_xxs, IQ3_S 256 110 iq3_s, IQ4_NL 32 18 iq4_nl, IQ4_XS 256 136 iq4_xs,
TQ1_0 256 54 tq1_0, TQ2_0 256 66 tq2_0, MXFP4 32 17 mxfp4, NVFP4 64 36 nvfp4, Q1_0 128 18 q1_0,
Q2_0 64 18 q2_0
"""


# Of those that both sides encode, ggml's functions without weights.
ENCODERS = {
    "F16": "ggml_fp32_to_fp16_row", "BF16": "ggml_fp32_to_bf16_row_ref", "Q4_0": "quantize_row_q4_0_ref",
    "Q4_1": "quantize_row_q4_1_ref", "Q5_0": "quantize_row_q5_0_ref", "Q5_1": "quantize_row_q5_1_ref",
    "Q8_0": "quantize_row_q8_0_ref", "Q2_K": "quantize_row_q2_K_ref", "Q3_K": "quantize_row_q3_K_ref",
    "Q4_K": "quantize_row_q4_K_ref", "Q5_K": "quantize_row_q5_K_ref", "Q6_K": "quantize_row_q6_K_ref",
    "TQ1_0": "quantize_row_tq1_0_ref", "TQ2_0": "quantize_row_tq2_0_ref", "MXFP4": "quantize_row_mxfp4_ref",
}


def rate(call, *arrays):
    """Millions of elements a second."""
    call.restype = None
    arguments = *(ctypes.c_void_p(array.ctypes.data) for array in arrays), ctypes.c_int64(ELEMENTS)
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        call(*arguments)
        best = min(best, time.perf_counter() - start)
    return ELEMENTS / best / 1e6


def ggml(library, part):
    """Rates of ggml's functions by type."""
    rates = {}
    floats = numpy.zeros(ELEMENTS, dtype=numpy.float32)
    random = numpy.random.default_rng(1)
    for row in BLOCKS.split(","):
        name, elements, width, function = row.split()
        size = ELEMENTS // int(elements) * int(width)
        if part == "encode":
            function = ENCODERS.get(name, "")
            # Around zero, as weights lie.
            floats = ((random.random((4, ELEMENTS)).sum(0) - 2) * 0.05).astype(numpy.float32)
            stored = numpy.zeros(size, dtype=numpy.uint8)
        else:
            function = function if function.startswith("ggml") else f"dequantize_row_{function}"
            # Below 0x78 no half of them is infinite or NaN.
            stored = random.integers(0, 0x78, size, dtype=numpy.uint8)
        if not hasattr(library, function):
            continue
        arrays = (floats, stored) if part == "encode" else (stored, floats)
        rates[name] = rate(getattr(library, function), *arrays)
    return rates


def ckpt(part):
    """The same of ours."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "blocks", "--", part]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: float(rate) for name, rate, *_ in map(str.split, lines[1:])}


def compare(library, part, rounds):
    """Rates of both in turn, and a table of the best."""
    ours, theirs = {}, {}
    for _ in range(rounds):
        for best, rates in (ours, ckpt(part)), (theirs, ggml(library, part)):
            for name, rate in rates.items():
                best[name] = max(rate, best.get(name, 0))
    print(f"{part:10} {'ckpt':>8} {'ggml':>8}  {'ratio':>6}   (Melem/s)")
    for name, rate in ours.items():
        if name in theirs:
            print(f"{name:10} {rate:8.0f} {theirs[name]:8.0f}  {rate / theirs[name]:6.2f}")


def main():
    options = common.options(__doc__)
    path = os.environ.get("CKPT_GGML") or sys.exit("CKPT_GGML: the path of ggml's shared library")
    library = ctypes.CDLL(path, mode=os.RTLD_LAZY)
    for part in ("decode", "encode"):
        compare(library, part, options.rounds)


if __name__ == "__main__":
    main()
