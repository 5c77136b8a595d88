"""Made-up readings for the tests of validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trialist.validate.readings import Reading


def reading(organism: str, score: float | None = 0.0, **changes: Any) -> Reading:
    base = Reading(organism, "probe", "none", 0.0, 0.0, 0.01, "none", 0, "null", "test", score, 0.1, 100)
    return replace(base, reason="" if score is not None else "timed out", **changes)


def nulls(generator: np.random.Generator, num: int, split: str, prefix: str = "n") -> list[Reading]:
    return [reading(f"{prefix}-{split}-{i}", float(generator.normal()), split=split) for i in range(num)]


def positives(generator: np.random.Generator, doses: list[float], num: int, gain: float = 4.0) -> list[Reading]:
    found: list[Reading] = []
    for dose in doses:
        for i in range(num):
            route = "full" if i % 2 else "lora"
            score = float(generator.normal() + gain * dose)
            found.append(
                reading(
                    f"p{dose}-{i}", score, plant="lie", role="positive", nominal=dose,
                    realised=dose + float(generator.normal(0, 0.02)), realised_se=0.02, route=route, truth=gain * dose,
                    se=1.0,
                )
            )  # fmt: skip
    return found


def grid(seed: int = 0) -> list[Reading]:
    g = np.random.default_rng(seed)
    rows = [*nulls(g, 40, "calibration"), *nulls(g, 40, "test"), *positives(g, [0.25, 0.5, 0.75, 1.0], 20)]
    rows += [reading(f"t{i}", float(g.normal() + 3), plant="lie twin", role="twin", route="full") for i in range(20)]
    rows += [reading(f"s{i}", float(g.normal()), role="sham", route="sham") for i in range(20)]
    rows += [reading(f"o{i}", float(g.normal()), role="other plant", plant="theft", route="full") for i in range(19)]
    return [*rows, reading("o19", None, role="other plant", plant="theft", route="full")]
