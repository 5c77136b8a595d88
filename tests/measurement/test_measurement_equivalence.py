from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.equivalence import equivalent, noninferior

numbers = st.floats(-2, 2)
intervals = st.tuples(numbers, numbers).map(sorted)


@pytest.mark.parametrize(
    ("lower", "upper", "word"),
    [
        (-0.04, 0.04, "equivalent"),
        (0.01, 0.04, "equivalent"),
        (0.01, 0.2, "better"),
        (0.06, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.04, -0.01, "equivalent"),
        (-0.06, 0.04, "can't tell"),
        (-0.05, 0.04, "can't tell"),
        (0.0, 0.2, "can't tell"),
        (-0.3, 0.3, "can't tell"),
        (-math.inf, math.inf, "can't tell"),
        (-math.inf, -0.1, "worse"),
    ],
)
def test_the_rule(lower: float, upper: float, word: str) -> None:
    assert equivalent(lower, upper, 0.05) == word


@settings(max_examples=40, deadline=None)
@given(intervals, st.floats(0.01, 1), numbers)
def test_no_verdict_is_false_while_the_bounds_hold(ends: list[float], margin: float, truth: float) -> None:
    lower, upper = ends
    if not lower <= truth <= upper:
        return
    claims = {"equivalent": abs(truth) < margin, "better": truth > 0, "worse": truth < 0, "can't tell": True}
    assert claims[equivalent(lower, upper, margin)]
    claims = {"not worse": truth > -margin, "worse": truth <= -margin, "can't tell": True}
    assert claims[noninferior(lower, upper, margin)]


@settings(max_examples=40, deadline=None)
@given(intervals, st.floats(0.01, 1))
def test_exchanging_the_two_sides(ends: list[float], margin: float) -> None:
    lower, upper = ends
    mirror = {"better": "worse", "worse": "better"}
    word = equivalent(lower, upper, margin)
    assert equivalent(-upper, -lower, margin) == mirror.get(word, word)


def test_wider_bounds_never_decide_more() -> None:
    assert noninferior(-0.02, 0.01, 0.03) == "not worse"
    assert noninferior(-0.04, 0.02, 0.03) == "can't tell"
    assert noninferior(-0.2, -0.04, 0.03) == "worse"
    assert noninferior(-0.03, 0.02, 0.03) == "can't tell"


@pytest.mark.parametrize("truth", [-0.5, -0.3, -0.1, 0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("error", [0.05, 0.15, 0.4])
def test_error_of_a_verdict_with_exact_bounds(truth: float, error: float) -> None:
    """Normal estimates with known error: a false verdict at most 5%, twice that where the difference is exactly 0."""
    margin, reach = 0.3, stats.norm.ppf(0.95) * error
    estimates = stats.norm.ppf((np.arange(4000) + 0.5) / 4000, truth, error)
    false = {
        "equivalent": abs(truth) >= margin,
        "better": truth <= 0,
        "worse": truth >= 0,
        "can't tell": False,
    }
    wrong = np.mean([false[equivalent(x - reach, x + reach, margin)] for x in estimates])
    assert wrong <= (0.1 if truth == 0 else 0.05) + 5e-4
    inferior = {"not worse": truth <= -margin, "worse": truth > -margin, "can't tell": False}
    assert np.mean([inferior[noninferior(x - reach, x + reach, margin)] for x in estimates]) <= 0.05 + 5e-4
    # A control: bounds at half the reach decide falsely more often somewhere.
    if truth == -margin:
        short = [inferior[noninferior(x - reach / 2, x + reach / 2, margin)] for x in estimates]
        assert np.mean(short) > 0.1


def test_refusals() -> None:
    for rule in (equivalent, noninferior):
        for lower, upper, margin in (
            (1, 0, 1),
            (math.nan, 1, 1),
            (0, math.nan, 1),
            (0, 1, 0),
            (0, 1, -1),
            (0, 1, math.inf),
        ):
            with pytest.raises(MeasurementUndefined):
                rule(lower, upper, margin)
