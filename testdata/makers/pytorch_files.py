"""PyTorch 2: torch.save in its zip and legacy forms."""

import collections
import pickle
import random
import tempfile

import numpy
import torch

from . import torch_values as values
from .common import entry, expect, folder
from .hide_paths import hide_paths
from .torch_expect import entries_of, expect_value, library, load, save, tensor_entry

NEW_DTYPES = values.OLD_DTYPES + (
    "uint16 uint32 uint64 complex32 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz "
    "float8_e8m0fnu float4_e2m1fn_x2"
).split()


class Scaled(torch.Tensor):
    """A wrapper around two tensors, as torchao and bitsandbytes have them."""

    @staticmethod
    def __new__(cls, data, scale):
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, dtype=torch.float32)

    def __init__(self, data, scale):
        self._data = data
        self._scale = scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return args[0]
        raise NotImplementedError(func)


class Tagged(torch.Tensor):
    """A subclass that is an ordinary tensor with attributes."""


def make():
    out = folder("pytorch")
    hide_paths()
    torch.manual_seed(15)
    save(out / "state_dict.pt", values.state_dict())
    save(out / "training.pt", values.training(), facts={"values": {"epoch": 3, "arch": "mlp", "loss": 0.25, "best": None}})
    save(out / "lightning.ckpt", values.lightning(), facts={"values": {"global_step": 100}})
    save(out / "values.pt", values.plain_values())
    save(out / "strides.pt", values.strides())
    save(out / "shared.pt", values.shared())
    save(out / "quantized.pt", values.quantized(with_four_bits=False))
    save(out / "sparse.pt", values.sparse())
    save(out / "bits.pt", values.bits())
    save(out / "module.pt", values.Detector())
    save(out / "module-in-dict.pt", {"epoch": -1, "model": values.Detector().half(), "ema": None})
    save(out / "data-parallel.pth.tar", {"module." + k: v for k, v in values.state_dict().items()})
    save(out / "bare-tensor.pt", torch.arange(6.0).reshape(2, 3))
    save(out / "list.pt", [torch.arange(2), "text", 5, (torch.arange(3.0), None)])
    save(out / "no-tensors.pt", {"epoch": 1, "names": ["a"]}, facts={"values": {"epoch": 1}})
    save(out / "nothing.pt", None)
    save(out / "keys.pt", {1: torch.ones(1), (1, "a"): torch.ones(2), None: torch.ones(3), False: torch.ones(4),
                           2.5: torch.ones(5), "": torch.ones(6), "a.b": torch.ones(7), b"x": torch.ones(8)})
    save(out / "dtypes.pt", values.dtypes(NEW_DTYPES))
    save(out / "typed.pt", torch.nn.Parameter(torch.ones(2)))

    for protocol in [2, 3, 4, 5]:
        save(out / f"protocol-{protocol}.pt", values.training(), pickle_protocol=protocol)
    # More than 1000 items, so that they come in several batches; some names over 255 bytes.
    flat = torch.arange(1010)
    many = collections.OrderedDict((f"{i}." + "n" * (300 if i % 100 == 0 else 1), flat[i : i + 1]) for i in range(1010))
    save(out / "batches.pt", many)

    make_flat(out)
    make_parameters(out)
    make_four_bits(out)
    make_nested(out)
    make_subclasses(out)
    make_legacy(out)
    make_trainer(out)
    meta = {"w": torch.empty(2, 3, device="meta"), "real": torch.ones(2)}
    save(out / "meta.pt", meta)


def save_nameless(path, value, **facts):
    """As into a buffer: the folder inside is then called `archive`, whatever the file."""
    with open(path, "wb") as file:
        torch.save(value, file)
    expect_value(path, load(path), variant="zip", **facts)


def make_flat(out):
    """Flat dicts of contiguous tensors on the CPU: what this project writes byte for byte."""
    generator = torch.Generator().manual_seed(3)
    embedding = torch.randn(5, 3, generator=generator)
    flat = {"embedding.weight": embedding, "steps": torch.tensor(70000), "empty": torch.zeros(0, 3),
            "head.weight": embedding.detach()}
    for index, name in enumerate(NEW_DTYPES):
        raw = torch.randint(0, 2, (3, 48), dtype=torch.uint8, generator=generator)
        flat[f"layers.{index}.{name}"] = raw.view(getattr(torch, name)) if name != "bool" else raw.bool()
    flat["long"] = torch.arange(33000, dtype=torch.int16).reshape(2, 1, 16500)
    save_nameless(out / "flat.pt", flat)
    save_nameless(out / "flat-one.pt", {"single": torch.ones(3)})
    save_nameless(out / "flat-none.pt", {})
    make_flat_quantized(out)


def make_flat_quantized(out):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(18))
    scales, points = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0, -1, 2, 3])
    float_points = torch.tensor([0.5, 1.5, 2.5, 3.5])
    columns = torch.full((6,), 0.05).double()
    by_channel = torch.quantize_per_channel(x, scales, points, 0, torch.qint8)
    save_nameless(out / "flat-quantized.pt", {
        "qint8": torch.quantize_per_tensor(x, 0.05, -3, torch.qint8),
        "plain": torch.arange(3.0),
        "channels": by_channel,
        "channels.again": by_channel.detach(),
        "quint8": torch.quantize_per_tensor(x, 0.1, 128, torch.quint8),
        "columns": torch.quantize_per_channel(x, columns, torch.full((6,), 100), 1, torch.quint8),
        "qint32": torch.quantize_per_tensor(x, 1e-3, -70000, torch.qint32),
        "float_points": torch.quantize_per_channel(x, scales.float(), float_points.clone(), 0, torch.quint8),
        "quint4x2": torch.quantize_per_channel(x, scales.float(), float_points.clone(), 0, torch.quint4x2),
        "quint4x2.single": torch.quantize_per_tensor(x, 0.5, 8, torch.quint4x2),
        "quint2x4": torch.quantize_per_channel(x[:, :4].contiguous(), scales.float(), float_points.clone(), 0, torch.quint2x4),
        "empty": torch.quantize_per_tensor(torch.zeros(0, 3), 0.1, 0, torch.qint8),
        "scalar": torch.quantize_per_tensor(torch.tensor(1.5), 0.5, 0, torch.qint8),
    })


def make_parameters(out):
    with_state = torch.nn.Parameter(torch.ones(2, 2))
    with_state.note = "kept"
    with_state.sharded = False
    save(out / "parameters.pt", {
        "parameter": torch.nn.Parameter(torch.arange(4.0)),
        "frozen": torch.nn.Parameter(torch.arange(3), requires_grad=False),
        "with_state": with_state,
        "buffer": torch.nn.Buffer(torch.arange(2.0)),
    })
    lazy = torch.nn.LazyLinear(3)
    torch.save(lazy.state_dict(), out / "uninitialized.pt")
    # Saved before they had a shape: an empty tensor of the default dtype stands for each.
    tensors = [entry(name, "F32", [0], None) for name in lazy.state_dict()]
    expect(out / "uninitialized.pt", tensors, format="pytorch", variant="zip", library=library())


def make_four_bits(out):
    torch.manual_seed(16)
    two_bits = torch.quantize_per_channel(
        torch.randn(4, 8), torch.full((4,), 0.5), torch.full((4,), 1.5), 0, torch.quint2x4)
    value = {"packed": values.quantized()["quint4x2"], "two_bits": two_bits, "odd": torch.ones(1)}
    path = out / "quantized-4bit.pt"
    save(path, value)


def make_nested(out):
    nested = torch.nested.nested_tensor([torch.arange(6.0).reshape(2, 3), torch.arange(3.0).reshape(1, 3)])
    path = out / "nested.pt"
    torch.save({"nested": nested, "w": torch.ones(1)}, path)
    expect_value(path, load(path), variant="zip")

    jagged = torch.nested.nested_tensor([torch.arange(2.0), torch.arange(3.0)], layout=torch.jagged)
    path = out / "jagged.pt"
    torch.save({"jagged": jagged, "w": torch.ones(1)}, path)
    found = load(path)
    # Listed as what it is made of: the attributes that are tensors, among others.
    tensors = [
        tensor_entry("jagged._values", found["jagged"]._values),
        tensor_entry("jagged._offsets", found["jagged"]._offsets),
        tensor_entry("w", found["w"]),
    ]
    expect(path, tensors, format="pytorch", variant="zip", library=library(), subset=True)


def make_subclasses(out):
    wrapped = Scaled(torch.arange(4, dtype=torch.int8), torch.tensor([0.5]))
    path = out / "wrapper-subclass.pt"
    torch.save({"q": wrapped, "w": torch.ones(1)}, path)
    found = load(path)["q"]
    tensors = [
        tensor_entry("q._data", found._data), tensor_entry("q._scale", found._scale),
        tensor_entry("w", torch.ones(1)),
    ]
    expect(path, tensors, format="pytorch", variant="zip", library=library())

    make_distributed(out)
    tagged = torch.arange(3.0).as_subclass(Tagged)
    tagged.tag = "x"
    path = out / "subclass.pt"
    torch.save({"tagged": tagged}, path)
    tensors = [tensor_entry("tagged", torch.arange(3.0))]
    expect(path, tensors, format="pytorch", variant="zip", library=library())


def make_distributed(out):
    """The part of a tensor that one process of one has."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/init", rank=0, world_size=1)
        value = torch.arange(6.0).reshape(2, 3)
        tensor = distribute_tensor(value, init_device_mesh("cpu", (1,)), [Shard(0)])
        path = out / "distributed.pt"
        torch.save({"weight": tensor}, path)
        torch.distributed.destroy_process_group()
    tensors = [tensor_entry("weight._local_tensor", value)]
    expect(path, tensors, format="pytorch", variant="zip", root=None, library=library(), subset=True)


def make_legacy(out):
    old = {"variant": "legacy", "_use_new_zipfile_serialization": False}
    save(out / "legacy-state_dict.pt", values.state_dict(), **old)
    save(out / "legacy-training.pt", values.training(), **old)
    save(out / "legacy-dtypes.pt", values.dtypes(values.OLD_DTYPES), **old)
    # torch writes untyped storages here but cannot read them back: expect what was saved.
    new = values.dtypes(NEW_DTYPES[len(values.OLD_DTYPES):])
    torch.save(new, out / "legacy-new-dtypes.pt", _use_new_zipfile_serialization=False)
    expect_value(out / "legacy-new-dtypes.pt", new, variant="legacy")
    save(out / "legacy-strides.pt", values.strides(), **old)
    save(out / "legacy-shared.pt", values.shared(), **old)
    save(out / "legacy-quantized.pt", values.quantized(with_four_bits=False), **old)
    save(out / "legacy-sparse.pt", values.sparse(), **old)
    save(out / "legacy-module.pt", values.Detector(), **old)
    save(out / "legacy-protocol-4.pt", values.training(), pickle_protocol=4, **old)
    save(out / "legacy-bare.pt", torch.arange(6.0), **old)


def make_trainer(out):
    """The files that the Hugging Face trainer leaves beside the model."""
    save(out / "training_args.bin", values.Arguments(), facts={"values": {"learning_rate": 5e-5}})
    state = values.training()
    save(out / "optimizer.pt", state["optimizer"])
    save(out / "scheduler.pt", state["scheduler"])
    random.seed(14)
    numpy.random.seed(14)
    torch.manual_seed(14)
    state = {"python": random.getstate(), "numpy": numpy.random.get_state(), "cpu": torch.random.get_rng_state()}
    save(out / "rng_state.pth", state)
