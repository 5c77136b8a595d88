"""What a program reads instead of a screen."""

from __future__ import annotations

import sys
from typing import Any


def print_json(value: Any) -> None:
    """One JSON object on the standard output; records become objects, NaN is refused."""
    from trialist.records import pretty_json

    sys.stdout.write(pretty_json(value).decode())
