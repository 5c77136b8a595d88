"""Conformance of an estimator, ours or anyone's: coverage, width, refusals and type-I error over seeded draws.

``check`` runs an interval over cases with a known truth, such as ``stress.cases()``; ``type_one`` runs a rule that
rejects over streams at the edge of its null. Both state binomial bounds, and hold an estimator to them after a
correction for the number of cells: one that is always right because it always refuses, or is always wide, fails too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import clopper_pearson

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CERTAINTY = 0.999
"""Level of the Clopper-Pearson interval around an observed coverage: a seeded test fails by chance once in 1,000."""

NORMAL_95, NORMAL_90 = 1.959963984540054, 1.6448536269514722
MOST_REFUSED = 0.5
WIDEST = 6.0
"""Against a normal interval with the true standard deviation of the point estimate."""


class Case(Protocol[T_co]):
    """What a case of a stress set offers: a name, the truth, and a way to draw data."""

    @property
    def name(self) -> str: ...
    @property
    def truth(self) -> float: ...
    @property
    def draw(self) -> Callable[[np.random.Generator], T_co]: ...


@dataclass(frozen=True)
class Coverage:
    """``covered`` of ``repetitions`` intervals held the truth; a one-sided bound's width is its distance from it.

    ``low`` and ``high`` bound the true coverage at level ``CERTAINTY``; ``refused`` repetitions gave no interval and
    count in neither number; ``zero_width`` intervals were given with no width at all."""

    covered: int
    repetitions: int
    low: float
    high: float
    mean_width: float
    refused: int
    zero_width: int = 0

    @property
    def share(self) -> float:
        return self.covered / self.repetitions

    def reaches(self, nominal: float) -> bool:
        """The true coverage isn't shown to be below ``nominal``."""
        return self.high >= nominal


@dataclass(frozen=True)
class CellResult:
    """One case. ``relative_width``: mean width over 2 x 1.96 standard deviations of ``point``'s estimates, of a
    one-sided bound mean distance from the truth over 1.645 of them; None without a ``point``. ``coverage`` is None
    where the estimator refused every time."""

    case: str
    truth: float
    attempts: int
    coverage: Coverage | None
    relative_width: float | None

    @property
    def refused(self) -> float:
        """Share of the data sets that got no interval."""
        return 1.0 if self.coverage is None else self.coverage.refused / self.attempts


@dataclass(frozen=True)
class Report:
    """``failures`` names each cell that fails and why, after a Bonferroni correction over the cells."""

    nominal: float
    cells: tuple[CellResult, ...]
    failures: tuple[str, ...]

    @property
    def worst(self) -> CellResult | None:
        """The cell with the lowest coverage."""
        given = [cell for cell in self.cells if cell.coverage is not None]
        return min(given, key=lambda cell: cell.coverage.share if cell.coverage else 1.0, default=None)

    @property
    def conforms(self) -> bool:
        return not self.failures


def check(
    estimator: Callable[[T], Interval | None],
    cases: Sequence[Case[T]],
    *,
    nominal: float = 0.95,
    repetitions: int = 2000,
    seed: int = 0,
    point: Callable[[T], float | None] | None = None,
    widest: float = WIDEST,
) -> Report:
    """Run ``estimator`` over every case, each with its own seed, and hold it to ``nominal`` coverage.

    A cell fails where its coverage is below nominal beyond a binomial test at .01 / number of cells, where more than
    ``MOST_REFUSED`` of the draws are refused, where any interval has no width, or where ``point`` is given and the mean
    relative width is above ``widest``. A one-sided bound is an interval whose other end is infinite. An estimator
    refuses by returning None or by raising MeasurementUndefined.
    """
    cells = [
        _cell(estimator, case, repetitions, np.random.default_rng([seed, number]), point)
        for number, case in enumerate(cases)
    ]
    failures = [f"{cell.case}: {why}" for cell in cells for why in failures_of(cell, nominal, len(cells), widest)]
    return Report(nominal, tuple(cells), tuple(failures))


def coverage(
    estimator: Callable[[T], Interval | None],
    draw: Callable[[np.random.Generator], T],
    *,
    truth: float,
    repetitions: int,
    generator: np.random.Generator,
) -> Coverage:
    """Draw data ``repetitions`` times and count the intervals that hold ``truth``.

    Raises MeasurementUndefined where the estimator refuses every time.
    """
    return _count([_ask(estimator, draw(generator)) for _ in range(repetitions)], truth)


@dataclass(frozen=True)
class TypeOne:
    """``rejected`` of ``repetitions`` streams on which the null was true; ``low`` and ``high`` bound the true error at
    level ``CERTAINTY``."""

    rejected: int
    repetitions: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.rejected / self.repetitions

    def keeps(self, alpha: float) -> bool:
        """The true error isn't shown to exceed ``alpha``."""
        return self.low <= alpha


def type_one(
    rejects: Callable[[T], bool],
    draw: Callable[[np.random.Generator], T],
    *,
    repetitions: int,
    generator: np.random.Generator,
) -> TypeOne:
    """How often a rule rejects a null that is true, such as a sequential rule that may stop at any row of a stream."""
    rejected = sum(bool(rejects(draw(generator))) for _ in range(repetitions))
    limits = clopper_pearson(rejected, repetitions, CERTAINTY)
    return TypeOne(rejected, repetitions, limits.low, limits.high)


def _cell(
    estimator: Callable[[T], Interval | None],
    case: Case[T],
    repetitions: int,
    generator: np.random.Generator,
    point: Callable[[T], float | None] | None,
) -> CellResult:
    found: list[Interval | None] = []
    points: list[float] = []
    for _ in range(repetitions):
        data = case.draw(generator)
        found.append(_ask(estimator, data))
        value = point(data) if point is not None else None
        points += [value] if value is not None else []
    if all(interval is None for interval in found):
        return CellResult(case.name, case.truth, repetitions, None, None)
    counted = _count(found, case.truth)
    spread = float(np.std(points)) if len(points) > 1 else 0.0
    one_sided = any(interval is not None and math.isinf(interval.width) for interval in found)
    wanted = (NORMAL_90 if one_sided else 2 * NORMAL_95) * spread
    relative = counted.mean_width / wanted if spread > 0 else None
    return CellResult(case.name, case.truth, repetitions, counted, relative)


def _ask(estimator: Callable[[T], Interval | None], data: T) -> Interval | None:
    try:
        return estimator(data)
    except MeasurementUndefined:
        return None


def _count(found: Iterable[Interval | None], truth: float) -> Coverage:
    asked = list(found)
    given = [interval for interval in asked if interval is not None]
    if not given:
        raise MeasurementUndefined("the estimator gave no interval at all", seen=f"{len(asked)} repetitions")
    covered = sum(interval.contains(truth) for interval in given)
    limits = clopper_pearson(covered, len(given), CERTAINTY)
    widths = [_width(interval, truth) for interval in given]
    return Coverage(
        covered, len(given), limits.low, limits.high, float(np.mean(widths)), len(asked) - len(given),
        sum(interval.width <= 0 for interval in given),
    )  # fmt: skip


def _width(interval: Interval, truth: float) -> float:
    """The width, or of a one-sided bound (its other end is infinite) how far on the safe side of the truth it lies."""
    if math.isinf(interval.low):
        return interval.high - truth
    return truth - interval.low if math.isinf(interval.high) else interval.width


def failures_of(cell: CellResult, nominal: float, num_cells: int, widest: float = WIDEST) -> list[str]:
    """What is wrong with one of ``num_cells`` cells, as ``check`` judges it."""
    if cell.coverage is None:
        return ["no interval at all"]
    found = cell.coverage
    limit = clopper_pearson(found.covered, found.repetitions, 1 - 0.02 / num_cells).high
    return [
        *([f"covers {found.share:.4f}, below {nominal:g}"] if limit < nominal else []),
        *([f"refuses {cell.refused:.0%}"] if cell.refused > MOST_REFUSED else []),
        *([f"{found.zero_width} intervals of no width"] if found.zero_width else []),
        *([f"{cell.relative_width:.1f} times as wide as need be"] if (cell.relative_width or 0) > widest else []),
    ]
