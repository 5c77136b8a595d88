from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.maxima import cross_fit, lower_of_best, select_then_score, simultaneous

EQUAL = np.full(12, 0.2)
SPREAD = np.linspace(0.05, 0.35, 6)


def draw(shares: np.ndarray, num: int = 60):
    """Settings share the luck of an item half the time."""

    def table(generator: np.random.Generator) -> np.ndarray:
        common, own = generator.random(num), generator.random((len(shares), num))
        luck = np.where(generator.random((len(shares), num)) < 0.5, common, own)
        return (luck < shares[:, None]).astype(float)

    return table


def test_picking_and_scoring_on_the_same_items_overstates_and_a_split_does_not() -> None:
    """Twelve equal settings at .2: the naive maximum lies far above, the score of the pick doesn't."""
    generator, naive, scored, crossed = np.random.default_rng(0), [], [], []
    for _ in range(60):
        y = draw(EQUAL)(generator)
        split = select_then_score(y, generator=generator)
        naive.append(y.mean(axis=1).max())
        scored.append(split.value)
        assert split.optimism == pytest.approx(split.picked_at - split.value)
        if len(crossed) < 10:
            crossed.append(cross_fit(y, generator=generator).value)
    assert np.mean(naive) > 0.25
    assert np.mean(scored) == pytest.approx(0.2, abs=4 * np.std(scored) / np.sqrt(60))
    assert np.mean(crossed) == pytest.approx(0.2, abs=4 * np.std(crossed) / np.sqrt(10))


@pytest.mark.parametrize("shares", [EQUAL[:5], SPREAD])
def test_bounds_on_the_best_hold(shares: np.ndarray) -> None:
    best, generator, wrong = float(shares.max()), np.random.default_rng(1), np.zeros(3)
    for _ in range(25):
        y = draw(shares, 30)(generator)
        all_items = simultaneous(y, confidence=0.8)
        split = select_then_score(y, generator=generator, confidence=0.8)
        wrong += [all_items.lower > best, all_items.upper < best, split.lower > best]
    assert (wrong <= 10).all()  # P(Binomial(25, .2) > 10) = .006


def test_the_leader_bounded_as_if_it_had_been_named_before_fails() -> None:
    """Lower bound of the leader on the items that made it the leader: wrong far more often than it says."""

    def table(generator: np.random.Generator) -> np.ndarray:
        return (generator.random((40, 60)) < 0.2).astype(float)

    def naive(y: np.ndarray) -> Interval:
        return Interval(betting.lower_mean(y[y.mean(axis=1).argmax()], confidence=0.8), 1)

    found = coverage(naive, table, truth=0.2, repetitions=50, generator=np.random.default_rng(5))
    assert found.high < 0.8
    generator = np.random.default_rng(6)
    honest = coverage(lambda y: Interval(select_then_score(y, generator=generator, confidence=0.8).lower, 1), table,
                      truth=0.2, repetitions=50, generator=np.random.default_rng(5))  # fmt: skip
    assert honest.reaches(0.8)


def test_cross_fit_bounds_its_own_target() -> None:
    generator = np.random.default_rng(6)
    wrong = 0
    for _ in range(20):
        found = cross_fit(draw(SPREAD)(generator), generator=generator, num_folds=3, confidence=0.9)
        target = float(SPREAD[list(found.settings)].mean())
        wrong += not (found.lower <= target <= found.upper)
    assert wrong <= 9  # two sides at .1 each: P(Binomial(20, .2) > 9) = .003 at the worst


@settings(max_examples=5)
@given(st.integers(1, 4), st.integers(2, 20), st.integers(0, 1000))
def test_averaged_capital_is_never_below_bonferroni(settings_: int, num: int, seed: int) -> None:
    y = np.random.default_rng(seed).random((settings_, num))
    found = simultaneous(y, confidence=0.9)
    assert found.lower >= found.lower_bonferroni - 1e-9
    assert found.lower <= found.naive <= found.upper
    if settings_ == 1:
        assert found.lower == pytest.approx(betting.lower_mean(y[0], confidence=0.9), abs=1e-9)
        assert found.upper == pytest.approx(betting.upper_mean(y[0], confidence=0.9), abs=1e-9)


def test_limits_clusters_and_equal_settings() -> None:
    generator = np.random.default_rng(7)
    y = generator.random((3, 40))
    scaled = simultaneous(4 * y - 1, limits=(-1.0, 3.0))
    plain = simultaneous(y)
    assert scaled.lower == pytest.approx(4 * plain.lower - 1, abs=1e-6)
    assert scaled.upper == pytest.approx(4 * plain.upper - 1, abs=1e-6)
    cluster = np.repeat(np.arange(8), 5)
    assert simultaneous(y, cluster=cluster).upper > plain.upper
    found = select_then_score(y, generator=generator, cluster=cluster, share=0.25)
    assert (found.num_selection_clusters, found.num_scoring_clusters) == (2, 6)
    copies = [clustered.aggregate(y[0], np.arange(40))] * 5
    # Five copies of one setting say no more than one, and bets planned for five cost a little.
    assert lower_of_best(copies) <= betting.lower_mean(y[0]) + 1e-6
    zeros = simultaneous(np.zeros((3, 30)))
    assert zeros.lower == 0
    assert zeros.upper == betting.upper_mean(np.zeros(30))
    ones = simultaneous(np.ones((3, 30)))
    assert 0.8 < ones.lower < 1
    assert ones.upper == 1


def test_same_generator_same_split() -> None:
    y = np.random.default_rng(8).random((3, 20))
    one, two = (select_then_score(y, generator=np.random.default_rng(0)) for _ in range(2))
    assert one == two


def test_refusals() -> None:
    g = np.random.default_rng(0)
    y = np.full((2, 4), 0.5)
    hole = y.copy()
    hole[0, 0] = np.nan
    for bad in (np.zeros((0, 4)), np.zeros(4), np.zeros((2, 0)), hole, y + 1):
        with pytest.raises(MeasurementUndefined):
            select_then_score(bad, generator=g)
    with pytest.raises(MeasurementUndefined, match="two clusters"):
        select_then_score(y, generator=g, cluster=[1, 1, 1, 1])
    with pytest.raises(MeasurementUndefined, match="folds"):
        cross_fit(y, generator=g, num_folds=5)
    with pytest.raises(MeasurementUndefined):
        select_then_score(y, generator=g, share=1.0)
    with pytest.raises(MeasurementUndefined, match="cluster"):
        simultaneous(y, cluster=[1, 2])
