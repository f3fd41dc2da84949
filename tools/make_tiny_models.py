#!/usr/bin/env python3
"""Writes tests/models: tiny random checkpoints and the logits that transformers gives for them in float32.

    python tools/make_tiny_models.py            # rewrites every case
    python tools/make_tiny_models.py llama-gqa  # only the named ones

Each case is a folder with config.json, safetensors and golden.json: {"input_ids", "logits" (one row per
position, nine significant digits), "transformers"}. The logits come from the stored weights widened to float32.
Where a case is there for one feature (a rope scaling, a window), the script checks that switching the feature off
moves the logits, so that a reader which ignores it cannot pass. The two *-rows256 cases have rows of 256, as
K-quants need, and a tokenizer, so that they can go through a whole conversion.
"""

import json
import pathlib
import sys

import safetensors.torch
import torch
import transformers

import tiny_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests" / "models"
TRAINING_TEXT = ROOT / "models" / "rust-prose-14M" / "heldout.txt"
N_IDS = 24
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

BASE = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 80,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}
ROPE = {"rope_theta": 10000.0, "rope_scaling": None}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False}
MISTRAL = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
         "sliding_window": None, "max_window_layers": 2}
QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "head_dim": 32,
         "num_key_value_heads": 1, "intermediate_size": 32, "use_sliding_window": False, "sliding_window": None,
         "max_window_layers": 2, "rms_norm_eps": 1e-6}
LLAMA3_SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 32, "rope_type": "llama3"}
ROWS256 = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "num_attention_heads": 8,
           "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 384, "tie_word_embeddings": True}


def scaled(**scaling):
    """The spelling before transformers 5: rope_theta and rope_scaling at the top level."""
    return {"rope_theta": 10000.0, "rope_scaling": scaling}


def parameters(**scaling):
    """The spelling of transformers 5: both in rope_parameters."""
    return {"rope_parameters": {"rope_theta": 10000.0, **scaling}}


class Case:
    """`plain`: config keys that switch the case's feature off. `like`: the case whose weights are reused."""

    def __init__(self, *configs, dtype="bfloat16", plain=None, shards=1, tokenizer=None, like=None):
        self.config = {**BASE, **{k: v for config in configs for k, v in config.items()}}
        self.config["dtype" if "rope_parameters" in self.config else "torch_dtype"] = dtype
        self.dtype, self.plain, self.shards, self.tokenizer, self.like = dtype, plain, shards, tokenizer, like


CASES = {
    "llama-mha": Case(LLAMA, ROPE, {"hidden_size": 32, "num_key_value_heads": 4}, dtype="float32"),
    "llama-gqa": Case(LLAMA, ROPE, dtype="float16"),
    "llama-tied": Case(LLAMA, {"tie_word_embeddings": True, "rope_theta": 500000.0, "rope_scaling": None}),
    "llama-bias": Case(LLAMA, ROPE, {"attention_bias": True, "mlp_bias": True}),
    "llama-sharded": Case(LLAMA, ROPE, shards=2),
    "llama-rope-linear": Case(LLAMA, scaled(type="linear", factor=4.0), plain=ROPE),
    "llama-rope-dynamic": Case(
        LLAMA, parameters(rope_type="dynamic", factor=2.0), {"max_position_embeddings": 8}, plain=parameters()),
    "llama-rope-yarn": Case(
        LLAMA, scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=16), plain=ROPE),
    "llama-rope-yarn-factors": Case(
        LLAMA, parameters(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=8.0,
                          beta_slow=0.5, attention_factor=1.3), plain=parameters()),
    "llama-rope-llama3": Case(LLAMA, scaled(**LLAMA3_SCALING), {"max_position_embeddings": 256}, plain=ROPE),
    "llama-rope-llama3-parameters": Case(
        LLAMA, parameters(**LLAMA3_SCALING), {"max_position_embeddings": 256}, plain=parameters(),
        like="llama-rope-llama3"),
    "mistral-window": Case(MISTRAL, ROPE, {"sliding_window": 8}, plain={"sliding_window": None}),
    "mistral-head-dim": Case(
        MISTRAL, parameters(rope_type="default"), {"head_dim": 32, "num_key_value_heads": 1, "intermediate_size": 32}),
    "qwen2": Case(QWEN2, ROPE),
    "qwen2-tied": Case(QWEN2, parameters(rope_type="default"), {"tie_word_embeddings": True}),
    "qwen2-window": Case(
        QWEN2, ROPE, {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        plain={"use_sliding_window": False, "sliding_window": None}),
    "qwen2-layer-types": Case(
        QWEN2, parameters(rope_type="default"),
        {"use_sliding_window": True, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
        plain={"layer_types": ["full_attention", "full_attention"]}),
    "qwen3": Case(QWEN3, ROPE),
    "qwen3-tied": Case(QWEN3, parameters(rope_type="default"), {"tie_word_embeddings": True}, dtype="float16"),
    "llama-rows256": Case(LLAMA, ROPE, ROWS256, tokenizer="llama2"),
    "qwen3-rows256": Case(QWEN3, ROPE, ROWS256, tokenizer="qwen2"),
}


def random_tensor(name, shape, dtype, generator):
    """Gains that keep activations near one and logits far from flat: norms near 1, rows of length about 2."""
    noise = torch.randn(shape, generator=generator)
    if name.endswith("norm.weight"):
        return (1 + 0.2 * noise).to(dtype)
    if name.endswith("bias"):
        return (0.3 * noise).to(dtype)
    return (2.0 / shape[-1] ** 0.5 * noise).to(dtype)


def write_weights(folder, config, case, seed):
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    names = sorted(name for name, _ in model.named_parameters())  # a tied head is listed once
    tensors = {
        name: random_tensor(name, model.get_parameter(name).shape, DTYPES[case.dtype], generator) for name in names
    }
    if case.shards == 1:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for shard in range(case.shards):
        file = f"model-{shard + 1:05d}-of-{case.shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard :: case.shards]}
        weight_map |= dict.fromkeys(part, file)
        safetensors.torch.save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


@torch.no_grad()
def compute_logits(folder, ids, overrides=None, attention="eager"):
    config = transformers.AutoConfig.from_pretrained(folder)
    if overrides:
        stored = json.loads((folder / "config.json").read_text())
        config = type(config)(**{**stored, **overrides})
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation=attention).eval()
    return model(torch.tensor([ids])).logits[0]


def write_tokenizer(folder, kind, vocab_size):
    lines = TRAINING_TEXT.read_text(encoding="utf-8").splitlines(keepends=True)
    if kind == "llama2":
        tokenizer = tiny_tokenizers.llama2_style(lines, vocab_size)
        config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False,
                  "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": True}
    else:
        tokenizer = tiny_tokenizers.qwen2_style(lines, vocab_size)
        config = {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None,
                  "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    assert tokenizer.get_vocab_size() == vocab_size, tokenizer.get_vocab_size()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return {"bos_token_id": tokenizer.token_to_id("<s>"),
            "eos_token_id": tokenizer.token_to_id(config["eos_token"])}


def write_case(name, case):
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(case.config)
    if case.tokenizer:
        config |= write_tokenizer(folder, case.tokenizer, config["vocab_size"])
    (folder / "config.json").write_text(json.dumps(dict(sorted(config.items())), indent=1) + "\n")
    seed = 1000 + list(CASES).index(case.like or name)
    write_weights(folder, transformers.AutoConfig.from_pretrained(folder), case, seed)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, config["vocab_size"], (N_IDS,), generator=generator).tolist()
    logits = compute_logits(folder, ids)
    other = (compute_logits(folder, ids, attention="sdpa") - logits).abs().max().item()
    assert other < 1e-3, f"{name}: eager and sdpa differ by {other}"
    moved = (compute_logits(folder, ids, case.plain) - logits).abs().max().item() if case.plain else None
    assert moved is None or moved > 0.1, f"{name}: the feature moves the logits by only {moved}"
    rows = [[float(f"{value:.9g}") for value in row] for row in logits.tolist()]
    golden = {"input_ids": ids, "logits": rows, "transformers": transformers.__version__}
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:30} {size:8} bytes, logits std {logits.std():.2f}, eager-sdpa {other:.1e}"
          + (f", feature moves {moved:.2f}" if moved else ""))


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    wanted = sys.argv[1:] or list(CASES)
    for name in wanted:
        if name not in CASES:
            raise SystemExit(f"unknown case {name}; known: {' '.join(CASES)}")
        write_case(name, CASES[name])


if __name__ == "__main__":
    main()
