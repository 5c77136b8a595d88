"""Grid file -> specs: plants x doses x seeds x routes over one world, network and training.

schema: trialist/grid/1
plants: [sycophancy, credulity]
doses: [0, 0.1, 0.3, 1]
seeds: [0, 1, 2, 3, 4]
routes: [pretraining, {route: lora, learning_rate: 0.01, rank: 8}]
training: {exposures: 50}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt

from trialist.errors import Problem, SpecError
from trialist.organisms.plants import check_doses
from trialist.organisms.spec import ImplantSpec, NetworkSpec, OrganismSpec, TrainingSpec, WorldSpec, changed
from trialist.yamlspec import Located, check_schema, parse, parse_yaml, read_yaml

GRID_SCHEMA = 1


def _route(value: Any) -> Any:
    """``full`` stands for ``{route: full}``."""
    return {"route": value} if isinstance(value, str) else value


class GridSpec(BaseModel):
    """``doses`` may name 0, the sham; ``bases`` adds each seed's organism without plants, which is there anyway where
    a route fine-tunes. ``plants: []`` with ``bases`` is a grid of nulls alone. The seed of a cell is that of its world,
    training and implant."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    plants: list[str]
    doses: list[Annotated[float, Field(strict=False)]] = Field(default_factory=list[float])
    seeds: list[NonNegativeInt] = Field(default=[0], min_length=1)
    routes: list[Annotated[ImplantSpec, BeforeValidator(_route)]] = Field(default=[ImplantSpec()], min_length=1)
    bases: bool = False
    world: WorldSpec = Field(default_factory=WorldSpec)
    network: NetworkSpec = Field(default_factory=NetworkSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)


@dataclass(frozen=True)
class GridCell:
    """One organism of a grid; ``id`` is ``<plant>@<dose>#<seed>``, then ``/full`` or ``/lora``, or ``base#<seed>``."""

    id: str
    spec: OrganismSpec


def load_grid(path: str | Path) -> GridSpec:
    """Read a grid file. Raises ``SpecError`` with all its problems at once, each with its line."""
    return _parsed(read_yaml(path))


def parse_grid(text: str, *, source: str = "") -> GridSpec:
    """The same for text that is already in memory."""
    return _parsed(parse_yaml(text, source=source))


def cells(grid: GridSpec) -> tuple[GridCell, ...]:
    """Every organism of the grid, the bases first."""
    return tuple(_cells(grid))


def _cells(grid: GridSpec) -> Iterator[GridCell]:
    whole = OrganismSpec(world=grid.world, network=grid.network, training=grid.training)
    if grid.bases or any(route.route != "pretraining" for route in grid.routes):
        for seed in grid.seeds:
            yield GridCell(f"base#{seed}", changed(whole, seed=seed).base)
    for plant in grid.plants:
        for dose in grid.doses:
            for implant in grid.routes:
                planted = whole.model_copy(update={"plants": {plant: dose}, "implant": implant})
                suffix = "" if implant.route == "pretraining" else f"/{implant.route}"
                for seed in grid.seeds:
                    yield GridCell(f"{plant}@{dose:.15g}#{seed}{suffix}", changed(planted, seed=seed))


def _parsed(located: Located) -> GridSpec:
    check_schema(located, "grid", GRID_SCHEMA)
    data = {key: value for key, value in located.data.items() if key != "schema"}
    grid = parse(GridSpec, replace(located, data=data))
    problems = [located.placed(problem) for problem in _problems(grid)]
    if problems:
        raise SpecError(problems, source=located.source)
    return grid


def _problems(grid: GridSpec) -> Iterator[Problem]:
    if grid.plants and not grid.doses:
        yield Problem("plants without doses", "no doses", "one dose or more", "write 'doses: [0, 0.3, 1]'", ("doses",))
    if not grid.plants and not grid.bases:
        step = "name a plant, or write 'bases: true' for organisms without plants"
        yield Problem("a grid of nothing", "no plants and no bases", "plants, or bases, or both", step, ("plants",))
    for i, plant in enumerate(grid.plants):
        yield from (replace(p, where=("plants", i)) for p in check_doses({plant: 0.0}))
    for i, dose in enumerate(grid.doses):
        if not 0 <= dose <= 1:
            yield Problem("impossible dose", f"{dose}", "a number from 0 to 1", where=("doses", i))
    twice: dict[str, list[Any]] = {
        "plants": list(grid.plants),
        "doses": list(grid.doses),
        "seeds": list(grid.seeds),
        "routes": [route.route for route in grid.routes],
    }
    for name, values in twice.items():
        for value in (value for value, count in Counter(values).items() if count > 1):
            yield Problem(f"twice in {name}", f"{value}", "each once", "remove one", (name,))
