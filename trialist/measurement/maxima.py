"""The best of many settings (attacks, elicitors, prompts): pick on one part of the items, score on the other.

scores y (S, n): S settings on the same n items, values in [low, high]. Picking the highest mean and reporting that same
mean overstates: E max_s mean_s >= max_s E mean_s, by more the more settings there are. Three honest numbers:

``select_then_score``  one split of the clusters: pick on one part, bound on the other. Given the pick, the scoring
    items are independent of it: a bound for one setting holds for the picked one, and the lower one for the best too.
``simultaneous``  bounds on max_s mu_s from all items. *Upper*: max_s U_s at the full error. No correction is needed:
    the bound fails only if U_s < mu_s at the one setting s that is best, which has probability at most alpha.
    *Lower*: max_s L_s at alpha / S (Bonferroni), or betting with the average over settings of their capital against
    "mu_s <= m": an average of e-values is one, and it exceeds 1/alpha whenever a single capital exceeds S/alpha.
``cross_fit``  K folds, pick on the others, score on the fold, all items used. The folds' means share their training
    data, so they aren't independent draws, and K of them don't make a t interval; each fold's bound holds at alpha / K
    given its pick, and the union bound covers their weighted sum.

Clusters are the units; the item-weighted mean is the estimand, as in ``betting``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered
from trialist.measurement.clustered import Clusters
from trialist.measurement.interval import check_share

Floats = NDArray[np.float64]

NUM_HALVINGS = 40


@dataclass(frozen=True)
class SelectedMax:
    """``setting`` was picked by its mean ``picked_at`` on the selection items and has mean ``value`` on the scoring
    items, with guaranteed one-sided bounds ``lower`` and ``upper`` on *its* mean; ``lower`` bounds the best setting's
    too. ``optimism`` = picked_at - value, an unbiased view of what reporting picked_at would have overstated."""

    setting: int
    value: float
    lower: float
    upper: float
    picked_at: float
    optimism: float
    num_selection_clusters: int
    num_scoring_clusters: int


@dataclass(frozen=True)
class BestBounds:
    """Bounds on the best setting's mean, each one-sided at the confidence asked for. ``lower`` averages e-values;
    ``lower_bonferroni`` is there to compare. ``naive`` is the largest mean on all items, which overstates."""

    lower: float
    lower_bonferroni: float
    upper: float
    naive: float
    leader: int


@dataclass(frozen=True)
class CrossFitted:
    """``value``: mean over items of the score under the setting picked without them. ``lower`` and ``upper`` bound
    sum_f w_f mu_(s_f), the folds' picks ``settings`` weighted by their items; ``lower`` bounds the best setting's mean
    too. ``optimism``: the naive maximum on all items minus ``value``."""

    value: float
    lower: float
    upper: float
    settings: tuple[int, ...]
    optimism: float


def select_then_score(
    scores: ArrayLike,
    *,
    generator: np.random.Generator,
    cluster: ArrayLike | None = None,
    share: float = 0.5,
    limits: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
) -> SelectedMax:
    """Pick on a random ``share`` of the clusters, score on the rest; ties go to the first setting.

    ``scores`` (S, n) in ``limits``; ``cluster`` (n,) labels, each item its own if None. Raises MeasurementUndefined for
    no setting, scores that are missing or outside the limits, and fewer than two clusters.
    """
    y, codes = _table(scores, cluster, limits)
    num = int(codes.max()) + 1
    size = min(max(1, round(check_share("share", share) * num)), num - 1)
    chosen = np.zeros(num, dtype=np.bool_)
    chosen[generator.choice(num, size, replace=False)] = True
    rows = chosen[codes]
    means = y[:, rows].mean(axis=1)
    best = int(means.argmax())
    groups = clustered.aggregate(y[best, ~rows], codes[~rows])
    lower, upper = _bounds(groups, limits, confidence)
    picked, value = float(means[best]), groups.mean
    return SelectedMax(best, value, lower, upper, picked, picked - value, size, num - size)


def simultaneous(
    scores: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
) -> BestBounds:
    """Bounds on max_s mu_s from all items; raises as ``select_then_score`` does."""
    y, codes = _table(scores, cluster, limits)
    groups = [clustered.aggregate(row, codes) for row in y]
    alpha = 1 - check_share("confidence", confidence)
    low, high = limits
    means = np.array([g.mean for g in groups])
    upper = max(betting.upper_mean(g.means, g.sizes, low=low, high=high, confidence=confidence) for g in groups)
    strict = 1 - alpha / len(groups)
    lower = max(betting.lower_mean(g.means, g.sizes, low=low, high=high, confidence=strict) for g in groups)
    return BestBounds(
        lower=lower_of_best(groups, limits=limits, confidence=confidence),
        lower_bonferroni=lower,
        upper=upper,
        naive=float(means.max()),
        leader=int(means.argmax()),
    )


def lower_of_best(
    groups: list[Clusters], *, limits: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95
) -> float:
    """Lower bound on max_s mu_s: where the average over settings of the capital K_s(m) falls to 1 / alpha.

    K_s(m) is the capital of ``betting`` against "mu_s <= m", with bets planned for S / alpha. If mu_s <= m for all s,
    each has expectation at most 1, whatever ties the settings together on shared items, and so has their average. It
    falls in m. It is at least max_s K_s / S, so this bound is never below the Bonferroni one, and above it where
    several settings are good.
    """
    low, high = limits
    target = -math.log(1 - check_share("confidence", confidence))
    planned = target + math.log(len(groups))
    # The mirror image: an upper bound on the mean of 1 - Y, as in ``betting.lower_mean``.
    samples = [betting.permuted(-g.means, g.sizes, -high, -low) for g in groups]
    bets = [betting.plug_in_bets(sample, planned) for sample in samples]

    def log_capital(m: float) -> float:
        logs = [betting.log_capital(1 - m, bet, sample) for bet, sample in zip(bets, samples, strict=True)]
        return float(logsumexp(np.array(logs))) - math.log(len(logs))

    below, above = 0.0, max(1 - sample.mean for sample in samples)
    if above <= 0 or log_capital(1e-12) < target:
        return low
    for _ in range(NUM_HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if log_capital(middle) >= target else (below, middle)
    return low + (high - low) * below


def cross_fit(
    scores: ArrayLike,
    *,
    generator: np.random.Generator,
    cluster: ArrayLike | None = None,
    num_folds: int = 5,
    limits: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
) -> CrossFitted:
    """Pick without each fold and score on it; raises as ``select_then_score``, and for fewer clusters than folds."""
    y, codes = _table(scores, cluster, limits)
    num = int(codes.max()) + 1
    if not 2 <= num_folds <= num:
        raise MeasurementUndefined("folds of clusters", seen=f"{num_folds} folds", allowed=f"2 to {num}")
    fold = (np.arange(num) % num_folds)[generator.permutation(num)][codes]
    strict = 1 - (1 - check_share("confidence", confidence)) / num_folds
    picks: list[int] = []
    totals = np.zeros(3)
    for f in range(num_folds):
        inside = fold == f
        best = int(y[:, ~inside].mean(axis=1).argmax())
        groups = clustered.aggregate(y[best, inside], codes[inside])
        totals += inside.mean() * np.array([groups.mean, *_bounds(groups, limits, strict)])
        picks.append(best)
    value, lower, upper = (float(total) for total in totals)
    return CrossFitted(value, lower, upper, tuple(picks), float(y.mean(axis=1).max()) - value)


def _bounds(groups: Clusters, limits: tuple[float, float], confidence: float) -> tuple[float, float]:
    low, high = limits
    return (
        betting.lower_mean(groups.means, groups.sizes, low=low, high=high, confidence=confidence),
        betting.upper_mean(groups.means, groups.sizes, low=low, high=high, confidence=confidence),
    )


def _table(
    scores: ArrayLike, cluster: ArrayLike | None, limits: tuple[float, float]
) -> tuple[Floats, NDArray[np.int64]]:
    y = np.asarray(scores, dtype=np.float64)
    if y.ndim != 2 or y.shape[0] == 0 or y.shape[1] == 0:
        raise MeasurementUndefined("scores of settings on items", seen=str(y.shape), allowed="(settings, items)")
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high) and low < high and ((y >= low) & (y <= high)).all()):
        raise MeasurementUndefined(
            "scores must all be there and inside the limits", seen=f"{np.nanmin(y)} to {np.nanmax(y)}, "
            f"{int(np.isnan(y).sum())} missing", allowed=f"[{low}, {high}]",
            next_step="set a missing score to the worst that it could be",
        )  # fmt: skip
    labels: NDArray[Any] = np.asarray(range(y.shape[1]) if cluster is None else cluster)
    if labels.shape != (y.shape[1],):
        raise MeasurementUndefined("each item needs a cluster", seen=str(labels.shape), allowed=f"({y.shape[1]},)")
    codes = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    if codes.max() < 1:
        raise MeasurementUndefined("picking and scoring need two clusters", seen="1 cluster", allowed="2 or more")
    return y, codes
