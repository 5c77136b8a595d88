from __future__ import annotations

import pytest
from test_documents import blocks


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/measurement/conformance.md", "python")
    exec(code, {})  # noqa: S102 - our own page
    shown = [line.split("  # ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
    assert capsys.readouterr().out.splitlines() == shown
