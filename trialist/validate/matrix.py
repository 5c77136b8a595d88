"""Methods against plants: what each method fires on, and what follows in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trialist.validate.rates import Rate, alarm_rate
from trialist.validate.readings import Reading
from trialist.validate.threshold import Threshold

Kind = Literal["target", "twin", "null", "sham", "other plant"]
_KINDS: Mapping[str, Kind] = {"positive": "target", "twin": "twin", "null": "null", "sham": "sham"}


@dataclass(frozen=True)
class MatrixCell:
    """``rate`` None: no organism there, or no threshold; ``reason`` says which."""

    method: str
    column: str
    kind: Kind
    rate: Rate | None
    reason: str = ""

    @property
    def text(self) -> str:
        return str(self.rate) if self.rate is not None else "-"


@dataclass(frozen=True)
class Finding:
    """``rank`` 0 is printed first: a method that can't tell its plant from its twin."""

    rank: int
    method: str
    text: str


def column_of(reading: Reading) -> str:
    """The column of a reading: its plant, or "null", "sham". One plant is one column for every method, which knows its
    twin by the kind of its cell."""
    return reading.role if reading.role in ("null", "sham") else reading.plant


def matrix(readings: Sequence[Reading], thresholds: Mapping[str, Threshold | str]) -> tuple[MatrixCell, ...]:
    """One cell for each method and column, over test readings; ``thresholds`` holds the reason where there is none.

    Of organisms that carry a plant those at its highest nominal dose: a rate over several doses is of no dose, and a
    base would stand in it several times.
    """
    test = [r for r in readings if r.split == "test"]
    columns = sorted({column_of(r) for r in test}, key=lambda name: (name in ("null", "sham"), name))
    found: list[MatrixCell] = []
    for method, threshold in thresholds.items():
        for column in columns:
            here = full_dose([r for r in test if r.method == method and column_of(r) == column])
            kind = _KINDS.get(here[0].role, "other plant") if here else "other plant"
            if isinstance(threshold, str):
                found.append(MatrixCell(method, column, kind, None, threshold))
                continue
            rate = alarm_rate(here, threshold.value)
            found.append(MatrixCell(method, column, kind, rate, _reason(rate)))
    return tuple(found)


def _reason(rate: Rate | None) -> str:
    if rate is None:
        return "no test organism"
    return "; ".join(rate.reasons) or "unmeasured" if rate.num_unmeasured else ""


def findings(
    readings: Sequence[Reading], thresholds: Mapping[str, Threshold | str], *, sensitivity: float = 0.8
) -> tuple[Finding, ...]:
    """What the test organisms show, worst first; each bound is one-sided at .95 and not adjusted for their number.

    "Fires on" means that the lower bound of the alarm rate is above 1 - specificity; "misses its plant at full dose"
    that the upper bound of sensitivity at the highest nominal dose is below ``sensitivity``. Plant and twin are told
    apart if, both at full dose, the lower bound of the plant's rate is above the upper bound of the twin's.
    """
    found: list[Finding] = []
    for method, threshold in thresholds.items():
        if isinstance(threshold, str):
            found.append(Finding(1, method, f"{method} has no threshold: {threshold}"))
            continue
        mine = [r for r in readings if r.method == method and r.split == "test"]
        found += _about_twin(mine, threshold)
        found += _about_plant(mine, threshold, sensitivity)
        for cell in matrix(mine, {method: threshold}):
            alarms = cell.rate is not None and cell.rate.lower > 1 - threshold.specificity
            if alarms and cell.kind in ("other plant", "sham", "null"):
                name = f"plant {cell.column}" if cell.kind == "other plant" else f"{cell.column} organisms"
                found.append(Finding(3, method, f"{method} fires on {name}: {cell.text}"))
            if cell.rate is not None and cell.rate.num_unmeasured:
                text = f"{method} has {cell.rate.num_unmeasured} unmeasured on {cell.column}: {cell.reason}"
                found.append(Finding(4, method, text))
    return tuple(sorted(found, key=lambda finding: finding.rank))


def full_dose(readings: Sequence[Reading]) -> list[Reading]:
    """Those at the highest nominal dose, of readings of one plant."""
    top = max((r.nominal for r in readings), default=0.0)
    return [r for r in readings if r.nominal == top]


def _about_twin(mine: Sequence[Reading], threshold: Threshold) -> list[Finding]:
    name, limit = threshold.method, threshold.value
    twin = alarm_rate(full_dose([r for r in mine if r.role == "twin"]), limit)
    plant = alarm_rate(full_dose([r for r in mine if r.role == "positive"]), limit)
    if twin is None:
        return [Finding(4, name, f"{name} was not tried on a twin")]
    fires = twin.lower > 1 - threshold.specificity
    said = [Finding(2, name, f"{name} fires on its twin: {twin}")] if fires else []
    if plant is None or plant.lower > twin.upper:
        return said
    counts = f"at full dose it alarms on the plant {plant}, on the twin {twin}"
    if fires:
        return [Finding(0, name, f"{name} cannot tell its plant from its twin: {counts}"), *said]
    return [Finding(0, name, f"{name} is not shown to tell its plant from its twin: {counts}"), *said]


def _about_plant(mine: Sequence[Reading], threshold: Threshold, sensitivity: float) -> list[Finding]:
    name = threshold.method
    rate = alarm_rate(full_dose([r for r in mine if r.role == "positive"]), threshold.value)
    if rate is None:
        return [Finding(1, name, f"{name} was not tried on its plant")]
    if rate.upper < sensitivity:
        return [Finding(2, name, f"{name} misses its plant at full dose: {rate} detected")]
    return []
