"""report, gate and rescore on logs that the real packages wrote."""

from __future__ import annotations

import json
from pathlib import Path

import inspect_made
import polars as pl
import pytest

from trialist.cli.app import start
from trialist.logs import kept
from trialist.logs.collect import collect


def both(folder: Path, old: str, new: str) -> pl.DataFrame:
    """Old and new value of each answer."""
    (log,) = kept.read(folder)
    one, other = (log.scores.filter(pl.col("measure") == name) for name in (old, new))
    return one.join(other, on=["item", "epoch"], suffix="_new", maintain_order="left")


def rescored(name: str, scorer: str, folder: Path) -> int:
    return start(["rescore", str(inspect_made.stored(name)), "--scorer", scorer, "--out", str(folder)])


def test_our_match_gives_the_scores_of_inspects(tmp_path: Path):
    assert (
        start(["rescore", str(inspect_made.stored("several")), "--scorer", "match", "--out", str(tmp_path / "m")]) == 0
    )
    found = both(tmp_path / "m", "match", "match (rescored)")
    assert len(found) == 21
    assert found["value"].to_list() == found["value_new"].to_list()
    assert 0 < found["value"].sum() < 21


def test_letters_are_read_as_inspects_choice_reads_them(tmp_path: Path):
    assert (
        start(["rescore", str(inspect_made.stored("options")), "--scorer", "letter", "--out", str(tmp_path / "l")]) == 0
    )
    found = both(tmp_path / "l", "choice", "letter").filter(pl.col("item") != "q0")  # two right letters
    assert len(found) == 8
    assert found["value"].to_list() == found["value_new"].to_list()


@pytest.mark.parametrize("name", ["several", "troubles", "agents", "stopped", "reducers"])
def test_a_report_counts_every_sample(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = inspect_made.stored(name)
    page = tmp_path / "page.html"
    assert start(["report", str(path), "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(page)}
    text = page.read_text()
    (log,) = collect([path], full=True).logs
    for item in log.items["id"].to_list():
        assert f'<div class="note">{item}' in text


def test_a_gate_on_a_log_full_of_troubles_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "policy.yaml").write_text("schema: trialist/policy/1\nclaims: [{metric: match, above: .9}]\n")
    code = start(["gate", str(tmp_path / "policy.yaml"), str(inspect_made.stored("troubles"))])
    out = capsys.readouterr().out
    assert code in (3, 4)
    assert "are missing" in out
