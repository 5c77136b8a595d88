"""The score table of one evaluation, cut once into columns: one measure in one cell, per item.

Rows of one cell and measure mostly stand together, so the table is cut where the keys change and never hashed; a table
in another order is sorted first. Two million rows are cut in about a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.sample import Floats, Ints
from trialist.records import CELL_COLUMNS, Cell

Mask = NDArray[np.bool_]

KEYS = (*CELL_COLUMNS, "measure")
SCATTERED = 0.05
"""A table whose keys change in more than this share of its rows is sorted before it is cut."""
HEAVIEST = 1e12
"""The largest weight, and one over the smallest but 0: sums of their squares stay exact enough."""
FEWEST_CHANGES = 1000
"""With fewer changes than this sorting isn't worth it."""


@dataclass(frozen=True)
class ItemIndex:
    """N items in order of id. ``cluster`` (N,) are codes of the independent units in sorted order of their names,
    ``second`` (N,) those of a crossed facet or None, ``stratum`` (N,) codes into ``strata``. ``rank`` (N,) are the
    places of the items in their table: the order in which they are asked, where that was registered."""

    ids: pl.Enum
    cluster: Ints
    stratum: Ints
    strata: Sequence[str]
    unit: str = "cluster"
    second: Ints | None = None
    rank: Ints | None = None

    def __len__(self) -> int:
        return len(self.cluster)


@dataclass(frozen=True)
class Column:
    """One measure in one cell, per item of the index: ``present`` marks the items that have a row for it. Several
    epochs are averaged, ``num_epochs`` of them attempted; ``within`` is the variance (ddof 1) between the scored ones.
    ``gold`` (N,) is what people say where a judge gives the value, NaN where nobody labelled."""

    present: Mask
    value: Floats
    weight: Floats
    missing: Mask
    binary: Mask
    num_epochs: Ints
    within: Floats
    judged: Mask
    gold: Floats
    gold_binary: bool = True


class ScoreTable:
    """Rows of SCORE_COLUMNS of one evaluation, ready to be asked for columns; each is built once.

    A judge and people may score the same answers: the judge's score is the value, people's are its gold labels.
    Raises MeasurementUndefined for several evaluations in one table; ``column`` for doubled rows, scores that aren't
    finite, weights that are negative, items that aren't in the item table, and gold labels that are empty, or that the
    judge's answers don't match.
    """

    def __init__(self, scores: pl.DataFrame, index: ItemIndex) -> None:
        if len(scores) and not (scores["evaluation"] == scores["evaluation"][0]).all():
            names = sorted(scores["evaluation"].unique().to_list())
            raise MeasurementUndefined("scores of several evaluations", seen=str(names), allowed="one evaluation")
        starts = _changes(scores)
        if len(starts) > max(FEWEST_CHANGES, SCATTERED * len(scores)):
            scores = scores.sort(KEYS, maintain_order=True)
            starts = _changes(scores)
        self.index = index
        self._rows = scores
        self._spans: dict[tuple[Any, ...], list[slice]] = {}
        ends = [*starts[1:].tolist(), len(scores)] if len(starts) else []
        for key, start, end in zip(
            scores[starts.tolist()].select(KEYS).iter_rows(), starts.tolist(), ends, strict=True
        ):
            self._spans.setdefault(key, []).append(slice(start, end))
        self._columns: dict[tuple[Any, ...], Column] = {}
        self._code = _item_codes(scores["item"], index)
        self._value = scores["value"].to_numpy()
        self._null = scores["value"].is_null().to_numpy()
        self._weight = scores["weight"].fill_null(np.nan).to_numpy()
        self._binary = (scores["kind"] == "binary").to_numpy()
        self._judged = (scores["scorer_kind"] == "judge").to_numpy()
        self._human = (scores["scorer_kind"] == "human").to_numpy()
        self._epoch = scores["epoch"].to_numpy()

    def cells(self) -> list[Cell]:
        """The cells that have rows."""
        return [Cell(*key) for key in dict.fromkeys(key[:-1] for key in self._spans)]

    def column(self, cell: Cell, measure: str) -> Column:
        key = (*(getattr(cell, name) for name in CELL_COLUMNS), measure)
        if key not in self._columns:
            spans = self._spans.get(key, [])
            parts: list[Ints] = [np.empty(0, np.int64), *(np.arange(s.start, s.stop, dtype=np.int64) for s in spans)]
            rows = np.concatenate(parts)
            self._columns[key] = self._column(rows)
        return self._columns[key]

    def _column(self, rows: Ints) -> Column:
        self._check(rows)
        human = self._human[rows]
        if human.any() and self._judged[rows].any():
            return with_gold(self._column(rows[~human]), self._column(rows[human]), self.index.ids)
        code, null, n = self._code[rows], self._null[rows], len(self.index)
        counts = np.bincount(code, minlength=n)
        if len(code) and counts.max() > 1:
            return self._several_epochs(rows, counts)
        none = np.zeros(n, dtype=np.bool_)
        found = Column(
            counts > 0, np.full(n, np.nan), np.ones(n), none, none.copy(), counts, np.full(n, np.nan), none.copy(),
            np.full(n, np.nan),
        )  # fmt: skip
        found.value[code] = np.where(null, np.nan, self._value[rows])
        found.weight[code], found.missing[code] = self._weight[rows], null
        found.binary[code], found.judged[code] = self._binary[rows], self._judged[rows]
        return found

    def _several_epochs(self, rows: Ints, counts: Ints) -> Column:
        # In order of epoch, so that the sums have the same last bit in whatever order the rows came.
        rows = rows[np.lexsort((self._epoch[rows], self._code[rows]))]
        code, epoch = self._code[rows], self._epoch[rows]
        twice = np.flatnonzero((code[1:] == code[:-1]) & (epoch[1:] == epoch[:-1]))
        if len(twice):
            raise MeasurementUndefined(
                "two scores of one measure for one answer", seen=self._place(rows[twice[0]], "epoch"),
                allowed="one row each, or one of a judge and one of a person",
                next_step="give each scorer's measure its own name",
            )  # fmt: skip
        n, null = len(counts), self._null[rows]
        value, num_scored = np.where(null, 0.0, self._value[rows]), counts - np.bincount(code[null], minlength=n)
        with np.errstate(all="ignore"):
            mean = np.bincount(code, weights=value, minlength=n) / num_scored
            squares = np.bincount(code, weights=np.where(null, 0.0, (value - mean[code]) ** 2), minlength=n)
            within = squares / (num_scored - 1)
            weight = np.bincount(code, weights=self._weight[rows], minlength=n) / counts
        binary, judged = (np.bincount(code, weights=x[rows], minlength=n) for x in (self._binary, self._judged))
        return Column(
            counts > 0, mean, np.where(counts > 0, weight, 1.0), num_scored < counts, (counts == 1) & (binary == 1),
            counts, np.where(num_scored > 1, within, np.nan), judged > 0, np.full(n, np.nan),
        )  # fmt: skip

    def _check(self, rows: Ints) -> None:
        value, null, weight = self._value[rows], self._null[rows], self._weight[rows]
        if (bad := np.flatnonzero(self._code[rows] < 0)).size:
            raise MeasurementUndefined("a scored item is not in the item table", seen=self._place(rows[bad[0]]))
        if (bad := np.flatnonzero(~np.isfinite(value) & ~null)).size:
            raise MeasurementUndefined(
                "a score is not a number", seen=f"{value[bad[0]]} for {self._place(rows[bad[0]])}",
                allowed="a finite value, or none with a reason",
                next_step="correct the scorer: missing is null, never NaN",
            )  # fmt: skip
        if (bad := np.flatnonzero(~((weight == 0) | ((weight >= 1 / HEAVIEST) & (weight <= HEAVIEST))))).size:
            seen = f"{weight[bad[0]]} for {self._place(rows[bad[0]])}"
            raise MeasurementUndefined("a weight is not valid", seen=seen, allowed="0, or between 1e-12 and 1e12")
        if (bad := np.flatnonzero(self._binary[rows] & ~null & (value != 0) & (value != 1))).size:
            seen = f"{value[bad[0]]} for {self._place(rows[bad[0]])}"
            raise MeasurementUndefined("a binary score is neither 0 nor 1", seen=seen, allowed="0 or 1")

    def _place(self, row: Any, *more: str) -> str:
        names = ("item", "measure", *more)
        return ", ".join(f"{name} {self._rows[name][int(row)]}" for name in names)


def with_gold(judged: Column, human: Column, ids: pl.Enum) -> Column:
    """The judge's column with people's labels of the same answers beside it."""
    alone = np.flatnonzero(human.present & ~(judged.present & (judged.num_epochs == human.num_epochs)))
    if alone.size:
        k = int(alone[0])
        raise MeasurementUndefined(
            "people and the judge have to score the same answers",
            seen=f"item {ids.categories[k]}: {human.num_epochs[k]} by people, {judged.num_epochs[k]} by the judge",
            allowed="people's scores for all epochs of an item, or for none", next_step="let the judge score them too",
        )  # fmt: skip
    if human.missing.any():
        raise MeasurementUndefined(
            "a gold label without a value", seen=f"item {ids.categories[int(human.missing.argmax())]}",
            allowed="a value for each item that people were given",
            next_step="label it: the labels that were easy to give are no random sample",
        )  # fmt: skip
    return replace(judged, gold=human.value, gold_binary=bool(human.binary[human.present].all()))


def _changes(scores: pl.DataFrame) -> Ints:
    """Rows at which the cell or the measure differs from the row before; the first among them."""
    if not len(scores):
        return np.empty(0, dtype=np.int64)
    differs = scores.select(pl.any_horizontal([pl.col(key) != pl.col(key).shift(1) for key in KEYS]))
    changed = differs.to_series().fill_null(True).to_numpy().copy()
    changed[0] = True
    return np.flatnonzero(changed)


def _item_codes(items: pl.Series, index: ItemIndex) -> Ints:
    """Each row's item as its place in the index; -1 where it isn't there."""
    codes = items.cast(pl.String).cast(index.ids, strict=False) if items.dtype != index.ids else items
    return codes.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
