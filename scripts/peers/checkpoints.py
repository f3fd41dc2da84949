"""The checkpoints that are compared, and what is asked of each."""

from __future__ import annotations

import json
import shutil
import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

PROMPTS = (
    "Once upon a time",
    "The little dog was",
    "One day, a girl named",
    "In the morning the",
    "He said that",
)
# Tokenization beyond the prompts: contractions, runs of digits and spaces, punctuation, line ends, other scripts.
HARD_TEXTS = (
    "Lily and Ben went to the park. They've 12345 cats, don't they?",
    "  two  spaces\n\n\tand a tab, x=1+2; (a[0] != b) {}\r\n",
    "naïve café, 東京 и мир, 3.14159",
)
WITH_TOKENIZER = ("llama-rows256", "qwen3-rows256")
WITHOUT_TOKENIZER = ("qwen2", "qwen3-tied", "llama-rope-llama3", "mistral-head-dim")
# Llama 3.2's rope scaling (config.json of the 1B model), at a context that the test models reach.
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
               r"\s*[\r\n]+|\s+(?!\S)|\s+")


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    trained: bool  # greedy text and perplexity mean something
    small: bool = False  # rows too short for most formats: a few recipes say all

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> dict:
        return json.loads((self.path / "config.json").read_text())

    @property
    def writes_text(self) -> bool:
        """A decoder: its class is XForCausalLM. The repository's models hold encoders too."""
        return any(name.endswith("ForCausalLM") for name in self.config.get("architectures") or ())

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.path / "tokenizer.json"))

    def mlx_recipes(self, quick: bool) -> list[str]:
        """mlx computes on one scalar core: the quick run asks less of the larger models."""
        if quick and (self.trained or self.small):
            return ["mlx:bf16", "mlx:4bit-g64", "mlx:8bit-g64"]
        groups = [g for g in (32, 64, 128) if self.config["hidden_size"] % g == 0]
        quantized = [f"mlx:{bits}bit-g{group}" for bits in (4, 8) for group in groups]
        return ["mlx:f32", "mlx:bf16", "mlx:f16", *quantized]

    def expected_verdict(self, recipe: str) -> str:
        """What inspect has to say of a genuine file. MLX leaves a matrix as it is whose rows are no multiple of the
        group, and then the honest word is mixed; GGUF falls back to formats of shorter blocks."""
        kind = recipe.partition(":")[2].lower()
        if kind in ("f32", "f16", "bf16"):
            return "unquantized"
        heads = self.config["num_attention_heads"]
        rows = (self.config["hidden_size"], self.config["intermediate_size"],
                heads * (self.config.get("head_dim") or self.config["hidden_size"] // heads))
        group = int(kind.partition("-g")[2] or 1)
        return "quantized" if all(row % group == 0 for row in rows) else "mixed"

    def gguf_recipes(self, quick: bool) -> list[str]:
        kinds = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0", "Q5_1", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K")
        if quick and (self.trained or self.small):
            kinds = ("F32", "BF16", "Q8_0", "Q4_0", "Q4_K_M")
        return [f"gguf:{kind}" for kind in kinds]

    def known_characters(self) -> set[str] | None:
        """Characters that the vocabulary can spell, None if it can spell all. llama.cpp ends with an uncaught
        exception at any other character where a sentencepiece vocabulary has no byte pieces."""
        pieces = self.tokenizer.get_vocab()
        sentencepiece = json.loads(self.tokenizer.to_str()).get("pre_tokenizer") is None
        return set("".join(pieces)) | {" "} if sentencepiece and "<0x00>" not in pieces else None

    def spellable(self, text: str) -> str:
        known = self.known_characters()
        return text if known is None else "".join(c for c in text if c in known)

    def evaluation_text(self, data: Path, work: Path) -> Path | None:
        """The model's own held-out text, or TinyStories for a model trained on it."""
        own = self.path / "heldout.txt"
        stories = data / "text/tinystories/tinystories_train_slice_197KB.txt"
        if not self.trained or own.is_file() or not stories.is_file():
            return own if own.is_file() else None
        text = work / "text.txt"
        text.write_text(self.spellable(stories.read_text()[:60_000]))
        return text

    def pre_tokenizer(self) -> str:
        """What convert_hf_to_gguf.py would call the pre-tokenizer: llama-bpe and qwen2 differ in how many digits
        they keep together."""
        pieces = json.dumps(json.loads((self.path / "tokenizer.json").read_text()).get("pre_tokenizer"))
        return "llama-bpe" if "{1,3}" in pieces else "qwen2"

    def ids(self, count: int = 48) -> list[int]:
        """The prompts as one run of token ids."""
        return self.tokenizer.encode(". ".join(PROMPTS)).ids[:count]


def copy_checkpoint(source: Path, target: Path, **changes: object) -> Path:
    """A copy of a checkpoint directory whose config.json has other values at the keys named."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}, indent=1))
    return target


def add_tokenizer(directory: Path) -> None:
    """A byte-level tokenizer of single characters and one merge (llama.cpp loads no file without merges) for a
    model that has none: neither llama.cpp nor mlx-lm converts or loads a model without. The ids of BOS and EOS are
    those that the test models' configurations name; the last two of the special pieces are there because
    transformers appends them to tokenizers of these families."""
    size = json.loads((directory / "config.json").read_text())["vocab_size"]
    special = ["<pad>", "<s>", "</s>", "<unk>", "<|endoftext|>"]
    # U+0120 and U+010A stand for space and line end in byte-level vocabularies.
    pieces = [*special, *"\u0120\u010a", *string.ascii_letters, *string.digits, *".,'!?", "th"]
    pieces += [f"[UNUSED{i}]" for i in range(size - len(pieces))]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [("t", "h")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "bos_token": "<s>",
        "eos_token": "</s>", "pad_token": "<pad>"}))


def find_checkpoints(root: Path, data: Path, work: Path, quick: bool) -> list[Checkpoint]:
    tests = root / "tests/models"
    found = [Checkpoint(tests / name, trained=False) for name in WITH_TOKENIZER]
    found.append(Checkpoint(copy_checkpoint(tests / "llama-rows256", work / "llama-rows256-rope-llama3",
                                            rope_scaling=LLAMA3_ROPE), trained=False))
    for name in WITHOUT_TOKENIZER:
        copy = copy_checkpoint(tests / name, work / name)
        add_tokenizer(copy)
        found.append(Checkpoint(copy, trained=False, small=True))
    trained = [Checkpoint(config.parent, trained=True) for config in sorted(root.glob("models/*/config.json"))]
    found += [c for c in trained if c.writes_text]
    if not quick:
        found.append(Checkpoint(data / "models/TinyStories-656K", trained=True))
    return [c for c in found if any(c.path.glob("model*.safetensors"))]
