"""Comparison of found numbers with an entry of ``references.yaml``: its value, and what its source prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import real


def assert_reference(name: str, found: Mapping[str, Any], *, leave_out: Sequence[str] = ()) -> None:
    """``found`` holds every key of the entry's value, except ``leave_out``, within the entry's own tolerance; and every
    printed figure within the printed tolerance. A tolerance is a number, or one for each key of the first level."""
    entry = real.references()[name]
    wanted = {key: value for key, value in entry["value"].items() if key not in leave_out}
    _compare(found, wanted, entry["tolerance"], name)
    printed = {key: value for key, value in entry.get("published", {}).items() if key not in leave_out}
    _compare(found, printed, entry.get("published_tolerance", 0), f"{name} as printed")


def _compare(found: Any, wanted: Any, tolerance: Any, where: str) -> None:
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            assert key in found, f"{where}: nothing computed for {key}"
            inner = tolerance[key] if isinstance(tolerance, Mapping) else tolerance
            _compare(found[key], value, inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for k, (one, value) in enumerate(zip(found, wanted, strict=True)):
            _compare(one, value, tolerance, f"{where}[{k}]")
    elif wanted is None:
        assert found is None, where
    else:
        assert found == pytest.approx(wanted, abs=tolerance + 1e-15, rel=0), where
