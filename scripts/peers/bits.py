"""Comparing arrays of floats bit by bit, and logits by a stated bound."""

from __future__ import annotations

import numpy as np


def unequal_bits(ours: np.ndarray, theirs: np.ndarray) -> int:
    """How many f32 elements differ in any bit (so -0 differs from +0). A different count is an error."""
    a, b = np.ravel(ours), np.ravel(theirs)
    if a.size != b.size:
        raise ValueError(f"{a.size} values against the peer's {b.size}")
    return int(np.count_nonzero(a.astype("<f4").view("<u4") != b.astype("<f4").view("<u4")))


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """max |ours - theirs| in f64; NaN anywhere makes it infinite, so that it can never pass a bound."""
    if ours.shape != theirs.shape:
        raise ValueError(f"shape {ours.shape} against the peer's {theirs.shape}")
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def rounding_bound(base: np.ndarray, variants: list[np.ndarray]) -> float:
    """Bound on the logits of two f32 engines that hold the same weights.

    `variants` are the peer's own logits by routes that are equal in exact arithmetic (sums in another order,
    other product kernels, shifted positions), so their distance from `base` samples what f32
    rounding alone does to this model. Another engine differs in every operation where a variant differs in
    one, hence the factor 8; 2^-20 of the largest logit (16 steps of f32) covers a spread that happens to be 0.
    """
    spread = max(largest_difference(base, variant) for variant in variants)
    return 8 * spread + 2.0**-20 * float(np.abs(base).max())
