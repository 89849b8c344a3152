"""Names and shapes of vision and audio models by the libraries that they come from.

Written as `identity_files` writes them: torchvision, timm, ultralytics, facenet-pytorch, torchcrepe,
OpenCLIP and, for what makes pictures larger, spandrel, which keeps its authors' own classes.
"""

import importlib.util
import sys
import types
from importlib.metadata import files, version

from makers.identity_files import on_meta, write

# name, what builds it, its arguments, family, variant, facts
TORCHVISION = [
    ("resnet18", {}, "resnet", "18", {"classes": 1000}),
    ("resnet34", {}, "resnet", "34", {}),
    ("resnet50", {}, "resnet", "50", {}),
    ("resnet101", {}, "resnet", "101", {}),
    ("resnet152", {}, "resnet", "152", {}),
    ("wide_resnet50_2", {}, "resnet", "wide 50", {}),
    ("resnext50_32x4d", {}, "resnet", "resnext 50", {}),
    ("vgg11", {}, "vgg", "11", {"classes": 1000}),
    ("vgg13_bn", {}, "vgg", "13 with batch norms", {}),
    ("vgg16", {}, "vgg", "16", {}),
    ("vgg19", {}, "vgg", "19", {}),
    ("vit_b_16", {}, "vit", "base", {"layers": 12, "hidden_size": 768, "patch_size": 16, "classes": 1000}),
    ("efficientnet_b0", {}, "efficientnet", None, {"classes": 1000}),
    ("efficientnet_v2_s", {}, "efficientnet", None, {"classes": 1000}),
    ("mobilenet_v2", {}, "mobilenet", "v2", {"classes": 1000}),
    ("mobilenet_v3_large", {}, "mobilenet", "v3 large", {"classes": 1000}),
    ("mobilenet_v3_small", {}, "mobilenet", "v3 small", {}),
    ("alexnet", {}, "alexnet", None, {"classes": 1000}),
    ("densenet121", {}, "densenet", None, {"classes": 1000}),
    ("inception_v3", {"init_weights": False}, "inception", None, {"classes": 1000}),
    ("squeezenet1_1", {}, "squeezenet", None, {}),
    ("convnext_tiny", {}, "convnext", None, {"classes": 1000}),
    ("swin_t", {}, "swin", None, {"classes": 1000}),
]
TIMM = [
    ("vit_tiny_patch16_224", "vit", "tiny", {"layers": 12, "hidden_size": 192}),
    ("vit_small_patch16_224", "vit", "small", {"hidden_size": 384}),
    ("vit_base_patch16_224", "vit", "base", {"layers": 12, "hidden_size": 768, "patch_size": 16, "classes": 1000}),
    ("vit_large_patch14_224", "vit", "large", {"layers": 24, "patch_size": 14}),
    ("resnet50", "resnet", "50", {}),
    ("efficientnet_b0", "efficientnet", None, {"classes": 1000}),
    ("mobilenetv3_large_100", "mobilenet", "v3", {"classes": 1000}),
    ("mobilenetv2_100", "mobilenet", "v2", {"classes": 1000}),
    ("convnext_tiny", "convnext", None, {"classes": 1000}),
    ("swin_tiny_patch4_window7_224", "swin", None, {}),
]
YOLO = [
    ("v3/yolov3.yaml", "v3u"), ("v5/yolov5n.yaml", "v5u"), ("v8/yolov8n.yaml", "v8"), ("v8/yolov8n-seg.yaml", "v8"),
    ("v9/yolov9t.yaml", "v9"), ("v10/yolov10n.yaml", "v10"), ("11/yolo11n.yaml", "11"), ("12/yolo12n.yaml", "12"), ("26/yolo26n.yaml", "26"),
]
UPSCALERS = [
    ("ESRGAN", "RRDB", "RRDBNet", {}, "esrgan", "old names"),
    ("SwinIR", "SwinIR", "SwinIR", {"depths": [6] * 6, "num_heads": [6] * 6, "embed_dim": 180, "window_size": 8, "upscale": 4, "upsampler": "nearest+conv"}, "swinir", None),
    ("Swin2SR", "Swin2SR", "Swin2SR", {"window_size": 8}, "swin2sr", None),
    ("HAT", "HAT", "HAT", {"window_size": 16}, "hat", None),
    ("DAT", "DAT", "DAT", {}, "dat", None),
    ("SPAN", "span", "SPAN", {"num_in_ch": 3, "num_out_ch": 3}, "span", None),
    ("Compact", "SRVGG", "SRVGGNetCompact", {}, "realesrgan-compact", None),
    ("OmniSR", "OmniSR", "OmniSR", {}, "omnisr", None),
    ("ATD", "atd_arch", "ATD", {}, "atd", None),
    ("DRCT", "drct_arch", "DRCT", {}, "drct", None),
    ("PLKSR", "PLKSR", "PLKSR", {}, "plksr", "plksr"),
    ("PLKSR", "RealPLKSR", "RealPLKSR", {}, "plksr", "real-plksr"),
    ("RGT", "rgt", "RGT", {}, "rgt", None),
    ("SCUNet", "SCUNet", "SCUNet", {}, "scunet", None),
    ("RealCUGAN", "upcunet_v3", "UpCunet4x", {}, "real-cugan", None),
    ("GFPGAN", "gfpganv1_clean_arch", "GFPGANv1Clean", {"out_size": 512, "channel_multiplier": 2, "fix_decoder": False, "input_is_latent": True, "different_w": True, "sft_half": True}, "gfpgan", None),
    ("RestoreFormer", "restoreformer_arch", "RestoreFormer", {}, "restoreformer", None),
]


def describe(name, library, built, kind, family, variant, facts):
    tensors = [(key, "F32" if value.is_floating_point() else "I64", value.shape) for key, value in built.state_dict().items()]
    expected = {"kind": kind, "family": family, **({"variant": variant} if variant else {}), **facts}
    write("vision", name.replace("_", "-").lower(), f"{library} {version(library)}, {type(built).__name__}", expected, tensors)


def crepe():
    """The model's module by itself: the package wants the libraries that read sound."""
    path = next(file for file in files("torchcrepe") if file.name == "model.py").locate()
    spec = importlib.util.spec_from_file_location("torchcrepe_model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("torchcrepe", types.SimpleNamespace(PITCH_BINS=360))
    spec.loader.exec_module(module)
    return module


def make():
    import facenet_pytorch.models.mtcnn as mtcnn
    import timm
    import torchvision
    from ultralytics.nn.tasks import DetectionModel, SegmentationModel

    for name, arguments, family, variant, facts in TORCHVISION:
        model = on_meta(lambda: getattr(torchvision.models, name)(**arguments))
        describe("torchvision-" + name, "torchvision", model, "model", family, variant, facts)
    for name, family, variant, facts in TIMM:
        describe("timm-" + name, "timm", on_meta(lambda: timm.create_model(name)), "model", family, variant, facts)
    for path, variant in YOLO:
        build = SegmentationModel if "-seg" in path else DetectionModel
        name = path.split("/")[1].removesuffix(".yaml")
        describe(name, "ultralytics", build(path.split("/")[1], verbose=False), "model", "yolo", variant, {})
    for name, variant in (("PNet", "pnet"), ("RNet", "rnet"), ("ONet", "onet")):
        describe("mtcnn-" + variant, "facenet-pytorch", getattr(mtcnn, name)(pretrained=False), "model", "mtcnn", variant, {})
    for size in ("tiny", "full"):
        describe("crepe-" + size, "torchcrepe", crepe().Crepe(size), "model", "crepe", size, {})
    for folder, module, name, arguments, family, variant in UPSCALERS:
        module = importlib.import_module(f"spandrel.architectures.{folder}.__arch.{module}")
        describe(name, "spandrel", getattr(module, name)(**arguments), "upscaler", family, variant, {})
