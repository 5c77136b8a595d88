"""Our own finished runs as logs: the same scores that the trial estimated from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import toys

from trialist.errors import DataError
from trialist.folder import MANIFEST, RunFolder
from trialist.logs import run_folder
from trialist.logs.log import Log
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS
from trialist.trial.run import Result, run
from trialist.trial.spec import Arm, Design, Outcome, Trial


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    trial = Trial(
        title="Does it add?",
        arms={"control": Arm("toys:good"), "poor": Arm("toys:poor")},
        outcomes={
            "sums": Outcome(toys.Sums(30), role="primary", want="lower"),
            "fewer": Outcome(toys.Sums(20), role="secondary", want="higher"),
        },
        design=Design(chunk=8, threads=1),
    )
    return run(trial, tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture(scope="module")
def logs(result: Result) -> list[Log]:
    return list(run_folder.read(result.folder, full=True))


@pytest.fixture
def copied(result: Result, tmp_path: Path) -> Path:
    return Path(shutil.copytree(result.folder, tmp_path / "copy"))


def test_one_log_an_evaluation_and_arm(logs: list[Log], result: Result) -> None:
    assert run_folder.recognises(result.folder)
    assert run_folder.recognises(result.folder / "trial.json")
    names = [(log.source.task.partition("@")[0], log.source.model, len(log.items)) for log in logs]
    assert sorted(names) == [("sums", arm, count) for arm in ("control", "poor") for count in (20, 30)]
    # Two evaluations are called sums: the task is the whole identity.
    assert len({log.source.task for log in logs}) == 2


def test_the_scores_are_those_of_the_estimates(logs: list[Log], result: Result) -> None:
    for log in logs:
        assert log.items.columns == list(ITEM_COLUMNS)
        assert log.answers.columns == list(ANSWER_COLUMNS)
        assert log.scores.columns == list(SCORE_COLUMNS)
        assert set(log.scores["arm"]) == {log.source.model}
        assert set(log.scores["evaluation"]) == {log.source.task}
        assert log.source.num_samples == len(log.items) == len(log.scores)
        assert log.losses == log.notes == ()
    for log in [log for log in logs if len(log.items) == 30]:
        (estimate,) = [
            e
            for e in result.estimates
            if e.outcome == "sums" and e.cell.arm == log.source.model and e.contrast is None and e.purpose == "describe"
        ]
        assert log.scores["value"].mean() == estimate.value


def test_the_settings_tell_arm_and_evaluation(logs: list[Log], result: Result) -> None:
    source = next(log.source for log in logs if len(log.items) == 30 and log.source.model == "poor")
    assert source.settings["evaluation"] == {"count": 30}
    assert source.settings["arm"]["model"] == "toys:poor"
    assert source.settings["arm"]["digest"]
    assert source.run == result.document["hash"]
    assert (source.format, source.task_version) == ("run folder", "1")


def test_the_hash_is_of_the_question_whatever_its_cluster(logs: list[Log]) -> None:
    hashes = [set(log.items["content_hash"]) for log in logs]
    assert all(one <= max(hashes, key=len) for one in hashes)
    assert len(max(hashes, key=len)) == 30


def test_a_summary_leaves_texts_out(result: Result, logs: list[Log]) -> None:
    for log, whole in zip(run_folder.read(result.folder), logs, strict=True):
        assert log.scores.equals(whole.scores)
        assert log.items["content_hash"].equals(whole.items["content_hash"])
        assert set(log.items["input"]) == {""}
        assert log.answers.schema == whole.answers.schema
        assert log.answers["logprobs"].list.len().sum() == 0
        assert whole.answers["logprobs"].list.len().sum() > 0


def test_what_was_attacked_is_left_out_and_counted(copied: Path) -> None:
    folder = RunFolder(copied)
    for name in ("answers", "scores"):
        table = folder.read_table(f"{name}/{name}.parquet")
        attacked = table.filter(pl.col("arm") == "poor").with_columns(
            threat=pl.lit("relearning"), dose=pl.lit(64.0), **({"value": pl.lit(1.0)} if name == "scores" else {})
        )
        folder.write_table(f"{name}/{name}.parquet", pl.concat([table, attacked]))
    folder.write_manifest()
    for log in run_folder.read(copied):
        assert set(log.scores["threat"]) == set(log.answers["threat"]) == {""}
        wanted = len(log.items) if log.source.model == "poor" else 0
        assert [f"{wanted} scores in 1 cells" in note for note in log.notes] == [True] * bool(wanted)


def test_items_that_a_stopped_run_never_asked_are_counted(copied: Path) -> None:
    folder = RunFolder(copied)
    for name in ("answers", "scores"):
        table = folder.read_table(f"{name}/{name}.parquet")
        folder.write_table(f"{name}/{name}.parquet", table.filter(~pl.col("item").is_in(["sum-1", "sum-2"])))
    folder.write_json("stopping.json", {})
    folder.write_manifest()
    for log in run_folder.read(copied):
        assert not {"sum-1", "sum-2"} & set(log.items["id"])
        assert "2 items were never asked" in log.notes[0]
        assert "until its claims were decided" in log.notes[1]


@pytest.mark.parametrize("case", ["changed", "unfinished", "newer", "no items"])
def test_a_run_that_is_not_whole_is_an_error(copied: Path, case: str) -> None:
    folder = RunFolder(copied)
    if case == "changed":
        table = folder.read_table("scores/scores.parquet")
        folder.write_table("scores/scores.parquet", table.with_columns(value=pl.lit(1.0)))
    elif case == "unfinished":
        (copied / MANIFEST).unlink()
    elif case == "newer":
        document: dict[str, Any] = json.loads((copied / "trial.json").read_text())
        folder.write_json("trial.json", {**document, "schema": 99})
    else:
        for path in (copied / "items").iterdir():
            path.unlink()
        folder.write_manifest()
    with pytest.raises(DataError) as told:
        run_folder.read(copied)
    assert str(copied) in str(told.value)
    assert "next" in str(told.value)


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "trial.json").write_text("{}")
    assert not run_folder.recognises(tmp_path)
    assert not run_folder.recognises(tmp_path / "absent")
