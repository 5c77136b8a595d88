"""Power of the betting bounds over clusters, by seeded simulation: claims on graded or clustered scores.

A claim passes where the capital of ``betting`` at the threshold reaches 1/alpha. The capital rises with the candidate
mean, so one evaluation at the threshold answers what the bound answers by bisection, for many repetitions at once. Same
bets, same permutations as ``betting.upper_mean``; a test holds the two together.

The clusters are drawn by a ``Draw``; three are given here. Power depends on their whole distribution and not only on
mean and spread, so draw from a pilot study where there is one (``resampled``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting
from trialist.measurement.interval import check_share
from trialist.measurement.planning import exact
from trialist.measurement.planning.search import check_num, check_rate
from trialist.records import Side

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""(generator, (repetitions, clusters)) -> cluster means in the range of the score."""

REPETITIONS = 1_000
BLOCK = 250_000
"""Numbers held at once, repetitions x permutations x clusters: few enough to stay in a core's cache."""


@dataclass(frozen=True)
class Simulated:
    """Share of ``repetitions`` that passed; ``error`` is its Monte-Carlo standard error sqrt(p (1 - p) / R), with one
    success and one failure added so that it is never 0."""

    power: float
    error: float
    repetitions: int


def betting_power(
    draw: Draw,
    num_clusters: int,
    *,
    threshold: float,
    generator: np.random.Generator,
    claim: BettingClaim | None = None,
    repetitions: int = REPETITIONS,
) -> Simulated:
    """Probability that "mean ``side`` ``threshold``" passes with this many clusters of one size."""
    num, claim = check_num("the number of clusters", num_clusters), claim or BettingClaim()
    claim.check(threshold)
    block = max(1, BLOCK // (betting.NUM_PERMUTATIONS * num))
    passed, left = 0, check_num("the number of repetitions", repetitions, 10)
    while left:
        rows = min(block, left)
        passed += int(claim.passes(draw(generator, (rows, num)), threshold).sum())
        left -= rows
    smooth = (passed + 1) / (repetitions + 2)
    return Simulated(passed / repetitions, math.sqrt(smooth * (1 - smooth) / repetitions), repetitions)


@dataclass(frozen=True)
class BettingClaim:
    """A claim on a mean of values in [low, high].

    ``paired_binary``: values are differences of binary outcomes in [-1, 1], and the passing side is the better of two
    bounds, each at half the error: the exact one on the share that moves the wrong way, and betting; see
    ``noninferiority``.
    """

    side: Side = "below"
    low: float = 0.0
    high: float = 1.0
    confidence: float = 0.95
    paired_binary: bool = False

    def check(self, threshold: float) -> None:
        check_share("confidence", self.confidence)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise MeasurementUndefined(
                "betting needs finite bounds, low < high", seen=f"[{self.low}, {self.high}]", next_step="rescale scores"
            )
        if not self.low < threshold < self.high:
            raise MeasurementUndefined(
                "a threshold must lie inside the range of the score",
                seen=str(threshold),
                allowed=f"between {self.low:g} and {self.high:g}",
            )

    def passes(self, means: Floats, threshold: float) -> NDArray[np.bool_]:
        """For cluster means (repetitions, clusters): does the claim pass?"""
        sign = 1.0 if self.side == "below" else -1.0
        low, high = (self.low, self.high) if sign > 0 else (-self.high, -self.low)
        unit = np.clip((sign * means - low) / (high - low), 0.0, 1.0)
        place = (sign * threshold - low) / (high - low)
        alpha = 1 - self.confidence
        if not self.paired_binary:
            return upper_below(unit, place, alpha)
        against = (sign * means > 1e-12).sum(axis=1)
        margin = sign * threshold  # "above -margin": at most this share may move the wrong way
        allowed = -1
        if margin > 0:
            allowed = int(exact.critical_counts(means.shape[1], margin, 1 - alpha / 2))
        passed = against <= allowed
        passed[~passed] = upper_below(unit[~passed], place, alpha / 2)
        return passed


def upper_below(values: Floats, threshold: float, alpha: float) -> NDArray[np.bool_]:
    """Is ``betting.upper_mean`` of each row of ``values`` (R, C) in [0, 1] below ``threshold``? Equal sizes."""
    target = math.log(1 / alpha)
    passes = values.mean(axis=1) < threshold
    some = values[passes]
    if len(some):
        x = some[:, _order(values.shape[1])]
        bets = np.minimum(_bets(x, target), betting.CAP / (1 - threshold))
        capital = np.logaddexp.reduce(_log_product(1 + bets * (threshold - x)), axis=1)
        passes[passes] = capital - math.log(betting.NUM_PERMUTATIONS) > target
    return passes


def _log_product(factors: Floats) -> Floats:
    """Sum of logs over the last axis: logs of products of 16, as a product costs a tenth of a logarithm.

    A factor is at least 1 - CAP, so that no product of 16 is below 1e-10.
    """
    whole = factors.shape[-1] // 16 * 16
    head = factors[..., :whole].reshape(*factors.shape[:-1], -1, 16).prod(axis=-1)
    return np.log(head).sum(axis=-1) + np.log(factors[..., whole:].prod(axis=-1))


def clustered_binary(rate: float, *, cluster_size: int = 1, icc: float = 0.0) -> Draw:
    """Means of clusters of binary items whose own rates are Beta with mean ``rate`` and correlation ``icc``."""
    check_rate("the true rate", rate)
    size = check_num("the cluster size", cluster_size)
    shares = _beta(rate, check_rate("the intraclass correlation", icc))
    return lambda generator, shape: generator.binomial(size, shares(generator, shape)) / size


def graded(mean: float, sd: float, *, low: float = 0.0, high: float = 1.0) -> Draw:
    """Beta values on [low, high] with this mean and standard deviation: of a cluster's mean, for clusters."""
    width = high - low
    if not (width > 0 and low < mean < high):
        raise MeasurementUndefined("a mean must lie inside its range", seen=str(mean), allowed=f"{low:g} to {high:g}")
    share, spread = (mean - low) / width, sd / width
    most = math.sqrt(share * (1 - share))
    if not 0 < spread < most:
        raise MeasurementUndefined(
            f"scores in [{low:g}, {high:g}] with mean {mean:g} can't spread like that",
            seen=f"standard deviation {sd:g}",
            allowed=f"more than 0 and less than {most * width:.4g}",
        )
    shares = _beta(share, (spread / most) ** 2)
    return lambda generator, shape: low + width * shares(generator, shape)


def paired_binary(gain: float, loss: float, *, cluster_size: int = 1, icc: float = 0.0) -> Draw:
    """Net means of clusters of pairs: gains +1, losses -1. Pairs of a cluster correlate by ``icc``, in a
    Dirichlet-multinomial."""
    size = check_num("the cluster size", cluster_size)
    check_rate("the intraclass correlation", icc)
    if not (gain >= 0 and loss >= 0 and gain + loss <= 1 + 1e-12):
        raise MeasurementUndefined(
            "gains and losses must be shares of the pairs", seen=f"gain {gain:g}, loss {loss:g}", allowed="sum up to 1"
        )
    moving = _beta(min(1.0, gain + loss), icc)
    share = gain / (gain + loss) if gain + loss else 0.5
    # Beta of the moving share and, apart from it, of the gains among them: the two steps of a Dirichlet, whose
    # concentration 1/icc - 1 falls by the factor (gain + loss) in the second.
    second = 1.0 if icc == 1 else icc / (icc + (1 - icc) * (gain + loss)) if icc else 0.0
    gaining = _beta(share, second)

    def draw(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
        moved = generator.binomial(size, moving(generator, shape))
        gained = generator.binomial(moved, gaining(generator, shape))
        return (2.0 * gained - moved) / size

    return draw


def resampled(pilot: ArrayLike) -> Draw:
    """Cluster means drawn with replacement from a pilot study, at least two."""
    values = np.asarray(pilot, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise MeasurementUndefined(
            "a pilot needs finite cluster means", seen=f"shape {values.shape}", allowed="2 or more"
        )
    return lambda generator, shape: values[generator.integers(len(values), size=shape)]


def _beta(mean: float, icc: float) -> Draw:
    """Beta variables with variance icc mean (1 - mean): constant for icc 0, 0 or 1 for icc 1."""
    if icc == 0 or mean in (0.0, 1.0):
        return lambda generator, shape: np.full(shape, mean)
    if icc == 1:
        return lambda generator, shape: (generator.random(shape) < mean).astype(np.float64)
    total = 1 / icc - 1
    return lambda generator, shape: generator.beta(mean * total, (1 - mean) * total, shape)


def _bets(x: Floats, target: float) -> Floats:
    """``betting.plug_in_bets`` for clusters of one size, over a third axis."""
    num = x.shape[2]
    before = np.arange(num, dtype=np.float64)
    running = np.cumsum(x, axis=2)
    running += 0.5
    running /= 2 + before
    running -= x
    running *= running
    past = np.empty_like(x)
    past[:, :, 0] = 0.0
    np.cumsum(running[:, :, :-1], axis=2, out=past[:, :, 1:])
    past += 0.25
    np.divide(2 * target * (before + 1) / num, past, out=past)
    return np.sqrt(past, out=past)


@lru_cache(maxsize=16)
def _order(num: int) -> NDArray[np.int64]:
    """The permutations that ``betting`` uses for this many clusters."""
    raw = np.random.PCG64(0).random_raw(betting.NUM_PERMUTATIONS * num)
    return raw.reshape(betting.NUM_PERMUTATIONS, num).argsort(axis=1).astype(np.int64)
