"""Two conditions on the same items, binary outcome, planned by enumeration of the discordant counts.

Each pair is a gain with probability ``gain`` (only the first condition has it), a loss with probability ``loss``, or
agrees. D ~ Bin(n, gain + loss) pairs are discordant and B | D ~ Bin(D, gain / (gain + loss)) of them are gains.
Counts D whose probability is below 1e-13 together are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln, xlogy

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share, normal_quantile
from trialist.measurement.planning import exact, search
from trialist.measurement.planning.exact import Chances
from trialist.measurement.planning.search import check_num, check_power

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

CHUNK = 1024


@dataclass(frozen=True)
class Rejections:
    """Probability to reject "no difference" in the true direction (``power``; with no difference: either one) and in
    the other direction."""

    power: float
    wrong: float


def mcnemar_power(gain: float, loss: float, num_pairs: int, *, level: float = 0.95, midp: bool = True) -> Rejections:
    """Power of the mid-p (default) or exact McNemar test at two-sided error 1 - ``level``.

    A rejection in the wrong direction is no power and counts apart. With gain = loss ``power`` is the error of the test
    and ``wrong`` 0. Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91, for the tests.
    """
    n, share = check_num("the number of pairs", num_pairs), _discordant(gain, loss)
    discordant, weight = _binomial(n, share)
    critical = _critical(discordant, 1 - check_share("level", level), midp)
    towards = max(gain, loss) / share if share else 0.5
    some = critical >= 0
    m = np.maximum(critical, 0).astype(np.float64)
    # The smaller count is at most m: few losses where gains prevail, few gains where losses do.
    right = float(weight @ np.where(some, bdtr(m, discordant, 1 - towards), 0.0))
    wrong = float(weight @ np.where(some, bdtr(m, discordant, towards), 0.0))
    return Rejections(right + wrong, 0.0) if gain == loss else Rejections(right, wrong)


def mcnemar_pairs(gain: float, loss: float, *, power: float = 0.8, level: float = 0.95, midp: bool = True) -> int:
    """Smallest number of pairs from which on the power isn't below ``power`` again (see ``search.steady``)."""
    check_power(power)
    if _discordant(gain, loss) == 0 or gain == loss:
        raise MeasurementUndefined(
            "no number of pairs shows a difference of 0",
            seen=f"gain {gain:g}, loss {loss:g}",
            allowed="two different shares",
            next_step="give the smallest difference that would matter",
        )
    return search.steady(lambda n: mcnemar_power(gain, loss, n, level=level, midp=midp).power, power)


def mcnemar_detectable(
    discordant: float, num_pairs: int, *, power: float = 0.8, level: float = 0.95, midp: bool = True
) -> float:
    """Smallest difference gain - loss found with probability ``power`` if a share ``discordant`` of the pairs differs.

    Raises MeasurementUndefined where even losses alone (difference = ``discordant``) aren't found that often.
    """
    check_power(power)
    check_share("the discordant share", discordant)

    def at(difference: float) -> float:
        gain, loss = (discordant + difference) / 2, max(0.0, (discordant - difference) / 2)
        return mcnemar_power(gain, loss, num_pairs, level=level, midp=midp).power

    if at(discordant) < power:
        raise MeasurementUndefined(
            f"{num_pairs:,} pairs of which {discordant:g} differ can't show any difference with power {power:g}",
            seen=f"power {at(discordant):.2g} if all of them differ in one direction",
            next_step="take more pairs",
        )
    return search.solve(at, power, 0.0, discordant)


def losing_share_chances(loss: float, num_clusters: int, *, margin: float, confidence: float = 0.95) -> Chances:
    """Exact chance that "loses less than ``margin``" passes by the losing-share bound of ``noninferiority``.

    A cluster loses with probability ``loss``; that bound gets half the error. ``fails`` is 0: the failing side is a
    betting bound. The betting bound of the passing side can only add to the chance, so it is a lower bound.
    """
    confidence = 1 - (1 - check_share("confidence", confidence)) / 2
    return Chances(exact.claim_at(loss, num_clusters, threshold=margin, confidence=confidence).power, 0.0)


def losing_share_clusters(loss: float, *, margin: float, power: float = 0.9, confidence: float = 0.95) -> int:
    """Clusters needed for ``losing_share_chances`` to reach ``power`` and to stay there."""
    half = 1 - (1 - check_share("confidence", confidence)) / 2
    return exact.claim_plan(loss, threshold=margin, power=power, confidence=half).num_items


def tango_power(gain: float, loss: float, num_pairs: int, *, margin: float = 0.0, confidence: float = 0.95) -> float:
    """Probability that Tango's lower limit for gain - loss lies above -``margin``, z one-sided at ``confidence``.

    The limit lies above -margin exactly where T(-margin) > z, so every (gains, losses) is judged by one score
    statistic. With gain - loss = -margin it is the true error, which can be above 1 - ``confidence``: Tango's interval
    describes and carries no claim here. Tango 1998, Statistics in Medicine 17.
    """
    n, share = check_num("the number of pairs", num_pairs), _discordant(gain, loss)
    if not 0 <= margin < 1:
        raise MeasurementUndefined("a margin must lie in [0, 1)", seen=str(margin), allowed="0 <= margin < 1")
    z = normal_quantile(2 * check_share("confidence", confidence) - 1) if confidence != 0.5 else 0.0
    discordant, weight = _binomial(n, share)
    towards = gain / share if share else 0.5
    gains: Counts = np.arange(int(discordant[-1]) + 1)[None, :]
    losses: Counts = discordant[:, None] - gains
    inside = losses >= 0
    chance = np.where(inside, np.exp(_log_binomial(gains, discordant[:, None], towards)), 0.0)
    passes = _score(gains, np.maximum(losses, 0), n, -margin) > z
    return float(weight @ (chance * passes).sum(axis=1))


def _score(b: Counts, c: Counts, n: int, difference: float) -> Floats:
    """``paired.score_statistic`` on arrays."""
    free = difference * (1 - difference)
    linear = -b - c + (2 * n - b + c) * difference
    q = (np.sqrt(np.maximum(0.0, linear * linear + 8 * n * c * free)) - linear) / (4 * n)
    variance, distance = n * (2 * q + free), b - c - n * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        found = distance / np.sqrt(np.maximum(variance, 0.0))
    return np.where(variance > 0, found, np.where(distance == 0, 0.0, np.copysign(np.inf, distance)))


def _critical(discordant: Counts, alpha: float, midp: bool) -> Counts:
    """For each D (consecutive) the largest smaller count whose p-value is at most alpha, -1 where none is."""
    first, last = int(discordant[0]) // CHUNK, int(discordant[-1]) // CHUNK
    table = np.concatenate([_critical_chunk(i, alpha, midp) for i in range(first, last + 1)])
    return table[discordant - first * CHUNK]


@lru_cache(maxsize=256)
def _critical_chunk(index: int, alpha: float, midp: bool) -> Counts:
    """The same for D = index * CHUNK and the CHUNK - 1 after it. A search over n asks for the same ones many times."""
    discordant = np.arange(index * CHUNK, (index + 1) * CHUNK)

    def p_value(m: Counts) -> Floats:
        own = bdtr(np.maximum(m, 0).astype(np.float64), discordant, 0.5)
        below = np.where(m > 0, bdtr(np.maximum(m - 1, 0).astype(np.float64), discordant, 0.5), 0.0)
        return np.asarray(own + (below if midp else own), dtype=np.float64)

    low, high = np.full(len(discordant), -1, dtype=np.int64), (discordant + 1) // 2
    while (high - low > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, low)
        rejects = (p_value(middle) <= alpha) & (middle >= 0)
        inside = high - low > 1
        low, high = np.where(inside & rejects, middle, low), np.where(inside & ~rejects, middle, high)
    return low


def _discordant(gain: float, loss: float) -> float:
    if not (gain >= 0 and loss >= 0 and gain + loss <= 1 + 1e-12):
        raise MeasurementUndefined(
            "gains and losses must be shares of the pairs",
            seen=f"gain {gain:g}, loss {loss:g}",
            allowed="0 or more each, at most 1 together",
        )
    return min(1.0, gain + loss)


def _binomial(n: int, p: float) -> tuple[Counts, Floats]:
    """Counts that matter and their probabilities, which sum to 1."""
    reach = 8 * math.sqrt(n * p * (1 - p)) + 20
    counts = np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)
    weight = np.exp(_log_binomial(counts, np.full(len(counts), n), p))
    return counts, weight / weight.sum()


def _log_binomial(k: Counts, n: Counts, p: float) -> Floats:
    ways = gammaln(n + 1.0) - gammaln(np.maximum(k, 0) + 1.0) - gammaln(np.maximum(n - k, 0) + 1.0)
    found: Floats = np.asarray(ways + xlogy(k, p) + xlogy(np.maximum(n - k, 0), 1 - p), dtype=np.float64)
    return found
