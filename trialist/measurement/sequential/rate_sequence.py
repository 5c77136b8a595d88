"""Bounds for a rate that hold at all sample sizes at once: the e-processes of ``rate``, inverted.

The upper bound after n values is the p0 above which the process "below p0" has rejected. The process at the true rate
ever rejects with probability at most 1 - confidence, so the bounds may be intersected over n at no cost.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, check_share
from trialist.measurement.sequential.rate import Beta, check_value
from trialist.measurement.sequential.truncated_beta import Walk, log_integral

JEFFREYS = Beta(0.5, 0.5)
"""One prior for every p0: the argument in ``upper_bound`` needs it not to move with p0."""
EDGE = 1e-12
SLACK = 1e-9
MAX_STEPS = 100


def upper_bound(k: float, n: float, *, confidence: float = 0.95, prior: Beta = JEFFREYS) -> float:
    """The p0 above which the process "below" at (k, n) rejects: e(k, n; p0) >= 1 / (1 - confidence).

    Holds at all n at once with probability ``confidence``. Where e >= 1, with S = S(A, B; p0) of ``truncated_beta``,

        d log e / d p0 = ((n p0 - k) - (1 - 1/e) / S) / (p0 (1 - p0))   and   1 / S < A,

    so from (k + A) / n on, log e rises in p0 once it is above 0. The bound is never put below that point.
    Solved by Newton's method inside a bracket, to a relative SLACK, and rounded up by as much.
    """
    check_count(k, n)
    check_share("confidence", confidence)
    return _solve(k, n, math.log(1 / (1 - confidence)), prior, 1 - EDGE)


def _solve(k: float, n: float, target: float, prior: Beta, high: float) -> float:
    """The crossing of ``target`` in [(k + A) / n, high]; 1 if log e is below it at ``high``."""
    low = (k + prior.a) / n
    if low >= high:
        return 1.0
    p = high
    log_e, slope = _log_e(k, n, p, prior)
    if log_e < target:
        return 1.0
    for _ in range(MAX_STEPS):
        step = p - (log_e - target) / slope if slope > 0 else low
        last, p = p, step if low < step < high else (low + high) / 2
        if abs(p - last) <= SLACK * min(p, 1 - p):
            break
        log_e, slope = _log_e(k, n, p, prior)
        low, high = (low, p) if log_e >= target else (p, high)
    return min(1.0, p * (1 + SLACK))


def lower_bound(k: float, n: float, *, confidence: float = 0.95, prior: Beta = JEFFREYS) -> float:
    """The mirror image of ``upper_bound``."""
    check_count(k, n)
    return 1 - upper_bound(n - k, n, confidence=confidence, prior=_mirrored(prior))


def running_upper_bound(values: ArrayLike, *, confidence: float = 0.95, prior: Beta = JEFFREYS) -> float:
    """The smallest of ``upper_bound`` over all beginnings of ``values`` (n,), each in [0, 1]; 1 for none.

    With probability ``confidence`` it isn't below the rate, whenever the values ended. The lower bound is 1 minus that
    of 1 - ``values``.
    """
    side = _Side(check_share("confidence", confidence), prior)
    for value in np.asarray(values, dtype=np.float64).tolist():
        check_value(value)
        side.update(value)
    return side.bound()


def _log_e(k: float, n: float, p0: float, prior: Beta) -> tuple[float, float]:
    """log e(k, n) of the process "below" p0, and its derivative in p0."""
    start = log_integral(prior.a, prior.b, p0, 1 - p0)
    log_e = log_integral(prior.a + k, prior.b + n - k, p0, 1 - p0) - start
    # (1 - 1/e) / S without overflow: exp(-start) - exp(-start - log_e).
    return log_e, (n * p0 - k - math.exp(-start) + math.exp(-start - log_e)) / (p0 * (1 - p0))


def _mirrored(prior: Beta) -> Beta:
    return Beta(prior.b, prior.a)


class RateSequence:
    """A confidence sequence for a rate: both one-sided e-processes inverted, each at (1 + level) / 2, and intersected.

    With probability ``level`` the rate lies in ``interval`` after every value, and the interval never widens.
    A bound is solved for when it may have moved: before a value of the other kind, and on reading.
    An empty intersection shows that the rate isn't constant; reading it raises MeasurementUndefined.
    """

    def __init__(self, *, level: float = 0.95, prior: Beta = JEFFREYS) -> None:
        confidence = (1 + check_share("level", level)) / 2
        self._seen = 0
        self._high = _Side(confidence, prior)
        self._low = _Side(confidence, _mirrored(prior))

    def update(self, value: float) -> None:
        check_value(value)
        self._high.update(value)
        self._low.update(1 - value)
        self._seen += 1

    @property
    def num_seen(self) -> int:
        return self._seen

    @property
    def interval(self) -> Interval:
        low, high = 1 - self._low.bound(), self._high.bound()
        if low > high:
            raise MeasurementUndefined(
                "no constant rate agrees with the whole sequence",
                seen=f"lower bound {low:.4g} above upper bound {high:.4g} after {self._seen} values",
                next_step="look for a rate that changes along the order of the values",
            )
        return Interval(low, high)


class _Side:
    """The running minimum of ``upper_bound``. Among states with one k, the last gives the smallest bound.

    A walk at the bound itself tells in a few operations whether it is rejected now; only then a new one is solved for.
    """

    def __init__(self, confidence: float, prior: Beta) -> None:
        self.confidence, self.prior = confidence, prior
        self.k = self.n = 0.0
        self.smallest = 1.0
        self.stale = False
        self.walk: Walk | None = None
        self.target = 0.0

    def update(self, value: float) -> None:
        if value > 0:
            self.bound()
        self.k += value
        self.n += 1
        self.stale = self.stale or value < 1
        if self.walk is not None:
            self.walk.take(value)

    def bound(self) -> float:
        if self.stale:
            self.stale = False
            if self.walk is None or self.walk.log_s >= self.target:
                self._solve()
        return self.smallest

    def _solve(self) -> None:
        high = self.smallest if self.walk is not None else 1 - EDGE
        found = _solve(self.k, self.n, math.log(1 / (1 - self.confidence)), self.prior, high)
        if found < self.smallest:
            a, b = self.prior.a, self.prior.b
            self.smallest = found
            self.walk = Walk(a + self.k, b + self.n - self.k, found, 1 - found)
            self.target = log_integral(a, b, found, 1 - found) + math.log(1 / (1 - self.confidence))
