"""Logs kept by this project: ``Log`` <-> a folder, the same after a round trip.

    folder/kept.json                     schema, one row a log: its name, and the hash of each of its files
    folder/<name>/source.json            source, stated, losses, notes
    folder/<name>/items.parquet, answers.parquet, scores.parquet

The folder appears complete or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import polars as pl

from trialist.errors import DataError, RunFolderError
from trialist.folder import RunFolder, schema_of, whole_folder
from trialist.logs.gathering import plain, whole_text
from trialist.logs.log import Log, Loss, Source, Stated
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS, sha256_hex

NAME = "kept log"
SCHEMA = "trialist/log/1"
INDEX = "kept.json"
TABLES: Mapping[str, Mapping[str, str]] = {
    "items": ITEM_COLUMNS, "answers": ANSWER_COLUMNS, "scores": SCORE_COLUMNS,
}  # fmt: skip


def write(logs: Sequence[Log], folder: Path) -> list[Path]:
    """Write the logs into a new or empty folder; returns the folder of each.

    Raises:
        StorageError: there is something in the folder, or the disk refuses.
        DataError: no log, or a table that hasn't the columns of its kind.
    """
    if not logs:
        raise DataError(f"no log to keep in {folder}", allowed="one log or more")
    names = [_name(number, log.source) for number, log in enumerate(logs)]
    with whole_folder(folder) as draft:
        rows: list[dict[str, Any]] = []
        for name, log in zip(names, logs, strict=True):
            place = RunFolder(draft / name)
            for table, columns in TABLES.items():
                place.write_table(f"{table}.parquet", _checked(getattr(log, table), columns, f"{table} of {name}"))
            place.write_json("source.json", _record(log))
            files = sorted(path.name for path in place.root.iterdir())
            rows.append({"name": name, "sha256": {file: sha256_hex(place.path(file).read_bytes()) for file in files}})
        RunFolder(draft).write_json(INDEX, {"schema": SCHEMA, "logs": rows})
    return [folder / name for name in names]


def recognises(path: Path) -> bool:
    """The folder, or the file that lists what is in it."""
    try:
        with (path if path.name == INDEX else path / INDEX).open("rb") as stream:
            return b'"trialist/log/' in stream.read(200)
    except OSError:
        return False


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """All logs of a folder, as they were written; ``full`` changes nothing.

    Raises DataError for a newer schema, and for files that are missing, damaged or changed.
    """
    root = path.parent if path.name == INDEX else path
    try:
        index: Any = RunFolder(root).read_json(INDEX)
        _check_schema(index, root)
        return [_read(RunFolder(root / Path(row["name"]).name), row["sha256"]) for row in index["logs"]]
    except (RunFolderError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        seen = error.problems[0].seen if isinstance(error, RunFolderError) else str(error)
        raise DataError(f"the log kept in {root} is damaged", seen=seen, next_step="make it again") from error


def _check_schema(index: Any, root: Path) -> None:
    schema = cast("dict[str, Any]", index).get("schema") if isinstance(index, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"{root / INDEX} has an unknown schema", seen=str(schema), allowed=SCHEMA,
            next_step="update trialist, or make the log again",
        )  # fmt: skip


def _read(place: RunFolder, hashes: Mapping[str, str]) -> Log:
    changed = [file for file, told in hashes.items() if sha256_hex(place.path(file).read_bytes()) != told]
    wanted = {"source.json", *(f"{table}.parquet" for table in TABLES)}
    if changed or set(hashes) != wanted:
        raise DataError(
            f"the log kept in {place.root} was changed", seen=", ".join(changed or sorted(hashes)),
            allowed=f"the files that {INDEX} lists, unchanged", next_step="restore it, or make it again",
        )  # fmt: skip
    record: Mapping[str, Any] = place.read_json("source.json")
    items, answers, scores = (
        _checked(place.read_table(f"{table}.parquet"), columns, f"{table} in {place.root}")
        for table, columns in TABLES.items()
    )
    return Log(
        Source(**record["source"]), items, answers, scores,
        stated=tuple(replace(Stated(**row), value=float(row["value"])) for row in record["stated"]),
        losses=tuple(Loss(**row) for row in record["losses"]), notes=tuple(record["notes"]),
    )  # fmt: skip


def _record(log: Log) -> dict[str, Any]:
    settings = json.loads(json.dumps(plain(dict(log.source.settings)), default=str))
    record = {
        "source": {**asdict(replace(log.source, settings={})), "settings": settings},
        "stated": [{**asdict(row), "value": plain(float(row.value))} for row in log.stated],
        "losses": [asdict(row) for row in log.losses],
        "notes": list(log.notes),
    }
    return whole_text(record)


def _checked(table: pl.DataFrame, columns: Mapping[str, str], what: str) -> pl.DataFrame:
    wanted = schema_of(columns)
    if dict(table.schema) != wanted:
        odd = [name for name in {**wanted, **table.schema} if table.schema.get(name) != wanted.get(name)]
        raise DataError(
            f"{what}: not the columns of such a table", seen=", ".join(f"{n}: {table.schema.get(n)}" for n in odd[:4]),
            allowed=", ".join(f"{n}: {wanted.get(n)}" for n in odd[:4]),
        )  # fmt: skip
    return table


def _name(number: int, source: Source) -> str:
    """A name for a folder on any system: the number tells logs apart, task and model tell people."""
    words = [re.sub(r"[^A-Za-z0-9._-]+", "_", word)[:60] for word in (source.task, source.model)]
    return "-".join([f"{number:03d}", *(word.strip(".") for word in words if word)])
