"""Joint bounds on sum_h W_h p_h over strata: maximise the sum over a confidence set of the vector (p_1..p_H).

If C(data) holds the true vector with probability 1 - alpha, then sup {sum W_h q_h : q in C} is at or above the true sum
whenever it does. Both sets below are convex, so the maximum is a convex programme, and what is returned is a bound on
that maximum from duality, never a point that an optimiser stopped at.

``upper_fisher``: C = {q : -2 sum_h ln F(k_h; n_h, q_h) < chi2_{2H}(1 - alpha)}, F the binomial distribution function.
    At the true p each F(K_h; n_h, p_h) is at or above uniform in distribution and they are independent, so the sum is
    at or below a chi-squared variable with 2H degrees of freedom (Fisher 1932, discrete data being conservative).
    ln F(k; n, .) is the log survival function of a Beta density, which is log-concave, so it is concave in q.

``upper_betting``: C = {q : E(q) < 1/alpha} with E(q) a likelihood ratio against a mixture fixed by q alone,

    E(q) = (1/2) sum_s v_s prod_h R_h(s, q_h) + (1/2) prod_h sum_s v_s R_h(s, q_h),
    R_h(s, q) = s^k_h ((1 - s q) / (1 - q))^(n_h - k_h),

    the alternatives "every rate is s times what you say" with one s for all strata, or one for each. At q = p every
    R_h has expectation 1 (it is a ratio of two binomial likelihoods), strata are independent, averages of e-values are
    e-values: E[E(p)] = 1 and P(E(p) >= 1/alpha) <= alpha by Markov's inequality. ln R is convex in q for s <= 1, and
    sums and mixtures of log-convex functions are log-convex.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, linprog, minimize
from scipy.special import betaincc, betaln, chdtri, logsumexp, xlog1py, xlogy

from trialist.measurement.interval import check_share
from trialist.measurement.rare.strata import Strata

Floats = NDArray[np.float64]

NUM_HALVINGS = 40
MOST_CUTS = 200
GAP = 1e-4
"""Relative distance between what is returned and a vector that the set is known to hold."""
AT_NOTHING = 1 / 3
"""Weight of the alternative s = 0, "the event never happens", in the mixture."""
SHRINK = np.concatenate([[0.0], 1 - np.geomspace(0.97, 0.02, 24)])
LOG_PRIOR = np.log(np.concatenate([[AT_NOTHING], np.full(24, (1 - AT_NOTHING) / 24)]))


def upper_fisher(sample: Strata, confidence: float = 0.95) -> float:
    """Upper bound on sum W_h p_h from Fisher's product of the strata's exact p-values; at least ``confidence``.

    Exactly Clopper-Pearson with one stratum. Needs independent strata and independent items in them.
    """
    alpha = 1 - check_share("confidence", confidence)
    fixed, k, n, w = _sampled(sample)
    budget = float(chdtri(2 * len(n), alpha)) / 2
    full = k == n
    fixed += float(w[full].sum())
    k, n, w = k[~full], n[~full], w[~full]
    if not len(k):
        return min(1.0, fixed)

    def spent(q: Floats) -> Floats:
        return -np.log(np.maximum(betaincc(k + 1, n - k, q), 1e-300))

    def excess(log_price: float) -> float:
        return float(spent(_best_rates(k, n, w / math.exp(log_price))).sum()) - budget

    # The dearer, the smaller the rates that are bought: one sign change.
    price = math.exp(float(brentq(excess, -30.0, 10.0, xtol=1e-9)))
    q = _best_rates(k, n, w / price)
    # Weak duality: sup_q sum(W q - price * spent) + price * budget bounds the maximum at any price.
    return min(1.0, fixed + float(w @ q) + price * (budget - float(spent(q).sum())))


def lower_fisher(sample: Strata, confidence: float = 0.95) -> float:
    """Lower bound: one minus the upper bound on the rate of non-events."""
    return 1 - upper_fisher(sample.mirrored, confidence)


def upper_betting(sample: Strata, confidence: float = 0.95) -> float:
    """Upper bound on sum W_h p_h by betting over the strata jointly; at least ``confidence``.

    The number of strata costs little where events are rare in all of them. Needs what ``upper_fisher`` needs.
    """
    target = -math.log(1 - check_share("confidence", confidence))
    fixed, k, n, w = _sampled(sample)
    full = k == n
    fixed += float(w[full].sum())
    if full.all():
        return min(1.0, fixed)
    # E doesn't depend on q_h where every item is an event, so the maximum has q_h = 1 there.
    log_full = float(logsumexp(LOG_PRIOR[:, None] + xlogy(k[full], SHRINK[:, None]), axis=0).sum())
    bets = _Bets(k[~full], n[~full], float(k.sum()), log_full)
    return min(1.0, fixed + _maximum(w[~full], bets, target))


def lower_betting(sample: Strata, confidence: float = 0.95) -> float:
    """Lower bound: one minus the upper bound on the rate of non-events."""
    return 1 - upper_betting(sample.mirrored, confidence)


def _sampled(sample: Strata) -> tuple[float, Floats, Floats, Floats]:
    """The share of strata nobody sampled, and events, sizes, shares of the others. The design alone decides which."""
    used = (sample.sizes > 0) & (sample.shares > 0)
    return float(sample.shares[~used].sum()), sample.events[used], sample.sizes[used], sample.shares[used]


def _best_rates(k: Floats, n: Floats, worth: Floats) -> Floats:
    """argmax over q of worth q + ln F(k; n, q): where the Beta(k + 1, n - k) hazard, which rises, reaches worth."""
    low, high = np.zeros_like(k), np.ones_like(k)
    for _ in range(NUM_HALVINGS):
        q = (low + high) / 2
        with np.errstate(divide="ignore", over="ignore"):
            log_density = xlogy(k, q) + xlog1py(n - k - 1, -q) - betaln(k + 1, n - k)
            reached = log_density - np.log(betaincc(k + 1, n - k, q)) >= np.log(worth)
        low, high = np.where(reached, low, q), np.where(reached, q, high)
    return low


@dataclass(frozen=True)
class _Bets:
    """Strata with a non-event; ``all_events`` counts every stratum's, ``log_full`` is ln of the product's part from
    strata where every item is an event."""

    k: Floats
    n: Floats
    all_events: float
    log_full: float

    def log_e(self, q: Floats) -> tuple[float, Floats]:
        """ln E(q) and its gradient."""
        s = SHRINK[:, None]
        misses = self.n - self.k
        gain = misses * (np.log1p(-s * q) - np.log1p(-q))
        slope = misses * (1 - s) / ((1 - q) * (1 - s * q))
        common = LOG_PRIOR + xlogy(self.all_events, SHRINK) + gain.sum(axis=1)
        each = LOG_PRIOR[:, None] + xlogy(self.k, s) + gain
        log_common, log_each = float(logsumexp(common)), logsumexp(each, axis=0)
        halves = np.array([log_common, float(log_each.sum()) + self.log_full])
        total = float(logsumexp(halves))
        share = np.exp(halves - total)
        slope_common = np.exp(common - log_common) @ slope
        slope_each = (np.exp(each - log_each) * slope).sum(axis=0)
        return total - math.log(2), share[0] * slope_common + share[1] * slope_each


def _maximum(w: Floats, bets: _Bets, target: float) -> float:
    """A bound within ``GAP`` of max w @ q over {ln E(q) <= target}, 0 <= q <= 1, by supporting half-spaces.

    Convexity puts the set in the half-space slope @ (q' - q) <= target - ln E(q) of each of its points q; the best
    corner of these half-spaces bounds the maximum and gives the next point, pulled back to the set. The first point is
    a solver's answer, which is almost always the last one too.
    """
    unit = 1 / (bets.n + 1)
    inner = bets.k / bets.n
    rows: list[Floats] = []
    limits: list[float] = []
    outer, reached, bound = _start(w, bets, target), 0.0, 1.0
    for _ in range(MOST_CUTS):
        q = _inside(bets, inner, outer, target)
        reached = max(reached, float(w @ q))
        value, slope = bets.log_e(q)
        rows.append(slope * unit)
        limits.append(target - value + float(slope @ q))
        corner, found = _corner(w * unit, np.array(rows), np.array(limits), 1 / unit)
        bound = min(bound, found)
        if bound - reached <= GAP * bound:
            break
        outer = np.clip(corner * unit, 0.0, 1 - 1e-12)
    return bound


def _corner(goal: Floats, rows: Floats, limits: Floats, tops: Floats) -> tuple[Floats, float]:
    """argmax goal @ x with rows @ x <= limits and 0 <= x <= tops, and a bound on that maximum from its dual."""
    if len(rows) == 1:
        order = np.argsort(-goal / rows[0])
        spent = np.minimum(np.cumsum((rows[0] * tops)[order]), max(float(limits[0]), 0.0))
        x = np.empty_like(tops)
        x[order] = np.diff(spent, prepend=0.0) / rows[0][order]
        full = (x >= tops * (1 - 1e-12))[order]
        price = float((goal / rows[0])[order][min(int(full.sum()), len(x) - 1)])
        return x, float(price * limits[0] + np.maximum(goal - price * rows[0], 0.0) @ tops)
    found = linprog(-goal, rows, limits, bounds=[(0.0, float(top)) for top in tops], method="highs")
    # Any multipliers that aren't negative give a bound, so the solver's tolerance doesn't matter.
    price = np.maximum(-np.asarray(found.ineqlin.marginals, dtype=np.float64), 0.0)
    return np.asarray(found.x, dtype=np.float64), float(price @ limits + np.maximum(goal - price @ rows, 0.0) @ tops)


def _inside(bets: _Bets, inner: Floats, outer: Floats, target: float) -> Floats:
    """The last point of the set on the way from ``inner``, where E is at most 1, to ``outer``."""
    if bets.log_e(outer)[0] <= target + 1e-8:
        return outer
    low, high = 0.0, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        over = bets.log_e(inner + middle * (outer - inner))[0] > target
        low, high = (low, middle) if over else (middle, high)
    return inner + low * (outer - inner)


def _start(w: Floats, bets: _Bets, target: float) -> Floats:
    """A vector near the maximum, in units of 1 / n so that steps are of one size."""
    unit = 1 / (bets.n + 1)
    goal = w * unit / float(w @ unit)
    found = minimize(
        lambda x: -float(goal @ x),
        bets.k + 0.5,
        jac=lambda x: -goal,
        bounds=[(0.0, float(n) + 1 - 1e-9) for n in bets.n],
        constraints=[
            {
                "type": "ineq",
                "fun": lambda x: target - bets.log_e(x * unit)[0],
                "jac": lambda x: -bets.log_e(x * unit)[1] * unit,
            }
        ],
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-12},
    )
    q = np.clip(np.asarray(found.x, dtype=np.float64) * unit, 0.0, 1 - 1e-12)
    return q if np.isfinite(q).all() else bets.k / bets.n
