from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.judged.items import judged_items
from trialist.measurement.judged.rogan_gladen import Correct, corrected_rate, rogan_gladen
from trialist.measurement.proportions import wilson


@pytest.mark.data
def test_published_example() -> None:
    expected = reference("lee_rogan_gladen_shared")
    found = rogan_gladen(400, 1000, negatives=Correct(140, 200), positives=Correct(180, 200))
    assert found.value == pytest.approx(expected["theta"], abs=1e-9)
    assert [found.interval.low, found.interval.high] == pytest.approx(expected["ci"], abs=1e-9)
    assert found.informedness == pytest.approx(0.6)
    assert not found.warnings


def test_a_perfect_judge_with_endless_calibration_gives_wilson() -> None:
    perfect = Correct(10**9, 10**9)
    found = rogan_gladen(30, 100, negatives=perfect, positives=perfect)
    exact = wilson(30, 100)
    assert found.value == pytest.approx(0.3)
    assert found.interval.low == pytest.approx(exact.low, abs=5e-3)
    assert found.interval.high == pytest.approx(exact.high, abs=5e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 40), st.integers(0, 40))
def test_swapping_the_classes_mirrors(flagged: int, right0: int, right1: int) -> None:
    def run(k: int, negatives: Correct, positives: Correct) -> Interval | None:
        try:
            return rogan_gladen(k, 60, negatives=negatives, positives=positives).interval
        except MeasurementUndefined:
            return None

    one = run(flagged, Correct(right0, 40), Correct(right1, 40))
    other = run(60 - flagged, Correct(right1, 40), Correct(right0, 40))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert 0 <= one.low < one.high <= 1
        assert other.low == pytest.approx(1 - one.high, abs=1e-9)
        assert other.high == pytest.approx(1 - one.low, abs=1e-9)


def test_weak_judges_warn_and_useless_ones_are_refused() -> None:
    weak = rogan_gladen(40, 100, negatives=Correct(70, 100), positives=Correct(50, 100))
    assert weak.warnings == ("weak judge: J = 0.20 is below 0.3",)
    assert weak.interval.width > 0.5
    for right0, right1 in ((50, 50), (30, 40)):
        with pytest.raises(MeasurementUndefined, match="doesn't tell the classes apart"):
            rogan_gladen(40, 100, negatives=Correct(right0, 100), positives=Correct(right1, 100))
    with pytest.raises(MeasurementUndefined):
        rogan_gladen(40, 100, negatives=Correct(0, 0), positives=Correct(5, 5))
    with pytest.raises(MeasurementUndefined):
        rogan_gladen(101, 100, negatives=Correct(5, 5), positives=Correct(5, 5))
    # A judge that flags 30% of the negatives can't flag 1% of anything: no interval [0, 0].
    with pytest.raises(MeasurementUndefined, match="isn't possible"):
        rogan_gladen(10, 1000, negatives=Correct(700, 1000), positives=Correct(900, 1000))


def test_coverage_where_the_judge_is_stable_and_its_fault_where_it_shifts() -> None:
    truth, q0, q1 = 0.2, 0.85, 0.8

    def draw(generator: np.random.Generator, shifted: float = q0) -> Interval | None:
        flagged = generator.binomial(1000, truth * q1 + (1 - truth) * (1 - shifted))
        try:
            return rogan_gladen(
                flagged,
                1000,
                negatives=Correct(generator.binomial(100, q0), 100),
                positives=Correct(generator.binomial(100, q1), 100),
            ).interval
        except MeasurementUndefined:
            return None

    found = coverage(lambda i: i, draw, truth=truth, repetitions=1500, generator=np.random.default_rng(3))
    assert found.reaches(0.95)
    # The control: a judge that flags more on the new items than in calibration. No interval of this kind sees that.
    moved = coverage(
        lambda i: i, lambda g: draw(g, 0.65), truth=truth, repetitions=300, generator=np.random.default_rng(4)
    )
    assert moved.high < 0.5


def test_the_rate_of_judged_items_uses_disjoint_samples() -> None:
    y = np.array([1.0] * 20 + [0.0] * 40)
    f = np.concatenate([np.ones(16), np.zeros(4), np.ones(6), np.zeros(34)])
    judge, gold = np.concatenate([f, np.ones(300), np.zeros(700)]), np.concatenate([y, np.full(1000, np.nan)])
    found = corrected_rate(judged_items(judge, gold))
    assert found == rogan_gladen(300, 1000, negatives=Correct(34, 40), positives=Correct(16, 20))
    for items in (judged_items(f, y), judged_items(judge, gold, graded=True), judged_items(judge[20:], gold[20:])):
        with pytest.raises(MeasurementUndefined):
            corrected_rate(items)
