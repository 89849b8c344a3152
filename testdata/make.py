#!/usr/bin/env python3
"""Makes the files of this folder with the libraries that own the formats.

    python -m venv .venv-torch2 && .venv-torch2/bin/pip install torch numpy safetensors gguf
    .venv-torch2/bin/python make.py
    python -m venv .venv-torch1 && .venv-torch1/bin/pip install torch==1.13.1 'numpy<2'
    .venv-torch1/bin/python make.py torch1
    python -m venv .venv-pillow && .venv-pillow/bin/pip install pillow
    .venv-pillow/bin/python make.py workflow

Seeded: a second run gives the same bytes, except for storage keys in PyTorch's legacy files,
which are memory addresses.
"""

import argparse
import importlib
import os
import sys
import warnings

PARTS = {
    "safetensors": "safetensors_files",
    "numpy": "numpy_files",
    "gguf": "gguf_files",
    "pytorch": "pytorch_files",
    "torchscript": "torchscript_files",
    "pickles": "pickle_files",
    "archives": "archive_files",
    "sharded": "sharded_files",
    "prune": "prune_files",
    "sparsity": "sparsity_files",
    # With transformers and diffusers beside torch.
    "leave-out": "leave_out_files",
    # With lightning, accelerate, timm, mmengine, transformers and diffusers beside torch.
    "trainers": "trainer_files",
    "encoded": "encoded_files",
    "lossless": "lossless_files",
    "imatrix": "imatrix_files",
    "bad": "bad_files",
    "audit": "audit_files",
    # With torch 1.13.1, in an environment of its own.
    "torch1": "torch1_files",
    # With blake3 and xxhash beside the others, once the files are there.
    "hash": "hash_values",
    # With transformers and diffusers beside torch.
    "identity": "identity_files",
    # With torchvision, timm, ultralytics, facenet-pytorch, torchcrepe and spandrel beside torch.
    "identity-vision": "identity_vision_files",
    # With transformers and sentencepiece beside the others, and LLAMA_CPP naming llama.cpp's sources.
    "language": "language_files",
    # With transformers beside the others.
    "configs": "config_files",
    # With peft, transformers and diffusers beside torch.
    "adapter": "adapter_files",
    # With Pillow, and nothing else.
    "workflow": "workflow_files",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    current = [part for part in PARTS if part not in ("torch1", "hash", "identity", "identity-vision", "adapter", "configs", "language", "workflow", "leave-out", "trainers")]
    parser.add_argument("parts", nargs="*", default="all", choices=["all", *PARTS], metavar="PART",
                        help="which parts: " + " ".join(PARTS) + " (all but torch1, hash, identity, identity-vision, adapter, configs, language, leave-out, trainers and workflow by default)")
    warnings.filterwarnings("ignore", category=UserWarning)
    parts = parser.parse_args().parts
    for part in current if parts in ("all", ["all"]) else parts:
        importlib.import_module("makers." + PARTS[part]).make()
        print("made", part)


if __name__ == "__main__":
    # Sets and TorchScript's names follow the hash seed, which is read at the start.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-B", *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    main()
