"""torch 1.13.1: the same values, as that version writes them."""

import torch

from . import torch_values as values
from .common import folder
from .hide_paths import hide_paths
from .torch_expect import save
from .torchscript_files import Inner
from .torchscript_files import save as save_script


def make():
    assert torch.__version__.startswith("1.13."), torch.__version__
    out = folder("pytorch")
    hide_paths()
    torch.manual_seed(40)

    def both(name, value):
        save(out / f"torch1-{name}.pt", value)
        save(out / f"torch1-legacy-{name}.pt", value, variant="legacy", _use_new_zipfile_serialization=False)

    both("state_dict", values.state_dict())
    both("training", values.training())
    both("module", values.Detector())
    both("dtypes", values.dtypes(values.OLD_DTYPES))
    both("strides", values.strides())
    both("shared", values.shared())
    both("quantized", values.quantized(with_four_bits=False))
    # 1.13 cannot save the other compressed layouts.
    both("sparse", {k: v for k, v in values.sparse().items() if k[:3] not in ("csc", "bsr", "bsc")})
    both("bits", values.bits())
    save(out / "torch1-protocol-4.pt", values.training(), pickle_protocol=4)
    torch.manual_seed(41)
    save_script(out / "torch1-script.pt", torch.jit.script(Inner()))
