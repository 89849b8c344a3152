"""GGUF: gguf-py where it can write the file, by hand where it cannot (v1, unknown types, Q2_0)."""

import importlib.metadata
import struct

import gguf
import numpy
from gguf import GGMLQuantizationType as Type
from gguf import GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

from .common import entry, expect, folder

PLAIN = {
    Type.F32: "f4", Type.F16: "f2", Type.F64: "f8", Type.I8: "i1", Type.I16: "i2", Type.I32: "i4",
    Type.I64: "i8",
}

# Multi-byte words of each block as (offset, width, count), from the structs of ggml-common.h.
WORDS = {
    "BF16": [(0, 2, 1)],
    "Q4_0": [(0, 2, 1)], "Q4_1": [(0, 2, 2)], "Q5_0": [(0, 2, 1), (2, 4, 1)], "Q5_1": [(0, 2, 2), (4, 4, 1)],
    "Q8_0": [(0, 2, 1)], "Q2_K": [(80, 2, 2)], "Q3_K": [(108, 2, 1)], "Q4_K": [(0, 2, 2)],
    "Q5_K": [(0, 2, 2)], "Q6_K": [(208, 2, 1)], "Q8_K": [(0, 4, 1), (260, 2, 16)],
    "IQ2_XXS": [(0, 2, 33)], "IQ2_XS": [(0, 2, 33)], "IQ3_XXS": [(0, 2, 1), (66, 4, 8)],
    "IQ1_S": [(0, 2, 1), (34, 2, 8)], "IQ4_NL": [(0, 2, 1)], "IQ3_S": [(0, 2, 1)], "IQ2_S": [(0, 2, 1)],
    "IQ4_XS": [(0, 2, 2)], "IQ1_M": [(48, 2, 4)], "TQ1_0": [(52, 2, 1)], "TQ2_0": [(64, 2, 1)],
    "MXFP4": [], "NVFP4": [], "Q1_0": [(0, 2, 1)],
}


def library():
    return f"gguf {importlib.metadata.version('gguf')}"


def writer(path, **options):
    return GGUFWriter(path, "llama", **options)


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def size_of(kind):
    """Elements and bytes of a block. gguf-py lists 40 bytes for Q8_1; ggml has 36."""
    return (32, 36) if kind == Type.Q8_1 else gguf.GGML_QUANT_SIZES[kind]


def blocks(generator, kind, rows=2, per_row=1):
    """Random blocks as gguf-py takes them: bytes, one row a line."""
    _, block_bytes = size_of(kind)
    return numpy.frombuffer(generator.bytes(rows * per_row * block_bytes), "u1").reshape(rows, -1)


def swapped(kind_name, block_bytes, data):
    """The bytes of `data` as a big-endian machine would write them."""
    out = bytearray(data)
    for start in range(0, len(out), block_bytes):
        for offset, width, count in WORDS[kind_name]:
            for i in range(count):
                at = start + offset + i * width
                out[at : at + width] = out[at : at + width][::-1]
    return bytes(out)


def expect_as_read(path, **facts):
    """What gguf-py reads; the bytes it shows are those of the file, so for little-endian only."""
    reader = GGUFReader(path)
    tensors = []
    for t in reader.tensors:
        shape = [int(d) for d in reversed(t.shape.tolist())]
        tensors.append(entry(t.name, t.tensor_type.name, shape, t.data.tobytes()))
    expect(path, tensors, format="gguf", root=None, library=library(), **facts)


def add_metadata(w):
    """One key of every type, and an array of every type."""
    w.add_string("general.name", "test mödel")
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 2**32 - 1)
    w.add_int32("t.i32", -(2**31))
    w.add_float32("t.f32", 0.5)
    w.add_bool("t.bool", True)
    w.add_uint64("t.u64", 2**64 - 1)
    w.add_int64("t.i64", -(2**63))
    w.add_float64("t.f64", -0.125)
    w.add_key_value("t.empty", "", GGUFValueType.STRING)
    arrays = {
        GGUFValueType.UINT8: [0, 255], GGUFValueType.INT8: [-128, 127], GGUFValueType.UINT16: [65535],
        GGUFValueType.INT16: [-32768], GGUFValueType.UINT32: [2**32 - 1], GGUFValueType.INT32: [-1, 0, 1],
        GGUFValueType.FLOAT32: [0.5, -1.5], GGUFValueType.BOOL: [True, False],
        GGUFValueType.STRING: ["<s>", "", "▁the"], GGUFValueType.UINT64: [2**64 - 1],
        GGUFValueType.INT64: [-(2**63)], GGUFValueType.FLOAT64: [0.1],
    }
    for kind, values in arrays.items():
        w.add_key_value(f"a.{kind.name.lower()}", values, GGUFValueType.ARRAY, sub_type=kind)


METADATA = {
    "general.architecture": "llama", "general.name": "test mödel", "t.u8": 255, "t.i8": -128, "t.u16": 65535,
    "t.i16": -32768, "t.u32": 2**32 - 1, "t.i32": -(2**31), "t.f32": 0.5, "t.bool": True,
    "t.u64": 2**64 - 1, "t.i64": -(2**63), "t.f64": -0.125, "t.empty": "",
    "a.int32": [-1, 0, 1], "a.float32": [0.5, -1.5], "a.bool": [True, False], "a.string": ["<s>", "", "▁the"],
    "a.uint64": [2**64 - 1],
}


def string(text, width="Q"):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<" + width, len(raw)) + raw


def by_hand(tensors, version=3, keys=(), align=32):
    """A whole file. `tensors`: (name, dimensions fastest first, type id, bytes); `keys`: raw bytes."""
    width = "I" if version == 1 else "Q"
    out = b"GGUF" + struct.pack("<I" + 2 * width, version, len(tensors), len(keys)) + b"".join(keys)
    offset = 0
    for name, dimensions, kind, data in tensors:
        out += string(name, width) + struct.pack("<I", len(dimensions))
        out += struct.pack(f"<{len(dimensions)}{width}", *dimensions) + struct.pack("<IQ", kind, offset)
        offset += len(data) + -len(data) % align
    out += bytes(-len(out) % align)
    for _, _, _, data in tensors:
        out += data + bytes(-len(data) % align)
    return out


def key_string(name, value, width="Q"):
    return string(name, width) + struct.pack("<I", 8) + string(value, width)


def make():
    out = folder("gguf")
    generator = numpy.random.default_rng(3)

    path = out / "metadata.gguf"
    w = writer(path)
    add_metadata(w)
    w.add_tensor("token_embd.weight", generator.standard_normal((6, 8)).astype("f4"))
    close(w)
    expect_as_read(path, variant="v3", metadata=METADATA)

    path = out / "vocabulary.gguf"
    w = writer(path)
    w.add_tokenizer_model("llama")
    w.add_token_list([f"token{i}" for i in range(1000)])
    w.add_token_scores([float(-i) for i in range(1000)])
    w.add_token_types([1] * 1000)
    close(w)
    expect_as_read(path, variant="v3", long_metadata={
        "tokenizer.ggml.tokens": 1000, "tokenizer.ggml.scores": 1000, "tokenizer.ggml.token_type": 1000})

    # Every type that gguf-py knows, as random blocks; rows and more than one block in a row.
    path = out / "types.gguf"
    w = writer(path)
    for kind, dtype in PLAIN.items():
        w.add_tensor(f"plain.{kind.name}", numpy.frombuffer(generator.bytes(96), dtype).reshape(2, 2, -1))
    w.add_tensor("plain.BF16", numpy.frombuffer(generator.bytes(24), "u1").reshape(2, 12), raw_dtype=Type.BF16)
    quantised = [k for k in Type if k not in PLAIN and k not in (Type.BF16, Type.Q8_1)]
    for kind in quantised:
        w.add_tensor(f"block.{kind.name}", blocks(generator, kind, 2, 2), raw_dtype=kind)
    close(w)
    expect_as_read(path, variant="v3")

    # What gguf-py 0.19 does not know the size of (Q8_1) or the name of (Q2_0).
    q8_1, q2_0 = generator.bytes(72), generator.bytes(54)
    path = out / "types-of-ggml.gguf"
    path.write_bytes(by_hand([("q8_1", [32, 2], 9, q8_1), ("q2_0", [64, 3], 42, q2_0)],
                             keys=[key_string("general.architecture", "llama")]))
    expect(path, [entry("q8_1", "Q8_1", [2, 32], q8_1), entry("q2_0", "Q2_0", [3, 64], q2_0)],
           format="gguf", variant="v3", library="ggml-common.h")

    path = out / "shapes.gguf"
    w = writer(path)
    w.add_tensor("vector", generator.standard_normal(5).astype("f4"))
    w.add_tensor("one", generator.standard_normal(1).astype("f4"))
    w.add_tensor("four.dimensions", generator.standard_normal((2, 3, 4, 5)).astype("f2"))
    w.add_tensor("n" * 60, generator.standard_normal(3).astype("f4"))
    close(w)
    expect_as_read(path, variant="v3")

    # Names longer than ggml's 63 bytes occur in files for image models.
    data = generator.bytes(16)
    path = out / "long-names.gguf"
    long = "model.diffusion_model." + "transformer_blocks.0." * 8 + "weight"
    path.write_bytes(by_hand([(long, [4], 0, data)]))
    expect(path, [entry(long, "F32", [4], data)], format="gguf", library="by hand")

    path = out / "alignment-64.gguf"
    w = writer(path)
    w.add_custom_alignment(64)
    w.add_tensor("a", generator.standard_normal(3).astype("f4"))
    w.add_tensor("b", generator.standard_normal((2, 9)).astype("f4"))
    close(w)
    expect_as_read(path, variant="v3")

    for version in [1, 2]:
        a, b = generator.bytes(24), generator.bytes(36)
        width = "I" if version == 1 else "Q"
        count = struct.pack("<" + width, 2)
        keys = [
            key_string("general.architecture", "llama", width),
            string("a.int32", width) + struct.pack("<II", 9, 5) + count + struct.pack("<ii", -1, 7),
        ]
        path = out / f"version-{version}.gguf"
        path.write_bytes(by_hand([("a", [3, 2], 0, a), ("b.q4", [32, 2], 2, b)], version, keys))
        expect(path, [entry("a", "F32", [2, 3], a), entry("b.q4", "Q4_0", [2, 32], b)],
               format="gguf", variant=f"v{version}", library="by hand",
               metadata={"general.architecture": "llama", "a.int32": [-1, 7]})

    # An id that no table has: listed, its bytes mean nothing; the tensors around it are read.
    a, b = generator.bytes(16), generator.bytes(20)
    path = out / "unknown-type.gguf"
    path.write_bytes(by_hand([("a", [4], 0, a), ("strange", [32, 2], 97, bytes(40)), ("b", [5], 0, b)]))
    expect(path, [entry("a", "F32", [4], a), entry("strange", "UNKNOWN(97)", [2, 32], None),
                  entry("b", "F32", [5], b)], format="gguf", library="by hand")

    # A removed id (Q4_0_4_4) is as good as unknown.
    path = out / "removed-type.gguf"
    path.write_bytes(by_hand([("a", [4], 0, a), ("repacked", [32, 2], 31, bytes(36))]))
    expect(path, [entry("a", "F32", [4], a), entry("repacked", "UNKNOWN(31)", [2, 32], None)],
           format="gguf", library="by hand")

    # The last tensor's padding may be missing, and keys may hold what is no UTF-8.
    path = out / "unpadded-end.gguf"
    path.write_bytes(by_hand([("a", [4], 0, a), ("b", [5], 0, b)])[: -(-len(b) % 32)])
    expect(path, [entry("a", "F32", [4], a), entry("b", "F32", [5], b)], format="gguf", library="by hand")

    path = out / "not-utf8.gguf"
    path.write_bytes(by_hand([("a", [4], 0, a)], keys=[key_string("general.name", b"caf\xe9\0")]))
    expect(path, [entry("a", "F32", [4], a)], format="gguf", library="by hand")

    path = out / "no-tensors.gguf"
    path.write_bytes(by_hand([], keys=[key_string("general.architecture", "llama")]))
    expect(path, [], format="gguf", library="by hand")

    make_big_endian(out, generator)
    make_split(out, generator)


def make_big_endian(out, generator):
    """gguf-py writes the numbers; words inside blocks it takes as they are, so swapped here."""
    path = out / "big-endian.gguf"
    w = writer(path, endianess=GGUFEndian.BIG)
    add_metadata(w)
    tensors = []
    for kind, dtype in PLAIN.items():
        array = numpy.frombuffer(generator.bytes(48), "<" + dtype).reshape(2, -1)
        w.add_tensor(f"plain.{kind.name}", array.copy())
        tensors.append(entry(f"plain.{kind.name}", kind.name, array.shape, array.tobytes()))
    for name in WORDS:
        kind = Type[name]
        elements, block_bytes = size_of(kind)
        data = blocks(generator, kind)
        swap = numpy.frombuffer(swapped(name, block_bytes, data.tobytes()), "u1").reshape(data.shape)
        w.add_tensor(f"block.{name}", swap.copy(), raw_dtype=kind)
        rows, row_bytes = data.shape
        tensors.append(entry(f"block.{name}", name, [rows, row_bytes // block_bytes * elements], data.tobytes()))
    close(w)
    expect(path, tensors, format="gguf", library=library(), metadata=METADATA)


def make_split(out, generator):
    w = GGUFWriter(out / "split.gguf", "llama", split_max_tensors=2)
    w.add_string("general.name", "split")
    tensors = []
    for i in range(5):
        array = generator.standard_normal((2, 4)).astype("f4")
        w.add_tensor(f"blk.{i}.weight", array)
        tensors.append(entry(f"blk.{i}.weight", "F32", [2, 4], array.tobytes()))
    close(w)
    # Any of the three opens as the whole.
    for i in range(1, 4):
        expect(out / f"split-{i:05}-of-00003.gguf", tensors, format="gguf", library=library(),
               metadata={"general.name": "split"}, several_files=True)
