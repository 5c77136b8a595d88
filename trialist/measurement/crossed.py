"""Crossed clusters: each score belongs to two groupings at once, such as item x template or prompt x training run.

Scores that share either label may be correlated; scores that share neither are taken to be independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Clusters, aggregate, standard_error
from trialist.measurement.interval import Interval, t_quantile

FEWEST_CLUSTERS = 5


@dataclass(frozen=True)
class Crossed:
    """The weighted mean with its two-way standard error. ``by_first`` and ``by_second`` are the one-way CR1 errors;
    ``fallback``: the three-term variance wasn't positive, and the two-term one stands."""

    value: float
    standard_error: float
    by_first: float
    by_second: float
    num_first: int
    num_second: int
    fallback: bool

    @property
    def degrees(self) -> int:
        """min(C_1, C_2) - 1."""
        return min(self.num_first, self.num_second) - 1

    def interval(self, level: float = 0.95) -> Interval:
        """value +- t_degrees SE; refused with fewer than five clusters in either grouping."""
        if self.degrees + 1 < FEWEST_CLUSTERS:
            raise MeasurementUndefined(
                "too few crossed clusters for an interval", seen=f"{self.num_first} x {self.num_second}",
                allowed=f"{FEWEST_CLUSTERS} or more of each", next_step="report the value and both groupings",
            )  # fmt: skip
        half = t_quantile(level, self.degrees) * self.standard_error
        return Interval(self.value - half, self.value + half)


def crossed(values: ArrayLike, first: ArrayLike, second: ArrayLike, *, weights: ArrayLike | None = None) -> Crossed:
    """Two-way cluster-robust standard error of the weighted mean of ``values`` (n,) with two labels (n,) each.

    V = V_1 + V_2 - V_12, each with its own C / (C - 1); V_12 clusters by the pair of labels. Where V isn't positive the
    two-term V_1 + V_2 stands in its place; it is never too small to first order.
    Cameron, Gelbach & Miller 2011, J. Bus. Econ. Stat. 29; Davezies, D'Haultfoeuille & Guyonvarch 2021, Ann. Statist.
    49; MacKinnon, Nielsen & Webb 2021, J. Bus. Econ. Stat. 39. Raises MeasurementUndefined for fewer than two clusters
    in either grouping and for values without spread.
    """
    a, b = (_codes(labels) for labels in (first, second))
    if a.shape != b.shape:
        raise MeasurementUndefined("every score needs both labels", seen=f"{len(a)} and {len(b)} labels")
    groups = [aggregate(values, labels, weights) for labels in (a, b, a * (int(b.max(initial=0)) + 1) + b)]
    num_first, num_second = len(groups[0].means), len(groups[1].means)
    if min(num_first, num_second) < 2:
        raise MeasurementUndefined(
            "two-way clustering needs two clusters in each grouping", seen=f"{num_first} x {num_second}",
            allowed="2 or more of each", next_step="cluster by the grouping that varies (clustered)",
        )  # fmt: skip
    one, two, both = (standard_error(g) ** 2 for g in groups)
    scale = float(np.abs(np.asarray(values, dtype=np.float64)).max()) ** 2
    _check_spread(groups[2], scale)
    variance = one + two - both
    fallback = variance <= 1e-15 * scale
    used = one + two if fallback else variance
    if used <= 1e-24 * max(scale, 1e-300):
        raise MeasurementUndefined("neither grouping varies, so no variance can be estimated", seen="equal means")
    return Crossed(
        groups[0].mean, math.sqrt(used), math.sqrt(one), math.sqrt(two), num_first, num_second, bool(fallback)
    )


def _check_spread(cells: Clusters, scale: float) -> None:
    if np.ptp(cells.means) ** 2 <= 1e-24 * max(scale, 1e-300):
        raise MeasurementUndefined(
            "all means are equal, so their spread can't be estimated", seen=f"{cells.mean:g}",
            next_step="use an interval that doesn't need spread, clustered by the coarser grouping",
        )  # fmt: skip


def _codes(labels: Any) -> NDArray[np.int64]:
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64).ravel()
