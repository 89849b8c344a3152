"""Bad zip archives: PyTorch's and NumPy's."""

import io
import struct
import zipfile
import zlib

import numpy

from . import assemble as a
from .archive_files import floats
from .numpy_files import npy_bytes


def local(name, data, method=0, flags=0, size=None, packed=None, crc=None):
    raw = name.encode()
    size = len(data) if size is None else size
    packed = len(data) if packed is None else packed
    crc = zlib.crc32(data) if crc is None else crc
    return struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, flags, method, 0, 33, crc, packed, size, len(raw), 0) + raw + data


def central(name, offset, size, method=0, flags=0, packed=None, crc=0):
    raw = name.encode()
    packed = size if packed is None else packed
    return struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, flags, method, 0, 33, crc, packed, size, len(raw),
                       0, 0, 0, 0, 0, offset) + raw


def end(count, size, offset):
    return struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, 0)


def archive(entries):
    """`entries`: dicts of name, data and whatever the central directory shall claim instead."""
    body, directory = b"", b""
    for item in entries:
        item = dict(item)
        name, data = item.pop("name"), item.pop("data")
        method = item.get("method", 0)
        offset = item.pop("offset", len(body))
        local_name, local_size = item.pop("local_name", name), item.pop("local_size", None)
        claim = {"size": len(data), "crc": zlib.crc32(data), **item}
        # Of a deflated member both directories claim the same.
        body += local(local_name, data, method, size=claim["size"] if method and local_size is None else local_size)
        claim.setdefault("packed", len(data) if method else claim["size"])
        directory += central(name, offset, **claim)
    return body + directory + end(len(entries), len(directory), len(body))


def with_storage(main, stored=floats(*range(6)), **claims):
    """A torch archive of one storage, of 6 floats, called 0."""
    return archive([
        {"name": "m/data.pkl", "data": a.pickle_of(main)},
        {"name": "m/byteorder", "data": b"little"},
        {"name": "m/data/0", "data": stored, **claims},
        {"name": "m/version", "data": b"3\n"},
    ])


def w(stored, offset=0, size=(2, 3), stride=(3, 1)):
    return {"w": a.tensor_v2(stored, offset, size, stride)}


def make(bad):
    zero = a.storage("0")
    good = with_storage(w(zero))
    make_directories(bad, good)
    make_contents(bad)
    make_tensors(bad)

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr(zipfile.ZipInfo("word/document.xml"), "<x/>")
    bad("zip-document.docx", file.getvalue(), "a document, no checkpoint", "unsupported")

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr(zipfile.ZipInfo("a.npy"), npy_bytes(numpy.arange(3.0))[:-4])
    bad("npz-cut-member.npz", file.getvalue(), "the member's data lacks 4 bytes", member="a.npy")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr(zipfile.ZipInfo("a.npy"), b"no npy")
    bad("npz-not-npy.npz", file.getvalue(), "the member is no npy", member="a.npy")


def make_directories(bad, good):
    """The container lies."""
    zero = a.storage("0")
    cut = good.rindex(b"PK\5\6")
    directory = good.index(b"PK\1\2")
    bad("zip-no-end.pt", good[:cut], "no end of central directory")
    bad("zip-cut-in-storage.pt", good[: good.index(b"m/data/0") + 10], "ends inside a storage")
    bad("zip-directory-offset.pt", good[:cut] + end(4, cut - directory, 2**31), "the directory starts past the end")
    bad("zip-directory-size.pt", good[:cut] + end(4, 2**31, directory), "the directory reaches past the end")
    bad("zip-entry-count.pt", good[:cut] + end(60000, cut - directory, directory), "60000 entries in a directory of 200 bytes")
    bad("zip-member-past-end.pt", with_storage(w(zero), size=2**31, packed=2**31), "the member reaches past the end")
    bad("zip-member-offset.pt", with_storage(w(zero), offset=2**31), "the member starts past the end")
    bad("zip-member-in-directory.pt", with_storage(w(zero), offset=directory), "no local header stands there")
    bad("zip-names-disagree.pt", with_storage(w(zero), local_name="m/data/1"), "the directories name it differently")
    bad("zip-sizes-disagree.pt", with_storage(w(zero), local_size=20), "the directories disagree on its size")
    bad("zip-stored-sizes.pt", with_storage(w(zero), size=24, packed=20), "stored, yet packed and unpacked sizes differ")
    bad("zip-encrypted.pt", with_storage(w(zero), flags=1), "the member is encrypted", None)
    bad("zip-method.pt", with_storage(w(zero), method=14), "compressed by LZMA", "unsupported")

    def entries(*pairs):
        return archive([{"name": n, "data": d} for n, d in pairs])

    pickle = a.pickle_of({"epoch": 1})
    bad("zip-two-pickles.pt", entries(("m/data.pkl", pickle), ("m/data.pkl", a.pickle_of({"epoch": 2})), ("m/version", b"3\n")),
        "two members of one name: which is read depends on the reader")
    bad("zip-two-pickles-by-case.pt", entries(("m/data.pkl", pickle), ("m/DATA.PKL", pickle), ("m/version", b"3\n")),
        "torch's reader ignores case")
    bad("zip-two-storages.pt", archive([
        {"name": "m/data.pkl", "data": a.pickle_of(w(zero))}, {"name": "m/data/0", "data": floats(*range(6))},
        {"name": "m/data/0", "data": floats(*range(6, 12))}, {"name": "m/version", "data": b"3\n"}]),
        "two storages of one name")
    bad("zip-byteorder.pt", entries(("m/data.pkl", pickle), ("m/byteorder", b"middle"), ("m/version", b"3\n")), "no such byte order")
    bad("zip-cut-pickle.pt", entries(("m/data.pkl", pickle[:-3]), ("m/version", b"3\n")), "the pickle has no end", member="m/data.pkl")

    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = raw.compress(floats(*range(6))) + raw.flush()
    bad("zip-bomb.pt", with_storage({"w": a.tensor_v2(a.storage("0", numel=2**30 - 1), 0, (2**30 - 1,), (1,))}, packed,
        method=8, size=2**32 - 4, packed=len(packed)), "a few bytes that claim to unpack to 4 GB", None)
    bad("zip-deflate-short.pt", with_storage({"w": a.tensor_v2(a.storage("0", numel=8), 0, (8,), (1,))}, packed,
        method=8, size=32, packed=len(packed)), "unpacks to 24 bytes, not 32", None)
    bad("zip-deflate-long.pt", with_storage({"w": a.tensor_v2(a.storage("0", numel=4), 0, (4,), (1,))}, packed, method=8, size=16,
        packed=len(packed)), "unpacks to more than 16 bytes", None)
    bad("zip-deflate-corrupt.pt", with_storage(w(zero), b"\xff" * len(packed), method=8, size=24, packed=len(packed)),
        "no deflate stream", None)


def make_contents(bad):
    """Archives that are something else."""
    def entries(*pairs):
        return archive([{"name": n, "data": d} for n, d in pairs])

    bad("zip-preview.pt", b"PYTORCH1" + struct.pack("<Q", 2) + b"\xef" * 48 + bytes(64), "a preview format of 2018", None)
    bad("zip-model-json.pt", entries(("m/model.json", b"{}"), ("m/tensors/0", bytes(4)), ("m/version", b"1\n")),
        "TorchScript of 1.0 to 1.3", "unsupported")
    bad("zip-pt2.pt2", entries(("m/archive_format", b"pt2"), ("m/models/model.json", b"{}"), ("m/version", b"0\n")),
        "an exported program", "unsupported")


def make_tensors(bad):
    """The pickle lies about storages and tensors."""
    def one(name, main, why, **claims):
        place = {k: claims.pop(k) for k in ("kind", "tensor", "member") if k in claims}
        bad(f"tensor-{name}.pt", with_storage(main, **claims), why, **place)

    zero = a.storage("0")
    one("region-too-large", w(zero, 0, (3, 3), (3, 1)), "nine elements of six", tensor="w")
    one("offset-too-large", w(zero, 4, (2, 3), (3, 1)), "starts at the fifth element and has six", tensor="w")
    one("offset-overflow", w(zero, 2**63 - 1, (2, 3), (3, 1)), "offset times size overflows", tensor="w")
    one("offset-negative", w(zero, -1, (2, 3), (3, 1)), "starts before the storage", tensor="w")
    one("stride-negative", w(zero, 3, (2, 3), (-3, 1)), "torch has no negative strides", tensor="w")
    one("stride-overflow", w(zero, 0, (2, 3), (2**62, 2**62)), "strides overflow", tensor="w")
    one("size-negative", w(zero, 0, (2, -3), (3, 1)), "a dimension is negative", tensor="w")
    one("size-overflow", w(zero, 0, (2**32, 2**32), (0, 0)), "2^64 elements of one", tensor="w", kind=None)
    one("ranks-differ", w(zero, 0, (2, 3), (1,)), "two dimensions, one stride", tensor="w")
    one("many-dimensions", w(zero, 0, (1,) * 100, (1,) * 100), "100 dimensions", tensor="w", kind=None)
    one("storage-missing", w(a.storage("1")), "no such storage", kind=None)
    one("storage-outside", w(a.storage("../../x")), "a key that leaves the archive", kind=None)
    one("storage-too-short", w(a.storage("0", numel=7)), "seven floats are 28 bytes; the record has 24", kind=None)
    one("storage-negative", w(a.storage("0", numel=-6)), "a negative number of elements", kind=None)
    one("storage-huge", w(a.storage("0", numel=2**62)), "2^62 floats overflow", kind=None)
    one("storage-class", w(a.storage("0", "StringStorage")), "no such class of storage", kind=None)
    one("two-classes", {"w": a.tensor_v2(zero, 0, (6,), (1,)), "x": a.tensor_v2(a.storage("0", "IntStorage"), 0, (6,), (1,))},
        "one storage, two dtypes", kind=None)

    def sparse(layout, *data):
        layout = a.reduce(a.global_("torch.serialization", "_get_layout"), layout)
        return {"w": a.reduce(a.global_("torch._utils", "_rebuild_sparse_tensor"), layout, tuple(data))}

    def longs(*numbers):
        return struct.pack(f"<{len(numbers)}q", *numbers)

    def indices(count, shape, stride):
        return a.tensor_v2(a.storage("0", "LongStorage", count), 0, shape, stride)

    def coo(name, numbers, size, why):
        main = sparse("torch.sparse_coo", indices(4, (2, 2), (2, 1)), a.tensor_v2(a.storage("1", numel=2), 0, (2,), (1,)), size, False)
        data = archive([{"name": "m/data.pkl", "data": a.pickle_of(main)}, {"name": "m/data/0", "data": longs(*numbers)},
                        {"name": "m/data/1", "data": floats(1, 2)}, {"name": "m/version", "data": b"3\n"}])
        bad(f"sparse-{name}.pt", data, why, None, tensor="w")

    coo("index-too-large", (0, 9, 0, 0), (2, 2), "row 9 of 2")
    coo("index-negative", (0, -1, 0, 0), (2, 2), "row -1")
    coo("too-dense", (0, 1, 0, 1), (2**20, 2**20), "4 TB when written out")
    coo("size-overflow", (0, 1, 0, 1), (2**40, 2**40), "2^80 elements")

    def quantised(name, why, qparams):
        stored = a.storage("0", "QInt8Storage", 24)
        main = {"w": a.reduce(a.global_("torch._utils", "_rebuild_qtensor"), stored, 0, (4, 6), (6, 1), qparams, False, a.ordered_dict())}
        bad(f"quantized-{name}.pt", with_storage(main), why, None, tensor="w")

    per_channel = a.global_("torch", "per_channel_affine")
    quantised("axis", "axis 5 of 2", (per_channel, [0.5] * 4, [0] * 4, 5))
    quantised("scales", "3 scales for 4 channels", (per_channel, [0.5] * 3, [0] * 4, 0))
