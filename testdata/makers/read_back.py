"""What the library that owns a format finds in a file: `python -m makers.read_back FILE`.

Prints the tensors as JSON, in this project's names. The tests run it on what they wrote, if
`CKPT_PYTHON` names a Python that has torch, numpy, safetensors and gguf.
"""

import json
import sys

from .common import entry, numpy_entry


def pytorch(path):
    import torch

    from .torch_expect import tensor_entry

    # Both ways to load: copied and mapped.
    mapped = torch.load(path, weights_only=True, mmap=True)
    loaded = torch.load(path, weights_only=True)
    assert list(mapped) == list(loaded)
    entries = [tensor_entry(name, tensor) for name, tensor in loaded.items()]
    assert entries == [tensor_entry(name, tensor) for name, tensor in mapped.items()]
    first = {}
    for made, tensor in zip(entries, loaded.values()):
        kept = first.setdefault(tensor.data_ptr() if tensor.numel() else made["name"], made["name"])
        made["tied_to"] = None if kept == made["name"] else kept
    return entries


def safetensors(path):
    from safetensors.torch import load_file

    from .torch_expect import tensor_entry

    return [tensor_entry(name, tensor) for name, tensor in load_file(path).items()]


def numpy(path):
    import numpy as np

    loaded = np.load(path)
    if path.endswith(".npy"):
        return [numpy_entry("tensor", loaded)]
    return [numpy_entry(name, loaded[name]) for name in loaded.files]


def gguf(path):
    from gguf import GGUFReader

    reader = GGUFReader(path)
    tensors = []
    for t in reader.tensors:
        shape = [int(d) for d in reversed(t.shape.tolist())]
        tensors.append(entry(t.name, t.tensor_type.name, shape, t.data.tobytes()))
    return tensors


READERS = {"pt": pytorch, "pth": pytorch, "bin": pytorch, "ckpt": pytorch, "safetensors": safetensors,
           "npy": numpy, "npz": numpy, "gguf": gguf}

if __name__ == "__main__":
    path = sys.argv[1]
    json.dump({"tensors": READERS[path.rsplit(".", 1)[-1]](path)}, sys.stdout)
