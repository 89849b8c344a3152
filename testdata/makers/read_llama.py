"""What llama.cpp computes with a file: `python -m makers.read_llama MODEL.gguf FACTS.json`.

Prints the largest difference between its logits and those in FACTS, and the tokens that it cuts the
text in FACTS into. The tests run it on what they wrote, if `CKPT_LLAMA_PYTHON` names a Python that
has llama-cpp-python.
"""

import json
import sys

from llama_cpp import GGML_TYPE_F32, Llama


def main():
    path, facts = sys.argv[1], json.load(open(sys.argv[2]))
    # Keys and values in F32: as many digits as the weights have.
    model = Llama(path, logits_all=True, n_ctx=64, n_threads=1, verbose=False,
                  type_k=GGML_TYPE_F32, type_v=GGML_TYPE_F32)
    model.eval(facts["tokens"])
    logits = model.scores[len(facts["tokens"]) - 1].tolist()
    assert len(logits) == len(facts["logits"])
    difference = max(abs(ours - theirs) for ours, theirs in zip(logits, facts["logits"]))
    ids = model.tokenize(facts["text"].encode(), add_bos=True, special=False)
    print(json.dumps({"difference": difference, "ids": ids}))


if __name__ == "__main__":
    main()
