"""Two arms on the same items with binary scores: the pairs that differ, in order.

A pair's value is the difference arm - other in {-1, 0, 1}. Pairs that agree (0) say nothing on which arm is better;
among the others, P(win | discordant) = .5 under "no difference". The e-process is the one of ``rate`` at p0 = .5 with a
uniform prior cut off there, moved by the discordant pairs alone: with b wins and c losses, for "worse",

    e(b, c) = B(1 + b, 1 + c) I_.5(1 + b, 1 + c) / .5 / .5^(b + c).

It is valid for H0 "not worse" in the form P(win | past) >= P(loss | past) at every pair, however many pairs agree and
however both probabilities drift: for theta < .5 the factor of a pair (2 theta for a win, 2 (1 - theta) for a loss, 1 if
it agrees) has expectation 1 - (1 - 2 theta) (P(win | past) - P(loss | past)) <= 1. At equality this is McNemar's null.

A margin on the difference of rates isn't a statement about discordant pairs; for that, bet on the differences as
bounded values in [-1, 1].
"""

from __future__ import annotations

from typing import Literal

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval
from trialist.measurement.sequential.rate import Beta, RateProcess
from trialist.measurement.sequential.rate_sequence import RateSequence

Side = Literal["better", "worse"]
UNIFORM = Beta(1.0, 1.0)


class DiscordantProcess:
    """Evidence that the arm is "better" (wins more than half of the discordant pairs) or "worse".

    Raises MeasurementUndefined for differences other than -1, 0, 1.
    """

    def __init__(self, shows: Side, *, prior: Beta = UNIFORM) -> None:
        if shows not in ("better", "worse"):
            raise MeasurementUndefined("an arm is shown to be better or worse", seen=shows, allowed="better, worse")
        self.shows: Side = shows
        self.prior = prior
        self._wins = RateProcess(0.5, shows="above" if shows == "better" else "below", prior=prior)
        self._seen = 0

    def update(self, value: float) -> None:
        win = _win(value)
        if win is not None:
            self._wins.update(win)
        self._seen += 1

    @property
    def log_e(self) -> float:
        return self._wins.log_e

    @property
    def max_log_e(self) -> float:
        return self._wins.max_log_e

    @property
    def num_seen(self) -> int:
        """Pairs, those that agree among them."""
        return self._seen

    @property
    def num_discordant(self) -> int:
        return self._wins.num_seen

    @property
    def settings(self) -> dict[str, str | float]:
        """What rebuilds the process before its first pair."""
        return {"kind": "discordant", "shows": self.shows, "a": self.prior.a, "b": self.prior.b}


class WinRateSequence:
    """A confidence sequence for P(win | discordant), at all numbers of pairs at once; [0, 1] before the first one."""

    def __init__(self, *, level: float = 0.95) -> None:
        self._rate = RateSequence(level=level)

    def update(self, value: float) -> None:
        win = _win(value)
        if win is not None:
            self._rate.update(win)

    @property
    def num_discordant(self) -> int:
        return self._rate.num_seen

    @property
    def interval(self) -> Interval:
        return self._rate.interval


def _win(value: float) -> float | None:
    """1 for a win, 0 for a loss, None for a pair that agrees."""
    if value not in (-1, 0, 1):
        raise MeasurementUndefined(
            "a pair of binary scores differs by -1, 0 or 1",
            seen=str(value),
            allowed="-1, 0, 1",
            next_step="for graded scores bet on the differences as bounded values",
        )
    return None if value == 0 else (value + 1) / 2
