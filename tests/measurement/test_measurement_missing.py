from __future__ import annotations

import math
import re
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.betting import upper_mean
from trialist.measurement.fisher import fisher_exact
from trialist.measurement.missing import (
    compare_missingness,
    mean_bounds,
    mean_difference_bounds,
    sign_flip_p,
    tipping_grid,
    tipping_point,
    worst_verdicts,
)
from trialist.measurement.proportions import clopper_pearson, lower_bound, upper_bound
from trialist.records import Side

NAN = float("nan")
scores = st.lists(st.sampled_from([0.0, 1.0, 0.25, NAN]), min_size=1, max_size=6)


def completions(values: list[float]) -> list[np.ndarray]:
    """Every way to fill the missing with one of the ends or something between."""
    holes = [[v] if v == v else [0.0, 0.4, 1.0] for v in values]
    return [np.array(filled) for filled in product(*holes)]


@settings(max_examples=60)
@given(scores, scores)
def test_bounds_are_the_extremes_over_all_completions(first: list[float], second: list[float]) -> None:
    one = [x.mean() for x in completions(first)]
    got = mean_bounds(first)
    assert (got.low, got.high) == (pytest.approx(min(one)), pytest.approx(max(one)))
    two = [x.mean() for x in completions(second)]
    got = mean_difference_bounds(first, second)
    assert (got.low, got.high) == (pytest.approx(min(one) - max(two)), pytest.approx(max(one) - min(two)))


def test_bounds_in_other_units_and_complete_data() -> None:
    assert mean_bounds([1.0, NAN, 3.0, NAN], bounds=(-1, 5)).width == pytest.approx(3)
    got = mean_bounds([0.0, 1.0])
    assert got.low == got.high == 0.5


@settings(max_examples=60)
@given(scores, st.floats(0, 1))
def test_worst_verdicts_are_the_extremes_for_a_rising_verdict(values: list[float], threshold: float) -> None:
    found = worst_verdicts(values, lambda x: bool(x.mean() > threshold))
    everything = {bool(x.mean() > threshold) for x in completions(values)}
    assert {found.lowest, found.highest} == everything
    assert found.settled == (len(everything) == 1)
    assert found.num_missing == sum(v != v for v in values)


def test_worst_verdicts_of_a_pair_set_the_cells_against_each_other() -> None:
    pair = np.array([[1.0, 0.0], [NAN, 0.0], [1.0, NAN], [1.0, 1.0]])
    found = worst_verdicts(pair, lambda x: float((x[:, 0] - x[:, 1]).mean()))
    limits = mean_difference_bounds(pair[:, 0], pair[:, 1])
    assert (found.lowest, found.highest) == (limits.low, limits.high)
    assert np.isnan(pair).sum() == 2  # the caller's values are untouched


def test_missing_as_a_pass_hides_what_the_bounds_show() -> None:
    """An arm that breaks its scorer on what it fails: rate among the scored 0, worst case above the threshold."""
    generator = np.random.default_rng(0)
    failed = generator.random(500) < 0.1
    seen = np.where(failed & (generator.random(500) < 0.9), NAN, failed.astype(float))
    naive = clopper_pearson(int(np.nansum(seen)), int((~np.isnan(seen)).sum()))
    assert not naive.contains(0.1)
    assert mean_bounds(seen).contains(failed.mean())


# --- missingness by arm ---------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=2))
def test_fisher_two_by_two(columns: list[tuple[int, int]]) -> None:
    table = np.array(columns).T
    if table.sum() == 0:
        return
    assert fisher_exact(table) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-5)


def test_fisher_two_by_k_is_the_permutation_test_of_labels() -> None:
    """All ways to say which 4 of 9 answers are the first arm's."""
    table = np.array([[2, 0, 2], [0, 3, 2]])
    column = np.repeat([0, 1, 2, 1, 2], [2, 0, 2, 3, 2])
    margins = table.sum(axis=0)
    arms = [column[list(chosen)] for chosen in combinations(range(9), 4)]
    tables = [tuple(np.bincount(arm, minlength=3)) for arm in arms]
    chance = {t: math.prod(math.comb(int(n), int(k)) for n, k in zip(margins, t, strict=True)) for t in tables}
    observed = chance[tuple(table[0])]
    assert fisher_exact(table) == pytest.approx(np.mean([chance[t] <= observed for t in tables]))
    assert fisher_exact(table[:, [2, 0, 1]]) == pytest.approx(fisher_exact(table))
    assert fisher_exact([[3, 0], [4, 0]]) == 1


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_sign_flips_are_all_flips(net: list[int]) -> None:
    sums = [abs(sum(s * d for s, d in zip(signs, net, strict=True))) for signs in product([1, -1], repeat=len(net))]
    assert sign_flip_p(net) == pytest.approx(np.mean([s >= abs(sum(net)) for s in sums]))


def test_single_items_are_mcnemar() -> None:
    first, second = ["timeout"] * 9 + [""] * 31, [""] * 8 + ["refusal"] * 3 + [""] * 29
    found = compare_missingness(first, second, cluster=np.arange(40))
    assert found.p_value == pytest.approx(stats.binomtest(2, 10).pvalue)
    assert found.counts == {"": (31, 37), "timeout": (9, 0), "refusal": (0, 3)}
    assert found.difference == pytest.approx(6 / 40)
    assert "flips" in found.method


def test_clusters_count_and_answers_do_not() -> None:
    """Under the null, whole clusters fail together: the cluster test keeps its level and Fisher's on rows doesn't."""
    generator = np.random.default_rng(2)
    ours = rows = 0
    cluster = np.repeat(np.arange(15), 8)
    for _ in range(300):
        arms = [
            ["error" if bad else "" for bad in (generator.random(15) < 0.3)[cluster] & (generator.random(120) < 0.9)]
            for _ in range(2)
        ]
        ours += compare_missingness(arms[0], arms[1], cluster=cluster).p_value <= 0.05
        rows += compare_missingness(arms[0], arms[1]).p_value <= 0.05
    assert clopper_pearson(ours, 300, 0.999).low <= 0.05
    assert clopper_pearson(rows, 300, 0.999).low > 0.2


def test_reasons_differ_where_numbers_do_not() -> None:
    first, second = ["refusal"] * 10 + [""] * 40, ["timeout"] * 10 + [""] * 40
    assert compare_missingness(first, second).p_value < 1e-4
    assert compare_missingness(first, second, cluster=np.arange(50)).p_value == 1
    none = compare_missingness([""] * 5, [""] * 5)
    assert (none.p_value, none.difference) == (1.0, 0.0)


# --- tipping points -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(0, 20),
    st.integers(1, 60),
    st.integers(0, 25),
    st.floats(0.01, 0.99),
    st.sampled_from(["below", "above"]),
)
def test_tipping_point_is_the_first_of_a_plain_scan(k: int, n: int, missing: int, threshold: float, side: Side) -> None:
    k, total = min(k, n), n + missing

    def bound_of(bad: int) -> float:
        # Below: bad answers fail. Above: bad answers don't pass, the others do.
        return upper_bound(k + bad, total) if side == "below" else lower_bound(k + missing - bad, total)

    def holds(bad: int) -> bool:
        return bound_of(bad) < threshold if side == "below" else bound_of(bad) > threshold

    want = next((bad for bad in range(missing + 1) if not holds(bad)), None)
    found = tipping_point(bound_of, threshold, side=side, num_missing=missing)
    assert (found.num_bad if found else None) == want
    if found:
        assert found.bound == bound_of(found.num_bad)
        assert found.share == (found.num_bad / missing if missing else 0)


def test_tipping_point_looks_at_few_numbers() -> None:
    calls: list[int] = []

    def bound_of(bad: int) -> float:
        calls.append(bad)
        return upper_mean(np.repeat([0.0, 1.0], [2000 - bad, bad]))

    found = tipping_point(bound_of, 0.05, side="below", num_missing=500)
    assert found is not None
    assert bound_of(found.num_bad - 1) < 0.05 <= found.bound
    assert len(calls) < 15


def test_bounds_that_turn_or_are_undefined_are_refused() -> None:
    with pytest.raises(MeasurementUndefined, match="one way"):
        tipping_point(lambda bad: -float(bad), 5, side="below", num_missing=10)
    with pytest.raises(MeasurementUndefined, match="one way"):
        tipping_point(lambda bad: 20.0 if bad == 5 else float(bad), 9.5, side="below", num_missing=10)
    for bound in (NAN, float("inf")):
        with pytest.raises(MeasurementUndefined, match="finite"):
            tipping_point(lambda bad, bound=bound: bound, 0.5, side="below", num_missing=3)
    with pytest.raises(MeasurementUndefined):
        tipping_point(float, 0.5, side="below", num_missing=-1)
    with pytest.raises(MeasurementUndefined):
        tipping_point(float, NAN, side="below", num_missing=1)
    with pytest.raises(MeasurementUndefined):
        tipping_point(float, 0.5, side="left", num_missing=1)  # type: ignore[arg-type]


def test_grid_agrees_with_the_points() -> None:
    def bound_of(first: int, second: int) -> float:
        return upper_bound(3 + first, 100) - lower_bound(2 + 9 - second, 100)

    grid = tipping_grid(bound_of, 0.12, side="below", num_missing=(12, 9), num_steps=4)
    assert grid.num_bad_first.tolist() == [0, 4, 8, 12]
    assert grid.num_bad_second.tolist() == [0, 3, 6, 9]
    assert (np.diff(grid.bounds, axis=0) > 0).all()
    assert (np.diff(grid.bounds, axis=1) > 0).all()
    assert (grid.holds == (grid.bounds < 0.12)).all()
    assert grid.holds.any()
    assert not grid.holds.all()
    row = tipping_point(lambda bad: bound_of(0, bad), 0.12, side="below", num_missing=9)
    assert grid.holds[0].tolist() == [row is None or int(n) < row.num_bad for n in grid.num_bad_second]
    assert tipping_grid(bound_of, 0.12, side="above", num_missing=(0, 1)).bounds.shape == (1, 2)
    with pytest.raises(MeasurementUndefined):
        tipping_grid(bound_of, 0.12, side="below", num_missing=(-1, 1))
    with pytest.raises(MeasurementUndefined):
        tipping_grid(lambda a, b: NAN, 0.12, side="below", num_missing=(1, 1))


@pytest.mark.parametrize("values", [[], [2.0], [float("inf")], [[0.0]]])
def test_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(MeasurementUndefined):
        mean_bounds(values)


def test_other_refusals() -> None:
    with pytest.raises(MeasurementUndefined):
        mean_bounds([0.0], bounds=(0, float("inf")))
    with pytest.raises(MeasurementUndefined):
        worst_verdicts([[[0.0]]], float)
    with pytest.raises(MeasurementUndefined):
        compare_missingness([], [""])
    with pytest.raises(MeasurementUndefined):
        compare_missingness(["", ""], [""], cluster=np.arange(2))
    with pytest.raises(MeasurementUndefined, match="too many"):
        fisher_exact(np.full((2, 4), 60))
    for table in ([[1.5, 2], [1, 1]], [[1, 2]], [[-1, 2], [1, 1]], [[0, 0], [0, 0]]):
        with pytest.raises(MeasurementUndefined):
            fisher_exact(table)


def test_the_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/measurement/missing-answers.md", "python")
    exec(code, {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print.*  # (.*)$", code, re.MULTILINE)
