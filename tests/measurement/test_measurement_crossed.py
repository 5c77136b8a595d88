from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import aggregate, standard_error
from trialist.measurement.crossed import crossed


def grid(generator: np.random.Generator, rows: int, columns: int, spread: tuple[float, float, float]) -> np.ndarray:
    a, b = generator.normal(size=(rows, 1)), generator.normal(size=(1, columns))
    return spread[0] * a + spread[1] * b + spread[2] * generator.normal(size=(rows, columns))


def labels(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=8, max_size=40), st.integers(0, 2**32 - 1))
def test_terms_equal_sums_over_pairs_of_scores(places: list[tuple[int, int]], seed: int) -> None:
    first, second = (np.array(column) for column in zip(*places, strict=True))
    if len(set(first)) < 2 or len(set(second)) < 2:
        return
    x = np.random.default_rng(seed).normal(size=len(first))
    residual = np.outer(x - x.mean(), x - x.mean())
    same = first[:, None] == first, second[:, None] == second
    numbers = [len(set(first)), len(set(second)), len(set(places))]
    terms = [
        float(residual[mask].sum()) / len(x) ** 2 * c / (c - 1)
        for mask, c in zip((*same, same[0] & same[1]), numbers, strict=True)
    ]
    found, want = crossed(x, first, second), terms[0] + terms[1] - terms[2]
    assert found.by_first**2 == pytest.approx(terms[0], abs=1e-12)
    assert found.by_second**2 == pytest.approx(terms[1], abs=1e-12)
    if abs(want) > 1e-9:
        assert found.fallback == (want < 0)
        assert found.standard_error**2 == pytest.approx(terms[0] + terms[1] if want < 0 else want, abs=1e-10)
    swapped = crossed(x, second, first)
    assert swapped.standard_error == pytest.approx(found.standard_error)


def test_a_nested_grouping_is_the_coarser_one() -> None:
    x, coarse, fine = np.sin(np.arange(40.0)), np.arange(40) // 8, np.arange(40) // 2
    assert crossed(x, coarse, fine).standard_error == pytest.approx(standard_error(aggregate(x, coarse)))


def test_the_fallback_is_used_where_the_variance_is_negative() -> None:
    """A checkerboard: both groupings cancel, the cells do not."""
    first, second = labels(6, 6)
    x = ((first + second) % 2).astype(float)
    x[0] += 0.5
    found = crossed(x, first, second)
    assert found.fallback
    assert found.standard_error == pytest.approx(math.hypot(found.by_first, found.by_second))
    assert found.interval().width > 0


@pytest.mark.parametrize(("rows", "columns", "least"), [(10, 10, 0.92), (30, 8, 0.91)])
def test_coverage_where_both_groupings_matter(rows: int, columns: int, least: float) -> None:
    generator, (first, second) = np.random.default_rng(rows), labels(rows, columns)
    ours, one_way, repetitions = 0, 0, 300
    for _ in range(repetitions):
        x = grid(generator, rows, columns, (1, 1, 1)).ravel()
        found = crossed(x, first, second)
        ours += found.interval().contains(0)
        one_way += abs(found.value) <= stats.t.ppf(0.975, rows - 1) * found.by_first
    assert ours / repetitions >= least
    assert one_way / repetitions < 0.88


def test_weights_count() -> None:
    first, second = labels(6, 7)
    x = np.cos(np.arange(42.0))
    weights = 1 + np.arange(42) % 3
    rows = np.repeat(np.arange(42), weights)
    doubled = crossed(x[rows], first[rows], second[rows])
    found = crossed(x, first, second, weights=weights)
    assert (found.value, found.standard_error) == pytest.approx((doubled.value, doubled.standard_error))
    assert found.degrees == 5


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="two clusters in each"):
        crossed([1.0, 2.0, 3.0], [0, 1, 2], [0, 0, 0])
    with pytest.raises(MeasurementUndefined, match="equal"):
        crossed(np.ones(9), *labels(3, 3))
    few = crossed(np.sin(np.arange(16.0)), *labels(4, 4))
    with pytest.raises(MeasurementUndefined, match="too few crossed"):
        few.interval()
    with pytest.raises(MeasurementUndefined, match="both labels"):
        crossed([1.0, 2.0], [0, 1], [0, 1, 2])
    with pytest.raises(MeasurementUndefined):
        crossed([1.0, math.nan], [0, 1], [0, 1])
    with pytest.raises(MeasurementUndefined):
        crossed([], [], [])
    board = np.add.outer(np.arange(6), np.arange(6)) % 2
    with pytest.raises(MeasurementUndefined, match="neither"):
        crossed(board.ravel().astype(float), *labels(6, 6))
