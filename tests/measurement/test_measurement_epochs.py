from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path, reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import aggregate, standard_error
from trialist.measurement.epochs import best_num_epochs, components


@pytest.mark.data
def test_matharena_reference() -> None:
    with data_path("response_matrices/matharena_aime_II.csv").open() as file:
        rows = list(csv.DictReader(file))
    question = np.arange(len(rows)) // 4
    for model, want in reference("matharena_clustered_shared").items():
        scores = np.array([float(row[model]) for row in rows])
        found = components(scores, question)
        assert found.mean == pytest.approx(want["mean"], abs=1e-9)
        assert found.naive_standard_error == pytest.approx(want["naive_se"], abs=1e-9)
        assert found.standard_error == pytest.approx(want["cr1_se"], abs=1e-9)
        assert standard_error(aggregate(scores, question), "CR0") == pytest.approx(want["cr0_se"], abs=1e-9)
        assert found.generation_variance == pytest.approx(want["within_variance_over_nK"], abs=1e-9)
        assert found.standard_error > found.naive_standard_error


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_balanced_table_is_the_textbook_analysis(num_items: int, num_epochs: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    table = generator.normal(size=(num_items, num_epochs)) + 2 * generator.normal(size=(num_items, 1))
    found = components(table.ravel(), np.repeat(np.arange(num_items), num_epochs))
    within = table.var(axis=1, ddof=1).mean()
    between = table.mean(axis=1).var(ddof=1) - within / num_epochs
    assert found.within == pytest.approx(within)
    assert found.between == pytest.approx(max(0.0, between))
    # The squared error is the sum of its two parts.
    parts = found.between / num_items + found.generation_variance
    if between > 0:
        assert found.standard_error**2 == pytest.approx(parts)


def test_components_of_unequal_numbers_of_answers_are_unbiased() -> None:
    generator = np.random.default_rng(2)
    item = np.repeat(np.arange(12), [1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 15])
    found = [components(2 * generator.normal(size=12)[item] + generator.normal(size=60), item) for _ in range(1500)]
    between, within = (np.array([getattr(f, name) for f in found]) for name in ("between", "within"))
    assert between.mean() == pytest.approx(4, abs=4 * between.std() / math.sqrt(1500) + 0.02)
    assert within.mean() == pytest.approx(1, abs=4 * within.std() / math.sqrt(1500))


def test_the_item_error_covers_and_rows_as_units_do_not() -> None:
    generator, item, hits, naive = np.random.default_rng(3), np.repeat(np.arange(25), 6), 0, 0
    for _ in range(600):
        found = components(generator.normal(size=25)[item] + generator.normal(size=150), item)
        hits += abs(found.mean) <= 2.064 * found.standard_error
        naive += abs(found.mean) <= 1.976 * found.naive_standard_error
    assert hits / 600 == pytest.approx(0.95, abs=0.03)
    assert naive / 600 < 0.75


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 5), st.floats(0, 5), st.floats(0, 50), st.floats(0.1, 5))
def test_no_number_of_epochs_does_better(between: float, within: float, cost_item: float, cost_epoch: float) -> None:
    found = best_num_epochs(between, within, cost_item=cost_item, cost_epoch=cost_epoch)

    def variance(k: int) -> float:
        return (between + within / k) * (cost_item + k * cost_epoch)

    best = min(variance(k) for k in range(1, 400))
    assert variance(found.num_epochs) <= best * (1 + 1e-9)
    assert found.gain == pytest.approx(variance(1) / variance(found.num_epochs))
    assert found.gain >= 1


def test_known_plans() -> None:
    free_items = best_num_epochs(0.1, 0.1, cost_item=0, cost_epoch=1)
    assert (free_items.num_epochs, free_items.gain) == (1, 1)
    dear_items = best_num_epochs(1, 1, cost_item=16, cost_epoch=1)
    assert (dear_items.num_epochs, dear_items.optimum) == (4, 4)
    assert dear_items.gain == pytest.approx(2 * 17 / (1.25 * 20))
    assert best_num_epochs(0.2, 0, cost_item=9, cost_epoch=1).num_epochs == 1
    assert best_num_epochs(0, 1, cost_item=0, cost_epoch=1).num_epochs == 1


def test_refusals() -> None:
    for values, item in (([], []), ([1.0], [0]), ([1.0, 2.0], [0, 1]), ([1.0, 2.0], [0, 0])):
        with pytest.raises(MeasurementUndefined):
            components(values, item)
    with pytest.raises(MeasurementUndefined, match="item means"):
        components([1.0, 1.0, 1.0], [0, 0, 1])
    with pytest.raises(MeasurementUndefined, match="item means"):
        components([0.0, 1.0, 1.0, 0.0], [0, 0, 1, 1])
    with pytest.raises(MeasurementUndefined, match="out of reach"):
        best_num_epochs(1e-300, 1, cost_item=1, cost_epoch=1)
    with pytest.raises(MeasurementUndefined, match="finite"):
        components([1.0, math.nan, 1.0], [0, 0, 1])
    with pytest.raises(MeasurementUndefined, match="unbounded"):
        best_num_epochs(0, 1, cost_item=1, cost_epoch=1)
    for between, within, item_cost, epoch_cost in ((-1, 1, 1, 1), (1, math.inf, 1, 1), (1, 1, -1, 1), (1, 1, 1, 0)):
        with pytest.raises(MeasurementUndefined):
            best_num_epochs(between, within, cost_item=item_cost, cost_epoch=epoch_cost)
