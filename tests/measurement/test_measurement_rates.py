"""Jeffreys, the uniform prior, runs still to do, and the coverage table of four binomial intervals."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path, reference
from scipy import integrate, stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, normal_quantile
from trialist.measurement.proportions import (
    clopper_pearson,
    credible,
    jeffreys,
    num_runs_needed,
    runs_to_show,
    upper_bound,
    wilson,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def wald(k: int, n: int) -> Interval:
    half = normal_quantile(0.95) * math.sqrt(k / n * (1 - k / n) / n)
    return Interval(k / n - half, k / n + half)


METHODS: dict[str, Callable[[int, int], Interval]] = {
    "wald": wald,
    "wilson": wilson,
    "jeffreys": jeffreys,
    "clopper_pearson": clopper_pearson,
}


@pytest.mark.data
@pytest.mark.parametrize(("key", "n", "p"), [("n10_p0.05", 10, 0.05), ("n30_p0.2", 30, 0.2)])
def test_coverage_reference_of_all_methods(key: str, n: int, p: float) -> None:
    want = reference("binomial_interval_coverage_shared")[key]
    assert set(want) == set(METHODS)
    pmf = stats.binom.pmf(range(n + 1), n, p)
    for name, method in METHODS.items():
        covered = sum(float(pmf[k]) for k in range(n + 1) if method(k, n).contains(p))
        assert covered == pytest.approx(want[name], abs=1e-9), name


@pytest.mark.data
def test_uniform_prior_reference() -> None:
    with data_path("response_matrices/langchain_data_tool_use_FULL.csv").open() as file:
        rows = list(csv.DictReader(file))
    for model, (low, high) in reference("langchain_beta_shared").items():
        found = credible(sum(float(row[model]) for row in rows), len(rows))
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(counts, st.sampled_from([0.8, 0.95, 0.999]))
def test_jeffreys_holds_the_share_and_lies_inside_clopper_pearson(kn: tuple[int, int], level: float) -> None:
    k, n = kn
    found, exact = jeffreys(k, n, level), clopper_pearson(k, n, level)
    assert exact.low - 1e-12 <= found.low <= k / n <= found.high <= exact.high + 1e-12
    assert found.width > 0
    assert (found.low == 0) == (k == 0)
    assert (found.high == 1) == (k == n)
    mirror = jeffreys(n - k, n, level)
    assert found.low == pytest.approx(1 - mirror.high, abs=1e-10)


def test_without_its_exceptions_jeffreys_loses_the_ends() -> None:
    p, n = 1e-6, 20
    raw = [credible(k, n, prior=(0.5, 0.5)) for k in range(n + 1)]
    pmf = stats.binom.pmf(range(n + 1), n, p)
    assert sum(w for w, i in zip(pmf, raw, strict=True) if i.contains(p)) < 0.01
    assert sum(w for k, w in enumerate(pmf) if jeffreys(k, n).contains(p)) > 0.99


def test_credible_holds_its_level_on_average_over_its_prior() -> None:
    """Exactly so: the joint of rate and count gives each posterior its own level."""

    def covered(p: float) -> float:
        return sum(float(stats.binom.pmf(k, 6, p)) for k in range(7) if credible(k, 6, 0.8).contains(p))

    edges = sorted({x for k in range(7) for x in (credible(k, 6, 0.8).low, credible(k, 6, 0.8).high)})
    pieces = [0.0, *edges, 1.0]
    total = sum(integrate.quad(covered, a, b)[0] for a, b in pairwise(pieces))
    assert total == pytest.approx(0.8, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.5), st.integers(0, 4), st.integers(0, 500))
def test_runs_to_show_is_the_smallest_number(p0: float, failures: int, clean: int) -> None:
    more = runs_to_show(p0, num_clean=clean, num_failures=failures)
    total = clean + failures + more
    assert total >= num_runs_needed(p0, failures=failures)
    assert upper_bound(failures, total) <= p0 * (1 + 1e-9)
    if more:
        assert total == num_runs_needed(p0, failures=failures)


def test_runs_to_show_of_known_plans() -> None:
    assert runs_to_show(0.01, num_clean=0, num_failures=0) == 299
    assert runs_to_show(0.01, num_clean=200, num_failures=0) == 99
    assert runs_to_show(0.01, num_clean=400, num_failures=0) == 0
    assert runs_to_show(0.01, num_clean=298, num_failures=1) == num_runs_needed(0.01, failures=1) - 299


def test_refusals() -> None:
    for k, n in ((1, 0), (3, 2), (-1, 4), (math.nan, 4)):
        with pytest.raises(MeasurementUndefined):
            jeffreys(k, n)
    with pytest.raises(MeasurementUndefined, match="prior"):
        credible(1, 2, prior=(0.0, 1.0))
    with pytest.raises(MeasurementUndefined):
        credible(1, 2, 1.0)
    with pytest.raises(MeasurementUndefined, match="negative"):
        runs_to_show(0.1, num_clean=-1, num_failures=0)
    with pytest.raises(MeasurementUndefined):
        runs_to_show(0.1, num_clean=1, num_failures=-1)


def test_the_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs/measurement/rates-and-clusters.md"
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, {})  # noqa: S102 - our own page
        shown = [line.split("# ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
        assert shown
        assert capsys.readouterr().out.splitlines() == shown
