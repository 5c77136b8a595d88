"""Ranks of M models that answered the same items: which orderings the data show, and which they don't.

A table of means has a first place even if all models are equal. Here a model's rank is an interval: 1 + the number of
models that are shown to be better, to M - the number shown to be worse (Mogstad, Romano, Shaikh & Wilhelm 2024,
Rev. Econ. Stud. 91). All M (M - 1) one-sided hypotheses "theta_j <= theta_k" are tested at once. Where no
true one is rejected, every rank interval holds the model's true rank at the same time, ties included: a model may take
any rank between 1 + #{better} and M - #{worse}, and the interval holds all of these.

- ``rank_intervals`` calibrates the largest t over the pairs by sign flips of whole clusters: sharp; exact only where
  the differences of equal models are symmetric.
- ``guaranteed_rank_intervals`` corrects exact tests of the pairs by Holm: finite-sample valid, wider.

Never mark the largest mean as the winner: ``Ranks.best`` is a confidence set for the best model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.adjust import holm
from trialist.measurement.interval import check_share

Floats = NDArray[np.float64]
Pairs = NDArray[np.bool_]

MIN_CLUSTERS = 5
NUM_BETS = 16
"""Constant bets of the guaranteed test: shares .75^0 to .75^15 of ``CAP``, each with the same part of the capital."""
CAP = 0.9
"""Largest share of the capital at risk in one bet."""
CHUNK = 64
"""Draws of the bootstrap that are held at once: (CHUNK, M, M) floats."""


@dataclass(frozen=True)
class Ranks:
    """Of M models: ``means`` (M,) over items; ``lowest`` and ``highest`` (M,) ranks, 1 the best; ``better`` (M, M):
    model j is shown to be better than model k. All statements hold together with confidence ``level``."""

    means: Floats
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    better: Pairs
    level: float
    num_clusters: int
    method: str

    @property
    def best(self) -> NDArray[np.int64]:
        """Models that can't be told from the best: all that no other is shown to beat. It holds every best model with
        confidence ``level``. Mark all of these or none; never the largest mean alone."""
        return np.flatnonzero(self.lowest == 1).astype(np.int64)

    @property
    def separated(self) -> bool:
        """One model is shown to be the best."""
        return len(self.best) == 1


def rank_intervals(
    values: ArrayLike,
    cluster: ArrayLike,
    *,
    generator: np.random.Generator,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
    num_draws: int = 2000,
) -> Ranks:
    """Simultaneous rank intervals from ``values`` (n, M), higher better, of n items in ``cluster`` (n,).

    For each pair D_c is the sum over the items of cluster c of the difference, and u = sum_c D_c / sqrt(sum_c D_c^2),
    which rises with the t statistic of E[D_c] = 0: t = u sqrt((C - 1) / (C - u^2)). A draw flips the sign of each
    cluster for all models together, which keeps the dependence between models. A pair is ordered where its u exceeds
    the level-quantile of the largest flipped u over the hypotheses not yet rejected, lowered in steps (Romano & Wolf
    2005, Econometrica 73). Where the D_c of the pairs that are truly equal are jointly symmetric about 0, this is exact
    at any C, up to the draws; otherwise approximate, as a t test is: at few clusters and rare failures use
    ``guaranteed_rank_intervals``. We flip the D_c and not their residuals: at few clusters residuals reject too often.

    A pair with one and the same D_c = D in every cluster counts as ordered only where
    2 (R / (R + |D|))^C <= (1 - level) / number of pairs, with R = n_max (high - low), n_max the largest cluster and
    (low, high) = ``bounds``: the largest chance of such data if the order were not so, as a rare large loss can be
    unseen. Pairs without any difference are never ordered.

    Raises MeasurementUndefined for fewer than 2 models or 5 clusters, missing values, values outside ``bounds``.
    """
    x, codes = _table(values, cluster, bounds)
    alpha = 1 - check_share("level", level)
    if num_draws < 100:
        raise MeasurementUndefined("too few draws for a quantile", seen=str(num_draws), allowed="100 or more")
    totals = _cluster_sums(x, codes)
    num, models = totals.shape
    nets = totals[:, :, None] - totals[:, None, :]
    root = np.sqrt((nets**2).sum(axis=0))
    constant = np.ptp(nets, axis=0) <= 1e-12 * np.maximum(1.0, root)
    with np.errstate(invalid="ignore", divide="ignore"):
        u = np.where(constant, -np.inf, nets.sum(axis=0) / root)
    better = _step_down(u, _draws(totals, root, generator, num_draws), alpha)
    largest = float(np.bincount(codes).max()) * (bounds[1] - bounds[0])
    chance = 2 * (largest / (largest + np.abs(nets[0]))) ** num * (models * (models - 1) / 2)
    better |= constant & (nets[0] > 1e-9) & (chance <= alpha)
    return _ranks(x, better, level, num, "step-down largest t, signs of whole clusters flipped")


def guaranteed_rank_intervals(
    values: ArrayLike,
    cluster: ArrayLike,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Ranks:
    """Rank intervals with a finite-sample guarantee, whatever the distribution: Holm over M (M - 1) exact tests.

    - Scores of 0 and 1, one item a cluster: the one-sided sign test on the b + c discordant items,
      P(Bin(b + c, 1/2) >= b).
    - Anything else within ``bounds`` = (low, high): a betting test of E[n_c d_c] <= 0 over clusters,
      e = mean over lambda of prod_c (1 + lambda n_c d_c / (n_max (high - low))), p = min(1, 1/e) by Markov's
      inequality. The bets are constant, so e doesn't depend on the order of the items. n_max is taken from the items
      given, so all registered items have to be there. Clusters are independent draws.

    Same shapes and errors as ``rank_intervals``; any number of clusters. Waudby-Smith & Ramdas 2024 for betting.
    """
    x, codes = _table(values, cluster, bounds, min_clusters=1)
    alpha = 1 - check_share("level", level)
    sizes = np.bincount(codes)
    models = x.shape[1]
    binary = bool(np.isin(x, (0.0, 1.0)).all() and (sizes == 1).all())
    p = np.ones((models, models))
    for j in range(models):
        nets = x[:, [j]] - x
        if binary:
            p[j] = [_sign_test(int((net > 0).sum()), int((net < 0).sum())) for net in nets.T]
        else:
            p[j] = _betting_p_values(_cluster_sums(nets, codes) / (sizes.max() * (bounds[1] - bounds[0])))
    others = ~np.eye(models, dtype=np.bool_)
    better = np.zeros((models, models), dtype=np.bool_)
    better[others] = holm(p[others]) <= alpha
    name = "exact sign tests" if binary else "betting tests over clusters"
    return _ranks(x, better, level, len(sizes), f"Holm over {name}, finite-sample valid")


def _sign_test(wins: int, losses: int) -> float:
    """P(Bin(wins + losses, 1/2) >= wins) = P(Bin <= losses)."""
    return float(bdtr(losses, wins + losses, 0.5)) if wins else 1.0


def _betting_p_values(increments: Floats) -> Floats:
    """min(1, 1/e) of "the mean increment is at most 0" for ``increments`` (C, M) in [-1, 1]."""
    bets = CAP * 0.75 ** np.arange(NUM_BETS)
    logs = np.stack([np.log1p(bet * increments).sum(axis=0) for bet in bets])
    top = logs.max(axis=0)
    log_e = top + np.log(np.exp(logs - top).mean(axis=0))
    return np.exp(-np.maximum(0.0, log_e))


def _draws(totals: Floats, root: Floats, generator: np.random.Generator, num_draws: int) -> NDArray[np.float32]:
    """Flipped u (num_draws, M, M) for cluster totals (C, M); NaN where a pair never differs."""
    num, models = totals.shape
    result = np.empty((num_draws, models, models), dtype=np.float32)
    for start in range(0, num_draws, CHUNK):
        size = min(CHUNK, num_draws - start)
        flipped = (2.0 * generator.integers(0, 2, (size, num)) - 1) @ totals
        with np.errstate(invalid="ignore", divide="ignore"):
            result[start : start + size] = (flipped[:, :, None] - flipped[:, None, :]) / root
    return result


def _step_down(u: Floats, draws: NDArray[np.float32], alpha: float) -> Pairs:
    """Ordered pairs rejected by Romano & Wolf's step-down: the quantile is taken over what isn't rejected yet."""
    rejected = np.zeros(u.shape, dtype=np.bool_)
    while True:
        open_pairs = np.isfinite(u) & ~rejected
        if not open_pairs.any():
            return rejected
        largest = np.sort(draws[:, open_pairs].max(axis=1))
        # (1 + number of draws at or above u) / (draws + 1) <= alpha: the observed signs count as one draw.
        place = len(largest) - int(np.floor(alpha * (len(largest) + 1)))
        if place >= len(largest):
            return rejected
        # Draws are float32; a tie counts as not above.
        new = open_pairs & (u > largest[place] * (1 + 1e-5))
        if not new.any():
            return rejected
        rejected |= new


def _ranks(x: Floats, better: Pairs, level: float, num_clusters: int, method: str) -> Ranks:
    models = x.shape[1]
    lowest = 1 + better.sum(axis=0)
    highest = models - better.sum(axis=1)
    return Ranks(x.mean(axis=0), lowest.astype(np.int64), highest.astype(np.int64), better, level, num_clusters, method)


def _cluster_sums(columns: Floats, codes: NDArray[np.int64]) -> Floats:
    return np.stack([np.bincount(codes, weights=column) for column in columns.T], axis=1).astype(np.float64)


def _table(
    values: ArrayLike, cluster: ArrayLike, bounds: tuple[float, float], *, min_clusters: int = MIN_CLUSTERS
) -> tuple[Floats, NDArray[np.int64]]:
    x = np.asarray(values, dtype=np.float64)
    labels = np.asarray(cluster)
    if x.ndim != 2 or x.shape[1] < 2 or len(x) == 0 or labels.shape != (len(x),):
        raise MeasurementUndefined(
            "ranks need items x models and a cluster for each item",
            seen=f"values {x.shape}, clusters {labels.shape}",
            allowed="(n, M) and (n,), 2 or more models",
        )
    if not np.isfinite(x).all():
        raise MeasurementUndefined(
            "ranks need every model's score on every item",
            seen=f"{int((~np.isfinite(x)).sum())} scores missing or not finite",
            allowed="finite scores",
            next_step="set missing answers to the worst value, or compare on the items that all models answered",
        )
    low, high = bounds
    if not (np.isfinite(low) and np.isfinite(high) and low < high and (x >= low).all() and (x <= high).all()):
        raise MeasurementUndefined(
            "scores outside their bounds", seen=f"[{x.min()}, {x.max()}]", allowed=f"[{low}, {high}], finite"
        )
    codes = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    if codes.max() + 1 < min_clusters:
        raise MeasurementUndefined(
            "too few clusters for ranks", seen=f"{int(codes.max()) + 1}", allowed=f"{min_clusters} or more",
            next_step="guaranteed_rank_intervals takes any number",
        )  # fmt: skip
    return x, codes
