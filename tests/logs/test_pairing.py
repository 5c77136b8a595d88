"""The same question in two logs: matched against a plain twin, and completed by what was planned."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs_made import made, without

from trialist.logs.arms import Arms
from trialist.logs.blocks import Pair, blocks_of
from trialist.logs.collect import Found
from trialist.logs.facets import Facets
from trialist.logs.log import Log
from trialist.logs.pairing import Pairing, pair_items
from trialist.logs.planned import planned, with_unnamed

SIDE = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "1", "2", "3", "4"]), max_size=8)


def twin(first: dict[str, str], second: dict[str, str]) -> tuple[set[tuple[str, str]], set[str]]:
    """Pairs of ids and ids that were asked differently, by the rule in words."""
    pairs = {(i, i) for i in first if i in second and (first[i] == second[i] or "" in (first[i], second[i]))}
    rest = [{i: h for i, h in side.items() if h and (i, i) not in pairs} for side in (first, second)]
    counts = [Counter(side.values()) for side in rest]
    for i, h in rest[0].items():
        for j, other in rest[1].items():
            if h == other and counts[0][h] == counts[1][h] == 1:
                pairs.add((i, j))
    changed = {
        i for i in first if i in second and i not in {a for a, _ in pairs} and i not in {b for _, b in pairs}
    }  # fmt: skip
    return pairs, changed


@settings(max_examples=300)
@given(SIDE, SIDE)
def test_pairs_are_those_of_the_twin(first: dict[str, str], second: dict[str, str]) -> None:
    sides = [
        made([1.0] * max(1, len(x)), ids=list(x) or ["zz"], hashes=list(x.values()) or ["zz"]).items
        for x in (first, second)
    ]
    sides = [table if ids else table.head(0) for table, ids in zip(sides, (first, second), strict=True)]
    found = pair_items(*sides)
    pairs, changed = twin(first, second)
    assert set(zip(found.first, found.second, strict=True)) == pairs
    assert set(found.changed) == changed
    assert found.num_by_content == sum(
        i != j or first[i] != second[j] for i, j in pairs if "" not in (first[i], second[j])
    )
    assert set(found.only_first) == set(first) - {i for i, _ in pairs}
    assert set(found.only_second) == set(second) - {j for _, j in pairs}
    for i in set(found.only_first) - changed:
        assert i not in second or i in {j for _, j in pairs}
    texts = " ".join(found.notes("A", "B"))
    assert ("asked differently" in texts) == bool(changed)


def blocks(first: Log, second: Log) -> tuple[Pair, tuple[str, ...]]:
    arms = Arms({name: (Found(log, Path(name), Path(name)),) for name, log in (("A", first), ("B", second))})
    (block,) = blocks_of(arms, ("A", "B"), Facets())
    assert block.pair is not None
    return block.pair, block.notes


def together(pair: Pair) -> dict[str, tuple[float | None, float | None]]:
    """Item -> its value in A and in B, of the items that have a row in both."""
    values = {arm: dict(pair.scores.filter(pl.col("arm") == arm).select("item", "value").iter_rows()) for arm in "AB"}
    return {item: (values["A"][item], values["B"][item]) for item in values["A"] if item in values["B"]}


def test_items_under_other_ids_are_paired_by_content_and_their_scores_follow() -> None:
    generator = random.Random(0)
    first, second = generator.choices([0, 1], k=50), generator.choices([0, 1], k=50)
    order = generator.sample(range(50), 50)
    hashes = [f"h{i}" for i in range(50)]
    pair, notes = blocks(
        made(first, hashes=hashes),
        made([second[i] for i in order], ids=[str(i) for i in range(50)], hashes=[hashes[i] for i in order]),
    )
    assert together(pair) == {f"q{i}": (first[i], second[i]) for i in range(50)}
    assert "sums: 50 items with different ids in A and B paired by their content" in notes
    assert len(pair.items) == 50


def test_another_prompt_under_the_same_id_is_no_pair() -> None:
    hashes = ["h0", "h1", "other", "h3"]
    pair, notes = blocks(made([1, 0, 1, 0]), made([0, 0, 1, 1], hashes=["h-q0", "h-q1", *hashes[2:3], "h-q3"]))
    assert set(together(pair)) == {"q0", "q1", "q3"}
    assert "sums: 1 item (q2) asked differently under the same id in A and B: not paired" in notes
    assert not any("without a partner" in note for note in notes)
    assert len(pair.items) == 5


def test_items_without_a_partner_are_named() -> None:
    pair, notes = blocks(made([1.0] * 6), made([1.0] * 4, ids=["q1", "q2", "z1", "z2"]))
    assert set(together(pair)) == {"q1", "q2"}
    assert "sums: 4 items (q0, q3, q4, ...) of A without a partner: left out of the comparison" in notes
    assert "sums: 2 items (z1, z2) of B without a partner: left out of the comparison" in notes
    assert pair.pairings["sums"] == Pairing(
        ("q1", "q2"), ("q1", "q2"), only_first=("q0", "q3", "q4", "q5"), only_second=("z1", "z2")
    )


def test_what_differs_in_the_settings_is_said() -> None:
    first = made([1, 0], task_version="1", settings={"num_fewshot": 0, "template": "x"})
    second = made([1, 0], task_version="2", settings={"num_fewshot": 5, "template": "x"})
    _, notes = blocks(first, second)
    assert "sums: another version in A (1) than in B (2)" in notes
    assert "sums: settings differ between A and B: 1 setting (num_fewshot 0 and 5)" in notes
    assert not any("differ" in note for note in blocks(first, first)[1])


# --- what was planned ------------------------------------------------------------------------------------


def missing(log: Log) -> Counter[tuple[str, str]]:
    """(measure, reason) -> rows without a value."""
    return Counter(log.scores.filter(pl.col("value").is_null()).select("measure", "reason").rows())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 8),
    st.sets(st.integers(0, 17)),
    st.sampled_from(["success", "error"]),
)
def test_every_planned_answer_is_counted_once(num: int, epochs: int, absent: int, lost: set[int], status: str) -> None:
    log = made({"a": np.ones((num, epochs)), "b": np.ones((num, epochs))})
    rows = [(item, epoch) for item, epoch in log.scores.select("item", "epoch").unique(maintain_order=True).rows()]
    kept = [row for i, row in enumerate(rows) if i not in lost] or rows[:1]
    frame = pl.DataFrame(kept, schema={"item": pl.String, "epoch": pl.Int32}, orient="row")
    scores = log.scores.join(frame, on=["item", "epoch"], how="semi")
    source = replace(log.source, num_samples=len(rows) + absent, status=status)
    found = with_unnamed(planned(replace(log, scores=scores, source=source)))
    reason = "not in the log" + (", whose status is error" if status == "error" else "")
    given_epochs = len({epoch for _, epoch in kept})
    gone = len(rows) + absent - len(kept)
    counts = missing(found)
    assert set(counts) <= {("a", reason), ("b", reason)}
    assert counts["a", reason] == counts["b", reason]
    # Epochs that no row has are not known of: an item that is lost whole counts one row for each that is.
    assert counts["a", reason] >= (gone > 0)
    assert given_epochs > 1 or counts["a", reason] == gone
    items = set(found.scores["item"])
    assert set(log.items["id"]) <= items or gone < num * given_epochs
    assert not found.scores.select(pl.struct("item", "epoch", "measure").is_duplicated().any()).item()


def test_nothing_is_added_where_nothing_is_absent() -> None:
    log = made([1.0, None, 0.0])
    for num in (None, 3, 2):
        assert with_unnamed(planned(replace(log, source=replace(log.source, num_samples=num)))) == replace(
            log, source=replace(log.source, num_samples=num)
        )


@pytest.mark.parametrize("swapped", [False, True])
def test_what_one_log_lacks_is_missing_in_its_pairs(swapped: bool) -> None:
    whole = made([1, 0, 1, 1, 0, 1, 1, 0])
    cut = without(made([1, 1, 1, 1, 0, 1, 1, 0], num_samples=8, status="cancelled"), "q2", "q5")
    pair, notes = blocks(cut, whole) if swapped else blocks(whole, cut)
    found = together(pair)
    assert set(found) == {f"q{i}" for i in range(8)}
    assert [item for item, values in found.items() if values[0 if swapped else 1] is None] == ["q2", "q5"]
    assert not any("without a partner" in note for note in notes)


def test_clusters_of_both_logs_count_in_the_pair() -> None:
    place = [{"question_id": i // 4} for i in range(80)]
    pair, _ = blocks(made([1.0] * 80), made([0.0] * 80, metadata=place))
    assert pair.items["cluster"].n_unique() == 20
