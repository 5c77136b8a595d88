"""Tables of scores as logs, one an arm."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trialist.logs import table_log
from trialist.logs.table import read_tables
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS


def write(path: Path, arms: bool = False) -> Path:
    rows = {"item": ["a", "b", "c"], "score": [1, 0, None], "cluster": ["x", "x", "y"]}
    pl.DataFrame({**rows, **({"arm": ["m", "m", "n"]} if arms else {})}).write_parquet(path)
    return path


def test_files_are_arms_with_their_own_rows_and_items(tmp_path: Path) -> None:
    paths = [write(tmp_path / "one.parquet"), write(tmp_path / "two.parquet")]
    table = read_tables(paths)
    logs = table_log.logs_of(table, paths)
    assert [(log.source.model, log.source.path) for log in logs] == [("one", str(paths[0])), ("two", str(paths[1]))]
    assert pl.concat([log.scores for log in logs]).equals(table.scores)
    for log in logs:
        assert (log.items.columns, log.answers.columns) == (list(ITEM_COLUMNS), list(ANSWER_COLUMNS))
        assert log.scores.columns == list(SCORE_COLUMNS)
        assert log.items.equals(table.items)
        assert (log.source.task, log.source.format, len(log.answers)) == ("table", "table", 0)


def test_a_column_may_name_the_arms(tmp_path: Path) -> None:
    path = write(tmp_path / "both.parquet", arms=True)
    assert table_log.recognises(path)
    first, second = table_log.read(path)
    assert (first.source.model, first.items["id"].to_list()) == ("m", ["a", "b"])
    assert (second.source.model, second.items["id"].to_list()) == ("n", ["c"])
    assert first.source.path == second.source.path == str(path)
    assert not table_log.recognises(tmp_path)
    assert not table_log.recognises(tmp_path / "absent.csv")
