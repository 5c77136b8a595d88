"""One proportion: k events in n independent trials.

``wilson`` and ``jeffreys`` describe (coverage near the level on average); the Clopper-Pearson bounds carry claims
(coverage never below the confidence, at a fixed n); ``credible`` is Bayesian and promises no coverage. An effective
sample size may stand for n, so neither k nor n has to be whole.
"""

from __future__ import annotations

import math

from scipy.special import bdtr, betaincinv

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, check_share, normal_quantile


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), p = k/n.

    Never of zero width; exactly 0 or 1 at its end when k = 0 or k = n.
    Wilson 1927, J. Am. Stat. Assoc. 22. Raises MeasurementUndefined unless 0 <= k <= n and n > 0.
    """
    check_count(k, n)
    z = normal_quantile(level)
    p = k / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if k == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if k == n else min(1.0, (centre + half) / scale)
    return Interval(low, high)


def jeffreys(k: float, n: float, level: float = 0.95) -> Interval:
    """Equal-tailed interval of Beta(k + 1/2, n - k + 1/2), with low = 0 at k = 0 and high = 1 at k = n.

    Without the two exceptions its coverage would fall to 0 as p goes to 0 or 1.
    Brown, Cai & DasGupta 2001, Statistical Science 16, section 4.3. Raises MeasurementUndefined as ``wilson`` does.
    """
    found = credible(k, n, level, prior=(0.5, 0.5))
    return Interval(0.0 if k == 0 else found.low, 1.0 if k == n else found.high)


def credible(k: float, n: float, level: float = 0.95, *, prior: tuple[float, float] = (1.0, 1.0)) -> Interval:
    """Equal-tailed posterior interval of Beta(a + k, b + n - k) for the prior Beta(a, b); uniform by default.

    It holds its level on average over rates drawn from the prior, not at each rate. With the uniform prior it leaves
    out k/n where k = 0 or k = n. Raises MeasurementUndefined as ``wilson`` does, and unless a, b > 0.
    """
    check_count(k, n)
    check_share("level", level)
    a, b = prior
    if not (0 < a < math.inf and 0 < b < math.inf):
        raise MeasurementUndefined("a beta prior needs a, b > 0", seen=f"a = {a}, b = {b}", allowed="finite, above 0")
    low, high = (float(betaincinv(a + k, b + n - k, tail)) for tail in ((1 - level) / 2, (1 + level) / 2))
    return Interval(low, high)


def upper_bound(k: float, n: float, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound Beta^-1(confidence; k + 1, n - k); 1 - (1 - confidence)^(1/n) when k = 0.

    Clopper & Pearson 1934, Biometrika 26.
    """
    check_count(k, n)
    check_share("confidence", confidence)
    return 1.0 if k == n else float(betaincinv(k + 1, n - k, confidence))


def lower_bound(k: float, n: float, confidence: float = 0.95) -> float:
    """Exact one-sided lower bound Beta^-1(1 - confidence; k, n - k + 1); the mirror image of ``upper_bound``."""
    check_count(k, n)
    return 0.0 if k == 0 else 1 - upper_bound(n - k, n, confidence)


def clopper_pearson(k: float, n: float, level: float = 0.95) -> Interval:
    """Exact two-sided interval: both one-sided bounds at confidence (1 + level) / 2."""
    check_share("level", level)
    confidence = (1 + level) / 2
    return Interval(lower_bound(k, n, confidence), upper_bound(k, n, confidence))


def num_runs_needed(p0: float, confidence: float = 0.95, failures: int = 0) -> int:
    """Independent runs that show "rate < p0" if at most ``failures`` of them fail.

    The smallest n with P(Binomial(n, p0) <= failures) <= 1 - confidence; for none, ceil(ln(1-confidence)/ln(1-p0)).
    """
    check_share("p0", p0)
    alpha = 1 - check_share("confidence", confidence)
    if failures < 0:
        raise MeasurementUndefined("failures can't be negative", seen=str(failures), allowed="0, 1, 2, ...")

    def shown(n: int) -> bool:
        return float(bdtr(failures, n, p0)) <= alpha

    high = failures + 1
    while not shown(high):
        high *= 2
    low = max(failures, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def runs_to_show(p0: float, confidence: float = 0.95, *, num_clean: int, num_failures: int) -> int:
    """Further runs, all clean, after which ``num_failures`` in total would show "rate < p0"; 0 if they do already.

    max(0, num_runs_needed(p0, confidence, num_failures) - num_clean - num_failures). For planning only: a sample that
    is extended until it shows something no longer has the error of a fixed one. Claim from a fresh sample of the size
    planned, or use a sequential test.
    """
    if num_clean < 0:
        raise MeasurementUndefined("clean runs can't be negative", seen=str(num_clean), allowed="0, 1, 2, ...")
    return max(0, num_runs_needed(p0, confidence, num_failures) - num_clean - num_failures)
