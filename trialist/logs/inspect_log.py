"""Logs of Inspect (``.eval`` and ``.json``, schema 1 and 2) -> a ``Log``, without importing inspect_ai.

``full=False`` reads the header and the summaries: scores, errors and limits are all there, long texts are shortened.
``full=True`` reads each sample. The statuses, and which scores count, are told in ``docs/logs/inspect.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trialist.errors import DataError
from trialist.logs.inspect_files import File, open_log
from trialist.logs.inspect_frames import ABSENT, NOT_LOGGED, STOPPED, Place, Tables
from trialist.logs.inspect_json import clean, listed, plain_json, table, tables
from trialist.logs.inspect_sample import Sample, read_sample
from trialist.logs.inspect_scores import declared, stated
from trialist.logs.inspect_zip import Damaged
from trialist.logs.log import Log, Loss, Source

NAME = "inspect"
KNOWN_SCHEMAS = (1, 2)
JSON_START = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"(status|eval)"')
LIMITS = ("message_limit", "token_limit", "token_limit_type", "turn_limit", "time_limit", "working_limit", "cost_limit")


def recognises(path: Path) -> bool:
    """A file named ``.eval``, or a ``.json`` that begins as Inspect's do."""
    try:
        if not path.is_file():
            return False
        if path.suffix == ".eval":
            return True
        if path.suffix != ".json":
            return False
        with path.open("rb") as file:
            return JSON_START.match(file.read(512)) is not None
    except OSError:
        return False


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """The log in a file. Raises DataError for a file of which no header and no sample can be read, and for a newer
    schema."""
    file = open_log(path)
    try:
        _check_schema(path, file.header)
        return (_read(path, file, full=full),)
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=str(error), next_step="check the disk") from error
    finally:
        file.close()


def _check_schema(path: Path, header: Mapping[str, Any]) -> None:
    version = header.get("version", KNOWN_SCHEMAS[0])
    if version not in KNOWN_SCHEMAS:
        raise DataError(
            f"{path}: an Inspect log of a schema that isn't known", seen=f"schema {version}",
            allowed=f"schemas {' and '.join(map(str, KNOWN_SCHEMAS))}",
            next_step="write it again in schema 2 with the inspect_ai that made it, or update trialist",
        )  # fmt: skip


def _read(path: Path, file: File, *, full: bool) -> Log:
    header = file.header
    spec, results = table(header.get("eval")), table(header.get("results"))
    plan = _planned(spec)
    losses: list[tuple[str, str]] = []
    found = Tables(_place(path, header, spec), plan)
    lone = str(table(results.get("scorer")).get("name") or "score")
    for record in file.records(plan, full=full):
        try:
            found.add(_named(read_sample(record.value, full=full), lone))
        except Damaged as error:
            losses.append((record.name, str(error)))
    num_planned = _add_absent(found, plan, spec, results)
    num_ids = len(listed(table(spec.get("dataset")).get("sample_ids")))
    if num_ids > len(plan):
        losses.append(("", f"{num_ids - len(plan)} of {num_ids} ids of the data set stand there twice"))
    if num_planned is not None and num_planned > len(found):
        losses.append(("", f"{num_planned - len(found)} of {num_planned} samples are missing; their ids aren't known"))
    if not len(found) and not results:
        raise DataError(
            f"{path}: an Inspect log without samples and without results",
            seen="; ".join(f"{name} {what}".strip() for name, what in file.losses) or f"status {header.get('status')}",
            allowed="samples, or the numbers that the log states", next_step="wait until the run has written samples",
        )  # fmt: skip
    notes = _notes(found, header, full=full)
    source = _source(path, header, spec, len(found) if num_planned is None else max(num_planned, len(found)))
    lost = dict.fromkeys((*file.losses, *losses, *found.losses))
    return Log(
        source, found.items(), found.answers(), found.scores(), stated(results),
        tuple(Loss(str(path), clean(sample), clean(what)) for sample, what in lost), tuple(notes),
    )  # fmt: skip


def _named(sample: Sample, lone: str) -> Sample:
    """In schema 1 the name of the one scorer stands in the results."""
    return sample._replace(scores={lone: sample.scores[""]}) if "" in sample.scores else sample


# --- what was planned ----------------------------------------------------------------------------------------------


def _planned(spec: Mapping[str, Any]) -> list[str]:
    ids = listed(table(spec.get("dataset")).get("sample_ids"))
    return list(dict.fromkeys(clean(str(i)) for i in ids if isinstance(i, str | int)))


def _add_absent(rows: Tables, plan: Sequence[str], spec: Mapping[str, Any], results: Mapping[str, Any]) -> int | None:
    """Rows for what was planned and isn't there; how many rows were planned, None where the log doesn't say."""
    config = table(spec.get("config"))
    epochs = config.get("epochs")
    epochs = epochs if isinstance(epochs, int) and 0 < epochs < 100_000 else 1
    reason = NOT_LOGGED if config.get("log_samples") is False else ABSENT
    stops = table(results.get("early_stopping")).get("early_stops")
    stopped = {(clean(str(stop.get("id"))), stop.get("epoch")) for stop in tables(stops)}
    for name in plan:
        for epoch in range(1, epochs + 1):
            rows.add_absent(name, epoch, STOPPED if (name, epoch) in stopped else reason)
    if plan:
        return len(plan) * epochs
    total = results.get("total_samples")
    num_samples = table(spec.get("dataset")).get("samples")
    if isinstance(total, int) and total:
        return total
    return num_samples * epochs if isinstance(num_samples, int) and not config.get("limit") else None


# --- the header ----------------------------------------------------------------------------------------------------


def _place(path: Path, header: Mapping[str, Any], spec: Mapping[str, Any]) -> Place:
    scorers = declared(spec)
    seed = _generation(header, spec).get("seed")
    clusters, groups = ({getattr(s, name) for s in scorers} - {""} for name in ("cluster", "group"))
    listed_names = {str(s.get("scorer")) for s in tables(table(header.get("results")).get("scores"))}
    unlisted = frozenset(s.name for s in scorers if listed_names and s.name not in listed_names)
    return Place(
        clean(str(spec.get("model", ""))), clean(str(spec.get("task") or path.stem)), _tool(spec),
        seed if isinstance(seed, int) and 0 <= seed < 2**64 else 0, scorers,
        clusters.pop() if len(clusters) == 1 else "", groups.pop() if len(groups) == 1 else "", unlisted,
    )  # fmt: skip


def _tool(spec: Mapping[str, Any]) -> str:
    return clean(f"inspect_ai {table(spec.get('packages')).get('inspect_ai', '')}").strip()


def _generation(header: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the model, overridden by those of the run."""
    return {**table(spec.get("model_generate_config")), **table(table(header.get("plan")).get("config"))}


def _source(path: Path, header: Mapping[str, Any], spec: Mapping[str, Any], num_samples: int) -> Source:
    config = table(spec.get("config"))
    steps = table(header.get("plan")).get("steps")
    solvers = tables(steps)
    settings: dict[str, Any] = {
        "task_args": table(spec.get("task_args")),
        "solver": [{"solver": s.get("solver", ""), "params": s.get("params", {})} for s in solvers],
        "generate": _generation(header, spec),
        "model_args": table(spec.get("model_args")),
        "model_roles": table(spec.get("model_roles")),
        "dataset": table(spec.get("dataset")).get("name") or "",
        "limits": {name: config[name] for name in LIMITS if config.get(name) is not None},
        "epochs": config.get("epochs") or 1,
        "epochs_reducer": config.get("epochs_reducer"),
    }
    return Source(
        path=str(path), format=NAME, tool=_tool(spec), task=clean(str(spec.get("task") or path.stem)),
        task_version=clean(str(spec.get("task_version", ""))), model=clean(str(spec.get("model", ""))),
        run=clean(str(spec.get("eval_id") or spec.get("run_id") or "")), created=clean(str(spec.get("created", ""))),
        status=clean(str(header.get("status", "unknown"))), num_samples=num_samples,
        settings={name: value for name, value in settings.items() if value not in (None, "", {})},
    )  # fmt: skip


def _notes(rows: Tables, header: Mapping[str, Any], *, full: bool) -> list[str]:
    notes: list[str] = []
    spec = table(header.get("eval"))
    status = header.get("status")
    if status != "success":
        said = table(header.get("error")).get("message")
        notes.append(clean(f"the run has the status '{status}'" + (f": {said}" if said else "")))
    if not full:
        notes.append("answers are without their texts, and edits of scores aren't seen: they aren't in the summaries")
    if rows.num_shortened:
        notes.append(f"{rows.num_shortened} inputs or targets are shortened in the summaries: "
                     "their content hashes are those of the shortened text")  # fmt: skip
    if rows.num_edited:
        notes.append(f"{rows.num_edited} scores were edited after the run (first: {rows.first_edited}): "
                     "the current value counts")  # fmt: skip
    if rows.num_set_aside:
        notes.append(f"{rows.num_set_aside} samples were invalidated: they have no value here, "
                     "in the numbers that the log states they still count")  # fmt: skip
    if rows.num_scored_errors:
        notes.append(f"{rows.num_scored_errors} samples ended in an error and were scored all the same")
    for name, word in (("cluster", "clustered"), ("group", "grouped")):
        fields = sorted({getattr(s, name) for s in declared(spec)} - {""})
        if len(fields) == 1:
            column = "cluster" if name == "cluster" else "stratum"
            notes.append(clean(f"the log's metrics are {word} by '{fields[0]}': it is the {column}"))
        elif fields:
            notes.append(clean(f"the log's metrics are {word} by several fields, none is used: {', '.join(fields)}"))
    notes.extend(f"changed during the run: {plain_json(u)[:200]}" for u in listed(header.get("config_updates")))
    return notes
