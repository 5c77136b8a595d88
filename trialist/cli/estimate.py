"""``trialist estimate``: the estimates of a table of scores that already exists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from trialist.errors import DataError, MeasurementUndefined, NameUnknown
from trialist.logs.table import Columns, Read, read_tables
from trialist.measurement.choose import Population
from trialist.measurement.claims import Threshold, judge, words
from trialist.measurement.estimand import About, Estimand, MissingPolicy, Sizes, estimate
from trialist.measurement.metrics import Metric, first
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ItemIndex, ScoreTable
from trialist.records import Cell, Estimate, Verdict

EXIT: dict[Verdict, int] = {"PASS": 0, "UNDECIDED": 3, "FAIL": 4}


@dataclass(frozen=True)
class Question:
    """What is asked of the table. ``bounds`` are the scores' lowest and highest possible value; None: 0 and 1 where all
    of them lie there, otherwise unknown. ``margin``: how large a difference may be and not matter."""

    columns: Columns
    compare: tuple[str, str] | None = None
    by_stratum: bool = False
    level: float = 0.95
    claim: Threshold | None = None
    margin: float | None = None
    bounds: tuple[float, float] | None = None
    population: Population = "process"
    about: About = "artefact"
    bank_size: int | None = None
    missing: MissingPolicy = "worst"
    sizes: Sizes = "may matter"


@dataclass(frozen=True)
class Claimed:
    """The claim's verdict ``of`` an arm or of the comparison, and the ``bounds`` that it rests on."""

    of: str
    verdict: Verdict
    reason: str
    bounds: Estimate


@dataclass(frozen=True)
class Row:
    """One measure in one stratum: an estimate an arm, and the comparison. ``words``: better, worse, equivalent or can't
    tell, from ``bounds``; ``claims``, one an arm or one for the comparison."""

    measure: str
    stratum: str
    arms: tuple[Estimate, ...]
    difference: Estimate | None = None
    words: str = ""
    bounds: Estimate | None = None
    claims: tuple[Claimed, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.measure}, {self.stratum}" if self.stratum else self.measure

    @property
    def described(self) -> list[Estimate]:
        return [*self.arms, *([self.difference] if self.difference else [])]


@dataclass(frozen=True)
class Answers:
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def checked(asked: Question) -> Question:
    """The question if its words are known. Raises NameUnknown."""
    known = {"population": Population, "about": About, "missing": MissingPolicy, "sizes": Sizes}
    for kind, words_known in known.items():
        if getattr(asked, kind) not in get_args(words_known):
            raise NameUnknown(kind, getattr(asked, kind), get_args(words_known))
    return asked


def answer(paths: Sequence[Path], question: Question) -> Answers:
    """Read the files and estimate every measure in every arm, the comparison if one is asked for, and the claim."""
    _check(checked(question))
    table = read_tables(paths, question.columns)
    for arm in question.compare or ():
        if arm not in table.arms:
            raise NameUnknown("arm", arm, table.arms, see="arms are named by their files, or by --arm COLUMN")
    index = index_items(table.items)
    scores = ScoreTable(table.scores, index)
    cells = {arm: _cell(scores, arm, question.about) for arm in table.arms}
    metrics = {measure: _metric(table, measure, question.bounds) for measure in table.measures}
    strata = [stratum for stratum in index.strata if stratum]
    if question.by_stratum and not strata:
        raise DataError("no item has a stratum", next_step="name the column of strata with --stratum")
    rows = [
        _row(scores, cells, metrics[measure], stratum, question)
        for measure in table.measures
        for stratum in [None, *(strata if question.by_stratum else [])]
    ]
    return Answers(table.arms, tuple(rows), (*table.notes, *_notes(table, metrics, rows, question)))


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


def _cell(scores: ScoreTable, arm: str, about: About) -> Cell:
    """The arm's run; of a method its first one, which stands for all."""
    runs = sorted(cell for cell in scores.cells() if cell.arm == arm)
    if len(runs) > 1 and about == "artefact":
        raise MeasurementUndefined(
            f"arm '{arm}' has several runs, and an estimate is about one artefact or about the method that made them",
            seen=", ".join(f"replicate {cell.replicate}" for cell in runs[:8]), allowed="one replicate an arm",
            next_step="--about method, or a table of one run",
        )  # fmt: skip
    return runs[0]


def _notes(table: Read, metrics: Mapping[str, Metric], rows: Sequence[Row], asked: Question) -> list[str]:
    kinds = table.scores.group_by("measure").agg((pl.col("kind") == "binary").all().alias("binary"))
    graded = [name for name, binary in kinds.sort("measure").iter_rows() if not binary]
    unit = [name for name in graded if asked.bounds is None and math.isfinite(metrics[name].high)]
    notes = [f"'{name}' lies in [0, 1], which is taken as its range (--range LOW HIGH)" for name in unit]
    num_claims = sum(len(row.claims) for row in rows)
    if num_claims > 1:
        notes.append(f"{num_claims} claims, each with its confidence by itself: not adjusted for their number")
    return notes


def _row(scores: ScoreTable, cells: Mapping[str, Cell], metric: Metric, stratum: str | None, asked: Question) -> Row:
    index, arms = scores.index, list(cells)
    base = Estimand(
        "the table", metric, cells[arms[0]], stratum=stratum, level=asked.level, population=asked.population,
        bank_size=asked.bank_size, about=asked.about, missing=asked.missing, sizes=asked.sizes,
    )  # fmt: skip
    each = {arm: replace(base, cell=cells[arm]) for arm in arms}
    row = Row(metric.name, stratum or "", tuple(estimate(scores, index, one) for one in each.values()))
    if asked.compare is not None:
        one, other = asked.compare
        difference = replace(base, cell=cells[one], contrast=cells[other])
        each = {f"{one} minus {other}": difference}
        bounds = estimate(scores, index, replace(difference, purpose="claim", confidence=(1 + asked.level) / 2))
        described = estimate(scores, index, difference)
        row = replace(row, difference=described, words=words(bounds, asked.margin), bounds=bounds)
    return replace(row, claims=tuple(_claims(scores, index, each, asked.claim)))


def _claims(
    scores: ScoreTable, index: ItemIndex, each: Mapping[str, Estimand], claim: Threshold | None
) -> Iterator[Claimed]:
    if claim is None:
        return
    for name, estimand in each.items():
        asked = replace(estimand, purpose="claim", confidence=claim.confidence, side=claim.side)
        bounds = estimate(scores, index, asked)
        verdict, reason = judge(bounds, claim)
        step = f" (next: {bounds.next_step})" if bounds.lower is None and bounds.next_step else ""
        yield Claimed(name, verdict, reason + step, bounds)


def _metric(table: Read, measure: str, bounds: tuple[float, float] | None) -> Metric:
    values = table.scores.filter(pl.col("measure") == measure)["value"].drop_nulls().drop_nans()
    if bounds is not None:
        low, high = bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise MeasurementUndefined("a range needs low < high", seen=f"{low} {high}", next_step="--range 0 1")
    else:
        inside = len(values) == 0 or bool(((values >= 0) & (values <= 1)).all())
        low, high = (0.0, 1.0) if inside else (-math.inf, math.inf)
    return Metric(measure, (measure,), first, ((low,), (high,)), low, high)


def record(found: Answers) -> dict[str, Any]:
    """The same for a program."""
    rows = [
        {"measure": row.measure, "stratum": row.stratum, "estimates": row.arms, "difference": row.difference,
         "words": row.words, "bounds": row.bounds, "claims": row.claims}
        for row in found.rows
    ]  # fmt: skip
    return {"arms": found.arms, "notes": found.notes, "rows": rows}


def exit_code(found: Answers) -> int:
    """0, or where something was claimed the worst verdict's."""
    return max((EXIT[one.verdict] for row in found.rows for one in row.claims), default=0)
