"""Readings of one method -> its operating characteristics, a record that survives a round trip through JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from trialist.errors import DataError, MeasurementUndefined
from trialist.measurement.discrimination import Discrimination, auroc
from trialist.records import pretty_json
from trialist.validate.detectable import DetectableDose, detectable_dose
from trialist.validate.matrix import Finding, MatrixCell, findings, full_dose, matrix
from trialist.validate.rates import Rate, alarm_rate
from trialist.validate.readings import Reading, independent, measured
from trialist.validate.response import Response, response
from trialist.validate.stated import Stated, against_nulls, against_truth
from trialist.validate.threshold import Threshold, check_disjoint, freeze

SCHEMA = "trialist/characteristics/1"
T = TypeVar("T")


@dataclass(frozen=True)
class DoseRate:
    nominal: float
    mean_realised: float | None
    rate: Rate


@dataclass(frozen=True)
class RouteResult:
    """``route`` "all" is over all routes. False alarms are those of nulls; they have no route, and stand at "all"."""

    route: str
    doses: tuple[DoseRate, ...]
    auroc: Discrimination | None
    detectable: DetectableDose | None
    response: Response | None


@dataclass(frozen=True)
class Characteristics:
    """``undefined`` says of each part that is None why; ``num_unmeasured`` counts test readings without a score.
    ``twins`` and ``others`` are at the highest nominal dose of each plant."""

    method: str
    target: str
    threshold: Threshold | None
    false_alarms: Rate | None
    twins: Rate | None
    shams: Rate | None
    others: Rate | None
    routes: tuple[RouteResult, ...]
    stated: tuple[Stated, ...]
    cells: tuple[MatrixCell, ...]
    findings: tuple[Finding, ...]
    num_readings: int
    num_unmeasured: int
    undefined: tuple[str, ...]
    schema: str = SCHEMA


def characterise(
    readings: Sequence[Reading],
    method: str,
    target: str,
    *,
    specificity: float = 0.95,
    sensitivity: float = 0.8,
) -> Characteristics:
    """All that the test organisms say about ``method`` as a detector of the plant ``target``.

    The threshold comes from calibration nulls, everything else from test organisms. A part that no valid method gives
    is None, and ``undefined`` holds its reason. Raises DataError where calibration and test share a unit, where the
    method has no readings, or where a positive carries another plant than ``target``.
    """
    mine = [r for r in readings if r.method == method]
    _check(mine, method, target)
    why: list[str] = []
    threshold = _tried(lambda: freeze(mine, method, specificity=specificity), "threshold", why)
    test = [r for r in mine if r.split == "test"]
    by_role = {role: _of_role(test, role) for role in ("null", "twin", "sham", "other plant")}
    positives = [r for r in test if r.role == "positive"]
    routes = ("all", *sorted({r.route for r in positives}))
    chosen: dict[str, Threshold | str] = {
        method: threshold if threshold is not None else why[0].removeprefix("threshold: ")
    }
    rates = {
        role: alarm_rate(rows, threshold.value) if threshold is not None else None for role, rows in by_role.items()
    }
    nulls = [r for r in mine if r.role == "null"]
    stated = (
        _tried(lambda: against_truth(test), "stated error against truth", why),
        _tried(lambda: against_nulls(nulls), "stated error against nulls", why),
    )
    return Characteristics(
        method=method,
        target=target,
        threshold=threshold,
        false_alarms=rates["null"],
        twins=rates["twin"],
        shams=rates["sham"],
        others=rates["other plant"],
        routes=tuple(_route(r, positives, by_role["null"], threshold, sensitivity, why) for r in routes),
        stated=tuple(part for part in stated if part is not None),
        cells=matrix(mine, chosen),
        findings=findings(mine, chosen, sensitivity=sensitivity),
        num_readings=len(test),
        num_unmeasured=sum(r.score is None for r in test),
        undefined=tuple(why),
    )


def to_bytes(characteristics: Characteristics) -> bytes:
    return pretty_json(characteristics)


def from_bytes(data: bytes) -> Characteristics:
    """The record that ``to_bytes`` wrote. Raises DataError for anything else."""
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(Characteristics).validate_json(data)
    except ValidationError as error:
        raise DataError("no operating characteristics", seen=str(error.errors()[0]["msg"]), allowed=SCHEMA) from error
    if found.schema != SCHEMA:
        raise DataError("characteristics of another schema", seen=found.schema, allowed=SCHEMA)
    return found


def _of_role(test: Sequence[Reading], role: str) -> list[Reading]:
    """Those of a role; of each plant those at its highest nominal dose."""
    here = [r for r in test if r.role == role]
    return [
        r for plant in dict.fromkeys(r.plant for r in here) for r in full_dose([r for r in here if r.plant == plant])
    ]


def dose_rates(positives: Sequence[Reading], threshold: float) -> tuple[DoseRate, ...]:
    """Sensitivity at each nominal dose, with the mean realised dose of those that have one."""
    found: list[DoseRate] = []
    for nominal in sorted({r.nominal for r in positives}):
        here = [r for r in positives if r.nominal == nominal]
        doses = [r.realised for r in here if r.realised is not None]
        rate = alarm_rate(here, threshold)
        if rate is not None:
            found.append(DoseRate(nominal, sum(doses) / len(doses) if doses else None, rate))
    return tuple(found)


def _route(
    route: str,
    positives: Sequence[Reading],
    nulls: Sequence[Reading],
    threshold: Threshold | None,
    sensitivity: float,
    why: list[str],
) -> RouteResult:
    here = [r for r in positives if route in ("all", r.route)]
    label, limit = f"({route})", threshold.value if threshold is not None else None
    doses: tuple[DoseRate, ...] = ()
    lowest: DetectableDose | None = None
    if limit is not None:
        doses = dose_rates(here, limit)
        lowest = _tried(
            lambda: detectable_dose(here, limit, sensitivity=sensitivity), f"minimum detectable dose {label}", why
        )
    area = _tried(lambda: _auroc(here, nulls), f"AUROC {label}", why)
    slope = _tried(lambda: response([*here, *nulls]), f"dose-response {label}", why)
    return RouteResult(route, doses, area, lowest, slope)


def _auroc(every: Sequence[Reading], test_nulls: Sequence[Reading]) -> Discrimination:
    """Positives at the highest nominal dose against nulls of other units: a base and what was tuned from it depend on
    each other, so that base is left out."""
    positives = full_dose(every)
    units = {r.unit for r in positives}
    nulls = [r for r in test_nulls if r.unit not in units]
    if not independent([*positives, *nulls]):
        raise MeasurementUndefined(
            "the interval for AUROC here needs independent readings",
            seen="groups with several organisms",
            next_step="ustatistics.delete_one_cluster, or one organism of each group",
        )
    missing = sum(r.score is None for r in (*positives, *nulls))
    if missing:
        raise MeasurementUndefined(
            "AUROC needs every score, as those missing may be the hard ones", seen=f"{missing} unmeasured"
        )
    return auroc([s for _, s in measured(positives)], [s for _, s in measured(nulls)])


def _tried(compute: Callable[[], T], name: str, why: list[str]) -> T | None:
    try:
        return compute()
    except MeasurementUndefined as error:
        problem = error.problems[0]
        why.append(f"{name}: {problem.message}" + (f" ({problem.seen})" if problem.seen else ""))
        return None


def _check(mine: Sequence[Reading], method: str, target: str) -> None:
    if not mine:
        raise DataError(f"no reading of the method {method}", seen="0 readings")
    wrong = sorted({r.plant for r in mine if r.role == "positive" and r.plant != target})
    if wrong:
        raise DataError(f"a positive must carry {target}", seen=", ".join(wrong), allowed=target)
    check_disjoint(mine)
