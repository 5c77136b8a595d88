"""Logs of lm-evaluation-harness -> ``Log``: ``samples_<task>_<date>.jsonl`` and the ``results_<date>.json`` beside it.

Read without importing lm_eval, one line in memory at a time. Tested with lm_eval 0.4.13.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trialist.errors import DataError
from trialist.logs.gathering import Gathering, Losses, whole_text
from trialist.logs.lm_eval_results import Results, read_results, run_of
from trialist.logs.lm_eval_samples import ABSENT, SampleReader
from trialist.logs.log import Log, Loss, Source

NAME = "lm-eval"

SAMPLES = "samples_"
HEAD = 2048
Known = dict[tuple[Path, str], tuple[Results | None, tuple[str, ...]]]
"""Results by folder and run, each read once, and what is to be said of them."""


def recognises(path: Path) -> bool:
    """A file of samples or of results, or a folder with either in it, at any depth."""
    try:
        if path.is_dir():
            return any(recognises(file) for file in path.rglob("*.json*") if file.is_file())
    except OSError:
        return False
    return _has_samples(path) or _has_results(path)


def _has_samples(path: Path) -> bool:
    """By its beginning; an empty file by its name."""
    if re.match(rb'\s*\{\s*"doc_id"\s*:', _head(path)):
        return path.suffix in (".jsonl", ".json")
    return path.suffix == ".jsonl" and path.name.startswith(SAMPLES) and bool(run_of(path)) and path.is_file()


def _has_results(path: Path) -> bool:
    """A table of scores may be called results too; the harness begins with each task's results."""
    is_named = path.suffix == ".json" and (path.name.startswith("results_") or bool(run_of(path)))
    return is_named and re.match(rb'\s*\{\s*"results"\s*:\s*\{', _head(path)) is not None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """One ``Log`` a file of samples: the file given, those of the results file given, or all below a folder.

    A measure is a metric, with the filter's name where it has one: "acc", "exact_match[strict-match]". The values are
    the harness's own; NaN and scores that it left out are null with the reason.
    Of several files those that can't be read, or that the results name and aren't there, are losses of the first log.
    Raises DataError where there are no samples, or not one that can be read.
    """
    known: Known = {}
    files, absent = _files(path, known)
    logs: list[Log] = []
    lost = [Loss(str(file), "", "the results name the task, and there is no file of its samples") for file in absent]
    for file in files:
        try:
            logs.append(_log(file, known, full=full))
        except DataError as error:
            if len(files) == 1:
                raise
            lost.append(Loss(str(file), "", error.problems[0].message))
    if not logs:
        raise _no_samples(f"{path}: not one file of samples can be read", lost[0].what)
    return [replace(logs[0], losses=(*logs[0].losses, *lost)), *logs[1:]]


def _files(path: Path, known: Known) -> tuple[list[Path], list[Path]]:
    """The files of samples that are there, and those that ought to be."""
    if path.is_dir():
        found = sorted(file for file in path.rglob(f"{SAMPLES}*.json*") if _has_samples(file))
        if not found:
            raise _no_samples(f"{path} holds no samples of lm-evaluation-harness", "results alone, or nothing")
        return found, []
    if not _has_results(path):
        return [path], []
    results, run = read_results(path), run_of(path)
    known[path.parent, run] = results, ()
    files = [path.with_name(f"{SAMPLES}{task}_{run}.jsonl") for task in results.tasks]
    files = [file if file.is_file() else file.with_suffix(".json") for file in files]
    found = [file for file in files if file.is_file()]
    if not found:
        raise _no_samples(f"{path} has no samples beside it", f"no {SAMPLES}<task>_{run or '<date>'}.jsonl")
    return found, [file.with_suffix(".jsonl") for file in files if file not in found]


def _no_samples(message: str, seen: str) -> DataError:
    return DataError(
        message, seen=seen, allowed="samples_<task>_<date>.jsonl, with or without results_<date>.json",
        next_step="intervals and comparisons need each sample's score: run the harness again with --log_samples",
    )  # fmt: skip


def _log(path: Path, known: Known, *, full: bool) -> Log:
    run = run_of(path)
    task: str = whole_text(path.stem.removeprefix(SAMPLES).removesuffix(f"_{run}" if run else ""))
    if (path.parent, run) not in known:
        known[path.parent, run] = _results_beside(path, run)
    found, said = known[path.parent, run]
    results, notes = found or Results(), list(said)
    if found and task not in results.part("results"):
        notes.append(f"{results.path} says nothing of the task '{task}'")
    model: str = whole_text(results.text("model_name") or path.resolve().parent.name)
    if not results.text("model_name"):
        notes.append(f"the model is named by its folder: {model}")
    rows = Gathering(task, model, scorer_version=results.version, absent=ABSENT)
    template = results.template(task)
    if template is not None:
        notes.append("a chat template wrote the prompts: items are told apart by document and settings, not by prompt")

    def aggregation(metric: str) -> str:
        return results.aggregation(task, metric)

    reader = SampleReader(path, rows, aggregation=aggregation, template=template, full=full)
    try:
        reader.read()
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=error.strerror or str(error)) from error
    losses = reader.losses
    if not reader.num_docs:
        lost = losses.all()
        raise DataError(
            f"{path}: not one sample of lm-evaluation-harness can be read",
            seen=lost[0].what if lost else "an empty file", next_step="copy it again from where the harness wrote it",
        )  # fmt: skip
    is_theirs, num_samples = _accounted(reader, results, task, losses)
    source = Source(
        path=str(path), format=NAME, tool=f"lm_eval {results.version}".strip(), task=task,
        task_version=str(results.part("versions").get(task, "")), model=model, run=run, created=results.created,
        num_samples=num_samples, settings=results.settings(task),
    )  # fmt: skip
    notes += [*results.notes(), *reader.notes(), *_groups(results, task)]
    stated = results.stated(task) if is_theirs else ()
    return Log(source, *rows.tables(), stated=stated, losses=losses.all(), notes=tuple(notes))


def _results_beside(path: Path, run: str) -> tuple[Results | None, tuple[str, ...]]:
    """The results of the same run: only those are believed."""
    dated = [file for file in sorted(path.parent.glob("*.json")) if _has_results(file)]
    same = [file for file in dated if run and run_of(file) == run]
    if not same:
        other = f"; {dated[0].name} is of another run" if dated else ""
        note = f"no results_{run or '<date>'}.json beside {path.name}{other}"
        return None, (f"{note}: names are the file's, and what the harness computed isn't known",)
    try:
        return read_results(same[0]), ()
    except DataError as error:
        return None, (f"{same[0].name} isn't used: {error.problems[0].seen or error}",)


def _accounted(reader: SampleReader, results: Results, task: str, losses: Losses) -> tuple[bool, int | None]:
    """Whether the results are of these very samples, and how many there were to be.

    The harness keeps a hash of all samples of a task in their order. Where it agrees, nothing is lost or changed.
    """
    told, effective = results.task_hash(task), results.num_effective(task)
    if told and told == reader.task_hash:
        return True, reader.num_docs
    if effective is None:
        return bool(results.path), None
    if reader.num_docs < effective:
        what = f"{effective - reader.num_docs} of {effective} samples that the harness evaluated aren't in the file"
        losses.add("samples that aren't in the file", "", what)
        return True, effective
    if told and reader.task_hash and not losses.num:
        what = f"the samples aren't those that {Path(results.path).name} is about: its hash of them differs"
        losses.add("results of other samples", "", f"{what}; its numbers are left out")
        return False, reader.num_docs
    return True, max(effective, reader.num_docs)


def _groups(results: Results, task: str) -> list[str]:
    return [f"part of the group '{group}'" for group in results.groups(task)]
