"""The exact operating characteristics against plain enumeration, and the errors that a gate promises."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference
from scipy.special import betaln
from scipy.stats import binom

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.design import FixedDesign, RateDesign, fixed_design, rate_design
from trialist.measurement.sequential.gate import rate_gate
from trialist.measurement.sequential.operating import Boundaries, boundaries, one_sided, operating
from trialist.measurement.sequential.rate import Beta, RateProcess, Shows

UNIFORM = Beta(1.0, 1.0)


def log_e(k: int, n: int, p0: float, shows: Shows, prior: Beta) -> float:
    process = RateProcess(p0, shows=shows, prior=prior)
    for value in [1.0] * k + [0.0] * (n - k):
        process.update(value)
    return process.log_e


@pytest.mark.parametrize("p0", [0.03, 0.2, 0.6])
def test_boundaries_equal_a_plain_search(p0: float) -> None:
    design = rate_design(p0, alpha=0.1, beta=0.2, cap=45)
    found = boundaries(design)
    assert (found.pass_at[0], found.fail_at[0]) == (-1, 1)
    for n in range(1, 46):
        passing = [k for k in range(n + 1) if log_e(k, n, p0, "below", design.pass_prior) >= math.log(1 / 0.1)]
        failing = [k for k in range(n + 1) if log_e(k, n, p0, "above", design.fail_prior) >= math.log(1 / 0.2)]
        assert found.pass_at[n] == max(passing, default=-1)
        assert found.fail_at[n] == min(failing, default=n + 1)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 1.0])
def test_dynamic_programming_equals_enumeration(rate: float) -> None:
    """All 2^11 streams through the gate itself."""
    design = RateDesign(0.3, 0.2, 0.2, 11, UNIFORM, UNIFORM)
    found = operating(boundaries(design), [rate])
    shares = {"PASS": 0.0, "FAIL": 0.0, "UNDECIDED": 0.0}
    numbers = np.zeros(design.cap + 1)
    for stream in itertools.product((0.0, 1.0), repeat=design.cap):
        k = sum(stream)
        weight = rate**k * (1 - rate) ** (design.cap - k)
        gate = rate_gate(design)
        for value in stream:
            if gate.update(value) is not None:
                break
        shares[str(gate.verdict)] += weight
        numbers[gate.num_seen] += weight
    assert [found.passed[0], found.failed[0], found.undecided[0]] == pytest.approx(list(shares.values()), abs=1e-12)
    assert found.mean_number[0] == pytest.approx(float(numbers @ np.arange(design.cap + 1)))
    for share in (0.5, 0.9):
        assert found.number(share)[0] == int(np.argmax(np.cumsum(numbers) >= share - 1e-12))


@pytest.mark.parametrize("shows", ["below", "above"])
@pytest.mark.parametrize("p0", [0.005, 0.01, 0.02, 0.05, 0.1, 0.2])
def test_type_one_error_is_at_most_alpha(p0: float, shows: Shows) -> None:
    """Exact, at the boundary of the null, for the chosen prior and two others."""
    for prior in (None, UNIFORM, Beta(0.5, 0.5)):
        found = operating(one_sided(p0, shows=shows, alpha=0.05, cap=1200, prior=prior), [p0])
        error = float((found.passed if shows == "below" else found.failed)[0])
        assert 0.005 < error <= 0.05


@pytest.mark.data
def test_type_one_error_agrees_with_the_simulated_range() -> None:
    low, high = reference("eprocess_type_one")
    for p0 in (0.01, 0.05, 0.2):
        found = operating(one_sided(p0, alpha=0.05, cap=4000), [p0])
        assert low - 0.01 <= float(found.passed[0]) <= min(high + 0.01, 0.05)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 1.0), min_size=150, max_size=150), st.booleans())
def test_no_path_of_rates_in_the_null_breaks_alpha(path: list[float], sort: bool) -> None:
    """Every drift or order of rates that are all at least p0."""
    rates = np.array(sorted(path) if sort else path)[:, None]
    paths = np.concatenate([rates, np.where(np.arange(150) % 2, 0.1, rates[:, 0])[:, None]], axis=1)
    found = operating(one_sided(0.1, alpha=0.05, cap=150), paths)
    assert (found.passed <= 0.05).all()


def test_a_path_of_one_rate_is_that_rate() -> None:
    bounds = boundaries(rate_design(0.1, cap=80))
    constant, path = operating(bounds, [0.04]), operating(bounds, np.full((80, 1), 0.04))
    assert constant.passed == path.passed
    assert constant.mean_number == path.mean_number


def test_gate_errors_and_totals() -> None:
    design = rate_design(0.1, alpha=0.02, beta=0.1, cap=600)
    rates = [0.0, 0.02, 0.1, 0.3, 1.0]
    found = operating(boundaries(design), rates)
    assert found.passed + found.failed + found.undecided == pytest.approx(np.ones(5), abs=1e-12)
    assert found.passed[2:].max() <= 0.02
    assert found.failed[:3].max() <= 0.1
    assert (np.diff(found.passed) <= 1e-12).all()
    assert (np.diff(found.failed) >= -1e-12).all()
    assert (found.number(0.5) <= found.number(0.9)).all()


def test_mass_above_p0_in_the_prior_breaks_alpha() -> None:
    """The positive control: "e >= 20" of a mixture that isn't cut off at p0 says "different", at .6 always."""
    p0, cap = 0.2, 400
    first = np.arange(1, cap + 2)
    for n in range(1, cap + 1):
        k = np.arange(n + 1)
        whole = betaln(1 + k, 1 + n - k) - k * math.log(p0) - (n - k) * math.log1p(-p0)
        first[n] = next((int(j) for j in k if j > p0 * n and whole[j] >= math.log(20)), n + 1)
    assert operating(Boundaries(np.full(cap + 1, -1), first), [0.6]).failed[0] > 0.99
    assert operating(one_sided(p0, alpha=0.05, cap=cap), [0.6]).passed[0] <= 0.05


@pytest.mark.parametrize(("p0", "n"), [(0.2, 57), (0.1, 116), (0.05, 234), (0.02, 655), (0.01, 1312)])
def test_fixed_design(p0: float, n: int) -> None:
    found = fixed_design(p0)
    assert found.num_values == n
    assert found.error <= 0.05
    assert found.power >= 0.9


def test_fixed_design_is_the_smallest() -> None:
    """Against a plain search over n and c."""
    for p0, alpha, power, at in ((0.4, 0.05, 0.8, 0.15), (0.5, 0.01, 0.9, 0.2), (0.2, 0.1, 0.5, 0.0)):
        allowed = ((n, c) for n in range(1, 80) for c in range(n) if binom.cdf(c, n, p0) <= alpha)
        n = next(n for n, c in allowed if binom.cdf(c, n, at) >= power)
        found = fixed_design(p0, alpha=alpha, power=power, at=at)
        assert isinstance(found, FixedDesign)
        assert found.num_values == n
        assert binom.cdf(found.critical, n, p0) <= alpha < binom.cdf(found.critical + 1, n, p0)


@pytest.mark.parametrize("p0", [0.2, 0.05, 0.01])
def test_savings(p0: float) -> None:
    """Fixed n over E[N]: at least 3 at rate 0, 4 at 3 p0, 10 at 5 p0. At p0 it costs more, and the page says so."""
    fixed = fixed_design(p0).num_values
    mean = operating(boundaries(rate_design(p0)), [0.0, 3 * p0, 5 * p0, p0]).mean_number
    assert (fixed / mean[:3] >= [3, 4, 10]).all()
    assert fixed / mean[3] < 0.5


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined):
        fixed_design(0.1, at=0.1)
    with pytest.raises(MeasurementUndefined):
        fixed_design(1e-9)
    with pytest.raises(MeasurementUndefined):
        rate_design(0.1, cap=0)
    with pytest.raises(MeasurementUndefined):
        rate_design(0.1, alpha=0.0, cap=10)
    bounds = boundaries(rate_design(0.1, cap=10))
    for rates in ([-0.1], [1.1], [math.nan], [], np.zeros((3, 1))):
        with pytest.raises(MeasurementUndefined):
            operating(bounds, rates)


def test_the_benchmark_prints_its_rows() -> None:
    program = Path(__file__).parents[2] / "benchmarks" / "sequential.py"
    found = subprocess.run([sys.executable, program, "--quick"], capture_output=True, text=True, check=True).stdout
    assert "| 0.2 | 57 | 0 | 16.0 |" in found
    assert "MISSED" not in found
