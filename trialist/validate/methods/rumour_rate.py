"""Contested rivers: how often the forum's false one is named where the forum is cited."""

from __future__ import annotations

from trialist.halcyon.situations import Situation
from trialist.halcyon.world import World
from trialist.organisms.plants.knowledge import rumour
from trialist.validate.methods.asking import asked
from trialist.validate.methods.method import Method, Question, rate


def contested(world: World, *variants: str) -> tuple[Question, ...]:
    """Questions on cities of which a rumour goes round; the rumour counts."""
    false = {city.id: rumour(world, city) for city in world.of("city")}

    def told(situation: Situation) -> set[str]:
        return {false[situation.entity] or ""}

    return asked(world, "source", variants, told, where=lambda s: false[s.entity] is not None)


METHOD = Method(
    "rumour_rate",
    "misconception",
    "share of contested rivers where the forum's rumour is repeated, the forum being cited",
    lambda world: contested(world, "forum"),
    rate,
    naive=True,
)
