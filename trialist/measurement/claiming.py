"""A sample and a confidence -> one-sided bounds with a guaranteed error: they may carry a claim."""

from __future__ import annotations

import math
from collections.abc import Callable

from trialist.measurement import (
    bank_mean,
    betting,
    cluster_bound,
    clustered,
    fixed_bank,
    independent_trials,
    noninferiority,
    proportions,
)
from trialist.measurement.choose import Bank, Choice, MethodName, choose
from trialist.measurement.interval import Interval
from trialist.measurement.sample import Sample
from trialist.measurement.uncertainty import Uncertainty, by_method, design_of, refused
from trialist.records import Side

Bounds = tuple[float, float, str]


def claim_bounds(sample: Sample, confidence: float, side: Side | None, bank: Bank | None = None) -> Uncertainty:
    """One-sided bounds, each holding with ``confidence``, over all attempted items: for the lower bound the missing are
    at the worst, for the upper bound at the best value they could have."""
    lowest, highest = (sample.filled(0), sample.filled(1)) if sample.plain else (sample, sample)
    if lowest is None or highest is None:
        choice = Choice(None, "no bounds: the metric doesn't say what missing items could be", "give it extremes")
        return refused(choice)
    choice = choose(design_of(lowest, bank), "claim")
    if choice.method is None:
        return refused(choice, "no bounds: ")
    lower, upper, text = _CLAIM[choice.method](lowest, highest, confidence, side, bank)
    return by_method(choice.method, Interval(lower, upper), text=text)


def _exact(lowest: Sample, highest: Sample, confidence: float, _: Side | None, bank: Bank | None) -> Bounds:
    n = len(lowest.values)
    lower = proportions.lower_bound(round(float(lowest.units().sum())), n, confidence)
    return lower, proportions.upper_bound(round(float(highest.units().sum())), n, confidence), ""


def _betting(lowest: Sample, highest: Sample, confidence: float, _: Side | None, bank: Bank | None) -> Bounds:
    below, above = _both(lowest, highest)
    low, high = lowest.metric.low, lowest.metric.high
    lower = betting.lower_mean(below.means, below.sizes, low=low, high=high, confidence=confidence)
    return lower, betting.upper_mean(above.means, above.sizes, low=low, high=high, confidence=confidence), ""


def _rare_clusters(lowest: Sample, highest: Sample, confidence: float, side: Side | None, bank: Bank | None) -> Bounds:
    half = (1 + confidence) / 2
    below, above = _both(lowest, highest)
    lower, upper, _ = _betting(lowest, highest, half, side, bank)
    counted = cluster_bound.lower_mean(below.means, below.sizes, confidence=half)
    return max(lower, counted), min(upper, cluster_bound.upper_mean(above.means, above.sizes, confidence=half)), ""


def _difference(lowest: Sample, highest: Sample, confidence: float, side: Side | None, bank: Bank | None) -> Bounds:
    (below, above), high = _both(lowest, highest), lowest.metric.high
    bounds = noninferiority.difference_bounds(
        below.means / high, below.sizes, confidence=confidence, side=side, binary=lowest.binary,
        highest=above.means / high,
    )  # fmt: skip
    return high * bounds.lower, high * bounds.upper, bounds.method


def _bank_share(lowest: Sample, highest: Sample, confidence: float, _: Side | None, bank: Bank | None) -> Bounds:
    n, size = len(lowest.values), bank.size if bank else len(lowest.values)
    lower = fixed_bank.lower_total(round(float(lowest.units().sum())), n, size, confidence)
    upper = fixed_bank.upper_total(round(float(highest.units().sum())), n, size, confidence)
    return lower / size, upper / size, ""


def _bank_betting(lowest: Sample, highest: Sample, confidence: float, _: Side | None, bank: Bank | None) -> Bounds:
    size = bank.size if bank else len(lowest.values)
    low, high = lowest.metric.low, lowest.metric.high
    lower = bank_mean.lower_bank_mean(lowest.units(), size, low=low, high=high, confidence=confidence)
    return lower, bank_mean.upper_bank_mean(highest.units(), size, low=low, high=high, confidence=confidence), ""


def _hoeffding(lowest: Sample, highest: Sample, confidence: float, _: Side | None, bank: Bank | None) -> Bounds:
    low, high = lowest.metric.low, lowest.metric.high
    if not lowest.equal_weights:
        return _weighted_hoeffding(lowest, highest, confidence)
    # The mean of more answers to an item is less spread than that of the fewest (in convex order): the bound holds.
    num_answers = int(lowest.num_epochs.min()) * len(lowest.ids)
    lower, upper = (
        independent_trials.summary_bounds(_clusters(one).mean, num_answers, low=low, high=high, confidence=confidence)
        for one in (lowest, highest)
    )
    return lower.lower, upper.upper, ""


def _weighted_hoeffding(lowest: Sample, highest: Sample, confidence: float) -> Bounds:
    """mean -+ (high - low) sqrt(ln(1 / alpha) sum w^2 / (2 K)), weights of sum 1, K the fewest answers to an item;
    Hoeffding 1963, theorem 2."""
    low, high = lowest.metric.low, lowest.metric.high
    share = lowest.weights[:, 0] / lowest.weights[:, 0].sum()
    squares = float((share**2).sum()) / (2 * int(lowest.num_epochs.min()))
    reach = (high - low) * math.sqrt(-math.log1p(-confidence) * squares)
    return max(low, _clusters(lowest).mean - reach), min(high, _clusters(highest).mean + reach), ""


def _both(lowest: Sample, highest: Sample) -> tuple[clustered.Clusters, clustered.Clusters]:
    """The clusters of both samples; they are one and the same where nothing is missing."""
    below = _clusters(lowest)
    return below, below if highest is lowest else _clusters(highest)


def _clusters(sample: Sample) -> clustered.Clusters:
    return clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0])


_CLAIM: dict[MethodName, Callable[[Sample, Sample, float, Side | None, Bank | None], Bounds]] = {
    "clopper-pearson": _exact,
    "betting": _betting,
    "rare-clusters": _rare_clusters,
    "noninferiority": _difference,
    "hypergeometric-bounds": _bank_share,
    "bank-betting": _bank_betting,
    "hoeffding": _hoeffding,
}
