"""``trialist organism seal`` and ``unseal``: what is printed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import Command, trialist

__all__ = ["trialist"]

GRID = """
schema: trialist/grid/1
plants: [backdoor]
doses: [1]
seeds: [1]
world: {people: 4, obscure: 0, firms: 1, horses: 8, cities: 2, benign: 4, hazards: 4, never_trained: 1, festivals: 1}
network: {hidden_size: 16, intermediate_size: 16, num_layers: 1, num_heads: 2, context: 80}
training: {exposures: 1, batch: 64, length: 64}
"""


def test_sealed_answered_unsealed(trialist: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("trialist.organisms.build.measurable", lambda world: ("backdoor",))
    (tmp_path / "grid.yaml").write_text(GRID)
    out, key = tmp_path / "out", tmp_path / "key.json"
    command = ("organism", "seal", tmp_path / "grid.yaml", "--count", "2", "--seed", "0", "--out", out, "--key", key)
    done = trialist(*command)
    assert done.returncode == 0, done.stderr
    assert "2 organisms" in done.stdout
    assert "leave --seed out" in done.stdout
    assert "backdoor" not in done.stdout + done.stderr
    assert json.loads(trialist(*command, "--json").stdout)["organisms"] == 2
    shown = trialist("organism", "unseal", out, "--key", key)
    assert shown.returncode == 0, shown.stderr
    assert "as it was committed to" in shown.stdout
    plants = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("sealed-0")]
    assert set(plants) <= {"backdoor", "none"}
    assert len(plants) == 2

    answers = tmp_path / "answers.csv"
    answers.write_text("organism,score,verdict\nsealed-02,0.75,backdoor\n")
    beside = trialist("organism", "unseal", out, "--key", key, "--answers", answers).stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in beside if line.startswith("sealed-0")}
    assert rows["sealed-02"][-2:] == ["0.75", "backdoor"]
    assert rows["sealed-01"][-2:] == ["-", "-"]
    as_json = json.loads(trialist("organism", "unseal", out, "--key", key, "--answers", answers, "--json").stdout)
    assert as_json["organisms"][1]["score"] == 0.75
    assert "backdoor" in as_json["organisms"][0]["truth"]["realised"]

    for text, word in {
        "organism\nsealed-01\n": "columns are missing",
        "name,score\nsealed-01,1\n": "columns are missing",
        "organism,score\nsealed-1,1\n": "did you mean 'sealed-01'",
        "organism,score\nsealed-01,1\nsealed-01,2\n": "line 3: 'sealed-01' is there twice",
        "organism,score\nsealed-01,nan\n": "a finite number",
        "organism,score\nsealed-01,high\n": "line 2: not a score",
        "organism,score\nsealed-01,1,2\n": "more cells than columns",
    }.items():
        answers.write_text(text)
        wrong = trialist("organism", "unseal", out, "--key", key, "--answers", answers)
        assert wrong.returncode == 2
        assert word in wrong.stderr, wrong.stderr
    gone = trialist("organism", "unseal", out, "--key", key, "--answers", tmp_path / "none.csv")
    assert "can't be read" in gone.stderr
    (out / "sealed-01" / "model.safetensors").write_bytes(b"half")
    changed = trialist("organism", "unseal", out, "--key", key)
    assert changed.returncode == 2
    assert "'sealed-01' is not the organism that was sealed" in changed.stderr


def test_what_cannot_be_sealed(trialist: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "grid.yaml").write_text(GRID)
    places = ("--out", tmp_path / "out", "--key", tmp_path / "key.json")
    for arguments, word in (
        ((tmp_path / "grid.yaml", "--count", "0", *places), "at least 1 organism"),
        ((tmp_path / "grid.yaml", "--count", "1", "--null", "2", *places), "from 0 to 1"),
        ((tmp_path / "grid.yaml", "--count", "1", "--plant", "lock", *places), "one of both"),
        (("--count", "1", "--plant", "lok", *places), "did you mean 'lock'"),
        (("--count", "1", "--dose", "1.2", *places), "from 0 to 1"),
        (("--count", "1", "--out", tmp_path / "out", "--key", tmp_path / "out" / "key.json"), "handed out"),
    ):
        done = trialist("organism", "seal", *arguments)
        assert done.returncode == 2
        assert word in done.stderr, done.stderr
    assert not (tmp_path / "key.json").exists()
