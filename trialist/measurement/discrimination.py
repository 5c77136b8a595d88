"""How well scores tell positives from negatives: AUROC, the difference of two AUROCs, TPR at an FPR.

Items here are independent; for clusters see ``ustatistics.delete_one_cluster``. The interval that describes is DeLong's
on the logit scale. Where its variance is 0 (all pairs in the right order, or all tied) it would have no width; the
guaranteed interval from Hoeffding's inequality for U-statistics takes its place and the method says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.proportions import clopper_pearson, upper_bound
from trialist.measurement.ustatistics import (
    check_labels,
    check_scores,
    logit_interval,
    mid_rank_sums,
    satterthwaite,
    t_interval,
)

Floats = NDArray[np.float64]
DELONG = "DeLong variance, logit scale, t with Satterthwaite degrees of freedom"
DIFFERENCE = "DeLong covariance, t with Satterthwaite degrees of freedom"
GUARANTEED = "Hoeffding's bound for U-statistics with min(m, n) independent pairs, as the DeLong variance is 0"
NUM_HALVINGS = 60


@dataclass(frozen=True)
class Discrimination:
    value: float
    variance: float
    interval: Interval
    method: str
    num_positives: int
    num_negatives: int


@dataclass(frozen=True)
class AurocDifference:
    """``value`` is ``first`` minus ``second``; ``p_value`` is two-sided for "no difference"."""

    first: float
    second: float
    value: float
    variance: float
    interval: Interval
    p_value: float
    method: str


@dataclass(frozen=True)
class OperatingPoint:
    """An item is flagged if its score is above ``threshold``. ``fpr_bound`` is an upper bound on the true false
    positive rate of this threshold; ``tpr_interval`` is for its true positive rate."""

    threshold: float
    fpr: float
    fpr_bound: float
    tpr: float
    tpr_interval: Interval
    num_positives: int
    num_negatives: int


def auroc(positives: ArrayLike, negatives: ArrayLike, level: float = 0.95) -> Discrimination:
    """P(X > Y) + P(X = Y)/2 for scores of ``positives`` (m,) and ``negatives`` (n,), with an interval that describes.

    Variance: var(V10)/m + var(V01)/n with ddof 1, V10_i the share of negatives below positive i (ties half) and V01_j
    the share of positives above negative j. DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44; computed from
    mid-ranks in O(N log N) as in Sun & Xu 2014, IEEE Signal Process. Lett. 21. Interval: logit scale, t with
    Satterthwaite degrees of freedom (m - 1 and n - 1), where the usual one takes the normal quantile.
    Where the variance is 0 the interval is ``guaranteed_interval``. Raises MeasurementUndefined for fewer than two
    positives or negatives, and for scores that aren't finite.
    """
    x, y = _two_samples(positives, negatives)
    rows, columns = _components(x, y)
    value = float(rows.mean())
    variance, degrees = _variance(rows, columns)
    if variance <= 1e-24 or not 0 < value < 1:
        return Discrimination(
            value, 0.0, guaranteed_interval(value, min(len(x), len(y)), level), GUARANTEED, len(x), len(y)
        )
    interval = logit_interval(value, math.sqrt(variance), degrees, level)
    return Discrimination(value, variance, interval, DELONG, len(x), len(y))


def auroc_difference(first: ArrayLike, second: ArrayLike, positive: ArrayLike, level: float = 0.95) -> AurocDifference:
    """AUROC of scores ``first`` (N,) minus that of ``second`` (N,) on the same items with labels ``positive`` (N,).

    The variance is that of the difference of the structural components, which is L S L' of DeLong et al. 1988 with
    L = (1, -1). Where it is 0 (both scores order all pairs alike) interval and p-value come from Hoeffding's bound for
    the kernel (1 + k_1 - k_2)/2. Raises MeasurementUndefined as ``auroc`` does.
    """
    labels = check_labels(positive)
    a, b = (check_scores(scores, "scored") for scores in (first, second))
    if not (a.shape == b.shape == labels.shape):
        raise MeasurementUndefined("both scores and the label are needed for every item", seen=f"{a.shape}, {b.shape}")
    rows_a, columns_a = _components(*_two_samples(a[labels], a[~labels]))
    rows_b, columns_b = _components(*_two_samples(b[labels], b[~labels]))
    one, two = float(rows_a.mean()), float(rows_b.mean())
    value = one - two
    variance, degrees = _variance(rows_a - rows_b, columns_a - columns_b)
    if variance <= 1e-24:
        num = min(len(rows_a), len(columns_a))
        half = guaranteed_interval((1 + value) / 2, num, level)
        limits = Interval(2 * half.low - 1, 2 * half.high - 1)
        p_value = min(1.0, 2 * math.exp(-num * _divergence((1 + value) / 2, 0.5)))
        return AurocDifference(one, two, value, 0.0, limits, p_value, GUARANTEED)
    error = math.sqrt(variance)
    limits = t_interval(value, error, degrees, level)
    limits = Interval(max(-1.0, limits.low), min(1.0, limits.high))
    p_value = float(2 * stdtr(degrees, -abs(value) / error))
    return AurocDifference(one, two, value, variance, limits, p_value, DIFFERENCE)


def guaranteed_interval(value: float, num_pairs: int, level: float = 0.95) -> Interval:
    """All t with exp(-k KL(value || t)) >= (1 - level)/2, k = ``num_pairs`` = min(m, n): valid at every sample size.

    A U-statistic with a kernel in [0, 1] is an average, over all ways to pair items off, of means of k independent
    terms, so P(U >= u) <= exp(-k KL(u || E U)). Hoeffding 1963, J. Am. Stat. Assoc. 58, Theorem 1 and section 5.
    At perfect separation the lower limit is ((1 - level)/2)^(1/k), the exact bound for k pairs without an error.
    Much wider than DeLong's interval: k pairs of the m n are all it counts.
    """
    alpha = (1 - check_share("level", level)) / 2
    if num_pairs < 1 or not 0 <= value <= 1:
        raise MeasurementUndefined(
            "a bound needs a value in [0, 1] and pairs", seen=f"{value} of {num_pairs} pairs", allowed="1 pair or more"
        )
    budget = -math.log(alpha) / num_pairs
    return Interval(1 - _furthest(1 - value, budget), _furthest(value, budget))


def tpr_at_fpr(
    positives: ArrayLike,
    negatives: ArrayLike,
    fpr: float,
    *,
    level: float = 0.95,
    counted: ArrayLike | None = None,
) -> OperatingPoint:
    """True positive rate at the largest threshold rule that flags at most a share ``fpr`` of ``negatives`` (n,).

    With a = floor(fpr n), the threshold t is the (a + 1)-th largest negative and an item is flagged if its score is
    strictly above t, so ties never raise the rate above ``fpr``. The positives play no part in choosing t: given t,
    flagged positives are binomial, and ``tpr_interval`` (Clopper-Pearson) is exact at ``level``.

    ``fpr_bound`` holds with confidence (1 + level)/2. With ``counted`` (other negatives, independent of those that
    chose t) it is the Clopper-Pearson bound of their count. Without, the same negatives choose and count: the true rate
    of t is then the (a + 1)-th smallest of n uniform variables, Beta(a + 1, n - a) if scores are continuous and less
    otherwise, so the quantile of that is exact too (Wilks 1941). Both need ``fpr`` fixed before the scores were seen;
    neither says anything about a threshold picked as the best of several.
    Raises MeasurementUndefined for no positives, no negatives, or scores that aren't finite.
    """
    x, y = check_scores(positives, "positive"), check_scores(negatives, "negative")
    allowed = min(len(y) - 1, math.floor(check_share("fpr", fpr) * len(y) * (1 + 1e-12)))
    threshold = float(np.sort(y)[len(y) - 1 - allowed])
    confidence = (1 + check_share("level", level)) / 2
    if counted is None:
        bound = upper_bound(allowed, len(y), confidence)
    else:
        others = check_scores(counted, "negative")
        bound = upper_bound(int((others > threshold).sum()), len(others), confidence)
    flagged = int((x > threshold).sum())
    return OperatingPoint(
        threshold=threshold,
        fpr=float((y > threshold).mean()),
        fpr_bound=bound,
        tpr=flagged / len(x),
        tpr_interval=clopper_pearson(flagged, len(x), level),
        num_positives=len(x),
        num_negatives=len(y),
    )


def _two_samples(positives: ArrayLike, negatives: ArrayLike) -> tuple[Floats, Floats]:
    x, y = check_scores(positives, "positive"), check_scores(negatives, "negative")
    if min(len(x), len(y)) < 2:
        raise MeasurementUndefined(
            "an interval for AUROC needs two positives and two negatives",
            seen=f"{len(x)} positives, {len(y)} negatives",
            allowed="2 or more of each",
            next_step="add items of the rare kind; ustatistics.u_value gives the value alone",
        )
    return x, y


def _components(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """V10 (m,) and V01 (n,)."""
    return mid_rank_sums(x, y) / len(y), 1 - mid_rank_sums(y, x) / len(x)


def _variance(rows: Floats, columns: Floats) -> tuple[float, float]:
    parts = [(float(v.var(ddof=1)) / len(v), len(v) - 1) for v in (rows, columns)]
    return satterthwaite(parts)


def _divergence(u: float, t: float) -> float:
    """KL(Bernoulli(u) || Bernoulli(t))."""
    first = u * math.log(u / t) if u > 0 else 0.0
    return first + ((1 - u) * math.log((1 - u) / (1 - t)) if u < 1 else 0.0)


def _furthest(u: float, budget: float) -> float:
    """The largest t >= u with KL(u || t) <= budget; 1 - exp(-budget) at u = 0, and 1 at u = 1."""
    if u >= 1:
        return 1.0
    low, high = u, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        if middle >= 1 or _divergence(u, middle) > budget:
            high = middle
        else:
            low = middle
    return high
