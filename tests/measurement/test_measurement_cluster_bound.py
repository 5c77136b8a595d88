from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import ICC

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, cluster_bound
from trialist.measurement.proportions import upper_bound

clusters = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 1.0]), st.integers(1, 9)), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=1, max_size=40), st.integers(1, 9))
def test_equal_clusters_are_clopper_pearson_on_clusters(means: list[float], size: int) -> None:
    hit, num = sum(y > 0 for y in means), len(means)
    want = upper_bound(hit, num) if hit != num - 1 else 1 - 0.05 / num
    assert cluster_bound.upper_mean(means, [size] * num) == pytest.approx(want)
    assert cluster_bound.upper_mean(means) == pytest.approx(want)


@settings(max_examples=40, deadline=None)
@given(clusters)
def test_bounds_hold_the_sample_and_mirror(table: list[tuple[float, int]]) -> None:
    y, n = (np.array(column, dtype=float) for column in zip(*table, strict=True))
    mean = float(n @ y / n.sum())
    low, high = cluster_bound.lower_mean(y, n), cluster_bound.upper_mean(y, n)
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert low < high
    assert cluster_bound.lower_mean(1 - y, n) == pytest.approx(1 - high)
    # The largest size alone gives a bound too, and it is never better.
    crude = n.max() * len(n) * cluster_bound.upper_mean(y) / n.sum()
    assert high <= crude + 1e-9
    order = np.argsort(np.sin(np.arange(len(y))))
    assert cluster_bound.upper_mean(y[order], n[order]) == pytest.approx(high)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (5, 1, 1, 1), (4, 3, 2, 1)])
def test_guarantee_by_enumeration(sizes: tuple[int, ...]) -> None:
    """Clusters fail wholly or not, with unequal chances: the exact probability of a miss is at most 1 - confidence."""
    patterns = list(product((0.0, 1.0), repeat=len(sizes)))
    upper = np.array([cluster_bound.upper_mean(y, sizes, confidence=0.8) for y in patterns])
    lower = np.array([cluster_bound.lower_mean(y, sizes, confidence=0.8) for y in patterns])
    for chances in product((0.0, 0.05, 0.3, 0.7, 0.95, 1.0), repeat=len(sizes)):
        law = np.prod(np.where(patterns, chances, 1 - np.array(chances)), axis=1)
        mean = float(np.dot(sizes, chances) / sum(sizes))
        assert law[upper < mean - 1e-12].sum() <= 0.2 + 1e-12
        assert law[lower > mean + 1e-12].sum() <= 0.2 + 1e-12


def test_weighting_the_clopper_pearson_bound_equally_would_miss() -> None:
    """A control: the share of clusters isn't the share of items where the large cluster is the one that fails."""
    sizes, chance = np.array([20.0] + [1.0] * 20), 0.5
    mean = 20 * chance / sizes.sum()
    assert upper_bound(0, 21) < mean < upper_bound(0, 21) * 20
    for hit in (0.0, 1.0):
        y = np.array([hit] + [0.0] * 20)
        assert cluster_bound.upper_mean(y, sizes) >= mean
    assert upper_bound(1, 21) < mean


def draw(generator: np.random.Generator, share: float, icc: float = ICC) -> np.ndarray:
    a, b = (p * (1 / icc - 1) for p in (share, 1 - share))
    return generator.binomial(5, generator.beta(a, b, 60)) / 5


def test_it_is_tighter_than_betting_where_clusters_are_clean_or_wholly_failing() -> None:
    generator, gain = np.random.default_rng(0), {}
    for share, icc in ((0.01, 0.9), (0.01, 0.3), (0.2, 0.3)):
        samples = [draw(generator, share, icc) for _ in range(40)]
        found = [betting.upper_mean(y) - cluster_bound.upper_mean(y) for y in samples]
        gain[share, icc] = float(np.mean(found))
    assert gain[0.01, 0.9] > 0.005
    assert gain[0.01, 0.3] < -0.005
    assert gain[0.2, 0.3] < -0.2
    assert cluster_bound.upper_mean(np.zeros(60)) < 0.8 * betting.upper_mean(np.zeros(60))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.5, 30), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_no_chances_that_stay_clean_often_enough_have_a_larger_mean(sizes: list[float], seed: int) -> None:
    n, generator = np.array(sizes), np.random.default_rng(seed)
    bound = cluster_bound.upper_mean(np.zeros(len(n)), n) * n.sum()
    for _ in range(20):
        shares = generator.dirichlet(np.full(len(n), generator.choice([0.1, 1.0, 10.0])))
        assert n @ (1 - 0.05**shares) <= bound * (1 + 1e-9)
    assert bound >= n.max() * 0.95 * (1 - 1e-9)


def test_coverage_where_cluster_rates_are_drawn() -> None:
    generator = np.random.default_rng(1)
    missed = sum(cluster_bound.upper_mean(draw(generator, 0.02)) < 0.02 for _ in range(1500))
    assert missed <= 0.05 * 1500


def test_refusals() -> None:
    for means, sizes in (([], None), ([0.5], [0.0]), ([0.5], [1.0, 1.0]), ([1.5], None), ([float("nan")], None)):
        with pytest.raises(MeasurementUndefined):
            cluster_bound.upper_mean(means, sizes)
        with pytest.raises(MeasurementUndefined):
            cluster_bound.lower_mean(means, sizes)
    with pytest.raises(MeasurementUndefined, match="proven"):
        cluster_bound.upper_mean([0.0, 1.0], confidence=0.6)
    assert cluster_bound.upper_mean([0.3]) == 1.0
    assert cluster_bound.upper_mean([0.0]) == pytest.approx(0.95)
