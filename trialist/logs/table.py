"""A table of scores (Parquet, CSV, JSON lines) -> a score table and the items in it.

Long form: one row an answer and measure, the score in ``value``. Wide form: one row an answer, a column for each
measure. Several files are the arms, named by their stems, unless a column says which arm a row belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from trialist.errors import DataError, did_you_mean
from trialist.records import ITEM_COLUMNS, SCORE_COLUMNS

SUFFIXES: Mapping[str, str] = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip

ALIASES: Mapping[str, tuple[str, ...]] = {
    "item": ("item", "item_id", "id", "sample_id", "question_id", "doc_id"),
    "value": ("value", "score"),
    "arm": ("arm", "model"),
    "measure": ("measure", "metric"),
    "cluster": ("cluster",),
    "replicate": ("replicate", "run"),
    "epoch": ("epoch", "repeat"),
    "weight": ("weight",),
    "stratum": ("stratum", "category", "task", "group"),
    "scorer_kind": ("scorer_kind",),
    "reason": ("reason",),
}
"""The names under which a column is looked for when none is given, first one first."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None: looked for under ``ALIASES``. ``measures``: the columns of a wide table."""

    item: str | None = None
    value: str | None = None
    arm: str | None = None
    measure: str | None = None
    cluster: str | None = None
    replicate: str | None = None
    epoch: str | None = None
    weight: str | None = None
    stratum: str | None = None
    scorer_kind: str | None = None
    reason: str | None = None
    measures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """``scores`` (SCORE_COLUMNS), ``items`` (ITEM_COLUMNS), the arms in the files' order, and what was assumed."""

    scores: pl.DataFrame
    items: pl.DataFrame
    arms: tuple[str, ...]
    measures: tuple[str, ...]
    notes: tuple[str, ...]


def read_tables(paths: Sequence[Path], columns: Columns | None = None) -> Read:
    """Read files of scores. A value that is empty (null) is missing, with the row's ``reason`` where there is one; a
    value of NaN is refused.

    A measure whose values are all 0 or 1 is binary, any other one is graded. Without a cluster column every item is its
    own cluster. Raises DataError for a file that can't be read, a column that isn't there, values that aren't numbers,
    and one item with two clusters or strata.
    """
    chosen = columns or Columns()
    parts = [_long(_read_file(path), chosen, path) for path in paths]
    rows = pl.concat(parts)
    arms = tuple(rows["arm"].unique(maintain_order=True).to_list())
    measures = tuple(rows["measure"].unique(maintain_order=True).to_list())
    binary = rows.group_by("measure").agg(((pl.col("value") == 0) | (pl.col("value") == 1)).all().alias("binary"))
    kinds = {name: "binary" if is_binary else "bounded" for name, is_binary in binary.iter_rows()}
    rows = rows.with_columns(kind=pl.col("measure").replace_strict(kinds, return_dtype=pl.String))
    scores = rows.with_columns(
        threat=pl.lit(""), attack_run=0, dose=0.0, evaluation=pl.lit("table"), scorer=pl.lit("table"),
        scorer_version=pl.lit(""),
    ).select([pl.col(name).cast(getattr(pl, kind)) for name, kind in SCORE_COLUMNS.items()])  # fmt: skip
    return Read(scores, _items(rows), arms, measures, tuple(_notes(rows, kinds)))


def _read_file(path: Path) -> pl.DataFrame:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"{path}: a scores table in no known format", seen=path.suffix or "no suffix", allowed=", ".join(SUFFIXES)
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file", next_step="check the path")
    try:
        if kind == "parquet":
            table = pl.read_parquet(path)
        elif kind == "jsonl":
            table = pl.read_ndjson(path, infer_schema_length=None)
        else:
            table = pl.read_csv(path, separator="\t" if kind == "tsv" else ",", infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(f"{path} can't be read as {kind}", seen=first, next_step="check the file") from error
    if not len(table):
        raise DataError(f"{path} has no rows", next_step="an empty table measures nothing")
    return table


def _long(table: pl.DataFrame, columns: Columns, path: Path) -> pl.DataFrame:
    """The file's rows in long form with the columns of ``ALIASES``, those that it doesn't have filled in."""
    names = {role: _name(table, role, getattr(columns, role), path) for role in ALIASES}
    if names["item"] is None:
        raise _no_column(table, "item", "--item", path)
    measures = columns.measures
    if not measures and names["value"] is None:
        raise _no_column(table, "value", "--value, or --measure for each column of scores", path)
    kept = {role: name for role, name in names.items() if name is not None and not (measures and role == "value")}
    if measures:
        kept.pop("measure", None)
        absent = next((name for name in measures if name not in table.columns), None)
        if absent is not None:
            raise _no_column(table, absent, "--measure", path)
        single = [table.select(**{r: pl.col(c) for r, c in kept.items()}, value=pl.col(m), measure=pl.lit(m))
                  for m in measures]  # fmt: skip
    else:
        single = [table.select(**{role: pl.col(name) for role, name in kept.items()})]
    return pl.concat([_typed(part, path) for part in single])


def _typed(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    value = rows["value"]
    if not (value.dtype.is_numeric() or value.dtype == pl.Boolean):
        bad = next((repr(x) for x in value if x is not None), "")
        raise DataError(
            f"{path}: scores that aren't numbers", seen=f"{bad} ({value.dtype})",
            allowed="numbers, true or false, empty", next_step="map words to numbers first, such as C to 1 and I to 0",
        )  # fmt: skip
    defaults: dict[str, Any] = {
        "arm": path.stem, "measure": "score", "replicate": 0, "epoch": 0, "weight": 1.0, "stratum": "",
        "scorer_kind": "program", "reason": "", "cluster": None,
    }  # fmt: skip
    missing = {name: pl.lit(default) for name, default in defaults.items() if name not in rows.columns}
    rows = rows.with_columns(**missing)
    types: dict[str, Any] = {
        "item": pl.String, "value": pl.Float64, "arm": pl.String, "measure": pl.String, "cluster": pl.String,
        "replicate": pl.Int32, "epoch": pl.Int32, "weight": pl.Float64, "stratum": pl.String,
        "scorer_kind": pl.String, "reason": pl.String,
    }  # fmt: skip
    rows = rows.select([pl.col(name).cast(kind) for name, kind in types.items()])
    return rows.with_columns(pl.coalesce("cluster", "item").alias("cluster"), pl.col("reason").fill_null(""))


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    places = rows.select("item", "cluster", "stratum").unique().sort("item")
    twice = places.filter(pl.col("item").is_duplicated())
    if len(twice):
        first, second = twice.row(0, named=True), twice.row(1, named=True)
        raise DataError(
            f"item {first['item']} has two places", seen=f"{first['cluster']!r}, {first['stratum']!r} and "
            f"{second['cluster']!r}, {second['stratum']!r}", allowed="one cluster and one stratum an item",
        )  # fmt: skip
    items = places.rename({"item": "id"}).with_columns(
        content_hash=pl.lit(""), input=pl.lit(""), options=pl.lit([], dtype=pl.List(pl.String)),
        target=pl.lit(None, dtype=pl.Int32), reference=pl.lit(""), metadata=pl.lit("{}"),
    )  # fmt: skip
    return items.select(list(ITEM_COLUMNS))


def _notes(rows: pl.DataFrame, kinds: Mapping[str, str]) -> list[str]:
    notes = [f"'{name}' is binary: its values are all 0 or 1" for name, kind in kinds.items() if kind == "binary"]
    if (rows["cluster"] == rows["item"]).all():
        notes.append("no cluster column: every item is taken as independent of every other")
    return notes


def _name(table: pl.DataFrame, role: str, given: str | None, path: Path) -> str | None:
    if given is None:
        return next((alias for alias in ALIASES[role] if alias in table.columns), None)
    if given not in table.columns:
        raise _no_column(table, given, f"--{role}", path)
    return given


def _no_column(table: pl.DataFrame, name: str, option: str, path: Path) -> DataError:
    step = did_you_mean(name, table.columns, f"or name it with {option}")
    return DataError(f"{path}: no column '{name}'", seen=", ".join(table.columns), next_step=step)


assert set(ALIASES) == {f.name for f in fields(Columns)} - {"measures"}
