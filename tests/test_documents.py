"""What README and the pages show runs as it is written there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from trialist.deployment.policy import Policy
from trialist.trial.spec import Trial

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.torch
def test_readme_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("README.md", "python")
    exec(code, {})  # noqa: S102 - our own README
    assert capsys.readouterr().out == "rmu recovered 0.0 16.0\n"


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")  # of the two packages
def test_readme_on_runs_that_exist(tmp_path: Path) -> None:
    """The screens as shown, whatever machine: answers of a network may differ by an item on another one."""
    pytest.importorskip("inspect_ai")
    pytest.importorskip("lm_eval")
    (block,) = (text for text in blocks("README.md", "text") if "two_runs" in text)
    first, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    program = [sys.executable, str(ROOT / first.split()[1])]
    subprocess.run(program, capture_output=True, check=True, cwd=tmp_path, env={**os.environ, "TRIALIST_CACHE": "off"})
    assert len(commands) == 2
    for command in commands:
        line, _, shown = command.partition("\n")
        found = subprocess.run(
            [sys.executable, "-m", *shlex.split(line)], capture_output=True, text=True, check=True, cwd=tmp_path,
            env={**os.environ, "COLUMNS": "132"},
        ).stdout  # fmt: skip
        rows = [row.rstrip() for row in found.splitlines()]
        assert [_masked(row) for row in rows] == [_masked(row) for row in shown.splitlines()]
        pairs = zip(_numbers(rows[1]), _numbers(shown.splitlines()[1]), strict=True)
        assert all(abs(one - other) < 0.05 for one, other in pairs), rows[1]


def _masked(row: str) -> str:
    """Numbers and the room around them left out; names keep theirs."""
    return re.sub(r"[\s±+-]*(?<![\w.])\d*\.\d+", " #", re.sub(r" +", " ", row))


def _numbers(row: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?(?<!\w)\d*\.\d+", row)]


@pytest.mark.torch
def test_the_page_of_local_models() -> None:
    (code,) = blocks("docs/local-models.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    replies = names["replies"]
    assert replies["options"].greedy == (True, False)
    assert len(replies["samples"].samples) == 3
    assert replies["inside"].activations[0].shape == (1, 128)


@pytest.mark.torch
def test_the_example_of_local_models() -> None:
    found = subprocess.run(
        [sys.executable, ROOT / "examples/ask_a_model.py"], capture_output=True, text=True, check=True
    )
    lines = found.stdout.splitlines()
    assert lines[0].endswith("the most likely text")
    assert len(lines) == 6


def test_the_example_of_measuring(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, ROOT / "examples/measure_scores.py"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    lines = found.stdout.splitlines()
    assert lines[1] == "PASS after 70 answers; checks: ok"
    assert "with gold labels" in lines[3]
    command = lines[0].split()
    table = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert "tuned minus base" in table


@pytest.mark.torch
def test_the_scoring_benchmark_prints_its_rows() -> None:
    options = ["--random", "tiny", "--items", ".02", "--threads", "1", "--batches", "16", "--json"]
    program = [sys.executable, ROOT / "benchmarks/scoring.py", *options]
    found = subprocess.run(program, capture_output=True, text=True, check=True)
    # How many rows are about bf16 depends on the processor.
    rows = [row for row in json.loads(found.stdout.splitlines()[-1])["rows"] if not row["name"].startswith("bf16")]
    assert len(rows) == 7
    for row in rows[:4]:
        assert float(row["note"].split()[2].rstrip(";")) < 1e-4, row


def test_readme_as_a_spec(tmp_path: Path) -> None:
    (text,) = blocks("README.md", "yaml")
    (tmp_path / "my_trial.yaml").write_text(text)
    assert Trial.load(tmp_path / "my_trial.yaml").outcomes["bias, ambiguous contexts"].by == "stratum"


def test_pages_of_spec_and_policy(tmp_path: Path) -> None:
    (policy,) = blocks("docs/policy.md", "yaml")
    (tmp_path / "policy.yaml").write_text(policy)
    assert len(Policy.load(tmp_path / "policy.yaml").claims) == 2
    for text in blocks("docs/logs/gate.md", "yaml")[:2]:
        (tmp_path / "policy.yaml").write_text(text)
        assert len(text.splitlines()) <= 5
        assert len(Policy.load(tmp_path / "policy.yaml").claims) == 1
    (spec,) = blocks("docs/spec.md", "yaml")
    data = yaml.safe_load(spec)
    assert data.pop("schema") == "trialist/trial/1"
    data.pop("policy")
    assert TypeAdapter(Trial).validate_python(data).arms["rmu"].replicates == 1


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
