#!/usr/bin/env python3
"""Derives the polynomials of src/kernels/activation_constants.hpp.

gelu(x) = x Phi(x), and Phi(-a) = erfc(a / sqrt 2) / 2 for a >= 0. The logarithm of erfc is so smooth that
one polynomial P with erfc(a / sqrt 2) = exp(-a P(a)) serves the whole range, and exp exists already.
tanh(x) = x + x^3 T(x^2) below kTanhSmall; above it is 1 - 2 / (exp(2x) + 1).
Behind integer products gelu(x) = x / 2 + |x| min(a Q(a^2), 1/2), a = min(|x|, COARSE_RANGE).

Weighted minimax by Lawson's iteration in double; coefficients are then rounded to f32 one at a time, the
lower ones fitted again, and the whole f32 recipe is simulated for the error that the comments state.
"""
import math

import numpy as np

GELU_RANGE = 8.0  # beyond it P stays what it is there: gelu(-8) is 5e-15
COARSE_RANGE = 4.25
COARSE_EXCESS = 1e-6  # of a Q(a^2) over 1/2 at the end, so that roundings leave no tail behind it


def lawson(points, values, weights, degree, rounds=400):
    """Coefficients (constant first) whose largest weighted error is nearly least."""
    basis = np.vander(points, degree + 1, increasing=True)
    scale = np.abs(basis).max(axis=0)
    importance = np.full(len(points), 1.0 / len(points))
    best = None
    for _ in range(rounds):
        root = np.sqrt(importance) * weights
        solution = np.linalg.lstsq(basis / scale * root[:, None], values * root, rcond=None)[0] / scale
        error = np.abs(basis @ solution - values) * weights
        if best is None or error.max() < best[0]:
            best = (error.max(), solution)
        importance = importance * error
        importance /= importance.sum()
    return best


def rounded(points, values, weights, degree):
    """The same with f32 coefficients: the highest is rounded first and the others make up for it."""
    fixed = []
    rest = values.copy()
    for power in range(degree, -1, -1):
        _, solution = lawson(points, rest, weights, power, 120)
        coefficient = float(np.float32(solution[power]))
        fixed.append(coefficient)
        rest = rest - coefficient * points**power
    return fixed  # highest power first


def f32(x):
    return np.asarray(x, dtype=np.float64).astype(np.float32).astype(np.float64)


def fma(a, b, c):
    return f32(a * b + c)


def gelu_points(highest):
    points = np.unique(np.concatenate([np.linspace(1e-4, 6, 4000), np.linspace(6, highest, 2000)]))
    tail = np.array([math.erfc(a / math.sqrt(2)) for a in points])
    log_tail = np.array([math.log1p(-math.erf(a / math.sqrt(2))) if a < 1 else
                         math.log(math.erfc(a / math.sqrt(2))) for a in points])
    return points, tail, -log_tail / points


def fit_gelu(degree, highest, tail_error):
    """Errors count as those of gelu itself, and as relative ones of erfc at `tail_error` of their size."""
    points, tail, values = gelu_points(highest)
    weights = np.maximum(0.5 * points**2 * tail, points * tail_error)
    coefficients = rounded(points, values, weights, degree)
    fit = np.polyval(coefficients, points)
    absolute = np.abs(fit - values) * 0.5 * points**2 * tail
    relative = np.abs(fit - values) * points
    return coefficients, absolute.max(), relative.max()


def simulate_gelu(coefficients, highest):
    x = f32(np.linspace(-12, 12, 400001))
    a = np.abs(x)
    p = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        p = fma(p, np.minimum(a, highest), c)
    half = f32(0.5 * np.exp(-f32(a * p)))
    phi = np.where(x < 0, half, f32(1 - half))
    exact_phi = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    actual, exact = f32(x * phi), x * exact_phi
    inner = (x < 0) & (x >= -highest)
    return (np.abs(actual - exact)[np.abs(x) <= 4].max(), np.abs(phi - exact_phi).max(),
            np.abs(actual[inner] / exact[inner] - 1).max())


def fit_tanh(degree, highest):
    points = np.linspace(1e-6, highest**2, 3000)
    x = np.sqrt(points)
    # tanh x - x cancels for small x; the series does not.
    values = np.where(points < 0.01, -1 / 3 + 2 / 15 * points - 17 / 315 * points**2 + 62 / 2835 * points**3,
                      (np.tanh(x) - x) / x**3)
    weights = x**3 / np.tanh(x)
    coefficients = rounded(points, values, weights, degree)
    return coefficients, (np.abs(np.polyval(coefficients, points) - values) * weights).max()


def fit_gelu_coarse(degree, highest):
    a = np.concatenate([np.linspace(1e-3, highest, 6000), [highest]])
    half = np.array([0.5 * math.erf(v / math.sqrt(2)) for v in a])
    half[-1] = 0.5 + COARSE_EXCESS
    weights = a**2
    weights[-1] *= 1e3
    return rounded(a**2, half / a, weights, degree)


def simulate_gelu_coarse(coefficients, highest):
    x = f32(np.linspace(-12, 12, 400001))
    a = np.minimum(np.abs(x), highest)
    square, q = f32(a * a), np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        q = fma(q, square, c)
    actual = fma(np.abs(x), np.minimum(f32(a * q), 0.5), f32(0.5 * x))
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    return np.abs(actual - exact).max(), np.abs(actual[x < -highest]).max()


def show(name, coefficients):
    print(name, ", ".join(f"{c:.9e}f" for c in coefficients))


if __name__ == "__main__":
    import sys
    for degree in (range(7, 12) if len(sys.argv) > 1 else [10]):
        coefficients, absolute, relative = fit_gelu(degree, GELU_RANGE, 1e-3)
        show(f"kGeluCoefficients ({degree}):", coefficients)
        print("  fit: gelu error", absolute, "relative error of erfc", relative)
        print("  f32: gelu in [-4, 4], Phi, relative of gelu in [-8, 0):", *simulate_gelu(coefficients, GELU_RANGE))
    for degree in (range(3, 6) if len(sys.argv) > 1 else [4]):
        coefficients, relative = fit_tanh(degree, 0.625)
        show(f"kTanhCoefficients ({degree}):", coefficients)
        print("  fit: relative error", relative)
    for degree in (range(7, 11) if len(sys.argv) > 1 else [8]):
        coefficients = fit_gelu_coarse(degree, COARSE_RANGE)
        show(f"kGeluCoarseCoefficients ({degree}):", coefficients)
        print("  f32: gelu, behind its range:", *simulate_gelu_coarse(coefficients, COARSE_RANGE))
