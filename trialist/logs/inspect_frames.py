"""Samples, one after the other -> the tables of a ``Log``. Only columns are kept, never the samples."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from trialist.logs.gathering import kind_of
from trialist.logs.inspect_json import clean
from trialist.logs.inspect_sample import Sample
from trialist.logs.inspect_scores import NO_VALUE, Scorer, measure_name, shows_grading, values
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS

CHUNK = 4096
"""Rows held as Python objects before they become columns."""
ABSENT, STOPPED, NOT_LOGGED = "not in the log", "stopped early", "samples not logged"
OTHER_SHAPE = "score of another shape"
ITEM_SCHEMA = {name: pl.List(pl.String) if "List" in kind else getattr(pl, kind) for name, kind in ITEM_COLUMNS.items()}
ANSWER_SCHEMA = {"status": pl.String, "text": pl.String, "reason": pl.String, "asked_hash": pl.String}


@dataclass(frozen=True)
class Place:
    """What every row shares. ``scorers`` are those that the log declares, ``unlisted`` those that its results don't
    have: they give no measure unless a sample has a score of them."""

    model: str
    task: str
    version: str
    seed: int = 0
    scorers: tuple[Scorer, ...] = ()
    cluster: str = ""
    group: str = ""
    unlisted: frozenset[str] = frozenset()


@dataclass
class _Measure:
    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    reasons: dict[int, str] = field(default_factory=dict[int, str])


@dataclass
class _Scorer:
    """``roots``: samples to which it gave a single value that is missing, such as a NaN for a whole dictionary;
    ``singles`` and ``tables``: samples to which it gave one value, and several by key."""

    keys: dict[str, _Measure] = field(default_factory=dict[str, _Measure])
    singles: array[int] = field(default_factory=lambda: array("q"))
    tables: array[int] = field(default_factory=lambda: array("q"))
    roots: dict[int, str] = field(default_factory=dict[int, str])
    is_judge: bool = False


class Tables:
    """Collects samples. Rows are numbered as they come; of two records of a sample the later one counts."""

    def __init__(self, place: Place, planned: Sequence[str]) -> None:
        self._place = place
        self._positions = {name: i for i, name in reversed(list(enumerate(planned)))}
        # Of a log of 200,000 samples these are the greater part: numbers, not texts, wherever it can be.
        self._items: dict[str, int] = {}
        self._item_hashes, self._item_positions = array("Q"), array("q")
        self._rows: dict[int, int] = {}
        self._numbers: set[str] = set()
        self._epochs, self._order = array("i"), array("q")
        self._row_items: list[str] = []
        self._missing: list[str] = []
        self._set_aside: list[str] = []
        self._dropped: set[int] = set()
        self._scorers = {s.name: _Scorer(is_judge=s.is_judge) for s in place.scorers}
        self._item_rows: list[tuple[Any, ...]] = []
        self._answer_rows: list[tuple[Any, ...]] = []
        self._item_frames: list[pl.DataFrame] = []
        self._answer_frames: list[pl.DataFrame] = []
        self.losses: list[tuple[str, str]] = []
        self.num_shortened = self.num_edited = self.num_scored_errors = self.num_set_aside = 0
        self.first_edited = ""

    def __len__(self) -> int:
        return len(self._row_items) - len(self._dropped)

    def add(self, sample: Sample) -> None:
        name = self._name(sample)
        row = len(self._row_items)
        item = self._item(name, sample)
        old = self._rows.get(_key(item, sample.epoch))
        if old is not None:
            self._dropped.add(old)
            self.losses.append((_label(name, sample.epoch), "stands twice: the later record counts, as in Inspect"))
        self._row(item, name, sample.epoch, sample.missing, sample.set_aside)
        self._answer(sample.status, sample.text, sample.reason, sample.asked.content_hash)
        if self._item_hashes[item] != _short(sample.asked.content_hash):
            self.losses.append((_label(name, sample.epoch), "asks something else than the same item in another record"))
        self._scores(row, sample)
        self._flush()
        self.num_set_aside += bool(sample.set_aside)
        self.num_scored_errors += sample.status == "error" and bool(sample.scores)
        if sample.edited:
            self.num_edited += len(sample.edited)
            self.first_edited = self.first_edited or f"{_label(name, sample.epoch)}, {sample.edited[0]}"

    def add_absent(self, name: str, epoch: int, reason: str) -> None:
        """A sample that was planned and isn't there."""
        item = self._items.get(name)
        if item is not None and _key(item, epoch) in self._rows:
            return
        if item is None:
            item = self._new_item(name, "", self._positions.get(name))
            self._item_rows.append((name, "", "", (), None, "", name, "", "{}"))
        self._row(item, name, epoch, reason, "")
        self._answer("missing", "", reason, "")
        self._flush()

    def _name(self, sample: Sample) -> str:
        """The id as text. A number and a text that look the same are two items, of which the second gets a mark."""
        text, is_number = clean(str(sample.id)), isinstance(sample.id, int)
        if text not in self._items and is_number:
            self._numbers.add(text)
        if text not in self._items or (text in self._numbers) == is_number:
            return text
        marked = f"{text} ({'number' if is_number else 'text'})"
        if marked not in self._items:
            self.losses.append((marked, f"its id looks like that of item {text}, one a number and one a text"))
        return marked

    def _new_item(self, name: str, content_hash: str, position: int | None) -> int:
        item = self._items[name] = len(self._items)
        self._item_hashes.append(_short(content_hash))
        self._item_positions.append(len(self._positions) + item if position is None else position)
        return item

    def _item(self, name: str, sample: Sample) -> int:
        item = self._items.get(name)
        if item is not None:
            return item
        asked, place = sample.asked, self._place
        item = self._new_item(name, asked.content_hash, self._positions.get(clean(str(sample.id))))
        cluster = _metadata(sample.metadata, place.cluster) or name
        group = _metadata(sample.metadata, place.group)
        self._item_rows.append((
            name, asked.content_hash, asked.input, asked.options, asked.target, asked.reference, cluster, group,
            sample.metadata_json,
        ))  # fmt: skip
        self.num_shortened += asked.is_shortened
        return item

    def _row(self, item: int, name: str, epoch: int, missing: str, set_aside: str) -> None:
        self._rows[_key(item, epoch)] = len(self._row_items)
        self._row_items.append(name)
        self._epochs.append(epoch)
        self._order.append(self._item_positions[item])
        self._missing.append(missing)
        self._set_aside.append(set_aside)

    def _answer(self, status: str, text: str, reason: str, asked: str) -> None:
        self._answer_rows.append((status, text, reason, asked))

    def _scores(self, row: int, sample: Sample) -> None:
        for scorer, score in sample.scores.items():
            known = self._scorers.get(scorer)
            if known is None:
                known = self._scorers.setdefault(clean(scorer), _Scorer())
            known.is_judge = known.is_judge or shows_grading(score)
            found = values(score)
            for key, value, reason in found:
                if value is None and not key:
                    known.roots[row] = reason
                    continue
                measure = known.keys.get(key)
                if measure is None:
                    measure = known.keys[key] = _Measure()
                if value is None:
                    measure.reasons[row] = reason
                else:
                    measure.rows.append(row)
                    measure.values.append(value)
            if found[0][0]:
                known.tables.append(row)
            elif found[0][1] is not None:
                known.singles.append(row)

    def _flush(self, *, always: bool = False) -> None:
        if len(self._answer_rows) >= CHUNK or (always and self._answer_rows):
            self._answer_frames.append(_columns(self._answer_rows, ANSWER_SCHEMA))
            self._answer_rows = []
        if len(self._item_rows) >= CHUNK or (always and self._item_rows):
            self._item_frames.append(_columns(self._item_rows, ITEM_SCHEMA))
            self._item_rows = []

    # --- tables ----------------------------------------------------------------------------------------------------

    def measures(self) -> list[tuple[str, str, str]]:
        """(measure, scorer, key). A scorer that scored nothing has the measures that the log declares."""
        keys_of = {s.name: s.keys for s in self._place.scorers}
        return [
            (measure_name(scorer, key), scorer, key)
            for scorer, known in self._scorers.items()
            if known.keys or known.roots or scorer not in self._place.unlisted
            for key in (known.keys or dict.fromkeys(keys_of.get(scorer) or ("",)))
        ]

    def items(self) -> pl.DataFrame:
        """ITEM_COLUMNS, in the order of the data set."""
        self._flush(always=True)
        frame = pl.concat([pl.DataFrame(schema=ITEM_SCHEMA), *self._item_frames], how="diagonal", rechunk=False)
        frame = frame.with_columns(pl.col("options").fill_null([]))
        self._item_frames = []
        return _sorted(frame, self._item_positions, None)

    def answers(self) -> pl.DataFrame:
        """ANSWER_COLUMNS, by item and epoch."""
        self._flush(always=True)
        frame = pl.concat([pl.DataFrame(schema=ANSWER_SCHEMA), *self._answer_frames], rechunk=False)
        self._answer_frames = []
        frame = self._keyed(frame).with_columns(
            logprobs=pl.lit([], pl.List(pl.Float64)), num_tokens=pl.lit([], pl.List(pl.Int32)),
            num_bytes=pl.lit([], pl.List(pl.Int32)), seed=pl.lit(self._place.seed, pl.UInt64),
        )  # fmt: skip
        return self._ordered(frame).select(list(ANSWER_COLUMNS))

    def scores(self) -> pl.DataFrame:
        """SCORE_COLUMNS, one measure after the other, each by item and epoch."""
        frames = [self._measure(*measure) for measure in self.measures()]
        empty = pl.DataFrame(schema={name: getattr(pl, kind) for name, kind in SCORE_COLUMNS.items()})
        return pl.concat([empty, *frames], rechunk=False)

    def _measure(self, measure: str, scorer: str, key: str) -> pl.DataFrame:
        known = self._scorers[scorer]
        cells = known.keys.get(key) or _Measure()
        found = np.full(len(self._row_items), np.nan)
        found[np.asarray(cells.rows, dtype=np.int64)] = np.asarray(cells.values)
        reasons = list(self._missing)
        for row in known.tables:
            reasons[row] = NO_VALUE if key else OTHER_SHAPE
        for row in known.singles:
            reasons[row] = OTHER_SHAPE
        for row, reason in (*known.roots.items(), *cells.reasons.items()):
            reasons[row] = reason
        for row in cells.rows:
            reasons[row] = ""
        for row, reason in enumerate(self._set_aside):
            if reason:
                found[row], reasons[row] = np.nan, reason
        kind = kind_of(found[~np.isnan(found)], is_unit=True)
        frame = pl.DataFrame({"value": found, "reason": reasons}, schema={"value": pl.Float64, "reason": pl.String})
        frame = self._keyed(frame).with_columns(
            value=pl.col("value").fill_nan(None), measure=pl.lit(measure), kind=pl.lit(kind),
            scorer=pl.lit(scorer), scorer_version=pl.lit(self._place.version),
            scorer_kind=pl.lit("judge" if known.is_judge else "program"), weight=pl.lit(1.0),
        )  # fmt: skip
        return self._ordered(frame).select(list(SCORE_COLUMNS))

    def _keyed(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            arm=pl.lit(self._place.model), replicate=pl.lit(0, pl.Int32), threat=pl.lit(""),
            attack_run=pl.lit(0, pl.Int32), dose=pl.lit(0.0), evaluation=pl.lit(self._place.task),
            item=pl.Series(self._row_items, dtype=pl.String), epoch=pl.Series(np.asarray(self._epochs, np.int32)),
        )  # fmt: skip

    def _ordered(self, frame: pl.DataFrame) -> pl.DataFrame:
        if self._dropped:
            kept = np.ones(len(frame), dtype=bool)
            kept[list(self._dropped)] = False
            order = np.asarray(self._order)[kept]
            return _sorted(frame.filter(pl.Series(kept)), order, np.asarray(self._epochs)[kept])
        return _sorted(frame, self._order, self._epochs)


def _columns(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, Any]) -> pl.DataFrame:
    columns: dict[str, Any] = dict(zip(schema, zip(*rows, strict=True), strict=True))
    if not any(columns.get("options", ())):  # lists are slow to make
        columns.pop("options", None)
        schema = {name: kind for name, kind in schema.items() if name in columns}
    return pl.DataFrame(columns, schema=schema)


def _sorted(frame: pl.DataFrame, first: Any, second: Any) -> pl.DataFrame:
    keys = [np.asarray(first)] if second is None else [np.asarray(second), np.asarray(first)]
    places = np.lexsort(keys)
    return frame if (places[1:] > places[:-1]).all() else frame[places]


def _metadata(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name) if name else None
    return "" if value is None else clean(str(value))


def _key(item: int, epoch: int) -> int:
    return item << 31 | epoch


def _short(content_hash: str) -> int:
    return int(content_hash[:16] or "0", 16)


def _label(name: str, epoch: int) -> str:
    return f"{name} (epoch {epoch})"
