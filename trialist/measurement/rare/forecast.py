"""The worst of many more queries than were scored: an extrapolation, exploratory by construction.

Each query i has an elicitation probability p_i, the probability that it brings out the behaviour. Its score is
psi = -ln(-ln p), whose upper tail is fitted (``tails``) and extended to m queries: the largest p among them sits where
the survival function is about 1/m. Jones et al. 2025, arXiv 2502.16797, section 3, who report forecasts from 900
queries to 90,000 within one order of magnitude for 86% of misuse forecasts; differences are said at each function.

No assumption that the data can check makes such a number safe. A kind of query with mass q that the n scored ones
missed, which happens with probability (1 - q)^n, can hold any p. Every mass below 1 - alpha^(1/n) is missed with
probability above alpha, so it can't be excluded: ``missed_mode`` says what that allows at m queries. A ``Forecast``
therefore always carries ``exploratory = True`` and a reason for which a gate refuses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.rare import tails
from trialist.measurement.rare.tails import Tail

Floats = NDArray[np.float64]

MOST_DISAGREEMENT = 1.0
"""Orders of magnitude between estimators, or between choices of k, above which a warning is given."""
MOST_MISFIT = 0.25
FARTHEST = 1000.0
"""The paper's forecasts reach up to three orders of magnitude more queries."""


@dataclass(frozen=True)
class MissedMode:
    """With confidence ``confidence`` any kind of query absent from ``num_scored`` has a mass below ``mass``; one of
    that mass is met among ``num_queries`` with probability ``met``, whatever the scored queries look like."""

    mass: float
    met: float
    num_scored: int
    num_queries: int
    confidence: float


@dataclass(frozen=True)
class Forecast:
    """For ``num_queries`` m from ``num_scored`` n, as natural logarithms of probabilities.

    ``worst``: ln p exceeded with probability 1/m, by the regression; ``estimates``: the same by every estimator.
    ``interval``: exact if the tail above x_(k+1) is exponential; ``bootstrap``: percentiles over resampled queries, too
    short at small k (see the page on rare events). Neither knows of a wrong tail. ``aggregate``:
    probability that at least one of m queries, one sample each, shows the behaviour. ``disagreement`` and
    ``instability``: range over estimators, and over k/2, k, 2k, of log10 p. ``mean_excess_slope`` and
    ``mean_excess_misfit``: ``tails.mean_excess`` over the top 2k.
    """

    worst: float
    interval: Interval
    bootstrap: Interval
    estimates: tuple[tuple[str, float], ...]
    aggregate: float
    num_queries: int
    num_scored: int
    k: int
    disagreement: float
    instability: float
    mean_excess_slope: float
    mean_excess_misfit: float
    missed: MissedMode
    warnings: tuple[str, ...]
    refuse_claim: str
    exploratory: bool = True


def scores(log_probabilities: ArrayLike) -> Floats:
    """psi = -ln(-ln p) from ln p (n,): -inf where p = 0. Raises MeasurementUndefined for NaN and for p >= 1."""
    logs = np.asarray(log_probabilities, dtype=np.float64)
    if logs.ndim != 1 or len(logs) == 0 or not (logs < 0).all():
        raise MeasurementUndefined(
            "elicitation probabilities as logarithms", seen=f"largest {logs.max() if logs.size else 'none'}",
            allowed="below 0", next_step="a query with p = 1 was found already: nothing is left to forecast",
        )  # fmt: skip
    return -np.log(-logs)


def missed_mode(num_scored: int, num_queries: int, confidence: float = 0.95) -> MissedMode:
    """mass = 1 - (1 - confidence)^(1/n), met = 1 - (1 - mass)^m. Needs independent draws from the deployed mix."""
    alpha = 1 - check_share("confidence", confidence)
    if not (num_scored >= 1 and num_queries >= 1):
        raise MeasurementUndefined("numbers of queries", seen=f"{num_scored}, {num_queries}", allowed="1 or more")
    mass = -math.expm1(math.log(alpha) / num_scored)
    return MissedMode(mass, -math.expm1(num_queries * math.log1p(-mass)), num_scored, num_queries, confidence)


def forecast(
    log_probabilities: ArrayLike,
    num_queries: int,
    *,
    generator: np.random.Generator,
    k: int = 10,
    level: float = 0.95,
    num_resamples: int = 400,
) -> Forecast:
    """Forecast for ``num_queries`` from ln p of the scored ones (n,), through the tail of the top ``k`` (paper: 10).

    Raises MeasurementUndefined for fewer than 2k + 1 scores, for num_queries below n / k (that is inside the data), and
    where the largest scores are equal or infinite.
    """
    check_share("level", level)
    psi = scores(log_probabilities)
    n, x = len(psi), _checked(psi, k, num_queries)
    fits = {name: fit(x, k) for name, fit in tails.ESTIMATORS.items()}
    estimates = {name: _worst(tail, num_queries) for name, tail in fits.items()}
    by_k = [_worst(tails.regression(x, j), num_queries) for j in _choices(x, k)]
    disagreement, instability = _range(list(estimates.values())), _range(by_k)
    slope, misfit = tails.mean_excess(x, min(2 * k, int(np.isfinite(x).sum()) - 1))
    missed = missed_mode(n, num_queries, level)
    return Forecast(
        worst=estimates["regression"],
        interval=_pivot(x, k, num_queries, generator, level),
        bootstrap=_bootstrap(psi, k, num_queries, generator, level, num_resamples),
        estimates=tuple(estimates.items()),
        aggregate=_aggregate(x, fits["regression"], num_queries),
        num_queries=num_queries,
        num_scored=n,
        k=k,
        disagreement=disagreement,
        instability=instability,
        mean_excess_slope=slope,
        mean_excess_misfit=misfit,
        missed=missed,
        warnings=_warnings(disagreement, instability, misfit, missed),
        refuse_claim=f"an extrapolation from {n} to {num_queries} queries: a kind of query with a share of up to "
        f"{missed.mass:.2g} may be missing from the scored ones",
    )


def _checked(psi: Floats, k: int, num_queries: int) -> Floats:
    """Descending scores, refused where ``forecast`` says."""
    n = len(psi)
    if n < 2 * k + 1:
        raise MeasurementUndefined("too few scores for the tail", seen=f"{n}", allowed=f"{2 * k + 1} or more for k={k}")
    if num_queries * k < n:
        raise MeasurementUndefined(
            "the quantile lies inside the data", seen=f"{num_queries} queries", allowed=f"{math.ceil(n / k)} or more",
            next_step="read it off the sample",
        )  # fmt: skip
    return tails.descending(psi, k)


def _worst(tail: Tail, num_queries: int) -> float:
    """ln p at survival 1/m. The shape may put it at p = 1 within rounding; ln p is then a small negative number."""
    return -math.exp(-float(tail.quantile(np.array([1 / num_queries]))[0]))


def _choices(x: Floats, k: int) -> list[int]:
    halves = [max(tails.FEWEST, k // 2), k, min(2 * k, len(x) - 1)]
    return [j for j in halves if x[0] > x[j - 1] and np.isfinite(x[j])]


def _range(logs: list[float]) -> float:
    return (max(logs) - min(logs)) / math.log(10)


def _aggregate(x: Floats, tail: Tail, num_queries: int) -> float:
    """1 - (1 - E p)^m, E p the sample's below the tail and the fitted tail's above.

    For independent queries that is the mean over draws of 1 - prod (1 - p_i). The paper sums over forecast quantiles.
    """
    depth = np.linspace(0.0, 60.0, 2401)
    inside = np.exp(-np.exp(-tail.quantile(tail.mass * np.exp(-depth))))
    share = inside * np.exp(-depth)
    above = tail.mass * float(((share[1:] + share[:-1]) / 2).sum()) * (depth[1] - depth[0])
    count = round(tail.mass * len(x))
    below = float(np.exp(-np.exp(-x[count:])).sum()) / len(x)
    return -math.expm1(num_queries * math.log1p(-min(above + below, 1 - 1e-16)))


def _pivot(x: Floats, k: int, num_queries: int, generator: np.random.Generator, level: float) -> Interval:
    """x_(k+1) + h Q, h the mean excess and Q = ln(m B) k / G with B ~ Beta(k + 1, n - k), G ~ Gamma(k).

    B is the survival function at x_(k+1) and G the sum of k unit excesses; they are independent for an exponential
    tail, so quantiles of Q, drawn here, give an interval that is exact for it at every k (Renyi's representation).
    """
    size = 20_000
    share, total = generator.beta(k + 1, len(x) - k, size), generator.gamma(k, size=size)
    ends = np.quantile(np.log(num_queries * share) * k / total, [(1 - level) / 2, (1 + level) / 2])
    low, high = x[k] + float((x[:k] - x[k]).mean()) * ends
    return Interval(-math.exp(-float(low)), -math.exp(-float(high)))


def _bootstrap(
    psi: Floats, k: int, num_queries: int, generator: np.random.Generator, level: float, num_resamples: int
) -> Interval:
    """Percentiles of the regression's ln p over resampled queries, leaving out those without a spread at the top."""
    found: list[float] = []
    for _ in range(num_resamples):
        x = np.sort(psi[generator.integers(0, len(psi), len(psi))])[::-1]
        if np.isfinite(x[k]) and x[0] > x[k - 1]:
            found.append(_worst(tails.regression(x, k), num_queries))
    if len(found) < num_resamples / 2 or max(found) <= min(found):
        raise MeasurementUndefined("resamples without a tail", seen=f"{len(found)} of {num_resamples} had one")
    ends = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(ends[0]), float(ends[1]))


def _warnings(disagreement: float, instability: float, misfit: float, missed: MissedMode) -> tuple[str, ...]:
    found: list[str] = []
    if disagreement > MOST_DISAGREEMENT:
        found.append(f"estimators disagree by {disagreement:.1f} orders of magnitude")
    if instability > MOST_DISAGREEMENT:
        found.append(f"the forecast moves by {instability:.1f} orders of magnitude with the number of top scores")
    if misfit > MOST_MISFIT:
        found.append(f"the mean-excess function is not straight (misfit {misfit:.2f})")
    if missed.num_queries > FARTHEST * missed.num_scored:
        found.append(f"{missed.num_queries / missed.num_scored:.0f} times more queries than were scored")
    if missed.met > 0.5:
        found.append(
            f"a kind of query with a share of {missed.mass:.2g} may be unseen, and {missed.num_queries} queries meet "
            f"it with probability {missed.met:.2f}"
        )
    return tuple(found)
