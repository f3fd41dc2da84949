"""Stock llama.cpp as judge: its tools, and libllama through llama-cpp-python's ctypes binding."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

GREEDY_TOKENS = 32


class LlamaCpp:
    """The build below `directory`: llama.cpp-build/ and the unpacked llama-cpp-python/ of the same version."""

    def __init__(self, directory: Path):
        self.tools = directory / "llama.cpp-build/bin"
        source = directory / "llama-cpp-python"
        self.converter = source / "vendor/llama.cpp/convert_hf_to_gguf.py"
        libraries = source / "llama_cpp/lib"  # where the binding looks for libggml and libllama
        if not libraries.exists():
            libraries.symlink_to(self.tools, target_is_directory=True)
        os.environ["LLAMA_CPP_LIB_PATH"] = str(self.tools)
        sys.path.insert(0, str(source))
        import llama_cpp.llama_cpp as api

        self.api = api
        self.silent = api.llama_log_callback(lambda level, text, data: None)
        api.llama_log_set(self.silent, ctypes.c_void_p(0))
        api.llama_backend_init()

    def tool(self, name: str, *arguments: object) -> str:
        """Output of a tool, stdout and stderr together; RuntimeError with its last line if it fails."""
        done = subprocess.run([str(self.tools / name), *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {(done.stdout.strip().splitlines() or ['no output'])[-1]}")
        return done.stdout

    def quantize(self, source: Path, target: Path, kind: str) -> Path:
        self.tool("llama-quantize", "--allow-requantize", source, target, kind)
        return target

    def perplexity(self, model: Path, text: Path, ctx: int, chunks: int, *options: str) -> float:
        """llama-perplexity over the first `chunks` chunks. Its log is written by a thread that loses what is still
        queued at exit, so two chunks more are run and the running value is read, which has the same four decimals."""
        command = ["-m", model, "-f", text, "-c", ctx, "-b", ctx, "-t", 1, "--chunks", chunks + 2, *options]
        for _ in range(3):
            running = re.search(rf"\[{chunks}\]([0-9.]+),", self.tool("llama-perplexity", *command))
            if running:
                return float(running.group(1))
        raise RuntimeError(f"llama-perplexity printed no value for chunk {chunks} in three runs")

    def open(self, model: Path, **settings: bool) -> "Session":
        return Session(self.api, model, **settings)


class Session:
    """A loaded model with one context. `f32_cache=False, flash=None` are llama.cpp's defaults (an f16 KV cache);
    `batched=False` feeds one token at a time, which takes other product kernels."""

    def __init__(self, api, model: Path, n_ctx: int = 512, f32_cache: bool = False, flash: bool | None = None,
                 batched: bool = True):
        self.api = api
        self.batched = batched
        self.model = api.llama_model_load_from_file(str(model).encode(), api.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp refuses {model.name}")
        settings = api.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = n_ctx
        settings.n_threads = settings.n_threads_batch = 1
        if f32_cache:
            settings.type_k = settings.type_v = api.GGML_TYPE_F32
        if flash is not None:
            settings.flash_attn_type = int(flash)
        self.context = api.llama_init_from_model(self.model, settings)
        self.vocab = api.llama_model_get_vocab(self.model)
        self.n_vocab = api.llama_vocab_n_tokens(self.vocab)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

    def tokens(self, text: str) -> list[int]:
        raw = text.encode()
        room = (self.api.llama_token * (len(raw) + 8))()
        count = self.api.llama_tokenize(self.vocab, raw, len(raw), room, len(room), True, True)
        if count < 0:
            raise RuntimeError(f"llama_tokenize needs {-count} tokens for {len(raw)} bytes")
        return list(room[:count])

    def ends(self, token: int) -> bool:
        return bool(self.api.llama_vocab_is_eog(self.vocab, token))

    def _feed(self, ids: list[int], start: int) -> np.ndarray:
        """Appends ids at position `start`; [len(ids), vocab] logits."""
        batch = self.api.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.logits[i] = token, start + i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        status = self.api.llama_decode(self.context, batch)
        rows = [np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, i), (self.n_vocab,)).copy()
                for i in range(len(ids))] if status == 0 else []
        self.api.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return np.stack(rows)

    def logits(self, ids: list[int]) -> np.ndarray:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        if self.batched:
            return self._feed(ids, 0)
        return np.concatenate([self._feed([token], i) for i, token in enumerate(ids)])

    def greedy(self, ids: list[int], count: int) -> list[int]:
        """`count` most likely tokens after `ids`; an end token does not stop it."""
        row, out = self.logits(ids)[-1], []
        for i in range(count):
            out.append(int(row.argmax()))
            row = self._feed(out[-1:], len(ids) + i)[-1]
        return out


def float32_logits(llama: LlamaCpp, decoded: Path, ids: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits of an F32 file with everything in f32, and the same by another route that differs in rounding
    alone. Flash attention stays off: on the CPU it rounds keys and values to f16."""
    with llama.open(decoded, f32_cache=True, flash=False) as session:
        base = session.logits(ids)
    with llama.open(decoded, f32_cache=True, flash=False, batched=False) as session:
        return base, [session.logits(ids)]
