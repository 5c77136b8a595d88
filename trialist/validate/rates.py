"""Alarm rates at a frozen threshold, with exact intervals; unmeasured readings only widen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trialist.measurement.cluster_bound import lower_mean, upper_mean
from trialist.measurement.clustered import aggregate
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import lower_bound, upper_bound
from trialist.validate.readings import Reading, independent

EXACT = "Clopper-Pearson"
CLUSTERED = "cluster bound: a group with any event counts wholly"


@dataclass(frozen=True)
class Rate:
    """``num_alarms`` of ``num_measured``. ``interval`` is two-sided, ``lower`` and ``upper`` one-sided, all at .95."""

    num_alarms: int
    num_measured: int
    num_unmeasured: int
    num_units: int
    interval: Interval
    lower: float
    upper: float
    method: str
    reasons: tuple[str, ...] = ()

    @property
    def value(self) -> float | None:
        return self.num_alarms / self.num_measured if self.num_measured else None

    def __str__(self) -> str:
        return f"{self.num_alarms}/{self.num_measured}" if self.num_measured else "-"


def alarm_rate(readings: Sequence[Reading], threshold: float, *, level: float = 0.95) -> Rate | None:
    """Share of readings above ``threshold``; None for no readings at all.

    Each bound is Clopper & Pearson's if every unit holds one reading, else ``cluster_bound``. Lower bounds count an
    unmeasured reading as no alarm and upper bounds as an alarm, so they hold whatever its score would have been.
    """
    if not readings:
        return None
    low = [float(r.score is not None and r.score > threshold) for r in readings]
    high = [float(r.score is None or r.score > threshold) for r in readings]
    units = [r.unit for r in readings]
    alone, both = independent(readings), (1 + level) / 2
    missing = [r for r in readings if r.score is None]
    return Rate(
        num_alarms=int(sum(low)),
        num_measured=len(readings) - len(missing),
        num_unmeasured=len(missing),
        num_units=len(set(units)),
        interval=Interval(lower_rate(low, units, both), upper_rate(high, units, both)),
        lower=lower_rate(low, units, level),
        upper=upper_rate(high, units, level),
        method=EXACT if alone else CLUSTERED,
        reasons=tuple(sorted({r.reason for r in missing})),
    )


def lower_rate(hits: Sequence[float], units: Sequence[str], confidence: float) -> float:
    """One-sided lower bound on the mean chance of a hit; (n,) hits of 0 or 1 with their units."""
    if len(set(units)) == len(units):
        return lower_bound(sum(hits), len(hits), confidence)
    groups = aggregate(hits, units)
    return lower_mean(groups.means, groups.sizes, confidence=confidence)


def upper_rate(hits: Sequence[float], units: Sequence[str], confidence: float) -> float:
    """The mirror image of ``lower_rate``."""
    if len(set(units)) == len(units):
        return upper_bound(sum(hits), len(hits), confidence)
    groups = aggregate(hits, units)
    return upper_mean(groups.means, groups.sizes, confidence=confidence)
