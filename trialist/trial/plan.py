"""What will be asked, in which order, in which chunks: fixed before the first answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from trialist.errors import EmptyEvaluation, Problem, SpecError
from trialist.evaluations.protocol import Evaluation, identity
from trialist.records import Cell, Item, canonical_json, seed_of, sha256_hex
from trialist.trial.spec import Trial


@dataclass(frozen=True)
class Chunk:
    """Items ``start`` to ``stop`` of one evaluation in one cell: the unit that is complete or absent. ``round`` counts
    the chunks of this evaluation in this cell from 0."""

    number: int
    cell: Cell
    evaluation: str
    start: int
    stop: int
    round: int = 0


@dataclass(frozen=True)
class Plan:
    """``items`` in the order they are asked, per evaluation identity. ``is_sequential``: round by round, until the
    claims are decided."""

    evaluations: Mapping[str, Evaluation]
    items: Mapping[str, tuple[Item, ...]]
    chunks: tuple[Chunk, ...]
    is_sequential: bool = False

    def rounds(self) -> list[list[Chunk]]:
        """The chunks in the order they are answered: all at once, or round by round."""
        if not self.is_sequential:
            return [list(self.chunks)]
        num = max((chunk.round for chunk in self.chunks), default=-1) + 1
        return [[chunk for chunk in self.chunks if chunk.round == number] for number in range(num)]


def make_plan(trial: Trial) -> Plan:
    """Every evaluation once, in the cells its outcomes need; items in an order shuffled by the trial's seed.

    With sequential stopping clusters are shuffled and the items within them, and no chunk ends inside a cluster: a look
    falls between clusters, and its bounds take them one by one in this order.
    """
    sequential = trial.design.stopping == "sequential"
    evaluations: dict[str, Evaluation] = {}
    threats: dict[str, set[str]] = {}
    for outcome in trial.outcomes.values():
        key = identity(outcome.evaluation)
        evaluations.setdefault(key, outcome.evaluation)
        threats.setdefault(key, set()).update(outcome.under)
    items = {key: _ordered_items(one, trial.seed, by_cluster=sequential) for key, one in evaluations.items()}
    cuts = {key: _cuts(rows, trial.design.chunk, by_cluster=sequential) for key, rows in items.items()}
    chunks: list[Chunk] = []
    for cell in cells(trial):
        for key in evaluations:
            if not cell.threat or cell.threat in threats[key]:
                for number, (start, stop) in enumerate(pairwise(cuts[key])):
                    chunks.append(Chunk(len(chunks), cell, key, start, stop, number))
    return Plan(evaluations, items, tuple(chunks), sequential)


def cells(trial: Trial) -> list[Cell]:
    """All cells, subject by subject: an arm's replicate untouched, then under each threat at rising dose."""
    found: list[Cell] = []
    for arm, settings in trial.arms.items():
        for replicate in range(settings.replicates):
            found.append(Cell.make(arm, replicate))
            for name, threat in trial.threats.items():
                found += [Cell.make(arm, replicate, name, 0, dose) for dose in threat.doses if dose > 0]
    return found


def plan_record(plan: Plan) -> dict[str, Any]:
    """The plan as it stands in ``trial.json``: the items' ids in order, a hash of their contents, the chunks."""
    keys = list(plan.items)
    return {
        "evaluations": {key: {"items": len(rows), "sha256": _items_hash(rows)} for key, rows in plan.items.items()},
        "chunks": [[*_cell_values(c.cell), keys.index(c.evaluation), c.start, c.stop] for c in plan.chunks],
        "chunk_columns": ["arm", "replicate", "threat", "attack_run", "dose", "evaluation", "start", "stop"],
        "order": {key: [item.id for item in rows] for key, rows in plan.items.items()},
    }


def _cell_values(cell: Cell) -> list[Any]:
    return [cell.arm, cell.replicate, cell.threat, cell.attack_run, cell.dose]


def _items_hash(items: Sequence[Item]) -> str:
    return sha256_hex(canonical_json([[item.id, item.content_hash] for item in items]))


def _cuts(items: Sequence[Item], size: int, *, by_cluster: bool) -> list[int]:
    """Where chunks of ``size`` items begin and end; of at least ``size`` and whole clusters, if by cluster."""
    cuts = [0]
    while cuts[-1] < len(items):
        stop = min(cuts[-1] + size, len(items))
        while by_cluster and stop < len(items) and items[stop].cluster == items[stop - 1].cluster:
            stop += 1
        cuts.append(stop)
    return cuts


def _ordered_items(evaluation: Evaluation, seed: int, *, by_cluster: bool) -> tuple[Item, ...]:
    items = tuple(evaluation.items())
    if not items:
        raise EmptyEvaluation(
            f"evaluation '{evaluation.name}' has no items",
            seen="0 items",
            allowed="at least one: an empty evaluation measures nothing",
            next_step="check its settings and data",
        )
    counts = Counter(item.id for item in items)
    twice = [name for name, count in counts.items() if count > 1][:5]
    if twice:
        raise SpecError([Problem(f"evaluation '{evaluation.name}' has items with the same id", ", ".join(twice))])
    generator = np.random.default_rng(seed_of(seed, "order", evaluation.name))
    order: list[int] = generator.permutation(len(items)).tolist()
    shuffled = tuple(items[i] for i in order)
    if not by_cluster:
        return shuffled
    # Every cluster has the same chance of every place: by the first of its items, large ones would come early.
    names = sorted({item.cluster for item in items})
    place = dict(zip(names, generator.permutation(len(names)).tolist(), strict=True))
    return tuple(sorted(shuffled, key=lambda item: place[item.cluster]))
