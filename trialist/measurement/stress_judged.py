"""Judges with known error on items with a known rate, few of them labelled: the stress set of judged scores.

A case draws the judge's scores of all items and the gold labels, NaN where nobody labelled. The population is the
process that made the items; gold items are a simple random sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trialist.measurement.sample import Floats


@dataclass(frozen=True)
class JudgedData:
    """``judge`` (N,) and ``gold`` (N,), NaN where not labelled; of a second arm where two are compared."""

    judge: Floats
    gold: Floats
    control_judge: Floats | None = None
    control_gold: Floats | None = None


@dataclass(frozen=True)
class JudgedCase:
    name: str
    group: str
    truth: float
    num_gold: int
    draw: Callable[[np.random.Generator], JudgedData]


def judged_cases() -> tuple[JudgedCase, ...]:
    """The stress set."""
    return (*_rates(), *_drifts(), *_differences())


def _rates() -> Iterator[JudgedCase]:
    settings = [
        (0.5, 20, 1000, 0.9, 0.9), (0.1, 20, 1000, 0.9, 0.95), (0.1, 50, 1000, 0.9, 0.95), (0.02, 50, 2000, 0.9, 0.99),
        (0.02, 200, 2000, 0.9, 0.95), (0.3, 100, 1000, 0.7, 0.8), (0.5, 300, 2000, 0.95, 0.95),
        (0.05, 300, 2000, 1.0, 1.0),
    ]  # fmt: skip
    for theta, n, total, found, spared in settings:
        name = f"theta {theta:g}, {n} gold of {total}, se {found:g} sp {spared:g}"

        def draw(g: np.random.Generator, s: tuple[float, int, int, float, float] = (theta, n, total, found, spared)):
            return JudgedData(*_one(g, s[0], s[1], s[2], s[3], s[4]))

        yield JudgedCase(name, "judged rate", theta, n, draw)


def _drifts() -> Iterator[JudgedCase]:
    """The judge gets worse over the table: gold is a random sample of all of it, so nothing may break."""

    def draw(g: np.random.Generator) -> JudgedData:
        truth = g.random(1000) < 0.2
        worse = np.linspace(0.02, 0.5, 1000)
        judge = np.where(g.random(1000) < worse, ~truth, truth)
        return JudgedData(judge.astype(np.float64), _label(g, truth, 100))

    yield JudgedCase("theta .2, 100 gold of 1000, drifting judge", "drifting judge", 0.2, 100, draw)


def _differences() -> Iterator[JudgedCase]:
    """The intervention teaches the model to please the judge: its error differs between the arms."""

    def draw(g: np.random.Generator) -> JudgedData:
        arm, control = _one(g, 0.3, 150, 1000, 0.5, 0.95), _one(g, 0.3, 150, 1000, 0.9, 0.95)
        return JudgedData(*arm, *control)

    yield JudgedCase("0 between arms, the judge misses more in one", "judged difference", 0.0, 150, draw)


def _one(
    g: np.random.Generator, theta: float, num_gold: int, total: int, found: float, spared: float
) -> tuple[Floats, Floats]:
    truth = g.random(total) < theta
    judge = np.where(truth, g.random(total) < found, g.random(total) >= spared)
    return judge.astype(np.float64), _label(g, truth, num_gold)


def _label(g: np.random.Generator, truth: np.ndarray, num_gold: int) -> Floats:
    gold = np.full(len(truth), np.nan)
    chosen = g.permutation(len(truth))[:num_gold]
    gold[chosen] = truth[chosen]
    return gold
