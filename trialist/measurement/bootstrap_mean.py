"""Studentised cluster bootstrap of a mean, for values so skewed that a t interval covers too seldom."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Clusters, standard_error
from trialist.measurement.interval import Interval, check_share

Floats = NDArray[np.float64]

NUM_RESAMPLES = 999
FEWEST = 20
"""With fewer clusters the tails of the studentised statistic can't be told from so few resampled values."""


def studentised_mean(clusters: Clusters, level: float = 0.95) -> Interval:
    """s - SE q_(1 - a/2) to s - SE q_(a/2), q the quantiles of t* = (s* - s) / SE* over resamples of the clusters.

    s is the item-weighted mean, SE and SE* its CR1 errors in the data and in each resample. A resample without spread
    has t* infinite on the side of its mean, so a limit that rests on such resamples is infinite and not too near.
    The resamples are fixed (999 of them from raw PCG64 output), so the same data give the same bytes.
    Davison & Hinkley 1997, section 5.2.1; Cameron, Gelbach & Miller 2008 for clusters. Raises MeasurementUndefined for
    fewer than ``FEWEST`` clusters and for data without spread.
    """
    num = len(clusters.means)
    if num < FEWEST:
        raise MeasurementUndefined(
            "too few clusters for a studentised bootstrap", seen=str(num), allowed=f"{FEWEST} or more",
            next_step="a betting interval, which holds at any number",
        )  # fmt: skip
    error, mean = standard_error(clusters), clusters.mean
    if np.ptp(clusters.means) <= 1e-12 * np.abs(clusters.means).max():  # equal but for rounding
        raise MeasurementUndefined("all clusters are alike, so their spread can't be estimated")
    counts, n, total = _counts(num), clusters.sizes, clusters.sizes * clusters.means
    size, resampled = counts @ n, counts @ total
    centre = resampled / size
    squares = counts @ total**2 - 2 * centre * (counts @ (total * n)) + centre**2 * (counts @ n**2)
    errors = np.sqrt(np.maximum(squares, 0.0) * num / (num - 1)) / size
    distance = centre - mean
    alone = errors <= 1e-9 * error
    with np.errstate(all="ignore"):
        t = np.where(alone, np.sign(distance) * np.inf, distance / np.where(alone, 1.0, errors))
    t = np.sort(np.where(np.isnan(t), 0.0, t))
    # The k-th of B sorted values estimates the quantile k / (B + 1), exactly at .025 and .975 of 999.
    share = (1 - check_share("level", level)) / 2
    k = max(1, round(share * (len(t) + 1)))
    return Interval(mean - error * float(t[len(t) - k]), mean - error * float(t[k - 1]))


@lru_cache(maxsize=8)
def _counts(num: int) -> Floats:
    """How often each cluster is in each resample, (NUM_RESAMPLES, num)."""
    drawn = np.random.PCG64(1).random_raw(NUM_RESAMPLES * num) % np.uint64(num)
    cells = np.repeat(np.arange(NUM_RESAMPLES), num) * num + drawn.astype(np.int64)
    return np.bincount(cells, minlength=NUM_RESAMPLES * num).reshape(NUM_RESAMPLES, num).astype(np.float64)
