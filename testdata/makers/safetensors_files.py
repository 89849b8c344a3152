"""safetensors: the official library where it can write the file, by hand where it cannot."""

import json

import numpy
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from .common import entry, expect, folder

# Name, bits of one element: the table of the crate, version 0.8.
DTYPES = [
    ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8),
    ("F8_E4M3", 8), ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16), ("U16", 16),
    ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64), ("F64", 64),
    ("I64", 64), ("U64", 64),
]


def by_hand(path, tensors, metadata=None, header=None, align=8, lead=""):
    """Writes (name, dtype, shape, bytes) in this order; `header` replaces the JSON text."""
    entries = {} if metadata is None else {"__metadata__": metadata}
    offset = 0
    for name, dtype, shape, data in tensors:
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = lead + (header if header is not None else json.dumps(entries, separators=(",", ":")))
    raw = text.encode()
    raw += b" " * (-len(raw) % align)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"".join(t[3] for t in tensors))


def expect_as_read(path, **facts):
    """The expectation from the library's own reader of raw bytes, in file order."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    begin = {k: v["data_offsets"][0] for k, v in header.items() if k != "__metadata__"}
    read = safetensors.deserialize(data)
    order = list(begin)
    read.sort(key=lambda item: order.index(item[0]))
    tensors = [entry(name, t["dtype"], t["shape"], bytes(t["data"])) for name, t in read]
    expect(path, tensors, format="safetensors", variant="", root=None,
           library=f"safetensors {safetensors.__version__}", **facts)


def make():
    out = folder("safetensors")
    generator = numpy.random.default_rng(1)

    # Every dtype; the library only checks sizes, so the bytes may be anything.
    rows = []
    for name, bits in reversed(DTYPES):
        data = generator.bytes(24 * bits // 8)
        if name == "BOOL":
            data = bytes(b & 1 for b in data)
        rows.append((name.lower(), name, [2, 3, 4], data))
    path = out / "dtypes.safetensors"
    by_hand(path, rows)
    expect_as_read(path)

    path = out / "numpy.safetensors"
    safetensors.numpy.save_file(
        {
            "embed.weight": generator.standard_normal((16, 8)).astype("f4"),
            "layer.0.weight": generator.standard_normal((4, 8)).astype("f8"),
            "layer.0.bias": generator.integers(-9, 9, 4).astype("i2"),
            "scalar": numpy.array(3.5, dtype="f4"),
            "empty": numpy.zeros((3, 0, 2), dtype="i8"),
            "flags": numpy.array([True, False, True]),
        },
        path,
        metadata={"format": "np"},
    )
    expect_as_read(path)

    torch.manual_seed(1)
    path = out / "torch.safetensors"
    safetensors.torch.save_file(
        {
            "half": torch.randn(3, 5).half(),
            "brain": torch.randn(3, 5).bfloat16(),
            "e4m3": torch.randn(8).to(torch.float8_e4m3fn),
            "e5m2": torch.randn(8).to(torch.float8_e5m2),
            "e8m0": torch.tensor([1.0, 2.0, 0.5]).to(torch.float8_e8m0fnu),
            "complex": torch.randn(3, dtype=torch.complex64),
            "non.finite": torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0]),
        },
        path,
        metadata={"format": "pt"},
    )
    expect_as_read(path, metadata={"format": "pt"})

    # The library writes metadata in random order, so by hand.
    metadata = {"zeta": "first", "format": "pt", "alpha": "last", "modelspec.title": "Größe \u202e x", "empty": ""}
    path = out / "metadata.safetensors"
    by_hand(path, [("a", "U8", [1], b"a")], metadata)
    expect_as_read(path, metadata=metadata)

    # Tied weights: `save_model` stores one and names the other in the metadata.
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(6, 4)
            self.head = torch.nn.Linear(4, 6, bias=False)
            self.head.weight = self.embed.weight

    torch.manual_seed(4)
    path = out / "tied.safetensors"
    safetensors.torch.save_model(Tied(), str(path))
    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    read = safetensors.deserialize(data)
    tensors = [entry(n, t["dtype"], t["shape"], bytes(t["data"])) for n, t in read]
    kept = {t["name"]: t for t in tensors}
    for alias, name in metadata.items():
        if name in kept:
            tensors.append({**kept[name], "name": alias, "tied_to": name})
    expect(path, tensors, format="safetensors", variant="", root=None,
           library=f"safetensors {safetensors.__version__}")

    def f4(*values):
        return numpy.array(values, dtype="<f4").tobytes()

    path = out / "empty.safetensors"
    safetensors.numpy.save_file({}, path)
    expect_as_read(path)

    path = out / "empty-object.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    expect_as_read(path)

    path = out / "leading-whitespace.safetensors"
    by_hand(path, [("a", "F32", [2], f4(1, 2))], lead=" \n\t ")
    expect_as_read(path, notes=["leading-whitespace"])

    path = out / "unpadded.safetensors"
    by_hand(path, [("odd", "U8", [3], b"\1\2\3"), ("a", "F32", [2], f4(1, 2))], align=1)
    expect_as_read(path)

    # The header names them in another order than they lie.
    path = out / "unsorted.safetensors"
    by_hand(path, [("b", "F32", [1], f4(1)), ("a", "F32", [2], f4(2, 3)), ("c", "I8", [1], b"\7")],
            header='{"c":{"dtype":"I8","shape":[1],"data_offsets":[12,13]},'
                   '"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},'
                   '"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}')
    expect_as_read(path, ordered=False)

    # A name that occurs twice: the library keeps the last, whose extents tile the buffer.
    path = out / "duplicate-name.safetensors"
    by_hand(path, [("a", "F32", [2], f4(1, 2))],
            header='{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                   '"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}')
    read = safetensors.deserialize(path.read_bytes())
    (name, last), = read
    first = entry("a#2", "F32", [2], f4(1, 2))
    expect(path, [first, entry(name, last["dtype"], last["shape"], bytes(last["data"]))],
           format="safetensors", ordered=False, notes=["duplicate-name"],
           library=f"safetensors {safetensors.__version__}")

    path = out / "unknown-field.safetensors"
    by_hand(path, [("a", "F32", [2], f4(1, 2))],
            header='{"__metadata__":null,"a":{"dtype":"F32","extra":{"x":[1,{}]},"shape":[2],"data_offsets":[0,8]}}')
    expect_as_read(path)

    path = out / "odd-names.safetensors"
    odd = ["", " ", "a/b", "../../etc/passwd", "new\nline", "nul\0", "\u202ertl", "é", "\U0001f600", "a.b.", '"']
    by_hand(path, [(name, "U8", [1], bytes([i])) for i, name in enumerate(odd)])
    expect_as_read(path)

    # A real state dict without the `.safetensors` extension is recognised all the same.
    path = out / "wrong-extension.bin"
    by_hand(path, [("a", "F32", [2], f4(1, 2))])
    expect_as_read(path)
