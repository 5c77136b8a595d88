"""A rate under one distribution of prompts from draws of another: mean of w x, w = target density / proposal density.

Weights above ``cap`` are cut to it, cap declared before the data. With E_q[w] = 1 the cut hides at most

    E_q[max(w - cap, 0) x] <= E_q[max(w - cap, 0)] = ``tail``,

a constant of the two densities (``tail_mass``), since x is in [0, 1]. So E_target[x] lies in [m, m + tail] with
m = E_q[min(w, cap) x], and min(w, cap) x lies in [0, cap], which a betting bound needs. Weights estimated from the
sample, or a cap chosen after it, void the guarantee.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered
from trialist.measurement.interval import Interval, check_share

Floats = NDArray[np.float64]

LEAST_EFFECTIVE = 30
"""No describing interval below this effective sample size. Ours: t intervals of weighted rates fall apart there."""
LEAST_NONZERO = 10
"""Nor with fewer contributions above 0: the variance of a rare weighted event can't be read off a handful of them."""
LARGE_SHARE = 0.1
"""One draw carrying more of the total weight than this is warned of."""
MEAN_Z = 4.0
"""The mean weight is 1 in expectation; one this many standard errors away points to wrong densities."""


@dataclass(frozen=True)
class WeightedSample:
    """n draws: ``values`` x in [0, 1] and ``weights`` w >= 0 (n,), ``cluster`` labels (n,). Made by ``weighted``."""

    values: Floats
    weights: Floats
    cap: float
    tail: float
    cluster: NDArray[np.int64]


@dataclass(frozen=True)
class WeightReport:
    """``effective_size`` (sum w)^2 / sum w^2, ``largest_share`` max w / sum w, ``mean_weight`` (1 in expectation),
    ``num_cut`` weights above the cap, and what to be wary of."""

    effective_size: float
    largest_share: float
    mean_weight: float
    num_cut: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class WeightedRate:
    """``value`` is the mean of w x without the cut (unbiased), ``cut`` with it; ``self_normalised`` sum w x / sum w."""

    value: float
    cut: float
    self_normalised: float
    interval: Interval


def weighted(
    values: ArrayLike, weights: ArrayLike, *, cap: float, tail: float, cluster: ArrayLike | None = None
) -> WeightedSample:
    """Checked draws (n,). ``tail`` is the declared bound on E_q[max(w - cap, 0)]; 0 only if no weight can exceed cap.

    Raises MeasurementUndefined for values outside [0, 1], weights that are negative, infinite, NaN or all zero, a cap
    that isn't positive and finite, a tail outside [0, 1], or a weight above the cap where the tail is declared 0.
    """
    x, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or x.shape != w.shape:
        raise MeasurementUndefined("draws need a value and a weight each", seen=f"{x.shape} and {w.shape}")
    if not ((x >= 0) & (x <= 1)).all():
        raise MeasurementUndefined("values of a rate", seen=f"{x.min()} to {x.max()}", allowed="[0, 1]")
    if not (np.isfinite(w).all() and (w >= 0).all() and w.any()):
        raise MeasurementUndefined(
            "weights are ratios of densities", seen=f"{w.min()} to {w.max()}", allowed="finite, 0 or more, not all 0",
            next_step="an infinite weight means that the proposal can't draw what the target contains",
        )  # fmt: skip
    if not (0 < cap < math.inf and 0 <= tail <= 1):
        raise MeasurementUndefined("cap and tail", seen=f"cap {cap}, tail {tail}", allowed="cap > 0, 0 <= tail <= 1")
    if tail == 0 and bool((w > cap * (1 + 1e-12)).any()):
        raise MeasurementUndefined(
            "a weight exceeds the cap although the declared tail is 0", seen=f"largest weight {w.max():g}, cap {cap:g}",
            next_step="compute the tail with tail_mass, or declare a cap that no weight exceeds",
        )  # fmt: skip
    labels = np.arange(len(x)) if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    if len(labels) != len(x):
        raise MeasurementUndefined("each draw needs a cluster", seen=f"{len(labels)} labels for {len(x)} draws")
    return WeightedSample(x, w, float(cap), float(tail), labels.astype(np.int64))


def tail_mass(target: ArrayLike, proposal: ArrayLike, cap: float) -> float:
    """E_q[max(t/q - cap, 0)] = sum max(t - cap q, 0) for two known distributions over the same finite set (m,).

    What the proposal can't draw (q = 0) counts with its whole target mass.
    """
    t, q = np.asarray(target, dtype=np.float64), np.asarray(proposal, dtype=np.float64)
    sums = [float(t.sum()), float(q.sum())]
    if t.shape != q.shape or t.ndim != 1 or (t < 0).any() or (q < 0).any() or not np.allclose(sums, 1.0, atol=1e-9):
        raise MeasurementUndefined("two distributions over one set", seen=f"sums {sums}", allowed="0 or more, sum 1")
    hidden = t - cap * q
    # A rounding error of t is no mass.
    return float(hidden[hidden > 1e-12 * t].sum())


def report(sample: WeightedSample) -> WeightReport:
    """Whether the weights are fit to carry an estimate (Kish 1965 for the effective size)."""
    w, n = sample.weights, len(sample.weights)
    effective = float(w.sum() ** 2 / (w**2).sum())
    largest = float(w.max() / w.sum())
    mean, error = float(w.mean()), float(w.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    cut = int((w > sample.cap).sum())
    warnings: list[str] = []
    if effective < LEAST_EFFECTIVE:
        warnings.append(f"effective sample size {effective:.1f} of {n} draws, below {LEAST_EFFECTIVE}")
    if largest > LARGE_SHARE:
        warnings.append(f"one draw carries {largest:.0%} of the total weight")
    if abs(mean - 1) > MEAN_Z * error + 1e-9:
        warnings.append(f"mean weight {mean:.3g} is not 1: check the densities")
    if cut:
        warnings.append(f"{cut} weights above the cap {sample.cap:g} were cut")
    return WeightReport(effective, largest, mean, cut, tuple(warnings))


def describe(sample: WeightedSample, level: float = 0.95) -> WeightedRate:
    """The unbiased estimate with a delete-one-cluster jackknife t interval of mean(w x), cut to [0, 1].

    It sees only the spread of what was drawn: where events of large weight are rarer than 1/n it is too short (measured
    on the page on rare events), so a claim uses ``upper``.
    Raises MeasurementUndefined below ``LEAST_EFFECTIVE`` or ``LEAST_NONZERO``; the bounds exist there.
    """
    found = report(sample)
    products = sample.weights * sample.values
    nonzero = int((products > 0).sum())
    if found.effective_size < LEAST_EFFECTIVE or nonzero < LEAST_NONZERO:
        raise MeasurementUndefined(
            "too little to describe a weighted rate with",
            seen=f"effective size {found.effective_size:.1f}, {nonzero} contributions above 0",
            allowed=f"{LEAST_EFFECTIVE} and {LEAST_NONZERO} or more", next_step="use upper and lower, or draw more",
        )  # fmt: skip
    fitted = clustered.jackknife(products, sample.cluster, lambda means: means[..., 0], level=level)
    if fitted.standard_error < 1e-12 or fitted.interval.low >= 1:
        raise MeasurementUndefined(
            "no spread between the draws, or a rate above 1", seen=f"{fitted.value:g}", next_step="use upper and lower"
        )
    limits = Interval(max(0.0, fitted.interval.low), min(1.0, fitted.interval.high))
    cut = np.minimum(sample.weights, sample.cap) * sample.values
    ratio = float(products.sum() / sample.weights.sum())
    return WeightedRate(float(products.mean()), float(cut.mean()), ratio, limits)


def upper(sample: WeightedSample, confidence: float = 0.95) -> float:
    """Upper bound on E_target[x]: betting bound on E_q[min(w, cap) x] in [0, cap], plus the tail. At most 1.

    At least ``confidence`` at every n, for draws (or clusters of one size) that are independent.
    """
    means, sizes = _clusters(sample)
    found = betting.upper_mean(means, sizes, low=0.0, high=sample.cap, confidence=check_share("confidence", confidence))
    return min(1.0, found + sample.tail)


def lower(sample: WeightedSample, confidence: float = 0.95) -> float:
    """Lower bound on E_target[x]: cutting weights only lowers the mean, so no tail is needed."""
    means, sizes = _clusters(sample)
    found = betting.lower_mean(means, sizes, low=0.0, high=sample.cap, confidence=check_share("confidence", confidence))
    return min(1.0, max(0.0, found))


def _clusters(sample: WeightedSample) -> tuple[Floats, Floats]:
    cut = np.minimum(sample.weights, sample.cap) * sample.values
    groups = clustered.aggregate(cut, sample.cluster)
    return groups.means, groups.sizes
