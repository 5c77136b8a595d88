"""A rate from a stratified sample: sum_h W_h p_h with known shares W_h of the population, n_h drawn in stratum h.

Strata make rare events affordable: sample heavily where a cheap flag says that they are, lightly elsewhere. The shares
W_h must be known and not estimated from the same sample. Bounds that carry claims are ``upper_union`` and
``upper_pooled`` here and the two of ``combine``; which one is used is fixed before the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.proportions import upper_bound, wilson

Floats = NDArray[np.float64]

SLACK = 1e-9
"""Shares of the strata may miss a sum of 1 by this much."""


@dataclass(frozen=True)
class Strata:
    """H strata: ``events`` k_h and ``sizes`` n_h are counts, ``shares`` W_h sum to 1. Made by ``strata``."""

    events: Floats
    sizes: Floats
    shares: Floats

    @property
    def mirrored(self) -> Strata:
        """The same sample, counting what is not an event."""
        return Strata(self.sizes - self.events, self.sizes, self.shares)


def strata(events: ArrayLike, sizes: ArrayLike, shares: ArrayLike) -> Strata:
    """Checked strata from arrays (H,). A stratum nobody sampled (n_h = 0) is allowed: bounds put its rate at 1.

    Raises MeasurementUndefined unless 0 <= k_h <= n_h are whole, W_h >= 0 and sum W_h = 1, and something was sampled.
    """
    k, n, w = (np.asarray(column, dtype=np.float64) for column in (events, sizes, shares))
    if not (k.ndim == 1 and len(k) and k.shape == n.shape == w.shape):
        raise MeasurementUndefined(
            "strata need events, sizes and shares, one each", seen=f"{k.shape}, {n.shape}, {w.shape}",
            allowed="three equal lengths, at least 1",
        )  # fmt: skip
    if not (
        np.isfinite(n).all()
        and (k >= 0).all()
        and (k <= n).all()
        and (np.floor(k) == k).all()
        and (np.floor(n) == n).all()
    ):
        raise MeasurementUndefined(
            "counts of a stratum", seen=f"events {k}, sizes {n}", allowed="whole numbers, 0 <= events <= size"
        )
    if not ((w >= 0).all() and math.isclose(float(w.sum()), 1.0, abs_tol=SLACK)):
        raise MeasurementUndefined(
            "shares of the strata are parts of one population", seen=str(w), allowed="0 or more, summing to 1",
            next_step="divide by their sum if they are counts of the population",
        )  # fmt: skip
    if n.sum() == 0:
        raise MeasurementUndefined("no stratum was sampled", next_step="draw at least one item")
    return Strata(k, n, w)


def rate(sample: Strata) -> float:
    """sum_h W_h k_h / n_h, unbiased. Raises MeasurementUndefined if a stratum with W_h > 0 wasn't sampled."""
    _check_sampled(sample)
    used = sample.shares > 0
    return float(sample.shares[used] @ (sample.events[used] / sample.sizes[used]))


def describe(sample: Strata, level: float = 0.95) -> Interval:
    """Interval that describes: p +- sqrt(sum_h W_h^2 d_h^2), d_h the distance from p_h to its own Wilson limit.

    Never of zero width. Near its level on average and without a guarantee, so claims use a bound.
    Zou, Huang & Zhang 2009, Comput. Stat. Data Anal. 53 (recovering variance estimates from the limits).
    """
    value = rate(sample)
    used = sample.shares > 0
    rows = list(zip(sample.events[used], sample.sizes[used], sample.shares[used], strict=True))
    parts = [(wilson(float(k), float(n), level), float(k / n), float(w)) for k, n, w in rows]
    below = math.sqrt(sum((w * (p - limits.low)) ** 2 for limits, p, w in parts))
    above = math.sqrt(sum((w * (limits.high - p)) ** 2 for limits, p, w in parts))
    return Interval(max(0.0, value - below), min(1.0, value + above))


def upper_union(sample: Strata, confidence: float = 0.95, *, split: ArrayLike | None = None) -> float:
    """sum_h W_h U_h, U_h the Clopper-Pearson bound of stratum h at error alpha_h; at least ``confidence``.

    All U_h hold at once with probability 1 - sum alpha_h (union bound), and then so does their sum, whatever the
    dependence between strata. ``split`` (H,) are the parts alpha_h / alpha, equal if None, fixed before the data.
    """
    alpha = 1 - check_share("confidence", confidence)
    parts = np.full(len(sample.sizes), 1 / len(sample.sizes)) if split is None else np.asarray(split, dtype=np.float64)
    if parts.shape != sample.sizes.shape or not (parts > 0).all() or parts.sum() > 1 + SLACK:
        raise MeasurementUndefined("a split of the error over strata", seen=str(parts), allowed="positive, sum <= 1")
    full = sample.events == sample.sizes
    k, n = np.where(full, 0, sample.events), np.where(full, 1, sample.sizes)
    bounds = np.where(full, 1.0, betaincinv(k + 1, n - k, 1 - alpha * parts))
    return min(1.0, float(sample.shares @ bounds))


def upper_pooled(sample: Strata, confidence: float = 0.95) -> float:
    """max(Clopper-Pearson bound of the pooled counts, (K + 1) / n) for proportional allocation, n_h / n = W_h.

    K, the number of events, is then a sum of independent Bernoulli draws with mean n p. Hoeffding 1956 (Ann. Math.
    Stat. 27, theorem 4): P(K <= k) is largest at equal rates if k <= n p - 1. So for every p above this bound
    P(K <= k) <= 1 - confidence, which is what makes it valid, and strata cost nothing.
    Raises MeasurementUndefined where the allocation isn't proportional (to one item).
    """
    total = float(sample.sizes.sum())
    if (np.abs(sample.sizes - total * sample.shares) > SLACK * total).any():
        raise MeasurementUndefined(
            "pooling needs sizes in proportion to the shares", seen=f"sizes {sample.sizes}, shares {sample.shares}",
            allowed="n_h = n W_h", next_step="use combine.upper_fisher or combine.upper_betting",
        )  # fmt: skip
    events = float(sample.events.sum())
    return min(1.0, max(upper_bound(events, total, confidence), (events + 1) / total))


def allocate(shares: ArrayLike, guesses: ArrayLike, total: int, *, at_least: int = 1) -> NDArray[np.int64]:
    """Neyman's allocation: sizes n_h in proportion to W_h sqrt(g_h (1 - g_h)) that add up to ``total``.

    ``guesses`` g_h (H,) in [0, 1] are rates expected before the data; a guess of 0 or 1 leaves ``at_least`` items.
    Rounded by largest remainder. It minimises the variance of ``rate`` if the guesses are right (Neyman 1934).
    """
    w, g = np.asarray(shares, dtype=np.float64), np.asarray(guesses, dtype=np.float64)
    if w.shape != g.shape or not ((g >= 0) & (g <= 1)).all() or not (w >= 0).all() or w.sum() <= 0:
        raise MeasurementUndefined("allocation needs shares and guesses", seen=f"{w}, {g}", allowed="guesses in [0, 1]")
    free = total - at_least * len(w)
    if at_least < 0 or free < 0:
        raise MeasurementUndefined("too few items for the strata", seen=str(total), allowed=f">= {at_least * len(w)}")
    spread = w * np.sqrt(g * (1 - g))
    ideal = total * (spread / spread.sum() if spread.sum() > 0 else w / w.sum())
    extra = np.maximum(ideal - at_least, 0.0)
    extra *= free / extra.sum() if extra.sum() > 0 else 0.0
    sizes = np.floor(extra).astype(np.int64)
    # The stable order makes ties go to the first stratum.
    rest = np.argsort(-(extra - sizes), kind="stable")[: free - int(sizes.sum())]
    sizes[rest] += 1
    return sizes + at_least


def _check_sampled(sample: Strata) -> None:
    lost = np.flatnonzero((sample.sizes == 0) & (sample.shares > 0))
    if len(lost):
        raise MeasurementUndefined(
            "a stratum has a share of the population and no item", seen=f"stratum {int(lost[0])}",
            next_step="sample it, or give an upper bound, which puts its rate at 1",
        )  # fmt: skip
