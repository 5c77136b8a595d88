"""Two conditions on the same items, any score: tests by cluster that the mean difference is zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import aggregate
from trialist.measurement.cr2 import cr2

Floats = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]

MOST_EXACT = 16
"""Up to this many clusters with a difference all sign patterns are listed."""
BLOCK = 4_000_000


@dataclass(frozen=True)
class SignFlip:
    """``smallest`` is the least p-value that this many clusters could give; where it is above the error wanted, the
    test can't reject whatever the data."""

    p_value: float
    smallest: float
    num_patterns: int
    exact: bool


def sign_flip(
    differences: ArrayLike,
    cluster: ArrayLike,
    *,
    generator: np.random.Generator,
    alternative: Alternative = "two-sided",
    num_patterns: int = 9999,
) -> SignFlip:
    """Permutation test of the paired ``differences`` (n,) with labels ``cluster`` (n,): signs flip by whole cluster.

    T = sum of the differences; p = share of sign patterns whose T (|T| if two-sided) is at least the observed one.
    Exact if, under the null, a cluster's differences are jointly symmetric about 0: so it is where the two conditions
    are exchangeable within the cluster, and not for any distribution of mean 0. All 2^m patterns for m <= 16 clusters
    with a non-zero total (others don't matter), otherwise ``num_patterns`` random ones with (b + 1) / (m + 1), valid at
    any number. All zero: p = 1. Fisher 1935; Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39.
    Raises MeasurementUndefined for no items and values that aren't finite.
    """
    groups = aggregate(differences, cluster)
    totals = groups.means * groups.sizes
    totals = totals[np.abs(totals) > 1e-12 * float(np.abs(totals).max())]
    num = len(totals)
    if num == 0:
        return SignFlip(1.0, 1.0, 1, True)
    side = -1.0 if alternative == "less" else 1.0
    observed = _statistic(np.array([side * totals.sum()]), alternative)[0]
    limit = observed - 1e-9 * float(np.abs(totals).sum())
    fewest = 2.0 ** -(num - (alternative == "two-sided"))
    if num <= MOST_EXACT:
        bits = np.unpackbits(np.arange(2**num, dtype="<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        patterns = 1.0 - 2.0 * bits[:, :num]
        hits = int((_statistic(patterns @ (side * totals), alternative) >= limit).sum())
        return SignFlip(hits / 2**num, fewest, 2**num, True)
    if num_patterns < 1:
        raise MeasurementUndefined("a random test needs patterns", seen=str(num_patterns), allowed="1 or more")
    hits, block = 0, max(1, BLOCK // num)
    for done in range(0, num_patterns, block):
        patterns = 1.0 - 2.0 * generator.integers(0, 2, (min(block, num_patterns - done), num))
        hits += int((_statistic(patterns @ (side * totals), alternative) >= limit).sum())
    return SignFlip((hits + 1) / (num_patterns + 1), max(fewest, 1 / (num_patterns + 1)), num_patterns, False)


def paired_t(differences: ArrayLike, cluster: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Two-sided p-value of Student's t for the item-weighted mean difference: ``cr2`` error and degrees of freedom.

    Clusters of one size give the paired t test on cluster means. Raises MeasurementUndefined as ``cr2`` does.
    """
    found = cr2(aggregate(differences, cluster, weights))
    return float(2 * stdtr(found.degrees, -abs(found.value) / found.standard_error))


def _statistic(sums: Floats, alternative: Alternative) -> Floats:
    return np.abs(sums) if alternative == "two-sided" else sums
