"""From one-sided bounds on a difference to a word: better, worse, equivalent, or can't tell.

The bounds come from any method; each must hold with confidence 1 - alpha by itself. The verdict is then as good as the
bounds: nothing is assumed here. The margin must be fixed before the data.
"""

from __future__ import annotations

import math
from typing import Literal

from trialist.errors import MeasurementUndefined

Verdict = Literal["better", "worse", "equivalent", "can't tell"]
NotWorse = Literal["not worse", "worse", "can't tell"]


def equivalent(lower: float, upper: float, margin: float) -> Verdict:
    """Verdict on a difference D (first minus second, larger is better) from lower and upper bounds and margin > 0.

    In this order:
    1. ``equivalent``: -margin < lower and upper < margin. States |D| < margin (two one-sided tests).
    2. ``better``: lower > 0. States D > 0, by an amount that may be less than the margin.
    3. ``worse``: upper < 0. States D < 0.
    4. ``can't tell``: everything else.

    A difference that is clearly not 0 and clearly inside the margin is ``equivalent``: the margin says that it doesn't
    matter. A false verdict has probability at most alpha for every D but D = 0, where ``better`` and ``worse`` are both
    false and have at most alpha each. (For D >= margin both ``equivalent`` and ``worse`` need upper < D; for
    0 < D < margin ``worse`` alone is false; D < 0 is the mirror image.)
    Schuirmann 1987, J. Pharmacokinet. Biopharm. 15. Raises MeasurementUndefined for NaN, lower > upper, margin <= 0.
    """
    _check(lower, upper, margin)
    if -margin < lower and upper < margin:
        return "equivalent"
    if lower > 0:
        return "better"
    return "worse" if upper < 0 else "can't tell"


def noninferior(lower: float, upper: float, margin: float) -> NotWorse:
    """``not worse``: lower > -margin, states D > -margin. ``worse``: upper < -margin, states D <= -margin. Otherwise
    ``can't tell``. Exactly one of the two is false at any D, so a false verdict has probability at most alpha.

    Raises MeasurementUndefined as ``equivalent`` does.
    """
    _check(lower, upper, margin)
    if lower > -margin:
        return "not worse"
    return "worse" if upper < -margin else "can't tell"


def _check(lower: float, upper: float, margin: float) -> None:
    if not lower <= upper:
        raise MeasurementUndefined("bounds must be numbers, lower at most upper", seen=f"[{lower}, {upper}]")
    if not 0 < margin < math.inf:
        raise MeasurementUndefined("a margin must be positive", seen=str(margin), allowed="fixed before the data, > 0")
