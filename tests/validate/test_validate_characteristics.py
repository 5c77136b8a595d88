"""The record, its table, pictures and page; degenerate grids."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from validate_helpers import grid

from trialist.errors import DataError, MeasurementUndefined
from trialist.validate.characteristics import characterise, from_bytes, to_bytes
from trialist.validate.matrix import findings, matrix
from trialist.validate.picture import dose_response, heatmap
from trialist.validate.readings import Reading
from trialist.validate.table import markdown
from trialist.validate.threshold import freeze

PAGE = Path(__file__).resolve().parents[2] / "docs" / "validation.md"


def test_the_twin_comes_first() -> None:
    found = characterise(grid(), "probe", "lie")
    assert [f.rank for f in found.findings][:2] == [0, 2]
    assert found.findings[0].text.startswith("probe cannot tell its plant from its twin")
    assert "probe fires on its twin: 20/20" in [f.text for f in found.findings]
    assert any("1 unmeasured on theft: timed out" in f.text for f in found.findings)
    assert markdown(found).splitlines()[2].startswith("- probe cannot tell")


def test_a_method_that_can_tell() -> None:
    rows = [replace(r, score=-1.0) if r.role == "twin" else r for r in grid()]
    text = " ".join(f.text for f in characterise(rows, "probe", "lie").findings)
    assert "twin" not in text
    deaf = [replace(r, score=-1.0) if r.role in ("twin", "positive") else r for r in grid()]
    said = [f.text for f in characterise(deaf, "probe", "lie").findings]
    assert said[0].startswith("probe is not shown to tell its plant from its twin")
    assert "probe misses its plant at full dose: 0/20 detected" in said
    wild = [replace(r, score=9.0) if r.role == "other plant" and r.score is not None else r for r in rows]
    assert any(f.text == "probe fires on plant theft: 19/19" for f in characterise(wild, "probe", "lie").findings)


def test_json_round_trip() -> None:
    found = characterise(grid(), "probe", "lie")
    assert from_bytes(to_bytes(found)) == found
    with pytest.raises(DataError):
        from_bytes(b"{}")
    with pytest.raises(DataError, match="another schema"):
        from_bytes(to_bytes(replace(found, schema="x/2")))


def _without(role: str, split: str = "") -> Callable[[list[Reading]], list[Reading]]:
    return lambda rows: [r for r in rows if r.role != role or (split and r.split != split)]


DEGENERATE: dict[str, Callable[[list[Reading]], list[Reading]]] = {
    "no nulls": _without("null"),
    "no calibration": _without("null", "calibration"),
    "no test nulls": _without("null", "test"),
    "no positives": _without("positive"),
    "no twin": _without("twin"),
    "all missing": lambda rows: [replace(r, score=None, reason="crash") for r in rows],
    "all tied": lambda rows: [replace(r, score=1.0) for r in rows],
    "no errors": lambda rows: [replace(r, se=None, realised_se=None) for r in rows],
    "no doses": lambda rows: [replace(r, realised=None) for r in rows],
    "one each": lambda rows: [next(r for r in rows if r.role == role) for role in ("null", "positive", "twin", "sham")],
    "one group a split": lambda rows: [replace(r, group=r.split) for r in rows],
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_grids_say_why(case: str) -> None:
    rows = DEGENERATE[case](grid())
    found = characterise(rows, "probe", "lie")
    assert from_bytes(to_bytes(found)) == found
    assert found.undefined or case == "no twin"
    assert len(markdown(found)) > 100
    for rate in (found.false_alarms, found.twins, found.shams, found.others):
        assert rate is None or rate.interval.width > 0
    if case in ("no nulls", "no calibration", "all missing", "one each", "one group a split"):
        assert found.threshold is None
        assert any("no threshold" in f.text for f in found.findings)


def test_wrong_grids_are_refused() -> None:
    rows = grid()
    with pytest.raises(DataError, match="no reading of the method"):
        characterise(rows, "other", "lie")
    with pytest.raises(DataError, match="must carry theft"):
        characterise(rows, "probe", "theft")
    with pytest.raises(DataError, match="share no group"):
        characterise([replace(r, group="base") for r in rows], "probe", "lie")


def test_the_pictures() -> None:
    rows = grid()
    found = characterise(rows, "probe", "lie")
    drawing = ET.fromstring(dose_response(found, rows))
    words = " ".join(drawing.itertext())
    assert "threshold 1.37" in words
    assert "not drawn: 1" in words
    assert all(role in words for role in ("positive", "null", "twin", "sham", "other plant"))
    with pytest.raises(MeasurementUndefined):
        dose_response(found, [])
    cells = matrix(rows, {"probe": freeze(rows, "probe"), "blind": "too few nulls"})
    boxes = " ".join(ET.fromstring(heatmap(cells)).itertext())
    assert "20/20" in boxes  # the plant at full dose
    assert "56/80" not in boxes
    with pytest.raises(MeasurementUndefined):
        heatmap(())


def test_a_method_without_a_threshold_is_a_finding() -> None:
    (found,) = findings(grid(), {"blind": "too few nulls"})
    assert found.text == "blind has no threshold: too few nulls"


def test_the_page_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})  # noqa: S102 - our own page
    shown = [line[2:] for line in code.splitlines() if line.startswith("# ")]
    assert capsys.readouterr().out.splitlines() == shown
