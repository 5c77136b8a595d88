"""The capital of a gambler who bets against "the mean is at most m", for values in [0, 1].

At step t the increment z_t has a conditional mean of at most m_t under the null, and z_t >= low_t. A bet lambda_t
that is fixed before z_t, 0 <= lambda_t <= share / (m_t - low_t), multiplies the capital by 1 + lambda_t (z_t - m_t):
positive, and of conditional mean at most 1. The capital starts at 1, so P(it ever reaches 1/alpha) <= alpha (Ville
1939).

The best constant bet for a mean at m_t + d and a variance v is about d / (v + d^2): the maximum of the second-order
expansion of E[log(1 + lambda (z - m_t))]. ``Bets`` is a mixture of such bets over several distances d, the ``gaps``,
with v the running variance of the increments. An average of capitals is a capital, so nothing is lost in validity,
and the price of not knowing the gap is at most log(1/weight) of the best component.

Waudby-Smith & Ramdas 2024, J. R. Stat. Soc. B 86, sections 4 and 5. Their bets estimate the distance from the past
(aGRAPA) or ignore it (predictable plug-in); ours are designed at gaps, as a gate has one. Two more consequences:
lambda_t doesn't depend on m except through its cap, so the capital falls in m and confidence limits come by bisection
without a grid; and without replacement the gap grows with what remains, d N / (N - t + 1), as the distance to m_t
does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]

PRIOR_VARIANCE = 0.25
"""Variance before the first value, worth one value: the largest one in [0, 1]."""
TOLERANCE = 1e-9
"""Rounding allowed, for each item, before a null is called impossible."""


@dataclass(frozen=True)
class Bets:
    """A mixture of bets: one for each gap, in the units of the values; ``weights`` are made to sum to 1.

    ``share`` is the largest part of the capital that one value can take.
    """

    gaps: tuple[float, ...]
    weights: tuple[float, ...]
    share: float = 0.65

    def __post_init__(self) -> None:
        good = len(self.gaps) == len(self.weights) > 0 and all(0 < g < math.inf for g in self.gaps)
        if not (good and all(0 < w < math.inf for w in self.weights) and 0 < self.share < 1):
            raise MeasurementUndefined(
                "bets need positive gaps, a positive weight for each, and a share of the capital",
                seen=str(self),
                allowed="gaps and weights of the same length, 0 < share < 1",
            )

    def unit(self, width: float) -> Bets:
        """The same bets for values that were divided by ``width``."""
        return Bets(tuple(g / width for g in self.gaps), self.weights, self.share)

    def log_weights(self) -> list[float]:
        total = sum(self.weights)
        return [math.log(w / total) for w in self.weights]


UNIVERSAL = Bets(gaps=(0.02, 0.05, 0.12, 0.3), weights=(1.0, 1.0, 1.0, 1.0))
"""Without a gap to design for, in values of [0, 1]: a factor of 2.5 between gaps, at a price of at most log 4."""


def designed(gap: float) -> Bets:
    """Bets for a claim designed at ``gap``, in the units of the values: strongest there, still quick when it is
    wider."""
    return Bets(gaps=(gap, 3 * gap), weights=(0.75, 0.25))


@dataclass(frozen=True)
class Path:
    """Increments of one sampling order, in units of [0, 1]; each array has shape (n,).

    ``values`` x_t; ``increments`` z_t, of conditional mean equal to that of x_t, within [``lows``, ``highs``], which
    are known before x_t. Without a control variate z = x, lows = 0, highs = 1.
    """

    values: Floats
    increments: Floats
    lows: Floats
    highs: Floats

    def mirrored(self) -> Path:
        """1 - x: turns 'at least m' into 'at most 1 - m'."""
        return Path(1 - self.values, 1 - self.increments, 1 - self.highs, 1 - self.lows)


class Wealth:
    """The capital, step by step. Plain floats: an update takes a few microseconds."""

    def __init__(self, bets: Bets) -> None:
        self.gaps = bets.gaps
        self.share = bets.share
        self.logs = bets.log_weights()
        self.num_seen = 0
        self.mean = 0.5
        self.squares = PRIOR_VARIANCE

    def bet(self, z: float, m: float, low: float, growth: float) -> None:
        """One step: increment ``z`` against the conditional mean ``m``; ``growth`` is N / (N - t + 1), or 1."""
        variance = self.squares / (self.num_seen + 1)
        room = m - low
        for j, gap in enumerate(self.gaps):
            d = min(1.0, gap * growth)
            stake = d / (variance + d * d)
            if stake * room > self.share:
                stake = self.share / room
            self.logs[j] += math.log1p(stake * (z - m))

    def watch(self, z: float) -> None:
        """Update the running variance; the prior is one value at 1/2."""
        self.num_seen += 1
        before = z - self.mean
        self.mean += before / (self.num_seen + 1)
        self.squares += before * (z - self.mean)

    @property
    def log_capital(self) -> float:
        return log_sum(self.logs)


def log_sum(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + math.log(sum(math.exp(x - top) for x in logs))


def log_path(path: Path, m: float, num_items: int | None, bets: Bets) -> Floats:
    """log of the capital against 'the mean is at most m' after each value of ``path``, shape (n,); infinite from
    where the null became impossible. The same numbers as ``Wealth`` and the null's bookkeeping in ``BoundedProcess``,
    at once."""
    n = len(path.values)
    before = np.arange(n, dtype=np.float64)
    total = np.cumsum(path.values)
    if num_items is None:
        targets, growth = np.full(n, m), np.ones(n)
    else:
        left = num_items - before
        targets, growth = (num_items * m - (total - path.values)) / left, num_items / left
    variances = _variances(path.increments)
    centre = np.maximum(targets, 0.0)
    logs: list[Floats] = []
    room = np.maximum(centre - path.lows, 1e-300)
    for gap, weight in zip(bets.gaps, bets.log_weights(), strict=True):
        d = np.minimum(1.0, gap * growth)
        stake = np.minimum(d / (variances + d * d), bets.share / room)
        logs.append(weight + np.cumsum(np.log1p(stake * (path.increments - centre))))
    capital = np.asarray(np.logaddexp.reduce(np.array(logs), axis=0))
    if num_items is not None:
        capital[total > num_items * m + TOLERANCE * num_items] = math.inf
    return capital


def _variances(z: Floats) -> Floats:
    """The running variance before each step, by Welford's recursion in closed form."""
    n = len(z)
    counts = np.arange(1, n + 1, dtype=np.float64)
    means = (0.5 + np.concatenate([[0.0], np.cumsum(z)])) / np.concatenate([[1.0], counts + 1])
    squares = PRIOR_VARIANCE + np.concatenate([[0.0], np.cumsum((z - means[:-1]) * (z - means[1:]))])
    return (squares / np.concatenate([[1.0], counts + 1]))[:n]
