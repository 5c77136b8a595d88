"""Success within k attempts as a function of k, from first-success times censored at each item's budget.

Two models of F(k) = P(success within k attempts), both fitted by maximum likelihood over items:

``beta-geometric``: an item succeeds at each attempt with its own p ~ Beta(a, b), attempts independent given p:
    P(T = t) = B(a + 1, b + t - 1) / B(a, b),  P(T > t) = B(a, b + t) / B(a, b). For large k, 1 - F falls like k^-a.
``power law``: -ln F(k) = a k^-b (Hughes et al. 2024, arXiv 2412.03556), a proper distribution on 1, 2, ... They fit a
    least-squares line to a bootstrapped curve; we maximise P(T = t) = F(t) - F(t - 1) and P(T > t) = 1 - F(t), so that
    censored items count for what they are and the two models can be compared by their likelihood.

Both describe the items and budgets that were run. Beyond the largest budget a value is an extrapolation: it is marked
``exploratory``, and no claim may rest on it. An adaptive attack's attempts aren't exchangeable; then only the fit's
distance from Kaplan-Meier speaks for a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betaln

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share, normal_quantile
from trialist.measurement.lifetimes import Lifetimes, kaplan_meier

Floats = NDArray[np.float64]
Model = Literal["beta-geometric", "power law"]

LIMITS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "beta-geometric": ((-16.0, 16.0), (-5.0, 9.0)),
    "power law": ((-12.0, 6.0), (-6.0, 3.0)),
}
"""Range of the two coordinates: logit a/(a+b) and ln(a+b); ln a and ln b. At ln(a+b) = 9 items no longer differ."""
STARTS: dict[str, tuple[tuple[float, float], ...]] = {
    "beta-geometric": ((-2.0, 0.5), (-4.0, 3.0)),
    "power law": ((0.5, -1.0), (1.5, -0.3)),
}
EDGE = 1e-3
NUM_RESAMPLES = 200


@dataclass(frozen=True)
class Curve:
    """A fitted model. ``parameters`` (a, b), ``covariance`` (2, 2) of ``coordinates`` by the observed information (NaN
    where the fit lies ``at_edge``: items that don't differ, or that succeed at once or never). ``distance`` is the
    largest gap between the fitted and the Kaplan-Meier curve at event times."""

    model: Model
    parameters: tuple[float, float]
    coordinates: tuple[float, float]
    covariance: Floats
    log_likelihood: float
    distance: float
    num_items: int
    num_successes: int
    largest_budget: int
    at_edge: bool

    @property
    def aic(self) -> float:
        """4 - 2 ln L: two parameters."""
        return 4 - 2 * self.log_likelihood

    def rate(self, k: float) -> float:
        """F(k), the share of items with a success within k attempts."""
        return float(-np.expm1(_log_survival(self.model, np.array(self.coordinates), np.array([float(k)]))[0]))

    def standard_error(self, k: float) -> float:
        """Delta method on the coordinates; NaN at an edge."""
        slope = _slope(lambda z: _log_survival(self.model, z, np.array([float(k)]))[0], np.array(self.coordinates))
        return float((1 - self.rate(k)) * math.sqrt(slope @ self.covariance @ slope))


@dataclass(frozen=True)
class CurveForecast:
    """F(k) with a bootstrap interval over items (or clusters). ``exploratory``: k lies beyond ``largest_budget``, so
    nothing was observed there; ``refuse_claim`` then says why no claim may rest on it."""

    k: int
    value: float
    interval: Interval
    model: Model
    largest_budget: int
    exploratory: bool
    refuse_claim: str


def fit(data: Lifetimes, model: Model) -> Curve:
    """Maximum likelihood; times are whole numbers of attempts.

    Raises MeasurementUndefined for fewer than two items, without any success, or where all succeed at attempt 1: the
    likelihood then has no maximum.
    """
    times, weights = _counts(data)
    successes = int(data.seen.sum())
    if len(data.times) < 2 or successes == 0 or bool((data.seen & (data.times == 1)).all()):
        raise MeasurementUndefined(
            "a curve needs successes that take different numbers of attempts",
            seen=f"{len(data.times)} items, {successes} successes", next_step="use attempts.at_k or survival_at",
        )  # fmt: skip
    z, value = _maximise(model, times, weights, STARTS[model])
    covariance = np.full((2, 2), np.nan)
    information = _hessian(lambda x: _loss(x, model, times, weights), z)
    at_edge = _at_edge(model, z) or not (np.linalg.eigvalsh(information) > 0).all()
    if not at_edge:
        covariance = np.linalg.inv(information).astype(np.float64)
    return Curve(
        model=model,
        parameters=_parameters(model, z),
        coordinates=(float(z[0]), float(z[1])),
        covariance=covariance,
        log_likelihood=-value,
        distance=_distance(data, model, z),
        num_items=len(data.times),
        num_successes=successes,
        largest_budget=int(data.times.max()),
        at_edge=at_edge,
    )


def forecast(
    data: Lifetimes,
    curve: Curve,
    k: int,
    *,
    generator: np.random.Generator,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> CurveForecast:
    """F(k) of a fitted curve, with the percentile interval over resampled items or clusters, joined with value +- z SE
    where that exists, so that it has a width even if all resamples agree. Describes under the model; no guarantee."""
    check_share("level", level)
    if k < 1:
        raise MeasurementUndefined("a number of attempts", seen=str(k), allowed="1 or more")
    labels = np.arange(len(data.times)) if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    groups = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
    rates: list[float] = []
    for _ in range(NUM_RESAMPLES):
        drawn: list[int] = generator.integers(0, len(groups), len(groups)).tolist()
        rows = np.concatenate([groups[c] for c in drawn])
        rates.append(_refit(Lifetimes(data.times[rows], data.seen[rows]), curve, k))
    tails = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    value, half = curve.rate(k), 0.0
    if not curve.at_edge:
        half = normal_quantile(level) * curve.standard_error(k)
    interval = Interval(max(0.0, min(float(tails[0]), value - half)), min(1.0, max(float(tails[1]), value + half)))
    if interval.width <= 0:
        raise MeasurementUndefined("all resamples give one value", next_step="more items, or attempts.at_k")
    beyond = k > curve.largest_budget
    reason = f"{k} attempts were never run: the largest budget is {curve.largest_budget}" if beyond else ""
    return CurveForecast(k, value, interval, curve.model, curve.largest_budget, beyond, reason)


def _counts(data: Lifetimes) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Distinct times of successes and of censorings, and how many items have each."""
    if (np.floor(data.times) != data.times).any():
        raise MeasurementUndefined("attempts are counted", seen=str(data.times), allowed="whole numbers from 1")
    hits, num_hits = np.unique(data.times[data.seen], return_counts=True)
    cuts, num_cuts = np.unique(data.times[~data.seen], return_counts=True)
    return (hits, cuts), (num_hits.astype(np.float64), num_cuts.astype(np.float64))


def _parameters(model: Model, z: Floats) -> tuple[float, float]:
    if model == "beta-geometric":
        total = math.exp(z[1])
        share = 1 / (1 + math.exp(-float(z[0])))
        return share * total, (1 - share) * total
    return math.exp(z[0]), math.exp(z[1])


def _log_survival(model: Model, z: Floats, t: Floats) -> Floats:
    """ln P(T > t)."""
    a, b = _parameters(model, z)
    if model == "beta-geometric":
        return np.asarray(betaln(a, b + t) - betaln(a, b), dtype=np.float64)
    return np.log(-np.expm1(-a * t**-b)).astype(np.float64)


def _log_mass(model: Model, z: Floats, t: Floats) -> Floats:
    """ln P(T = t)."""
    a, b = _parameters(model, z)
    if model == "beta-geometric":
        return np.asarray(betaln(a + 1, b + t - 1) - betaln(a, b), dtype=np.float64)
    before = np.where(t > 1, np.maximum(t - 1, 1.0) ** -b, np.inf)
    return (-a * t**-b + np.log(-np.expm1(-a * (before - t**-b)))).astype(np.float64)


def _loss(z: Floats, model: Model, times: tuple[Floats, Floats], weights: tuple[Floats, Floats]) -> float:
    """Minus the log-likelihood."""
    with np.errstate(divide="ignore"):
        total = weights[0] @ _log_mass(model, z, times[0]) + weights[1] @ _log_survival(model, z, times[1])
    return -float(total) if math.isfinite(total) else 1e12


def _maximise(
    model: Model,
    times: tuple[Floats, Floats],
    weights: tuple[Floats, Floats],
    starts: tuple[tuple[float, float], ...],
) -> tuple[Floats, float]:
    found = [
        minimize(_loss, np.array(start), (model, times, weights), method="L-BFGS-B", bounds=LIMITS[model])
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun))
    return np.asarray(best.x, dtype=np.float64), float(best.fun)


def _refit(data: Lifetimes, curve: Curve, k: int) -> float:
    if not data.seen.any():
        return 0.0
    if (data.seen & (data.times == 1)).all():
        return 1.0
    z, _ = _maximise(curve.model, *_counts(data), (curve.coordinates,))
    return float(-np.expm1(_log_survival(curve.model, z, np.array([float(k)]))[0]))


def _at_edge(model: Model, z: Floats) -> bool:
    return any(x - low < EDGE or high - x < EDGE for x, (low, high) in zip(z, LIMITS[model], strict=True))


def _distance(data: Lifetimes, model: Model, z: Floats) -> float:
    seen = kaplan_meier(data)
    return float(np.abs(seen.survival - np.exp(_log_survival(model, z, seen.times))).max())


def _slope(function: Callable[[Floats], float], z: Floats, step: float = 1e-4) -> Floats:
    """Central differences."""
    moves = np.eye(2) * step
    return np.array([(function(z + move) - function(z - move)) / (2 * step) for move in moves])


def _hessian(function: Callable[[Floats], float], z: Floats) -> Floats:
    step = 1e-3
    rows = [_slope(function, z + move, step) - _slope(function, z - move, step) for move in np.eye(2) * step]
    h = np.array(rows, dtype=np.float64) / (2 * step)
    return (h + h.T) / 2
