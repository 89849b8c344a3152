"""Workflows in the shapes that ComfyUI and A1111 publish, bare and inside pictures by Pillow.

Needs Pillow. The graphs are written by hand; ComfyUI's own writer of pictures is followed in what it gives to
Pillow: `PngInfo.add_text` for PNG, EXIF tags 0x0110 and 0x010F for WebP, the chunk `comf` for animated PNG.
"""

import json
import os
import struct
import zlib

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "workflow")
SUBGRAPH = "7f3c9b1e-52a4-4f0e-9d3c-2b8f5a1c6e70"


def node(number, kind, values=None, mode=0, inputs=(), models=(), **more):
    """One node of the UI's format."""
    properties = {"Node name for S&R": kind}
    if models:
        properties["models"] = list(models)
    return {"id": number, "type": kind, "pos": [0, 0], "size": [200, 100], "flags": {}, "order": number,
            "mode": mode, "inputs": list(inputs), "outputs": [], "properties": properties,
            **({} if values is None else {"widgets_values": values}), **more}


def linked(name, link, widget=None):
    return {"name": name, "type": "*", "link": link, **({"widget": {"name": widget}} if widget else {})}


def ui():
    """SDXL with a LoRA; a muted, a bypassed and a custom node; a subgraph; a note."""
    checkpoint = {"name": "sd_xl_base_1.0.safetensors", "directory": "checkpoints", "hash_type": "SHA256",
                  "url": "https://example.org/sd_xl_base_1.0.safetensors", "hash": "0" * 64}
    nodes = [
        node(1, "CheckpointLoaderSimple", ["sd_xl_base_1.0.safetensors"], models=[checkpoint]),
        node(2, "LoraLoader", ["styles\\ink.safetensors", 0.8, 1], inputs=[linked("model", 1), linked("clip", 2)]),
        node(3, "CLIPTextEncode", ["a cat, (embedding:easynegative:1.2), embedding:bad-hands.pt"]),
        node(4, "VAELoader", ["sdxl_vae.safetensors"], mode=2),
        node(5, "ControlNetLoader", ["canny.safetensors"], mode=4),
        node(6, "Power Lora Loader (rgthree)", [{}, {"on": True, "lora": "extra.safetensors", "strength": 1},
                                                {"on": False, "lora": "unused.safetensors", "strength": 1}]),
        node(7, SUBGRAPH, ["inner_unet.safetensors", "promoted.safetensors"],
             inputs=[linked("unet_name", None, "unet_name")]),
        node(8, "MarkdownNote", ["put https://example.org/a.safetensors into models/loras"]),
        node(9, "PrimitiveNode", ["by_primitive.pth", "fixed"]),
        node(10, "UpscaleModelLoader", ["stale.pth"], inputs=[linked("model_name", 3, "model_name")]),
        node(11, "VAELoader", ["taesdxl"]),
        node(12, "LoraLoaderModelOnly", ["None", 1]),
        node(13, "UnetLoaderGGUF", ["flux1-dev-Q4_K_S.gguf"]),
    ]
    nodes[6]["properties"]["proxyWidgets"] = [["-1", "unet_name"], ["22", "clip_name"]]
    inner = [
        node(21, "UNETLoader", ["default.safetensors", "default"], inputs=[linked("unet_name", 1, "unet_name")]),
        node(22, "CLIPLoader", ["default_clip.safetensors", "flux", "default"], mode=2),
    ]
    subgraph = {"id": SUBGRAPH, "version": 1, "name": "inside", "inputNode": {"id": -10}, "outputNode": {"id": -20},
                "inputs": [{"id": "a", "name": "unet_name", "type": "COMBO", "linkIds": [1]}], "outputs": [],
                "nodes": inner, "widgets": [],
                "links": [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 21, "target_slot": 0,
                           "type": "COMBO"}]}
    links = [[1, 1, 0, 2, 0, "MODEL"], [2, 1, 1, 2, 1, "CLIP"], [3, 9, 0, 10, 0, "COMBO"]]
    listed = {"name": "listed_only.safetensors", "directory": "clip", "url": "https://example.org/listed_only"}
    return {"last_node_id": 22, "last_link_id": 3, "nodes": nodes, "links": links, "groups": [], "config": {},
            "extra": {}, "version": 0.4, "models": [listed], "definitions": {"subgraphs": [subgraph]}}


def api():
    """The same beginning as the server is sent it, with the NaN that Python writes."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"},
              "_meta": {"title": "Load"}, "is_changed": [float("nan")]},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "styles/ink.safetensors", "strength_model": 0.8,
                                                     "strength_clip": 1, "model": ["1", 0], "clip": ["1", 1]}},
        "3": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "clip_l.safetensors",
                                                         "clip_name2": "t5xxl_fp16.safetensors", "type": "flux"}},
        "4": {"class_type": "SomebodysLoader", "inputs": {"ipadapter_file": "ip.bin", "seed": 7, "x": ["1", 0]}},
    }


PARAMETERS = """a cat <lora:ink:0.8>
Negative prompt: easynegative
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, \
Lora hashes: "ink: 3b8aa1d351ef", TI hashes: "easynegative: c74b4e810b03", Version: v1.6.0"""


def write(name, text):
    with open(os.path.join(FOLDER, name), "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def pictures():
    from PIL import Image, PngImagePlugin

    image = Image.new("RGB", (2, 2), (120, 40, 200))
    workflow, prompt = json.dumps(ui()), json.dumps(api())

    def path(name):
        return os.path.join(FOLDER, name)

    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", prompt)
    info.add_text("workflow", workflow)
    image.save(path("comfyui.png"), pnginfo=info)

    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", prompt, zip=True)
    image.save(path("packed.png"), pnginfo=info)

    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", PARAMETERS + ", Note: \u732b")
    image.save(path("a1111.png"), pnginfo=info)

    # As ComfyUI's SaveAnimatedPNG: after the pixels.
    info = PngImagePlugin.PngInfo()
    info.add(b"comf", b"prompt\0" + prompt.encode("latin-1"), after_idat=True)
    image.save(path("animated.png"), pnginfo=info, save_all=True, append_images=[Image.new("RGB", (2, 2))])

    exif = image.getexif()
    exif[0x0110] = "prompt:" + prompt
    exif[0x010F] = "workflow:" + workflow
    image.save(path("comfyui.webp"), exif=exif)

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    image.save(path("a1111.jpg"), exif=exif)


def checkpoint():
    """A file without tensors whose metadata hold a workflow, as ComfyUI's saving nodes write it."""
    header = json.dumps({"__metadata__": {"prompt": json.dumps(api())}}).encode()
    header += b" " * (-len(header) % 8)
    with open(os.path.join(FOLDER, "saved.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)


def bomb():
    """65 MB of blanks in a zTXt of 64 kB."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compress(b" " * 65_000_000, 9)
    data = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"zTXt", b"workflow\0\0" + packed)
    with open(os.path.join(FOLDER, "bomb.png"), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))


def make():
    os.makedirs(FOLDER, exist_ok=True)
    write("ui.json", json.dumps(ui(), indent=1) + "\n")
    write("api.json", json.dumps(api(), indent=1) + "\n")
    write("a1111.txt", PARAMETERS + "\n")
    pictures()
    checkpoint()
    bomb()
