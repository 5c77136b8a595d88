from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path
from numpy.polynomial.hermite_e import hermegauss
from scipy import integrate, optimize, stats
from scipy.special import expit

from trialist.errors import MeasurementUndefined
from trialist.measurement.irt import PRIOR_DISCRIMINATION, PRIOR_INTERCEPT, ItemResponseModel, Kind, fit


def draw(
    generator: np.random.Generator, models: int, items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    theta, a, d = generator.normal(size=models), generator.lognormal(0, 0.4, items), generator.normal(0, 1.2, items)
    return theta, a, d, (generator.random((models, items)) < expit(theta[:, None] * a + d)).astype(float)


@pytest.mark.parametrize("kind", ["1PL", "2PL"])
def test_recovers_parameters_and_never_lowers_the_objective(kind: Kind) -> None:
    theta, a, d, y = draw(np.random.default_rng(0), 300, 60)
    found = fit(y, kind, tolerance=1e-9)
    assert found.converged
    assert np.diff(found.objective).min() >= -1e-9
    assert np.corrcoef(found.ability, theta)[0, 1] > 0.9
    assert np.corrcoef(found.intercept, d)[0, 1] > 0.95
    if kind == "2PL":
        assert np.corrcoef(found.discrimination, a)[0, 1] > 0.9
        errors = (found.ability - theta) / found.ability_error
        assert 0.85 < errors.std() < 1.15
    else:
        assert np.ptp(found.discrimination) == 0
    truth = expit(theta[:, None] * a + d)
    assert ((found.predict(found.ability) - truth) ** 2).mean() < 0.25 * ((y.mean(axis=0) - truth) ** 2).mean()


def test_the_fit_is_a_maximum_of_the_marginal_posterior() -> None:
    """The objective by adaptive integration, model by model, and its derivatives at the fit."""
    _, _, _, y = draw(np.random.default_rng(1), 8, 3)
    y[0, 1] = y[3, 2] = np.nan
    y[5, 0] = 0.3
    found = fit(y, tolerance=1e-14, num_steps=4000)

    def objective(parameters: np.ndarray) -> float:
        a, d = parameters[:3], parameters[3:]
        total = stats.norm.logpdf(a, 1, PRIOR_DISCRIMINATION) + stats.norm.logpdf(d, 0, PRIOR_INTERCEPT)
        constant = stats.norm.logpdf(0, 0, PRIOR_DISCRIMINATION) + stats.norm.logpdf(0, 0, PRIOR_INTERCEPT)
        value = float(total.sum() - 3 * constant)
        for row in y:
            seen = ~np.isnan(row)

            def density(t: float, row: np.ndarray = row, seen: np.ndarray = seen) -> float:
                p = expit(a * t + d)[seen]
                return float(np.prod(p ** row[seen] * (1 - p) ** (1 - row[seen])) * stats.norm.pdf(t))

            value += np.log(integrate.quad(density, -9, 9)[0])
        return value

    at = np.concatenate([found.discrimination, found.intercept])
    assert objective(at) == pytest.approx(found.objective[-1], abs=1e-4)
    assert np.abs(optimize.approx_fprime(at, objective, 1e-5)).max() < 2e-3


def test_even_nodes_hold_where_gauss_hermite_does_not() -> None:
    """A likelihood as narrow as that of a thousand items, against the closed form of two normals."""
    sd, centre = 0.07, 0.73
    exact = stats.norm.pdf(centre, 0, np.hypot(1, sd))
    even = np.linspace(-5, 5, 121)
    weights = stats.norm.pdf(even) / stats.norm.pdf(even).sum()
    nodes, gauss = hermegauss(41)
    assert (weights * stats.norm.pdf(even, centre, sd)).sum() == pytest.approx(exact, rel=1e-4)
    assert (gauss / gauss.sum() * stats.norm.pdf(nodes, centre, sd)).sum() != pytest.approx(exact, rel=0.2)


@settings(max_examples=8)
@given(st.integers(0, 100), st.sampled_from(["1PL", "2PL"]))
def test_order_and_doubling(seed: int, kind: Kind) -> None:
    generator = np.random.default_rng(seed)
    y = generator.choice([0.0, 0.5, 1.0, np.nan], (9, 6), p=[0.3, 0.2, 0.4, 0.1])
    y[0], y[:, 0] = 1.0, 0.0
    one = fit(y, kind, num_steps=20)
    models, items = generator.permutation(9), generator.permutation(6)
    two = fit(y[models][:, items], kind, num_steps=20)
    assert two.ability == pytest.approx(one.ability[models], abs=1e-8)
    assert two.intercept == pytest.approx(one.intercept[items], abs=1e-8)
    assert np.diff(one.objective).min() >= -1e-9
    assert np.isfinite(one.discrimination).all()
    assert np.isfinite(one.ability).all()


def test_map_ability_is_the_maximum() -> None:
    model = ItemResponseModel(
        "2PL", np.array([1.2, -0.5, 2.0]), np.array([0.3, 0.0, -1.0]), np.zeros(1), np.ones(1), (), True
    )
    for row in ([1, 0, 0.4], [1, np.nan, 1], [0, 1, 0]):
        y = np.array(row, dtype=float)
        seen = ~np.isnan(y)

        def loss(t: float, y: np.ndarray = y, seen: np.ndarray = seen) -> float:
            p = model.predict(t)[seen]
            return t * t / 2 - float((y[seen] * np.log(p) + (1 - y[seen]) * np.log(1 - p)).sum())

        assert model.ability_of(y)[0] == pytest.approx(optimize.minimize_scalar(loss).x, abs=1e-6)
    assert model.ability_of([np.nan] * 3) == (pytest.approx(0, abs=1e-12), 1.0)
    assert model.difficulty == pytest.approx([-0.25, 0.0, 0.5])


def test_prediction_reads_the_past_only() -> None:
    _, _, _, y = draw(np.random.default_rng(2), 40, 30)
    model = fit(y[1:])
    seen = np.full(30, np.nan)
    seen[:10] = y[0, :10]
    got = model.predict_for(seen, np.arange(10, 30))
    assert got == pytest.approx(model.predict(model.ability_of(seen)[0])[10:])
    assert ((got > 0) & (got < 1)).all()
    for items in ([3], [30], [-1], [[11]]):
        with pytest.raises(MeasurementUndefined):
            model.predict_for(seen, items)


def test_inside_aipw_a_wrong_model_costs_width_and_not_bias() -> None:
    """Horvitz-Thompson on the residuals, with predictions of a model fitted to noise: the mean stays unbiased, while
    the mean of predictions is wrong (positive control)."""
    generator = np.random.default_rng(3)
    y = (generator.random(200) < 0.8).astype(float)
    wrong = fit(generator.integers(0, 2, (10, 200)).astype(float), num_steps=5)
    f = wrong.predict(0.0)
    asked = generator.random((4000, 200)) < 0.25
    estimates = f.mean() + (asked * (y - f) / 0.25).mean(axis=1)
    assert abs(estimates.mean() - y.mean()) < 3.3 * estimates.std() / 4000**0.5
    assert abs(f.mean() - y.mean()) > 0.2


def test_items_that_all_pass_and_miskeyed_items() -> None:
    theta, _, _, y = draw(np.random.default_rng(4), 60, 20)
    y[:, 0] = 1.0
    y[:, 1] = (theta < 0).astype(float)
    found = fit(y)
    assert np.isfinite(found.intercept[0])
    assert found.predict(0.0)[0] > 0.95
    assert found.discrimination[1] < -0.5


@pytest.mark.data
def test_real_matrix_in_seconds() -> None:
    """LiveBench, 41 models x 1136 items: fast enough, and far better than the item means at an unseen model's
    answers after 100 of them."""
    import polars as pl

    table = pl.read_parquet(data_path("response_matrices/livebench_13012025.parquet"))
    table = table.unique(["question_id", "model"], keep="first", maintain_order=True)
    x = table.pivot(index="model", on="question_id", values="score").drop("model").to_numpy()
    x = x[np.isnan(x).mean(axis=1) < 0.02]
    assert x.shape == (41, 1136)
    start = time.process_time()
    model = fit(x[1:], tolerance=1e-6)
    assert time.process_time() - start < 10
    order = np.random.default_rng(0).permutation(1136)
    seen = np.full(1136, np.nan)
    seen[order[:100]] = x[0, order[:100]]
    rest = order[100:]
    got = ((model.predict_for(seen, rest) - x[0, rest]) ** 2).mean()
    assert got < 0.9 * ((x[1:, rest].mean(axis=0) - x[0, rest]) ** 2).mean()


@pytest.mark.parametrize(
    "y",
    [
        np.ones((5, 5)),
        np.zeros((1, 5)),
        np.zeros(5),
        np.array([[0, 1], [1, 2.0]]),
        np.array([[0, 1], [1, np.inf]]),
        np.array([[0, 1], [np.nan, np.nan]]),
        np.array([[0, np.nan], [1, np.nan]]),
    ],
)
def test_refusals(y: np.ndarray) -> None:
    with pytest.raises(MeasurementUndefined):
        fit(y)


def test_other_refusals() -> None:
    y = np.array([[0, 1.0], [1, 1]])
    with pytest.raises(MeasurementUndefined):
        fit(y, "3PL")  # type: ignore[arg-type]
    with pytest.raises(MeasurementUndefined):
        fit(y, num_steps=0)
    model = fit(y)
    for bad in ([0.0], [[0.0, 1.0], [0.0, 1.0]], [0.0, 3.0]):
        with pytest.raises(MeasurementUndefined):
            model.ability_of(bad)
    with pytest.raises(MeasurementUndefined):
        model.predict(np.nan)
    assert not fit(y, num_steps=1).converged
