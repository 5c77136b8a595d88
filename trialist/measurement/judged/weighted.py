"""Gold items drawn with unequal, known probabilities: Horvitz-Thompson betting bounds, guaranteed at any sample size.

Item i of N was labelled (I_i = 1) with inclusion probability pi_i > 0. For c in {0, 1} on the scale [0, 1]:

    x_i = c + I_i (Y_i - c) / pi_i,   E[x_i] = Y_i,   c = 0: x_i in [0, b];   c = 1: x_i in [1 - b, 1];   b = 1 / min pi
    K(m) = mean over c and lambda of prod_i (1 + lambda (m - x_i)),   lambda on a grid in (0, CAP / (high of x - m)]

*Validity* for the bank mean m = mean Y_i. Independent inclusion: E prod = prod (1 + lambda (m - Y_i)) <= 1, because a
product of non-negative numbers with mean 1 is at most 1 (arithmetic-geometric means). Sampling without replacement,
also within strata: the I_i are negatively associated (Joag-Dev & Proschan 1983, Ann. Stat. 11), and for one c every
factor is monotone in I_i in the same direction and not negative, so E prod <= prod E. Independent items from a
superpopulation: the x_i are independent with mean m. An average of e-values is an e-value; Markov's inequality ends it.

Bets are constants, because the argument for a bank holds for those only; the grid is geometric. c = 0 is the better one
for rare events and c = 1 for frequent ones, because the number of labelled items is itself random and its noise falls
on the rarer class only. Horvitz & Thompson 1952, J. Am. Stat. Assoc. 47.

The value is the ratio estimator sum(I Y / pi) / sum(I / pi) (Hajek 1971), which stays on the scale. One item with a
tiny pi makes the bounds wide: every bet must survive its 1 / pi. That is the price of a guarantee.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.betting import CAP
from trialist.measurement.interval import check_share
from trialist.measurement.judged.gold import Bounds
from trialist.measurement.judged.items import Floats, JudgedItems
from trialist.measurement.judged.reliance import NUM_HALVINGS

NUM_BETS = 16
"""Bets CAP 2^(-j/2) of the largest allowed, j = 0, 1, ..., 15: down to 1/180 of it."""


def weighted_mean(items: JudgedItems, inclusion: ArrayLike) -> float:
    """The ratio estimator. ``inclusion`` (N,) holds pi_i of every item, labelled or not."""
    weights = 1 / _inclusion(items, inclusion)[items.labelled]
    return float(weights @ items.labels / weights.sum())


def weighted_bounds(items: JudgedItems, inclusion: ArrayLike, *, confidence: float = 0.95) -> Bounds:
    """One-sided bounds. Raises MeasurementUndefined unless 0 < pi_i <= 1 for every item, labelled or not: items that
    could not be labelled are outside what the labels speak for."""
    pi = _inclusion(items, inclusion)
    target = -math.log(1 - check_share("confidence", confidence))
    unit, span = items.unit(), items.high - items.low
    value = (weighted_mean(items, pi) - items.low) / span
    upper = max(value, _upper(unit, pi, target))
    lower = min(value, 1 - _upper(unit.mirrored(), pi, target))
    if lower >= upper:
        raise MeasurementUndefined(
            "no mean is consistent with the labels and their inclusion probabilities",
            seen=f"bounds {lower:g} and {upper:g}",
            next_step="check the inclusion probabilities against how the items were drawn",
        )
    method = "Horvitz-Thompson betting bounds, gold labels with known inclusion probabilities"
    return Bounds(items.low + span * lower, items.low + span * upper, method)


def _upper(items: JudgedItems, pi: Floats, target: float) -> float:
    labels = np.where(items.labelled, items.gold, 0.0)
    largest = 1 / float(pi.min())
    sides = [(np.where(items.labelled, labels / pi, 0.0), largest)]
    sides.append((1 - np.where(items.labelled, (1 - labels) / pi, 0.0), 1.0))
    # Values repeat (every unlabelled item has the same), so the products run over the distinct ones.
    counted = [(*np.unique(x, return_counts=True), high) for x, high in sides]
    if _log_capital(1 - 1e-12, counted) < target:
        return 1.0
    below, above = 0.0, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (below + above) / 2
        if _log_capital(middle, counted) >= target:
            above = middle
        else:
            below = middle
    return above


def _log_capital(m: float, sides: list[tuple[Floats, np.ndarray, float]]) -> float:
    shares = CAP * 2.0 ** (-np.arange(NUM_BETS) / 2)
    logs = [np.log1p(np.outer(shares / (high - m), m - values)) @ counts for values, counts, high in sides]
    all_logs = np.concatenate(logs)
    top = float(all_logs.max())
    return top + math.log(float(np.exp(all_logs - top).mean()))


def _inclusion(items: JudgedItems, inclusion: ArrayLike) -> Floats:
    pi = np.asarray(inclusion, dtype=np.float64)
    if pi.shape != items.judge.shape:
        raise MeasurementUndefined(
            "each item needs an inclusion probability", seen=f"{pi.shape}", allowed=f"({items.num_judged},)"
        )
    bad = ~((pi > 0) & (pi <= 1))
    if bad.any():
        raise MeasurementUndefined(
            "inclusion probabilities must be above 0 and at most 1",
            seen=f"{pi[bad][0]} at position {int(bad.argmax())}",
            allowed="0 < pi <= 1 for every item, labelled or not",
            next_step="leave items that could not be labelled out of the bank, and say so",
        )
    return pi
