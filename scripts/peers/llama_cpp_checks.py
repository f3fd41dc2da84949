"""The comparisons with llama.cpp: logits, tokens, greedy continuation, perplexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay_cli import Assay
from bits import largest_difference, rounding_bound
from checkpoints import HARD_TEXTS, PROMPTS, Checkpoint
from findings import Continuation, Findings
from llama_cpp_peer import GREEDY_TOKENS, LlamaCpp, Session, float32_logits

F32_RUN = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")
PPL_CTX, PPL_CHUNKS = 512, 16
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


def equal_ids(llama: LlamaCpp, file: Path, checkpoint: Checkpoint, text: Path | None) -> tuple[str, bool]:
    """llama.cpp's ids from a GGUF vocabulary against tokenizer.json's: the prompts, harder texts, and the
    evaluation text as a whole. What was found, and whether all are equal."""
    texts = [*PROMPTS, *map(checkpoint.spellable, HARD_TEXTS)] + ([text.read_text()] if text else [])
    expected = [checkpoint.tokenizer.encode(t).ids for t in texts]
    with llama.open(file) as session:
        same = [session.tokens(t) == ids for t, ids in zip(texts, expected)]
    wrong = next((f"; not '{t[:40].strip()}'" for t, equal in zip(texts, same) if not equal), "")
    return f"{sum(same)} of {len(same)} texts, {sum(map(len, expected)):,} ids{wrong}", all(same)


def compare_tokens(llama: LlamaCpp, label: str, file: Path, checkpoint: Checkpoint, text: Path | None,
                   findings: Findings) -> bool:
    """True if all ids are equal, so that greedy text and perplexity can be compared."""
    check = "llama.cpp tokenizes as tokenizer.json does"
    with findings.attempt(label, check):
        measured, equal = equal_ids(llama, file, checkpoint, text)
        findings.add(label, check, measured, "all", equal)
        return equal
    return False


def parting(assay: Assay, file: Subject, compute: str, ours: list[int], history: list[int], theirs: int,
            session: Session, reference: Session) -> tuple[float, float]:
    """Where two continuations part: how far our logits of the two tokens lie apart, and what may be noise. For
    exact, that is 8 steps of f32 at the largest logit; for fast, what rounding activations (to 8 bits, keys and
    values to f16) does to llama.cpp's own logits at this step."""
    row = assay.logits(file.ours, history, compute)[-1]
    base = reference.logits(history)[-1]
    noise = largest_difference(session.logits(history)[-1], base) if compute == "fast" else \
        2.0**-20 * float(np.abs(base).max())
    return abs(float(row[ours[-1]] - row[theirs])), noise


def compare_greedy(assay: Assay, llama: LlamaCpp, file: Subject, compute: str, decode, findings: Findings) -> None:
    """Five greedy continuations. llama.cpp runs an expanded F32 file when compute is exact, and as it comes when
    it is fast: then each side rounds activations in its own way, and a tie may fall either way. A tie: our logits
    of the two tokens differ by at most twice the noise of `parting`."""
    check = f"greedy text ({compute})"
    with findings.attempt(file.label, check):
        equal, ties, wrong = 0, 0, []
        settings = {"f32_cache": True, "flash": False} if compute == "exact" else {}
        with llama.open(file.theirs if compute == "fast" else file.decoded, **settings) as session, \
                llama.open(file.decoded, f32_cache=True, flash=False) as reference:
            for prompt in PROMPTS:
                ids = session.tokens(prompt)
                theirs = session.greedy(ids, GREEDY_TOKENS)
                ours = assay.greedy(file.ours, prompt, GREEDY_TOKENS, compute)["tokens"]
                findings.texts.append(Continuation(file.label, compute, prompt, decode(ours), decode(theirs)))
                first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), None)
                if first is None:
                    stopped = any(map(session.ends, (ours[-1:] + theirs[len(ours):len(ours) + 1])))
                    equal += len(ours) == len(theirs) or stopped
                    if len(ours) != len(theirs) and not stopped:
                        wrong.append(f"'{prompt}': stops after {len(ours)} tokens")
                    continue
                gap, noise = parting(assay, file, compute, ours[:first + 1], ids + theirs[:first], theirs[first],
                                     session, reference)
                ties += gap <= 2 * noise
                if gap > 2 * noise:
                    wrong.append(f"'{prompt}' at token {first}: gap {gap:.3g} > 2x{noise:.3g}")
        text = f"{equal} of {len(PROMPTS)} equal" + (f", {ties} part at a tie" if ties else "")
        findings.add(file.label, check, text + (f"; {wrong[0]}" if wrong else ""), "equal or a tie", not wrong)


def compare_perplexity(assay: Assay, llama: LlamaCpp, file: Subject, text: Path, findings: Findings) -> None:
    """exact against llama.cpp on its F32 expansion: within the four printed decimals and f32 rounding. fast
    against the file as it comes: within twice what 8-bit activations cost llama.cpp itself, at least 0.1 %."""
    with findings.attempt(file.label, "perplexity (exact)"):
        base = llama.perplexity(file.decoded, text, PPL_CTX, PPL_CHUNKS, *F32_RUN)
        native = llama.perplexity(file.theirs, text, PPL_CTX, PPL_CHUNKS)
        exact = assay.perplexity(file.ours, text, PPL_CTX, PPL_CHUNKS, "exact")
        fast = assay.perplexity(file.ours, text, PPL_CTX, PPL_CHUNKS, "fast")
        tight = PPL_DECIMALS / base + 1e-5
        loose = max(2 * abs(math.log(native / base)), 1e-3)
        for name, ours, theirs, bound in (("exact", exact, base, tight), ("fast", fast, native, loose)):
            difference = abs(math.log(ours / theirs))
            findings.add(file.label, f"perplexity ({name})", f"{ours:.4f} against {theirs:.4f}",
                         f"{100 * bound:.3f} %", difference <= bound)
