"""Guaranteed bounds for a mean of bounded values, at any sample size and whatever the distribution.

Clusters (n_c, Y_c) are independent draws; Y_c in [low, high] is a cluster's mean and n_c its size, at most n_max. The
estimand is the item-weighted mean mu = E[n_c Y_c] / E[n_c]. For each candidate m a gambler bets against "mu >= m":

    K(m) = prod_t (1 + lambda_t w_t (m - Y_t)),   w_t = n_t / n_max,   0 <= lambda_t <= CAP / (1 - m)   (Y in [0, 1])

If mu >= m, every factor has expectation at most 1 given the past, so E[K] <= 1 and P(K >= 1/alpha) <= alpha by Markov's
inequality; no factor is below 1 - CAP > 0. K rises with m, so the upper bound is the m where K reaches 1/alpha.

Bets are the fixed-n predictable plug-in of Waudby-Smith & Ramdas 2024 (J. R. Stat. Soc. B 86, equation 26):
lambda_t = sqrt(2 ln(1/alpha) / (n v_{t-1})) with v the running variance of the increments. A bet depends on the order
of the clusters. We average K over ``NUM_PERMUTATIONS`` fixed permutations: an average of e-values is an e-value, so the
guarantee stands, and the caller's order (clusters sorted by name) makes the bound independent of the order of the data.

n_max is a constant of the design: the largest cluster of the registered items, known before any answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share

Floats = NDArray[np.float64]

NUM_PERMUTATIONS = 32
FEWEST_PERMUTATIONS = 4
MOST_CELLS = 2**14
"""Permutations times clusters, above which fewer permutations are averaged."""
CAP = 0.75
"""Largest share of the capital at risk in one bet. The paper suggests 1/2 or 3/4; 3/4 is tighter for rare events."""
TOLERANCE = 1e-12
CHUNK = 16
"""Factors multiplied before a logarithm is taken: each lies in [1/4, 1e12], so sixteen of them stay in range."""


def upper_mean(
    means: ArrayLike, sizes: ArrayLike | None = None, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> float:
    """Upper bound on the item-weighted mean, holding with at least ``confidence``.

    ``means`` (C,) are cluster means in [low, high], in an order fixed before the data (sorted by name); ``sizes`` (C,)
    are numbers of items or total weights, 1 each if None. Never below the sample's mean, never above ``high``.
    Raises MeasurementUndefined for no clusters, values outside [low, high], sizes that aren't positive.
    """
    sample = permuted(means, sizes, low, high)
    alpha = 1 - check_share("confidence", confidence)
    target = math.log(1 / alpha)
    bets = plug_in_bets(sample, target)
    below, above = sample.mean, 1 - TOLERANCE
    if sample.mean >= above or log_capital(above, bets, sample) < target:
        return high
    # K at the sample's mean may already exceed 1/alpha where the bets were lucky: the bound is the mean then.
    if log_capital(below, bets, sample) >= target:
        return low + (high - low) * below
    root = float(brentq(lambda m: log_capital(m, bets, sample) - target, below, above, xtol=TOLERANCE))
    # The root is known up to the tolerance; the bound stays on its safe side.
    return min(high, low + (high - low) * (root + 4 * TOLERANCE))


def lower_mean(
    means: ArrayLike, sizes: ArrayLike | None = None, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> float:
    """Lower bound: the mirror image of ``upper_mean``."""
    mirrored = -np.asarray(means, dtype=np.float64)
    return -upper_mean(mirrored, sizes, low=-high, high=-low, confidence=confidence)


def interval(
    means: ArrayLike, sizes: ArrayLike | None = None, *, low: float = 0.0, high: float = 1.0, level: float = 0.95
) -> Interval:
    """Both bounds, each with confidence (1 + level) / 2."""
    side = (1 + check_share("level", level)) / 2
    return Interval(
        lower_mean(means, sizes, low=low, high=high, confidence=side),
        upper_mean(means, sizes, low=low, high=high, confidence=side),
    )


@dataclass(frozen=True)
class Permuted:
    """``values`` and ``weights`` in [0, 1], shape (P, C): one row a permutation of the clusters."""

    values: Floats
    weights: Floats
    mean: float


def log_capital(m: float, bets: Floats, sample: Permuted) -> float:
    """log of the capital K(m) averaged over the permutations; ``bets`` (P, C) before the cap."""
    factors = np.minimum(bets, CAP / (1 - m))
    factors *= sample.weights
    factors *= m - sample.values
    factors += 1
    rows, n = factors.shape
    whole = n - n % CHUNK
    logs = np.log(factors[:, :whole].reshape(rows, -1, CHUNK).prod(axis=2)).sum(axis=1)
    logs += np.log(factors[:, whole:]).sum(axis=1)
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def plug_in_bets(sample: Permuted, target: float) -> Floats:
    """lambda_t from what was seen before t. The prior spread is that of a fair coin, scaled by the weights so far."""
    x, w = sample.values, sample.weights
    rows, n = x.shape
    before = np.arange(n, dtype=np.float64)
    running = (0.5 + np.cumsum(w * x, axis=1)) / (1 + np.cumsum(w, axis=1))
    squares = np.cumsum((w * (x - running)) ** 2, axis=1)
    past = np.concatenate([np.zeros((rows, 1)), squares[:, :-1]], axis=1)
    scale = np.concatenate([np.ones((rows, 1)), np.cumsum(w**2, axis=1)[:, :-1]], axis=1) / np.maximum(before, 1)
    variance = (scale / 4 + past) / (before + 1)
    return np.sqrt(2 * target / (n * variance))


def permuted(means: ArrayLike, sizes: ArrayLike | None, low: float, high: float) -> Permuted:
    """Clusters scaled to [0, 1], in each of the fixed orders. Raises MeasurementUndefined as ``upper_mean`` does."""
    y = np.asarray(means, dtype=np.float64)
    n = np.ones_like(y) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined("betting needs finite bounds, low < high", seen=f"[{low}, {high}]")
    if y.ndim != 1 or len(y) == 0 or y.shape != n.shape:
        raise MeasurementUndefined("betting needs clusters, each with a size", seen=f"{y.shape} means, {n.shape} sizes")
    if not ((n > 0) & np.isfinite(n)).all():
        raise MeasurementUndefined("cluster sizes must be positive and finite")
    slack = 1e-9 * (high - low)
    if not ((y >= low - slack) & (y <= high + slack)).all():
        raise MeasurementUndefined("cluster means outside their range", allowed=f"[{low}, {high}]", seen=str(y))
    unit = np.clip((y - low) / (high - low), 0.0, 1.0)
    order = fixed_orders(len(y))
    return Permuted(unit[order], (n / n.max())[order], float(n @ unit / n.sum()))


@lru_cache(maxsize=32)
def fixed_orders(n: int) -> NDArray[np.int64]:
    """The fixed permutations of n clusters, (P, n)."""
    rows = max(FEWEST_PERMUTATIONS, min(NUM_PERMUTATIONS, MOST_CELLS // n))
    # Raw PCG64 output is the same in every version of numpy, which Generator.permutation doesn't promise.
    return np.random.PCG64(0).random_raw(rows * n).reshape(rows, n).argsort(axis=1)
