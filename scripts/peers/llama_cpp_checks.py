"""The comparisons with llama.cpp: logits, tokens, greedy continuation, perplexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay_cli import Assay
from bits import largest_difference, rounding_bound
from checkpoints import PROMPTS, Checkpoint
from findings import Findings
from llama_cpp_peer import GREEDY_TOKENS, LlamaCpp, float32_logits

F32_RUN = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")
PPL_CTX = 512
PPL_DECIMALS = 1e-4  # llama-perplexity prints four


@dataclass(frozen=True)
class Subject:
    """A GGUF file under comparison: `ours` is what assay reads, `theirs` what llama.cpp reads (the same file,
    unless an error is planted), `decoded` llama.cpp's own F32 expansion of `theirs`."""

    label: str
    ours: Path
    theirs: Path
    decoded: Path


def compare_logits(assay: Assay, llama: LlamaCpp, file: Subject, ids: list[int], findings: Findings) -> None:
    check = "exact logits equal llama.cpp's in f32"
    with findings.attempt(file.label, check):
        base, variants = float32_logits(llama, file.decoded, ids)
        bound = rounding_bound(base, variants)
        difference = largest_difference(assay.logits(file.ours, ids), base)
        findings.add(file.label, check, f"{difference:.2e}", f"{bound:.2e}", difference <= bound)


def compare_tokens(llama: LlamaCpp, file: Subject, checkpoint: Checkpoint, findings: Findings) -> bool:
    """llama.cpp's ids from our file's vocabulary against tokenizer.json's. True if greedy text can be compared."""
    check = "llama.cpp tokenizes the prompts as tokenizer.json does"
    with findings.attempt(file.label, check):
        with llama.open(file.theirs) as session:
            same = [session.tokens(p) == checkpoint.tokenizer.encode(p).ids for p in PROMPTS]
        findings.add(file.label, check, f"{sum(same)} of {len(same)}", "all", all(same))
        return all(same)
    return False


def compare_greedy(assay: Assay, llama: LlamaCpp, file: Subject, compute: str, findings: Findings) -> None:
    """Five greedy continuations. llama.cpp runs an expanded F32 file when compute is exact, and as it comes when
    it is fast: then both sides round activations to 8 bits, each in its own way, and a tie may fall either way.
    A tie is: our logits of the two tokens differ by no more than twice what that rounding does to llama.cpp's
    own logits at this step."""
    check = f"greedy continuation of {len(PROMPTS)} prompts ({compute})"
    with findings.attempt(file.label, check):
        equal, ties, wrong = 0, 0, []
        settings = {"f32_cache": True, "flash": False} if compute == "exact" else {}
        with llama.open(file.theirs if compute == "fast" else file.decoded, **settings) as session, \
                llama.open(file.decoded, f32_cache=True, flash=False) as reference:
            for prompt in PROMPTS:
                ids = session.tokens(prompt)
                theirs = session.greedy(ids, GREEDY_TOKENS)
                ours = assay.greedy(file.ours, prompt, GREEDY_TOKENS, compute)["tokens"]
                first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), None)
                if first is None:  # an end token may have stopped ours early
                    equal += 1
                    continue
                history = ids + theirs[:first]
                row = assay.logits(file.ours, history, compute)[-1]
                base = reference.logits(history)[-1]
                noise = largest_difference(session.logits(history)[-1], base) if compute == "fast" else \
                    2.0**-20 * float(np.abs(base).max()) * 8
                gap = float(row[ours[first]] - row[theirs[first]])
                if abs(gap) <= 2 * noise:
                    ties += 1
                else:
                    wrong.append(f"'{prompt}' at token {first}: gap {gap:.3g} > 2x{noise:.3g}")
        text = f"{equal} equal, {ties} part at a tie" + (f"; {wrong[0]}" if wrong else "")
        findings.add(file.label, check, text, "equal or a tie", not wrong)


def compare_perplexity(assay: Assay, llama: LlamaCpp, file: Subject, text: Path, findings: Findings) -> None:
    """exact against llama.cpp on its F32 expansion: within the four printed decimals and f32 rounding. fast
    against the file as it comes: within twice what 8-bit activations cost llama.cpp itself, at least 0.1 %."""
    with findings.attempt(file.label, "perplexity"):
        base = llama.perplexity(file.decoded, text, PPL_CTX, *F32_RUN)
        native = llama.perplexity(file.theirs, text, PPL_CTX)
        exact = assay.perplexity(file.ours, text, PPL_CTX, "exact")
        fast = assay.perplexity(file.ours, text, PPL_CTX, "fast")
        tight = PPL_DECIMALS / base + 1e-5
        loose = max(2 * abs(math.log(native / base)), 1e-3)
        for name, ours, theirs, bound in (("exact", exact, base, tight), ("fast", fast, native, loose)):
            difference = abs(math.log(ours / theirs))
            findings.add(file.label, f"perplexity ({name})", f"{ours:.4f} against {theirs:.4f}",
                         f"{100 * bound:.3f} %", difference <= bound)
