from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.agreement import (
    agreement_weights,
    brennan_prediger,
    brennan_prediger_coefficient,
    cohen_kappa,
    conger_coefficient,
    conger_kappa,
    fleiss_coefficient,
    fleiss_kappa,
    gwet_ac,
    gwet_coefficient,
    observed_agreement,
    tabulate,
)
from trialist.measurement.agreement_intervals import agreement_bootstrap, agreement_jackknife, gwet_standard_error
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.krippendorff import krippendorff_alpha, krippendorff_coefficient

Rows = list[list[int | None]]


def read(text: str) -> Rows:
    return [[None if c == "-" else int(c) for c in row] for row in text.split()]


# Gwet 2014, table 2.10 (Krippendorff's example): 12 items, 4 raters, categories 1 to 5.
FOUR_RATERS = read("11-1 2232 3333 3333 2222 1234 4444 1121 2222 -555 --11 --3-")


@pytest.mark.data
def test_krippendorff_reference() -> None:
    """krippendorff_shared, tolerance 1e-9."""
    want = reference("krippendorff_shared")
    assert krippendorff_alpha(FOUR_RATERS).value == pytest.approx(want["nominal"], abs=1e-9)
    assert krippendorff_alpha(FOUR_RATERS, "interval").value == pytest.approx(want["interval"], abs=1e-9)
    pairs = [(0, 1), (0, 1), (1, 0), (1, 0)]
    assert krippendorff_alpha(pairs).value == pytest.approx(want["two_raters_1"], abs=1e-9)
    small = krippendorff_alpha([(1, 1), (3, 4), (5, 5)], "ordinal").value
    assert small == pytest.approx(want["ordinal_small"], abs=1e-9)


@pytest.mark.data
def test_gwet_reference() -> None:
    """gwet_shared, tolerance 1e-9."""
    want = reference("gwet_shared")
    assert observed_agreement(FOUR_RATERS) == pytest.approx(want["observed_agreement"], abs=1e-9)
    assert gwet_ac(FOUR_RATERS).value == pytest.approx(want["ac1"], abs=1e-9)


def test_published_numbers_of_the_four_raters() -> None:
    """irrCAC raw_4raters, to the printed digit; alpha of the packages krippendorff and evalica."""
    assert fleiss_kappa(FOUR_RATERS).value == pytest.approx(0.76117, abs=6e-6)
    assert conger_kappa(FOUR_RATERS).value == pytest.approx(0.76282, abs=6e-6)
    assert brennan_prediger(FOUR_RATERS).value == pytest.approx(0.77273, abs=6e-6)
    assert gwet_standard_error(tabulate(FOUR_RATERS)) == pytest.approx(0.14295, abs=6e-6)
    assert krippendorff_alpha(FOUR_RATERS).value == pytest.approx(904 / 1216, abs=1e-12)
    assert krippendorff_alpha(FOUR_RATERS, "ordinal").value == pytest.approx(0.815388, abs=6e-7)
    assert krippendorff_alpha(FOUR_RATERS, "ratio").value == pytest.approx(0.797403, abs=6e-7)


def test_the_lone_rating_matters_to_conger_alone() -> None:
    """Item 12 has one rating. With rater 2 instead of 3 as its author Conger's kappa is .76207."""
    other = [*FOUR_RATERS[:-1], [None, 3, None, None]]
    assert conger_kappa(other).value == pytest.approx(0.76207, abs=6e-6)
    for of in (fleiss_kappa, gwet_ac, brennan_prediger, krippendorff_alpha):
        assert of(other).value == of(FOUR_RATERS).value


def test_errors_by_jackknife_are_near_the_published_linearised_ones() -> None:
    """irrCAC prints .14557 for alpha; a jackknife of 12 items may differ by a few percent. Gwet's error for AC1 agrees
    as well once the item with one rating, which it counts as one without agreement, is gone."""
    alpha = agreement_jackknife(krippendorff_coefficient(tabulate(FOUR_RATERS), "nominal"))
    assert alpha.standard_error == pytest.approx(0.14557, rel=0.02)
    assert alpha.interval.high == 1
    all_items, twice_rated = (tabulate(rows) for rows in (FOUR_RATERS, FOUR_RATERS[:-1]))
    errors = [
        (gwet_standard_error(table), agreement_jackknife(gwet_coefficient(table, "identity")).standard_error)
        for table in (all_items, twice_rated)
    ]
    assert errors[0] == pytest.approx((0.14295, 0.12522), abs=1e-5)
    assert errors[1][0] == pytest.approx(errors[1][1], rel=0.04)


def test_small_published_alphas() -> None:
    """Tests of Inspect AI."""
    assert krippendorff_alpha([[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]]).value == pytest.approx(0.685714, abs=1e-6)
    assert krippendorff_alpha([[1, 2], [3, 4], [1, 1]], "interval").value == pytest.approx(19 / 24)


tables = (
    st.integers(2, 4)
    .flatmap(
        lambda raters: st.lists(
            st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=raters, max_size=raters), min_size=2, max_size=10
        )
    )
    .filter(lambda rows: any(sum(v is not None for v in row) >= 2 for row in rows))
)


def brute_alpha(rows: Rows, distance: Any) -> float:
    """1 - D_o / D_e by listing every pair of values."""
    units = [[v for v in row if v is not None] for row in rows]
    units = [unit for unit in units if len(unit) >= 2]
    values = [v for unit in units for v in unit]
    n = len(values)
    observed = sum(distance(a, b, values) / (len(u) - 1) for u in units for a, b in itertools.permutations(u, 2)) / n
    expected = sum(distance(a, b, values) for a, b in itertools.permutations(values, 2)) / (n * (n - 1))
    return 1 - observed / expected if expected else math.nan


def ordinal(a: int, b: int, values: list[int]) -> float:
    low, high = min(a, b), max(a, b)
    inside = sum(low <= v <= high for v in values) - (values.count(a) + values.count(b)) / 2
    return inside**2 if a != b else 0.0


DISTANCES: dict[str, Any] = {
    "nominal": lambda a, b, _: float(a != b),
    "ordinal": ordinal,
    "interval": lambda a, b, _: (a - b) ** 2,
    "ratio": lambda a, b, _: ((a - b) / (a + b)) ** 2,
}


@settings(max_examples=60)
@given(tables, st.sampled_from(sorted(DISTANCES)))
def test_alpha_equals_the_list_of_all_pairs(rows: Rows, metric: Any) -> None:
    want = brute_alpha(rows, DISTANCES[metric])
    if math.isnan(want):
        with pytest.raises(MeasurementUndefined, match="alpha is undefined"):
            krippendorff_alpha(rows, metric)
        return
    found = krippendorff_alpha(rows, metric)
    assert found.value == pytest.approx(want)
    assert found.value == pytest.approx((found.observed - found.expected) / (1 - found.expected))


def chance_by_pairs(rows: Rows, w: np.ndarray, by_rater: bool) -> float:
    """Expected agreement of two independent draws: of two different raters', or from the pooled shares."""
    q = len(w)
    raters = [[row[g] for row in rows if row[g] is not None] for g in range(len(rows[0]))]
    if by_rater:
        pairs = list(itertools.permutations(raters, 2))
        return float(np.mean([np.mean([[w[a - 1, b - 1] for b in two] for a in one]) for one, two in pairs]))
    units = [[v for v in row if v is not None] for row in rows]
    pi = np.mean([[unit.count(k + 1) / len(unit) for k in range(q)] for unit in units if unit], axis=0)
    return float(pi @ w @ pi)


@settings(max_examples=60)
@given(tables, st.sampled_from(["identity", "linear", "quadratic", "ordinal"]))
def test_kappas_equal_plain_loops(rows: Rows, kind: Any) -> None:
    categories, w = (1, 2, 3, 4), agreement_weights((1, 2, 3, 4), kind)
    units = [[v for v in row if v is not None] for row in rows]
    shares = [np.mean([w[a - 1, b - 1] for a, b in itertools.permutations(u, 2)]) for u in units if len(u) >= 2]
    pa = float(np.mean(shares))
    assert observed_agreement(rows, weights=kind, categories=categories) == pytest.approx(pa)
    pi = np.mean([[u.count(k) / len(u) for k in categories] for u in units if u], axis=0)
    expected = {
        fleiss_kappa: chance_by_pairs(rows, w, by_rater=False),
        brennan_prediger: float(w.mean()),
        gwet_ac: float(w.sum() / 12 * (pi * (1 - pi)).sum()),
    }
    if all(any(row[g] is not None for row in rows) for g in range(len(rows[0]))):
        expected[conger_kappa] = chance_by_pairs(rows, w, by_rater=True)
    for of, pe in expected.items():
        if 1 - pe < 1e-9:
            with pytest.raises(MeasurementUndefined, match="undefined"):
                of(rows, weights=kind, categories=categories)
        else:
            found = of(rows, weights=kind, categories=categories)
            assert found.value == pytest.approx((pa - pe) / (1 - pe))
            assert found.num_items == len(shares)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=20))
def test_cohen_is_one_minus_the_weighted_disagreement(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    square = np.array([[(x - y) ** 2 for y in b] for x in a])
    if square.mean() == 0:
        return
    want = 1 - np.diag(square).mean() / square.mean()
    assert cohen_kappa(a, b, weights="quadratic", categories=range(4)).value == pytest.approx(want)


@settings(max_examples=50)
@given(tables)
def test_order_of_items_raters_and_names_of_categories_change_nothing(rows: Rows) -> None:
    names = {1: "d", 2: "a", 3: "c", 4: "b"}
    moved = [[None if v is None else names[v] for v in reversed(row)] for row in reversed(rows)]
    for of in (gwet_ac, fleiss_kappa, conger_kappa, krippendorff_alpha):
        try:
            want = of(rows).value
        except MeasurementUndefined:
            with pytest.raises(MeasurementUndefined):
                of(moved)
        else:
            assert of(moved).value == pytest.approx(want)


@settings(max_examples=40)
@given(tables, st.lists(st.integers(0, 2), min_size=10, max_size=10))
def test_jackknife_equals_recomputation_without_a_cluster(rows: Rows, labels: list[int]) -> None:
    table = tabulate(rows, (1, 2, 3, 4))
    cluster = np.array(labels[: len(rows)])[table.kept]
    named = np.unique(cluster)
    for make in (
        lambda t: gwet_coefficient(t, "linear"),
        lambda t: fleiss_coefficient(t, "identity"),
        lambda t: conger_coefficient(t, "identity"),
        lambda t: brennan_prediger_coefficient(t, "identity"),
        lambda t: krippendorff_coefficient(t, "ordinal"),
    ):
        left: list[float] = []
        try:
            whole = make(table)
        except MeasurementUndefined:
            continue
        for label in named:
            kept = [row for row, c in zip(np.array(rows, dtype=object)[table.kept], cluster, strict=True) if c != label]
            try:
                coefficient = make(tabulate(kept, (1, 2, 3, 4)))
                left.append(float(coefficient.values(coefficient.columns.sum(axis=0))))
            except MeasurementUndefined:
                left.append(math.nan)
        error = math.sqrt((len(left) - 1) / len(left) * float(((left - np.mean(left)) ** 2).sum()))
        if math.isfinite(error) and error > 1e-9:
            assert agreement_jackknife(whole, cluster).standard_error == pytest.approx(error)
        else:
            with pytest.raises(MeasurementUndefined):
                agreement_jackknife(whole, cluster)


def test_constant_raters() -> None:
    same = [[1, 1, 1]] * 6
    for of in (krippendorff_alpha, fleiss_kappa, conger_kappa):
        with pytest.raises(MeasurementUndefined, match="undefined"):
            of(same)
    with pytest.raises(MeasurementUndefined, match="two categories"):
        gwet_ac(same)
    assert gwet_ac(same, categories=(0, 1)).value == 1
    table = tabulate(same, (0, 1))
    with pytest.raises(MeasurementUndefined, match="no interval"):
        agreement_jackknife(gwet_coefficient(table, "identity"))
    with pytest.raises(MeasurementUndefined, match="no interval"):
        agreement_bootstrap(gwet_coefficient(table, "identity"), generator=np.random.default_rng(0))
    with pytest.raises(MeasurementUndefined, match="undefined"):
        agreement_bootstrap(fleiss_coefficient(table, "identity"), generator=np.random.default_rng(0))


def test_many_distinct_values() -> None:
    """Continuous ratings: 300 items of 3 raters have no matrix of coincidences for each item."""
    generator = np.random.default_rng(12)
    rows = generator.random((300, 1)) * 10 + generator.normal(size=(300, 3))
    found = krippendorff_alpha(rows.tolist(), "interval")
    spread = rows.ravel().var(ddof=1)
    assert found.value == pytest.approx(1 - rows.var(axis=1, ddof=1).mean() / spread, abs=1e-9)
    with pytest.raises(MeasurementUndefined, match="too many distinct"):
        krippendorff_alpha(rows.tolist(), "ordinal")


def test_the_paradox_of_kappa() -> None:
    """118 of 125 agree, nearly all in one category: kappa is near 0 and AC1 near the agreement."""
    rows = [[1, 1]] * 118 + [[1, 2]] * 5 + [[2, 1]] * 2
    assert observed_agreement(rows) == pytest.approx(0.944)
    assert cohen_kappa(*zip(*rows, strict=True)).value == pytest.approx(-0.0234, abs=1e-4)
    assert gwet_ac(rows).value == pytest.approx(0.9408, abs=1e-4)


def rated(generator: np.random.Generator) -> np.ndarray:
    """60 items of 4 classes, three raters who name the class with probability .8."""
    truth = generator.choice(4, size=60, p=[0.4, 0.3, 0.2, 0.1])
    guess = generator.integers(0, 4, (60, 3))
    return np.where(generator.random((60, 3)) < 0.8, truth[:, None], guess)


def alpha_truth() -> float:
    p = 0.8 * np.array([0.4, 0.3, 0.2, 0.1]) + 0.05
    agree = sum(w * sum((0.8 * (k == c) + 0.05) ** 2 for k in range(4)) for c, w in enumerate([0.4, 0.3, 0.2, 0.1]))
    return float(1 - (1 - agree) / (1 - p @ p))


def test_intervals_for_alpha_cover() -> None:
    def knife(rows: np.ndarray) -> Interval:
        return agreement_jackknife(krippendorff_coefficient(tabulate(rows, range(4)), "nominal")).interval

    def resampled(rows: np.ndarray) -> Interval:
        coefficient = krippendorff_coefficient(tabulate(rows, range(4)), "nominal")
        return agreement_bootstrap(coefficient, generator=np.random.default_rng(1), num_resamples=300)

    for interval in (knife, resampled):
        found = coverage(interval, rated, truth=alpha_truth(), repetitions=150, generator=np.random.default_rng(2))
        assert found.reaches(0.95), found


def test_repeated_items_as_clusters() -> None:
    """Each item four times: the error of clusters is that of the items, the error of rows half of it."""
    rows = rated(np.random.default_rng(3))
    once = agreement_jackknife(gwet_coefficient(tabulate(rows, range(4)), "identity"))
    repeated = gwet_coefficient(tabulate(np.repeat(rows, 4, axis=0), range(4)), "identity")
    clustered = agreement_jackknife(repeated, np.repeat(np.arange(60), 4))
    assert clustered.standard_error == pytest.approx(once.standard_error)
    assert agreement_jackknife(repeated).standard_error == pytest.approx(once.standard_error / 2, rel=0.02)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: conger_kappa([[1, 2, None], [1, 1, None]]), "rated nothing"),
        (lambda: tabulate([[1, "a"]]), "no order"),
        (
            lambda: agreement_bootstrap(
                gwet_coefficient(tabulate([[1, 2], [1, 1]]), "identity"),
                generator=np.random.default_rng(0),
                num_resamples=3,
            ),
            "resamples",
        ),
        (lambda: tabulate([1, 2, 3]), "items by raters"),
        (lambda: tabulate([[1, None], [None, 2]]), "two ratings"),
        (lambda: tabulate([[1, 5]], (1, 2)), "none of the categories"),
        (lambda: tabulate([[1.0, math.inf]]), "none of the categories"),
        (lambda: gwet_ac([["a", "b"]], weights="linear"), "need numbers"),
        (lambda: cohen_kappa([1, 2], [1]), "two raters"),
        (lambda: cohen_kappa([1, None], [None, 1]), "both ratings"),
        (lambda: krippendorff_alpha([[-1, 2], [1, 1]], "ratio"), "0 or more"),
        (lambda: krippendorff_alpha([["a", "b"]], "interval"), "need numbers"),
        (lambda: agreement_jackknife(gwet_coefficient(tabulate([[1, 2]]), "identity")), "two clusters"),
        (lambda: agreement_jackknife(gwet_coefficient(tabulate([[1, 2], [1, 1]]), "identity"), [0]), "needs a cluster"),
        (lambda: gwet_standard_error(tabulate([[1, 2]])), "two items"),
    ],
)
def test_wrong_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(MeasurementUndefined, match=match):
        call()
