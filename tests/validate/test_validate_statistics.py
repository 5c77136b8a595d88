"""Rates, detectable dose, dose-response and stated errors: coverage, degenerate grids, controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import bdtr, expit, logit
from validate_helpers import grid, positives, reading

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.validate.detectable import detectable_dose, isotonic
from trialist.validate.rates import CLUSTERED, alarm_rate
from trialist.validate.readings import Reading
from trialist.validate.response import CORRECTED, PLAIN, response
from trialist.validate.stated import against_nulls, against_truth


def test_no_alarm_of_ninety_three() -> None:
    rate = alarm_rate([reading(str(i)) for i in range(93)], 1.0)
    assert rate is not None
    assert rate.upper == pytest.approx(1 - 0.05 ** (1 / 93))
    assert round(rate.upper, 4) == 0.0317
    assert alarm_rate([], 1.0) is None


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.8, 0.97])
def test_bounds_hold_exactly_whatever_the_unmeasured_were(rate: float) -> None:
    """Summed over the binomial: 12 readings of which the 3 last alarms or the 3 last silent ones went missing."""
    weights = [bdtr(k, 12, rate) - (bdtr(k - 1, 12, rate) if k else 0.0) for k in range(13)]
    for lose_alarms in (True, False):
        low = high = 0.0
        for k, weight in enumerate(weights):
            scores: list[float | None] = [1.0] * k + [0.0] * (12 - k)
            hidden = range(min(3, k)) if lose_alarms else range(max(k, 9), 12)
            for i in hidden:
                scores[i] = None
            found = alarm_rate([reading(str(i), s) for i, s in enumerate(scores)], 0.5)
            assert found is not None
            low += weight * (found.lower <= rate)
            high += weight * (found.upper >= rate)
        assert low >= 0.95
        assert high >= 0.95


def test_all_missing_says_nothing() -> None:
    found = alarm_rate([reading(str(i), None) for i in range(9)], 0.0)
    assert found is not None
    assert (str(found), found.value, found.interval) == ("-", None, Interval(0.0, 1.0))
    assert found.reasons == ("timed out",)


def test_one_group_is_one_trial() -> None:
    rows = [reading(str(i), 0.0, group="base") for i in range(50)]
    found = alarm_rate(rows, 1.0)
    assert found is not None
    assert (found.method, found.num_units) == (CLUSTERED, 1)
    assert found.upper == pytest.approx(0.95)
    mixed = alarm_rate([*rows, reading("x", 2.0)], 1.0)
    assert mixed is not None
    assert mixed.upper > 0.95


def _drawn(g: np.random.Generator, curve: float, num: int = 40, groups: int = 0) -> list[Reading]:
    """Alarms with chance expit(curve (dose - .5) + logit(.8)): the detectable dose is .5."""
    doses = np.sort(g.uniform(0, 1, num))
    latent = g.uniform(size=groups)[np.arange(num) % groups] if groups else g.uniform(size=num)
    hits = latent < expit(curve * (doses - 0.5) + logit(0.8))
    return [
        reading(f"p{i}", float(h), role="positive", realised=float(d), group=f"g{i % groups}" if groups else "")
        for i, (d, h) in enumerate(zip(doses, hits, strict=True))
    ]


@pytest.mark.parametrize(("curve", "num"), [(3.0, 40), (30.0, 60), (1e6, 80)])
def test_limits_of_the_detectable_dose_cover(curve: float, num: int) -> None:
    def interval(rows: list[Reading]) -> Interval:
        found = detectable_dose(rows, 0.5)
        return Interval(-1.0 if found.low is None else found.low, 2.0 if found.high is None else found.high)

    g = np.random.default_rng(5)
    found = coverage(interval, lambda r: _drawn(r, curve, num), truth=0.5, repetitions=300, generator=g)
    assert found.reaches(0.95)


def test_the_interval_gets_narrow_where_the_curve_is_steep() -> None:
    found = detectable_dose(_drawn(np.random.default_rng(0), 1e6, 200), 0.5)
    assert found.low is not None
    assert found.high is not None
    assert 0.4 < found.low < 0.6
    assert 0.45 < found.high < 0.65


def test_groups_need_their_own_bound() -> None:
    """Control: 60 readings of 6 bases that are detected or not as one. Counted as independent, the limit misses."""
    g = np.random.default_rng(6)
    draws = [_drawn(g, 0.5, 60, groups=6) for _ in range(200)]
    low = [detectable_dose([replace(r, group="") for r in rows], 0.5).high for rows in draws]
    kept = [detectable_dose(rows, 0.5).high for rows in draws]
    misses = [sum(h is not None and h < 0.5 for h in highs) for highs in (low, kept)]
    assert misses[0] > 20
    assert bdtr(misses[1], 200, 0.025) < 0.999


def test_all_and_none_detected() -> None:
    rows = positives(np.random.default_rng(0), [0.25, 0.5, 1.0], 20)
    level = [replace(r, realised=r.nominal) for r in rows]
    every = detectable_dose([replace(r, score=1.0) for r in level], 0.5)
    assert (every.low, every.high, every.value) == (None, 0.25, 0.25)
    assert every.sentence.startswith("at most the lowest dose tested")
    none = detectable_dose([replace(r, score=0.0) for r in level], 0.5)
    assert (none.low, none.high, none.value) == (1.0, None, None)
    assert none.sentence.startswith("above the highest dose tested")
    few = detectable_dose(level[:2], -99.0)
    assert (few.low, few.high) == (None, None)
    assert "too few organisms for a limit" in few.sentence
    missing = detectable_dose([replace(r, score=None, reason="x") for r in level], 0.5)
    assert (missing.low, missing.high, missing.value) == (None, None, None)
    with pytest.raises(MeasurementUndefined, match="realised dose"):
        detectable_dose([replace(r, realised=None) for r in rows], 0.5)
    with pytest.raises(MeasurementUndefined):
        detectable_dose([], 0.5)


def test_a_window_counts_groups() -> None:
    """18 bases of 5 organisms, all detected: with 17 organisms in a window no test could ever reject."""
    rows = [
        reading(f"{b}-{i}", 1.0, role="positive", realised=0.1 * b + 0.01 * i, group=f"g{b}")
        for b in range(18)
        for i in range(5)
    ]
    assert detectable_dose(rows, 0.5).high is not None
    assert detectable_dose(rows[: 16 * 5], 0.5).high is None


def test_isotonic_is_the_min_max_formula() -> None:
    g = np.random.default_rng(7)
    for _ in range(30):
        doses = np.sort(g.integers(0, 6, 15).astype(float))
        hits = g.integers(0, 2, 15).astype(float)
        levels = np.unique(doses)
        plain = {
            d: max(
                min(hits[(doses >= a) & (doses <= b)].mean() for b in levels[levels >= d]) for a in levels[levels <= d]
            )
            for d in levels
        }
        assert isotonic(doses, hits) == pytest.approx([plain[d] for d in doses])


def _line(g: np.random.Generator, se: float | None) -> list[Reading]:
    true = np.repeat([0.0, 0.3, 0.6, 1.0], 10)
    dose = true + g.normal(0, 0.2, 40)
    score = 2 * true + g.normal(0, 0.3, 40)
    return [
        reading(f"p{i}", float(s), role="positive", realised=float(d), realised_se=se)
        for i, (d, s) in enumerate(zip(dose, score, strict=True))
    ]


def test_the_slope_is_corrected_for_error_in_the_doses() -> None:
    g = np.random.default_rng(8)
    found = coverage(
        lambda rows: response(rows).interval, lambda r: _line(r, 0.2), truth=2.0, repetitions=200, generator=g
    )
    plain = coverage(
        lambda rows: response(rows).interval, lambda r: _line(r, None), truth=2.0, repetitions=200, generator=g
    )
    assert found.high >= 0.94
    assert plain.high < 0.9
    assert response(_line(g, 0.2)).method == CORRECTED
    assert response(_line(g, None)).method == PLAIN


@pytest.mark.parametrize("step", ["few", "equal", "noise", "line", "group"])
def test_no_slope_without_information(step: str) -> None:
    rows = _line(np.random.default_rng(9), 0.2)
    changed = {
        "few": rows[:4],
        "equal": [replace(r, realised=0.3) for r in rows],
        "noise": [replace(r, realised_se=0.4) for r in rows],
        "line": [replace(r, score=2 * (r.realised or 0), realised_se=None) for r in rows],
        "group": [replace(r, group="base") for r in rows],
    }
    with pytest.raises(MeasurementUndefined):
        response(changed[step])


def test_a_tied_score_has_no_correlation() -> None:
    rows = [replace(r, score=1.0) for r in _line(np.random.default_rng(9), 0.2)]
    with pytest.raises(MeasurementUndefined, match="scatter"):
        response(rows)


def _stated(g: np.random.Generator, scale: float) -> list[Reading]:
    return [reading(str(i), float(g.normal(1, scale)), se=1.0, truth=1.0) for i in range(25)]


@pytest.mark.parametrize("judge", [against_truth, against_nulls])
def test_the_variance_ratio_covers(judge: object) -> None:
    assert callable(judge)
    g = np.random.default_rng(10)
    found = coverage(
        lambda rows: judge(rows).ratio_interval, lambda r: _stated(r, 2.0), truth=4.0, repetitions=300, generator=g
    )
    assert found.reaches(0.95)
    assert "smaller than" in judge(_stated(g, 3.0)).sentence
    assert "larger than" in judge(_stated(g, 0.3)).sentence


def test_stated_errors_are_refused_without_spread_or_independence() -> None:
    g = np.random.default_rng(11)
    rows = _stated(g, 1.0)
    assert against_truth(rows).covered is not None
    assert "artefact at hand only" in against_nulls(_stated(g, 3.0)).sentence
    for bad in (
        rows[:1],
        [replace(r, score=1.0) for r in rows],
        [replace(r, se=0.0) for r in rows],
        [replace(r, group="base") for r in rows],
        [replace(r, score=None, reason="x") for r in rows],
    ):
        with pytest.raises(MeasurementUndefined):
            against_nulls(bad)
        with pytest.raises(MeasurementUndefined):
            against_truth(bad)


def test_the_grid_is_what_it_says() -> None:
    assert len(grid()) == 220
