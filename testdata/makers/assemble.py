"""Pickles by hand: one function for each thing that stands in one."""

import struct


class Raw(bytes):
    """Opcodes that push one value."""


def global_(module, name):
    return Raw(f"c{module}\n{name}\n".encode())


def py2(text):
    """A Python 2 str: SHORT_BINSTRING."""
    raw = text if isinstance(text, bytes) else text.encode()
    return Raw(b"U" + bytes([len(raw)]) + raw)


def value(item):
    if isinstance(item, Raw):
        return item
    if item is None:
        return Raw(b"N")
    if item is True or item is False:
        return Raw(b"\x88" if item else b"\x89")
    if isinstance(item, int):
        if 0 <= item < 256:
            return Raw(b"K" + bytes([item]))
        if -(2**31) <= item < 2**31:
            return Raw(b"J" + struct.pack("<i", item))
        raw = item.to_bytes(item.bit_length() // 8 + 1, "little", signed=True)
        return Raw(b"\x8a" + bytes([len(raw)]) + raw)
    if isinstance(item, float):
        return Raw(b"G" + struct.pack(">d", item))
    if isinstance(item, str):
        raw = item.encode()
        return Raw(b"X" + struct.pack("<I", len(raw)) + raw)
    if isinstance(item, tuple):
        return Raw(b"(" + b"".join(map(value, item)) + b"t")
    if isinstance(item, list):
        return Raw(b"](" + b"".join(map(value, item)) + b"e")
    if isinstance(item, dict):
        return Raw(b"}(" + b"".join(value(k) + value(v) for k, v in item.items()) + b"u")
    raise TypeError(item)


def reduce(function, *arguments):
    return Raw(function + value(tuple(arguments)) + b"R")


def build(made, state):
    return Raw(made + value(state) + b"b")


def persistent(pid):
    return Raw(value(pid) + b"Q")


def pickle_of(item, protocol=2):
    return b"\x80" + bytes([protocol]) + value(item) + b"."


def ordered_dict(items=()):
    """As Python 2 writes it: the items are the argument."""
    made = global_("collections", "OrderedDict")
    return reduce(made, [[k, v] for k, v in items]) if items else Raw(made + b"]\x85R")


def storage(key, kind="FloatStorage", numel=6, location="cpu", view=()):
    """`view`: `(None,)` or `((key, offset, size),)` in legacy streams, nothing in zips."""
    return persistent((py2("storage"), global_("torch", kind), py2(str(key)), py2(location), numel, *view))


def tensor_v2(stored, offset, size, stride):
    return reduce(global_("torch._utils", "_rebuild_tensor_v2"), stored, offset, size, stride, False, ordered_dict())


def tensor(stored, offset, size, stride):
    return reduce(global_("torch._utils", "_rebuild_tensor"), stored, offset, size, stride)


MAGIC = 0x1950A86A20F9469CFC6C


def legacy(main, storages, little_endian=True):
    """The stacked pickles of torch 0.1.10 to 1.5. `storages`: key to (numel, bytes), in file order."""
    system = {py2("protocol_version"): 1001, py2("little_endian"): little_endian,
              py2("type_sizes"): {py2("short"): 2, py2("int"): 4, py2("long"): 8}}
    keys = Raw(b"](" + b"".join(py2(str(k)) for k in storages) + b"e")
    out = pickle_of(MAGIC) + pickle_of(1001) + pickle_of(system) + pickle_of(main) + pickle_of(keys)
    for numel, data in storages.values():
        out += struct.pack("<q", numel) + data
    return out
