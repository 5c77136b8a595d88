from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval, normal_quantile
from trialist.measurement.means import t_interval

samples = st.lists(st.floats(-100, 100), min_size=2, max_size=40).filter(lambda x: np.ptp(x) > 1e-3)


@settings(max_examples=40, deadline=None)
@given(samples, st.sampled_from([0.5, 0.95, 0.999]))
def test_it_is_the_textbook_interval(x: list[float], level: float) -> None:
    want = stats.t.interval(level, len(x) - 1, loc=np.mean(x), scale=stats.sem(x))
    found = t_interval(x, level)
    assert (found.low, found.high) == pytest.approx(want, rel=1e-6, abs=1e-6)
    weighted = t_interval(x, level, weights=np.full(len(x), 2.5))
    assert (weighted.low, weighted.high) == pytest.approx((found.low, found.high), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(samples, st.floats(0.1, 10), st.floats(-5, 5))
def test_it_moves_with_the_scale(x: list[float], scale: float, shift: float) -> None:
    found, moved = t_interval(x), t_interval(np.array(x) * scale + shift)
    assert moved.low == pytest.approx(found.low * scale + shift, abs=1e-6, rel=1e-6)
    assert moved.high == pytest.approx(found.high * scale + shift, abs=1e-6, rel=1e-6)


def test_weights_of_zero_are_left_out() -> None:
    assert t_interval([1.0, 2.0, 4.0, 99.0], weights=[1, 1, 2, 0]) == t_interval([1.0, 2.0, 4.0], weights=[1, 1, 2])


def test_unequal_weights_widen_the_interval() -> None:
    x = np.arange(10.0) % 3
    assert t_interval(x, weights=[50, *[1] * 9]).width > t_interval(x).width


def test_coverage_with_five_normal_values_and_the_normal_quantile_as_a_control() -> None:
    def z(x: np.ndarray) -> Interval:
        half = normal_quantile(0.95) * x.std(ddof=1) / math.sqrt(len(x))
        return Interval(x.mean() - half, x.mean() + half)

    def run(method: object, seed: int) -> float:
        found = coverage(
            method,  # type: ignore[arg-type]
            lambda g: g.normal(3, 2, 5),
            truth=3,
            repetitions=2000,
            generator=np.random.default_rng(seed),
        )
        return found.share

    assert run(t_interval, 0) == pytest.approx(0.95, abs=0.016)
    assert run(z, 0) < 0.9


def test_refusals() -> None:
    for bad in ([], [1.0], [1.0, 1.0], [1.0, math.nan], [1.0, math.inf], np.ones((2, 2))):
        with pytest.raises(MeasurementUndefined):
            t_interval(bad)
    for weights in ([1.0, -1.0], [1.0, 0.0], [1.0, math.nan], [1.0]):
        with pytest.raises(MeasurementUndefined):
            t_interval([1.0, 2.0], weights=weights)
