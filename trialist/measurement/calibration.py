"""Calibration of probabilities: do events forecast at p happen in a share p of the cases?

The plug-in calibration error is biased upwards: with confidences Beta(4, 2) and 15 bins a perfectly calibrated model
scores .081 at 200 items and .041 at 817. So it is never reported alone: ``ece_against_null`` gives the floor that
perfect calibration would give on these very confidences, and ``squared_calibration_error`` removes the bias.
Bins are made from the confidences alone, never from the outcomes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Binning = Literal["width", "mass"]
BLOCK = 4_000_000
"""Numbers that one step of the resampling holds."""


@dataclass(frozen=True)
class NullReference:
    """``ece`` beside what perfect calibration gives: ``null_mean`` and ``null_95`` (95th percentile) of the error of
    outcomes redrawn from the confidences. ``excess`` = ece - null_mean; ``p_value`` for "perfectly calibrated"."""

    ece: float
    null_mean: float
    null_95: float
    excess: float
    p_value: float
    num_resamples: int


@dataclass(frozen=True)
class SquaredError:
    """``squared`` estimates the binned squared error and can be negative; ``root`` = sqrt(max(0, squared)), with
    ``clipped`` true where it was negative. ``plug_in`` is the biased sum; ``residual`` removes the bias exactly."""

    squared: float
    root: float
    clipped: bool
    plug_in: float
    residual: float
    num_bins: int


@dataclass(frozen=True)
class Brier:
    """score = reliability - resolution + uncertainty + within_variance - within_covariance; the last two are 0 where
    every bin holds one distinct forecast."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float


def expected_calibration_error(
    confidence: ArrayLike, outcome: ArrayLike, *, num_bins: int = 15, binning: Binning = "width"
) -> float:
    """Plug-in ECE: sum_b (n_b/n) |mean outcome - mean confidence| over the bins that hold items.

    ``width``: [k/B, (k+1)/B), the last closed. ``mass``: by mid-rank, so that equal confidences share a bin; bins then
    have about n/B items. Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017. Biased upwards: see the module.
    """
    p, y = check_forecasts(confidence, outcome)
    return float(np.abs(_gaps(p, y, bin_codes(p, num_bins, binning))).sum() / len(p))


def ece_against_null(
    confidence: ArrayLike,
    outcome: ArrayLike,
    *,
    generator: np.random.Generator,
    num_bins: int = 15,
    binning: Binning = "width",
    num_resamples: int = 1000,
) -> NullReference:
    """The plug-in ECE beside its distribution under perfect calibration: outcomes redrawn as Bernoulli(confidence).

    p = (1 + #{redrawn >= observed}) / (1 + resamples) is an exact test of "each outcome is an independent
    Bernoulli(confidence)", at every n. Items of one cluster aren't independent: the p-value is then too small, so keep
    one item a cluster, or read the floor alone. Vaicenavicius et al. 2019, arXiv 1902.06977, section 5.
    """
    p, y = check_forecasts(confidence, outcome)
    if num_resamples < 19:
        raise MeasurementUndefined("too few resamples for a 95th percentile", seen=str(num_resamples), allowed=">= 19")
    codes = bin_codes(p, num_bins, binning)
    order = np.argsort(codes, kind="stable")
    p, y = p[order], y[order]
    starts = np.unique(codes[order], return_index=True)[1]
    sums = np.add.reduceat(p, starts)
    observed = float(np.abs(np.add.reduceat(y, starts) - sums).sum() / len(p))
    drawn: list[Floats] = []
    step = max(1, BLOCK // len(p))
    for first in range(0, num_resamples, step):
        events = generator.random((min(step, num_resamples - first), len(p))) < p
        counts = np.add.reduceat(events.astype(np.float64), starts, axis=1)
        drawn.append(np.abs(counts - sums).sum(axis=1) / len(p))
    null = np.concatenate(drawn)
    reached = int((null >= observed - 1e-12).sum())
    return NullReference(
        ece=observed,
        null_mean=float(null.mean()),
        null_95=float(np.quantile(null, 0.95)),
        excess=observed - float(null.mean()),
        p_value=(1 + reached) / (1 + num_resamples),
        num_resamples=num_resamples,
    )


def squared_calibration_error(
    confidence: ArrayLike, outcome: ArrayLike, *, num_bins: int = 15, binning: Binning = "mass"
) -> SquaredError:
    """Debiased squared L2 calibration error: sum_b w_b [(y_b - p_b)^2 - y_b (1 - y_b)/(n_b - 1)], w_b = n_b/n.

    Kumar, Liang & Ma 2019 (NeurIPS), section 4. It is unbiased where the forecasts of a bin are all the same; where
    they vary by s_b^2 it takes about s_b^2/n_b too much off, so ``residual`` gives the same with the variance of the
    residuals y - p instead, which is unbiased for the binned error in any case. A bin of one item has no variance: it
    is joined to its neighbour below (the lowest to the one above), which looks at confidences only.
    The root of an unbiased square is biased, and a clipped one is no proof of calibration.
    Raises MeasurementUndefined for fewer than two items.
    """
    p, y = check_forecasts(confidence, outcome)
    if len(p) < 2:
        raise MeasurementUndefined("a debiased error needs two items", seen="1 item", allowed="2 or more")
    codes = _without_singles(bin_codes(p, num_bins, binning))
    size = np.bincount(codes).astype(np.float64)
    mean_y, mean_p = (np.bincount(codes, weights=v) / size for v in (y, p))
    gap = mean_y - mean_p
    rest = y - p - gap[codes]
    noise = np.bincount(codes, weights=rest**2) / (size * (size - 1))
    weights = size / len(p)
    squared = float(weights @ (gap**2 - mean_y * (1 - mean_y) / (size - 1)))
    return SquaredError(
        squared=squared,
        root=math.sqrt(max(0.0, squared)),
        clipped=squared < 0,
        plug_in=float(weights @ gap**2),
        residual=float(weights @ (gap**2 - noise)),
        num_bins=len(size),
    )


def brier(
    confidence: ArrayLike, outcome: ArrayLike, *, num_bins: int | None = None, binning: Binning = "mass"
) -> Brier:
    """Brier score mean (p - y)^2 and its parts, with bins of equal forecasts (``num_bins`` None) or of a range of them.

    reliability sum w_b (p_b - y_b)^2, resolution sum w_b (y_b - mean y)^2, uncertainty mean y (1 - mean y); within
    bins: variance of p, and twice the covariance of p and y. The five add up to the score exactly.
    Murphy 1973, J. Appl. Meteorol. 12; the within-bin terms: Stephenson, Coelho & Jolliffe 2008, Weather Forecast. 23.
    The parts are plug-in: with few items a bin reliability and resolution are both too large.
    """
    p, y = check_forecasts(confidence, outcome)
    if num_bins is None:
        codes = np.unique(p, return_inverse=True)[1].astype(np.int64)
    else:
        codes = bin_codes(p, num_bins, binning)
    size = np.bincount(codes).astype(np.float64)
    mean_y, mean_p = (np.bincount(codes, weights=v) / size for v in (y, p))
    base, weights = float(y.mean()), size / len(p)
    inside = p - mean_p[codes]
    return Brier(
        score=float(((p - y) ** 2).mean()),
        reliability=float(weights @ (mean_p - mean_y) ** 2),
        resolution=float(weights @ (mean_y - base) ** 2),
        uncertainty=base * (1 - base),
        within_variance=float((inside**2).mean()),
        within_covariance=float(2 * (inside * (y - mean_y[codes])).mean()),
    )


def log_score(confidence: ArrayLike, outcome: ArrayLike) -> float:
    """Mean of -ln(probability given to what happened), in nats.

    Raises MeasurementUndefined where something given probability 0 happened: the score is infinite there, and clipping
    is the caller's choice to make and to state.
    """
    p, y = check_forecasts(confidence, outcome)
    given = np.where(y == 1, p, 1 - p)
    impossible = int((given <= 0).sum())
    if impossible:
        raise MeasurementUndefined(
            "the log score is infinite: probability 0 was given to what happened", seen=f"{impossible} items",
            next_step="clip the confidences to [e, 1 - e] and state e, or use the Brier score",
        )  # fmt: skip
    return float(-np.log(given).mean())


def bin_codes(p: Floats, num_bins: int, binning: Binning) -> Codes:
    """Bins 0..K-1 without empty ones, in the order of the confidences (n,)."""
    if num_bins < 1:
        raise MeasurementUndefined("at least one bin", seen=str(num_bins), allowed="1, 2, ...")
    if binning == "width":
        raw = np.minimum(np.floor(p * num_bins), num_bins - 1)
    else:
        ordered = np.sort(p)
        middle = (np.searchsorted(ordered, p, "left") + np.searchsorted(ordered, p, "right")) / 2
        raw = np.minimum(np.floor(middle / len(p) * num_bins), num_bins - 1)
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


def check_forecasts(confidence: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    p, y = np.asarray(confidence, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    if p.shape != y.shape or p.ndim != 1 or not len(p):
        raise MeasurementUndefined("each confidence needs an outcome", seen=f"{p.shape} and {y.shape}")
    if not ((p >= 0) & (p <= 1)).all():
        raise MeasurementUndefined("a confidence is no probability", seen=f"[{p.min()}, {p.max()}]", allowed="[0, 1]")
    if not np.isin(y, [0.0, 1.0]).all():
        raise MeasurementUndefined("an outcome is neither 0 nor 1", allowed="0 or 1")
    return p, y


def _gaps(p: Floats, y: Floats, codes: Codes) -> Floats:
    """Sum of outcome - confidence in each bin."""
    return np.bincount(codes, weights=y - p).astype(np.float64)


def _without_singles(codes: Codes) -> Codes:
    """Bins of one item joined to the bin below, the lowest to the one above; n >= 2."""
    size = np.bincount(codes)
    target = np.zeros(len(size), dtype=np.int64)
    current, held = 0, 0
    for k, num in enumerate(size):
        if held >= 2 and num >= 2:
            current, held = current + 1, 0
        target[k] = current
        held += int(num)
    return target[codes]
