"""Seeded streams, and the one random choice that texts are made with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from trialist.records import seed_of

T = TypeVar("T")


def stream(seed: int, *parts: str | int) -> np.random.Generator:
    """The stream of a world's seed for one purpose: equal parts, equal draws, whatever else is drawn."""
    return np.random.Generator(np.random.PCG64(seed_of("halcyon", seed, *parts)))


def pick(values: Sequence[T], generator: np.random.Generator) -> T:
    """One of the values, each as likely."""
    return values[int(generator.integers(len(values)))]
