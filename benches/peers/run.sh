#!/usr/bin/env bash
# Side-by-side figures: benches/peers/run.sh blocks|convert|diff|hash|open|prune|quantize|stats [--folder DIR] [--rounds N]
#
# Makes its own Python environment beside this file, builds ckpt, makes the files to work on in
# DIR (default: /dev/shm; 9 GB are needed there), and prints ratios of times measured in one run.
# `blocks` needs no files but ggml's shared library, which CKPT_GGML names; `quantize` needs candle's tool (see
# those scripts).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=${1:?blocks, convert, diff, hash, open, prune, quantize or stats}
shift
if [ ! -x "$here/.venv/bin/python" ]; then
    python3 -m venv "$here/.venv"
    "$here/.venv/bin/pip" install --quiet torch numpy safetensors gguf
fi
cargo build --quiet --locked --release --manifest-path "$here/../../Cargo.toml"
exec "$here/.venv/bin/python" "$here/$name.py" "$@"
