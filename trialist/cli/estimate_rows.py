"""A block of logs -> its rows: each measure's estimates, the comparison, what it could have seen, and the claim."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from trialist.cli.estimate_records import Claimed, Question, Row
from trialist.cli.estimate_stated import stated_of
from trialist.errors import MeasurementUndefined
from trialist.logs.blocks import Block, Pair, Part
from trialist.measurement.claims import Threshold, judge, words
from trialist.measurement.estimand import About, Estimand, estimate
from trialist.measurement.metrics import Metric, mean_between, mean_seen
from trialist.measurement.planning.observed import detectable_difference
from trialist.measurement.reading import index_items, read
from trialist.measurement.score_table import ScoreTable
from trialist.records import Cell, Estimate

NO_REASON = "no reason given"
TABLE = "the table"


def rows_of(block: Block, asked: Question) -> list[Row]:
    """The block's measures in order, each followed by its strata if they are asked for."""
    rows = _Rows(block, asked)
    measures = block.measures if "metric" in asked.by else block.measures[:1]
    strata = rows.strata if "stratum" in asked.by else []
    return [rows.row(measure, stratum) for measure in measures for stratum in (None, *strata)]


def metric_of(values: pl.Series, measure: str, bounds: tuple[float, float] | None) -> Metric:
    """The mean of a measure, between ``bounds`` where they are given."""
    if bounds is None:
        return mean_seen(measure, values.drop_nulls().to_numpy())
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise MeasurementUndefined("a range needs low < high", seen=f"{low} {high}", next_step="--range 0 1")
    return mean_between(measure, low, high)


@dataclass(frozen=True)
class _Ready:
    """Scores that can be asked for, and the cell of each arm in them."""

    table: ScoreTable
    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, part: Part | Pair, arms: Sequence[str], about: About) -> _Ready:
        table = ScoreTable(part.scores, index_items(part.items))
        return cls(table, {arm: _cell(table, arm, about) for arm in arms})

    def estimate(self, estimand: Estimand) -> Estimate:
        return estimate(self.table, self.table.index, estimand)


def _cell(table: ScoreTable, arm: str, about: About) -> Cell:
    """The arm's run; of a method its first one, which stands for all."""
    runs = sorted(cell for cell in table.cells() if cell.arm == arm)
    if len(runs) > 1 and about == "artefact":
        raise MeasurementUndefined(
            f"arm '{arm}' has several runs, and an estimate is about one artefact or about the method that made them",
            seen=", ".join(f"replicate {cell.replicate}" for cell in runs[:8]), allowed="one replicate an arm",
            next_step="--about method, or a table of one run",
        )  # fmt: skip
    return runs[0]


class _Rows:
    def __init__(self, block: Block, asked: Question) -> None:
        self._block, self._asked = block, asked
        self._arms = {arm: _Ready.of(part, [arm], asked.about) for arm, part in block.parts.items()}
        pair = block.pair
        self._pair = _Ready.of(pair, [pair.first, pair.second], asked.about) if pair else None

    @property
    def strata(self) -> list[str]:
        return sorted({stratum for one in self._arms.values() for stratum in one.table.index.strata if stratum})

    def row(self, measure: str, stratum: str | None) -> Row:
        block, asked = self._block, self._asked
        scores = {arm: part.scores.filter(pl.col("measure") == measure) for arm, part in block.parts.items()}
        scores = {arm: rows for arm, rows in scores.items() if len(rows)}
        metric = metric_of(pl.concat([rows["value"] for rows in scores.values()]), measure, asked.bounds)
        each = {arm: self._estimand(metric, self._arms[arm].cells[arm], stratum) for arm in scores}
        each = {
            arm: one for arm, one in each.items() if stratum is None or stratum in self._arms[arm].table.index.strata
        }
        row = Row(
            block.task, measure, stratum or "", tuple(self._arms[arm].estimate(one) for arm, one in each.items()),
            judged=any(_by_judge_alone(rows) for rows in scores.values()),
            clustered_by=" or ".join(dict.fromkeys(p.clustered_by for p in block.parts.values() if p.clustered_by)),
        )  # fmt: skip
        row = replace(row, **_answers(block, scores, stratum))
        claimed: list[tuple[str, _Ready, Estimand]] = [(arm, self._arms[arm], one) for arm, one in each.items()]
        pair = block.pair
        if pair and self._pair and pair.first in scores and pair.second in scores:
            one, other = (self._pair.cells[arm] for arm in (pair.first, pair.second))
            difference = replace(self._estimand(metric, one, stratum), contrast=other)
            row = self._compared(row, self._pair, difference)
            claimed = [(f"{pair.first} minus {pair.second}", self._pair, difference)]
        elif asked.compare is not None:
            claimed = []
        if stratum is None:
            row = replace(row, stated=tuple(stated_of(block, scores, row.arms, asked.level)))
        return replace(row, claims=tuple(_claims(claimed, asked.claim)))

    def _estimand(self, metric: Metric, cell: Cell, stratum: str | None) -> Estimand:
        asked = self._asked
        return Estimand(
            self._block.task or TABLE, metric, cell, stratum=stratum, level=asked.level, population=asked.population,
            bank_size=asked.bank_size, about=asked.about, missing=asked.missing, sizes=asked.sizes,
        )  # fmt: skip

    def _compared(self, row: Row, ready: _Ready, difference: Estimand) -> Row:
        asked = self._asked
        bounds = ready.estimate(replace(difference, purpose="claim", confidence=(1 + asked.level) / 2))
        described = ready.estimate(difference)
        row = replace(row, difference=described, words=words(bounds, asked.margin), bounds=bounds)
        if asked.population != "process" or asked.about != "artefact":
            return replace(row, undetectable="known for one run and population process")
        sample = read(
            ready.table, ready.table.index, metric=difference.metric, cell=difference.cell,
            contrast=difference.contrast, stratum=difference.stratum,
        )  # fmt: skip
        try:
            return replace(row, detectable=detectable_difference(sample, level=asked.level))
        except MeasurementUndefined as undefined:
            return replace(row, undetectable=undefined.problems[0].message)


def _by_judge_alone(rows: pl.DataFrame) -> bool:
    kinds = rows["scorer_kind"].unique().to_list()
    return "judge" in kinds and "human" not in kinds


def _answers(block: Block, scores: Mapping[str, pl.DataFrame], stratum: str | None) -> dict[str, dict[str, object]]:
    """Of each arm the answers that were to be scored, and how many have no score, by reason."""
    missing: dict[str, object] = {}
    num: dict[str, object] = {}
    for arm, rows in scores.items():
        kept = rows.filter(pl.col("scorer_kind") != "human") if (rows["scorer_kind"] != "human").any() else rows
        if stratum is not None:
            items = block.parts[arm].items
            inside = items.filter(pl.col("stratum") == stratum)["id"]
            kept = kept.filter(pl.col("item").is_in(inside.implode()))
        gone = kept.filter(pl.col("value").is_null())
        counts = gone.select(pl.col("reason").replace("", NO_REASON)).group_by("reason", maintain_order=True).len()
        counts = counts.sort("len", descending=True, maintain_order=True)
        if len(counts):
            missing[arm] = dict(counts.iter_rows())
        num[arm] = len(kept)
    return {"missing": missing, "num_answers": num}


def _claims(each: Sequence[tuple[str, _Ready, Estimand]], claim: Threshold | None) -> Iterator[Claimed]:
    if claim is None:
        return
    for name, ready, estimand in each:
        bounds = ready.estimate(replace(estimand, purpose="claim", confidence=claim.confidence, side=claim.side))
        verdict, reason = judge(bounds, claim)
        step = f" (next: {bounds.next_step})" if bounds.lower is None and bounds.next_step else ""
        yield Claimed(name, verdict, reason + step, bounds)
