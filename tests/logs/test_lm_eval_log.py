"""Logs that lm-evaluation-harness wrote: its numbers come out of our scores, nothing goes uncounted."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lm_eval_made as made
import polars as pl
import pytest
from lm_eval_made import Made

from trialist.errors import DataError
from trialist.logs import lm_eval_log
from trialist.logs.log import Log
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Metric, first
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ScoreTable
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS, Cell, Estimate

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the harness and its packages

GROUPED = ["made_group"]
NAMES = [name for name in made.TASKS if not name.startswith("made_part_")] + GROUPED


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISABLE_MULTIPROC", "1")
        yield made.write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def run(tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made.run(tasks, tmp_path_factory.mktemp("out"), NAMES)


@pytest.fixture(scope="module")
def logs(run: Made) -> dict[str, Log]:
    return {log.source.task: log for log in lm_eval_log.read(run.folder, full=True)}


@pytest.fixture
def copied(run: Made, tmp_path: Path) -> Callable[[str], Path]:
    """The files of one task alone: its samples, and the results beside them."""

    def copy(task: str) -> Path:
        shutil.copy(run.result_file, tmp_path)
        return Path(shutil.copy(run.samples[task], tmp_path))

    return copy


def one(path: Path, *, full: bool = False) -> Log:
    (log,) = lm_eval_log.read(path, full=full)
    return log


def values(log: Log, measure: str) -> list[float | None]:
    return log.scores.filter(pl.col("measure") == measure)["value"].to_list()


def stated(log: Log, measure: str, metric: str) -> float:
    (row,) = [row for row in log.stated if (row.measure, row.metric) == (measure, metric)]
    return row.value


def estimated(log: Log, measure: str, low: float = 0.0, high: float = 1.0) -> Estimate:
    index = index_items(log.items)
    metric = Metric(measure, (measure,), first, ((low,), (high,)), low, high)
    return estimate(ScoreTable(log.scores, index), index, Estimand(log.source.task, metric, Cell(log.source.model)))


def shown(*numbers: float | None) -> str:
    value, low, high = (f"{number or 0:.2f}".replace("0.", ".", 1) for number in numbers)
    return f"{value} [{low}, {high}]"


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def edit(path: Path, change: Callable[[list[Any]], Any]) -> Path:
    """The samples with their rows changed; ``change`` gives rows, or lines as they are to stand."""
    rows = change([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


# --- the harness's numbers -------------------------------------------------------------------------------


def test_every_task_that_has_samples_is_a_log_with_the_records_columns(run: Made, logs: dict[str, Log]) -> None:
    assert set(logs) == set(run.samples)
    for log in logs.values():
        for table, columns in ((log.items, ITEM_COLUMNS), (log.answers, ANSWER_COLUMNS), (log.scores, SCORE_COLUMNS)):
            assert table.columns == list(columns)
        assert log.losses == ()
        assert len(log.items) == log.source.num_samples == run.results["n-samples"][log.source.task]["original"]
        assert set(log.scores["arm"]) == {"org/tiny"}


def test_means_and_standard_errors_come_out_to_the_last_digit(run: Made, logs: dict[str, Log]) -> None:
    """Every number of every task that is a plain mean, and its standard error s/sqrt(n), s with n - 1."""
    seen = 0
    for task, log in logs.items():
        for measure in [row.measure for row in log.stated if row.metric == "mean"]:
            numbers = [value for value in values(log, measure) if value is not None]
            theirs = stated(log, measure, "mean")
            assert mean(numbers) == theirs
            metric, _, name = measure.rstrip("]").partition("[")
            assert theirs == run.results["results"][task][f"{metric},{name or 'none'}"]
            squares = sum((value - theirs) ** 2 for value in numbers)
            error = math.sqrt(squares / (len(numbers) - 1)) / math.sqrt(len(numbers))
            assert error == pytest.approx(stated(log, measure, "stderr"), rel=1e-15, abs=0)
            seen += 1
    assert seen == 19


def test_numbers_over_all_samples_come_from_what_each_sample_gives(logs: dict[str, Log]) -> None:
    endings, texts, pairs = (logs[f"made_{name}"] for name in ("endings", "texts", "pairs"))
    likelihoods = [value for value in values(endings, "loglikelihood") if value is not None]
    assert math.exp(-mean(likelihoods)) == stated(endings, "loglikelihood", "perplexity")
    for measure, metric, back in (
        ("loglikelihood_per_word", "word_perplexity", lambda x: math.exp(-x)),
        ("loglikelihood_per_byte", "byte_perplexity", lambda x: math.exp(-x)),
        ("bits_per_byte", "bits_per_byte", lambda x: x),
    ):
        rows = texts.scores.filter(pl.col("measure") == measure)
        assert rows["weight"].n_unique() == len(rows)
        weighted = (rows["value"] * rows["weight"]).sum() / rows["weight"].sum()
        assert back(weighted) == pytest.approx(stated(texts, measure, metric), rel=1e-14)
    briers = [value for value in values(pairs, "brier_score") if value is not None]
    assert mean(briers) == pytest.approx(stated(pairs, "brier_score", "brier_score"), rel=1e-14)


def test_what_is_no_number_a_sample_is_said_and_only_stated(logs: dict[str, Log]) -> None:
    for task, metrics in (("made_pairs", ["f1", "mcc"]), ("made_bleu", ["bleu"])):
        log = logs[task]
        assert not set(metrics) & set(log.scores["measure"])
        assert [note.partition(":")[0] for note in log.notes] == metrics
        assert set(metrics) <= {row.measure for row in log.stated}


def test_scores_that_are_nan_or_left_out_are_null_with_the_reason(logs: dict[str, Log]) -> None:
    log = logs["made_undefined"]
    reasons = dict(zip(log.scores["item"], log.scores["reason"], strict=True))
    rows = made.TASKS["made_undefined"][0]
    for number, row in enumerate(rows):
        size = int(row["answer"])
        wanted = "no score of this measure" if size == 4 else "is nan" if size % 6 == 0 else ""
        assert wanted in reasons[str(number)]
        assert bool(wanted) == bool(reasons[str(number)])
    numbers = [value for value in values(log, "share") if value is not None]
    assert mean(numbers) == pytest.approx(stated(log, "share", "nanmean"), rel=1e-15)
    assert len(log.scores) == len(rows)


@pytest.mark.parametrize(
    ("task", "measure", "theirs", "ours"),
    [
        ("made_choices", "acc", ".40 [.18, .62]", ".40 [.22, .61]"),
        ("made_choices", "acc_norm", ".05 [-.05, .15]", ".05 [.01, .24]"),
        ("made_bleu", "exact_match", ".00 [.00, .00]", ".00 [.00, .19]"),
        ("made_undefined", "share", ".40 [.19, .61]", ".40 [.16, .64]"),
    ],
)
def test_our_interval_beside_theirs_as_the_page_shows_them(
    logs: dict[str, Log], task: str, measure: str, theirs: str, ours: str
) -> None:
    log = logs[task]
    value = next(row.value for row in log.stated if row.measure == measure and row.metric != "stderr")
    error = 1.96 * stated(log, measure, "stderr")
    found = estimated(log, measure)
    assert shown(value, value - error, value + error) == theirs
    assert shown(found.value, found.low, found.high) == ours
    page = (Path(__file__).parents[2] / "docs" / "logs" / "lm-eval.md").read_text(encoding="utf-8")
    assert any(theirs in line and ours in line for line in page.splitlines())


def test_what_is_missing_widens_the_worst_case(logs: dict[str, Log]) -> None:
    found = estimated(logs["made_undefined"], "share")
    assert (found.counts.attempted, found.counts.scored) == (16, 9)
    assert (found.worst_low, found.worst_high) == (pytest.approx(0.4 * 9 / 16), pytest.approx((0.4 * 9 + 7) / 16))


def test_a_weighted_metric_is_estimated_with_its_weights(logs: dict[str, Log]) -> None:
    found = estimated(logs["made_texts"], "bits_per_byte", -math.inf, math.inf)
    assert found.value == pytest.approx(stated(logs["made_texts"], "bits_per_byte", "bits_per_byte"), rel=1e-14)


# --- what was asked and answered -------------------------------------------------------------------------


def test_options_target_and_log_probabilities_of_a_choice(run: Made, logs: dict[str, Log]) -> None:
    log = logs["made_choices"]
    item, answer = log.items.row(1, named=True), log.answers.row(1, named=True)
    raw = json.loads(run.samples["made_choices"].read_text(encoding="utf-8").splitlines()[1])
    assert item["input"] == "Which number follows 1?\nA:"
    assert item["options"] == [" 2", " 1 ünd 1", " none at all"]
    assert (item["id"], item["cluster"], item["target"], item["reference"]) == ("1", "1", 0, "")
    assert json.loads(item["metadata"])["subject"] == "b"
    assert answer["logprobs"] == [float(pair[0]) for pair in raw["filtered_resps"]]
    assert answer["num_bytes"] == [2, 9, 12]
    assert answer["text"] == item["options"][max(range(3), key=answer["logprobs"].__getitem__)]
    accuracy = [text == options[0] for text, options in zip(log.answers["text"], log.items["options"], strict=True)]
    assert accuracy == [value == 1 for value in values(log, "acc")]


def test_options_are_what_differs_between_the_requests(logs: dict[str, Log]) -> None:
    contexts, mutual = logs["made_contexts"], logs["made_mutual"]
    item = contexts.items.row(3, named=True)
    assert (item["input"], item["options"]) == (" is odd", ["Is 3 odd?", "x Is 3 odd?"])
    assert set(map(len, contexts.answers["logprobs"])) == {2}
    # Mutual information asks for every option a second time, without the question.
    assert mutual.items["options"].equals(logs["made_choices"].items["options"])
    assert mutual.items["content_hash"].equals(logs["made_choices"].items["content_hash"])
    assert mutual.answers["logprobs"].equals(logs["made_choices"].answers["logprobs"])
    assert set(mutual.scores["measure"]) == {"acc", "acc_mutual_info"}


def test_filters_are_measures_and_the_answer_is_the_raw_one(logs: dict[str, Log]) -> None:
    log = logs["made_sums"]
    assert log.scores["measure"].unique(maintain_order=True).to_list() == [
        "exact_match[strict-match]", "exact_match[flexible-extract]",
    ]  # fmt: skip
    assert set(log.scores["kind"]) == {"binary"}
    assert (len(log.items), len(log.answers), len(log.scores)) == (16, 16, 32)
    assert log.items["reference"].to_list() == [row["answer"] for row in made.SUMS]
    for answer, reference, score in zip(
        log.answers["text"], log.items["reference"], values(log, "exact_match[flexible-extract]"), strict=True
    ):
        assert score == float(answer.split()[-1] == reference)


def test_repeated_answers_are_epochs_of_the_answers(run: Made, logs: dict[str, Log]) -> None:
    log = logs["made_repeats"]
    raw = json.loads(run.samples["made_repeats"].read_text(encoding="utf-8").splitlines()[2])
    mine = log.answers.filter(pl.col("item") == "2")
    assert mine["epoch"].to_list() == [0, 1, 2, 3]
    assert mine["text"].to_list() == raw["resps"][0]
    assert set(log.scores["epoch"]) == {0}
    assert any("4 answers an item" in note for note in log.notes)


def test_a_subtask_is_its_own_log_and_names_its_group(run: Made, logs: dict[str, Log]) -> None:
    parts = [logs["made_part_a"], logs["made_part_b"]]
    group = run.results["groups"]["made_group"]
    for log in parts:
        assert log.source.settings["groups"]["made_group"] == group
    assert mean([value for log in parts for value in values(log, "acc") if value is not None]) == group["acc,none"]
    errors, sizes = [stated(log, "acc", "stderr") for log in parts], [10, 4]
    pooled = sum((n - 1) * n * e**2 for n, e in zip(sizes, errors, strict=True)) / (sum(sizes) - 2)
    assert math.sqrt(pooled / sum(sizes)) == pytest.approx(group["acc_stderr,none"], rel=1e-14)


def test_the_source_tells_what_was_run(logs: dict[str, Log], run: Made) -> None:
    source = logs["made_shots"].source
    assert (source.tool, source.model, source.task_version) == ("lm_eval 0.4.13", "org/tiny", "2.0")
    assert source.run in run.result_file.name
    assert source.created.startswith("20")
    settings = source.settings
    assert (settings["num_fewshot"], settings["output_type"], settings["fewshot_seed"]) == (2, "multiple_choice", 1234)
    assert "Which number follows" in logs["made_shots"].items["input"][0].partition("\n\n")[0]
    repeats = logs["made_repeats"].source.settings
    assert repeats["generation_kwargs"]["temperature"] == 0.7
    assert [f["name"] for f in repeats["filter_list"]] == ["first", "maj@4"]


def test_a_summary_has_the_scores_and_hashes_of_a_full_read(run: Made, logs: dict[str, Log]) -> None:
    for log in lm_eval_log.read(run.result_file):
        whole = logs[log.source.task]
        assert log.scores.equals(whole.scores)
        assert log.items["content_hash"].equals(whole.items["content_hash"])
        assert set(log.items["input"]) == {""}
        assert set(log.answers["text"]) == {""}
        assert log.stated == whole.stated


def test_a_limit_is_what_was_to_be_asked(tasks: Path, tmp_path: Path) -> None:
    log = one(made.run(tasks, tmp_path, ["made_choices"], limit=7).samples["made_choices"])
    assert (len(log.items), log.source.num_samples, log.source.settings["limit"]) == (7, 7, 7)
    assert mean([value for value in values(log, "acc") if value is not None]) == stated(log, "acc", "mean")


def test_chosen_documents_keep_their_numbers(tasks: Path, tmp_path: Path) -> None:
    log = one(made.run(tasks, tmp_path, ["made_choices"], samples={"made_choices": [3, 11]}).samples["made_choices"])
    assert (log.items["id"].to_list(), log.source.num_samples) == (["3", "11"], 2)


# --- two runs --------------------------------------------------------------------------------------------


def test_the_hash_is_of_what_was_asked_and_not_of_the_model(tasks: Path, tmp_path: Path, logs: dict[str, Log]) -> None:
    other = made.run(tasks, tmp_path / "b", ["made_choices"], seed="b", model="org/other")
    same, first = one(other.samples["made_choices"]), logs["made_choices"]
    assert same.items["content_hash"].equals(first.items["content_hash"])
    assert values(same, "acc") != values(first, "acc")
    shots = logs["made_shots"]
    assert shots.items["id"].equals(first.items["id"])
    assert not set(shots.items["content_hash"]) & set(first.items["content_hash"])


def test_a_changed_document_under_the_same_id_has_another_hash(copied: Callable[[str], Path]) -> None:
    path = copied("made_choices")
    before = one(path).items["content_hash"]

    def change(rows: list[Any]) -> list[Any]:
        for argument in rows[4]["arguments"].values():
            argument["arg_0"] = "Another question?\nA:"
        return rows

    after = one(edit(path, change)).items["content_hash"]
    assert [a == b for a, b in zip(before, after, strict=True)] == [i != 4 for i in range(20)]


def test_prompts_that_a_chat_template_wrote_are_told_apart_by_document(copied: Callable[[str], Path]) -> None:
    path = copied("made_sums")
    (results,) = path.parent.glob("results_*.json")
    content = json.loads(results.read_text())
    results.write_text(json.dumps({**content, "chat_template_sha": "0" * 64}))
    before = one(path).items["content_hash"]

    def change(rows: list[Any]) -> list[Any]:
        for row in rows:
            row["arguments"]["gen_args_0"]["arg_0"] = "<|user|>" + row["arguments"]["gen_args_0"]["arg_0"]
        return rows

    log = one(edit(path, change))
    assert log.items["content_hash"].equals(before)
    assert any("chat template" in note for note in log.notes)
    results.write_text(json.dumps({**content, "chat_template_sha": "0" * 64, "system_instruction_sha": "1"}))
    assert not set(one(path).items["content_hash"]) & set(before)


@pytest.mark.torch
def test_two_organisms_on_our_engine_pair_item_by_item(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from trialist.evaluations.capability.hazard_compounds import HazardCompounds
    from trialist.models.harness import TrialistLM
    from trialist.organisms.named import folder_of

    items = list(HazardCompounds().items())[:24]
    rows = [{"question": item.input, "options": item.options, "gold": item.target} for item in items]
    config = {**made.CHOICE, "doc_to_text": "{{question}}", "target_delimiter": ""}
    folder = made.write_tasks(tmp_path / "tasks", {"made_hazard": (rows, config)})
    found: dict[str, Log] = {}
    for name in ("base", "hazard"):
        lm = TrialistLM(str(folder_of(name)), device="cpu")
        run = made.run(folder, tmp_path / name, ["made_hazard"], model=f"organism/{name}", lm=lm)
        found[name] = one(run.samples["made_hazard"], full=True)
        accuracy = run.results["results"]["made_hazard"]["acc,none"]
        assert mean([value for value in values(found[name], "acc") if value is not None]) == accuracy
    base, hazard = found["base"], found["hazard"]
    assert base.items.equals(hazard.items)
    assert base.items["options"].to_list() == [list(item.options) for item in items]
    assert base.items["target"].to_list() == [item.target for item in items]
    assert sum(value or 0 for value in values(hazard, "acc")) > sum(value or 0 for value in values(base, "acc"))
    assert base.source.model == "organism/base"
    assert "model_digest" in base.source.settings


# --- bad input -------------------------------------------------------------------------------------------


def test_samples_without_results_are_named_by_their_files(run: Made, tmp_path: Path) -> None:
    for folder, name in (("org__mod\udce9l", "org__mod?l"), ("org__tiny", "org__tiny")):
        path = tmp_path / folder / run.samples["made_choices"].name
        path.parent.mkdir()
        shutil.copy(run.samples["made_choices"], path)
        log = one(path)
        assert (log.source.task, log.source.model, log.source.num_samples) == ("made_choices", name, None)
        assert set(log.scores["arm"]) == {name}
    assert log.stated == ()
    assert any("no results_" in note for note in log.notes)
    assert mean([value for value in values(log, "acc") if value is not None]) == 0.4


def test_results_of_another_run_beside_are_not_used(run: Made, tmp_path: Path) -> None:
    path = Path(shutil.copy(run.samples["made_choices"], tmp_path))
    other = "results_2020-01-01T00-00-00.000000.json"
    shutil.copy(run.result_file, tmp_path / other)
    log = one(path)
    assert log.stated == ()
    assert any(other in note and "another run" in note for note in log.notes)


def test_results_of_the_same_name_about_other_samples_are_found_out(copied: Callable[[str], Path]) -> None:
    def change(rows: list[Any]) -> list[Any]:
        rows[5]["prompt_hash"] = "0" * 64
        return rows

    log = one(edit(copied("made_choices"), change))
    assert log.stated == ()
    assert [("hash" in loss.what, loss.sample) for loss in log.losses] == [(True, "")]


def test_results_alone_ask_for_samples(run: Made, tmp_path: Path) -> None:
    path = Path(shutil.copy(run.result_file, tmp_path))
    assert lm_eval_log.recognises(path)
    for place in (path, tmp_path):
        with pytest.raises(DataError, match="--log_samples"):
            lm_eval_log.read(place)


def test_of_several_files_those_that_fail_or_are_absent_are_losses(copied: Callable[[str], Path]) -> None:
    whole, empty = copied("made_choices"), copied("made_sums")
    empty.write_bytes(b"")
    (results,) = whole.parent.glob("results_*.json")
    content = json.loads(results.read_text())
    kept = {name: content["results"][name] for name in ("made_choices", "made_sums", "made_bleu", "made_group")}
    results.write_text(json.dumps({**content, "results": kept}))
    absent = str(empty).replace("made_sums", "made_bleu")
    for place, lost in ((results, [absent, str(empty)]), (whole.parent, [str(empty)])):
        log = one(place)
        assert (log.source.task, len(log.items)) == ("made_choices", 20)
        assert [loss.path for loss in log.losses] == lost
    whole.write_bytes(b"")
    for place in (results, whole.parent):
        with pytest.raises(DataError, match="not one file"):
            lm_eval_log.read(place)


def test_a_line_cut_off_is_a_loss_with_its_sample(copied: Callable[[str], Path]) -> None:
    path = copied("made_choices")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b'"doc_id"') + 60])
    log = one(path)
    assert (len(log.items), log.source.num_samples) == (19, 20)
    assert [(loss.sample, loss.path) for loss in log.losses] == [("19", str(path)), ("", str(path))]
    assert "line 20" in log.losses[0].what
    assert "1 of 20" in log.losses[1].what


def test_bytes_that_are_no_text_are_a_loss_of_their_line(copied: Callable[[str], Path]) -> None:
    path = copied("made_sums")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"plus", b"pl\xff\xfes")
    path.write_bytes(b"".join(lines))
    log = one(path)
    assert [(loss.sample, "UTF-8" in loss.what) for loss in log.losses[:1]] == [("3", True)]
    # The document's other filter is still there: one score read, one missing.
    mine = log.scores.filter(pl.col("item") == "3")
    assert mine["value"].null_count() == 1
    assert len(mine) == 2
    assert "no score of this measure" in mine.filter(pl.col("value").is_null())["reason"][0]


def test_half_a_character_is_replaced(copied: Callable[[str], Path]) -> None:
    def change(rows: list[Any]) -> list[Any]:
        rows[0]["resps"] = [["bad \ud83d"]]
        return rows

    log = one(edit(copied("made_sums"), change), full=True)
    assert log.answers["text"][0] == "bad ?"


def test_documents_twice_and_without_id(copied: Callable[[str], Path]) -> None:
    def change(rows: list[Any]) -> list[Any]:
        again = {**rows[2], "acc": 1 - rows[2]["acc"]}
        del rows[7]["doc_id"]
        nameless = {key: value for key, value in rows[8].items() if key not in ("doc_id", "doc_hash")}
        return [*rows[:8], nameless, *rows[9:], again, "[1, 2]"]

    path = copied("made_choices")
    before = values(one(path), "acc")
    log = one(edit(path, change))
    found = dict(zip(log.scores.filter(pl.col("measure") == "acc")["item"], values(log, "acc"), strict=True))
    assert found["2"] == before[2]
    assert len(log.items) == 19
    assert log.items["id"][7] == json.loads(path.read_text().splitlines()[7])["doc_hash"][:16]
    assert sorted(loss.sample for loss in log.losses) == ["", "", "", "2"]
    assert any("without doc_id" in note for note in log.notes)


def test_newer_keys_and_versions_are_read(copied: Callable[[str], Path]) -> None:
    path = copied("made_choices")
    (results,) = path.parent.glob("results_*.json")
    content = {**json.loads(results.read_text()), "lm_eval_version": "0.9.1", "novelty": {"a": [1]}}
    results.write_text(json.dumps(content))
    before = one(path)
    log = one(edit(path, lambda rows: [{**row, "confidence": 0.5, "usage": {"tokens": 3}} for row in rows]))
    assert log.scores.equals(before.scores)
    assert any("0.9.1" in note for note in log.notes)


def test_files_of_older_versions(copied: Callable[[str], Path]) -> None:
    """Without filters, lists of metrics and hashes; arguments as lists, answers as numbers."""

    def change(rows: list[Any]) -> list[Any]:
        for row in rows:
            for key in ("filter", "metrics", "doc_hash", "prompt_hash", "target_hash"):
                del row[key]
            row["arguments"] = [list(request.values()) for request in row["arguments"].values()]
            row["filtered_resps"] = [[float(a), b == "True"] for a, b in row["filtered_resps"]]
        return rows

    path = copied("made_choices")
    before = one(path, full=True)
    path = edit(path, change).rename(path.with_suffix(".json"))
    (results,) = path.parent.glob("results_*.json")
    content = json.loads(results.read_text())
    results.write_text(json.dumps({**content, "group_subtasks": {"made_choices": []}}))
    log = one(path, full=True)
    for place in (results, path.parent):
        assert one(place, full=True).scores.equals(log.scores)
    assert log.scores.equals(before.scores)
    assert log.stated == before.stated
    assert log.answers["logprobs"].equals(before.answers["logprobs"])
    assert log.items["content_hash"].equals(before.items["content_hash"])
    assert log.losses == ()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b'{"doc_id": 1', b"[]\n"])
def test_a_file_without_one_sample_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "samples_x_2026-01-01T00-00-00.0.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not one sample"):
        lm_eval_log.read(path)


def test_only_its_own_files_are_recognised(run: Made, tmp_path: Path) -> None:
    for path in (run.folder, run.folder.parent, run.result_file, *run.samples.values()):
        assert lm_eval_log.recognises(path)
    (tmp_path / "table.jsonl").write_text('{"item": "a", "score": 1}\n')
    (tmp_path / "results_x.json").write_text('{"scores": {}}')
    for name in ("table.jsonl", "results_x.json", "absent.jsonl", ""):
        assert not lm_eval_log.recognises(tmp_path / name)
