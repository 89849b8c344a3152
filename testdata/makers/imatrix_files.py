"""Importance matrices in both forms of llama.cpp's `imatrix`, and the weights that `llama-quantize` makes of them.

The GGUF form is written by gguf-py, with the names and shapes of `save_imatrix`; the older one by hand after
`save_imatrix_legacy`. `expected.json`: the weights after division, in float32.
"""

import json
import struct

import gguf
import numpy

from .common import folder

CHUNK = 512
DATASETS = ["calibration.txt", "more/calibration.txt"]
# name, matrices, columns
TENSORS = [
    ("blk.0.attn_q.weight", 1, 512),
    ("blk.0.ffn_down.weight", 1, 256),
    ("blk.0.ffn_up_exps.weight", 3, 256),
    ("output.weight", 1, 256),
]


def measured():
    """Sums of squares and counts of rows; the second expert never saw one."""
    random = numpy.random.default_rng(11)
    for name, matrices, columns in TENSORS:
        counts = numpy.array([[3 * CHUNK], [0], [700]][:matrices], dtype="<f4")
        means = random.lognormal(0, 2, (matrices, columns))
        yield name, (means * counts).astype("<f4"), counts


def text(value):
    return struct.pack("<i", len(value)) + value.encode()


def legacy(entries, chunks=None, dataset=None):
    """The bytes of a `.dat` file, and its weights."""
    out, weights = struct.pack("<i", len(entries)), {}
    for name, sums, counts in entries:
        calls = int(-(-counts.max() // CHUNK))
        with numpy.errstate(all="ignore"):
            stored = numpy.where(counts > 0, sums / counts, numpy.float32(1)) * numpy.float32(calls)
        stored = stored.astype("<f4")
        out += text(name) + struct.pack("<ii", calls, stored.size) + stored.tobytes()
        weights[name] = stored / numpy.float32(calls)
    if chunks is not None:
        out += struct.pack("<i", chunks) + text(dataset)
    return out, weights


def make():
    place = folder("imatrix")
    entries = list(measured())
    writer = gguf.GGUFWriter(place / "measured.gguf", "")
    # As llama.cpp writes it: no architecture.
    writer.kv_data[0].pop("general.architecture", None)
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", DATASETS)
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", CHUNK)
    weights = {}
    for name, sums, counts in entries:
        writer.add_tensor(f"{name}.in_sum2", sums)
        writer.add_tensor(f"{name}.counts", counts)
        with numpy.errstate(all="ignore"):
            weights[name] = numpy.where(counts > 0, sums / counts, numpy.float32(1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    stored, old = legacy(entries, 3, DATASETS[0])
    (place / "measured.dat").write_bytes(stored)
    (place / "without-dataset.dat").write_bytes(legacy(entries)[0])
    flat = lambda found: {name: [float(v) for v in values.astype("f4").ravel()] for name, values in found.items()}
    (place / "expected.json").write_text(json.dumps({"gguf": flat(weights), "legacy": flat(old)}) + "\n")
