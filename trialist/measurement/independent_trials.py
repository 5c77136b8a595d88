"""Independent trials with *different* chances: all items of a fixed bank answered, K times each.

Nothing was sampled but the answers, so the only noise is that of generation. The estimand is the mean over these items
of each item's expected score, mu = mean_i E[x_i]. Answers are independent and not identically distributed; no item
stands for others, and the bounds say nothing about other items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, check_share, t_quantile
from trialist.measurement.proportions import upper_bound

Floats = NDArray[np.float64]
NUM_HALVINGS = 60
LOWEST_CONFIDENCE = 0.75


@dataclass(frozen=True)
class TrialBounds:
    """One-sided bounds on mu, each holding with the confidence asked for."""

    lower: float
    upper: float
    method: str


def upper_share(k: int, n: int, confidence: float = 0.95) -> float:
    """Upper bound on mean(p_1..p_n) from ``k`` events in ``n`` independent trials with chances p_i, equal or not.

    Clopper & Pearson's bound; at k = n - 1 it is 1 - alpha / n. Proof, with p the mean of the p_i, S the events and c
    the largest count whose bound lies below p: the bound misses exactly if S <= c. For c < n - 1,
    P(Bin(n, p) <= c) < alpha <= 1/4. As P(Bin(n, p) <= np) > 1/4 for p < 1 - 1/n (Greenberg & Mohri 2014, Statist.
    Probab. Lett. 86), c <= np - 1; for p >= 1 - 1/n that holds as c <= n - 2. For whole c <= np - 1 Hoeffding has
    P(S <= c) <= P(Bin(n, p) <= c) (1956, Ann. Math. Statist. 27, theorem 5). For c = n - 1 the bound says
    p > 1 - alpha / n, and P(S <= n - 1) <= sum_i (1 - p_i) = n (1 - p) < alpha.
    Raises MeasurementUndefined unless 0 <= k <= n, n > 0, and for a confidence below .75, where this isn't proven.
    """
    check_count(k, n)
    alpha = 1 - check_share("confidence", confidence)
    if confidence < LOWEST_CONFIDENCE:
        raise MeasurementUndefined(
            "the bound for unequal chances isn't proven at this confidence", seen=f"{confidence:g}", allowed=".75 to 1"
        )
    return 1 - alpha / n if k == n - 1 else upper_bound(k, n, confidence)


def lower_share(k: int, n: int, confidence: float = 0.95) -> float:
    """Lower bound: the mirror image of ``upper_share``."""
    check_count(k, n)
    return 1 - upper_share(n - k, n, confidence)


def bounds(
    values: ArrayLike, *, binary: bool, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> TrialBounds:
    """Guaranteed bounds on mu from ``values`` (n, K) in [low, high]; K = 1 is enough.

    ``binary``: every score is ``low`` or ``high`` by its kind (not: happened to be): ``upper_share`` over the nK
    answers. Otherwise Hoeffding's inequality in its entropy form: from the mean x outwards all mu with
    nK kl(x, mu) <= ln(1 / alpha), kl that of two coins, both scaled to [0, 1] (1963, J. Am. Stat. Assoc. 58, theorem 1,
    (2.1)); always inside the better known x +- sqrt(ln(1 / alpha) / (2nK)).
    Raises MeasurementUndefined for no answers and for values outside [low, high] (or between them, if binary).
    """
    x = _answers(values)
    check_share("confidence", confidence)
    if not (math.isfinite(low) and math.isfinite(high) and low < high and ((x >= low) & (x <= high)).all()):
        raise MeasurementUndefined(
            "scores outside their range", seen=f"{x.min():g} to {x.max():g}", allowed=f"[{low}, {high}]"
        )
    unit, n = (x - low) / (high - low), x.size
    if binary:
        if not np.isin(unit, (0.0, 1.0)).all():
            raise MeasurementUndefined("a binary score lies between its two values", allowed=f"{low} or {high}")
        k, method = int(unit.sum()), "Clopper-Pearson over answers of unequal chances (Hoeffding 1956)"
        lower, upper = lower_share(k, n, confidence), upper_share(k, n, confidence)
        return TrialBounds(low + (high - low) * lower, low + (high - low) * upper, method)
    return summary_bounds(float(x.mean()), n, low=low, high=high, confidence=confidence)


def summary_bounds(
    mean: float, num_answers: int, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> TrialBounds:
    """``bounds`` of graded scores from their mean alone: as many answers to every item, ``num_answers`` in all."""
    unit = (mean - low) / (high - low)
    reach = -math.log1p(-check_share("confidence", confidence)) / num_answers
    lower, upper = 1 - _entropy_limit(1 - unit, reach), _entropy_limit(unit, reach)
    return TrialBounds(low + (high - low) * lower, low + (high - low) * upper, "Hoeffding 1963, entropy form")


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Interval that describes: mean +- t SE, SE^2 = sum_i s_i^2 / K / n^2 with s_i^2 the variance of item i's answers.

    ``values`` (n, K), K >= 2. Degrees of freedom by Satterthwaite: (sum_i s_i^2)^2 / sum_i (s_i^4 / (K - 1)); two
    answers to binary items make that the number of items whose answers differ. Spread between items doesn't count.
    Raises MeasurementUndefined for K < 2 and where no item's answers differ.
    """
    x = _answers(values)
    num_epochs = x.shape[1]
    if num_epochs < 2:
        raise MeasurementUndefined(
            "one answer an item doesn't show the noise of generation", seen="K = 1", allowed="K >= 2",
            next_step="answer each item at least twice, or use bounds()",
        )  # fmt: skip
    return summary_interval(float(x.mean()), x.var(axis=1, ddof=1), np.full(len(x), num_epochs), level)


def summary_interval(mean: float, spread: Floats, num_epochs: NDArray[np.int64], level: float = 0.95) -> Interval:
    """``interval`` from each item's variance s_i^2 (n,) and its number of answers K_i >= 2 (n,): the mean over items +-
    t SE, SE^2 = sum_i s_i^2 / K_i / n^2, degrees (sum_i s_i^2 / K_i)^2 / sum_i (s_i^2 / K_i)^2 / (K_i - 1)."""
    parts = spread / num_epochs
    total = float(parts.sum())
    if total <= 1e-24 * max(1.0, mean**2):
        raise MeasurementUndefined(
            "no item's answers differ, so the noise of generation can't be estimated",
            next_step="use bounds(), which hold without a variance; or check that sampling isn't greedy",
        )
    degrees = total**2 / float((parts**2 / (num_epochs - 1)).sum())
    half = t_quantile(level, degrees) * math.sqrt(total) / len(spread)
    return Interval(mean - half, mean + half)


def _entropy_limit(mean: float, reach: float) -> float:
    """The largest m >= mean with kl(mean, m) <= reach."""
    kept, rejected = mean, 1.0
    if mean >= 1:
        return 1.0
    for _ in range(NUM_HALVINGS):
        middle = (kept + rejected) / 2
        if middle >= 1 or _divergence(mean, middle) > reach:
            rejected = middle
        else:
            kept = middle
    return rejected


def _divergence(p: float, q: float) -> float:
    """kl(p, q) = p ln(p/q) + (1 - p) ln((1 - p)/(1 - q)), 0 < q < 1."""
    first = p * math.log(p / q) if p > 0 else 0.0
    return first + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)


def _answers(values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.size == 0 or not np.isfinite(x).all():
        raise MeasurementUndefined("answers must be a finite table of items x epochs", seen=f"shape {x.shape}")
    return x
