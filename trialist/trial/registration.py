"""Registration: what is fixed, hashed and written before any item is answered."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import trialist
from trialist.errors import Problem, RunFolderError, SpecError
from trialist.evaluations.protocol import identity
from trialist.folder import RunFolder, frame
from trialist.measurement.multiplicity import confidence_of_try
from trialist.models.protocol import Model
from trialist.records import (
    ITEM_COLUMNS,
    SCHEMA_VERSION,
    Claim,
    canonical_json,
    claim_of,
    item_row,
    sha256_hex,
    to_json,
)
from trialist.trial import ledger
from trialist.trial.plan import Plan, make_plan, plan_record
from trialist.trial.spec import Trial, spec_of

FILE = "trial.json"


@dataclass(frozen=True)
class Registration:
    """The content of ``trial.json`` and what it was made from."""

    document: Mapping[str, Any]
    plan: Plan
    claims: tuple[Claim, ...]
    resumed: bool

    @property
    def hash(self) -> str:
        return self.document["hash"]


def register(trial: Trial, folder: RunFolder, models: Mapping[str, Model]) -> Registration:
    """Register the trial in an empty run folder, or check that the folder holds this very trial.

    Raises:
        RunFolderError: the folder holds another trial (what differs is listed), or one of a newer schema.
    """
    plan = make_plan(trial)
    old = read(folder) if folder.exists(FILE) else None
    # Bytes depend on the number of threads, so a resumed run keeps the registered one.
    threads = trial.design.threads or (int(old["design"]["threads"]) if old else threads_here())
    document = _document(trial, plan, models, threads=threads)
    document["hash"] = _hash(document)
    if old:
        _check_same(old, document, folder)
        return Registration(old, plan, registered_claims(trial, old), resumed=True)
    keys = _claim_keys(trial, models)
    repeatable = all("repeatable" in model.abilities for model in models.values())
    tries = ledger.register(
        folder.root.absolute(), trial=document["hash"], keys=sorted(set(keys.values())), repeatable=repeatable
    )
    claims = claims_at(trial, {name: tries[key] for name, key in keys.items()})
    document["claims"] = to_json(claims)
    for key, items in plan.items.items():
        folder.write_table(f"items/{items_name(key)}", frame([item_row(item) for item in items], ITEM_COLUMNS))
    folder.write_json(FILE, document)
    return Registration(document, plan, claims, resumed=False)


def read(folder: RunFolder) -> dict[str, Any]:
    """``trial.json`` of a run folder.

    Raises:
        RunFolderError: none there, unreadable, or written by a newer version.
    """
    if not folder.exists(FILE):
        raise RunFolderError(
            f"{folder.root} is not a run folder", seen=f"no {FILE}", next_step="give a folder made by 'trialist run'"
        )
    document: dict[str, Any] = folder.read_json(FILE)
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise RunFolderError(
            f"{folder.root} was written by a newer version of trialist",
            seen=f"schema {schema}, trialist {document.get('trialist')}",
            allowed=f"schema up to {SCHEMA_VERSION} (trialist {trialist.__version__})",
            next_step="update trialist to read it",
        )
    if document.get("hash") != _hash(document):
        raise _changed(folder.path(FILE), f"hash {document.get('hash')}", f"hash {_hash(document)}")
    return document


def registered_claims(trial: Trial, document: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The claims as they were registered, which are those of the trial's policy at the registered tries.

    Raises:
        RunFolderError: they aren't, so somebody changed them.
    """
    stored = tuple(claim_of(row) for row in document["claims"])
    tries = {claim.name.removesuffix(f" (replicate {claim.cell.replicate})"): claim.num_try for claim in stored}
    if stored != claims_at(trial, tries):
        raise _changed(Path(FILE), "other claims", "the claims of its own policy")
    return stored


def _hash(document: Mapping[str, Any]) -> str:
    """What identifies a trial: everything registered but the number of the try."""
    body = {key: value for key, value in document.items() if key not in ("hash", "claims")}
    return sha256_hex(canonical_json(body))[:16]


def _changed(path: Path, seen: str, allowed: str) -> RunFolderError:
    return RunFolderError(
        f"{path} was changed after the registration",
        seen=seen,
        allowed=allowed,
        next_step="restore it, or run again into a new folder with --out",
    )


def items_name(evaluation: str) -> str:
    """The file of an evaluation's items: its name, and its identity's hash since settings can be long."""
    return f"{evaluation.partition('@')[0]}-{sha256_hex(evaluation.encode())[:8]}.parquet"


def _document(trial: Trial, plan: Plan, models: Mapping[str, Model], *, threads: int) -> dict[str, Any]:
    spec = spec_of(trial)
    spec["design"]["threads"] = threads
    arms = {name: {**arm, "digest": models[arm["model"]].digest} for name, arm in spec["arms"].items()}
    threats = {
        name: {"plugin": next(iter(spec["threats"][name])), "doses": list(t.doses)} for name, t in trial.threats.items()
    }
    outcomes = {name: _outcome_record(trial, name) for name in trial.outcomes}
    return {
        "schema": SCHEMA_VERSION,
        "trialist": trialist.__version__,
        "title": trial.title,
        "arms": arms,
        "threats": {name: {**row, "settings": spec["threats"][name][row["plugin"]]} for name, row in threats.items()},
        "outcomes": outcomes,
        "design": {**spec["design"], "seed": trial.seed},
        "cautions": cautions(trial),
        "versions": _versions(),
        "spec": spec,
        "plan": plan_record(plan),
    }


def _outcome_record(trial: Trial, name: str) -> dict[str, Any]:
    outcome = trial.outcomes[name]
    fields = {key: getattr(outcome, key) for key in ("metric", "role", "want", "margin", "by")}
    return {
        "evaluation": identity(outcome.evaluation),
        **fields,
        "under": list(outcome.under),
        "unit": outcome.measured.unit,
        "measures": list(outcome.measured.columns),
    }


def cautions(trial: Trial) -> list[str]:
    """What this design can't conclude, said before any answer is seen."""
    roles = {trial.role(arm) for arm in trial.arms}
    edited = any(arm.edits for arm in trial.arms.values())
    null = any(o.role == "null" and o.under for o in trial.outcomes.values())
    tests = [
        (
            len(trial.arms) > 1 and "control" not in roles,
            "no control arm: no change can be stated, and nothing found is not shown to be findable",
        ),
        (
            edited and "sham" not in roles,
            "no sham arm: what the edit was aimed at can't be told from what any training of this size does",
        ),
        (edited and "oracle" not in roles, "no oracle arm: how far removal could go is not known"),
        (
            bool(trial.threats) and not null,
            "no never-trained items under the attack: recovery can't be told from teaching",
        ),
        (
            edited and all(arm.replicates == 1 for arm in trial.arms.values()),
            "one training run an arm: claims are about these artefacts, not about the method",
        ),
        (
            trial.design.stopping == "sequential",
            "items are asked until the claims are decided: bounds that carry claims hold at every look; intervals that "
            "describe, and recoveries, take the number of items as fixed",
        ),
    ]
    return [text for holds, text in tests if holds]


def _claim_keys(trial: Trial, models: Mapping[str, Model]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for claim in trial.policy.claims if trial.policy else ():
        outcome = trial.outcomes.get(claim.outcome)
        keys[claim.name] = ledger.claim_key(
            model=models[cast(str, trial.arms[claim.arm].model)].digest,
            evaluation=identity(outcome.evaluation) if outcome else claim.outcome,
            metric=outcome.metric if outcome else "",
            side=claim.side,
            threat=type(trial.threats[claim.threat]).__name__ if claim.threat else "",
            difference=bool(claim.versus),
        )
    return keys


def claims_at(trial: Trial, tries: Mapping[str, int]) -> tuple[Claim, ...]:
    """The claims of the trial's policy; ``tries`` is the number of the try by claim, 1 where it isn't listed."""
    if trial.policy is None:
        return ()
    replicates = {name: arm.replicates for name, arm in trial.arms.items()}
    return trial.policy.expand(replicates, tries, confidence_of_try=confidence_of_try)


def threads_here() -> int:
    """How many threads this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("numpy", "scipy", "polars", "torch", "transformers", "tokenizers"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _check_same(old: Mapping[str, Any], new: Mapping[str, Any], folder: RunFolder) -> None:
    if old["hash"] == new["hash"]:
        return
    before, after = dict(_leaves(old)), dict(_leaves(new))
    skipped = ("hash", "claims", "plan.")
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    shown = [key for key in changed if not key.startswith(skipped)] or ["plan"]
    problems = [
        Problem(f"'{key}' differs", f"registered {before.get(key, 'nothing')}, now {after.get(key, 'nothing')}")
        for key in shown[:12]
    ]
    step = "run it into another folder with --out (a new try is counted), or restore the spec as registered"
    head = f"{folder.root} holds another trial: {len(shown)} thing{'s differ' if len(shown) > 1 else ' differs'}"
    raise RunFolderError(head, also=[*problems[:-1], replace(problems[-1], next_step=step)])


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in cast("Mapping[str, Any]", value).items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Any]", value)):
            yield from _leaves(part, f"{path}.{index}")
    else:
        yield path, value


def fill_in(trial: Trial, *, model: str | None = None, data: Path | None = None) -> Trial:
    """Put ``--model`` into the arms without one and ``--data`` into the evaluations whose data folder isn't set.

    Raises:
        SpecError: something is still missing, or a value was given that nothing takes.
    """
    problems: list[Problem] = []
    open_arms = [name for name, arm in trial.arms.items() if arm.model is None]
    if open_arms and model is None:
        step = "add 'model:' to the arm, or give --model hf/<folder>"
        problems += [Problem("this arm has no model", next_step=step, where=("arms", name)) for name in open_arms]
    if model is not None and not open_arms:
        problems.append(Problem("--model was given, but every arm of this trial names its model", model))
    wanting = [name for name, o in trial.outcomes.items() if getattr(o.evaluation, "data", "") is None]
    if wanting and data is None:
        step = "add 'data:' to the evaluation, or give --data <folder>"
        problems.append(Problem(f"evaluations without a data folder: {', '.join(wanting)}", next_step=step))
    if data is not None and not wanting:
        problems.append(Problem("--data was given, but no evaluation of this trial waits for it", str(data)))
    if problems:
        raise SpecError(problems)
    arms = {name: replace(arm, model=arm.model or model) for name, arm in trial.arms.items()}
    outcomes = {
        name: replace(o, evaluation=replace(cast(Any, o.evaluation), data=data)) if name in wanting else o
        for name, o in trial.outcomes.items()
    }
    return replace(trial, arms=arms, outcomes=outcomes)
