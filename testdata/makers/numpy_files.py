"""NumPy: npy of every version, dtype and order; npz stored and deflated."""

import io
import warnings

import numpy

from . import assemble as a
from .common import expect, folder, numpy_entry

DTYPES = "? u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8 c16".split()


def version():
    return f"numpy {numpy.__version__}"


def save(path, array, npy_version=None, **facts):
    with open(path, "wb") as file:
        numpy.lib.format.write_array(file, array, version=npy_version)
    plain = numpy.load(path, allow_pickle=True)
    tensors = [numpy_entry("tensor", plain)] if plain.dtype.kind in "biufc?" else []
    expect(path, tensors, format="numpy", root=None, library=version(), **facts)


def make():
    out = folder("numpy")
    generator = numpy.random.default_rng(2)

    def random(dtype, *shape):
        dtype = numpy.dtype(dtype)
        size = int(numpy.prod(shape)) * dtype.itemsize
        if dtype.kind == "b":
            return generator.integers(0, 2, shape).astype(dtype)
        return numpy.frombuffer(generator.bytes(size), dtype=dtype).reshape(shape)

    for code in DTYPES:
        name = numpy.dtype(code).name
        save(out / f"{name}.npy", random(code, 2, 3), variant="npy")
        if numpy.dtype(code).itemsize > 1:
            save(out / f"{name}-big-endian.npy", random(">" + code, 3, 2))
    save(out / "fortran.npy", numpy.asfortranarray(random("f4", 4, 3, 2)))
    save(out / "fortran-big-endian.npy", numpy.asfortranarray(random(">i2", 4, 3)))
    save(out / "fortran-vector.npy", numpy.asfortranarray(random("f4", 5)))
    save(out / "scalar.npy", numpy.array(2.5))
    save(out / "empty.npy", numpy.zeros((0,), "f4"))
    save(out / "empty-dimensions.npy", numpy.zeros((3, 0, 5), "i8"))
    save(out / "version-2.npy", random("f4", 2, 2), (2, 0))
    save(out / "version-3.npy", random("f4", 2, 2), (3, 0))
    save(out / "many-dimensions.npy", random("u1", *([1] * 31 + [2])))

    structured = numpy.array([(1, 2.5, "é")], dtype=[("größe", "<i4"), ("b", "<f8", (2,)), ("s", "U3")])
    save(out / "structured.npy", structured)
    save(out / "strings.npy", numpy.array(["one", "zwei", "três"]))
    save(out / "bytes.npy", numpy.array([b"ab", b"c"]))
    save(out / "void.npy", numpy.array([b"abc"], dtype="V3"))
    save(out / "datetime.npy", numpy.array(["2024-01-02", "NaT"], dtype="M8[D]"))
    save(out / "timedelta.npy", numpy.array([1, 2], dtype="m8[s]"))
    objects = numpy.empty((2, 2), dtype=object)
    objects[:] = [[1, "two"], [None, {"three": 3.5}]]
    save(out / "objects.npy", objects)
    save(out / "object-scalar.npy", numpy.array({"a": 1, "b": [1.5, None]}, dtype=object))

    # Arrays of numbers inside pickled objects are tensors, named by their paths.
    drawn = generator
    generator = numpy.random.default_rng(5)
    nested = {
        "weights": random("f4", 2, 3),
        "epoch": numpy.int16(3),
        "rate": numpy.float64(0.5),
        "layers": [random(">i2", 3), numpy.asfortranarray(random("f8", 2, 2))],
    }
    numpy.save(out / "object-arrays.npy", numpy.array(nested, dtype=object))
    tensors = [
        numpy_entry("weights", nested["weights"]),
        numpy_entry("layers.0", nested["layers"][0]),
        numpy_entry("layers.1", nested["layers"][1]),
    ]
    expect(out / "object-arrays.npy", tensors, format="numpy", root=None, library=version())
    pair = numpy.array([{"w": random("f4", 2)}, {"w": random("u1", 4)}], dtype=object)
    numpy.savez_compressed(out / "object-arrays.npz", pair=pair)
    tensors = [numpy_entry(f"pair.{i}.w", pair[i]["w"]) for i in range(2)]
    expect(out / "object-arrays.npz", tensors, format="numpy", variant="npz", root=None, library=version())
    generator = drawn

    # A header as NumPy of 2008 padded it (to 16) and with a Python 2 long in the shape.
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }"
    header += b" " * (-(10 + len(header) + 1) % 16) + b"\n"
    data = random("f4", 2, 3)
    path = out / "python2-long-shape.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data.tobytes())
    with warnings.catch_warnings(action="ignore"):
        expect(path, [numpy_entry("tensor", numpy.load(path))], format="numpy", library=version())

    # The module that NumPy before 1.0 named for the same function.
    header = b"{'descr': '|O8', 'fortran_order': False, 'shape': (2,), }"
    header += b" " * (-(10 + len(header) + 1) % 16) + b"\n"
    made = a.reduce(a.global_("numpy.core._internal", "_reconstruct"), a.global_("numpy", "ndarray"), (0,), a.py2("b"))
    kind = a.build(a.reduce(a.global_("numpy", "dtype"), a.py2("O8"), 0, 1), (3, a.py2("|"), None, None, None, -1, -1, 63))
    path = out / "python2-objects.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
                     + a.pickle_of(a.build(made, (1, (2,), kind, False, [None, a.py2("x")]))))
    expect(path, [], format="numpy", root=None, library="by hand")

    arrays = {
        "weight": random("f4", 8, 4),
        "fortran": numpy.asfortranarray(random("f8", 3, 5)),
        "big": random(">i4", 3),
        "group/bias": random("f2", 4),
        "scalar": numpy.array(7),
        "empty": numpy.zeros((0, 2), "u1"),
        "label": numpy.array("text"),
    }
    for name, write in [("stored.npz", numpy.savez), ("deflated.npz", numpy.savez_compressed)]:
        path = out / name
        write(path, **arrays)
        with numpy.load(path) as read:
            tensors = [numpy_entry(key, read[key]) for key in read.files if read[key].dtype.kind in "biufc?"]
        expect(path, tensors, format="numpy", variant="npz", root=None, library=version())

    path = out / "positional.npz"
    numpy.savez(path, random("f4", 2), random("f4", 3))
    with numpy.load(path) as read:
        expect(path, [numpy_entry(key, read[key]) for key in read.files], format="numpy", variant="npz",
               root=None, library=version())

    # Objects inside an archive: a value beside a tensor.
    path = out / "objects.npz"
    numpy.savez(path, names=numpy.array(["a", None], dtype=object), weight=random("f4", 2))
    with numpy.load(path, allow_pickle=True) as read:
        expect(path, [numpy_entry("weight", read["weight"])], format="numpy", variant="npz",
               root=None, library=version())


    # Arrays inside objects are tensors all the same.
    path = out / "arrays-in-objects.npz"
    numpy.savez(path, output=numpy.array({"note": random("f4", 2, 3), "deep": {"onset": random("i8", 2)}}, dtype=object),
                plain=random("f8", 2))
    with numpy.load(path, allow_pickle=True) as read:
        output = read["output"].item()
        tensors = [numpy_entry("output.note", output["note"]), numpy_entry("output.deep.onset", output["deep"]["onset"]),
                   numpy_entry("plain", read["plain"])]
        expect(path, tensors, format="numpy", variant="npz", root=None, library=version())
    several = numpy.empty(2, dtype=object)
    several[:] = [random("f4", 3), None]
    path = out / "arrays-in-objects.npy"
    numpy.save(path, several)
    expect(path, [numpy_entry("0", numpy.load(path, allow_pickle=True)[0])], format="numpy", root=None,
           library=version())


def npy_bytes(array):
    file = io.BytesIO()
    numpy.lib.format.write_array(file, array)
    return file.getvalue()
