"""A judge that cannot object proves nothing: each comparison is repeated on a copy with one error, and must fail."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

from gguf import GGUFReader

from findings import Findings


def flip_bit(file: Path, offset: int, bit: int) -> None:
    with file.open("r+b") as f:
        f.seek(offset)
        value = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([value ^ (1 << bit)]))


def gguf_with_error(source: Path, target: Path, name: str = "") -> Path:
    """A copy in which the f16 scale of one block of the first quantized tensor, or of the one named, has another
    exponent. The first bytes of a Q8_0 or Q4_0 block are its scale; bit 2 of the high byte is the exponent's lowest."""
    shutil.copyfile(source, target)
    tensor = next(t for t in GGUFReader(source).tensors
                  if t.tensor_type.name in ("Q8_0", "Q4_0") and t.name == (name or t.name))
    flip_bit(target, int(tensor.data_offset) + 1, 2)
    return target


def mlx_with_error(source: Path, target: Path) -> Path:
    """A copy in which one scale of the first attention layer's value projection has another exponent."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    for file in sorted(target.glob("model*.safetensors")):
        with file.open("rb") as f:
            length = struct.unpack("<Q", f.read(8))[0]
            header = json.loads(f.read(length))
        for name, entry in header.items():
            if name.endswith("layers.0.self_attn.v_proj.scales"):
                begin, end = entry["data_offsets"]
                width = {"F32": 4, "F16": 2, "BF16": 2}[entry["dtype"]]
                flip_bit(file, 8 + length + (begin + (end - begin) // 2) // width * width + width - 1, 1)
                return target
    raise ValueError(f"{source} holds no quantized value projection")


def offset_in_file(field, part: int) -> int:
    """Where a part of a metadata field lies: gguf-py keeps the parts of a field in file order without gaps."""
    return int(field.offset) + sum(p.nbytes for p in field.parts[:part])


def gguf_with_other_rope(source: Path, target: Path) -> Path:
    """A copy whose rope.freq_base is another by one bit of its mantissa."""
    shutil.copyfile(source, target)
    field = next(f for key, f in GGUFReader(source).fields.items() if key.endswith(".rope.freq_base"))
    flip_bit(target, offset_in_file(field, field.data[0]), 3)
    return target


def gguf_with_swapped_pieces(source: Path, target: Path, ids: list[int]) -> Path:
    """A copy in which two pieces of the vocabulary, both used by `ids` and equally long, have changed places."""
    shutil.copyfile(source, target)
    field = GGUFReader(source).fields["tokenizer.ggml.tokens"]
    first: dict[int, int] = {}
    for token in ids[1:]:  # the first may be BOS
        size = len(field.parts[field.data[token]])
        other = first.setdefault(size, token)
        if other != token:
            with target.open("r+b") as f:
                for where, what in ((token, other), (other, token)):
                    f.seek(offset_in_file(field, field.data[where]))
                    f.write(field.parts[field.data[what]].tobytes())
            return target
    raise ValueError(f"{source} spells its prompts with no two pieces of one length")


def must_object(label: str, compare, findings: Findings) -> None:
    """Runs `compare(Findings)` on a planted error; the finding is that it failed by comparing, not by crashing."""
    inner = Findings(silent=True)
    compare(inner)
    failed = inner.failed()
    ran = [row for row in failed if row.bound != "runs"]
    text = ran[0].measured if ran else (failed[0].measured if failed else "raised no objection")
    findings.add("planted error", label, text, "must differ", bool(ran))
