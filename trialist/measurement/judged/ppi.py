"""Prediction-powered mean (PPI++) with a cross-fitted power tuning parameter. Asymptotic: it describes, never claims.

n gold labels Y with judge's scores f, N unlabelled items with judge's scores f_U (superpopulation):

    theta = mean_i(Y_i - lam_i (f_i - mean f_U)),   Var = lam^2 Var(f_U) / N + Var(Y_i - lam_i (f_i - mean f_U)) / n

lam_i = Cov(Y, f) / (Var(f) (1 + n / N)), clipped to [0, 1], from the items outside i's fold; lam = mean lam_i. The
interval is theta +- t_{n-1} sqrt(Var). On a fixed bank of N items the mean of f over all of them is a known constant:

    theta = mean_i(Y_i - lam_i (f_i - mean f)),   Var = (1 - n / N) Var(Y_i - lam_i (f_i - mean f)) / n,

lam_i = Cov(Y, f) / Var(f): the regression estimator of survey sampling.

Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453, section 6 (lam) and example 1 (the mean). Where we differ: every
variance and covariance divides by its number minus 1 (the reference code mixes two normalisations, which moves lam by
10% at ten labels); lam comes from other items than those it is used on, which removes the bias of tuning on the same
labels (what is left, of order 1/N, comes from the unlabelled scores in Var(f)); t instead of normal quantiles; a spread
that can't be estimated is refused instead of giving an interval of no width; one-sided bounds spend the whole error on
their side.

``pseudo_errors`` c adds 2 c (high - low)^2 / n to Var(Y - lam f): c judge errors of each kind that weren't seen, in the
spirit of Agresti & Coull 1998. It vanishes as n grows and is 0 unless asked for; ``judged.choose`` asks for 1, because
the spread of a dozen residuals is mostly below its true value.

At rare rates it undercovers badly even so, because the spread of the residuals is then estimated from no or few
residuals. ``judged.choose`` says when it may be used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share, t_quantile
from trialist.measurement.judged.items import Floats, JudgedItems, Population

MIN_GOLD = 3
MIN_UNLABELLED = 2


@dataclass(frozen=True)
class PredictionPowered:
    """``reliance`` is the mean lam: 0 ignores the judge, 1 takes it at its word. ``degrees`` of freedom n - 1."""

    value: float
    standard_error: float
    reliance: float
    degrees: int
    low: float
    high: float

    def interval(self, level: float = 0.95) -> Interval:
        """Two-sided, cut to the scale."""
        half = t_quantile(level, self.degrees) * self.standard_error
        return Interval(max(self.low, self.value - half), min(self.high, self.value + half))

    def upper(self, confidence: float = 0.95) -> float:
        """One-sided: the whole error 1 - confidence lies above."""
        t = float(stdtrit(self.degrees, check_share("confidence", confidence)))
        return float(np.clip(self.value + t * self.standard_error, self.low, self.high))

    def lower(self, confidence: float = 0.95) -> float:
        """One-sided: the whole error lies below."""
        t = float(stdtrit(self.degrees, check_share("confidence", confidence)))
        return float(np.clip(self.value - t * self.standard_error, self.low, self.high))


def ppi_mean(
    items: JudgedItems,
    *,
    population: Population = "bank",
    num_folds: int | None = None,
    pseudo_errors: float = 0.0,
) -> PredictionPowered:
    """The PPI++ mean. ``num_folds`` None leaves one item out at a time, so that no order of the items matters; K folds
    take every K-th item and need items in random order.

    Assumes that the gold items are a simple random sample. Raises MeasurementUndefined for fewer than ``MIN_GOLD`` gold
    labels, fewer than 2 folds, fewer than 2 unlabelled items, and residuals that don't vary.
    """
    n = items.num_gold
    num_unlabelled = items.num_judged - n
    if n < MIN_GOLD or num_unlabelled < MIN_UNLABELLED:
        raise MeasurementUndefined(
            "PPI++ needs gold labels, and judged items without one",
            seen=f"{n} gold labels, {num_unlabelled} unlabelled items",
            allowed=f"{MIN_GOLD} or more, {MIN_UNLABELLED} or more",
            next_step="use exact bounds from the gold labels alone",
        )
    lam = _reliances(items, population, num_folds)
    centre = float((items.judge if population == "bank" else items.unlabelled).mean())
    residuals = items.labels - lam * (items.judged_labels - centre)
    spread, scale = float(residuals.var(ddof=1)), (items.high - items.low) ** 2
    if spread <= 1e-18 * scale:
        raise MeasurementUndefined(
            "the residuals Y - lam f don't vary, so the error of PPI++ can't be estimated",
            seen=f"{n} gold labels, all alike or all as the judge says",
            next_step="use exact bounds from the gold labels alone",
        )
    reliance = float(lam.mean())
    variance = (spread + 2 * pseudo_errors * scale / n) / n
    if population == "bank":
        variance *= 1 - n / items.num_judged
    else:
        variance += reliance**2 * float(items.unlabelled.var(ddof=1)) / num_unlabelled
    return PredictionPowered(float(residuals.mean()), math.sqrt(variance), reliance, n - 1, items.low, items.high)


def _reliances(items: JudgedItems, population: Population, num_folds: int | None) -> Floats:
    """lam_i (n,), from the items outside i's fold; 0 where the judge's scores don't vary."""
    y, f, n = items.labels, items.judged_labels, items.num_gold
    folds = n if num_folds is None else num_folds
    if not 2 <= folds <= n:
        raise MeasurementUndefined("cross-fitting needs folds", seen=str(folds), allowed=f"2 to {n}")
    fold = np.arange(n) % folds
    if population == "bank":
        variance = np.full(folds, items.judge.var(ddof=1))
    else:
        variance = _variances(f, items.unlabelled, fold) * (1 + n / (items.num_judged - n))
    varies = variance > 1e-15 * (items.high - items.low) ** 2
    slope = np.where(varies, _covariances(y, f, fold), 0.0) / np.where(varies, variance, 1.0)
    return np.clip(slope, 0.0, 1.0)[fold]


def _covariances(y: Floats, f: Floats, fold: NDArray[np.int64]) -> Floats:
    """(K,) sample covariance of y and f over the items outside each fold."""
    y, f = y - y.mean(), f - f.mean()
    n = len(y) - np.bincount(fold)
    sy, sf, products = (float(x.sum()) - np.bincount(fold, weights=x) for x in (y, f, y * f))
    return (products - sy * sf / n) / np.maximum(n - 1, 1)


def _variances(f: Floats, unlabelled: Floats, fold: NDArray[np.int64]) -> Floats:
    """(K,) sample variance of the judge's scores over the unlabelled items and the gold items outside each fold."""
    both = np.concatenate([f, unlabelled])
    centre = both.mean()
    both, f = both - centre, f - centre
    n = len(both) - np.bincount(fold)
    total, squares = (float(x.sum()) - np.bincount(fold, weights=w) for x, w in ((both, f), (both**2, f**2)))
    return (squares - total**2 / n) / np.maximum(n - 1, 1)
