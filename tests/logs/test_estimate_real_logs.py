"""``trialist estimate`` on logs that Inspect and lm-evaluation-harness wrote: every sample counted, their means
reproduced, two runs compared item by item."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trialist.cli.app import start
from trialist.cli.estimate import Question, answer
from trialist.cli.estimate_stated import UNKNOWN
from trialist.logs.collect import collect

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages that write the logs

inspect_made: Any = pytest.importorskip("inspect_made", exc_type=ImportError)
lm_eval_made: Any = pytest.importorskip("lm_eval_made", exc_type=ImportError)
WORDINGS = ("What is the colour of thing {}?", "Name the colour of thing {}", "Thing {} has which colour?")


def draw(*parts: object) -> float:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@pytest.mark.parametrize("name", ["options", "several", "mean", "troubles", "agents", "stopped", "scored-errors"])
def test_every_sample_of_an_inspect_log_is_counted_and_its_means_come_out(name: str) -> None:
    path = inspect_made.stored(name)
    (log,) = collect([path]).logs
    found = answer([path], Question())
    items, rows = len(log.items), log.source.num_samples
    for row in found.rows:
        (one,) = row.arms
        assert one.counts.attempted == items
        assert row.num_answers == {one.cell.arm: rows}
        assert sum(row.missing.get(one.cell.arm, {}).values()) == sum(
            log.scores.filter(log.scores["measure"] == row.measure)["value"].is_null()
        )
        for said in row.stated:
            assert said.why != UNKNOWN
            if said.ours is not None and (not said.why or "leaves out" in said.why):
                assert said.value == pytest.approx(said.ours, rel=1e-12)
    assert any(row.stated for row in found.rows) or name == "stopped"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from inspect_ai import Epochs, Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import includes
    from inspect_ai.solver import generate

    place, words = tmp_path_factory.mktemp("runs"), inspect_made.WORDS
    samples = [
        Sample(id=f"{i}-{j}", input=text.format(i), target=words[i % 4], metadata={"question_id": f"q{i}"})
        for i in range(12)
        for j, text in enumerate(WORDINGS)
    ]
    for name, rate, epochs in (("small", 0.4, 1), ("large", 0.8, 2)):

        def reply(text: str, name: str = name, rate: float = rate) -> str:
            number = inspect_made.numbered(text)
            if draw("broken", name, text) < 0.06:
                raise RuntimeError("the model broke")
            return words[number % 4] if 0.8 * draw(number) + 0.2 * draw(name, text) < rate else "no idea"

        task = Task(
            dataset=MemoryDataset(samples, name="colours"), solver=generate(), scorer=includes(), name="colours",
            epochs=Epochs(epochs),
        )  # fmt: skip
        model = inspect_made.scripted(reply, f"mockllm/{name}")
        inspect_made.run(task, place / "inspect" / name, reply, model=model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISABLE_MULTIPROC", "1")
        tasks = lm_eval_made.write_tasks(place / "tasks")
        for seed in "ab":
            out = place / "harness" / seed
            lm_eval_made.run(tasks, out, ["made_choices", "made_sums"], seed=seed, model=f"org/{seed}")
        yield place


def test_two_inspect_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(runs / "inspect")
    assert start(["estimate", place, "--compare", "mockllm/large", "mockllm/small", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["clustered_by"] == "question_id"
    assert row["num_answers"] == {"mockllm/small": 36, "mockllm/large": 72}
    assert all(one["counts"]["attempted"] == 36 and one["num_clusters"] == 12 for one in row["estimates"])
    assert row["difference"]["counts"]["attempted"] == found["paired"][0]["num_pairs"] == 36
    assert set().union(*row["missing"].values()) == {"error"}
    assert row["words"] in ("better", "can't tell")
    assert row["detectable"] is not None
    assert all(said["why"] != UNKNOWN for said in row["stated"])
    assert any("2 answers an item in mockllm/large" in note or "epochs 2 and 1" in note for note in found["notes"])


def test_two_harness_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = str(runs / "harness/a"), str(runs / "harness/b")
    assert start(["estimate", one, other, "--compare", one, other, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arms"] == ["org/a", "org/b"]
    assert {row["measure"] for row in found["rows"]} >= {"acc", "acc_norm", "exact_match[strict-match]"}
    for row in found["rows"]:
        size = 20 if row["task"] == "made_choices" else 16
        assert row["difference"]["counts"] == {"attempted": size, "answered": size, "scored": size}
        means = [said for said in row["stated"] if said["ours"] is not None]
        assert len(means) == 2
        assert all(said["why"] == "" for said in means)
    assert all(not one["only_first"] and not one["changed"] for one in found["paired"])


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_in_a_terminal(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from trialist.cli import estimate_screen

    monkeypatch.setattr(estimate_screen, "plain_console", lambda: Console(width=width, highlight=False))
    place = str(runs / "inspect")
    assert start(["estimate", place, "--compare", "mockllm/large", "mockllm/small"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    text = " ".join(" ".join(lines).split())
    for said in ("in 12 clusters by question_id", "you could have seen a difference of", "whatever the missing are"):
        assert said in text
