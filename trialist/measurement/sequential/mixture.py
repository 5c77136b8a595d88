"""The beta-binomial mixture of Howard, Ramdas, McAuliffe & Sekhon 2021, and the anytime-valid interval that it gives.

Increments in [-g, h] with mean 0 given the past have sum S and intrinsic variance V = g h n. The extreme case is a
centred binary draw, h with probability g / (g + h) and else -g; replacing that probability by a random one with a Beta
density of precision r gives the likelihood ratio

    log M(S, V) = log B(a + (V / h + S) / (g + h), b + (V / g - S) / (g + h)) - log B(a, b)
                  + V / (g h) log(g + h) - (V / h + S) / (g + h) log g - (V / g - S) / (g + h) log h,
    a = r / (h (g + h)),  b = r / (g (g + h)),  r = rho - g h

(the two-sided beta-binomial mixture there). For mean zero M is a supermartingale that starts at 1, so log M stays below
log(1/alpha) for ever with probability at least 1 - alpha (Ville 1939).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import betaln

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, check_share

SMALLEST_PRECISION = 1e-3
"""r is at least this share of g h: a rho below g h asks for a prior that doesn't exist."""
EDGE = 1e-12
NUM_HALVINGS = 100


def best_rho(optimal_v: float, alpha: float) -> float:
    """rho = V / (2 log(1/alpha) + log(1 + 2 log(1/alpha))): the two-sided normal mixture is tightest near V.

    Howard et al. 2021, Annals of Statistics 49, on tuning the mixture.
    """
    check_share("alpha", alpha)
    spread = 2 * math.log(1 / alpha)
    return optimal_v / (spread + math.log1p(spread))


def log_beta_binomial(s: float, v: float, *, g: float, h: float, rho: float) -> float:
    """log M(S, V) of the module's docstring, two-sided; increments in [-g, h], g, h > 0."""
    both = g + h
    r = max(rho - g * h, SMALLEST_PRECISION * g * h)
    a, b = r / (h * both), r / (g * both)
    ups, downs = (v / h + s) / both, (v / g - s) / both
    mixed = float(betaln(a + ups, b + downs) - betaln(a, b))
    return mixed + v / (g * h) * math.log(both) - ups * math.log(g) - downs * math.log(h)


def rate_interval(k: float, n: float, *, level: float = 0.95, optimal_n: float = 100.0) -> Interval:
    """The two-sided interval for a Bernoulli mean that holds at all sample sizes at once with probability ``level``.

    For each candidate p, S = k - n p with g = p, h = 1 - p and V = n p (1 - p); the interval is every p with
    log M < log(1 / (1 - level)). ``optimal_n`` is the sample size, fixed before the data, at which it is tightest.
    It is wider than Clopper-Pearson's, which holds at one n only, but for the upper end at k = 0 and n far above
    ``optimal_n``: it isn't equal-tailed, and spends all its error on that end.

    Values may be any in [0, 1] with sum k: for those M is a supermartingale (the exponential is convex).
    Raises MeasurementUndefined unless 0 <= k <= n, n > 0 and ``optimal_n`` is positive and finite.
    """
    check_count(k, n)
    alpha = 1 - check_share("level", level)
    if not 0 < optimal_n < math.inf:
        raise MeasurementUndefined("optimal_n is a sample size", seen=str(optimal_n), allowed="0 < optimal_n, finite")
    target = math.log(1 / alpha)

    def outside(p: float) -> bool:
        variance = p * (1 - p)
        rho = best_rho(optimal_n * variance, alpha)
        return log_beta_binomial(k - n * p, n * variance, g=p, h=1 - p, rho=rho) >= target

    centre = min(max(k / n, EDGE), 1 - EDGE)
    low = 0.0 if k == 0 else _end(outside, centre, EDGE)
    high = 1.0 if k == n else _end(outside, centre, 1 - EDGE)
    return Interval(low if low > EDGE else 0.0, high if high < 1 - EDGE else 1.0)


def _end(outside: Callable[[float], bool], inner: float, outer: float) -> float:
    """Between ``inner``, which is in the set, and ``outer``: the last point found outside, or ``outer``."""
    if not outside(outer):
        return outer
    for _ in range(NUM_HALVINGS):
        middle = (inner + outer) / 2
        if middle in (inner, outer):
            break
        if outside(middle):
            outer = middle
        else:
            inner = middle
    return outer
