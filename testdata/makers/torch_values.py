"""Values that both torch 2 and torch 1.13 can save."""

import argparse
import collections
import datetime
import pathlib

import torch


class Attention(torch.nn.Module):
    """Has a bias that is None, a buffer that is not persistent, and a plain tensor attribute."""

    def __init__(self):
        super().__init__()
        self.query = torch.nn.Linear(4, 4)
        self.value = torch.nn.Linear(4, 4, bias=False)
        self.register_buffer("mask", torch.ones(4, 4).tril())
        self.register_buffer("cache", torch.arange(3.0), persistent=False)
        self.temperature = torch.tensor(0.5)
        self.names = ["a", "b"]

    def forward(self, x):
        return self.query(x) * self.mask + self.value(x)


class Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), Attention())
        self.stride = torch.tensor([8.0, 16.0])
        self.yaml = {"nc": 2, "anchors": [[1, 2], [3, 4]]}

    def forward(self, x):
        return self.model(x)


class Arguments:
    """Like `transformers.TrainingArguments`: an object with plain attributes."""

    def __init__(self):
        self.output_dir = "out"
        self.learning_rate = 5e-5
        self.fp16 = True
        self.device = torch.device("cpu")


def network():
    torch.manual_seed(7)
    return torch.nn.Sequential(
        collections.OrderedDict(
            conv1=torch.nn.Conv2d(1, 4, 3), norm=torch.nn.BatchNorm2d(4), head=torch.nn.Linear(4, 3)
        )
    )


def state_dict():
    return network().state_dict()


def training():
    """A model, an optimizer after two steps, a scheduler and numbers."""
    torch.manual_seed(8)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return {
        "epoch": 3,
        "arch": "mlp",
        "state_dict": model.state_dict(),
        "best": None,
        "loss": 0.25,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "history": [0.5, 0.25, float("inf")],
    }


def lightning():
    torch.manual_seed(9)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 4,
        "global_step": 100,
        "pytorch-lightning_version": "1.9.5",
        "state_dict": {f"model.{k}": v for k, v in model.state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        # Old versions use the callback's class as the key.
        "callbacks": {Arguments: {"best_model_score": torch.tensor(0.5), "best_model_path": "x.ckpt"}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "layers": (3, 2)},
    }


def plain_values():
    """What stands beside the tensors in files of real trainers."""
    torch.manual_seed(10)
    return {
        "args": argparse.Namespace(lr=0.1, name="x", path=pathlib.PurePosixPath("/data/run")),
        "date": datetime.datetime(2024, 5, 6, 7, 8, 9),
        "set": {3},
        "bytes": b"\x00\xff",
        "complex": 1 + 2j,
        "big": 2**70,
        "negative": -(2**70),
        "ellipsis": ...,
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, {"k": [1]}),
        1: "integer key",
        (1, 2): "tuple key",
        None: "none key",
        "weights": {"w": torch.randn(2, 2)},
    }


def strides():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "contiguous": base.clone(),
        "transposed": base.clone().transpose(0, 2),
        "sliced": base.clone()[:, 1:, 1:3],
        "stepped": base.clone()[:, :, ::2],
        "row": base.clone()[1, 2],
        "column": base.clone()[0, :, 1],
        "channels_last": torch.arange(48).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last),
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 5),
        "expanded_scalar": torch.tensor(7).expand(3, 2),
        "overlapping": torch.arange(6.0).as_strided((4, 3), (1, 1)),
        "diagonal": torch.arange(9.0).reshape(3, 3).diagonal(),
        "scalar": torch.tensor(1.5),
        "scalar_of_many": torch.arange(5.0)[3],
        "empty": torch.zeros(0),
        "empty_dimension": torch.zeros(3, 0, 2, dtype=torch.int64),
        "empty_slice": torch.arange(4.0)[4:],
        "one_element_dimensions": torch.arange(6.0).reshape(3, 2).t().unsqueeze(1),
        "half_transposed": torch.arange(6).half().reshape(2, 3).t(),
        "bytes_transposed": torch.arange(6, dtype=torch.uint8).reshape(2, 3).t(),
        "double_transposed": torch.arange(6.0, dtype=torch.float64).reshape(2, 3).t(),
        "complex_transposed": torch.arange(6.0).reshape(2, 3).t().to(torch.complex128),
    }


def shared():
    """Tied weights, and different views of one storage."""
    flat = torch.arange(12.0)
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(11))
    return {
        "embed.weight": weight,
        "head.weight": weight,
        "head.transposed": weight.t(),
        "flat.first": flat[:6].view(2, 3),
        "flat.second": flat[6:].view(2, 3),
        "flat.all": flat,
        "flat.overlap": flat[3:9],
        "flat.reshaped": flat.view(3, 4),
        "flat.first.again": flat[:6].view(2, 3),
    }


def dtypes(names):
    """2 x 3 values of each dtype, from bytes that are the same every time."""
    out = collections.OrderedDict()
    generator = torch.Generator().manual_seed(12)
    for name in names:
        dtype = getattr(torch, name)
        if name == "bool":
            out[name] = torch.tensor([[True, False, True], [False, False, True]])
            continue
        size = torch.empty(0, dtype=dtype).element_size()
        raw = torch.randint(0, 256, (6 * size,), generator=generator, dtype=torch.uint8)
        out[name] = raw.view(dtype).reshape(2, 3)
    return out


OLD_DTYPES = ("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128").split()


def quantized(with_four_bits=True):
    torch.manual_seed(13)
    x = torch.randn(4, 6)
    scales, zero_points = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0, 1, 2, 3])
    out = {
        "qint8": torch.quantize_per_tensor(x, 0.05, 3, torch.qint8),
        "quint8": torch.quantize_per_tensor(x, 0.05, 128, torch.quint8),
        "qint32": torch.quantize_per_tensor(x, 0.001, 0, torch.qint32),
        "channels": torch.quantize_per_channel(x, scales, zero_points, 0, torch.qint8),
        "channels_unsigned": torch.quantize_per_channel(x.t().contiguous(), scales, zero_points + 100, 1, torch.quint8),
        "transposed": torch.quantize_per_tensor(x, 0.05, 3, torch.qint8).t(),
    }
    if with_four_bits:
        out["quint4x2"] = torch.quantize_per_channel(
            x, scales.float(), torch.tensor([0.5, 1.5, 2.5, 3.5]), 0, torch.quint4x2)
    return out


def sparse():
    dense = torch.zeros(4, 6)
    dense[0, 1], dense[2, 5], dense[3, 0] = 1.0, 2.5, -3.0
    uncoalesced = torch.sparse_coo_tensor([[0, 0, 1], [2, 2, 0]], [1.0, 2.0, 3.0], (2, 3))
    blocks = torch.arange(24.0).reshape(4, 6)
    blocks[:2, :3] = 0
    blocks[2:, 3:] = 0
    out = {
        "coo": dense.to_sparse(),
        "coo_uncoalesced": uncoalesced,
        "coo_hybrid": torch.sparse_coo_tensor([[0, 2]], [[1.0, 2.0], [3.0, 4.0]], (4, 2)),
        "coo_integers": dense.long().to_sparse(),
        "coo_half": dense.half().to_sparse(),
        "coo_empty": torch.zeros(3, 2).to_sparse(),
        "coo_one_dimension": torch.tensor([0.0, 5.0, 0.0]).to_sparse(),
        "csr": dense.to_sparse_csr(),
        "csr_int32": torch.sparse_csr_tensor(
            torch.tensor([0, 1, 1, 2], dtype=torch.int32), torch.tensor([2, 0], dtype=torch.int32),
            torch.tensor([1.5, -2.0], dtype=torch.float64), (3, 4)),
        "csc": dense.to_sparse_csc(),
        "bsr": blocks.to_sparse_bsr((2, 3)),
        "bsc": blocks.to_sparse_bsc((2, 3)),
    }
    return out


def bits():
    """Tensors that stand for their conjugate or negative."""
    z = torch.tensor([[1 + 2j, 3 - 4j], [0 + 0j, -1 + 1j]])
    return {
        "conj": z.conj(),
        "conj_transposed": z.mH if hasattr(z, "mH") else z.conj().t(),
        "neg": z.clone().conj().imag,
        "conj128": z.to(torch.complex128).conj(),
        "plain": z,
    }
