"""Answers that a log was to have and hasn't: they are missing, and counted like every other missing answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from trialist.logs.log import Log
from trialist.records import ITEM_COLUMNS, SCORE_COLUMNS

ABSENT = "not in the log"
_MEASURE = ("measure", "kind", "scorer", "scorer_version", "scorer_kind")
_CELL = ("arm", "replicate", "threat", "attack_run", "dose", "evaluation")


@dataclass(frozen=True)
class Planned:
    """``log`` with a row for every answer whose item is known; ``num_unnamed`` items more were to be asked, and nothing
    in the log says which."""

    log: Log
    num_unnamed: int = 0


def planned(log: Log) -> Planned:
    """Fill in what ``source.num_samples`` says is absent: the epochs that an item lacks, then the items without scores,
    then items that nothing names. A log of several runs of a model stays as it is."""
    scores = log.scores
    if scores["replicate"].n_unique() > 1:
        return Planned(log)
    answers = scores.select("item", "epoch").unique()
    gap = (log.source.num_samples or 0) - len(answers)
    if gap <= 0 or not len(scores):
        return Planned(log)
    epochs = answers.select("epoch").unique().sort("epoch")
    asked = answers.select("item").unique()
    grid = asked.join(epochs, how="cross").join(answers, on=["item", "epoch"], how="anti").sort("item", "epoch")
    unasked = log.items.select(item="id").join(asked, on="item", how="anti").join(epochs, how="cross")
    absent: list[pl.DataFrame] = []
    for part in (grid, unasked):
        if len(part) <= gap:
            absent.append(part)
            gap -= len(part)
    filled = replace(log, scores=pl.concat([scores, *(_rows(log, part) for part in absent if len(part))]))
    return Planned(filled, -(-gap // len(epochs)))


def with_unnamed(found: Planned) -> Log:
    """The log with its unnamed items under names of our own, each its own cluster."""
    log = found.log
    if not found.num_unnamed:
        return log
    names = [f"({ABSENT}, {number + 1})" for number in range(found.num_unnamed)]
    items = pl.DataFrame({"id": names}).select(
        "id", content_hash=pl.lit(""), input=pl.lit(""), options=pl.lit([], dtype=pl.List(pl.String)),
        target=pl.lit(None, dtype=pl.Int32), reference=pl.lit(""), cluster="id", stratum=pl.lit(""),
        metadata=pl.lit("{}"),
    )  # fmt: skip
    rows = _rows(log, pl.DataFrame({"item": names}).with_columns(epoch=pl.lit(log.scores["epoch"][0], dtype=pl.Int32)))
    return replace(log, items=pl.concat([log.items, items.select(list(ITEM_COLUMNS))]),
                   scores=pl.concat([log.scores, rows]))  # fmt: skip


def lost(log: Log, items: pl.Series) -> pl.DataFrame:
    """Rows of scores that say that ``items`` were to be asked and are not in the log."""
    return _rows(log, pl.DataFrame({"item": items}).with_columns(epoch=pl.lit(log.scores["epoch"][0], dtype=pl.Int32)))


def _rows(log: Log, answers: pl.DataFrame) -> pl.DataFrame:
    """A row without a value for each of ``answers`` (item, epoch) and every measure of the log."""
    status = log.source.status
    reason = ABSENT if status in ("success", "") else f"{ABSENT}, whose status is {status}"
    kinds = log.scores.select(*_CELL, *_MEASURE).unique(maintain_order=True)
    kinds = kinds.filter(pl.col("scorer_kind") != "human")  # a person need not have labelled them
    rows = answers.join(kinds, how="cross").with_columns(
        value=pl.lit(None, dtype=pl.Float64), weight=pl.lit(1.0), reason=pl.lit(reason)
    )
    return rows.select([pl.col(name).cast(getattr(pl, kind)) for name, kind in SCORE_COLUMNS.items()])
