"""The studentised cluster bootstrap: its formula against a plain loop, and its coverage where a t interval fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import bootstrap_mean
from trialist.measurement.bootstrap_mean import FEWEST, NUM_RESAMPLES, studentised_mean
from trialist.measurement.check import coverage
from trialist.measurement.clustered import Clusters, aggregate, standard_error
from trialist.measurement.interval import Interval, t_quantile


def clusters_of(values: np.ndarray, sizes: np.ndarray | None = None) -> Clusters:
    n = np.ones(len(values)) if sizes is None else sizes.astype(float)
    return Clusters(values.astype(float), n, n.astype(np.int64))


def plain(clusters: Clusters, level: float) -> Interval:
    """The same, resample by resample, by the functions for one sample."""
    num, mean, error = len(clusters.means), clusters.mean, standard_error(clusters)
    found = []
    for row in bootstrap_mean._counts(num).astype(int):
        chosen = np.repeat(np.arange(num), row)
        again = Clusters(clusters.means[chosen], clusters.sizes[chosen], clusters.num_items[chosen])
        found.append((again.mean - mean) / standard_error(again))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="weibull")
    return Interval(mean - error * high, mean - error * low)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_equals_a_plain_loop_with_clusters_of_any_size(level: float) -> None:
    generator = np.random.default_rng(0)
    clusters = clusters_of(generator.lognormal(0, 1, 25), generator.integers(1, 9, 25))
    found, want = studentised_mean(clusters, level), plain(clusters, level)
    assert (found.low, found.high) == (pytest.approx(want.low), pytest.approx(want.high))


def test_every_resample_has_as_many_clusters() -> None:
    counts = bootstrap_mean._counts(30)
    assert counts.shape == (NUM_RESAMPLES, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean() == pytest.approx(1)
    assert 0.7 < counts.var() < 1.2  # multinomial: 1 - 1/30


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-100, 100))
def test_scale_shift_and_mirror(seed: int, scale: float, shift: float) -> None:
    values = np.random.default_rng(seed).lognormal(0, 1, 24)
    found, moved = studentised_mean(clusters_of(values)), studentised_mean(clusters_of(values * scale + shift))
    assert moved.low == pytest.approx(found.low * scale + shift, rel=1e-6, abs=1e-6 * scale)
    assert moved.high == pytest.approx(found.high * scale + shift, rel=1e-6, abs=1e-6 * scale)
    mirrored = studentised_mean(clusters_of(-values))
    assert (mirrored.low, mirrored.high) == (pytest.approx(-found.high), pytest.approx(-found.low))
    wider = studentised_mean(clusters_of(values), 0.99)
    assert wider.low <= found.low < values.mean() < found.high <= wider.high


def test_skewed_values_are_covered_where_a_t_interval_fails() -> None:
    def draw(generator: np.random.Generator) -> np.ndarray:
        return generator.lognormal(0, 1.0, 40)

    def student(values: np.ndarray) -> Interval:
        half = t_quantile(0.95, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        return Interval(values.mean() - half, values.mean() + half)

    given = {"truth": float(np.exp(0.5)), "repetitions": 1500}
    ours = coverage(lambda x: studentised_mean(clusters_of(x)), draw, **given, generator=np.random.default_rng(1))
    theirs = coverage(student, draw, **given, generator=np.random.default_rng(1))
    assert ours.low > 0.9
    assert theirs.high < 0.925
    assert ours.share > theirs.share + 0.03


def test_skewed_clusters_are_covered() -> None:
    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        cluster = np.repeat(np.arange(40), 3)
        return generator.lognormal(0, 0.6, 40)[cluster] * generator.lognormal(0, 0.6, 120), cluster

    found = coverage(
        lambda drawn: studentised_mean(aggregate(*drawn)), draw, truth=float(np.exp(0.36)), repetitions=1000,
        generator=np.random.default_rng(2),
    )  # fmt: skip
    assert found.low > 0.9


def test_resamples_without_spread_push_a_limit_out_and_never_in() -> None:
    one = clusters_of(np.array([1.0] + [0.0] * 19))
    found = studentised_mean(one)
    assert np.isinf(found.high)
    assert found.low < 1 / 20


def test_refused() -> None:
    with pytest.raises(MeasurementUndefined, match="too few clusters"):
        studentised_mean(clusters_of(np.arange(FEWEST - 1)))
    with pytest.raises(MeasurementUndefined, match="alike"):
        studentised_mean(clusters_of(np.full(FEWEST, 0.3)))
    for level in (0.0, 1.0, float("nan")):
        with pytest.raises(MeasurementUndefined, match="level"):
            studentised_mean(clusters_of(np.arange(FEWEST)), level)
