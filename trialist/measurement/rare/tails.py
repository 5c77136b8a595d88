"""Upper tails of a sample: quantiles beyond the data from its largest k values, by several estimators.

Each takes descending values x_(1) >= ... >= x_(n) and k and gives x(s), the value exceeded with probability s < k/n:

``regression``: least squares ln S = intercept + slope x over the top k (an exponential, that is Gumbel-type, tail), at
    the positions E ln S(x_(i)) = digamma(i) - digamma(n + 1). Jones et al. 2025, arXiv 2502.16797; positions are ours.
``hill``: exponential excesses over x_(k+1), scale their mean: x(s) = x_(k+1) + scale ln(k / (n s)). On
    y = exp(x) it is Hill's estimator (Ann. Stat. 3, 1975) and Weissman's quantile.
``gpd ml``, ``gpd pwm``: generalised Pareto excesses, x(s) = x_(k+1) + (sigma / xi)((k / (n s))^xi - 1), by maximum
    likelihood and by probability-weighted moments (Hosking & Wallis 1987, Technometrics 29).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]

FEWEST = 5
"""No tail is fitted to fewer of the largest values."""
SHAPES = (-0.75, 1.5)
"""Range of the generalised Pareto shape."""
FLAT = 1e-9


@dataclass(frozen=True)
class Tail:
    """x(s) = start + scale * ((mass / s)^shape - 1) / shape for s <= ``mass``; shape 0 is the exponential tail."""

    name: str
    start: float
    scale: float
    shape: float
    mass: float

    def quantile(self, survival: Floats) -> Floats:
        """The values exceeded with these probabilities."""
        depth = np.log(self.mass / np.asarray(survival, dtype=np.float64))
        if abs(self.shape) < FLAT:
            return self.start + self.scale * depth
        return self.start + self.scale * np.expm1(self.shape * depth) / self.shape


def regression(descending: Floats, k: int) -> Tail:
    """The Gumbel-tail fit of the log survival function."""
    top = descending[:k]
    position = digamma(np.arange(1, k + 1)) - digamma(len(descending) + 1)
    centred = top - top.mean()
    slope = float(centred @ position / (centred @ centred))
    # ln S = mean position + slope (x - mean): solved for x at S = k/n.
    start = float(top.mean() + (math.log(k / len(descending)) - position.mean()) / slope)
    return Tail("regression", start, -1 / slope, 0.0, k / len(descending))


def hill(descending: Floats, k: int) -> Tail:
    """Exponential excesses by maximum likelihood."""
    excess = descending[:k] - descending[k]
    return Tail("hill", float(descending[k]), float(excess.mean()), 0.0, k / len(descending))


def gpd_moments(descending: Floats, k: int) -> Tail:
    """Probability-weighted moments: b0 = mean, b1 = mean of x (1 - p); shape 2 - b0 / (b0 - 2 b1)."""
    excess = np.sort(descending[:k] - descending[k])
    b0 = float(excess.mean())
    b1 = float((excess * (1 - (np.arange(1, k + 1) - 0.35) / k)).mean())
    # The sample moments may leave the range in which the shape exists; it is cut to ``SHAPES``, the mean kept.
    shape = float(np.clip(2 - b0 / max(b0 - 2 * b1, FLAT), SHAPES[0], min(SHAPES[1], 0.95)))
    return Tail("gpd pwm", float(descending[k]), b0 * (1 - shape), shape, k / len(descending))


def gpd_likelihood(descending: Floats, k: int) -> Tail:
    """Maximum of -k ln sigma - (1 + 1/xi) sum ln(1 + xi x / sigma) over sigma > 0, xi in ``SHAPES``."""
    excess = descending[:k] - descending[k]
    unit = excess / excess.mean()

    def loss(z: Floats) -> float:
        shape, scale = float(z[1]), math.exp(z[0])
        if abs(shape) < 1e-6:
            return k * float(z[0]) + float(unit.sum()) / scale
        inside = 1 + shape * unit / scale
        if inside.min() <= 0:
            return 1e9
        return k * float(z[0]) + (1 + 1 / shape) * float(np.log(inside).sum())

    starts = ((0.3, -0.2), (-0.2, 0.3))
    found = [minimize(loss, np.array(z), method="Nelder-Mead", bounds=((-6, 6), SHAPES)) for z in starts]
    best = min(found, key=lambda result: float(result.fun)).x
    scale = math.exp(float(best[0])) * float(excess.mean())
    return Tail("gpd ml", float(descending[k]), scale, float(best[1]), k / len(descending))


ESTIMATORS: dict[str, Callable[[Floats, int], Tail]] = {
    "regression": regression,
    "hill": hill,
    "gpd ml": gpd_likelihood,
    "gpd pwm": gpd_moments,
}


def descending(values: Floats, k: int) -> Floats:
    """Sorted values, refused where no tail can be fitted to the largest ``k``."""
    x = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    if not FEWEST <= k < len(x):
        raise MeasurementUndefined(
            "a tail is fitted to some of the largest values", seen=f"k = {k} of {len(x)}",
            allowed=f"{FEWEST} to {len(x) - 1}",
        )  # fmt: skip
    if not np.isfinite(x[: k + 1]).all():
        raise MeasurementUndefined(
            "the largest values must be finite", seen=str(x[: k + 1]),
            next_step="a query that always (or never) elicits among the largest leaves no tail to fit",
        )  # fmt: skip
    if x[0] - x[k - 1] <= 0 or x[0] - x[k] <= 0:
        raise MeasurementUndefined("the largest values are all equal", seen=str(x[0]), next_step="score more finely")
    return x


def mean_excess(descending: Floats, k: int) -> tuple[float, float]:
    """Slope of the mean-excess function over the top ``k`` values and its misfit from a straight line.

    e(x_(j+1)) = mean of x_(1..j) - x_(j+1) for j = 5..k, least squares weighted by j. A generalised Pareto tail has a
    straight one with slope shape / (1 - shape): 0 exponential, above 0 heavy, below 0 light. Misfit: weighted root mean
    square of the residuals over the mean of e; large means that the tail isn't one of these yet.
    """
    j = np.arange(FEWEST, k + 1)
    start = descending[j]
    excess = np.cumsum(descending)[j - 1] / j - start
    weights = j / j.sum()
    x, y = start - weights @ start, excess - weights @ excess
    spread = float(weights @ x**2)
    slope = float(weights @ (x * y)) / spread if spread > 0 else 0.0
    return slope, float(np.sqrt(weights @ (y - slope * x) ** 2) / (weights @ excess))
