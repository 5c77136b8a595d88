"""The cut columns equal a plain group-by on generated tables, in whatever order the rows stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import item_table, score_table
from numpy.testing import assert_allclose, assert_array_equal

from trialist.errors import MeasurementUndefined
from trialist.measurement import score_table as module
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import Column, ScoreTable
from trialist.records import CELL_COLUMNS, SCORE_COLUMNS, Cell

CELLS = (Cell("a"), Cell("a", 1), Cell("b"), Cell.make("b", threat="relearn", attack_run=2, dose=4.0))
MEASURES = ("f1", "exact")


def twin(scores: pl.DataFrame, ids: pl.Series, cell: Cell, measure: str) -> dict[str, np.ndarray]:
    """The same by a filter, a group-by over epochs and a join to the items."""
    rows = scores.filter(pl.col("measure") == measure)
    for name in CELL_COLUMNS:
        rows = rows.filter(pl.col(name) == getattr(cell, name))
    people = rows.filter(pl.col("scorer_kind") == "human")
    both = len(people) > 0 and (rows["scorer_kind"] == "judge").any()
    means = (
        (rows.filter(pl.col("scorer_kind") != "human") if both else rows)
        .group_by("item")
        .agg(
            value=pl.col("value").mean(),
            weight=pl.col("weight").mean(),
            missing=pl.col("value").is_null().any(),
            binary=(pl.col("kind") == "binary").all() & (pl.len() == 1),
            num_epochs=pl.len(),
            within=pl.col("value").var(),
            judged=(pl.col("scorer_kind") == "judge").any(),
            present=pl.lit(True),
        )
    )
    gold = people.group_by("item").agg(gold=pl.col("value").mean() if both else pl.lit(None, dtype=pl.Float64))
    found = pl.DataFrame({"item": ids}).join(means, on="item", how="left", maintain_order="left")
    found = found.join(gold, on="item", how="left", maintain_order="left")
    return {
        "present": found["present"].fill_null(False).to_numpy(),
        "value": found["value"].fill_null(np.nan).to_numpy(),
        "weight": found["weight"].fill_null(1.0).to_numpy(),
        "missing": found["missing"].fill_null(False).to_numpy(),
        "binary": found["binary"].fill_null(False).to_numpy(),
        "num_epochs": found["num_epochs"].fill_null(0).to_numpy(),
        "within": found["within"].fill_null(np.nan).to_numpy(),
        "judged": found["judged"].fill_null(False).to_numpy(),
        "gold": found["gold"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
    }


def same(column: Column, want: dict[str, np.ndarray]) -> None:
    for name, expected in want.items():
        got = getattr(column, name)
        if expected.dtype == np.float64:
            assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=name)
        else:
            assert_array_equal(got, expected, err_msg=name)


def generated(seed: int, num_items: int, most_epochs: int, hole: float, share: float) -> pl.DataFrame:
    """Rows of several cells and measures; each item is asked 0 to ``most_epochs`` times, some answers have no score."""
    generator = np.random.default_rng(seed)
    parts = []
    for cell in CELLS:
        for measure in MEASURES:
            asked = generator.binomial(most_epochs, share, num_items)
            kind = str(generator.choice(["judge", "program", "human"]))
            for epoch in range(most_epochs):
                ids = np.flatnonzero(asked > epoch)
                values = [None if generator.random() < hole else float(x) for x in generator.integers(0, 2, len(ids))]
                weights = generator.uniform(0, 2, len(ids)).tolist()
                rows = score_table(cell, values, measure=measure, epoch=epoch, ids=ids.tolist(), weights=weights)
                parts.append(rows.with_columns(scorer_kind=pl.lit(kind)))
                if kind == "judge":
                    chosen = ids[(ids % 3 == 0)]
                    labels = generator.integers(0, 2, len(chosen)).astype(float).tolist()
                    people = score_table(cell, labels, measure=measure, epoch=epoch, ids=chosen.tolist())
                    parts.append(people.with_columns(scorer_kind=pl.lit("human")))
    return pl.concat(parts)


tables = st.builds(
    generated, st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.3, 0.8, 1.0]),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(tables, st.integers(0, 1000))
def test_columns_equal_a_plain_group_by_in_any_order(scores: pl.DataFrame, seed: int) -> None:
    index = index_items(item_table(["c"] * 12))
    ids = pl.Series(index.ids.categories)
    ordered, shuffled = ScoreTable(scores, index), ScoreTable(scores.sample(fraction=1, shuffle=True, seed=seed), index)
    for cell in CELLS:
        for measure in MEASURES:
            want = twin(scores, ids, cell, measure)
            same(ordered.column(cell, measure), want)
            same(shuffled.column(cell, measure), want)
            for name in want:
                first, second = (getattr(table.column(cell, measure), name) for table in (ordered, shuffled))
                assert first.tobytes() == second.tobytes(), name
    assert set(ordered.cells()) == set(shuffled.cells())


@settings(max_examples=15, deadline=None)
@given(tables, st.integers(0, 1000))
def test_scattered_rows_are_sorted_and_give_the_same(scores: pl.DataFrame, seed: int) -> None:
    index = index_items(item_table(["c"] * 12))
    shuffled = scores.sample(fraction=1, shuffle=True, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEWEST_CHANGES", 0)
        patch.setattr(module, "SCATTERED", 0.0)
        table = ScoreTable(shuffled, index)
    for cell in CELLS:
        same(table.column(cell, "f1"), twin(scores, pl.Series(index.ids.categories), cell, "f1"))


def test_many_scattered_rows_take_the_path_that_sorts() -> None:
    scores = pl.concat([score_table(Cell(f"arm{j}"), [float(j % 2)] * 400) for j in range(20)])
    index = index_items(item_table(["c"] * 400))
    mixed = scores.sample(fraction=1, shuffle=True, seed=3)
    assert len(module._changes(mixed)) > module.FEWEST_CHANGES
    table = ScoreTable(mixed, index)
    assert len(table.cells()) == 20
    for j in range(20):
        same(
            table.column(Cell(f"arm{j}"), "correct"),
            twin(scores, pl.Series(index.ids.categories), Cell(f"arm{j}"), "correct"),
        )


def test_a_column_is_built_once_and_an_absent_one_is_empty() -> None:
    table = ScoreTable(score_table(Cell("a"), [1.0, 0.0]), index_items(item_table(["c"] * 3)))
    assert table.column(Cell("a"), "correct") is table.column(Cell("a"), "correct")
    none = table.column(Cell("nobody"), "correct")
    assert not none.present.any()
    assert np.isnan(none.value).all()
    assert ScoreTable(pl.DataFrame(schema=_schema()), table.index).cells() == []


def _schema() -> dict[str, Any]:
    kinds: dict[str, Any] = {"String": pl.String, "Int32": pl.Int32, "Float64": pl.Float64}
    return {name: kinds[kind] for name, kind in SCORE_COLUMNS.items()}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": np.nan}, "a score is not a number"),
        ({"value": -np.inf}, "a score is not a number"),
        ({"value": 0.5}, "neither 0 nor 1"),
        ({"weight": -1.0}, "a weight is not valid"),
        ({"weight": np.inf}, "a weight is not valid"),
        ({"weight": None}, "a weight is not valid"),
        ({"item": "elsewhere"}, "not in the item table"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Any], says: str) -> None:
    index = index_items(item_table(["c"] * 4))
    (name, bad), place = next(iter(change.items())), pl.col("item") == "i00002"
    scores = score_table(Cell("a"), [1.0] * 4)
    kind = scores.schema[name]
    scores = scores.with_columns(pl.when(place).then(pl.lit(bad, dtype=kind)).otherwise(pl.col(name)).alias(name))
    with pytest.raises(MeasurementUndefined) as error:
        ScoreTable(scores, index).column(Cell("a"), "correct")
    assert says in str(error.value)
    assert ("elsewhere" if name == "item" else "i00002") in str(error.value)


def test_doubled_rows_and_two_evaluations_are_refused() -> None:
    index, scores = index_items(item_table(["c"] * 4)), score_table(Cell("a"), [1.0] * 4)
    with pytest.raises(MeasurementUndefined, match="two scores of one measure"):
        ScoreTable(pl.concat([scores, scores]), index).column(Cell("a"), "correct")
    with pytest.raises(MeasurementUndefined, match="several evaluations"):
        ScoreTable(pl.concat([scores, scores.with_columns(evaluation=pl.lit("other@1"))]), index)
