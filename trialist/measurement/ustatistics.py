"""Two-sample U-statistics over clusters: the mean of a kernel over all pairs of a positive and a negative item.

U = sum_{i,j} k(x_i, y_j) / (m n). A cluster may hold positives, negatives or both, and is left out whole:

    T_(-c) = T - R_c - S_c + O_c,    U_(-c) = T_(-c) / ((m - m_c)(n - n_c))

with T the sum over all pairs, R_c that of c's positives with all negatives, S_c that of all positives with c's
negatives, and O_c that of the pairs inside c. AUROC needs O(N log N) for all clusters together: the sums of its kernel
[x > y] + [x = y]/2 are mid-ranks, and one more sort, by cluster and then by score, gives every O_c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, t_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Kernel = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class UStatistic:
    """``kernel`` takes arrays that broadcast, with values in [``low``, ``high``]. ``mid_ranks``: it is the order kernel
    [x > y] + [x = y]/2, so that the fast sums apply."""

    name: str
    kernel: Kernel
    low: float = 0.0
    high: float = 1.0
    mid_ranks: bool = False


def order_kernel(x: Floats, y: Floats) -> Floats:
    """[x > y] + [x = y] / 2."""
    return (x > y) + 0.5 * (x == y)


AUROC = UStatistic("AUROC", order_kernel, mid_ranks=True)


@dataclass(frozen=True)
class UEstimate:
    """``interval`` is a t interval with ``degrees`` degrees of freedom, on the logit scale for kernels in [0, 1]."""

    value: float
    standard_error: float
    interval: Interval
    degrees: float
    num_clusters: int


@dataclass(frozen=True)
class UDifference:
    """``value`` is ``first`` minus ``second``; ``p_value`` is two-sided for "no difference"."""

    first: float
    second: float
    value: float
    standard_error: float
    interval: Interval
    p_value: float
    degrees: float
    num_clusters: int


@dataclass(frozen=True)
class PairSums:
    """``rows`` (m,) are sums over all negatives, ``columns`` (n,) over all positives, ``own`` (C,) over the pairs
    inside a cluster."""

    rows: Floats
    columns: Floats
    own: Floats


def u_value(positives: ArrayLike, negatives: ArrayLike, statistic: UStatistic = AUROC) -> float:
    """U of ``positives`` (m,) and ``negatives`` (n,)."""
    x, y = check_scores(positives, "positive"), check_scores(negatives, "negative")
    if statistic.mid_ranks:
        return float(mid_rank_sums(x, y).sum() / (len(x) * len(y)))
    return float(statistic.kernel(x[:, None], y[None, :]).mean())


def mid_rank_sums(x: Floats, y: Floats) -> Floats:
    """sum_j [x_i > y_j] + [x_i = y_j]/2 for each i, in O((m + n) log n)."""
    ordered = np.sort(y)
    return (np.searchsorted(ordered, x, side="left") + np.searchsorted(ordered, x, side="right")) / 2


def pair_sums(x: Floats, y: Floats, x_code: Codes, y_code: Codes, *, num: int, statistic: UStatistic) -> PairSums:
    """The sums that every deleted U needs; ``x_code`` (m,) and ``y_code`` (n,) are clusters 0..num-1."""
    if not statistic.mid_ranks:
        return plain_pair_sums(x, y, x_code, y_code, num=num, statistic=statistic)
    rows = mid_rank_sums(x, y)
    columns = len(x) - mid_rank_sums(y, x)
    levels, inverse = np.unique(np.concatenate([x, y]), return_inverse=True)
    keys = np.concatenate([x_code, y_code]) * len(levels) + inverse
    # In the order (cluster, score) a positive beats every negative of an earlier cluster and none of a later one.
    earlier = np.concatenate([[0], np.cumsum(np.bincount(y_code, minlength=num))])[:-1]
    inside = mid_rank_sums(keys[: len(x)].astype(np.float64), keys[len(x) :].astype(np.float64)) - earlier[x_code]
    return PairSums(rows, columns, np.bincount(x_code, weights=inside, minlength=num).astype(np.float64))


def plain_pair_sums(x: Floats, y: Floats, x_code: Codes, y_code: Codes, *, num: int, statistic: UStatistic) -> PairSums:
    """The same from the full (m, n) matrix of the kernel: for any kernel, and the reference for the fast sums."""
    matrix = statistic.kernel(x[:, None], y[None, :])
    inside = np.where(x_code[:, None] == y_code[None, :], matrix, 0.0).sum(axis=1)
    return PairSums(
        matrix.sum(axis=1), matrix.sum(axis=0), np.bincount(x_code, weights=inside, minlength=num).astype(np.float64)
    )


def deleted_values(
    scores: ArrayLike, positive: ArrayLike, cluster: ArrayLike, statistic: UStatistic = AUROC
) -> tuple[float, Floats, NDArray[np.bool_]]:
    """U, U with each cluster left out (C,), and which kinds of items a cluster has (C, 2): positives, negatives.

    Clusters are in sorted order of their labels; NaN where no positive or no negative is left.
    """
    x, y, x_code, y_code = _split(scores, positive, cluster)
    num = int(max(x_code.max(), y_code.max())) + 1
    sums = pair_sums(x, y, x_code, y_code, num=num, statistic=statistic)
    m_c, n_c = np.bincount(x_code, minlength=num), np.bincount(y_code, minlength=num)
    total = sums.rows.sum()
    lost = np.bincount(x_code, weights=sums.rows, minlength=num)
    lost = lost + np.bincount(y_code, weights=sums.columns, minlength=num) - sums.own
    pairs = ((len(x) - m_c) * (len(y) - n_c)).astype(np.float64)
    left = np.where(pairs > 0, (total - lost) / np.where(pairs > 0, pairs, 1.0), np.nan)
    return float(total / (len(x) * len(y))), left, np.stack([m_c > 0, n_c > 0], axis=1)


def delete_one_cluster(
    scores: ArrayLike,
    positive: ArrayLike,
    cluster: ArrayLike,
    *,
    statistic: UStatistic = AUROC,
    level: float = 0.95,
) -> UEstimate:
    """U, its delete-one-cluster jackknife standard error and t interval.

    ``scores`` (N,), ``positive`` (N,) true or false, ``cluster`` (N,) labels; clusters are independent draws. With the
    clusters sorted into kinds g (positives only, negatives only, both),

        SE^2 = sum_g (C_g - 1)/C_g sum_{c in g} (U_(-c) - mean)^2,

    where a kind of one cluster has the factor 1. With one item a cluster this is DeLong's variance exactly; with one
    kind it is the usual jackknife. Degrees of freedom: Satterthwaite over the kinds, so that five clusters of
    positives beside a thousand of negatives count as about four, not a thousand. For kernels in [0, 1] the interval is
    expit(logit(U) +- t SE / (U(1 - U))). Obuchowski 1997 (Biometrics 53) estimates the same variance from structural
    components and agrees with it as the number of clusters grows.

    Raises MeasurementUndefined for NaN scores, fewer than two clusters, a cluster that holds all positives or all
    negatives, and where leaving out a cluster changes nothing (perfect separation, constant scores).
    """
    value, left, kinds = deleted_values(scores, positive, cluster, statistic)
    error, degrees = _error(left, kinds, statistic.name)
    unit = (statistic.low, statistic.high) == (0.0, 1.0)
    limits = logit_interval(value, error, degrees, level) if unit else t_interval(value, error, degrees, level)
    return UEstimate(value, error, limits, degrees, len(left))


def delete_one_cluster_difference(
    first: ArrayLike,
    second: ArrayLike,
    positive: ArrayLike,
    cluster: ArrayLike,
    *,
    statistic: UStatistic = AUROC,
    level: float = 0.95,
) -> UDifference:
    """U of scores ``first`` (N,) minus that of ``second`` (N,) on the same items, with clusters as units.

    The jackknife of ``delete_one_cluster`` applied to the differences of the deleted values; with one item a cluster it
    is DeLong's paired variance exactly. Raises as that does, also where both scores order all pairs alike.
    """
    one, left_one, kinds = deleted_values(first, positive, cluster, statistic)
    two, left_two, _ = deleted_values(second, positive, cluster, statistic)
    value, error, degrees = one - two, *_error(left_one - left_two, kinds, f"difference in {statistic.name}")
    p_value = float(2 * stdtr(degrees, -abs(value) / error))
    limits = t_interval(value, error, degrees, level)
    width = statistic.high - statistic.low
    limits = Interval(max(-width, limits.low), min(width, limits.high))
    return UDifference(one, two, value, error, limits, p_value, degrees, len(left_one))


def _error(left: Floats, kinds: NDArray[np.bool_], name: str) -> tuple[float, float]:
    """Standard error and degrees of freedom of the deleted values, or the reason why there are none."""
    if len(left) < 2 or not np.isfinite(left).all():
        raise MeasurementUndefined(
            "a cluster holds all the positives or all the negatives, so it can't be left out",
            seen=f"{len(left)} clusters", allowed="both kinds in at least two clusters",
            next_step="more clusters of the rare kind",
        )  # fmt: skip
    variance, degrees = _variance_by_kind(left, kinds)
    error = math.sqrt(variance)
    if error <= 1e-12 * max(1.0, float(np.abs(left).max())):
        raise MeasurementUndefined(
            "leaving out any one cluster changes nothing, so the spread is unknown", seen=f"{name} {left[0]:g}",
            next_step="one item a cluster: discrimination.guaranteed_interval; otherwise more or harder clusters",
        )  # fmt: skip
    return error, degrees


def logit_interval(value: float, error: float, degrees: float, level: float) -> Interval:
    """expit(logit(value) +- t error / (value (1 - value))) for a value strictly inside (0, 1)."""
    if not 0 < value < 1:
        raise MeasurementUndefined("a logit interval needs a value strictly inside (0, 1)", seen=str(value))
    half = t_quantile(level, degrees) * error / (value * (1 - value))
    centre = float(logit(value))
    return Interval(float(expit(centre - half)), float(expit(centre + half)))


def t_interval(value: float, error: float, degrees: float, level: float) -> Interval:
    half = t_quantile(level, degrees) * error
    return Interval(value - half, value + half)


def check_scores(values: ArrayLike, kind: str) -> Floats:
    """One column of finite scores, at least one."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x):
        raise MeasurementUndefined(f"no {kind} items", seen=f"shape {x.shape}", next_step="both kinds are needed")
    if not np.isfinite(x).all():
        raise MeasurementUndefined(
            f"{kind} scores must be finite", seen=f"{int((~np.isfinite(x)).sum())} are not",
            next_step="leave out items without a score, and say how many",
        )  # fmt: skip
    return x


def check_labels(positive: ArrayLike) -> NDArray[np.bool_]:
    labels = np.asarray(positive)
    if labels.dtype != np.bool_ and not np.isin(labels, [0, 1]).all():
        raise MeasurementUndefined("a label is neither positive nor negative", allowed="0, 1, False, True")
    return labels.astype(np.bool_)


def _split(scores: ArrayLike, positive: ArrayLike, cluster: ArrayLike) -> tuple[Floats, Floats, Codes, Codes]:
    s, labels = np.asarray(scores, dtype=np.float64), check_labels(positive)
    codes = np.unique(np.asarray(cluster), return_inverse=True)[1].astype(np.int64)
    if not (s.shape == labels.shape == codes.shape) or s.ndim != 1:
        raise MeasurementUndefined(
            "each score needs a label and a cluster", seen=f"{s.shape}, {labels.shape}, {codes.shape}"
        )
    x, y = check_scores(s[labels], "positive"), check_scores(s[~labels], "negative")
    return x, y, codes[labels], codes[~labels]


def _variance_by_kind(left: Floats, kinds: NDArray[np.bool_]) -> tuple[float, float]:
    """The jackknife variance and its Satterthwaite degrees of freedom."""
    squares = (left - left.mean()) ** 2
    parts: list[tuple[float, int]] = []
    for kind in ((True, False), (False, True), (True, True)):
        chosen = (kinds == np.array(kind)).all(axis=1)
        num = int(chosen.sum())
        if num:
            factor = (num - 1) / num if num > 1 else 1.0
            parts.append((factor * float(squares[chosen].sum()), max(1, num - 1)))
    return satterthwaite(parts)


def satterthwaite(parts: list[tuple[float, int]]) -> tuple[float, float]:
    """Sum V of independent variance estimates (V_g, df_g), and V^2 / sum_g (V_g^2 / df_g). Satterthwaite 1946."""
    total = sum(part for part, _ in parts)
    if total <= 0:
        return 0.0, float(min(degrees for _, degrees in parts))
    return total, total * total / sum(part * part / degrees for part, degrees in parts)
