"""New scores beside the old ones: the same as scoring one by one, nothing lost, a judge that goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from answered_logs import Row, item, log, values
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from trialist.errors import DataError, ModelError, NameUnknown, RunFolderError, SpecError
from trialist.evaluations.judging import TEMPLATE, Judge, judged
from trialist.evaluations.rescoring import agreements, answers_of, dotted_scorer, free_name, rescore
from trialist.evaluations.text_scorers import text_scorer
from trialist.models.protocol import Choose, Failure, Keyed, Reply, Request
from trialist.models.scripted import Scripted, from_function, refuser
from trialist.records import Answer, Item

ROWS: list[Row] = [
    (item(1, target="Paris"), "It is Paris.", 0.0),
    (item(2, target="1"), "21", 1.0),
    (item(3, target="Rome"), "", 0.0),
    (item(4, target="Oslo"), "Oslo", None),
    (item(5, target="Bern"), "Bern", 1.0),
]
STATUSES = {"q4": ("error", "timed out")}


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=12), st.integers(1, 3))
def test_every_answer_gets_the_score_that_it_gets_alone(pairs: list[tuple[str, str]], num_epochs: int):
    rows: list[Row] = [(item(i, target=target), text, 0.0) for i, (target, text) in enumerate(pairs)]
    made = log(dict.fromkeys(range(num_epochs), rows))
    scorer = text_scorer("includes")
    found = rescore(made, scorer, "includes")
    alone = [scorer.score(one, answer, "includes").value for one, answer in answers_of(made) if one]
    assert values(found, "includes") == alone
    assert_frame_equal(found.scores.head(len(made.scores)), made.scores)
    assert_frame_equal(found.answers, made.answers)


def test_both_scores_stay_and_say_where_they_come_from():
    found = rescore(log(ROWS, statuses=STATUSES), text_scorer("match"), "match (rescored)")
    assert values(found, "match") == [0, 1, 0, None, 1]
    assert values(found, "match (rescored)") == [1, 0, 0, None, 1]
    new = found.scores.filter(pl.col("measure") == "match (rescored)")
    assert new["reason"].to_list() == ["", "", "empty answer", "error: timed out", ""]
    assert new["scorer"].unique().to_list() == ["match"]
    (agreement,) = agreements(found, "match (rescored)")
    assert agreement.counts == {("0", "0"): 1, ("0", "1"): 1, ("1", "0"): 1, ("1", "1"): 1, ("missing", "missing"): 1}
    assert (agreement.same, agreement.both) == (2, 4)
    assert [(c.item, c.old, c.new) for c in agreement.changes] == [("q1", 0, 1), ("q2", 1, 0)]


def test_names_are_not_taken_twice():
    made = log(ROWS)
    assert free_name([made], "match") == "match (rescored)"
    assert free_name([made], "includes") == "includes"
    with pytest.raises(DataError, match="already"):
        rescore(made, text_scorer("match"), "match")


def test_an_item_without_a_stored_answer_is_missing():
    made = log(ROWS)
    found = rescore(replace(made, answers=made.answers.filter(pl.col("item") != "q2")), text_scorer("exact"), "exact")
    rows = found.scores.filter((pl.col("measure") == "exact") & (pl.col("item") == "q2"))
    assert rows["value"].to_list() == [None]
    assert rows["reason"].to_list() == ["no stored answer"]
    with pytest.raises(DataError, match="holds no answers"):
        rescore(replace(made, answers=made.answers.clear()), text_scorer("exact"), "exact")


def moody(one: Item, answer: Answer) -> float | bool | None:
    """A scorer of one's own, in every mood."""
    if one.id == "q1":
        raise ValueError("can't read this")
    return {"q2": None, "q3": float("nan"), "q5": True}.get(one.id, 0.25)


def test_a_function_of_ones_own():
    scorer = dotted_scorer(f"{__name__}:moody")
    found = rescore(log(ROWS), scorer, "moody").scores.filter(pl.col("measure") == "moody")
    assert found["value"].to_list() == [None, None, None, 0.25, 1.0]
    assert found["reason"].to_list()[:3] == [
        "the scorer raised ValueError: can't read this", "the scorer gave no value", "the scorer gave nan",
    ]  # fmt: skip
    assert found["scorer_version"].n_unique() == 1
    assert len(scorer.version) == 12
    with pytest.raises(NameUnknown):
        dotted_scorer("trialist.nowhere:function")


# --- a judge ---------------------------------------------------------------------------------------------------


def verdict(request: Keyed[Request]) -> Reply | Failure:
    """Yes where the right answer stands between the lines; in other moods where the answer says so."""
    assert isinstance(request.value, Choose)
    target = request.value.prompt.split("Right answer:\n")[1].split("\n")[0]
    answer = request.value.prompt.split("-----\n")[1]
    if "tie" in answer:
        return Reply(logprobs=(-0.7, -0.7))
    if "mumble" in answer:
        return Reply(logprobs=(-9.0, -8.0))
    if "fail" in answer:
        return Failure("out of memory")
    return Reply(logprobs=(-0.1, -2.3) if target in answer else (-2.3, -0.1))


JUDGED: list[Row] = [
    *ROWS, (item(6, target="x"), "tie", 1.0), (item(7, target="x"), "mumble", 1.0), (item(8, target="x"), "fail", 1.0),
    (item(9), "no target", 1.0), (item(10, target="{answer}", question="{target}"), "{question}", 0.0),
]  # fmt: skip


class Counting:
    """The model, counting what it is asked, and dying after ``most`` answers."""

    abilities = Scripted.__dataclass_fields__["abilities"].default

    def __init__(self, most: int = 1000) -> None:
        self.inner, self.asked, self.most = from_function("verdict", verdict), 0, most
        self.digest = self.inner.digest

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        for reply in self.inner.answer(requests):
            if self.asked == self.most:
                raise KeyboardInterrupt
            self.asked += 1
            yield reply


def pairs(made: object) -> list[tuple[Item, Answer]]:
    return [(one, answer) for one, answer in answers_of(made) if one is not None]  # pyright: ignore[reportArgumentType]


def test_a_judge_scores_what_it_can_and_says_why_not(tmp_path: Path):
    made = log({0: JUDGED, 1: JUDGED}, statuses=STATUSES)
    model = Counting()
    scorer = judged(Judge("scripted", model), pairs(made), tmp_path / "j.jsonl")
    found = rescore(made, scorer, "judge").scores.filter(pl.col("measure") == "judge")
    assert found["value"].to_list() == [1, 1, 0, None, 1, None, None, None, None, 0] * 2
    reasons = found["reason"].to_list()[:9]
    starts = ["", "", "empty answer", "error: timed out", "", "the judge finds", "the judge says neither",
              "the judge failed: out of memory", "the item has no target text"]  # fmt: skip
    assert all(
        reason.startswith(start) and bool(start) == bool(reason) for reason, start in zip(reasons, starts, strict=True)
    )
    assert found["scorer_kind"].unique().to_list() == ["judge"]
    assert found["scorer_version"].unique().to_list() == [scorer.version]
    assert model.asked == 7  # equal prompts of two epochs are asked once, settled ones never


def test_a_killed_judge_goes_on_where_it_was(tmp_path: Path):
    made, journal = log(JUDGED, statuses=STATUSES), tmp_path / "j.jsonl"
    whole = judged(Judge("scripted", Counting()), pairs(made), tmp_path / "whole.jsonl")
    with pytest.raises(KeyboardInterrupt):
        judged(Judge("scripted", Counting(3)), pairs(made), journal)
    with journal.open("ab") as stream:
        stream.write(b'{"key": "half a li')
    model = Counting()
    assert judged(Judge("scripted", model), pairs(made), journal).verdicts == whole.verdicts
    assert model.asked == 4
    again = Counting()
    judged(Judge("scripted", again), pairs(made), journal)
    assert again.asked == 1  # only what failed is asked again
    with pytest.raises(RunFolderError, match="another judge"):
        judged(Judge("scripted", Counting(), TEMPLATE + " "), pairs(made), journal)
    journal.write_text("text\n")
    with pytest.raises(RunFolderError, match="no journal"):
        judged(Judge("scripted", Counting()), pairs(made), journal)


def test_judges_and_templates_that_can_not_work():
    for template in ("no name", "{answer} {rubric}"):
        with pytest.raises(SpecError):
            Judge("j", Counting(), template)
    with pytest.raises(ModelError):
        Judge("j", replace(refuser(), abilities=frozenset({"generate"})))
