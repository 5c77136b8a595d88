"""``trialist estimate``: the estimates of runs that already exist, logs of other tools or tables of scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from trialist.cli.estimate_records import Answers, Paired, Question, Row, checked
from trialist.cli.estimate_rows import metric_of, rows_of
from trialist.errors import DataError, MeasurementUndefined
from trialist.logs.arms import arms_of, compared
from trialist.logs.blocks import Block, blocks_of
from trialist.logs.collect import Collection, Found, Progress, collect, listed
from trialist.logs.table import INDEPENDENT
from trialist.records import Verdict

__all__ = ["EXIT", "Answers", "Question", "Row", "answer", "answer_of", "exit_code", "record"]

EXIT: dict[Verdict, int] = {"PASS": 0, "UNDECIDED": 3, "FAIL": 4}


def answer(paths: Sequence[Path], question: Question, progress: Progress | None = None) -> Answers:
    """Read what is below the paths and estimate every measure of every task in every arm, the comparison if one is
    asked for, and the claim."""
    _check(checked(question))
    return answer_of(collect(paths, question.columns, progress=progress), question)


def answer_of(collection: Collection, question: Question) -> Answers:
    """The same of logs that were read already."""
    _check(checked(question))
    arms, compare = arms_of(collection), None
    if question.compare is not None:
        arms, compare = compared(arms, *question.compare)
    blocks = blocks_of(arms, compare, question.facets, pooled="task" not in question.by)
    rows = [row for block in blocks for row in rows_of(block, question)]
    if not rows:
        raise DataError(
            "the logs hold no scores", seen=f"{len(collection.found)} logs", next_step="score the run first"
        )
    if "stratum" in question.by and not any(row.stratum for row in rows):
        raise DataError("no item has a stratum", next_step="name the column or metadata key of strata with --stratum")
    notes = (*collection.notes, *arms.notes, *_of_logs(collection, blocks), *_of_rows(blocks, rows, question))
    return Answers(
        tuple(arms.logs), tuple(rows), notes, tuple(_paired(blocks)), collection.losses, tuple(blocks), compare
    )


def _check(asked: Question) -> None:
    if asked.compare is not None and asked.compare[0] == asked.compare[1]:
        raise MeasurementUndefined(
            "an arm compared with itself", seen=asked.compare[0], allowed="two arms", next_step="--compare ARM OTHER"
        )
    if asked.margin is not None and asked.compare is None:
        raise MeasurementUndefined(
            "a margin without a comparison", seen=f"--margin {asked.margin:g}", allowed="--margin with --compare",
            next_step="--compare ARM OTHER, or leave out --margin",
        )  # fmt: skip


def _paired(blocks: Iterable[Block]) -> Iterator[Paired]:
    for pair in (block.pair for block in blocks if block.pair is not None):
        for task, one in pair.pairings.items():
            yield Paired(task, len(one.first), one.num_by_content, one.changed, one.only_first, one.only_second)


def _of_logs(collection: Collection, blocks: Sequence[Block]) -> list[str]:
    """What the readers say, once for all logs that say it, and what the blocks found."""
    said: dict[str, list[Found]] = {}
    for one in collection.found:
        status, notes = one.log.source.status, list(one.log.notes)
        if status not in ("success", "") and not any(f"'{status}'" in note for note in notes):
            notes.insert(0, f"the run has the status '{status}'")
        for note in dict.fromkeys(notes):
            if note != INDEPENDENT:
                said.setdefault(note, []).append(one)
    notes = [_where(ones, collection.found) + note for note, ones in said.items()]
    notes += [note for block in blocks for note in block.notes]
    blocks = [block for block in blocks if block.parts]
    alone = [block for block in blocks if not any(part.clustered_by for part in block.parts.values())]
    if len(alone) == len(blocks):
        notes.append(INDEPENDENT)
    elif alone:
        names = [block.task for block in alone]
        notes.append(f"{names[0] if len(names) == 1 else listed(names, 'task')}: {INDEPENDENT}")
    return notes


def _where(some: Sequence[Found], every: Sequence[Found]) -> str:
    """Which logs a note is about: nothing where it is all of them, their tasks where it is all logs of those."""
    if len(some) == len(every):
        return ""
    tasks = list(dict.fromkeys(one.log.source.task for one in some))
    if sum(one.log.source.task in tasks for one in every) == len(some):
        return f"{tasks[0] if len(tasks) == 1 else listed(tasks, 'task')}: "
    names = list(dict.fromkeys(one.path.name for one in some))
    return f"{names[0] if len(names) == 1 else listed(names, 'log')}: "


def _of_rows(blocks: Sequence[Block], rows: Sequence[Row], asked: Question) -> list[str]:
    notes: list[str] = []
    if "metric" not in asked.by and any(len(block.measures) > 1 for block in blocks):
        notes.append("the first measure of each task alone: --by task,metric for all")
    if asked.bounds is None:
        graded = dict.fromkeys(name for block in blocks if block.parts for name in _unit_graded(block))
        notes += [f"'{name}' lies in [0, 1], which is taken as its range (--range LOW HIGH)" for name in graded]
    num_claims = sum(len(row.claims) for row in rows)
    if num_claims > 1:
        notes.append(f"{num_claims} claims, each with its confidence by itself: not adjusted for their number")
    return notes


def _unit_graded(block: Block) -> Iterable[str]:
    """Measures with values between 0 and 1 whose range is taken to be that."""
    scores = pl.concat([part.scores.select("measure", "kind", "value") for part in block.parts.values()])
    for (name,), rows in scores.group_by("measure", maintain_order=True):
        if (rows["kind"] != "binary").any() and math.isfinite(metric_of(rows["value"], str(name), None).high):
            yield str(name)


def record(found: Answers) -> dict[str, Any]:
    """The same for a program."""
    rows = [
        {"task": row.task, "measure": row.measure, "stratum": row.stratum, "judged": row.judged, "estimates": row.arms,
         "difference": row.difference, "words": row.words, "bounds": row.bounds, "detectable": row.detectable,
         "undetectable": row.undetectable, "claims": row.claims, "num_answers": row.num_answers,
         "missing": row.missing, "clustered_by": row.clustered_by, "stated": row.stated}
        for row in found.rows
    ]  # fmt: skip
    return {"arms": found.arms, "notes": found.notes, "rows": rows, "paired": found.paired, "losses": found.losses}


def exit_code(found: Answers) -> int:
    """0, or where something was claimed the worst verdict's."""
    return max((EXIT[one.verdict] for row in found.rows for one in row.claims), default=0)
