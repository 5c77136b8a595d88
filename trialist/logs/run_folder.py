"""A finished run folder of this project -> ``Log``: one an evaluation and arm, untouched by any threat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from trialist.errors import DataError, RunFolderError
from trialist.folder import MANIFEST, RunFolder, frame
from trialist.logs.gathering import content_hash
from trialist.logs.log import Log, Source
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCHEMA_VERSION, Cell, cell_of, sha256_hex

NAME = "run folder"
FILE = "trial.json"
TEXTS: Mapping[str, Any] = {"input": pl.lit(""), "options": pl.lit([], dtype=pl.List(pl.String))}


def recognises(path: Path) -> bool:
    """A folder with a registration, or the registration."""
    try:
        folder = path.parent if path.name == FILE else path
        return (folder / FILE).is_file() and (folder / "items").is_dir()
    except OSError:
        return False


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """One ``Log`` an evaluation and arm, replicates of the arm together. What was measured under a threat is left out
    and counted in a note: it is another condition, and the run's own report compares it.

    Raises DataError for a run that isn't finished, that was changed since, or that a newer version wrote.
    """
    folder = RunFolder(path.parent if path.name == FILE else path)
    try:
        document = _document(folder)
        answers, scores = (folder.read_table(f"{name}/{name}.parquet") for name in ("answers", "scores"))
        items = {key: folder.read_table(f"items/{_file(key)}") for key in document["plan"]["evaluations"]}
    except RunFolderError as error:
        first = error.problems[0]
        raise DataError(first.message, seen=first.seen, allowed=first.allowed, next_step=first.next_step) from error
    return [
        _log(folder, document, key, arm, (items[key], answers, scores), full=full)
        for key in items
        for arm in document["arms"]
        if len(_of(scores, key, arm))
    ]


def _document(folder: RunFolder) -> Mapping[str, Any]:
    found: Any = folder.read_json(FILE)
    document = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise DataError(
            f"{folder.root} has a registration of an unknown schema", seen=f"schema {schema}",
            allowed=f"schema up to {SCHEMA_VERSION}", next_step="update trialist to read it",
        )  # fmt: skip
    if not folder.exists(MANIFEST):
        raise DataError(
            f"the run in {folder.root} isn't finished", seen=f"no {MANIFEST}",
            next_step="run 'trialist run' on its spec again: it resumes",
        )  # fmt: skip
    folder.check_intact()
    return document


def _file(evaluation: str) -> str:
    """The file of an evaluation's items (``trial.registration.items_name``, above this layer)."""
    return f"{evaluation.partition('@')[0]}-{sha256_hex(evaluation.encode())[:8]}.parquet"


def _of(table: pl.DataFrame, key: str, arm: str) -> pl.DataFrame:
    return table.filter((pl.col("evaluation") == key) & (pl.col("arm") == arm) & (pl.col("threat") == ""))


def _log(
    folder: RunFolder, document: Mapping[str, Any], key: str, arm: str, tables: tuple[pl.DataFrame, ...], *, full: bool
) -> Log:
    items, answers, scores = tables
    asked = items.filter(pl.col("id").is_in(_of(answers, key, arm)["item"].unique().to_list()))
    task = _task(document, key)
    source = Source(
        path=str(folder.root), format=NAME, tool=f"trialist {document.get('trialist', '')}".strip(), task=task,
        task_version=key.partition("@")[2].partition("{")[0], model=arm, run=str(document.get("hash", "")),
        num_samples=len(_of(answers, key, arm)), settings=_settings(document, key, arm),
    )  # fmt: skip
    notes = _notes(folder, scores, key, arm, num_not_asked=len(items) - len(asked))
    here = {"evaluation": pl.lit(task)}
    kept = _of(answers, key, arm).with_columns(**here)
    if not full:
        bare = frame([], ANSWER_COLUMNS).schema
        kept = kept.with_columns(text=pl.lit(""), **{n: pl.lit([], dtype=bare[n]) for n in ("logprobs", "num_bytes")})
    return Log(source, _items(asked, full=full), kept, _of(scores, key, arm).with_columns(**here), notes=notes)


def _task(document: Mapping[str, Any], key: str) -> str:
    """The evaluation's name, its whole identity where the run has it with other settings too."""
    name = key.partition("@")[0]
    same = [other for other in document["plan"]["evaluations"] if other.partition("@")[0] == name]
    return name if len(same) == 1 else key


def _settings(document: Mapping[str, Any], key: str, arm: str) -> dict[str, Any]:
    design = {name: value for name, value in document["design"].items() if name in ("seed", "stopping", "chunk")}
    given = key.partition("{")[2]
    settings: dict[str, Any] = json.loads("{" + given) if given else {}
    return {"arm": document["arms"][arm], "evaluation": settings, "design": design, "title": document.get("title", "")}


def _items(items: pl.DataFrame, *, full: bool) -> pl.DataFrame:
    """The same hash for the same question, whatever its id and cluster."""
    hashes = [
        content_hash(row["input"], row["options"], row["reference"] if row["target"] is None else str(row["target"]))
        for row in items.select("input", "options", "target", "reference").iter_rows(named=True)
    ]
    found = items.with_columns(content_hash=pl.Series(hashes, dtype=pl.String))
    return (found if full else found.with_columns(**TEXTS)).select(list(ITEM_COLUMNS))


def _notes(folder: RunFolder, scores: pl.DataFrame, key: str, arm: str, *, num_not_asked: int) -> tuple[str, ...]:
    found: list[str] = []
    attacked = scores.filter((pl.col("evaluation") == key) & (pl.col("arm") == arm) & (pl.col("threat") != ""))
    cells: list[Cell] = [cell_of(row) for row in attacked.select(_CELL).unique(maintain_order=True).to_dicts()]
    if cells:
        named = "; ".join(cell.label for cell in cells[:4]) + ("; ..." if len(cells) > 4 else "")
        cut = f"left out: {len(attacked)} scores in {len(cells)} cells under a threat ({named})"
        found.append(f"{cut}; the run's report has them")
    if num_not_asked:
        found.append(f"{num_not_asked} items were never asked: the run's claims were decided before")
    if folder.exists("stopping.json"):
        found.append(
            "the run asked until its claims were decided: an interval that takes the number of items as fixed "
            "describes, and only the run's own bounds carry claims"
        )
    return tuple(found)


_CELL = ["arm", "replicate", "threat", "attack_run", "dose"]
