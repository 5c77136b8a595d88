"""Claims about one rate by Clopper-Pearson, planned by enumeration: nothing here is simulated or approximated.

"rate below p0" passes with k events in n when P(Bin(n, p0) <= k) < alpha, that is up to a critical count k*(n). With a
true rate p1 the power is P(Bin(n, p1) <= k*(n)). It is a sawtooth in n: it falls with n while k* stays, and jumps where
k* grows. So "enough items" has two meanings: the *first* n that reaches the target, and the *steady* n from which on
no larger n falls below it. A study that may lose or gain a few items needs the steady one.

"rate above p0" is the same with events and non-events exchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtri

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.planning.search import MAX_ITEMS, check_num, check_power, check_rate, too_many
from trialist.measurement.proportions import num_runs_needed, upper_bound
from trialist.records import Side

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MIN_TEETH = 64
"""Teeth looked at on both sides of the one where the power is first reached, or 8 sqrt(k*) if that is more. A ripple is
of order 1/sqrt(k*) in power and the power rises by order 1/k* a tooth, so that ripples can't reach further."""


@dataclass(frozen=True)
class Chances:
    """Probabilities of the three verdicts on a claim."""

    passes: float
    fails: float

    @property
    def undecided(self) -> float:
        return max(0.0, 1 - self.passes - self.fails)


@dataclass(frozen=True)
class ExactPlan:
    """The claim passes with at most ``num_allowed`` events against it in ``num_items``; none at all can pass if that is
    -1. ``power`` at the planned rate; ``error``: the probability to pass at the threshold itself."""

    num_items: int
    num_allowed: int
    power: float
    error: float


def critical_counts(num_items: ArrayLike, threshold: float, confidence: float = 0.95) -> Counts:
    """k*(n): the most events with which "rate below ``threshold``" passes, -1 where none can; for each n."""
    alpha = 1 - check_share("confidence", confidence)
    p0 = check_share("threshold", threshold)
    n = np.asarray(num_items, dtype=np.int64)
    low, high = np.full(n.shape, -1, dtype=np.int64), n.copy()  # k = n never passes: P(Bin <= n) = 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        inside = high - low > 1
        passes = np.where(inside, bdtr(np.maximum(middle, 0).astype(np.float64), n, p0), 1.0) < alpha
        low, high = np.where(inside & passes, middle, low), np.where(inside & ~passes, middle, high)
    return low


def claim_power(
    rate: float, num_items: ArrayLike, *, threshold: float, side: Side = "below", confidence: float = 0.95
) -> Floats:
    """Probability to pass "rate ``side`` ``threshold``" at a true ``rate``; for each of ``num_items``, any shape."""
    p1, p0 = _mirrored(rate, threshold, side)
    n = np.asarray(num_items, dtype=np.int64)
    return _at_most(critical_counts(n, p0, confidence), n, p1)


def claim_chances(
    rate: float, num_items: int, *, threshold: float, side: Side = "below", confidence: float = 0.95
) -> Chances:
    """PASS, FAIL and UNDECIDED of a claim with both exact bounds, each at ``confidence``.

    FAIL: the opposite bound lies on the threshold or beyond it.
    """
    n = check_num("the number of items", num_items)
    passes = claim_power(rate, n, threshold=threshold, side=side, confidence=confidence)
    other: Side = "above" if side == "below" else "below"
    fails = claim_power(rate, n, threshold=threshold, side=other, confidence=confidence)
    return Chances(float(passes), float(fails))


def claim_at(
    rate: float, num_items: int, *, threshold: float, side: Side = "below", confidence: float = 0.95
) -> ExactPlan:
    """The plan with this many items, whatever its power."""
    n = check_num("the number of items", num_items)
    p1, p0 = _mirrored(rate, threshold, side)
    allowed = critical_counts(n, p0, confidence)
    return ExactPlan(n, int(allowed), float(_at_most(allowed, n, p1)), float(_at_most(allowed, n, p0)))


def claim_plan(
    rate: float,
    *,
    threshold: float,
    side: Side = "below",
    power: float = 0.9,
    confidence: float = 0.95,
    steady: bool = True,
) -> ExactPlan:
    """Items needed to pass "rate ``side`` ``threshold``" with probability ``power`` if the true rate is ``rate``.

    ``steady``: the smallest n such that every larger size reaches the power too, as far as ``MIN_TEETH`` says; else the
    first n that does.

    Raises MeasurementUndefined where the true rate contradicts the claim, or ``MAX_ITEMS`` aren't enough.
    """
    check_power(power)
    p1, p0 = _mirrored(rate, threshold, side)
    if p1 >= p0:
        other = "below" if side == "below" else "above"
        raise MeasurementUndefined(
            f"no sample shows a rate {side} {threshold:g} if the true rate isn't",
            seen=f"true rate {rate:g}",
            allowed=f"a true rate {other} {threshold:g}",
            next_step="plan for the rate that you expect and move the threshold away from it",
        )
    tooth = _near(p1, p0, power, confidence)
    width = max(MIN_TEETH, math.ceil(8 * math.sqrt(tooth)))
    first = max(0, tooth - width)
    starts, peaks, troughs = _teeth(np.arange(first, tooth + width), p1, p0, confidence)
    low = np.flatnonzero(troughs < power)
    found = int(np.argmax(peaks >= power))
    if steady:
        found = int(low[-1]) + 1 if len(low) else 0
    return claim_at(rate, int(starts[found]), threshold=threshold, side=side, confidence=confidence)


def zero_event_plan(threshold: float, *, rate: float = 0.0, confidence: float = 0.95) -> ExactPlan:
    """The fewest items with which no event at all shows "rate below ``threshold``": ceil(ln(1-confidence)/ln(1-p0)).

    The cheapest plan if nothing ever happens, and a poor one otherwise: at a true ``rate`` it passes with (1-rate)^n.
    """
    n = num_runs_needed(threshold, confidence)
    return claim_at(rate, n, threshold=threshold, confidence=confidence)


def detectable_rate(
    num_items: int, *, threshold: float, side: Side = "below", power: float = 0.9, confidence: float = 0.95
) -> float:
    """The true rate nearest to the threshold at which the claim still passes with probability ``power``.

    The threshold's distance from it is the minimum detectable effect. Raises MeasurementUndefined where even no event
    at all doesn't pass.
    """
    check_power(power)
    n = check_num("the number of items", num_items)
    p0 = check_share("threshold", threshold if side == "below" else 1 - threshold)
    allowed = int(critical_counts(n, p0, confidence))
    if allowed < 0:
        least = num_runs_needed(p0, confidence)
        raise MeasurementUndefined(
            f"{n:,} items can't show a rate {side} {threshold:g}, whatever they are",
            seen=f"{n:,} items at confidence {confidence:g}",
            allowed=f"{least:,} items or more",
            next_step=f"take {least:,} items, or a threshold further away",
        )
    rate = float(bdtri(float(allowed), n, power))
    return rate if side == "below" else 1 - rate


def claimable_threshold(
    rate: float, num_items: int, *, side: Side = "below", power: float = 0.9, confidence: float = 0.95
) -> float:
    """The strictest threshold that passes with probability ``power`` at a true ``rate``: the exact bound at the count
    that is exceeded with probability 1 - power at most."""
    check_power(power)
    n = check_num("the number of items", num_items)
    p1 = check_rate("the rate", rate if side == "below" else 1 - rate)
    counts = np.arange(n + 1)
    count = int(np.argmax(_at_most(counts, np.full(n + 1, n), p1) >= power))
    bound = upper_bound(count, n, confidence)
    return bound if side == "below" else 1 - bound


def _mirrored(rate: float, threshold: float, side: Side) -> tuple[float, float]:
    """True rate and threshold of the events that speak against the claim."""
    check_rate("the true rate", rate)
    check_share("threshold", threshold)
    return (rate, threshold) if side == "below" else (1 - rate, 1 - threshold)


def _at_most(counts: ArrayLike, num_items: ArrayLike, rate: float) -> Floats:
    """P(Bin(n, rate) <= k), 0 for k = -1."""
    k = np.asarray(counts, dtype=np.int64)
    found = bdtr(np.maximum(k, 0).astype(np.float64), np.asarray(num_items, dtype=np.int64), rate)
    return np.where(k < 0, 0.0, found)


def _near(rate: float, threshold: float, power: float, confidence: float) -> int:
    """A critical count k* whose first size reaches the power and whose half doesn't, give or take the ripples."""

    def reaches(tooth: int) -> bool:
        starts, peaks, _ = _teeth(np.array([tooth]), rate, threshold, confidence)
        if starts[0] > MAX_ITEMS:
            raise too_many(power)
        return bool(peaks[0] >= power)

    high = 0
    while not reaches(high):
        high = 2 * high + 1
    low = (high - 1) // 2 if high else -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _teeth(counts: Counts, rate: float, threshold: float, confidence: float) -> tuple[Counts, Floats, Floats]:
    """Of the teeth k* = ``counts`` (consecutive): first sizes, power at the first and at the last size of each."""
    alpha = 1 - check_share("confidence", confidence)
    k = np.append(counts, counts[-1] + 1)
    low, high = k.copy(), np.full(len(k), 2 * MAX_ITEMS, dtype=np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        shown = bdtr(k.astype(np.float64), middle, threshold) < alpha
        low, high = np.where(shown, low, middle), np.where(shown, middle, high)
    return high[:-1], _at_most(k[:-1], high[:-1], rate), _at_most(k[:-1], high[1:] - 1, rate)
