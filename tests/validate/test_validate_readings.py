"""The file of readings: round trip, a torn last line, and everything it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from validate_helpers import grid, reading

from trialist.errors import DataError
from trialist.validate.readings import append, read


def test_round_trip_in_two_parts(tmp_path: Path) -> None:
    path, rows = tmp_path / "r.jsonl", grid()
    append(path, rows[:7])
    append(path, rows[7:])
    found = read(path)
    assert found.readings == tuple(rows)
    assert found.num_dropped == 0


def test_a_torn_last_line_is_dropped_counted_and_written_over(tmp_path: Path) -> None:
    path, rows = tmp_path / "r.jsonl", grid()[:3]
    append(path, rows)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last + 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        found = read(path)
        assert (found.readings, found.num_dropped) == (tuple(rows[:2]), 1)
    append(path, rows[2:])
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-1])
    assert read(path).num_dropped == 0
    append(path, grid()[3:4])
    assert len(read(path).readings) == 4


def test_a_duplicate_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append(path, [reading("a"), reading("b")])
    line = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(DataError, match="line 3: the reading of line 1"):
        read(path)
    path.unlink()
    with pytest.raises(DataError, match="stands there already"):
        append(path, [reading("a"), reading("a")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": float("nan")}, "score isn't finite"),
        ({"score": float("inf")}, "score isn't finite"),
        ({"se": -1.0}, "se is negative"),
        ({"score": None}, "needs a reason"),
        ({"role": "mole"}, "role"),
        ({"seed": "x"}, "seed"),
        ({"colour": "red"}, "not a reading"),
    ],
)
def test_what_is_refused_names_file_and_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "r.jsonl"
    append(path, [reading("a")])
    row = json.loads(path.read_text())
    path.write_text(path.read_text() + json.dumps({**row, "organism": "b", **change}) + "\n")
    with pytest.raises(DataError, match=r"r\.jsonl, line 2: ") as error:
        read(path)
    assert said in str(error.value)


def test_a_bad_line_within_is_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"organism": \n{}\n')
    with pytest.raises(DataError, match="line 1: no JSON"):
        read(path)
    path.write_text("[1]\n")
    with pytest.raises(DataError, match="not a reading"):
        read(path)
    with pytest.raises(DataError, match="can't be read"):
        read(tmp_path / "none.jsonl")


def test_a_bad_new_reading_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with pytest.raises(DataError, match="new reading 2"):
        append(path, [reading("a"), reading("b", float("nan"))])
    assert not path.exists()
