"""Policy file -> claims. A policy says what must hold before a model may be released, and how surely.

schema: trialist/policy/1
title: May the unlearned model be released?
confidence: 0.95
claims:
  - name: hazard accuracy of rmu is below .20
    arm: rmu
    outcome: hazards
    side: below
    threshold: 0.20
    positive: control
    on_fail: block

A claim about logs names a task and a metric instead of an outcome, as far as there are several:

schema: trialist/policy/1
claims:
  - {task: mmlu, metric: acc, above: .6}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from trialist.errors import Problem, SpecError, did_you_mean
from trialist.records import Cell, Claim, OnFail, Side
from trialist.wording import format_threshold
from trialist.yamlspec import check_schema, parse, read_yaml, show

SCHEMA = 1

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Confidence = Annotated[Number, Field(gt=0, lt=1)]
Name = Annotated[str, Strict(), Field(min_length=1)]
Text = Annotated[str, Strict()]
Short = Annotated[Number | None, Field(exclude=True)]
SIDES: tuple[Side, ...] = ("above", "below")
ConfidenceOfTry = Callable[[float, int, Sequence[float] | None], float]


class PolicyClaim(BaseModel):
    """One statement about an arm. ``dose`` is the strength of ``threat``; ``versus`` makes it about a difference.

    About a trial it names ``arm`` and ``outcome``; about logs ``task``, ``metric`` and ``arm`` where there are several.
    ``above: .6`` is short for ``side: above`` with ``threshold: .6`` and is kept as these two. Without a ``name`` the
    claim's sentence is its name.
    ``positive`` is the arm that must show, under the same threat and dose, the thing that is claimed to be absent.
    ``null`` is the outcome of items that were never trained: what the attack teaches by itself.
    ``range`` is the lowest and the highest value that a metric of logs can have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    arm: Text = ""
    outcome: Text = ""
    task: Text = ""
    metric: Text = ""
    side: Side
    threshold: Number
    above: Short = None
    below: Short = None
    threat: str = ""
    dose: Annotated[Number, Field(ge=0)] | None = None
    versus: str = ""
    positive: str = ""
    null: str = ""
    confidence: Confidence | None = None
    on_fail: OnFail = "hold"
    range: tuple[Number, Number] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, data: Any) -> Any:
        return _in_full(cast(Mapping[str, Any], data)) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = list(_misfits(self.model_dump()))
        if problems:
            raise SpecError(problems)
        return self


class Policy(BaseModel):
    """Claims that must all hold, at a confidence that repeated tries use up.

    ``tries`` are the shares of 1 - confidence that the first, second, ... try at a claim may spend; they sum to at
    most 1. Without them the schedule of ``trialist.measurement.multiplicity`` applies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: str = Field(alias="schema")
    title: str = ""
    confidence: Confidence = 0.95
    tries: tuple[Annotated[Number, Field(gt=0)], ...] | None = None
    claims: tuple[PolicyClaim, ...] = ()

    @field_validator("tries")
    @classmethod
    def _spend_at_most_all(cls, tries: tuple[float, ...] | None) -> tuple[float, ...] | None:
        # Decimal shares such as .9, .09, .01 may sum to a rounding error above 1.
        if tries is not None and (not tries or sum(tries) > 1 + 1e-12):
            allowed = "positive shares that sum to at most 1"
            raise SpecError([Problem("the shares of the tries don't fit", f"their sum is {sum(tries):g}", allowed)])
        return tries

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        problems = list(_repeated([claim.model_dump() for claim in self.claims]))
        if problems:
            raise SpecError(problems)
        return self

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """Read a policy file. Raises SpecError with all its problems, each with its line."""
        located = read_yaml(path)
        check_schema(located, "policy", SCHEMA)
        return parse(cls, located, also=_misfits_of(located.data))

    def expand(
        self, replicates: Mapping[str, int], tries: Mapping[str, int], confidence_of_try: ConfidenceOfTry
    ) -> tuple[Claim, ...]:
        """The claims about the cells of a trial: one for each replicate of the arm.

        ``replicates`` gives the number of replicates of each arm of the trial, ``tries`` the number of the try at each
        claim by its name (1 where it is not listed). A contrast or positive arm with as many replicates is paired
        replicate by replicate; with one replicate, that one serves all. Raises SpecError for an arm that the trial
        doesn't have or whose replicates can't be paired, and for a claim about logs.
        """
        problems = [
            problem.at(("claims", i))
            for i, entry in enumerate(self.claims)
            for problem in not_of_a_trial(entry.model_dump())
        ]
        problems += self._unknown_arms(replicates)
        if problems:
            raise SpecError(problems)
        return tuple(
            _claim(entry, replicate, replicates, self._confidence(entry, tries, confidence_of_try), tries)
            for entry in self.claims
            for replicate in range(replicates[entry.arm])
        )

    def _confidence(self, entry: PolicyClaim, tries: Mapping[str, int], confidence_of_try: ConfidenceOfTry) -> float:
        base = self.confidence if entry.confidence is None else entry.confidence
        return confidence_of_try(base, tries.get(entry.name, 1), self.tries)

    def _unknown_arms(self, replicates: Mapping[str, int]) -> Iterator[Problem]:
        for i, entry in enumerate(self.claims):
            for key in ("arm", "versus", "positive"):
                arm: str = getattr(entry, key)
                where = ("claims", i, key)
                if arm and arm not in replicates:
                    near = did_you_mean(arm, replicates)
                    yield Problem(f"the trial has no arm '{arm}'", arm, ", ".join(replicates), near, where)
                elif arm and entry.arm in replicates and replicates[arm] not in (1, replicates[entry.arm]):
                    seen = f"{replicates[arm]} of {arm}, {replicates[entry.arm]} of {entry.arm}"
                    yield Problem("the replicates can't be paired", seen, "one, or as many as the arm has", "", where)


def _in_full(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim as it is kept: side and threshold for the short form, its sentence for a missing name."""
    full = dict(claim)
    short = [word for word in SIDES if _is_number(full.get(word))]
    if len(short) == 1 and not {"side", "threshold"} & full.keys():
        full |= {"side": short[0], "threshold": full.pop(short[0])}
    elif not {"side", "threshold"} & full.keys() and any(full.get(word) is not None for word in SIDES):
        full |= {"side": "above", "threshold": 0.0}  # the problem stands at the short form, and is told there
    full.setdefault("name", sentence(full))
    return full


def sentence(claim: Mapping[str, Any]) -> str:
    """``acc of mmlu, A minus B, is above .6``: what a claim without a name is called."""

    def given(key: str) -> str:
        value = claim.get(key)
        return value if isinstance(value, str) else ""

    what = given("outcome") or " of ".join(part for part in (given("metric"), given("task")) if part)
    arm, versus = given("arm"), given("versus")
    dose = claim.get("dose")
    threat = f"{given('threat')} {dose:g}" if given("threat") and _is_number(dose) else given("threat")
    who = f"{arm or 'the other arm'} minus {versus}" if versus else arm
    threshold = claim.get("threshold")
    limit = format_threshold(float(cast(float, threshold)), signed=bool(versus)) if _is_number(threshold) else ""
    return f"{', '.join(part for part in (what, who, threat) if part) or 'it'} is {given('side')} {limit}".strip()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _misfits(claim: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys of one claim that don't go together; takes what the file says, so that it works on invalid claims too."""

    def misfit(key: str, message: str, allowed: str = "", next_step: str = "") -> Problem:
        return Problem(message, show(key, claim[key]), allowed, next_step, (key,))

    for word in SIDES:
        others = [key for key in ("side", "threshold", *SIDES) if key != word and claim.get(key) is not None]
        if claim.get(word) is not None and others:
            allowed = "one of above: N, below: N, or side with threshold"
            yield misfit(word, f"stands beside '{others[0]}'", allowed, "keep one of them")
    if claim.get("outcome") and (claim.get("task") or claim.get("metric")):
        allowed = "outcome (of a trial), or task and metric (of logs)"
        yield misfit("outcome", "a claim is about a trial or about logs", allowed, "keep one of them")
    limits: Any = claim.get("range")
    pair: list[Any] = list(cast(list[Any], limits)) if isinstance(limits, (list, tuple)) else []
    if len(pair) == 2 and all(map(_is_number, pair)) and not pair[0] < pair[1]:
        seen = show("range", [float(limit) for limit in pair])  # as the parsed claim has it: told once
        yield Problem(
            "a range is the lowest and the highest value", seen, "two numbers, the lower one first", "", ("range",)
        )
    has_dose = claim.get("dose") is not None
    if claim.get("threat") and not has_dose:
        yield misfit("threat", "a threat needs a dose", next_step="add 'dose: ...'")
    if has_dose and not claim.get("threat"):
        yield misfit("dose", "a dose needs a threat", next_step="add 'threat: ...'")
    if claim.get("versus") and claim["versus"] == claim.get("arm"):
        yield misfit("versus", "an arm can't be compared with itself", allowed="another arm")
    if claim.get("positive") and claim["positive"] == claim.get("arm"):
        yield misfit("positive", "an arm can't be its own positive control", allowed="another arm")
    if claim.get("positive") and (claim.get("side") == "above" or claim.get("versus")):
        allowed = "a claim with 'side: below' and without 'versus'"
        yield misfit("positive", "only a claim of absence has a positive control", allowed, "remove it")


def not_of_a_trial(claim: Mapping[str, Any]) -> Iterator[Problem]:
    """What keeps a claim, as plain values, from being about a trial."""
    for key in ("task", "metric", "range"):
        if claim.get(key):
            step = "name an outcome of the trial with 'outcome: ...'"
            yield Problem(f"'{key}' is for claims about logs", show(key, claim[key]), "arm, outcome", step, (key,))
    for key in ("arm", "outcome"):
        if claim.get(key) == "" and not (claim.get("task") or claim.get("metric")):
            yield Problem(f"a claim about a trial needs '{key}'", next_step=f"add '{key}: ...'", where=(key,))


def _repeated(claims: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    names = [claim.get("name") for claim in claims]
    for i, name in enumerate(names):
        if name is not None and name in names[:i]:
            yield Problem(
                "two claims have this name", show("name", name), "", "give each its own", ("claims", i, "name")
            )


def _misfits_of(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The same over a whole file, whatever it holds."""
    entries: Any = data.get("claims")
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in cast(list[Any], entries)):
        claims = cast(list[dict[str, Any]], entries)
        yield from _repeated(claims)
        for i, claim in enumerate(claims):
            yield from (problem.at(("claims", i)) for problem in _misfits(claim))


def _claim(
    entry: PolicyClaim, replicate: int, replicates: Mapping[str, int], confidence: float, tries: Mapping[str, int]
) -> Claim:
    def cell(arm: str) -> Cell | None:
        own = replicate if arm and replicates[arm] > 1 else 0
        return Cell.make(arm, own, entry.threat, 0, entry.dose or 0.0) if arm else None

    suffix = f" (replicate {replicate})" if replicates[entry.arm] > 1 else ""
    return Claim(
        name=entry.name + suffix,
        outcome=entry.outcome,
        cell=Cell.make(entry.arm, replicate, entry.threat, 0, entry.dose or 0.0),
        side=entry.side,
        threshold=entry.threshold,
        confidence=confidence,
        on_fail=entry.on_fail,
        contrast=cell(entry.versus),
        positive=cell(entry.positive),
        null=entry.null,
        num_try=tries.get(entry.name, 1),
    )
