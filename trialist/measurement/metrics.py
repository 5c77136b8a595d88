"""Metrics: functions of weighted column means, so that one estimator (delete-one-cluster) serves all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Means = NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A function of weighted column means.

    ``columns`` are measure names; over the items that have all of them, with means m_1..m_k (each over scored items),
    the metric is ``of(m)``. ``of`` takes an array of shape (..., k) and returns shape (...), NaN where undefined.
    ``extremes`` are the rows (length k) that a missing item could turn out to be; the worst and best case over missing
    items is taken over all of them equal to one such row, so ``of`` must be monotone along these directions.
    ``low`` and ``high`` bound the metric.
    """

    name: str
    columns: tuple[str, ...]
    of: Callable[[Means], Means]
    extremes: tuple[tuple[float, ...], ...]
    low: float = 0.0
    high: float = 1.0
    unit: str = "share"

    @property
    def is_mean(self) -> bool:
        """A plain mean of one measure: intervals for rates and means apply."""
        return len(self.columns) == 1 and self.of is first


def first(means: Means) -> Means:
    return means[..., 0]


def mean_of(measure: str, name: str | None = None) -> Metric:
    """The plain mean of a measure between 0 and 1."""
    return Metric(name or measure, (measure,), first, extremes=((0.0,), (1.0,)))


def mean_between(measure: str, low: float, high: float) -> Metric:
    """The plain mean of a measure between ``low`` and ``high``, which may be infinite."""
    return Metric(measure, (measure,), first, ((low,), (high,)), low, high)


def mean_seen(measure: str, values: ArrayLike) -> Metric:
    """The plain mean of a measure whose range nobody states: [0, 1] where all ``values`` (n,), NaN left out, lie there,
    else unknown, which leaves a claim without bounds."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    inside = bool(((known >= 0) & (known <= 1)).all())
    return mean_between(measure, 0.0, 1.0) if inside else mean_between(measure, -math.inf, math.inf)
