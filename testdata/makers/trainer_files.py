"""Checkpoints that the training programs themselves write, and what their own loaders take of them.

Needs torch, lightning, transformers, accelerate, timm, mmengine and diffusers. Each trains one step
of the same small model. Expected tensors load strictly into that model.
"""

import os
import random
import shutil
from argparse import Namespace
from pathlib import Path
from unittest import mock

import numpy
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from .common import folder
from .hide_paths import hide_paths
from .prune_files import expect_pruned, frozen, prefixed

# Programs write where they train into what they save: a place that says nothing of this machine.
PLACE = Path("/tmp/training")


def make():
    out = folder("prune")
    hide_paths()
    for maker in (lightning, hugging_face, accelerate, timm, mmengine, mmcv, diffusers, by_position, ldm):
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir()
        seed()
        for name, source, *cases in maker():
            target = out / name
            if isinstance(source, Path):
                take(source, target)
            else:
                torch.save(source, target)
            if cases:
                expect_pruned(target, *cases)
    shutil.rmtree(PLACE)


def seed():
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


def take(source, target):
    """Copies what was written, a folder with everything in it."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def data(batch_size=2):
    inputs = torch.randn(4, 1, 4, 4)
    return DataLoader(TensorDataset(inputs, torch.zeros(4, dtype=torch.long)), batch_size=batch_size)


def loads(make_model, state):
    """The state, which loads strictly into a new model."""
    make_model().load_state_dict(state, strict=True)
    return {name: tensor.clone() for name, tensor in state.items()}


def lightning():
    """What `Trainer` saves by itself, and with its averaging callbacks."""
    import logging

    import lightning as pl
    from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Model(pl.LightningModule):
        def __init__(self, rate=0.1):
            super().__init__()
            self.save_hyperparameters()
            self.net = net()
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))

        def training_step(self, batch, _):
            loss = self.criterion(self.net(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            adam = torch.optim.Adam(self.parameters(), lr=self.hparams.rate)
            return [adam], [torch.optim.lr_scheduler.StepLR(adam, 1)]

    def train(*callbacks):
        seed()
        model = Model()
        saver = ModelCheckpoint(dirpath=PLACE, filename="last", save_last=False, monitor="loss")
        trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                             callbacks=[saver, *callbacks], default_root_dir=PLACE, log_every_n_steps=1)
        trainer.fit(model, data())
        path = Path(saver.best_model_path)
        trainer.save_checkpoint(PLACE / "by-hand.ckpt")
        return path, model, saver

    _, model, _ = train()
    state = loads(Model, frozen(model))
    yield "lightning-trainer.ckpt", PLACE / "by-hand.ckpt", ({}, state)
    yield from averaged_lightning(train, Model, EMAWeightAveraging)


def averaged_lightning(train, model_class, callback):
    shutil.rmtree(PLACE)
    path, _, _ = train(callback(decay=0.5))
    content = torch.load(path, weights_only=False)
    average = loads(model_class, content["state_dict"])
    live = loads(model_class, content["current_model_state"])
    assert not torch.equal(live["net.0.weight"], average["net.0.weight"])
    yield "lightning-ema.ckpt", path, ({}, average), ({"weights": "ema"}, average), ({"weights": "live"}, live)


def hugging_face():
    """The folder that `Trainer` writes in the middle of training."""
    import transformers as t

    t.logging.set_verbosity_error()
    config = t.BertConfig(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=8,
                          max_position_embeddings=8, pad_token_id=0)
    model = t.BertForSequenceClassification(config)
    rows = [{"input_ids": torch.tensor([1, 2, 3]), "labels": torch.tensor(n % 2)} for n in range(4)]
    options = t.TrainingArguments(output_dir=str(PLACE), max_steps=2, save_steps=2, report_to=[], use_cpu=True, disable_tqdm=True,
                                  per_device_train_batch_size=2, logging_strategy="no")
    t.Trainer(model=model, args=options, train_dataset=rows).train()
    fresh = lambda: t.BertForSequenceClassification(config)
    yield "checkpoint-2", PLACE / "checkpoint-2", ({}, loads(fresh, frozen(model)))


def accelerate():
    """`save_state`, with a scheduler and an object of the program's own."""
    from accelerate import Accelerator

    class Counter:
        def state_dict(self):
            return {"seen": torch.tensor(3)}

        def load_state_dict(self, state):
            pass

    for name, options in (("accelerate", {}), ("accelerate-bin", {"safe_serialization": False})):
        shutil.rmtree(PLACE, ignore_errors=True)
        seed()
        accelerator = Accelerator(cpu=True)
        model = net()
        adam = torch.optim.Adam(model.parameters())
        prepared = accelerator.prepare(model, adam, data(), torch.optim.lr_scheduler.StepLR(adam, 1))
        accelerator.register_for_checkpointing(Counter())
        step(accelerator.unwrap_model(prepared[0]), prepared[1])
        accelerator.save_state(str(PLACE), **options)
        yield name, PLACE, ({}, loads(net, frozen(model)))
        accelerator.free_memory()


def step(model, optimizer):
    model(torch.randn(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def timm():
    """`CheckpointSaver`, with and without an average, as `train.py` calls it."""
    from timm.models import load_state_dict
    from timm.utils import CheckpointSaver, ModelEmaV3, NativeScaler

    for name, is_averaged in (("timm-saver.pth.tar", True), ("timm-saver-live.pth.tar", False)):
        seed()
        model = net()
        average = ModelEmaV3(model, decay=0.5) if is_averaged else None
        adam = torch.optim.Adam(model.parameters())
        step(model, adam)
        if average:
            average.update(model, step=2)
        scaler = NativeScaler()
        scaler._scaler = torch.amp.GradScaler("cpu")
        arguments = Namespace(model="net", lr=0.1, epochs=2)
        saver = CheckpointSaver(model=model, optimizer=adam, args=arguments, model_ema=average, amp_scaler=scaler,
                                checkpoint_dir=str(PLACE), recovery_dir=str(PLACE))
        saver.save_checkpoint(epoch=1, metric=0.5)
        path = PLACE / "last.pth.tar"
        auto = loads(net, load_state_dict(str(path), weights_only=False))
        live = loads(net, load_state_dict(str(path), use_ema=False, weights_only=False))
        if is_averaged:
            assert not torch.equal(auto["0.weight"], live["0.weight"])
            yield name, path, ({}, auto), ({"weights": "ema"}, auto), ({"weights": "live"}, live)
        else:
            yield name, path, ({}, live)


def mmengine():
    """`Runner` with and without `EMAHook`, which has exchanged the two copies when it saves."""
    from mmengine.hooks import EMAHook
    from mmengine.model import BaseModel
    from mmengine.runner import Runner, load_checkpoint

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, *batch, mode="tensor"):
            return {"loss": self.net(batch[0]).square().sum()}

    for name, hooks in (("mmengine-ema.pth", [EMAHook(momentum=0.5)]), ("mmengine-runner.pth", [])):
        seed()
        model = Model()
        # It writes when it ran, how long each step took, and the commit of the folder that it was called in.
        with (mock.patch("time.time", lambda: 0.0), mock.patch("time.strftime", lambda *_: "20260101_000000"),
              mock.patch("mmengine.runner.runner.get_git_hash", lambda: "")):
            runner = Runner(model=model, work_dir=str(PLACE), train_dataloader=data(), custom_hooks=hooks, log_level="ERROR",
                            train_cfg={"by_epoch": True, "max_epochs": 1}, optim_wrapper={"optimizer": {"type": "Adam", "lr": 0.01}},
                            param_scheduler={"type": "StepLR", "step_size": 1}, randomness={"seed": 0}, experiment_name=name)
            runner.train()
        path = PLACE / "epoch_1.pth"
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        fresh = Model()
        load_checkpoint(fresh, str(path), strict=True)
        auto = frozen(fresh)
        if not hooks:
            yield name, path, ({}, auto)
            continue
        content = torch.load(path, weights_only=False)
        live = {n.removeprefix("module."): v for n, v in content["ema_state_dict"].items() if n.startswith("module.")}
        live = loads(Model, auto | live)
        assert not torch.equal(auto["net.0.weight"], live["net.0.weight"])
        yield name, path, ({}, auto), ({"weights": "ema"}, auto), ({"weights": "live"}, live)


def mmcv():
    """MMCV 1's `EMAHook` registers buffers on the model itself, and exchanges them with the weights before it saves."""
    for name, skips_buffers in (("mmcv-ema.pth", True), ("mmdet-ema.pth", False)):
        seed()
        model = net()
        values = dict(model.named_parameters()) if skips_buffers else model.state_dict()
        for key, value in list(values.items()):
            model.register_buffer(f"ema_{key.replace('.', '_')}", value.detach().clone())
        adam = torch.optim.Adam(model.parameters())
        step(model, adam)
        both = frozen(model)
        kept = {"ema_" + key.replace(".", "_"): key for key in values}
        live = {key: tensor for key, tensor in both.items() if key not in kept}
        average = live | {key: both[buffer] for buffer, key in kept.items()}
        swapped = average | {buffer: live[key] for buffer, key in kept.items()}
        content = {"meta": {"mmcv_version": "1.7.2", "epoch": 1, "iter": 2, "time": "Mon Jan  1 00:00:00 2024"},
                   "state_dict": swapped, "optimizer": adam.state_dict()}
        average, live = loads(net, average), loads(net, live)
        yield name, content, ({}, average), ({"weights": "ema"}, average), ({"weights": "live"}, live)


def unet():
    from diffusers import UNet2DModel

    return UNet2DModel(sample_size=4, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4,), norm_num_groups=2,
                       down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), add_attention=False)


def diffusers():
    """The folder of a diffusers training script: a part of each copy, and what `accelerate` saves."""
    from accelerate import Accelerator
    from diffusers import UNet2DModel
    from diffusers.training_utils import EMAModel

    model = unet()
    average = EMAModel(model.parameters(), decay=0.5, model_cls=UNet2DModel, model_config=model.config)
    adam = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    accelerator = Accelerator(cpu=True)
    model, adam = accelerator.prepare(model, adam)
    model(torch.randn(1, 1, 4, 4), 1).sample.sum().backward()
    adam.step()
    average.step(model.parameters())

    def save(models, weights, place):
        average.save_pretrained(os.path.join(place, "unet_ema"))
        for part in models:
            part.save_pretrained(os.path.join(place, "unet"))
            weights.pop()

    accelerator.register_save_state_pre_hook(save)
    accelerator.save_state(str(PLACE))
    live = loads(unet, frozen(UNet2DModel.from_pretrained(PLACE / "unet")))
    ema = loads(unet, frozen(UNet2DModel.from_pretrained(PLACE / "unet_ema")))
    assert not torch.equal(live["conv_in.weight"], ema["conv_in.weight"])
    yield "diffusers-training", PLACE
    yield "diffusers-training/unet", PLACE / "unet", ({}, live)
    yield "diffusers-training/unet_ema", PLACE / "unet_ema", ({}, ema)


def by_position():
    """An average that has no names: `shadow_params` in the order of `parameters()`."""
    from diffusers.training_utils import EMAModel

    model = net()
    average = EMAModel(model.parameters(), decay=0.5)
    step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    average.step(model.parameters())
    live = frozen(model)
    average.copy_to(model.parameters())
    ema = loads(net, frozen(model))
    assert not torch.equal(live["0.weight"], ema["0.weight"])
    content = {"model": live, "ema": average.state_dict()}
    yield "shadow-params.pt", content, ({}, live), ({"weights": "live"}, live), ({"weights": "ema"}, ema)
    # Of trained parameters only: nothing says which those are.
    some = EMAModel(list(model.parameters())[2:]).state_dict()
    kept = {f"ema.shadow_params.{place}": tensor for place, tensor in enumerate(some["shadow_params"])}
    yield "shadow-params-some.pt", {"model": live, "ema": some}, ({}, live | kept)


class LitEma(nn.Module):
    """As `ldm/modules/ema.py` of CompVis names what it averages."""

    def __init__(self, model):
        super().__init__()
        self.register_buffer("decay", torch.tensor(0.9999))
        self.register_buffer("num_updates", torch.tensor(3, dtype=torch.int))
        for name, parameter in model.named_parameters():
            self.register_buffer(name.replace(".", ""), torch.randn_like(parameter))


def ldm():
    """Stable Diffusion with its average. Names are those of the UNet of 1.5, where dots tell layers apart; sizes are small."""

    def module(names):
        root = nn.Module()
        for name in names:
            *path, last = name.split(".")
            at = root
            for part in path:
                if part not in at._modules:
                    at.add_module(part, nn.Module())
                at = at._modules[part]
            at.register_parameter(last, nn.Parameter(torch.randn(2)))
        return root

    both = lambda *names: [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    inside = ["time_embed.0", "time_embed.2", "input_blocks.0.0", "input_blocks.1.0.in_layers.0", "input_blocks.1.1.norm",
              "input_blocks.11.0.in_layers.0", "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0", "middle_block.1.proj_in",
              "input_blocks.1.1.transformer_blocks.0.ff.net.0.proj", "input_blocks.10.0.out_layers.3", "output_blocks.1.0.skip_connection",
              "output_blocks.1.1.norm", "output_blocks.11.1.norm", "output_blocks.11.0.in_layers.2", "output_blocks.2.1.conv", "out.0", "out.2"]
    whole = nn.Module()
    whole.model = module(prefixed("diffusion_model.", dict.fromkeys(both(*inside))))
    whole.model_ema = LitEma(whole.model)
    whole.first_stage_model = module(both("encoder.conv_in", "decoder.conv_out", "quant_conv"))
    whole.cond_stage_model = module(both("transformer.text_model.final_layer_norm"))
    whole.register_buffer("betas", torch.zeros(4))
    state = frozen(whole)
    live = {n: v for n, v in state.items() if not n.startswith("model_ema.") and n != "betas"}
    # `copy_to`, which `ema_scope` calls to sample.
    shadow = dict(whole.model_ema.named_buffers())
    with torch.no_grad():
        for name, parameter in whole.model.named_parameters():
            parameter.copy_(shadow[name.replace(".", "")])
    ema = {name: frozen(whole)[name] for name in live}
    yield ("ldm-ema.ckpt", {"state_dict": state, "global_step": 3, "pytorch-lightning_version": "1.4.2"},
           ({}, live), ({"weights": "live"}, live), ({"weights": "ema"}, ema))
