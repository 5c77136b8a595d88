"""One rate against a bound p0, looked at after every value: an exact e-process.

``RateProcess(p0, shows="below")`` is evidence against H0 "rate >= p0". With a Beta(A, B) prior cut off at p0,

    e(k, n) = integral over (0, p0) of theta^k (1 - theta)^(n - k) prior(theta) dtheta / (p0^k (1 - p0)^(n - k))
            = B(A + k, B + n - k) I_p0(A + k, B + n - k) / (B(A, B) I_p0(A, B)) / (p0^k (1 - p0)^(n - k)).

Why it is valid for the whole null and not only for independent draws at p0. Let X_t be in [0, 1] with
p_t = E[X_t | past] >= p0, where p_t may depend on everything before t. For one theta < p0 the factor

    f(x) = (theta / p0)^x ((1 - theta) / (1 - p0))^(1 - x) <= x theta / p0 + (1 - x) (1 - theta) / (1 - p0)

since f is convex in x (equality for binary x). Hence

    E[f(X_t) | past] <= p_t theta / p0 + (1 - p_t) (1 - theta) / (1 - p0),

which is 1 at p_t = p0 and falls in p_t because theta / p0 < 1 < (1 - theta) / (1 - p0): the monotone likelihood ratio.
So each product of factors is a nonnegative supermartingale that starts at 1, and so is their average under a prior that
lives on theta < p0 alone; mass above p0 would break it, which is why the prior is cut off. Ville's inequality bounds
P(e ever reaches 1/alpha) by alpha, whatever the order or the drift of the stream. The mirrored process, for
H0 "rate <= p0" (``shows="above"``), is the same with events and non-events exchanged.

Values between 0 and 1, such as an item's mean over epochs, are therefore allowed; they are bet on as if binary, which
wastes evidence where they vary less than binary ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.sequential.truncated_beta import Walk

Shows = Literal["below", "above"]


@dataclass(frozen=True)
class Beta:
    """A Beta(a, b) prior on the event rate, cut off by each process at its p0."""

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise MeasurementUndefined("a Beta prior needs positive a, b", seen=f"{self.a}, {self.b}", allowed="> 0")


def default_prior(p0: float, shows: Shows) -> Beta:
    """Beta(.75, 3 / p0) to show "below", Beta(3, .75 / p0) to show "above" (second parameter at least 1).

    Chosen by exact expected sample numbers (``operating``) at alpha = beta = .05 for p0 = .2, .1, .05, .02, .01, on a
    grid of A = .5 ... 4 and B p0 = 0 ... 6. "below" favours rates from 0 to p0 / 3, "above" those from 2 p0 to 6 p0.
    Fixed-n numbers over expected ones, with these priors and with Beta(1, 1) on both sides: at rate 0, 3.3 to 3.7
    against 2.7 to 2.9; at p0 / 3, 1.1 to 1.2 against 1.0 to 1.2; at p0 / 2, .54 to .59 against .56 to .62; at 3 p0,
    4.5 to 5.6 against 2.7 to 5.6.
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
        check_value(value)
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


def check_value(value: float) -> None:
    if not 0 <= value <= 1:
        raise MeasurementUndefined("a rate is made of values from 0 to 1", seen=str(value), allowed="[0, 1]")


def walk(p0: float, shows: Shows, prior: Beta) -> Walk:
    """The integral at no values; for "above", events and non-events change places."""
    below = shows == "below"
    return Walk(prior.a, prior.b, p0, 1 - p0) if below else Walk(prior.b, prior.a, 1 - p0, p0)
