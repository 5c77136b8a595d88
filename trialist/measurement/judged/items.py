"""The data of a judged estimate: a judge's score for every item, a gold (human) label for some."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]

Population = Literal["bank", "superpopulation"]
"""What the mean is of. ``bank``: exactly the N judged items; the gold items are a simple random sample of them, drawn
without replacement. ``superpopulation``: the process that made the items; the N items are independent draws from it."""


@dataclass(frozen=True)
class JudgedItems:
    """``judge`` (N,) and ``gold`` (N,) on one scale [low, high]; ``gold`` is NaN where nobody labelled the item.
    ``graded``: labels may lie anywhere on the scale; otherwise at its ends. It is declared, because exact bounds for
    binary labels don't hold for graded ones that happen to lie at the ends."""

    judge: Floats
    gold: Floats
    low: float = 0.0
    high: float = 1.0
    graded: bool = False

    @property
    def labelled(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.gold)

    @property
    def num_gold(self) -> int:
        return int(self.labelled.sum())

    @property
    def num_judged(self) -> int:
        return len(self.judge)

    @property
    def labels(self) -> Floats:
        """Y (n,): the gold labels, in the order of the items."""
        return self.gold[self.labelled]

    @property
    def judged_labels(self) -> Floats:
        """f (n,): the judge's scores of the gold items."""
        return self.judge[self.labelled]

    @property
    def unlabelled(self) -> Floats:
        """f (N - n,): the judge's scores of the other items."""
        return self.judge[~self.labelled]

    @property
    def misses(self) -> NDArray[np.bool_]:
        """(n,) where the judge is wrong: on the other side of the middle for binary labels, else at another value."""
        y, f, middle = self.labels, self.judged_labels, (self.low + self.high) / 2
        if not self.graded:
            return (f >= middle) != (y >= middle)
        return np.abs(f - y) > 1e-9 * (self.high - self.low)

    def unit(self) -> JudgedItems:
        """The same on the scale [0, 1]."""
        span = self.high - self.low
        return JudgedItems((self.judge - self.low) / span, (self.gold - self.low) / span, graded=self.graded)

    def mirrored(self) -> JudgedItems:
        """Upside down on the same scale, so that an upper bound here is a lower bound there."""
        judge, gold = (self.low + self.high - x for x in (self.judge, self.gold))
        return JudgedItems(judge, gold, self.low, self.high, self.graded)


def judged_items(
    judge: ArrayLike, gold: ArrayLike, *, low: float = 0.0, high: float = 1.0, graded: bool = False
) -> JudgedItems:
    """Check and pack. Raises MeasurementUndefined for no items, no gold label at all, another number of labels than of
    scores, an infinite bound, a judge's score that is missing, any value outside [low, high], and binary gold labels
    that lie between. The judge's score may lie between always."""
    f, y = np.asarray(judge, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined("judged scores need a finite scale, low < high", seen=f"[{low}, {high}]")
    if f.ndim != 1 or len(f) == 0 or f.shape != y.shape:
        raise MeasurementUndefined(
            "each item needs a judge's score and a gold label or NaN", seen=f"{f.shape} scores, {y.shape} labels"
        )
    labelled = ~np.isnan(y)
    if not labelled.any():
        raise MeasurementUndefined(
            "a judge's scores alone don't estimate anything: its error is unknown",
            seen=f"{len(f)} judged items, 0 gold labels",
            allowed="1 gold label or more; 50 or more to be useful",
            next_step="have people label a simple random sample of the items; labels.labels_for_claim says how many",
        )
    outside = ~((f >= low) & (f <= high)) | (labelled & ~((y >= low) & (y <= high)))
    if outside.any():
        raise MeasurementUndefined(
            "scores or labels outside their scale, or a judge's score that is missing",
            seen=f"{int(outside.sum())} items, the first at position {int(outside.argmax())}",
            allowed=f"[{low}, {high}]; every item judged, NaN only for a gold label that nobody gave",
            next_step="put judge and gold on one scale; score an unjudged item at its worst",
        )
    between = labelled & (y != low) & (y != high)
    if not graded and between.any():
        raise MeasurementUndefined(
            "binary gold labels lie at the ends of their scale",
            seen=f"{y[between][0]:g} at position {int(between.argmax())}",
            allowed=f"{low:g}, {high:g} or NaN",
            next_step="declare graded=True for graded labels",
        )
    return JudgedItems(f, y, float(low), float(high), graded)


def correlation(items: JudgedItems) -> float | None:
    """Pearson correlation of judge and gold over the gold items; None where one of them doesn't vary."""
    y, f = items.labels - items.labels.mean(), items.judged_labels - items.judged_labels.mean()
    scale = math.sqrt(float(y @ y) * float(f @ f))
    return float(y @ f) / scale if scale > 0 else None


def informedness(items: JudgedItems) -> float | None:
    """Youden's J = sensitivity + specificity - 1 of the judge on binary gold labels; None without both classes."""
    if items.graded:
        return None
    positive, misses = items.labels == items.high, items.misses
    if positive.all() or not positive.any():
        return None
    return float(1 - misses[positive].mean() - misses[~positive].mean())
