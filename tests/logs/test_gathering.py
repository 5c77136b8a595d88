"""Rows gathered from a file: every attempt has a row of every measure, against a plain twin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.logs import gathering
from trialist.logs.gathering import SHOWN, Gathering, Losses, content_hash, kind_of, lines_of
from trialist.records import SCORE_COLUMNS, canonical_json, sha256_hex

NAMES = st.sampled_from(["a", "b", "ü", ""])
KEYS = st.tuples(NAMES, st.integers(0, 2))
SCORED = st.dictionaries(st.tuples(KEYS, st.sampled_from(["m", "n"])), st.none() | st.floats(-2, 2), max_size=12)


@given(attempts=st.lists(KEYS, unique=True, max_size=6), scored=SCORED, piece=st.integers(1, 4))
@settings(max_examples=60)
def test_scores_against_a_plain_twin(
    attempts: list[tuple[str, int]], scored: dict[tuple[tuple[str, int], str], float | None], piece: int
) -> None:
    scored = {key: value for key, value in scored.items() if key[0] in attempts}
    rows = Gathering("task", "arm", scorer_version="1", absent="not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "PIECE", piece)
        for key in attempts:
            rows.attempt(*key)
        for (key, measure), value in scored.items():
            rows.named(measure, "scorer")
            rows.score(*key, measure, value, reason="" if value is not None else "why")
        _, _, table = rows.tables()
    measures = list(dict.fromkeys(measure for _, measure in scored))
    wanted = [
        (*key, measure, scored.get((key, measure)),
         "not there" if (key, measure) not in scored else "" if scored[key, measure] is not None else "why")
        for key in attempts
        for measure in measures
    ]  # fmt: skip
    assert table.select("item", "epoch", "measure", "value", "reason").rows() == wanted
    assert table.columns == list(SCORE_COLUMNS)
    assert set(table["weight"]) <= {1.0}


def test_kinds_of_values() -> None:
    assert kind_of([0.0, 1.0, 1], is_unit=False) == kind_of([], is_unit=True) == "binary"
    assert (kind_of([0.5], is_unit=True), kind_of([0.5], is_unit=False), kind_of([1.5], is_unit=True)) == (
        "bounded", "real", "real",
    )  # fmt: skip


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@given(text=TEXT, options=st.lists(TEXT, max_size=3), target=TEXT)
def test_the_hash_is_that_of_the_canonical_json(text: str, options: list[str], target: str) -> None:
    assert content_hash(text, options, target) == sha256_hex(canonical_json([text, options, target]))


def test_losses_are_listed_up_to_a_screen_and_counted_to_the_end() -> None:
    losses = Losses("file")
    for number in range(SHOWN + 7):
        losses.add("lines", str(number), "gone")
    losses.add("others", "x", "gone too")
    assert losses.num == SHOWN + 8
    listed = losses.all()
    assert [loss.sample for loss in listed[:SHOWN]] == [str(number) for number in range(SHOWN)]
    assert [loss.what for loss in listed[SHOWN:]] == ["gone too", "7 more: lines"]


def test_lines_that_are_no_objects_are_losses_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    deep = b"[" * 100_000
    path.write_bytes(b'{"a": 1}\n\n[1]\n{"a"\n\xff{}\n' + deep + b'\n"x"\n{"b": "\\ud800"}')
    losses = Losses(str(path))
    found = list(lines_of(path, losses, name=lambda line: f"{len(line)} bytes" if len(line) < 9 else ""))
    assert found == [(1, {"a": 1}), (8, {"b": "?"})]
    assert [loss.what.split()[1] for loss in losses.all()] == ["3", "7", "4", "5", "6"]
    assert losses.all()[2].sample == "5 bytes"
