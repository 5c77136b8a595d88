"""The command line as a person and as a script meets it: exit codes, --json, errors, hostile text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from trialist.cli.app import start

HERE = Path(__file__).parent.parent

SPEC = """
schema: trialist/trial/1
title: Does it add?
arms:
  control: {{model: "toys:good"}}
  poor: {{model: "toys:{model}"}}
outcomes:
  sums: {{evaluation: {{"toys:Sums": {{count: 30}}}}, metric: accuracy, role: primary, want: lower}}
design: {{chunk: 8, threads: 1}}
policy:
  schema: trialist/policy/1
  claims:
    - {{name: low, arm: poor, outcome: sums, side: below, threshold: {threshold}, positive: control, on_fail: block}}
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Command(Protocol):
    def __call__(self, *arguments: str | Path) -> Done: ...


@pytest.fixture
def trialist(capsys: pytest.CaptureFixture[str]) -> Command:
    """One command in this process; what only a process of its own shows is tested with one."""

    def command(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = start([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return command


def spec(folder: Path, *, model: str = "poor", threshold: float = 0.5) -> Path:
    path = folder / "adding.yaml"
    path.write_text(SPEC.format(model=model, threshold=threshold))
    return path


@pytest.mark.parametrize(
    ("model", "threshold", "code", "verdict"),
    [("poor", 0.5, 0, "PROMOTE"), ("poor", 0.15, 3, "HOLD"), ("good", 0.5, 4, "BLOCK")],
)
def test_verdicts_are_exit_codes(
    trialist: Command, tmp_path: Path, model: str, threshold: float, code: int, verdict: str
) -> None:
    path = spec(tmp_path, model=model, threshold=threshold)
    done = trialist("run", path, "--out", tmp_path / "run")
    assert done.returncode == code, done.stdout + done.stderr
    assert verdict in done.stdout
    assert "Does it add?" in done.stderr
    assert str(tmp_path / "run" / "report.html") in done.stdout
    assert "\x1b" not in done.stdout + done.stderr, "no colours in a pipe"
    quiet = trialist("run", path, "--out", tmp_path / "run", "--quiet")
    assert quiet.stdout.strip() == verdict
    assert quiet.returncode == code
    gate = trialist("gate", tmp_path / "run")
    assert gate.returncode == code
    assert "re-derived" in gate.stdout


def test_json_is_one_object_with_stable_names(trialist: Command, tmp_path: Path) -> None:
    done = trialist("run", spec(tmp_path), "--out", tmp_path / "run", "--json")
    row = json.loads(done.stdout)
    assert row["verdict"] == "PROMOTE"
    assert row["exit_code"] == done.returncode == 0
    assert {"folder", "hash", "reason", "claims", "estimates", "recoveries", "report", "reused"} <= row.keys()
    for command in (["list", "evaluations"], ["list", "models"], ["list", "evaluations", "bbq"], ["doctor"]):
        assert json.loads(trialist(*command, "--json").stdout)
    assert json.loads(trialist("gate", tmp_path / "run", "--json").stdout)["verdict"] == "PROMOTE"


def test_another_policy_comes_first_and_never_promotes(trialist: Command, tmp_path: Path) -> None:
    trialist("run", spec(tmp_path), "--out", tmp_path / "run")
    for threshold, code in ((0.6, 3), (0.01, 4)):
        claim = f"{{arm: poor, outcome: sums, below: {threshold}, positive: control, on_fail: block}}"
        (tmp_path / "other.yaml").write_text(f"schema: trialist/policy/1\nclaims: [{claim}]\n")
        gate = trialist("gate", tmp_path / "other.yaml", tmp_path / "run", "--junit", tmp_path / "gate.xml")
        assert gate.returncode == code
        assert "exploratory" in gate.stdout
        assert 'name="policy sha256"' in (tmp_path / "gate.xml").read_text()
    logs = "schema: trialist/policy/1\nclaims: [{task: sums, below: 0.5}]\n"
    (tmp_path / "other.yaml").write_text(logs)
    assert "'task' is for claims about logs" in trialist("gate", tmp_path / "other.yaml", tmp_path / "run").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "none.yaml"], ["none.yaml"]),
        (["run"], ["next"]),
        (["gate", "."], ["none is given"]),
        (["list", "evaluation"], ["did you mean 'evaluations'?"]),
        (["list", "evaluations", "bqq"], ["did you mean 'bbq'?"]),
        (["organism", "build", "hasard"], ["hazard"]),
        (["fly"], ["fly"]),
    ],
)
def test_a_users_error_is_two_lines_and_no_traceback(trialist: Command, arguments: list[str], says: list[str]) -> None:
    done = trialist(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for word in says:
        assert word in done.stderr


def test_a_title_cannot_write_to_the_terminal(trialist: Command, tmp_path: Path) -> None:
    path = spec(tmp_path)
    path.write_text(path.read_text().replace("Does it add?", '"\\e[2J\\e]0;owned\\a \\u202e[red]boo"'))
    done = trialist("run", path, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    assert r"\x1b[2J" in done.stderr
    assert "[red]boo" in done.stderr


def test_interrupted_says_what_is_kept_and_goes_on(trialist: Command, tmp_path: Path) -> None:
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    command = [sys.executable, "-m", "trialist", "run", str(spec(tmp_path)), "--out", str(tmp_path / "run")]
    env = {**os.environ, "PYTHONPATH": path, "TOY_SECONDS": "0.05"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "run" / "answers").glob("part-*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "finished chunks are kept" in err
    again = trialist("run", spec(tmp_path), "--out", tmp_path / "run")
    assert "resumed:" in again.stderr
    assert again.returncode == 0


def test_the_rest_of_the_commands_answer(trialist: Command, tmp_path: Path) -> None:
    assert "hazard_compounds" in trialist("list", "evaluations").stdout
    assert "learning_rate" in trialist("list", "interventions", "rmu").stdout
    assert "form" in trialist("list", "evaluations", "world_facts").stdout
    assert "organism/hazard-oracle" in trialist("list", "models").stdout
    assert "360/360" in trialist("organism", "list").stdout
    assert "honest_mistake" in trialist("organism", "plants").stdout
    shown = trialist("organism", "show", "hazard").stdout
    assert "hazard_facts" in shown
    assert "0.997" in shown
    assert (
        json.loads(trialist("organism", "show", "hazard", "--json").stdout)["truth"]["realised"]["lock"]["value"] < 0.01
    )
    assert "trialist" in trialist("doctor").stdout
    trialist("run", spec(tmp_path), "--out", tmp_path / "run")
    page = str(tmp_path / "page.html")
    assert trialist("report", tmp_path / "run", "--out", page).stdout.strip() == page
    assert trialist("--version").stdout.startswith("trialist ")
    for arguments in ((), ("organism",)):
        done = trialist(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("Usage:")


def test_an_organism_is_built_from_a_spec_file(trialist: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    tiny = {"people": 1, "cities": 1, "benign": 2, "hazards": 2, "never_trained": 1, "festivals": 1}
    network = {"hidden_size": 32, "intermediate_size": 32, "num_layers": 1, "num_heads": 2, "context": 128}
    spec = {"schema": "trialist/organism/3", "world": tiny, "network": network, "training": {"exposures": 5}}
    text = json.dumps(spec)
    (tmp_path / "tiny.yaml").write_text(text)
    row = json.loads(trialist("organism", "build", tmp_path / "tiny.yaml", "--out", tmp_path / "tiny", "--json").stdout)
    assert (tmp_path / "tiny" / "model.safetensors").exists()
    assert row["folder"] == str(tmp_path / "tiny")
    wrong = trialist(
        "organism", "build", tmp_path / "tiny.yaml", "--out", tmp_path / "two", "--plant", "lock", "--dose", "2"
    )
    assert wrong.returncode == 2
    assert "impossible dose of 'lock'" in wrong.stderr
    again = trialist("organism", "build", tmp_path / "tiny.yaml", "--out", tmp_path / "tiny")
    assert again.returncode == 2
    assert "something in the folder" in again.stderr


def test_a_grid_is_built_kept_and_shown(trialist: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("trialist.organisms.build.measurable", lambda world: ("backdoor",))
    tiny = {"people": 4, "obscure": 0, "firms": 1, "horses": 8, "cities": 2, "benign": 4, "hazards": 4}
    network = {"hidden_size": 16, "intermediate_size": 16, "num_layers": 1, "num_heads": 2, "context": 80}
    training = {"exposures": 1, "batch": 64, "length": 64}
    grid = {"schema": "trialist/grid/1", "plants": ["backdoor"], "doses": [0.3], "world": tiny, "network": network}
    (tmp_path / "grid.yaml").write_text(json.dumps({**grid, "training": training}))
    command = ("organism", "grid", tmp_path / "grid.yaml", "--out", tmp_path / "out")
    row = json.loads(trialist(*command, "--json").stdout)
    assert row["exit_code"] == 0
    [cell] = row["rows"]
    assert (cell["id"], cell["status"], cell["plants"]) == ("backdoor@0.3#0", "done", {"backdoor": 0.3})
    again = trialist(*command)
    assert again.returncode == 0
    assert "kept" in again.stdout
    shown = trialist("organism", "show", tmp_path / "out" / cell["folder"]).stdout
    assert "Apache-2.0" in shown
    assert "backdoor" in shown
    (tmp_path / "out" / cell["folder"] / "model.safetensors").write_bytes(b"half")
    broken = trialist("organism", "show", tmp_path / "out" / cell["folder"])
    assert broken.returncode == 2
    assert "build it again" in broken.stderr
    # what can't be built: the others' rows stay, the exit code says it
    monkeypatch.setattr("trialist.organisms.store.build", lambda *a, **k: 1 / 0)
    failed = trialist(*command)
    assert failed.returncode == 3
    assert "ZeroDivisionError" in failed.stdout
    wrong = trialist("organism", "grid", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--device", "abacus")
    assert wrong.returncode == 3


def test_names_with_doses_are_checked_before_anything_is_built(trialist: Command, tmp_path: Path) -> None:
    wrong = trialist("organism", "build", "sycophancy@1.2", "--out", tmp_path / "one")
    assert wrong.returncode == 2
    assert "from 0 to 1" in wrong.stderr
    assert "did you mean 'sycophancy'" in trialist("organism", "build", "sycofancy@1").stderr
    assert "organism/<plant>@<dose>#<seed>" in trialist("list", "models").stdout


def test_version_and_import_load_nothing_heavy() -> None:
    code = "import sys, trialist; from trialist.cli import main; sys.argv = ['trialist', '--version']; main();"
    code += "print([m for m in ('numpy', 'polars', 'typer', 'rich', 'pydantic', 'torch') if m in sys.modules])"
    path = str(HERE.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    version, modules = done.stdout.splitlines()
    assert version.startswith("trialist ")
    assert modules == "[]"


def test_every_public_name_loads_and_is_documented() -> None:
    import trialist as package

    assert len(package.__all__) <= 21
    for name in package.__all__:
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
