from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path, reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.lifetimes import Lifetimes, lifetimes
from trialist.measurement.rare import curves
from trialist.measurement.rare.curves import Curve, Model, fit, forecast

MODELS: tuple[Model, Model] = ("beta-geometric", "power law")


def beta_geometric(generator: np.random.Generator, num: int, budget: int = 100) -> Lifetimes:
    times = generator.geometric(generator.beta(0.6, 5, num)).astype(float)
    return lifetimes(np.minimum(times, budget), times <= budget)


def power_law(generator: np.random.Generator, num: int, budget: int = 100) -> Lifetimes:
    """-ln F(k) = 4 k^-.6, by inversion."""
    times = np.ceil((-np.log(generator.random(num)) / 4) ** (-1 / 0.6))
    return lifetimes(np.minimum(times, budget), times <= budget)


def beta_rate(k: int) -> float:
    return 1 - math.exp(math.lgamma(5 + k) + math.lgamma(5.6) - math.lgamma(5) - math.lgamma(5.6 + k))


@settings(max_examples=30)
@given(st.sampled_from(MODELS), st.floats(-3, 2), st.floats(-2, 1))
def test_masses_and_survival_fit_together(model: Model, first: float, second: float) -> None:
    z, t = np.array([first, second]), np.arange(1.0, 60.0)
    mass, left = np.exp(curves._log_mass(model, z, t)), np.exp(curves._log_survival(model, z, t))
    assert np.allclose(np.cumsum(mass) + left, 1, atol=1e-9)
    assert (np.diff(left) <= 0).all()


def test_beta_geometric_is_the_mean_of_geometric_curves() -> None:
    """By numerical integration over p."""
    z = np.array([math.log(0.6 / 5), math.log(5.6)])
    p = (np.arange(200_000) + 0.5) / 200_000
    density = p ** (0.6 - 1) * (1 - p) ** (5 - 1)
    for t in (1, 7, 40):
        mean = float(((1 - p) ** t * density).sum() / density.sum())
        found = math.exp(curves._log_survival("beta-geometric", z, np.array([float(t)]))[0])
        assert found == pytest.approx(mean, rel=2e-3)


@pytest.mark.parametrize(("draw", "model", "truth"), [
    (beta_geometric, "beta-geometric", (0.6, 5.0)), (power_law, "power law", (4.0, 0.6)),
])  # fmt: skip
def test_recovers_its_own_parameters_and_beats_the_other(draw, model: Model, truth: tuple[float, float]) -> None:
    data = draw(np.random.default_rng(0), 3000)
    mine, other = fit(data, model), fit(data, next(m for m in MODELS if m != model))
    assert mine.parameters == pytest.approx(truth, rel=0.12)
    assert mine.aic < other.aic - 5
    assert mine.distance < 0.02
    assert not mine.at_edge
    errors = np.sqrt(np.diag(mine.covariance))
    if model == "power law":
        assert abs(mine.coordinates[1] - math.log(0.6)) < 4 * errors[1]
    # A maximum: no step nearby is better.
    times, weights = curves._counts(data)
    for move in (*np.eye(2) * 0.01, *-np.eye(2) * 0.01):
        worse = curves._loss(np.array(mine.coordinates) + move, model, times, weights)
        assert worse >= -mine.log_likelihood - 1e-6


def delta(curve: Curve, k: int) -> Interval:
    half = 1.96 * curve.standard_error(k)
    return Interval(curve.rate(k) - half, curve.rate(k) + half)


def test_coverage_within_the_budget_and_failure_of_the_wrong_model_beyond_it() -> None:
    """Standard errors hold for the right model. At a hundred times the budget the other model, which fits what was
    seen, is off: why an extrapolation is exploratory."""

    def draw(generator: np.random.Generator) -> Lifetimes:
        return beta_geometric(generator, 150)

    right = coverage(lambda d: delta(fit(d, "beta-geometric"), 30), draw, truth=beta_rate(30), repetitions=40,
                     generator=np.random.default_rng(1))  # fmt: skip
    assert right.reaches(0.95)
    data = power_law(np.random.default_rng(2), 4000, budget=20)
    wrong, own = fit(data, "beta-geometric"), fit(data, "power law")
    truth = math.exp(-4 * 2000**-0.6)
    assert wrong.distance < 0.05
    assert abs(own.rate(2000) - truth) < 0.015
    assert abs(wrong.rate(2000) - truth) > 0.025


def test_forecast_is_marked_beyond_the_largest_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "NUM_RESAMPLES", 25)
    data = beta_geometric(np.random.default_rng(3), 60, budget=50)
    curve = fit(data, "beta-geometric")
    inside = forecast(data, curve, 50, generator=np.random.default_rng(0))
    beyond = forecast(data, curve, 51, generator=np.random.default_rng(0))
    assert (inside.exploratory, inside.refuse_claim) == (False, "")
    assert beyond.exploratory
    assert "largest budget is 50" in beyond.refuse_claim
    assert beyond.interval.low < beyond.value < beyond.interval.high
    again = forecast(data, curve, 51, generator=np.random.default_rng(0))
    assert again == beyond
    grouped = forecast(data, curve, 51, generator=np.random.default_rng(0),
                       cluster=np.repeat(np.arange(6), 10))  # fmt: skip
    assert grouped.value == beyond.value
    with pytest.raises(MeasurementUndefined):
        forecast(data, curve, 0, generator=np.random.default_rng(0))


def test_items_that_do_not_differ_and_items_that_succeed_at_once_or_never() -> None:
    times = np.random.default_rng(5).geometric(0.1, 400).astype(float)
    same = fit(lifetimes(times, np.ones(400)), "beta-geometric")
    a, b = same.parameters
    assert a + b > 30
    assert a / (a + b) == pytest.approx(1 / times.mean(), rel=0.1)
    split = fit(lifetimes([1] * 30 + [2] + [100] * 30, [1] * 31 + [0] * 30), "beta-geometric")
    assert split.rate(100) == pytest.approx(31 / 61, abs=0.03)


@pytest.mark.parametrize("model", MODELS)
def test_refusals(model: Model) -> None:
    for times, seen in (([5.0, 9.0], [0, 0]), ([1.0, 1.0], [1, 1]), ([3.0], [1])):
        with pytest.raises(MeasurementUndefined, match="different numbers"):
            fit(lifetimes(times, seen), model)
    if model == "power law":
        with pytest.raises(MeasurementUndefined, match="counted"):
            fit(lifetimes([1.5, 2], [1, 1]), model)
    # Successes at attempt 1 only, the rest censored: a likelihood with its maximum at an edge or inside, never NaN.
    curve = fit(lifetimes([1, 1, 1, 50, 50], [1, 1, 1, 0, 0]), model) if model == "beta-geometric" else None
    if curve is not None:
        assert math.isfinite(curve.rate(50))


def test_attack_budgets_of_two_models() -> None:
    """PAIR's queries to the first success: both fits stay near Kaplan-Meier, and the share found by 30 is recovered."""
    expected = reference("attempts_jbb_shared")
    text = data_path("attempts/jbb_pair_queries.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    for model, numbers in expected.items():
        mine = [row for row in rows if row["model"] == model]
        times = [float(row["queries_to_jailbreak"] or row["number_of_queries"]) for row in mine]
        data = lifetimes(times, [row["queries_to_jailbreak"] != "" for row in mine])
        for kind in MODELS:
            curve = fit(data, kind)
            assert curve.num_successes == numbers["have_first_success"]
            assert curve.largest_budget == 90
            assert curve.distance < 0.1
            assert abs(curve.rate(30) - numbers["found_by_30"]) < 2 * curve.standard_error(30)


def test_success_counts_give_no_attempt_curve() -> None:
    """The best-of-N tables list successes of 159 behaviours once each: their index is a behaviour, no attempt."""
    counts = reference("attempts_bon_counts")
    rows = list(csv.DictReader(data_path("attempts/bon_text_success.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == counts["text"]["rows"]
    for model, number in counts["text"]["successes"].items():
        mine = [int(row["behaviour_index"]) for row in rows if row["model"] == model]
        assert len(mine) == number
        assert len(set(mine)) == number
        assert max(mine) <= 158
