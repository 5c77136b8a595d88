"""Exact claim bounds for clustered rare events: a cluster with any event counts as failing wholly.

Data: clusters of fixed sizes n_1..n_C (the registered items), independent of one another; Y_c in [0, 1] is a cluster's
mean. Nothing is assumed within a cluster, nor that clusters are alike. The estimand is the share over the items of the
design, mu = sum(n_c E[Y_c]) / sum(n_c).

Proof of the upper bound. Let A_c = 1 if Y_c > 0, else 0, P_c = P(A_c = 1), C U the Clopper-Pearson bound on sum(P_c)
from the number of clusters with an event (``independent_trials.upper_share``: it holds for unequal P_c). As Y_c <= A_c,

    sum(n) mu <= sum(n_c P_c) <= max {sum(n_c x_c) : 0 <= x_c <= 1, sum(x_c) <= C U}   whenever sum(P_c) <= C U,

which has probability at least the confidence. The maximum fills the largest clusters first: floor(C U) of them wholly
and the next by the rest. For clusters of one size it is n C U, so the bound is U itself: Clopper & Pearson on clusters.
The lower bound is the mirror image: a cluster with any non-event counts as having no event.

If the clusters are draws of a process and sizes are drawn with them, this is a claim about the design's sizes. It is
one about E[n Y] / E[n] too if sizes are equal, or rates and sizes are unrelated; otherwise use ``betting``, which is
also the tighter one unless events are rare (see docs/measurement/rates-and-clusters.md).
"""

from __future__ import annotations

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
    reach = len(y) * upper_share(int((y > 0).sum()), len(y), confidence)
    largest = np.sort(n)[::-1]
    filled = np.clip(reach - np.arange(len(n)), 0.0, 1.0)
    return min(1.0, float(largest @ filled / n.sum()))


def lower_mean(means: ArrayLike, sizes: ArrayLike | None = None, *, confidence: float = 0.95) -> float:
    """Lower bound: 1 minus the upper bound on the mean of 1 - Y."""
    return 1 - upper_mean(1 - np.asarray(means, dtype=np.float64), sizes, confidence=confidence)


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
