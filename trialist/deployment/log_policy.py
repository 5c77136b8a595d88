"""A policy and logs -> the decision: each claim of the policy about a task, a metric and an arm of the logs.

What a claim doesn't name has to be the only one there is. The bounds are those of every claim (``Estimand`` with
``purpose="claim"``): missing answers at their worst, a judge without gold labels gives none, and what nobody measured
is UNDECIDED. Logs have no ledger and no registration: the confidence is the policy's, and whether the policy was there
before the answers is for its history to show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from trialist.deployment.gate import decide
from trialist.deployment.policy import Policy, PolicyClaim
from trialist.errors import Problem, SpecError, did_you_mean
from trialist.logs.arms import Arms, compared
from trialist.logs.blocks import Block, blocks_of
from trialist.logs.facets import Facets
from trialist.logs.table import INDEPENDENT
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Metric, mean_between
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ScoreTable
from trialist.records import Cell, Claim, Decision, Estimate

_Names = tuple[str, str]
TRIAL_ONLY = ("outcome", "threat", "dose", "null")


@dataclass(frozen=True)
class Judged:
    """The decision, the estimates it rests on, and what a reader must know about it."""

    decision: Decision
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]


@dataclass
class _Logs:
    """The logs as claims ask for them: blocks of all arms, and of each pair that is compared."""

    arms: Arms
    facets: Facets
    plain: Sequence[Block]
    pairs: dict[_Names, tuple[_Names, Sequence[Block]]] = field(default_factory=lambda: {})

    @property
    def tasks(self) -> list[str]:
        return [block.task for block in self.plain]

    def pair(self, arm: str, other: str) -> tuple[tuple[str, str], Sequence[Block]]:
        if (arm, other) not in self.pairs:
            arms, names = compared(self.arms, arm, other)
            self.pairs[arm, other] = names, blocks_of(arms, names, self.facets)
        return self.pairs[arm, other]


@dataclass(frozen=True)
class _Asked:
    """One claim of the policy with everything named."""

    entry: PolicyClaim
    task: str
    measure: str
    arm: str

    @property
    def outcome(self) -> str:
        return f"{self.task}: {self.measure}" if self.task else self.measure


def on_logs(policy: Policy, arms: Arms, facets: Facets | None = None) -> Judged:
    """Judge the logs by the policy.

    Raises SpecError for a claim that needs a trial, and for one that leaves open which task, metric or arm it is about.
    """
    wanted = facets or Facets()
    logs = _Logs(arms, wanted, blocks_of(arms, None, wanted))
    problems = list(_not_of_logs(policy))
    asked: list[_Asked] = []
    for index, entry in enumerate(policy.claims):
        found = _named(entry, logs)
        if isinstance(found, Problem):
            problems.append(found.at(("claims", index)))
        else:
            asked.append(found)
    if problems:
        raise SpecError(problems)
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
    notes += _not_measured(asked, logs)
    return Judged(decide(claims, estimates), tuple(estimates), tuple(dict.fromkeys(notes)))


def _not_of_logs(policy: Policy) -> Iterator[Problem]:
    if policy.tries is not None:
        yield Problem(
            "tries are counted by the ledger of trials, and logs have none", f"{list(policy.tries)}",
            next_step="leave out 'tries', or set the confidence of each claim", where=("tries",),
        )  # fmt: skip
    for index, entry in enumerate(policy.claims):
        for key in TRIAL_ONLY:
            if getattr(entry, key):
                step = "name 'task' and 'metric'" if key == "outcome" else f"leave out '{key}'"
                allowed = "task, metric, arm, versus, positive"
                yield Problem(f"'{key}' is for claims about a trial", f"{getattr(entry, key)}", allowed, step,
                              ("claims", index, key))  # fmt: skip


def _named(entry: PolicyClaim, logs: _Logs) -> _Asked | Problem:
    """The claim with its task, metric and arm; where it names none, the only one there is."""
    task = _one("task", entry.task, logs.tasks)
    if isinstance(task, Problem):
        return task
    blocks = [block for block in logs.plain if block.task == task]
    measure = _one("metric", entry.metric, [name for block in blocks for name in block.measures])
    if isinstance(measure, Problem):
        return measure
    others = [entry.versus, *([_arm(logs, entry.versus)] if entry.versus else [])]
    arms = list(dict.fromkeys(arm for block in blocks for arm in block.parts if arm not in others))
    arm = _one("arm", entry.arm, arms)
    return arm if isinstance(arm, Problem) else _Asked(entry, task, measure, arm)


def _one(key: str, given: str, there: Sequence[str]) -> str | Problem:
    names = list(dict.fromkeys(there))
    if given or len(names) == 1:
        return given or names[0]
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return Problem(f"which {key}? there are {len(names)}", "none named", shown, f"add '{key}: ...'", (key,))


def _arm(logs: _Logs, name: str) -> str:
    """The arm that a name means: an arm, a model that is one arm, or a path whose logs are one arm."""
    if name in logs.arms.logs:
        return name
    for fits in (_is_model, _is_path):
        found = [
            arm
            for arm, group in logs.arms.logs.items()
            if all(fits(name, one.log.source.model, one.run) for one in group)
        ]
        if len(found) == 1:
            return found[0]
    return name


def _is_model(name: str, model: str, _: Path) -> bool:
    return model == name


def _is_path(name: str, _: str, run: Path) -> bool:
    return Path(name) == run or Path(name).resolve() == run.resolve()


def _measured(one: _Asked, policy: Policy, logs: _Logs) -> Iterator[tuple[Claim, list[Estimate], list[str]]]:
    """A claim for each run of the arm, with the estimates that it and its positive control rest on."""
    entry = one.entry
    confidence = policy.confidence if entry.confidence is None else entry.confidence
    arm, versus, positive = (_arm(logs, name) if name else "" for name in (one.arm, entry.versus, entry.positive))
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
    metric, said = metric_of(source.scores, one.measure)
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


def _source(one: _Asked, logs: _Logs, arm: str, versus: str) -> _Source | None:
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


def _controls(one: _Asked, logs: _Logs, positive: str, metric: Metric, claim: Claim) -> list[Estimate]:
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


def metric_of(scores: pl.DataFrame, measure: str) -> tuple[Metric, list[str]]:
    """The mean of a measure, and what was assumed: from 0 to 1 where all its values lie there, else of unknown range,
    which leaves a claim without bounds."""
    values = scores["value"].drop_nulls()
    inside = bool(values.is_between(0, 1).all())
    low, high = (0.0, 1.0) if inside else (-math.inf, math.inf)
    graded = inside and not bool(values.is_in([0.0, 1.0]).all())
    said = [f"'{measure}' lies in [0, 1], which is taken as its range"] if graded else []
    return mean_between(measure, low, high), said


def _not_measured(asked: Sequence[_Asked], logs: _Logs) -> Iterator[str]:
    """Names in the policy that are nothing in the logs: most often a wrong spelling."""
    measures = list(dict.fromkeys(name for block in logs.plain for name in block.measures))
    known: Mapping[str, Sequence[str]] = {"task": logs.tasks, "metric": measures, "arm": list(logs.arms.logs)}
    for one in asked:
        entry = one.entry
        given = [("task", one.task), ("metric", one.measure)]
        given += [("arm", _arm(logs, name)) for name in (one.arm, entry.versus, entry.positive) if name]
        for key, name in given:
            if name not in known[key]:
                near = did_you_mean(name, known[key], f"there are: {', '.join(known[key][:8])}")
                yield f"no {key} '{name}' in these logs; {near}"
