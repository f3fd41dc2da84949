"""The checkpoints that are compared, and what is asked of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

PROMPTS = (
    "Once upon a time",
    "The little dog was",
    "One day, a girl named",
    "In the morning the",
    "He said that",
)
BUNDLED_TESTS = ("llama-rows256", "qwen3-rows256", "qwen2", "qwen3-tied", "llama-rope-llama3", "mistral-head-dim")


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    trained: bool  # greedy text and perplexity mean something

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> dict:
        return json.loads((self.path / "config.json").read_text())

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        file = self.path / "tokenizer.json"
        return Tokenizer.from_file(str(file)) if file.is_file() else None

    def mlx_recipes(self, quick: bool) -> list[str]:
        """mlx computes on one scalar core: the quick run asks less of the larger models."""
        if quick and self.trained:
            return ["mlx:bf16", "mlx:4bit-g64", "mlx:8bit-g64"]
        groups = [g for g in (32, 64, 128) if self.config["hidden_size"] % g == 0]
        quantized = [f"mlx:{bits}bit-g{group}" for bits in (4, 8) for group in groups]
        return ["mlx:f32", "mlx:bf16", "mlx:f16", *quantized]

    def gguf_recipes(self) -> list[str]:
        """None without a tokenizer: llama.cpp loads no file that lacks one."""
        if self.tokenizer is None:
            return []
        kinds = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q5_1", "Q4_K_S", "Q4_K_M", "Q6_K")
        return [f"gguf:{kind}" for kind in kinds]

    def evaluation_text(self, data: Path, work: Path) -> Path | None:
        """The model's own held-out text, or TinyStories for a model trained on it. llama.cpp ends with an
        uncaught exception at a character that is in no piece of a sentencepiece vocabulary without byte pieces,
        so those characters are left out."""
        own = self.path / "heldout.txt"
        stories = data / "text/tinystories/tinystories_train_slice_197KB.txt"
        if own.is_file() or not stories.is_file() or self.tokenizer is None:
            return own if own.is_file() else None
        known = set("".join(self.tokenizer.get_vocab())) | {" "}
        text = work / "text.txt"
        text.write_text("".join(c for c in stories.read_text()[:60_000] if c in known))
        return text

    def pre_tokenizer(self) -> str:
        """What convert_hf_to_gguf.py would call the pre-tokenizer: llama-bpe and qwen2 differ in how many digits
        they keep together."""
        pieces = json.dumps(json.loads((self.path / "tokenizer.json").read_text()).get("pre_tokenizer"))
        return "llama-bpe" if "{1,3}" in pieces else "qwen2"

    def ids(self, count: int = 48) -> list[int]:
        """The prompts as one run of token ids, or a fixed pseudo-random run for a model without tokenizer."""
        if self.tokenizer is None:
            return np.random.default_rng(1).integers(0, self.config["vocab_size"], count).tolist()
        return self.tokenizer.encode(". ".join(PROMPTS)).ids[:count]


def find_checkpoints(root: Path, data: Path, quick: bool) -> list[Checkpoint]:
    found = [Checkpoint(root / "tests/models" / name, trained=False) for name in BUNDLED_TESTS]
    found += [Checkpoint(config.parent, trained=True) for config in sorted(root.glob("models/*/config.json"))]
    if not quick:
        found.append(Checkpoint(data / "models/TinyStories-656K", trained=True))
    return [c for c in found if any(c.path.glob("model*.safetensors"))]
