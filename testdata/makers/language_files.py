"""Tiny language models as Hugging Face's libraries save them, and what llama.cpp makes of them.

The folders are written by transformers, tokenizers and sentencepiece. `NAME.gguf.json` beside one
holds the metadata of the GGUF file that llama.cpp's own `convert_hf_to_gguf.py` makes of it, and
each tensor's dtype, shape and SHA-256; `NAME.logits.json` the logits that transformers' model
gives for a few tokens. The script finds llama.cpp's sources through the variable LLAMA_CPP.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import torch

from .common import folder

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's 12345 o'clock, they've said: we'll go!",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 22))\n",
    "Der Fuchs läuft über die Straße; naïve café, 東京 и Москва.",
    "A model that knows nothing still has to be written down byte for byte.",
]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"

CARD = """---
license: apache-2.0
language:
- en
- de
pipeline_tag: text-generation
tags:
- tiny
- random
base_model: example-org/base-model
datasets:
- example-org/some-data
---
# A tiny model
"""

TOKENS = [1, 17, 30, 99, 5, 200, 42, 7]

# Contractions, runs of digits and spaces, scripts: where pre-tokenizers differ.
TEXT = "It's 1234567 o'clock,  THEY'LL go\n\n to Москва 東京!!! (naïve)"


def byte_level(pattern, specials, size, prefix=None):
    """A byte-level BPE tokenizer as Llama 3 and Qwen 2 have it; `prefix` stands before each text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=prefix is not None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(specials)
    tokenizer.add_tokens(["<tool_call>"])
    after = processors.ByteLevel(trim_offsets=False)
    if prefix:
        template = processors.TemplateProcessing(
            single=f"{prefix} $A", pair=f"{prefix} $A {prefix} $B:1",
            special_tokens=[(prefix, tokenizer.token_to_id(prefix))])
        after = processors.Sequence([after, template])
    tokenizer.post_processor = after
    return tokenizer


def save_byte_level(path, tokenizer, **facts):
    tokenizer.save(str(path / "tokenizer.json"))
    write(path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **facts})


def write(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_sentencepiece(path, size):
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 4), model_writer=model, vocab_size=size, model_type="bpe",
        byte_fallback=True, character_coverage=1.0, num_threads=1, minloglevel=2,
        user_defined_symbols=["<user>"], hard_vocab_limit=False,
        normalization_rule_name="identity", remove_extra_whitespaces=False)
    (path / "tokenizer.model").write_bytes(model.getvalue())
    write(path / "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False, "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>", "eos_token": {"__type": "AddedToken", "content": "</s>"}, "unk_token": "<unk>",
        "chat_template": TEMPLATE,
        "added_tokens_decoder": {
            "0": {"content": "<unk>", "special": True}, "1": {"content": "<s>", "special": True},
            "2": {"content": "</s>", "special": True},
            "361": {"content": "<|extra|>", "special": False}, "362": {"content": "▁two▁words", "special": False}}})
    write(path / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()


def ids(path):
    """The tokens of the text, as the library that owns the tokenizer finds them."""
    if (path / "tokenizer.model").exists():
        import sentencepiece

        model = sentencepiece.SentencePieceProcessor(model_file=str(path / "tokenizer.model"))
        return [model.bos_id(), *model.encode(TEXT)]
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path / "tokenizer.json")).encode(TEXT).ids


def randomize(model, dtype):
    """Weights large enough that the logits differ from one another."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.1 * noise if parameter.ndim == 1 else 0.25 * noise)
    return model.to(dtype).eval()


SMALL = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5)


def llama_bpe(path):
    """Llama 3: grouped queries, llama3's rotary scaling, byte-level BPE, a padded vocabulary, BF16."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    tokenizer = byte_level(LLAMA3, specials, 290, "<|begin_of_text|>")
    save_byte_level(path, tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")
    (path / "chat_template.jinja").write_text(TEMPLATE)
    (path / "README.md").write_text(CARD)
    config = LlamaConfig(
        vocab_size=296, **SMALL, bos_token_id=290, eos_token_id=291, tie_word_embeddings=False,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
    model = randomize(LlamaForCausalLM(config), torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=290, eos_token_id=[291, 292], temperature=0.6,
                                               top_p=0.9, do_sample=True)
    return model, "bf16", "llama-bpe"


def llama_spm(path):
    """Llama 2: a sentencepiece tokenizer with added tokens, biases on Q, K and V, F16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = save_sentencepiece(path, 360)
    assert size <= 361, size
    config = LlamaConfig(vocab_size=364, **SMALL, bos_token_id=1, eos_token_id=2, pad_token_id=0,
                         attention_bias=True, tie_word_embeddings=False,
                         rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0})
    return randomize(LlamaForCausalLM(config), torch.float16), "f16", "default"


def qwen2_tied(path):
    """Qwen 2: tied embeddings, biases, byte-level BPE; a sharded pytorch_model.bin, F32."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = byte_level(QWEN2, specials, 280)
    save_byte_level(path, tokenizer, bos_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                    add_bos_token=False, chat_template=TEMPLATE)
    config = Qwen2Config(vocab_size=288, **SMALL, bos_token_id=280, eos_token_id=282, tie_word_embeddings=True,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    return randomize(Qwen2ForCausalLM(config), torch.float32), "f32", "qwen2"


def qwen3(path):
    """Qwen 3: norms of Q and K, heads wider than the embedding divided by their number, BF16."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    save_byte_level(path, byte_level(QWEN2, specials, 280), eos_token="<|im_end|>", pad_token="<|endoftext|>")
    config = Qwen3Config(vocab_size=284, **SMALL, head_dim=16, tie_word_embeddings=False,
                         bos_token_id=280, eos_token_id=282,
                         rope_parameters={"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                                          "original_max_position_embeddings": 64})
    return randomize(Qwen3ForCausalLM(config), torch.bfloat16), "bf16", "qwen2"


def mixtral(path):
    """Mixtral: experts, a sentencepiece tokenizer, BF16."""
    from transformers import MixtralConfig, MixtralForCausalLM

    save_sentencepiece(path, 360)
    small = {**SMALL, "intermediate_size": 32, "num_hidden_layers": 1}
    config = MixtralConfig(vocab_size=364, **small, num_local_experts=4, num_experts_per_tok=2,
                           bos_token_id=1, eos_token_id=2, tie_word_embeddings=False, sliding_window=None)
    return randomize(MixtralForCausalLM(config), torch.bfloat16), "bf16", "default"


MODELS = {"llama-bpe": llama_bpe, "llama-spm": llama_spm, "qwen2-tied": qwen2_tied, "qwen3": qwen3,
          "mixtral": mixtral}


def llama_cpp():
    """llama.cpp's converter, imported from its sources."""
    sources = Path(os.environ["LLAMA_CPP"])
    sys.path[:0] = [str(sources / "gguf-py"), str(sources)]
    import conversion

    conversion.load_all_models()
    from conversion.base import ModelBase

    return ModelBase


def converted(path, kind, pre):
    """What llama.cpp's converter makes of the folder, as gguf-py reads it."""
    base = llama_cpp()
    import gguf  # of those sources

    # Known pre-tokenizers are told by a hash of what they make of a text, which depends on the vocabulary.
    for known in base.__subclasses__():
        known.get_vocab_base_pre = lambda self, tokenizer: pre
    types = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16,
             "bf16": gguf.LlamaFileType.MOSTLY_BF16}
    architecture = json.loads((path / "config.json").read_text())["architectures"][0]
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "model.gguf"
        base.from_model_architecture(architecture)(path, types[kind], target).write()
        reader = gguf.GGUFReader(target)
        metadata = {}
        for key, field in reader.fields.items():
            if not key.startswith("GGUF."):
                kinds = [kind.name.lower() for kind in field.types]
                metadata[key] = {"type": kinds, "value": field.contents()}
        tensors = {
            t.name: [t.tensor_type.name, [int(d) for d in reversed(t.shape.tolist())],
                     hashlib.sha256(t.data.tobytes()).hexdigest()]
            for t in reader.tensors}
    return {"metadata": metadata, "tensors": tensors}


def write_lines(path, parts):
    """JSON with one entry a line."""
    def lines(entries):
        return ",\n  ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items())

    body = ",\n ".join(f'"{name}": {{\n  {lines(entries)}\n }}' for name, entries in parts.items())
    path.write_text("{\n " + body + "\n}\n")


def make():
    root = folder("language")
    for name, build in MODELS.items():
        path = root / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        torch.manual_seed(0)
        model, kind, pre = build(path)
        model.save_pretrained(path)
        if name == "qwen2-tied":
            shards(path, model)
        with torch.no_grad():
            logits = model.float()(torch.tensor([TOKENS])).logits[0, -1]
        facts = {"tokens": TOKENS, "logits": [round(float(v), 6) for v in logits],
                 "text": TEXT, "ids": ids(path)}
        (root / f"{name}.logits.json").write_text(json.dumps(facts) + "\n")
        write_lines(root / f"{name}.gguf.json", converted(path, kind, pre))


def shards(path, model):
    """`pytorch_model.bin` in two shards, in place of the safetensors file."""
    (path / "model.safetensors").unlink()
    state = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    names = list(state)
    weight_map = {}
    for number, part in enumerate([names[:5], names[5:]], 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name].clone() for name in part}, path / file)
        weight_map.update({name: file for name in part})
    total = sum(v.numel() * v.element_size() for v in state.values())
    write(path / "pytorch_model.bin.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
