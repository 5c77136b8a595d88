"""``trialist power`` as a person and as a script meets it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from trialist.cli.app import start
from trialist.measurement.planning.exact import claim_at

CLAIM = ["power", "--claim", "below .01", "--true", ".003", "--n", "300", "--power", ".9"]
COMPARISON = ["power", "--difference", ".03", "--discordant", ".1"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert start(list(arguments)) == code
    found = capsys.readouterr()
    assert (found.err if code == 0 else found.out) == ""
    return found.out if code == 0 else found.err


def test_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, *CLAIM)
    assert out.startswith("With 300 items the claim 'below .01' passes with no event against it.\n")
    rows = dict(re.findall(r"^(\w[\w %]*?)   +(.+)$", out, re.MULTILINE))
    assert rows["power"] == ".41"
    assert rows["needed for 90 %"] == "1,312"
    assert "\x1b" not in out
    assert all(len(line) <= 120 for line in out.splitlines())


def test_a_clustered_comparison_with_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--clusters", "60", "--cluster-size", "5", "--icc", ".3", "--epochs", "4", "--epoch-share", ".4"]
    out = said(capsys, *COMPARISON, *more)
    assert "With 300 items (60 clusters of 5), of which .1 differ, you could have seen a difference of" in out
    assert re.search(r"^needed for 80 % +[\d,]+ in [\d,]+ clusters$", out, re.MULTILINE)


def test_what_a_comparison_could_have_seen(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "power", "--compare", "--discordant", ".1", "--items", "260")
    assert "you could have seen a difference of .0539" in out
    assert "needed" not in out


def test_the_text_plot_is_the_curve(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, *COMPARISON, "--items", "260")
    lines = [line[7:] for line in out.splitlines() if line[6:7] == "│"]
    assert len(lines) == 12
    assert max(map(len, lines)) <= 60
    first = [
        next((row for row, line in enumerate(lines) if line[column : column + 1] == "•"), None) for column in range(60)
    ]
    heights = [row for row in first if row is not None]
    assert len(heights) > 40
    assert heights == sorted(heights, reverse=True), "power rises to the right"
    assert (heights[0], heights[-1]) == (11, 1)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(said(capsys, *CLAIM, "--json"))
    assert row["power"] == pytest.approx(claim_at(0.003, 300, threshold=0.01).power)
    assert row["needed_items"] == 1312
    assert row["question"]["threshold"] == 0.01
    assert len(row["curve"]) > 100
    assert row["words"][0].startswith("With 300 items")


def test_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing, page = tmp_path / "power.svg", tmp_path / "power.html"
    assert f"plot  {drawing}" in said(capsys, *CLAIM, "--plot", str(drawing))
    root = ET.fromstring(drawing.read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawing.read_text()
    labels = {node.text for node in root.iter() if node.tag.endswith("text")}
    assert {"items", "power", "300", "wanted .9"} <= labels
    said(capsys, *CLAIM, "--plot", str(page))
    text = page.read_text()
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "1,312" in text
    before = drawing.read_bytes()
    said(capsys, *CLAIM, "--plot", str(drawing))
    assert drawing.read_bytes() == before, "same bytes each time"


def test_a_simulated_claim_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--claim", "below .3", "--true", ".1", "--clusters", "30", "--cluster-size", "4", "--icc", ".2"]
    first = said(capsys, "power", *options, "--repetitions", "50", "--json")
    assert said(capsys, "power", *options, "--repetitions", "50", "--json") == first
    assert json.loads(first)["error"] > 0
    text = said(capsys, "power", *options, "--repetitions", "50", "--seed", "1")
    assert "± ." in text
    assert "seed 1" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what is to be shown"),
        (["--claim", "below .1", "--difference", ".1"], "say what is to be shown"),
        (["--claim", "under .1"], "a side and a threshold"),
        (["--claim", "below 1.2.3"], "a side and a threshold"),
        (["--claim", "below 2", "--true", ".1"], "seen     2.0"),
        (["--claim", "below .01", "--true", ".02"], "seen     true value 0.02"),
        (["--claim", "below .01", "--true", "-1"], "outside its range"),
        (["--claim", "below .01", "--true", ".003", "--power", "1"], "no finite sample has power 1"),
        (["--claim", "below .01", "--n", "-3"], "seen     -3"),
        (["--claim", "below .01", "--n", "20"], "299 items or more"),
        (["--difference", ".03", "--n", "30"], "no discordant share"),
        (["--difference", ".03", "--discordant", ".01"], "larger than the share"),
        (["--difference", ".03", "--discordant", ".1", "--clusters", "60", "--icc", ".3"], "how large they are"),
        (["--difference", ".03", "--discordant", ".1", "--sd", ".3"], "binary or graded"),
        (["--difference", ".03", "--discordant", ".1", "--true", ".3"], "--true belongs to a claim"),
        (["--difference", ".03", "--discordant", ".1", "--low", "0"], "range belongs to graded"),
        (["--claim", "below .1", "--true", ".01", "--plot", "a.png"], "FILE.html or FILE.svg"),
        (["--claim", "below .1", "--true", ".01", "--plot", "none/a.svg"], "can't write"),
        (["--claim", "below .1", "--true", "much"], "error"),
    ],
)
def test_a_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    err = said(capsys, "power", *arguments, code=2)
    assert err.startswith("error: ")
    assert says in err
    assert list(tmp_path.iterdir()) == []
