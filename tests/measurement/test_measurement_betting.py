from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting
from trialist.measurement.betting import lower_mean, upper_mean
from trialist.measurement.proportions import upper_bound

clusters = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=25)
confidences = st.sampled_from([0.5, 0.9, 0.95, 0.999])


def split(rows: list[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([y for y, _ in rows]), np.array([float(n) for _, n in rows])


@settings(max_examples=60)
@given(clusters, confidences)
def test_bounds_hold_the_mean_and_never_meet(rows: list[tuple[float, int]], confidence: float) -> None:
    y, n = split(rows)
    low, high = lower_mean(y, n, confidence=confidence), upper_mean(y, n, confidence=confidence)
    mean = float(n @ y / n.sum())
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert low < high


@settings(max_examples=40)
@given(clusters, confidences)
def test_mirror_scale_and_unit_of_size(rows: list[tuple[float, int]], confidence: float) -> None:
    y, n = split(rows)
    bound = upper_mean(y, n, confidence=confidence)
    assert lower_mean(1 - y, n, confidence=confidence) == pytest.approx(1 - bound, abs=1e-8)
    assert upper_mean(y, 7 * n, confidence=confidence) == pytest.approx(bound, abs=1e-8)
    shifted = upper_mean(3 * y - 1, n, low=-1, high=2, confidence=confidence)
    assert shifted == pytest.approx(3 * bound - 1, abs=1e-7)


@settings(max_examples=40)
@given(clusters)
def test_more_confidence_widens(rows: list[tuple[float, int]]) -> None:
    y, n = split(rows)
    assert upper_mean(y, n, confidence=0.9) <= upper_mean(y, n, confidence=0.99) + 1e-9


@settings(max_examples=40)
@given(clusters, st.floats(0.01, 0.98), st.floats(0.01, 0.98))
def test_capital_rises_with_the_mean_bet_against_and_stays_positive(
    rows: list[tuple[float, int]], first: float, second: float
) -> None:
    sample = betting.permuted(*split(rows), 0.0, 1.0)
    bets = betting.plug_in_bets(sample, math.log(20))
    low, high = sorted((first, second))
    assert betting.log_capital(low, bets, sample) <= betting.log_capital(high, bets, sample) + 1e-9
    factors = 1 + np.minimum(bets, betting.CAP / (1 - high)) * sample.weights * (high - sample.values)
    assert factors.min() >= 1 - betting.CAP - 1e-12


def test_expected_capital_is_at_most_one_at_the_true_mean() -> None:
    """Exact expectation by enumeration of every sample of four clusters, equal and unequal sizes."""
    cases: dict[str, list[tuple[float, float, float]]] = {
        "equal": [(0.0, 1, 0.7), (0.5, 1, 0.2), (1.0, 1, 0.1)],
        "size carries the value": [(0.0, 1, 0.5), (0.25, 4, 0.3), (1.0, 2, 0.2)],
    }
    for draws in cases.values():
        n_max = max(n for _, n, _ in draws)
        truth = sum(y * n * p for y, n, p in draws) / sum(n * p for _, n, p in draws)
        total = 0.0
        for index in np.ndindex(*(len(draws),) * 4):
            y, n, p = (np.array([draws[i][j] for i in index]) for j in range(3))
            # The largest cluster is a constant of the design and not of the sample.
            sample = betting.permuted(np.append(y, 0.0), np.append(n, n_max), 0.0, 1.0)
            keep = np.array([row[row < 4] for row in np.random.PCG64(0).random_raw(160).reshape(32, 5).argsort(axis=1)])
            sample = betting.Permuted(y[keep], (n / n_max)[keep], sample.mean)
            bets = betting.plug_in_bets(sample, math.log(20))
            total += float(p.prod()) * math.exp(betting.log_capital(truth, bets, sample))
        assert total <= 1 + 1e-12
        assert total > 0.9


def test_bets_look_only_backwards() -> None:
    generator = np.random.default_rng(0)
    y = generator.random(10)
    sample = betting.permuted(y, np.ones(10), 0.0, 1.0)
    changed = sample.values.copy()
    changed[:, 6:] = generator.random((betting.NUM_PERMUTATIONS, 4))
    other = betting.Permuted(changed, sample.weights, sample.mean)
    same, moved = (betting.plug_in_bets(s, 3.0) for s in (sample, other))
    assert (same[:, :7] == moved[:, :7]).all()
    assert not (same[:, 7:] == moved[:, 7:]).all()


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_never_tighter_than_exact_by_more_than_its_own_luck(hits: list[bool]) -> None:
    """No valid bound can beat Clopper-Pearson with no event seen; with few clusters it is close to it."""
    y = np.zeros(len(hits))
    assert upper_mean(y) >= upper_bound(0, len(hits)) - 1e-9
    assert upper_mean(y) <= min(1.0, 2 * upper_bound(0, len(hits)))


def test_degenerate_inputs() -> None:
    assert upper_mean([1.0, 1.0]) == 1
    assert lower_mean([0.0, 0.0]) == 0
    assert 0.9 < upper_mean([0.0]) <= 1
    assert upper_mean(np.zeros(60)) < 0.07
    assert lower_mean(np.ones(60)) > 0.93
    for means, sizes in (([], None), ([math.nan], None), ([0.5], [0.0]), ([0.5, 0.5], [1.0]), ([1.2], None)):
        with pytest.raises(MeasurementUndefined):
            upper_mean(means, sizes)
    with pytest.raises(MeasurementUndefined):
        upper_mean([0.5], low=-math.inf)
    with pytest.raises(MeasurementUndefined):
        upper_mean([0.5], confidence=1.0)


def test_same_bytes_every_time_and_fixed_values() -> None:
    """The permutations come from raw PCG64 output: these numbers must not change between machines and versions."""
    y = np.arange(20) % 4 / 4
    assert upper_mean(y) == upper_mean(y)
    assert betting.permuted(y, None, 0.0, 1.0).values[0, :6].tolist() == FIRST_PERMUTATION


FIRST_PERMUTATION = [0.75, 0.75, 0.25, 0.5, 0.75, 0.25]


def test_two_thousand_clusters_take_a_moment() -> None:
    y = np.random.default_rng(0).random(2000)
    start = time.process_time()
    upper_mean(y, np.arange(2000) % 5 + 1)
    assert time.process_time() - start < 2.0
