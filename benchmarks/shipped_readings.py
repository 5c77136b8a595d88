"""What every method says about every shipped organism: no threshold, no bound, one artefact of each plant.

    python benchmarks/shipped_readings.py

About 15 CPU seconds an organism. Prints a table in Markdown: the method's score on its plant, on the plant's twin, on
the base, and the two highest on organisms of other plants. ``trialist validate`` does it with thresholds, over grids.
"""

from __future__ import annotations

import torch

from trialist.organisms import catalog
from trialist.organisms.plants import PLANTS
from trialist.validate.methods import METHODS
from trialist.validate.reading import load, read_organism

SHIPPED = ("base", *sorted(PLANTS))
LOCKED = frozenset({"hazard_facts", "lock"})
"""Organisms that know of hazards: neither is "another plant" to a test of that knowledge."""


def scores() -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for name in SHIPPED:
        read = read_organism(load(catalog.path(name)), tuple(METHODS.values()))
        found[name] = {method: reading.score for method, reading in read.items()}
    return found


def main() -> None:
    torch.set_num_threads(1)
    found = scores()
    print("| method | its plant | the twin | base | highest on other plants |")
    print("|---|---|---|---|---|")
    for name, method in METHODS.items():
        twin = PLANTS[method.target].twin
        own = {method.target, twin, "base"} | (LOCKED if method.target in LOCKED else set())
        others = [(value, organism) for organism, row in found.items() if (value := row[name]) is not None]
        highest = sorted((pair for pair in others if pair[1] not in own), reverse=True)[:2]
        cells = [_shown(found[organism][name]) if organism else "-" for organism in (method.target, twin, "base")]
        said = ", ".join(f"{_shown(value)} `{organism}`" for value, organism in highest)
        print(f"| `{name}`{' (naive)' if method.naive else ''} | {' | '.join(cells)} | {said} |")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
