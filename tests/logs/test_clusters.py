"""Items that aren't independent are found where that is obvious, and nowhere else."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from logs_made import made

from trialist.errors import DataError, NameUnknown
from trialist.logs import clusters
from trialist.logs.arms import Arms
from trialist.logs.blocks import blocks_of
from trialist.logs.collect import Found
from trialist.logs.facets import Facets, placed


def items(ids: Sequence[str], **more: Any) -> pl.DataFrame:
    return made([1.0] * len(ids), ids=ids, **more).items


def groups(table: pl.DataFrame) -> list[list[str]] | None:
    """The clusters found, as sorted lists of their items' ids."""
    found = clusters.find(table).structure
    if found is None:
        return None
    pairs = table.select("id").with_columns(found.groups.alias("group"))
    return sorted(sorted(rows["id"].to_list()) for _, rows in pairs.group_by("group"))


SHAPES = [
    "q{i}-p{j}",
    "q{i}/p{j}",
    "{i}_{j}",
    "q{i}p{j}",
    "item {i}#{j}",
    "{i:04d}.{j}",
    "q{i}:variant{j}",
    "q-{i}-de{j}",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("num", "size"), [(10, 2), (300, 4), (57, 3)])
def test_ids_of_stems_and_endings(shape: str, num: int, size: int) -> None:
    table = items([shape.format(i=i, j=j) for i in range(num) for j in range(size)])
    assert groups(table) == sorted(sorted(shape.format(i=i, j=j) for j in range(size)) for i in range(num))
    (said,) = clusters.find(table).notes
    assert said.startswith(f"these {num * size:,} items are {num:,} groups of {size} by their ids, ")


def test_letters_after_a_number() -> None:
    assert groups(items([f"{i}{letter}" for i in range(40) for letter in "abc"])) == sorted(
        [f"{i}{letter}" for letter in "abc"] for i in range(40)
    )


def test_passages_come_before_their_questions() -> None:
    ids = [f"passage{h}/q{i}/p{j}" for h in range(20) for i in range(5) for j in range(3)]
    found = groups(items(ids))
    assert found is not None
    assert {len(group) for group in found} == {15}
    assert len(found) == 20


def test_a_few_lost_rows_hide_nothing() -> None:
    ids = [f"q{i}-p{j}" for i in range(100) for j in range(4)]
    kept = sorted(random.Random(0).sample(ids, 380))
    found = groups(items(kept))
    assert found is not None
    assert len(found) == 100


def _uuids(num: int) -> list[str]:
    generator = random.Random(1)
    return [str(uuid.UUID(int=generator.getrandbits(128))) for _ in range(num)]


SUBJECTS = [f"{a}_{b}" for a in ("abstract", "college", "high", "pro") for b in ("algebra", "law", "biology", "art")]
ALONE: Mapping[str, Sequence[str]] = {
    "counted": [str(i) for i in range(1200)],
    "padded": [f"q{i:03d}" for i in range(300)],
    "uuids": _uuids(500),
    "hashes": [hashlib.sha1(str(i).encode()).hexdigest() for i in range(500)],
    "short hashes": [hashlib.sha1(str(i).encode()).hexdigest()[:6] for i in range(500)],
    "paths of categories": [f"math/{c}/{i}" for c in ("algebra", "geometry", "counting") for i in range(100)],
    "few of many categories": [f"{c}/{i}" for c in SUBJECTS for i in range(5)],
    "many of many categories": [f"{c}_{i}" for c in SUBJECTS for i in range(60)],
    "one name and a number": [f"HumanEval/{i}" for i in range(164)],
    "days": [f"2024-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29)],
    "splits": [f"{split}-{i}" for split in ("dev", "test") for i in range(200)],
    "nine questions": [f"q{i}-p{j}" for i in range(9) for j in range(4)],
    "a full square": [f"{i}_{j}" for i in range(15) for j in range(15)],
    "loose pairs": [f"{i}-{(i * 7919) % 97}" for i in range(400)],
}


@pytest.mark.parametrize("name", ALONE)
def test_ids_that_say_nothing(name: str) -> None:
    assert clusters.find(items(ALONE[name])) == clusters.Findings(None)


NUM = 570
KEYS = ["question_id", "questionId", "passage", "template", "source_id", "parent_question_id", "group_id", "qid"]


@pytest.mark.parametrize("key", KEYS)
def test_metadata_that_names_a_source(key: str) -> None:
    of = [f"s{i // 4}" for i in range(1200)]
    table = items(
        [str(i) for i in range(1200)], metadata=[{key: x, "subject": "abcd"[i % 4]} for i, x in enumerate(of)]
    )
    assert groups(table) == sorted(sorted(str(i) for i in range(j, j + 4)) for j in range(0, 1200, 4))
    (note,) = clusters.find(table).notes
    assert note.startswith(f"these 1,200 items are 300 groups of 4 by {key}: clustered by it")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("subject", [f"s{i % 57}" for i in range(NUM)]),
        ("category", [f"c{i // 4}" for i in range(NUM)]),
        ("question_type", [f"t{i // 4}" for i in range(NUM)]),
        ("answer", [str(i // 4) for i in range(NUM)]),
        ("context_length", [i // 4 for i in range(NUM)]),
        ("num_documents", [i // 4 for i in range(NUM)]),
        ("source", [f"book {i % 12}" for i in range(NUM)]),  # a few large groups under a name that categories have too
        ("group", ["abcdefghijklm"[i % 13] for i in range(NUM)]),
        ("template", [f"t{i % 9}" for i in range(NUM)]),  # too few
        ("question_id", [f"q{i}" for i in range(NUM)]),  # one each
        ("question_id", [f"q{i // 4}" if i % 5 else None for i in range(NUM)]),  # not every item says it
        ("question_id", [i / 4 // 1 + 0.5 for i in range(NUM)]),
        ("question_id", [[i // 4] for i in range(NUM)]),
        ("flagged_document", [i % 2 == 0 for i in range(NUM)]),
    ],
)
def test_metadata_that_makes_no_clusters(key: str, values: list[Any]) -> None:
    table = items([str(i) for i in range(NUM)], metadata=[{key: value} for value in values])
    assert clusters.find(table) == clusters.Findings(None)


def test_many_groups_of_a_weak_name_are_clusters() -> None:
    table = items([str(i) for i in range(400)], metadata=[{"source": f"page {i // 5}"} for i in range(400)])
    found = groups(table)
    assert found is not None
    assert len(found) == 80


def test_the_coarser_of_two_that_nest_and_neither_of_two_that_cross() -> None:
    ids = [f"q{i}-p{j}" for i in range(60) for j in range(4)]
    nested = items(ids, metadata=[{"passage_id": i // 20, "question_id": i // 4} for i in range(240)])
    found = groups(nested)
    assert found is not None
    assert len(found) == 12
    crossed = items(ids, metadata=[{"question_id": i // 4, "template": i % 12} for i in range(240)])
    assert clusters.find(crossed).structure is None
    assert "cut across each other: name one with --cluster" in clusters.find(crossed).notes[0]


def test_the_same_question_under_several_ids() -> None:
    table = items([str(i) for i in range(90)], hashes=[f"h{i % 30}" for i in range(90)])
    found = groups(table)
    assert found is not None
    assert {len(group) for group in found} == {3}
    assert "30 different ones, asked 3 times: clustered by content" in clusters.find(table).notes[0]


def test_inputs_of_one_stem_have_to_be_alike() -> None:
    ids = [f"{year}_{number}" for year in range(1990, 2020) for number in range(1, 7)]
    letters = random.Random(2)
    words = ["".join(letters.choices("abcdefghij", k=5)) for _ in range(4000)]
    problems = [f"Solve the problem: {' '.join(words[20 * i : 20 * i + 20])}" for i in range(180)]
    assert groups(items(ids, inputs=problems)) is None
    alike = [f"Solve the problem: {' '.join(words[20 * (i // 6) : 20 * (i // 6) + 10])} {words[i]}" for i in range(180)]
    found = groups(items(ids, inputs=alike))
    assert found is not None
    assert len(found) == 30


def test_declared_clusters_are_left_as_they_are() -> None:
    ids = [f"q{i}-p{j}" for i in range(60) for j in range(4)]
    declared = [f"c{i % 7}" for i in range(240)]
    place = placed(items(ids, clusters=declared), Facets())
    assert place.items["cluster"].to_list() == declared
    assert place.notes == ()


# --- named by the user -----------------------------------------------------------------------------------


def test_a_named_key_and_no_clusters_at_all() -> None:
    ids = [f"q{i}-p{j}" for i in range(60) for j in range(4)]
    table = items(ids, metadata=[{"page": i // 10, "kind": f"k{i % 3}"} for i in range(240)])
    assert placed(table, Facets("page")).items["cluster"].n_unique() == 24
    assert placed(table, Facets("item")).items["cluster"].to_list() == ids
    assert placed(table, Facets("item", "kind")).items["stratum"].to_list() == [f"k{i % 3}" for i in range(240)]


def test_a_key_that_some_items_lack_or_nobody_has() -> None:
    table = made([1.0, 0.0], metadata=[{"page": 1}, {}])
    with pytest.raises(DataError, match="some items don't say their page") as error:
        placed(table.items, Facets("page"))
    assert "1 of 2, such as q1" in str(error.value)
    with pytest.raises(NameUnknown, match="unknown cluster 'pages'") as unknown:
        blocks_of(Arms({"m": (Found(table, Path("x"), Path("x")),)}), None, Facets("pages"))
    assert "did you mean 'page'?" in str(unknown.value)
