"""The mean of independent scores with Student's t."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Clusters
from trialist.measurement.cr2 import cr2
from trialist.measurement.interval import Interval, t_quantile


def t_interval(values: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Interval:
    """mean +- t_{n-1} sd / sqrt(n) of ``values`` (n,), sd with n - 1.

    Assumes independent items and a mean that is about normal: with scores piled up at one end it covers too little, and
    ``betting.interval`` serves. With ``weights`` (n,) each item is a cluster of one in ``cr2`` (items of weight 0 left
    out): equal weights give the same interval. Raises MeasurementUndefined for n < 2, values without spread or not
    finite, negative weights. Student 1908, Biometrika 6.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or x.shape != w.shape:
        raise MeasurementUndefined("a mean needs one column of values", seen=f"{x.shape} values, {w.shape} weights")
    if not (np.isfinite(x).all() and np.isfinite(w).all() and (w >= 0).all()):
        raise MeasurementUndefined("values must be finite, weights finite and not negative")
    x, w = x[w > 0], w[w > 0]
    n = len(x)
    if n < 2:
        raise MeasurementUndefined("a t interval needs two values", seen=f"n = {n}", allowed="2 or more")
    if np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        raise MeasurementUndefined(
            "all values are equal, so their spread can't be estimated",
            seen=f"{n} values of {x[0]:g}",
            next_step="for bounded scores use betting.interval; for a binary score proportions.wilson",
        )
    if weights is not None:
        return cr2(Clusters(x, w, np.ones(n, dtype=np.int64)), level).interval
    half = t_quantile(level, n - 1) * float(x.std(ddof=1)) / math.sqrt(n)
    return Interval(float(x.mean()) - half, float(x.mean()) + half)
