"""A table of scores -> ``Log``, one an arm: task "table"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from trialist.folder import frame
from trialist.logs.log import Log, Source
from trialist.logs.table import SUFFIXES, Columns, Read, read_tables
from trialist.records import ANSWER_COLUMNS

NAME = "table"


def recognises(path: Path) -> bool:
    """A file that ends like a table. What it holds is seen when it is read; other formats are asked before this one."""
    try:
        return path.is_file() and path.suffix.lower() in SUFFIXES
    except OSError:
        return False


def read(path: Path, *, full: bool = False) -> Sequence[Log]:
    """The arms of one file, its columns found by their usual names; a table has no texts, so ``full`` changes nothing.

    Raises DataError as ``read_tables`` does.
    """
    return logs_of(read_tables([path], Columns()), [path])


def logs_of(table: Read, paths: Sequence[Path]) -> list[Log]:
    """One ``Log`` an arm with the items that the arm has a score row for. ``source.path`` is the file that the arm is
    named by, all of them where a column named the arms. A table tells no prompts: its content hashes are empty, and
    items pair by id alone."""
    arms = table.scores["arm"]
    return [_log(table, arm, table.scores.filter(arms == arm), _path(paths, arm)) for arm in table.arms]


def _log(table: Read, arm: str, scores: pl.DataFrame, path: str) -> Log:
    items = table.items.filter(pl.col("id").is_in(scores["item"].unique().to_list()))
    source = Source(path=path, format=NAME, tool="", task="table", model=arm)
    return Log(source, items, frame([], ANSWER_COLUMNS), scores, notes=table.notes)


def _path(paths: Sequence[Path], arm: str) -> str:
    named = [path for path in paths if arm in (path.stem, f"{path.resolve().parent.name}/{path.stem}")]
    return str(named[0]) if len(named) == 1 else ", ".join(map(str, paths))
