"""``trialist estimate`` on logs: what is counted, paired, clustered and said, against the methods called directly."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from logs_made import keep, made, two_runs, without

from trialist.cli.app import start
from trialist.logs.log import Log, Stated
from trialist.measurement import clustered, paired, proportions
from trialist.measurement.planning import discordant

Say = tuple[int, str, str]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Say:
        code = start(["estimate", *arguments])
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), said.err

    return run


@pytest.fixture
def rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Write logs, estimate them, and give the JSON object."""

    def run(logs: list[Log], *arguments: str) -> dict[str, Any]:
        place = keep(folder / f"logs{len(list(folder.iterdir()))}", *logs)
        code = start(["estimate", str(place), *arguments, "--json"])
        said = capsys.readouterr()
        assert said.err == ""
        found: dict[str, Any] = json.loads(said.out)
        assert found["exit_code"] == code
        return found

    return run


def draws(seed: int, num: int, rate: float = 0.6) -> list[float]:
    return (np.random.default_rng(seed).random(num) < rate).astype(float).tolist()


def text(value: float) -> str:
    return f"{value:.2f}".lstrip("0")


# --- values, counts, missing -----------------------------------------------------------------------------


def test_a_row_for_each_task_and_measure(rows: Any) -> None:
    values = {"match": draws(1, 80), "grader": draws(2, 80)}
    found = rows([made(values, judges=["grader"]), made(draws(3, 40), task="facts")])
    assert [(row["task"], row["measure"], row["judged"]) for row in found["rows"]] == [
        ("sums", "match", False),
        ("sums", "grader", True),
        ("facts", "acc", False),
    ]
    for row, x in zip(found["rows"], [*values.values(), draws(3, 40)], strict=True):
        (one,) = row["estimates"]
        interval = proportions.wilson(int(sum(x)), len(x))
        assert (one["value"], one["low"], one["high"]) == pytest.approx((np.mean(x), interval.low, interval.high))
        assert one["counts"] == {"attempted": len(x), "answered": len(x), "scored": len(x)}


def test_missing_answers_are_counted_by_reason_and_bounded(say: Any, rows: Any) -> None:
    x = [1.0, 0.0] * 45 + [None] * 10
    reasons = {(f"q{90 + i}", 0): "error: timed out" if i < 7 else "limit: tokens" for i in range(10)}
    log = made(x, reasons=reasons, num_samples=120, status="cancelled")
    row = rows([log])["rows"][0]
    assert row["missing"] == {
        "m": {"not in the log, whose status is cancelled": 20, "error: timed out": 7, "limit: tokens": 3}
    }
    (one,) = row["estimates"]
    assert one["value"] == 0.5
    assert one["counts"] == {"attempted": 120, "answered": 90, "scored": 90}
    assert (one["worst_low"], one["worst_high"]) == (45 / 120, 75 / 120)
    out = say(str(keep(Path("cut"), log)))[1]
    assert (
        "sums, acc, m: 90 of 120 items scored (20 not in the log, whose status is cancelled, 7 error: timed out, "
        "3 limit: tokens); whatever the missing are, it lies in [.38, .62]"
    ) in out.replace("[.375, .625]", "[.38, .62]")
    assert "the run has the status 'cancelled'" in out


def test_epochs_are_averaged_within_their_item_whatever_their_number(rows: Any) -> None:
    generator = np.random.default_rng(4)
    first = (generator.random((50, 5)) < 0.7).astype(float)
    second = (generator.random((50, 2)) < 0.5).astype(float)
    logs = [made({"acc": first}, model="a"), made({"acc": second}, model="b")]
    row = rows(logs, "--compare", "a", "b")["rows"][0]
    values = first.mean(1), second.mean(1)
    assert [one["value"] for one in row["estimates"]] == pytest.approx([v.mean() for v in values])
    assert [one["num_clusters"] for one in row["estimates"]] == [50, 50]
    assert row["num_answers"] == {"a": 250, "b": 100}
    assert (
        "sums: 5 answers an item in a, 2 in b: their means are compared" in rows(logs, "--compare", "a", "b")["notes"]
    )
    difference = values[0] - values[1]
    half = 2.009575 * difference.std(ddof=1) / np.sqrt(50)
    limits = (row["difference"]["low"], row["difference"]["high"])
    assert limits == pytest.approx((difference.mean() - half, difference.mean() + half), abs=1e-6)


# --- comparing -------------------------------------------------------------------------------------------


def test_the_comparison_is_paired_and_says_what_could_have_been_seen(say: Any, rows: Any) -> None:
    first, second = draws(5, 300, 0.7), draws(6, 300, 0.5)
    logs = [made(first, model="a"), made(second, model="b")]
    row = rows(logs, "--compare", "a", "b", "--margin", ".02")["rows"][0]
    b = sum(x > y for x, y in zip(first, second, strict=True))
    c = sum(x < y for x, y in zip(first, second, strict=True))
    interval = paired.tango(b, c, 300)
    assert (row["difference"]["low"], row["difference"]["high"]) == pytest.approx((interval.low, interval.high))
    assert row["difference"]["p_value"] == pytest.approx(paired.mcnemar_midp(b, c))
    assert row["words"] == "better"
    seen = discordant.mcnemar_detectable((b + c) / 300, 300)
    assert row["detectable"] == pytest.approx(seen)
    out = say(str(keep(Path("two"), *logs)), "--compare", "b", "a")[1]
    assert f"sums, acc: you could have seen a difference of {text(seen)} (power .8)" in out
    assert "worse, p <.001" in out


def test_a_difference_that_cannot_be_seen_is_none_with_the_reason(say: Any) -> None:
    keep(Path("few"), made([1, 1, 0], model="a"), made([1, 0, 0], model="b"))
    out = say("few", "--compare", "a", "b")[1]
    assert "what difference could have been seen isn't known: 3 pairs show no difference with power 0.8" in out


def test_paths_are_arms_and_tasks_in_one_of_them_are_said(say: Any) -> None:
    keep(Path("old"), made(draws(1, 60)), made(draws(2, 60), task="facts"))
    keep(Path("new"), made(draws(3, 60)), without(made(draws(4, 60), task="more"), "q1"))
    code, out, _ = say("old", "new", "--compare", "new", "old")
    assert code == 0
    assert "m (old) m (new) m (new) minus m (old)" in out
    for note in (
        "facts: m (new) has no scores of it",
        "more: m (old) has no scores of it",
        "2 logs of sums by m: told apart",
    ):
        assert note in out
    assert out.count("can't tell") + out.count("better") + out.count("worse") >= 1
    code, _, err = say("old", "new", "--compare", "new", "odl")
    assert code == 2
    assert "unknown arm 'odl'" in err
    assert "m (new), m (old)" in err


def test_measures_of_one_arm_alone_are_said(say: Any) -> None:
    x = draws(1, 30)
    keep(Path("one"), made({"acc": x, "f1": x}, model="a"), made({"acc": x, "rouge": x}, model="b"))
    out = say("one", "--compare", "a", "b")[1]
    assert "sums: 1 measure (f1) of a alone: not compared" in out
    assert "sums: 1 measure (rouge) of b alone: not compared" in out
    assert out.count("you could have seen") == 1


def test_changed_prompts_are_left_out_and_named(say: Any, rows: Any) -> None:
    hashes = [f"h-q{i}" if i % 10 else "changed" + str(i) for i in range(60)]
    logs = [made(draws(1, 60), model="a"), made(draws(2, 60), model="b", hashes=hashes)]
    found = rows(logs, "--compare", "a", "b")
    assert found["rows"][0]["difference"]["counts"]["attempted"] == 54
    assert found["paired"][0]["changed"] == [f"q{i}" for i in range(0, 60, 10)]
    out = say(str(keep(Path("two"), *logs)), "--compare", "a", "b")[1]
    assert "6 items (q0, q10, q20, ...) asked differently under the same id in a and b: not paired" in out


# --- clusters and strata ---------------------------------------------------------------------------------


def paraphrases(seed: int, model: str = "m", **more: Any) -> tuple[Log, Floats]:
    generator = np.random.default_rng(seed)
    hard = np.repeat(generator.random(60), 4)
    x = (generator.random(240) > hard).astype(float)
    place = [{"question_id": f"s{i // 4}", "subject": "ab"[i % 2]} for i in range(240)]
    return made(x.tolist(), model=model, metadata=place, **more), x


def test_an_undeclared_structure_is_found_and_can_be_named_or_switched_off(rows: Any, say: Any) -> None:
    log, x = paraphrases(1)
    size = clustered.effective_size(x, np.repeat(np.arange(60), 4))
    interval = proportions.wilson(x.mean() * size, size)
    for options in ([], ["--cluster", "question_id"]):
        found = rows([log], *options)
        (one,) = found["rows"][0]["estimates"]
        assert (one["low"], one["high"]) == pytest.approx((interval.low, interval.high))
        assert (one["num_clusters"], found["rows"][0]["clustered_by"]) == (60, "question_id")
    (one,) = rows([log], "--cluster", "item")["rows"][0]["estimates"]
    alone = proportions.wilson(int(x.sum()), 240)
    assert (one["low"], one["high"], one["num_clusters"]) == pytest.approx((alone.low, alone.high, 240))
    out = say(str(keep(Path("one"), log)))[1]
    assert "sums, acc: 240 items in 60 clusters by question_id" in out
    assert "sums: these 240 items are 60 groups of 4 by question_id: clustered by it (--cluster item" in out
    assert "taken as independent" not in out
    code, _, err = say("one", "--cluster", "question")
    assert (code, "unknown cluster 'question'" in err, "question_id" in err) == (2, True, True)


def test_rows_by_task_metric_and_stratum(rows: Any) -> None:
    first, x = paraphrases(1)
    second = made({"acc": draws(2, 40), "f1": draws(3, 40)}, task="facts", strata=["s"] * 40)
    logs = [first, second]
    titles = {
        "task,metric": [("sums", "acc", ""), ("facts", "acc", ""), ("facts", "f1", "")],
        "task": [("sums", "acc", ""), ("facts", "acc", "")],
        "metric": [("", "acc", ""), ("", "f1", "")],
        "task,stratum": [("sums", "acc", ""), ("sums", "acc", "a"), ("sums", "acc", "b"), ("facts", "acc", "")],
    }
    for by, wanted in titles.items():
        found = rows(logs, "--by", by, "--stratum", "subject")
        assert [(row["task"], row["measure"], row["stratum"]) for row in found["rows"]] == wanted
        for row in found["rows"]:
            if row["stratum"] == "b":
                assert row["estimates"][0]["value"] == pytest.approx(x[1::2].mean())
    pooled = rows(logs, "--by", "metric")["rows"][0]["estimates"][0]
    assert pooled["value"] == pytest.approx(np.mean([*x, *draws(2, 40)]))
    assert (pooled["counts"]["attempted"], pooled["num_clusters"]) == (280, 100)


def test_arms_that_are_pooled_over_other_tasks_are_warned_of(say: Any) -> None:
    keep(
        Path("one"), made([1, 0] * 20, model="a"), made([1, 0] * 20, model="b"), made([1, 1] * 20, model="b", task="t")
    )
    out = say("one", "--by", "metric")[1]
    assert "2 tasks pooled: every item counts alike" in out
    assert "a has scores of 1 of them, so its rows aren't about the same items" in out
    assert "b has scores of" not in out


def test_many_tasks_do_not_fill_the_screen(say: Any) -> None:
    keep(Path("many"), *(made([1, 0] * (10 + i), task=f"t{i:02d}") for i in range(30)))
    out = say("many")[1]
    assert "(10 more lines like these; --json holds everything)" in out
    assert "t29, acc .50" in out


def test_ids_of_a_table_say_its_clusters(say: Any) -> None:
    pl.DataFrame({"item": [f"q{i}-p{j}" for i in range(30) for j in range(4)], "score": [1, 0, 0] * 40}).write_csv(
        "t.csv"
    )
    out = say("t.csv")[1]
    assert "score: 120 items in 30 clusters by ids" in out
    assert "these 120 items are 30 groups of 4 by their ids, 'q0-p0' belongs to 'q0': clustered by them" in out
    assert "taken as independent" not in out
    out = say("t.csv", "--cluster", "item")[1]
    assert "clusters by ids" not in out
    assert "taken as independent" in out


def test_pooled_tasks_are_compared_item_by_item(rows: Any) -> None:
    x = {(task, model): draws(i, 50) for i, (task, model) in enumerate((t, m) for t in ("s", "t") for m in ("a", "b"))}
    logs = [made(values, task=task, model=model) for (task, model), values in x.items()]
    row = rows(logs, "--by", "metric", "--compare", "a", "b")["rows"][0]
    differences = np.concatenate([np.subtract(x[task, "a"], x[task, "b"]) for task in ("s", "t")])
    assert row["difference"]["value"] == pytest.approx(differences.mean())
    interval = paired.tango(int((differences > 0).sum()), int((differences < 0).sum()), 100)
    assert row["difference"]["low"] == pytest.approx(interval.low)


# --- judges, the tool's own numbers ----------------------------------------------------------------------


def test_a_judge_is_marked_and_nothing_is_claimed_of_it_alone(say: Any) -> None:
    for model, seed in (("a", 1), ("b", 2)):
        keep(
            Path(model),
            made({"grader": draws(seed, 200, 0.2 if model == "a" else 0.8)}, judges=["grader"], model=model),
        )
    code, out, _ = say("a", "b", "--compare", "a", "b", "--claim", "below 0")
    assert code == 3
    assert "sums, grader (judge)" in out
    assert "can't tell" in out
    assert "not better, worse or equivalent: no bounds: the scores are a judge's alone" in out
    assert "next: label a random sample by hand" in out
    assert out.count("scored by a judge, whose own error is not in this interval") == 1
    assert "UNDECIDED sums, grader (judge), a minus b" in out


def test_the_tools_numbers_stand_beside_ours_with_the_reason(rows: Any, say: Any) -> None:
    generator = np.random.default_rng(3)
    x = (generator.random((100, 3)) < 0.5).astype(float)
    x[:12, 1] = np.nan
    scored: Floats = x[~np.isnan(x)]
    by_item: Floats = np.nanmean(x, axis=1)
    reasons = {
        by_item[12:].mean().item(): "it leaves out 12 unscored answers",
        by_item.mean().item(): "it takes an item's mean over the epochs that were scored",
        float(np.nan_to_num(x).mean()): "it counts 12 unscored answers as 0",
        scored.mean().item(): "every answer counts alike in it",
        0.123: "the log doesn't say why",
    }
    for value, why in reasons.items():
        (said,) = rows([made({"acc": x}, stated=[Stated("acc", "accuracy", value)])])["rows"][0]["stated"]
        assert said["why"].startswith(why)
    (said,) = rows([made({"acc": x}, stated=[Stated("acc", "mean", 0.9, reducer="max")])])["rows"][0]["stated"]
    assert "item's max over its epochs" in said["why"]
    out = say(str(keep(Path("one"), made({"acc": x}, stated=[Stated("acc", "accuracy", 0.123)]))))[1]
    assert "sums, acc, m: maker 1 says .12: the log doesn't say why" in out


def test_the_tools_standard_error_and_what_it_leaves_out(rows: Any, say: Any) -> None:
    bare, x = paraphrases(2)
    error = float(x.std(ddof=1) / np.sqrt(240))
    stated = [Stated("acc", "accuracy", float(x.mean())), Stated("acc", "stderr", error)]
    log, _ = paraphrases(2, stated=stated)
    mean, spread = rows([log])["rows"][0]["stated"]
    assert (mean["why"], mean["ours"]) == ("", pytest.approx(x.mean()))
    assert (spread["low"], spread["high"]) == pytest.approx((x.mean() - 1.959964 * error, x.mean() + 1.959964 * error))
    assert "here they are in 60 clusters by question_id" in spread["why"]
    assert "maker 1's stderr makes [" in say(str(keep(Path("one"), log)))[1]
    right = clustered.standard_error(clustered.aggregate(x, np.repeat(np.arange(60), 4)))
    clustered_too, _ = paraphrases(2, stated=[stated[0], Stated("acc", "stderr", float(right))])
    assert "independent" not in rows([clustered_too])["rows"][0]["stated"][1]["why"]
    assert bare.stated == ()


# --- the command -----------------------------------------------------------------------------------------


def test_losses_are_said_and_all_of_them_are_in_the_record(say: Any, folder: Path) -> None:
    keep(Path("logs/good"), made(draws(1, 30)))
    for number in range(7):
        Path(f"logs/bad{number}.eval").write_bytes(b"half")
    code, out, _ = say("logs")
    assert code == 0
    assert out.count("lost: logs/bad") == 5
    assert "lost: 2 more, all of them in --json" in out


def test_a_log_without_scores_is_an_error(say: Any) -> None:
    log = made([1.0])
    keep(Path("none"), without(log, "q0"))
    code, _, err = say("none")
    assert (code, "the logs hold no scores" in err) == (2, True)


def test_hostile_names_can_only_be_read(say: Any) -> None:
    keep(Path("one"), made([1, 0] * 10, model="\x1b[31mred", task="a\nb", strata=["\u202ex"] * 20))
    out = say("one", "--by", "task,metric,stratum")[1]
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[31mred" in out


@pytest.mark.parametrize("by", ["", "tasks", "task,metrik"])
def test_a_word_of_by_that_nobody_knows(say: Any, by: str) -> None:
    keep(Path("one"), made([1, 0] * 10))
    code, _, err = say("one", "--by", by)
    assert (code, "unknown word of --by" in err, "metric, stratum, task" in err) == (2, True, True)


def test_no_torch_is_imported(folder: Path) -> None:
    keep(Path("one"), made([1, 0] * 10))
    code = (
        "import sys; from trialist.cli.app import start; code = start(['estimate', 'one']);"
        "bad = {'torch', 'transformers', 'inspect_ai', 'lm_eval', 'pandas'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_guide_runs_as_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_runs(Path("runs"))
    page = (Path(__file__).parents[2] / "docs/logs/README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ trialist estimate ([^\n]*)\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    for line, screen in shown:
        assert start(["estimate", *shlex.split(line)]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert [row.rstrip() for row in said.out.splitlines()] == screen.splitlines()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})  # noqa: S102 - our own page
