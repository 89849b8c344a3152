"""What torch finds in a file, under the names of this project.

Nested keys are joined by dots, list positions are numbers, a bare tensor is `tensor`; of a pickled
object whose class is not at hand, `_parameters`, `_buffers` and `_modules` vanish from the path.
"""

import collections

import numpy
import torch

from . import common

DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
    "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "complex32": "C32", "complex64": "C64", "complex128": "C128",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float4_e2m1fn_x2": "F4",
    "qint8": "QI8", "quint8": "QU8", "qint32": "QI32", "quint4x2": "QU4X2", "quint2x4": "QU2X4",
}


def library():
    return f"torch {torch.__version__.split('+')[0]}"


def tensor_bytes(tensor):
    """Contiguous, row-major, little-endian bytes; sparse tensors densely."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.quint4x2, torch.quint2x4):
        storage = tensor.contiguous().untyped_storage()
        return bytes(storage.tolist())
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_conj():
        tensor = tensor.resolve_conj()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    flat = tensor.contiguous().reshape(-1)
    if flat.dtype == torch.bool:
        flat = flat.to(torch.uint8)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def tensor_entry(name, tensor, tied_to=None):
    dtype = DTYPES[str(tensor.dtype).removeprefix("torch.")]
    shape = list(tensor.shape)
    if dtype == "F4":
        # Two values in a byte; torch's shape counts bytes, safetensors' counts values.
        shape[-1] *= 2
    data = None if tensor.device.type == "meta" else tensor_bytes(tensor)
    return common.entry(name, dtype, shape, data, tied_to)


def identity(tensor):
    """Equal for two names of one tensor; None for what is never tied."""
    if tensor.layout != torch.strided or tensor.numel() == 0 or tensor.device.type == "meta":
        return None
    if tensor.is_nested:
        return None
    return (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.is_conj(), tensor.is_neg())


def is_plain_module(value):
    return isinstance(value, torch.nn.Module) and not isinstance(value, torch.jit.ScriptModule)


def walk(value, path=None):
    """Yields (name, tensor or array) in the order in which they stand in the pickle."""

    def below(key):
        return str(key) if path is None else f"{path}.{key}"

    if isinstance(value, torch.Tensor) and value.is_nested:
        for i, part in enumerate(value.unbind()):
            yield below(i), part
    elif isinstance(value, torch.Tensor):
        yield "tensor" if path is None else path, value
    elif isinstance(value, numpy.ndarray):
        if value.dtype.kind in "biufc":
            yield "tensor" if path is None else path, value
        elif value.dtype == object and value.ndim == 0:
            yield from walk(value.item(), path)
        elif value.dtype == object:
            for i, item in enumerate(value.ravel().tolist()):
                yield from walk(item, below(i))
    elif isinstance(value, collections.abc.Mapping):
        for key, item in value.items():
            yield from walk(item, below(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from walk(item, below(i))
    elif is_plain_module(value):
        for key, item in vars(value).items():
            vanishes = key in ("_parameters", "_buffers", "_modules")
            yield from walk(item, path if vanishes else below(key))
    elif hasattr(value, "__dict__") and not isinstance(value, (type, torch.device, torch.Generator)):
        for key, item in vars(value).items():
            yield from walk(item, below(key))


def root_of(value):
    if not isinstance(value, collections.abc.Mapping):
        return None
    for key in common.ROOT_KEYS:
        below = value.get(key)
        if below is None or isinstance(below, (torch.Tensor, numpy.ndarray)):
            continue
        if any(True for _ in walk(below)):
            return key
    return None


def entries_of(value):
    entries, seen = [], {}
    for name, found in walk(value):
        if isinstance(found, numpy.ndarray):
            entries.append(common.numpy_entry(name, found))
            continue
        key = identity(found)
        entries.append(tensor_entry(name, found, seen.get(key) if key else None))
        if key:
            seen.setdefault(key, name)
    return entries


def expect_value(path, value, **facts):
    """The expectation for a file that holds `value`."""
    facts = {"root": root_of(value), "library": library(), **facts}
    common.expect(path, entries_of(value), format="pytorch", **facts)


def load(path):
    # torch 1.13 has no safe mode by default; 2.6 and later refuse classes unless told.
    return torch.load(path, weights_only=False)


def save(path, value, variant="zip", facts=None, **options):
    """Saves, loads what was written, and expects what torch loaded."""
    torch.save(value, path, **options)
    expect_value(path, load(path), variant=variant, **(facts or {}))
