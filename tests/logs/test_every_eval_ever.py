"""Every Eval Ever: files written here after its schemas, and what a reader must not believe of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trialist.errors import DataError
from trialist.logs import every_eval_ever
from trialist.logs.log import Log
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS

NAME = "0b5c3c1e-7a52-4a55-9d0e-3d1a2b4c5d6e"
RUN = "bench/org/model/1760000000"
Rows = list[dict[str, Any]]


def result(metric: str, score: float = 0.5, *, evaluation: str = "bench", **config: Any) -> dict[str, Any]:
    return {
        "evaluation_result_id": f"{evaluation}:{metric}",
        "evaluation_name": evaluation,
        "source_data": {"source_type": "hf_dataset", "dataset_name": "bench", "hf_repo": "org/bench"},
        "metric_config": {"metric_id": metric, "lower_is_better": False, **config},
        "score_details": {
            "score": score,
            "uncertainty": {
                "standard_error": {"value": 0.25, "method": "analytic"},
                "confidence_interval": {"lower": 0.1, "upper": 0.9},
            },
        },
        "generation_config": {"generation_args": {"temperature": 0.7, "max_tokens": 64}},
    }


def row(number: int, score: Any, metric: str = "accuracy", *, evaluation: str = "bench", **more: Any) -> dict[str, Any]:
    return {
        "schema_version": "0.2.2",
        "evaluation_id": RUN,
        "model_id": "org/model",
        "evaluation_name": evaluation,
        "evaluation_result_id": f"{evaluation}:{metric}",
        "sample_id": f"q{number}",
        "interaction_type": "single_turn",
        "input": {"raw": f"Question {number}?", "reference": ["yes"], "choices": ["yes", "no"]},
        "output": {"raw": ["yes" if score else "no"]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": "yes",
                "extraction_method": "exact_match",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": score, "is_correct": bool(score)},
        "metadata": {"subject": "ab"[number % 2]},
        **more,
    }


def write(folder: Path, rows: Rows, results: Rows | None = None, **changes: Any) -> Path:
    """The aggregate and its samples, as the datastore has them; returns the aggregate."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = folder / f"{NAME}_samples.jsonl"
    data = "".join(json.dumps(one) + "\n" for one in rows).encode()
    samples.write_bytes(data)
    content = {
        "schema_version": "0.2.2",
        "evaluation_id": RUN,
        "evaluation_timestamp": "1760000000",
        "retrieved_timestamp": "1760000001",
        "source_metadata": {"source_type": "evaluation_run"},
        "eval_library": {"name": "harness", "version": "1.2"},
        "model_info": {"name": "model", "id": "org/model", "inference_engine": {"name": "vllm", "version": "0.9"}},
        "evaluation_results": results if results is not None else [result("accuracy", 2 / 3)],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"data/bench/org/model/{samples.name}",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(data).hexdigest(),
            "total_rows": len(rows),
        },
        **changes,
    }
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(content, indent=1))
    return path


def one(path: Path, *, full: bool = False) -> Log:
    (log,) = every_eval_ever.read(path, full=full)
    return log


def values(log: Log, measure: str) -> list[float | None]:
    return log.scores.filter(pl.col("measure") == measure)["value"].to_list()


THREE = [row(0, 1.0), row(1, 0.0), row(2, 1.0)]


# --- what is read ----------------------------------------------------------------------------------------


def test_an_aggregate_with_its_samples(tmp_path: Path) -> None:
    path = write(tmp_path, THREE)
    log = one(path, full=True)
    assert (log.items.columns, log.answers.columns) == (list(ITEM_COLUMNS), list(ANSWER_COLUMNS))
    assert log.scores.columns == list(SCORE_COLUMNS)
    assert values(log, "accuracy") == [1.0, 0.0, 1.0]
    assert sum(v or 0 for v in values(log, "accuracy")) / 3 == log.stated[0].value
    assert [(s.metric, s.value) for s in log.stated[1:]] == [("stderr", 0.25), ("lower", 0.1), ("upper", 0.9)]
    source = log.source
    assert (source.task, source.model, source.tool, source.run) == ("bench", "org/model", "harness 1.2", RUN)
    assert (source.num_samples, source.created) == (3, "2025-10-09T08:53:20+00:00")
    assert source.settings["temperature"] == 0.7
    item = log.items.row(1, named=True)
    assert (item["id"], item["input"], item["options"], item["target"]) == ("q1", "Question 1?", ["yes", "no"], 0)
    assert json.loads(item["metadata"]) == {"subject": "b"}
    assert log.answers["text"].to_list() == ["yes", "no", "yes"]
    assert (log.losses, log.notes) == ((), ())


def test_the_samples_the_folder_and_a_summary_give_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "bench" / "org" / "model", THREE)
    whole = one(path, full=True)
    for place in (path, path.with_name(f"{NAME}_samples.jsonl"), tmp_path, path.parent):
        assert every_eval_ever.recognises(place)
        log = one(place)
        assert log.scores.equals(whole.scores)
        assert log.items["content_hash"].equals(whole.items["content_hash"])
        assert (log.stated, log.source) == (whole.stated, whole.source)
        assert set(log.items["input"]) == set(log.answers["text"]) == {""}


def test_a_path_from_the_top_of_the_datastore_is_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "x", THREE, detailed_evaluation_results={"file_path": "elsewhere/rows.jsonl"})
    (tmp_path / "elsewhere").mkdir()
    shutil.move(path.with_name(f"{NAME}_samples.jsonl"), tmp_path / "elsewhere" / "rows.jsonl")
    assert values(one(path), "accuracy") == [1.0, 0.0, 1.0]


def test_a_row_for_each_metric_is_one_item_with_several_measures(tmp_path: Path) -> None:
    rows = [r for i in range(3) for r in (row(i, float(i > 0)), row(i, i / 2, "f1"))]
    del rows[3]
    judged = result("tone", llm_scoring={"judges": [{"model_info": {"id": "org/judge"}}], "input_prompt": "?"})
    rows += [row(i, i + 1.0, "tone") for i in range(3)]
    log = one(write(tmp_path, rows, [result("accuracy"), result("f1"), judged]))
    assert len(log.items) == len(log.answers) == 3
    assert (values(log, "accuracy"), values(log, "f1"), values(log, "tone")) == ([0, 1, 1], [0, None, 1], [1, 2, 3])
    gap = log.scores.filter(pl.col("value").is_null())
    assert gap["reason"].to_list() == ["no row of this metric for the sample"]
    kinds = dict(log.scores.select("measure", "scorer_kind").unique().iter_rows())
    assert kinds == {"accuracy": "program", "f1": "program", "tone": "judge"}


def test_each_evaluation_is_a_log(tmp_path: Path) -> None:
    rows = [row(i, 1.0, evaluation=name) for name in ("algebra", "logic") for i in range(3)]
    results = [result("accuracy", evaluation=name) for name in ("algebra", "logic")]
    logs = every_eval_ever.read(write(tmp_path, rows, results))
    assert [(log.source.task, len(log.items), len(log.stated)) for log in logs] == [("algebra", 3, 4), ("logic", 3, 4)]


@pytest.mark.parametrize("ids", [True, False])
def test_a_metric_is_named_only_where_the_file_says_which_it_is(tmp_path: Path, ids: bool) -> None:
    rows = [dict(r) for r in THREE]
    for r in [] if ids else rows:
        del r["evaluation_result_id"]
    log = one(write(tmp_path, rows, [result("accuracy"), result("f1")]))
    assert log.scores["measure"].unique().to_list() == (["accuracy"] if ids else ["score"])
    assert any("accuracy, f1" in note for note in log.notes) is not ids
    assert bool(log.stated) is ids


def test_levels_are_ordinal_and_an_unknown_level_is_missing(tmp_path: Path) -> None:
    levels = result("risk", score_type="levels", level_names=["low", "high"], has_unknown_level=True)
    log = one(write(tmp_path, [row(i, v, "risk") for i, v in enumerate((1, -1, 2))], [levels]))
    assert values(log, "risk") == [1, None, 2]
    assert set(log.scores["kind"]) == {"ordinal"}
    assert log.scores["reason"].to_list() == ["", "the level is unknown", ""]


def test_a_range_beyond_one_is_no_unit_range(tmp_path: Path) -> None:
    percent = result("accuracy", score_type="continuous", min_score=0, max_score=100)
    assert set(one(write(tmp_path / "a", THREE, [percent])).scores["kind"]) == {"binary"}
    low = [row(i, i / 4) for i in range(3)]
    assert set(one(write(tmp_path / "b", low, [percent])).scores["kind"]) == {"real"}
    assert set(one(write(tmp_path / "c", low)).scores["kind"]) == {"bounded"}


def test_conversations_and_answers_cut_short(tmp_path: Path) -> None:
    messages = [
        {"turn_idx": i, "role": role, "content": text}
        for i, (role, text) in enumerate([("user", "hi"), ("assistant", "one"), ("tool", "x"), ("assistant", "two")])
    ]
    rows = [
        row(0, 1.0, interaction_type="agentic", output=None, messages=messages),
        row(1, 0.0, metadata={"stop_reason": "max_tokens"}),
    ]
    log = one(write(tmp_path, rows), full=True)
    assert log.answers["text"].to_list() == ["two", "no"]
    assert log.answers["status"].to_list() == ["ok", "truncated"]
    assert values(log, "accuracy") == [1.0, 0.0]


# --- what converters write -------------------------------------------------------------------------------


def test_an_error_is_missing_whatever_score_stands_beside_it(tmp_path: Path) -> None:
    log = one(write(tmp_path, [row(0, 1.0), row(1, 0.0, error="Timeout\nTraceback ...")]))
    assert values(log, "accuracy") == [1.0, None]
    assert log.scores["reason"][1] == "error: Timeout Traceback ..."
    assert log.answers["status"].to_list() == ["ok", "error"]
    assert any("1 samples with an error" in note for note in log.notes)


def test_epochs_of_the_inspect_converter(tmp_path: Path) -> None:
    rows = [row(i, 0.5, metadata={"epoch": str(epoch)}) for i in range(2) for epoch in (1, 2)]
    log = one(write(tmp_path, rows, eval_library={"name": "inspect_ai", "version": "0.3"}))
    assert log.scores.select("item", "epoch").rows() == [("q0", 1), ("q0", 2), ("q1", 1), ("q1", 2)]
    assert (len(log.items), len(log.answers), log.source.num_samples) == (2, 4, 4)
    assert any("reduced over epochs" in note for note in log.notes)


def test_the_converter_of_the_harness_keeps_all_metrics_as_text(tmp_path: Path) -> None:
    """Its own score is the first number of a sample, and 0 where there is none."""

    def converted(number: int, metrics: dict[str, Any], filter_name: str) -> dict[str, Any]:
        kept = {"lm_eval_metrics": json.dumps(metrics), "filter": filter_name, "doc_hash": "x"}
        return row(number, 0.0, evaluation=f"gsm/{filter_name}", metadata=kept, evaluation_result_id=None)

    rows = [converted(i, {"bleu": ["a", "b"], "exact_match": i % 2, "loss": float("nan")}, "strict") for i in range(3)]
    log = one(write(tmp_path, rows, [result("exact_match", evaluation="gsm")]))
    assert log.source.task == "gsm"
    assert values(log, "exact_match[strict]") == [0, 1, 0]
    assert values(log, "loss[strict]") == [None] * 3
    assert {row.measure for row in log.stated} == {"exact_match[strict]"}
    assert any("bleu[strict]" in note for note in log.notes)


# --- bad input -------------------------------------------------------------------------------------------


def test_an_aggregate_alone_is_refused_and_in_a_folder_counted(tmp_path: Path) -> None:
    alone = write(tmp_path / "alone", THREE)
    alone.with_name(f"{NAME}_samples.jsonl").unlink()
    with pytest.raises(DataError, match="no samples beside it"):
        every_eval_ever.read(alone)
    with pytest.raises(DataError, match="no samples"):
        every_eval_ever.read(tmp_path)
    write(tmp_path / "whole", THREE)
    log = one(tmp_path)
    assert [loss.path for loss in log.losses] == [str(alone)]


def test_samples_alone_have_scores_of_an_unknown_metric(tmp_path: Path) -> None:
    path = write(tmp_path, THREE)
    path.unlink()
    log = one(path.with_name(f"{NAME}_samples.jsonl"))
    assert values(log, "score") == [1.0, 0.0, 1.0]
    assert (log.source.model, log.source.run) == ("org/model", RUN)
    assert "no aggregate" in log.notes[0]


@pytest.mark.parametrize("version", ["0.1.0", "0.4.0", "1.0", "", None])
def test_a_schema_that_is_not_known_is_refused(tmp_path: Path, version: str | None) -> None:
    with pytest.raises(DataError, match="isn't known"):
        every_eval_ever.read(write(tmp_path, THREE, schema_version=version))
    with pytest.raises(DataError, match="isn't known"):
        every_eval_ever.read(write(tmp_path, [{**r, "schema_version": version} for r in THREE]))


@pytest.mark.parametrize("version", ["0.2.0", "0.3.0", "instance_level_eval_0.2.2", "v0.2"])
def test_schemas_that_are_known(tmp_path: Path, version: str) -> None:
    assert len(one(write(tmp_path, [{**r, "schema_version": version} for r in THREE])).scores) == 3


def lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    samples = path.with_name(f"{NAME}_samples.jsonl")
    samples.write_bytes(b"".join(change(samples.read_bytes().splitlines(keepends=True))))
    return path


def test_a_file_cut_off_is_found_by_its_rows_and_checksum(tmp_path: Path) -> None:
    log = one(lines(write(tmp_path, THREE), lambda found: [*found[:2], found[2][: len(found[2]) * 3 // 4]]))
    assert values(log, "accuracy") == [1.0, 0.0]
    assert log.source.num_samples is None
    told = [loss.what for loss in log.losses]
    assert [loss.sample for loss in log.losses] == ["q2", "", ""]
    assert "line 3" in told[0]
    assert "2 rows can be read, 3" in told[1]
    assert "sha256" in told[2]


def test_rows_of_others_and_rows_twice_are_counted(tmp_path: Path) -> None:
    rows = [
        *THREE,
        row(0, 0.0),
        row(3, 1.0, model_id="org/other"),
        row(4, 1.0, evaluation_id="another"),
        row(5, 1.0, sample_id=None),
        {**row(1, 1.0), "input": {"raw": "Something else?", "reference": []}},
    ]
    log = one(write(tmp_path, rows))
    assert values(log, "accuracy") == [1.0, 0.0, 1.0]
    assert sorted(loss.sample for loss in log.losses) == ["", "q0", "q1", "q3", "q4"]


@pytest.mark.parametrize(
    ("score", "reason"), [(None, "no score"), ("1", "no number"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_a_score_that_is_no_number_is_missing_with_its_reason(tmp_path: Path, score: Any, reason: str) -> None:
    log = one(write(tmp_path, [row(0, 1.0), {**row(1, 1.0), "evaluation": {"score": score, "is_correct": None}}]))
    assert values(log, "accuracy") == [1.0, None]
    assert reason in log.scores["reason"][1]


def test_results_without_samples_are_counted(tmp_path: Path) -> None:
    log = one(write(tmp_path, THREE, [result("accuracy"), result("accuracy", evaluation="other")]))
    assert [loss.what for loss in log.losses] == ["'other' has a score (accuracy) and no samples"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"evaluation_results": 3}', "{}"])
def test_what_is_no_aggregate_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert not every_eval_ever.recognises(path)
    with pytest.raises(DataError):
        every_eval_ever.read(path)


def test_an_empty_file_of_samples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not one sample"):
        every_eval_ever.read(write(tmp_path, []))
