from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import item_table, score_table

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import jackknife
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.function_metrics import (
    CONFUSION,
    accuracy_gap,
    balanced_accuracy,
    confusion_columns,
    f_score,
    precision,
    ratio,
    recall,
    specificity,
    youden_j,
)
from trialist.measurement.metrics import Metric
from trialist.records import Cell

COUNTS = st.tuples(*[st.integers(0, 8)] * 4).filter(lambda counts: sum(counts) > 0)
CONFUSED = (precision(), recall(), specificity(), f_score(), f_score(2.0), youden_j(), balanced_accuracy())


def value_of(metric: Metric, counts: dict[str, float]) -> float:
    return float(metric.of(np.array([counts[column] for column in metric.columns], dtype=np.float64)))


@given(COUNTS)
def test_textbook_formulas_and_nan_where_undefined(counts: tuple[int, int, int, int]) -> None:
    tp, fp, fn, tn = counts
    named = dict(zip(CONFUSION, counts, strict=True))

    def share(a: float, b: float) -> float:
        return a / b if b else math.nan

    p, r, s = share(tp, tp + fp), share(tp, tp + fn), share(tn, tn + fp)
    wanted = {
        precision(): p, recall(): r, specificity(): s, youden_j(): r + s - 1, balanced_accuracy(): (r + s) / 2,
        f_score(): share(2 * tp, 2 * tp + fp + fn), f_score(2.0): share(5 * tp, 5 * tp + 4 * fn + fp),
    }  # fmt: skip
    for metric, want in wanted.items():
        assert value_of(metric, named) == pytest.approx(want, nan_ok=True), metric.name
    if tp:
        assert value_of(f_score(), named) == pytest.approx(2 * p * r / (p + r))


@given(COUNTS)
def test_weights_and_the_number_of_items_cancel(counts: tuple[int, int, int, int]) -> None:
    scaled = {name: 0.37 * count for name, count in zip(CONFUSION, counts, strict=True)}
    for metric in CONFUSED:
        plain = value_of(metric, dict(zip(CONFUSION, counts, strict=True)))
        assert value_of(metric, scaled) == pytest.approx(plain, nan_ok=True)


@settings(max_examples=60)
@given(COUNTS, st.integers(0, 4))
def test_extremes_bound_every_way_the_missing_could_turn_out(counts: tuple[int, int, int, int], num: int) -> None:
    """All assignments of ``num`` missing items to the four cells lie within the metric at its extreme rows."""
    for metric in CONFUSED:
        places = [CONFUSION.index(column) for column in metric.columns]
        seen = np.array([counts[j] for j in places], dtype=np.float64)
        bounds = [float(metric.of(seen + num * np.array(row))) for row in metric.extremes]
        for split in itertools.combinations_with_replacement(range(4), num):
            full = np.array([counts[j] + split.count(j) for j in range(4)], dtype=np.float64)
            value = float(metric.of(full[places]))
            if math.isfinite(value) and all(map(math.isfinite, bounds)):
                assert min(bounds) - 1e-12 <= value <= max(bounds) + 1e-12, metric.name


def test_all_missing_at_one_cell_would_not_bound_youdens_j() -> None:
    """Why its extremes count a missing item twice: 5 and 5 is worse than 10 of either kind."""
    j = youden_j()
    seen = np.array([10.0, 0.0, 0.0, 10.0])
    corners = [float(j.of(seen + 10 * row)) for row in np.eye(4)]
    split = float(j.of(seen + np.array([0.0, 5.0, 5.0, 0.0])))
    assert split < min(corners) - 0.1
    assert float(j.of(seen + 10 * np.array(j.extremes[0]))) <= split


def test_confusion_columns() -> None:
    columns = confusion_columns([1, 1, 0, 0, 1], [True, False, True, False, True])
    assert columns.sum(axis=0).tolist() == [2, 1, 1, 1]
    assert (columns.sum(axis=1) == 1).all()
    for truth, verdict in (([], []), ([1], [1, 0]), ([0.5], [1]), ([1], [2])):
        with pytest.raises(MeasurementUndefined):
            confusion_columns(truth, verdict)


def test_accuracy_gap_and_ratio() -> None:
    gap = accuracy_gap("short", "long")
    assert gap.columns == ("correct_short", "in_short", "correct_long", "in_long")
    assert float(gap.of(np.array([0.3, 0.5, 0.1, 0.5]))) == pytest.approx(0.4)
    assert float(gap.of(np.array([0.1, 0.5, 0.3, 0.5]))) == pytest.approx(-0.4)
    assert math.isnan(float(gap.of(np.array([0.0, 0.0, 0.1, 0.5]))))
    rate = ratio("harmful", "answered")
    assert (rate.high, float(rate.of(np.array([0.1, 0.4])))) == (1.0, pytest.approx(0.25))
    assert ratio("tokens", "words", part=False).high == math.inf
    assert math.isnan(float(rate.of(np.zeros(2))))


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf, math.nan])
def test_f_needs_a_positive_beta(beta: float) -> None:
    with pytest.raises(MeasurementUndefined, match="beta"):
        f_score(beta)


def test_through_the_estimator_with_clusters_and_missing_items() -> None:
    """F1 from a score table: the value, the delete-one-cluster interval, and bounds that hold the missing."""
    generator = np.random.default_rng(0)
    truth = generator.random(80) < 0.5
    verdict = np.where(generator.random(80) < 0.8, truth, ~truth)
    columns, cluster = confusion_columns(truth, verdict), np.repeat(np.arange(20), 4)
    cell, metric = Cell("a"), f_score()
    tables = []
    for name in metric.columns:
        values: list[float | None] = list(columns[:, CONFUSION.index(name)])
        values[0] = None
        tables.append(score_table(cell, values, measure=name))
    found = estimate(pl.concat(tables), item_table([f"c{c:02d}" for c in cluster]), Estimand("lies", metric, cell))
    expected = jackknife(columns[1:, :3][:, [0, 1, 2]], cluster[1:], metric.of)
    assert found.value == pytest.approx(expected.value)
    assert found.low == pytest.approx(max(0.0, expected.interval.low))
    assert found.high == pytest.approx(min(1.0, expected.interval.high))
    assert found.worst_low is not None
    assert found.worst_high is not None
    assert found.worst_low < expected.value < found.worst_high


@settings(max_examples=60)
@given(st.tuples(*[st.integers(0, 6)] * 4), st.integers(0, 4))
def test_extremes_bound_a_gap_whatever_group_the_missing_belong_to(counts: tuple[int, ...], num: int) -> None:
    gap = accuracy_gap("a", "b")
    right_a, wrong_a, right_b, wrong_b = counts

    def value(extra: tuple[int, int, int, int]) -> float:
        a, b = right_a + extra[0], right_b + extra[2]
        return float(gap.of(np.array([a, a + wrong_a + extra[1], b, b + wrong_b + extra[3]], dtype=np.float64)))

    seen = np.array([right_a, right_a + wrong_a, right_b, right_b + wrong_b], dtype=np.float64)
    bounds = [float(gap.of(seen + num * np.array(row))) for row in gap.extremes]
    for split in itertools.combinations_with_replacement(range(4), num):
        found = value((split.count(0), split.count(1), split.count(2), split.count(3)))
        if math.isfinite(found) and all(map(math.isfinite, bounds)):
            assert min(bounds) - 1e-12 <= found <= max(bounds) + 1e-12
