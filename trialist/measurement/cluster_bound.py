"""Exact claim bounds for clustered rare events: a cluster with any event counts as failing wholly.

Data: clusters of fixed sizes n_1..n_C (the registered items), independent of one another; Y_c in [0, 1] is a cluster's
mean. Nothing is assumed within a cluster, nor that clusters are alike. The estimand is the share over the items of the
design, mu = sum(n_c E[Y_c]) / sum(n_c).

Proof of the upper bound. Let A_c = 1 if Y_c > 0, else 0, P_c = P(A_c = 1) and S = sum(A_c), so that Y_c <= A_c and
sum(n) mu <= sum(n_c P_c). With k clusters that have an event the bound is u_k / sum(n):

- k >= 1: u_k = max {sum(n_c x_c) : 0 <= x_c <= 1, sum(x_c) <= C U_k} with U_k the Clopper-Pearson bound for unequal
  chances (``independent_trials.upper_share``). The largest clusters are filled first: floor(C U_k) of them wholly, the
  next by the rest.
- k = 0: u_0 = max {sum(n_c x_c) : prod(1 - x_c) >= alpha}. The set is convex, so Lagrange's condition gives the
  maximum: 1 - x_c = min(1, z / n_c), with z such that the product is alpha. Since prod(1 - x_c) >= alpha implies
  sum(x_c) <= C U_0 (the geometric mean is at most the arithmetic), it is never above what k >= 1 would give.

u_k rises with k. If the bound misses, then S <= c with c the largest k for which u_k < sum(n_c P_c). For c >= 1 this
means sum(P_c) > C U_c, hence P(S <= c) <= alpha; for c = 0 it means P(S = 0) = prod(1 - P_c) < alpha. For clusters of
one size u_k / sum(n) is U_k itself: Clopper & Pearson on clusters. The lower bound is the mirror image: a cluster with
any non-event counts as having no event.

If the clusters are draws of a process and sizes are drawn with them, this is a claim about the design's sizes. It is
one about E[n Y] / E[n] too if sizes are equal, or rates and sizes are unrelated; otherwise use ``betting``, which is
also the tighter one unless events are rare (see docs/measurement/rates-and-clusters.md).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.independent_trials import upper_share

Floats = NDArray[np.float64]


def upper_mean(means: ArrayLike, sizes: ArrayLike | None = None, *, confidence: float = 0.95) -> float:
    """Upper bound on the item-weighted mean, holding with at least ``confidence`` >= .75.

    ``means`` (C,) are cluster means in [0, 1], ``sizes`` (C,) numbers of items, 1 each if None; one cluster is enough.
    Raises MeasurementUndefined for no clusters, means outside [0, 1], sizes that aren't positive, low confidence.
    """
    y, n = _clusters(means, sizes)
    largest, hit = np.sort(n)[::-1], int((y > 0).sum())
    chance = upper_share(hit, len(y), confidence)
    if hit == 0:
        filled = _without_events(largest, 1 - confidence)
    else:
        filled = np.clip(len(y) * chance - np.arange(len(n)), 0.0, 1.0)
    return min(1.0, float(largest @ filled / n.sum()))


def lower_mean(means: ArrayLike, sizes: ArrayLike | None = None, *, confidence: float = 0.95) -> float:
    """Lower bound: 1 minus the upper bound on the mean of 1 - Y."""
    return 1 - upper_mean(1 - np.asarray(means, dtype=np.float64), sizes, confidence=confidence)


def _without_events(largest: Floats, alpha: float) -> Floats:
    """The x (C,) that maximise sum(n_c x_c) with prod(1 - x_c) >= alpha, for sizes in falling order."""
    logs = np.log(largest)
    levels = (np.cumsum(logs) + math.log(alpha)) / np.arange(1, len(logs) + 1)
    # With the m largest in use z is exp(levels[m - 1]); the condition fixes m: n_m > z >= n_(m+1).
    following = np.append(logs[1:], -math.inf)
    z = math.exp(float(levels[int(np.argmax(levels >= following))]))
    return np.clip(1 - z / largest, 0.0, 1.0)


def _clusters(means: ArrayLike, sizes: ArrayLike | None) -> tuple[Floats, Floats]:
    y = np.asarray(means, dtype=np.float64)
    n = np.ones_like(y) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if y.ndim != 1 or len(y) == 0 or y.shape != n.shape:
        raise MeasurementUndefined("a bound needs clusters, each with a size", seen=f"{y.shape} means, {n.shape} sizes")
    if not ((n > 0) & np.isfinite(n)).all():
        raise MeasurementUndefined("cluster sizes must be positive and finite")
    if not ((y >= 0) & (y <= 1)).all():
        raise MeasurementUndefined("cluster means must lie in [0, 1]", seen=str(y), allowed="shares")
    return y, n
