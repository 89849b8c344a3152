"""Digests of files that are already there, computed by other programs: `hash/expected.json`.

The digest of a tensor is BLAKE3 over its bytes, a line feed, dtype and shape; the root is BLAKE3
over the sorted lines of `sha256sum`'s form (src/op/hash/mod.rs). Tensors are read by safetensors,
torch and gguf-py; the hashes are those of the packages blake3 and xxhash, hashlib and zlib.
"""

import hashlib
import json
import struct
import unicodedata
import uuid
import zlib

import blake3
import torch
import xxhash
from gguf import GGUFReader
from safetensors import deserialize

from . import common, torch_expect


def digest(dtype, shape, data, more=""):
    return blake3.blake3(data + f"\n{dtype} {list(shape)}{more}".encode()).hexdigest()


def of_safetensors(path):
    for name, tensor in deserialize(path.read_bytes()):
        yield name, tensor["dtype"], tensor["shape"], bytes(tensor["data"]), ""


def of_torch(path, root=None):
    tensors = torch.load(path, weights_only=True)
    for name, tensor in (tensors[root] if root else tensors).items():
        more = ""
        if tensor.is_quantized and tensor.qscheme() == torch.per_tensor_affine:
            bits = struct.pack(">d", tensor.q_scale()).hex()
            more = f" scale {bits} zero_point {tensor.q_zero_point()}"
        elif tensor.is_quantized:
            parts = [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()]
            entries = [torch_expect.tensor_entry("", part) for part in parts]
            of = [digest(e["dtype"], e["shape"], torch_expect.tensor_bytes(p)) for e, p in zip(entries, parts)]
            more = f" axis {tensor.q_per_channel_axis()} scales {of[0]} zero_points {of[1]}"
        entry = torch_expect.tensor_entry(name, tensor)
        yield name, entry["dtype"], entry["shape"], torch_expect.tensor_bytes(tensor), more


def of_gguf(path):
    for tensor in GGUFReader(path).tensors:
        name = tensor.tensor_type.name
        yield tensor.name, name, reversed([int(n) for n in tensor.shape]), tensor.data.tobytes(), ""


def line(name, digest):
    """As the manifest has it: what a terminal acts upon is escaped, behind a mark."""
    short = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    is_hidden = lambda c: unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")
    escaped = "".join(short.get(c, f"\\u{{{ord(c):x}}}" if is_hidden(c) else c) for c in name)
    return ("\\" if escaped != name else "") + f"{digest}  {escaped}\n"


def summary(tensors):
    digests = {name: digest(dtype, shape, data, more) for name, dtype, shape, data, more in tensors}
    text = "".join(line(name, digests[name]) for name in sorted(digests, key=str.encode))
    return {"root": blake3.blake3(text.encode()).hexdigest(), "tensors": digests}


def gguf_hash(tensors):
    tensors = [(name, data) for name, _, _, data, _ in tensors]
    everything = b"".join(data for _, data in tensors)
    hashes = {
        "xxh64": lambda data: xxhash.xxh64_hexdigest(data),
        "xxh3": lambda data: xxhash.xxh3_64_hexdigest(data),
        "sha1": lambda data: hashlib.sha1(data).hexdigest(),
        "sha256": lambda data: hashlib.sha256(data).hexdigest(),
    }
    found = {kind: {name: of(data) for name, data in tensors} | {"": of(everything)} for kind, of in hashes.items()}
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "en.wikipedia.org/wiki/Llama.cpp")
    sha1 = hashlib.sha1(namespace.bytes + everything).digest()
    found["uuid"] = {"": str(uuid.UUID(bytes=sha1[:16], version=5))}
    return found


def of_file(path):
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "autov1": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
        "autov2": hashlib.sha256(data).hexdigest()[:10],
        "autov3": hashlib.sha256(data[8 + header:]).hexdigest()[:12],
        "blake3": blake3.blake3(data).hexdigest(),
        "crc32": f"{zlib.crc32(data):08x}",
    }


def make():
    root = common.ROOT
    types = root / "gguf" / "types.gguf"
    expected = {
        "content": {
            "safetensors/torch.safetensors": summary(of_safetensors(root / "safetensors/torch.safetensors")),
            "safetensors/dtypes.safetensors": summary(of_safetensors(root / "safetensors/dtypes.safetensors")),
            "safetensors/odd-names.safetensors": summary(of_safetensors(root / "safetensors/odd-names.safetensors")),
            "pytorch/training.pt": summary(of_torch(root / "pytorch/training.pt", "state_dict")),
            "pytorch/strides.pt": summary(of_torch(root / "pytorch/strides.pt")),
            "pytorch/quantized.pt": summary(of_torch(root / "pytorch/quantized.pt")),
            "gguf/types.gguf": summary(of_gguf(types)),
        },
        "gguf_hash": {"gguf/types.gguf": gguf_hash(list(of_gguf(types)))},
        "files": {"safetensors/torch.safetensors": of_file(root / "safetensors/torch.safetensors")},
    }
    path = common.folder("hash") / "expected.json"
    path.write_text(json.dumps(expected, indent=1) + "\n")
