"""Cluster bootstrap of a function of weighted column means: C clusters are redrawn with replacement, whole.

Everything works on cluster totals: a resample is a row of multinomial counts m (C,), its means are m @ totals over
m @ sizes. ``resample`` draws once; the intervals read the same draws. Intervals of few clusters are too short, and a
bootstrap of data without variation has no width: such data are refused. No claim rests on a bootstrap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Statistic, cluster_totals
from trialist.measurement.interval import Interval, check_share

Floats = NDArray[np.float64]

FEWEST_CLUSTERS = 5
FEWEST_RESAMPLES = 100
MOST_UNDEFINED = 0.01
BLOCK = 2_000_000
"""Numbers held at once while every cluster is left out of every resample."""


@dataclass(frozen=True)
class Resampled:
    """``value`` on the data, ``replicates`` (B',) of the defined resamples, their ``counts`` (B', C); ``left_out`` (C,)
    with each cluster left out of the data; ``totals`` and ``sizes`` (C, k) per cluster."""

    value: float
    replicates: Floats
    counts: NDArray[np.int64]
    left_out: Floats
    totals: Floats
    sizes: Floats
    of: Statistic
    num_undefined: int

    @property
    def standard_error(self) -> float:
        """The standard deviation of the replicates. It is not divided by sqrt(B): that would be the Monte Carlo error
        of their mean, and shrinks with computing instead of with data."""
        return float(self.replicates.std(ddof=1))


def resample(
    values: ArrayLike,
    cluster: ArrayLike,
    of: Statistic,
    *,
    generator: np.random.Generator,
    weights: ArrayLike | None = None,
    num_resamples: int = 2000,
) -> Resampled:
    """Draw ``num_resamples`` cluster resamples; ``values``, ``weights``, ``of`` as in ``clustered.jackknife``.

    Raises MeasurementUndefined with fewer than five clusters, where ``of`` is undefined on the data or in more than 1%
    of the resamples (fewer are left out and counted), and where all replicates are equal. Memory: 24 bytes for each of
    num_resamples x C counts.
    Davison & Hinkley 1997, section 3.8; Efron & Tibshirani 1993, chapters 6 and 12 to 14.
    """
    totals, sizes = cluster_totals(values, cluster, weights)
    num = len(totals)
    if num < FEWEST_CLUSTERS:
        raise MeasurementUndefined(
            "a bootstrap needs clusters to draw from", seen=f"{num} clusters", allowed=f"{FEWEST_CLUSTERS} or more",
            next_step="report the value alone, or a guaranteed bound (betting)",
        )  # fmt: skip
    counts = _draw(num, num_resamples, generator)
    with np.errstate(all="ignore"):
        value = float(of(totals.sum(0) / sizes.sum(0)))
        left = np.asarray(of((totals.sum(0) - totals) / (sizes.sum(0) - sizes)), dtype=np.float64)
        replicates = np.asarray(of((counts @ totals) / (counts @ sizes)), dtype=np.float64)
    defined = np.isfinite(replicates)
    if not math.isfinite(value):
        raise MeasurementUndefined("the metric is undefined on the data")
    _check_defined(defined, "the metric is undefined")
    replicates = replicates[defined]
    if np.ptp(replicates) <= 1e-12 * max(1.0, abs(value)):
        raise MeasurementUndefined(
            "every resample gives the same value, so it shows no uncertainty",
            seen=f"{value:g}", next_step="use an interval that doesn't need spread: wilson, betting, cluster_bound",
        )  # fmt: skip
    return Resampled(value, replicates, counts[defined], left, totals, sizes, of, int((~defined).sum()))


def _draw(num: int, num_resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How often each of ``num`` clusters is in each resample, (B, C); rows sum to C."""
    if num_resamples < FEWEST_RESAMPLES:
        raise MeasurementUndefined(
            "too few resamples for a tail", seen=str(num_resamples), allowed=f"{FEWEST_RESAMPLES} or more"
        )
    cells = generator.integers(0, num, (num_resamples, num)) + num * np.arange(num_resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=num_resamples * num).reshape(num_resamples, num).astype(np.int64)


def percentile(drawn: Resampled, level: float = 0.95) -> Interval:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 of the replicates (linear between order statistics)."""
    check_share("level", level)
    return _quantiles(drawn.replicates, (1 - level) / 2, (1 + level) / 2)


def bca(drawn: Resampled, level: float = 0.95) -> Interval:
    """Bias-corrected and accelerated: quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of the replicates, z = +-z_level,

    z0 = Phi^-1(share of replicates below the value, ties half), a = sum d^3 / (6 (sum d^2)^1.5) with d the jackknife's
    mean minus the value with a cluster left out. Efron 1987, J. Am. Stat. Assoc. 82.
    Raises MeasurementUndefined where the value lies outside all replicates or a left-out value is undefined.
    """
    check_share("level", level)
    below = float((drawn.replicates < drawn.value).mean() + (drawn.replicates == drawn.value).mean() / 2)
    if not (0 < below < 1 and np.isfinite(drawn.left_out).all()):
        raise MeasurementUndefined("BCa has no bias correction or acceleration here", next_step="percentile()")
    d = drawn.left_out.mean() - drawn.left_out
    z0, squares = float(ndtri(below)), float((d**2).sum())
    a = float((d**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    shifted = [z0 + float(ndtri(tail)) for tail in ((1 - level) / 2, (1 + level) / 2)]
    if not all(1 - a * z > 0 for z in shifted):
        raise MeasurementUndefined("BCa's acceleration is too large at this level", seen=f"a = {a:.3g}")
    low, high = (float(ndtr(z0 + z / (1 - a * z))) for z in shifted)
    return _quantiles(drawn.replicates, low, high)


def studentised(drawn: Resampled, level: float = 0.95) -> Interval:
    """value - SE q, q the quantiles of (replicate - value) / SE*: both SE delete-one-cluster jackknife errors.

    A resample's own error leaves out one copy of each of its clusters in turn, weighted by the copies:
    SE*^2 = (C - 1)/C sum_c m_c (theta*_(-c) - mean)^2. Davison & Hinkley 1997, section 5.2.1.
    Raises MeasurementUndefined where SE* is undefined or 0 in more than 1% of the resamples (they are left out).
    """
    check_share("level", level)
    num, left = len(drawn.left_out), drawn.left_out
    if not np.isfinite(left).all():
        raise MeasurementUndefined("the metric is undefined when one cluster is left out", next_step="percentile()")
    error = math.sqrt((num - 1) / num * float(((left - left.mean()) ** 2).sum()))
    if error <= 1e-12 * max(1.0, abs(drawn.value)):
        raise MeasurementUndefined("leaving out any one cluster changes nothing", next_step="percentile()")
    errors = replicate_errors(drawn)
    usable = np.isfinite(errors) & (errors > 1e-9 * error)
    _check_defined(usable, "the standard error is undefined or 0")
    ratios = (drawn.replicates[usable] - drawn.value) / errors[usable]
    found = _quantiles(ratios, (1 - level) / 2, (1 + level) / 2)
    return Interval(drawn.value - found.high * error, drawn.value - found.low * error)


def replicate_errors(drawn: Resampled) -> Floats:
    """Jackknife standard error within each resample (B',), NaN where undefined; all clusters of a block at once."""
    num, k = drawn.totals.shape
    rows = max(1, BLOCK // (num * k))
    parts = [_errors(drawn, drawn.counts[i : i + rows]) for i in range(0, len(drawn.counts), rows)]
    return np.concatenate(parts)


def _errors(drawn: Resampled, counts: NDArray[np.int64]) -> Floats:
    num = counts.shape[1]
    totals = (counts @ drawn.totals)[:, None, :] - drawn.totals
    sizes = (counts @ drawn.sizes)[:, None, :] - drawn.sizes
    with np.errstate(all="ignore"):
        left = np.where(counts > 0, np.asarray(drawn.of(totals / sizes), dtype=np.float64), 0.0)
        mean = (counts * left).sum(axis=1, keepdims=True) / num
        return np.sqrt((num - 1) / num * (counts * (left - mean) ** 2).sum(axis=1))


def _quantiles(values: Floats, low: float, high: float) -> Interval:
    found = np.quantile(values, [low, high])
    if found[0] >= found[1]:
        raise MeasurementUndefined("both limits fall on one value, so the resamples show no uncertainty")
    return Interval(float(found[0]), float(found[1]))


def _check_defined(defined: NDArray[np.bool_], what: str) -> None:
    share = 1 - float(defined.mean())
    if share > MOST_UNDEFINED:
        raise MeasurementUndefined(
            f"{what} in too many resamples", seen=f"{share:.1%}", allowed=f"at most {MOST_UNDEFINED:.0%}",
            next_step="more clusters, or a simpler metric",
        )  # fmt: skip
