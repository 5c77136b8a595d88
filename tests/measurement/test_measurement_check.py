from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from trialist.errors import MeasurementUndefined
from trialist.measurement import check, proportions, stress
from trialist.measurement.claiming import claim_bounds
from trialist.measurement.describing import describe
from trialist.measurement.interval import Interval
from trialist.measurement.judged.choose import GoldDesign, judged_estimate
from trialist.measurement.sample import Floats, Sample
from trialist.measurement.sequential.rate import RateProcess
from trialist.measurement.stress_judged import judged_cases
from trialist.measurement.stress_streams import StreamCase, stream_cases
from trialist.measurement.uncertainty import point


@dataclass(frozen=True)
class Coin:
    """A case of one's own: k of 50 at a rate of .02."""

    name: str = "k of 50"
    truth: float = 0.02

    def draw(self, generator: np.random.Generator) -> int:
        return int(generator.binomial(50, self.truth))


def wald(k: int) -> Interval:
    p = k / 50
    half = 1.96 * math.sqrt(p * (1 - p) / 50)
    return Interval(p - half, p + half)


def test_an_honest_interval_conforms_and_wald_does_not() -> None:
    honest = check.check(lambda k: proportions.clopper_pearson(k, 50), [Coin()], repetitions=2000)
    assert honest.conforms
    assert honest.cells[0].refused == 0
    naive = check.check(wald, [Coin()], repetitions=2000)
    assert not naive.conforms
    (cell,) = naive.cells
    assert cell.coverage is not None
    exact = sum(
        float(np.exp(math.lgamma(51) - math.lgamma(k + 1) - math.lgamma(51 - k))) * 0.02**k * 0.98 ** (50 - k)
        for k in range(51)
        if wald(k).contains(0.02)
    )
    assert cell.coverage.low <= exact <= cell.coverage.high
    assert any("below" in failure for failure in naive.failures)
    assert any("no width" in failure for failure in naive.failures)
    assert naive.worst == cell


def test_refusing_always_and_being_wide_are_failures() -> None:
    assert check.check(lambda k: None, [Coin()], repetitions=50).failures == ("k of 50: no interval at all",)

    def mostly(k: int) -> Interval:
        if k < 2:
            raise MeasurementUndefined("too few events")
        return proportions.clopper_pearson(k, 50)

    assert any("refuses" in text for text in check.check(mostly, [Coin()], repetitions=400).failures)
    wide = check.check(lambda k: Interval(0, 1), [Coin()], repetitions=200, point=lambda k: k / 50)
    assert any("as wide as need be" in text for text in wide.failures)
    assert not check.check(lambda k: Interval(0, 1), [Coin()], repetitions=200).failures  # nothing to compare with


def test_a_one_sided_bound_is_as_wide_as_it_is_far() -> None:
    def upper(k: int) -> Interval:
        return Interval(-math.inf, proportions.upper_bound(k, 50))

    (cell,) = check.check(upper, [Coin()], repetitions=1000, point=lambda k: k / 50).cells
    assert cell.coverage is not None
    assert 0 < cell.coverage.mean_width < 0.1
    assert cell.relative_width == pytest.approx(cell.coverage.mean_width / (1.6449 * 0.0198), rel=0.1)


def test_the_correction_grows_with_the_cells() -> None:
    counted = check.Coverage(925, 1000, 0.0, 1.0, 0.1, 0)
    cell = check.CellResult("x", 0.5, 1000, counted, None)
    assert check.failures_of(cell, 0.95, 1)
    assert not check.failures_of(cell, 0.95, 10_000)


@pytest.mark.parametrize("case", stress.cases(), ids=lambda case: case.name)
def test_the_truth_of_each_case(case: stress.Case) -> None:
    generator = np.random.default_rng(3)
    # Ratios of random sums are biased by terms of order 1/C, which the width below allows for.
    points = np.array([p for _ in range(300) if (p := point(case.draw(generator))) is not None])
    error = points.std() / math.sqrt(len(points)) + 1e-3
    assert abs(points.mean() - case.truth) < 4.5 * error


@pytest.mark.parametrize("case", judged_cases(), ids=lambda case: case.name)
def test_the_truth_of_each_judged_case(case: object) -> None:
    generator = np.random.default_rng(4)
    draws = [case.draw(generator) for _ in range(200)]  # type: ignore[attr-defined]
    golds = [np.nanmean(d.gold) - (0 if d.control_gold is None else np.nanmean(d.control_gold)) for d in draws]
    assert abs(np.mean(golds) - case.truth) < 4.5 * np.std(golds) / math.sqrt(200) + 1e-9  # type: ignore[attr-defined]


def test_a_slice_of_the_stress_set_for_claims() -> None:
    """The whole is ``benchmarks/coverage.py``; here every case once, a few draws each."""
    for number, case in enumerate(stress.cases()):
        if case.group == "function of means":
            continue

        def bounds(data: Sample, bank: object = case.bank) -> Interval | None:
            return claim_bounds(data, 0.95, "below", bank).interval  # type: ignore[arg-type]

        report = check.check(bounds, [case], nominal=0.9, repetitions=30, seed=number)
        assert report.conforms, report.failures


def test_a_slice_of_the_stress_set_that_describes() -> None:
    for number, case in enumerate(stress.cases()):

        def interval(data: Sample, bank: object = case.bank) -> Interval | None:
            return describe(data, 0.95, bank).interval  # type: ignore[arg-type]

        report = check.check(interval, [case], nominal=0.88, repetitions=60, seed=number, point=point)
        expected = (f"{case.name}: no interval at all",) if case.name.startswith("C 3,") else ()
        assert report.failures == expected


def test_a_slice_of_the_judged_set() -> None:
    design = GoldDesign(population="superpopulation")
    for number, case in enumerate(judged_cases()):
        if case.group == "judged difference":
            continue
        report = check.check(
            lambda data: judged_estimate(data.judge, data.gold, design=design).interval, [case], nominal=0.9,
            repetitions=40, seed=number,
        )  # fmt: skip
        assert report.conforms, report.failures


def _reaches(case: StreamCase, values: Floats) -> bool:
    process = RateProcess(case.p0)
    for value in values.tolist():
        process.update(value)
    return process.max_log_e >= math.log(20)


@pytest.mark.parametrize("case", [c for c in stream_cases() if not c.bank], ids=lambda case: case.name)
def test_streams_are_at_the_edge_of_their_null(case: StreamCase) -> None:
    """No value has a mean below p0, so the exact process keeps its error."""
    generator = np.random.default_rng(5)
    assert np.mean([case.draw(generator).mean() for _ in range(200)]) > case.p0 * 0.9
    found = check.type_one(lambda x: _reaches(case, x), case.draw, repetitions=200, generator=generator)
    assert found.keeps(0.05)


def test_peeking_is_caught() -> None:
    case = next(c for c in stream_cases() if c.name == "independent, 0.1")

    def peeks(values: Floats) -> bool:
        n = np.arange(1, len(values) + 1)
        mean = np.cumsum(values) / n
        return bool((mean + 1.645 * np.sqrt(0.09 / n) < 0.1)[29:].any())

    found = check.type_one(peeks, case.draw, repetitions=300, generator=np.random.default_rng(6))
    assert not found.keeps(0.05)
