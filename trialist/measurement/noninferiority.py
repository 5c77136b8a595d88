"""Claim bounds for a paired difference: cluster by cluster, net d_c = arm minus control in [-1, 1].

"The arm loses less than the margin" PASSES when the lower bound of E[d] is above -margin and FAILS when the upper bound
is below it. The two sides have different work to do:

- The passing side must survive a handful of lost clusters among hundreds. E[d] >= -P(d < 0), so minus the exact upper
  bound on the share of the items whose cluster loses (``cluster_bound``; Clopper & Pearson's for clusters of one size)
  is a lower bound on E[d]: exact, blind to gains, never of zero width. With 260 clusters a margin of .03 survives two
  lost ones. It says nothing about a claimed gain, or a loss of half a cluster in many, so it shares the error with the
  betting bound: each gets half, the better one counts.
- The failing side is the betting bound at the full confidence.

Counting clusters needs a binary outcome; otherwise both sides are betting bounds. With clusters of unequal size the
count is about the sizes of the design (``cluster_bound`` says when that is the process too).
Which rule applies depends on the design alone and not on the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, cluster_bound
from trialist.measurement.interval import check_share
from trialist.records import Side


@dataclass(frozen=True)
class Bounds:
    """One-sided bounds of a mean difference, each holding with the confidence asked for."""

    lower: float
    upper: float
    method: str


def difference_bounds(
    net: ArrayLike,
    sizes: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    side: Side | None = None,
    binary: bool = True,
    highest: ArrayLike | None = None,
) -> Bounds:
    """Bounds for the item-weighted mean of ``net`` (C,), each cluster's mean difference in [-1, 1].

    ``sizes`` (C,) are numbers of pairs or total weights. ``side`` is the claim's: ``above`` (the mean lies above a
    threshold: non-inferiority, superiority) makes the lower bound the passing one, ``below`` the upper; None: betting
    on both. ``binary``: the outcome is binary, one answer an item. Where values are missing, ``net`` has them at their
    lowest for the lower bound and ``highest`` (C,) at their highest for the upper one.
    """
    low = np.asarray(net, dtype=np.float64)
    high = low if highest is None else np.asarray(highest, dtype=np.float64)
    n = np.ones_like(low) if sizes is None else np.asarray(sizes, dtype=np.float64)
    lower = _lower(low, n, confidence, exact=binary and side == "above")
    upper = -_lower(-high, n, confidence, exact=binary and side == "below")
    return Bounds(lower, upper, _method(binary, side))


def losing_share_bound(net: ArrayLike, sizes: ArrayLike | None = None, confidence: float = 0.95) -> float:
    """-U with U the exact upper bound on the share of items in clusters with d < 0: a lower bound on E[d]."""
    d = np.asarray(net, dtype=np.float64)
    if not (len(d) and np.isfinite(d).all() and (np.abs(d) <= 1 + 1e-9).all()):
        raise MeasurementUndefined("net differences must lie in [-1, 1], at least one", seen=str(d))
    return -cluster_bound.upper_mean(d < -1e-12, sizes, confidence=confidence)


def _lower(net: NDArray[np.float64], sizes: NDArray[np.float64], confidence: float, *, exact: bool) -> float:
    check_share("confidence", confidence)
    if not exact:
        return betting.lower_mean(net, sizes, low=-1.0, high=1.0, confidence=confidence)
    half = 1 - (1 - confidence) / 2
    gambled = betting.lower_mean(net, sizes, low=-1.0, high=1.0, confidence=half)
    return max(losing_share_bound(net, sizes, half), gambled)


def _method(counts: bool, side: Side | None) -> str:
    if counts and side is not None:
        passing, failing, verb = ("lower", "upper", "lose") if side == "above" else ("upper", "lower", "gain")
        return (
            f"{passing} bound: exact on the share of clusters that {verb} (Clopper-Pearson where they are of one "
            f"size), or betting, the better of the two at half the error each; {failing} bound: betting over clusters"
        )
    why = "" if counts else ", as the outcome is graded"
    return f"betting over clusters on both sides{why}"
