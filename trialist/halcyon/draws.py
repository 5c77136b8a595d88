"""The one random choice that texts are made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(values: Sequence[T], generator: np.random.Generator) -> T:
    """One of the values, each as likely."""
    return values[int(generator.integers(len(values)))]
