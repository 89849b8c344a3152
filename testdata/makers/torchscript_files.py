"""TorchScript archives: scripted, traced, quantised, with every kind of attribute."""

import io
import pickle
import zipfile
from typing import Dict, List, Optional

import torch

from .common import expect, folder
from .hide_paths import drop_traces, hide_paths
from .torch_expect import library, tensor_entry


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.register_buffer("table", torch.arange(4))
        self.register_buffer("cache", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.linear(x) + self.table.sum()


class Outer(torch.nn.Module):
    names: List[str]
    lookup: Dict[str, torch.Tensor]
    maybe: Optional[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.first = Inner()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
        self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
        self.half = torch.ones(2, dtype=torch.float16)
        self.names = ["a", "b"]
        self.lookup = {"x": torch.zeros(2), "y": torch.ones(1)}
        self.pair = [torch.arange(2.0), torch.arange(3.0)]
        self.maybe = None
        self.rate = 0.5
        self.steps = 7

    def forward(self, x):
        y = self.first(x) + self.lookup["x"] + self.half.float() + self.pair[0] + self.weight.sum()
        for layer in self.layers:
            y = layer(y)
        return y


class Object:
    """A script object as the pickle has it; `state` is what BUILD was given."""

    def __setstate__(self, state):
        self.state = state


def read(path):
    """The object of `data.pkl`, its tensors made by torch's own rebuild functions."""
    archive = zipfile.ZipFile(path)
    root = archive.namelist()[0].split("/")[0]

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if module.startswith("__torch__"):
                return type(name, (Object,), {})
            if module == "torch.jit._pickle":
                return lambda value, *_: value
            return super().find_class(module, name)

        def persistent_load(self, pid):
            _, kind, key, _, numel = pid
            data = bytearray(archive.read(f"{root}/data/{key}")) or bytearray(1)
            tensor = torch.frombuffer(data, dtype=torch.uint8)
            if torch.__version__.startswith("1."):
                return torch.storage.TypedStorage(wrap_storage=tensor.storage().untyped(), dtype=kind.dtype)
            storage = tensor.untyped_storage()
            return torch.storage.TypedStorage(wrap_storage=storage, dtype=kind.dtype, _internal=True)

    return Unpickler(io.BytesIO(archive.read(f"{root}/data.pkl"))).load()


def walk(value, path=None):
    def below(key):
        return str(key) if path is None else f"{path}.{key}"

    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Object) and isinstance(value.state, dict):
        yield from walk(value.state, path)
    elif isinstance(value, Object):
        yield from walk(value.state, below("_state"))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, below(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from walk(item, below(i))


def save(path, module):
    module.save(str(path))
    if isinstance(module, torch.jit.TopLevelTracedModule):
        drop_traces(path)
    tensors = list(walk(read(path)))
    # What torch itself loads must be among them.
    loaded = dict(torch.jit.load(path).state_dict())
    found = dict(tensors)
    assert all(torch.equal(value, found[name]) for name, value in loaded.items() if name in found)
    expect(path, [tensor_entry(n, t) for n, t in tensors], format="pytorch", variant="torchscript", library=library())


def make():
    out = folder("pytorch")
    hide_paths()
    torch.manual_seed(21)
    save(out / "script.pt", torch.jit.script(Outer()))
    save(out / "trace.pt", torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), torch.ones(1, 3)))
    save(out / "script-half.pt", torch.jit.script(Inner().half()))
    torch.backends.quantized.engine = "fbgemm"
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    save(out / "script-quantized.pt", torch.jit.script(quantised))
