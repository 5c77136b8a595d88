"""The score table of one evaluation -> arrays: the items of one cell, or of a pair of cells, in order of their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import compact
from trialist.measurement.metrics import Metric
from trialist.measurement.sample import Floats, Ints, Sample, difference_of
from trialist.measurement.score_table import Column, ItemIndex, ScoreTable
from trialist.records import Cell


def index_items(items: pl.DataFrame, unit: str = "cluster", crossed: str | None = None) -> ItemIndex:
    """The items of an evaluation (ITEM_COLUMNS), ready to be read many times.

    ``unit`` is what is independent: ``cluster`` (the default), ``item``, another column, or a key of the metadata;
    ``crossed`` names a second facet whose levels cut across the units, such as the template.
    The order of the rows is kept as the items' ``rank``.
    Raises MeasurementUndefined for doubled ids and for a facet that some item doesn't have.
    """
    if items["id"].is_duplicated().any():
        raise MeasurementUndefined("item ids are not unique", next_step="give every item its own id")
    rank: Any = items["id"].arg_sort().to_numpy()
    items = items.sort("id")
    strata, stratum = _codes(items["stratum"])
    second = None if crossed is None else _codes(_facet(items, crossed))[1]
    return ItemIndex(
        pl.Enum(items["id"]), _codes(_facet(items, unit))[1], stratum, strata.to_list(), unit, second,
        rank.astype(np.int64),
    )  # fmt: skip


def read(
    scores: pl.DataFrame | ScoreTable,
    items: pl.DataFrame | ItemIndex,
    *,
    metric: Metric,
    cell: Cell,
    contrast: Cell | None = None,
    stratum: str | None = None,
) -> Sample:
    """The items of ``cell`` that have a row for every column of ``metric``; with ``contrast`` those of both cells.

    Several epochs of an item are averaged first; an item with any missing value counts as missing.
    Raises MeasurementUndefined as ``ScoreTable`` does, and for scores outside the metric's range.
    """
    if not metric.columns:
        raise MeasurementUndefined(f"metric '{metric.name}' names no measure")
    index = items if isinstance(items, ItemIndex) else index_items(items)
    table = scores if isinstance(scores, ScoreTable) else ScoreTable(scores, index)
    cells = [cell] if contrast is None else [cell, contrast]
    columns = [[table.column(one, measure) for measure in metric.columns] for one in cells]
    inside = np.ones(len(index), dtype=np.bool_)
    if stratum is not None:
        inside = index.stratum == (index.strata.index(stratum) if stratum in index.strata else -1)
    attempted = [np.logical_and.reduce([c.present for c in side]) & inside for side in columns]
    unmatched = int((attempted[0] ^ attempted[-1]).sum())
    rows = np.flatnonzero(attempted[0] & attempted[-1])
    return _sample([c for side in columns for c in side], rows, index, metric, unmatched)


def _sample(columns: list[Column], rows: Ints, index: ItemIndex, metric: Metric, num_unmatched: int) -> Sample:
    paired = len(columns) == 2 * len(metric.columns)
    missing = np.logical_or.reduce([c.missing[rows] for c in columns])
    values = np.stack([c.value[rows] for c in columns], axis=1)
    values[missing] = np.nan
    weights = np.stack([c.weight[rows] for c in columns], axis=1)
    gold = np.stack([c.gold[rows] for c in columns], axis=1)
    if metric.is_mean:
        _check_range(metric, values)
        _check_range(metric, gold)
    binary = len(rows) > 0 and all(bool(c.binary[rows].all()) for c in columns)
    return Sample(
        metric=difference_of(metric) if paired else metric,
        ids=rows,
        values=values,
        weights=weights,
        scored=~missing,
        cluster=compact(index.cluster[rows]),
        named_cluster=index.cluster[rows],
        num_epochs=np.minimum.reduce([c.num_epochs[rows] for c in columns]),
        plain=metric.is_mean and (not paired or bool((weights[:, 0] == weights[:, -1]).all())),
        paired=paired,
        binary=binary and (metric.low, metric.high) == (0.0, 1.0),
        num_unmatched=num_unmatched,
        second=None if index.second is None else compact(index.second[rows]),
        within=_within([c.within[rows] for c in columns], ~missing) if metric.is_mean else None,
        judged=any(bool(c.judged[rows].any()) for c in columns),
        gold=gold if np.isfinite(gold).any() else None,
        gold_binary=all(c.gold_binary for c in columns),
    )


def _within(columns: list[Floats], scored: NDArray[np.bool_]) -> Floats | None:
    """Variance between an item's epochs; of a difference the sum of both cells', whose answers are independent. None
    where some scored item has one answer."""
    total = np.sum(columns, axis=0)
    return total if scored.any() and bool(np.isfinite(total[scored]).all()) else None


def _check_range(metric: Metric, values: Floats) -> None:
    with np.errstate(invalid="ignore"):
        outside = (values < metric.low) | (values > metric.high)
    if outside.any():
        known = values[np.isfinite(values)]
        raise MeasurementUndefined(
            f"scores of '{metric.columns[0]}' lie outside the metric's range", seen=f"[{known.min()}, {known.max()}]",
            allowed=f"[{metric.low}, {metric.high}]", next_step="give the metric its true low and high",
        )  # fmt: skip


def _facet(items: pl.DataFrame, name: str) -> pl.Series:
    """The levels of a facet: a column of the items, ``item`` itself, or a key of their metadata."""
    if name == "item":
        return items["id"]
    if name in items.columns:
        found = items[name].cast(pl.String)
    else:
        found = items["metadata"].str.json_path_match(f"$['{name}']")
    if found.null_count():
        known = ", ".join(["item", "cluster", "stratum"])
        raise MeasurementUndefined(
            f"{found.null_count()} of {len(items)} items don't say their {name}",
            seen=f"item {items['id'].filter(found.is_null())[0]}",
            allowed=f"{known}, another column, or a key of the items' metadata",
        )
    return found


def _codes(names: pl.Series) -> tuple[pl.Series, Ints]:
    """The sorted distinct names, and each name's place among them."""
    levels = names.unique().sort()
    codes: Any = names.cast(pl.Enum(levels)).to_physical().to_numpy()
    return levels, codes.astype(np.int64)
