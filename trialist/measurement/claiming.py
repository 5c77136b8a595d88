"""A sample and a confidence -> one-sided bounds with a guaranteed error: they may carry a claim."""

from __future__ import annotations

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
    below, above = _clusters(lowest), _clusters(highest)
    low, high = lowest.metric.low, lowest.metric.high
    lower = betting.lower_mean(below.means, below.sizes, low=low, high=high, confidence=confidence)
    return lower, betting.upper_mean(above.means, above.sizes, low=low, high=high, confidence=confidence), ""


def _rare_clusters(lowest: Sample, highest: Sample, confidence: float, side: Side | None, bank: Bank | None) -> Bounds:
    half = (1 + confidence) / 2
    below, above = _clusters(lowest), _clusters(highest)
    lower, upper, _ = _betting(lowest, highest, half, side, bank)
    counted = cluster_bound.lower_mean(below.means, below.sizes, confidence=half)
    return max(lower, counted), min(upper, cluster_bound.upper_mean(above.means, above.sizes, confidence=half)), ""


def _difference(lowest: Sample, highest: Sample, confidence: float, side: Side | None, bank: Bank | None) -> Bounds:
    below, above, high = _clusters(lowest), _clusters(highest), lowest.metric.high
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
    num_answers = int(lowest.num_epochs.min()) * len(lowest.ids)
    lower, upper = (
        independent_trials.summary_bounds(_clusters(one).mean, num_answers, low=low, high=high, confidence=confidence)
        for one in (lowest, highest)
    )
    return lower.lower, upper.upper, ""


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
