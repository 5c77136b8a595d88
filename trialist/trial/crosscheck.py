"""Do the parts of a spec fit together? Asked of a whole trial, and of what can be read of a broken one.

pydantic looks at the whole only once every part is right; a person wants to see all that is wrong at once. So the parts
are looked at through ``Parts``, which can be made from either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from trialist.deployment.policy import not_of_a_trial
from trialist.errors import Problem, did_you_mean

Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Parts:
    """Names, and who names them. A threat's ``doses``, an outcome's ``metrics`` are None where they can't be told."""

    arms: Collection[str]
    doses: Mapping[str, Sequence[float] | None]
    under: Mapping[str, Sequence[str]]
    metric: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: Mapping[str, Sequence[str] | None] = field(default_factory=dict[str, Sequence[str] | None])
    claims: Sequence[Mapping[str, Any]] = ()
    stopping: str = "fixed"


def misfits(parts: Parts) -> Iterator[Problem]:
    """Unknown metrics, threats, arms and doses, and a stop that nothing brings about. A claim about an outcome that
    nobody measures is no misfit: it stays UNDECIDED, never PASS."""
    for name, metric in parts.metric.items():
        valid = parts.metrics.get(name)
        if valid is not None and metric not in valid:
            step = did_you_mean(metric, valid)
            yield Problem("no such metric here", metric, ", ".join(valid), step, ("outcomes", name, "metric"))
    for name, threats in parts.under.items():
        for threat in threats:
            yield from _known("threat", threat, parts.doses, ("outcomes", name, "under"))
    if parts.stopping == "sequential" and not parts.claims:
        yield Problem(
            "nothing would ever be decided: this trial has no claims",
            "stopping: sequential",
            "fixed, or a policy with claims",
            where=("design", "stopping"),
        )
    for index, claim in enumerate(parts.claims):
        where: Where = ("policy", "claims", index)
        yield from (problem.at(where) for problem in not_of_a_trial(claim))
        for key in ("arm", "versus", "positive"):
            yield from _known("arm", claim.get(key) or "", parts.arms, (*where, key))
        threat, dose = claim.get("threat") or "", claim.get("dose")
        yield from _known("threat", threat, parts.doses, (*where, "threat"))
        doses = parts.doses.get(threat)
        if doses is not None and dose is not None and dose not in doses:
            yield Problem("no such dose", f"{dose}", ", ".join(f"{d:g}" for d in doses), where=(*where, "dose"))


def _known(kind: str, name: str, valid: Collection[str], where: Where) -> Iterator[Problem]:
    if name and name not in valid:
        allowed = ", ".join(valid) or f"this trial has no {kind}s"
        yield Problem(f"unknown {kind}", name, allowed, did_you_mean(name, valid), where)


def parts_of_plain(data: Mapping[str, Any], metrics: Mapping[str, Sequence[str] | None]) -> Parts:
    """What can be read of a spec that is wrong somewhere: values of the wrong type are passed over."""
    outcomes = {name: _mapping(row) for name, row in _mapping(data.get("outcomes")).items()}
    policy: Any = data.get("policy")
    claims = policy.model_dump()["claims"] if hasattr(policy, "model_dump") else _list(_mapping(policy).get("claims"))
    return Parts(
        arms=list(_mapping(data.get("arms"))),
        doses=dict.fromkeys(_mapping(data.get("threats"))),
        under={name: [t for t in _list(row.get("under")) if isinstance(t, str)] for name, row in outcomes.items()},
        metric={name: row["metric"] for name, row in outcomes.items() if isinstance(row.get("metric"), str)},
        metrics=metrics,
        claims=[_texts(_mapping(claim)) for claim in claims],
        stopping=str(_mapping(data.get("design")).get("stopping", "fixed")),
    )


def _texts(claim: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names that a claim gives, or lacks; its other values are checked where they are read."""
    lacking = {key: "" for key in ("arm", "outcome") if key not in claim}
    return {**lacking, **{key: value for key, value in claim.items() if isinstance(value, str)}}


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()
