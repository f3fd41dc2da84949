"""gguf-py as judge: it reads our files and decodes their tensors to our values, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

from assay_cli import Assay
from bits import unequal_bits
from findings import Findings


def tensor_types(path: Path) -> dict[str, str]:
    return {t.name: t.tensor_type.name for t in GGUFReader(path).tensors}


def decode(tensor) -> np.ndarray:
    """Values as f32. Every block type of ours has products that f32 holds exactly, or one rounding at the
    end, so the order of operations cannot matter and equality of all bits is the right demand."""
    return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def compare_decoding(assay: Assay, ours: Path, read_by_peer: Path, subject: str, findings: Findings) -> None:
    """All tensors of `ours` by assay against `read_by_peer` by gguf-py (the same file, unless an error is planted)."""
    check = "gguf-py decodes to the same values"
    with findings.attempt(subject, check):
        wrong, total, tensors = 0, 0, 0
        for tensor in GGUFReader(read_by_peer).tensors:
            values = assay.decoded(ours, tensor.name)
            wrong += unequal_bits(values, decode(tensor))
            total += values.size
            tensors += 1
        findings.add(subject, check, f"{wrong} of {total:,} values in {tensors} tensors differ", "0",
                     wrong == 0 and tensors > 0)


ROPE_FREQS_STEPS = 8  # of f32; see computed_alike


def computed_alike(name: str, ours: np.ndarray, theirs: np.ndarray) -> bool:
    """rope_freqs.weight is no stored tensor: each writer computes it in f32 from config.json. The powers of
    torch.pow and of the C library may differ by a step, and the subtraction in the ramp between the two wave
    lengths makes that a few."""
    if name != "rope_freqs.weight" or ours.dtype != np.float32 or ours.shape != theirs.shape:
        return False
    return int(np.abs(ours.view(np.int32).astype(np.int64) - theirs.view(np.int32)).max()) <= ROPE_FREQS_STEPS


def compare_tensor_bytes(ours: Path, theirs: Path, subject: str, findings: Findings, demand: bool) -> None:
    """Bytes of each tensor in our file against a peer's file of the same recipe. Without `demand` the count is
    recorded and only the formats must match: searches may legitimately find different codes."""
    check = "same tensor bytes" if demand else "same tensor formats"
    with findings.attempt(subject, check):
        a = {t.name: t for t in GGUFReader(ours).tensors}
        b = {t.name: t for t in GGUFReader(theirs).tensors}
        formats = a.keys() == b.keys() and all(a[n].tensor_type == b[n].tensor_type for n in a)
        unequal = [n for n in b if n not in a or not np.array_equal(a[n].data, b[n].data)]
        wrong = [n for n in unequal if n not in a or not computed_alike(n, a[n].data, b[n].data)]
        text = f"{len(b) - len(unequal)} of {len(b)} byte-equal" + ("" if formats else ", formats differ")
        if len(wrong) < len(unequal):
            text += f"; rope_freqs.weight within {ROPE_FREQS_STEPS} steps of f32"
        findings.add(subject, check, text, "all" if demand else "formats", formats and (not wrong or not demand))


def explain(key: str, ours: dict, theirs: dict) -> str | None:
    """Why a key of the converter's file may differ from ours, or None if it may not."""
    if key.endswith((".attention.key_length", ".attention.value_length")) and key not in ours:
        prefix = key.split(".")[0]
        if theirs[key] * theirs[f"{prefix}.attention.head_count"] == theirs[f"{prefix}.embedding_length"]:
            return "left out, its value is the default"
    if key == "tokenizer.ggml.scores" and len(set(theirs[key])) == 1 and len(ours[key]) == len(theirs[key]):
        return "ours rank the merges, theirs are all equal"
    return None


def compare_metadata(ours: Path, theirs: Path, subject: str, findings: Findings) -> None:
    """What decides how llama.cpp runs a file: every `<architecture>.*` and `tokenizer.*` key of the converter's
    file is in ours with the same value. Descriptive `general.*` keys are free."""
    check = "same model and tokenizer metadata"
    with findings.attempt(subject, check):
        a, b = ({key: field.contents() for key, field in GGUFReader(path).fields.items()} for path in (ours, theirs))
        wanted = [key for key in b if not key.startswith(("GGUF.", "general."))]
        different = {key: explain(key, a, b) for key in wanted if key not in a or a[key] != b[key]}
        text = f"{len(wanted) - len(different)} of {len(wanted)} keys equal"
        text += "".join(f"; {key}: {reason or 'not'}" for key, reason in different.items())
        findings.add(subject, check, text, "all, or explained", all(different.values()))
