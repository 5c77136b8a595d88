"""A policy and logs -> the decision: each claim of the policy about a task, a metric and an arm of the logs.

What a claim doesn't name has to be the only one there is. The bounds are those of every claim (``Estimand`` with
``purpose="claim"``): missing answers at their worst, a judge without gold labels gives none, and what nobody measured
is UNDECIDED. Logs have no ledger and no registration: the confidence is the policy's, and whether the policy was there
before the answers is for its history to show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from trialist.deployment.gate import decide
from trialist.deployment.log_claims import Asked, Logs, arm_of, asked_of, not_measured
from trialist.deployment.policy import Policy
from trialist.errors import MeasurementUndefined
from trialist.logs.arms import Arms
from trialist.logs.blocks import blocks_of
from trialist.logs.facets import Facets
from trialist.logs.table import INDEPENDENT
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Metric, mean_between, mean_seen
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ScoreTable
from trialist.records import Cell, Claim, Decision, Estimate


@dataclass(frozen=True)
class Judged:
    """The decision, the estimates it rests on, and what a reader must know about it."""

    decision: Decision
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]


def on_logs(policy: Policy, arms: Arms, facets: Facets | None = None) -> Judged:
    """Judge the logs by the policy.

    Raises SpecError for a claim that needs a trial, and for one that leaves open which task, metric or arm it is about.
    """
    wanted = facets or Facets()
    logs = Logs(arms, wanted, blocks_of(arms, None, wanted))
    asked = asked_of(policy, logs)
    claims: list[Claim] = []
    estimates: list[Estimate] = []
    about = [block for block in logs.plain if block.task in {one.task for one in asked}]
    notes = [*arms.notes, *(note for block in about for note in block.notes)]
    for one in asked:
        for claim, found, said in _measured(one, policy, logs):
            claims.append(claim)
            notes += said
            # Bounds may be made for one side: of several that fit a claim, the gate takes the worst.
            estimates += [e for e in found if e not in estimates]
    notes += [warning for e in estimates for warning in e.warnings]
    if any(not part.clustered_by for block in about for part in block.parts.values()):
        notes.append(INDEPENDENT)
    notes += not_measured(asked, logs)
    return Judged(decide(claims, estimates), tuple(estimates), tuple(dict.fromkeys(notes)))


def _measured(one: Asked, policy: Policy, logs: Logs) -> Iterator[tuple[Claim, list[Estimate], list[str]]]:
    """A claim for each run of the arm, with the estimates that it and its positive control rest on."""
    entry = one.entry
    confidence = policy.confidence if entry.confidence is None else entry.confidence
    arm, versus, positive = (arm_of(logs, name) if name else "" for name in (one.arm, entry.versus, entry.positive))
    claim = Claim(entry.name, one.outcome, Cell(arm), entry.side, entry.threshold, confidence, entry.on_fail,
                  Cell(versus) if versus else None, Cell(positive) if positive else None)  # fmt: skip
    source = _source(one, logs, arm, versus)
    if source is None:
        yield claim, [], []
        return
    claim = replace(claim, cell=replace(claim.cell, arm=source.names[0]))
    if claim.contrast is not None:
        claim = replace(claim, contrast=Cell(source.names[1]))
    table, notes = source.table, list(source.notes)
    cells = sorted(cell for cell in table.cells() if cell.arm == claim.cell.arm)
    others = sorted(cell for cell in table.cells() if claim.contrast and cell.arm == claim.contrast.arm)
    metric, said = metric_of(source.scores, one.measure, entry.range)
    controls = _controls(one, logs, positive, metric, claim) if positive else []
    for cell in cells or [claim.cell]:
        contrast = None
        if claim.contrast is not None:
            same = [other for other in others if other.replicate == cell.replicate] or others[:1]
            contrast = same[0] if same else claim.contrast
        suffix = f" (replicate {cell.replicate})" if len(cells) > 1 else ""
        exact = replace(claim, name=claim.name + suffix, cell=cell, contrast=contrast)
        found = []
        if cells and (claim.contrast is None or others):
            found = [_estimate(table, metric, one.outcome, exact.cell, exact.contrast, exact)]
        yield exact, [*found, *controls], [*notes, *said]


@dataclass(frozen=True)
class _Source:
    table: ScoreTable
    scores: pl.DataFrame
    names: tuple[str, str]
    notes: tuple[str, ...] = ()


def _source(one: Asked, logs: Logs, arm: str, versus: str) -> _Source | None:
    """The scores of one arm, or of two on the same items; None where the logs hold nothing of the kind."""
    known = {name for block in logs.plain for name in block.parts}
    if not versus:
        block = next((b for b in logs.plain if b.task == one.task and arm in b.parts), None)
        if block is None or one.measure not in block.parts[arm].scores["measure"]:
            return None
        part = block.parts[arm]
        return _Source(_table(part.scores, part.items, one.measure), _of(part.scores, one.measure), (arm, ""))
    if not {arm, versus} <= known:
        return None
    names, blocks = logs.pair(arm, versus)
    block = next((b for b in blocks if b.task == one.task and b.pair is not None), None)
    if block is None or block.pair is None:
        return None
    scores = _of(block.pair.scores, one.measure)
    if set(scores["arm"].unique()) != set(names):
        return None
    return _Source(_table(scores, block.pair.items, one.measure), scores, names, block.notes)


def _controls(one: Asked, logs: Logs, positive: str, metric: Metric, claim: Claim) -> list[Estimate]:
    source = _source(one, logs, positive, "")
    if source is None:
        return []
    wanted = [cell for cell in source.table.cells() if cell == claim.positive]
    return [_estimate(source.table, metric, one.outcome, cell, None, claim) for cell in wanted]


def _of(scores: pl.DataFrame, measure: str) -> pl.DataFrame:
    return scores.filter(pl.col("measure") == measure)


def _table(scores: pl.DataFrame, items: pl.DataFrame, measure: str) -> ScoreTable:
    return ScoreTable(_of(scores, measure), index_items(items))


def _estimate(
    table: ScoreTable, metric: Metric, outcome: str, cell: Cell, contrast: Cell | None, claim: Claim
) -> Estimate:
    estimand = Estimand(outcome, metric, cell, contrast, purpose="claim", confidence=claim.confidence, side=claim.side)
    return estimate(table, table.index, estimand)


def metric_of(
    scores: pl.DataFrame, measure: str, limits: tuple[float, float] | None = None
) -> tuple[Metric, list[str]]:
    """The mean of a measure between ``limits``, or what was assumed of its range. Raises MeasurementUndefined for a
    value beyond them."""
    values = scores["value"].drop_nulls()
    if limits is not None:
        beyond = values.filter(~values.is_between(*limits))
        if len(beyond):
            raise MeasurementUndefined(
                f"'{measure}' has values beyond the range that the policy gives it", seen=f"{beyond[0]:g}",
                allowed=f"{limits[0]:g} to {limits[1]:g}", next_step="correct 'range' in the policy",
            )  # fmt: skip
        return mean_between(measure, *limits), []
    metric = mean_seen(measure, values.to_numpy())
    if math.isinf(metric.high):
        return metric, [f"the range of '{measure}' isn't known, so its claims have no bounds: {_STEP}"]
    if values.is_in([0.0, 1.0]).all():
        return metric, [f"'{measure}' is taken as 0 or 1, as all its values are: if it can have others, {_STEP}"]
    return metric, [f"'{measure}' lies in [0, 1], which is taken as its range: if it is another, {_STEP}"]


_STEP = "give the claim 'range: [low, high]'"
