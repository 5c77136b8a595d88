"""A table of scores (Parquet, CSV, JSON lines) -> a score table and the items in it.

Long form: one row an answer and measure, the score in ``value``. Wide form: one row an answer, a column for each
measure. Several files are the arms, named by their stems, unless a column says which arm a row belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import polars as pl

from trialist.errors import DataError, did_you_mean
from trialist.records import ITEM_COLUMNS, SCORE_COLUMNS, ScorerKind

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

TEXT = ("item", "arm", "measure", "cluster", "stratum", "scorer_kind", "reason")
WHOLE = ("replicate", "epoch")
NEVER_EMPTY = ("item", "arm", "measure", "scorer_kind", *WHOLE, "weight")
KEYS = ("item", "arm", "measure", "replicate", "epoch", "scorer_kind")
"""What makes an answer's row: a judge and a person may score the same answer."""

INDEPENDENT = "every item is its own cluster: they are taken as independent of each other (--cluster)"


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
    """Read files of scores. A value that is empty (null) is missing, with the row's ``reason`` where there is one; NaN
    and infinite values are refused.

    A measure whose values are all 0 or 1 is binary, any other one is graded. Ids, arms, clusters and strata are text,
    so ``007`` stays as it is in every format. Without a cluster column every item is its own cluster.
    Raises DataError for a file that can't be read, a column that isn't there, values that aren't numbers, a scorer kind
    nobody knows, two rows for one answer, and one item with two clusters or strata.
    """
    chosen = columns or Columns()
    parts = [_long(_read_file(path, chosen), chosen, path, arm) for path, arm in zip(paths, _arms(paths), strict=True)]
    rows = pl.concat(parts)
    _check_once(rows)
    arms = tuple(rows["arm"].unique(maintain_order=True).to_list())
    measures = tuple(rows["measure"].unique(maintain_order=True).to_list())
    is_binary = ((pl.col("value") == 0) | (pl.col("value") == 1)).all().over("measure", "scorer_kind")
    rows = rows.with_columns(kind=pl.when(is_binary).then(pl.lit("binary")).otherwise(pl.lit("bounded")))
    scores = rows.with_columns(
        threat=pl.lit(""), attack_run=0, dose=0.0, evaluation=pl.lit("table"), scorer=pl.lit("table"),
        scorer_version=pl.lit(""),
    ).select([pl.col(name).cast(getattr(pl, kind)) for name, kind in SCORE_COLUMNS.items()])  # fmt: skip
    return Read(scores, _items(rows), arms, measures, tuple(_notes(rows)))


def _arms(paths: Sequence[Path]) -> list[str]:
    """What the files are called: their stems, with the folder where stems are the same."""
    stems = [path.stem for path in paths]
    names = [stem if stems.count(stem) == 1 else f"{path.resolve().parent.name}/{stem}"
             for path, stem in zip(paths, stems, strict=True)]  # fmt: skip
    twice = next((name for name in names if names.count(name) > 1), None)
    if not paths or twice is not None:
        raise DataError(
            "files of scores have to be told apart by their names", seen=twice or "no file",
            allowed="one file or more, each of another name or in a folder of another name",
        )  # fmt: skip
    return names


def _read_file(path: Path, columns: Columns) -> pl.DataFrame:
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
            table = _read_csv(path, "\t" if kind == "tsv" else ",", columns)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        said = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise DataError(f"{path} can't be read as {kind}", seen=said[0], next_step="check the file") from error
    if not len(table):
        raise DataError(f"{path} has no rows", next_step="an empty table measures nothing")
    return table


def _read_csv(path: Path, separator: str, columns: Columns) -> pl.DataFrame:
    """Text stays text: without a type a column of ids such as 007 would be read as numbers."""
    header = pl.read_csv(path, separator=separator, n_rows=0, infer_schema=False).columns
    names = [*(name for role in TEXT for name in ALIASES[role]), *(getattr(columns, role) for role in TEXT)]
    texts = {name: pl.String for name in header if name in names and name not in columns.measures}
    return pl.read_csv(path, separator=separator, infer_schema_length=None, schema_overrides=texts)


def _long(table: pl.DataFrame, columns: Columns, path: Path, arm: str) -> pl.DataFrame:
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
    return pl.concat([_typed(part, path, arm) for part in single])


def _typed(rows: pl.DataFrame, path: Path, arm: str) -> pl.DataFrame:
    defaults: dict[str, Any] = {
        "arm": arm, "measure": "score", "replicate": 0, "epoch": 0, "weight": 1.0, "stratum": "",
        "scorer_kind": "program", "reason": "", "cluster": None,
    }  # fmt: skip
    missing = {name: pl.lit(default) for name, default in defaults.items() if name not in rows.columns}
    rows = rows.with_columns(**missing)
    rows = rows.select(
        _values(rows["value"], path),
        *(_text(rows[name], path) for name in TEXT),
        *(_numbers(rows[name], path, whole=name in WHOLE) for name in (*WHOLE, "weight")),
    )
    for name in NEVER_EMPTY:
        if rows[name].null_count():
            row = int(rows[name].is_null().arg_max() or 0)
            raise DataError(f"{path}: a row without {name}", seen=f"row {row + 1}", allowed="a value in every row")
    strange = rows.filter(~pl.col("scorer_kind").is_in(get_args(ScorerKind)))["scorer_kind"]
    if len(strange):
        raise DataError(f"{path}: a scorer of no known kind", seen=strange[0], allowed=", ".join(get_args(ScorerKind)))
    empty = {name: pl.col(name).fill_null("") for name in ("reason", "stratum")}
    return rows.with_columns(cluster=pl.coalesce("cluster", "item"), **empty)


def _values(values: pl.Series, path: Path) -> pl.Series:
    """Scores as numbers; true and false are 1 and 0 also where they are written as words."""
    if values.null_count() == len(values):
        return values.cast(pl.Float64)
    if values.dtype == pl.String and values.drop_nulls().str.to_lowercase().is_in(["true", "false"]).all():
        values = values.str.to_lowercase() == "true"
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        words = values.drop_nulls()
        if values.dtype == pl.String:
            words = words.filter(words.cast(pl.Float64, strict=False).is_null())
        bad = repr(words[0]) if len(words) else "numbers between quotes"
        raise DataError(
            f"{path}: scores that aren't numbers", seen=f"{bad} ({values.dtype})",
            allowed="numbers, true or false, empty", next_step="map words to numbers first, such as C to 1 and I to 0",
        )  # fmt: skip
    numbers = values.cast(pl.Float64)
    if not numbers.drop_nulls().is_finite().all():
        row = int((~numbers.fill_null(0.0).is_finite()).arg_max() or 0)
        raise DataError(
            f"{path}: a score that isn't finite", seen=f"{numbers[row]} in row {row + 1}",
            allowed="finite numbers, empty where missing",
            next_step="leave the score empty, with a reason in a column 'reason'",
        )  # fmt: skip
    return numbers


def _text(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        raise DataError(
            f"{path}: a column of text or numbers is wanted for {values.name}", seen=str(values.dtype),
            allowed="text, numbers", next_step=f"name another column for {values.name}",
        )  # fmt: skip
    return values.cast(pl.String)


def _numbers(values: pl.Series, path: Path, *, whole: bool) -> pl.Series:
    """Numbers of replicates, epochs and weights."""
    numbers = values.cast(pl.Float64, strict=False) if values.dtype.is_numeric() else None
    if numbers is None or (whole and not (numbers.drop_nulls().is_finite() & (numbers.drop_nulls() % 1 == 0)).all()):
        raise DataError(
            f"{path}: a column of {'whole ' if whole else ''}numbers is wanted for {values.name}",
            seen=f"{values[0]!r} ({values.dtype})", allowed="0, 1, 2, ..." if whole else "numbers of 0 or more",
            next_step=f"number them, or name another column with --{values.name}",
        )  # fmt: skip
    return numbers.cast(pl.Int32, strict=False) if whole else numbers


def _check_once(rows: pl.DataFrame) -> None:
    twice = rows.select(pl.struct(KEYS).is_duplicated()).to_series()
    if twice.any():
        first = rows.row(int(twice.arg_max() or 0), named=True)
        raise DataError(
            "two rows for one answer", seen=", ".join(f"{name} {first[name]}" for name in KEYS[:5]),
            allowed="one row for each item, arm, measure, replicate and epoch",
            next_step="name what tells them apart: --epoch for repeated answers, --replicate for training runs, --arm",
        )  # fmt: skip


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    places = rows.select("item", "cluster", "stratum").unique().sort("item")
    twice = places.filter(pl.col("item").is_duplicated())
    if len(twice):
        first, second = twice.row(0, named=True), twice.row(1, named=True)
        raise DataError(
            f"item {first['item']} has two places",
            seen=" and ".join(f"cluster '{x['cluster']}', stratum '{x['stratum']}'" for x in (first, second)),
            allowed="one cluster and one stratum an item",
            next_step="give items of different tasks different ids",
        )  # fmt: skip
    items = places.rename({"item": "id"}).with_columns(
        content_hash=pl.lit(""), input=pl.lit(""), options=pl.lit([], dtype=pl.List(pl.String)),
        target=pl.lit(None, dtype=pl.Int32), reference=pl.lit(""), metadata=pl.lit("{}"),
    )  # fmt: skip
    return items.select(list(ITEM_COLUMNS))


def _notes(rows: pl.DataFrame) -> list[str]:
    kinds = rows.select("measure", "kind").unique(maintain_order=True)
    mixed = set(kinds.filter(pl.col("kind") != "binary")["measure"])
    binary = [name for name in kinds["measure"] if name not in mixed]
    notes = [f"'{name}' is binary: its values are all 0 or 1" for name in dict.fromkeys(binary)]
    if (rows["cluster"] == rows["item"]).all():
        notes.append(INDEPENDENT)
    return notes


def _name(table: pl.DataFrame, role: str, given: str | None, path: Path) -> str | None:
    if given is None:
        return next((alias for alias in ALIASES[role] if alias in table.columns), None)
    if given not in table.columns:
        raise _no_column(table, given, f"--{role}", path)
    return given


def _no_column(table: pl.DataFrame, name: str, option: str, path: Path) -> DataError:
    near = did_you_mean(name, table.columns)
    step = f"{near}  or name another with {option}" if near else f"name it with {option}"
    return DataError(f"{path}: no column '{name}'", seen=", ".join(table.columns), next_step=step)


assert set(ALIASES) == {f.name for f in fields(Columns)} - {"measures"}
