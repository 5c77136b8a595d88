"""Logs that inspect_ai itself wrote: every sample is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import inspect_made as made
import polars as pl
import pytest
from inspect_ai.log import ProvenanceData, edit_score, invalidate_samples, read_eval_log, write_eval_log
from inspect_ai.scorer import ScoreEdit
from polars.testing import assert_frame_equal

from trialist.logs import inspect_log
from trialist.logs.log import Log
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS

pytestmark = pytest.mark.filterwarnings("ignore")


def read(path: Path, *, full: bool = True) -> Log:
    (log,) = inspect_log.read(path, full=full)
    return log


def cells(log: Log, measure: str) -> dict[tuple[str, int], tuple[float | None, str]]:
    rows = log.scores.filter(pl.col("measure") == measure)
    return {(row["item"], row["epoch"]): (row["value"], row["reason"]) for row in rows.iter_rows(named=True)}


def counts(log: Log, measure: str) -> dict[str, int]:
    rows = log.scores.filter(pl.col("measure") == measure)
    return dict(rows.group_by("reason").len().rows())


@pytest.mark.parametrize("name", ["options", "several", "mean", "troubles", "agents", "stopped", "scored-errors"])
def test_every_item_epoch_and_measure_has_one_row(name: str) -> None:
    path = made.stored(name)
    theirs = read_eval_log(str(path))
    planned = len(theirs.eval.dataset.sample_ids or []) * (theirs.eval.config.epochs or 1)
    for full in (False, True):
        log = read(path, full=full)
        measures = log.scores["measure"].unique()
        assert len(log.scores) == planned * len(measures) == log.source.num_samples * len(measures)  # type: ignore[operator]
        assert not log.scores.select("item", "epoch", "measure").is_duplicated().any()
        assert len(log.answers) == planned
        assert set(log.scores["item"]) == set(log.answers["item"]) == set(log.items["id"])
        assert (log.scores["value"].is_null() == (log.scores["reason"] != "")).all()
        assert log.items["id"].to_list() == [str(i) for i in theirs.eval.dataset.sample_ids or []]
        assert (list(log.items.columns), list(log.answers.columns)) == (list(ITEM_COLUMNS), list(ANSWER_COLUMNS))
        assert list(log.scores.columns) == list(SCORE_COLUMNS)


def test_what_was_asked_and_answered() -> None:
    log = read(made.stored("options"))
    items = {row["id"]: row for row in log.items.iter_rows(named=True)}
    assert items["q1"]["options"] == list(made.WORDS)
    assert (items["q1"]["target"], items["q1"]["reference"]) == (1, "")
    assert (items["q0"]["target"], items["q0"]["reference"]) == (None, '["A","C"]')
    assert items["q8"]["input"] == "[system]\nBe brief.\n\n[user]\nWhich is number 8?"
    assert log.answers["text"].to_list()[:3] == ["ANSWER: A", "ANSWER: B", "ANSWER: C"]
    assert log.source.tool == "inspect_ai 0.3.285"
    assert (log.source.task, log.source.model, log.source.status) == ("options", "mockllm/model", "success")
    several = read(made.stored("several"))
    assert several.items["reference"].to_list()[:3] == ["green", "blue", "amber"]
    assert several.answers["seed"].unique().to_list() == [7]
    assert json.loads(several.items["metadata"][0]) == {"kind": "k1"}
    assert read(made.stored("agents")).answers["text"].to_list() == ["10", "20", "30", "40"]


def test_scores_with_holes_keys_groups_and_judges() -> None:
    log = read(made.stored("several"))
    assert counts(log, "shade") == {"": 14, "unscored: scoring_failed": 4, "no score": 3}
    assert counts(log, "parts/tone") == {"": 16, "unscored": 5}
    assert counts(log, "odd_values") == {"": 19, "not a number": 2}
    assert counts(log, "model_graded_qa") == {"": 14, "unscored: grader_failed": 7}
    kinds = dict(log.scores.select("measure", "scorer_kind").unique().rows())
    assert [name for name, kind in kinds.items() if kind == "judge"] == ["model_graded_qa"]
    assert log.items["cluster"].to_list()[:4] == log.items["stratum"].to_list()[:4] == ["k1", "k2", "k0", "k1"]
    assert read(made.stored("options")).items["cluster"].to_list()[:2] == ["q0", "q1"]


def test_errors_and_limits() -> None:
    log = read(made.stored("troubles"))
    found = cells(log, "careful")
    assert [i for (i, _), (_, reason) in found.items() if reason == "error"] == ["1", "7"]
    assert found["3", 1] == found["9", 1] == (None, "limit: message")
    assert found["4", 1] == (None, "limit: time")
    assert found["8", 1] == (1.0, "")  # the limit of tokens was hit, and what was there was scored
    answers = {row["item"]: row for row in log.answers.iter_rows(named=True)}
    assert (answers["8"]["status"], answers["8"]["reason"][:12]) == ("truncated", "limit: token")
    assert answers["1"]["reason"] == "error: RuntimeError('thing 1 broke')"
    for full in (False, True):  # a sample that raised and was scored all the same keeps its score, as in Inspect
        scored = read(made.stored("scored-errors"), full=full)
        assert cells(scored, "match")["1", 1] == (0.0, "")
        assert cells(scored, "careful")["1", 1] == (None, "error")
        assert "2 samples ended in an error and were scored all the same" in scored.notes
    stopped = read(made.stored("stopped"))
    assert stopped.source.status == "error"
    assert "thing 1 broke" in stopped.notes[0]
    assert set(counts(stopped, "match")) == {"error", "not in the log"}


@pytest.mark.parametrize("full", [False, True])
def test_json_is_read_as_eval(full: bool) -> None:
    zipped, plain = read(made.stored("several"), full=full), read(made.stored("several-json"), full=full)
    assert_frame_equal(zipped.items, plain.items)
    assert_frame_equal(zipped.scores, plain.scores)
    assert_frame_equal(zipped.answers, plain.answers)
    assert zipped.stated == plain.stated
    assert zipped.losses == plain.losses == ()


def test_a_summary_reads_the_same_scores() -> None:
    for name in ("several", "mean", "troubles"):
        short, whole = read(made.stored(name), full=False), read(made.stored(name))
        assert_frame_equal(short.scores, whole.scores)
        assert_frame_equal(short.items, whole.items)
        columns = [c for c in ANSWER_COLUMNS if c != "text"]
        assert_frame_equal(short.answers.select(columns), whole.answers.select(columns))
        assert set(short.answers["text"]) == {""}


def rewritten(tmp_path: Path, change: Any, name: str = "several") -> Path:
    log = read_eval_log(str(made.stored(name)))
    log = change(log) or log
    path = tmp_path / "changed.eval"
    write_eval_log(log, str(path))
    return path


def test_edited_and_invalidated(tmp_path: Path) -> None:
    def change(log: Any) -> Any:
        edit_score(log, 2, "match", ScoreEdit(value="I", provenance=ProvenanceData(author="someone")))
        edit_score(log, 3, "shade", ScoreEdit(value=float("nan")))
        return invalidate_samples(log, [log.samples[3].uuid], ProvenanceData(author="someone", reason="leaked"))

    path = rewritten(tmp_path, change)
    for full in (False, True):
        log = read(path, full=full)
        assert cells(log, "match")["2", 1] == (0.0, "")
        assert cells(log, "shade")["3", 1] == (None, "unscored")
        assert set(log.scores.filter(pl.col("item") == "4")["reason"]) == {"invalidated"}
        assert any("1 samples were invalidated: they have no value here" in note for note in log.notes)
    edited = [note for note in read(path).notes if "edited" in note]
    assert edited == ["2 scores were edited after the run (first: 2 (epoch 1), match): the current value counts"]


def test_long_inputs_agree_between_runs_and_say_that_they_are_shortened(tmp_path: Path) -> None:
    def lengthen(log: Any) -> None:
        for sample in log.samples:
            sample.input = "x" * 6000 + str(sample.id)

    path = rewritten(tmp_path, lengthen)
    short, whole = read(path, full=False), read(path)
    assert short.items["content_hash"].n_unique() == 4  # the targets still differ
    assert whole.items["content_hash"].n_unique() == 21
    assert any("21 inputs or targets are shortened" in note for note in short.notes)
    assert not any("shortened" in note for note in whole.notes)
    plain = tmp_path / "changed.json"
    write_eval_log(read_eval_log(str(path)), str(plain))
    assert_frame_equal(read(plain, full=False).items, short.items)


def test_one_message_of_the_user_is_the_same_question_as_its_text(tmp_path: Path) -> None:
    from inspect_ai.model import ChatMessageUser, ContentImage, ContentText

    def chat(log: Any) -> None:
        for sample in log.samples[:2]:
            sample.input = [ChatMessageUser(content=sample.input)]
        picture = ContentImage(image="data:image/png;base64,iVBORw0KGgo=")
        log.samples[2].input = [ChatMessageUser(content=[ContentText(text=log.samples[2].input), picture])]

    plain, changed = read(made.stored("several")).items, read(rewritten(tmp_path, chat)).items
    same = (plain["content_hash"] == changed["content_hash"]).to_list()
    assert same == [True, True, False, *[True] * 18]
    assert changed["input"][2] == "What is the colour of thing 3?\n(Image)"


def test_recognises(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"results": {"version": 2}}')
    assert inspect_log.recognises(made.stored("several"))
    assert inspect_log.recognises(made.stored("several-json"))
    assert not inspect_log.recognises(other)
    assert not inspect_log.recognises(tmp_path)
    assert not inspect_log.recognises(tmp_path / "absent.json")
