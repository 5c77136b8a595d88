"""The alarm threshold, frozen on calibration nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trialist.errors import DataError, MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.validate.readings import Reading


@dataclass(frozen=True)
class Threshold:
    """An alarm is a score strictly above ``value``. ``guarantee`` bounds the chance of an alarm on a new null."""

    method: str
    value: float
    specificity: float
    guarantee: float
    num_units: int
    num_unmeasured: int


def freeze(readings: Sequence[Reading], method: str, *, specificity: float = 0.95) -> Threshold:
    """The k-th smallest of n calibration nulls, k = ceil((n + 1) specificity): the conformal quantile.

    A new null that is exchangeable with them exceeds it with chance at most (n + 1 - k)/(n + 1) <= 1 - specificity, on
    average over calibration sets (Vovk, Gammerman & Shafer 2005, chapter 2). Ties only lower the chance, as an alarm
    is strictly above. Where nulls share a unit, a unit counts once with its highest score: units are exchangeable then.
    An unmeasured null counts as the highest score, so that a method can't gain by failing.
    Raises MeasurementUndefined for fewer than ``specificity / (1 - specificity)`` units (19 for .95), or where the k-th
    is unmeasured.
    """
    nulls = [r for r in readings if r.method == method and r.role == "null" and r.split == "calibration"]
    highest: dict[str, float] = {}
    for reading in nulls:
        score = math.inf if reading.score is None else reading.score
        highest[reading.unit] = max(score, highest.get(reading.unit, -math.inf))
    num = len(highest)
    place = math.ceil((num + 1) * check_share("specificity", specificity) - 1e-9)
    needed = math.ceil(specificity / (1 - specificity) - 1e-9)
    if place > num:
        raise MeasurementUndefined(
            "too few independent calibration nulls to freeze a threshold",
            seen=f"{num} for {method}",
            allowed=f"{needed} or more at specificity {specificity:g}",
            next_step=f"build {needed - num} more nulls, each with a base checkpoint of its own",
        )
    value = sorted(highest.values())[place - 1]
    missing = sum(reading.score is None for reading in nulls)
    if math.isinf(value):
        raise MeasurementUndefined(
            f"too many calibration nulls are unmeasured to freeze a threshold for {method}",
            seen=f"{missing} of {len(nulls)} unmeasured",
            allowed=f"at most {num - place} of {num} units",
            next_step="measure them again, or build more nulls",
        )
    return Threshold(method, value, specificity, (num + 1 - place) / (num + 1), num, missing)


def check_disjoint(readings: Sequence[Reading]) -> None:
    """Raises DataError where a unit stands in the calibration and the test split: the threshold would be tested on
    what chose it."""
    sides = [{r.unit for r in readings if r.split == split} for split in ("calibration", "test")]
    sides_by_organism = [{f"organism {r.organism}" for r in readings if r.split == s} for s in ("calibration", "test")]
    both = sorted((sides[0] & sides[1]) | (sides_by_organism[0] & sides_by_organism[1]))
    if both:
        raise DataError(
            "calibration and test organisms must share no group",
            seen=", ".join(both[:5]) + (f" and {len(both) - 5} more" if len(both) > 5 else ""),
            next_step="put a whole group into one split",
        )
