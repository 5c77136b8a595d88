"""The frozen threshold: its exact false-alarm chance, ties, groups, refusals, and the naive way that fails."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import bdtr, ndtr
from validate_helpers import nulls, reading

from trialist.errors import DataError, MeasurementUndefined
from trialist.validate.rates import alarm_rate
from trialist.validate.readings import Reading
from trialist.validate.threshold import check_disjoint, freeze


def calibration(scores: list[float | None], **changes: object) -> list[Reading]:
    return [reading(f"c{i}", s, split="calibration", **changes) for i, s in enumerate(scores)]


@pytest.mark.parametrize("num", [4, 5, 6])
def test_the_chance_is_exact_by_enumeration(num: int) -> None:
    """Over all orders of num + 1 distinct scores the last exceeds the threshold in exactly the stated share."""
    orders = list(itertools.permutations(range(num + 1)))
    found = [freeze(calibration([float(s) for s in order[:-1]]), "probe", specificity=0.75) for order in orders]
    alarms = sum(order[-1] > t.value for order, t in zip(orders, found, strict=True))
    assert Fraction(alarms, len(orders)) == Fraction(found[0].guarantee).limit_denominator(100) <= Fraction(1, 4)


def test_ties_only_lower_the_chance() -> None:
    for values in itertools.combinations_with_replacement((0.0, 1.0, 2.0), 5):
        orders = list(itertools.permutations(values))
        alarms = [o[-1] > freeze(calibration(list(o[:-1])), "probe", specificity=0.75).value for o in orders]
        assert np.mean(alarms) <= 0.25
    assert freeze(calibration([1.0] * 19), "probe").value == 1.0


def test_nineteen_are_needed() -> None:
    assert freeze(calibration([float(i) for i in range(19)]), "probe").value == 18.0
    with pytest.raises(MeasurementUndefined, match="1 more nulls"):
        freeze(calibration([float(i) for i in range(18)]), "probe")
    with pytest.raises(MeasurementUndefined):
        freeze([], "probe")


def test_an_unmeasured_null_counts_as_the_highest() -> None:
    scores: list[float | None] = [float(i) for i in range(39)]
    assert freeze(calibration(scores), "probe").value == 37.0
    found = freeze(calibration([*scores[:38], None]), "probe")
    assert (found.value, found.num_unmeasured) == (37.0, 1)
    with pytest.raises(MeasurementUndefined, match="unmeasured"):
        freeze(calibration([*scores[:36], None, None, None]), "probe")


def test_one_group_is_one_unit() -> None:
    with pytest.raises(MeasurementUndefined, match="independent"):
        freeze(calibration([float(i) for i in range(40)], group="base"), "probe")


def test_groups_hold_the_chance_where_counting_readings_fails() -> None:
    """Readings of one base share most of their score: 20 bases of 5 readings, a new reading of a new base."""
    g = np.random.default_rng(3)
    alarms = naive = 0
    for _ in range(400):
        base = g.normal(size=21)
        scores = base[:, None] + 0.1 * g.normal(size=(21, 5))
        rows = [
            reading(f"{b}-{i}", float(scores[b, i]), split="calibration", group=f"b{b}")
            for b in range(20)
            for i in range(5)
        ]
        alarms += scores[20, 0] > freeze(rows, "probe").value
        naive += scores[20, 0] > freeze([replace(r, group="") for r in rows], "probe").value
    assert bdtr(alarms, 400, 0.05) < 0.999
    assert naive > alarms


def test_a_threshold_tuned_on_the_test_set_undercovers() -> None:
    """The control: a method of pure noise, and the threshold with the most detections less false alarms on the test
    organisms. The exact .95 bound on sensitivity misses about 1 in 10 times there, and holds at a frozen one."""
    g = np.random.default_rng(4)
    missed = honest = 0
    for _ in range(300):
        plants, test = nulls(g, 20, "test", "p"), nulls(g, 20, "test")
        scores = [np.array([r.score for r in rows]) for rows in (plants, test)]
        tuned = max(np.concatenate(scores), key=lambda t: (scores[0] > t).mean() - (scores[1] > t).mean())
        frozen = freeze(nulls(g, 30, "calibration"), "probe").value
        picked, fresh = alarm_rate(plants, float(tuned)), alarm_rate(plants, frozen)
        assert picked is not None
        assert fresh is not None
        missed += picked.lower > ndtr(-tuned)
        honest += fresh.lower > ndtr(-frozen)
    assert bdtr(honest, 300, 0.05) < 0.999
    assert bdtr(missed - 1, 300, 0.05) > 0.999


def test_a_unit_in_both_splits_is_refused() -> None:
    with pytest.raises(DataError, match="group b"):
        check_disjoint([reading("x", split="calibration", group="b"), reading("y", group="b")])
    with pytest.raises(DataError, match="organism x"):
        check_disjoint([reading("x", split="calibration", group="a"), reading("x", group="b", seed=1)])
    check_disjoint([reading("x", split="calibration"), reading("y")])
