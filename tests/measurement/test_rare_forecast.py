from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from trialist.errors import MeasurementUndefined
from trialist.measurement.rare import tails
from trialist.measurement.rare.forecast import Forecast, forecast, missed_mode, scores

N, M = 900, 90_000
Draw = Callable[[np.random.Generator], np.ndarray]


def run(draw: Draw, repetitions: int = 25, seed: int = 0) -> list[Forecast]:
    generator = np.random.default_rng(seed)
    return [forecast(-np.exp(-draw(generator)), M, generator=generator, num_resamples=15) for _ in range(repetitions)]


def errors(found: list[Forecast], truth: float) -> np.ndarray:
    """Forecast minus truth in orders of magnitude of p."""
    return np.array([f.worst + math.exp(-truth) for f in found]) / math.log(10)


def test_scores_and_refusals() -> None:
    assert scores([math.log(0.5), -1.0]).tolist() == pytest.approx([-math.log(math.log(2)), 0.0])
    assert scores([-math.inf])[0] == -math.inf
    for bad in ([0.0], [0.1], [math.nan], []):
        with pytest.raises(MeasurementUndefined):
            scores(bad)
    g = np.random.default_rng(0)
    logs = -g.exponential(5, 100) - 0.1
    for values, m, k in ((logs[:20], 900, 10), (logs, 5, 10), (np.full(100, -1.0), 900, 10), (logs, 900, 3)):
        with pytest.raises(MeasurementUndefined):
            forecast(values, m, generator=g, k=k)
    with pytest.raises(MeasurementUndefined, match="finite"):
        forecast(np.r_[logs[:5], np.full(95, -math.inf)], 900, generator=g)
    # Queries that never elicit may fill the body.
    some = forecast(np.r_[logs, np.full(400, -math.inf)], 5000, generator=g, num_resamples=30)
    assert math.isfinite(some.worst)
    few = forecast(np.r_[logs[:12], np.full(30, -math.inf)], 5000, generator=g, num_resamples=30)
    assert math.isfinite(few.mean_excess_misfit)


def test_exponential_tail_is_forecast_within_an_order_of_magnitude_with_an_exact_interval() -> None:
    truth = -3 + 0.3 * math.log(M)
    found = run(lambda g: -3 + 0.3 * g.exponential(size=N), repetitions=60)
    assert (np.abs(errors(found, truth)) < 1).mean() > 0.95
    assert abs(np.median(errors(found, truth))) < 0.15
    covered = [f.interval.contains(-math.exp(-truth)) for f in found]
    short = [f.bootstrap.contains(-math.exp(-truth)) for f in found]
    assert sum(covered) >= 51  # P(Binomial(60, .95) < 51) = .0006
    assert sum(short) < sum(covered)
    assert np.median([f.mean_excess_slope for f in found]) == pytest.approx(0, abs=0.2)


def test_gumbel_scores_too() -> None:
    truth = -3 - 0.3 * math.log(-math.log1p(-1 / M))
    assert (np.abs(errors(run(lambda g: -3 + 0.3 * g.gumbel(size=N)), truth)) < 1).mean() > 0.95


def test_heavy_tail_is_under_forecast_and_noticed() -> None:
    truth = -3 - 0.1 * float(stdtrit(3, 1 / M))
    found = run(lambda g: -3 + 0.1 * g.standard_t(3, N))
    assert np.median(errors(found, truth)) < -0.4
    assert np.median([f.mean_excess_slope for f in found]) > 0.05
    assert np.mean([f.disagreement > 1 for f in found]) > 0.4


def test_light_tail_is_over_forecast_by_little() -> None:
    truth = -3 + 1.5 * (1 - 1 / M)
    found = run(lambda g: -3 + 1.5 * g.random(N))
    assert 0 < np.median(errors(found, truth)) < 0.3
    assert np.median([f.mean_excess_slope for f in found]) == pytest.approx(-0.5, abs=0.12)


def test_a_missed_mode_defeats_the_fit_and_the_bound_warns() -> None:
    """A share 5e-4 of queries elicits nine times in ten; most samples of 900 hold none of it."""
    share, generator, missed = 5e-4, np.random.default_rng(1), 0
    for _ in range(25):
        rare = generator.random(N) < share
        psi = np.where(rare, 2.25, -3 + 0.1 * generator.gumbel(size=N))
        if rare.any():
            continue
        missed += 1
        found = forecast(-np.exp(-psi), M, generator=generator, num_resamples=15)
        assert found.worst < math.log(0.3)
        assert dict(found.estimates)["hill"] < math.log(0.3)
        assert not found.interval.contains(math.log(0.9))
        assert found.missed.mass > share
        assert found.missed.met > 0.999
        assert any("unseen" in text for text in found.warnings)
    assert 0.4 < missed / 25 < 0.95  # (1 - 5e-4)^900 = .64


def test_no_claim_can_rest_on_one() -> None:
    found = run(lambda g: -3 + 0.3 * g.exponential(size=N), repetitions=1)[0]
    assert found.exploratory is True
    assert "extrapolation" in found.refuse_claim
    assert 0 < found.aggregate <= 1
    assert dict(found.estimates)["regression"] == found.worst


@settings(max_examples=30)
@given(st.integers(1, 10**6), st.integers(1, 10**7), st.floats(0.5, 0.999))
def test_missed_mode_is_the_mass_missed_with_probability_alpha(n: int, m: int, confidence: float) -> None:
    found = missed_mode(n, m, confidence)
    assert n * math.log1p(-found.mass) == pytest.approx(math.log(1 - confidence), rel=1e-6)
    assert 0 <= found.met <= 1
    assert missed_mode(2 * n, m, confidence).met <= found.met


def test_missed_mode_refuses() -> None:
    with pytest.raises(MeasurementUndefined):
        missed_mode(0, 10)
    assert missed_mode(300, 1).mass == pytest.approx(0.009936, abs=1e-6)


@settings(max_examples=20)
@given(st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 100))
def test_estimators_follow_shift_and_scale(shift: float, scale: float, seed: int) -> None:
    x = np.sort(np.random.default_rng(seed).exponential(size=80))[::-1]
    at = np.array([1e-4])
    for name in ("regression", "hill", "gpd pwm"):
        one, two = tails.ESTIMATORS[name](x, 12), tails.ESTIMATORS[name](shift + scale * x, 12)
        assert two.quantile(at)[0] == pytest.approx(shift + scale * one.quantile(at)[0], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4])
def test_pareto_estimators_find_the_shape(shape: float) -> None:
    u = np.random.default_rng(3).random(40_000)
    x = -np.log(u) if shape == 0 else np.expm1(-shape * np.log(u)) / shape
    down = tails.descending(x, 4000)
    for name in ("gpd ml", "gpd pwm"):
        fitted = tails.ESTIMATORS[name](down, 4000)
        assert fitted.shape == pytest.approx(shape, abs=0.06)
        assert fitted.mass == 0.1
        known = math.log(1e5) if shape == 0 else math.expm1(shape * math.log(1e5)) / shape
        assert fitted.quantile(np.array([1e-5]))[0] == pytest.approx(known, rel=0.35)
    slope, misfit = tails.mean_excess(down, 4000)
    assert slope == pytest.approx(shape / (1 - shape), abs=0.2)
    assert misfit < 0.25


def test_aggregate_risk_against_simulation() -> None:
    """Mean over queries of an exponential tail known in full: one sample each of 2,000 queries."""
    generator = np.random.default_rng(6)
    psi = -2.2 + 0.2 * generator.exponential(size=2_000_000)
    mean = float(np.exp(-np.exp(-psi)).mean())
    truth = -math.expm1(2000 * math.log1p(-mean))
    found = [forecast(-np.exp(-psi[j * 900 : (j + 1) * 900]), 2000, generator=generator, num_resamples=15).aggregate
             for j in range(20)]  # fmt: skip
    assert np.median(found) == pytest.approx(truth, rel=0.15)
