"""Tensors of zeros in every arrangement, with their counts as numpy finds them."""

import json

import numpy
import torch
from safetensors.torch import save_file

from .common import folder

PATTERNS = [(2, 4), (4, 8), (1, 4), (3, 6)]


def groups(values, kept, of):
    if values.shape[-1] % of:
        return None
    grouped = (values != 0).reshape(-1, of)
    return [int((grouped.sum(axis=1) <= kept).sum()), len(grouped)]


def counts(values):
    values = values.float().numpy() if values.is_floating_point() else values.numpy()
    slices = [None, None]
    if values.ndim >= 2:
        for axis in (0, 1):
            others = tuple(i for i in range(values.ndim) if i != axis)
            slices[axis] = [int((values == 0).all(axis=others).sum()), values.shape[axis]]
    return {
        "zeros": [int((values == 0).sum()), values.size],
        "rows": slices[0],
        "channels": slices[1],
        "groups": [groups(values, *pattern) if values.ndim else None for pattern in PATTERNS],
    }


def make():
    random = numpy.random.default_rng(7)
    base = torch.from_numpy(random.standard_normal((12, 24)).astype(numpy.float32))
    two_of_four = base.clone().reshape(-1, 4)
    two_of_four[:, :2] = 0
    sparse = base.clone()
    sparse[torch.from_numpy(random.random((12, 24)) < 0.6)] = 0
    slices = base.clone()
    slices[3], slices[:, 5], slices[0, 0] = 0, -0.0, float("nan")
    conv = torch.from_numpy(random.standard_normal((6, 4, 3, 3)).astype(numpy.float32))
    conv[2], conv[:, 1], conv[0, 0, 0, 0] = 0, 0, 0
    tensors = {
        "dense": base,
        "two_of_four": two_of_four.reshape(12, 24),
        "random": sparse,
        "random.bf16": sparse.bfloat16(),
        "random.f16": sparse.half(),
        "random.f8": sparse.to(torch.float8_e4m3fn),
        "random.f64": sparse.double(),
        "slices": slices,
        "conv": conv,
        "vector": sparse[0].clone(),
        "odd_rows": sparse[:, :7].clone(),
        "all_zero": torch.zeros(4, 8),
    }
    path = folder("sparsity") / "zeros.safetensors"
    save_file(tensors, path)
    lines = [f' {json.dumps(name)}: {json.dumps(counts(tensor))}' for name, tensor in tensors.items()]
    path.with_name("zeros.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
