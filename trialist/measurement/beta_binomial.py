"""Clustered events: each cluster has its own rate, Beta distributed, and k_c of its n_c items are events.

The model has the mean rate p and the intraclass correlation rho. It describes rare clustered rates where the normal
intervals fail. It is a model: a claim should rest on ``cluster_bound`` or ``betting``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share, t_quantile
from trialist.measurement.proportions import clopper_pearson

Floats = NDArray[np.float64]

FEWEST_CLUSTERS = 5
GRID = np.array([0.0, 0.003, 0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 1.0])
FARTHEST = 30.0
"""The search ends at logit(p) = +-30, p about 1e-13."""
NUM_STEPS = 60
TOLERANCE = 1e-7
"""Of a limit, in logit(p)."""


@dataclass(frozen=True)
class BetaBinomial:
    """Maximum likelihood ``share`` p and ``rho``, None where the data don't identify it (no event, only events, or one
    item a cluster), and the ``interval`` for p."""

    share: float
    rho: float | None
    interval: Interval


class Likelihood:
    """Log-likelihood of (p, rho) up to a constant, without special functions and exact at rho = 0 and rho = 1:

        sum_j S_j log(p + (j - p) rho) + F_j log(q + (j - q) rho) - T_j log(1 + (j - 1) rho),   q = 1 - p

    S_j, F_j, T_j are the numbers of clusters with more than j events, non-events, items. At j = 0 the powers of 1 - rho
    cancel but for one per mixed cluster (some events, not all), and are kept apart in ``num_mixed``.
    Griffiths 1973, Biometrics 29.
    """

    def __init__(self, events: NDArray[np.int64], items: NDArray[np.int64]) -> None:
        tails = [_num_above(x) for x in (events, items - events, items)]
        self.num_mixed = int(((events > 0) & (events < items)).sum())
        self.num_hit, self.num_missed = float(tails[0][0]), float(tails[1][0])
        self.place = np.concatenate([np.arange(1, len(t), dtype=np.float64) for t in tails])
        self.count = np.concatenate([tails[0][1:], tails[1][1:], -tails[2][1:]])
        self.kind = np.repeat([0, 1, 2], [len(t) - 1 for t in tails])
        used = self.count != 0
        self.place, self.count, self.kind = self.place[used], self.count[used], self.kind[used]

    def base(self, p: float) -> Floats:
        return np.array([p, 1 - p, 1.0])[self.kind]

    def value(self, p: float, rho: float | Floats) -> Floats:
        """Log-likelihood at each ``rho`` (m,) -> (m,); -inf at rho = 1 if a cluster is mixed."""
        r = np.atleast_1d(np.asarray(rho, dtype=np.float64))
        base = self.base(p)
        with np.errstate(divide="ignore"):
            mixed = self.num_mixed * np.log1p(-r) if self.num_mixed else 0.0
        inner = np.log(base + (self.place - base) * r[:, None]) @ self.count
        return inner + mixed + self.num_hit * math.log(p) + self.num_missed * math.log1p(-p)

    def best_rho(self, p: float) -> tuple[float, float]:
        """(rho, log-likelihood) at the maximum over rho in [0, 1]: the best of a grid, then Newton's steps kept inside
        the neighbouring grid points."""
        values = self.value(p, GRID)
        best = int(values.argmax())
        low, high = float(GRID[max(0, best - 1)]), float(GRID[min(len(GRID) - 1, best + 1)])
        rho, base = float(GRID[best]), self.base(p)
        if rho == 1 or (rho == 0 and self._slope(base, 0.0)[0] <= 0):
            return rho, float(values[best])
        for _ in range(NUM_STEPS):
            slope, bend = self._slope(base, rho)
            low, high = (rho, high) if slope > 0 else (low, rho)
            step = rho - slope / bend if bend < 0 else math.inf
            following = step if low < step < high else (low + high) / 2
            if abs(following - rho) < 1e-10:
                break
            rho = following
        found = float(self.value(p, rho)[0])
        return (rho, found) if found >= values[best] else (float(GRID[best]), float(values[best]))

    def slope_in_logit(self, p: float, rho: float) -> float:
        """Derivative of the log-likelihood with respect to logit(p) at fixed rho."""
        base = self.base(p)
        sign = np.array([1.0, -1.0, 0.0])[self.kind]
        inner = float((self.count * sign / (base + (self.place - base) * rho)).sum()) * (1 - rho)
        return self.num_hit * (1 - p) - self.num_missed * p + inner * p * (1 - p)

    def _slope(self, base: Floats, rho: float) -> tuple[float, float]:
        """First and second derivative with respect to rho < 1."""
        ratio = (self.place - base) / (base + (self.place - base) * rho)
        weighted = self.count * ratio
        away = 1 / (1 - rho)
        return float(weighted.sum()) - self.num_mixed * away, -float(weighted @ ratio) - self.num_mixed * away**2


def fit(events: ArrayLike, items: ArrayLike, level: float = 0.95) -> BetaBinomial:
    """Maximum likelihood and the profile-likelihood interval for p from ``events`` (C,) of ``items`` (C,).

    The interval holds all p with 2 (max l - max_rho l(p, rho)) <= t_{C-1}^2, t Student's two-sided quantile at
    ``level`` in place of the normal one, for few clusters. p is the mean rate of a *cluster*; it is also the rate of an
    item if sizes and rates are unrelated, which the model assumes: where large clusters have other rates than small
    ones the interval covers neither, and ``clustered.jackknife`` or ``betting`` serve. rho >= 0.

    No event at all: for every p the likelihood is largest at rho = 1, where it is (1 - p)^C, as if each cluster were
    one trial. Its likelihood-ratio set ends at 1 - exp(-t^2 / 2C) and misses a p just above that with probability
    exp(-t^2 / 2), .15 for t = 1.96. We return Clopper & Pearson's limits for C trials without an event instead, valid
    whatever rho and the sizes; only events, the mirror image.
    Raises MeasurementUndefined for fewer than five clusters, counts that aren't whole, k_c > n_c, n_c < 1.
    Williams 1975, Biometrics 31; Venzon & Moolgavkar 1988, J. R. Stat. Soc. C 37.
    """
    k, n = _counts(events, items)
    check_share("level", level)
    if k.sum() == 0 or (k == n).all():
        hits = len(k) if k.sum() else 0
        return BetaBinomial(float(hits > 0), None, clopper_pearson(hits, len(k), level))
    likelihood = Likelihood(k, n)
    profile: dict[float, tuple[float, float]] = {}

    def at(logit: float) -> tuple[float, float]:
        if logit not in profile:
            profile[logit] = likelihood.best_rho(_share(logit))
        return profile[logit]

    centre = _root(lambda x: likelihood.slope_in_logit(_share(x), at(x)[0]), _logit((k / n).mean()))
    rho, top = at(centre)
    reach = t_quantile(level, len(k) - 1)

    def excess(logit: float) -> float:
        return math.sqrt(max(0.0, 2 * (top - at(logit)[1]))) - reach

    interval = Interval(_share(_crossing(excess, centre, -1)), _share(_crossing(excess, centre, 1)))
    return BetaBinomial(_share(centre), rho if (n > 1).any() else None, interval)


def _root(slope: Callable[[float], float], start: float) -> float:
    """Where ``slope`` falls through 0: positive at p near 0 and negative near 1, since there are events and others."""
    low, high, step = start, start, 0.5
    while slope(low) <= 0 and low > -FARTHEST:
        low, step = max(-FARTHEST, low - step), 2 * step
    step = 0.5
    while slope(high) >= 0 and high < FARTHEST:
        high, step = min(FARTHEST, high + step), 2 * step
    if slope(low) <= 0 or slope(high) >= 0:
        return low if slope(low) <= 0 else high
    return _zero(slope, low, high)


def _crossing(excess: Callable[[float], float], centre: float, side: int) -> float:
    """The logit on one side of ``centre`` where ``excess`` turns positive; the end of the search if nowhere."""
    inner, step = centre, 0.5
    outer = centre + side * step
    while excess(outer) < 0:
        if abs(outer) >= FARTHEST:
            return math.copysign(math.inf, side)
        inner, step = outer, 2 * step
        outer = max(-FARTHEST, min(FARTHEST, outer + side * step))
    return _zero(excess, inner, outer)


def _zero(function: Callable[[float], float], left: float, right: float) -> float:
    """A zero between two points of opposite sign: regula falsi with the Illinois rule, then halving if that is slow."""
    f, g = function(left), function(right)
    for step in range(NUM_STEPS):
        middle = (left * g - right * f) / (g - f) if step < NUM_STEPS // 2 else (left + right) / 2
        h = function(middle)
        if h == 0 or abs(right - left) < TOLERANCE or abs(middle - right) < TOLERANCE / 10:
            return middle
        if (h > 0) != (g > 0):
            left, f = right, g
        else:
            f /= 2
        right, g = middle, h
    return (left + right) / 2


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _num_above(counts: NDArray[np.int64]) -> Floats:
    """Numbers of clusters with a count above j, j = 0, 1, ..., max - 1."""
    return (len(counts) - np.cumsum(np.bincount(counts))[:-1]).astype(np.float64)


def _counts(events: ArrayLike, items: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    k, n = np.asarray(events, dtype=np.float64), np.asarray(items, dtype=np.float64)
    if k.ndim != 1 or k.shape != n.shape or len(k) < FEWEST_CLUSTERS:
        raise MeasurementUndefined(
            "a beta-binomial needs clusters, each with events and items",
            seen=f"{k.shape} events, {n.shape} items", allowed=f"{FEWEST_CLUSTERS} clusters or more",
        )  # fmt: skip
    if not (np.isfinite(k).all() and np.isfinite(n).all() and (k % 1 == 0).all() and (n % 1 == 0).all()):
        raise MeasurementUndefined("events and items must be whole numbers", next_step="a graded score has no counts")
    if not ((k >= 0) & (k <= n) & (n >= 1)).all():
        raise MeasurementUndefined("a cluster needs 0 <= events <= items and at least one item")
    return k.astype(np.int64), n.astype(np.int64)
