"""Files that must fail, and where. What each error says stands in its `.err`, which is reviewed.

`why.json` names the fault, whose it is (the error's kind) and, where the specification leaves no
doubt, the place that the error must name.
"""

import json
import shutil

from . import bad_pickles, bad_simple, bad_zips
from .common import folder


class Bad:
    """Collects files and the reasons why they must fail."""

    def __init__(self):
        self.out = folder("bad")
        self.reasons = {}

    def __call__(self, name, data, why, kind="malformed", **place):
        """`data`: bytes, or None for what the caller has written. `place`: tensor, member, offset."""
        if data is not None:
            (self.out / name).parent.mkdir(exist_ok=True)
            (self.out / name).write_bytes(data)
        self.reasons[name] = {"why": why, "kind": kind, **place}


def make():
    bad = Bad()
    bad_simple.make(bad)
    bad_zips.make(bad)
    bad_pickles.make(bad)
    for path in bad.out.iterdir():
        if path.name.removesuffix(".err") not in bad.reasons:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    rows = [f" {json.dumps(name)}: {json.dumps(reason)}" for name, reason in sorted(bad.reasons.items())]
    (bad.out / "why.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
