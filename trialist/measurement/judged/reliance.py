"""Guaranteed bounds for a mean from few gold labels, with a judge of unknown quality as a control variate.

Scale [0, 1]. Gold labels Y_t with judge's scores f_t are taken one by one. For each candidate mean m:

    K(m) = prod_t (1 + lambda_t d_t),   d_t = mu_t(m) - Y_t + rho_t g_t,   0 <= lambda_t <= CAP / (1 - mu_t + rho_t c_t)

| population | mu_t(m) | g_t | c_t |
|---|---|---|---|
| bank of N | (N m - sum_{i<t} Y_i) / (N - t + 1) | f_t - mean of f over the items not yet taken | that mean |
| superpopulation | m | f_t - mean of f over a batch of unlabelled items of its own | 1 |

Bet lambda_t and reliance rho_t in [0, 1] are functions of what was taken before t.

*Validity.* Let m be the true mean. Bank: the items come in random order without replacement, so given the past, Y_t has
mean mu_t(m) and f_t has the mean over the items not yet taken, which is known because the judge scored every item.
Superpopulation: (Y_t, f_t) is independent of the past, Y_t has mean m, and f_t and its batch have one mean. Either way
E[d_t | past] = 0 for every predictable rho_t, good judge or bad, so E[K(m)] = 1. As Y <= 1 and g_t >= -c_t,
d_t >= -(1 - mu_t + rho_t c_t), and every factor is at least 1 - CAP > 0. By Markov's inequality K(m) reaches 1/alpha
with probability at most alpha. If mu_t(m) > 1, the items left can't reach m, and m is excluded with certainty.
K rises with m: with r = 1 - mu_t + rho_t c_t a capped factor is 1 + CAP (-1 + (1 - Y_t + rho_t (g_t + c_t)) / r), whose
numerator is not negative and whose r falls with m; an uncapped one rises as mu_t does. So {m: K(m) < 1/alpha} is an
interval up from below, and its end is the upper bound. The lower bound is the mirror image.

*Order.* The average of K over ``NUM_PERMUTATIONS`` orders is an e-value too. On a bank the order has to be random and
not the bank's own (a bank sorted by difficulty would break E[d_t | past] = 0), so orders are drawn from ``seed``, which
must be fixed before the labels and not have drawn the gold items. The guarantee is over sample and seed.

*Reliance.* rho_t is the regression coefficient of Y on the judge over the past, shrunk towards 1/2 by a ridge of 1 in
the sum of squares. R-AutoEval+ (Park, Zecchin & Simeone 2025, arXiv 2505.18659) mixes e-processes over a grid of
constant reliance factors instead. We tried that: the bounds were within a few percent, at five times the work.
Bets are those of ``betting``: lambda_t = sqrt(2 ln(1/alpha) / (n v_{t-1})), v the running variance of Y_t - rho_t g_t.
Betting without replacement: Waudby-Smith & Ramdas 2024, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.betting import CAP, NUM_PERMUTATIONS
from trialist.measurement.interval import check_share
from trialist.measurement.judged.items import Floats, JudgedItems, Population

PRIOR_RELIANCE = 0.5
NUM_HALVINGS = 24
"""The bound is the upper end of the last bracket: at most 1e-7 of the range above the root, and never below it."""


@dataclass(frozen=True)
class Track:
    """What the bets see, each (NUM_PERMUTATIONS, n). ``control`` is rho_t g_t, ``room`` is rho_t c_t, ``taken`` the sum
    of the labels before t. ``num_bank`` is N of a bank, None for a superpopulation."""

    labels: Floats
    control: Floats
    room: Floats
    taken: Floats
    num_bank: int | None

    def centre(self, m: float) -> Floats:
        """mu_t(m)."""
        if self.num_bank is None:
            return np.full_like(self.taken, m)
        left: Floats = self.num_bank - np.arange(self.labels.shape[1], dtype=np.float64)
        return (self.num_bank * m - self.taken) / left


def upper_mean(
    items: JudgedItems,
    *,
    population: Population = "bank",
    confidence: float = 0.95,
    seed: int = 0,
    use_judge: bool = True,
) -> float:
    """Upper bound on the mean, holding with at least ``confidence`` whatever the judge.

    Assumes a simple random sample of gold items. ``use_judge`` False keeps rho at 0. Raises MeasurementUndefined for a
    superpopulation with fewer unlabelled items than labelled ones: each gold item needs a batch of its own.
    """
    target = -math.log(1 - check_share("confidence", confidence))
    track = _track(items.unit(), population, seed, use_judge)
    bets = _bets(track, target)
    total, n = float(track.labels[0].sum()), items.num_gold
    below = total / track.num_bank if track.num_bank else 0.0
    above = (total + track.num_bank - n) / track.num_bank if track.num_bank else 1.0
    if log_capital(above * (1 - 1e-12), bets, track) < target:
        return items.low + (items.high - items.low) * above
    for _ in range(NUM_HALVINGS):
        middle = (below + above) / 2
        if log_capital(middle, bets, track) >= target:
            above = middle
        else:
            below = middle
    return items.low + (items.high - items.low) * above


def lower_mean(
    items: JudgedItems,
    *,
    population: Population = "bank",
    confidence: float = 0.95,
    seed: int = 0,
    use_judge: bool = True,
) -> float:
    """Lower bound: the mirror image of ``upper_mean``."""
    mirrored = items.mirrored()
    bound = upper_mean(mirrored, population=population, confidence=confidence, seed=seed, use_judge=use_judge)
    return items.low + items.high - bound


def log_capital(m: float, bets: Floats, track: Track) -> float:
    """log of K(m) averaged over the orders; infinite where an order proves m impossible."""
    logs = log_capitals(m, bets, track)
    top = float(logs.max())
    return top if math.isinf(top) else top + math.log(float(np.exp(logs - top).mean()))


def log_capitals(m: float, bets: Floats, track: Track) -> Floats:
    """log of K(m) of each order, (rows,)."""
    centre = track.centre(m)
    room = np.maximum(1 - centre + track.room, 1e-12)
    step = np.minimum(bets, CAP / room) * (centre - track.labels + track.control)
    possible = centre <= 1 + 1e-12
    return np.where(possible.all(axis=1), np.log1p(np.where(possible, step, 0.0)).sum(axis=1), math.inf)


def bank_track(labels: Floats, judged: Floats, *, total: float, num_bank: int, use_judge: bool = True) -> Track:
    """``labels`` and ``judged`` (rows, n) in order of drawing; ``total`` is the sum of the bank's judge scores."""
    left = num_bank - np.arange(labels.shape[1], dtype=np.float64)
    mean_left = (total - _before(judged)) / left
    rho = _reliance(labels, judged) if use_judge else np.zeros_like(labels)
    return Track(labels, rho * (judged - mean_left), rho * mean_left, _before(labels), num_bank)


def superpopulation_track(labels: Floats, against: Floats, *, use_judge: bool = True) -> Track:
    """``against`` (rows, n) is the judge's score minus the mean of the item's own batch."""
    rho = _reliance(labels, against) if use_judge else np.zeros_like(labels)
    return Track(labels, rho * against, rho, _before(labels), None)


def _track(items: JudgedItems, population: Population, seed: int, use_judge: bool) -> Track:
    n = items.num_gold
    order = np.random.PCG64(seed).random_raw(NUM_PERMUTATIONS * n).reshape(NUM_PERMUTATIONS, n).argsort(axis=1)
    y, f = items.labels, items.judged_labels
    if population == "bank":
        total = float(items.judge.sum())
        return bank_track(y[order], f[order], total=total, num_bank=items.num_judged, use_judge=use_judge)
    against = f - _batch_means(items, use_judge)
    return superpopulation_track(y[order], against[order], use_judge=use_judge)


def _batch_means(items: JudgedItems, use_judge: bool) -> Floats:
    """Each gold item's batch: every n-th unlabelled item, in the order of the items."""
    n, others = items.num_gold, items.unlabelled
    if not use_judge:
        return np.zeros(n)
    if len(others) < n:
        raise MeasurementUndefined(
            "on a superpopulation each gold item needs unlabelled judged items of its own",
            seen=f"{n} gold items, {len(others)} unlabelled",
            allowed="at least as many unlabelled items as labelled ones",
            next_step="judge more items, or use the gold labels alone",
        )
    batch = np.arange(len(others)) % n
    return np.bincount(batch, weights=others) / np.bincount(batch)


def _reliance(y: Floats, g: Floats) -> Floats:
    """rho_t: ridge regression of y on g over the past, towards PRIOR_RELIANCE, clipped to [0, 1]."""
    count = np.arange(1, y.shape[1] + 1, dtype=np.float64)
    sum_y, sum_g = np.cumsum(y, axis=1), np.cumsum(g, axis=1)
    covariance = np.cumsum(y * g, axis=1) - sum_y * sum_g / count
    variance = np.maximum(np.cumsum(g * g, axis=1) - sum_g**2 / count, 0.0)
    slope = np.clip((covariance + PRIOR_RELIANCE) / (variance + 1), 0.0, 1.0)
    return np.concatenate([np.full((len(y), 1), PRIOR_RELIANCE), slope[:, :-1]], axis=1)


def _bets(track: Track, target: float) -> Floats:
    """lambda_t before the cap. The prior spread is that of a fair coin, worth one observation."""
    z = track.labels - track.control
    n = z.shape[1]
    seen = np.arange(1, n + 1, dtype=np.float64)
    running = (0.5 + np.cumsum(z, axis=1)) / (1 + seen)
    variance = (0.25 + _before((z - running) ** 2)) / seen
    return np.sqrt(2 * target / (n * variance))


def _before(x: Floats) -> Floats:
    """Sums over the columns before each."""
    return np.cumsum(x, axis=1) - x
