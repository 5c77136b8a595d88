from __future__ import annotations

import csv
import math
import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path, reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.lifetime_bands import critical_value, dkw_band, equal_precision
from trialist.measurement.lifetimes import (
    Lifetimes,
    kaplan_meier,
    lifetimes,
    median,
    pointwise,
    restricted_mean,
    restricted_mean_bounds,
    survival_at,
)
from trialist.measurement.logrank import log_rank
from trialist.measurement.proportions import clopper_pearson

# Weeks in remission, 6-MP and placebo: Freireich et al. 1963, Blood 21, in Klein & Moeschberger 2003, table 1.1.
DRUG = [6, 6, 6, 7, 10, 13, 16, 22, 23]
DRUG_CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]

subjects = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=20)


def drug() -> Lifetimes:
    return lifetimes(DRUG + DRUG_CENSORED, [1] * 9 + [0] * 12)


def test_published_survival_and_greenwood() -> None:
    """Klein & Moeschberger 2003, tables 4.1 and 4.2, and their restricted mean to 35 weeks, 23.29 (2.83)."""
    curve = kaplan_meier(drug())
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.survival.round(4).tolist() == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert curve.standard_error.round(4).tolist() == [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    area, error, limits = restricted_mean(curve, 35)
    assert (round(area, 2), round(error, 2)) == (23.29, 2.83)
    assert limits.contains(23.29)
    value, limits = median(curve)
    assert value == 23
    assert limits == Interval(13, math.inf)


def test_published_log_rank() -> None:
    both = lifetimes(DRUG + DRUG_CENSORED + PLACEBO, [1] * 9 + [0] * 12 + [1] * 21)
    found = log_rank(both, [1] * 21 + [0] * 21, generator=np.random.default_rng(0), num_draws=999)
    assert found.chi_squared == pytest.approx(16.79, abs=0.005)
    assert found.observed == 9
    assert found.expected == pytest.approx(19.25, abs=0.005)
    assert not found.exact
    assert found.p_value == 1 / 1000
    with pytest.raises(MeasurementUndefined, match="enumerate"):
        log_rank(both, [1] * 21 + [0] * 21)


@settings(max_examples=50)
@given(subjects)
def test_survival_against_the_plain_product(rows: list[tuple[int, bool]]) -> None:
    data = lifetimes(*zip(*rows, strict=True))
    curve = kaplan_meier(data)
    for t in range(1, 13):
        s = 1.0
        for u in sorted({time for time, seen in rows if seen and time <= t}):
            s *= 1 - sum(time == u and seen for time, seen in rows) / sum(time >= u for time, _ in rows)
        if t <= curve.last:
            assert curve.at(t) == pytest.approx(s, abs=1e-12)
            limits = pointwise(curve, t)
            assert 0 <= limits.low <= s + 1e-12
            assert s - 1e-12 <= limits.high <= 1
            assert limits.width > 0


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=20))
def test_without_censoring_it_is_the_empirical_share(times: list[int]) -> None:
    curve = kaplan_meier(lifetimes(times, [1] * len(times)))
    share = np.array([np.mean(np.array(times) > t) for t in curve.times])
    assert np.allclose(curve.survival, share)
    assert np.allclose(curve.standard_error, np.sqrt(share * (1 - share) / len(times)))
    assert median(curve)[0] == sorted(times)[(len(times) - 1) // 2]
    if len(set(times)) > 1 or times[0] >= 5:
        assert restricted_mean(curve, 4.5)[0] == pytest.approx(np.minimum(times, 4.5).mean())


def test_nothing_is_said_where_nothing_is_known() -> None:
    never = kaplan_meier(lifetimes([5, 8, 8], [0, 0, 0]))
    assert pointwise(never, 6).low == pytest.approx(0.025**0.5)
    assert median(never) == (math.inf, Interval(math.inf, math.inf))
    assert restricted_mean(never, 5)[2].low == pytest.approx(5 * 0.025 ** (1 / 3))
    with pytest.raises(MeasurementUndefined, match="beyond"):
        never.at(9)
    with pytest.raises(MeasurementUndefined, match="event time"):
        equal_precision(never)
    at_once = kaplan_meier(lifetimes([2, 2, 2], [1, 1, 1]))
    assert pointwise(at_once, 2) == Interval(0, 1)
    assert at_once.at(99) == 0
    with pytest.raises(MeasurementUndefined, match="spread"):
        restricted_mean(at_once, 9)
    assert restricted_mean_bounds(lifetimes([2, 2, 2], [1, 1, 1]), 9).width > 1
    for times, seen in (([], []), ([0], [1]), ([math.nan], [1]), ([1], [2]), ([1, 2], [1]), ([math.inf], [0])):
        with pytest.raises(MeasurementUndefined):
            lifetimes(times, seen)


def test_exact_survival_at_a_budget() -> None:
    data = lifetimes([3, 9, 30, 30, 30], [1, 1, 1, 0, 0])
    assert survival_at(data, 30) == clopper_pearson(2, 5)
    assert survival_at(data, 9) == clopper_pearson(3, 5)
    with pytest.raises(MeasurementUndefined, match="censored before"):
        survival_at(lifetimes([3, 9], [1, 0]), 20)
    with pytest.raises(MeasurementUndefined):
        restricted_mean_bounds(lifetimes([3, 9], [1, 0]), 20)


def draw(generator: np.random.Generator) -> Lifetimes:
    """40 runs, exponential times of mean 10, budgets 5, 15 or 30 fixed before."""
    times, budgets = generator.exponential(10, 40), generator.choice([5.0, 15.0, 30.0], 40)
    return lifetimes(np.minimum(times, budgets), times <= budgets)


def plain(curve_time: float, data: Lifetimes) -> Interval:
    curve = kaplan_meier(data)
    j = int(np.searchsorted(curve.times, curve_time, side="right")) - 1
    s, half = curve.at(curve_time), 1.96 * float(curve.standard_error[j])
    return Interval(s - half, s + half)


def test_coverage_of_intervals_and_bands() -> None:
    generator = np.random.default_rng(7)
    late = coverage(
        lambda d: pointwise(kaplan_meier(d), 4), draw, truth=math.exp(-0.4), repetitions=300, generator=generator
    )
    assert late.reaches(0.95)
    middle = coverage(
        lambda d: median(kaplan_meier(d))[1], draw, truth=10 * math.log(2), repetitions=300, generator=generator
    )
    assert middle.reaches(0.95)


def test_a_band_holds_the_whole_curve_where_pointwise_intervals_do_not() -> None:
    """Measured: .88 of 600 draws of 40 runs at a nominal .95 (.93 at 150 runs); pointwise intervals .40."""
    generator, held = np.random.default_rng(8), np.zeros(2)
    for _ in range(150):
        curve = kaplan_meier(draw(generator))
        band = equal_precision(curve)
        limits = [pointwise(curve, float(t)) for t in band.times]
        before_next = np.exp(-np.append(band.times[1:], band.times[-1]) / 10)
        at = np.exp(-band.times / 10)
        pairs = [(band.low, band.high), (np.array([x.low for x in limits]), np.array([x.high for x in limits]))]
        held += [bool(((low <= before_next) & (at <= high)).all()) for low, high in pairs]
    assert held[0] / 150 > 0.82
    assert held[1] / 150 < 0.5


def test_plain_greenwood_fails_where_the_log_log_interval_holds() -> None:
    """Ten runs, a late time: S +- z SE covers far below its level on the draws where the transform doesn't."""

    def few(generator: np.random.Generator) -> Lifetimes:
        return lifetimes(generator.exponential(10, 10), np.ones(10))

    truth, time = math.exp(-2.3), 23.0
    good = coverage(lambda d: pointwise(kaplan_meier(d), time), few, truth=truth, repetitions=300,
                    generator=np.random.default_rng(1))  # fmt: skip
    bad = coverage(lambda d: plain(time, d), few, truth=truth, repetitions=300, generator=np.random.default_rng(1))
    assert good.reaches(0.95)
    assert bad.high < 0.8


def test_guaranteed_band_and_mean_hold() -> None:
    """DKW by simulation at n = 8, times on a grid, where asymptotic bands have no business."""
    generator = np.random.default_rng(3)

    def draw_few(g: np.random.Generator) -> Lifetimes:
        times = g.geometric(0.2, 8).astype(float)
        return lifetimes(np.minimum(times, 12), times <= 12)

    def held(data: Lifetimes) -> Interval:
        band = dkw_band(data, 12, 0.9)
        at = np.searchsorted(band.times, np.arange(12), side="right") - 1
        truth = 0.8 ** np.arange(12)
        fine = ((band.low[at] <= truth + 1e-12) & (truth <= band.high[at] + 1e-12)).all()
        return Interval(1, 1) if fine else Interval(0, 0)

    assert coverage(held, draw_few, truth=1, repetitions=300, generator=generator).reaches(0.9)
    mean = sum(min(t, 12) * 0.2 * 0.8 ** (t - 1) for t in range(1, 12)) + 12 * 0.8**11
    found = coverage(lambda d: restricted_mean_bounds(d, 12, 0.9), draw_few, truth=mean, repetitions=60,
                     generator=generator)  # fmt: skip
    assert found.reaches(0.9)
    with pytest.raises(MeasurementUndefined):
        dkw_band(lifetimes([1, 2], [0, 1]), 2)


def test_critical_value_of_the_equal_precision_band() -> None:
    """Against the supremum of simulated bridges over [.1, .9]: the tail formula gives .05 there, within noise."""
    c = critical_value(2 * math.log(9), 0.95)
    generator, steps = np.random.default_rng(0), 1000
    u = np.arange(1, steps) / steps
    inside = (u >= 0.1) & (u <= 0.9)
    passed = 0
    for _ in range(4):
        walk = np.cumsum(generator.standard_normal((500, steps)), axis=1) / math.sqrt(steps)
        bridge = walk[:, :-1] - u * walk[:, -1:]
        passed += int((np.abs(bridge[:, inside]) / np.sqrt(u * (1 - u))[inside]).max(axis=1).__gt__(c).sum())
    assert 0.03 < passed / 2000 < 0.06
    assert critical_value(0.0, 0.95) > 1.96


def test_exact_permutation_equals_plain_enumeration() -> None:
    times, seen = np.array([1.0, 3, 3, 4, 6, 7, 7, 9]), np.array([1, 1, 0, 1, 1, 0, 1, 0])
    group = np.array([1, 1, 1, 0, 1, 0, 0, 0])
    data = lifetimes(times, seen)
    found = log_rank(data, group)

    def statistic(rows: tuple[int, ...]) -> float:
        mask = np.isin(np.arange(8), rows)
        u = 0.0
        for t in np.unique(times[seen == 1]):
            d, risk = ((times == t) & (seen == 1)), times >= t
            u += (d & mask).sum() - d.sum() * (risk & mask).sum() / risk.sum()
        return u

    every = [abs(statistic(rows)) for rows in combinations(range(8), 4)]
    assert found.exact
    assert found.num_assignments == 70
    assert found.p_value == np.mean(np.array(every) >= every[0] * 0 + abs(statistic((0, 1, 2, 4))) - 1e-9)
    assert log_rank(data, 1 - group).p_value == found.p_value
    drawn = log_rank(lifetimes(np.tile(times, 4), np.tile(seen, 4)), np.tile(group, 4),
                     generator=np.random.default_rng(0), num_draws=199)  # fmt: skip
    assert not drawn.exact
    strata = np.repeat([0, 1], 4)
    blocked = log_rank(data, group, strata=strata)
    assert blocked.num_assignments == math.comb(4, 3) * math.comb(4, 1)


def test_permutation_p_is_valid_and_chi_squared_is_not_at_few_runs() -> None:
    """Null, 3 against 5 runs: the exact p is at or below alpha at most alpha of the time; chi-squared more often."""
    generator = np.random.default_rng(11)
    exact = chi = 0
    for _ in range(400):
        times = generator.exponential(1, 8)
        found = log_rank(lifetimes(np.minimum(times, 2), times <= 2), [1] * 3 + [0] * 5)
        exact += found.p_value <= 0.1
        chi += found.p_chi_squared <= 0.1
    assert exact / 400 <= 0.1 + 3 * math.sqrt(0.09 / 400)
    assert chi > exact
    with pytest.raises(MeasurementUndefined, match="two groups"):
        log_rank(lifetimes([1, 2], [1, 1]), [1, 1])
    with pytest.raises(MeasurementUndefined, match="nothing to compare"):
        log_rank(lifetimes([1, 2], [0, 0]), [0, 1])


def test_queries_to_success_of_two_models() -> None:
    expected = reference("attempts_jbb_shared")
    rows = list(csv.DictReader(data_path("attempts/jbb_pair_queries.csv").read_text(encoding="utf-8").splitlines()))
    for model, numbers in expected.items():
        mine = [row for row in rows if row["model"] == model]
        times = [float(row["queries_to_jailbreak"] or row["number_of_queries"]) for row in mine]
        data = lifetimes(times, [row["queries_to_jailbreak"] != "" for row in mine])
        curve = kaplan_meier(data)
        assert int(data.seen.sum()) == numbers["have_first_success"]
        assert 1 - curve.at(30) == pytest.approx(numbers["found_by_30"])
        exact = survival_at(data, 30)
        assert exact.contains(1 - numbers["found_by_30"])
        assert curve.last == 90


def test_the_page_runs_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs/measurement/survival.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})  # noqa: S102 - our own page
    shown = [line[2:] for before, line in pairwise(code.splitlines()) if before.startswith("print(") and line[0] == "#"]
    assert capsys.readouterr().out.splitlines() == shown
