from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.shrinkage import restricted_log_likelihood, shrink, shrink_table

groups = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 2)), min_size=4, max_size=9)


def test_equal_errors_give_james_stein() -> None:
    """With V_i = V: A = RSS/(k-1) - V and the weight is the Efron-Morris (k-3) V / RSS."""
    y = np.array([0.1, 0.9, 2.2, -1.4, 3.0, -2.5])
    v, k = 0.6**2, 6
    rss = float(((y - y.mean()) ** 2).sum())
    found = shrink(y, np.full(k, 0.6))
    assert found.variance == pytest.approx(rss / (k - 1) - v, rel=1e-5)
    weight = (k - 3) * v / rss
    assert found.weights == pytest.approx(np.full(k, weight), rel=1e-5)
    assert found.values == pytest.approx(y.mean() + (1 - weight) * (y - y.mean()), rel=1e-5)
    # Morris 1983: s^2 = V (1 - (k-1)/k B) + 2/(k-3) B^2 (y - mean)^2.
    s = np.sqrt(v * (1 - (k - 1) / k * weight) + 2 / (k - 3) * weight**2 * (y - y.mean()) ** 2)
    assert (found.high - found.low) / 2 == pytest.approx(stats.norm.ppf(0.975) * s, rel=1e-5)


@settings(max_examples=12)
@given(groups)
def test_variance_is_the_best_of_a_plain_search(pairs: list[tuple[float, float]]) -> None:
    y, errors = np.array(pairs).T
    found = shrink(y, errors)
    x = np.ones((len(y), 1))

    def plain(a: float) -> float:
        """REML from the density of k - 1 contrasts."""
        contrasts = np.eye(len(y))[1:] - 1 / len(y)
        cov = contrasts @ np.diag(errors**2 + a) @ contrasts.T
        return float(stats.multivariate_normal.logpdf(contrasts @ y, cov=cov))

    def reml(a: float) -> float:
        return float(restricted_log_likelihood(np.array([a]), y, variances=errors**2, design=x)[0])

    shift = plain(1.0) - reml(1.0)
    at = plain(found.variance)
    assert reml(found.variance) + shift == pytest.approx(at, abs=1e-6)
    for a in [0.0, *np.geomspace(1e-3, 50, 60)]:
        assert plain(a) <= at + 1e-6


@settings(max_examples=20)
@given(groups, st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 9))
def test_equivariant(pairs: list[tuple[float, float]], shift: float, scale: float, seed: int) -> None:
    y, errors = np.array(pairs).T
    one = shrink(y, errors)
    order = np.random.default_rng(seed).permutation(len(y))
    two = shrink(scale * y[order] + shift, scale * errors[order])
    if two.variance > 1e-6 * scale**2 and one.variance > 1e-6:  # a flat likelihood near 0 has no sharp maximum
        assert two.values == pytest.approx(scale * one.values[order] + shift, abs=2e-3 * scale)
    assert (one.low < one.high).all()
    assert ((one.values - y) * (one.expected - y) >= -1e-12).all()
    assert (np.abs(one.values - y) <= np.abs(one.expected - y) + 1e-12).all()


def draw(generator: np.random.Generator, k: int, a: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    errors = generator.uniform(0.5, 1.5, k)
    theta = generator.normal(0, a**0.5, k)
    return theta, theta + generator.normal(0, errors), errors


@pytest.mark.parametrize(("k", "a"), [(5, 0.3), (8, 1.0), (20, 0.5)])
def test_mean_squared_error_and_average_coverage(k: int, a: float) -> None:
    generator = np.random.default_rng(1)
    covered, raw, better = 0, [], []
    for _ in range(120):
        theta, y, errors = draw(generator, k, a)
        found = shrink(y, errors)
        # One group a draw, so that the counts are independent: average coverage is that of a random group.
        covered += bool(found.low[0] <= theta[0] <= found.high[0])
        raw.append(((y - theta) ** 2).mean())
        better.append(((found.values - theta) ** 2).mean())
    assert clopper_pearson(covered, 120, 0.999).high >= 0.95
    gain = np.array(better) - np.array(raw)
    assert gain.mean() + 3.3 * gain.std() / 120**0.5 < 0


def test_one_far_group_is_covered_less_than_the_level() -> None:
    """Average coverage is all that is promised: a group 4 standard deviations off gets less (positive control)."""
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(120):
        theta = np.append(np.zeros(14), 3.5)
        found = shrink(theta + generator.normal(size=15), np.ones(15))
        covered += bool(found.low[-1] <= 3.5 <= found.high[-1])
    assert clopper_pearson(covered, 120, 0.999).high < 0.95


def test_intervals_without_the_correction_are_too_short() -> None:
    """Plugging the estimated A in as if it were known covers too little with few groups."""
    generator = np.random.default_rng(3)
    plug = ours = 0
    for _ in range(250):
        theta, y, _ = draw(generator, 4, 0.5)
        y = theta + generator.normal(size=4)
        found = shrink(y, np.ones(4))
        b = 1 / (1 + found.variance)
        half = 1.96 * (1 - b) ** 0.5
        centre = (1 - b) * y[0] + b * y.mean()
        plug += bool(abs(theta[0] - centre) <= half)
        ours += bool(found.low[0] <= theta[0] <= found.high[0])
    assert clopper_pearson(plug, 250, 0.999).high < 0.95
    assert clopper_pearson(ours, 250, 0.999).high >= 0.95


def test_table_finds_the_additive_part() -> None:
    generator = np.random.default_rng(4)
    model, bench = generator.normal(0, 2, (6, 1)), generator.normal(0, 2, (1, 5))
    exact = shrink_table(1 + model + bench, np.full((6, 5), 0.2))
    assert exact.variance == pytest.approx(0, abs=1e-6)
    assert exact.expected == pytest.approx(1 + model + bench, abs=1e-9)
    assert (exact.num_effects, exact.num_free) == (10, 20)
    assert (exact.high > exact.low).all()
    raw = better = 0.0
    covered = 0
    for _ in range(60):
        theta = model + bench + generator.normal(0, 0.3, (6, 5))
        y = theta + generator.normal(0, 0.5, (6, 5))
        found = shrink_table(y, np.full((6, 5), 0.5))
        covered += bool(found.low[0, 0] <= theta[0, 0] <= found.high[0, 0])
        raw += ((y - theta) ** 2).mean()
        better += ((found.values - theta) ** 2).mean()
    assert better < 0.85 * raw
    assert clopper_pearson(covered, 60, 0.999).high >= 0.95


def test_missing_cells_and_least_squares() -> None:
    """With equal errors the additive part is the least-squares fit of the cells that exist."""
    generator = np.random.default_rng(5)
    y = generator.normal(size=(5, 4))
    y[0, 1] = y[3, 3] = np.nan
    found = shrink_table(y, np.full((5, 4), 0.3))
    assert (np.isnan(found.values) == np.isnan(y)).all()

    def loss(p: np.ndarray) -> float:
        return float(np.nansum((y - p[:5, None] - p[None, 5:]) ** 2))

    best = optimize.minimize(loss, np.zeros(9), method="BFGS").x
    fit = np.where(np.isnan(y), np.nan, best[:5, None] + best[None, 5:])
    assert found.expected == pytest.approx(fit, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ([0.1, 0.2, 0.3], [0.1] * 3),
        ([], []),
        ([0.1, 0.2, 0.3, np.nan], [0.1] * 4),
        ([0.1, 0.2, 0.3, np.inf], [0.1] * 4),
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, 0.0]),
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, np.nan]),
        ([0.1, 0.2, 0.3, 0.4], [0.1] * 3),
        ([[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.1], [0.1, 0.1]]),
    ],
)
def test_refusals(values: list[float], errors: list[float]) -> None:
    with pytest.raises(MeasurementUndefined):
        shrink(values, errors)


def test_tables_that_are_too_small_or_in_parts() -> None:
    with pytest.raises(MeasurementUndefined, match="too few"):
        shrink_table(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(MeasurementUndefined):
        shrink_table(np.ones(4), np.ones(4))
    parts = np.full((6, 6), np.nan)
    parts[:3, :3] = parts[3:, 3:] = 1.0
    with pytest.raises(MeasurementUndefined, match="told apart"):
        shrink_table(parts, np.ones((6, 6)))
    equal = shrink([0.5] * 5, [0.1] * 5)
    assert (equal.high > equal.low).all()
