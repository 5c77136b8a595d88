"""A confidence sequence for the mean of bounded values: an interval that may be looked at after every value.

Two one-sided processes of ``bounded.py`` for every m, at (1 - level)/2 each. What has been refuted at any time stays
refuted (the running intersection), so the intervals are nested, and P(all of them hold the mean) >= level.
Waudby-Smith & Ramdas 2024, J. R. Stat. Soc. B 86, sections 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.sequential.bounded import Sampling, Scale, check_items, take
from trialist.measurement.sequential.wealth import UNIVERSAL, Bets, Path, log_path

NUM_HALVINGS = 45


class MeanSequence:
    """At every time at once, with probability ``level``, the mean lies inside.

    The limits are the m at which the largest capital so far reaches 2/(1 - level). Nothing seen gives [low, high];
    the whole bank seen gives its mean, within 1e-9. Raises MeasurementUndefined where every mean has been refuted.
    """

    def __init__(
        self,
        *,
        level: float = 0.95,
        low: float = 0.0,
        high: float = 1.0,
        num_items: int | None = None,
        bets: Bets | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self._log_limit = math.log(2 / (1 - check_share("level", level)))
        self.scale = Scale.make(low, high)
        self.num_items = check_items(num_items, sampling, self.scale)
        self._sampling = sampling
        self._bets = UNIVERSAL if bets is None else bets.unit(high - low)
        self._rows: list[tuple[float, float, float, float]] = []

    def update(self, value: float) -> None:
        """The next value; refuses what ``BoundedProcess.update`` refuses. Cheap: the limits are found when asked
        for."""
        t = len(self._rows)
        if self.num_items is not None and t >= self.num_items:
            raise MeasurementUndefined("the whole bank has been seen", seen=f"value {t + 1}", allowed=f"{t} values")
        self._rows.append(take(self._sampling, t, self.scale.unit(value)))

    def path(self) -> Path:
        return Path(*(np.array(column, dtype=np.float64) for column in zip(*self._rows, strict=True)))

    def interval(self) -> Interval:
        if not self._rows:
            return Interval(self.scale.low, self.scale.high)
        path = self.path()
        low = lower_limit(path, self._log_limit, self.num_items, self._bets)
        high = 1 - lower_limit(path.mirrored(), self._log_limit, self.num_items, self._bets)
        if low > high:
            raise MeasurementUndefined(
                "every mean has been refuted: the order wasn't random, or this is a sequence that misses the mean",
                seen=f"above {self.scale.value(low)} and below {self.scale.value(high)}",
                next_step=f"happens with probability at most {2 * math.exp(-self._log_limit):g} in a random order",
            )
        return Interval(self.scale.value(low), self.scale.value(high))


def mean_sequence(
    values: ArrayLike,
    *,
    at: Sequence[int],
    level: float = 0.95,
    low: float = 0.0,
    high: float = 1.0,
    num_items: int | None = None,
    bets: Bets | None = None,
) -> list[Interval]:
    """The intervals of a ``MeanSequence`` after ``at`` values (ascending counts, at most len(values)), one each."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or list(at) != sorted(at) or not all(0 <= k <= len(found) for k in at):
        raise MeasurementUndefined(
            "a confidence sequence needs a row of values and ascending times", seen=f"{found.shape}, at {list(at)}"
        )
    sequence = MeanSequence(level=level, low=low, high=high, num_items=num_items, bets=bets)
    intervals: list[Interval] = []
    start = 0
    for stop in at:
        for value in found[start:stop].tolist():
            sequence.update(value)
        start = stop
        intervals.append(sequence.interval())
    return intervals


def lower_limit(path: Path, log_limit: float, num_items: int | None, bets: Bets) -> float:
    """The largest m, to rounding, such that "mean <= m" has been refuted: its capital once reached exp(log_limit).

    The capital falls in m (a bet is constant in m, or share / (m - low_t), and the factor falls either way), so m is
    found by bisection; the end that is returned is a refuted one, or 0.
    """
    below, above = 0.0, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (below + above) / 2
        if float(log_path(path, middle, num_items, bets).max()) >= log_limit:
            below = middle
        else:
            above = middle
    return below
