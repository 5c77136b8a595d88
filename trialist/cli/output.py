"""What a program reads instead of a screen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

EXIT: Mapping[str, int] = {"PROMOTE": 0, "HOLD": 3, "BLOCK": 4}
"""Exit code of a verdict."""


def print_json(value: Any) -> None:
    """One JSON object on the standard output; records become objects, NaN is refused."""
    from trialist.records import pretty_json

    sys.stdout.write(pretty_json(value).decode())
