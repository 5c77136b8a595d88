"""gate, report and rescore on logs, as a person and a CI server meet them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from answered_logs import Row, item, log

from trialist.cli.app import start
from trialist.logs import kept
from trialist.logs.log import Log
from trialist.models.protocol import Choose, Failure, Keyed, Reply, Request
from trialist.models.scripted import from_function

Said = tuple[int, str, str]
Command = Callable[..., Said]

POLICY = """\
schema: trialist/policy/1
claims:
  - {task: capitals, metric: match, above: .6}
"""


@pytest.fixture
def trialist(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def command(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = start([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def made(model: str, right: int, num: int = 100) -> Log:
    rows: list[Row] = [
        (item(i, target=f"Town {i}"), f"It is Town {i if i % 2 else i + 1}.", float(i < right)) for i in range(num)
    ]
    return log(rows, model=model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models on a hundred items, 60 and 90 of them right."""
    kept.write([made("old", 60)], tmp_path / "old")
    kept.write([made("new", 90)], tmp_path / "new")
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


# --- gate ----------------------------------------------------------------------------------------------------


def test_a_policy_of_one_claim_gates_a_log(trialist: Command, folder: Path):
    assert len(POLICY.splitlines()) <= 5
    for run, code, verdict in (("new", 0, "PROMOTE"), ("old", 3, "HOLD")):
        done, out, _ = trialist("gate", "policy.yaml", run)
        assert done == code
        assert verdict in out
        assert "match of capitals is above .60" in out
        assert "no trial registered it" in out
    blocking = folder / "block.yml"
    blocking.write_text(POLICY.replace("above: .6", "above: .95, on_fail: block"))
    assert trialist("gate", blocking, "new")[0] == 4


def test_the_old_way_is_gone(trialist: Command):
    code, _, err = trialist("gate", "new", "--policy", "policy.yaml")
    assert code == 2
    assert "--policy" in err


def test_a_wrong_policy_is_an_error_with_lines(trialist: Command, folder: Path):
    (folder / "open.yaml").write_text(POLICY.replace("task: capitals, metric: match, ", ""))
    code, _, err = trialist("gate", "open.yaml", "old", "new")
    assert code == 2
    assert "line 3" in err
    assert "old, new" in err
    assert trialist("gate", "old")[0] == 2  # logs without a policy
    assert trialist("gate", "policy.yaml")[0] == 2  # a policy without logs
    assert trialist("gate", "policy.yaml", "nowhere")[0] == 2


def test_github_gets_annotations_and_no_command_of_a_log(
    trialist: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    name = "%0A::error::100%"
    (folder / "two.yaml").write_text(POLICY + f'  - {{name: "{name}", above: .95, on_fail: block}}\n')
    assert "::" not in trialist("gate", "two.yaml", "new")[1].replace(name, "")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, out, _ = trialist("gate", "two.yaml", "new")
    token = re.findall(r"^::stop-commands::(\w+)$", out, re.MULTILINE)
    assert len(token) == 1
    before, after = out.split(f"::{token[0]}::\n")
    assert "FAIL" in before
    assert name in before  # while no commands are read
    assert [line.split(" ")[0] for line in after.splitlines()] == ["::error", "::error", "::notice"]
    assert "file=two.yaml,line=4,title=FAIL%3A %250A%3A%3Aerror%3A%3A100%25" in after
    assert trialist("gate", "two.yaml", "new", "--no-github")[1].count("::stop-commands") == 0
    _, out, err = trialist("gate", "two.yaml", "new", "--json")
    assert json.loads(out)["exit_code"] == 4
    assert len(re.findall("^::error", err, re.MULTILINE)) == 2


def test_a_junit_file_and_json(trialist: Command, folder: Path):
    code, out, _ = trialist("gate", "policy.yaml", "old", "--junit", "out.xml", "--json")
    found = json.loads(out)
    assert (code, found["verdict"], found["exit_code"]) == (3, "HOLD", 3)
    root = ET.parse(folder / "out.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties["policy sha256"] == found["about"]["policy sha256"]
    (failure,) = root.iter("failure")
    assert failure.get("type") == "UNDECIDED"


# --- report --------------------------------------------------------------------------------------------------


def test_a_report_of_two_models(trialist: Command, folder: Path):
    assert trialist("report", "new", "old")[:2] == (0, "trialist-report.html\n")
    page = (folder / "trialist-report.html").read_text()
    assert "capitals: new against old" in page
    assert "new and old on 100 pairs: 30 right and wrong, 70 alike." in page
    code, out, _ = trialist("report", "new", "old", "--compare", "old", "new", "--out", "other.html", "--json")
    assert (code, json.loads(out)) == (0, {"report": "other.html"})
    assert "30 wrong and right" in (folder / "other.html").read_text()
    assert trialist("report", "new", "--out", "one.html")[0] == 0
    assert "Differences" not in (folder / "one.html").read_text()


# --- rescore -------------------------------------------------------------------------------------------------


def test_rescoring_keeps_both_scores(trialist: Command, folder: Path):
    code, out, _ = trialist("rescore", "new", "--scorer", "match", "--out", "again")
    assert code == 0
    assert "capitals · new: 100 of 100 answers scored by match (rescored)" in out
    assert "the same in 50 of 100 scored by both, .50" in out
    assert "look at q0, epoch 0: 1 -> 0" in out
    (found,) = kept.read(folder / "again")
    assert found.scores["measure"].unique(maintain_order=True).to_list() == ["match", "match (rescored)"]
    assert trialist("gate", "policy.yaml", "again")[0] == 0
    code, _, err = trialist("rescore", "new", "--scorer", "match", "--out", "again")
    assert code == 2
    assert "something in the folder" in err


def verdict(request: Keyed[Request]) -> Reply | Failure:
    assert isinstance(request.value, Choose)
    target = request.value.prompt.split("Right answer:\n")[1].split("\n")[0]
    right = f"It is {target}." in request.value.prompt
    return Reply(logprobs=(-0.1, -3.0) if right else (-3.0, -0.1))


def judge():
    return from_function("a judge", verdict)


def test_a_judge_rescores(trialist: Command, folder: Path):
    name = f"{__name__}:judge"
    code, out, _ = trialist("rescore", "new", "old", "--judge", name, "--out", "judged", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["measure"], found["scorer"], found["scorer_kind"]) == ("judge", name, "judge")
    assert [(row["model"], row["same"], row["both"]) for row in found["agreements"]] == [
        ("new", 50, 100),
        ("old", 50, 100),
    ]
    assert not list(folder.glob("*judge.jsonl")) + list(folder.glob(".*.lock"))
    (folder / "judged.yaml").write_text(POLICY.replace("metric: match", "metric: judge, arm: new"))
    code, out, _ = trialist("gate", "judged.yaml", "judged")
    assert code == 3
    assert "judge's alone" in out


def test_one_scorer_and_no_more(trialist: Command, folder: Path):
    (folder / "template.txt").write_text("{rubric}")
    wrong = (
        [], ["--scorer", "match", "--judge", "scripted/first"], ["--scorer", "nonsense"], ["--scorer", "a.b:c"],
        ["--scorer", "match", "--template", "template.txt"], ["--scorer", "match", "--group", "1"],
        ["--judge", "scripted/first", "--template", "template.txt"], ["--judge", "scripted/nobody"],
    )  # fmt: skip
    for options in wrong:
        code, out, err = trialist("rescore", "new", *options, "--out", "x")
        assert (code, out) == (2, ""), options
        assert "error:" in err
    assert not (folder / "x").exists()
