"""``trialist estimate``: the estimates of a table of scores that already exists, on one screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import polars as pl
from rich.table import Table
from rich.text import Text

from trialist.cli.results import plain_console
from trialist.errors import MeasurementUndefined, NameUnknown
from trialist.logs.table import Columns, Read, read_tables
from trialist.measurement.choose import Population
from trialist.measurement.claims import Threshold, judge, words
from trialist.measurement.estimand import About, Estimand, estimate
from trialist.measurement.metrics import Metric, first
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ItemIndex, ScoreTable
from trialist.records import Cell, Estimate, Verdict
from trialist.wording import format_count, format_estimate, format_interval, format_p, visible

WORDS = ("better", "worse", "equivalent", "can't tell")
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


@dataclass(frozen=True)
class Row:
    """One measure in one stratum: an estimate an arm, and the comparison. ``words``: better, worse, equivalent or can't
    tell; ``verdicts`` of the claim, one an arm or one for the comparison."""

    measure: str
    stratum: str
    arms: tuple[Estimate, ...]
    difference: Estimate | None = None
    words: str = ""
    verdicts: tuple[tuple[str, Verdict, str], ...] = ()


@dataclass(frozen=True)
class Answers:
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def checked(population: str, about: str) -> tuple[Population, About]:
    """The two words if they are known. Raises NameUnknown."""
    if population not in get_args(Population):
        raise NameUnknown("population", population, get_args(Population))
    if about not in get_args(About):
        raise NameUnknown("about", about, get_args(About))
    return cast(Population, population), cast(About, about)


def answer(paths: Sequence[Path], question: Question) -> Answers:
    """Read the files and estimate every measure in every arm, the comparison if one is asked for, and the claim."""
    table = read_tables(paths, question.columns)
    for arm in question.compare or ():
        if arm not in table.arms:
            raise NameUnknown("arm", arm, table.arms, see="arms are named by their files, or by --arm COLUMN")
    index = index_items(table.items)
    scores = ScoreTable(table.scores, index)
    strata = [stratum for stratum in index.strata if stratum] if question.by_stratum else []
    rows = [
        _row(scores, index, _metric(table, measure, question.bounds), stratum, table.arms, question)
        for measure in table.measures
        for stratum in [None, *strata]
    ]
    return Answers(table.arms, tuple(rows), tuple(table.notes))


def _row(
    scores: ScoreTable, index: ItemIndex, metric: Metric, stratum: str | None, arms: tuple[str, ...], asked: Question
) -> Row:
    base = Estimand(
        "the table", metric, Cell(arms[0]), stratum=stratum, level=asked.level, population=asked.population,
        bank_size=asked.bank_size, about=asked.about,
    )  # fmt: skip
    found = tuple(estimate(scores, index, replace(base, cell=Cell(arm))) for arm in arms)
    row = Row(metric.name, stratum or "", found)
    cells = [(arm, replace(base, cell=Cell(arm))) for arm in arms]
    if asked.compare is not None:
        one, other = asked.compare
        difference = replace(base, cell=Cell(one), contrast=Cell(other))
        cells = [(f"{one} minus {other}", difference)]
        claimed = estimate(scores, index, replace(difference, purpose="claim", confidence=(1 + asked.level) / 2))
        described = estimate(scores, index, difference)
        row = replace(row, difference=described, words=words(claimed, asked.margin))
    return replace(row, verdicts=tuple(_verdicts(scores, index, cells, asked.claim)))


def _verdicts(
    scores: ScoreTable, index: ItemIndex, cells: Sequence[tuple[str, Estimand]], claim: Threshold | None
) -> Iterator[tuple[str, Verdict, str]]:
    if claim is None:
        return
    for name, estimand in cells:
        asked = replace(estimand, purpose="claim", confidence=claim.confidence, side=claim.side)
        yield (name, *judge(estimate(scores, index, asked), claim))


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


# --- on the screen ---------------------------------------------------------------------------------------


def show(found: Answers, *, level: float) -> None:
    console = plain_console()
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("")
    for arm in found.arms:
        table.add_column(Text(visible(arm)), no_wrap=True)
    compared = next((row.difference for row in found.rows if row.difference is not None), None)
    if compared is not None and compared.contrast is not None:
        table.add_column(Text(visible(f"{compared.cell.arm} minus {compared.contrast.arm}")), no_wrap=True)
        table.add_column("")
    for row in found.rows:
        table.add_row(*(Text(text) for text in _texts(row)))
    console.print(table)
    for line in dict.fromkeys(line for row in found.rows for line in _lines(row)):
        console.print(visible(line), markup=False, soft_wrap=True)
    console.print(f"intervals at {level:.0%}", markup=False)
    for method in _methods(found):
        console.print(f"  {method}", markup=False, soft_wrap=True)
    if compared is not None:
        note = f"{', '.join(WORDS)}: from bounds that hold at any sample size, each at {(1 + level) / 2:g}"
        console.print(note + "; intervals and p describe", markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {visible(note)}", markup=False, soft_wrap=True)
    for row in found.rows:
        for name, verdict, reason in row.verdicts:
            style = {"PASS": "green", "FAIL": "bold red", "UNDECIDED": "yellow"}[verdict]
            where = f"{row.measure}{', ' + row.stratum if row.stratum else ''}, {name}"
            console.print(Text.assemble((f"{verdict:<11}", style), visible(f"{where}: {reason}")), soft_wrap=True)


def _texts(row: Row) -> list[str]:
    label = f"  {visible(row.stratum)}" if row.stratum else visible(row.measure)
    texts = [label, *(format_estimate(one) for one in row.arms)]
    if row.difference is not None:
        p = row.difference.p_value
        texts += [format_estimate(row.difference), row.words + (f", p {format_p(p)}" if p is not None else "")]
    return texts


def _lines(row: Row) -> Iterator[str]:
    """What is missing, undefined or to be warned of, a line each."""
    for one in [*row.arms, *([row.difference] if row.difference else [])]:
        where = f"{row.measure}{', ' + row.stratum if row.stratum else ''}, {one.cell.label}"
        where += f" minus {one.contrast.label}" if one.contrast else ""
        if one.counts.missing:
            counts = f"{format_count(one.counts.scored)} of {format_count(one.counts.attempted)} items scored"
            yield f"{where}: {counts}, {format_count(one.num_clusters)} clusters{_worst(one)}"
        if one.reason:
            yield f"{where}: {one.reason}" + (f" (next: {one.next_step})" if one.next_step else "")
        for warning in one.warnings:
            if "items missing" in warning:  # said above
                continue
            yield f"{where}: {warning}"


def _worst(one: Estimate) -> str:
    if not one.counts.missing or one.worst_low is None or one.worst_high is None:
        return ""
    return f"; whatever the missing are, it lies in {format_interval(one.worst_low, one.worst_high)}"


def _methods(found: Answers) -> list[str]:
    """Each method that was used, why, and what is known to go wrong with it."""
    used = [e for row in found.rows for e in [*row.arms, *([row.difference] if row.difference else [])] if e.citation]
    lines = {f"{e.method} ({e.citation}): {e.why}" + (f"; {e.shortfall}" if e.shortfall else "") for e in used}
    return sorted(lines)


def record(found: Answers) -> dict[str, Any]:
    """The same for a program."""
    return {
        "arms": found.arms,
        "notes": found.notes,
        "rows": [
            {
                "measure": row.measure,
                "stratum": row.stratum,
                "estimates": row.arms,
                "difference": row.difference,
                "words": row.words,
                "claims": [{"of": name, "verdict": verdict, "reason": why} for name, verdict, why in row.verdicts],
            }
            for row in found.rows
        ],
    }


def exit_code(found: Answers) -> int:
    """0, or where something was claimed the worst verdict's."""
    return max((EXIT[verdict] for row in found.rows for _, verdict, _ in row.verdicts), default=0)
