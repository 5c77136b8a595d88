"""Guaranteed bounds for the mean of a fixed bank of N bounded values, n of which were drawn at random without
replacement.

Before draw t the mean of what is left, if the bank's mean is m, is m_t = (N m - S_{t-1}) / (N - t + 1), with S the sum
so far. A gambler bets against "mean >= m" as in ``betting``:

    K(m) = prod_t (1 + lambda_t (m_t - X_t)),   0 <= lambda_t <= CAP / (1 - m_t)   (X in [0, 1])

At the true mean every factor has conditional expectation 1, so P(K >= 1/alpha) <= alpha; and m_t rises with m, so K
rises with m and the bound is the m where it reaches 1/alpha. An m with m_t > 1 is impossible: the bound is never above
what the bank could still hold, (S_n + N - n) / N. Waudby-Smith & Ramdas 2024, section 5.

The draws' order has to be random given which items were drawn; the caller's (sorted by name) isn't. So the capital is
averaged over all n! orders up to ``MOST_ALL`` items, where the guarantee is exact, and beyond over as many random ones
as ``MOST_CELLS`` allows, drawn once for all from raw PCG64 output: there it holds over the draw of the orders. With few
orders a bank in the worst order would matter: with the 32 of ``betting``, 7 of 8 items and confidence .8 it was .75.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from trialist.errors import MeasurementUndefined
from trialist.measurement.betting import CAP, FEWEST_PERMUTATIONS, MOST_CELLS, TOLERANCE
from trialist.measurement.interval import check_share

Floats = NDArray[np.float64]

MOST_ALL = 7
"""Up to so many items all orders are averaged, 5,040 of seven."""


def upper_bank_mean(
    values: ArrayLike, size: int, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> float:
    """Upper bound on the mean of the bank's ``size`` values from the ``values`` (n,) of a simple random sample.

    Raises MeasurementUndefined for an empty sample, one larger than the bank, and values outside [low, high].
    """
    x = _sample(values, size, low, high)
    n, target = len(x), math.log(1 / (1 - check_share("confidence", confidence)))
    draws: Floats = x[_orders(n)]
    bets = _bets(draws, size, target)
    most = (float(x.sum()) + size - n) / size
    below = float(x.mean())

    def excess(m: float) -> float:
        return _log_capital(m, draws, bets, size) - target

    above = most - TOLERANCE
    if below >= above or excess(above) < 0:
        return low + (high - low) * most
    if excess(below) >= 0:
        return low + (high - low) * below
    root = float(brentq(excess, below, above, xtol=TOLERANCE))
    return low + (high - low) * min(most, root + 4 * TOLERANCE)


def lower_bank_mean(
    values: ArrayLike, size: int, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> float:
    """Lower bound: the mirror image of ``upper_bank_mean``."""
    mirrored = -np.asarray(values, dtype=np.float64)
    return -upper_bank_mean(mirrored, size, low=-high, high=-low, confidence=confidence)


@lru_cache(maxsize=16)
def _orders(n: int) -> NDArray[np.int64]:
    if n <= MOST_ALL:
        return np.array(list(permutations(range(n))), dtype=np.int64)
    rows = max(FEWEST_PERMUTATIONS, MOST_CELLS // n)
    return np.random.PCG64(2).random_raw(rows * n).reshape(rows, n).argsort(axis=1)


def _log_capital(m: float, draws: Floats, bets: Floats, size: int) -> float:
    left = _mean_left(m, draws, size)
    capped = np.minimum(bets, CAP / np.maximum(1 - left, TOLERANCE))
    logs = np.log1p(capped * (left - draws)).sum(axis=1)
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def _mean_left(m: float, draws: Floats, size: int) -> Floats:
    """m_t, the mean of what is left before each draw."""
    n = draws.shape[1]
    before = np.cumsum(draws, axis=1) - draws
    left: Floats = (size * m - before) / (size - np.arange(n, dtype=np.float64))
    return left


def _bets(draws: Floats, size: int, target: float) -> Floats:
    """Predictable plug-in, as in ``betting``, for an alternative at distance d from m: the mean of what is left then
    lies d a_t from m_t with a_t = N / (N - t + 1), so the bet grows as a_t / (V sum a^2)^(1/2)."""
    rows, n = draws.shape
    before = np.arange(n, dtype=np.float64)
    running = (0.5 + np.cumsum(draws, axis=1)) / (before + 2)
    squares = np.cumsum((draws - running) ** 2, axis=1)
    past = np.concatenate([np.zeros((rows, 1)), squares[:, :-1]], axis=1)
    variance = (0.25 + past) / (before + 1)
    leverage = size / (size - before)
    return leverage * np.sqrt(2 * target / (variance * (leverage**2).sum()))


def _sample(values: ArrayLike, size: int, low: float, high: float) -> Floats:
    x: Floats = np.asarray(values, dtype=np.float64)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined("betting needs finite bounds, low < high", seen=f"[{low}, {high}]")
    if x.ndim != 1 or not 0 < len(x) <= size:
        raise MeasurementUndefined("a sample of a bank holds 1 to N of its items", seen=f"{x.shape} of {size}")
    slack = 1e-9 * (high - low)
    if not ((x >= low - slack) & (x <= high + slack)).all():
        raise MeasurementUndefined("values outside their range", allowed=f"[{low}, {high}]", seen=str(x))
    unit: Floats = np.clip((x - low) / (high - low), 0.0, 1.0)
    return unit
