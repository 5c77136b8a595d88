"""``trialist lm-eval``: the harness's own command line, in this process."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_models import write_model

from trialist.cli.app import start

pytestmark = pytest.mark.torch
pytest.importorskip("lm_eval")


@pytest.fixture
def clean_harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The harness's command line sets up its log and the environment; afterwards both are as before. It leaves out what
    takes its time: the index of the thousands of tasks that it ships, and the description of the machine."""
    from lm_eval import evaluator, utils
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(TaskManager, "__init__", partialmethod(TaskManager.__init__, include_defaults=False))
    monkeypatch.setattr(evaluator, "add_env_info", lambda storage: None)
    logger = logging.getLogger("lm_eval")
    before = (list(logger.handlers), logger.level, logger.propagate, utils._LOGGING_CONFIGURED)
    environment = dict(os.environ)
    yield
    logger.handlers, logger.propagate, utils._LOGGING_CONFIGURED = before[0], before[2], before[3]
    logger.setLevel(before[1])
    os.environ.clear()
    os.environ.update(environment)


def write_task(folder: Path) -> Path:
    rows = [{"text": f"The band {i} is", "options": [" the abbey", " an island"], "gold": i % 2} for i in range(6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")}
    task = {
        "task": "tiny_command",
        "dataset_path": "json",
        "dataset_kwargs": data,
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "gold",
        "target_delimiter": "",
    }
    (folder / "tiny_command.yaml").write_text(yaml.safe_dump(task))
    return folder


def command(model: str, folder: Path, tasks: Path, out: Path, extra: str = "") -> int:
    given = ["--model", model, "--model_args", f"pretrained={folder},dtype=float32{extra}", "--device", "cpu"]
    given += ["--tasks", "tiny_command", "--include_path", str(tasks), "--output_path", str(out), "--log_samples"]
    return start(["lm-eval", *given])


def results(out: Path) -> dict[str, Any]:
    (file,) = out.rglob("results_*.json")
    return json.loads(file.read_text())


def samples(out: Path) -> list[Any]:
    (file,) = out.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [answer for row in sorted(rows, key=lambda row: row["doc_id"]) for answer in row["filtered_resps"]]


@pytest.mark.usefixtures("clean_harness")
def test_a_task_runs_on_our_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, tasks = write_model(tmp_path / "model", adds_bos=True), write_task(tmp_path)
    before = list(sys.argv)
    assert command("trialist", folder, tasks, tmp_path / "ours") == 0
    assert sys.argv == before
    assert "tiny_command" in capsys.readouterr().out
    assert command("hf", folder, tasks, tmp_path / "theirs") == 0
    mine, its = results(tmp_path / "ours"), results(tmp_path / "theirs")
    assert mine["config"]["model"] == "trialist"
    assert mine["config"]["model_digest"]
    assert mine["results"]["tiny_command"]["acc,none"] == its["results"]["tiny_command"]["acc,none"]
    for a, b in zip(samples(tmp_path / "ours"), samples(tmp_path / "theirs"), strict=True):
        assert float(a[0]) == pytest.approx(float(b[0]), abs=1e-4)
        assert a[1] == b[1]


@pytest.mark.usefixtures("clean_harness")
def test_a_wrong_model_argument_is_a_users_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("trialist", tmp_path, write_task(tmp_path), tmp_path / "out", ",max_lenght=5") == 2
    error = capsys.readouterr().err
    assert "error: unknown model argument" in error
    assert "did you mean 'max_length'?" in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("clean_harness")
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_is_the_harness_own(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["lm-eval", *arguments]) == 0
    assert "usage: lm-eval" in capsys.readouterr().out


@pytest.mark.usefixtures("clean_harness")
def test_arguments_and_exit_code_are_the_harness_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trialist.models.harness import _outside

    assert start(["lm-eval", "run", "--never", "heard"]) == 2
    assert "unrecognized arguments: --never heard" in capsys.readouterr().err
    seen: list[list[str]] = []

    def record() -> None:
        seen.append(list(sys.argv[1:]))
        sys.exit("stopped")

    monkeypatch.setattr(_outside, "cli_evaluate", record)
    given = ["run", "-M", "trialist", "--limit=3", "-s", "--json", "--tasks", "a", "b", "--quiet", "--version"]
    for arguments in (given, given[1:]):
        assert start(["lm-eval", *arguments]) == 1
        assert seen.pop() == arguments
        assert "stopped" in capsys.readouterr().err

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_outside, "cli_evaluate", interrupt)
    with pytest.raises(SystemExit) as stopped:
        start(["lm-eval", *given])
    assert stopped.value.code == 130
    assert "--use_cache" in capsys.readouterr().err
