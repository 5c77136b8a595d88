from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.rare.attempts import at_k, unbiased


@settings(max_examples=40)
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_it_is_the_share_of_subsets_with_a_success(case: tuple[int, int, int]) -> None:
    n, c, k = case
    subsets = list(combinations(range(n), k))
    assert unbiased([c], [n], k)[0] == pytest.approx(np.mean([min(rows) < c for rows in subsets]), abs=1e-12)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.7])
def test_unbiased_where_the_plug_in_is_not(p: float) -> None:
    n, k = 8, 5
    c = np.arange(n + 1)
    chance = np.array([math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in c])
    truth = 1 - (1 - p) ** k
    assert float(chance @ unbiased(c, np.full(n + 1, n), k)) == pytest.approx(truth, abs=1e-12)
    assert abs(float(chance @ (1 - (1 - c / n) ** k)) - truth) > 0.003


def test_large_numbers_and_ends() -> None:
    """1 - C(n - 1, k) / C(n, k) = k / n, in logarithms as well."""
    assert unbiased([1], [100_000], 60_000)[0] == pytest.approx(0.6, rel=1e-8)
    assert unbiased([0, 100_000], [100_000, 100_000], 5).tolist() == [0, 1]
    assert unbiased([3], [10], 8)[0] == 1
    assert unbiased([3, 1], 10, 1).tolist() == pytest.approx([0.3, 0.1])
    assert 0 < unbiased([1], [10**9], 1)[0] < 1e-6
    assert (np.diff([unbiased([2], [30], k)[0] for k in range(1, 31)]) >= -1e-12).all()


def draw(generator: np.random.Generator) -> np.ndarray:
    """40 items of ten attempts, rates from Beta(.3, 4)."""
    return generator.binomial(10, generator.beta(0.3, 4, 40))


def truth(k: int) -> float:
    b = [math.lgamma(x) for x in (4 + k, 4.3, 4, 4.3 + k)]
    return 1 - math.exp(b[0] + b[1] - b[2] - b[3])


def test_coverage_across_items_and_the_rows_as_units_mistake() -> None:
    def describe(c: np.ndarray) -> Interval:
        return at_k(c, np.full(40, 10), 5).interval

    def pooled(c: np.ndarray) -> Interval:
        """400 attempts as one sample: P(a success in 5) from a pooled rate."""
        p = c.sum() / 400
        half = 1.96 * math.sqrt(p * (1 - p) / 400)
        return Interval(1 - (1 - p + half) ** 5, 1 - (1 - p - half) ** 5)

    good = coverage(describe, draw, truth=truth(5), repetitions=80, generator=np.random.default_rng(0))
    bad = coverage(pooled, draw, truth=truth(5), repetitions=80, generator=np.random.default_rng(0))
    assert good.reaches(0.95)
    assert bad.high < 0.85
    low = coverage(lambda c: Interval(at_k(c, 10, 5).lower, 1), draw, truth=truth(5), repetitions=25,
                   generator=np.random.default_rng(1))  # fmt: skip
    up = coverage(lambda c: Interval(0, at_k(c, 10, 5).upper), draw, truth=truth(5), repetitions=25,
                  generator=np.random.default_rng(1))  # fmt: skip
    assert low.reaches(0.95)
    assert up.reaches(0.95)


def test_degenerate_samples_keep_a_width() -> None:
    for c in (np.zeros(30), np.full(30, 10)):
        found = at_k(c, np.full(30, 10), 3)
        assert found.method == "betting over clusters"
        assert found.interval.width > 0.05
        assert found.lower <= found.value <= found.upper
    few = at_k([1, 0, 2], [10, 10, 10], 2)
    assert few.method == "betting over clusters"
    one = at_k([4], [10], 2)
    assert (one.num_items, one.num_clusters) == (1, 1)
    assert one.interval.width > 0.5


def test_clusters_widen() -> None:
    c = np.repeat([0, 0, 0, 10, 0, 5], 10)
    rows, groups = at_k(c, 10, 2), at_k(c, 10, 2, cluster=np.repeat(np.arange(6), 10))
    assert rows.value == groups.value
    assert groups.interval.width > rows.interval.width
    assert groups.upper > rows.upper


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="extrapolation") as error:
        unbiased([1, 1], [10, 4], 5)
    assert "1 to 4" in str(error.value)
    for c, n, k in (([1], [10], 0), ([11], [10], 1), ([-1], [10], 1), ([0.5], [10], 1), ([], [], 1),
                    ([1], [math.inf], 1), ([math.nan], [10], 1)):  # fmt: skip
        with pytest.raises(MeasurementUndefined):
            unbiased(c, n, k)
