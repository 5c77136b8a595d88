"""Rows of one log while its file is read -> the three tables of a ``Log``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from trialist.folder import schema_of
from trialist.logs.log import Loss
from trialist.records import (
    ANSWER_COLUMNS,
    ITEM_COLUMNS,
    SCORE_COLUMNS,
    Cell,
    ScorerKind,
    Status,
    ValueKind,
    cell_row,
    sha256_hex,
)

PIECE = 8192
SHOWN = 50
"""Losses of one kind that are listed one by one; the rest is one count."""


def content_hash(text: str, options: Sequence[str], target: str) -> str:
    """Equal exactly where the model was asked the same, whatever the item's id: SHA-256 of the canonical JSON of
    [input, options, target]."""
    return sha256_hex(canonical([text, list(options), target]).encode())


canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""``records.canonical_json`` for what is plain JSON already."""


class Losses:
    """What is lost, listed until it would fill a screen, and counted to the end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listed: dict[str, list[Loss]] = {}
        self._more: dict[str, int] = {}

    def add(self, kind: str, sample: str, what: str) -> None:
        listed = self._listed.setdefault(kind, [])
        if len(listed) < SHOWN:
            listed.append(Loss(self._path, sample, what))
        else:
            self._more[kind] = self._more.get(kind, 0) + 1

    @property
    def num(self) -> int:
        return sum(map(len, self._listed.values())) + sum(self._more.values())

    def all(self) -> tuple[Loss, ...]:
        rest = [Loss(self._path, "", f"{count} more: {kind}") for kind, count in self._more.items()]
        return (*(loss for listed in self._listed.values() for loss in listed), *rest)


def lines_of(path: Path, losses: Losses, *, name: Callable[[bytes], str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their numbers, one line in memory at a time. A line that isn't one is a
    loss; ``name`` finds what can still be said of it."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                found: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                why = "isn't UTF-8" if isinstance(error, UnicodeDecodeError) else "isn't whole JSON"
                losses.add("lines that can't be read", name(line), f"line {number} {why}")
                continue
            if not isinstance(found, dict):
                losses.add("lines that are no object", "", f"line {number} is no object")
                continue
            # Escapes of half a character are valid JSON and no text.
            yield number, cast("dict[str, Any]", whole_text(found) if HALF.search(line) else found)


HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def whole_text(value: Any) -> Any:
    """JSON values with every lone half of a character replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole_text(key): whole_text(part) for key, part in cast("dict[str, Any]", value).items()}
    return [whole_text(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """JSON values that can be written again: numbers that aren't finite become their names."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in cast("list[Any]", value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class _Rows:
    """Rows that become a table piece by piece: Python's objects take several times the room."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._types = schema_of(columns)
        self._waiting: list[tuple[Any, ...]] = []
        self._pieces: list[pl.DataFrame] = []

    def add(self, *values: Any) -> None:
        self._waiting.append(values)
        if len(self._waiting) >= PIECE:
            self._settle()

    def table(self) -> pl.DataFrame:
        self._settle()
        return pl.concat(self._pieces)

    def _settle(self) -> None:
        self._pieces.append(pl.DataFrame(self._waiting, schema=self._types, orient="row"))
        self._waiting = []


class Gathering:
    """Items, answers and scores in the order of the file, as columns. A measure that an attempt has no row for is
    filled in by ``tables``, null, with ``absent`` as the reason: what ought to be scored is never left out."""

    def __init__(self, task: str, arm: str, *, scorer_version: str, absent: str) -> None:
        self.task = task
        self._key: dict[str, Any] = {**cell_row(Cell(arm)), "evaluation": task}
        self._version, self._absent = scorer_version, absent
        self._items = _Rows(ITEM_COLUMNS)
        self._answers = _Rows({name: kind for name, kind in ANSWER_COLUMNS.items() if name not in self._key})
        names = ("item", "epoch", "measure", "value", "weight", "reason")
        self._scores = _Rows({name: SCORE_COLUMNS[name] for name in names})
        self._attempts: dict[tuple[str, int], None] = {}
        self.scorers: dict[str, tuple[str, ScorerKind, ValueKind | None, bool]] = {}

    def item(
        self, name: str, *, text: str, options: Sequence[str], target: int | None, reference: str, hashed: str,
        metadata: Mapping[str, Any],
    ) -> None:  # fmt: skip
        told = canonical(metadata)
        self._items.add(name, hashed, text, list(options), target, reference, name, "", told)

    def attempt(self, item: str, epoch: int) -> None:
        """A score of every measure is wanted for this."""
        self._attempts[item, epoch] = None

    def answer(
        self, item: str, epoch: int, *, text: str = "", logprobs: Sequence[float] = (), num_bytes: Sequence[int] = (),
        status: Status = "ok", reason: str = "", asked_hash: str = "",
    ) -> None:  # fmt: skip
        self._answers.add(item, epoch, status, text, list(logprobs), [], list(num_bytes), reason, 0, asked_hash)

    def score(
        self, item: str, epoch: int, measure: str, value: float | None, *, reason: str = "", weight: float = 1.0
    ) -> None:
        self._scores.add(item, epoch, measure, value, weight, reason)

    def named(
        self, measure: str, scorer: str, scorer_kind: ScorerKind = "program", *, kind: ValueKind | None = None,
        is_unit: bool = True,
    ) -> None:  # fmt: skip
        """Who gives a measure. Without a ``kind``: binary where all values are 0 or 1, bounded where they lie between
        and nothing says that they may lie outside (``is_unit``), real otherwise."""
        self.scorers.setdefault(measure, (scorer, scorer_kind, kind, is_unit))

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """items, answers and scores."""
        answers = _in_place(self._answers.table(), self._key, ANSWER_COLUMNS)
        return self._items.table(), answers, self._score_table()

    def _score_table(self) -> pl.DataFrame:
        scores = self._scores.table()
        attempts = pl.DataFrame(list(self._attempts), schema={"item": pl.String, "epoch": pl.Int32}, orient="row")
        measures = pl.DataFrame({"measure": list(self.scorers)}, schema={"measure": pl.String})
        wanted = attempts.with_row_index("row").join(measures.with_row_index("column"), how="cross")
        full = wanted.join(scores, on=["item", "epoch", "measure"], how="left", maintain_order="left")
        full = full.with_columns(
            reason=pl.when(pl.col("reason").is_null()).then(pl.lit(self._absent)).otherwise("reason"),
            weight=pl.col("weight").fill_null(1.0),
        )
        facts = [(name, *self._facts(full, name)) for name in self.scorers]
        names = ("measure", "scorer", "scorer_kind", "kind")
        known = pl.DataFrame(facts, schema=dict.fromkeys(names, pl.String), orient="row")
        full = full.join(known, on="measure", how="left", maintain_order="left").sort("row", "column")
        return _in_place(full, {**self._key, "scorer_version": self._version}, SCORE_COLUMNS)

    def _facts(self, scores: pl.DataFrame, measure: str) -> tuple[str, ScorerKind, ValueKind]:
        scorer, scorer_kind, kind, is_unit = self.scorers[measure]
        values = scores.filter(pl.col("measure") == measure)["value"].drop_nulls()
        return scorer, scorer_kind, kind or kind_of(values.to_numpy(), is_unit=is_unit)


def _in_place(table: pl.DataFrame, constants: Mapping[str, Any], columns: Mapping[str, str]) -> pl.DataFrame:
    """The table with the constants as columns, in the order and the types of a record's table."""
    full = table.with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    return full.select([pl.col(name).cast(kind) for name, kind in schema_of(columns).items()])


def kind_of(values: ArrayLike, *, is_unit: bool) -> ValueKind:
    """binary where all ``values`` (n,) are 0 or 1, bounded where all lie between and may not lie outside, real
    otherwise."""
    seen = np.asarray(values, dtype=np.float64)
    if ((seen == 0) | (seen == 1)).all():
        return "binary"
    return "bounded" if is_unit and ((seen >= 0) & (seen <= 1)).all() else "real"
