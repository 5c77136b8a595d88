"""One rate, looked at after every value: an exact e-process against a bound, and a confidence sequence.

``RateProcess(p0, shows="below")`` is evidence against H0 "rate >= p0". With a Beta(A, B) prior cut off at p0,

    e(k, n) = integral over (0, p0) of theta^k (1 - theta)^(n - k) prior(theta) dtheta / (p0^k (1 - p0)^(n - k))
            = B(A + k, B + n - k) I_p0(A + k, B + n - k) / (B(A, B) I_p0(A, B)) / (p0^k (1 - p0)^(n - k)).

Why it is valid for the whole null and not only for independent draws at p0. Let X_t be in [0, 1] with
p_t = E[X_t | past] >= p0, where p_t may depend on everything before t. For one theta < p0 the factor
f(x) = (theta / p0)^x ((1 - theta) / (1 - p0))^(1 - x) is convex in x, so f(x) <= x theta / p0 + (1 - x)(1 - theta) / (1 - p0),
with equality for binary x. Hence E[f(X_t) | past] <= p_t theta / p0 + (1 - p_t)(1 - theta) / (1 - p0), which is 1 at p_t = p0
and falls in p_t since theta / p0 < 1 < (1 - theta) / (1 - p0) (the monotone likelihood ratio). So each product of factors is
a nonnegative supermartingale from 1, and so is their average under a prior that lives on theta < p0 only: an untruncated prior
would lose this. Ville's inequality then bounds P(e ever reaches 1/alpha) by alpha, whatever the order or the drift of
the stream. The mirrored process (``shows="above"``, H0 "rate <= p0") is the same with events and non-events exchanged.

Values between 0 and 1, such as an item's mean over epochs, are therefore allowed; they are bet on as if binary, which
wastes evidence where they vary less than binary ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, check_share
from trialist.measurement.sequential.mixture import rate_interval
from trialist.measurement.sequential.truncated_beta import Walk, log_integral

__all__ = ["Beta", "RateProcess", "RateSequence", "Shows", "default_prior", "lower_bound", "rate_interval", "upper_bound"]

Shows = Literal["below", "above"]
EDGE = 1e-12
NUM_HALVINGS = 60


@dataclass(frozen=True)
class Beta:
    """A Beta(a, b) prior on the event rate, cut off by each process at its p0."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise MeasurementUndefined("a Beta prior needs positive a, b", seen=f"{self.a}, {self.b}", allowed="> 0")


JEFFREYS = Beta(0.5, 0.5)


def default_prior(p0: float, shows: Shows) -> Beta:
    """Beta(.75, 3 / p0) to show "below", Beta(3, .75 / p0) to show "above" (second parameter at least 1).

    Chosen by exact expected sample numbers (``operating``) at alpha = beta = .05 for p0 = .2, .1, .05, .02, .01, out of
    A in .5 ... 4 and B p0 in 0 ... 6. "below" puts its mass on rates from 0 to p0 / 3: Beta(1, 1) needs 12% more clean
    runs at rate 0 and 4% more runs at p0 / 3 is what the chosen one loses against the best for p0 / 3 alone. "above" puts
    its mass around 2 to 6 p0. Scaling with p0 makes the process of a rare rate the same as that of a common one.
    """
    check_share("p0", p0)
    return Beta(0.75, max(1.0, 3 / p0)) if shows == "below" else Beta(3.0, max(1.0, 0.75 / p0))


class RateProcess:
    """Test martingale for "rate >= p0" (``shows="below"``) or "rate <= p0" (``shows="above"``); see the module.

    One update costs a few microseconds up to any length: a recursion in the integral, restarted from scratch when
    its error bound passes 1e-8 in ``log_e`` (relative, where log_e is above 1).
    Raises MeasurementUndefined for p0 outside (0, 1) and values outside [0, 1].
    """

    def __init__(self, p0: float, *, shows: Shows = "below", prior: Beta | None = None) -> None:
        check_share("p0", p0)
        if shows not in ("below", "above"):
            raise MeasurementUndefined("a rate is shown to be below or above p0", seen=shows, allowed="below, above")
        self.p0 = p0
        self.shows: Shows = shows
        self.prior = prior or default_prior(p0, shows)
        self._below = shows == "below"
        self._walk = walk(p0, shows, self.prior)
        self._start = self._walk.log_s
        self._max = 0.0
        self._seen = 0

    def update(self, value: float) -> None:
        _check_value(value)
        self._walk.take(value if self._below else 1 - value)
        self._seen += 1
        self._max = max(self._max, self._walk.log_s - self._start)

    @property
    def log_e(self) -> float:
        return self._walk.log_s - self._start

    @property
    def max_log_e(self) -> float:
        return self._max

    @property
    def num_seen(self) -> int:
        return self._seen

    @property
    def settings(self) -> dict[str, str | float]:
        """What rebuilds the process before its first value."""
        return {"kind": "rate", "p0": self.p0, "shows": self.shows, "a": self.prior.a, "b": self.prior.b}


def _check_value(value: float) -> None:
    if not 0 <= value <= 1:
        raise MeasurementUndefined("a rate is made of values from 0 to 1", seen=str(value), allowed="[0, 1]")


def walk(p0: float, shows: Shows, prior: Beta) -> Walk:
    """The integral at no values; for "above", events and non-events change places."""
    below = shows == "below"
    return Walk(prior.a, prior.b, p0, 1 - p0) if below else Walk(prior.b, prior.a, 1 - p0, p0)


def upper_bound(k: float, n: float, *, confidence: float = 0.95, prior: Beta = JEFFREYS) -> float:
    """The p0 above which the process "below" at (k, n) rejects: e(k, n; p0) >= 1 / (1 - confidence).

    Holds at all n at once with probability ``confidence``. Where e >= 1, with S = S(A, B; p0) of ``truncated_beta``,

        d log e / d p0 = ((n p0 - k) - (1 - 1/e) / S) / (p0 (1 - p0))   and   1 / S < A,

    so from (k + A) / n on, log e rises in p0 once it is above 0. The bound is never put below that point.
    """
    check_count(k, n)
    target = math.log(1 / (1 - check_share("confidence", confidence)))
    low, high = (k + prior.a) / n, 1 - EDGE
    if low >= high or _log_e(k, n, high, prior) < target:
        return 1.0
    if _log_e(k, n, low, prior) >= target:
        return low
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        if high - low <= EDGE * high:
            break
        low, high = (low, middle) if _log_e(k, n, middle, prior) >= target else (middle, high)
    return high


def lower_bound(k: float, n: float, *, confidence: float = 0.95, prior: Beta = JEFFREYS) -> float:
    """The mirror image of ``upper_bound``."""
    check_count(k, n)
    return 1 - upper_bound(n - k, n, confidence=confidence, prior=_mirrored(prior))


def _log_e(k: float, n: float, p0: float, prior: Beta) -> float:
    """log e(k, n) of the process "below" p0."""
    start = log_integral(prior.a, prior.b, p0, 1 - p0)
    return log_integral(prior.a + k, prior.b + n - k, p0, 1 - p0) - start


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
        _check_value(value)
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

    A walk at the bound itself tells for a few operations whether it is rejected by now; only then is a new one solved for.
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
        found = upper_bound(self.k, self.n, confidence=self.confidence, prior=self.prior)
        if found < self.smallest:
            a, b = self.prior.a, self.prior.b
            self.smallest = found
            self.walk = Walk(a + self.k, b + self.n - self.k, found, 1 - found)
            self.target = log_integral(a, b, found, 1 - found) + math.log(1 / (1 - self.confidence))
