"""Run a trial into a folder, or resume it: register, answer, score, estimate, decide, report."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from trialist.errors import RunFolderError
from trialist.folder import MANIFEST, RunFolder, open_run, part_name
from trialist.interventions.protocol import Progress
from trialist.models.protocol import Model
from trialist.records import ANSWER_COLUMNS, Decision, Estimate, Recovery, Stopping, decision_of, estimate_of
from trialist.reports.evidence import Evidence
from trialist.reports.page import render
from trialist.trial.answering import answer_chunk, score_answers
from trialist.trial.deciding import decide_run
from trialist.trial.estimating import Tables, all_estimates
from trialist.trial.plan import Chunk
from trialist.trial.recovering import all_recoveries
from trialist.trial.registration import Registration, items_name, register
from trialist.trial.registration import read as read_registration
from trialist.trial.spec import Trial
from trialist.trial.stopping import FILE as STOPPING
from trialist.trial.stopping import Rounds, account, decided_at, is_settled
from trialist.trial.subjects import Subjects, check_edits, check_worlds, load_models

WHOLE = ("answers", "answers.parquet")
"""All answers in one table: it appears once nothing more is to be asked."""


class Watch(Protocol):
    """Who is told what happens. The command line draws it; ``Silent`` doesn't."""

    def registered(self, registration: Registration, done: int) -> None:
        """The trial stands; ``done`` of its chunks are kept from before."""
        ...

    def task(self, arm: str, what: str) -> AbstractContextManager[Progress]: ...


class Silent:
    def registered(self, registration: Registration, done: int) -> None:
        pass

    def task(self, arm: str, what: str) -> AbstractContextManager[Progress]:
        return _Quiet()


class _Quiet(AbstractContextManager[Progress]):
    def __enter__(self) -> Progress:
        return lambda done, total: None

    def __exit__(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Result:
    """What a finished run folder holds."""

    folder: Path
    document: Mapping[str, Any]
    estimates: tuple[Estimate, ...]
    recoveries: tuple[Recovery, ...]
    decision: Decision
    reused: bool = False
    stopping: Stopping | None = None


def run(trial: Trial, out: Path, watch: Watch | None = None) -> Result:
    """Run ``trial`` into ``out``; a folder that holds part of this very trial is resumed, a finished one is read.

    Raises:
        TrialistError: see the message; what was finished is kept.
    """
    watch = watch or Silent()
    with open_run(out) as folder:
        check_worlds(trial)
        models = load_models(trial, watch.task)
        check_edits(trial, models)
        registration = register(trial, folder, models)
        _set_threads(int(registration.document["design"]["threads"]), models)
        if folder.exists(MANIFEST):
            folder.check_intact()
            watch.registered(registration, len(_finished_chunks(registration, folder)))
            return read_result(folder, reused=True)
        _answer_all(trial, registration, models, folder, watch)
        return finish(trial, registration, folder, watch)


def _answer_all(
    trial: Trial, registration: Registration, models: Mapping[str, Model], folder: RunFolder, watch: Watch
) -> None:
    plan = registration.plan
    done = _finished_chunks(registration, folder)
    watch.registered(registration, len(done))
    subjects = Subjects(trial, folder, models, watch.task)
    how = (watch, _Clock(folder), trial.seed)
    looks = _Looks(trial, registration, folder) if plan.is_sequential else None
    for chunks in [] if folder.exists(*WHOLE) else plan.rounds():
        for subject, group in groupby(chunks, key=_subject):
            pending = [chunk for chunk in group if chunk.number not in done]
            for (cell, _), rows in groupby(pending, key=lambda c: (c.cell, c.evaluation)):
                model = subjects.model(cell)
                _answer_cell(model, list(rows), registration, folder, how)
            if looks is None:
                subjects.release(*subject)
        if looks is not None and looks.is_last(chunks, watch):
            break
    for subject in dict.fromkeys(map(_subject, plan.chunks)):
        subjects.release(*subject)
    folder.compact("answers", ANSWER_COLUMNS)


def _finished_chunks(registration: Registration, folder: RunFolder) -> set[int]:
    """Numbers of the chunks that are answered; once all are, what wasn't asked by then never is."""
    plan = registration.plan
    if not folder.exists(*WHOLE):
        return folder.parts("answers")
    if not plan.is_sequential:
        return set(range(len(plan.chunks)))
    num_run = Rounds.of(registration.document).num_run(len(folder.read_table("/".join(WHOLE))))
    return {chunk.number for chunk in plan.chunks if chunk.round < num_run}


def _subject(chunk: Chunk) -> tuple[str, int, str]:
    return chunk.cell.arm, chunk.cell.replicate, chunk.cell.threat


class _Looks:
    """After each round the claims are looked at, on the answers kept so far; each is scored once."""

    def __init__(self, trial: Trial, registration: Registration, folder: RunFolder) -> None:
        self._trial, self._registration, self._folder = trial, registration, folder
        self._rounds = Rounds.of(registration.document)
        self._items = read_items(registration.document, folder)
        self._answers: list[pl.DataFrame] = []
        self._scores: list[pl.DataFrame] = []

    def is_last(self, chunks: Sequence[Chunk], watch: Watch) -> bool:
        """Nothing more is to be asked after these, the next round's."""
        with watch.task("all arms", f"look {len(self._answers) + 1} of {self._rounds.num}"):
            return self._settled_by(chunks)

    def _settled_by(self, chunks: Sequence[Chunk]) -> bool:
        plan, claims = self._registration.plan, self._registration.claims
        answers = pl.concat([self._folder.read_table(f"answers/{part_name(chunk.number)}") for chunk in chunks])
        self._answers.append(answers)
        self._scores.append(score_answers(plan.evaluations, plan.items, answers))
        tables = Tables(self._items, pl.concat(self._answers), pl.concat(self._scores))
        decision = decided_at(self._trial, claims, tables)
        return is_settled(self._trial, self._rounds, decision, len(self._answers))


def _answer_cell(
    model: Model,
    chunks: Sequence[Chunk],
    registration: Registration,
    folder: RunFolder,
    how: tuple[Watch, _Clock, int],
) -> None:
    watch, clock, seed = how
    plan = registration.plan
    first = chunks[0]
    total = len(plan.items[first.evaluation])
    label = plan.evaluations[first.evaluation].name + (
        f", {first.cell.threat} {first.cell.dose:g}" if first.cell.threat else ""
    )
    with watch.task(first.cell.arm, label) as progress:
        progress(first.start, total)
        for chunk in chunks:
            started = time.perf_counter()
            table = answer_chunk(model, plan, chunk, seed=seed)
            folder.write_part("answers", chunk.number, table)
            clock.note(chunk.number, len(table), time.perf_counter() - started)
            progress(chunk.stop, total)


def finish(trial: Trial, registration: Registration, folder: RunFolder, watch: Watch) -> Result:
    """Everything that follows from the answers. Pure functions of the records, so a killed run repeats it."""
    plan = registration.plan
    answers = folder.read_table("answers/answers.parquet")
    with watch.task("all arms", "scoring") as progress:
        scores = score_answers(plan.evaluations, plan.items, answers, progress=progress)
    folder.write_table("scores/scores.parquet", scores)
    tables = Tables(read_items(registration.document, folder), answers, scores)
    with watch.task("all arms", "estimates") as progress:
        estimates = all_estimates(trial, registration.claims, tables)
        recoveries = all_recoveries(trial, tables)
        progress(1, 1)
    decision = decide_run(trial, registration.claims, estimates)
    if plan.is_sequential:
        rounds = Rounds.of(registration.document)
        folder.write_json(STOPPING, account(trial, registration.claims, rounds, tables))
    folder.write_json("estimates.json", {"estimates": estimates, "recoveries": recoveries})
    folder.write_json("decision.json", decision)
    result = read_result(folder)
    with watch.task("all arms", "report") as progress:
        folder.write("report.html", render(_evidence(folder, result, tables)).encode())
        progress(1, 1)
    folder.write_manifest()
    return result


# --- reading a run folder --------------------------------------------------------------------------------


def read_items(document: Mapping[str, Any], folder: RunFolder) -> dict[str, pl.DataFrame]:
    """The items of each evaluation, by its identity."""
    keys: Iterable[str] = document["plan"]["evaluations"]
    return {key: folder.read_table(f"items/{items_name(key)}") for key in keys}


def read_result(folder: RunFolder, *, reused: bool = False) -> Result:
    measured = folder.read_json("estimates.json")
    return Result(
        folder.root,
        read_registration(folder),
        tuple(estimate_of(row) for row in measured["estimates"]),
        tuple(Recovery(**row) for row in measured["recoveries"]),
        decision_of(folder.read_json("decision.json")),
        reused,
        Stopping(**folder.read_json(STOPPING)) if folder.exists(STOPPING) else None,
    )


def read_evidence(folder: RunFolder) -> Evidence:
    """What the report shows.

    Raises:
        RunFolderError: the run isn't finished.
    """
    if not folder.exists("decision.json"):
        raise RunFolderError(
            f"the run in {folder.root} isn't finished", next_step="run 'trialist run' on its spec again: it resumes"
        )
    result = read_result(folder)
    answers, scores = (folder.read_table(f"{name}/{name}.parquet") for name in ("answers", "scores"))
    return _evidence(folder, result, Tables(read_items(result.document, folder), answers, scores))


def _evidence(folder: RunFolder, result: Result, tables: Tables) -> Evidence:
    receipts = tuple(
        {"name": path.stem, "receipt": json.loads(path.read_bytes())}
        for path in sorted(folder.path("receipts").glob("*.json"))
    )
    return Evidence(
        trial=result.document,
        items=tables.items,
        answers=tables.answers,
        scores=tables.scores,
        estimates=result.estimates,
        recoveries=result.recoveries,
        decision=result.decision,
        receipts=receipts,
        stopping=result.stopping,
    )


class _Clock:
    """Seconds per chunk, one line each, beside the evidence and not part of it."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path("timings.jsonl")

    def note(self, chunk: int, items: int, seconds: float) -> None:
        line = json.dumps({"chunk": chunk, "items": items, "seconds": round(seconds, 4)})
        # A full disk is reported by the evidence that can't be written, not by this.
        with contextlib.suppress(OSError), self._path.open("a") as stream:
            stream.write(line + "\n")


def _set_threads(count: int, models: Mapping[str, Model]) -> None:
    """Bytes depend on the number of threads, so a resumed run uses the registered one."""
    if any("weights" in model.abilities for model in models.values()):
        import torch

        torch.set_num_threads(count)
