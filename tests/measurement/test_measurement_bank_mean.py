"""Bounds for a bank's mean without replacement: exact coverage over every sample of every small bank."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import bank_mean, betting
from trialist.measurement.bank_mean import lower_bank_mean, upper_bank_mean

Upper = Callable[[tuple[float, ...]], float]


def worst_coverage(num: int, n: int, upper: Upper, values: tuple[float, ...] = (0.0, 1.0)) -> float:
    """The lowest share of samples of n whose bound holds, over all banks of ``num`` values in all orders."""
    bounds = {x: upper(x) for x in itertools.product(values, repeat=n)}
    samples = list(itertools.combinations(range(num), n))
    shares = []
    for bank in itertools.product(values, repeat=num):
        mean = sum(bank) / num
        shares.append(sum(bounds[tuple(bank[j] for j in s)] >= mean - 1e-9 for s in samples) / len(samples))
    return min(shares)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(("num", "n"), [(5, 1), (5, 3), (6, 2), (7, 4), (8, 5), (8, 7), (8, 8)])
def test_every_bank_in_every_order_is_covered(num: int, n: int, confidence: float) -> None:
    assert worst_coverage(num, n, lambda x: upper_bank_mean(x, num, confidence=confidence)) >= confidence


@pytest.mark.parametrize(("num", "n"), [(4, 2), (5, 3), (6, 4)])
def test_graded_banks_are_covered(num: int, n: int) -> None:
    assert worst_coverage(num, n, lambda x: upper_bank_mean(x, num, confidence=0.8), (0.0, 0.3, 1.0)) >= 0.8


def test_more_items_than_have_all_their_orders_averaged() -> None:
    assert len(bank_mean._orders(8)) == betting.MOST_CELLS // 8
    assert worst_coverage(9, 8, lambda x: upper_bank_mean(x, 9, confidence=0.8)) >= 0.8


def test_few_fixed_orders_would_not_cover_a_bank_in_a_bad_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_mean, "_orders", betting.fixed_orders)
    assert worst_coverage(8, 7, lambda x: upper_bank_mean(x, 8, confidence=0.8)) < 0.8


samples = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(samples, st.integers(0, 30), st.sampled_from([0.6, 0.9, 0.95]))
def test_the_lower_bound_is_the_mirror_image_on_any_scale(values: list[float], more: int, confidence: float) -> None:
    num = len(values) + more
    upper = upper_bank_mean(values, num, confidence=confidence)
    lower = lower_bank_mean([1 - x for x in values], num, confidence=confidence)
    assert lower == pytest.approx(1 - upper, abs=1e-9)
    scaled = upper_bank_mean([10 * x - 3 for x in values], num, low=-3, high=7, confidence=confidence)
    assert scaled == pytest.approx(10 * upper - 3, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(samples, st.integers(0, 30))
def test_bounds_hold_the_mean_and_what_the_bank_could_still_hold(values: list[float], more: int) -> None:
    num, total = len(values) + more, sum(values)
    lower, upper = lower_bank_mean(values, num), upper_bank_mean(values, num)
    assert lower - 1e-9 <= total / len(values) <= upper + 1e-9
    assert upper <= (total + more) / num + 1e-9
    assert lower >= total / num - 1e-9
    assert upper_bank_mean(values, num, confidence=0.99) >= upper - 1e-9
    assert upper_bank_mean(values, num, confidence=0.8) <= upper + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(0, 1000))
def test_up_to_seven_items_the_order_does_not_matter(values: list[float], seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(values)
    assert upper_bank_mean(mixed, 20) == pytest.approx(upper_bank_mean(values, 20), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_larger_score_never_lowers_the_bound(n: int) -> None:
    levels = (0.0, 0.5, 1.0)
    bounds = {x: upper_bank_mean(x, 12) for x in itertools.combinations_with_replacement(levels, n)}
    for x, bound in bounds.items():
        for j in range(n):
            for level in levels:
                if level > x[j]:
                    raised = tuple(sorted((*x[:j], level, *x[j + 1 :])))
                    assert bounds[raised] >= bound - 1e-9, (x, raised)


def test_a_bank_asked_throughout_is_known_and_a_huge_one_is_a_process() -> None:
    values = np.random.default_rng(0).random(60)
    assert upper_bank_mean(values, 60) == pytest.approx(values.mean(), abs=1e-9)
    assert upper_bank_mean(values, 10**9) == pytest.approx(betting.upper_mean(values), abs=0.01)
    widths = [upper_bank_mean(values, num) - values.mean() for num in (61, 80, 120, 600)]
    assert widths == sorted(widths)


@pytest.mark.parametrize(
    ("values", "size", "more"),
    [
        ([], 5, {}),
        ([0.5] * 6, 5, {}),
        ([1.2], 5, {}),
        ([math.nan], 5, {}),
        ([0.5], 5, {"low": 1.0, "high": 0.0}),
        ([0.5], 5, {"high": math.inf}),
        ([0.5], 5, {"confidence": 1.0}),
    ],
)
def test_refused(values: list[float], size: int, more: dict[str, float]) -> None:
    with pytest.raises(MeasurementUndefined):
        upper_bank_mean(values, size, **more)
