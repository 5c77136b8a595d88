"""No recomputed reference number may be forgotten: a test file names each one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import real

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.data
def test_every_recomputed_reference_is_named_in_a_test() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    names = [name for name, entry in real.references().items() if entry["status"] == "recomputed"]
    assert len(names) > 30
    missing = [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
    assert not missing, f"references that no test names: {missing}"
