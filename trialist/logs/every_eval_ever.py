"""Every Eval Ever -> ``Log``: ``<uuid>.json`` with its samples in ``<uuid>_samples.jsonl``.

After the schemas eval and instance_level_eval 0.2.x of https://github.com/evaleval/every_eval_ever. What a sample's
metric is stands in the aggregate alone; scores without samples can't be estimated from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trialist.errors import DataError
from trialist.logs.every_eval_ever_aggregate import (
    Aggregate,
    aggregate_beside,
    damage,
    read_aggregate,
    samples_beside,
)
from trialist.logs.every_eval_ever_samples import SampleReader, Task
from trialist.logs.log import Log, Loss, Source

NAME = "every-eval-ever"
HEAD = 4096


def recognises(path: Path) -> bool:
    """An aggregate, a file of samples, or a folder with either in it, at any depth."""
    try:
        if path.is_dir():
            return any(recognises(file) for file in path.rglob("*.json*") if file.is_file())
        if path.suffix not in (".json", ".jsonl"):
            return False
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError:
        return False
    keys = (b"schema_version", b"evaluation_id")
    return head.lstrip()[:1] == b"{" and all(re.search(rb'"%s"\s*:\s*"' % key, head) for key in keys)


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """One ``Log`` an evaluation in the file, or in all files below a folder. A measure is the metric's name in the
    aggregate, "score" where the file doesn't say which metric a sample's score is of.

    A sample with an error is missing, whatever score stands beside it: converters write 0 there. Raises DataError for
    an aggregate without samples, a schema that isn't known, and where not one sample can be read.
    """
    if not path.is_dir():
        return _read(path, full=full)
    files = [file for file in sorted(path.rglob("*.json")) if recognises(file)]
    logs: list[Log] = []
    lost: list[Loss] = []
    owned: set[str] = set()
    for file in [*files, *(file for file in sorted(path.rglob("*.jsonl")) if recognises(file))]:
        if str(file.resolve()) in owned:
            continue
        try:
            found = _read(file, full=full)
        except DataError as error:
            lost.append(Loss(str(file), "", error.problems[0].message))
        else:
            logs += found
            owned |= {str(Path(log.source.path).resolve()) for log in found}
    if not logs:
        raise DataError(
            f"{path} holds no samples of Every Eval Ever", seen=lost[0].what if lost else "no such file",
            allowed="<uuid>.json with <uuid>_samples.jsonl",
        )  # fmt: skip
    return [replace(logs[0], losses=(*logs[0].losses, *lost)), *logs[1:]]


def _read(path: Path, *, full: bool) -> list[Log]:
    if path.suffix == ".jsonl":
        beside = aggregate_beside(path)
        return _logs(path, read_aggregate(beside) if beside else Aggregate(), full=full)
    aggregate = read_aggregate(path)
    samples = samples_beside(aggregate)
    if samples is None or samples.suffix != ".jsonl":
        named = str(aggregate.samples.get("file_path") or "none named")
        raise DataError(
            f"{path} has scores of {len(aggregate.results)} evaluations and no samples beside it", seen=named,
            allowed=f"{path.stem}_samples.jsonl, not compressed",
            next_step="intervals and comparisons need each sample's score: convert the run again with its samples",
        )  # fmt: skip
    return _logs(samples, aggregate, full=full)


def _logs(path: Path, aggregate: Aggregate, *, full: bool) -> list[Log]:
    reader = SampleReader(path, aggregate, full=full)
    try:
        reader.read()
        told = damage(aggregate, path, reader.num_rows)
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=error.strerror or str(error)) from error
    if not reader.tasks:
        lost = reader.losses.all()
        seen = lost[0].what if lost else "an empty file"
        raise DataError(f"{path}: not one sample of Every Eval Ever can be read", seen=seen, next_step="get it again")
    for what in told:
        reader.losses.add("what the aggregate says otherwise", "", what)
    named = {result.evaluation for task in reader.tasks.values() for result in task.results.values()}
    for result in aggregate.results:
        if result.evaluation not in named and result.evaluation not in reader.tasks:
            what = f"'{result.evaluation}' has a score ({result.measure}) and no samples"
            reader.losses.add("results without samples", "", what)
    is_whole = not reader.losses.num
    logs = [_log(path, aggregate, task, is_whole=is_whole) for task in reader.tasks.values()]
    first = logs[0]
    logs[0] = Log(
        first.source, first.items, first.answers, first.scores, first.stated, reader.losses.all(), first.notes
    )
    return logs


def _log(path: Path, aggregate: Aggregate, task: Task, *, is_whole: bool) -> Log:
    results = list(task.results.values())
    source = Source(
        path=str(path), format=NAME, tool=aggregate.tool, task=task.name, model=task.model,
        run=task.run, created=aggregate.created, num_samples=task.num_attempts if is_whole else None,
        settings=aggregate.settings(results),
    )  # fmt: skip
    stated = [row for measure, result in task.results.items() for row in result.stated(measure)]
    return Log(source, *task.rows.tables(), stated=tuple(stated), notes=tuple(task.notes(aggregate)))
