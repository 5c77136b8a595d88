from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement import fixed_bank, independent_trials
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import clopper_pearson, upper_bound

banks = st.integers(2, 300).flatmap(
    lambda size: st.integers(1, size).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.just(size)))
)


def pmf(k: int, n: int, total: int, size: int) -> Fraction:
    return Fraction(math.comb(total, k) * math.comb(size - total, n - k), math.comb(size, n))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_every_small_bank_by_enumeration(confidence: float) -> None:
    """Exact coverage over all banks of up to 12 items, and no smaller bound has it."""
    alpha = Fraction(str(1 - Fraction(str(confidence))))
    for size in range(1, 13):
        for n in range(1, size + 1):
            upper = [fixed_bank.upper_total(k, n, size, confidence) for k in range(n + 1)]
            lower = [fixed_bank.lower_total(k, n, size, confidence) for k in range(n + 1)]
            assert upper == sorted(upper)
            for total in range(size + 1):
                chances = [pmf(k, n, total, size) for k in range(n + 1)]
                assert sum(c for k, c in enumerate(chances) if upper[k] < total) <= alpha
                assert sum(c for k, c in enumerate(chances) if lower[k] > total) <= alpha
            for k in range(n + 1):
                # The bound itself isn't rejected, and the next total is or is impossible.
                assert sum(pmf(j, n, upper[k], size) for j in range(k + 1)) >= alpha * Fraction(999999, 10**6)
                if upper[k] < k + size - n:
                    assert sum(pmf(j, n, upper[k] + 1, size) for j in range(k + 1)) <= alpha


def test_two_sided_interval_covers_every_small_bank() -> None:
    for size in range(2, 13):
        for n in range(1, size):
            found = [fixed_bank.interval(k, n, size, 0.9) for k in range(n + 1)]
            assert all(i.width > 0 for i in found)
            for total in range(size + 1):
                covered = sum(pmf(k, n, total, size) for k in range(n + 1) if found[k].contains(total / size))
                assert covered >= Fraction(9, 10)


@settings(max_examples=40, deadline=None)
@given(banks)
def test_tail_is_the_hypergeometric_one(bank: tuple[int, int, int]) -> None:
    k, n, size = bank
    for total in {0, k, size // 2, size}:
        want = float(stats.hypergeom.cdf(k, size, total, n))
        assert fixed_bank.lower_tail(k, n, total, size) == pytest.approx(want, abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(banks, st.sampled_from([0.8, 0.95, 0.99]))
def test_bounds_lie_between_what_was_seen_and_what_is_possible(bank: tuple[int, int, int], confidence: float) -> None:
    k, n, size = bank
    upper, lower = (f(k, n, size, confidence) for f in (fixed_bank.upper_total, fixed_bank.lower_total))
    assert k <= lower <= upper <= k + size - n
    assert upper == size - fixed_bank.lower_total(n - k, n, size, confidence)
    # Knowing part of the bank never hurts, up to one item of rounding.
    assert upper <= math.ceil(size * upper_bound(k, n, confidence)) + 1


def test_a_huge_bank_is_the_binomial() -> None:
    found, want = fixed_bank.interval(7, 300, 3_000_000), clopper_pearson(7, 300)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), abs=3e-5)


def test_sampling_most_of_the_bank_narrows_the_interval() -> None:
    assert fixed_bank.interval(10, 200, 220).width < clopper_pearson(10, 200).width / 2


def test_bank_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="exact for this bank"):
        fixed_bank.interval(3, 20, 20)
    assert fixed_bank.upper_total(3, 20, 20) == fixed_bank.lower_total(3, 20, 20) == 3
    for k, n, size in ((3, 2, 9), (-1, 2, 9), (1, 10, 9), (0, 0, 9), (0.5, 3, 9), (math.nan, 3, 9), (1, 2, math.inf)):
        with pytest.raises(MeasurementUndefined):
            fixed_bank.upper_total(k, n, size)  # type: ignore[arg-type]
    with pytest.raises(MeasurementUndefined):
        fixed_bank.interval(1, 2, 9, 1.0)


# --- all items answered: only generation noise --------------------------------------------------------------


def poisson_binomial(chances: tuple[float, ...]) -> np.ndarray:
    found = np.ones(1)
    for p in chances:
        found = np.convolve(found, [1 - p, p])
    return found


@pytest.mark.parametrize("confidence", [0.75, 0.9, 0.95])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_unequal_chances_by_enumeration(n: int, confidence: float) -> None:
    grid = (0.0, 0.01, 0.04, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 1.0)
    upper = np.array([independent_trials.upper_share(k, n, confidence) for k in range(n + 1)])
    lower = np.array([independent_trials.lower_share(k, n, confidence) for k in range(n + 1)])
    for chances in product(grid, repeat=n):
        if chances == tuple(sorted(chances)):
            law, mean = poisson_binomial(chances), sum(chances) / n
            assert law[upper < mean - 1e-12].sum() <= 1 - confidence + 1e-12
            assert law[lower > mean + 1e-12].sum() <= 1 - confidence + 1e-12


def test_the_bound_at_one_non_event_needs_its_correction() -> None:
    """One certain failure among n - 1 certain events: plain Clopper-Pearson misses a little too often."""
    n, alpha = 30, 0.05
    chances = (1.0,) * (n - 1) + (1 - 0.0512,)
    law, mean = poisson_binomial(chances), 1 - 0.0512 / n
    plain = np.array([upper_bound(k, n) for k in range(n + 1)])
    ours = np.array([independent_trials.upper_share(k, n) for k in range(n + 1)])
    assert law[plain < mean].sum() > alpha
    assert law[ours < mean].sum() <= alpha


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=25), st.sampled_from([0.75, 0.95]))
def test_unequal_chances_at_random(chances: list[float], confidence: float) -> None:
    n, mean, law = len(chances), sum(chances) / len(chances), poisson_binomial(tuple(chances))
    upper = np.array([independent_trials.upper_share(k, n, confidence) for k in range(n + 1)])
    assert law[upper < mean - 1e-12].sum() <= 1 - confidence + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_graded_bounds_are_tighter_than_the_square_root(values: list[float]) -> None:
    found = independent_trials.bounds(values, binary=False)
    mean, reach = float(np.mean(values)), math.sqrt(math.log(20) / (2 * len(values)))
    assert max(0.0, mean - reach) - 1e-9 <= found.lower <= mean + 1e-9
    assert mean - 1e-9 <= found.upper <= min(1.0, mean + reach) + 1e-9
    assert found.lower < found.upper
    moved = independent_trials.bounds(np.array(values) * 4 - 1, binary=False, low=-1, high=3)
    assert moved.upper == pytest.approx(4 * found.upper - 1, abs=1e-9)


def test_bounds_hold_and_describe_only_the_noise() -> None:
    generator = np.random.default_rng(5)
    chances = np.concatenate([np.full(20, 0.1), np.full(20, 0.9)])
    truth, missed, covered, width, repetitions = float(chances.mean()), 0, 0, 0.0, 1000
    for _ in range(repetitions):
        answers = (generator.random((40, 5)) < chances[:, None]).astype(float)
        found = independent_trials.bounds(answers, binary=True)
        missed += not found.lower <= truth <= found.upper
        interval = independent_trials.interval(answers)
        covered += interval.contains(truth)
        width += interval.width / repetitions
    assert missed / repetitions <= 0.1
    assert covered / repetitions >= 0.93
    # As a sample of items the same scores are worth far less.
    assert width < 0.6 * clopper_pearson(20, 40).width


def test_trial_refusals() -> None:
    for bad in ([], [math.nan], [[1.0, math.inf]], np.zeros((2, 2, 2))):
        with pytest.raises(MeasurementUndefined):
            independent_trials.bounds(bad, binary=False)
    with pytest.raises(MeasurementUndefined, match="range"):
        independent_trials.bounds([2.0], binary=False)
    with pytest.raises(MeasurementUndefined, match="binary"):
        independent_trials.bounds([0.5], binary=True)
    with pytest.raises(MeasurementUndefined, match="proven"):
        independent_trials.bounds([1.0], binary=True, confidence=0.5)
    with pytest.raises(MeasurementUndefined, match="one answer"):
        independent_trials.interval([0.0, 1.0])
    with pytest.raises(MeasurementUndefined, match="differ"):
        independent_trials.interval([[0.0, 0.0], [1.0, 1.0]])
    found = independent_trials.bounds(np.ones((10, 3)), binary=True)
    assert found.upper == 1
    assert found.lower == pytest.approx(0.05 ** (1 / 30))
    assert isinstance(independent_trials.interval([[0.0, 1.0], [1.0, 1.0]]), Interval)
