"""Name -> organism: ``sycophancy`` is shipped, ``sycophancy@0.3`` and ``sycophancy@0.3#2`` are built once and kept."""

from __future__ import annotations

import re
from pathlib import Path

from trialist.errors import NameUnknown, Problem, SpecError
from trialist.interventions.protocol import Progress
from trialist.organisms import catalog
from trialist.organisms.spec import OrganismSpec, changed
from trialist.organisms.store import organisms_folder, stored

_NAME = re.compile(r"(?P<name>[^@#]*)(?:@(?P<dose>[^@#]*))?(?:#(?P<seed>[^@#]*))?")


def folder_of(name: str, progress: Progress | None = None) -> Path:
    """The folder of an organism by its name; one that isn't shipped is taken from the cache or trained now.

    Raises:
        NameUnknown: no shipped organism.
        SpecError: a dose outside [0, 1], or a seed that is none.
        ModelError: no cache folder, or a half-written organism in it.
    """
    if name in catalog.names():
        return catalog.path(name)
    return stored(spec_of(name), organisms_folder(), progress)


def spec_of(name: str) -> OrganismSpec:
    """The spec that a name stands for: ``<shipped organism>@<dose>#<seed>``, dose or seed or both. Every plant has a
    shipped organism of its name.

    The seed is that of world, training and implant. A dose is that of the organism's one plant.
    """
    match = _NAME.fullmatch(name)
    if name in catalog.names():
        return catalog.spec(name)
    if match is None or match["name"] not in catalog.names():
        asked = name if match is None else match["name"]
        raise NameUnknown("organism", asked, catalog.names(), see="trialist organism list")
    seed = None if match["seed"] is None else _seed(match["seed"])
    dose = None if match["dose"] is None else _dose(match["dose"])
    return changed(catalog.spec(match["name"]), dose=dose, seed=seed)


def _dose(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError([Problem("not a dose", f"@{text}", "a number from 0 to 1", "write name@0.3")]) from None


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise SpecError([Problem("not a seed", f"#{text}", "a whole number from 0 to 999999999", "write name@0.3#2")])
    return int(text)
