"""Exact operating characteristics of a gate on one rate: no simulation.

The e-process depends on the values through (n, k) alone and is monotone in k, so a gate is two sequences of counts:
after n values it passes at k <= pass_at[n] and fails at k >= fail_at[n]. One more value moves pass_at by 0 or 1 (a
non-event raises the evidence, an event lowers it), so both sequences take one step of the recursion each a value. The
probability of every undecided (n, k) then follows by dynamic programming, vectorised over k and over rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.sequential.design import RateDesign
from trialist.measurement.sequential.rate import Beta, Shows, default_prior, walk

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Boundaries:
    """Counts of events that decide after n = 0 ... cap values, each of shape (cap + 1,)."""

    pass_at: Ints
    """PASS at this count or fewer; -1 where no count passes."""
    fail_at: Ints
    """FAIL at this count or more; n + 1 where no count fails."""

    @property
    def cap(self) -> int:
        return len(self.pass_at) - 1


@dataclass(frozen=True)
class Operating:
    """What a gate does at each of R rates; every array has shape (R,), ``running`` (cap + 1, R)."""

    passed: Floats
    failed: Floats
    undecided: Floats
    mean_number: Floats
    """Expected number of values, E[N]; N = cap where undecided."""
    running: Floats
    """P(N > n), or P(undecided) at n = cap."""

    def number(self, share: float) -> Ints:
        """The smallest n with P(N <= n) >= ``share``: .5 for the median."""
        check_share("share", share)
        done = self.running <= 1 - share + 1e-12
        done[-1] = True
        return np.argmax(done, axis=0).astype(np.int64)


def boundaries(design: RateDesign) -> Boundaries:
    """Both boundaries of ``design`` up to its cap."""
    passing = _most_events(design.p0, "below", design.pass_prior, design.alpha, design.cap)
    failing = _most_events(design.p0, "above", design.fail_prior, design.beta, design.cap)
    return Boundaries(passing, np.arange(design.cap + 1) - failing)


def one_sided(p0: float, *, shows: Shows = "below", alpha: float, cap: int, prior: Beta | None = None) -> Boundaries:
    """The boundaries of one process alone: it decides PASS ("below") or FAIL ("above"), never the other."""
    check_share("alpha", alpha)
    found = _most_events(p0, shows, prior or default_prior(p0, shows), alpha, cap)
    n = np.arange(cap + 1)
    return Boundaries(found, n + 1) if shows == "below" else Boundaries(np.full(cap + 1, -1), n - found)


def _most_events(p0: float, shows: Shows, prior: Beta, alpha: float, cap: int) -> Ints:
    """The largest count with e >= 1 / alpha after each n (counts of non-events for "above"); -1 if none.

    The walk stays at the smallest count that doesn't reach the threshold.
    """
    at = walk(p0, shows, prior)
    target = at.log_s + math.log(1 / alpha)
    found = np.full(cap + 1, -1, dtype=np.int64)
    for n in range(1, cap + 1):
        # From (n - 1, count) to (n, count); if that passes, (n, count + 1) is one event from (n - 1, count) instead.
        before = at.copy()
        at.none()
        if at.log_s >= target:
            at = before
            at.event()
            found[n] = found[n - 1] + 1
        else:
            found[n] = found[n - 1]
    return found


def operating(bounds: Boundaries, rates: ArrayLike) -> Operating:
    """Exact probabilities of PASS, FAIL and UNDECIDED and the distribution of the number of values.

    ``rates`` (R,) are constant rates, or (cap, R) the rate of each value in turn: a stream that drifts in a known way.
    Raises MeasurementUndefined for rates outside [0, 1] and a path of another length than the cap.
    """
    p = _paths(rates, bounds.cap)
    num = p.shape[1]
    alive = np.ones((num, 1))
    lowest = 0
    passed, failed, mean = np.zeros(num), np.zeros(num), np.zeros(num)
    running = np.zeros((bounds.cap + 1, num))
    running[0] = 1
    for n in range(1, bounds.cap + 1):
        mean += alive.sum(axis=1)
        rate = p[(n - 1) % len(p)][:, None]
        moved = np.zeros((num, alive.shape[1] + 1))
        moved[:, :-1] = alive * (1 - rate)
        moved[:, 1:] += alive * rate
        first = min(max(int(bounds.pass_at[n]) - lowest + 1, 0), moved.shape[1])
        last = min(max(int(bounds.fail_at[n]) - lowest, first), moved.shape[1])
        passed += moved[:, :first].sum(axis=1)
        failed += moved[:, last:].sum(axis=1)
        alive, lowest = moved[:, first:last], lowest + first
        running[n] = alive.sum(axis=1)
        if alive.shape[1] == 0:
            break
    return Operating(passed, failed, alive.sum(axis=1), mean, running)


def _paths(rates: ArrayLike, cap: int) -> Floats:
    p = np.asarray(rates, dtype=np.float64)
    p = p[None, :] if p.ndim == 1 else p
    if p.ndim != 2 or p.size == 0 or len(p) not in (1, cap):
        raise MeasurementUndefined("rates are (R,) or (cap, R)", seen=str(p.shape), allowed=f"(R,) or ({cap}, R)")
    if not ((p >= 0) & (p <= 1)).all():
        raise MeasurementUndefined("rates lie in [0, 1]", seen=f"{p.min()} to {p.max()}", allowed="0 <= rate <= 1")
    return p
