"""Folders of grids -> the organisms of one experiment, what each is to a method, and which half it belongs to.

Organisms are split by seed, never one by one: those of one seed share a world, and those fine-tuned share a base.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trialist.errors import DataError
from trialist.organisms.grid import GRID_FILE, ROWS_FILE, Row
from trialist.organisms.grid_spec import load_grid
from trialist.organisms.truth import Realised
from trialist.records import canonical_json, sha256_hex
from trialist.validate.methods.method import Method, Scored
from trialist.validate.readings import Reading, Role, Route, Split

if TYPE_CHECKING:
    from pydantic import TypeAdapter

DIGITS = 12


@dataclass(frozen=True)
class Organism:
    """``doses`` are nominal; named at 0 a plant is a sham. ``group`` is the base that it was fine-tuned from, or that
    it is; empty where plants were mixed into pre-training: such an organism is its own."""

    name: str
    folder: Path
    doses: Mapping[str, float]
    route: Route
    seed: int
    group: str
    realised: Mapping[str, Realised]


@dataclass(frozen=True)
class Experiment:
    """``left_out`` are organisms of calibration seeds that aren't nulls: they share a base or a world with what set
    the threshold. ``not_built`` are the rows of a grid that failed or are pending."""

    organisms: tuple[Organism, ...]
    calibration: tuple[int, ...]
    left_out: tuple[Organism, ...]
    not_built: tuple[str, ...]

    def split(self, organism: Organism) -> Split:
        return "calibration" if organism.seed in self.calibration else "test"


def experiment(folders: Sequence[Path], calibration: Sequence[int] | None = None) -> Experiment:
    """All organisms that stand in the grids of these folders, an organism of several grids once.

    Nulls of the ``calibration`` seeds set the thresholds and everything of other seeds tests them. Left out, the
    calibration seeds are every other one, from the first, of those at which nothing but bases was built.

    Raises:
        DataError: a folder without a grid, a bad line, grids whose worlds, networks or trainings differ (their nulls
            are not exchangeable).
    """
    _check_alike(folders)
    rows = [(folder, row) for folder in folders for row in _rows(folder)]
    built: dict[tuple[str, str], Organism] = {}
    missing: list[str] = []
    for folder, row in rows:
        if row.status in ("done", "kept"):
            built.setdefault((row.spec, row.folder), _organism(folder, row))
        else:
            missing.append(f"{row.id}: {row.error or row.status}")
    everything = tuple(built.values())
    chosen = tuple(sorted(set(default_calibration(everything) if calibration is None else calibration)))
    left_out = tuple(o for o in everything if o.seed in chosen and o.doses)
    kept = tuple(o for o in everything if o.seed not in chosen or not o.doses)
    return Experiment(kept, chosen, left_out, tuple(missing))


def default_calibration(organisms: Sequence[Organism]) -> tuple[int, ...]:
    planted = {organism.seed for organism in organisms if organism.doses}
    return tuple(sorted({o.seed for o in organisms} - planted)[::2])


def role_of(organism: Organism, method: Method) -> tuple[Role, str, float]:
    """What an organism is to a method, the plant that makes it so, and its nominal dose."""
    carried = {plant: dose for plant, dose in organism.doses.items() if dose > 0}
    if not organism.doses:
        return "null", "none", 0.0
    if not carried:
        return "sham", next(iter(organism.doses)), 0.0
    if method.target in carried:
        return "positive", method.target, carried[method.target]
    if method.twin in carried:
        return "twin", method.twin, carried[method.twin]
    plant = next(iter(carried))
    return "other plant", plant, carried[plant]


def reading_of(
    organism: Organism, method: Method, scored: Scored, *, split: Split, realised: Mapping[str, Realised]
) -> Reading:
    """The score with all that is known of the organism; ``realised`` is its truth: of its own plant, or for a null of
    the method's target."""
    role, plant, nominal = role_of(organism, method)
    dose = realised.get(method.target if role == "null" else plant)
    route: Route = {"null": "none", "sham": "sham"}.get(role, organism.route)  # pyright: ignore[reportAssignmentType]
    return Reading(
        organism=organism.name,
        method=method.name,
        plant=plant,
        nominal=nominal,
        realised=None if dose is None else dose.value,
        realised_se=None if dose is None else dose.se,
        route=route,
        seed=organism.seed,
        role=role,
        split=split,
        score=scored.score,
        se=scored.se,
        num_items=scored.num_items,
        reason=scored.reason,
        group=organism.group,
    )


def _organism(folder: Path, row: Row) -> Organism:
    # one name whatever grid it stands in, and another for another spec or other code of the same plant, dose and seed
    name = f"{row.id} {row.folder[:DIGITS]}"
    group = row.base or ("" if row.plants else row.spec)
    route: Route = row.route  # pyright: ignore[reportAssignmentType]
    return Organism(name, folder / row.folder, row.plants, route, row.seed, group[:DIGITS], row.realised)


def _rows(folder: Path) -> list[Row]:
    from pydantic import ValidationError

    path = folder / ROWS_FILE
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(
            "no organisms here",
            seen=str(error),
            allowed=f"a folder with {ROWS_FILE}, as 'trialist organism grid' writes it",
            next_step=f"trialist organism grid GRID.yaml --out {folder}",
        ) from error
    try:
        return [_adapter().validate_json(line) for line in lines]
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DataError(f"{path}: {place}: {problem['msg']}", seen=str(problem["input"])[:80]) from error


def _check_alike(folders: Sequence[Path]) -> None:
    first: tuple[str, Path] | None = None
    for folder in folders:
        _rows(folder)
        grid = load_grid(folder / GRID_FILE)
        parts = [part.model_dump(mode="json", exclude={"seed"}) for part in (grid.world, grid.network, grid.training)]
        digest = sha256_hex(canonical_json(parts))
        if first is not None and first[0] != digest:
            raise DataError(
                "these grids build different organisms: nulls of one say nothing about the other",
                seen=f"{first[1]} and {folder}",
                allowed="the same world, network and training but for seeds",
                next_step="give grids of one kind, and another --out for the other",
            )
        first = first or (digest, folder)


@cache
def _adapter() -> TypeAdapter[Row]:
    from pydantic import TypeAdapter

    return TypeAdapter(Row)


def seeds_of(text: str) -> tuple[int, ...]:
    """``0-39`` or ``0-4,7``. Raises DataError for anything else, and where a seed is named twice."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part, re.ASCII)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if high < low or high - low > 100_000:
            raise DataError("no list of seeds", seen=text, allowed="ranges and numbers such as 0-39,50", next_step="")
        found += range(low, high + 1)
    if len(set(found)) < len(found):
        raise DataError("a seed is named twice", seen=text, allowed="each once")
    return tuple(sorted(found))
