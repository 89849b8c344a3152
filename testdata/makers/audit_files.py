"""Hostile files and harmless ones that look alike, with what an audit must find in them.

Pickles are put together opcode by opcode and never loaded; what they would run is `true` or
nothing that exists. Expectations are written from the classes of bypasses that scanners of
pickles have fallen for, and from the rules in `src/op/audit/rules.rs`.
"""

import base64
import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib

from . import assemble as a
from .archive_files import floats
from .bad_zips import archive, central, end, local
from .common import folder

DANGER = "dangerous-import"
CALL = "would call `os.system('true')`"


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def short(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def lines(module, name):
    return f"c{module}\n{name}\n".encode()


def call(module, name, argument=text("true")):
    return lines(module, name) + argument + b"\x85R"


def data_pkl(inner=b""):
    """A state dict of one tensor, and something else that is dropped before it."""
    tensor = a.tensor_v2(a.storage(0), 0, (2, 3), (3, 1))
    return b"\x80\x02" + inner + a.value({"w": tensor}) + b"."


SYSTEM = call("os", "system")
ATTACK = b"\x80\x02" + SYSTEM + b"."
LINE_ATTACK = b"cos\nsystem\n(S'true'\ntR."


def torch_zip(main, extra=()):
    return archive([
        {"name": "m/data.pkl", "data": main},
        {"name": "m/byteorder", "data": b"little"},
        {"name": "m/data/0", "data": floats(*range(6))},
        {"name": "m/version", "data": b"3\n"},
        *extra,
    ])


def legacy(main, magic=None):
    magic = magic or b"\x80\x02\x8a\x0a" + bytes.fromhex("6cfc9c46f9206aa85019") + b"."
    rest = [a.pickle_of(1001), a.pickle_of({"little_endian": True}), main, a.pickle_of(["0"])]
    return magic + b"".join(rest) + struct.pack("<Q", 6) + floats(*range(6))


def npy_of_objects(pickle):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle


def two_directories(first, second):
    """The directory that counts lists `first`; another one before it lists `second`."""
    body = local("m/data.pkl", second)
    hidden = central("m/data.pkl", 0, len(second), crc=zlib.crc32(second))
    hidden += end(1, len(hidden), len(body))
    start = len(body) + len(hidden)
    shown = local("m/data.pkl", first)
    listed = central("m/data.pkl", start, len(first), crc=zlib.crc32(first))
    return body + hidden + shown + listed + end(1, len(listed), start + len(shown))


def hidden_member(first, second):
    """A member that only a program which reads from front to back finds."""
    body = local("m/data.pkl", first)
    listed = central("m/data.pkl", 0, len(first), crc=zlib.crc32(first))
    extra = local("m/code.bin", second)
    return body + extra + listed + end(1, len(listed), len(body) + len(extra))


def joblib(pickle_between=None):
    """A joblib file: an array between the opcodes, then something behind it."""
    dtype = b"cnumpy\ndtype\n" + text("O" if pickle_between else "f8") + b"\x89\x88\x87R"
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
    wrapper += text("subclass") + b"cnumpy\nndarray\n" + text("shape") + b"K\x02\x85"
    wrapper += text("order") + text("C") + text("dtype") + dtype + text("allow_mmap") + b"\x88"
    wrapper += text("numpy_array_alignment_bytes") + b"K\x10" + b"ub"
    array = pickle_between or b"\x03\xff\xff\xff" + struct.pack("<2d", 1, 2)
    return b"\x80\x04}" + text("a") + wrapper + array + b"s"


def tar_of(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(members):
    return archive([{"name": name, "data": data} for name, data in members])


class Book:
    """Files and what must be found in them."""

    def __init__(self):
        self.folder = folder("audit")
        self.expected = {}

    def file(self, name, content, verdict, *findings, why, status=None, args=()):
        (self.folder / name).write_bytes(content)
        default = {"clean": 0}.get(verdict, 1)
        self.expected[name] = {
            "why": why,
            "verdict": verdict,
            "status": default if status is None else status,
            "findings": list(findings),
            **({"args": args} if args else {}),
        }


def finding(rule, contains="", **place):
    return {"rule": rule, "contains": contains, **place}


def harmless(book):
    book.file("clean-zip.pt", torch_zip(data_pkl()), "clean", why="a state dict as torch writes it")
    book.file("clean-legacy.pt", legacy(a.pickle_of({"w": a.tensor_v2(a.storage(0, view=(None,)), 0, (2, 3), (3, 1))})),
              "clean", why="five pickles and a storage")
    enum = lines("torch.nn.modules.linear", "Linear") + text("in_features")
    getattr_ = b"\x80\x02" + b"c__builtin__\ngetattr\n" + enum + b"\x86R."
    book.file("getattr-of-class.pkl", getattr_, "warnings", finding("unknown-import", "getattr"),
              why="Python 3.11 pickles members of enumerations like this")
    book.file("class.pkl", b"\x80\x02cmodels.net\nNet\n)\x81}" + text("a") + b"K\x01sb.", "warnings",
              finding("unknown-import", "would make `models.net.Net()`", severity="warning"),
              why="a class that nobody knows is only made")
    book.file("joblib.pkl", joblib() + b".", "warnings", finding("not-read", "joblib"),
              why="an array of joblib, whose tensors are not read")
    book.file("words.txt", b"".join(b"%s\n" % w for w in [b"the", b"cos", b"system", b".", b"cat", b"dog", b".", b"R"]),
              "errors", finding("not-examined"), why="a list of words, of which two lines read like an import", status=2)


def plain_attacks(book):
    book.file("reduce.pkl", ATTACK, "dangerous", finding(DANGER, CALL, offset=2 + len(SYSTEM) - 1),
              why="GLOBAL and REDUCE")
    book.file("protocol-0.pkl", LINE_ATTACK, "dangerous", finding(DANGER, CALL), why="protocol 0, no mark in front")
    book.file("inst.pkl", b"(S'true'\nios\nsystem\n.", "dangerous", finding(DANGER, CALL), why="INST")
    book.file("obj-pop.pkl", b"\x80\x02(cos\nsystem\n" + text("true") + b"o0}.", "dangerous", finding(DANGER, CALL),
              why="OBJ, whose result is dropped")
    book.file("newobj.pkl", b"\x80\x02csubprocess\nPopen\n" + text("true") + b"\x85\x81.", "dangerous",
              finding(DANGER, "subprocess.Popen"), why="NEWOBJ of a class that runs programs")
    book.file("no-extension", ATTACK, "dangerous", finding(DANGER, CALL), why="the name says nothing")
    book.file("builtins.pkl", b"\x80\x03" + call("builtins", "eval", text("1")) + b".", "dangerous",
              finding(DANGER, "builtins.eval('1')"), why="a builtin")
    book.file("python2.pkl", b"\x80\x02" + call("__builtin__", "execfile") + b".", "dangerous",
              finding(DANGER, "__builtin__.execfile"), why="a builtin of Python 2")
    book.file("posix.pkl", b"\x80\x02" + call("posix", "system") + b".", "dangerous", finding(DANGER),
              why="the module behind os")
    book.file("submodule.pkl", b"\x80\x02" + call("asyncio.unix_events", "_UnixSubprocessTransport._start") + b".",
              "dangerous", finding(DANGER, "asyncio.unix_events"), why="a module below a listed one")
    book.file("unknown-function.pkl", b"\x80\x02" + call("somewhere.tools", "launch") + b".", "errors",
              finding("unknown-call", "somewhere.tools.launch('true')", severity="error"),
              why="a function that nobody knows")
    book.file("stdlib-function.pkl", b"\x80\x02" + call("nturl2path", "url2pathname") + b".", "errors",
              finding("unknown-call"), why="no list of dangers ends")
    book.file("passed-function.pkl", b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(" +
              lines("somewhere.tools", "launch") + b"ctorch\nTensor\n)}tR.", "errors",
              finding("unknown-call", "somewhere.tools.launch"), why="an allowed function calls what it is given")
    book.file("scanner.pkl", b"\x80\x02" + call("picklescan.scanner", "scan_file_path") + b".", "dangerous",
              finding(DANGER, "scanner"), why="reaches into a scanner")
    book.file("many-globals.pkl", b"\x80\x02" + b"".join(lines("collections", "OrderedDict") + b"0" for _ in range(50)) +
              SYSTEM + b".", "dangerous", finding(DANGER, CALL), why="dropped decoys in front")


def tricks(book):
    put = text("os") + b"q\x00" + b"0" + text("system") + b"q\x01" + b"0"
    memo = b"\x80\x04" + put + text("collections") + b"q\x02" + text("OrderedDict") + b"q\x03" + b"00h\x00h\x01\x93"
    book.file("stack-global-memo.pkl", memo + text("true") + b"\x85R.", "dangerous", finding(DANGER, CALL),
              why="STACK_GLOBAL through the memo, decoys put last")
    book.file("stack-global-old-strings.pkl", b"S'os'\nU\x06system\x93" + text("true") + b"\x85R.", "dangerous",
              finding(DANGER, CALL), why="names by STRING and SHORT_BINSTRING, the first opcodes of all")
    computed = b"\x80\x04" + lines("builtins", "str") + text("os") + b"\x85R" + text("system") + b"\x93" + text("true")
    book.file("stack-global-computed.pkl", computed + b"\x85R.", "dangerous", finding("computed-import"),
              why="the module's name is the result of a call")
    override = b"\x80\x04" + short("torch") + short("_utils") + b"\x93}" + short("_rebuild_tensor") + short("builtins")
    override += b"sb0" + short("torch._utils") + short("_rebuild_tensor") + b"\x93" + short("eval") + b"\x93"
    book.file("module-override.pkl", override + short("1") + b"\x85R.", "dangerous", finding("computed-import"),
              finding("attribute-change", "torch._utils"), why="BUILD sets an attribute of a module, which is then a name")
    book.file("dotted.pkl", b"\x80\x04" + call("pathlib", "os.system") + b".", "dangerous", finding(DANGER, "pathlib.os.system"),
              why="a dotted name under a harmless module")
    book.file("dotted-stack.pkl", b"\x80\x04" + short("collections") + short("OrderedDict.__init__.__globals__") + b"\x93.",
              "dangerous", finding(DANGER), why="a dotted name with special attributes")
    book.file("dotted-call.pkl", b"\x80\x04" + call("builtins", "eval.__call__") + b".", "dangerous", finding(DANGER),
              why="a method of a function")
    getattr_ = b"\x80\x03cbuiltins\ngetattr\n" + lines("torch", "Tensor") + text("__globals__") + b"\x86R"
    book.file("getattr-special.pkl", getattr_ + b".", "dangerous", finding(DANGER, "getattr"),
              why="getattr with a special attribute")
    getattr_ = b"\x80\x03cbuiltins\ngetattr\n" + lines("somewhere", "Tool") + text("run") + b"\x86R"
    book.file("getattr-called.pkl", getattr_ + text("true") + b"\x85R.", "errors", finding("unknown-call", "getattr"),
              why="what getattr gives is called")
    class_ = b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__class__") + lines("somewhere", "Tool") + b"sb."
    book.file("build-class.pkl", class_, "dangerous", finding("attribute-change", "__class__"),
              why="BUILD makes an object another")
    slots = b"\x80\x02ccollections\nOrderedDict\n)RN}" + text("__class__") + lines("somewhere", "Tool") + b"s\x86b}b."
    book.file("build-slots.pkl", slots, "dangerous", finding("attribute-change", "__class__"),
              why="the same by slots, with a harmless state behind it")
    book.file("extension.pkl", b"\x80\x02\x82\x01" + text("true") + b"\x85R.", "errors", finding("extension-code", "extension 1"),
              why="EXT1")
    book.file("missing-memo.pkl", ATTACK[:-1] + b"h\x63.", "dangerous", finding(DANGER, CALL), finding("broken-pickle", "memo"),
              why="a memo entry that is not there, behind the call")
    book.file("memo-number.pkl", b"\x80\x04K\x01q\x000h\x00h\x00\x930" + SYSTEM + b".", "dangerous", finding(DANGER, CALL),
              finding("computed-import"), why="numbers where names belong, before the call")
    book.file("broken-after.pkl", ATTACK[:-1] + b"\xff\xff\xff", "dangerous", finding(DANGER, CALL), finding("broken-pickle"),
              why="an opcode that nobody knows, behind the call")
    book.file("no-stop.pkl", ATTACK[:-1], "dangerous", finding(DANGER, CALL), finding("broken-pickle"), why="no STOP")
    book.file("cut-inside.pkl", ATTACK[:-1] + text("x")[:3], "dangerous", finding(DANGER, CALL), finding("broken-pickle"),
              why="the file ends within an argument")
    book.file("broken-harmless.pkl", b"\x80\x02}" + text("a") + b"s.", "errors", finding("broken-pickle"),
              why="cannot be followed, though nothing is imported")
    book.file("odd-newlines.pkl", b"cos\r\nsystem\n(S'true'\ntR.", "dangerous", finding(DANGER), why="a carriage return in a name")
    frame = b"\x80\x04\x95" + struct.pack("<Q", 4) + SYSTEM + b"."
    book.file("frame-straddled.pkl", frame, "dangerous", finding(DANGER, CALL), why="an argument crosses the end of its frame")
    book.file("leftover.pkl", b"\x80\x02" + SYSTEM + b"}.", "dangerous", finding(DANGER, CALL), finding("leftover-objects"),
              why="the payload, then the real object")
    book.file("persistent.pkl", b"\x80\x02" + text("os") + b"Q" + text("true") + b"\x85R.", "errors", finding("unknown-call"),
              why="what the loading program supplies is called")


def nested(book):
    book.file("second.pkl", a.pickle_of({}) + ATTACK, "dangerous", finding(DANGER, CALL), why="a second pickle behind the first")
    book.file("after-junk.pkl", a.pickle_of({}) + b"\x00\xff" * 40 + ATTACK, "dangerous", finding(DANGER, CALL),
              finding("hidden-pickle"), why="behind junk behind the first pickle")
    book.file("junk-first.bin", b"\x00\xff" * 40 + LINE_ATTACK, "dangerous", finding(DANGER, CALL), finding("not-examined"),
              why="behind junk, protocol 0", status=2)
    byte_string = b"B" + struct.pack("<I", len(ATTACK)) + ATTACK
    book.file("in-bytes.pkl", b"\x80\x03" + byte_string + b".", "dangerous", finding(DANGER, CALL), why="in a byte string")
    encoded = lines("_codecs", "encode") + text(ATTACK.decode("latin1")) + text("latin1") + b"\x86R"
    book.file("in-encoded.pkl", b"\x80\x02" + encoded + b".", "dangerous", finding(DANGER, CALL),
              why="in bytes as protocol 2 writes them")
    squeezed = zlib.compress(ATTACK, 9)
    book.file("in-zlib.pkl", b"\x80\x03C" + bytes([len(squeezed)]) + squeezed + b".", "dangerous", finding(DANGER, CALL),
              why="compressed in a byte string")
    coded = base64.b64encode(ATTACK).decode()
    book.file("in-base64.pkl", b"\x80\x03" + text(coded) + b".", "dangerous", finding(DANGER, CALL), why="as base64 in a text")
    stream = legacy(ATTACK)
    loads = lines("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(stream)) + stream + b"\x85R"
    book.file("load-from-bytes.pkl", b"\x80\x03" + loads + b".", "dangerous", finding(DANGER, CALL),
              why="in a stream of torch's in a byte string")
    book.file("legacy-main.pt", legacy(ATTACK), "dangerous", finding(DANGER, CALL), why="the fourth pickle of a stream")
    computed = b"\x80\x02" + lines("builtins", "eval") + text("0x1950a86a20f9469cfc6c") + b"\x85R."
    book.file("legacy-magic.pt", legacy(a.pickle_of({}), computed), "dangerous", finding(DANGER, "builtins.eval"),
              why="the magic number is computed")
    trailing = legacy(a.pickle_of({"w": a.tensor_v2(a.storage(0, view=(None,)), 0, (2, 3), (3, 1))})) + ATTACK
    book.file("legacy-trailing.pt", trailing, "dangerous", finding(DANGER, CALL), finding("trailing-bytes"),
              why="behind the last storage")
    book.file("object.npy", npy_of_objects(ATTACK), "dangerous", finding(DANGER, CALL), why="an array of objects")
    book.file("object.npz", zip_of([("a.npy", npy_of_objects(ATTACK))]), "dangerous", finding(DANGER, CALL, member="a.npy"),
              why="an array of objects in an npz")
    book.file("joblib-objects.pkl", joblib(ATTACK) + b".", "dangerous", finding(DANGER, CALL),
              why="an array of objects of joblib")
    book.file("joblib-after.pkl", joblib() + SYSTEM + b"0.", "dangerous", finding(DANGER, CALL), why="behind an array of joblib")
    book.file("joblib.pkl.z", zlib.compress(joblib() + SYSTEM + b"0.", 9), "dangerous", finding(DANGER, CALL),
              why="a joblib file in zlib")
    book.file("pickle.gz", gzip.compress(ATTACK, mtime=0), "dangerous", finding(DANGER, CALL), why="in gzip")
    book.file("pickle.tar", tar_of([("readme.txt", b"hello"), ("weights.dat", ATTACK)]), "dangerous",
              finding(DANGER, CALL, member="weights.dat"), why="a member of a tar")
    inner = zip_of([("m/notes.txt", ATTACK)])
    book.file("zip-in-zip.pt", torch_zip(data_pkl(), [{"name": "m/extra.bin", "data": inner}]), "dangerous",
              finding(DANGER, CALL, member="m/extra.bin > m/notes.txt"), why="a zip in a zip")


def zips(book):
    book.file("zip.pt", torch_zip(data_pkl(SYSTEM + b"0")), "dangerous", finding(DANGER, CALL, member="m/data.pkl"),
              why="torch's pickle itself")
    book.file("zip-other-member.pt", torch_zip(data_pkl(), [{"name": "m/data/0.txt", "data": ATTACK}]), "dangerous",
              finding(DANGER, CALL, member="m/data/0.txt"), why="a member that no one expects to be a pickle")
    book.file("zip-protocol-0.pt", torch_zip(data_pkl(), [{"name": "m/notes.txt", "data": LINE_ATTACK}]), "dangerous",
              finding(DANGER, CALL, member="m/notes.txt"), why="a member of protocol 0, called a text")
    book.file("zip-names-differ.pt", archive([{"name": "m/data.pkl", "data": ATTACK, "local_name": "m/datap.kl"}]),
              "dangerous", finding(DANGER, CALL), finding("zip-headers-differ", "m/datap.kl"),
              why="directory and header name the member differently")
    for flag in (1, 0x20, 0x40):
        book.file(f"zip-flag-{flag:#x}.pt", archive([{"name": "m/data.pkl", "data": ATTACK, "flags": flag}]), "errors",
                  finding("not-examined", "encrypted", member="m/data.pkl"), status=2,
                  why="the directory says that the member is encrypted, so nobody can look into it")
    both = local("m/data.pkl", ATTACK, flags=1) + central("m/data.pkl", 0, len(ATTACK), crc=zlib.crc32(ATTACK))
    start = len(local("m/data.pkl", ATTACK))
    book.file("zip-flag-local.pt", both + end(1, len(both) - start, start), "dangerous", finding(DANGER, CALL),
              finding("zip-flags"), why="only the member's own header says that it is encrypted; torch loads it")
    book.file("zip-wrong-crc.pt", archive([{"name": "m/data.pkl", "data": ATTACK, "crc": 1}]), "dangerous",
              finding(DANGER, CALL), why="a wrong checksum, which torch does not look at")
    book.file("zip-duplicate-first.pt", zip_of([("m/data.pkl", ATTACK), ("m/data.pkl", a.pickle_of({}))]), "dangerous",
              finding(DANGER, CALL), finding("duplicate-member"), why="two members of a name; the first would run")
    book.file("zip-duplicate-last.pt", zip_of([("m/data.pkl", a.pickle_of({})), ("m/data.pkl", ATTACK)]), "dangerous",
              finding(DANGER, CALL), finding("duplicate-member"), why="two members of a name; the last would run")
    book.file("zip-case.pt", zip_of([("m/data.pkl", a.pickle_of({})), ("m/DATA.PKL", ATTACK)]), "dangerous",
              finding(DANGER, CALL, member="m/DATA.PKL"), finding("duplicate-member", "case"),
              why="names that differ in case only")
    book.file("zip-two-directories.pt", two_directories(a.pickle_of({}), ATTACK), "dangerous", finding(DANGER, CALL),
              finding("zip-two-directories"), why="an earlier directory lists another member")
    book.file("zip-hidden-member.pt", hidden_member(a.pickle_of({}), ATTACK), "dangerous", finding(DANGER, CALL),
              finding("zip-hidden-member", member="m/code.bin"), why="a member that no directory lists")
    plain = zip_of([("m/data.pkl", a.pickle_of({}))])
    book.file("zip-prepended.pt", ATTACK + plain, "dangerous", finding(DANGER, CALL), finding("zip-prepended"),
              why="a pickle stands before the zip")
    book.file("zip-trailing.pt", plain + ATTACK, "dangerous", finding(DANGER, CALL), finding("zip-trailing-bytes"),
              why="a pickle follows the zip's end record")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(zipfile.ZipInfo("m/weights.dat", (1980, 1, 1, 0, 0, 0)), ATTACK, zipfile.ZIP_DEFLATED)
    book.file("zip-deflated.zip", out.getvalue(), "dangerous", finding(DANGER, CALL, member="m/weights.dat"),
              why="a deflated member")
    book.file("zip-path.pt", torch_zip(data_pkl(), [{"name": "m/../../x", "data": b"x"}]), "warnings",
              finding("member-path", member="m/../../x"), why="a member that would be unpacked elsewhere")
    book.file("tar-path.tar", tar_of([("/etc/x.pkl", ATTACK)]), "dangerous", finding("member-path", member="/etc/x.pkl"),
              finding(DANGER, CALL), why="the same in a tar")
    book.file("pickle.7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "errors", finding("not-examined", "7z"), status=2,
              why="a 7z archive, of which only the first bytes are real")
    book.file("zip-7z-inside.pt", torch_zip(data_pkl(), [{"name": "m/a.7z", "data": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24)}]),
              "errors", finding("not-examined", "7z", member="m/a.7z"), status=2, why="a 7z archive in a zip")


def gguf(metadata):
    """A GGUF file of texts and no tensors."""
    string = lambda value: struct.pack("<Q", len(value.encode())) + value.encode()
    pairs = b"".join(string(key) + struct.pack("<I", 8) + string(value) for key, value in metadata.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + pairs


def safetensors(metadata, entries=None, data=b""):
    header = json.dumps({"__metadata__": metadata, **(entries or {})}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def keras(layers):
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": layers}}
    return zip_of([("metadata.json", b'{"keras_version": "3.5.0"}'), ("config.json", json.dumps(config).encode())])


def layer(module, name, **config):
    return {"module": module, "class_name": name, "config": config}


DENSE = layer("keras.layers", "Dense", units=3)


def carriers(book):
    template = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim }}{% endfor %}"
    book.file("template.gguf", gguf({"general.architecture": "llama", "tokenizer.chat_template": template}), "clean",
              why="a chat template as models have it")
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    book.file("template-escape.gguf", gguf({"tokenizer.chat_template": escape}), "dangerous",
              finding("template-escape", "__class__"), why="a template that reaches behind its values")
    for name, value, verdict, wanted in [
        ("pickle", LINE_ATTACK.decode(), "dangerous", finding(DANGER, CALL)),
        ("base64", base64.b64encode(ATTACK).decode(), "dangerous", finding(DANGER, CALL)),
        ("script", "#!/bin/sh\ntrue\n", "warnings", finding("script-in-metadata")),
    ]:
        book.file(f"metadata-{name}.safetensors", safetensors({"note": value}), verdict, wanted,
                  why=f"a {name} in the metadata")
    book.file("dense.keras", keras([DENSE]), "warnings", finding("not-read"), why="a Keras model without code of its own")
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}
    book.file("lambda.keras", keras([DENSE, layer("keras.layers", "Lambda", function=code)]), "dangerous",
              finding("keras-code", "Lambda", member="config.json"), why="a Lambda layer")
    hook = {"module": "builtins", "class_name": "function", "config": "exec"}
    book.file("function.keras", keras([layer("keras.layers", "Activation", activation=hook)]), "dangerous",
              finding("keras-code", "builtins.exec"), why="a configuration that names a function of Python's")
    book.file("class.keras", keras([layer("somewhere.layers", "Mine")]), "warnings", finding("keras-code", "somewhere.layers.Mine"),
              why="a class of another library")
    one = {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    gap = {**one, "b": {"dtype": "U8", "shape": [2], "data_offsets": [6, 8]}}
    overlap = {**one, "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}
    for name, entries, size, rule in [("gap", gap, 8, "gap"), ("overlap", overlap, 6, "overlap"),
                                      ("cut", one, 3, "truncated"), ("trailing", one, 5, "trailing-bytes")]:
        book.file(f"{name}.safetensors", safetensors({}, entries, bytes(size)), "errors", finding(rule), why=rule)
    case = {"Layer.w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
            "layer.w": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}
    book.file("case.safetensors", safetensors({}, case, bytes(4)), "warnings",
              finding("case-collision", "Layer.w", tensor="layer.w"), why="names that differ in case only")
    view = a.tensor_v2(a.storage(0, numel=8192), 0, (2,), (1,))
    sliced = archive([{"name": "m/data.pkl", "data": a.pickle_of({"w": view})},
                      {"name": "m/data/0", "data": bytes(32768)}, {"name": "m/version", "data": b"3\n"}])
    book.file("slice.pt", sliced, "warnings", finding("unseen-storage", "8 bytes"), why="two values of a storage of 8192")


def weights(tensors):
    """A safetensors file of F32 matrices: name, rows, columns, values."""
    entries, data = {}, b""
    for name, shape, values in tensors:
        raw = floats(*values)
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return safetensors({"format": "pt"}, entries, data)


def wave(count, scale=1.0, start=0):
    """Values without a pattern that could look like a copy; exact in F32."""
    return [scale * (((i + start) * 37 % 101) - 50) / 64 for i in range(count)]


def values(book):
    sane = [(f"layers.{i}.w", (4, 8), wave(32, start=i * 5)) for i in range(10)]
    book.file("sane.safetensors", weights(sane), "clean", args=["--values"], why="ten layers of one scale")
    outlier = [*sane[:4], ("layers.4.w", (4, 8), wave(32, 1000.0, 20)), *sane[5:]]
    book.file("outlier.safetensors", weights(outlier), "warnings", finding("scale-outlier", "larger", tensor="layers.4.w"),
              args=["--values"], why="one layer is a thousand times larger than its siblings")
    broken = wave(32)
    broken[7], broken[9] = float("nan"), float("-inf")
    cases = [
        ("nan", [("w", (4, 8), broken)], "errors", [
            finding("nan", "1 of 32", tensor="w"), finding("nan", "element 7"), finding("infinite", "1 of 32")]),
        ("zero", [("w", (4, 8), [0.0] * 32), ("b", (32,), [0.0] * 32)], "warnings", [
            finding("all-zero", severity="warning", tensor="w"), finding("all-zero", severity="info", tensor="b")]),
        ("constant", [("w", (4, 8), [0.5] * 32)], "warnings", [finding("constant", "0.5", tensor="w")]),
        ("huge", [("w", (4, 8), [*wave(31), 70000.0])], "warnings", [finding("extreme-magnitude", "7e4", tensor="w")]),
        ("copy", [("a", (40, 32), wave(1280)), ("b", (40, 32), wave(1280)), ("c", (40, 32), wave(1280, start=1))], "warnings",
         [finding("duplicate-tensor", "`a`", tensor="b")]),
        ("lora-idle", [("x.lora_down.weight", (4, 8), wave(32)), ("x.lora_up.weight", (8, 4), [0.0] * 32)], "warnings",
         [finding("lora-idle", tensor="x.lora_up.weight")]),
        ("lora-unpaired", [("x.lora_B.weight", (8, 4), wave(32))], "warnings", [finding("lora-unpaired", "x.lora_A.weight")]),
    ]
    for name, tensors, verdict, found in cases:
        book.file(f"{name}.safetensors", weights(tensors), verdict, *found, args=["--values"], why=name)
    book.file("huge-allowed.safetensors", weights(cases[3][1]), "clean", args=["--values", "--max-magnitude", "1e5"],
              why="a larger magnitude is allowed")
    wrong = archive([{"name": "m/data.pkl", "data": data_pkl()}, {"name": "m/version", "data": b"3\n"},
                     {"name": "m/data/0", "data": floats(*range(6)), "crc": 1}])
    book.file("checksum.pt", wrong, "warnings", finding("wrong-checksum", "00000001", member="m/data/0"), args=["--values"],
              why="a storage with another checksum than declared")


def make():
    book = Book()
    for part in (harmless, plain_attacks, tricks, nested, zips, carriers, values):
        part(book)
    text_ = json.dumps(book.expected, indent=1, sort_keys=True)
    (book.folder / "expected.json").write_text(text_ + "\n")
