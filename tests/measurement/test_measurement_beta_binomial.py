from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import ICC
from scipy import special, stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.beta_binomial import BetaBinomial, Likelihood, fit
from trialist.measurement.check import Coverage, coverage
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import clopper_pearson, wilson

tables = st.lists(
    st.integers(1, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=5, max_size=30
)


def plain(events: np.ndarray, items: np.ndarray, p: float, rho: float) -> float:
    """The textbook log-likelihood with beta functions, 0 < rho < 1."""
    a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
    return float((special.betaln(events + a, items - events + b) - special.betaln(a, b)).sum())


@settings(max_examples=60, deadline=None)
@given(tables, st.floats(0.01, 0.99), st.floats(0.01, 0.97))
def test_likelihood_equals_the_one_with_beta_functions(table: list[tuple[int, int]], p: float, rho: float) -> None:
    k, n = (np.array(column) for column in zip(*table, strict=True))
    if 0 < k.sum() < n.sum():
        assert float(Likelihood(k, n).value(p, rho)[0]) == pytest.approx(plain(k, n, p, rho), abs=1e-7)


def test_ends_of_rho_are_the_binomial_and_the_cluster_level_likelihood() -> None:
    k, n = np.array([0, 2, 0, 3, 0]), np.array([3, 2, 1, 3, 2])
    likelihood = Likelihood(k, n)
    assert float(likelihood.value(0.3, 0.0)[0]) == pytest.approx(5 * math.log(0.3) + 6 * math.log(0.7))
    assert float(likelihood.value(0.3, 1.0)[0]) == pytest.approx(2 * math.log(0.3) + 3 * math.log(0.7))
    mixed = Likelihood(np.array([1, 2, 0, 3, 0]), n)
    assert float(mixed.value(0.3, 1.0)[0]) == -math.inf


@settings(max_examples=8, deadline=None)
@given(tables)
def test_fit_and_limits_equal_a_brute_search(table: list[tuple[int, int]]) -> None:
    k, n = (np.array(column) for column in zip(*table, strict=True))
    if not 0 < k.sum() < n.sum():
        return
    found, likelihood = fit(k, n), Likelihood(k, n)
    rhos = np.concatenate([np.linspace(0, 1, 801), 1 - np.geomspace(1e-6, 1e-3, 30)])
    shares = special.expit(np.linspace(-9, 9, 161))
    profile = np.array([likelihood.value(p, rhos).max() for p in shares])
    top = float(likelihood.value(found.share, rhos).max())
    assert profile.max() <= top + 1e-4
    inside = 2 * (top - profile) <= stats.t.ppf(0.975, len(k) - 1) ** 2
    grid = np.array([found.interval.contains(p) for p in shares])
    edge = np.minimum(abs(special.logit(shares) - _logit(found.interval.low)), 1)
    edge = np.minimum(edge, abs(special.logit(shares) - _logit(found.interval.high)))
    assert (inside == grid)[edge > 0.01].all()


def _logit(p: float) -> float:
    return float(special.logit(min(max(p, 1e-12), 1 - 1e-12)))


@settings(max_examples=20, deadline=None)
@given(tables, st.sampled_from([0.8, 0.95, 0.999]))
def test_every_table_has_an_honest_interval(table: list[tuple[int, int]], level: float) -> None:
    k, n = (np.array(column) for column in zip(*table, strict=True))
    found, mirror = fit(k, n, level), fit(n - k, n, level)
    assert 0 <= found.interval.low <= found.share <= found.interval.high <= 1
    assert found.interval.width > 1e-6
    assert found.share == pytest.approx(1 - mirror.share, abs=1e-5)
    assert found.interval.low == pytest.approx(1 - mirror.interval.high, abs=1e-5)
    order = np.argsort(np.sin(np.arange(len(k))))
    assert fit(k[order], n[order], level).interval.high == pytest.approx(found.interval.high, abs=1e-6)


def test_single_items_are_the_binomial_likelihood() -> None:
    k, n = np.array([1] * 3 + [0] * 17), np.ones(20, dtype=int)
    found = fit(k, n)
    assert found.rho is None
    assert found.share == pytest.approx(0.15, abs=1e-6)

    def excess(p: float) -> float:
        return 2 * (stats.binom.logpmf(3, 20, 0.15) - stats.binom.logpmf(3, 20, p)) - stats.t.ppf(0.975, 19) ** 2

    assert excess(found.interval.low) == pytest.approx(0, abs=1e-4)
    assert excess(found.interval.high) == pytest.approx(0, abs=1e-4)


def test_without_any_event_the_bound_is_that_of_clusters() -> None:
    n = np.array([4, 9, 1, 30, 2, 6])
    none, every = fit(0 * n, n), fit(n, n)
    assert none == BetaBinomial(0.0, None, clopper_pearson(0, 6))
    assert every == BetaBinomial(1.0, None, clopper_pearson(6, 6))
    # The likelihood at rho = 1 is the largest one for every p.
    for p in (0.01, 0.2, 0.6):
        assert 6 * math.log(1 - p) >= max(plain(0 * n, n, p, rho) for rho in np.linspace(0.01, 0.99, 99)) - 1e-9


def test_it_finds_what_was_put_in() -> None:
    generator = np.random.default_rng(0)
    n = np.full(4000, 8)
    k = generator.binomial(n, generator.beta(0.1 * 7 / 3, 0.9 * 7 / 3, 4000))
    found = fit(k, n)
    assert found.share == pytest.approx(0.1, abs=0.01)
    assert found.rho == pytest.approx(0.3, abs=0.03)
    independent = fit(generator.binomial(8, 0.1, 4000), n)
    assert independent.rho == pytest.approx(0, abs=0.02)


def simulate(share: float, num: int, repetitions: int, *, naive: bool = False) -> Coverage:
    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        sizes = generator.geometric(0.15, num)
        a, b = (p * (1 / ICC - 1) for p in (share, 1 - share))
        return generator.binomial(sizes, generator.beta(a, b, num)), sizes

    def estimator(data: tuple[np.ndarray, np.ndarray]) -> Interval:
        return wilson(int(data[0].sum()), int(data[1].sum())) if naive else fit(*data).interval

    generator = np.random.default_rng(round(1000 * share) + num)
    return coverage(estimator, draw, truth=share, repetitions=repetitions, generator=generator)


@pytest.mark.parametrize("num", [20, 60])
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_coverage_of_rare_clustered_events(share: float, num: int) -> None:
    found = simulate(share, num, 150)
    assert found.reaches(0.95), found
    assert found.share >= 0.91, found
    assert not simulate(share, num, 250, naive=True).reaches(0.95)


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="clusters"):
        fit([1, 0, 0, 1], [2, 2, 2, 2])
    with pytest.raises(MeasurementUndefined, match="clusters"):
        fit([1, 0, 0, 1, 1], [2, 2, 2, 2])
    with pytest.raises(MeasurementUndefined, match="whole"):
        fit([0.5, 0, 0, 1, 1], [2] * 5)
    with pytest.raises(MeasurementUndefined, match="whole"):
        fit([math.nan, 0, 0, 1, 1], [2] * 5)
    with pytest.raises(MeasurementUndefined, match="0 <= events"):
        fit([3, 0, 0, 1, 1], [2] * 5)
    with pytest.raises(MeasurementUndefined, match="0 <= events"):
        fit([0, 0, 0, 1, 1], [0, 2, 2, 2, 2])
    with pytest.raises(MeasurementUndefined):
        fit([1, 0, 0, 1, 1], [2] * 5, 1.0)
