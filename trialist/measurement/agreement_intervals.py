"""How sure a coefficient of agreement is: Gwet's standard error by items, jackknife and bootstrap by items or clusters.

The independent unit is the item, or a cluster of items; raters are taken as given. A conclusion about other raters
needs more raters, not more items.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.agreement import Coefficient, Table, Weights, agreement_weights, gwet_coefficient
from trialist.measurement.clustered import Jackknife
from trialist.measurement.interval import Interval, check_share, t_quantile

Floats = NDArray[np.float64]
BLOCK = 2_000_000
"""Numbers that one step of a bootstrap or jackknife holds."""
MIN_RESAMPLES = 20


def gwet_standard_error(table: Table, weights: Weights = "identity") -> float:
    """Standard error of AC1 or AC2 with raters fixed and items sampled: sqrt(sum_i (g_i - g)^2 / (n (n - 1))).

    g_i = (n/n') (a_i - e [r_i >= 2]) / (1 - e) - 2 (1 - g) (e_i - e) / (1 - e) with a_i the agreement of item i (0
    with one rating), e_i = T_w / (q (q - 1)) sum_k (r_ik / r_i) (1 - pi_k), e = p_e, g the coefficient, n items with a
    rating and n' with two. Gwet 2008, Br. J. Math. Stat. Psychol. 61; 2014, chapter 5. No finite-population factor.

    An item with one rating enters as one without agreement, which makes the error too large where there are many of
    them: .143 in Gwet's table of 12 items with one such item, against .125 by ``agreement_jackknife``.
    """
    coefficient = gwet_coefficient(table, weights)
    sums, n = coefficient.columns.sum(axis=0), len(coefficient.columns)
    g, e = float(coefficient.values(sums)), float(coefficient.of(sums)[1])
    shares, rated, chosen = coefficient.columns[:, 0], coefficient.columns[:, 1], coefficient.columns[:, 2:]
    w, q = agreement_weights(table.categories, weights), len(table.categories)
    pi = chosen.mean(axis=0)
    chance = w.sum() / (q * (q - 1)) * (chosen @ (1 - pi))
    linear = n / rated.sum() * (shares - e * rated) / (1 - e) - 2 * (1 - g) * (chance - e) / (1 - e)
    if n < 2:
        raise MeasurementUndefined("a standard error needs two items", seen="1 item")
    return math.sqrt(float(((linear - g) ** 2).sum()) / (n * (n - 1)))


def agreement_jackknife(coefficient: Coefficient, cluster: ArrayLike | None = None, level: float = 0.95) -> Jackknife:
    """Delete-one-cluster jackknife (each item its own cluster if None), t with C - 1 degrees of freedom, at most 1.

    ``coefficient`` comes from ``gwet_coefficient``, ``krippendorff_coefficient`` and so on; ``cluster`` has a label for
    each item that the table kept. Raises MeasurementUndefined with fewer than two clusters, where the coefficient is
    undefined without one of them, and where leaving any out changes nothing (all agree).
    """
    totals = _cluster_sums(coefficient, cluster)
    num = len(totals)
    if num < 2:
        raise MeasurementUndefined("a jackknife needs at least two clusters", seen=str(num), allowed="2 or more")
    value = float(coefficient.values(totals.sum(axis=0)))
    left = _in_blocks(coefficient, totals.sum(axis=0) - totals)
    if not (math.isfinite(value) and np.isfinite(left).all()):
        raise MeasurementUndefined(
            f"{coefficient.name} is undefined when one cluster is left out", next_step="more items of the rare category"
        )
    error = math.sqrt((num - 1) / num * float(((left - left.mean()) ** 2).sum()))
    _check_spread(error, coefficient)
    half = t_quantile(level, num - 1) * error
    return Jackknife(value, error, Interval(value - half, min(1.0, value + half)), num)


def agreement_bootstrap(
    coefficient: Coefficient,
    *,
    generator: np.random.Generator,
    cluster: ArrayLike | None = None,
    num_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval over clusters drawn with replacement. It describes; with few items it is too narrow.

    Resamples where the coefficient is undefined (all ratings alike) are left out; more than 1% of them is a refusal.
    """
    check_share("level", level)
    if num_resamples < MIN_RESAMPLES:
        raise MeasurementUndefined("too few resamples", seen=str(num_resamples), allowed=f"{MIN_RESAMPLES} or more")
    totals = _cluster_sums(coefficient, cluster)
    num = len(totals)
    if num < 2:
        raise MeasurementUndefined("a bootstrap needs at least two clusters", seen=str(num), allowed="2 or more")
    weights = generator.multinomial(num, np.full(num, 1 / num), size=num_resamples).astype(np.float64)
    values = _in_blocks(coefficient, weights @ totals)
    defined = values[np.isfinite(values)]
    if len(defined) < 0.99 * num_resamples:
        raise MeasurementUndefined(
            f"{coefficient.name} is undefined in {num_resamples - len(defined)} of {num_resamples} resamples",
            next_step="more items of the rare category, or the jackknife",
        )
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    _check_spread(float(high - low), coefficient)
    return Interval(float(low), float(high))


def _cluster_sums(coefficient: Coefficient, cluster: ArrayLike | None) -> Floats:
    """Sums over the items of each cluster (C, k)."""
    columns = coefficient.columns
    if cluster is None:
        return columns
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1]
    if codes.shape != (len(columns),):
        raise MeasurementUndefined(
            "each rated item needs a cluster", seen=f"{len(codes)} labels for {len(columns)} items",
            next_step="leave out the labels of items without a rating: Table.kept",
        )  # fmt: skip
    sums = np.zeros((int(codes.max()) + 1, columns.shape[1]))
    np.add.at(sums, codes, columns)
    return sums


def _in_blocks(coefficient: Coefficient, sums: Floats) -> Floats:
    step = max(1, BLOCK // sums.shape[1])
    return np.concatenate([coefficient.values(sums[i : i + step]) for i in range(0, len(sums), step)])


def _check_spread(spread: float, coefficient: Coefficient) -> None:
    if spread <= 1e-12:
        raise MeasurementUndefined(
            f"no interval: every resample gives the same {coefficient.name}",
            next_step="a bound on the share of disagreeing items: proportions.upper_bound(disagreements, items)",
        )
