"""Training checkpoints as the savers of each framework lay them out, and what is the model in them.

The weights come from real modules, so that `state_dict()` says what must be left.
"""

import copy
import json

import torch
from torch import nn
from torch.nn.utils import prune

from .common import folder
from .hide_paths import hide_paths
from .torch_expect import tensor_entry


def net(seed=0, scale=1.0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale).add_(0.01)
    return model


def averaged():
    """The model's weights, and their average after another step."""
    return net(0), net(1)


def optimizer(model):
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 1, 4, 4)).sum().backward()
    adam.step()
    return adam.state_dict()


def expect_pruned(path, *cases):
    """Writes `PATH.pruned.json`: for each case its options and the tensors that are left."""
    rows = []
    for options, tensors in cases:
        entries = [tensor_entry(name, tensor) for name, tensor in tensors.items()]
        lines = ",\n   ".join(json.dumps(entry) for entry in entries)
        rows.append(f' {{"options": {json.dumps(options)}, "tensors": [\n   {lines}\n ]}}')
    path.with_name(path.name + ".pruned.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def frozen(model):
    """Its state dict, which no later step changes."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def make():
    out = folder("prune")
    hide_paths()
    for maker in (plain, wrappers, yolo, fairseq, deepspeed, basicsr, gan,
                  zeroing, folding):
        for name, content, *cases in maker():
            torch.save(content, out / name)
            expect_pruned(out / name, *cases)


def plain():
    live, ema = averaged()
    state, average = frozen(live), frozen(ema)
    content = {
        "epoch": 3, "model_state_dict": state, "optimizer_state_dict": optimizer(live),
        "scheduler": {"last_epoch": 3}, "scaler": {"scale": 65536.0}, "rng_state": torch.get_rng_state()[:16],
        "cuda_rng_state": [torch.arange(4, dtype=torch.uint8)], "ema": prefixed("module.", average) | {"steps": torch.tensor(3)},
    }
    yield ("plain.pt", content, ({}, state), ({"weights": "live"}, state), ({"weights": "ema"}, average),
           ({"recipe": "none", "drop": ["optimizer_state_dict.*", "ema.*", "*rng_state*"]}, state))
    yield ("only-ema.pt", {"model": None, "ema": average}, ({}, average), ({"weights": "ema"}, average))


def wrappers():
    live, ema = averaged()
    state = frozen(live)
    compiled = {name.replace("3.", "3._orig_mod."): tensor for name, tensor in state.items()}
    yield "wrappers.pt", {"state_dict": prefixed("_forward_module.module._orig_mod.", compiled)}, ({}, state)
    # What torch itself writes for an average of weights.
    swa = torch.optim.swa_utils.AveragedModel(ema)
    yield "averaged-model.pt", swa.state_dict(), ({}, frozen(ema))
    # Without `module.` before each name, none is taken off.
    some = {"module.weight": state["3.weight"], "head.weight": state["0.weight"]}
    yield "some-module.pt", some, ({}, some)
    # Taken off, both would have one name.
    both = {"a._orig_mod.w": state["3.weight"], "a.w": state["3.bias"]}
    yield "name-taken.pt", both, ({}, both)


def yolo():
    live, ema = averaged()
    content = {
        "epoch": 3, "best_fitness": 0.5, "model": copy.deepcopy(live).half(), "ema": copy.deepcopy(ema).half(), "updates": 10,
        "optimizer": optimizer(live), "train_args": {"epochs": 10}, "date": "2026-01-01", "version": "8.4.0",
    }
    half = lambda model: copy.deepcopy(model).half().state_dict()
    yield "yolo.pt", content, ({}, half(ema)), ({"weights": "live"}, half(content["model"]))


def fairseq():
    live, ema = averaged()
    state, average = frozen(live), frozen(ema)
    content = {
        "args": None, "cfg": {"task": "translation"}, "model": state, "criterion": {"weight": torch.ones(2)},
        "optimizer_history": [{"criterion_name": "C", "optimizer_name": "Adam", "num_updates": 3}],
        "task_state": {}, "extra_state": {"epoch": 1, "ema": average, "metrics": {"loss": torch.tensor(1.0)}},
        "last_optimizer_state": optimizer(live),
    }
    yield "fairseq.pt", content, ({}, state), ({"weights": "ema"}, average)


def deepspeed():
    live, _ = averaged()
    state = frozen(live)
    content = {
        "module": state, "buffer_names": ["1.running_mean"], "optimizer": None, "param_shapes": [{"0.weight": torch.Size([2, 1, 3, 3])}],
        "lr_scheduler": {"last_batch_iteration": 3}, "random_ltd": None, "sparse_tensor_module_names": set(), "skipped_steps": 0,
        "global_steps": 3, "global_samples": 12, "dp_world_size": 1, "mp_world_size": 1, "ds_config": {"train_batch_size": 4}, "ds_version": "0.17.0",
        "rng": torch.arange(4, dtype=torch.uint8),
    }
    yield "deepspeed.pt", content, ({}, state)


def basicsr():
    live, ema = averaged()
    state, average = frozen(live), frozen(ema)
    yield "basicsr.pth", {"params": state, "params_ema": average}, ({}, average), ({"weights": "live"}, state)


def gan():
    """A part that no recipe knows is kept under its full name."""
    live, other = averaged()
    state, critic = frozen(live), frozen(other)
    content = {"generator": state, "discriminator": critic, "optim_g": optimizer(live), "optim_d": optimizer(other)}
    both = state | prefixed("discriminator.", critic)
    yield ("gan.pt", content, ({}, both), ({"drop": ["discriminator.*"]}, state),
           ({"drop": ["*"], "keep": ["3.bias"]}, {"3.bias": state["3.bias"]}),
           ({"exclude": ["3.bias", "discriminator.*"]}, {k: v for k, v in state.items() if k != "3.bias"}))


def zeroed(weight, method, **options):
    """A tensor as `torch.nn.utils.prune` leaves it, with positive zeros only."""
    module = nn.Module()
    module.weight = nn.Parameter(weight.clone())
    method(module, "weight", **options)
    return module.weight.detach() + 0.0


def zeroing():
    """Equal to torch.nn.utils.prune."""
    torch.manual_seed(3)
    matrices = {"a.weight": torch.randn(48, 64), "b.weight": torch.randn(16, 96), "conv.weight": torch.randn(12, 6, 3, 3)}
    rest = {"embed.weight": torch.randn(10, 4), "a.bias": torch.randn(48), "norm.weight": torch.randn(64), "steps": torch.arange(4)}
    each = lambda method, **options: {n: zeroed(w, method, **options) for n, w in matrices.items()} | rest

    def together(amount):
        modules = {}
        for name, weight in matrices.items():
            modules[name] = nn.Module()
            modules[name].weight = nn.Parameter(weight.clone())
        prune.global_unstructured([(m, "weight") for m in modules.values()], prune.L1Unstructured, amount=amount)
        return {name: module.weight.detach() + 0.0 for name, module in modules.items()} | rest

    def of_four(weight):
        groups = weight.reshape(-1, 4)
        smallest = groups.abs().argsort(dim=1, stable=True)[:, :2]
        return groups.scatter(1, smallest, 0.0).reshape(weight.shape)

    structured = {n: of_four(w) if w.dim() == 2 else w for n, w in matrices.items()} | rest
    yield ("zeroing.pt", matrices | rest,
           ({"each": 0.37}, each(prune.l1_unstructured, amount=0.37)),
           ({"global": 0.37}, together(0.37)),
           ({"rows": 0.25, "norm": "l1"}, each(prune.ln_structured, amount=0.25, n=1, dim=0)),
           ({"rows": 0.25}, each(prune.ln_structured, amount=0.25, n=2, dim=0)),
           ({"channels": 0.25}, each(prune.ln_structured, amount=0.25, n=2, dim=1)),
           ({"channels": 0.5, "norm": "max"}, each(prune.ln_structured, amount=0.5, n=float("inf"), dim=1)),
           ({"groups": [2, 4]}, structured),
           ({"each": 0.5, "zero": ["a.bias"]},
            matrices | rest | {"a.bias": zeroed(rest["a.bias"], prune.l1_unstructured, amount=0.5)}),
           ({"ratios": [["a.*", 0.75], ["a.weight", 0.1]]},
            matrices | rest | {n: zeroed((matrices | rest)[n], prune.l1_unstructured, amount=0.75) for n in ("a.weight", "a.bias")}))


def folding():
    """What `remove` and `remove_parametrizations` of torch leave; masks multiply out to negative zeros too."""
    torch.manual_seed(4)
    layer = nn.Linear(6, 4)
    weight = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    prune.l1_unstructured(layer, "weight", amount=0.5)
    masked = frozen(layer)
    prune.remove(layer, "weight")
    yield "pruned.pt", {"state_dict": prefixed("fc.", masked)}, ({}, prefixed("fc.", frozen(layer)))
    yield "half-a-pair.pt", {"fc.weight_orig": weight["weight"]}, ({}, {"fc.weight_orig": weight["weight"]})
