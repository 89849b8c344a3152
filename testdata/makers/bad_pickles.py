"""Bad pickles: plain ones, PyTorch's legacy streams and its tar."""

import io
import struct
import tarfile

from . import assemble as a
from .archive_files import floats


def make(bad):
    def raw(name, body, why, kind="malformed", protocol=2, **place):
        """`body` stands where the value of the key `k` is expected, and ends the pickle."""
        bad(f"pickle-{name}.pkl", b"\x80" + bytes([protocol]) + b"}X\1\0\0\0k" + body, why, kind, **place)

    array = a.reduce(a.global_("numpy.core.multiarray", "_reconstruct"), a.global_("numpy", "ndarray"), (0,), a.py2("b"))
    f4 = a.build(a.reduce(a.global_("numpy", "dtype"), "f4", 0, 1), (3, "<", None, None, None, -1, -1, 0))

    raw("joblib", b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}b\x01\xff\x0d\x0dsb.",
        "joblib puts the array behind the opcode that builds its wrapper", "unsupported")
    raw("no-stop", b"}s", "ends without STOP", None)
    bad("pickle-nothing.pkl", b"\x80\2", "ends after PROTO", None)
    bad("pickle-empty-stack.pkl", b"\x80\2}0.", "STOP, but nothing to return")
    raw("tuple-of-nothing", b"000\x87.", "three items of none")
    raw("tuple-without-mark", b"K\1t.", "TUPLE without a MARK")
    raw("append-to-nothing", b"00K\1a.", "APPEND without a list")
    raw("append-to-number", b"K\1K\2a.", "APPEND to a number")
    raw("odd-items", b"}(K\1u.", "a key without a value")
    raw("unknown-opcode", b"}\xff.", "no such opcode", None, offset=10)
    raw("missing-memo", b"h\5.", "nothing was stored as 5")
    raw("missing-memo-text", b"gx\n.", "no number")
    raw("next-buffer", b"\x97.", "there are no buffers outside a file", None, 5)
    raw("text-length", b"X" + struct.pack("<I", 2**32 - 1) + b"abc.", "a text of 4 GB")
    raw("text-length-64", b"\x8d" + struct.pack("<Q", 2**63) + b"abc.", "a text of 2^63 bytes", None, 4)
    raw("bytes-length", b"\x8e" + struct.pack("<Q", 2**60) + b"abc.", "2^60 bytes", None, 4)
    raw("bytearray-length", b"\x96" + struct.pack("<Q", 2**64 - 1) + b"abc.", "2^64 - 1 bytes", None, 5)
    raw("string-length-negative", b"T" + struct.pack("<i", -5) + b"abc.", "a text of -5 bytes")
    raw("long-length-negative", b"\x8b" + struct.pack("<i", -5) + b"abc.", "an integer of -5 bytes")
    raw("long-length", b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.", "an integer of 2 GB", None)
    raw("long-digits", b"L" + b"9" * 200_000 + b"L\n.", "200000 digits: quadratic work", "limit")
    raw("int-text", b"Iten\n.", "no number")
    raw("line-without-end", b"c" + b"m" * 200_000, "a module's name without an end", None)
    raw("protocol-6", b"}.", "a protocol of the future", None, 6)
    raw("stack-global-of-numbers", b"K\1K\2\x93.", "a module called 1", None, 4)

    def array_of(state):
        return a.build(array, state) + b"s."

    raw("array-too-short", array_of((1, (3,), f4, False, a.py2(floats(1, 2)))), "three floats in 8 bytes", tensor="k")
    raw("array-shape-overflow", array_of((1, (2**40, 2**40), f4, False, a.py2(b""))), "2^80 elements", None, tensor="k")
    raw("array-shape-negative", array_of((1, (-1,), f4, False, a.py2(b""))), "a dimension is negative", tensor="k")

    # Each list holds the one before ten times: 10^30 numbers in 700 bytes.
    laughs = b"](" + b"K\1" * 10 + b"eq\0"
    for i in range(1, 30):
        laughs += b"0](" + (b"h" + bytes([i - 1])) * 10 + b"eq" + bytes([i])
    raw("laughs", laughs + b"s.", "lists of lists of lists: 10^30 numbers", "limit")
    raw("marks", b"000" + b"(" * 100_000 + b".", "nothing but marks", None)

    make_legacy(bad)
    make_tar(bad)


def make_legacy(bad):
    weight = floats(*range(6))
    stored = a.storage(7, view=(None,))
    main = {a.py2("w"): a.tensor_v2(stored, 0, (2, 3), (3, 1))}
    good = a.legacy(a.value(main), {7: (6, weight)})

    bad("legacy-magic-only.pt", good[:15], "ends after the magic")
    bad("legacy-cut-in-pickle.pt", good[:120], "ends inside the main pickle")
    bad("legacy-cut-in-numel.pt", good[:-28], "ends inside a storage's length")
    bad("legacy-cut-in-storage.pt", good[:-5], "ends inside a storage")
    bad("legacy-numel.pt", a.legacy(a.value(main), {7: (2**61, weight)}), "2^61 floats")
    bad("legacy-numel-negative.pt", a.legacy(a.value(main), {7: (-1, weight)}), "a negative number of elements")
    bad("legacy-numel-differs.pt", a.legacy(a.value(main), {7: (5, weight[:20])}), "the pickle says 6, the storage 5")
    bad("legacy-storage-missing.pt", a.legacy(a.value(main), {}), "no storage follows", None)
    bad("legacy-key-unknown.pt", a.legacy(a.value(main), {7: (6, weight), 8: (6, weight)}), "nobody mentioned storage 8", None)
    view = a.storage(7, view=((a.py2("9"), 4, 3),))
    main = {a.py2("w"): a.tensor(view, 0, (3,), (1,))}
    bad("legacy-view-too-large.pt", a.legacy(a.value(main), {7: (6, weight)}), "elements 4 to 7 of 6", None)
    computed = a.Raw(a.global_("builtins", "int") + a.value((str(a.MAGIC),)) + b"R")
    bad("legacy-magic-computed.pt", a.pickle_of(computed) + good[15:], "the magic is the result of a call", None)


def make_tar(bad):
    def tar(storages, tensors, main=a.pickle_of({})):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in [("sys_info", a.pickle_of({})), ("pickle", main), ("tensors", tensors), ("storages", storages)]:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return file.getvalue()

    none = a.pickle_of(0)
    storage = a.pickle_of((11, a.py2("cpu"), a.global_("torch", "FloatStorage")))
    one = a.pickle_of(1) + storage + struct.pack("<q", 1) + floats(1) + a.pickle_of([])
    tensor = a.pickle_of((21, 11, a.global_("torch", "FloatTensor")))
    bad("tar-storage-count.pt", tar(a.pickle_of(2**40), none), "2^40 storages", None)
    bad("tar-numel.pt", tar(a.pickle_of(1) + storage + struct.pack("<q", 2**60) + floats(1) + a.pickle_of([]), none), "2^60 floats")
    bad("tar-dimensions.pt", tar(one, a.pickle_of(1) + tensor + struct.pack("<ii", 2**31 - 1, 0)), "2^31 - 1 dimensions", None)
    bad("tar-tensor-too-large.pt", tar(one, a.pickle_of(1) + tensor + struct.pack("<iiqqq", 1, 0, 5, 1, 0), a.pickle_of({a.py2("w"): a.persistent(21)})),
        "five elements of one")
    bad("tar-unknown-key.pt", tar(one, none, a.pickle_of({a.py2("w"): a.persistent(99)})), "no tensor 99", None)
    whole = tar(one, none)
    bad("tar-cut.pt", whole[:1100], "ends inside a member", None)
