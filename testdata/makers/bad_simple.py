"""Bad safetensors, GGUF, npy and indexes; files of no format."""

import gzip
import json
import struct

import numpy

from .gguf_files import by_hand, key_string, string


def header(text, data=b""):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensors(**entries):
    return json.dumps({n: {"dtype": d, "shape": s, "data_offsets": o} for n, (d, s, o) in entries.items()})


def make(bad):
    make_safetensors(bad)
    make_gguf(bad)
    make_numpy(bad)
    make_indexes(bad)
    make_wrapped(bad)

    bad("empty", b"", "no bytes at all")
    bad("text.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer", "unsupported")
    bad("zeros.pt", bytes(4096), "nothing but zeros", None)
    bad("html.gguf", b"<!DOCTYPE html><html><body>404</body></html>\n", "an error page", "unsupported")


def make_safetensors(bad):
    good = header(tensors(a=("F32", [2], [0, 8])), bytes(8))
    bad("st-seven-bytes.safetensors", good[:7], "shorter than the header's length", None)
    bad("st-no-header.safetensors", good[:8], "ends after the header's length", None)
    bad("st-truncated-header.safetensors", good[:30], "ends inside the header", None)
    bad("st-truncated-data.safetensors", good[:-3], "the data lacks 3 bytes")
    bad("st-trailing-bytes.safetensors", good + b"xyz", "3 bytes after the last tensor")
    bad("st-header-too-large.safetensors", struct.pack("<Q", 100_000_001) + b"{" + bytes(100), "the crate's limit is 100000000", None)
    bad("st-header-length-lies.safetensors", struct.pack("<Q", 1000) + b"{}" + bytes(100), "header reaches past the end", None)
    bad("st-header-length-huge.safetensors", struct.pack("<Q", 2**64 - 1) + b"{}", "8 + N overflows", None)

    def text(name, text, why, data=bytes(8), **place):
        bad(f"st-{name}.safetensors", header(text, data), why, **place)

    text("not-json", "{not json", "header is no JSON")
    text("cut-json", '{"a":{"dtype":"F32"', "JSON ends early")
    text("not-utf8", b'{"a\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "header is no UTF-8")
    text("nul-padding", tensors(a=("F32", [2], [0, 8])) + "\0\0", "padded by NUL, not by spaces")
    text("unknown-dtype", tensors(a=("C128", [1], [0, 16])), "no such dtype", bytes(16), tensor="a")
    text("lower-case-dtype", tensors(a=("f32", [2], [0, 8])), "dtypes are upper case", tensor="a")
    text("float-shape", '{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', "a dimension is no integer")
    text("negative-shape", '{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', "a dimension is negative")
    text("shape-too-large", '{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}}', "a dimension exceeds 64 bits")
    text("three-offsets", '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}', "data_offsets has three numbers")
    text("missing-shape", '{"a":{"dtype":"F32","data_offsets":[0,8]}}', "no shape")
    text("missing-offsets", '{"a":{"dtype":"F32","shape":[2]}}', "no data_offsets")
    text("metadata-not-text", '{"__metadata__":{"epoch":3},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "metadata must be text")
    text("metadata-twice", '{"__metadata__":{},"__metadata__":{},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "the crate refuses it")
    text("gap", tensors(a=("U8", [2], [0, 2]), b=("U8", [4], [4, 8])), "bytes 2 to 4 belong to nobody", tensor="b")
    text("gap-at-start", tensors(a=("U8", [6], [2, 8])), "bytes 0 to 2 belong to nobody", tensor="a")
    text("overlap", tensors(a=("U8", [5], [0, 5]), b=("U8", [5], [3, 8])), "both claim bytes 3 to 5", tensor="b")
    text("same-extent", tensors(a=("U8", [8], [0, 8]), b=("U8", [8], [0, 8])), "both claim all bytes", tensor="b")
    text("offsets-reversed", tensors(a=("U8", [8], [8, 0])), "ends before it starts", tensor="a")
    text("offset-past-end", tensors(a=("U8", [9], [0, 9])), "needs a ninth byte")
    text("offset-huge", tensors(a=("U8", [2**63 - 1], [0, 2**63 - 1])), "needs 2^63 - 1 bytes")
    text("offset-overflow", tensors(a=("U8", [8], [2**64 - 8, 2**64 - 1])), "8 + N + offset overflows")
    text("size-mismatch", tensors(a=("F32", [3], [0, 8])), "three floats need 12 bytes, not 8", tensor="a")
    text("shape-overflow", tensors(a=("F32", [2**32, 2**32], [0, 0])), "2^64 elements", b"", tensor="a")
    text("odd-f4", tensors(a=("F4", [3], [0, 2])), "12 bits are no whole bytes", bytes(2), tensor="a")
    text("odd-f6", tensors(a=("F6_E2M3", [2], [0, 2])), "12 bits are no whole bytes", bytes(2), tensor="a")
    deep = '{"a":{"dtype":"F32","shape":' + "[" * 50_000 + "]" * 50_000 + ',"data_offsets":[0,8]}}'
    text("deep-json", deep, "brackets 50000 deep", kind=None)
    text("duplicate-untiled",
         '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}',
         "the last `a` starts at 4; the crate refuses it")


def make_gguf(bad):
    data = bytes(range(16))
    good = by_hand([("a", [4], 0, data), ("b", [4], 0, data)], keys=[key_string("general.architecture", "llama")])

    def hand(name, why, kind="malformed", tensors=(("a", [4], 0, data),), keys=(), **place):
        bad(f"gguf-{name}.gguf", by_hand(list(tensors), keys=list(keys)), why, kind, **place)

    bad("gguf-magic-only.gguf", good[:4], "ends after the magic")
    bad("gguf-cut-counts.gguf", good[:14], "ends inside the counts")
    bad("gguf-cut-key.gguf", good[:40], "ends inside a key")
    bad("gguf-cut-tensor-info.gguf", good[:100], "ends inside the description of a tensor")
    bad("gguf-cut-data.gguf", good[:-30], "the last tensor lacks bytes", tensor="b")
    bad("gguf-version-0.gguf", good[:4] + struct.pack("<I", 0) + good[8:], "no such version", None)
    bad("gguf-version-99.gguf", good[:4] + struct.pack("<I", 99) + good[8:], "a version of the future", "unsupported")
    bad("gguf-tensor-count.gguf", good[:8] + struct.pack("<Q", 2**63) + good[16:], "2^63 tensors", None)
    bad("gguf-key-count.gguf", good[:16] + struct.pack("<Q", 2**62) + good[24:], "2^62 keys", None)
    bad("gguf-string-length.gguf", good[:24] + struct.pack("<Q", 2**62) + good[32:], "a key of 2^62 bytes", None)

    def array(kind, count, rest):
        return string("k") + struct.pack("<IIQ", 9, kind, count) + rest

    hand("array-count", "an array of 2^40 numbers", None, keys=[array(4, 2**40, bytes(16))])
    hand("array-count-overflow", "count times size overflows", None, keys=[array(12, 2**62, bytes(16))])
    hand("array-of-strings-count", "2^29 strings, 8 bytes each at least", None, keys=[array(8, 2**29, bytes(16))])
    nested = struct.pack("<IQ", 9, 1) * 2000 + struct.pack("<IQ", 4, 1) + bytes(4)
    hand("array-depth", "arrays in arrays, 2000 deep", None, keys=[string("k") + struct.pack("<I", 9) + nested])
    hand("value-type", "no such type of value", None, keys=[string("k") + struct.pack("<I", 13) + bytes(8)])
    hand("array-type", "no such type of element", None, keys=[array(99, 1, bytes(8))])
    hand("alignment-0", "alignment must be a power of two", None, keys=[string("general.alignment") + struct.pack("<II", 4, 0)])
    hand("alignment-24", "alignment must be a power of two", None, keys=[string("general.alignment") + struct.pack("<II", 4, 24)])
    hand("alignment-text", "alignment must be a number", None, keys=[key_string("general.alignment", "32")])
    hand("dimensions-count", "more dimensions than the file has bytes", None,
         tensors=[("a", [1], 0, data)])
    path = bad.out / "gguf-dimensions-count.gguf"
    raw = path.read_bytes()
    at = raw.index(b"a", 24) + 1
    path.write_bytes(raw[:at] + struct.pack("<I", 2**31) + raw[at + 4 :])
    hand("shape-overflow", "2^64 elements", None, tensors=[("a", [2**32, 2**32], 0, data)], tensor="a")
    hand("shape-past-end", "needs 4000 bytes", tensors=[("a", [1000], 0, data)], tensor="a")
    hand("part-of-a-block", "rows of 31 elements are no whole blocks of 32", tensors=[("a", [31, 2], 2, bytes(36))], tensor="a")

    def offset(name, value, why):
        raw = by_hand([("a", [4], 0, data)])
        at = raw.index(struct.pack("<Q", 1) + b"a", 24) + 9 + 4 + 8
        bad(f"gguf-{name}.gguf", raw[: at + 4] + struct.pack("<Q", value) + raw[at + 12 :], why, tensor="a")

    offset("offset-past-end", 2**20, "starts past the end")
    offset("offset-overflow", 2**64 - 32, "data start + offset overflows")
    split = [string("split.no") + struct.pack("<IH", 2, 0), string("split.count") + struct.pack("<IH", 2, 2),
             string("split.tensors.count") + struct.pack("<Ii", 5, 2)]
    bad("missing-00001-of-00002.gguf", by_hand([("a", [4], 0, data)], keys=split), "the second file is not there", None)


def npy(text, data=b"", version=1):
    raw = text.encode() + b"\n"
    width = "H" if version == 1 else "I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<" + width, len(raw)) + raw + data


def make_numpy(bad):
    def literal(name, text, why, kind="malformed", data=bytes(8)):
        bad(f"npy-{name}.npy", npy(text, data), why, kind)

    good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes(8))
    bad("npy-magic-only.npy", good[:6], "ends after the magic")
    bad("npy-cut-header.npy", good[:20], "ends inside the header")
    bad("npy-cut-data.npy", good[:-1], "the data lacks a byte")
    bad("npy-version-9.npy", good[:6] + b"\x09" + good[7:], "no such version", None)
    bad("npy-header-length.npy", good[:6] + b"\x02\x00" + struct.pack("<I", 2**32 - 1) + good[10:], "a header of 4 GB", None)
    literal("not-a-dict", "['<f4', False, (2,)]", "the header is a list")
    literal("expression", "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (2,), }", "the header is code")
    literal("no-shape", "{'descr': '<f4', 'fortran_order': False, }", "no shape")
    literal("negative-shape", "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "a dimension is negative")
    literal("shape-overflow", "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "2^64 elements", None)
    literal("shape-past-end", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000,), }", "needs 4 MB")
    literal("shape-is-text", "{'descr': '<f4', 'fortran_order': False, 'shape': '2', }", "the shape is no tuple")
    literal("order-is-text", "{'descr': '<f4', 'fortran_order': 'no', 'shape': (2,), }", "fortran_order is no boolean")
    literal("unknown-type", "{'descr': '<q9', 'fortran_order': False, 'shape': (2,), }", "no such type", None, bytes(32))
    literal("deep", "{'descr': " + "[" * 5000 + "]" * 5000 + ", 'fortran_order': False, 'shape': (2,), }", "brackets 5000 deep", None)
    literal("object-without-pickle", "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "no pickle follows", None, b"")


def make_indexes(bad):
    def index(name, weight_map, why, kind=None, raw=None):
        text = raw if raw is not None else json.dumps({"metadata": {"total_size": 8}, "weight_map": weight_map}, indent=1)
        bad(f"{name}.safetensors.index.json", text.encode() + b"\n", why, kind)

    index("index-parent", {"a": "../safetensors/numpy.safetensors"}, "points outside its folder", "malformed")
    index("index-absolute", {"a": "/etc/passwd"}, "points outside its folder", "malformed")
    index("index-windows", {"a": "C:\\model.safetensors"}, "points outside its folder")
    index("index-parent-inside", {"a": "x/../../safetensors/numpy.safetensors"}, "points outside its folder", "malformed")
    index("index-missing-shard", {"a": "no-such-file.safetensors"}, "the shard is not there")
    index("index-empty-name", {"a": ""}, "the shard has no name")
    index("index-of-itself", {"a": "index-of-itself.safetensors.index.json"}, "a shard is an index")
    index("index-not-text", {"a": 5}, "a file name must be text", "malformed")
    index("index-not-json", {}, "no JSON", "malformed", raw="{")
    index("index-list", {}, "no weight_map", "malformed", raw="[]")
    index("index-no-map", {}, "no weight_map", "malformed", raw='{"metadata": {}}')
    index("index-deep", {}, "brackets 50000 deep", None, raw='{"weight_map": ' + "[" * 50_000 + "]" * 50_000 + "}")

    where = bad.out / "index-lies"
    where.mkdir(exist_ok=True)
    shard = header(tensors(a=("F32", [2], [0, 8])), bytes(8))
    (where / "model-00001-of-00001.safetensors").write_bytes(shard)
    text = json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}})
    (where / "model.safetensors.index.json").write_text(text + "\n")
    bad("index-lies", None, "tensor `b` is in no shard")

    where = bad.out / "folder-without-model"
    where.mkdir(exist_ok=True)
    (where / "config.json").write_text("{}\n")
    bad("folder-without-model", None, "no checkpoint in it", None)

    where = bad.out / "folder-with-a-hole"
    where.mkdir(exist_ok=True)
    for i in [1, 3]:
        (where / f"model-0000{i}-of-00003.safetensors").write_bytes(header(tensors(**{f"t{i}": ("F32", [2], [0, 8])}), bytes(8)))
    bad("folder-with-a-hole", None, "shard 2 of 3 is not there", None)


def make_wrapped(bad):
    array = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes(8))
    whole = gzip.compress(array, mtime=0)
    bad("gz-cut.npy.gz", whole[:-12], "the compressed stream ends early", None)
    bad("gz-wrong-crc.npy.gz", whole[:-8] + b"\0\0\0\0" + whole[-4:], "what came out has another CRC", None)
    bad("gz-corrupt.npy.gz", whole[:12] + b"\xff\xff\xff" + whole[15:], "no deflate stream", None)
    bad("gz-zeros.gz", gzip.compress(bytes(20_000_000), mtime=0), "20 MB of zeros in 20 kB", None)
    nested = array
    for _ in range(6):
        nested = gzip.compress(nested, mtime=0)
    bad("gz-nested.gz", nested, "gzip in gzip, six times", None)
    assert numpy.frombuffer(array[-8:], "<f4").shape == (2,)
