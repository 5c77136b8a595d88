"""Tables of scores as they lie on disks: the same numbers in every format, or an error that says what to do."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trialist.errors import DataError
from trialist.logs.table import ALIASES, Columns, Read, read_tables
from trialist.records import ITEM_COLUMNS, SCORE_COLUMNS

Rows = Sequence[Mapping[str, Any]]

ROWS = [
    {"item": "007", "score": 1, "cluster": "01", "stratum": "bio", "epoch": 0, "weight": 1.5, "reason": None},
    {"item": "007", "score": 0, "cluster": "01", "stratum": "bio", "epoch": 1, "weight": 1.5, "reason": None},
    {"item": "8", "score": None, "cluster": "02", "stratum": "law", "epoch": 0, "weight": 1.0, "reason": "timeout"},
    {"item": "é", "score": 1, "cluster": "02", "stratum": "law", "epoch": 0, "weight": 0.5, "reason": None},
]


def write(path: Path, rows: Rows) -> Path:
    table = pl.DataFrame(rows, infer_schema_length=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet" | ".pq":
            table.write_parquet(path)
        case ".jsonl" | ".ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case suffix:
            table.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    return path


def read(tmp_path: Path, rows: Rows, **columns: Any) -> Read:
    return read_tables([write(tmp_path / "arm.parquet", rows)], Columns(**columns))


def scored(*values: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"item": f"q{j}", "score": value, **more} for j, value in enumerate(values)]


# --- the same frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".pq"])
def test_every_format_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    first = read_tables([write(tmp_path / "a" / "arm.parquet", ROWS)])
    other = read_tables([write(tmp_path / "b" / f"arm{suffix}", ROWS)])
    assert first.scores.equals(other.scores)
    assert first.items.equals(other.items)
    assert (first.arms, first.measures, first.notes) == (other.arms, other.measures, other.notes)


def test_the_frames_have_the_records_columns(tmp_path: Path) -> None:
    found = read(tmp_path, ROWS)
    assert dict(zip(found.scores.columns, map(str, found.scores.dtypes), strict=True)) == SCORE_COLUMNS
    assert found.items.columns == list(ITEM_COLUMNS)
    assert found.items["id"].to_list() == ["007", "8", "é"]
    assert found.items["cluster"].to_list() == ["01", "02", "02"]
    assert found.scores["value"].to_list() == [1, 0, None, 1]
    assert found.scores["reason"].to_list() == ["", "", "timeout", ""]
    assert (found.arms, found.measures) == (("arm",), ("score",))


@pytest.mark.parametrize(
    "values", [[True, False, None], ["true", "false", None], ["True", "FALSE", None], [1, 0, None], [1.0, 0.0, None]]
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_true_and_false_are_one_and_zero(tmp_path: Path, suffix: str, values: list[Any]) -> None:
    found = read_tables([write(tmp_path / f"arm{suffix}", scored(*values))])
    assert found.scores["value"].to_list() == [1.0, 0.0, None]
    assert found.scores["kind"].unique().to_list() == ["binary"]
    assert any("binary" in note for note in found.notes)


def test_other_numbers_are_graded(tmp_path: Path) -> None:
    found = read(tmp_path, scored(0, 0.5, 1))
    assert found.scores["kind"].unique().to_list() == ["bounded"]
    assert not any("binary" in note for note in found.notes)
    assert read(tmp_path, scored(3, 4)).scores["kind"].unique().to_list() == ["bounded"]


def test_nothing_scored_is_missing_and_not_an_error(tmp_path: Path) -> None:
    for suffix in (".parquet", ".csv", ".jsonl"):
        path = write(tmp_path / f"arm{suffix}", scored(None, None, reason="lost"))
        assert read_tables([path]).scores["value"].null_count() == 2


# --- long, wide, arms ------------------------------------------------------------------------------------


def test_long_and_wide_are_the_same(tmp_path: Path) -> None:
    wide = [{"item": f"q{j}", "exact": j % 2, "f1": j / 7} for j in range(6)]
    long = [{"item": row["item"], "measure": m, "value": row[m]} for m in ("exact", "f1") for row in wide]
    first = read(tmp_path, wide, measures=("exact", "f1"))
    other = read(tmp_path, long)
    assert first.scores.sort("measure", "item").equals(other.scores.sort("measure", "item"))
    assert first.measures == other.measures == ("exact", "f1")
    assert read(tmp_path, wide, measures=("f1",)).measures == ("f1",)


@pytest.mark.parametrize(("role", "alias"), [(role, alias) for role, names in ALIASES.items() for alias in names])
def test_aliases_and_options(tmp_path: Path, role: str, alias: str) -> None:
    plain = {"item": "a", "value": 1, "arm": "x", "measure": "m", "cluster": "c", "replicate": 2, "epoch": 3}
    plain |= {"weight": 2.0, "stratum": "s", "scorer_kind": "judge", "reason": "r"}
    want = read(tmp_path, [plain])
    renamed = {alias if name == role else name: value for name, value in plain.items()}
    assert read(tmp_path, [renamed]).scores.equals(want.scores)
    odd = {"Odd name" if name == role else name: value for name, value in plain.items()}
    found = read(tmp_path, [odd], **{role: "Odd name"})
    assert found.scores.equals(want.scores)
    assert found.items.equals(want.items)


def test_a_named_column_wins_over_an_alias(tmp_path: Path) -> None:
    row = {"id": "wrong", "prompt": "right", "score": 0, "mine": 1}
    found = read(tmp_path, [row], item="prompt", value="mine").scores
    assert (found["item"][0], found["value"][0]) == ("right", 1)


def test_files_are_arms_unless_a_column_says_otherwise(tmp_path: Path) -> None:
    paths = [write(tmp_path / "base.csv", scored(1, 0)), write(tmp_path / "new.jsonl", scored(0, 1))]
    assert read_tables(paths).arms == ("base", "new")
    assert read_tables(paths[::-1]).arms == ("new", "base")
    named = write(tmp_path / "both.csv", [*scored(1, 0, model="b"), *scored(0, 1, model="a")])
    assert read_tables([named]).arms == ("b", "a")
    assert read_tables([named, paths[0]]).arms == ("b", "a", "base")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [write(tmp_path / folder / "scores.csv", scored(1, 0)) for folder in ("base", "new")]
    assert read_tables(paths).arms == ("base/scores", "new/scores")
    for twice in ([paths[0], paths[0]], []):
        with pytest.raises(DataError, match="told apart"):
            read_tables(twice)


def test_replicates_and_scorer_kinds(tmp_path: Path) -> None:
    rows = [{"item": "a", "score": 1, "run": run, "scorer_kind": kind} for run in (1, 2) for kind in ("judge", "human")]
    found = read(tmp_path, rows).scores
    assert found["replicate"].to_list() == [1, 1, 2, 2]
    assert found["scorer_kind"].to_list() == ["judge", "human"] * 2


def test_a_judge_of_shades_leaves_binary_gold_labels_binary(tmp_path: Path) -> None:
    rows = [*scored(0.2, 0.9, scorer_kind="judge"), {"item": "q0", "score": 0, "scorer_kind": "human"}]
    found = read(tmp_path, rows)
    assert found.scores["kind"].to_list() == ["bounded", "bounded", "binary"]
    assert not any("binary" in note for note in found.notes)


def test_without_clusters_every_item_is_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, scored(1, 0))
    assert found.items["cluster"].to_list() == ["q0", "q1"]
    assert any("--cluster" in note for note in found.notes)
    assert not any("--cluster" in note for note in read(tmp_path, scored(1, 0, cluster="c")).notes)


def test_text_of_any_kind_stays_as_it_is(tmp_path: Path) -> None:
    hostile = ["\x1b[31m", "a,b", 'say "x"', "Ω\u202e", " ", "<b>"]
    rows = [{"item": text, "score": 1, "stratum": text} for text in hostile]
    for suffix in (".csv", ".parquet", ".jsonl"):
        found = read_tables([write(tmp_path / f"arm{suffix}", rows)])
        assert sorted(found.scores["item"].to_list()) == sorted(hostile)


def test_two_hundred_thousand_rows(tmp_path: Path) -> None:
    generator = random.Random(0)
    table = pl.DataFrame(
        {"item": [f"q{j}" for j in range(200_000)], "score": [generator.random() for _ in range(200_000)]}
    )
    table.write_parquet(tmp_path / "big.parquet")
    found = read_tables([tmp_path / "big.parquet"])
    assert len(found.scores) == len(found.items) == 200_000
    assert found.scores["value"].to_list() == table["score"].to_list()


# --- refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (scored(1.0, math.nan), ["isn't finite", "nan in row 2", "empty where missing"]),
        (scored(1.0, math.inf), ["isn't finite", "inf in row 2"]),
        (scored("C", "I"), ["aren't numbers", "'C'", "map words to numbers"]),
        (scored("1", "I"), ["aren't numbers", "'I'"]),
        (scored("true", "yes"), ["aren't numbers"]),
        (scored([1], [2]), ["aren't numbers", "List"]),
        (scored(1, 1, epoch="first"), ["whole numbers", "epoch", "'first'", "--epoch"]),
        (scored(1, 1, replicate=0.5), ["whole numbers", "replicate", "0.5", "--replicate"]),
        (scored(1, 1, epoch=math.inf), ["whole numbers", "epoch"]),
        (scored(1, 1, weight="much"), ["numbers is wanted for weight", "'much'"]),
        (scored(1, 1, epoch=None), ["whole numbers", "epoch"]),
        ([*scored(1, 1, epoch=1), {"item": "q3", "score": 1, "epoch": None}], ["without epoch", "row 3"]),
        ([*scored(1), {"item": None, "score": 1}], ["without item", "row 2"]),
        ([*scored(1, arm="a"), {"item": "x", "score": 1, "arm": None}], ["without arm", "row 2"]),
        (scored(1, 1, scorer_kind="llm"), ["no known kind", "llm", "program, judge, human"]),
        ([*scored(1, 1), *scored(0)], ["two rows for one answer", "item q0", "--epoch"]),
        ([*scored(1, cluster="a"), *scored(1, cluster="b", epoch=1)], ["item q0 has two places", "'a'", "'b'"]),
        ([*scored(1, task="a"), *scored(1, task="b", epoch=1)], ["two places", "stratum 'a'", "different ids"]),
        ([{"item": ["a"], "score": 1}], ["text or numbers is wanted for item", "List"]),
        ([{"item": "a", "score": {"x": 1}}], ["aren't numbers", "Struct"]),
        ([{"item": "a", "score": 1, "run": 2**40}], ["without replicate"]),
        ([{"itme": "a", "score": 1}], ["no column 'item'", "itme, score", "did you mean 'itme'?", "--item"]),
        ([{"item": "a", "scores": 1}], ["no column 'value'", "item, scores", "--value", "--measure"]),
    ],
)
def test_a_table_that_says_too_little(tmp_path: Path, rows: Rows, says: list[str]) -> None:
    keyed = [{**{name: None for any_row in rows for name in any_row}, **row} for row in rows]
    if any("epoch" in row for row in rows):
        keyed = [
            {**row, "epoch": row["epoch"] if "epoch" in given else 0} for row, given in zip(keyed, rows, strict=True)
        ]
    with pytest.raises(DataError) as error:
        read(tmp_path, keyed)
    for text in says:
        assert text in str(error.value), str(error.value)


def test_a_column_that_is_not_there_is_guessed(tmp_path: Path) -> None:
    for columns, says in (
        ({"cluster": "tempalte"}, "did you mean 'template'?"),
        ({"measures": ("scoer",)}, "did you mean 'score'?"),
    ):
        with pytest.raises(DataError) as error:
            read(tmp_path, scored(1, template="t"), **columns)
        assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "no such file"),
        ("scores.xlsx", b"PK", ".parquet, .pq, .csv"),
        ("scores", b"item,score\na,1\n", "no suffix"),
        ("scores.csv", b"", "can't be read as csv"),
        ("scores.csv", b"item,score\n", "has no rows"),
        ("scores.csv", b"item,score\na,1,2,3\n", "can't be read as csv"),
        ("scores.csv", b"item,score\na,\xff\xfe\n", "scores.csv"),
        ("scores.csv", b"item;score\na;1\n", "no column 'item'"),
        ("scores.parquet", b"not parquet", "can't be read as parquet"),
        ("scores.jsonl", b"[1, 2]\n", "can't be read as jsonl"),
        ("scores.jsonl", b'{"item": "a", "score": 1\n', "can't be read as jsonl"),
        ("scores.jsonl", b"", "scores.jsonl"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_tables([tmp_path / name])
    assert says in str(error.value), str(error.value)
    assert name in str(error.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "arm.csv").mkdir()
    with pytest.raises(DataError, match="no such file"):
        read_tables([tmp_path / "arm.csv"])
