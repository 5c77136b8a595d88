"""Sample size of a mean, or of a mean difference, from variance components.

An item's score is its own mean plus the noise of one epoch. With K_A and K_B epochs the difference of two conditions on
the same items has, per item, the variance

    v = w2 + s2_A / K_A + s2_B / K_B,     w2 = Var x_A + Var x_B - 2 Cov(x_A, x_B)

and a difference d is found with power 1 - beta at two-sided error alpha by n = (z_{alpha/2} + z_beta)^2 v / d^2 items
(Miller 2024, arXiv 2411.00640, section 5). Clusters of m items with intraclass correlation icc multiply v by the design
effect 1 + (m - 1) icc (Kish 1965). The default here is the t test with C - 1 degrees of freedom for C clusters, by the
noncentral t distribution, which agrees with the jackknife that describes such data; ``t=False`` is the formula above.
Both rest on the central limit theorem: for rare binary events use ``exact`` and ``discordant``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.planning.search import (
    MAX_ITEMS,
    check_amount,
    check_num,
    check_power,
    check_rate,
    smallest,
    solve,
    too_many,
)

NORMAL_FROM = 100_000
"""Degrees of freedom from which on Student's t is taken for normal."""


@dataclass(frozen=True)
class Spread:
    """``variance`` of an item's value (one mean, or one paired difference) after averaging its epochs, in squared units
    of the score. Items come in clusters of ``cluster_size`` whose values have intraclass correlation ``icc``.

    ``num_groups`` 2: the two conditions have different items, ``num_clusters`` of them each; ``variance`` is then the
    sum of both.
    """

    variance: float
    cluster_size: float = 1
    icc: float = 0.0
    num_groups: int = 1

    def __post_init__(self) -> None:
        check_amount("the variance", self.variance, zero=False)
        check_rate("the intraclass correlation", self.icc)
        if not (math.isfinite(self.cluster_size) and self.cluster_size >= 1):
            raise MeasurementUndefined(
                "a cluster holds at least one item", seen=str(self.cluster_size), allowed="1 or more"
            )

    @property
    def design_effect(self) -> float:
        return 1 + (self.cluster_size - 1) * self.icc

    @property
    def per_cluster(self) -> float:
        """Variance of a cluster's mean."""
        return self.variance * self.design_effect / self.cluster_size


def paired_variance(
    between: tuple[float, float],
    covariance: float,
    *,
    within: tuple[float, float] = (0.0, 0.0),
    epochs: tuple[int, int] = (1, 1),
) -> float:
    """v = Var x_A + Var x_B - 2 Cov + s2_A / K_A + s2_B / K_B.

    ``between``: variances over items of their true means x; ``within``: mean variances of one epoch around them;
    ``covariance`` 0 for conditions on different items.
    Raises MeasurementUndefined for negative variances, or a covariance that two such variances can't have.
    """
    for value in (*between, *within):
        check_amount("a variance", value)
    if abs(covariance) > math.sqrt(between[0] * between[1]) * (1 + 1e-9):
        most = math.sqrt(between[0] * between[1])
        raise MeasurementUndefined(
            "a covariance can't be larger than both spreads allow", seen=str(covariance), allowed=f"up to {most:g}"
        )
    w2 = max(0.0, between[0] + between[1] - 2 * covariance)
    return w2 + sum(s2 / check_num("the number of epochs", k) for s2, k in zip(within, epochs, strict=True))


def binary_variance(discordant: float, difference: float) -> float:
    """Variance of a paired binary difference: discordant - difference^2, ``discordant`` the share that differs."""
    check_rate("the discordant share", discordant)
    if abs(difference) > discordant:
        raise MeasurementUndefined(
            "a difference can't be larger than the share of pairs that differ",
            seen=f"difference {difference:g}, discordant {discordant:g}",
            allowed=f"-{discordant:g} to {discordant:g}",
            next_step="give the share of items on which the two conditions disagree",
        )
    return discordant - difference * difference


def power(difference: float, num_clusters: int, spread: Spread, *, level: float = 0.95, t: bool = True) -> float:
    """Probability that the two-sided interval at ``level`` lies wholly on the true side of 0.

    ``num_clusters`` of each group; the wrong side isn't counted as power. Raises MeasurementUndefined for t with fewer
    than two clusters.
    """
    num = check_num("the number of clusters", num_clusters)
    alpha = 1 - check_share("level", level)
    shift = abs(difference) / math.sqrt(spread.per_cluster / num)
    degrees = spread.num_groups * (num - 1)
    if t and degrees < 1:
        raise MeasurementUndefined("a t test needs at least two clusters", seen=str(num), allowed="2 or more")
    if not t or degrees >= NORMAL_FROM:
        return float(ndtr(shift + ndtri(alpha / 2)))
    # Far from 0 the noncentral t is computed from its mirror image, where it is a small number and not 1 minus one.
    critical = float(stdtrit(degrees, alpha / 2))
    found = float(nctdtr(degrees, -shift, critical))
    if math.isnan(found):  # beyond its range, where power is 0 or 1 for all purposes (Johnson & Welch 1940)
        return float(ndtr((shift + critical) / math.sqrt(1 + critical**2 / (2 * degrees))))
    return found


def num_clusters_needed(
    difference: float, spread: Spread, *, power_wanted: float = 0.8, level: float = 0.95, t: bool = True
) -> int:
    """Smallest number of clusters (of each group) with the power; for items in clusters of one this is n."""
    target = check_power(power_wanted)
    if not (math.isfinite(difference) and difference != 0):
        raise MeasurementUndefined(
            "no number of items shows a difference of 0", seen=str(difference), allowed="any other number",
            next_step="give the smallest difference that would matter",
        )  # fmt: skip
    z = normal_sum(target, level)
    if z <= 0:
        return 2 if t else 1
    plain = z * z * spread.per_cluster / difference**2
    if plain > MAX_ITEMS:
        raise too_many(target)
    if not t:
        return max(1, math.ceil(plain * (1 - 1e-12)))
    return smallest(lambda n: power(difference, n, spread, level=level), target, start=2)


def detectable(
    num_clusters: int, spread: Spread, *, power_wanted: float = 0.8, level: float = 0.95, t: bool = True
) -> float:
    """Minimum detectable difference: the smallest one found with the power. (z_{alpha/2} + z_beta) sqrt(v / n) if not
    ``t``. Raises MeasurementUndefined for a power not above the error."""
    target = check_power(power_wanted)
    z = normal_sum(target, level)
    num = check_num("the number of clusters", num_clusters)
    if z <= 0:
        raise MeasurementUndefined(
            "a power not above the error needs no effect at all", seen=f"power {target:g}", allowed="for example .8"
        )
    error = math.sqrt(spread.per_cluster / num)
    if not t:
        return z * error
    high = z * error
    while power(high, num, spread, level=level) < target:
        high *= 2
    return solve(lambda d: power(d, num, spread, level=level), target, 0.0, high)


def normal_sum(power_wanted: float, level: float) -> float:
    """z_{alpha/2} + z_beta."""
    return float(ndtri((1 + check_share("level", level)) / 2) + ndtri(power_wanted))
