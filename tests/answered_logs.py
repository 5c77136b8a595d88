"""Logs made by hand with answers: a task, a model, texts and an old score. Without texts: ``logs_made``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from trialist.folder import frame
from trialist.logs.arms import Arms, arms_of
from trialist.logs.collect import Collection, Found
from trialist.logs.log import Log, Source
from trialist.records import (
    ANSWER_COLUMNS,
    ITEM_COLUMNS,
    SCORE_COLUMNS,
    Answer,
    Cell,
    Item,
    Score,
    ScorerKind,
    Status,
    answer_row,
    item_row,
    score_row,
)

Row = tuple[Item, str, float | None]
"""An item, the answer's text, its old score."""


def item(number: int, *, question: str = "", target: str = "", cluster: str = "", **more: Any) -> Item:
    return Item(f"q{number}", question or f"question {number}", cluster or f"q{number}", reference=target, **more)


def log(
    rows: Sequence[Row] | Mapping[int, Sequence[Row]],
    *,
    model: str = "model-a",
    task: str = "capitals",
    measure: str = "match",
    scorer_kind: ScorerKind = "program",
    statuses: Mapping[str, tuple[Status, str]] | None = None,
    path: str = "",
    **more: Any,
) -> Log:
    """``rows`` of one epoch, or of several by number; ``statuses`` by item. What isn't ok has no score."""
    epochs = rows if isinstance(rows, Mapping) else {0: rows}
    items = {one.id: one for epoch in epochs.values() for one, _, _ in epoch}
    answers: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    kind = "binary" if all(value in (None, 0, 1) for rows in epochs.values() for *_, value in rows) else "real"
    for epoch, listed in epochs.items():
        for one, text, value in listed:
            status, reason = (statuses or {}).get(one.id, ("ok", ""))
            answer = Answer(Cell(model), task, one.id, epoch, status, text, reason=reason)
            why = reason if value is None else ""
            score = Score(measure, value, kind, measure, scorer_kind=scorer_kind, reason=why)
            answers.append(answer_row(answer))
            scores.append(score_row(answer, score))
    source = Source(
        path or f"logs/{model}.json", "made", "invented 1.0", task, "2", model, created="2026-11-01T10:00:00"
    )
    return Log(
        replace(source, **more),
        frame([item_row(one) for one in items.values()], ITEM_COLUMNS),
        frame(answers, ANSWER_COLUMNS),
        frame(scores, SCORE_COLUMNS),
    )


def arms(*logs: Log) -> Arms:
    """The arms of logs as if each had been read from its own file."""
    places = [Path(one.source.path) for one in logs]
    return arms_of(Collection(tuple(Found(one, place, place) for one, place in zip(logs, places, strict=True))))


def values(made: Log, measure: str) -> list[float | None]:
    return made.scores.filter(pl.col("measure") == measure)["value"].to_list()
