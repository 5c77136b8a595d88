"""Power and expected cost of the sequential gate on one rate: stop as soon as the claim is decided, at most N items.

The gate watches k events in n independent items and two e-processes, mixtures of the likelihood ratio over a Beta(a, b)
prior cut at the threshold p0:

    E_pass = B(a+k, b+n-k) I_{p0}(a+k, b+n-k) / (B(a, b) I_{p0}(a, b)) / (p0^k (1-p0)^(n-k)),     E_fail with 1 - I.

E_pass is an e-process against "rate >= p0" and E_fail against "rate <= p0", so each is wrong with probability alpha at
most whenever one stops (Ville 1939; Robbins 1970). For each n only the counts at which they reach 1/alpha matter, and
the walk of k between the two boundaries is enumerated: all numbers are exact up to rounding, nothing is simulated.
``simulate`` draws the same walks; a test holds the two together.

For independent items only: in clusters these e-processes aren't valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, betaln

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.planning.search import check_num, check_rate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MAX_CAP = 50_000


@dataclass(frozen=True)
class Boundaries:
    """At n = 1 .. N items the claim "rate below p0" passes at k <= ``passing``[n - 1] and fails at k >=
    ``failing``[n - 1]; -1 and n + 1 where no count decides."""

    passing: Counts
    failing: Counts


@dataclass(frozen=True)
class SequentialPlan:
    """Chances of the verdicts by the cap of ``max_items``, and the number of items at the stop or the cap."""

    passes: float
    fails: float
    mean_items: float
    median_items: int
    most_items: int
    """Nine runs in ten need no more than these."""
    max_items: int

    @property
    def undecided(self) -> float:
        return max(0.0, 1 - self.passes - self.fails)


def boundaries(
    max_items: int, *, threshold: float, confidence: float = 0.95, prior: tuple[float, float] | None = None
) -> Boundaries:
    """The counts that decide. ``prior``: (a, b), by default (1/2, 1/(2 p0)), whose mean is near the threshold."""
    cap = check_num("the largest number of items", max_items)
    if cap > MAX_CAP:
        raise MeasurementUndefined("too many items to enumerate", seen=f"{cap:,}", allowed=f"up to {MAX_CAP:,}")
    p0 = check_share("threshold", threshold)
    target = math.log(1 / (1 - check_share("confidence", confidence)))
    a, b = prior or (0.5, 0.5 / p0)
    if not (a > 0 and b > 0 and math.isfinite(a + b)):
        raise MeasurementUndefined("a Beta prior needs two positive numbers", seen=f"({a}, {b})")
    n = np.arange(1, cap + 1)
    passing = _last(n, lambda k: _log_e(k, n, p0, (a, b), below=True) >= target)
    failing = n - _last(n, lambda j: _log_e(n - j, n, p0, (a, b), below=False) >= target)
    return Boundaries(passing, failing)


def sequential_plan(
    rate: float,
    max_items: int,
    *,
    threshold: float,
    confidence: float = 0.95,
    prior: tuple[float, float] | None = None,
) -> SequentialPlan:
    """What the gate on "rate below ``threshold``" does at a true ``rate``, by enumeration."""
    limits = boundaries(max_items, threshold=threshold, confidence=confidence, prior=prior)
    stopped = stopping(rate, limits)
    passes, fails = (float(x) for x in stopped.sum(axis=1))
    return _summary(stopped.sum(axis=0), passes, fails)


def stopping(rate: float, limits: Boundaries) -> Floats:
    """(2, N): the probabilities to pass and to fail with item 1, 2, ... N. Their cumulative sums are those by a cap."""
    p, cap = check_rate("the true rate", rate), len(limits.passing)
    stopped = np.zeros((2, cap))
    alive, first = np.ones(1), 0  # probabilities of counts first, first + 1, ...
    for index in range(cap):
        moved = np.zeros(len(alive) + 1)
        moved[:-1] += alive * (1 - p)
        moved[1:] += alive * p
        start = min(max(0, int(limits.passing[index]) + 1 - first), len(moved))
        end = max(start, min(len(moved), int(limits.failing[index]) - first))
        stopped[:, index] = moved[:start].sum(), moved[end:].sum()
        alive, first = moved[start:end], first + start
        if not len(alive):
            break
    return stopped


def simulate(
    rate: float,
    limits: Boundaries,
    *,
    repetitions: int,
    generator: np.random.Generator,
) -> tuple[float, float, float]:
    """(passes, fails, mean number of items) of ``repetitions`` drawn walks: the twin that needs no algebra."""
    cap = len(limits.passing)
    k = np.cumsum(generator.random((repetitions, cap)) < check_rate("the true rate", rate), axis=1)
    passed, failed = k <= limits.passing, k >= limits.failing
    decided = passed | failed
    at = np.where(decided.any(axis=1), decided.argmax(axis=1), cap - 1)
    row = np.arange(repetitions)
    return float(passed[row, at].mean()), float(failed[row, at].mean()), float((at + 1).mean())


def _summary(stopped: Floats, passes: float, fails: float) -> SequentialPlan:
    cap = len(stopped)
    by = np.cumsum(stopped)
    mean = 1 + float((1 - by[:-1]).sum())

    def quantile(share: float) -> int:
        return int(np.argmax(by >= share)) + 1 if by[-1] >= share else cap

    return SequentialPlan(passes, fails, mean, quantile(0.5), quantile(0.9), cap)


def _log_e(k: Counts, n: Counts, p0: float, prior: tuple[float, float], *, below: bool) -> Floats:
    part = betainc if below else betaincc
    a, b = prior
    with np.errstate(divide="ignore"):
        mass = np.log(part(a + k, b + n - k, p0)) - math.log(part(a, b, p0))
    return betaln(a + k, b + n - k) - betaln(a, b) + mass - k * math.log(p0) - (n - k) * math.log1p(-p0)


def _last(n: Counts, decides: Callable[[Counts], NDArray[np.bool_]]) -> Counts:
    """For each n the largest count 0 .. n that decides, -1 where none does; smaller counts decide sooner."""
    low, high = np.full(len(n), -1, dtype=np.int64), n + 1
    while (high - low > 1).any():
        inside = high - low > 1
        middle = np.where(inside, (low + high) // 2, np.maximum(low, 0))
        yes = decides(middle)
        low, high = np.where(inside & yes, middle, low), np.where(inside & ~yes, middle, high)
    return low
