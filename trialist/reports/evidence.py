"""What a report shows: the content of a run folder, already read, and how to find things in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from trialist.records import Cell, Claim, Decision, Estimate, Recovery, Stopping, claim_of

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """``trial`` is the content of trial.json, ``items`` maps an evaluation's identity to its items (ITEM_COLUMNS)."""

    trial: Json
    items: Mapping[str, pl.DataFrame]
    answers: pl.DataFrame
    scores: pl.DataFrame
    estimates: tuple[Estimate, ...]
    recoveries: tuple[Recovery, ...]
    decision: Decision | None
    receipts: tuple[Json, ...]
    stopping: Stopping | None = None


@dataclass(frozen=True)
class Outcome:
    """One entry of trial.json's outcomes; ``index`` counts them from 1 and makes anchors."""

    index: int
    name: str
    evaluation: str
    metric: str
    role: str
    want: str
    margin: float | None
    unit: str
    under: tuple[str, ...]
    measures: tuple[str, ...]

    def anchor(self, threat: str = "") -> str:
        """The id of this outcome's table of items, without a threat or under one of ``under``."""
        suffix = f"-{self.under.index(threat) + 1}" if threat in self.under else ""
        return f"items-{self.index}{suffix}"


def outcomes(evidence: Evidence) -> list[Outcome]:
    found: list[Outcome] = []
    for index, (name, data) in enumerate(_mapping(evidence.trial, "outcomes").items(), start=1):
        found.append(
            Outcome(
                index=index,
                name=name,
                evaluation=str(data.get("evaluation", "")),
                metric=str(data.get("metric", "")),
                role=str(data.get("role", "secondary")),
                want=str(data.get("want", "none")),
                margin=data.get("margin"),
                unit=str(data.get("unit") or "share"),
                under=tuple(data.get("under") or ()),
                measures=tuple(data.get("measures") or ()),
            )
        )
    return found


def arms(evidence: Evidence) -> Mapping[str, Json]:
    return _mapping(evidence.trial, "arms")


def threats(evidence: Evidence) -> Mapping[str, Json]:
    return _mapping(evidence.trial, "threats")


def role_of(evidence: Evidence, arm: str) -> str:
    return str(arms(evidence).get(arm, {}).get("role", "candidate"))


def control_of(evidence: Evidence) -> str:
    """The control arm, or an empty string."""
    return next((name for name in arms(evidence) if role_of(evidence, name) == "control"), "")


def candidate_of(evidence: Evidence) -> str:
    """The first candidate arm, else the first arm that isn't the control, else the first one."""
    names = list(arms(evidence))
    candidates = [name for name in names if role_of(evidence, name) == "candidate"]
    others = [name for name in names if name != control_of(evidence)]
    return next(iter([*candidates, *others, *names]), "")


def cells(evidence: Evidence, threat: str = "", dose: float = 0.0) -> Iterator[Cell]:
    """The planned cells at one dose, in the order of the arms: every replicate."""
    for name, arm in arms(evidence).items():
        for replicate in range(int(arm.get("replicates") or 1)):
            yield Cell.make(name, replicate, threat, 0, dose)


def doses_of(evidence: Evidence, threat: str) -> list[float]:
    """The doses of a threat, with 0, rising."""
    return sorted({0.0, *(float(dose) for dose in threats(evidence).get(threat, {}).get("doses") or ())})


def strata_of(evidence: Evidence, outcome: str) -> list[str]:
    """The strata that an outcome has estimates of its own for, none if it was not split."""
    return sorted({e.stratum for e in evidence.estimates if e.outcome == outcome and e.stratum})


def described(
    evidence: Evidence, outcome: str, *, threat: str | None = None, stratum: str = "", contrast: bool = False
) -> list[Estimate]:
    """Estimates to be drawn: one for each cell, in one stratum or over all, those that describe before those of claims.

    ``threat`` None is without a threat; ``contrast`` asks for differences. A threat's dose 0 is the cell without it.
    """
    wanted = "" if threat is None else threat
    best: dict[tuple[Cell, Cell | None], Estimate] = {}
    for estimate in evidence.estimates:
        if (estimate.outcome, estimate.stratum, estimate.contrast is not None) != (outcome, stratum, contrast):
            continue
        cell = estimate.cell
        if cell.threat != wanted and not (cell.threat == "" and wanted):
            continue
        key = (cell, estimate.contrast)
        if key not in best or (best[key].purpose == "claim" and estimate.purpose == "describe"):
            best[key] = estimate
    order = {name: i for i, name in enumerate(arms(evidence))}
    return sorted(best.values(), key=lambda e: (order.get(e.cell.arm, len(order)), e.cell, str(e.contrast)))


def carrying(evidence: Evidence, claim: Claim) -> Estimate | None:
    """The estimate that a claim rests on."""
    key = (claim.outcome, claim.cell, claim.contrast, claim.confidence, "claim", "")
    found = (e for e in evidence.estimates if key == _key(e))
    return next(found, None)


def claims(evidence: Evidence) -> Sequence[Claim]:
    """The claims that were decided, or without a decision the registered ones."""
    if evidence.decision is not None:
        return [result.claim for result in evidence.decision.results]
    return [claim_of(claim) for claim in evidence.trial.get("claims") or ()]


def unmeasured(evidence: Evidence) -> list[str]:
    """Planned cells without any estimate: what was not measured, by outcome."""
    found: list[str] = []
    for outcome in outcomes(evidence):
        measured = {e.cell for e in evidence.estimates if e.outcome == outcome.name}
        planned = list(cells(evidence))
        for threat in outcome.under:
            planned += [c for dose in doses_of(evidence, threat) if dose for c in cells(evidence, threat, dose)]
        found += [f"{outcome.name}: {c.label}" for c in planned if c not in measured]
    return found


def _key(e: Estimate) -> tuple[Any, ...]:
    return (e.outcome, e.cell, e.contrast, e.confidence, e.purpose, e.stratum)


def _mapping(data: Json, key: str) -> Mapping[str, Json]:
    return cast(Mapping[str, Json], data.get(key) or {})
