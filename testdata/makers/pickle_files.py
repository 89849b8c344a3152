"""Plain pickles: NumPy arrays as Detectron2's model zoo has them, and tensors pickled without torch.save."""

import io
import pickle

import numpy
import torch

from . import assemble as a
from . import torch_values as values
from .common import expect, folder
from .torch_expect import expect_value, tensor_entry


def save(path, value, protocol, **facts):
    path.write_bytes(pickle.dumps(value, protocol))
    read = pickle.loads(path.read_bytes())
    facts = {"library": f"numpy {numpy.__version__}", **facts}
    expect_value(path, read, variant="pickle", **facts)


class OldNames(pickle._Pickler):
    """Names modules as NumPy 1 did."""

    def save_global(self, obj, name=None):
        out, real = io.BytesIO(), self.write
        self.write = out.write
        super().save_global(obj, name)
        self.write = real
        self.write(out.getvalue().replace(b"numpy._core.", b"numpy.core."))

    dispatch = dict(pickle._Pickler.dispatch)


for kind, function in list(OldNames.dispatch.items()):
    if function is pickle._Pickler.save_global:
        OldNames.dispatch[kind] = OldNames.save_global


def zoo(generator):
    """What `Checkpointer.load` of Detectron2 finds in `model_final_*.pkl`."""
    return {
        "model": {
            "backbone.stem.conv1.weight": generator.standard_normal((4, 3, 3, 3)).astype("f4"),
            "backbone.stem.conv1.norm.num_batches_tracked": numpy.array(7),
            "anchors": generator.standard_normal((2, 4)).astype("f4"),
        },
        "__author__": "Caffe2",
        "matching_heuristics": True,
    }


def make():
    out = folder("pytorch")
    generator = numpy.random.default_rng(31)
    for protocol in range(6):
        save(out / f"model_zoo-{protocol}.pkl", zoo(generator), protocol, values={"__author__": "Caffe2"})

    old = io.BytesIO()
    OldNames(old, 2).dump(zoo(generator))
    assert b"numpy.core.multiarray" in old.getvalue()
    path = out / "model_zoo-numpy1.pkl"
    path.write_bytes(old.getvalue())
    expect_value(path, pickle.loads(path.read_bytes()), variant="pickle", library=f"numpy {numpy.__version__}")

    arrays = {
        numpy.dtype(code).name: generator.integers(0, 2, (2, 3)).astype(code)
        for code in "? u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16".split()
    }
    arrays |= {
        "fortran": numpy.asfortranarray(generator.standard_normal((3, 4))),
        "permuted": numpy.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
        "big_endian": generator.standard_normal(3).astype(">f4"),
        "big_fortran": numpy.asfortranarray(numpy.arange(6, dtype=">i2").reshape(2, 3)),
        "zero_dimensional": numpy.array(2.5),
        "empty": numpy.zeros((0, 3), "f4"),
        "sliced": numpy.arange(10.0)[::2],
        "scalar": numpy.float64(1.5),
        "scalar_int": numpy.int64(-3),
        "strings": numpy.array(["a", "bc"]),
        "dates": numpy.array(["2024-01-02"], dtype="M8[D]"),
        "structured": numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "large": numpy.arange(20000, dtype="i4"),
    }
    for protocol in [2, 4, 5]:
        save(out / f"arrays-{protocol}.pkl", arrays, protocol)
    save(out / "bare-array.pkl", numpy.arange(4.0), 4)

    # `pickle.dumps` of a tensor holds a whole legacy stream in a byte string.
    tensors = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float64), "note": "x"}
    for protocol in [2, 4]:
        path = out / f"load_from_bytes-{protocol}.pkl"
        path.write_bytes(pickle.dumps(tensors, protocol))
        expect_value(path, pickle.loads(path.read_bytes()), variant="pickle")

    # A module pickled by pickle itself.
    torch.manual_seed(32)
    path = out / "module.pkl"
    path.write_bytes(pickle.dumps(values.Detector(), 4))
    expect_value(path, pickle.loads(path.read_bytes()), variant="pickle")

    # A list that holds itself: cut where it closes.
    cycle = {"w": numpy.arange(2.0)}
    cycle["self"] = cycle
    path = out / "cycle.pkl"
    path.write_bytes(pickle.dumps(cycle, 4))
    expect(path, [tensor_entry("w", torch.arange(2.0, dtype=torch.float64))], format="pytorch", variant="pickle",
           library="by hand")

    # Odd, but readable. CPython would ask for 64 GiB for this memo.
    path = out / "memo-large-index.pkl"
    path.write_bytes(a.pickle_of(a.Raw(a.value({"epoch": 1}) + b"r\xff\xff\xff\xff")))
    expect(path, [], format="pytorch", variant="pickle", library="by hand", values={"epoch": 1})
    path = out / "deep.pkl"
    path.write_bytes(b"\x80\2" + b"]" * 20_000 + b"a" * 19_999 + b".")
    expect(path, [], format="pytorch", variant="pickle", library="by hand")

    # Would run a program in whoever trusts it; here it is a value beside a tensor.
    attack = a.reduce(a.global_("os", "system"), "true")
    path = out / "attack.pkl"
    array = numpy.arange(3.0)
    body = pickle.dumps({"w": array}, 2)
    path.write_bytes(body[:-1] + a.value("x") + attack + b"s.")
    expect(path, [tensor_entry("w", torch.arange(3.0, dtype=torch.float64))], format="pytorch", variant="pickle",
           library="by hand", danger=True)
