from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.noninferiority import difference_bounds, losing_share_bound
from trialist.records import Side

nets = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0]), min_size=1, max_size=40)
sides = st.sampled_from(["above", "below", None])


def lost(num: int, of: int) -> np.ndarray:
    return np.r_[-np.ones(num), np.zeros(of - num)]


@pytest.mark.parametrize("confidence", [0.95, 0.955])
def test_margin_of_three_points_survives_two_lost_of_260_and_none_of_150(confidence: float) -> None:
    def bound(num: int, of: int) -> float:
        return difference_bounds(lost(num, of), confidence=confidence, side="above").lower

    assert bound(2, 260) > -0.03 > bound(4, 260)
    assert bound(0, 150) > -0.03 > bound(1, 150)


def test_a_large_loss_is_shown() -> None:
    bounds = difference_bounds(lost(40, 260), side="above")
    assert bounds.upper < -0.03


@pytest.mark.parametrize("side", ["above", "below"])
def test_a_large_change_can_be_claimed_too(side: Side) -> None:
    """Superiority: minus the share of losing clusters never exceeds 0, the betting half does the work."""
    sign = 1 if side == "above" else -1
    bounds = difference_bounds(-sign * lost(180, 260), side=side)
    assert (bounds.lower if side == "above" else -bounds.upper) > 0.5


@settings(max_examples=60)
@given(nets, sides)
def test_bounds_hold_the_mean_and_mirror(net: list[float], side: Side | None) -> None:
    d = np.array(net)
    bounds = difference_bounds(d, side=side)
    assert -1 <= bounds.lower <= d.mean() + 1e-12
    assert d.mean() - 1e-12 <= bounds.upper <= 1
    assert bounds.lower < bounds.upper
    other: Side | None = {"above": "below", "below": "above", None: None}[side]  # type: ignore[assignment]
    mirror = difference_bounds(-d, side=other)
    assert (mirror.lower, mirror.upper) == (pytest.approx(-bounds.upper), pytest.approx(-bounds.lower))


def test_counting_needs_a_binary_outcome() -> None:
    d = lost(1, 30)
    assert "Clopper-Pearson" in difference_bounds(d, np.full(30, 4), side="above").method
    unequal = difference_bounds(d, np.r_[8, np.ones(29)], side="above")
    graded = difference_bounds(d, side="above", binary=False)
    assert "one size" in unequal.method
    assert "graded" in graded.method
    assert graded.lower < difference_bounds(d, side="above").lower
    # The one that loses is the largest: at worst it is all of its items, of 37.
    assert unequal.lower < difference_bounds(d, side="above").lower
    assert "both sides" in difference_bounds(d).method


def test_missing_values_move_each_bound_to_its_worst() -> None:
    d = lost(1, 100)
    low, high = d.copy(), d.copy()
    low[-5:], high[-5:] = -1, 1
    plain, cautious = (difference_bounds(x, side="above", highest=y) for x, y in ((d, d), (low, high)))
    assert cautious.lower < plain.lower - 0.03
    assert cautious.upper > plain.upper


@pytest.mark.parametrize(("gain", "loss"), [(0.0, 0.02), (0.0, 0.1), (0.1, 0.1), (0.3, 0.05), (0.02, 0.4)])
def test_exact_coverage_by_enumeration(gain: float, loss: float) -> None:
    """All tables of 24 clusters; the betting part sees them in one order, so a binomial weight is exact for the
    counting part and for exchangeable permutations of the betting part."""
    n, covered = 24, {"lower": 0.0, "upper": 0.0}
    for b, c in product(range(n + 1), repeat=2):
        if b + c > n:
            continue
        share = float(stats.multinomial.pmf([b, c, n - b - c], n, [gain, loss, 1 - gain - loss]))
        if share < 1e-7:
            continue
        d = np.random.default_rng(b * 100 + c).permutation(np.r_[np.ones(b), -np.ones(c), np.zeros(n - b - c)])
        bounds = difference_bounds(d, side="above")
        covered["lower"] += share * (bounds.lower <= gain - loss)
        covered["upper"] += share * (bounds.upper >= gain - loss)
    assert min(covered.values()) >= 0.95 - 1e-4


def test_losing_share_bound_is_exact_and_refuses_nonsense() -> None:
    assert losing_share_bound(lost(0, 300)) == pytest.approx(-0.009936081944, abs=1e-9)
    for bad in ([], [np.nan], [1.5]):
        with pytest.raises(MeasurementUndefined):
            losing_share_bound(bad)
    with pytest.raises(MeasurementUndefined):
        difference_bounds(lost(1, 5), confidence=1.5)
