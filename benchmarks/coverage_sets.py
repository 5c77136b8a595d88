"""The sets of cases of ``coverage.py`` with our own estimators for each: scores, judged scores, agreement of raters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trialist.measurement.agreement import tabulate
from trialist.measurement.agreement_intervals import agreement_jackknife
from trialist.measurement.claiming import claim_bounds
from trialist.measurement.describing import describe
from trialist.measurement.interval import Interval
from trialist.measurement.judged.choose import GoldDesign, judged_estimate
from trialist.measurement.judged.difference import JudgedArm, judged_difference
from trialist.measurement.krippendorff import krippendorff_coefficient
from trialist.measurement.sample import Sample
from trialist.measurement.stress import Case, cases
from trialist.measurement.stress_judged import JudgedCase, JudgedData, judged_cases

LEVEL = 0.95
DESCRIBE, BELOW, ABOVE = "trialist, describe", "trialist, claim below", "trialist, claim above"
UNRELATED = "trialist, claim below, sizes unrelated"
MANY_GOLD = 150

Ratings = NDArray[np.int64]


@dataclass(frozen=True)
class AgreementCase:
    """Two raters of ``num`` yes-or-no items, each wrong in a share ``error`` of them: alpha is known."""

    num: int
    share: float
    error: float
    group: str = "agreement"

    @property
    def name(self) -> str:
        return f"alpha, {self.num} items, {self.share:g} yes, {self.error:g} wrong"

    @property
    def truth(self) -> float:
        agreed = self.error**2 + (1 - self.error) ** 2
        yes = self.share * (1 - self.error) + (1 - self.share) * self.error
        chance = yes**2 + (1 - yes) ** 2
        return (agreed - chance) / (1 - chance)

    def draw(self, generator: np.random.Generator) -> Ratings:
        truth = generator.random(self.num) < self.share
        raters = [np.where(generator.random(self.num) < self.error, ~truth, truth) for _ in range(2)]
        return np.stack(raters, axis=1).astype(np.int64)


def of_set(name: str) -> Sequence[Any]:
    return {"scores": cases, "judged": judged_cases, "agreement": agreement_cases}[name]()


def agreement_cases() -> tuple[AgreementCase, ...]:
    return (AgreementCase(20, 0.5, 0.1), AgreementCase(60, 0.4, 0.1), AgreementCase(200, 0.1, 0.05))


def ours_for(kind: str, case: Any) -> list[str]:
    """Our estimators for a case. Claims that are refused by design aren't asked for; neither is what declares something
    that is false in the case."""
    if kind == "agreement":
        return [DESCRIBE]
    if kind == "judged":
        # A claim with hundreds of labels costs much and shows nothing new.
        return [DESCRIBE, BELOW] if case.num_gold <= MANY_GOLD else [DESCRIBE]
    if case.group == "function of means":
        return [DESCRIBE]
    unrelated = case.group == "clustered rate" and "size follows" not in case.name
    return [DESCRIBE, BELOW, ABOVE, *([UNRELATED] if unrelated else [])]


def ours(kind: str, name: str, case: Any) -> Callable[[Any], Interval | None]:
    if kind == "agreement":
        return _alpha
    if kind == "judged":
        return lambda data: _judged(case, data, "describe" if name == DESCRIBE else "claim")
    return lambda data: _scores(case, data, name)


class Shared:
    """Both bounds of a claim from one call, for two passes over the same draws: the first pass must be ``BELOW``."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._kept: list[Interval | None] = []

    def side(self, name: str) -> Callable[[Any], Interval | None]:
        return self._below if name == BELOW else self._above(iter(self._kept))

    def _below(self, data: Sample) -> Interval | None:
        found = claim_bounds(data, LEVEL, None, self._case.bank).interval
        self._kept.append(found)
        return found and Interval(-math.inf, found.high)

    @staticmethod
    def _above(kept: Iterator[Interval | None]) -> Callable[[Any], Interval | None]:
        def above(_: Sample) -> Interval | None:
            found = next(kept)
            return found and Interval(found.low, math.inf)

        return above


def _scores(case: Case, data: Sample, name: str) -> Interval | None:
    if name == DESCRIBE:
        return describe(data, LEVEL, case.bank).interval
    data = data.of_equal_clusters() if name == UNRELATED else data
    found = claim_bounds(data, LEVEL, "above" if name == ABOVE else "below", case.bank).interval
    if found is None:
        return None
    return Interval(found.low, math.inf) if name == ABOVE else Interval(-math.inf, found.high)


def _judged(case: JudgedCase, data: JudgedData, purpose: Any) -> Interval | None:
    design = GoldDesign(population="superpopulation")
    if data.control_judge is None or data.control_gold is None:
        found = judged_estimate(data.judge, data.gold, purpose=purpose, design=design, level=LEVEL)
    else:
        arm, control = JudgedArm(data.judge, data.gold), JudgedArm(data.control_judge, data.control_gold)
        found = judged_difference(arm, control, purpose=purpose, paired=False, design=design, level=LEVEL)
    if purpose == "describe":
        return found.interval
    return None if found.upper is None else Interval(-math.inf, found.upper)


def _alpha(ratings: Ratings) -> Interval | None:
    return agreement_jackknife(krippendorff_coefficient(tabulate(ratings), "nominal"), level=LEVEL).interval
