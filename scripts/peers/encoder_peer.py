"""llama.cpp as judge of encoders: our GGUF files of small BERTs, their tokens, vectors and scores."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np

import gguf_peer
from assay_cli import Assay
from findings import Findings
from planted_errors import gguf_with_error, must_object

# The last has another activation before its classifier than llama.cpp, so its vectors alone are compared.
ENCODERS = ("bert-model", "bert-old-names", "bert-sequence", "bert-reranker", "distilbert-sequence")
RECIPES = ("F32", "Q8_0", "Q4_0", "Q4_K_M")
TEXT = "a red house on the hill, na\u00efve CAF\u00c9 123!"
# Of one GELU: erf against the tanh approximation (4.7e-4), and half precision of what goes in and comes out
# (2^-11 each). Layers carry it on and norms keep it in proportion, so it is asked of whole vectors by length.
GELU_DIFFERENCE = 4.7e-4 + 2 * 2.0**-11
MEAN, RANK = 1, 4  # llama.h, llama_pooling_type


class EncoderSession:
    """An encoder in llama.cpp, everything in f32."""

    def __init__(self, llama, model: Path, pooling: int):
        self.api, self.pooling = llama.api, pooling
        self.model = self.api.llama_model_load_from_file(str(model).encode(), self.api.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp refuses {model.name}")
        settings = self.api.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
        settings.n_threads = settings.n_threads_batch = 1
        settings.embeddings, settings.pooling_type, settings.flash_attn_type = True, pooling, 0
        self.context = self.api.llama_init_from_model(self.model, settings)

    def __enter__(self) -> "EncoderSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

    def tokens(self, text: str) -> list[int]:
        raw, room = text.encode(), (self.api.llama_token * 256)()
        vocabulary = self.api.llama_model_get_vocab(self.model)
        return list(room[:self.api.llama_tokenize(vocabulary, raw, len(raw), room, len(room), True, True)])

    def vector(self, ids: list[int]) -> np.ndarray:
        """The mean of the token rows, or the scores of the head."""
        batch = self.api.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.logits[i] = token, i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        status = self.api.llama_decode(self.context, batch)
        self.api.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        count = (self.api.llama_model_n_cls_out if self.pooling == RANK else self.api.llama_model_n_embd)(self.model)
        values = ctypes.cast(self.api.llama_get_embeddings_seq(self.context, 0), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(values, (count,)).astype(np.float64)


def our_vector(assay: Assay, path: Path) -> np.ndarray:
    text = assay.run("embed", path, "--text", TEXT, "--compute", "exact", "--pooling", "mean", "--no-normalize")
    return np.array(json.loads(text)["embedding"])


def our_probabilities(assay: Assay, path: Path) -> np.ndarray:
    text = assay.run("classify", path, "--text", TEXT, "--compute", "exact", "--json")
    return np.array(json.loads(text)["results"][0]["probabilities"])


def probabilities(scores: np.ndarray) -> np.ndarray:
    if scores.size == 1:
        return 1 / (1 + np.exp(-scores))
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def compare_vectors(assay: Assay, llama, ours: Path, theirs: Path, ids: list[int], label: str,
                    findings: Findings) -> None:
    """`theirs` is llama.cpp's F32 expansion of `ours`, unless an error is planted."""
    check = "vectors equal llama.cpp's in f32, but for GELU"
    with findings.attempt(label, check), EncoderSession(llama, theirs, MEAN) as session:
        expected = session.vector(ids)
        difference = np.linalg.norm(our_vector(assay, ours) - expected) / np.linalg.norm(expected)
        findings.add(label, check, f"{difference:.2e}", f"{GELU_DIFFERENCE:.2e}", difference <= GELU_DIFFERENCE)


def compare_scores(assay: Assay, llama, ours: Path, theirs: Path, ids: list[int], label: str,
                   findings: Findings) -> None:
    check = "probabilities equal llama.cpp's in f32, but for GELU"
    with findings.attempt(label, check), EncoderSession(llama, theirs, RANK) as session:
        expected = probabilities(session.vector(ids))
        difference = float(np.abs(our_probabilities(assay, ours) - expected).max())
        findings.add(label, check, f"{difference:.2e}", f"{GELU_DIFFERENCE:.2e}", difference <= GELU_DIFFERENCE)


def compare_tokens(llama, file: Path, ids: list[int], label: str, findings: Findings) -> None:
    check = "llama.cpp tokenizes as tokenizer.json does"
    with findings.attempt(label, check), EncoderSession(llama, file, MEAN) as session:
        found = session.tokens(TEXT)
        findings.add(label, check, f"{len(ids)} ids" if found == ids else f"{found[:8]}", "all", found == ids)


def judge(assay: Assay, llama, source: Path, work: Path, findings: Findings) -> None:
    """Every recipe of one encoder. Without llama.cpp (quick) gguf-py reads the files alone."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(source / "tokenizer.json")).encode(TEXT).ids
    for recipe in RECIPES:
        label = f"{source.name} gguf:{recipe}"
        with findings.attempt(label, "assay quantize"):
            file = assay.quantize(source, f"gguf:{recipe}", work / source.name)
            gguf_peer.compare_decoding(assay, file, file, label, findings)
            if llama is None:
                continue
            decoded = llama.quantize(file, work / "decoded.gguf", "F32")
            compare_tokens(llama, file, ids, label, findings)
            compare_vectors(assay, llama, file, decoded, ids, label, findings)
            if source.name in ("bert-sequence", "bert-reranker"):
                compare_scores(assay, llama, file, decoded, ids, label, findings)
            if recipe == "Q8_0" and source.name == ENCODERS[0]:
                plant_error(assay, llama, file, ids, work, findings)


def plant_error(assay: Assay, llama, file: Path, ids: list[int], work: Path, findings: Findings) -> None:
    # The first tensor is the pooler, which no vector shows.
    bad = gguf_with_error(file, work / "planted-encoder.gguf", "blk.0.attn_output.weight")
    decoded = llama.quantize(bad, work / "planted-decoded.gguf", "F32")
    must_object("llama.cpp vectors, one scale", lambda f: compare_vectors(
        assay, llama, file, decoded, ids, "gguf", f), findings)


def judge_all(assay: Assay, llama, root: Path, work: Path, findings: Findings) -> None:
    work.mkdir(parents=True, exist_ok=True)
    for name in ENCODERS:
        judge(assay, llama, root / "tests/models/encoders" / name, work, findings)
