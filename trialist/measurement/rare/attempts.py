"""Best of N: the share of items on which at least one of k attempts succeeds, from n >= k attempts an item.

    ASR@k = mean over items of 1 - C(n - c, k) / C(n, k),   c of the item's n attempts succeeded,

the share of the k-subsets of the attempts that hold a success, unbiased for 1 - (1 - p)^k at every p if n was fixed
before and the attempts are exchangeable. The plug-in 1 - (1 - c/n)^k is biased and isn't offered. An attack that
stops at its first success has no fixed n: use ``lifetimes.survival_at`` or ``curves`` for it.
Chen et al. 2021, arXiv 2107.03374, section 2.1 (pass@k); Hughes et al. 2024, arXiv 2412.03556 (attack success).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered
from trialist.measurement.interval import Interval

Floats = NDArray[np.float64]

FEWEST_CLUSTERS = 5


@dataclass(frozen=True)
class AttemptRate:
    """ASR@k over ``num_items`` items in ``num_clusters`` clusters. ``interval`` describes and ``method`` says how it
    was made; ``lower`` and ``upper`` are guaranteed, each alone, with the confidence asked for."""

    k: int
    value: float
    interval: Interval
    method: str
    lower: float
    upper: float
    num_items: int
    num_clusters: int


def unbiased(successes: ArrayLike, attempts: ArrayLike, k: int) -> Floats:
    """1 - C(n - c, k) / C(n, k) per item, (items,) from ``successes`` c and ``attempts`` n.

    Raises MeasurementUndefined for k < 1, for k above any item's n, and for counts that aren't 0 <= c <= n.
    """
    c, n = np.asarray(successes, dtype=np.float64), np.asarray(attempts, dtype=np.float64)
    n = np.broadcast_to(n, c.shape)
    whole = np.isfinite(n) & (np.floor(c) == c) & (np.floor(n) == n)
    if c.ndim != 1 or len(c) == 0 or not ((c >= 0) & (c <= n) & whole).all():
        raise MeasurementUndefined("attempts and successes", seen=f"{c} of {n}", allowed="whole, 0 <= c <= n")
    if not (k >= 1 and int(k) == k and k <= n.min()):
        raise MeasurementUndefined(
            "best of k from fewer attempts than k is an extrapolation", seen=f"k = {k}, fewest attempts {n.min():g}",
            allowed=f"1 to {n.min():g}", next_step="run more attempts, or fit a curve and mark it exploratory",
        )  # fmt: skip
    return np.array([_share(int(one), int(all_of), int(k)) for one, all_of in zip(c, n, strict=True)])


@lru_cache(maxsize=4096)
def _share(c: int, n: int, k: int) -> float:
    """C(n - c, k) / C(n, k) = prod_{j < c} (1 - k / (n - j)) = prod_{j < k} (1 - c / (n - j)): the shorter product in
    logarithms. Differences of log-gamma lose every digit at a billion attempts."""
    if n - c < k:
        return 1.0
    short, long = min(c, k), max(c, k)
    return float(-np.expm1(np.log1p(-long / (n - np.arange(short))).sum())) if short else 0.0


def at_k(
    successes: ArrayLike,
    attempts: ArrayLike,
    k: int,
    *,
    cluster: ArrayLike | None = None,
    confidence: float = 0.95,
) -> AttemptRate:
    """ASR@k with intervals over items; ``cluster`` (items,) labels those that rise and fall together (None: none do).

    ``interval``: delete-one-cluster jackknife with t at level ``confidence``, cut to [0, 1]; where clusters don't
    differ or are fewer than five, the two-sided betting interval, which has a width there. ``lower`` and ``upper``:
    betting over clusters (items' estimates lie in [0, 1] and are unbiased: the guarantee holds for any mix of p).
    Attempts at one item never count as rows: more of them make an item's estimate better, not the sample larger.
    """
    each = unbiased(successes, attempts, k)
    labels = np.arange(len(each)) if cluster is None else np.asarray(cluster)
    groups = clustered.aggregate(each, labels)
    num = len(groups.means)
    interval, method = None, "delete-one-cluster jackknife, t"
    if num >= FEWEST_CLUSTERS:
        fitted = clustered.jackknife(each, labels, lambda means: means[..., 0], level=confidence)
        if fitted.standard_error > 1e-12:
            interval = Interval(max(0.0, fitted.interval.low), min(1.0, fitted.interval.high))
    if interval is None:
        interval, method = betting.interval(groups.means, groups.sizes, level=confidence), "betting over clusters"
    return AttemptRate(
        k=int(k),
        value=float(each.mean()),
        interval=interval,
        method=method,
        lower=betting.lower_mean(groups.means, groups.sizes, confidence=confidence),
        upper=betting.upper_mean(groups.means, groups.sizes, confidence=confidence),
        num_items=len(each),
        num_clusters=num,
    )
