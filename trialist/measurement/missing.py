"""Answers that are missing: how bad it could be, whether the arms differ in it, and what would tip the verdict.

None of it assumes that missing answers are like the others. An arm that refuses, times out or breaks its scorer on the
items it would fail looks better than it is, and no number computed from the answers that exist can show that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.fisher import fisher_exact
from trialist.measurement.interval import Interval
from trialist.records import Side

Floats = NDArray[np.float64]
T = TypeVar("T")

SCORED = ""
"""The reason of an answer that isn't missing."""


# --- worst cases -----------------------------------------------------------------------------------------


def mean_bounds(values: ArrayLike, *, bounds: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """The mean with every missing (NaN) of ``values`` (n,) at the low and at the high end of ``bounds``.

    Not a confidence interval: it holds for these n items with certainty and says nothing of others. Of width 0 exactly
    where nothing is missing. Manski 2003, chapter 1. Raises MeasurementUndefined for no items or values out of bounds.
    """
    x = _values(values, bounds)
    low, high = (float(filled.mean()) for filled in _filled(x, bounds))
    return Interval(low, high)


def mean_difference_bounds(
    first: ArrayLike, second: ArrayLike, *, bounds: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """mean(first) - mean(second) with the missing answers of both set against each other, (n,) and (m,).

    Lowest: first's missing at the low end and second's at the high end. Valid for pairs too, where an item may be
    missing in one cell and known in the other.
    """
    a, b = mean_bounds(first, bounds=bounds), mean_bounds(second, bounds=bounds)
    return Interval(a.low - b.high, a.high - b.low)


@dataclass(frozen=True)
class WorstVerdicts(Generic[T]):
    """The verdict with all missing answers at the low and at the high end. ``settled``: they don't matter."""

    lowest: T
    highest: T
    num_missing: int

    @property
    def settled(self) -> bool:
        return self.lowest == self.highest


def worst_verdicts(
    values: ArrayLike, verdict_of: Callable[[Floats], T], *, bounds: tuple[float, float] = (0.0, 1.0)
) -> WorstVerdicts[T]:
    """``verdict_of`` the completed values, ``values`` (n,) or (n, k) with NaN where missing.

    All missing of a column go to one end, the first column's to the low end where the others go to the high end (k = 2:
    the two cells of a difference), and the other way round. These are the extremes of every verdict that only moves one
    way as a value rises; for others both ends prove nothing.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim not in (1, 2):
        raise MeasurementUndefined("values are a list or columns", seen=f"shape {x.shape}", allowed="(n,) or (n, k)")
    flat = _values(x.reshape(-1), bounds).reshape(x.shape)
    low, high = _filled(flat, bounds)
    if x.ndim == 2:
        low[:, 1:], high[:, 1:] = high[:, 1:].copy(), low[:, 1:].copy()
    return WorstVerdicts(verdict_of(low), verdict_of(high), int(np.isnan(x).sum()))


# --- does missingness differ between two arms? --------------------------------------------------------------


@dataclass(frozen=True)
class Missingness:
    """``counts``: reason -> (number in the first arm, in the second), '' for answers that exist. ``difference``: share
    missing in the first arm minus that in the second."""

    counts: Mapping[str, tuple[int, int]]
    difference: float
    p_value: float
    method: str


def compare_missingness(
    first: Sequence[str], second: Sequence[str], *, cluster: ArrayLike | None = None
) -> Missingness:
    """Whether two arms miss answers differently. Each of ``first`` (n,) and ``second`` (m,) is the reason why an answer
    is missing, '' where it exists.

    With ``cluster`` (n,) the arms answered the same n items, and the test is exact under the null that the arms are
    interchangeable: arm labels are swapped by whole clusters, and p is the share of the 2^C swaps whose difference in
    missing answers is at least as large. It compares numbers, not reasons. Without ``cluster`` the answers are
    independent, and Fisher's exact test of the 2 x K table of reasons is used (Freeman & Halton 1951).

    A large p doesn't say that missingness is harmless, nor even that it is equal. Raises MeasurementUndefined for no
    answers, arms of different length with ``cluster``, or a table too large to count out.
    """
    if not len(first) or not len(second):
        raise MeasurementUndefined("missingness needs answers in both arms", seen=f"{len(first)}, {len(second)}")
    reasons = sorted(set(first) | set(second))
    counts = {reason: (list(first).count(reason), list(second).count(reason)) for reason in reasons}
    lost = [np.array([reason != SCORED for reason in arm], dtype=np.int64) for arm in (first, second)]
    difference = float(lost[0].mean() - lost[1].mean())
    if cluster is None:
        return Missingness(counts, difference, fisher_exact(np.array(list(counts.values())).T), "Fisher's exact test")
    labels = np.asarray(cluster)
    if not len(first) == len(second) == len(labels) or labels.ndim != 1:
        raise MeasurementUndefined(
            "arms that answered the same items have equally many", seen=f"{len(first)}, {len(second)}, {len(labels)}",
            next_step="leave cluster out where the arms answered different items",
        )  # fmt: skip
    net = np.bincount(np.unique(labels, return_inverse=True)[1], weights=lost[0] - lost[1]).astype(np.int64)
    return Missingness(counts, difference, sign_flip_p(net), "exact sign flips of whole clusters")


def sign_flip_p(net: ArrayLike) -> float:
    """Two-sided exact p of sum(net) when the sign of each whole number of ``net`` (C,) is a fair coin: the distribution
    of the sum is built up one cluster at a time, so all 2^C flips are counted."""
    d = np.abs(np.asarray(net, dtype=np.int64))
    total, observed = int(d.sum()), abs(int(np.asarray(net, dtype=np.int64).sum()))
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for size in d[d > 0]:
        up, down = np.roll(chances, size), np.roll(chances, -size)  # ends are 0 until the last step reaches them
        chances = (up + down) / 2
    sums = np.abs(np.arange(-total, total + 1))
    return min(1.0, float(chances[sums >= observed].sum()))


# --- what would tip the verdict? -----------------------------------------------------------------------------


@dataclass(frozen=True)
class TippingPoint:
    """The verdict is lost once ``num_bad`` of the ``num_missing`` missing answers are bad; ``bound`` is the bound then,
    ``share`` = num_bad / num_missing (0 where nothing is missing). num_bad = 0: it doesn't hold in any case."""

    num_bad: int
    num_missing: int
    share: float
    bound: float


def tipping_point(
    bound_of: Callable[[int], float], threshold: float, *, side: Side, num_missing: int
) -> TippingPoint | None:
    """The smallest number of missing answers that have to be bad for a claim to be lost; None where none can.

    ``bound_of(num_bad)`` is the claim's bound with num_bad of the missing answers at their worst and the others at
    their best. The claim "above" holds while bound > threshold and bound_of falls; "below" holds while bound <
    threshold and bound_of rises. Exact, by halving; the bound must move one way only, which is checked at the numbers
    visited. Raises MeasurementUndefined where it doesn't, where it isn't finite, for num_missing < 0.
    National Research Council 2010, The Prevention and Treatment of Missing Data in Clinical Trials, chapter 5.
    """
    _check_side(side, threshold)
    if num_missing < 0:
        raise MeasurementUndefined("the number of missing answers can't be negative", seen=str(num_missing))
    seen: dict[int, float] = {}

    def holds(num_bad: int) -> bool:
        seen[num_bad] = _finite(bound_of(num_bad), f"{num_bad} bad")
        ordered = [seen[k] if side == "above" else -seen[k] for k in sorted(seen)]
        if any(b > a + 1e-12 for a, b in pairwise(ordered)):
            raise MeasurementUndefined(
                "the bound doesn't move one way as more missing answers are bad", seen=str(dict(sorted(seen.items()))),
                allowed="falling for a claim above, rising for a claim below",
                next_step="check what bound_of counts as bad for this side",
            )  # fmt: skip
        return _claim_holds(seen[num_bad], threshold, side)

    holds_at_none = holds(0)
    if num_missing and holds(num_missing):
        return None
    if not holds_at_none:
        return _tipped(0, num_missing, seen)
    if num_missing == 0:
        return None
    low, high = 0, num_missing
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return _tipped(high, num_missing, seen)


@dataclass(frozen=True)
class TippingGrid:
    """A claim about two arms for each pair of numbers of bad missing answers: ``bounds`` and ``holds`` have shape
    (len(num_bad_first), len(num_bad_second))."""

    num_bad_first: NDArray[np.int64]
    num_bad_second: NDArray[np.int64]
    bounds: Floats
    holds: NDArray[np.bool_]


def tipping_grid(
    bound_of: Callable[[int, int], float],
    threshold: float,
    *,
    side: Side,
    num_missing: tuple[int, int],
    num_steps: int = 6,
) -> TippingGrid:
    """The bound of a claim with 0 to all of each arm's missing answers bad, in at most ``num_steps`` even steps an arm.

    ``bound_of(first, second)`` completes first missing answers of the first arm and second of the second as bad, the
    others as good; what bad means is the caller's, so that the two arms may be set against each other. The last row and
    column are always the whole number. A reader sees how implausible the tipping region is.
    """
    _check_side(side, threshold)
    if min(num_missing) < 0 or num_steps < 2:
        raise MeasurementUndefined("a grid needs counts and steps", seen=f"{num_missing}, {num_steps} steps")
    axes = [np.unique(np.linspace(0, num, num_steps).round().astype(np.int64)) for num in num_missing]
    bounds = np.array([[_finite(bound_of(int(i), int(j)), f"{i}, {j} bad") for j in axes[1]] for i in axes[0]])
    return TippingGrid(axes[0], axes[1], bounds, bounds > threshold if side == "above" else bounds < threshold)


def _tipped(num_bad: int, num_missing: int, seen: dict[int, float]) -> TippingPoint:
    return TippingPoint(num_bad, num_missing, num_bad / num_missing if num_missing else 0.0, seen[num_bad])


def _claim_holds(bound: float, threshold: float, side: Side) -> bool:
    return bound > threshold if side == "above" else bound < threshold


def _check_side(side: Side, threshold: float) -> None:
    if side not in ("above", "below") or not math.isfinite(threshold):
        raise MeasurementUndefined(
            "a claim has a side and a finite threshold", seen=f"{side}, {threshold}", allowed="above or below"
        )


def _finite(bound: float, where: str) -> float:
    if not math.isfinite(bound):
        raise MeasurementUndefined("the bound isn't finite", seen=f"{bound} with {where}")
    return float(bound)


def _filled(x: Floats, bounds: tuple[float, float]) -> tuple[Floats, Floats]:
    return np.where(np.isnan(x), bounds[0], x), np.where(np.isnan(x), bounds[1], x)


def _values(values: ArrayLike, bounds: tuple[float, float]) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    low, high = bounds
    if x.ndim != 1 or len(x) == 0 or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined(
            "worst cases need items and finite bounds", seen=f"shape {x.shape}, bounds {bounds}", allowed="low < high"
        )
    known = x[~np.isnan(x)]
    if ((known < low) | (known > high)).any():
        raise MeasurementUndefined(
            "values outside their bounds", seen=f"[{known.min()}, {known.max()}]", allowed=f"{bounds}"
        )
    return x
