#!/usr/bin/env python3
"""Writes tests/golden/statistics/statistics.json: what scipy and numpy say about the statistics that
src/eval computes itself. Needs scipy 1.17 and numpy from PyPI.

    python tools/make_statistics_golden.py > tests/golden/statistics/statistics.json
"""

import json
import math

import numpy as np
from scipy import optimize, stats


def tango_bounds(lost, gained, n, confidence):
    """Score bounds of the paired difference, each supposed difference's likelihood maximised numerically."""
    z = stats.norm.ppf(0.5 + confidence / 2)

    def log_likelihood(share_lost, d):
        share_gained = share_lost + d
        rest = 1 - share_lost - share_gained
        total = 0.0
        for count, share in ((lost, share_lost), (gained, share_gained), (n - lost - gained, rest)):
            if count > 0:
                total += count * math.log(share) if share > 0 else -1e18
        return total

    def score(d):
        low, high = max(0.0, -d), (1 - d) / 2
        best = optimize.minimize_scalar(
            lambda q: -log_likelihood(q, d), bounds=(low, high), method="bounded", options={"xatol": 1e-14}
        ).x
        best = max((best, low, high), key=lambda q: log_likelihood(q, d))
        variance = n * (2 * best + d - d * d)
        above = gained - lost - n * d
        return above / math.sqrt(variance) if variance > 0 else math.copysign(1e9, above)

    edge = 1 - 1e-9
    return [optimize.brentq(lambda d: score(d) - side, -edge, edge, xtol=1e-12) for side in (z, -z)]


def sizes(alpha, power):
    norm = stats.norm
    z = norm.ppf(1 - alpha / 2)
    found = []
    for discordant, d in ((0.02, 0.01), (0.05, 0.01), (0.08, 0.03), (0.3, 0.12)):
        root = z * math.sqrt(discordant) + norm.ppf(power) * math.sqrt(discordant - d * d)
        found.append({"discordant": discordant, "difference": d, "alpha": alpha, "power": power,
                      "n": math.ceil((root / d) ** 2)})
    return found


def mean_size(sd, difference, power):
    """Items at which the power function itself (two-sided z test) first reaches `power`; its far tail is
    negligible, as in the closed form."""
    norm = stats.norm

    def reached(n):
        return norm.sf(norm.ppf(0.975) - abs(difference) / (sd / math.sqrt(n)))

    return next(n for n in range(1, 10**6) if reached(n) >= power)


def exchange_p(differences):
    found = stats.permutation_test((np.array(differences), np.zeros(len(differences))),
                                   lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    return found.pvalue


def main():
    rng = np.random.default_rng(20)
    values = np.round(rng.gamma(2.0, size=60), 6)
    wide = stats.bootstrap((values,), np.mean, n_resamples=200000, method="percentile", rng=rng)
    differences = [0.2, -0.1, 0.4, 0.3, -0.05, 0.25, 0.6, -0.3, 0.15, 0.35]
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    golden = {
        "normal_quantile": [[q, stats.norm.ppf(q)] for q in (1e-12, 0.001, 0.05, 0.25, 0.5, 0.8, 0.975, 0.9999)],
        "quantile": {"values": sorted(values.tolist()),
                     "at": [[q, float(np.quantile(values, q))] for q in (0, 0.025, 0.1, 0.5, 0.9, 0.999, 1)]},
        "wilson": [[k, n, *stats.binomtest(k, n).proportion_ci(method="wilson")]
                   for k, n in ((196, 200), (48, 50), (180, 200), (0, 7), (7, 7), (1, 1000000))],
        "mcnemar": [[b, c, stats.binomtest(b, b + c, 0.5).pvalue]
                    for b, c in ((0, 5), (5, 15), (1, 1), (30, 52), (400, 320), (9000, 9400))],
        "tango": [[b, c, n, level, *tango_bounds(b, c, n, level)]
                  for b, c, n, level in ((0, 0, 30, 0.95), (0, 5, 100, 0.95), (12, 3, 80, 0.9), (40, 44, 1554, 0.95),
                                         (3, 0, 20, 0.9), (10, 10, 20, 0.95))],
        "paired_sample_size": sizes(0.05, 0.8) + sizes(0.01, 0.9),
        "mean_sample_size": [[sd, d, mean_size(sd, d, 0.8)] for sd, d in ((1.0, 0.1), (0.4, 0.05), (2.5, -1.0))],
        "bootstrap_mean": {"values": values.tolist(), "low": wide.confidence_interval.low,
                           "high": wide.confidence_interval.high, "standard_error": wide.standard_error},
        "exchange": {"differences": differences, "p": exchange_p(differences)},
        "holm": {"p": p, "corrected": [0.04, 0.09, 0.09, 0.025, 0.5]},  # by hand: scipy has no Holm
    }
    print(json.dumps(golden, indent=1))


if __name__ == "__main__":
    main()
