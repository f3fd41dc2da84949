"""The assay binary, as the comparisons use it. Every call goes through the command line, as a user's would."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np


class AssayError(RuntimeError):
    """assay refused or failed; the text is its one line on stderr."""


class Assay:
    def __init__(self, binary: Path):
        self.binary = binary

    def run(self, *arguments: object) -> str:
        """Runs assay and returns its standard output; AssayError unless it exits with 0."""
        command = [str(self.binary), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise AssayError(f"{' '.join(map(str, arguments[:2]))}: {last}")
        return done.stdout

    def version(self) -> str:
        return self.run("--version").strip()

    def quantize(self, source: Path, recipe: str, out: Path) -> Path:
        """Writes `recipe` of `source` below `out`; the path of the file or directory that appeared."""
        text = self.run("quantize", source, "--to", recipe, "-o", out, "--overwrite", "--json")
        return resolved(json.loads(text)["outputs"][0]["path"], out)

    def inspect(self, path: Path) -> dict:
        return json.loads(self.run("inspect", path, "--json"))

    def decoded(self, path: Path, tensor: str) -> np.ndarray:
        """Values of one tensor as f32, flat, row-major in the order of the file (GGUF rows stay permuted)."""
        with tempfile.NamedTemporaryFile(suffix=".f32") as out:
            self.run("inspect", path, "--dump", tensor, "-o", out.name)
            return np.fromfile(out.name, dtype="<f4")

    def logits(self, path: Path, ids: list[int], compute: str = "exact") -> np.ndarray:
        """[len(ids), vocab] f32: row i holds the logits after ids[0..i]."""
        with tempfile.NamedTemporaryFile(suffix=".f32") as out:
            joined = ",".join(map(str, ids))
            self.run("eval", "logits", path, "--ids", joined, "--compute", compute, "-o", out.name)
            return np.fromfile(out.name, dtype="<f4").reshape(len(ids), -1)

    def greedy(self, path: Path, prompt: str, n_tokens: int, compute: str) -> dict:
        """`generate --json` of a raw prompt: keys tokens, text, prompt_tokens."""
        text = self.run("generate", path, "-p", prompt, "--no-chat-template", "--max-tokens", n_tokens,
                        "--compute", compute, "--json")
        return json.loads(text)

    def perplexity(self, path: Path, text: Path, ctx: int, chunks: int, compute: str) -> float:
        """Perplexity by llama-perplexity's convention: chunks of ctx tokens, their second half counted."""
        out = self.run("eval", "perplexity", path, "--text", text, "--ctx", ctx, "--chunks", chunks,
                       "--compute", compute, "--json")
        return float(json.loads(out)["results"][0]["metric"]["perplexity"]["value"])


def resolved(path: str, base: Path) -> Path:
    """Manifest paths may be relative to the output directory or to the working directory."""
    candidate = Path(path)
    return candidate if candidate.is_absolute() or candidate.exists() else base / candidate
