"""One-sided claim bounds that hold at every look at once, for trials that ask on until their claims are decided.

Clusters of items are asked in an order drawn before the data, cluster t with n_t items and the mean Y_t. What is
assumed: given the past, E[n_t (Y_t - mu)] = 0, as for clusters that are independent draws of one process in a random
order; mu = E[n Y] / E[n] is then the item-weighted mean. For every candidate m a capital K_t(m) is bet against
"mu <= m", in bets fixed before Y_t is seen:

- *Betting.* K_t = sum over j of (1/J) prod_{s<=t} (1 + lambda_sj w_s (Y_s - m)), with w_s = n_s / n_max and
  0 <= lambda_sj <= SHARE / m for Y in [0, 1]. n_max is the largest of the *registered* clusters, known before any
  answer, so w <= 1 and every factor is at least 1 - SHARE > 0. If mu <= m, then E[w_t (Y_t - m) | past] =
  E[w_t | past] (mu - m) <= 0, each factor has a conditional mean of at most 1, and K is a nonnegative supermartingale
  from 1, as is an average over j. The j are the gaps d of ``wealth.UNIVERSAL``, as shares of the range:
  lambda = g / (v + g^2) with g = d times the mean weight so far and v the running variance of w (Y - mean), the best
  constant bets for a mean d above m.
- *Rate.* One binary item a cluster: the Beta mixture of ``sequential.rate``, inverted by ``rate_sequence``.

**Why looks are free.** Ville's inequality: P(K_t(mu) >= 1/alpha for some t) <= alpha. The lower bound after t clusters
is the supremum of {m : max_{s<=t} K_s(m) >= 1/alpha}; it lies above mu only if mu itself was refuted at some s <= t,
since K falls in m (lambda is constant in m or SHARE / m, and the factor falls either way). So with probability at least
``confidence`` it lies below mu at *all* t, whatever rule decides when to look and when to stop. The sets grow with t:
bounds never retreat, and a claim that a bound has decided stays decided. The upper bound is the mirror image.

*Paired differences* are means in [-1, 1], by betting. At a fixed number ``noninferiority`` also counts clusters that
lose, at half the error each. Here that loses: 260 clusters, confidence .95, none, 2, 4 of them lost, mean lower bound
by betting at the full error -.0177, -.0279, -.0383, the better of both at half -.0174, -.0313, -.0419.

Which rule applies is fixed by the registered items and the claim, not by what was seen so far: a rule that changed
from look to look would spend the error twice. Missing values are at their worst for each bound. The running mean may
leave the bounds, and the two bounds may cross, where the process drifts along the order; crossed bounds are refused.

Waudby-Smith & Ramdas 2024, J. R. Stat. Soc. B 86, sections 4 and 5; Ville 1939; Robbins 1970. The weights are ours, as
in ``betting``; averaging over permutations, as there, is not possible while items arrive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.choose import Choice
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.sample import Floats, Ints, Sample
from trialist.measurement.score_table import ItemIndex
from trialist.measurement.sequential.rate_sequence import running_upper_bound
from trialist.measurement.sequential.wealth import PRIOR_VARIANCE, UNIVERSAL
from trialist.measurement.uncertainty import Uncertainty, refused

SHARE = UNIVERSAL.share
NUM_HALVINGS = 45
RATE = (
    "one-sided bounds that hold at every look: Beta mixture e-process, inverted",
    "Ville 1939; Robbins 1970",
    "independent binary items, asked until decided",
)
BETTING = (
    "one-sided betting bounds over clusters in the order drawn, which hold at every look",
    "Waudby-Smith & Ramdas 2024; Ville 1939",
    "bounded values in clusters of any kind, asked until decided",
)
"""Method, citation, and when it is the default."""


def claim_bounds_anytime(sample: Sample, index: ItemIndex, confidence: float) -> Uncertainty:
    """Lower and upper bound, each holding with ``confidence`` at all looks together; see the module.

    ``index`` holds the registered items with their ``rank``, the place in the order in which they are asked. Looks fall
    between clusters; a last cluster of which items are still to be asked is left out.
    Refuses, with the reason, what has no such bound: functions of means, unequal weights, values without finite bounds,
    an order that splits clusters.
    """
    choice = _refusal(sample, index)
    lowest, highest = (sample.filled(0), sample.filled(1)) if sample.plain else (None, None)
    if choice is not None or lowest is None or highest is None:
        return refused(choice or Choice(None, "the metric doesn't say what missing items could be"), "no bounds: ")
    drawn = _drawn(sample, index)
    if not len(drawn.sizes):
        return refused(Choice(None, "no cluster has been asked in full", "ask on"), "no bounds: ")
    low, high = sample.metric.low, sample.metric.high
    below, above = drawn.means(lowest), drawn.means(highest)
    is_rate = sample.binary and not sample.paired and drawn.largest == 1
    bound = _lower_rate if is_rate else _lower_by_betting
    lower = bound(drawn, below, (low, high), confidence)
    upper = -bound(drawn, -above, (-high, -low), confidence)
    if lower > upper:
        reason = f"no bounds: by {lower:.3g} and {upper:.3g} every mean has been refuted"
        return refused(Choice(None, reason, "look for a rate that changes along the order of the items"))
    text, citation, why = RATE if is_rate else BETTING
    return Uncertainty(text, citation, Interval(lower, upper), why=why)


def lower_mean(
    means: ArrayLike, sizes: ArrayLike | None = None, *, largest: float | None = None, low: float = 0.0,
    high: float = 1.0, confidence: float = 0.95,
) -> float:  # fmt: skip
    """Lower bound on the item-weighted mean by betting, holding at all beginnings of ``means`` at once.

    ``means`` (C,) are cluster means in [low, high] in the order drawn, ``sizes`` (C,) their numbers of items, 1 each if
    None, ``largest`` the registered items' largest cluster (None: of ``sizes``, for a sequence that is complete).
    Raises MeasurementUndefined for no clusters, values outside [low, high], sizes above ``largest`` or not positive.
    """
    y, w = _unit(means, sizes, largest, low, high)
    target = math.log(1 / (1 - check_share("confidence", confidence)))
    stakes = _stakes(y, w)
    below, above = 0.0, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (below + above) / 2
        if float(log_capital(middle, stakes, y, w).max()) >= target:
            below = middle
        else:
            above = middle
    return low + (high - low) * below


def log_capital(m: float, stakes: Floats, y: Floats, w: Floats) -> Floats:
    """log K_t(m) after each cluster, (C,); ``stakes`` (J, C) before their cap."""
    gains = np.minimum(stakes, SHARE / m) * (w * (y - m))
    logs = np.cumsum(np.log1p(gains), axis=1) + np.array(UNIVERSAL.log_weights())[:, None]
    return np.logaddexp.reduce(logs, axis=0)


def _stakes(y: Floats, w: Floats) -> Floats:
    """lambda_tj from what was seen before t, (J, C). One value of the largest variance stands before the first."""
    num_seen = np.arange(len(y), dtype=np.float64)
    running = (0.5 + np.cumsum(w * y)) / (1 + np.cumsum(w))
    squares = _before(np.cumsum((w * (y - running)) ** 2), 0.0)
    weight = _before(np.cumsum(w), 1.0) / np.maximum(num_seen, 1)
    scale = _before(np.cumsum(w**2), 1.0) / np.maximum(num_seen, 1)
    variance = (scale * PRIOR_VARIANCE + squares) / (num_seen + 1)
    gaps = np.array(UNIVERSAL.gaps)[:, None] * weight
    return gaps / (variance + gaps**2)


def _before(totals: Floats, first: float) -> Floats:
    return np.concatenate([[first], totals[:-1]])


@dataclass(frozen=True)
class _Drawn:
    """Whole clusters in the order drawn: ``rows`` of the sample with the ``place`` (n,) of their cluster, ``sizes``
    (C,); ``largest`` is the size of the largest registered cluster."""

    rows: Ints
    place: Ints
    sizes: Floats
    largest: int

    def means(self, sample: Sample) -> Floats:
        return np.bincount(self.place, weights=sample.units()[self.rows], minlength=len(self.sizes)) / self.sizes


def _drawn(sample: Sample, index: ItemIndex) -> _Drawn:
    rank = _ranks(index)
    registered = np.bincount(index.cluster)
    last = np.full(len(registered), -1, dtype=np.int64)
    np.maximum.at(last, index.cluster, rank)
    ends = last[index.cluster[sample.ids]]
    rows = np.flatnonzero(ends <= rank[sample.ids].max())
    place = np.unique(ends[rows], return_inverse=True)[1].astype(np.int64)
    sizes = np.bincount(place).astype(np.float64)
    return _Drawn(rows, place, sizes, int(registered.max()))


def _lower_rate(drawn: _Drawn, means: Floats, limits: tuple[float, float], confidence: float) -> float:
    low, high = limits
    return high - (high - low) * running_upper_bound((high - means) / (high - low), confidence=confidence)


def _lower_by_betting(drawn: _Drawn, means: Floats, limits: tuple[float, float], confidence: float) -> float:
    low, high = limits
    return lower_mean(means, drawn.sizes, largest=drawn.largest, low=low, high=high, confidence=confidence)


def _refusal(sample: Sample, index: ItemIndex) -> Choice | None:
    if not sample.plain:
        reason = "no bound that holds at every look exists here for this metric"
        return Choice(None, reason, "claim the mean of one bounded measure, or stopping: fixed")
    if not (math.isfinite(sample.metric.low) and math.isfinite(sample.metric.high)):
        return Choice(None, "no guaranteed bound exists for values without finite bounds", "give the metric its bounds")
    if sample.second is not None:
        reason = "no bound that holds at every look exists here for two facets that cut across each other"
        return Choice(None, reason, "claim about this template alone")
    if not sample.equal_weights:
        reason = "items have unequal weights, and the largest isn't known before the answers"
        return Choice(None, reason, "equal weights, or stopping: fixed")
    in_order = index.cluster[np.argsort(_ranks(index))]
    if 1 + int((in_order[1:] != in_order[:-1]).sum()) > len(np.unique(in_order)):
        return Choice(
            None, "the order of the items splits clusters", "an order that keeps the items of a cluster together"
        )
    return None


def _ranks(index: ItemIndex) -> Ints:
    if index.rank is None:
        raise MeasurementUndefined(
            "the items don't say in which order they were drawn", next_step="make the index with reading.index_items"
        )
    return index.rank


def _unit(
    means: ArrayLike, sizes: ArrayLike | None, largest: float | None, low: float, high: float
) -> tuple[Floats, Floats]:
    y = np.asarray(means, dtype=np.float64)
    n = np.ones_like(y) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined("betting needs finite bounds, low < high", seen=f"[{low}, {high}]")
    if y.ndim != 1 or len(y) == 0 or y.shape != n.shape:
        raise MeasurementUndefined("betting needs clusters, each with a size", seen=f"{y.shape} means, {n.shape} sizes")
    most = float(n.max()) if largest is None else float(largest)
    if not ((n > 0) & (n <= most)).all():
        raise MeasurementUndefined("cluster sizes must be positive, and none above the largest registered", seen=str(n))
    x = (y - low) / (high - low)
    if not ((x >= -1e-9) & (x <= 1 + 1e-9)).all():
        raise MeasurementUndefined("cluster means outside their range", allowed=f"[{low}, {high}]", seen=str(y))
    return np.clip(x, 0.0, 1.0), n / most
