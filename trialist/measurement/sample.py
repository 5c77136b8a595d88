"""Items of one cell, or of a pair of cells, as arrays, with what is missing marked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trialist.measurement.metrics import Means, Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """n items, sorted by id; ``ids`` (n,) are their places in the item index.

    ``values`` (n, K) hold the columns of ``metric`` (for a pair: the cell's, then the contrast's), NaN in the rows that
    aren't ``scored`` (n,); ``weights`` (n, K); ``cluster`` (n,) are codes 0..C-1 in sorted order of the clusters'
    names, ``named_cluster`` (n,) their codes in the item index, the same in every cell; ``second`` (n,) are codes of a
    facet that cuts across them, or None. ``num_epochs`` (n,) are the answers an item's value is the mean of, ``within``
    (n,) the variance (ddof 1) between them, None where some item has one answer. ``judged``: some value is a judge's.
    ``plain``: a mean of one measure or a difference of two such means with equal weights. ``binary``: every score is 0
    or 1 by its kind and each item was answered once."""

    metric: Metric
    ids: Ints
    values: Floats
    weights: Floats
    scored: NDArray[np.bool_]
    cluster: Ints
    named_cluster: Ints
    num_epochs: Ints
    plain: bool
    paired: bool
    binary: bool
    num_unmatched: int = 0
    second: Ints | None = None
    within: Floats | None = None
    judged: bool = False

    @property
    def num_clusters(self) -> int:
        """Clusters that hold a scored item."""
        return int((np.bincount(self.cluster[self.scored]) > 0).sum()) if self.scored.any() else 0

    @property
    def independent(self) -> bool:
        """One item a cluster, all of one weight, and no facet across them."""
        alone = self.second is None and (len(self.cluster) == 0 or bool(np.bincount(self.cluster).max() == 1))
        return alone and self.equal_weights

    @property
    def equal_weights(self) -> bool:
        return bool(self.weights.size == 0 or np.ptp(self.weights) == 0)

    def of_equal_clusters(self) -> Sample:
        """The same items, weighted so that every cluster has a total weight of 1."""
        totals = np.bincount(self.cluster, weights=self.weights[:, 0])
        return replace(self, weights=self.weights / totals[self.cluster][:, None])

    def only(self, rows: NDArray[np.bool_]) -> Sample:
        """The sample of these items alone."""
        second, within = (None if x is None else x[rows] for x in (self.second, self.within))
        return replace(
            self, ids=self.ids[rows], values=self.values[rows], weights=self.weights[rows], scored=self.scored[rows],
            cluster=self.cluster[rows], named_cluster=self.named_cluster[rows], num_epochs=self.num_epochs[rows],
            second=second, within=within,
        )  # fmt: skip

    def filled(self, best: Literal[0, 1]) -> Sample | None:
        """A plain sample with its missing items at the lowest (0) or highest (1) value they could have, both cells of a
        pair set against each other; None where something is missing and that value is unknown or infinite."""
        if self.scored.all():
            return self
        rows = [row for row in self.metric.extremes if all(map(math.isfinite, row))]
        if not rows:
            return None
        unit = [row[0] - row[1] if self.paired else row[0] for row in rows]
        row = rows[int(np.argmax(unit) if best else np.argmin(unit))]
        return replace(
            self, values=np.where(self.scored[:, None], self.values, np.array(row)), scored=np.ones_like(self.scored)
        )

    def units(self) -> Floats:
        """Per item, of a plain sample: the value, or the difference of the two cells (n,); NaN where missing."""
        return self.values[:, 0] - self.values[:, 1] if self.paired else self.values[:, 0]


def difference_of(metric: Metric) -> Metric:
    """The metric of a pair: its value in the cell minus that in the contrast, a function of both cells' columns."""
    k = len(metric.columns)

    def difference(means: Means) -> Means:
        return metric.of(means[..., :k]) - metric.of(means[..., k:])

    columns = (*metric.columns, *(f"contrast {name}" for name in metric.columns))
    extremes = tuple((*a, *b) for a, b in product(metric.extremes, repeat=2))
    width = metric.high - metric.low
    return Metric(f"difference in {metric.name}", columns, difference, extremes, -width, width, metric.unit)
