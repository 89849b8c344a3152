"""Archives that torch reads but does not write today: rewritten zips, old streams, the tar of 0.1.x, gzip."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy
import torch

from . import assemble as a
from . import torch_values as values
from .common import entry, expect, folder
from .torch_expect import entries_of, expect_value, library, load, root_of


def members(path):
    with zipfile.ZipFile(path) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def write_zip(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            archive.writestr(info, data)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file


def make():
    out = folder("pytorch")
    torch.manual_seed(61)
    original = members(saved(values.training()))

    def rewritten(name, entries, **facts):
        path = out / name
        write_zip(path, entries, facts.pop("method", zipfile.ZIP_STORED))
        expect_value(path, load(path), variant="zip", **facts)

    rewritten("deflated.pt", original, method=zipfile.ZIP_DEFLATED)
    rewritten("other-root.pt", [("some root é/" + n.split("/", 1)[1], d) for n, d in original])
    rewritten("no-byteorder.pt", [(n, d) for n, d in original if not n.endswith("/byteorder")])
    rewritten("version-in-data.pt", [(n.replace("/version", "/.data/version"), d) for n, d in original])
    rewritten("storages-first.pt", sorted(original, key=lambda item: "data/" not in item[0]))

    # The strided views of deflated storages, too.
    rewritten("deflated-strides.pt", members(saved(values.strides())), method=zipfile.ZIP_DEFLATED)

    path = out / "wrong-crc.pt"
    data = bytearray(saved(values.state_dict()).getvalue())
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 16 : at + 20] = b"\xde\xad\xbe\xef"
        at = data.find(b"PK\1\2", at + 4)
    path.write_bytes(data)
    expect_value(path, load(path), variant="zip")

    # A directory of which every size stands in zip64 fields.
    path = out / "zip64.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in original:
            with archive.open(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
                member.write(data)
    expect_value(path, load(path), variant="zip")

    make_rebuilt(out)
    make_big_endian(out)
    make_old_streams(out)
    make_tar(out)
    make_wrapped()


def make_rebuilt(out):
    """Functions that tensors of other devices and of old versions are rebuilt by."""
    stored = a.storage("0")
    tensor = a.tensor_v2(stored, 0, (2, 3), (3, 1))
    utils, dtype = "torch._utils", a.global_("torch", "float32")
    array = a.build(
        a.reduce(a.global_("numpy.core.multiarray", "_reconstruct"), a.global_("numpy", "ndarray"), (0,), a.py2("b")),
        (1, (2, 2), a.build(a.reduce(a.global_("numpy", "dtype"), "f4", 0, 1), (3, "<", None, None, None, -1, -1, 0)),
         False, a.reduce(a.global_("_codecs", "encode"), floats(*range(4)).decode("latin-1"), "latin1")))
    main = {
        "first_version": a.tensor(stored, 1, (2, 2), (2, 1)),
        "from_cpu": a.reduce(a.global_(utils, "_rebuild_device_tensor_from_cpu_tensor"), tensor, dtype, "cpu", False),
        "from_numpy": a.reduce(a.global_(utils, "_rebuild_device_tensor_from_numpy"), array, dtype, "cpu", False),
        "from_type": a.reduce(a.global_("torch._tensor", "_rebuild_from_type"), a.global_(utils, "_rebuild_tensor_v2"),
                              a.global_("torch", "Tensor"), (stored, 0, (6,), (1,), False, a.ordered_dict()), {}),
        "parameter": a.reduce(a.global_(utils, "_rebuild_parameter"), tensor, True, a.ordered_dict()),
    }
    path = out / "rebuild-functions.pt"
    write_zip(path, [("m/data.pkl", a.pickle_of(main)), ("m/byteorder", b"little"), ("m/data/0", floats(*range(6))),
                     ("m/version", b"3\n")])
    # A tensor that came from another device has a storage of its own in torch; here it is the one in the file.
    tensors = entries_of(load(path))
    for tensor in tensors:
        tensor["tied_to"] = {"parameter": "from_cpu"}.get(tensor["name"])
    expect(path, tensors, format="pytorch", variant="zip", root=None, library=library())


def swap(data, width):
    return b"".join(data[i : i + width][::-1] for i in range(0, len(data), width))


def make_big_endian(out):
    """The same archive as a big-endian machine would have written it."""
    widths = {"bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "bfloat16": 2,
              "float32": 4, "float64": 8}
    value = values.dtypes(widths)
    entries = []
    for name, data in members(saved(value)):
        if "/data/" in name:
            data = swap(data, list(widths.values())[int(name.rsplit("/", 1)[1])])
        elif name.endswith("/byteorder"):
            data = b"big"
        entries.append((name, data))
    path = out / "big-endian.pt"
    write_zip(path, entries)
    expect_value(path, load(path), variant="zip")
    for name, tensor in load(path).items():
        assert tensor.view(torch.uint8).equal(value[name].view(torch.uint8)), name


def floats(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


def make_old_streams(out):
    """Streams as torch 0.1.10 to 0.4 wrote them under Python 2."""
    def expected(path, tensors, **facts):
        expect(path, tensors, format="pytorch", variant="legacy", root=None, library="by hand", **facts)

    # torch 0.4, Python 2.7: byte strings, items as the argument of OrderedDict.
    state = a.ordered_dict([
        (a.py2("fc.weight"), a.tensor_v2(a.storage(4355, view=(None,)), 0, (2, 3), (3, 1))),
        (a.py2("fc.bias"), a.tensor_v2(a.storage(4411, "DoubleStorage", 2, view=(None,)), 0, (2,), (1,))),
    ])
    state = a.build(state, {a.py2("_metadata"): a.ordered_dict([(a.py2(""), {a.py2("version"): 1})])})
    path = out / "python2.pt"
    weight, bias = floats(*range(6)), struct.pack("<2d", 0.5, -1.5)
    path.write_bytes(a.legacy(state, {4355: (6, weight), 4411: (2, bias)}))
    found = load(path)
    assert found["fc.weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["fc.bias"].tolist() == [0.5, -1.5]
    expect_value(path, found, variant="legacy")

    # torch 0.2: views of one storage, said in the persistent id.
    whole = a.storage(100, numel=6, view=(None,))
    part = a.storage(100, numel=6, view=((a.py2("200"), 2, 3),))
    path = out / "storage-views.pt"
    main = {a.py2("all"): a.tensor(whole, 0, (6,), (1,)), a.py2("part"): a.tensor(part, 1, (2,), (1,))}
    path.write_bytes(a.legacy(a.value(main), {100: (6, weight)}))
    found = load(path)
    assert found["part"].tolist() == [3, 4]
    expect_value(path, found, variant="legacy")

    # torch 0.1.10: the tensor is an object of a class, its state the arguments.
    def old_tensor(kind, state):
        return a.build(a.Raw(a.global_("torch", kind) + b")\x81"), state)

    main = {a.py2("w"): old_tensor("FloatTensor", (a.storage(7, view=(None,)), 1, (2, 2), (2, 1)))}
    path = out / "tensor-objects.pt"
    path.write_bytes(a.legacy(a.value(main), {7: (6, weight)}))
    expected(path, [entry("w", "F32", [2, 2], floats(1, 2, 3, 4))])

    # torch 0.3: `Parameter` made from a tensor, then given its state.
    data = a.tensor(a.storage(7, view=(None,)), 0, (2, 3), (3, 1))
    parameter = a.build(a.Raw(a.global_("torch.nn.parameter", "Parameter") + a.value((data, True)) + b"\x81"),
                        (data, a.Raw(b"N"), a.ordered_dict(), True, False))
    path = out / "parameter-objects.pt"
    path.write_bytes(a.legacy(a.value({a.py2("p"): parameter}), {7: (6, weight)}))
    expected(path, [entry("p", "F32", [2, 3], weight)])

    # A whole module with its source, as torch wrote it until 1.x.
    source = a.persistent((a.py2("module"), a.global_("models.net", "Net"), a.py2("/home/me/net.py"), a.py2("class Net: pass")))
    module = a.build(a.Raw(source + b")\x81"), {
        a.py2("_parameters"): a.ordered_dict([(a.py2("w"), data)]),
        a.py2("_buffers"): a.ordered_dict(), a.py2("_modules"): a.ordered_dict(), a.py2("training"): False,
    })
    path = out / "module-with-source.pt"
    path.write_bytes(a.legacy(module, {7: (6, weight)}))
    expected(path, [entry("w", "F32", [2, 3], weight)])

    # Bytes after the last storage are ignored by torch.
    path = out / "legacy-trailing-bytes.pt"
    main = {a.py2("w"): a.tensor_v2(a.storage(7, view=(None,)), 0, (6,), (1,))}
    path.write_bytes(a.legacy(a.value(main), {7: (6, weight)}) + b"trailing")
    expect_value(path, load(path), variant="legacy")


def make_tar(out):
    """torch 0.1.x: a tar of `storages`, `tensors` and `pickle`."""
    weight = floats(*range(6))
    storages = a.pickle_of(1) + a.pickle_of((11, a.py2("cpu"), a.global_("torch", "FloatStorage")))
    storages += struct.pack("<q", 6) + weight
    storages += a.pickle_of([(12, 11, 2, 3)])

    def tensor(key, storage, size, stride, offset):
        out = a.pickle_of((key, storage, a.global_("torch", "FloatTensor")))
        out += struct.pack("<ii", len(size), 0) + struct.pack(f"<{len(size)}q", *size)
        return out + struct.pack(f"<{len(stride)}q", *stride) + struct.pack("<q", offset)

    tensors = a.pickle_of(3) + tensor(21, 11, (2, 3), (3, 1), 0) + tensor(22, 12, (2,), (1,), 1)
    tensors += tensor(23, 11, (3, 2), (1, 3), 0)
    main = a.ordered_dict([(a.py2(name), a.persistent(key)) for name, key in [("a.weight", 21), ("a.part", 22), ("a.t", 23)]])
    path = out / "tar.pt"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        system = a.pickle_of({a.py2("protocol_version"): 1000, a.py2("little_endian"): True})
        for name, data in [("sys_info", system), ("pickle", a.pickle_of(main)), ("tensors", tensors), ("storages", storages)]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    found = load(path)
    assert found["a.part"].tolist() == [3, 4] and found["a.t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    expect_value(path, found, variant="tar")


def make_wrapped():
    """A checkpoint inside gzip, and inside a gzipped tar beside other files."""
    out = folder("wrapped")

    def gz(data):
        return gzip.compress(data, mtime=0)

    def inner(value, name, data):
        path = out / name
        path.write_bytes(data)
        expect(path, entries_of(value), format="pytorch", root=root_of(value), library=library())

    training = load(io.BytesIO(saved(values.training()).getvalue()))
    inner(training, "training.pt.gz", gz(saved(training).getvalue()))
    old = saved(training, _use_new_zipfile_serialization=False).getvalue()
    inner(training, "legacy.pt.gz", gz(old))

    def tar(entries):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, data in entries:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return file.getvalue()

    state = values.state_dict()
    entries = [("config.json", b"{}"), ("weights.th", saved(state).getvalue()), ("vocabulary/tokens.txt", b"a\nb\n")]
    inner(state, "model.tar.gz", gz(tar(entries)))
    inner(state, "model.tar", tar(entries))

    array = numpy.arange(6, dtype="<f4").reshape(2, 3)
    file = io.BytesIO()
    numpy.save(file, array)
    path = out / "array.npy.gz"
    path.write_bytes(gz(file.getvalue()))
    expect(path, [entry("tensor", "F32", [2, 3], array.tobytes())], format="numpy", library=f"numpy {numpy.__version__}")
