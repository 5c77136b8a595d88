"""Smallest sample sizes, and the checks that every plan shares."""

from __future__ import annotations

import math
from collections.abc import Callable

from trialist.errors import MeasurementUndefined

MAX_ITEMS = 10_000_000
HORIZON = 1.25
"""A steady sample size keeps its power at every larger size up to this many times itself."""
WINDOW = 600
SMOOTH = 50_000
"""Above this size the dips are below .001 in power."""
NUM_HALVINGS = 60


def smallest(power_at: Callable[[int], float], target: float, *, start: int = 1) -> int:
    """Smallest n >= ``start`` with power_at(n) >= target, for a power that rises with n.

    Raises MeasurementUndefined if ``MAX_ITEMS`` aren't enough.
    """
    high = start
    while power_at(high) < target:
        if high >= MAX_ITEMS:
            raise too_many(target)
        high = min(MAX_ITEMS, 2 * high)
    low = max(start - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= target else (middle, high)
    return high


def steady(power_at: Callable[[int], float], target: float, *, start: int = 1) -> int:
    """Smallest n such that power_at(m) >= target for every m from n to ``HORIZON`` n, for a power that rises with small
    dips. At most ``WINDOW`` sizes on each side are looked at, and none where n is above ``SMOOTH``."""
    near = smallest(power_at, target, start=start)
    if near > SMOOTH:
        return near
    width = min(WINDOW, max(20, math.ceil((HORIZON - 1) * near)))
    last = near - 1
    for n in range(max(start, near - width), near + width + 1):
        if power_at(n) < target:
            last = n
    return max(start, last + 1)


def solve(
    power_at: Callable[[float], float], target: float, low: float, high: float, *, halvings: int = NUM_HALVINGS
) -> float:
    """The effect between ``low`` and ``high`` at which a power that rises from low to high reaches ``target``; the side
    that reaches it. The caller makes sure that ``high`` does."""
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if power_at(middle) >= target else (middle, high)
    return high


def too_many(target: float) -> MeasurementUndefined:
    return MeasurementUndefined(
        f"no number of items up to {MAX_ITEMS:,} reaches a power of {target:g}",
        seen="an effect that is too small, or clusters that are too alike",
        next_step="plan for a larger effect, or a smaller power",
    )


def check_power(power: float) -> float:
    if not 0 < power < 1:
        raise MeasurementUndefined(
            "power must lie strictly between 0 and 1",
            seen=str(power),
            allowed="for example .8 or .9",
            next_step="no finite sample has power 1: choose .8, .9 or .95",
        )
    return power


def check_rate(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise MeasurementUndefined(
            f"{name} must be a share", seen=str(value), allowed="0 to 1", next_step="write 3% as .03"
        )
    return value


def check_num(name: str, value: float, least: int = 1) -> int:
    """A whole number, at least ``least``."""
    if not (math.isfinite(value) and value == int(value) and least <= value <= MAX_ITEMS):
        raise MeasurementUndefined(
            f"{name} must be a whole number", seen=str(value), allowed=f"{least} to {MAX_ITEMS:,}"
        )
    return int(value)


def check_amount(name: str, value: float, *, zero: bool = True) -> float:
    """A finite number that isn't negative, nor 0 unless ``zero``."""
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise MeasurementUndefined(
            f"{name} must be finite and {'not negative' if zero else 'above 0'}",
            seen=str(value),
            allowed="0 or more" if zero else "more than 0",
        )
    return value
