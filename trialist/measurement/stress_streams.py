"""Streams at the edge of a null, for rules that look after every value: the stress set of sequential rules.

In every stream the mean of a value, given all before it, is never below ``p0``, so that the null "the mean is at least
p0" is true and a rule that shows "below p0" errs when it rejects. Rare and skewed values, a rate that drifts upwards,
and adversaries who look at what has come: an honest rule stands all of them. ``order`` has its own values: a bank in
random order, whose mean is p0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trialist.measurement.sample import Floats

NUM_VALUES = 500


@dataclass(frozen=True)
class StreamCase:
    """``draw`` makes one stream (n,) in [0, 1]; ``binary``: of zeros and ones. ``bank``: drawn without replacement, the
    stream is all of it."""

    name: str
    p0: float
    draw: Callable[[np.random.Generator], Floats]
    binary: bool = True
    bank: bool = False


def stream_cases() -> tuple[StreamCase, ...]:
    """The stress set."""
    return (*_independent(), *_moving(), *_graded())


def _independent() -> Iterator[StreamCase]:
    for p0 in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        yield StreamCase(f"independent, {p0:g}", p0, lambda g, p=p0: _coins(g, np.full(NUM_VALUES, p)))


def _moving() -> Iterator[StreamCase]:
    def rising(g: np.random.Generator) -> Floats:
        return _coins(g, 0.05 * (1 + np.arange(NUM_VALUES) / NUM_VALUES))

    def runs(g: np.random.Generator) -> Floats:
        """Alternating stretches at p0 and at twice p0: clusters that weren't declared."""
        return _coins(g, np.where(np.arange(NUM_VALUES) // 25 % 2 == 0, 0.1, 0.2))

    def punishing(g: np.random.Generator) -> Floats:
        """After every event the rate is tripled for ten values."""
        found, until = np.zeros(NUM_VALUES), -1
        draws = g.random(NUM_VALUES)
        for t in range(NUM_VALUES):
            found[t] = draws[t] < (0.3 if t < until else 0.1)
            until = t + 10 if found[t] else until
        return found

    yield StreamCase("rising from .05 to .10", 0.05, rising)
    yield StreamCase("stretches of .1 and .2", 0.1, runs)
    yield StreamCase("tripled after every event", 0.1, punishing)


def _graded() -> Iterator[StreamCase]:
    yield StreamCase("beta(.1, 1.9)", 0.05, lambda g: g.beta(0.1, 1.9, NUM_VALUES), binary=False)
    yield StreamCase(
        "zeros and one in fifty uniform", 0.01, lambda g: (g.random(NUM_VALUES) < 0.02) * g.random(NUM_VALUES), False
    )
    skewed = ((np.arange(NUM_VALUES) + 0.5) / NUM_VALUES) ** 6
    yield StreamCase(
        "a skewed bank in random order", float(skewed.mean()), lambda g: g.permutation(skewed), binary=False, bank=True
    )
    rare = (np.arange(NUM_VALUES) < 10).astype(np.float64)
    yield StreamCase("10 events of 500, random order", 0.02, lambda g: g.permutation(rare), bank=True)


def _coins(g: np.random.Generator, rates: Floats) -> Floats:
    return (g.random(len(rates)) < rates).astype(np.float64)
