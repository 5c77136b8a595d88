"""Bounds from the gold labels alone: guaranteed at any sample size, whatever the judge.

| labels | fixed bank of N items | superpopulation |
|---|---|---|
| binary | exact hypergeometric bound | Clopper-Pearson |
| graded in [low, high] | betting without replacement | betting |

Hypergeometric upper bound on a bank: the largest share K / N with P(Hypergeometric(N, K, n) <= k) > 1 - confidence. If
the true number is above it, so few as k are found with probability at most 1 - confidence. It is never above
Clopper-Pearson by more than rounding to a whole number of items, and knows that n labels of N are no longer uncertain.

Assumes a simple random sample of the items (bank), or independent items (superpopulation).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, fixed_bank, proportions
from trialist.measurement.interval import check_share
from trialist.measurement.judged import reliance
from trialist.measurement.judged.items import JudgedItems, Population


@dataclass(frozen=True)
class Bounds:
    """One-sided bounds, each holding with the confidence asked for."""

    lower: float
    upper: float
    method: str


def gold_bounds(
    items: JudgedItems, *, population: Population = "bank", confidence: float = 0.95, seed: int = 0
) -> Bounds:
    """Bounds on the mean from the gold labels alone. ``seed`` draws the random orders of betting on a bank.

    Raises MeasurementUndefined where every item of a bank has a gold label: its mean is then known, not estimated.
    """
    check_share("confidence", confidence)
    check_not_census(items, population)
    n, span = items.num_gold, items.high - items.low
    if not items.graded:
        k = int((items.labels == items.high).sum())
        if population == "bank":
            lower = hypergeometric_lower(k, n, items.num_judged, confidence)
            upper = hypergeometric_upper(k, n, items.num_judged, confidence)
            method = "exact hypergeometric bounds, gold labels alone"
        else:
            lower = proportions.lower_bound(k, n, confidence)
            upper = proportions.upper_bound(k, n, confidence)
            method = "Clopper-Pearson bounds, gold labels alone"
        return Bounds(items.low + span * lower, items.low + span * upper, method)
    if population == "bank":
        lower = reliance.lower_mean(items, population=population, confidence=confidence, seed=seed, use_judge=False)
        upper = reliance.upper_mean(items, population=population, confidence=confidence, seed=seed, use_judge=False)
    else:
        lower = betting.lower_mean(items.labels, low=items.low, high=items.high, confidence=confidence)
        upper = betting.upper_mean(items.labels, low=items.low, high=items.high, confidence=confidence)
    return Bounds(lower, upper, "betting bounds, gold labels alone")


def judge_bounds(
    items: JudgedItems, *, population: Population = "bank", confidence: float = 0.95, seed: int = 0
) -> Bounds:
    """Bounds by ``reliance``: betting on the gold labels with the judge as a control variate, finite-sample valid."""
    check_not_census(items, population)
    lower = reliance.lower_mean(items, population=population, confidence=confidence, seed=seed)
    upper = reliance.upper_mean(items, population=population, confidence=confidence, seed=seed)
    return Bounds(lower, upper, "betting bounds with adaptive reliance on the judge")


def best_bounds(
    items: JudgedItems, *, population: Population = "bank", confidence: float = 0.95, seed: int = 0
) -> Bounds:
    """The better of ``gold_bounds`` and ``judge_bounds``, each at half the error (Bonferroni)."""
    half = 1 - (1 - check_share("confidence", confidence)) / 2
    alone = gold_bounds(items, population=population, confidence=half, seed=seed)
    judged = judge_bounds(items, population=population, confidence=half, seed=seed)
    lower, upper = max(alone.lower, judged.lower), min(alone.upper, judged.upper)
    if lower >= upper:
        raise MeasurementUndefined(
            "the gold labels and the judge contradict each other",
            seen=f"gold alone [{alone.lower:g}, {alone.upper:g}], with the judge [{judged.lower:g}, {judged.upper:g}]",
            next_step="check that the gold items are a simple random sample of the judged ones",
        )
    return Bounds(lower, upper, f"the better of {alone.method}, and {judged.method}, at half the error each")


def hypergeometric_upper(k: int, n: int, num_bank: int, confidence: float = 0.95) -> float:
    """Exact upper bound on the share of a bank of ``num_bank`` items, k of n sampled without replacement."""
    return _most_events(k, n, num_bank, confidence) / num_bank


def hypergeometric_lower(k: int, n: int, num_bank: int, confidence: float = 0.95) -> float:
    """Exact lower bound; the mirror image of ``hypergeometric_upper``."""
    # Subtract whole items: 1 - 199/200 is above 1/200 in floating point, and the bound would miss a rate of 1/200.
    return (num_bank - _most_events(n - k, n, num_bank, confidence)) / num_bank


@lru_cache(maxsize=4096)
def _most_events(k: int, n: int, num_bank: int, confidence: float) -> int:
    """``fixed_bank.upper_total``, but an item that nobody labelled stays unknown: one more than was seen is never
    excluded, so no width is zero."""
    return max(fixed_bank.upper_total(k, n, num_bank, confidence), min(k + 1, num_bank - (n - k)))


def check_not_census(items: JudgedItems, population: Population) -> None:
    if population == "bank" and items.num_gold == items.num_judged:
        raise MeasurementUndefined(
            "every item of the bank has a gold label: its mean is known, there is nothing to bound",
            seen=f"mean {float(items.labels.mean()):g} of {items.num_gold} labels",
            next_step="report the mean, or ask about the superpopulation",
        )
