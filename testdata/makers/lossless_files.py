"""Floats that smaller floats hold exactly, or do not.

`NAME.lossless.json` says of each tensor which do, by torch's casts there and back, and what it must become. Torch makes
every NaN the same one, so of tensors with NaNs the file says by hand what a cast that keeps payloads and makes NaNs
quiet can give back.
"""

import json

import numpy
import safetensors.torch
import torch

from .common import expect, folder
from .torch_expect import DTYPES, library, tensor_entry

SMALLER = {torch.float32: [torch.bfloat16, torch.float16], torch.float64: [torch.bfloat16, torch.float16, torch.float32]}


def name_of(dtype):
    return DTYPES[str(dtype).removeprefix("torch.")]


def bits(patterns):
    return torch.from_numpy(numpy.array(patterns, dtype=numpy.uint32).view(numpy.float32))


def held(tensor):
    """The smaller dtypes from which every element comes back bit by bit."""
    whole = torch.int32 if tensor.dtype == torch.float32 else torch.int64
    back = lambda dtype: tensor.to(dtype).to(tensor.dtype).view(whole)
    return [name_of(dtype) for dtype in SMALLER.get(tensor.dtype, []) if torch.equal(back(dtype), tensor.view(whole))]


def singles():
    """Name, tensor, and what holds it where torch cannot say."""
    weights = torch.randn(24, 32) * 0.02
    yield "bf16", (weights * torch.logspace(-6, 0, 32)).bfloat16().float(), None
    yield "f16", weights.half().float(), None
    yield "neither", weights, None
    yield "integers", torch.arange(-128, 128).float(), None
    yield "f16_subnormals", torch.arange(0, 1024, dtype=torch.int16).view(torch.float16).float(), None
    yield "bf16_subnormals", torch.arange(0, 128, dtype=torch.int16).view(torch.bfloat16).float(), None
    yield "f16_below", torch.tensor([2.0**-25]), None
    yield "f32_subnormals", bits([1, 0x7fff, 0x80000001]), None
    yield "f16_largest", torch.tensor([65504.0, -65504.0]), None
    yield "f16_beyond", torch.tensor([65536.0, 1.0]), None
    yield "between", torch.tensor([65520.0]), None
    yield "infinities", torch.tensor([float("inf"), -float("inf"), 1.0, 0.0]), None
    yield "infinity_and_beyond", torch.tensor([float("inf"), 65536.0]), None
    yield "zeros", bits([0, 0x80000000, 0]), None
    yield "scalar", torch.tensor(0.5), None
    yield "nan", bits([0x7fc00000, 0xffc00000, 0x3f800000]), ["BF16", "F16"]
    yield "nan_of_bf16", bits([0x7fc10000, 0xfff70000]), ["BF16", "F16"]
    yield "nan_of_f16", bits([0x7fc02000, 0xffc0e000]), ["F16"]
    yield "nan_of_f32", bits([0x7fc00001, 0x3f800000]), []
    yield "nan_signals", bits([0x7f810000, 0x3f800000]), []


def doubles():
    yield "f64_bf16", (torch.randn(16) * 1e-6).bfloat16().double(), None
    yield "f64_f16", torch.randn(16).half().double(), None
    yield "f64_f32", torch.randn(16).double(), None
    yield "f64_itself", torch.randn(16).double() / 3, None
    yield "f64_integers", torch.arange(256).double(), None
    yield "f64_integers_of_f32", torch.tensor([2.0**24, 2.0**24 - 1], dtype=torch.float64), None
    yield "f64_integers_beyond", torch.tensor([2.0**24 + 1], dtype=torch.float64), None
    yield "f64_subnormals_of_f32", torch.tensor([2.0**-149, 3 * 2.0**-149], dtype=torch.float64), None
    yield "f64_below", torch.tensor([2.0**-150], dtype=torch.float64), None
    yield "f64_huge", torch.tensor([1e300], dtype=torch.float64), None
    yield "f64_infinity", torch.tensor([-float("inf"), 3.0], dtype=torch.float64), None


def others():
    yield "is_bf16", torch.ones(4, dtype=torch.bfloat16), None
    yield "is_f16", torch.ones(4, dtype=torch.float16), None
    yield "is_i32", torch.ones(4, dtype=torch.int32), None
    yield "empty", torch.zeros(0, 3), []


def write(out, name, rows):
    tensors = {key: tensor for key, tensor, _ in rows}
    holds = {key: held(tensor) if by_hand is None else by_hand for key, tensor, by_hand in rows}
    count = lambda half: sum(half in holds[key] or name_of(tensor.dtype) == half for key, tensor in tensors.items())
    preferred = "F16" if count("F16") > count("BF16") else "BF16"
    path = out / name
    safetensors.torch.save_file(tensors, path)
    read = safetensors.torch.load_file(path)
    entries = [tensor_entry(key, tensor) for key, tensor in read.items()]
    expect(path, entries, format="safetensors", variant="", root=None, library=library(), ordered=False)
    lines = []
    for key, tensor in tensors.items():
        smallest = preferred if preferred in holds[key] else (holds[key] or [name_of(tensor.dtype)])[0]
        lines.append(json.dumps({"name": key, "holds": holds[key], "auto": smallest}))
    path.with_name(name + ".lossless.json").write_text("[\n " + ",\n ".join(lines) + "\n]\n")


def make():
    torch.manual_seed(5)
    out = folder("lossless")
    rows = [*singles(), *doubles(), *others()]
    write(out, "mixed.safetensors", rows)
    write(out, "tie.safetensors", [row for row in rows if row[0] in ("integers", "neither", "f16", "bf16")])
    most = ("integers", "f16", "f16_subnormals", "bf16", "f64_f16", "is_f16")
    write(out, "half.safetensors", [row for row in rows if row[0] in most])
