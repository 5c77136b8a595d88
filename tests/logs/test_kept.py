"""Kept logs come back as they were, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import DataError, StorageError
from trialist.folder import frame, schema_of
from trialist.logs import kept
from trialist.logs.log import Log, Loss, Source, Stated
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS, ScorerKind, ValueKind

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
CHOICES = {"kind": get_args(ValueKind), "scorer_kind": get_args(ScorerKind)}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "String": TEXT,
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "UInt64": st.integers(0, 2**64 - 1),
    "Float64": NUMBER,
    "List(String)": st.lists(TEXT, max_size=3),
    "List(Float64)": st.lists(NUMBER, max_size=3),
    "List(Int32)": st.lists(st.integers(0, 9), max_size=3),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def tables(columns: dict[str, str], nullable: tuple[str, ...]) -> st.SearchStrategy[pl.DataFrame]:
    def value(name: str, kind: str) -> st.SearchStrategy[Any]:
        some = st.sampled_from(CHOICES[name]) if name in CHOICES else VALUES[kind]
        return st.none() | some if name in nullable else some

    row = st.fixed_dictionaries({name: value(name, kind) for name, kind in columns.items()})
    return st.lists(row, max_size=4).map(lambda rows: frame(rows, columns))


SOURCES = st.builds(
    Source, *[TEXT] * 9, num_samples=st.none() | st.integers(0, 9), settings=st.dictionaries(TEXT, JSON, max_size=3)
)
LOGS = st.builds(
    Log,
    SOURCES,
    tables(ITEM_COLUMNS, ("target",)),
    tables(ANSWER_COLUMNS, ()),
    tables(SCORE_COLUMNS, ("value",)),
    st.lists(st.builds(Stated, TEXT, TEXT, NUMBER | st.just(float("inf")), TEXT, TEXT), max_size=3).map(tuple),
    st.lists(st.builds(Loss, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    st.lists(TEXT, max_size=3).map(tuple),
)


def log(**changes: Any) -> Log:
    parts: dict[str, Any] = {
        "source": Source("a.eval", "inspect", "inspect_ai 1", "task", model="org/model"),
        "items": frame([], ITEM_COLUMNS),
        "answers": frame([], ANSWER_COLUMNS),
        "scores": frame([], SCORE_COLUMNS),
    }
    return Log(**{**parts, **changes})


def same(one: Log, other: Log) -> bool:
    frames = all(getattr(one, name).equals(getattr(other, name), null_equal=True) for name in kept.TABLES)
    schemas = all(getattr(one, name).schema == getattr(other, name).schema for name in kept.TABLES)
    rest = [(x.source, x.stated, x.losses, x.notes) for x in (one, other)]
    return frames and schemas and rest[0] == rest[1]


@given(logs=st.lists(LOGS, min_size=1, max_size=3))
@settings(max_examples=40)
def test_logs_come_back_equal(tmp_path_factory: pytest.TempPathFactory, logs: list[Log]) -> None:
    folder = tmp_path_factory.mktemp("kept") / "logs"
    places = kept.write(logs, folder)
    assert kept.recognises(folder)
    assert all(place.parent == folder and place.is_dir() for place in places)
    found = kept.read(folder)
    assert len(found) == len(logs)
    assert all(same(one, other) for one, other in zip(found, logs, strict=True))
    assert all(same(one, other) for one, other in zip(kept.read(folder / kept.INDEX, full=True), logs, strict=True))


def test_names_of_folders_are_safe_and_told_apart(tmp_path: Path) -> None:
    source = log().source
    sources = [
        replace(source, task="../../etc/passwd", model="a:b\\c\x00"),
        replace(source, task="é" * 300),
        source,
        source,
    ]
    places = kept.write([log(source=one) for one in sources], tmp_path / "logs")
    assert len({place.name for place in places}) == 4
    assert all(place.name.isascii() and len(place.name) < 140 for place in places)
    assert [one.source for one in kept.read(tmp_path / "logs")] == sources


def test_settings_that_are_no_json_are_written_as_text(tmp_path: Path) -> None:
    odd = replace(log().source, settings={"a": float("nan"), 1: Path("x"), "t": (1, 2)})
    kept.write([log(source=odd, stated=(Stated("m", "mean", float("-inf")),))], tmp_path / "logs")
    (found,) = kept.read(tmp_path / "logs")
    assert found.source.settings == {"a": "nan", "1": "x", "t": [1, 2]}
    assert found.stated[0].value == float("-inf")


def test_names_of_files_that_are_no_text_are_kept_as_far_as_they_are(tmp_path: Path) -> None:
    odd = "logs/\udce9.eval"
    kept.write([log(source=replace(log().source, path=odd), losses=(Loss(odd, "", odd),))], tmp_path / "logs")
    (found,) = kept.read(tmp_path / "logs")
    assert found.source.path == found.losses[0].path == "logs/?.eval"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError):
        kept.write([log()], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    bad = log(scores=pl.DataFrame({"item": ["a"]}))
    with pytest.raises(DataError, match="not the columns"):
        kept.write([log(), bad], tmp_path / "logs")
    with pytest.raises(DataError, match="no log"):
        kept.write([], tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["source.json", "items.parquet", "scores.parquet"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_changed_or_missing_file_is_an_error(tmp_path: Path, name: str, how: str) -> None:
    (place,) = kept.write([log()], tmp_path / "logs")
    if how == "gone":
        (place / name).unlink()
    else:
        (place / name).write_bytes((place / name).read_bytes() + b" ")
    with pytest.raises(DataError, match=str(place.name) if how == "changed" else "damaged"):
        kept.read(tmp_path / "logs")


def test_a_newer_schema_and_another_index_are_errors(tmp_path: Path) -> None:
    kept.write([log()], tmp_path / "logs")
    index = tmp_path / "logs" / kept.INDEX
    content = json.loads(index.read_text())
    for broken in ({**content, "schema": "trialist/log/2"}, [], {"schema": kept.SCHEMA}, {**content, "logs": [{}]}):
        index.write_text(json.dumps(broken))
        with pytest.raises(DataError):
            kept.read(tmp_path / "logs")
    assert not kept.recognises(tmp_path)


def test_the_tables_of_the_tests_cover_every_type() -> None:
    kinds = {*ITEM_COLUMNS.values(), *ANSWER_COLUMNS.values(), *SCORE_COLUMNS.values()}
    assert kinds == set(VALUES)
    assert set(schema_of(SCORE_COLUMNS)) == set(SCORE_COLUMNS)
