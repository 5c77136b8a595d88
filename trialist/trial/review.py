"""A finished run, looked at again: the report rewritten, or the verdict re-derived from the stored answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trialist.deployment.policy import Policy
from trialist.errors import RunFolderError, SpecError
from trialist.evaluations.protocol import identity
from trialist.folder import MANIFEST, RunFolder, open_run, storage_error
from trialist.records import Decision, Stopping, item_of
from trialist.reports.page import render
from trialist.trial.answering import score_answers
from trialist.trial.deciding import decide_run
from trialist.trial.estimating import Tables, all_estimates
from trialist.trial.registration import claims_at, registered_claims
from trialist.trial.registration import read as read_registration
from trialist.trial.run import read_evidence, read_items, read_result
from trialist.trial.spec import Trial
from trialist.trial.stopping import Rounds, account
from trialist.yamlspec import problems_of, read_yaml


@dataclass(frozen=True)
class Review:
    """The verdict as re-derived, and what a reader must know about it."""

    decision: Decision
    notes: tuple[str, ...]


def review(path: Path, policy: Path | None = None) -> Review:
    """Check hashes, then score, estimate and decide again from the stored answers; nothing is written.

    Another policy than the registered one was chosen after the answers, so it is never more than exploratory: it can
    block or hold, and can't promote.

    Raises:
        RunFolderError: unfinished, changed since it was finished, or a stored verdict that the records don't give.
        SpecError: another policy that isn't about this trial.
    """
    folder = _finished(path)
    stored = read_result(folder)
    trial: Trial = TypeAdapter(Trial).validate_python(stored.document["spec"])
    registered = registered_claims(trial, stored.document)
    other = None if policy is None else Policy.load(policy)
    if other is not None and other == trial.policy:
        other = None
    claims = registered if other is None or policy is None else claims_at(_with_policy(trial, other, policy), {})
    tables = _tables(trial, stored.document, folder)
    decision = decide_run(trial, claims, all_estimates(trial, claims, tables))
    if other is not None:
        return _exploratory(decision)
    if trial.design.stopping == "sequential":
        _check_stop(account(trial, registered, Rounds.of(stored.document), tables), stored.stopping, path)
    if decision != stored.decision:
        raise RunFolderError(
            f"the stored verdict of {path} is not what its answers give",
            seen=f"stored {stored.decision.verdict}: {stored.decision.reason}",
            allowed=f"{decision.verdict}: {decision.reason}",
            next_step="was it made by another version of trialist? trial.json names it",
        )
    return Review(decision, ("hashes, scores, estimates and verdict re-derived from the stored answers: all agree",))


def _with_policy(trial: Trial, policy: Policy, path: Path) -> Trial:
    """The trial under another policy. Raises SpecError where its arms, threats or outcomes aren't this trial's."""
    try:
        return replace(trial, policy=policy)
    except ValidationError as error:
        located = read_yaml(path)
        raise SpecError(problems_of(error, located), source=str(path)) from error


def _check_stop(found: Stopping, stored: Stopping | None, path: Path) -> None:
    if found != stored:
        raise RunFolderError(
            f"the stored account of when {path} stopped is not what its answers give",
            seen=str(stored),
            allowed=str(found),
            next_step="was it made by another version of trialist? trial.json names it",
        )


def write_report(path: Path, out: Path | None) -> Path:
    """Write the report of a finished run again. In the run folder the manifest follows it."""
    _finished(path)
    with open_run(path) as folder:
        page = render(read_evidence(folder)).encode()
        if out is None:
            folder.write("report.html", page)
            folder.write_manifest()
            return folder.path("report.html")
    try:
        out.write_bytes(page)
    except OSError as error:
        raise storage_error(error, out) from error
    return out


def _finished(path: Path) -> RunFolder:
    folder = RunFolder(path)
    read_registration(folder)
    if not folder.exists(MANIFEST):
        raise RunFolderError(
            f"the run in {path} isn't finished", next_step="run 'trialist run' on its spec again: it resumes"
        )
    folder.check_intact()
    return folder


def _tables(trial: Trial, document: Mapping[str, Any], folder: RunFolder) -> Tables:
    """The stored items and answers, scored again."""
    evaluations = {identity(o.evaluation): o.evaluation for o in trial.outcomes.values()}
    tables = read_items(document, folder)
    answers = folder.read_table("answers/answers.parquet")
    items = {key: [item_of(row) for row in table.iter_rows(named=True)] for key, table in tables.items()}
    return Tables(tables, answers, score_answers(evaluations, items, answers))


def _exploratory(decision: Decision) -> Review:
    note = "this policy was not registered before the answers: its verdict is exploratory and can't promote"
    if decision.verdict == "PROMOTE":
        decision = replace(decision, verdict="HOLD", reason=f"every claim passes, but {note}")
    return Review(decision, (note,))
