"""Scores -> the estimates a trial needs: every outcome in every cell, every change against the control, every claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from trialist.evaluations.protocol import identity
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ScoreTable
from trialist.records import CELL_COLUMNS, Cell, Claim, Estimate
from trialist.trial.plan import cells
from trialist.trial.spec import Trial


@dataclass(frozen=True)
class Tables:
    """The records of a run, by evaluation identity where it matters."""

    items: Mapping[str, pl.DataFrame]
    answers: pl.DataFrame
    scores: pl.DataFrame


def all_estimates(trial: Trial, claims: tuple[Claim, ...], tables: Tables) -> tuple[Estimate, ...]:
    """Descriptions first, in the order of outcomes and cells, then one estimate for each bound that a claim needs."""
    wanted = list(dict.fromkeys([*_descriptions(trial, tables), *_for_claims(trial, claims)]))
    ready = {name: _Outcome(trial, name, tables) for name in trial.outcomes}
    return tuple(ready[estimand.outcome].estimate(estimand) for estimand in wanted)


def claim_estimates(trial: Trial, claims: tuple[Claim, ...], tables: Tables) -> tuple[Estimate, ...]:
    """What the gate looks for, and nothing that only describes."""
    wanted = list(dict.fromkeys(_for_claims(trial, claims)))
    ready = {name: _Outcome(trial, name, tables) for name in dict.fromkeys(one.outcome for one in wanted)}
    return tuple(ready[estimand.outcome].estimate(estimand) for estimand in wanted)


class _Outcome:
    """One outcome's rows, looked up by cell."""

    def __init__(self, trial: Trial, name: str, tables: Tables) -> None:
        key = identity(trial.outcomes[name].evaluation)
        measured = pl.col("measure").is_in(trial.outcomes[name].measured.columns)
        scores = tables.scores.filter((pl.col("evaluation") == key) & measured)
        answers = tables.answers.filter((pl.col("evaluation") == key) & (pl.col("status") == "ok"))
        self._answered = {_cell(k): set(rows["item"]) for k, rows in answers.group_by(list(CELL_COLUMNS))}
        self._index = index_items(tables.items[key])
        self._table = ScoreTable(scores, self._index)

    def estimate(self, estimand: Estimand) -> Estimate:
        found = [cell for cell in (estimand.cell, estimand.contrast) if cell is not None]
        answered = set[str].intersection(*(self._answered.get(cell, set[str]()) for cell in found))
        return estimate(self._table, self._index, estimand, answered=answered)


def _cell(key: tuple[Any, ...]) -> Cell:
    return Cell(*key)


def _descriptions(trial: Trial, tables: Tables) -> Iterator[Estimand]:
    level = trial.design.level
    control = trial.control
    for name, outcome in trial.outcomes.items():
        items = tables.items[identity(outcome.evaluation)]
        strata = items["stratum"].unique().sort().to_list() if outcome.by else []
        for cell in cells(trial):
            if cell.threat and cell.threat not in outcome.under:
                continue
            plain = Estimand(name, outcome.measured, cell, level=level, stopping=trial.design.stopping)
            beside = replace(cell, arm=control or "", replicate=trial.control_replicate(cell.replicate))
            contrasts = [beside] if control and cell.arm != control else []
            for stratum in [None, *strata]:
                one = replace(plain, stratum=stratum)
                yield one
                yield from (replace(one, contrast=contrast) for contrast in contrasts)


def _for_claims(trial: Trial, claims: tuple[Claim, ...]) -> Iterator[Estimand]:
    """What the gate will look for: the claim itself, the positive control, the attack's null."""
    for claim in claims:
        needed = [(claim.outcome, claim.cell, claim.contrast)]
        if claim.positive:
            needed.append((claim.outcome, claim.positive, None))
        if claim.null:
            needed.append((claim.null, claim.cell, None))
        for name, cell, contrast in needed:
            if name not in trial.outcomes or not _measured(trial, name, cell):
                continue
            yield Estimand(
                name,
                trial.outcomes[name].measured,
                cell,
                contrast=contrast,
                purpose="claim",
                confidence=claim.confidence,
                side=claim.side,
                stopping=trial.design.stopping,
            )


def _measured(trial: Trial, outcome: str, cell: Cell) -> bool:
    return not cell.threat or cell.threat in trial.outcomes[outcome].under
