"""mlx-lm as judge: strict load, decoded weights, and logits in float32."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # mx.compile would call g++ at run time on Linux

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import convert as mlx_lm_convert
from mlx_lm.utils import dequantize_model, load_model

from assay_cli import Assay
from bits import largest_difference, rounding_bound, unequal_bits
from findings import Findings

SHIFT = 16  # positions by which the shifted-rope variant moves the prompt


class ShiftedRope(nn.Module):
    """Rotary embedding that counts positions from SHIFT: attention depends on differences of positions only."""

    def __init__(self, rope: nn.Module):
        super().__init__()
        self.rope = rope

    def __call__(self, x: mx.array, offset: int = 0) -> mx.array:
        return self.rope(x, offset=offset + SHIFT)


class ReversedLinear(nn.Module):
    """The same product with its sum taken from the last column to the first."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = linear.weight[:, ::-1]
        self.offset = linear.bias if "bias" in linear else 0.0

    def __call__(self, x: mx.array) -> mx.array:
        return x[..., ::-1] @ self.weight.T + self.offset


def load_strictly(directory: Path) -> nn.Module:
    """Fails unless the files hold exactly the parameters of the module tree, in exactly its shapes."""
    return load_model(directory, strict=True)[0]


def load_float32(directory: Path) -> nn.Module:
    """Scales, biases and plain weights widened to f32, which is exact, so that mlx computes in f32."""
    model = load_strictly(directory)
    model.set_dtype(mx.float32)
    return model


def logits(model: nn.Module, ids: list[int]) -> np.ndarray:
    return np.array(model(mx.array([ids]))[0].astype(mx.float32))


def equal_in_exact_arithmetic(directory: Path, ids: list[int]) -> list[np.ndarray]:
    """Logits by routes that differ from those of load_float32(directory) by rounding alone."""
    shifted = load_float32(directory)
    for layer in shifted.layers:
        layer.self_attn.rope = ShiftedRope(layer.self_attn.rope)
    reversed_sums = dequantize_model(load_float32(directory))
    linear = [(path, ReversedLinear(m)) for path, m in reversed_sums.named_modules() if type(m) is nn.Linear]
    reversed_sums.update_modules(tree_unflatten(linear))
    return [logits(shifted, ids), logits(reversed_sums, ids)]


def decoded_weights(model: nn.Module) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Name of each stored weight -> its values as f32 and, where the scales are f32, one step of rounding.

    With 16-bit scales code*scale has at most 8+11 significant bits, so f32 holds it exactly and code*scale+bias
    rounds once: every correct decoder gives the same bits. With f32 scales the product rounds too (unless it is
    fused), so one step of the larger of product and bias is allowed.
    """
    out, quantized = {}, {}
    for path, module in model.named_modules():
        if isinstance(module, (nn.QuantizedLinear, nn.QuantizedEmbedding)):
            quantized[path] = module
    for path, module in quantized.items():
        scales, biases = module.scales.astype(mx.float32), module.biases.astype(mx.float32)
        values = np.array(mx.dequantize(module.weight, scales, biases, module.group_size, module.bits, module.mode))
        step = None
        if module.scales.dtype == mx.float32:
            bias = np.repeat(np.array(biases), module.group_size, axis=-1)
            step = np.spacing(np.maximum(np.abs(bias), np.abs(values - bias)))
        out[f"{path}.weight"] = (values, step)
    for name, value in tree_flatten(model.parameters()):
        if name.rpartition(".")[0] not in quantized or name.endswith(".bias"):
            out[name] = (np.array(value.astype(mx.float32)), None)
    return out


def compare_decoding(assay: Assay, ours: Path, read_by_peer: Path, subject: str, findings: Findings) -> None:
    check = "mlx-lm loads strictly, mx.dequantize gives the same values"
    with findings.attempt(subject, check):
        wrong, total, tensors, stepped = 0, 0, 0, False
        for name, (theirs, step) in decoded_weights(load_strictly(read_by_peer)).items():
            values = assay.decoded(ours, name).reshape(theirs.shape)
            if step is None:
                wrong += unequal_bits(values, theirs)
            else:
                stepped = True
                wrong += int(np.count_nonzero(~(np.abs(values - theirs) <= step)))
            total += values.size
            tensors += 1
        findings.add(subject, check, f"{wrong} of {total:,} values in {tensors} tensors differ",
                     "0 (one f32 step allowed)" if stepped else "0", wrong == 0 and tensors > 0)


def compare_logits(assay: Assay, ours: Path, read_by_peer: Path, ids: list[int], subject: str,
                   findings: Findings) -> None:
    check = "exact logits equal mlx-lm's in f32"
    with findings.attempt(subject, check):
        theirs = logits(load_float32(read_by_peer), ids)
        bound = rounding_bound(theirs, equal_in_exact_arithmetic(read_by_peer, ids))
        difference = largest_difference(assay.logits(ours, ids), theirs)
        findings.add(subject, check, f"{difference:.2e}", f"{bound:.2e}", difference <= bound)


def convert(source: Path, recipe: str, out: Path) -> Path:
    """What mlx-lm itself writes for one of our recipe names."""
    kind = recipe.removeprefix("mlx:")
    if "bit" in kind:
        bits, _, group = kind.partition("bit-g")
        mlx_lm_convert(str(source), mlx_path=str(out), quantize=True, q_bits=int(bits), q_group_size=int(group))
    else:
        dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[kind]
        mlx_lm_convert(str(source), mlx_path=str(out), dtype=dtype)
    return out
