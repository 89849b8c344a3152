"""Expectations: what an independent library says a file holds, in this project's names."""

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The keys of a training checkpoint that hold the model, in order of preference.
ROOT_KEYS = "state_dict model_state_dict model module net network generator params weights".split()


def folder(name):
    path = ROOT / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def entry(name, dtype, shape, data, tied_to=None):
    """One tensor: `data` is its contiguous, little-endian bytes, or None where there are none."""
    return {
        "name": name,
        "dtype": dtype,
        "shape": list(shape),
        "nbytes": None if data is None else len(data),
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "tied_to": tied_to,
    }


def expect(path, tensors, **facts):
    """Writes `PATH.expected.json`: `facts` first, then one tensor a line."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in facts.items()]
    rows = ",\n  ".join(json.dumps(tensor) for tensor in tensors)
    body = f'[\n  {rows}\n ]' if tensors else "[]"
    text = "{\n" + "".join(line + "\n" for line in lines) + f' "tensors": {body}\n}}\n'
    path = Path(path)
    path.with_name(path.name + ".expected.json").write_text(text)


def numpy_name(dtype):
    """The name of a plain NumPy dtype, None for anything else."""
    names = {
        "b1": "BOOL", "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "u4": "U32", "i4": "I32",
        "u8": "U64", "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64", "c16": "C128",
    }
    return names.get(f"{dtype.kind}{dtype.itemsize}")


def numpy_bytes(array):
    """Row-major little-endian bytes."""
    import numpy

    return numpy.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


def numpy_entry(name, array):
    return entry(name, numpy_name(array.dtype), array.shape, numpy_bytes(array))
