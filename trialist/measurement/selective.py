"""Answering only when confident: risk against coverage.

Items are sorted by confidence, highest first. At coverage c the items of the top share c are answered, and the risk is
their mean loss. Equal confidences have no order: everything is the expectation over a random order of the tied, which
spreads a tie's loss evenly. Statistics are functions of weights on the items (``Statistic``), so that leaving out a
cluster or drawing clusters anew needs one sort.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Jackknife
from trialist.measurement.interval import Interval, check_share, t_quantile

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]
"""Number of items and sum of their losses in each tie, highest confidence first, both (..., G) -> value (...)."""

BLOCK = 2_000_000
MIN_RESAMPLES = 20
MOST_NUMBERS = 50_000_000
"""Size of the table of clusters by distinct confidences."""


@dataclass(frozen=True)
class Curve:
    """``risk[k]`` (n,) is the expected mean loss of the k + 1 most confident items, at ``coverage[k]`` = (k + 1)/n."""

    coverage: Floats
    risk: Floats


@dataclass(frozen=True)
class Answers:
    """Items ``num`` and sums of their losses ``loss`` of each cluster in each tie (C, G), highest confidence first."""

    num: Floats
    loss: Floats


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> Curve:
    """The curve at coverages 1/n, 2/n, ..., 1, ties in expectation. El-Yaniv & Wiener 2010, J. Mach. Learn. Res. 11."""
    c, x = _check(confidence, loss)
    order = np.argsort(-c, kind="stable")
    tie = np.cumsum(np.concatenate([[0], (c[order][1:] != c[order][:-1]).astype(np.int64)]))
    even = (np.bincount(tie, weights=x[order]) / np.bincount(tie))[tie]
    places = np.arange(1, len(x) + 1)
    return Curve(places / len(x), np.cumsum(even) / places)


def area() -> Statistic:
    """AURC: the mean risk over the coverages 1/n, ..., 1. Geifman, Uziel & El-Yaniv 2019 (ICLR).

    Over a tie of W items after K items with loss L the mean over tie orders is W g + (L - K g)(psi(K + W + 1) -
    psi(K + 1)), g the tie's mean loss and psi the digamma function; n of them cost one pass.
    """

    def of(num: Floats, loss: Floats) -> Floats:
        after, total = np.cumsum(num, axis=-1), np.cumsum(loss, axis=-1)
        before, lost = after - num, total - loss
        mean = loss / np.where(num > 0, num, 1.0)
        parts = num * mean + (lost - before * mean) * (digamma(after + 1) - digamma(before + 1))
        return np.where(num > 0, parts, 0.0).sum(axis=-1) / after[..., -1]

    return of


def risk_at(coverage: float) -> Statistic:
    """Mean loss of the most confident share ``coverage`` of the items; part of an item counts as that part."""
    if not 0 < coverage <= 1:
        raise MeasurementUndefined("a coverage is a share of the items", seen=str(coverage), allowed="0 < c <= 1")

    def of(num: Floats, loss: Floats) -> Floats:
        after = np.cumsum(num, axis=-1)
        wanted = coverage * after[..., -1:]
        taken = np.clip(wanted - (after - num), 0.0, num)
        return (taken * loss / np.where(num > 0, num, 1.0)).sum(axis=-1) / wanted[..., 0]

    return of


def coverage_at(risk: float) -> Statistic:
    """The largest coverage that a threshold on the confidence can have with risk at most ``risk``; 0 if none can.

    A threshold answers all of a tie or nothing of it, so the curve counts at the ends of ties. Not smooth: use the
    bootstrap. The threshold is chosen on these items, so its risk on new items is higher on average.
    """
    if not math.isfinite(risk):
        raise MeasurementUndefined("a risk limit must be finite", seen=str(risk))

    def of(num: Floats, loss: Floats) -> Floats:
        after = np.cumsum(num, axis=-1)
        within = np.cumsum(loss, axis=-1) <= risk * after + 1e-12 * after
        return np.where(within & (after > 0), after, 0.0).max(axis=-1) / after[..., -1]

    return of


def evaluate(confidence: ArrayLike, loss: ArrayLike, of: Statistic) -> float:
    """The statistic on these items: ``evaluate(confidence, loss, area())``."""
    c, x = _check(confidence, loss)
    tie = np.unique(-c, return_inverse=True)[1]
    return float(of(np.bincount(tie).astype(np.float64), np.bincount(tie, weights=x).astype(np.float64)))


def jackknife(answers: Answers, of: Statistic, level: float = 0.95) -> Jackknife:
    """Delete-one-cluster jackknife with t_{C-1}, for ``area()`` and ``risk_at``; cost O(C G) for C clusters, G ties.

    Raises MeasurementUndefined where leaving any cluster out changes nothing (no losses).
    """
    num, lost = answers.num, answers.loss
    count = len(num)
    value = float(of(num.sum(axis=0), lost.sum(axis=0)))
    left = _in_blocks(of, lambda rows: (num.sum(axis=0) - num[rows], lost.sum(axis=0) - lost[rows]), num.shape)
    error = math.sqrt((count - 1) / count * float(((left - left.mean()) ** 2).sum()))
    _check_spread(error)
    half = t_quantile(level, count - 1) * error
    return Jackknife(value, error, Interval(value - half, value + half), count)


def bootstrap(
    answers: Answers,
    of: Statistic,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> Interval:
    """Percentile interval over clusters drawn with replacement (multinomial weights). It describes; it guarantees
    nothing, and is refused where every resample gives the same value."""
    check_share("level", level)
    if num_resamples < MIN_RESAMPLES:
        raise MeasurementUndefined("too few resamples", seen=str(num_resamples), allowed=f"{MIN_RESAMPLES} or more")
    num, lost = answers.num, answers.loss
    count = len(num)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=num_resamples).astype(np.float64)
    shape = (num_resamples, num.shape[1])
    values = _in_blocks(of, lambda rows: (weights[rows] @ num, weights[rows] @ lost), shape)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    _check_spread(float(high - low))
    return Interval(float(low), float(high))


def _in_blocks(of: Statistic, sums: Callable[[slice], tuple[Floats, Floats]], shape: tuple[int, ...]) -> Floats:
    step = max(1, BLOCK // shape[1])
    return np.concatenate([of(*sums(slice(i, i + step))) for i in range(0, shape[0], step)])


def by_cluster(confidence: ArrayLike, loss: ArrayLike, cluster: ArrayLike) -> Answers:
    """Items (n,) with labels ``cluster`` (n,), counted by cluster and tie. Raises MeasurementUndefined for fewer than
    two clusters."""
    c, x = _check(confidence, loss)
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    if codes.shape != c.shape:
        raise MeasurementUndefined("each item needs a cluster", seen=f"{len(codes)} labels for {len(c)} items")
    num_clusters = int(codes.max()) + 1
    if num_clusters < 2:
        raise MeasurementUndefined("an interval needs at least two clusters", seen="1 cluster", allowed="2 or more")
    ties = np.unique(-c, return_inverse=True)[1]
    num_ties = int(ties.max()) + 1
    if num_clusters * num_ties > MOST_NUMBERS:
        raise MeasurementUndefined(
            "too many clusters and distinct confidences", seen=f"{num_clusters} and {num_ties}",
            next_step="round the confidences",
        )  # fmt: skip
    place, size = codes * num_ties + ties, num_clusters * num_ties
    shape = (num_clusters, num_ties)
    counts = np.bincount(place, minlength=size).astype(np.float64).reshape(shape)
    return Answers(counts, np.bincount(place, weights=x, minlength=size).astype(np.float64).reshape(shape))


def _check(confidence: ArrayLike, loss: ArrayLike) -> tuple[Floats, Floats]:
    c, x = np.asarray(confidence, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if c.shape != x.shape or c.ndim != 1 or not len(c):
        raise MeasurementUndefined("each item needs a confidence and a loss", seen=f"{c.shape} and {x.shape}")
    if np.isnan(c).any() or not np.isfinite(x).all():
        raise MeasurementUndefined("confidences must be numbers, losses finite")
    return c, x


def _check_spread(spread: float) -> None:
    if spread <= 1e-12:
        raise MeasurementUndefined(
            "no interval: leaving out or redrawing clusters changes nothing",
            next_step="a bound on the loss of the answered items: proportions.upper_bound or betting.upper_mean",
        )
