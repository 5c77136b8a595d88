"""The records that flow one way through a run folder:

    Item --model--> Answer --scorer--> Score --estimator--> Estimate --policy--> Decision

Each is frozen and versioned. One dataclass is one row of a polars table; the ``*_COLUMNS`` constants are the
tables' schemas, so a million scores are a table and not a million objects. ``Cell`` says where in the trial a
row belongs. Nothing here reads a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1

Status = Literal["ok", "truncated", "error", "missing"]
ScorerKind = Literal["program", "judge", "human"]
ValueKind = Literal["binary", "ordinal", "bounded", "real", "pairwise"]
Side = Literal["below", "above"]
OnFail = Literal["block", "hold"]
Verdict = Literal["PASS", "FAIL", "UNDECIDED"]
Ruling = Literal["PROMOTE", "HOLD", "BLOCK"]


# --- cells -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Cell:
    """Where a measurement belongs: one replicate of one arm under one threat at one dose.

    No threat is dose 0 of every threat: ``Cell.make`` gives both the same cell, so that they share answers.
    """

    arm: str
    replicate: int = 0
    threat: str = ""
    attack_run: int = 0
    dose: float = 0.0

    @classmethod
    def make(cls, arm: str, replicate: int = 0, threat: str = "", attack_run: int = 0, dose: float = 0.0) -> Cell:
        if not threat or dose == 0:
            return cls(arm, replicate)
        return cls(arm, replicate, threat, attack_run, float(dose))

    @property
    def label(self) -> str:
        name = self.arm if self.replicate == 0 else f"{self.arm}#{self.replicate}"
        return f"{name}, {self.threat} {self.dose:g}" if self.threat else name


# --- items, answers, scores ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One question. ``target`` is the index of the right option, ``reference`` the right text of an open question.

    ``cluster`` is the independent unit (template, source question, compound); ``stratum`` a category or group.
    """

    id: str
    input: str
    cluster: str
    options: tuple[str, ...] = ()
    target: int | None = None
    reference: str = ""
    stratum: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def content_hash(self) -> str:
        return sha256_hex(canonical_json(dataclasses.asdict(self)))


@dataclass(frozen=True)
class Answer:
    """What a model did with one item. ``logprobs[i]`` is the natural log-probability of option i given the prompt,
    ``num_tokens[i]`` and ``num_bytes[i]`` its length. ``reason`` says why the status is not ``ok``."""

    cell: Cell
    evaluation: str
    item: str
    epoch: int
    status: Status
    text: str = ""
    logprobs: tuple[float, ...] = ()
    num_tokens: tuple[int, ...] = ()
    num_bytes: tuple[int, ...] = ()
    reason: str = ""
    seed: int = 0
    asked_hash: str = ""


@dataclass(frozen=True)
class Score:
    """One measure of one answer. ``value`` is None where the answer could not be scored; ``reason`` says why.

    Every item that ought to have a measure gets a row for it, scored or not: that is how missing values are counted.
    """

    measure: str
    value: float | None
    kind: ValueKind = "binary"
    scorer: str = "program"
    scorer_version: str = "1"
    scorer_kind: ScorerKind = "program"
    weight: float = 1.0
    reason: str = ""


# --- estimates, claims, decisions ------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Attempted, answered and scored; what was attempted and not scored is missing."""

    attempted: int
    answered: int
    scored: int

    @property
    def missing(self) -> int:
        return self.attempted - self.scored


@dataclass(frozen=True)
class Estimate:
    """One number with its uncertainty and everything needed to judge it.

    ``low`` and ``high`` are a two-sided interval at ``level`` (they describe). ``lower`` and ``upper`` are one-sided
    bounds, each holding with ``confidence`` (they carry claims); they exist where ``purpose`` is ``claim``.
    ``worst_low`` and ``worst_high`` are the value with all missing answers set to the worst and the best case.
    ``value`` None means undefined, and ``reason`` says why, ``next_step`` what would change that. ``why`` says in which
    design the method is the default, ``shortfall`` what is known to go wrong with it. Values of differences are cell
    minus contrast.
    """

    outcome: str
    metric: str
    cell: Cell
    estimand: str
    method: str
    counts: Counts
    num_clusters: int
    purpose: Literal["describe", "claim"] = "describe"
    contrast: Cell | None = None
    stratum: str = ""
    value: float | None = None
    level: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    worst_low: float | None = None
    worst_high: float | None = None
    num_replicates: int = 1
    scope: str = "this artefact"
    warnings: tuple[str, ...] = ()
    reason: str = ""
    next_step: str = ""
    why: str = ""
    shortfall: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Recovery:
    """When an attack brings back a share of what the control has: between two doses, or not within the last one.

    ``after`` is the last dose at which the arm is shown to be still below the target, ``by`` the first at which it is
    shown to have reached it; None where there is no such dose (right-censored, or never below).
    """

    outcome: str
    arm: str
    threat: str
    share: float
    after: float | None
    by: float | None
    last_dose: float
    level: float
    method: str
    state: Literal["recovered", "not within", "never below", "undecided"]
    replicate: int = 0


@dataclass(frozen=True)
class Claim:
    """A statement a policy needs: the outcome in ``cell`` (minus ``contrast`` if given) lies on ``side`` of
    ``threshold``. ``confidence`` is what is left after repeated tries were paid for. ``positive`` is the cell in which
    the same run must find the thing that is claimed to be absent; ``null`` names the never-trained outcome."""

    name: str
    outcome: str
    cell: Cell
    side: Side
    threshold: float
    confidence: float
    on_fail: OnFail = "hold"
    contrast: Cell | None = None
    positive: Cell | None = None
    null: str = ""
    num_try: int = 1


@dataclass(frozen=True)
class ClaimResult:
    claim: Claim
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Decision:
    verdict: Ruling
    reason: str
    results: tuple[ClaimResult, ...]


@dataclass(frozen=True)
class Stopping:
    """How far a trial went that asks in rounds until its claims are decided: rounds and answers, of those registered;
    ``items`` of each evaluation that were asked in every cell; the round after which each claim was ``decided`` for
    good, None for one that wasn't."""

    num_rounds: int
    num_run: int
    num_asked: int
    num_registered: int
    items: Mapping[str, int]
    decided: Mapping[str, int | None]


# --- table schemas: column -> polars type name ----------------------------------------------------------

CELL_COLUMNS = {"arm": "String", "replicate": "Int32", "threat": "String", "attack_run": "Int32", "dose": "Float64"}
ITEM_COLUMNS = {
    "id": "String",
    "content_hash": "String",
    "input": "String",
    "options": "List(String)",
    "target": "Int32",
    "reference": "String",
    "cluster": "String",
    "stratum": "String",
    "metadata": "String",
}
KEY_COLUMNS = {**CELL_COLUMNS, "evaluation": "String", "item": "String", "epoch": "Int32"}
ANSWER_COLUMNS = {
    **KEY_COLUMNS,
    "status": "String",
    "text": "String",
    "logprobs": "List(Float64)",
    "num_tokens": "List(Int32)",
    "num_bytes": "List(Int32)",
    "reason": "String",
    "seed": "UInt64",
    "asked_hash": "String",
}
SCORE_COLUMNS = {
    **KEY_COLUMNS,
    "measure": "String",
    "value": "Float64",
    "kind": "String",
    "scorer": "String",
    "scorer_version": "String",
    "scorer_kind": "String",
    "weight": "Float64",
    "reason": "String",
}


def item_row(item: Item) -> dict[str, Any]:
    row = {**dataclasses.asdict(item), "content_hash": item.content_hash, "options": list(item.options)}
    row["metadata"] = canonical_json(item.metadata).decode()
    return {name: row[name] for name in ITEM_COLUMNS}


def item_of(row: Mapping[str, Any]) -> Item:
    values = {name: row[name] for name in ITEM_COLUMNS if name != "content_hash"}
    values["options"] = tuple(values["options"])
    values["metadata"] = json.loads(values["metadata"])
    return Item(**values)


def cell_row(cell: Cell) -> dict[str, Any]:
    return dataclasses.asdict(cell)


def cell_of(row: Mapping[str, Any]) -> Cell:
    return Cell(**{name: row[name] for name in CELL_COLUMNS})


def answer_row(answer: Answer) -> dict[str, Any]:
    row = {**cell_row(answer.cell), **dataclasses.asdict(answer)}
    return {name: row[name] for name in ANSWER_COLUMNS}


def answer_of(row: Mapping[str, Any]) -> Answer:
    values = {name: row[name] for name in ANSWER_COLUMNS if name not in CELL_COLUMNS}
    for name in ("logprobs", "num_tokens", "num_bytes"):
        values[name] = tuple(values[name])
    return Answer(cell=cell_of(row), **values)


def score_row(answer: Answer, score: Score) -> dict[str, Any]:
    key = {"evaluation": answer.evaluation, "item": answer.item, "epoch": answer.epoch}
    row = {**cell_row(answer.cell), **key, **dataclasses.asdict(score)}
    return {name: row[name] for name in SCORE_COLUMNS}


# --- serialisation ---------------------------------------------------------------------------------------


def to_json(record: Any) -> Any:
    """Plain JSON values of a record: dataclasses become objects, tuples lists; NaN and infinities are refused."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_json(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): to_json(value) for key, value in record.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(record, (list, tuple)):
        return [to_json(value) for value in record]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(record, float) and not math.isfinite(record):
        raise ValueError(f"{record} can't be written to a record: undefined values are None with a reason")
    return record


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes."""
    plain = to_json(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def pretty_json(value: Any) -> bytes:
    """The same for files that people open: indented, keys in their written order."""
    return (json.dumps(to_json(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_hex(data: bytes | Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in [data] if isinstance(data, bytes) else data:
        digest.update(block)
    return digest.hexdigest()


def seed_of(*parts: str | int) -> int:
    """A 63-bit seed from its parts. The arm is never among them: arms answer the same items with the same seeds."""
    return int(sha256_hex(canonical_json(list(parts)))[:16], 16) >> 1


def estimate_of(data: Mapping[str, Any]) -> Estimate:
    values = dict(data)
    values["cell"] = Cell(**values["cell"])
    values["contrast"] = Cell(**values["contrast"]) if values.get("contrast") else None
    values["counts"] = Counts(**values["counts"])
    values["warnings"] = tuple(values.get("warnings", ()))
    return Estimate(**values)


def claim_of(data: Mapping[str, Any]) -> Claim:
    values = dict(data)
    values["cell"] = Cell(**values["cell"])
    for name in ("contrast", "positive"):
        values[name] = Cell(**values[name]) if values.get(name) else None
    return Claim(**values)


def decision_of(data: Mapping[str, Any]) -> Decision:
    results: Sequence[Mapping[str, Any]] = data["results"]
    parts = tuple(ClaimResult(claim_of(r["claim"]), r["verdict"], r["reason"]) for r in results)
    return Decision(data["verdict"], data["reason"], parts)
