"""Times to an event, right-censored: queries until an attack succeeds, doses until a change is undone, run by run.

A subject is a run (or an item) with a ``time`` and whether the event was ``seen`` then; if not, the subject was still
without it at ``time``, its budget, and is right-censored. Runs are independent, and censoring says nothing about the
time that would have been (budgets fixed before the runs do not). A subject censored at t was at risk at t.

``restricted_mean_bounds`` and ``survival_at`` are guaranteed; the rest describes. Bands: ``lifetime_bands``; tests:
``logrank``. Recovery over doses on a common grid is ``survival.recovery``, another question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting
from trialist.measurement.interval import Interval, check_share, normal_quantile
from trialist.measurement.proportions import clopper_pearson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lifetimes:
    """n subjects in the caller's order: ``times`` (n,) positive, ``seen`` (n,) whether the event came at that time."""

    times: Floats
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class KaplanMeier:
    """The estimate at the J distinct event ``times``: ``survival`` S (J,), Greenwood's ``standard_error`` of S (J,),
    ``at_risk`` r_j just before and ``num_events`` d_j at each. S is 1 before the first and constant in between.
    ``last`` is the largest time of any subject: beyond it nothing is known unless S has reached 0."""

    times: Floats
    survival: Floats
    standard_error: Floats
    at_risk: NDArray[np.int64]
    num_events: NDArray[np.int64]
    last: float
    data: Lifetimes

    def at(self, time: float) -> float:
        """S(time). Raises MeasurementUndefined beyond ``last`` where S isn't 0."""
        j = int(np.searchsorted(self.times, time, side="right")) - 1
        value = 1.0 if j < 0 else float(self.survival[j])
        if time > self.last and value > 0:
            raise MeasurementUndefined(
                "survival beyond the last observed time", seen=f"time {time:g}", allowed=f"at most {self.last:g}",
                next_step="ask for an earlier time, or fit a curve and mark it exploratory",
            )  # fmt: skip
        return value


def lifetimes(times: ArrayLike, seen: ArrayLike) -> Lifetimes:
    """Checked subjects from arrays (n,). Raises MeasurementUndefined unless there is one, with times above 0, finite,
    and every ``seen`` 0 or 1."""
    t, d = np.asarray(times, dtype=np.float64), np.asarray(seen, dtype=np.float64)
    if t.ndim != 1 or len(t) == 0 or t.shape != d.shape:
        raise MeasurementUndefined("subjects need a time and an event mark each", seen=f"{t.shape} and {d.shape}")
    if not ((t > 0) & np.isfinite(t)).all() or not np.isin(d, (0.0, 1.0)).all():
        raise MeasurementUndefined(
            "times must be positive and finite, event marks 0 or 1", seen=f"times from {t.min()} to {t.max()}",
            next_step="a run without the event has the budget that it used as its time and 0 as its mark",
        )  # fmt: skip
    # The order stays: betting on sorted times would let the future into the bets.
    return Lifetimes(t, d == 1)


def kaplan_meier(data: Lifetimes) -> KaplanMeier:
    """S(t) = prod_{t_j <= t} (1 - d_j / r_j), SE^2 = S^2 sum_{t_j <= t} d_j / (r_j (r_j - d_j)) (0 where S = 0).

    Kaplan & Meier 1958, J. Am. Stat. Assoc. 53; Greenwood 1926. Without any event the arrays are empty and S = 1.
    """
    points = np.unique(data.times[data.seen])
    at_risk = len(data.times) - np.searchsorted(np.sort(data.times), points, side="left")
    deaths = np.array([int(np.sum(data.seen & (data.times == t))) for t in points], dtype=np.int64)
    survival = np.cumprod(1 - deaths / at_risk).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.cumsum(deaths / (at_risk * (at_risk - deaths)))
        error = np.where(survival > 0, survival * np.sqrt(sums), 0.0)
    last = float(data.times.max())
    return KaplanMeier(points, survival, error, at_risk.astype(np.int64), deaths, last, data)


def pointwise(curve: KaplanMeier, time: float, level: float = 0.95) -> Interval:
    """Interval for S(time) alone: S^exp(+- z SE / (S ln S)), the log(-log) transform (Kalbfleisch & Prentice 1980).

    Before the first event it is undefined: the m subjects followed up to ``time`` give [(alpha/2)^(1/m), 1], the
    exact limits for no event among m. Once S = 0 it is [0, upper limit just before]. So no width is ever zero.
    Describes: with few events it covers less than it says (measured on the page on survival).
    """
    s = curve.at(time)
    j = int(np.searchsorted(curve.times, time, side="right")) - 1
    alpha = 1 - check_share("level", level)
    if j < 0:
        left = max(1, int((curve.data.times >= time).sum()))
        return Interval((alpha / 2) ** (1 / left), 1.0)
    if s == 0:
        before = 1.0 if j == 0 else pointwise(curve, float(curve.times[j - 1]), level).high
        return Interval(0.0, before)
    power = math.exp(normal_quantile(level) * float(curve.standard_error[j]) / (-s * math.log(s)))
    return Interval(s**power, s ** (1 / power))


def survival_at(data: Lifetimes, budget: float, level: float = 0.95) -> Interval:
    """Exact Clopper-Pearson interval for P(T > budget); for success within a budget take one minus its ends.

    Raises MeasurementUndefined where a subject was censored before ``budget``: then the count isn't binomial.
    """
    early = data.times[~data.seen & (data.times < budget)]
    if len(early):
        raise MeasurementUndefined(
            "exact survival needs everyone followed up to the budget",
            seen=f"{len(early)} censored before {budget:g}, the first at {early.min():g}",
            allowed=f"a budget up to {early.min():g}", next_step="use kaplan_meier and pointwise, which describe",
        )  # fmt: skip
    return clopper_pearson(int(np.sum((data.times > budget) | ~data.seen)), len(data.times), level)


def median(curve: KaplanMeier, *, quantile: float = 0.5, level: float = 0.95) -> tuple[float, Interval]:
    """The smallest time with S <= 1 - quantile, and all times that the pointwise intervals don't exclude.

    Infinite where S doesn't fall that far; the upper limit is infinite where the upper limit of S doesn't.
    Brookmeyer & Crowley 1982, Biometrics 38, on the log(-log) scale.
    """
    target = 1 - check_share("quantile", quantile)
    limits = [pointwise(curve, float(t), level) for t in curve.times]
    # A product that ends at the target may miss it by one rounding.
    value = _first(curve.times, curve.survival <= target + 1e-12)
    low = _first(curve.times, np.array([limit.low for limit in limits]) <= target)
    high = _first(curve.times, np.array([limit.high for limit in limits]) < target)
    return value, Interval(low, high)


def restricted_mean(curve: KaplanMeier, horizon: float, level: float = 0.95) -> tuple[float, float, Interval]:
    """E[min(T, horizon)]: the area under S, its standard error, and area +- z SE cut to [0, horizon].

    SE^2 = sum_j A_j^2 d_j / (r_j (r_j - d_j)), A_j the area from t_j to the horizon. Without an event before the
    horizon: [horizon (alpha/2)^(1/m), horizon] for m subjects followed up to it. Klein & Moeschberger 2003, 4.5.
    Raises MeasurementUndefined for a horizon beyond the last time unless S is 0 there, and where SE is 0.
    """
    if not 0 < horizon < math.inf:
        raise MeasurementUndefined("a horizon", seen=f"{horizon}", allowed="positive and finite")
    curve.at(horizon)
    used = curve.times < horizon
    edges = np.concatenate([[0.0], curve.times[used], [horizon]])
    steps = np.concatenate([[1.0], curve.survival[used]])
    areas = np.diff(edges) * steps
    value = float(areas.sum())
    if not used.any():
        followed = max(1, int((curve.data.times >= horizon).sum()))
        return value, 0.0, Interval(horizon * ((1 - check_share("level", level)) / 2) ** (1 / followed), horizon)
    r, d = curve.at_risk[used], curve.num_events[used]
    after = value - np.cumsum(areas)[:-1]
    variance = np.where(r > d, after**2 * d / (r * np.maximum(r - d, 1)), 0.0)
    error = float(np.sqrt(variance.sum()))
    if error == 0:
        raise MeasurementUndefined(
            "all subjects have the event at one time: no spread to take a standard error from",
            next_step="use restricted_mean_bounds",
        )  # fmt: skip
    half = float(ndtri((1 + check_share("level", level)) / 2)) * error
    return value, error, Interval(max(0.0, value - half), min(horizon, value + half))


def restricted_mean_bounds(data: Lifetimes, horizon: float, level: float = 0.95) -> Interval:
    """Guaranteed interval for E[min(T, horizon)] by betting, where nobody was censored before ``horizon``.

    The subjects' order must not depend on their times: give them sorted by name, never by time.
    """
    if not 0 < horizon < math.inf or bool((~data.seen & (data.times < horizon)).any()):
        raise MeasurementUndefined(
            "guaranteed restricted means need everyone followed up to the horizon", seen=f"horizon {horizon:g}",
            next_step="take a horizon at or below the first censored time",
        )  # fmt: skip
    return betting.interval(np.minimum(data.times, horizon), low=0.0, high=horizon, level=level)


def _first(times: Floats, mask: NDArray[np.bool_]) -> float:
    where = np.flatnonzero(mask)
    return float(times[where[0]]) if len(where) else math.inf
