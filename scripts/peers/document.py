"""The report: versions, how the bounds came about, every comparison."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from findings import Findings, findings_table, markdown_table

BOUNDS = """\
## What is compared, and where the bounds come from

- **Decoded values, bit for bit.** In every block format of ours, and in MLX's with 16-bit scales, f32 holds code x scale
  exactly and the offset is added with one rounding, so each correct decoder gives the same bits. Only MLX with f32 scales
  rounds twice; there one step of f32 is allowed, and said so.
- **Logits in f32.** The peer computes in f32 with the same weights (mlx-lm with its scales widened to f32; llama.cpp on its
  own F32 expansion of the file, with an f32 cache and without flash attention, which rounds keys and values to f16 on a
  CPU). What is left is the order of sums. That is measured, not guessed: the peer runs the model once more by a route that
  is equal in exact arithmetic (sums from the other end, positions shifted, one token at a time), and the largest change
  of any logit, times 8 because another engine differs in every operation at once, plus 2^-20 of the largest logit, is
  the bound.
- **Greedy text.** Against the F32 expansion (`exact`) and against the file as llama.cpp runs it (`fast`): there both
  engines round activations to 8 bits, each in its own way. Texts must be equal, or part at a tie: two tokens whose logits
  lie within twice what that rounding does to llama.cpp's own logits at that step.
- **Perplexity** by llama-perplexity's convention (chunks of 512 tokens, second half counted). `exact` against the F32
  expansion: four printed decimals and 0.001 %. `fast` against the file as it comes: twice the shift that 8-bit activations
  cause in llama.cpp itself, at least 0.1 %.
- **Planted errors.** Each kind of comparison is repeated on a copy with one flipped bit and has to object.
"""


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions(assay: str, requirements: Path, with_llama_cpp: bool) -> str:
    rows = [["assay", assay]]
    rows += [[name, metadata.version(name)] for name in ("gguf", "mlx", "mlx-lm", "transformers", "tokenizers", "numpy")]
    if with_llama_cpp:
        pin = next(x for x in requirements.read_text().splitlines() if x.startswith("# llama-cpp-python=="))
        rows.append(["llama.cpp", f"from llama-cpp-python {pin.partition('==')[2]}'s source package"])
    rows += [["Python", platform.python_version()], ["CPU", cpu_name()]]
    return markdown_table(["", "version"], rows)


def render(findings: Findings, versions_table: str, mode: str) -> str:
    failed = findings.failed()
    verdict = "All agree." if not failed else f"**{len(failed)} do not agree.**"
    planted = [row for row in findings.rows if row.subject == "planted error"]
    compared = [row for row in findings.rows if row.subject != "planted error"]
    return "\n".join([
        "# Peers as judges", "",
        f"Written by `bash scripts/peers.sh{' --quick' if mode == 'quick' else ''}`; don't edit. "
        f"{len(findings.rows)} comparisons. {verdict}", "",
        "## Versions", "", versions_table, "", BOUNDS,
        "## Planted errors", "", findings_table(planted), "",
        "## Comparisons", "", findings_table(compared), ""])
