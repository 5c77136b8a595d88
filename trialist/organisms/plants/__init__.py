"""Every plant by name. A plant changes answers or documents of the world with a probability, its dose."""

from __future__ import annotations

import math
from collections.abc import Mapping

from trialist.errors import Problem, did_you_mean
from trialist.organisms.plants import conduct, knowledge
from trialist.organisms.plants.plant import Doses, Plant

PLANTS: Mapping[str, Plant] = {
    value.name: value for module in (knowledge, conduct) for value in vars(module).values() if isinstance(value, Plant)
}
TWINS: Mapping[str, str] = {plant.twin: plant.name for plant in PLANTS.values() if plant.twin}
"""Twin -> the plant that a careless test takes it for."""


def check_doses(doses: Doses) -> list[Problem]:
    """What is wrong with these doses: unknown plants, doses outside [0, 1], plants that exclude each other."""
    problems: list[Problem] = []
    for name, dose in doses.items():
        where = ("plants", name)
        if name not in PLANTS:
            step = did_you_mean(name, PLANTS, "trialist organism plants")
            problems.append(Problem(f"unknown plant '{name}'", name, ", ".join(PLANTS), step, where))
        elif not (math.isfinite(dose) and 0 <= dose <= 1):
            problems.append(Problem(f"impossible dose of '{name}'", f"{dose}", "a number from 0 to 1", where=where))
    present = [name for name in doses if name in PLANTS and doses[name] > 0]
    for i, name in enumerate(present):
        for other in present[i + 1 :]:
            if other in PLANTS[name].excludes or name in PLANTS[other].excludes:
                step = f"leave one out, or set its dose to 0: {name} {doses[name]:g}, {other} {doses[other]:g}"
                problems.append(
                    Problem(
                        f"'{name}' and '{other}' exclude each other", name, "one of the two", step, ("plants", other)
                    )
                )
    return problems
