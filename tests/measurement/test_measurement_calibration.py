from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.calibration import (
    bin_codes,
    brier,
    ece_against_null,
    expected_calibration_error,
    log_score,
    squared_calibration_error,
)

forecasts = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    p, y = zip(*rows, strict=True)
    return np.array(p) / 20, np.array(y, dtype=float)


@pytest.mark.data
def test_bias_of_the_plug_in_error() -> None:
    """Reference ece_bias, tolerance .003; 600 repetitions there, 400 here (Monte Carlo error below .001)."""
    want, generator = reference("ece_bias"), np.random.default_rng(0)
    for size, mean in want.items():
        errors: list[float] = []
        for _ in range(400):
            p = generator.beta(4, 2, int(size))
            errors.append(expected_calibration_error(p, generator.random(int(size)) < p))
        assert np.mean(errors) == pytest.approx(mean, abs=0.003)


@given(forecasts, st.integers(1, 20), st.sampled_from(["width", "mass"]))
def test_ece_equals_the_plain_loop_in_any_order(rows: list[tuple[int, bool]], num: int, binning: str) -> None:
    p, y = arrays(rows)
    codes = bin_codes(p, num, binning)  # type: ignore[arg-type]
    want = sum(abs(y[codes == b].mean() - p[codes == b].mean()) * (codes == b).sum() for b in set(codes.tolist()))
    order = np.random.default_rng(0).permutation(len(p))
    found = expected_calibration_error(p[order], y[order], num_bins=num, binning=binning)  # type: ignore[arg-type]
    assert found == pytest.approx(want / len(p))
    for value in set(p.tolist()):
        assert len(set(codes[p == value].tolist())) == 1
    assert (np.diff(codes[np.argsort(p, kind="stable")]) >= 0).all()


def test_equal_mass_bins_are_of_equal_mass() -> None:
    p = np.random.default_rng(0).random(150) ** 3
    assert np.bincount(bin_codes(p, 15, "mass")).tolist() == [10] * 15
    assert np.bincount(bin_codes(np.array([0.0, 0.099, 0.1, 1.0]), 10, "width")).tolist() == [2, 1, 1]


def test_the_null_reference_is_an_exact_test() -> None:
    """Under perfect calibration at most 10% of the p-values are below .1; a shifted model is found nearly always."""
    generator, low, shifted, floors = np.random.default_rng(1), 0, 0, []
    for _ in range(200):
        p = generator.beta(4, 2, 200)
        found = ece_against_null(p, generator.random(200) < p, generator=generator, num_resamples=99)
        low += found.p_value <= 0.1
        floors.append(found.null_mean)
        assert found.excess == pytest.approx(found.ece - found.null_mean)
        assert found.null_95 > found.null_mean
        over = ece_against_null(p, generator.random(200) < p - 0.2, generator=generator, num_resamples=99)
        shifted += over.p_value <= 0.05
    assert low <= 34  # Binomial(200, .1): P(> 34) = .0008
    assert shifted >= 190
    assert np.mean(floors) == pytest.approx(0.081, abs=0.004)


def test_fast_null_equals_redrawing_one_by_one() -> None:
    p, y = np.array([0.1, 0.7, 0.72, 0.1, 0.95]), np.array([0, 1, 0, 1, 1.0])
    found = ece_against_null(p, y, generator=np.random.default_rng(2), num_resamples=500)
    generator, order = np.random.default_rng(2), np.argsort(bin_codes(p, 15, "width"), kind="stable")
    drawn = [expected_calibration_error(p[order], row < p[order]) for row in generator.random((500, 5))]
    assert found.null_mean == pytest.approx(np.mean(drawn))
    assert found.p_value == pytest.approx((1 + (np.array(drawn) >= found.ece - 1e-12).sum()) / 501)


def test_the_debiased_square_is_unbiased_and_the_plug_in_is_not() -> None:
    """Five distinct forecasts, each wrong by a known amount: exact truth .0058, and 0 for a calibrated model."""
    generator, p = np.random.default_rng(3), np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 12)
    for shift in (np.zeros(5), np.array([0.1, 0.05, 0.0, -0.1, 0.05])):
        rate = p + np.repeat(shift, 12)
        truth = float((shift**2).mean())
        found = [squared_calibration_error(p, generator.random(60) < rate, num_bins=5) for _ in range(1600)]
        squared = np.array([f.squared for f in found])
        assert squared.mean() == pytest.approx(truth, abs=3.5 * squared.std() / 40)
        assert [f.residual for f in found] == pytest.approx(squared)
        assert np.mean([f.plug_in for f in found]) > truth + 0.01
    assert any(f.clipped for f in found)
    assert all((f.root == 0) == (f.squared <= 0) for f in found)


def test_only_the_residual_version_is_unbiased_where_forecasts_vary_within_a_bin() -> None:
    generator = np.random.default_rng(4)
    found = []
    for _ in range(2000):
        p = generator.random(30)
        found.append(squared_calibration_error(p, generator.random(30) < p, num_bins=2))
    for name, biased in (("residual", False), ("squared", True)):
        values = np.array([getattr(f, name) for f in found])
        assert (abs(values.mean()) > 3.5 * values.std() / math.sqrt(2000)) == biased, name


@given(forecasts, st.integers(1, 12))
def test_bins_of_one_item_join_a_neighbour(rows: list[tuple[int, bool]], num: int) -> None:
    p, y = arrays(rows)
    found = squared_calibration_error(p, y, num_bins=num, binning="width")
    assert 1 <= found.num_bins <= len(p) // 2
    assert all(map(math.isfinite, (found.squared, found.residual, found.root)))


@given(forecasts, st.one_of(st.none(), st.integers(1, 10)))
def test_the_parts_of_the_brier_score_add_up(rows: list[tuple[int, bool]], num: int | None) -> None:
    p, y = arrays(rows)
    b = brier(p, y, num_bins=num)
    whole = b.reliability - b.resolution + b.uncertainty + b.within_variance - b.within_covariance
    assert b.score == pytest.approx(whole, abs=1e-12)
    assert b.score == pytest.approx(((p - y) ** 2).mean())
    if num is None:
        assert (b.within_variance, b.within_covariance) == pytest.approx((0, 0), abs=1e-15)


def test_known_brier_and_log_scores() -> None:
    b = brier([0.5] * 4, [1, 0, 1, 0])
    assert (b.score, b.reliability, b.resolution, b.uncertainty) == (0.25, 0, 0, 0.25)
    b = brier([1, 0, 1, 0], [1, 0, 1, 0])
    assert (b.score, b.reliability, b.resolution) == (0, 0, 0.25)
    assert log_score([0.25, 0.75], [1, 1]) == pytest.approx(-math.log(0.1875) / 2)
    assert log_score([1.0, 0.0], [1, 0]) == 0
    with pytest.raises(MeasurementUndefined, match="infinite"):
        log_score([0.0, 0.5], [1, 1])


@settings(max_examples=30)
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_both_scores_are_proper(rate: float, said: float) -> None:
    """Expected score over the outcome is best for the true rate."""
    for score in (lambda p, y: brier([p], [y]).score, lambda p, y: log_score([p], [y])):
        honest, other = (rate * score(p, 1) + (1 - rate) * score(p, 0) for p in (rate, said))
        assert honest <= other + 1e-12


@pytest.mark.parametrize(
    ("p", "y"), [([], []), ([0.5], [0, 1]), ([1.5], [1]), ([math.nan], [1]), ([0.5], [0.5]), ([-0.1], [0])]
)
def test_wrong_input_is_refused(p: list[float], y: list[float]) -> None:
    with pytest.raises(MeasurementUndefined):
        expected_calibration_error(p, y)


def test_too_little_is_refused() -> None:
    with pytest.raises(MeasurementUndefined, match="two items"):
        squared_calibration_error([0.5], [1])
    with pytest.raises(MeasurementUndefined, match="resamples"):
        ece_against_null([0.5], [1], generator=np.random.default_rng(0), num_resamples=5)
    with pytest.raises(MeasurementUndefined, match="bin"):
        expected_calibration_error([0.5], [1], num_bins=0)
