"""Keeps the paths of the machine that runs this out of the files: torch writes where a class's source lies."""

import os
import sys
import zipfile


def hide_paths():
    """Shortens the paths, and leaves torch's own source text out of legacy streams."""
    import torch.jit
    import torch.serialization
    from torch import _sources

    original = _sources.get_source_lines_and_file

    def short(item, *rest):
        lines, number, path = original(item, *rest)
        return lines, number, os.path.basename(path)

    def without_text(item, *rest):
        return [f"class {item.__name__}: ...\n"], 1, "models.py"

    for name, module in list(sys.modules.items()):
        if name.startswith("torch") and getattr(module, "get_source_lines_and_file", None) is original:
            module.get_source_lines_and_file = short
    torch.serialization.get_source_lines_and_file = without_text


def drop_traces(path):
    """Leaves the stack traces out of a traced archive: `*.debug_pkl`, which nothing needs."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            plain = zipfile.ZipInfo(info.filename, (1980, 1, 1, 0, 0, 0))
            plain.compress_type = info.compress_type
            archive.writestr(plain, data)
