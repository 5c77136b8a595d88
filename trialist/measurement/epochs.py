"""Several answers an item: how much of the noise is between items, how much within, and how many answers pay.

The item is the unit. Answers of one item share its difficulty, so rows as units understate the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined

MOST_EPOCHS = 1e6


@dataclass(frozen=True)
class Components:
    """``mean`` is the mean over items of the item means; ``between`` the variance of items' expected scores, ``within``
    that of one item's answers, ``icc`` between / (between + within). ``standard_error`` is that of ``mean`` over items,
    ``naive_standard_error`` that of the row mean if rows were independent, for comparison only.
    ``generation_variance`` is the part of the squared error that more answers to the same items would remove."""

    mean: float
    between: float
    within: float
    icc: float
    standard_error: float
    naive_standard_error: float
    generation_variance: float
    num_items: int
    num_rows: int


@dataclass(frozen=True)
class EpochPlan:
    """``num_epochs`` answers an item; ``optimum`` before rounding; ``gain``: variance with one answer an item over the
    variance with ``num_epochs``, at the same cost."""

    num_epochs: int
    optimum: float
    gain: float


def components(values: ArrayLike, item: ArrayLike) -> Components:
    """One-way analysis of variance of scores ``values`` (N,) of items ``item`` (N,), K_i answers each, n items.

    within  = sum_i (K_i - 1) s_i^2 / (N - n)
    between = max(0, (MSB - within) / K_0),  MSB = sum_i K_i (m_i - m)^2 / (n - 1),  K_0 = (N - sum K_i^2 / N) / (n - 1)
    SE      = sd(item means) / sqrt(n), generation variance = within mean_i(1 / K_i) / n, naive SE = sd(rows) / sqrt(N)

    with m the row mean; Searle, Casella & McCulloch 1992, section 3.6. Assumes items drawn independently and answers
    independent given the item; the SE needs neither equal K_i nor equal variances. Miller 2024, arXiv 2411.00640,
    section 3.1. Raises MeasurementUndefined for fewer than two items, no item with two answers, equal item means.
    """
    x, codes = _rows(values, item)
    num_rows, num_items = len(x), int(codes.max(initial=-1)) + 1
    if num_items < 2 or num_rows == num_items:
        raise MeasurementUndefined(
            "variance components need two items, and one of them with two answers",
            seen=f"{num_items} items, {num_rows} answers", next_step="answer items at least twice",
        )  # fmt: skip
    k = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, weights=x) / k
    if np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        raise MeasurementUndefined(
            "all item means are equal, so the error over items can't be estimated",
            seen=f"{num_items} items at {means[0]:g}", next_step="score more items",
        )  # fmt: skip
    within = float(((x - means[codes]) ** 2).sum()) / (num_rows - num_items)
    between_square = float((k * (means - x.mean()) ** 2).sum()) / (num_items - 1)
    effective = (num_rows - float((k**2).sum()) / num_rows) / (num_items - 1)
    between = max(0.0, (between_square - within) / effective)
    return Components(
        mean=float(means.mean()),
        between=between,
        within=within,
        icc=between / (between + within) if between + within > 0 else 0.0,
        standard_error=float(means.std(ddof=1)) / math.sqrt(num_items),
        naive_standard_error=float(x.std(ddof=1)) / math.sqrt(num_rows),
        generation_variance=within * float((1 / k).mean()) / num_items,
        num_items=num_items,
        num_rows=num_rows,
    )


def best_num_epochs(between: float, within: float, *, cost_item: float, cost_epoch: float) -> EpochPlan:
    """Answers an item that give the smallest variance of the mean for a budget, new items costing ``cost_item`` each
    (writing, human labels) and every answer ``cost_epoch``, in the same unit.

    The budget buys n = budget / (cost_item + K cost_epoch) items, so (between + within / K) / n is smallest
    at K* = sqrt(cost_item within / (cost_epoch between)); the better whole neighbour is taken, at least 1. Where items
    are free the answer is 1. Cochran 1977, Sampling Techniques, section 10.6.
    Raises MeasurementUndefined for negative or infinite numbers, cost_epoch = 0, and a K* above a million, as with
    between = 0: one item would do.
    """
    numbers = {"between": between, "within": within, "cost_item": cost_item, "cost_epoch": cost_epoch}
    if not all(math.isfinite(x) and x >= 0 for x in numbers.values()) or cost_epoch == 0:
        raise MeasurementUndefined(
            "variances and costs must be finite and not negative, an answer costs something", seen=str(numbers)
        )
    if between == 0 and within > 0 and cost_item > 0:
        raise MeasurementUndefined(
            "no variance between items was found, so the best number of answers is unbounded",
            seen="between = 0", allowed="between > 0", next_step="estimate it on more items",
        )  # fmt: skip

    def variance(num_epochs: int) -> float:
        return (between + within / num_epochs) * (cost_item + num_epochs * cost_epoch)

    optimum = math.sqrt(cost_item * within / (cost_epoch * between)) if between > 0 else 1.0
    if optimum > MOST_EPOCHS:
        raise MeasurementUndefined("the best number of answers is out of reach", seen=f"{optimum:.3g}")
    below = max(1, math.floor(optimum))
    best = min((below, below + 1), key=variance)
    return EpochPlan(best, optimum, variance(1) / variance(best) if variance(best) > 0 else 1.0)


def _rows(values: ArrayLike, item: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x = np.asarray(values, dtype=np.float64)
    codes = np.unique(np.asarray(item), return_inverse=True)[1].ravel().astype(np.int64)
    if x.ndim != 1 or x.shape != codes.shape or not np.isfinite(x).all():
        raise MeasurementUndefined(
            "scores must be finite and have items", seen=f"{x.shape} scores, {codes.shape} items"
        )
    return x, codes
