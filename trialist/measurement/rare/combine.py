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
from scipy.optimize import minimize
from scipy.special import betaincc, betaln, chdtri, logsumexp, xlog1py, xlogy

from trialist.measurement.interval import check_share
from trialist.measurement.rare.strata import Strata

Floats = NDArray[np.float64]

NUM_HALVINGS = 60
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
        with np.errstate(divide="ignore"):
            return -np.log(betaincc(k + 1, n - k, q))

    low, high = -40.0, 10.0
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        over = spent(_best_rates(k, n, w / math.exp(middle))).sum() > budget
        low, high = (middle, high) if over else (low, middle)
    price = math.exp(high)
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
    w = w[~full]
    q = _maximise(w, bets, target)
    value, slope = bets.log_e(q)
    # Convexity: C lies in the half space slope @ (q' - q) <= target - value; the best corner of it bounds the maximum.
    return min(1.0, fixed + _knapsack(w, slope, target - value + float(slope @ q)))


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


def _maximise(w: Floats, bets: _Bets, target: float) -> Floats:
    """A vector near the maximum of w @ q in {ln E(q) <= target}, in units of 1 / n so that steps are of one size."""
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
        options={"maxiter": 300, "ftol": 1e-12},
    )
    q = np.clip(np.asarray(found.x, dtype=np.float64) * unit, 0.0, 1 - 1e-12)
    return q if np.isfinite(q).all() else bets.k * unit


def _knapsack(w: Floats, cost: Floats, budget: float) -> float:
    """max w @ q with cost @ q <= budget and 0 <= q <= 1: fill in order of w / cost."""
    total = 0.0
    for j in np.argsort(-w / cost):
        part = min(1.0, max(0.0, budget / float(cost[j])))
        total += float(w[j]) * part
        budget -= float(cost[j]) * part
    return total
